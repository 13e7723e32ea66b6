//! `cargo sim wrong`: every wrong node against the plans, until an oracle catches it.
//!
//! A wrong node is hunted alone, run after run in a fixed order: first the plans in which its bug
//! can show soonest, under one seed after the other, then all plans. The order depends on nothing
//! else, so neither jobs nor luck decide what is found. A run ends with the first violation; the
//! catch counts only if the honest node passes the *whole* of the same plan under the same seed,
//! for otherwise the oracle has said nothing about the bug.
//!
//! A wrong node that nothing catches is a hole, in the oracles or in the plans, and makes this fail.

use super::{Made, Wrong, all, named, program, table};
use crate::cluster::ANY;
use crate::plan::{Plan, Safety};
use crate::pool::{self, Stop};
use crate::report::json::RunReport;
use crate::report::verdict::Verdict;
use crate::sweep::plan_files;
use crate::worker::{Task, Workers};
use anyhow::{Context, ensure};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What to hunt, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The wrong nodes; all of them if none is named (`cargo sim list` shows them).
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How many runs each of them may take until it is caught.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub seeds: usize,
    /// Wrong nodes hunted at one time; as many as there are processors if not given.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// The plan files, or folders of them.
    #[arg(long, value_name = "PLAN|DIR", default_values = ["fault-plans"])]
    pub plans: Vec<PathBuf>,
    /// Overrides a value of every plan by its path, as in `run`.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Writes the machine-readable result; `-` is standard output, which then carries nothing else.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
}

/// What caught a wrong node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Catch {
    /// The oracle that spoke first.
    pub oracle: String,
    /// What it said.
    pub detail: String,
    /// The other oracles that had spoken when the run ended.
    pub others: Vec<String>,
    /// The plan.
    pub plan: String,
    /// The seed.
    pub seed: u64,
    /// The moment, in virtual time.
    pub at_ms: f64,
    /// CPU time of the honest node in the same world, which it passed.
    pub honest_cpu_ms: u64,
}

/// How the hunt for one wrong node went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hunt {
    /// The wrong node.
    pub name: String,
    /// What is wrong with it.
    pub about: String,
    /// `around` the node, or a `patch` in it.
    pub made: String,
    /// What caught it; null if nothing did.
    pub caught: Option<Catch>,
    /// Runs that it took, the last one included.
    pub runs: usize,
    /// CPU time of these.
    pub cpu_ms: u64,
    /// Worlds (plan and seed) that the honest node does not pass either.
    pub honest_failures: Vec<String>,
}

/// The whole result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Result {
    /// The version of this format.
    pub schema: u32,
    /// The commit that the program was built from.
    pub commit: String,
    /// How many runs each was given.
    pub seeds: usize,
    /// In the order of the table of wrong nodes.
    pub hunts: Vec<Hunt>,
}

/// The worlds in which a wrong node is tried, in order: (index of the plan, seed).
fn worlds(own: &[usize], plans: usize, seeds: usize) -> Vec<(usize, u64)> {
    let mut seen = BTreeSet::new();
    let near = (0..).flat_map(|seed| own.iter().map(move |plan| (*plan, seed)));
    let near = near.take(if own.is_empty() { 0 } else { seeds - seeds / 4 });
    let far = (0..seeds as u64).flat_map(|seed| (0..plans).map(move |plan| (plan, seed)));
    near.chain(far).filter(|world| seen.insert(*world)).take(seeds).collect()
}

struct Hunter<'a> {
    plans: Vec<Plan>,
    seeds: usize,
    workers: Workers,
    stop: &'a Stop,
    /// How the honest node did, for worlds in which several are caught.
    honest: Mutex<BTreeMap<(usize, u64), RunReport>>,
}

impl Hunter<'_> {
    /// Makes a run; with a wrong node it ends with the first violation.
    fn run(
        &self,
        (plan, seed): (usize, u64),
        wrong: Option<&Wrong>,
    ) -> anyhow::Result<Option<RunReport>> {
        let world = self.plans[plan].expand(seed)?;
        // Where liars may break safety, what was found is judged at the end of the run.
        let early = wrong.is_some() && world.expect.safety != Safety::MayBreak;
        let name = wrong.map(|wrong| wrong.name.to_owned());
        let stop_on = early.then(|| ANY.to_owned());
        let task = Task { stop_on, ..Task::new(world, seed, name) };
        Ok(self.workers.run(&task, self.stop)?.map(|done| done.report))
    }

    /// Makes the whole run with the honest node, or remembers it.
    fn honest(&self, world: (usize, u64)) -> anyhow::Result<Option<RunReport>> {
        let known = |honest: &Mutex<BTreeMap<_, RunReport>>| {
            honest.lock().unwrap_or_else(PoisonError::into_inner).get(&world).cloned()
        };
        if let Some(known) = known(&self.honest) {
            return Ok(Some(known));
        }
        let report = self.run(world, None)?;
        if let Some(report) = &report {
            let mut honest = self.honest.lock().unwrap_or_else(PoisonError::into_inner);
            honest.insert(world, report.clone());
        }
        Ok(report)
    }

    fn hunt(&self, wrong: &Wrong) -> anyhow::Result<Option<Hunt>> {
        let mut hunt = Hunt {
            name: wrong.name.into(),
            about: wrong.about.into(),
            made: wrong.made.word().into(),
            caught: None,
            runs: 0,
            cpu_ms: 0,
            honest_failures: Vec::new(),
        };
        let index = |name: &&str| self.plans.iter().position(|plan| plan.name == **name);
        let own: Vec<usize> = wrong.plans.iter().filter_map(index).collect();
        for world in worlds(&own, self.plans.len(), self.seeds) {
            if self.stop.is_over() {
                return Ok(None);
            }
            let Some(report) = self.run(world, Some(wrong))? else { return Ok(None) };
            hunt.runs += 1;
            hunt.cpu_ms += report.cpu_ms;
            let Some(first) = report.violations.first() else { continue };
            let Some(honest) = self.honest(world)? else { return Ok(None) };
            if honest.verdict != Verdict::Pass {
                let name = format!("{}, seed {}", report.plan, report.seed);
                hunt.honest_failures.push(name);
                continue;
            }
            let spoke: BTreeSet<&String> = report.violations.iter().map(|v| &v.oracle).collect();
            let others = spoke.into_iter().filter(|oracle| **oracle != first.oracle);
            hunt.caught = Some(Catch {
                oracle: first.oracle.clone(),
                detail: first.detail.clone(),
                others: others.cloned().collect(),
                plan: report.plan.clone(),
                seed: report.seed,
                at_ms: first.at_ms,
                honest_cpu_ms: honest.cpu_ms,
            });
            break;
        }
        Ok(Some(hunt))
    }
}

/// Those that the arguments name, or all that an oracle must catch.
fn wanted(names: &[String]) -> anyhow::Result<Vec<&'static Wrong>> {
    if names.is_empty() {
        return Ok(all().filter(|wrong| wrong.caught_by.is_some()).collect());
    }
    let mut wanted = Vec::new();
    for name in names {
        let wrong = named(name)?;
        ensure!(
            wrong.caught_by.is_some(),
            "{name}: nothing is wrong with the nodes that are judged"
        );
        wanted.push(wrong);
    }
    Ok(wanted)
}

/// Runs the verb. Returns the exit code.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let wanted = wanted(&arguments.names)?;
    ensure!(arguments.seeds > 0, "--seeds 0 leaves nothing to run");
    let stop = Stop::default().on_interrupt()?;
    let load = |path: &PathBuf| Plan::load(path, &arguments.sets);
    let plans: std::result::Result<Vec<Plan>, _> =
        plan_files(&arguments.plans)?.iter().map(load).collect();
    let (seeds, workers) = (arguments.seeds, Workers::own()?);
    let hunter = Hunter { plans: plans?, seeds, workers, stop: &stop, honest: Mutex::default() };
    for wrong in wanted.iter().filter(|wrong| matches!(wrong.made, Made::Patch)).take(1) {
        program(wrong.name).context("no wrong node was run")?;
    }
    let jobs = arguments.jobs.unwrap_or_else(pool::all_cores).max(1);
    let mut hunts = Vec::new();
    pool::each(
        jobs,
        &wanted,
        &stop,
        |wrong| hunter.hunt(wrong),
        |index, hunt| {
            eprintln!("{}", table::line(&hunt));
            hunts.push((index, hunt));
        },
    )?;
    hunts.sort_by_key(|(index, _)| *index);
    let hunts: Vec<Hunt> = hunts.into_iter().map(|(_, hunt)| hunt).collect();
    let whole = hunts.len() == wanted.len();
    let caught = hunts.iter().all(|hunt| hunt.caught.is_some());
    let result =
        Result { schema: 1, commit: env!("SIM_COMMIT").into(), seeds: arguments.seeds, hunts };
    crate::report::emit(arguments.json.as_deref(), &result)?;
    if arguments.json.as_deref() != Some(Path::new("-")) {
        println!("{}", table::render(&result));
        if !whole {
            println!("stopped early: {} of {} were hunted", result.hunts.len(), wanted.len());
        }
    }
    Ok(if caught && whole { 0 } else { Verdict::Expectation.exit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_plans_come_first_and_all_plans_after_them() {
        let order = worlds(&[2, 0], 3, 8);
        assert_eq!(order[..6], [(2, 0), (0, 0), (2, 1), (0, 1), (2, 2), (0, 2)]);
        assert_eq!(order[6..], [(1, 0), (1, 1)], "nothing twice");
        assert_eq!(worlds(&[], 2, 3), [(0, 0), (1, 0), (0, 1)]);
        assert_eq!(worlds(&[1], 2, 1), [(1, 0)]);
    }

    #[test]
    fn names_choose_and_the_harmless_one_is_refused() {
        assert_eq!(wanted(&["hasty".into()]).unwrap()[0].name, "hasty");
        assert!(wanted(&["forger".into()]).is_err() && wanted(&["nobody".into()]).is_err());
        let everything = wanted(&[]).unwrap();
        assert!(everything.len() >= 20 && everything.iter().all(|wrong| wrong.name != "forger"));
    }

    /// Each row names plans that are shipped: a name that is none would be passed over.
    #[test]
    fn rows_name_shipped_plans() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fault-plans");
        for wrong in all() {
            for plan in wrong.plans {
                assert!(folder.join(plan).with_extension("toml").is_file(), "{plan}");
            }
        }
    }
}
