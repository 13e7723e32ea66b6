// The page of one run: puts the parts together and listens to the reader.
const report = data.report;
const tip = el("div", { class: "tip", hidden: true, role: "tooltip" });
document.body.append(tip);
function tipShow(event, lines) {
  tip.replaceChildren(...lines.map((line, i) => el("div", {}, i ? line : el("b", {}, line))));
  tip.hidden = false;
  const [w, h] = [tip.offsetWidth, tip.offsetHeight];
  tip.style.left = `${Math.max(6, Math.min(event.clientX + 14, innerWidth - w - 8))}px`;
  tip.style.top = `${event.clientY + 18 + h > innerHeight ? event.clientY - h - 12 : event.clientY + 18}px`;
}
const tipHide = () => { tip.hidden = true; };

/// A swatch as it appears in the lanes.
function dot(hue, hollow, shape) {
  const paint = hollow ? { fill: "none", stroke: `var(--${hue})`, "stroke-width": 1.6 } : { fill: `var(--${hue})` };
  const shapes = { disc: ["circle", { cx: 6, cy: 6, r: 4 }], down: ["path", { d: "M1.5 2.5h9L6 10.5z" }], up: ["path", { d: "M1.5 9.5h9L6 1.5z" }],
    diamond: ["path", { d: "M6 1l5 5-5 5-5-5z" }], square: ["rect", { x: 2, y: 2, width: 8, height: 8 }], bar: ["rect", { x: 4.5, y: 0, width: 3, height: 12 }],
    cross: ["path", { d: "M2 2l8 8M10 2l-8 8", stroke: `var(--${hue})`, "stroke-width": 2 }] };
  const [name, attributes] = shapes[shape ?? "square"];
  return svg("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, svg(name, { ...paint, ...attributes }));
}

function top() {
  const passed = report.verdict === "pass";
  return el("header", { class: "top" },
    el("div", { class: "titles" }, el("h1", {}, `${report.plan}, seed ${data.seed}`),
      el("span", { class: passed ? "pill pass" : "pill fail", id: "verdict" }, passed ? "✓ PASS" : `✕ FAIL: ${report.verdict}`)),
    el("p", { class: "about" }, data.about),
    copyable(data.replay),
    el("div", { class: "facts" }, el("span", {}, `${report.nodes} nodes`), el("span", { class: "num" }, `${(report.virtual_ms / 1000).toFixed(1)} s virtual${report.wall_ms ? ` in ${(report.wall_ms / 1000).toFixed(1)} s` : ""}`),
      el("span", {}, "fingerprint ", el("code", {}, report.fingerprint)), el("span", {}, "commit ", el("code", {}, report.commit.slice(0, 12)))));
}

function tiles() {
  const { slots, finalization_ms: f, messages: m, transactions: t } = report;
  const dropped = Object.entries(m.dropped);
  const lost = dropped.reduce((sum, [, n]) => sum + n, 0);
  const done = slots.finalized_fast + slots.finalized_slow + slots.finalized_indirect;
  const worst = report.recovery_ms.filter((r) => r.bound_ms !== null);
  const never = worst.some((r) => r.first_finalization_ms === null);
  const slowest = Math.max(...worst.map((r) => r.first_finalization_ms ?? 0));
  return el("div", { class: "tiles" },
    tile("Slots finalized", count(done), "", `${count(slots.finalized_fast)} fast, ${count(slots.finalized_slow)} slow, ${count(slots.finalized_indirect)} indirect`),
    tile("Skipped", count(slots.skipped), "", `${plural(slots.undecided, "slot")} undecided`),
    tile("Median finalization", ...split(f.p50), f.n ? `p99 ${ms(f.p99)}, ${plural(f.n, "sample")}` : "no samples"),
    tile("Slowest recovery with a bound", ...(worst.length ? never ? ["never", ""] : split(slowest) : ["–", ""]), worst.length ? `bound ${ms(Math.min(...worst.map((r) => r.bound_ms)))}` : "no recovery has a bound", never),
    tile("Messages", count(m.delivered), "", `${count(lost)} dropped${dropped.length ? `: ${dropped.map(([cause, n]) => `${count(n)} ${cause}`).join(", ")}` : ""}`),
    tile("Transactions", count(t.finalized), `of ${count(t.submitted)}`, `${count(t.expired)} expired, ${count(t.lost)} lost`, t.lost > 0));
}
function split(value) {
  const [number, unit] = ms(value).split(" "); // the unit is written smaller
  return [number, unit ?? ""];
}

function violationsCard() {
  const missed = report.expectations_missed;
  if (!violations.length && !missed.length) return null;
  const row = (i) => {
    const { oracle, at_ms, slot, detail } = violations[i];
    return el("button", { class: "violation", type: "button", "data-violation": i, onclick: () => showViolation(i) },
      el("b", {}, oracle), el("span", { class: "num soft" }, `${(at_ms / 1000).toFixed(6)} s${slot === null ? "" : `, slot ${slot}`}`),
      el("span", { class: "detail" }, detail), el("span", { class: "go" }, "Show it"));
  };
  // A property that broke a thousand times must not hide another that broke once.
  const all = violations.map((_, i) => i);
  const isFirst = (i) => violations.findIndex((one) => one.oracle === violations[i].oracle) === i;
  const again = all.filter((i) => !isFirst(i));
  const more = again.length - 100;
  const section = card("violations", violations.length ? (violations.length === 1 ? "1 broken property" : `${count(violations.length)} violations`) : "Expectations missed",
    violations.length ? "the first of each property, earliest first; the very first decides the verdict" : "",
    ...all.filter(isFirst).map(row),
    again.length ? el("details", {}, el("summary", {}, `${plural(again.length, "time")} again${more > 0 ? ", of which 100 are listed and all are marked in the lanes" : ""}`), ...again.slice(0, 100).map(row)) : null,
    ...missed.map((words) => el("p", { class: "body" }, el("b", {}, "Missed: "), words)));
  section.classList.add("violations");
  return section;
}

function notice() {
  if (!data.left_out.length) return null;
  return el("div", { class: "notice", id: "left-out", role: "note" }, el("b", {}, "Not every event is in this page. "),
    "To keep it usable, the following were left out of the lanes and the table. Figures, slots, stake and latencies cover the whole run.",
    el("ul", {}, ...data.left_out.map((left) => el("li", {}, `${left.what}: ${count(left.kept)} of ${count(left.seen)} are here`
      + (left.from_ms === null ? "" : `, from ${(left.from_ms / 1000).toFixed(3)} s to ${(left.to_ms / 1000).toFixed(3)} s`)))));
}

function chips() {
  const counts = {};
  for (let i = 0; i < E.n; i += 1) { const group = kinds[E.kind[i]].group; counts[group] = (counts[group] ?? 0) + 1; }
  const hue = { blocks: "block", votes: "notar", certificates: "cert", finality: "final", timers: "ready", repair: "cert", power: "fault", trouble: "trouble", received: "faint" };
  return el("div", { class: "chips", role: "group", "aria-label": "Kinds of events that are shown" }, ...groups.map((group) => {
    const chip = el("button", { class: "chip", type: "button", "data-group": group, "aria-pressed": String(!state.off.has(group)), style: `--dot: var(--${hue[group]})` },
      el("span", { class: "dot" }), group, el("span", { class: "n" }, count(counts[group] ?? 0)));
    chip.addEventListener("click", () => {
      if (state.off.has(group)) state.off.delete(group); else state.off.add(group);
      chip.setAttribute("aria-pressed", String(!state.off.has(group)));
      applyFilter();
    });
    return chip;
  }));
}

function legend() {
  const item = (words, ...icon) => el("span", {}, dot(...icon), words);
  return el("div", { class: "legend", "aria-label": "Legend" }, item("block complete", "block", false, "square"), item("votes notarize", "notar", false, "disc"), item("votes skip", "skip", false, "down"),
    item("votes finalize", "final", false, "up"), item("hollow: as a fallback, or received", "notar", true, "disc"), item("certificate, in the hue of its votes", "notar", false, "diamond"),
    item("final: wide in one round, thin in two", "final", false, "bar"), item("leader at work", "lead", false, "square"), item("fault; hatched while down", "fault", false, "square"), item("trouble", "trouble", false, "cross"),
    el("span", {}, el("kbd", {}, "+"), el("kbd", {}, "-"), " zoom ", el("kbd", {}, "←"), el("kbd", {}, "→"), " pan ", el("kbd", {}, "0"), " all ", el("kbd", {}, "N"), el("kbd", {}, "P"), " next, previous event ",
      violations.length ? el("kbd", {}, "V") : null, violations.length ? " violation " : null, el("kbd", {}, "Esc"), " clear · ctrl + wheel zooms, drag pans"));
}

function field(label, id, placeholder, size, apply) {
  const input = el("input", { type: "text", id, placeholder, size, autocomplete: "off", spellcheck: "false" });
  input.addEventListener("input", () => input.setAttribute("aria-invalid", String(apply(input.value) === false)));
  return el("label", { class: "field" }, label, input);
}

function lanesCard() {
  const button = (text, label, action, id) => el("button", { type: "button", "aria-label": label, title: label, id, onclick: action }, text);
  const nodes = field("Nodes", "nodes", "all, or 0-4, 7", 12, (text) => {
    const set = numbers(text, data.nodes.length);
    if (set === undefined) return false;
    state.nodes = set;
    applyFilter();
    return true;
  });
  const slots = field("Slots", "slots", "all, or 8-11", 10, (text) => {
    const set = numbers(text, 1e9);
    if (set === undefined) return false;
    state.slot = set && [Math.min(...set), Math.max(...set)];
    applyFilter();
    const inside = data.slots.filter((slot) => set?.has(slot.slot) && slot.begin_ms !== null);
    if (inside.length) look(inside[0].begin_ms - 200, (inside[inside.length - 1].final_ms?.[1] ?? inside[inside.length - 1].begin_ms + 800) + 200);
    return true;
  });
  const tools = el("div", { class: "tools" }, nodes, slots, el("span", { class: "grow" }),
    el("span", { class: "buttons" }, button("−", "Zoom out (-)", () => zoom(1.6), "zoom-out"), button("+", "Zoom in (+)", () => zoom(1 / 1.6), "zoom-in"), button("All", "Show the whole run (0)", () => look(0, END), "zoom-all")),
    violations.length ? button("Show the violation", "Show the violation (V)", () => showViolation(0), "show-violation") : null);
  const map = el("canvas", { role: "img", "aria-label": "The whole run: slots, faults, highest final slot" });
  const mapBox = el("div", { class: "map", id: "map" }, map);
  const canvas = el("canvas", { id: "canvas", role: "img", "aria-label": "Lanes of nodes over time. The same events are in the table below." });
  const spacer = el("div", { "aria-hidden": "true" });
  const box = el("div", { class: "lanes", id: "lanes-box", tabindex: "0", role: "application", "aria-label": "Lanes: arrow keys pan, plus and minus zoom, N and P step through events" }, canvas, spacer);
  const status = el("div", { class: "status", role: "status", "aria-live": "polite" }, el("span", { id: "status" }), el("span", { class: "grow" }), el("span", { id: "range" }));
  const picked = el("div", { class: "picked", id: "picked" });
  const section = card("lanes", "Nodes over time", "", tools, chips(), mapBox, box, status, picked, legend());
  const drawAll = () => {
    if (!drawLanes(canvas, box, spacer)) return;
    drawMap(map, mapBox);
  };
  wire(canvas, box, map, mapBox, drawAll);
  onChange(() => { drawAll(); say(status); sayPicked(picked); });
  keepDrawn(section, drawAll);
  addEventListener("resize", drawAll);
  return section;
}

function say(status) {
  let n = 0;
  const [first, last] = [lower(state.from), lower(state.to + 1e-9)];
  for (let i = first; i < last; i += 1) n += state.mask[i];
  const distance = step(state.to - state.from, 10);
  status.querySelector("#status").textContent = E.n ? `${count(n)} of ${plural(E.n, "event")} in view, ${state.shown.length} of ${plural(data.nodes.length, "node")}` : "No events were recorded.";
  status.querySelector("#range").textContent = `${seconds(Math.max(0, state.from), distance)} s to ${seconds(Math.min(END, state.to), distance)} s`;
}

function sayPicked(picked) {
  const i = state.picked;
  if (i < 0) return picked.replaceChildren(el("span", { class: "soft" }, "Point at a mark to read it; click to keep it here and to see where a vote or a block arrived."));
  const words = wordsOf(i);
  const arrived = consequences(i).length;
  const text = el("div", { class: "words" }, el("b", {}, `${words.node} ${words.what}`), el("span", { class: "soft num" }, ` at ${words.time} s`), words.slot ? `, slot ${words.slot}` : "",
    words.block ? el("code", {}, ` ${words.block}`) : "", words.detail ? `, ${words.detail}` : "", arrived ? el("span", { class: "soft" }, ` · arrived at ${plural(arrived, "node")}`) : "");
  picked.replaceChildren(text, el("span", { class: "buttons" }, el("button", { type: "button", title: "Previous event (P)", "aria-label": "Previous event", onclick: () => neighbour(-1) }, "‹"),
    el("button", { type: "button", title: "Next event (N)", "aria-label": "Next event", onclick: () => neighbour(1) }, "›"),
    el("button", { type: "button", title: "Zoom to it", onclick: () => lookAt(E.t[i], 900) }, "Zoom"), el("button", { type: "button", title: "Clear (Esc)", "aria-label": "Clear", onclick: () => pick(-1) }, "×")));
}

/// The whole run in one strip: outcome of slots, faults, the staircase of the highest final slot.
function drawMap(map, box) {
  const [width, height] = [box.clientWidth, box.clientHeight];
  const g = fit(map, width, height);
  const x = (time) => Math.max(0, Math.min(1, time / END)) * width;
  g.fillStyle = colours.hover;
  g.fillRect(0, 0, width, height);
  g.strokeStyle = colours.fault;
  for (const fault of data.faults) {
    g.fillStyle = colours["fault-fill"];
    g.fillRect(x(fault.from_ms), 0, Math.max(1.5, x(fault.to_ms ?? END) - x(fault.from_ms)), height - 8);
  }
  data.slots.forEach((slot, i) => {
    if (slot.begin_ms === null) return;
    g.fillStyle = colours[OUTCOME[slot.end]];
    const next = data.slots[i + 1]?.begin_ms ?? slot.begin_ms + 400;
    g.fillRect(x(slot.begin_ms), height - 6, Math.max(1, x(next) - x(slot.begin_ms) - (x(next) - x(slot.begin_ms) > 3 ? 1 : 0)), 5);
  });
  const finals = data.slots.filter((slot) => slot.final_ms).map((slot) => [slot.final_ms[0], slot.slot]).sort((a, b) => a[0] - b[0]);
  const most = Math.max(1, ...data.slots.map((slot) => slot.slot));
  g.strokeStyle = colours.final;
  g.lineWidth = 1.75;
  g.beginPath();
  g.moveTo(0, height - 11);
  let highest = 0;
  const y = (slot) => height - 11 - (height - 17) * slot / most;
  for (const [at, slot] of finals) {
    if (slot <= highest) continue;
    g.lineTo(x(at), y(highest)); g.lineTo(x(at), y(slot));
    highest = slot;
  }
  g.lineTo(width, y(highest));
  g.stroke();
  for (const violation of violations) {
    g.fillStyle = colours.trouble;
    g.fillRect(Math.round(x(violation.at_ms)) - 1, 0, 2, height);
  }
  const [a, b] = [x(state.from), x(state.to)];
  g.fillStyle = colours.paper;
  g.globalAlpha = 0.62;
  g.fillRect(0, 0, a, height);
  g.fillRect(b, 0, width - b, height);
  g.globalAlpha = 1;
  g.font = `11px ${colours.sans}`;
  g.fillStyle = colours.soft;
  g.fillText(`highest final slot: ${highest}`, 7, 14);
  g.strokeStyle = colours.soft;
  g.lineWidth = 1;
  g.strokeRect(Math.round(a) + 0.5, 0.5, Math.max(3, Math.round(b - a) - 1), height - 1);
}

function wire(canvas, box, map, mapBox, drawAll) {
  let drag = null;
  const local = (event) => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const [x, y] = local(event);
    drag = { x, y, from: state.from, to: state.to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = local(event);
    if (drag) {
      if (Math.abs(x - drag.x) > 3) drag.moved = true;
      if (drag.moved) {
        canvas.classList.add("drag");
        const shift = (drag.x - x) / (view.width - view.left) * (drag.to - drag.from);
        look(drag.from + shift, drag.to + shift);
      }
      return;
    }
    tipAt(event, x, y);
  });
  canvas.addEventListener("pointerup", (event) => {
    canvas.classList.remove("drag");
    const [x, y] = local(event);
    if (drag && !drag.moved && x > view.left && y > HEAD) pick(hit(x, y), false);
    drag = null;
  });
  canvas.addEventListener("pointerleave", tipHide);
  canvas.addEventListener("dblclick", (event) => zoom(1 / 2.5, timeAt(local(event)[0])));
  canvas.addEventListener("wheel", (event) => {
    const [x] = local(event);
    if (event.ctrlKey || event.metaKey || event.altKey) {
      event.preventDefault();
      zoom(1.0022 ** event.deltaY, timeAt(x));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      pan((event.deltaX || event.deltaY) / 1400);
    }
  }, { passive: false });
  box.addEventListener("scroll", drawAll);
  box.addEventListener("keydown", keys);
  let anchor = null;
  const timeOn = (event) => { const r = mapBox.getBoundingClientRect(); return (event.clientX - r.left) / r.width * END; };
  mapBox.addEventListener("pointerdown", (event) => { anchor = timeOn(event); mapBox.setPointerCapture(event.pointerId); });
  mapBox.addEventListener("pointermove", (event) => {
    if (anchor === null) return;
    const now = timeOn(event);
    if (Math.abs(now - anchor) > END / 300) look(Math.min(now, anchor), Math.max(now, anchor));
  });
  mapBox.addEventListener("pointerup", (event) => {
    if (anchor !== null && Math.abs(timeOn(event) - anchor) <= END / 300) lookAt(anchor, Math.min(state.to - state.from, END / 4));
    anchor = null;
  });
}

function tipAt(event, x, y) {
  const i = x > view.left && y > HEAD ? hit(x, y) : -1;
  if (i >= 0) {
    const words = wordsOf(i);
    return tipShow(event, [`${words.node} ${words.what}`, `${words.time} s${words.slot ? `, slot ${words.slot}` : ""}`, ...(words.block ? [words.block] : []), ...(words.detail ? [words.detail] : [])]);
  }
  if (x <= view.left && y > HEAD) {
    const node = state.shown[Math.floor((y - HEAD + view.scroll) / rowHeight)];
    if (node !== undefined) { const about = data.nodes[node]; return tipShow(event, [`node ${node}`, `${share(about.share)} of the stake`, about.region, ...(about.honest ? [] : ["byzantine: not judged"])]); }
  }
  if (x > view.left && y <= HEAD) {
    const time = timeAt(x);
    const lines = data.faults.filter((fault) => time >= fault.from_ms && time <= (fault.to_ms ?? END)).map((fault) => fault.text);
    const slot = data.slots.findLast((one) => one.begin_ms !== null && one.begin_ms <= time);
    if (slot) return tipShow(event, [...stakeWords(slot), ...lines]);
  }
  tipHide();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = { "+": () => zoom(1 / 1.6), "=": () => zoom(1 / 1.6), w: () => zoom(1 / 1.6), "-": () => zoom(1.6), s: () => zoom(1.6), ArrowLeft: () => pan(-0.15), a: () => pan(-0.15),
    ArrowRight: () => pan(0.15), d: () => pan(0.15), 0: () => look(0, END), n: () => neighbour(1), p: () => neighbour(-1), v: () => violations.length && showViolation(violationAt + 1),
    Home: () => lookAt((state.to - state.from) / 2, state.to - state.from), End: () => lookAt(END, state.to - state.from), Escape: () => pick(-1) };
  const action = actions[event.key] ?? actions[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

/// The events in view as a table of which only the visible rows exist.
function tableCard() {
  const height = 24;
  const rows = el("div", { class: "rows", tabindex: "0", role: "grid", "aria-label": "Events in view", "aria-describedby": "table-hint" });
  const tall = el("div", { style: "position:relative;min-width:860px" });
  rows.append(tall);
  let list = new Int32Array(0);
  const draw = () => {
    const first = Math.max(0, Math.floor(rows.scrollTop / height) - 4);
    const last = Math.min(list.length, first + Math.ceil(rows.clientHeight / height) + 8);
    const made = [];
    for (let at = first; at < last; at += 1) {
      const i = list[at];
      const words = wordsOf(i);
      made.push(el("div", { class: "row", role: "row", "aria-rowindex": at + 1, "aria-selected": String(i === state.picked), style: `top:${at * height}px`, onclick: () => pick(i, true) },
        el("span", { class: "mono", role: "gridcell" }, words.time), el("span", { class: "mono", role: "gridcell" }, words.node), el("span", { role: "gridcell" }, words.what), el("span", { class: "num", role: "gridcell" }, words.slot),
        el("span", { class: "mono soft", role: "gridcell" }, words.block), el("span", { class: "soft", role: "gridcell" }, words.detail)));
    }
    tall.replaceChildren(...(list.length ? made : [el("p", { class: "empty" }, E.n ? "No event passes the filter in this stretch of time. Zoom out, or show more kinds." : "No events were recorded.")]));
  };
  const collect = () => {
    const found = [];
    for (let i = lower(state.from), last = lower(state.to + 1e-9); i < last; i += 1) if (state.mask[i]) found.push(i);
    list = Int32Array.from(found);
    tall.style.height = `${list.length * height}px`;
    rows.setAttribute("aria-rowcount", list.length);
  };
  const reveal = () => {
    const at = list.indexOf(state.picked);
    if (at >= 0 && (at * height < rows.scrollTop || (at + 2) * height > rows.scrollTop + rows.clientHeight)) rows.scrollTop = at * height - rows.clientHeight / 2;
  };
  rows.addEventListener("scroll", draw);
  rows.addEventListener("keydown", (event) => {
    const direction = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (direction) { event.preventDefault(); neighbour(direction); }
  });
  onChange((what) => { if (what & (VIEW | FILTER)) collect(); if (what & PICK) reveal(); draw(); });
  rows.prepend(el("div", { class: "rowhead", "aria-hidden": "true" }, ...["time (s)", "node", "event", "slot", "block", "detail"].map((name) => el("span", {}, name))));
  return card("table", "Events in view", null, rows, el("p", { id: "table-hint", class: "body soft", style: "padding-top:10px" }, "The table follows the lanes: the same stretch of time, nodes, slots and kinds."));
}

state.from = 0;
state.to = END;
page.append(top(), ...[violationsCard(), notice()].filter(Boolean), tiles(), lanesCard(), tableCard(), el("div", { class: "grid2" }, latencyCard(), recoveryCard()), stakeCard());
applyFilter();
changed(VIEW | FILTER | PICK);
if (violations.length) lookAt(violations[0].at_ms, Math.min(END, Math.max(4000, END / 5)));
document.body.dataset.ready = "yes";
