//! Makes a failure smaller until somebody can understand it.
//!
//! A failure that a sweep finds has ten faults, twenty nodes and half a minute, of which most have
//! nothing to do with it. The shrinker tries smaller worlds, each in a process of its own, and keeps
//! one whenever *the same oracle* still fails in it. First it removes faults by delta debugging,
//! then it weakens what is left (`weaken` lists how), and begins again until nothing helps.
//!
//! Randomness with names makes this work: a world without one fault draws everything else as
//! before. Where the cluster itself becomes smaller nothing stays as it was, so a few other seeds
//! are tried there, too. Of the candidates of a round the first that fails is taken, not the first
//! that answers: the number of jobs decides how long it takes, never what comes out.

mod story;
mod weaken;

pub use story::tell;

use crate::plan::{Concrete, Fault};
use crate::pool::{self, Stop};
use crate::report::json::RunReport;
use crate::report::seedfile::SeedFile;
use crate::runner;
use crate::target::Target;
use crate::worker::{Task, Workers};
use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What to shrink.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The seed file.
    pub seed_file: PathBuf,
    /// Where the smaller seed file goes; next to the first one, as NAME.min.toml, if not given.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Runs at one time; as many as there are processors if not given.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Keeps the best so far after this time on the wall. Example: 3m
    #[arg(long, value_name = "TIME", value_parser = crate::sweep::budget)]
    pub budget: Option<std::time::Duration>,
    /// Writes the machine-readable result; `-` is standard output, which then carries nothing else.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
}

/// A world and a seed under which it might fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The world.
    pub plan: Concrete,
    /// The seed.
    pub seed: u64,
}

/// The machine-readable result.
#[derive(Debug, Serialize)]
struct Result {
    out: PathBuf,
    tries: u64,
    interrupted: bool,
    before: Size,
    after: Size,
    story: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Size {
    faults: usize,
    nodes: usize,
    virtual_ms: u64,
}

impl Size {
    fn of(plan: &Concrete, report: &RunReport) -> Size {
        let (faults, nodes) = (plan.faults.len(), plan.nodes.len());
        Size { faults, nodes, virtual_ms: report.virtual_ms }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.virtual_ms as f64 / 1_000.0;
        write!(f, "{} faults, {} nodes, {seconds:.1} s", self.faults, self.nodes)
    }
}

/// The search for a smaller case.
struct Search {
    workers: Workers,
    stop: Stop,
    jobs: usize,
    wrong: Option<String>,
    target: Target,
    best: Case,
    /// What the best case did when it was tried.
    report: RunReport,
    /// Cases that were tried, to try none twice.
    tried: BTreeSet<String>,
    tries: u64,
    bar: ProgressBar,
}

/// Runs the verb. Returns the exit code.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let file = SeedFile::load(&arguments.seed_file)?;
    let quiet = arguments.json.as_deref() == Some(Path::new("-"));
    let stop = Stop::after(arguments.budget).on_interrupt()?;
    let jobs = arguments.jobs.unwrap_or_else(pool::all_cores);
    let mut search = Search::new(&file, Workers::own()?, stop.clone(), jobs)?;
    let before = Size::of(&file.plan, &search.report);
    search.shrink()?;
    search.bar.finish_and_clear();
    // The last word is a full run, which ends where runs end and knows the whole fingerprint. It is
    // made even if the search was stopped.
    let task = search.task(&search.best);
    let task = Task { stop_on: None, ..task };
    let done = search.workers.run(&task, &Stop::default())?.context("nobody stops this run")?;
    let (plan, report) = (&task.plan, &done.report);
    ensure!(search.target.fails(report), "the smallest case does not fail when it runs to its end");
    let story = tell(plan, report, task.wrong.as_deref());
    let mut kept = runner::keep(report, plan, task.wrong.as_deref());
    kept.story = story.clone();
    let out =
        arguments.out.clone().unwrap_or_else(|| arguments.seed_file.with_extension("min.toml"));
    std::fs::write(&out, kept.to_toml())
        .with_context(|| format!("{} cannot be written", out.display()))?;
    let after = Size::of(plan, report);
    let result =
        Result { out, tries: search.tries, interrupted: stop.is_over(), before, after, story };
    crate::report::emit(arguments.json.as_deref(), &result)?;
    if !quiet {
        let early = if result.interrupted { ", stopped early" } else { "" };
        println!("from {before}\n  to {after} ({} runs{early})\n", result.tries);
        println!("{}\n", result.story);
        let path = result.out.display().to_string();
        println!("replay: cargo sim replay {}", runner::quote(&path));
    }
    Ok(0)
}

impl Search {
    fn new(file: &SeedFile, workers: Workers, stop: Stop, jobs: usize) -> anyhow::Result<Search> {
        let style = "{spinner} {msg} ({elapsed})";
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template(style)?);
        let mut search = Search {
            workers,
            stop,
            jobs,
            wrong: file.wrong.clone(),
            target: Target::of(&file.found),
            best: Case { plan: file.plan.clone(), seed: file.seed.0 },
            report: RunReport::default(),
            tried: BTreeSet::new(),
            tries: 1,
            bar,
        };
        let done = search.workers.run(&search.task(&search.best), &search.stop)?;
        search.report = done.context("stopped before anything was tried")?.report;
        ensure!(
            search.target.fails(&search.report),
            "this run does not fail as it was kept: it ends with {}; there is nothing to shrink",
            search.report.verdict.name()
        );
        Ok(search)
    }

    fn task(&self, case: &Case) -> Task {
        let stop_on = self.target.oracle();
        Task { stop_on, ..Task::new(case.plan.clone(), case.seed, self.wrong.clone()) }
    }

    fn shrink(&mut self) -> anyhow::Result<()> {
        loop {
            let before = self.best.clone();
            self.repeat(weaken::shorter_run)?;
            self.fewer_faults()?;
            for pass in weaken::PASSES {
                self.repeat(*pass)?;
            }
            if self.best == before || self.stop.is_over() {
                return Ok(());
            }
        }
    }

    /// Takes what a pass offers as long as it helps.
    fn repeat(&mut self, pass: fn(&Case, &RunReport) -> Vec<Case>) -> anyhow::Result<()> {
        while self.improve(pass(&self.best, &self.report))?.is_some() {}
        Ok(())
    }

    /// Delta debugging over the list of faults: parts of it alone, then the list without a part,
    /// in ever finer parts.
    fn fewer_faults(&mut self) -> anyhow::Result<()> {
        let without_any = self.with_faults(Vec::new());
        if self.improve(vec![without_any])?.is_some() {
            return Ok(());
        }
        let mut parts = 2;
        while self.best.plan.faults.len() > 1 && !self.stop.is_over() {
            let faults = self.best.plan.faults.clone();
            let size = faults.len().div_ceil(parts);
            let chunks: Vec<&[Fault]> = faults.chunks(size).collect();
            let alone = chunks.iter().map(|chunk| self.with_faults(chunk.to_vec()));
            let rest = |left: usize| -> Vec<Fault> {
                let kept = chunks.iter().enumerate().filter(|(i, _)| *i != left);
                kept.flat_map(|(_, chunk)| chunk.iter().cloned()).collect()
            };
            let rests = (0..chunks.len()).map(|left| self.with_faults(rest(left)));
            let candidates: Vec<Case> = alone.chain(rests).collect();
            let count = chunks.len();
            parts = match self.improve(candidates)? {
                Some(index) if index < count => 2,
                Some(_) => (count - 1).max(2),
                None if size == 1 => break,
                None => (count * 2).min(faults.len()),
            };
        }
        Ok(())
    }

    fn with_faults(&self, faults: Vec<Fault>) -> Case {
        let mut case = self.best.clone();
        case.plan.faults = faults;
        case
    }

    /// Tries these cases and makes the first that fails the best one. Returns its number.
    fn improve(&mut self, cases: Vec<Case>) -> anyhow::Result<Option<usize>> {
        let mut fresh = Vec::new();
        for (number, case) in cases.into_iter().enumerate() {
            let new = case != self.best
                && case.plan.legal().is_ok()
                && self.tried.insert(format!("{} {}", case.seed, case.plan.to_toml()));
            if new {
                fresh.push((number, case));
            }
        }
        if fresh.is_empty() || self.stop.is_over() {
            return Ok(None);
        }
        let size = Size::of(&self.best.plan, &self.report);
        self.bar.set_message(format!("{size}; {} runs", self.tries));
        self.bar.tick();
        let round = self.stop.nested();
        let first = AtomicUsize::new(usize::MAX);
        let indexed: Vec<(usize, &(usize, Case))> = fresh.iter().enumerate().collect();
        let (mut tries, mut best) = (0, None::<(usize, RunReport)>);
        let mut open: BTreeSet<usize> = (0..fresh.len()).collect();
        let work = |(index, (_, case)): &(usize, &(usize, Case))| {
            if *index > first.load(Ordering::SeqCst) {
                return Ok(None);
            }
            let done = self.workers.run(&self.task(case), &round)?;
            let done = done.map(|done| done.report);
            if done.as_ref().is_some_and(|report| self.target.fails(report)) {
                first.fetch_min(*index, Ordering::SeqCst);
            }
            Ok(done)
        };
        pool::each(self.jobs, &indexed, &round, work, |index, report| {
            tries += 1;
            open.remove(&index);
            let better = best.as_ref().is_none_or(|(known, _)| index < *known);
            if better && self.target.fails(&report) {
                best = Some((index, report));
            }
            // Nothing before the best is open any more: the rest of the round does not matter.
            if best.as_ref().is_some_and(|(known, _)| open.range(..*known).next().is_none()) {
                round.kill();
            }
        })?;
        self.tries += tries;
        let Some((index, report)) = best else { return Ok(None) };
        let (number, case) = fresh.swap_remove(index);
        (self.best, self.report) = (case, report);
        Ok(Some(number))
    }
}
