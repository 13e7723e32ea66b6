// What both pages share: elements, words for numbers, colours of the theme, small charts.
const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const grouped = new Intl.NumberFormat("en");
const count = (n) => grouped.format(n);
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/// Milliseconds in the unit that fits.
function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  return `${value.toFixed(value >= 1 ? 1 : 3)} ms`;
}

const share = (part) => `${(part * 100).toFixed(1)} %`;

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = {};
  for (const name of ["paper", "card", "ink", "soft", "faint", "line", "line-strong", "hover", "focus",
    "notar", "notar-soft", "skip", "skip-soft", "final", "final-soft", "cert", "ready", "block",
    "trouble", "trouble-soft", "fault", "fault-fill", "lead", "sans", "mono"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}
readColours();

/// Calls `draw` now, when the theme changes and when `element` changes its size.
function keepDrawn(element, draw) {
  new ResizeObserver(draw).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
}

/// Gives a canvas the pixels of its box and returns its context in CSS pixels.
function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  return g;
}

/// Round steps that divide `span` into about `wanted` parts: 1, 2 or 5 times a power of ten.
function step(span, wanted) {
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = raw / power;
  return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

function card(id, title, hint, ...children) {
  return el("section", { class: "card", id, "aria-labelledby": `${id}-title` },
    el("div", { class: "head" }, el("h2", { id: `${id}-title` }, title), hint ? el("span", { class: "soft" }, hint) : null),
    ...children);
}

function tile(name, value, unit, more, bad) {
  return el("div", { class: bad ? "tile bad" : "tile" }, el("div", { class: "name" }, name),
    el("div", { class: "value" }, value, unit ? el("small", {}, ` ${unit}`) : null), el("div", { class: "more" }, more || "\u00a0"));
}

function copyable(text) {
  const button = el("button", { type: "button", "aria-label": "Copy the command" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.previousSibling);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return el("div", { class: "command" }, el("code", {}, text), button);
}

/// Ticks of a logarithmic axis: powers of ten, with as many multiples as make a readable axis.
function decades(low, high) {
  const ticks = (factors) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      found.push(...factors.map((factor) => factor * 10 ** power).filter((tick) => tick >= low * 0.999 && tick <= high * 1.001));
    }
    return found;
  };
  const halves = ticks([1, 2, 5]);
  if (halves.length > 9) return ticks([1]);
  return halves.length >= 4 ? halves : ticks([1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]);
}

const tickMs = (value) => (value >= 1000 ? `${+(value / 1000).toPrecision(3)} s` : `${+value.toPrecision(3)} ms`);

/// A logarithmic scale with its axis, drawn at the bottom of a chart.
function logAxis(chart, low, high, left, right, top, bottom, title) {
  const [a, b] = [Math.log(low), Math.log(high)];
  const x = (value) => left + (right - left) * (Math.log(Math.max(value, low)) - a) / (b - a);
  let last = -Infinity;
  for (const tick of decades(low, high)) {
    chart.append(svg("line", { class: "tick", x1: x(tick), x2: x(tick), y1: top, y2: bottom }));
    if (x(tick) - last < 44) continue;
    last = x(tick);
    chart.append(svg("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, tickMs(tick)));
  }
  chart.append(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  if (title) chart.append(svg("text", { x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle" }, title));
  return x;
}

/// Redraws an SVG chart at the width of its box, so that its text keeps its size.
function chart(height, label, draw) {
  const box = el("div", {});
  keepDrawn(box, () => {
    const width = Math.max(280, box.clientWidth);
    const drawing = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    draw(drawing, width, height);
    box.replaceChildren(drawing);
  });
  return box;
}
