//! A sweep as a person reads it.

use super::summary::Spread;
use super::{Made, Manifest, Summary};
use crate::report::verdict::Verdict;
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use std::path::Path;

/// Kinds of failures that are shown; the rest is in the files.
const SHOWN: usize = 20;
/// Situations that were not reached are named if they are so few; else `sim coverage` names them.
const LISTED: usize = 20;

fn spread(spread: &Spread) -> String {
    let Some(p50) = spread.p50 else { return "-".into() };
    let [p99, max] = [spread.p99, spread.max].map(|v| v.unwrap_or(p50));
    format!("{p50:.0} / {p99:.0} / {max:.0} ms")
}

/// The table and what must be said besides. `seeds` is where the seed files are.
pub fn render(manifest: &Manifest, made: &[Made], summary: &Summary, seeds: &Path) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "plan",
        "runs",
        "failures",
        "finalization p50 / p99 / max",
        "recovery p50 / p99 / max",
        "of bound",
        "probes",
        "virtual s per CPU s",
    ]);
    for plan in &summary.plans {
        let of = |m: &&Made| m.report.plan == plan.plan;
        let cpu_ms: u64 = made.iter().filter(of).map(|made| made.report.cpu_ms).sum();
        let failures: Vec<String> =
            plan.failures.iter().map(|(oracle, n)| format!("{n} {oracle}")).collect();
        table.add_row([
            plan.plan.clone(),
            plan.runs.to_string(),
            if failures.is_empty() { "-".into() } else { failures.join(", ") },
            spread(&plan.finalization_ms),
            spread(&plan.recovery_ms),
            plan.recovery_of_bound_percent.map_or("-".into(), |share| format!("{share:.0} %")),
            plan.probes.len().to_string(),
            format!("{:.1}", plan.virtual_ms as f64 / cpu_ms.max(1) as f64),
        ]);
    }
    let mut text = table.to_string();
    for plan in summary.plans.iter().filter(|plan| plan.runs > 0 && !plan.goals_missed.is_empty()) {
        let goals = plan.goals_missed.join(", ");
        text.push_str(&format!("\n{}: never reached in {} runs: {goals}", plan.plan, plan.runs));
    }
    if !summary.probes_missed.is_empty() {
        let (missed, all) = (summary.probes_missed.len(), crate::plan::probes().count());
        text.push_str(&format!("\nsituations never reached: {missed} of {all}"));
        if missed <= LISTED {
            text.push_str(&format!(" ({})", summary.probes_missed.join(", ")));
        }
    }
    if !summary.rules_missed.is_empty() {
        text.push_str(&format!("\nrules never taken: {}", summary.rules_missed.join(", ")));
    }
    for failure in summary.failures.iter().take(SHOWN) {
        let (runs, signature) = (failure.runs, &failure.signature);
        let file = seeds.join(&failure.smallest.file);
        text.push_str(&format!(
            "\n{runs} x {signature}\n    cargo sim replay {}",
            crate::runner::quote(&file.display().to_string())
        ));
    }
    if summary.failures.len() > SHOWN {
        let more = summary.failures.len() - SHOWN;
        text.push_str(&format!("\nand {more} more kinds of failures, see {}", seeds.display()));
    }
    if summary.runs < summary.planned {
        let (runs, planned) = (summary.runs, summary.planned);
        text.push_str(&format!("\nstopped early: {runs} of {planned} runs were made"));
    }
    let passed = summary.verdicts.get(&Verdict::Pass).copied().unwrap_or(0);
    let verdict = match summary.verdict {
        Verdict::Pass => "PASS".into(),
        other => format!("FAIL ({})", other.name()),
    };
    let (runs, seeds) = (summary.runs, manifest.seeds);
    text + &format!("\n{verdict}  {passed} of {runs} runs passed, seeds {seeds}")
}
