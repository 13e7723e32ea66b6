// The data of a run as columns, and what is shown of them: the view, the filter, the choice.
const NS = 1e6; // nanoseconds in a millisecond: the page counts in milliseconds
const kinds = data.kinds;
const groups = data.groups;
const E = (() => {
  const raw = data.events;
  const n = raw.t.length;
  const t = new Float64Array(n);
  let now = 0;
  for (let i = 0; i < n; i += 1) {
    now += raw.t[i];
    t[i] = now / NS;
  }
  const less = (column) => Int32Array.from(column, (value) => value - 1); // 0 stands for none
  return { n, t, ns: raw.t, node: Uint16Array.from(raw.n), kind: Uint8Array.from(raw.k),
    slot: less(raw.s), block: less(raw.b), peer: less(raw.p), note: less(raw.x) };
})();
const END = Math.max(data.report.virtual_ms, E.n ? E.t[E.n - 1] : 0, 1);
const kindNamed = Object.fromEntries(kinds.map((kind, i) => [kind.short, i]));
const violations = data.report.violations;

const state = {
  from: 0, to: END,
  off: new Set(["timers", "repair", "received"]),
  nodes: null, // a Set, or null for all
  slot: null, // [first, last], or null for all
  picked: -1,
  mask: new Uint8Array(E.n),
  shown: [], // node numbers with a lane
};

const listeners = [];
const onChange = (listener) => listeners.push(listener);
let queued = 0;
function changed(what) {
  const waiting = queued !== 0;
  queued |= what;
  if (waiting) return;
  requestAnimationFrame(() => {
    const now = queued;
    queued = 0;
    for (const listener of listeners) listener(now);
  });
}
const VIEW = 1, FILTER = 2, PICK = 4;

/// First event at or after a time.
function lower(time) {
  let [a, b] = [0, E.n];
  while (a < b) {
    const middle = (a + b) >> 1;
    if (E.t[middle] < time) a = middle + 1;
    else b = middle;
  }
  return a;
}

function applyFilter() {
  state.shown = data.nodes.map((_, i) => i).filter((i) => !state.nodes || state.nodes.has(i));
  const on = kinds.map((kind) => !state.off.has(kind.group));
  for (let i = 0; i < E.n; i += 1) {
    state.mask[i] = on[E.kind[i]] && (!state.nodes || state.nodes.has(E.node[i]))
      && (!state.slot || (E.slot[i] >= state.slot[0] && E.slot[i] <= state.slot[1])) ? 1 : 0;
  }
  changed(FILTER);
}

const SHORTEST = 0.02; // milliseconds on the whole width
function look(from, to) {
  let span = Math.min(Math.max(to - from, SHORTEST), END * 1.04);
  const middle = (from + to) / 2;
  from = middle - span / 2;
  from = Math.max(-END * 0.02, Math.min(from, END * 1.02 - span));
  state.from = from;
  state.to = from + span;
  changed(VIEW);
}
const zoom = (factor, at = (state.from + state.to) / 2) =>
  look(at - (at - state.from) * factor, at + (state.to - at) * factor);
const pan = (part) => look(state.from + (state.to - state.from) * part, state.to + (state.to - state.from) * part);
const lookAt = (time, span) => look(time - span / 2, time + span / 2);

function pick(i, follow) {
  state.picked = i;
  if (i >= 0 && follow && (E.t[i] < state.from || E.t[i] > state.to)) lookAt(E.t[i], state.to - state.from);
  changed(PICK);
}

/// The next or previous event that is shown.
function neighbour(direction) {
  let i = state.picked >= 0 ? state.picked + direction : direction > 0 ? lower(state.from) : lower(state.to) - 1;
  while (i >= 0 && i < E.n && !state.mask[i]) i += direction;
  if (i >= 0 && i < E.n) pick(i, true);
}

let violationAt = violations.length ? 0 : -1; // the one in question
function showViolation(number) {
  violationAt = (number + violations.length) % violations.length;
  lookAt(violations[violationAt].at_ms, Math.min(3000, END / 3));
  document.getElementById("lanes-box").focus({ preventScroll: true });
  document.getElementById("lanes").scrollIntoView({ block: "start", behavior: "instant" });
  changed(PICK);
}

/// `0-4, 7`: a set of numbers, null for all, undefined for nonsense.
function numbers(text, limit) {
  if (!text.trim()) return null;
  const set = new Set();
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const match = /^n?(\d+)(?:-n?(\d+))?$/.exec(part);
    if (!match) return undefined;
    const [a, b] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (a > b || b >= limit) return undefined;
    for (let i = a; i <= b; i += 1) set.add(i);
  }
  return set.size ? set : null;
}

/// Seconds with as many digits as a step of the axis needs.
function seconds(time, distance) {
  const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(distance / 1000) + 1e-9)));
  return (time / 1000).toFixed(digits);
}
const exact = (i) => `${E.t[i] < 0 ? "-" : ""}${(E.t[i] / 1000).toFixed(9)}`;

function wordsOf(i) {
  const kind = kinds[E.kind[i]];
  const note = E.note[i] >= 0 ? data.notes[E.note[i]] : "";
  const peer = E.peer[i] >= 0 ? `${kind.short === "offence" ? "by" : "from"} n${E.peer[i]}` : "";
  return { time: exact(i), node: `n${E.node[i]}`, what: kind.long, short: kind.short, group: kind.group,
    slot: E.slot[i] >= 0 ? String(E.slot[i]) : "", block: E.block[i] >= 0 ? data.blocks[E.block[i]] : "",
    detail: [peer, note].filter(Boolean).join(", ") };
}
