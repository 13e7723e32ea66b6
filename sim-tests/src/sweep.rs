//! Plans times seeds, one process per run: the hunt for failures.
//!
//! A sweep makes the runs of every plan under a range of seeds and keeps what matters: one line per
//! run, a summary, and a seed file for each *kind* of failure. Ten thousand failures of one bug are
//! one finding, so failures are grouped by signature (which oracle, which rule, under which kinds of
//! faults) and the smallest of each group is kept.
//!
//! What is compared with another sweep holds no time of the machine: the same plans and seeds give
//! the same files whatever the number of jobs, the machine and the shards. What the runs cost stands
//! apart, in `costs.jsonl`. The runs are numbered seed by seed and plan by plan within a seed, so
//! that a sweep that is cut short has tried every plan; shard I of N makes the runs whose number is
//! I modulo N and needs to talk to nobody.
//!
//! | file | decides |
//! |---|---|
//! | `range` | which seeds |
//! | `signature` | which failures are the same one |
//! | `summary` | what a set of runs says |
//! | `files` | what is written, and what merging reads |
//! | `table` | what a person sees |

mod files;
mod range;
mod signature;
mod summary;
mod table;

pub use files::{Manifest, PlanEntry, merge};
pub use range::{Seeds, Shard, budget, memory};
pub use signature::{Signature, size};
pub use summary::{Failure, Summary};

use crate::plan::Plan;
use crate::pool::{self, Stop};
use crate::report::json::RunReport;
use crate::report::seedfile::SeedFile;
use crate::report::verdict::Verdict;
use crate::worker::{Task, Workers};
use crate::{runner, wrong};
use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to sweep.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Plan files, or folders of them.
    #[arg(required = true, value_name = "PLAN|DIR")]
    pub plans: Vec<PathBuf>,
    /// How many seeds from 0, or a half-open range A..B.
    #[arg(long, value_name = "N|A..B", default_value = "100")]
    pub seeds: Seeds,
    /// Runs at one time; as many as there are processors if not given.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Makes only every N-th run, the I-th of them; join the folders with `merge`.
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    pub shard: Shard,
    /// Starts nothing new after this time on the wall. Example: 30m
    #[arg(long, value_name = "TIME", value_parser = budget)]
    pub budget: Option<std::time::Duration>,
    /// Where to write runs.jsonl, costs.jsonl, summary.json, junit.xml, latencies.csv and seeds/.
    /// Without it only seed files of failures are written, to seeds/.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Writes a page about all runs, to be looked at in a browser.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Overrides a value of every plan by its path; repeatable. Example: --set cluster.crypto=null
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Plants a wrong node in every run, to see that it is caught (`cargo sim list` names them).
    #[arg(long, value_name = "NAME")]
    pub wrong: Option<String>,
    /// Ends a run whose process grows beyond this.
    #[arg(long, value_name = "SIZE", default_value = "4096MiB", value_parser = memory)]
    pub memory: u64,
    /// Writes the machine-readable summary; `-` is standard output, which then carries nothing else.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
}

/// A run that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its number in the sweep.
    pub index: u64,
    /// What came of it.
    pub report: RunReport,
    /// If it failed: the seed file and the signature.
    pub failure: Option<(Signature, SeedFile)>,
}

/// The sweep as planned.
struct Sweep {
    arguments: Arguments,
    plans: Vec<Plan>,
    manifest: Manifest,
    workers: Workers,
}

/// The plan files that these arguments name.
pub fn plan_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = crate::report::list::toml_files(path);
            ensure!(!found.is_empty(), "{}: there is no plan in this folder", path.display());
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Runs the verb. Returns the exit code.
pub fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let quiet = arguments.json.as_deref() == Some(Path::new("-"));
    let sweep = Sweep::new(arguments)?;
    let stop = Stop::after(sweep.arguments.budget).on_interrupt()?;
    // What cargo used before it became this process is no cost of the sweep.
    let (started, before_ms) = (pool::wall(), Cost::used_ms());
    let (mut made, jobs) = sweep.make(&stop)?;
    made.sort_by_key(|made| made.index);
    let summary = Summary::of(&sweep.manifest, &made);
    let folder = sweep.arguments.out.clone();
    let seeds = match &folder {
        Some(folder) => {
            files::write(folder, &sweep.manifest, &made, &summary)?;
            folder.join("seeds")
        }
        None => PathBuf::from("seeds"),
    };
    files::write_seeds(&seeds, &made, &summary)?;
    if let Some(path) = &sweep.arguments.report {
        files::write_page(path, &made)?;
    }
    let all_ms = Cost::used_ms() - before_ms;
    let cost = Cost::of(&made, jobs, started.elapsed().as_secs_f64(), all_ms);
    summary.print(sweep.arguments.json.as_deref())?;
    if !quiet {
        println!("{}", table::render(&sweep.manifest, &made, &summary, &seeds));
        println!("{cost}");
    }
    Ok(summary.verdict.exit())
}

impl Sweep {
    fn new(arguments: Arguments) -> anyhow::Result<Sweep> {
        if let Some(name) = &arguments.wrong {
            wrong::named(name)?;
        }
        let files = plan_files(&arguments.plans)?;
        let mut plans = Vec::new();
        for file in &files {
            let plan = Plan::load(file, &arguments.sets)?;
            let twin = plans.iter().any(|other: &Plan| other.name == plan.name);
            ensure!(!twin, "{}: there are two plans of this name", file.display());
            plan.expand(arguments.seeds.from)?; // what is wrong with a plan is said before it starts
            plans.push(plan);
        }
        let entry = |(plan, path): (&Plan, &PathBuf)| PlanEntry {
            name: plan.name.clone(),
            path: path.clone(),
            sometimes: plan.document.expect.sometimes.clone(),
        };
        let manifest = Manifest {
            format: files::FORMAT,
            commit: env!("SIM_COMMIT").into(),
            plans: plans.iter().zip(&files).map(entry).collect(),
            sets: arguments.sets.clone(),
            wrong: arguments.wrong.clone(),
            seeds: arguments.seeds,
            shard: arguments.shard,
        };
        Ok(Sweep { arguments, plans, manifest, workers: Workers::own()? })
    }

    /// Makes the runs, in any order.
    fn make(&self, stop: &Stop) -> anyhow::Result<(Vec<Made>, usize)> {
        let numbers: Vec<u64> = self.manifest.numbers().collect();
        let jobs = self.arguments.jobs.unwrap_or_else(pool::all_cores).max(1);
        let bar = ProgressBar::new(numbers.len() as u64);
        let style = "{bar:30} {pos}/{len} runs, {per_sec}, {msg}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is valid"));
        bar.set_message("no failures");
        let mut journal = files::Journal::open(self.arguments.out.as_deref())?;
        let (mut all, mut failures) = (Vec::with_capacity(numbers.len()), 0);
        let mut unwritten = None;
        pool::each(
            jobs,
            &numbers,
            stop,
            |number| self.one(*number, stop),
            |_, made: Made| {
                if made.report.verdict != Verdict::Pass {
                    failures += 1;
                    let plural = if failures == 1 { "" } else { "s" };
                    bar.set_message(format!("{failures} failure{plural}"));
                }
                bar.inc(1);
                unwritten = unwritten.take().or(journal.add(&made.report).err());
                all.push(made);
            },
        )?;
        bar.finish_and_clear();
        match unwritten {
            Some(error) => Err(error).context("runs.jsonl cannot be written"),
            None => Ok((all, jobs)),
        }
    }

    /// Makes the run with this number. `None` if it was stopped.
    fn one(&self, number: u64, stop: &Stop) -> anyhow::Result<Option<Made>> {
        let (plan, seed) = self.manifest.run(number);
        let world = self.plans[plan].expand(seed)?;
        let wrong = self.arguments.wrong.clone();
        let task = Task { memory_mb: self.arguments.memory, ..Task::new(world, seed, wrong) };
        let Some(done) = self.workers.run(&task, stop)? else { return Ok(None) };
        let failure = (done.report.verdict != Verdict::Pass).then(|| {
            let file = runner::keep(&done.report, &task.plan, task.wrong.as_deref());
            (Signature::of(&done.report, &task.plan), file)
        });
        Ok(Some(Made { index: number, report: done.report, failure }))
    }
}

/// Where the time went.
struct Cost {
    runs: usize,
    jobs: usize,
    wall_s: f64,
    inside_ms: u64,
    all_ms: u64,
}

impl Cost {
    /// CPU time of this process and of all children that have ended.
    fn used_ms() -> u64 {
        let used = |who| {
            let usage = getrusage(who).expect("every process has a usage");
            (usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds()) as u64
        };
        used(UsageWho::RUSAGE_SELF) + used(UsageWho::RUSAGE_CHILDREN)
    }

    fn of(made: &[Made], jobs: usize, wall_s: f64, all_ms: u64) -> Cost {
        let inside_ms = made.iter().map(|made| made.report.cpu_ms).sum();
        Cost { runs: made.len(), jobs, wall_s, inside_ms, all_ms }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.all_ms.max(1) as f64;
        let outside = self.all_ms.saturating_sub(self.inside_ms) as f64;
        write!(
            f,
            "{} runs in {:.1} s with {} jobs; {:.1} s CPU, {:.1} % of it outside the simulations; \
             {:.1} runs per CPU minute",
            self.runs,
            self.wall_s,
            self.jobs,
            all / 1_000.0,
            outside * 100.0 / all,
            self.runs as f64 * 60_000.0 / all,
        )
    }
}

/// Failures by signature.
type Groups = BTreeMap<Signature, Failure>;
