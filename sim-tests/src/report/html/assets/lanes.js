// Space-time lanes: nodes from top to bottom, time from left to right, on one canvas.
//
// The canvas is as large as its window, not as the picture: it sticks to the window while a spacer
// of the full height scrolls below it. A frame walks the events of the visible time once. Far out,
// events of one kind that fall on the same pixel of a lane are drawn once.
const GUTTER = () => (innerWidth < 640 ? 58 : 158);
const HEAD = 64; // axis, slots, windows, faults
let rowHeight = 24;

/// Where a group sits inside its lane, and which of the four layers it belongs to.
const PLACE = { blocks: 0.22, received: 0.5, votes: 0.5, timers: 0.5, repair: 0.22, certificates: 0.78, finality: 0.5, power: 0.5, trouble: 0.5 };

/// Far out: where the band of a group begins in its lane, and how high it is.
const BAND = { blocks: [0.1, 0.14], votes: [0.28, 0.14], certificates: [0.46, 0.1], finality: [0.6, 0.32], skip: [0.1, 0.82] };

function colourOf(kind) {
  const name = kinds[kind].short;
  if (/^(got )?(N|NF)$|^\[(NO|NF)\]$/.test(name)) return colours.notar;
  if (/^(got )?(S|SF)$|^\[SK\]$|^skipped$|^timeout/.test(name)) return colours.skip;
  if (/^(got )?F$|^\[F[FI]\]$|^final/.test(name)) return colours.final;
  return { blocks: colours.block, repair: colours.cert, power: colours.fault, trouble: colours.trouble, finality: colours["final-soft"],
    received: colours.faint }[kinds[kind].group] ?? colours.ready;
}

/// Draws one mark. Shapes carry the meaning: discs are votes, diamonds certificates, squares blocks.
/// Hollow is the weaker form of the same thing: a fallback, something received.
function mark(g, short, x, y, r) {
  g.beginPath();
  const hollow = /NF|SF|^got|repaired|reloaded|indirect|seen|ready|timers/.test(short);
  if (/^\[/.test(short)) {
    g.moveTo(x, y - r * 1.25); g.lineTo(x + r * 1.25, y); g.lineTo(x, y + r * 1.25); g.lineTo(x - r * 1.25, y); g.closePath();
  } else if (/^(got )?S$|^(got )?SF$/.test(short)) {
    g.moveTo(x - r * 1.1, y - r * 0.9); g.lineTo(x + r * 1.1, y - r * 0.9); g.lineTo(x, y + r * 1.1); g.closePath();
  } else if (/^(got )?F$/.test(short)) {
    g.moveTo(x - r * 1.1, y + r * 0.9); g.lineTo(x + r * 1.1, y + r * 0.9); g.lineTo(x, y - r * 1.1); g.closePath();
  } else if (/^(stored|repaired|reloaded|sent|seen|produce|switch parent)$/.test(short)) {
    g.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  } else if (/^[A-Z]{5}|invalid|equivocation|offence|contradiction|standstill/.test(short)) {
    g.moveTo(x - r, y - r); g.lineTo(x + r, y + r); g.moveTo(x + r, y - r); g.lineTo(x - r, y + r); g.lineWidth = 2; g.stroke(); g.lineWidth = 1.5;
    return;
  } else {
    g.arc(x, y, r, 0, 7);
  }
  if (hollow) g.stroke(); else g.fill();
}

function hatch(g, x, y, width, height) {
  if (width <= 0) return;
  g.save();
  g.beginPath();
  g.rect(x, y, width, height);
  g.clip();
  g.beginPath();
  const start = Math.floor((x - height) / 7) * 7;
  for (let at = start; at < x + width; at += 7) { g.moveTo(at, y + height); g.lineTo(at + height, y); }
  g.stroke();
  g.restore();
}

/// A picture of the window; kept for hit tests.
const view = { width: 0, height: 0, left: 0, scroll: 0, marks: [] };
const xOf = (time) => view.left + (time - state.from) / (state.to - state.from) * (view.width - view.left);
const timeAt = (x) => state.from + (x - view.left) / (view.width - view.left) * (state.to - state.from);
const yOf = (lane) => HEAD + lane * rowHeight - view.scroll;

function drawLanes(canvas, box, spacer) {
  const shown = state.shown;
  const available = Math.max(260, innerHeight * 0.74 - HEAD);
  rowHeight = Math.max(13, Math.min(46, Math.floor(available / Math.max(1, shown.length))));
  const full = HEAD + shown.length * rowHeight + 1;
  view.width = box.clientWidth;
  view.height = Math.min(full, Math.round(innerHeight * 0.74) - 2);
  view.left = GUTTER();
  view.scroll = Math.min(box.scrollTop, full - view.height);
  spacer.style.height = `${full - view.height}px`;
  const g = fit(canvas, view.width, view.height);
  const lane = new Map(shown.map((node, i) => [node, i]));
  g.font = `11.5px ${colours.sans}`;
  g.textBaseline = "middle";
  g.save();
  g.beginPath();
  g.rect(view.left, HEAD, view.width - view.left, view.height - HEAD);
  g.clip();
  drawGround(g, lane);
  drawEvents(g, lane);
  drawUnknown(g);
  drawViolations(g, lane);
  drawPicked(g, lane);
  g.restore();
  drawHead(g);
  drawGutter(g, lane);
  return shown.length;
}

function drawGround(g, lane) {
  g.strokeStyle = colours.line;
  g.lineWidth = 1;
  for (let i = 0; i <= lane.size; i += 1) {
    const y = Math.round(yOf(i)) + 0.5;
    g.beginPath(); g.moveTo(view.left, y); g.lineTo(view.width, y); g.stroke();
  }
  for (const fault of data.faults) {
    const [a, b] = [Math.max(xOf(fault.from_ms), view.left - 2), Math.min(xOf(fault.to_ms ?? END), view.width + 2)];
    if (b < view.left || a > view.width) continue;
    g.fillStyle = colours["fault-fill"];
    g.strokeStyle = colours.fault;
    g.globalAlpha = 1;
    for (const node of fault.nodes) {
      const row = lane.get(node);
      if (row === undefined) continue;
      g.fillRect(a, yOf(row) + 1, Math.max(b - a, 2), rowHeight - 1);
      if (fault.down) { g.globalAlpha = 0.45; hatch(g, a, yOf(row) + 1, b - a, rowHeight - 1); g.globalAlpha = 1; }
    }
    g.globalAlpha = 0.7;
    g.setLineDash([4, 3]);
    for (const x of [a, b]) { g.beginPath(); g.moveTo(Math.round(x) + 0.5, HEAD); g.lineTo(Math.round(x) + 0.5, view.height); g.stroke(); }
    g.setLineDash([]);
    g.globalAlpha = 1;
  }
  const heal = data.heal_ms === null ? -1 : xOf(data.heal_ms);
  if (heal > view.left && heal < view.width) {
    g.strokeStyle = colours.final;
    g.lineWidth = 1.5;
    g.setLineDash([6, 4]);
    g.beginPath(); g.moveTo(Math.round(heal) + 0.5, HEAD); g.lineTo(Math.round(heal) + 0.5, view.height); g.stroke();
    g.setLineDash([]);
    g.lineWidth = 1;
  }
  const perWindow = (view.width - view.left) * 1600 / (state.to - state.from);
  for (const window of data.windows) {
    if (window.ready_ms === null) continue;
    const x = Math.round(xOf(window.ready_ms)) + 0.5;
    if (perWindow > 26 && x > view.left && x < view.width) {
      g.strokeStyle = colours["line-strong"];
      g.setLineDash([1, 3]);
      g.beginPath(); g.moveTo(x, HEAD); g.lineTo(x, view.height); g.stroke();
      g.setLineDash([]);
    }
  }
  g.fillStyle = colours.lead;
  for (const slot of data.slots) {
    const row = lane.get(slot.leader);
    if (row === undefined || !slot.work_ms) continue;
    const [a, b] = slot.work_ms.map(xOf);
    if (b >= view.left && a <= view.width) g.fillRect(a, yOf(row) + 1, Math.max(2, b - a), rowHeight - 1);
  }
}

/// Time of which the page has figures but no single events.
function drawUnknown(g) {
  const left = data.left_out.find((one) => one.detail === 1);
  if (!left || left.from_ms === null) return;
  const paint = (a, b) => {
    [a, b] = [Math.max(a, view.left), Math.min(b, view.width)];
    if (b - a < 2) return;
    g.fillStyle = colours.hover;
    g.fillRect(a, HEAD, b - a, view.height - HEAD);
    g.strokeStyle = colours["line-strong"];
    hatch(g, a, HEAD, b - a, view.height - HEAD);
    g.fillStyle = colours.soft;
    const words = "single events were left out here";
    const wide = g.measureText(words).width;
    if (b - a < wide + 24) return;
    g.fillStyle = colours.card;
    g.fillRect((a + b - wide) / 2 - 8, HEAD + 20, wide + 16, 24);
    g.fillStyle = colours.ink;
    g.fillText(words, (a + b - wide) / 2, HEAD + 32);
  };
  paint(xOf(0), xOf(left.from_ms));
  if (left.to_ms < END - 2000) paint(xOf(left.to_ms), xOf(END));
}

function drawEvents(g, lane) {
  const [first, last] = [lower(state.from), lower(state.to + 1e-9)];
  const width = Math.ceil(view.width - view.left);
  const perSlot = width * 400 / (state.to - state.from);
  const near = perSlot > 46;
  const far = perSlot < 9; // a slot is a few pixels: layers become thin bands, so that exceptions stand out
  const radius = near ? Math.max(2.2, Math.min(4.4, rowHeight / 7.5)) : 0;
  const buckets = kinds.map(() => []);
  const seen = new Int32Array(data.nodes.length * kinds.length).fill(-1);
  view.marks = [];
  const tall = rowHeight >= 20;
  for (let i = first; i < last; i += 1) {
    if (!state.mask[i]) continue;
    const row = lane.get(E.node[i]);
    const top = yOf(row);
    if (top + rowHeight < HEAD || top > view.height) continue;
    const x = xOf(E.t[i]);
    const pixel = near ? Math.round(x * 2) : Math.round(x);
    const key = E.node[i] * kinds.length + E.kind[i];
    if (seen[key] === pixel) continue;
    seen[key] = pixel;
    const y = top + rowHeight * (tall ? PLACE[kinds[E.kind[i]].group] : 0.5);
    buckets[E.kind[i]].push(x, y, i);
    view.marks.push(x, y, i);
  }
  buckets.forEach((points, kind) => {
    if (!points.length) return;
    const { short, group } = kinds[kind];
    g.fillStyle = g.strokeStyle = colourOf(kind);
    const center = tall ? PLACE[group] : 0.5;
    if (far && short.startsWith("final")) g.fillStyle = colours["final-soft"];
    const final = short.startsWith("final") || short === "skipped" || short === "delivered";
    for (let p = 0; p < points.length; p += 3) {
      const [x, y] = [points[p], points[p + 1]];
      if (far && group !== "power" && group !== "trouble") {
        const [at, high] = BAND[colourOf(kind) === colours.skip ? "skip" : group] ?? [0.5, 0.2];
        g.fillRect(Math.round(x), Math.round(y - rowHeight * (center - at)), 1, Math.max(1.5, rowHeight * high));
      } else if (final) {
        const full = short === "delivered" ? 0.3 : 0.84;
        const high = rowHeight * full;
        const wide = short === "final fast" ? 3 : short === "final slow" ? 2 : 1;
        g.fillRect(Math.round(x - wide / 2), Math.round(y - high / 2), near ? wide : Math.max(1, wide - 1), high);
      } else if (near || group === "power" || group === "trouble") {
        g.lineWidth = 1.5;
        mark(g, short, x, y, near ? radius : 3);
      } else {
        const high = tall ? rowHeight * 0.24 : rowHeight * 0.5;
        g.fillRect(Math.round(x), Math.round(y - high / 2), 1, high);
      }
    }
    if (near && perSlot > 1400 && rowHeight >= 26 && !final) {
      g.font = `10px ${colours.mono}`;
      for (let p = 0; p < points.length; p += 3) g.fillText(short, points[p] + radius + 3, points[p + 1]);
      g.font = `11.5px ${colours.sans}`;
    }
  });
}

/// The violation in question strongly, the others as thin lines.
function drawViolations(g, lane) {
  violations.forEach((violation, number) => {
    const x = Math.round(xOf(violation.at_ms));
    const inQuestion = number === violationAt;
    if (x < view.left - 20 || x > view.width + 20) return;
    g.strokeStyle = g.fillStyle = colours.trouble;
    g.lineWidth = inQuestion ? 2.5 : 1;
    g.globalAlpha = inQuestion ? 1 : 0.45;
    g.beginPath(); g.moveTo(x, HEAD); g.lineTo(x, view.height); g.stroke();
    for (const node of inQuestion ? violation.nodes : []) {
      const row = lane.get(node);
      if (row === undefined) continue;
      g.globalAlpha = 0.1;
      g.fillRect(view.left, yOf(row) + 1, view.width - view.left, rowHeight - 1);
      g.globalAlpha = 1;
      g.lineWidth = 2;
      g.beginPath(); g.arc(x, yOf(row) + rowHeight / 2, Math.min(11, rowHeight * 0.42), 0, 7); g.stroke();
    }
    g.globalAlpha = 1;
  });
}

/// The picked event, what belongs to the same block, and the way of a vote to its receivers.
function drawPicked(g, lane) {
  const i = state.picked;
  if (i < 0 || !lane.has(E.node[i])) return;
  const place = (j) => yOf(lane.get(E.node[j])) + rowHeight * (rowHeight >= 20 ? PLACE[kinds[E.kind[j]].group] : 0.5);
  const [x, y] = [xOf(E.t[i]), place(i)];
  g.strokeStyle = colours.focus;
  g.lineWidth = 1;
  g.globalAlpha = 0.75;
  for (const j of consequences(i)) {
    if (!lane.has(E.node[j])) continue;
    g.beginPath(); g.moveTo(x, y); g.lineTo(xOf(E.t[j]), place(j)); g.stroke();
    g.beginPath(); g.arc(xOf(E.t[j]), place(j), 2.5, 0, 7); g.stroke();
  }
  g.globalAlpha = 1;
  g.lineWidth = 2;
  g.beginPath(); g.arc(x, y, 7.5, 0, 7); g.stroke();
}

/// Where a vote or a block arrived: the receipts of what `i` sent.
function consequences(i) {
  const short = kinds[E.kind[i]].short;
  const wanted = { sent: ["stored"], produce: ["stored"] }[short] ?? (kinds[E.kind[i]].group === "votes" ? [`got ${short}`] : []);
  const found = [];
  const accepted = wanted.map((name) => kindNamed[name]);
  for (let j = i; accepted.length && j < E.n && found.length < 400 && E.t[j] < E.t[i] + 20000; j += 1) {
    if (!accepted.includes(E.kind[j]) || E.slot[j] !== E.slot[i]) continue;
    if (wanted[0] === "stored" ? E.node[j] !== E.node[i] : E.peer[j] === E.node[i] && E.block[j] === E.block[i]) found.push(j);
  }
  return found;
}

function drawHead(g) {
  g.fillStyle = colours.card;
  g.fillRect(0, 0, view.width, HEAD);
  g.save();
  g.beginPath(); g.rect(view.left, 0, view.width - view.left, HEAD); g.clip();
  const distance = step(state.to - state.from, (view.width - view.left) / 96);
  g.fillStyle = colours.soft;
  g.strokeStyle = colours["line-strong"];
  g.lineWidth = 1;
  g.textAlign = "center";
  for (let at = Math.ceil(state.from / distance) * distance; at <= state.to; at += distance) {
    if (at < -1e-9) continue;
    const x = xOf(at);
    g.beginPath(); g.moveTo(Math.round(x) + 0.5, 15); g.lineTo(Math.round(x) + 0.5, 19); g.stroke();
    const words = `${seconds(at, distance)} s`;
    const half = g.measureText(words).width / 2 + 3;
    g.fillText(words, Math.max(view.left + half, Math.min(view.width - half, x)), 8);
  }
  g.textAlign = "left";
  drawSlots(g);
  drawFaultBars(g);
  const flags = [];
  const order = violations.map((_, i) => i).sort((a, b) => (b === violationAt) - (a === violationAt));
  for (const number of order) {
    const { at_ms, oracle } = violations[number];
    const x = xOf(at_ms);
    const wide = g.measureText(oracle).width + 10;
    const left = Math.min(x, view.width - wide);
    if (x < view.left || x > view.width || flags.some((one) => Math.abs(one - left) < wide + 2)) continue;
    flags.push(left);
    g.globalAlpha = number === violationAt ? 1 : 0.6;
    g.fillStyle = colours.trouble;
    g.fillRect(left, HEAD - 16, wide, 15);
    g.globalAlpha = 1;
    g.fillStyle = colours.card;
    g.fillText(oracle, left + 5, HEAD - 8);
  }
  g.restore();
}

const OUTCOME = { fast: "final", slow: "final", indirect: "final-soft", skipped: "skip", undecided: "line-strong" };

function drawSlots(g) {
  data.slots.forEach((slot, i) => {
    if (slot.begin_ms === null) return;
    const next = data.slots[i + 1]?.begin_ms ?? Math.min(END, slot.begin_ms + 400);
    const [a, b] = [xOf(slot.begin_ms), xOf(Math.max(next, slot.begin_ms))];
    if (b < view.left || a > view.width) return;
    g.fillStyle = colours[OUTCOME[slot.end]];
    const gap = b - a > 4 ? 1 : 0;
    g.fillRect(a, slot.end === "fast" ? 20 : slot.end === "skipped" ? 24 : 22, Math.max(1, b - a - gap), slot.end === "fast" ? 7 : slot.end === "skipped" ? 3 : 5);
    if (b - a > 26) { g.fillStyle = colours.soft; g.fillText(slot.slot, Math.max(a, view.left) + 2, 35); }
  });
  const per = (view.width - view.left) * 1600 / (state.to - state.from);
  for (const window of data.windows) {
    if (window.ready_ms === null || per < 34) continue;
    const x = xOf(window.ready_ms);
    if (x > view.left - 60 && x < view.width) {
      g.fillStyle = colours.faint;
      const slotWide = (view.width - view.left) * 400 / (state.to - state.from);
      if (slotWide <= 26) g.fillText(`n${window.leader}`, x + 2, 35);
      else { const text = `leader n${window.leader}`; const at = Math.max(x + 2 + 28, view.left + 30); if (slotWide > 92) g.fillText(text, at, 35); }
    }
  }
}

function drawFaultBars(g) {
  const lines = [];
  const heal = data.heal_ms === null ? -1 : xOf(data.heal_ms);
  if (heal > view.left && heal < view.width) {
    g.fillStyle = colours.final;
    g.fillText("heal", heal + 4, HEAD - 11);
    g.fillRect(heal, HEAD - 19, 1.5, 18);
    lines.push([heal, heal + g.measureText("heal").width + 6]);
  }
  for (const fault of data.faults) {
    const [a, b] = [xOf(fault.from_ms), xOf(fault.to_ms ?? END)];
    if (b < view.left || a > view.width) continue;
    const left = Math.max(a, view.left);
    if (lines.some(([from, to]) => left < to + 4 && b > from - 4)) {
      g.strokeStyle = colours.fault; g.beginPath(); g.moveTo(left, HEAD - 2); g.lineTo(Math.min(b, view.width), HEAD - 2); g.stroke();
      continue;
    }
    const text = `${fault.label}`;
    const end = Math.max(b, left + 3);
    lines.push([left, Math.max(end, left + g.measureText(text).width + 6)]);
    g.fillStyle = colours["fault-fill"];
    g.fillRect(left, HEAD - 19, end - left, 16);
    g.fillStyle = colours.fault;
    g.fillRect(left, HEAD - 3, end - left, 2);
    g.fillText(text, left + 4, HEAD - 11);
  }
}

function drawGutter(g, lane) {
  g.fillStyle = colours.card;
  g.fillRect(0, HEAD, view.left, view.height - HEAD);
  g.fillRect(0, 0, view.left, HEAD);
  const narrow = view.left < 100;
  const guilty = new Set(violations[violationAt]?.nodes);
  g.save();
  g.beginPath(); g.rect(0, HEAD, view.left, view.height - HEAD); g.clip();
  for (const [node, row] of lane) {
    const [top, about] = [yOf(row), data.nodes[node]];
    if (top + rowHeight < HEAD || top > view.height) continue;
    const y = top + rowHeight / 2;
    g.fillStyle = guilty.has(node) ? colours.trouble : colours.ink;
    g.font = `600 ${rowHeight < 16 ? 10.5 : 12}px ${colours.mono}`;
    g.fillText(`n${node}`, 12, y);
    g.font = `${rowHeight < 16 ? 10 : 11}px ${colours.sans}`;
    g.fillStyle = colours.soft;
    if (!narrow) {
      g.textAlign = "right";
      g.fillText(about.honest ? share(about.share) : "byzantine", view.left - 10, y);
      g.textAlign = "left";
      g.fillStyle = colours.faint;
      if (rowHeight >= 13) g.fillText(about.region.length > 10 ? `${about.region.slice(0, 9)}…` : about.region, 46, y);
    }
  }
  g.restore();
  g.font = `11.5px ${colours.sans}`;
  g.fillStyle = colours.soft;
  g.textAlign = "right";
  if (!narrow) {
    g.fillText("time", view.left - 10, 8);
    g.fillText("slots", view.left - 10, 25);
    if (data.faults.length || data.heal_ms !== null) g.fillText("faults", view.left - 10, HEAD - 11);
  }
  g.textAlign = "left";
  g.strokeStyle = colours["line-strong"];
  g.lineWidth = 1;
  g.beginPath(); g.moveTo(view.left - 0.5, 0); g.lineTo(view.left - 0.5, view.height); g.moveTo(0, HEAD - 0.5); g.lineTo(view.width, HEAD - 0.5); g.stroke();
}

/// The mark nearest to a point, or -1.
function hit(x, y) {
  let [best, distance] = [-1, 90];
  for (let p = 0; p < view.marks.length; p += 3) {
    const [dx, dy] = [view.marks[p] - x, (view.marks[p + 1] - y) * 0.8];
    const d = dx * dx + dy * dy;
    if (d < distance) [best, distance] = [view.marks[p + 2], d];
  }
  return best;
}
