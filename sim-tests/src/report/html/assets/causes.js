// The page about a failure's beginning: the share of failing futures against the moment from which
// everything was drawn anew.
const END = Math.max(data.violated_ms, ...data.points.map((point) => point.at_ms), 1) * 1.02;
const seconds = (value) => `${(value / 1000).toFixed(3)} s`;
data.faults = data.faults.filter((fault) => fault.from_ms < END);
const percent = (part) => `${(part * 100).toFixed(0)} %`;

/// The share that would be found with endless futures lies in here 95 times of 100 (Wilson).
function interval({ failed, futures }) {
  const [z, p, n] = [1.96, failed / futures, futures];
  const middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const half = (z / (1 + z * z / n)) * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function header() {
  return el("header", { class: "top" },
    el("div", { class: "titles" }, el("h1", {}, `From when on did ${data.plan}, seed ${data.seed} fail?`), el("span", { class: "pill fail", id: "verdict" }, `✕ ${data.oracle}`)),
    el("p", { class: "about", style: "white-space: pre-line" }, data.story), copyable(data.replay),
    el("div", { class: "facts" }, el("span", {}, `${data.nodes} nodes`), el("span", {}, plural(data.futures, "future")), el("span", {}, "commit ", el("code", {}, data.commit.slice(0, 12)))));
}

function figures() {
  const [first, last] = [data.points[0], data.points[data.points.length - 1]];
  const jump = data.jump;
  return el("div", { class: "tiles" },
    tile("The violation", ...seconds(data.violated_ms).split(" "), data.detail),
    tile("With all drawn anew from the start", ...percent(first.failed / first.futures).split(" "), `${first.failed} of ${first.futures} futures fail`),
    tile("Largest jump", ...(jump ? seconds(jump.to_ms).split(" ") : ["–", ""]), jump ? `from ${percent(jump.before)} to ${percent(jump.after)} since ${seconds(jump.from_ms)}` : "the share never rises", Boolean(jump)),
    tile("In the end", ...percent(last.failed / last.futures).split(" "), `${last.failed} of ${last.futures} futures fail`));
}

/// The curve between two moments, in a drawing whose plot ends at `bottom`.
function curve(drawing, from, to, left, right, top, bottom) {
  const x = (at) => left + (right - left) * (at - from) / (to - from);
  const y = (part) => bottom - (bottom - top) * part;
  const inside = (at) => at >= from && at <= to;
  if (data.jump) {
    const [a, b] = [Math.max(left, x(data.jump.from_ms)), Math.min(right, x(data.jump.to_ms))];
    drawing.append(svg("rect", { x: a, y: top, width: Math.max(2, b - a), height: bottom - top, fill: colours["trouble-soft"], id: "jump" }));
  }
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    drawing.append(svg("line", { class: "tick", x1: left, x2: right, y1: y(part), y2: y(part) }), svg("text", { x: left - 7, y: y(part) + 4, "text-anchor": "end" }, `${part * 100} %`));
  }
  const distance = step(to - from, (right - left) / 96);
  const digits = Math.max(0, Math.min(3, 3 - Math.floor(Math.log10(distance))));
  for (let at = Math.ceil(from / distance) * distance; at <= to; at += distance) {
    drawing.append(svg("line", { class: "axis", x1: x(at), x2: x(at), y1: bottom, y2: bottom + 4 }), svg("text", { x: x(at), y: bottom + 17, "text-anchor": "middle" }, `${(at / 1000).toFixed(digits)} s`));
  }
  drawing.append(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  const line = (at, hue, words, dash, anchor) => {
    if (!inside(at)) return;
    drawing.append(svg("line", { x1: x(at), x2: x(at), y1: top - 4, y2: bottom, stroke: colours[hue], "stroke-width": dash ? 1.5 : 2, "stroke-dasharray": dash }),
      svg("text", { x: x(at), y: top - 9, "text-anchor": x(at) > right - 60 ? "end" : anchor, style: `fill: ${colours[hue]}; font-weight: 600` }, words));
  };
  line(data.heal_ms ?? -1, "final", "heal", "5 4", "middle");
  line(data.violated_ms, "trouble", data.oracle, "", "middle");
  const shown = data.points.filter((point) => inside(point.at_ms));
  const path = shown.map((point, i) => `${i ? "L" : "M"}${x(point.at_ms).toFixed(1)},${y(point.fit).toFixed(1)}`).join("");
  drawing.append(svg("path", { d: path, fill: "none", stroke: colours.skip, "stroke-width": 2, "stroke-linejoin": "round" }));
  for (const point of shown) {
    const [low, high] = interval(point);
    const cx = x(point.at_ms);
    drawing.append(svg("line", { x1: cx, x2: cx, y1: y(low), y2: y(high), stroke: colours["notar-soft"], "stroke-width": 3, "stroke-linecap": "round" }),
      svg("circle", { class: "point", cx, cy: y(point.failed / point.futures), r: 4.5, fill: colours.notar, stroke: colours.card, "stroke-width": 1.5 },
        svg("title", {}, `from ${seconds(point.at_ms)} on: ${point.failed} of ${point.futures} futures fail`)));
  }
  return x;
}

/// What the plan does, one row a fault, below the curve.
function faultRows(drawing, faults, x, left, right, top) {
  faults.forEach((fault, i) => {
    const y = top + i * 19;
    const [a, b] = [Math.max(left, Math.min(right, x(fault.from_ms))), Math.max(left, Math.min(right, x(fault.to_ms ?? END)))];
    drawing.append(svg("rect", { x: a, y, width: Math.max(3, b - a), height: 14, rx: 2, fill: colours["fault-fill"], stroke: colours.fault, "stroke-opacity": 0.6 }, svg("title", {}, fault.text)));
    const words = fault.label;
    const fits = b - a > 7 * words.length + 8;
    const ends = !fits && b + 7 * words.length + 8 > right;
    drawing.append(svg("text", { x: fits ? a + 5 : ends ? a - 5 : b + 5, y: y + 11, "text-anchor": ends ? "end" : "start", style: `fill: ${colours.fault}` }, words));
  });
}

const SHOWN = 12;
function wholeCard() {
  const body = el("div", { class: "body" });
  const faults = data.faults.slice(0, SHOWN);
  const height = 300 + faults.length * 19;
  body.append(chart(height, "Share of failing futures over the whole run", (drawing, width) => {
    const [left, right, top, bottom] = [48, width - 14, 26, 252];
    const x = curve(drawing, 0, END, left, right, top, bottom);
    drawing.append(svg("text", { x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle" }, "the moment T from which everything is drawn anew"));
    faultRows(drawing, faults, x, left, right, bottom + 44);
  }));
  if (data.faults.length > SHOWN) body.append(el("p", { class: "soft" }, `and ${plural(data.faults.length - SHOWN, "more fault")}`));
  const key = (words, ...drawn) => el("span", {}, svg("svg", { width: 22, height: 12, viewBox: "0 0 22 12", "aria-hidden": "true" }, ...drawn), words);
  const stroke = (hue, width) => ({ x1: 1, x2: 21, y1: 6, y2: 6, stroke: `var(--${hue})`, "stroke-width": width });
  const legend = el("div", { class: "legend" },
    key("share that failed", svg("circle", { cx: 11, cy: 6, r: 4, fill: "var(--notar)" })),
    key("where it would lie with endless futures (95 %)", svg("line", { x1: 11, x2: 11, y1: 0, y2: 12, stroke: "var(--notar-soft)", "stroke-width": 3 })),
    key("rising curve that fits best", svg("line", stroke("skip", 2))), key("largest jump", svg("rect", { x: 3, y: 0, width: 16, height: 12, fill: "var(--trouble-soft)", stroke: "var(--trouble)", "stroke-opacity": 0.4 })),
    key("the violation", svg("line", stroke("trouble", 2))));
  return card("whole", "Share of failing futures", "the run is replayed up to T and then given other delays, losses and order; where the share jumps, something decided", body, legend);
}

function closeCard() {
  const { jump } = data;
  if (!jump) return card("close", "Around the largest jump", "", el("div", { class: "body" }, el("p", { class: "empty" }, "The share never rises: the failure does not depend on chance.")));
  const body = el("div", { class: "body" });
  const margin = Math.max((jump.to_ms - jump.from_ms) * 1.5, 1);
  const [from, to] = [Math.max(0, jump.from_ms - margin), Math.min(END, jump.to_ms + margin)];
  const nodes = [...new Set(data.events.map((event) => event.node))].sort((a, b) => a - b);
  const near = data.faults.filter((fault) => fault.near).slice(0, SHOWN);
  const height = 232 + near.length * 19 + nodes.length * 22 + 8;
  body.append(chart(height, "Share of failing futures around the largest jump", (drawing, width) => {
    const [left, right, top, bottom] = [48, width - 14, 26, 186];
    const x = curve(drawing, from, to, left, right, top, bottom);
    faultRows(drawing, near, x, left, right, bottom + 30);
    const lanes = bottom + 34 + near.length * 19;
    nodes.forEach((node, i) => {
      const y = lanes + i * 22 + 11;
      drawing.append(svg("line", { class: "tick", x1: left, x2: right, y1: y, y2: y }), svg("text", { class: "strong", x: left - 7, y: y + 4, "text-anchor": "end" }, `n${node}`));
      for (const event of data.events.filter((one) => one.node === node)) {
        drawing.append(svg("circle", { cx: x(event.at_ms), cy: y, r: 4, fill: colours.cert, "fill-opacity": 0.75 }, svg("title", {}, `${seconds(event.at_ms)} n${node} ${event.text}`)));
      }
    });
  }));
  return card("close", "Around the largest jump", `${seconds(jump.from_ms)} to ${seconds(jump.to_ms)}: what the plan does, and what nodes did in the run itself`, body);
}

function eventsCard() {
  const body = el("div", { class: "body" });
  const near = data.faults.filter((fault) => fault.near);
  if (near.length) body.append(el("p", { class: "soft", style: "padding-bottom: 8px" }, near.map((fault) => fault.text).join("; ")));
  if (!data.events.length) body.append(el("p", { class: "empty" }, "Nodes did nothing there that tells something."));
  else {
    body.append(el("div", { class: "scrollx" }, el("table", {}, el("thead", {}, el("tr", {}, ...["time", "node", "event"].map((name) => el("th", {}, name)))),
      el("tbody", {}, ...data.events.map((event) => el("tr", {}, el("td", { class: "mono" }, seconds(event.at_ms)), el("td", { class: "mono" }, `n${event.node}`), el("td", { class: "mono" }, event.text)))))));
  }
  return card("events", "Events in the jump", "of the nodes of the violation, if they did something; the last ones", body);
}

page.append(header(), figures(), wholeCard(), closeCard());
if (data.jump) page.append(eventsCard());
document.body.dataset.ready = "yes";
