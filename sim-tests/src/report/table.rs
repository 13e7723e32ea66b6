//! The result of a run as a person reads it.

use super::json::{Distribution, RunReport};
use super::verdict::Verdict;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Table};

/// So many violations are shown; the JSON has them all.
const SHOWN_VIOLATIONS: usize = 10;

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
    table.load_style(NOTHING);
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
    if !report.goals.is_empty() {
        row("goals", goals(report));
    }
    row("time", time(report));
    row("fingerprint", report.fingerprint.clone());
    row("replay", replay.into());
    table.trim_fmt()
}

fn verdict(report: &RunReport) -> String {
    let mut lines = vec![match report.verdict {
        Verdict::Pass => format!("PASS  plan {}, seed {}", report.plan, report.seed),
        other => format!("FAIL ({})  plan {}, seed {}", other.name(), report.plan, report.seed),
    }];
    for violation in report.violations.iter().take(SHOWN_VIOLATIONS) {
        lines.push(format!(
            "{} at {:.3} s: {}",
            violation.oracle,
            violation.at_ms / 1_000.0,
            violation.detail
        ));
    }
    let hidden = report.violations.len().saturating_sub(SHOWN_VIOLATIONS);
    if hidden > 0 {
        lines.push(format!("and {hidden} more, all of them in --json"));
    }
    lines.extend(report.expectations_missed.iter().map(|missed| format!("missed: {missed}")));
    lines.join("\n")
}

/// What the plan says should happen sometimes, and how often it did.
fn goals(report: &RunReport) -> String {
    let (reached, not): (Vec<_>, Vec<_>) = report.goals.iter().partition(|(_, hits)| **hits > 0);
    let mut parts: Vec<String> =
        reached.iter().map(|(name, hits)| format!("{name} ({hits})")).collect();
    parts.extend(not.iter().map(|(name, _)| format!("not in this run: {name}")));
    parts.join(", ")
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

#[cfg(test)]
mod tests {
    use super::super::json::{Messages, RecoveryReport, Slots, Transactions, ViolationReport};
    use super::*;

    fn report(verdict: Verdict) -> RunReport {
        let samples = Distribution {
            n: 3,
            p50: Some(70.0),
            p95: Some(90.25),
            p99: Some(99.0),
            max: Some(101.0),
        };
        RunReport {
            schema: 1,
            plan: "partition-heal".into(),
            seed: 7,
            commit: "0123456".into(),
            verdict,
            fingerprint: "00112233445566778899aabbccddeeff".into(),
            nodes: 20,
            virtual_ms: 30_000,
            cpu_ms: 3_500,
            wall_ms: 4_000,
            peak_rss_mb: 54,
            violations: Vec::new(),
            expectations_missed: Vec::new(),
            messages: Messages {
                sent: 10,
                delivered: 7,
                dropped: [("cut".into(), 2), ("loss".into(), 1)].into(),
                ..Messages::default()
            },
            slots: Slots { finalized_fast: 2, finalized_slow: 3, skipped: 1, ..Slots::default() },
            finalization_ms: samples.clone(),
            recovery_ms: vec![RecoveryReport {
                fault: "heal".into(),
                healed_at_ms: 12_000.0,
                first_finalization_ms: Some(900.0),
                caught_up_ms: None,
                bound_ms: Some(16_000.0),
            }],
            transactions: Transactions {
                submitted: 3,
                finalized: 3,
                expired: 0,
                lost: 0,
                latency_ms: samples,
            },
            probes: Default::default(),
            goals: [("standstill".into(), 20), ("repair".into(), 0)].into(),
            rules_missed: Vec::new(),
        }
    }

    const REPLAY: &str = "cargo sim run fault-plans/partition-heal.toml --seed 7";

    #[test]
    fn what_a_person_reads() {
        insta::assert_snapshot!("pass", render(&report(Verdict::Pass), REPLAY));
        let mut failed = report(Verdict::Safety);
        let violation = |slot| ViolationReport {
            oracle: "O5".into(),
            slot: Some(slot),
            nodes: vec![3],
            at_ms: 1_234.5,
            detail: format!("n3 cast N({slot}:aaaaaaaa) and S({slot})"),
        };
        failed.violations = (1..=12).map(violation).collect();
        failed.expectations_missed = vec!["progress 40 % of 75 %".into()];
        failed.finalization_ms = Distribution::default();
        failed.goals.clear();
        insta::assert_snapshot!("fail", render(&failed, REPLAY));
    }
}
