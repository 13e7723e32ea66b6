//! What the shipped plans reach, and what they cannot.
//!
//! A catalogue of situations ([`crate::plan::probes`]) and rules (`protocol::rules::RULES`) is worth
//! something only if somebody looks at what is never reached. [`run`] reads the folders of sweeps
//! and says of each name how many runs reached it. A name that none did is either explained here,
//! in [`UNREACHED`], with the test that covers it, or it is a gap, and the verb fails.
//!
//! `docs/coverage.md` is what it wrote when it was last asked to. `tests/coverage.rs` holds that
//! page against the catalogue in every build, so that a new name must be reached or explained; the
//! nightly hunt holds the plans against the page.

use crate::plan::probes;
use crate::report::json::RunReport;
use crate::report::verdict::Verdict;
use alpenglow_node::protocol::rules::RULES;
use anyhow::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A name of the catalogue that no shipped plan can reach.
#[derive(Clone, Copy, Debug)]
pub struct Unreached {
    /// The probe or the rule.
    pub name: &'static str,
    /// Why no shipped plan reaches it.
    pub why: &'static str,
    /// The test that does.
    pub covered_by: &'static str,
}

/// Everything that is explained instead of reached.
#[rustfmt::skip]
pub const UNREACHED: &[Unreached] = &[
    Unreached {
        name: "finality.bridge",
        why: "more than 2,048 slots must be skipped in a row, which takes hours of an outage",
        covered_by: "node/src/protocol/machine/tests/faults.rs: more_is_skipped_than_is_held",
    },
    Unreached {
        name: "transaction.expired",
        why: "no correct leader packs a transaction after its last slot, and no lie does so either",
        covered_by: "node/src/protocol/ledger.rs",
    },
];

/// What to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Folders that `sweep --out` or `merge` wrote, finished or not.
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// Writes the page `docs/coverage.md`.
    #[arg(long, value_name = "FILE.md")]
    pub write: Option<PathBuf>,
    /// Writes the machine-readable result; `-` is standard output, which then carries nothing else.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
}

/// One name, and who reached it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The probe or the rule.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Runs that reached it, by plan.
    pub plans: BTreeMap<String, u64>,
}

impl Row {
    fn runs(&self) -> u64 {
        self.plans.values().sum()
    }
}

/// What a set of runs reached.
#[derive(Debug, Serialize)]
pub struct Coverage {
    /// Runs that were looked at, by plan.
    pub runs: BTreeMap<String, u64>,
    /// The commits of the programs that made them.
    pub commits: Vec<String>,
    /// Every situation.
    pub probes: Vec<Row>,
    /// Every rule.
    pub rules: Vec<Row>,
    /// Never reached, and explained.
    pub explained: Vec<&'static str>,
    /// Never reached, and not explained.
    pub gaps: Vec<&'static str>,
    /// Explained, and reached all the same: the explanation is wrong.
    pub refuted: Vec<&'static str>,
}

impl Coverage {
    /// Of these runs.
    pub fn of(reports: &[RunReport]) -> Coverage {
        let row = |(name, about)| Row { name, about, plans: BTreeMap::new() };
        let mut probes: Vec<Row> = probes().map(|p| row((p.name, p.about))).collect();
        let mut rules: Vec<Row> = RULES.iter().copied().map(row).collect();
        let mut runs = BTreeMap::<String, u64>::new();
        let mut commits = Vec::new();
        // A run that died says nothing about rules.
        for report in reports.iter().filter(|report| !report.fingerprint.is_empty()) {
            *runs.entry(report.plan.clone()).or_default() += 1;
            if !commits.contains(&report.commit) {
                commits.push(report.commit.clone());
            }
            let reached = |row: &Row| report.probes.get(row.name).is_some_and(|hits| *hits > 0);
            let taken = |row: &Row| !report.rules_missed.iter().any(|rule| rule == row.name);
            for row in probes.iter_mut().filter(|row| reached(row)) {
                *row.plans.entry(report.plan.clone()).or_default() += 1;
            }
            for row in rules.iter_mut().filter(|row| taken(row)) {
                *row.plans.entry(report.plan.clone()).or_default() += 1;
            }
        }
        let all = || probes.iter().chain(&rules);
        let is_explained = |name: &str| UNREACHED.iter().any(|known| known.name == name);
        let never = || all().filter(|row| row.runs() == 0).map(|row| row.name);
        let (explained, gaps) = never().partition(|name| is_explained(name));
        let refuted = all().filter(|row| row.runs() > 0 && is_explained(row.name));
        let refuted = refuted.map(|row| row.name).collect();
        Coverage { runs, commits, explained, gaps, refuted, probes, rules }
    }

    /// What a person sees.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let all: u64 = self.runs.values().sum();
        for (what, rows) in [("situations", &self.probes), ("rules", &self.rules)] {
            let reached: Vec<&Row> = rows.iter().filter(|row| row.runs() > 0).collect();
            let _ = writeln!(text, "{} of {} {what} reached", reached.len(), rows.len());
            let mut rare: Vec<&Row> =
                reached.into_iter().filter(|row| row.runs() * 200 <= all).collect();
            rare.sort_by_key(|row| row.runs());
            for row in rare {
                let (runs, plans) = (row.runs(), join(row.plans.keys()));
                let _ = writeln!(text, "  rare: {} in {runs} of {all} runs ({plans})", row.name);
            }
        }
        for unreached in UNREACHED.iter().filter(|known| self.explained.contains(&known.name)) {
            let _ = writeln!(text, "explained: {}: {}", unreached.name, unreached.why);
        }
        for name in &self.refuted {
            let _ = writeln!(text, "explained, and reached all the same: {name}");
        }
        for name in &self.gaps {
            let _ = writeln!(text, "GAP: {name} was never reached");
        }
        let verdict = if self.gaps.is_empty() { "PASS" } else { "FAIL (expectation)" };
        let _ = write!(text, "{verdict}  {all} runs of {} plans", self.runs.len());
        text
    }

    /// The page `docs/coverage.md`.
    pub fn page(&self) -> String {
        let all: u64 = self.runs.values().sum();
        let (least, most) = (self.runs.values().min(), self.runs.values().max());
        let seeds = match (least, most) {
            (Some(least), Some(most)) if least == most => format!("{most} seeds each"),
            (Some(least), Some(most)) => format!("{least} to {most} seeds each"),
            _ => "no seeds".into(),
        };
        let plans = self.runs.len();
        let mut page = format!(
            "# Coverage\n\n\
             What the shipped plans reach: every situation and every rule of the catalogue\n\
             (`cargo sim list` prints both), and in how many of {all} runs ({plans} plans, {seeds}) it \
             happened.\n\
             Written by `cargo sim coverage DIR --write docs/coverage.md` from the folders of\n\
             `cargo sim sweep fault-plans/ --seeds 50 --out DIR`. `tests/coverage.rs` fails when a \
             name is missing\n\
             here; the nightly hunt fails when a name is neither reached nor explained.\n\n\
             ## Never reached, and why\n\n\
             | name | why no shipped plan reaches it | covered by |\n|---|---|---|\n"
        );
        for one in UNREACHED {
            let _ = writeln!(page, "| `{}` | {} | {} |", one.name, one.why, one.covered_by);
        }
        for (what, rows) in [("Situations", &self.probes), ("Rules", &self.rules)] {
            let _ = write!(
                page,
                "\n## {what}\n\n| name | what it means | runs | plans | most often in |\n\
                 |---|---|---|---|---|\n"
            );
            let explained = |row: &&Row| !UNREACHED.iter().any(|known| known.name == row.name);
            for row in rows.iter().filter(explained) {
                let often = |plan: &&String| {
                    let (hits, runs) = (row.plans[*plan], self.runs[*plan].max(1));
                    (hits * 1_000 / runs, hits)
                };
                let best = row.plans.keys().max_by_key(often).map_or("-", String::as_str);
                let (name, about, runs) = (row.name, row.about, row.runs());
                let plans = row.plans.len();
                let _ = writeln!(page, "| `{name}` | {about} | {runs} | {plans} | {best} |");
            }
        }
        page
    }
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<&str>>().join(", ")
}

/// The results in these folders. Runs that a sweep made so far count too.
fn read(folders: &[PathBuf]) -> anyhow::Result<Vec<RunReport>> {
    let mut reports = Vec::new();
    for folder in folders {
        let path = folder.join("runs.jsonl");
        let text = std::fs::read_to_string(&path).with_context(|| {
            let remedy = "remedy: name the --out folders of sweeps";
            format!("{} cannot be read\n{remedy}", path.display())
        })?;
        for (number, line) in text.lines().enumerate() {
            let place = || format!("{}:{}: not a result", path.display(), number + 1);
            reports.push(serde_json::from_str(line).with_context(place)?);
        }
    }
    Ok(reports)
}

/// Runs the verb. Returns the exit code.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let coverage = Coverage::of(&read(&arguments.folders)?);
    if let Some(path) = &arguments.write {
        std::fs::write(path, coverage.page())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    crate::report::emit(arguments.json.as_deref(), &coverage)?;
    if arguments.json.as_deref() != Some(Path::new("-")) {
        println!("{}", coverage.text());
    }
    let verdict = if coverage.gaps.is_empty() { Verdict::Pass } else { Verdict::Expectation };
    Ok(verdict.exit())
}
