//! One run from a plan to a report: runs it, measures the process, weighs what was expected.

use crate::cluster::{self, Options, Outcome};
use crate::measure::Measure;
use crate::oracles::Violation;
use crate::plan::{Concrete, RecoveryGate, Safety, percent};
use crate::pool;
use crate::report::html;
use crate::report::json::{self, Distribution, RunReport, Slots};
use crate::report::seedfile::{Expectation, Expected, Found, SEED_FORMAT, Seed, SeedFile};
use crate::report::verdict::Verdict;
use crate::trace::{Format, brief, chrome};
use alpenglow_node::protocol::rules;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::sync::Arc;

/// One run to make.
pub struct Job<'a> {
    /// The world.
    pub plan: &'a Concrete,
    /// The seed.
    pub seed: u64,
    /// No progress bar.
    pub quiet: bool,
    /// How to run it besides; a progress function replaces the bar.
    pub options: Options,
}

/// User and system time of this process so far, in milliseconds.
pub fn cpu_ms() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every process has a usage");
    (usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds()) as u64
}

/// The largest resident set of this process so far, in MiB.
pub fn peak_rss_mb() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every process has a usage");
    usage.max_rss() as u64 / 1_024
}

impl Job<'_> {
    /// Runs it.
    pub fn run(self) -> RunReport {
        self.run_fully().0
    }

    /// Runs it and gives everything that is known of the run, too.
    pub fn run_fully(mut self) -> (RunReport, Outcome) {
        let mut options = std::mem::take(&mut self.options);
        let bar = match self.quiet {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(0),
        };
        let style = "{bar:30} {msg} ({elapsed} on the wall)";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is valid"));
        let shown = bar.clone();
        let progress = move |now: u64, end: u64| {
            shown.set_length(end / 1_000_000);
            shown.set_position(now / 1_000_000);
            let seconds = |ns: u64| ns / 1_000_000_000;
            shown.set_message(format!("{} of {} virtual seconds", seconds(now), seconds(end)));
        };
        options.progress.get_or_insert_with(|| Arc::new(progress));
        let (started, cpu) = (pool::wall(), cpu_ms());
        let outcome = cluster::run(self.plan, self.seed, options);
        bar.finish_and_clear();
        let wall_ms = started.elapsed().as_millis() as u64;
        let report = self.report(&outcome, wall_ms, cpu_ms() - cpu);
        (report, outcome)
    }

    /// What to tell of a run that was made.
    pub fn report(&self, outcome: &Outcome, wall_ms: u64, cpu_ms: u64) -> RunReport {
        let recorder = outcome.recorder();
        let measure = &recorder.measure;
        let mut violations: Vec<Violation> = recorder.violations.clone();
        violations.sort_by_key(|violation| violation.at_ns);
        let mut probes = probes(measure);
        if self.plan.expect.safety == Safety::MayBreak {
            let broken = Violation::forgive(&mut violations);
            if broken > 0 {
                probes.insert("safety-broken".into(), broken);
            }
        }
        let goal = |name: &String| (name.clone(), probes.get(name).copied().unwrap_or(0));
        let goals = self.plan.expect.sometimes.iter().map(goal).collect();
        let missed = expectations_missed(self.plan, measure, outcome.virtual_ns);
        let verdict = match &outcome.panicked {
            Some(_) => Verdict::Panic,
            None => Verdict::decide(&violations, &missed),
        };
        let mut details: Vec<json::ViolationReport> = violations.iter().map(violation).collect();
        if let Some(panicked) = &outcome.panicked {
            details.push(json::ViolationReport {
                oracle: "panic".into(),
                slot: None,
                nodes: panicked.node.map(|node| node as u16).into_iter().collect(),
                at_ms: json::ms(panicked.at_ns),
                detail: panicked.message.clone(),
            });
        }
        let stats = &outcome.stats;
        RunReport {
            schema: json::SCHEMA,
            plan: self.plan.name.clone(),
            seed: self.seed,
            commit: env!("SIM_COMMIT").into(),
            verdict,
            fingerprint: recorder.fingerprint().hex(),
            nodes: self.plan.nodes.len(),
            virtual_ms: outcome.virtual_ns / 1_000_000,
            cpu_ms,
            wall_ms,
            peak_rss_mb: peak_rss_mb(),
            violations: details,
            expectations_missed: missed,
            messages: json::Messages {
                sent: stats.sent,
                delivered: stats.delivered,
                dropped: stats.dropped.iter().map(|(c, n)| ((*c).to_owned(), *n)).collect(),
                duplicated: stats.duplicated,
                corrupted: stats.corrupted,
            },
            slots: Slots::of(measure),
            finalization_ms: Distribution::of(&measure.finalization_ns),
            recovery_ms: measure.recoveries.iter().map(recovery).collect(),
            transactions: json::Transactions {
                submitted: measure.submitted,
                finalized: measure.finalized,
                expired: measure.expired,
                lost: measure.lost,
                latency_ms: Distribution::of(&measure.transaction_ns),
            },
            probes,
            goals,
            rules_missed: outcome.rules_missed.iter().map(|rule| (*rule).to_owned()).collect(),
        }
    }
}

fn violation(violation: &Violation) -> json::ViolationReport {
    json::ViolationReport {
        oracle: violation.oracle.into(),
        slot: violation.slot.map(|slot| slot.0),
        nodes: violation.nodes.iter().map(|node| node.0).collect(),
        at_ms: json::ms(violation.at_ns),
        detail: violation.detail.clone(),
    }
}

fn recovery(recovered: &crate::measure::Recovered) -> json::RecoveryReport {
    let since = |at: u64| json::ms(at - recovered.healed_at_ns);
    json::RecoveryReport {
        fault: recovered.label.clone(),
        healed_at_ms: json::ms(recovered.healed_at_ns),
        first_finalization_ms: recovered.first.map(|(_, at)| since(at)),
        caught_up_ms: recovered.caught_up_ns.map(since),
        bound_ms: recovered.bound_ns.map(json::ms),
    }
}

/// Situations that the measurements saw, and those that only a rule of the protocol tells.
fn probes(measure: &Measure) -> std::collections::BTreeMap<String, u64> {
    let mut probes: std::collections::BTreeMap<String, u64> =
        measure.probes.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    let rule = |wanted: &str| {
        rules::hits().iter().find(|(name, _)| *name == wanted).map_or(0, |(_, hits)| *hits)
    };
    let full = rule("producer.full_slice");
    if full > 0 {
        probes.insert("full-slice".into(), full);
    }
    probes
}

/// Gates of the plan that were missed, in words.
pub fn expectations_missed(plan: &Concrete, measure: &Measure, virtual_ns: u64) -> Vec<String> {
    let mut missed = Vec::new();
    let expect = &plan.expect;
    let finalized = Slots::of(measure).finalized();
    let possible = virtual_ns / plan.params.delta_block.0.max(1);
    if u128::from(finalized) * 1_000_000_000 < u128::from(possible) * u128::from(expect.progress.0)
    {
        missed.push(format!(
            "{finalized} slots are finalized of {possible}, {} but {} is expected",
            percent(finalized, possible),
            expect.progress
        ));
    }
    for recovery in &measure.recoveries {
        let first = recovery.first.map(|(_, at)| at - recovery.healed_at_ns);
        let caught_up = recovery.caught_up_ns.map(|at| at - recovery.healed_at_ns);
        let owed = recovery.bound_ns.is_some();
        if let Some(RecoveryGate::Within(gate)) = expect.recovery
            && owed
            && first.is_none_or(|first| first > gate.0)
        {
            missed.push(format!("no new finalization within {gate} after {}", recovery.label));
        }
        if let Some(gate) = expect.caught_up
            && owed
            && caught_up.is_none_or(|caught_up| caught_up > gate.0)
        {
            missed.push(format!("not caught up within {gate} after {}", recovery.label));
        }
    }
    let gates =
        [("median", expect.finalization_p50, 50), ("99th percentile", expect.finalization_p99, 99)];
    for (name, gate, rank) in gates {
        let measured = crate::measure::percentile(&measure.finalization_ns, rank);
        if let (Some(gate), Some(measured)) = (gate, measured)
            && measured > gate.0
        {
            missed.push(format!(
                "the {name} of finalization is {:.1} ms, above {gate}",
                json::ms(measured)
            ));
        }
    }
    missed
}

/// The page of a run, if it was recorded.
pub fn page(report: &RunReport, outcome: &Outcome, replay: &str) -> Option<String> {
    let recorder = outcome.recorder();
    let record = recorder.record(outcome.virtual_ns)?;
    Some(html::run(&html::Picture { report, record, measure: &recorder.measure, replay }))
}

/// The trace of a run in the format that is made afterwards, if it was recorded.
pub fn trace(format: Format, outcome: &Outcome) -> Option<String> {
    let recorder = outcome.recorder();
    let record = recorder.record(outcome.virtual_ns)?;
    match format {
        Format::Text => None, // was written while it happened
        Format::Brief => Some(brief::render(&record)),
        Format::Chrome => Some(chrome::render(&record).to_string() + "\n"),
    }
}

/// The seed file of a failed run.
pub fn keep(report: &RunReport, plan: &Concrete, wrong: Option<&str>) -> SeedFile {
    let first = report.violations.first();
    let story = match first {
        Some(v) => format!("{}\n{} at {:.1} ms", v.detail, v.oracle, v.at_ms),
        None => report.expectations_missed.join("\n"),
    };
    SeedFile {
        seed_format: SEED_FORMAT,
        story,
        seed: Seed(report.seed),
        wrong: wrong.map(str::to_owned),
        found: Found {
            commit: report.commit.clone(),
            verdict: report.verdict,
            oracle: first.map(|violation| violation.oracle.clone()),
            fingerprint: report.fingerprint.clone(),
            probes: report.probes.clone(),
        },
        expect: Expected { verdict: Expectation::Fails },
        plan: plan.clone(),
    }
}

/// What is about to run, for people.
pub fn headline(plan: &Concrete, seed: u64) -> String {
    let about = plan.about.trim();
    let nodes = plan.nodes.len();
    format!("{}: {about}\n{nodes} nodes, seed {seed}\n{}", plan.name, plan.describe().trim_end())
        .trim_end()
        .to_owned()
}

/// A shell word.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:%+,".contains(c);
    match word.chars().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
