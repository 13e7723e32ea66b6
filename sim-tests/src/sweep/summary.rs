//! What a set of runs says: computed from the runs alone, so that merged shards say the same.

use super::{Groups, Made, Manifest, Signature, size};
use crate::report::verdict::Verdict;
use alpenglow_node::protocol::rules::RULES;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The summary of a sweep. Other programs read it: fields are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How the sweep ended: the gravest verdict of its runs, or a goal that was never reached.
    pub verdict: Verdict,
    /// Runs that were asked for.
    pub planned: u64,
    /// Runs that were made.
    pub runs: u64,
    /// Runs by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// One entry for each plan, in order.
    pub plans: Vec<PlanSummary>,
    /// Kinds of failures, the smallest first.
    pub failures: Vec<Failure>,
    /// Runs that reached each situation.
    pub probes: BTreeMap<String, u64>,
    /// Situations of the catalogue that no run reached.
    #[serde(default)]
    pub probes_missed: Vec<String>,
    /// Rules of the protocol that no run took.
    pub rules_missed: Vec<String>,
}

/// What the runs of one plan say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// The plan.
    pub plan: String,
    /// Runs that were made.
    pub runs: u64,
    /// Failed runs by oracle, or by verdict where no oracle spoke.
    pub failures: BTreeMap<String, u64>,
    /// Time to finalization: the median over the runs of each run's percentile, and the largest
    /// of all.
    pub finalization_ms: Spread,
    /// Time from a heal to the first finalization, over all heals of all runs.
    pub recovery_ms: Spread,
    /// The largest share of its bound that a recovery took, in percent.
    pub recovery_of_bound_percent: Option<f64>,
    /// Situations that at least one run reached.
    pub probes: BTreeSet<String>,
    /// Goals of the plan that no run reached.
    pub goals_missed: Vec<String>,
    /// Virtual time of all runs.
    pub virtual_ms: u64,
}

/// Some figures of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub n: u64,
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What they share.
    pub signature: Signature,
    /// How many runs failed so.
    pub runs: u64,
    /// The smallest of them.
    pub smallest: Smallest,
}

/// The run that stands for others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Smallest {
    /// Faults in its world.
    pub faults: usize,
    /// Nodes in its world.
    pub nodes: usize,
    /// How long it was.
    pub virtual_ms: u64,
    /// Its seed.
    pub seed: u64,
    /// Its plan.
    pub plan: String,
    /// The name of its seed file.
    pub file: String,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Spread {
            n: values.len() as u64,
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max: values.last().copied(),
        }
    }
}

impl Summary {
    /// Of runs in the order of their numbers.
    pub fn of(manifest: &Manifest, made: &[Made]) -> Summary {
        let mut groups = Groups::new();
        for made in made {
            let Some((signature, file)) = &made.failure else { continue };
            let (faults, nodes, virtual_ms) = size(&file.plan, &made.report);
            let smallest = Smallest {
                faults,
                nodes,
                virtual_ms,
                seed: made.report.seed,
                plan: made.report.plan.clone(),
                file: file.name(),
            };
            add(&mut groups, Failure { signature: signature.clone(), runs: 1, smallest });
        }
        Summary::with(manifest, made, groups)
    }

    /// Of runs whose failures are grouped already.
    pub(super) fn with(manifest: &Manifest, made: &[Made], groups: Groups) -> Summary {
        let mut verdicts = BTreeMap::<Verdict, u64>::new();
        let mut probes = BTreeMap::<String, u64>::new();
        let mut missed: BTreeSet<&str> = RULES.iter().map(|(name, _)| *name).collect();
        for Made { report, .. } in made {
            *verdicts.entry(report.verdict).or_default() += 1;
            for probe in report.probes.iter().filter(|(_, n)| **n > 0).map(|(name, _)| name) {
                *probes.entry(probe.clone()).or_default() += 1;
            }
            // A run that died says nothing about rules.
            if !report.fingerprint.is_empty() {
                missed.retain(|rule| report.rules_missed.iter().any(|name| name == rule));
            }
        }
        let whole = manifest.shard.of == 1;
        let plans: Vec<PlanSummary> = manifest
            .plans
            .iter()
            .map(|plan| plan_summary(&plan.name, &plan.sometimes, made))
            .collect();
        let goals = plans.iter().any(|plan| plan.runs > 0 && !plan.goals_missed.is_empty());
        let gravest = verdicts.keys().copied().min_by_key(|verdict| gravity(*verdict));
        let verdict = match gravest.unwrap_or(Verdict::Pass) {
            // A shard has not seen the other seeds: its parts are judged when they are merged.
            Verdict::Pass if goals && whole => Verdict::Expectation,
            gravest => gravest,
        };
        let mut failures: Vec<Failure> = groups.into_values().collect();
        failures.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        Summary {
            verdict,
            planned: manifest.numbers().count() as u64,
            runs: made.len() as u64,
            verdicts,
            plans,
            failures,
            probes_missed: crate::plan::probes()
                .map(|probe| probe.name.to_owned())
                .filter(|name| !probes.contains_key(name))
                .collect(),
            probes,
            rules_missed: missed.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Writes it where `--json` says.
    pub fn print(&self, json: Option<&Path>) -> anyhow::Result<()> {
        crate::report::emit(json, self)
    }

    /// The text of `summary.json`.
    pub fn to_json(&self) -> anyhow::Result<String> {
        serde_json::to_string_pretty(self).context("the summary cannot be encoded")
    }
}

/// Adds failures of one kind to those known already.
pub(super) fn add(groups: &mut Groups, failure: Failure) {
    match groups.get_mut(&failure.signature) {
        Some(known) => {
            known.runs += failure.runs;
            known.smallest = known.smallest.clone().min(failure.smallest);
        }
        None => {
            groups.insert(failure.signature.clone(), failure);
        }
    }
}

/// What makes a sweep fail first: a lie, a crash, a run that cannot be trusted, a stall, a gate.
fn gravity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Safety => 0,
        Verdict::Panic => 1,
        Verdict::Nondeterminism => 2,
        Verdict::Liveness => 3,
        Verdict::Expectation => 4,
        Verdict::Pass => 5,
    }
}

fn plan_summary(plan: &str, sometimes: &[String], made: &[Made]) -> PlanSummary {
    let reports: Vec<_> = made.iter().map(|m| &m.report).filter(|r| r.plan == plan).collect();
    let mut failures = BTreeMap::<String, u64>::new();
    let mut probes = BTreeSet::new();
    let (mut recoveries, mut of_bound) = (Vec::new(), None::<f64>);
    for report in &reports {
        if report.verdict != Verdict::Pass {
            let first = report.violations.first();
            let name = first.map_or(report.verdict.name(), |v| v.oracle.as_str());
            *failures.entry(name.into()).or_default() += 1;
        }
        probes.extend(report.probes.iter().filter(|(_, n)| **n > 0).map(|(name, _)| name.clone()));
        for recovery in &report.recovery_ms {
            let Some(first) = recovery.first_finalization_ms else { continue };
            recoveries.push(first);
            if let Some(bound) = recovery.bound_ms.filter(|bound| *bound > 0.0) {
                let share = (first / bound * 1_000.0).round() / 10.0;
                of_bound = Some(of_bound.map_or(share, |known| known.max(share)));
            }
        }
    }
    let each = |of: fn(&crate::report::json::Distribution) -> Option<f64>| -> Spread {
        Spread::of(reports.iter().filter_map(|r| of(&r.finalization_ms)).collect())
    };
    let (medians, high, higher) = (each(|d| d.p50), each(|d| d.p95), each(|d| d.p99));
    PlanSummary {
        plan: plan.to_owned(),
        runs: reports.len() as u64,
        failures,
        finalization_ms: Spread {
            n: reports.iter().map(|r| r.finalization_ms.n).sum(),
            p50: medians.p50,
            p95: high.p50,
            p99: higher.p50,
            max: each(|d| d.max).max,
        },
        recovery_ms: Spread::of(recoveries),
        recovery_of_bound_percent: of_bound,
        goals_missed: sometimes.iter().filter(|goal| !probes.contains(*goal)).cloned().collect(),
        probes,
        virtual_ms: reports.iter().map(|r| r.virtual_ms).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_by_nearest_rank() {
        let spread = Spread::of((1..=200).rev().map(f64::from).collect());
        let figures = (spread.n, spread.p50, spread.p95, spread.p99, spread.max);
        assert_eq!(figures, (200, Some(100.0), Some(190.0), Some(198.0), Some(200.0)));
        assert_eq!(Spread::of(vec![]), Spread::default());
    }

    #[test]
    fn the_gravest_verdict_is_a_broken_promise_of_safety() {
        let all = [Verdict::Liveness, Verdict::Pass, Verdict::Panic, Verdict::Safety];
        assert_eq!(all.into_iter().min_by_key(|v| gravity(*v)), Some(Verdict::Safety));
    }
}
