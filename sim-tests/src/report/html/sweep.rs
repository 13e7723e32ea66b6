//! The page of a sweep: many runs, given as their results (design: JSON of `run`).
//!
//! Results come as JSON values, because a sweep reads them from its `runs.jsonl`, and other
//! programs may have written it. A field that is missing counts as nothing.

use super::{COMMON, page};
use crate::plan::Probe;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SCRIPTS: &[&str] = &[COMMON, include_str!("assets/sweep.js")];

/// Failing runs that are listed one by one.
const FAILURES: usize = 200;
/// Slowest runs that are listed.
const SLOWEST: usize = 20;

/// The page of these runs.
pub fn sweep(runs: &[Value]) -> String {
    let plans: BTreeSet<&str> = runs.iter().map(plan).collect();
    let number: BTreeMap<&str, usize> = plans.iter().enumerate().map(|(i, p)| (*p, i)).collect();
    let mut failures: BTreeMap<(usize, String), u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for run in runs.iter().filter(|run| !passed(run)) {
        let cause = cause(run);
        *failures.entry((number[plan(run)], cause.clone())).or_default() += 1;
        failed.push((run, cause));
    }
    let oracles: BTreeSet<&String> = failures.keys().map(|(_, oracle)| oracle).collect();
    let cells: Vec<Value> = failures
        .iter()
        .map(|((plan, oracle), n)| json!({ "plan": plan, "oracle": oracle, "n": n }))
        .collect();
    let listed: Vec<Value> =
        failed.iter().take(FAILURES).map(|(run, cause)| failure(run, cause)).collect();
    let sum = |field: &str| -> u64 { runs.iter().filter_map(|run| run[field].as_u64()).sum() };
    let (probes, rules) = coverage(runs, &number);
    let reached: BTreeSet<&str> = probes.iter().filter_map(|row| row["name"].as_str()).collect();
    let never = crate::plan::probes().map(|probe| probe.name);
    let never: Vec<&str> = never.filter(|name| !reached.contains(name)).collect();
    let data = json!({
        "runs": runs.len(),
        "failed": failed.len(),
        "virtual_ms": sum("virtual_ms"),
        "cpu_ms": sum("cpu_ms"),
        "commits": runs.iter().filter_map(|run| run["commit"].as_str()).collect::<BTreeSet<_>>(),
        "plans": plans,
        "per_plan": plans.iter().map(|name| per_plan(runs, name)).collect::<Vec<Value>>(),
        "oracles": oracles,
        "failures": cells,
        "failed_runs": listed,
        "probes": probes,
        "probes_missed": if runs.is_empty() { Vec::new() } else { never },
        "rules_missed": rules,
        "slowest": slowest(runs),
    });
    page(&format!("sweep of {} runs, {} failed", runs.len(), failed.len()), SCRIPTS, &data)
}

fn plan(run: &Value) -> &str {
    run["plan"].as_str().unwrap_or("unnamed")
}

/// As text: a browser's numbers end at 53 bits.
fn seed(run: &Value) -> String {
    run["seed"].as_u64().map_or_else(String::new, |seed| seed.to_string())
}

fn passed(run: &Value) -> bool {
    run["verdict"] == "pass"
}

/// The first broken oracle, or else the verdict.
fn cause(run: &Value) -> String {
    let oracle = run["violations"][0]["oracle"].as_str();
    oracle.or(run["verdict"].as_str()).unwrap_or("unknown").to_owned()
}

fn failure(run: &Value, cause: &str) -> Value {
    let first = &run["violations"][0];
    let detail = first["detail"].as_str().or(run["expectations_missed"][0].as_str());
    json!({
        "plan": plan(run), "seed": seed(run), "cause": cause,
        "slot": first["slot"], "at_ms": first["at_ms"], "detail": detail.unwrap_or_default(),
    })
}

/// Low, median and high of a list.
fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => Value::Null,
        n => json!({ "n": n, "low": values[0], "mid": values[(n - 1) / 2], "high": values[n - 1] }),
    }
}

fn per_plan(runs: &[Value], name: &str) -> Value {
    let of: Vec<&Value> = runs.iter().filter(|run| plan(run) == name).collect();
    let figures = |group: &str, field: &str| -> Value {
        spread(of.iter().filter_map(|run| run[group][field].as_f64()).collect())
    };
    let recoveries = || of.iter().filter_map(|run| run["recovery_ms"].as_array()).flatten();
    let mut first: Vec<f64> =
        recoveries().filter_map(|recovery| recovery["first_finalization_ms"].as_f64()).collect();
    first.sort_by(f64::total_cmp);
    let never = recoveries().filter(|recovery| recovery["first_finalization_ms"].is_null()).count();
    // Evenly ranked, so that ten thousand recoveries stay a picture.
    let shown: Vec<f64> = match first.len() {
        n @ 0..=400 => first[..n].to_vec(),
        n => (1..=400).map(|rank| first[rank * n / 400 - 1]).collect(),
    };
    let bound: Vec<f64> =
        recoveries().filter_map(|recovery| recovery["bound_ms"].as_f64()).collect();
    json!({
        "runs": of.len(),
        "failed": of.iter().filter(|run| !passed(run)).count(),
        "p50": figures("finalization_ms", "p50"),
        "p99": figures("finalization_ms", "p99"),
        "recoveries": { "n": first.len(), "never": never, "ms": shown, "bound": spread(bound) },
    })
}

/// Runs that reached each probe, by plan; and rules that no run took.
fn coverage(runs: &[Value], number: &BTreeMap<&str, usize>) -> (Vec<Value>, BTreeSet<String>) {
    let mut probes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut missed: Option<BTreeSet<String>> = None;
    for run in runs {
        for (name, hits) in run["probes"].as_object().into_iter().flatten() {
            let row = probes.entry(name).or_insert_with(|| vec![0; number.len()]);
            row[number[plan(run)]] += u64::from(hits.as_u64().unwrap_or(0) > 0);
        }
        let rules = run["rules_missed"].as_array().into_iter().flatten();
        let rules: BTreeSet<String> =
            rules.filter_map(|rule| rule.as_str().map(String::from)).collect();
        missed = Some(match missed {
            Some(before) => before.intersection(&rules).cloned().collect(),
            None => rules,
        });
    }
    // In the order of the catalogue, which begins with what every run is about; then the unknown.
    let catalogue: Vec<Probe> = crate::plan::probes().collect();
    let place = |name: &str| catalogue.iter().position(|probe| probe.name == name);
    let mut rows: Vec<(Option<usize>, Value)> = probes
        .into_iter()
        .filter(|(_, by_plan)| by_plan.iter().any(|runs| *runs > 0))
        .map(|(name, by_plan)| {
            let place = place(name);
            let about = place.map(|place| catalogue[place].about);
            (place, json!({ "name": name, "about": about, "by_plan": by_plan }))
        })
        .collect();
    rows.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
    (rows.into_iter().map(|(_, row)| row).collect(), missed.unwrap_or_default())
}

fn slowest(runs: &[Value]) -> Vec<Value> {
    let mut all: Vec<&Value> = runs.iter().collect();
    all.sort_by_key(|run| std::cmp::Reverse(run["cpu_ms"].as_u64().unwrap_or(0)));
    let row = |run: &&Value| {
        json!({
            "plan": plan(run), "seed": seed(run), "cpu_ms": run["cpu_ms"],
            "virtual_ms": run["virtual_ms"], "nodes": run["nodes"], "rss_mb": run["peak_rss_mb"],
        })
    };
    all.iter().take(SLOWEST).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::data;
    use super::*;

    fn made_up(plan: &str, seed: u64, oracle: Option<&str>, cpu_ms: u64) -> Value {
        let violations: Vec<Value> = oracle
            .iter()
            .map(|o| json!({ "oracle": o, "slot": 4, "nodes": [1], "at_ms": 9.5, "detail": "x" }))
            .collect();
        json!({
            "plan": plan, "seed": seed, "verdict": if oracle.is_some() { "safety" } else { "pass" },
            "violations": violations, "cpu_ms": cpu_ms, "virtual_ms": 30_000,
            "finalization_ms": { "n": 9, "p50": 100.0 + cpu_ms as f64, "p99": 400.0 },
            "recovery_ms": [{ "first_finalization_ms": seed, "bound_ms": 900.0 },
                            { "first_finalization_ms": null, "bound_ms": null }],
            "probes": { "standstill": seed, "repair": 1 },
            "rules_missed": ["a.b", format!("only.{plan}")],
        })
    }

    #[test]
    fn runs_add_up() {
        let runs = [
            made_up("calm", 0, None, 10),
            made_up("calm", 1, Some("O14"), 40),
            made_up("storm", 2, Some("O14"), 20),
            made_up("storm", 3, Some("O47"), 30),
        ];
        let data = data(&sweep(&runs));
        assert_eq!((&data["runs"], &data["failed"]), (&json!(4), &json!(3)));
        assert_eq!(data["oracles"], json!(["O14", "O47"]));
        let calm = json!({ "plan": 0, "oracle": "O14", "n": 1 });
        assert_eq!(data["failures"][0], calm);
        assert_eq!(data["failures"].as_array().unwrap().len(), 3);
        let p50 = json!({ "n": 2, "low": 110.0, "mid": 110.0, "high": 140.0 });
        assert_eq!(data["per_plan"][0]["p50"], p50);
        assert_eq!(data["per_plan"][1]["recoveries"]["ms"], json!([2.0, 3.0]));
        assert_eq!(data["per_plan"][1]["recoveries"]["never"], 2);
        let standstill = &data["probes"][0];
        assert_eq!(
            (&standstill["name"], &standstill["by_plan"]),
            (&json!("standstill"), &json!([1, 2]))
        );
        let never = data["probes_missed"].as_array().unwrap();
        assert!(never.contains(&json!("epoch-end")) && !never.contains(&json!("repair")));
        assert_eq!(data["rules_missed"], json!(["a.b"]), "missed by all, not by one plan");
        let slowest: Vec<&Value> =
            data["slowest"].as_array().unwrap().iter().map(|r| &r["cpu_ms"]).collect();
        assert_eq!(slowest, [40, 30, 20, 10]);
    }

    #[test]
    fn nothing_and_nonsense_are_pages_too() {
        assert_eq!(data(&sweep(&[]))["runs"], 0);
        let odd = data(&sweep(&[json!({}), json!({ "verdict": "panic", "plan": "p" })]));
        assert_eq!(odd["oracles"], json!(["panic", "unknown"]));
    }
}
