// The page of a sweep: what failed where, how fast, how far the situations were reached.
const { plans, oracles } = data;

function header() {
  const passed = data.failed === 0;
  return el("header", { class: "top" },
    el("div", { class: "titles" }, el("h1", {}, `Sweep of ${plural(data.runs, "run")}`),
      data.runs ? el("span", { class: passed ? "pill pass" : "pill fail", id: "verdict" }, passed ? "✓ ALL PASS" : `✕ ${count(data.failed)} FAILED`) : null),
    el("div", { class: "facts" }, el("span", {}, plural(plans.length, "plan")), ...data.commits.map((commit) => el("span", {}, "commit ", el("code", {}, commit.slice(0, 12))))));
}

function figures() {
  const cpu = data.cpu_ms / 1000;
  return el("div", { class: "tiles" },
    tile("Runs", count(data.runs), "", `${plural(plans.length, "plan")}`),
    tile("Failed", count(data.failed), "", data.runs ? `${(100 * data.failed / data.runs).toFixed(2)} % of the runs` : "", data.failed > 0),
    tile("Simulated time", data.virtual_ms >= 36e5 ? (data.virtual_ms / 36e5).toFixed(1) : (data.virtual_ms / 6e4).toFixed(1), data.virtual_ms >= 36e5 ? "hours" : "minutes", ""),
    tile("Simulated per CPU second", cpu ? (data.virtual_ms / 1000 / cpu).toFixed(1) : "–", "s", `${cpu.toFixed(0)} s of CPU`),
    tile("Runs per CPU minute", cpu ? (data.runs / cpu * 60).toFixed(0) : "–", "", ""));
}

function heat(n, most, bad) {
  const strength = Math.round(10 + 40 * Math.sqrt(n / most));
  return `background: color-mix(in srgb, var(--${bad ? "trouble" : "notar"}) ${strength}%, transparent)`;
}

function failuresCard() {
  const body = el("div", { class: "body" });
  if (!data.failures.length) {
    body.append(el("p", { class: "empty" }, data.runs ? "No run failed." : "There are no runs."));
    return card("failures", "Failures by plan and oracle", "", body);
  }
  const most = Math.max(...data.failures.map((cell) => cell.n));
  const at = new Map(data.failures.map((cell) => [`${cell.plan} ${cell.oracle}`, cell.n]));
  const rows = plans.map((plan, i) => el("tr", {}, el("td", {}, plan), el("td", { class: "cell soft" }, count(data.per_plan[i].runs)),
    ...oracles.map((oracle) => { const n = at.get(`${i} ${oracle}`); return n ? el("td", { class: "cell", style: heat(n, most, true) }, count(n)) : el("td", { class: "cell none" }, "·"); })));
  body.append(el("div", { class: "scrollx" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, "plan"), el("th", { class: "cell" }, "runs"), ...oracles.map((oracle) => el("th", { class: "cell" }, oracle)))), el("tbody", {}, ...rows))));
  const list = data.failed_runs.map((run) => el("tr", {}, el("td", {}, el("b", { style: "color: var(--trouble)" }, run.cause)), el("td", {}, run.plan), el("td", { class: "num" }, run.seed),
    el("td", { class: "num" }, run.at_ms === null ? "" : `${(run.at_ms / 1000).toFixed(3)} s`), el("td", { class: "num" }, run.slot ?? ""), el("td", { class: "soft" }, run.detail)));
  const left = data.failed - data.failed_runs.length;
  body.append(el("details", { style: "margin-top: 12px", open: data.failed_runs.length <= 12 }, el("summary", {}, `Failing runs${left > 0 ? `: the first ${data.failed_runs.length}, ${count(left)} more are not in this page` : ""}`),
    el("div", { class: "scrollx" }, el("table", {}, el("thead", {}, el("tr", {}, ...["cause", "plan", "seed", "at", "slot", "what"].map((name) => el("th", {}, name)))), el("tbody", {}, ...list)))));
  return card("failures", "Failures by plan and oracle", "each failing run counts once, by its first broken property", body);
}

/// One row a plan on a common logarithmic axis; `paint` draws inside the row.
function rowsChart(id, title, hint, label, values, paint) {
  const body = el("div", { class: "body" });
  const all = plans.flatMap((_, i) => values(data.per_plan[i])).filter((value) => value > 0);
  if (!all.length) {
    body.append(el("p", { class: "empty" }, "No run measured it."));
    return card(id, title, hint, body);
  }
  const [low, high] = [Math.min(...all) * 0.85, Math.max(...all) * 1.15];
  const each = 24;
  body.append(chart(plans.length * each + 48, title, (drawing, width) => {
    const left = Math.min(176, width * 0.36);
    const bottom = 4 + plans.length * each;
    const x = logAxis(drawing, low, high, left, width - 10, 4, bottom, label);
    plans.forEach((plan, i) => {
      const y = 4 + i * each + each / 2;
      drawing.append(svg("line", { class: "tick", x1: left, x2: width - 10, y1: y, y2: y, "stroke-dasharray": "1 3" }));
      drawing.append(svg("text", { class: "strong", x: left - 12, y: y + 4, "text-anchor": "end" }, plan.length > left / 7 ? `${plan.slice(0, Math.floor(left / 7) - 1)}…` : plan));
      paint(drawing, data.per_plan[i], y, x, width);
    });
  }));
  return card(id, title, hint, body);
}

function latency() {
  return rowsChart("latency", "Finalization latency", "per plan over its runs: the line reaches from the best to the worst run, the mark is the middle one", "finalization latency, logarithmic; disc p50, diamond p99",
    (plan) => [plan.p50, plan.p99].filter(Boolean).flatMap((s) => [s.low, s.high]),
    (drawing, plan, y, x) => {
      for (const [spread, hue, shift, diamond] of [[plan.p50, "notar", -4, false], [plan.p99, "skip", 4, true]]) {
        if (!spread) continue;
        const [cx, cy] = [x(spread.mid), y + shift];
        drawing.append(svg("line", { x1: x(spread.low), x2: x(spread.high), y1: cy, y2: cy, stroke: colours[hue], "stroke-width": 2 }),
          svg("path", { d: diamond ? `M${cx} ${cy - 5}l5 5-5 5-5-5z` : `M${cx - 4} ${cy}a4 4 0 1 0 8 0a4 4 0 1 0-8 0`, fill: colours[hue] },
            svg("title", {}, `${diamond ? "p99" : "p50"}: ${ms(spread.low)} to ${ms(spread.high)}, middle ${ms(spread.mid)}, ${plural(spread.n, "run")}`)));
      }
    });
}

function recovery() {
  return rowsChart("recovery", "Recovery", "each heal: how long until something new was final; boxes are the bounds that were owed", "time from the heal to the first new finalization, logarithmic",
    (plan) => [...plan.recoveries.ms, plan.recoveries.bound?.low, plan.recoveries.bound?.high].filter(Boolean),
    (drawing, plan, y, x, width) => {
      const { bound, never } = plan.recoveries;
      if (bound) drawing.append(svg("rect", { x: x(bound.low) - 1, y: y - 9, width: Math.max(2, x(bound.high) - x(bound.low) + 2), height: 18, fill: "none", stroke: colours.faint }));
      for (const value of plan.recoveries.ms) drawing.append(svg("line", { x1: x(value), x2: x(value), y1: y - 6, y2: y + 6, stroke: colours.final, "stroke-width": 1.5, "stroke-opacity": 0.55 }));
      if (never) drawing.append(svg("text", { x: width - 12, y: y + 4, "text-anchor": "end", style: `fill: ${colours.trouble}` }, `${count(never)} never`));
    });
}

/// One narrow column a plan: its runs that reached the situation, in percent and as a shade.
function probes() {
  const body = el("div", { class: "body" });
  if (!data.probes.length) body.append(el("p", { class: "empty" }, "No run reached a probe."));
  else {
    const whole = (part) => (part >= 0.995 ? "100" : part < 0.01 ? "<1" : (part * 100).toFixed(0));
    const cell = (name, n, of, who) => (n ? el("td", { class: "heat", style: heat(n, of), title: `${name}, ${who}: ${count(n)} of ${plural(of, "run")}` }, whole(n / of)) : el("td", { class: "heat none" }, "·"));
    const rows = data.probes.map((probe) => {
      const reached = probe.by_plan.reduce((sum, n) => sum + n, 0);
      return el("tr", {}, el("td", { class: "name", title: probe.about ?? "" }, probe.name), cell(probe.name, reached, data.runs, "all plans"),
        ...probe.by_plan.map((n, i) => cell(probe.name, n, data.per_plan[i].runs, plans[i])));
    });
    const head = (words) => el("th", { class: "heat up" }, el("span", {}, words));
    body.append(el("div", { class: "scrollx" }, el("table", { class: "heat" }, el("thead", {}, el("tr", {}, el("th", { class: "name up" }, "situation"), head("all plans"), ...plans.map(head))), el("tbody", {}, ...rows))));
  }
  const never = (words, names) => names.length && body.append(el("details", { style: "margin-top: 12px" }, el("summary", {}, words), el("ul", { class: "list mono" }, ...names.map((name) => el("li", {}, name)))));
  never(`${plural(data.probes_missed.length, "situation")} of the catalogue that no run reached`, data.probes_missed);
  never(`${plural(data.rules_missed.length, "rule")} of the protocol that no run took`, data.rules_missed);
  if (data.runs && !data.rules_missed.length) body.append(el("p", { class: "soft", style: "padding-top: 10px" }, "Every rule of the protocol was taken by some run."));
  return card("probes", "Situations reached", "percent of the runs of each plan that reached it at least once; point at a name to read what it means", body);
}

function slowest() {
  const body = el("div", { class: "body" });
  if (!data.slowest.length) body.append(el("p", { class: "empty" }, "There are no runs."));
  else {
    body.append(el("div", { class: "scrollx" }, el("table", {}, el("thead", {}, el("tr", {}, ...["plan", "seed", "nodes", "CPU", "virtual", "simulated per CPU second", "memory"].map((name) => el("th", {}, name)))),
      el("tbody", {}, ...data.slowest.map((run) => el("tr", {}, el("td", {}, run.plan), el("td", {}, run.seed), el("td", {}, run.nodes ?? "–"), el("td", {}, ms(run.cpu_ms)), el("td", {}, ms(run.virtual_ms)),
        el("td", {}, run.cpu_ms ? `${(run.virtual_ms / run.cpu_ms).toFixed(1)} s` : "–"), el("td", {}, run.rss_mb ? `${count(run.rss_mb)} MiB` : "–")))))));
  }
  return card("slowest", "Slowest runs", "by CPU time", body);
}

page.append(header(), figures(), failuresCard(), el("div", { class: "grid2" }, latency(), recovery()), probes(), slowest());
document.body.dataset.ready = "yes";
