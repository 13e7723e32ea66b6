// The smaller pictures of a run: latency, recovery, stake by slot.

/// Histogram above, cumulative share below, of up to a thousand evenly ranked samples.
function latencyCard() {
  const series = { "finalization": data.latency.finalization, "transactions": data.latency.transactions };
  const box = el("div", { class: "body" });
  const choice = el("div", { class: "buttons", role: "group", "aria-label": "Which latency" });
  const show = (name) => {
    for (const button of choice.children) button.setAttribute("aria-pressed", String(button.textContent === name));
    const { n, ranks } = series[name];
    if (!n) return box.replaceChildren(el("p", { class: "empty" }, name === "finalization" ? "No block was finalized." : "No transaction was delivered at its entry node."));
    box.replaceChildren(chart(206, `Histogram of ${name} latency`, (drawing, width, height) => histogram(drawing, width, height, ranks, n)),
      chart(196, `Cumulative share of ${name} latency`, (drawing, width, height) => cumulative(drawing, width, height, ranks, name)));
  };
  for (const name of Object.keys(series)) choice.append(el("button", { type: "button", onclick: () => show(name) }, name));
  const section = card("latency", "Latency", "from the last piece of a block leaving its leader to finality at each node; or from submission to delivery", el("div", { class: "tools" }, choice), box);
  show("finalization");
  return section;
}

const bounds = (ranks) => [Math.max(0.1, ranks[0] * 0.9), Math.max(ranks[ranks.length - 1] * 1.1, ranks[0] * 1.3, 0.2)];

function histogram(drawing, width, height, ranks, n) {
  const [low, high] = bounds(ranks);
  const [left, right, top, bottom] = [46, width - 8, 12, height - 24];
  const x = logAxis(drawing, low, high, left, right, top, bottom);
  const bins = Math.max(16, Math.min(72, Math.floor((right - left) / 9)));
  const counts = new Array(bins).fill(0);
  const width1 = Math.log(high / low) / bins;
  for (const value of ranks) counts[Math.min(bins - 1, Math.max(0, Math.floor(Math.log(value / low) / width1)))] += n / ranks.length;
  const most = Math.max(...counts);
  const distance = Math.max(1, step(most, 4));
  const y = (value) => bottom - (bottom - top) * value / most;
  for (let value = 0; value <= most; value += distance) {
    drawing.append(svg("line", { class: "tick", x1: left, x2: right, y1: y(value), y2: y(value) }), svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, count(value)));
  }
  counts.forEach((value, bin) => {
    if (!value) return;
    const [a, b] = [x(low * Math.exp(bin * width1)), x(low * Math.exp((bin + 1) * width1))];
    drawing.append(svg("rect", { x: a + 0.5, y: Math.min(y(value), bottom - 1.5), width: b - a - 1, height: Math.max(1.5, bottom - y(value)), fill: colours.notar },
      svg("title", {}, `${ms(low * Math.exp(bin * width1))} to ${ms(low * Math.exp((bin + 1) * width1))}: about ${count(Math.round(value))}`)));
  });
  drawing.append(svg("text", { x: left, y: 7 }, "samples"));
}

function cumulative(drawing, width, height, ranks, name) {
  const [low, high] = bounds(ranks);
  const [left, right, top, bottom] = [46, width - 14, 16, height - 42];
  const x = logAxis(drawing, low, high, left, right, top, bottom);
  if (width > 440) drawing.append(svg("text", { x: left, y: bottom + 33 }, `${name} latency, logarithmic`));
  const y = (part) => bottom - (bottom - top) * part;
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    drawing.append(svg("line", { class: "tick", x1: left, x2: right, y1: y(part), y2: y(part) }), svg("text", { x: left - 6, y: y(part) + 4, "text-anchor": "end" }, `${part * 100} %`));
  }
  let path = `M${left},${bottom}`;
  ranks.forEach((value, i) => { path += `L${x(value).toFixed(1)},${y(i / ranks.length).toFixed(1)}V${y((i + 1) / ranks.length).toFixed(1)}`; });
  drawing.append(svg("path", { d: `${path}H${right}`, fill: "none", stroke: colours.notar, "stroke-width": 2 }));
  // Above and to the left of a rising curve there is room; two labels near the top keep apart.
  const marks = [["p50", 0.5, -6], ["p95", 0.95, 18], ["p99", 0.99, -7]];
  const words = [];
  for (const [label, part, shift] of marks) {
    const value = ranks[Math.min(ranks.length - 1, Math.ceil(part * ranks.length) - 1)];
    const at = x(value);
    words.push(`${label} ${ms(value)}`);
    drawing.append(svg("circle", { cx: at, cy: y(part), r: 3.5, fill: colours.card, stroke: colours.notar, "stroke-width": 2 }),
      svg("text", { class: "strong", x: part === 0.5 ? at - 7 : at, y: y(part) + shift, "text-anchor": part === 0.5 || at > right - 20 ? "end" : "middle" }, label));
  }
  drawing.append(svg("text", { class: "strong", x: right, y: bottom + 33, "text-anchor": "end" }, words.join(" · ")));
}

function recoveryCard() {
  const list = data.report.recovery_ms;
  const body = el("div", { class: "body" });
  if (!list.length) {
    body.append(el("p", { class: "empty" }, "Nothing healed in this run, so nothing had to recover."));
    return card("recovery", "Recovery after each fault", "", body);
  }
  const far = Math.max(100, ...list.flatMap((r) => [r.first_finalization_ms, r.caught_up_ms, r.bound_ms]).filter((v) => v !== null)) * 1.08;
  const each = innerWidth < 640 ? 64 : 46; // the words of a row take a second line where it is narrow
  body.append(chart(list.length * each + 50, "Recovery after each fault", (drawing, width) => {
    const [left, right, top] = [8, width - 8, 6];
    const bottom = top + list.length * each;
    const x = (value) => left + (right - left) * Math.min(1, value / far);
    const distance = step(far, width / 90);
    for (let at = 0; at <= far; at += distance) {
      drawing.append(svg("line", { class: "tick", x1: x(at), x2: x(at), y1: top, y2: bottom }), svg("text", { x: x(at), y: bottom + 16, "text-anchor": at ? "middle" : "start" }, `${seconds(at, distance)} s`));
    }
    drawing.append(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }), svg("text", { x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle" }, "since the heal"));
    list.forEach((r, i) => recoveryRow(drawing, r, top + i * each, x, left, right, each > 46));
  }));
  return card("recovery", "Recovery after each fault", "filled to the first new finalization, light until all have caught up; the line is the bound that the model promises", body);
}

function recoveryRow(drawing, r, y, x, left, right, narrow) {
  const [first, caught] = [r.first_finalization_ms, r.caught_up_ms];
  const late = r.bound_ms !== null && (first === null || first > r.bound_ms);
  const hue = late ? colours.trouble : colours.final;
  const words = `${r.fault} at ${(r.healed_at_ms / 1000).toFixed(3)} s`;
  const end = first === null ? "never finalized again" : `${ms(first)}, all caught up ${caught === null ? "never" : ms(caught)}`;
  const bound = r.bound_ms === null ? "no bound" : `bound ${ms(r.bound_ms)}`;
  drawing.append(svg("text", { class: "strong", x: left, y: y + 14 }, words), svg("text", narrow ? { x: left, y: y + 30 } : { x: left + 7 * words.length + 12, y: y + 14 }, `${end} · ${bound}`));
  if (narrow) y += 18;
  if (caught !== null) drawing.append(svg("rect", { x: left, y: y + 21, width: Math.max(1, x(caught) - left), height: 14, fill: colours[late ? "trouble-soft" : "final-soft"] }));
  if (first !== null) drawing.append(svg("rect", { x: left, y: y + 21, width: Math.max(2, x(first) - left), height: 14, fill: hue }));
  else drawing.append(svg("line", { x1: left, x2: right, y1: y + 28, y2: y + 28, stroke: hue, "stroke-width": 2, "stroke-dasharray": "6 4" }));
  if (r.bound_ms !== null) drawing.append(svg("line", { x1: x(r.bound_ms), x2: x(r.bound_ms), y1: y + 17, y2: y + 39, stroke: colours.ink, "stroke-width": 2 }));
}

/// Stake by slot: one pair of bars a slot, in a box that scrolls; only what is visible is drawn.
function stakeCard() {
  const body = el("div", { class: "body" });
  const slots = data.slots.filter((slot) => slot.voted);
  if (!slots.length) {
    body.append(el("p", { class: "empty" }, "Nobody voted in this run."));
    return card("stake", "Stake behind each slot", "", body);
  }
  const each = 20;
  const canvas = el("canvas", { role: "img", "aria-label": "Stake that voted in each slot" });
  const spacer = el("div", { style: `width:${slots.length * each + 12}px;height:100%` }, canvas);
  const scroll = el("div", { class: "scroll", tabindex: "0", "aria-label": "Slots; scroll sideways" }, spacer);
  const axis = el("canvas", { class: "yaxis" });
  const box = el("div", { class: "stake" }, axis, scroll);
  const [top, bottom] = [10, 156];
  const y = (part) => bottom - (bottom - top) * part;
  const draw = () => {
    const a = fit(axis, 46, 178);
    a.font = `11.5px ${colours.sans}`;
    a.textAlign = "right";
    a.textBaseline = "middle";
    for (const part of [0, 0.6, 0.8, 1]) {
      a.fillStyle = part === 0.6 || part === 0.8 ? colours.ink : colours.soft;
      a.fillText(`${part * 100} %`, 40, y(part));
    }
    a.fillStyle = colours.soft;
    a.fillText("slot", 40, bottom + 13);
    const width = scroll.clientWidth;
    const g = fit(canvas, width, 178);
    g.font = `10.5px ${colours.sans}`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    const first = Math.max(0, Math.floor(scroll.scrollLeft / each) - 1);
    for (let i = first; i < slots.length && i * each - scroll.scrollLeft < width; i += 1) stakeBars(g, slots[i], i * each - scroll.scrollLeft, y, bottom);
    g.lineWidth = 1;
    for (const [part, dash] of [[0, []], [0.6, [6, 3]], [0.8, [2, 3]], [1, []]]) {
      g.strokeStyle = dash.length ? colours.ink : colours["line-strong"];
      g.setLineDash(dash);
      g.beginPath(); g.moveTo(0, Math.round(y(part)) + 0.5); g.lineTo(Math.min(width, slots.length * each + 6 - scroll.scrollLeft), Math.round(y(part)) + 0.5); g.stroke();
      g.setLineDash([]);
    }
  };
  scroll.addEventListener("scroll", draw);
  const at = (event) => slots[Math.floor((event.clientX - scroll.getBoundingClientRect().left + scroll.scrollLeft) / each)];
  scroll.addEventListener("pointermove", (event) => { const slot = at(event); if (slot) tipShow(event, stakeWords(slot)); else tipHide(); });
  scroll.addEventListener("pointerleave", tipHide);
  scroll.addEventListener("click", (event) => { const slot = at(event); if (slot && slot.begin_ms !== null) lookAt(slot.begin_ms + 400, 2400); });
  keepDrawn(box, draw);
  body.append(box);
  const swatch = (hue, words, hollow) => el("span", {}, dot(hue, hollow), words);
  const legend = el("div", { class: "legend" }, swatch("notar", "notarize, the block with the most stake"), swatch("notar-soft", "notarize, other blocks"), swatch("skip", "skip"),
    swatch("final", "second round: finalize"), swatch("notar", "with notar-fallback votes", true), swatch("skip", "with skip-fallback votes", true));
  return card("stake", "Stake behind each slot", "two rounds a slot; 60 % notarize, skip or finalize (dashed), 80 % finalize at once (dotted); click to go there", body, legend);
}

function stakeBars(g, slot, x, y, bottom) {
  let base = 0;
  for (const [part, hue] of [[slot.notar, "notar"], [slot.other, "notar-soft"], [slot.skip, "skip"]]) {
    if (!part) continue;
    g.fillStyle = colours[hue];
    g.fillRect(x + 3, y(base + part), 9, Math.max(1, y(base) - y(base + part)));
    base += part;
  }
  g.fillStyle = colours.final;
  if (slot.final) g.fillRect(x + 13, y(slot.final), 4, y(0) - y(slot.final));
  g.lineWidth = 1.5;
  for (const [part, alone, hue] of [[slot.notar_all, slot.notar, "notar"], [slot.skip_all, slot.skip, "skip"]]) {
    if (part <= alone) continue;
    g.strokeStyle = colours[hue];
    g.strokeRect(x + 2.5, y(part), 10, y(0) - y(part));
  }
  g.fillStyle = slot.end === "skipped" ? colours.skip : slot.end === "undecided" ? colours.faint : colours.final;
  g.fillRect(x + 3, bottom + 3, 14, 2);
  g.fillStyle = colours.soft;
  if (slot.slot % 5 === 0 || slot.slot === 1) g.fillText(slot.slot, x + 10, bottom + 13);
}

function stakeWords(slot) {
  const lines = [`slot ${slot.slot}, leader n${slot.leader}: ${slot.end === "skipped" || slot.end === "undecided" ? slot.end : `final (${slot.end})`}`,
    `notarize ${share(slot.notar)}${slot.other ? `, other blocks ${share(slot.other)}` : ""}, skip ${share(slot.skip)}, finalize ${share(slot.final)}`];
  if (slot.notar_all > slot.notar) lines.push(`notarize with fallback ${share(slot.notar_all)}`);
  if (slot.skip_all > slot.skip) lines.push(`skip with fallback ${share(slot.skip_all)}`);
  if (slot.final_ms) lines.push(`final from ${(slot.final_ms[0] / 1000).toFixed(3)} s to ${(slot.final_ms[1] / 1000).toFixed(3)} s`);
  return lines;
}
