//! The result of a run as a person reads it.

use super::json::{Distribution, RunReport};
use super::verdict::Verdict;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, Table};

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{v:.1} ms"))
}

fn distribution(d: &Distribution) -> String {
    if d.n == 0 {
        return "no samples".into();
    }
    let [p50, p95, p99, max] = [d.p50, d.p95, d.p99, d.max].map(number);
    format!("p50 {p50}, p95 {p95}, p99 {p99}, max {max} ({} samples)", d.n)
}

/// The table. `replay` is the command that runs the same again.
pub fn render(report: &RunReport, replay: &str) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let mut row = |name: &str, value: String| {
        table.add_row([Cell::new(name), Cell::new(value)]);
    };
    row("verdict", verdict(report));
    let slots = &report.slots;
    row(
        "slots",
        format!(
            "{} finalized ({} fast, {} slow, {} indirect), {} skipped, {} undecided",
            slots.finalized(),
            slots.finalized_fast,
            slots.finalized_slow,
            slots.finalized_indirect,
            slots.skipped,
            slots.undecided
        ),
    );
    row("finalization", distribution(&report.finalization_ms));
    for recovery in &report.recovery_ms {
        let bound = match recovery.bound_ms {
            Some(bound) => format!("bound {bound:.1} ms"),
            None => "no bound: other faults are active".into(),
        };
        row(
            "recovery",
            format!(
                "after {} at {:.1} s: first finalization {}, all caught up {}; {bound}",
                recovery.fault,
                recovery.healed_at_ms / 1_000.0,
                number(recovery.first_finalization_ms),
                number(recovery.caught_up_ms),
            ),
        );
    }
    let messages = &report.messages;
    let dropped: u64 = messages.dropped.values().sum();
    let causes: Vec<String> = messages.dropped.iter().map(|(c, n)| format!("{n} {c}")).collect();
    row(
        "messages",
        format!(
            "{} sent, {} delivered, {dropped} dropped{}, {} duplicated, {} corrupted",
            messages.sent,
            messages.delivered,
            if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) },
            messages.duplicated,
            messages.corrupted
        ),
    );
    let t = &report.transactions;
    row(
        "transactions",
        format!(
            "{} submitted, {} finalized, {} expired, {} lost; {}",
            t.submitted,
            t.finalized,
            t.expired,
            t.lost,
            distribution(&t.latency_ms)
        ),
    );
    row("time", time(report));
    row("fingerprint", report.fingerprint.clone());
    row("replay", replay.into());
    table.to_string()
}

fn verdict(report: &RunReport) -> String {
    let mut lines = vec![match report.verdict {
        Verdict::Pass => format!("PASS  plan {}, seed {}", report.plan, report.seed),
        other => format!("FAIL ({})  plan {}, seed {}", other.name(), report.plan, report.seed),
    }];
    for violation in &report.violations {
        lines.push(format!(
            "{} at {:.3} s: {}",
            violation.oracle,
            violation.at_ms / 1_000.0,
            violation.detail
        ));
    }
    lines.extend(report.expectations_missed.iter().map(|missed| format!("missed: {missed}")));
    lines.join("\n")
}

fn time(report: &RunReport) -> String {
    let ratio = report.virtual_ms as f64 / report.wall_ms.max(1) as f64;
    format!(
        "{:.1} s virtual in {:.1} s wall ({ratio:.1}x), {:.1} s CPU, {} MiB",
        report.virtual_ms as f64 / 1_000.0,
        report.wall_ms as f64 / 1_000.0,
        report.cpu_ms as f64 / 1_000.0,
        report.peak_rss_mb
    )
}
