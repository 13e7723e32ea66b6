//! Why, and from when: at what moment a failure became likely.
//!
//! The violation is the end of a story that began earlier. To find the beginning, the run is
//! replayed up to a time T and then given another future: the same world and the same faults, but
//! everything that is left to chance (delays, losses, order) drawn anew from T on. The share of
//! futures that fail is a curve over T: low while nothing is decided, near one once the failure is
//! only a matter of time. Where it jumps, something happened that made the failure likely, and that
//! is where to look; the violation itself is often far behind.
//!
//! Around the largest jump the times are laid closer, twice, and the events there are listed.

use crate::plan::{Fault, Nanos};
use crate::pool::{self, Stop};
use crate::report::html;
use crate::report::json::{self, RunReport};
use crate::report::seedfile::SeedFile;
use crate::target::Target;
use crate::trace::text::Line;
use crate::worker::{Done, Task, Workers};
use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Times within the largest jump in each round of refinement.
const CLOSER: u64 = 5;
/// Rounds of refinement.
const ROUNDS: usize = 2;
/// Events that are listed.
const LISTED: usize = 20;
/// Width of a full bar of the plot.
const BAR: usize = 40;

/// Which failure to ask about.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The seed file.
    pub seed_file: PathBuf,
    /// Futures at each time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub futures: u64,
    /// Times along the run.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(2..))]
    pub points: u64,
    /// Runs at one time; as many as there are processors if not given.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Shows what is known after this time on the wall. Example: 3m
    #[arg(long, value_name = "TIME", value_parser = crate::sweep::budget)]
    pub budget: Option<std::time::Duration>,
    /// Draws it as one HTML file that needs no network. Example: --report causes.html
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Writes the machine-readable result; `-` is standard output, which then carries nothing else.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
}

/// The futures of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// From when on everything was drawn anew.
    pub at: Nanos,
    /// Futures that failed.
    pub failed: u64,
    /// Futures that were run.
    pub futures: u64,
}

impl Point {
    fn share(&self) -> f64 {
        self.failed as f64 / self.futures.max(1) as f64
    }
}

/// The machine-readable result.
#[derive(Debug, Serialize)]
struct Causes {
    /// When the violation happened in the run itself.
    violated_at: Nanos,
    points: Vec<Point>,
    /// Between which times the share rose most.
    jump: Option<(Nanos, Nanos)>,
    /// What the plan does between them.
    faults: Vec<String>,
    /// What nodes did between them.
    events: Vec<Line>,
}

struct Inquiry {
    workers: Workers,
    task: Task,
    target: Target,
    futures: u64,
    jobs: usize,
    stop: Stop,
}

/// Runs the verb. Returns the exit code.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let file = SeedFile::load(&arguments.seed_file)?;
    let story = file.story.clone();
    if let Some(path) = &arguments.report {
        write(path, "")?; // known before the hunt, not after it
    }
    let inquiry = Inquiry {
        workers: Workers::own()?,
        task: Task::new(file.plan, file.seed.0, file.wrong),
        target: Target::of(&file.found),
        futures: arguments.futures,
        jobs: arguments.jobs.unwrap_or_else(pool::all_cores),
        stop: Stop::after(arguments.budget).on_interrupt()?,
    };
    let base = inquiry.base()?;
    ensure!(
        inquiry.target.fails(&base.report),
        "this run does not fail as it was kept: it ends with {}; there is no cause to look for",
        base.report.verdict.name()
    );
    let end = end_of(&base.report);
    let last = arguments.points - 1;
    let mut points = inquiry.at((0..=last).map(|i| Nanos(end.0 / last * i)).collect())?;
    for _ in 0..ROUNDS {
        let Some((from, to)) = largest_jump(&points) else { break };
        let step = (to.0 - from.0) / (CLOSER + 1);
        if inquiry.stop.is_over() || step < 1_000_000 {
            break;
        }
        points.extend(inquiry.at((1..=CLOSER).map(|i| Nanos(from.0 + step * i)).collect())?);
        points.sort_by_key(|point| point.at);
    }
    let jump = largest_jump(&points);
    let (faults, events) = match jump {
        Some((from, to)) => (inquiry.faults(from, to), inquiry.events(&base, from, to)?),
        None => (Vec::new(), Vec::new()),
    };
    let causes = Causes { violated_at: end, points, jump, faults, events };
    crate::report::emit(arguments.json.as_deref(), &causes)?;
    if let Some(path) = &arguments.report {
        let replay = format!(
            "cargo sim causes {} --futures {}",
            crate::runner::quote(&arguments.seed_file.display().to_string()),
            arguments.futures
        );
        write(path, &causes.page(&inquiry.task, &base.report, &story, &replay))?;
    }
    if arguments.json.as_deref() != Some(Path::new("-")) {
        println!("{}", causes.text());
    }
    Ok(0)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// When the failure had happened.
fn end_of(report: &RunReport) -> Nanos {
    let first = report.violations.first().map(|v| Nanos((v.at_ms * 1e6) as u64 + 1_000));
    first.unwrap_or(Nanos::from_millis(report.virtual_ms))
}

/// The neighbours between which the share of failing futures rises most, for good; the earliest of
/// equals. A handful of futures scatter, and the difference of two neighbours is mostly scatter: so
/// the rise is taken from the rising curve that fits the points best.
fn largest_jump(points: &[Point]) -> Option<(Nanos, Nanos)> {
    let curve = rising(points);
    let mut best: Option<(f64, (Nanos, Nanos))> = None;
    for (pair, shares) in points.windows(2).zip(curve.windows(2)) {
        let rise = shares[1] - shares[0];
        if rise > best.map_or(0.0, |(known, _)| known) {
            best = Some((rise, (pair[0].at, pair[1].at)));
        }
    }
    best.map(|(_, jump)| jump)
}

/// The best fit to the shares that never falls: neighbours that fall share their mean.
fn rising(points: &[Point]) -> Vec<f64> {
    // (failed, futures, points) of each level.
    let mut levels: Vec<(u64, u64, usize)> = Vec::new();
    for point in points {
        let mut level = (point.failed, point.futures, 1);
        while let Some(last) = levels.last().copied()
            && u128::from(last.0) * u128::from(level.1) >= u128::from(level.0) * u128::from(last.1)
        {
            levels.pop();
            level = (last.0 + level.0, last.1 + level.1, last.2 + level.2);
        }
        levels.push(level);
    }
    let flat = |(failed, futures, n): (u64, u64, usize)| {
        std::iter::repeat_n(failed as f64 / futures.max(1) as f64, n)
    };
    levels.into_iter().flat_map(flat).collect()
}

impl Inquiry {
    fn base(&self) -> anyhow::Result<Done> {
        let task = Task { checkpoints: true, ..self.task.clone() };
        self.workers.run(&task, &self.stop)?.context("stopped before anything was tried")
    }

    /// Runs the futures of these moments. Moments of which none was run are left out.
    fn at(&self, times: Vec<Nanos>) -> anyhow::Result<Vec<Point>> {
        let futures = |at: &Nanos| {
            let at = *at;
            (1..=self.futures).map(move |salt| (at, salt))
        };
        let tasks: Vec<(Nanos, u64)> = times.iter().flat_map(futures).collect();
        let bar = ProgressBar::new(tasks.len() as u64);
        let style = "{bar:30} {pos}/{len} futures, {per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style)?);
        let point = |at: Nanos| Point { at, failed: 0, futures: 0 };
        let mut points: Vec<Point> = times.into_iter().map(point).collect();
        let work = |(at, salt): &(Nanos, u64)| {
            let fresh = Some((*at, *salt));
            let task = Task { fresh, stop_on: self.target.oracle(), ..self.task.clone() };
            Ok(self.workers.run(&task, &self.stop)?.map(|done| self.target.fails(&done.report)))
        };
        pool::each(self.jobs, &tasks, &self.stop, work, |index, failed| {
            let point = &mut points[index / self.futures as usize];
            point.futures += 1;
            point.failed += u64::from(failed);
            bar.inc(1);
        })?;
        bar.finish_and_clear();
        points.retain(|point| point.futures > 0);
        Ok(points)
    }

    /// What the plan switches in this time.
    fn faults(&self, from: Nanos, to: Nanos) -> Vec<String> {
        let plan = &self.task.plan;
        let inside = |time: Nanos| from <= time && time <= to;
        let mut lines = Vec::new();
        for fault in &plan.faults {
            let ends = fault.end.is_some_and(|end| end != fault.start && inside(end));
            if inside(fault.start) || ends {
                lines.push(fault.describe(plan.total_stake()));
            }
        }
        lines
    }

    /// What nodes did in this time, in the run itself: all of it on the nodes of the violation if
    /// that is enough to say something, else of all.
    fn events(&self, base: &Done, from: Nanos, to: Nanos) -> anyhow::Result<Vec<Line>> {
        let before = base.checkpoints.iter().rfind(|checkpoint| checkpoint.at_ns < from.0);
        let after = base.checkpoints.iter().find(|checkpoint| checkpoint.at_ns > to.0);
        let last = base.checkpoints.last().map_or(0, |last| last.events);
        let range = (before.map_or(0, |c| c.events), after.map_or(last, |c| c.events));
        let task = Task { describe: Some(range), ..self.task.clone() };
        let Some(done) = self.workers.run(&task, &Stop::default())? else { return Ok(Vec::new()) };
        let concerned: Vec<u16> =
            base.report.violations.first().map(|v| v.nodes.clone()).unwrap_or_default();
        let telling = |line: &&Line| {
            let packet = line.text.starts_with("<-") || line.text.starts_with("lost");
            let routine = ["Woke", "Flushed", "Command", "Freed", "VoteStored", "Rejected"];
            let inside = from.0 <= line.at_ns && line.at_ns <= to.0;
            inside && !packet && !routine.iter().any(|word| line.text.starts_with(word))
        };
        let all: Vec<&Line> = done.lines.iter().filter(telling).collect();
        let theirs: Vec<&Line> =
            all.iter().copied().filter(|line| concerned.contains(&line.node)).collect();
        // Where nobody concluded anything, it is what came or was lost that decided.
        let packets = || {
            let here = |line: &&Line| from.0 <= line.at_ns && line.at_ns <= to.0;
            done.lines.iter().filter(here).collect()
        };
        let chosen = match (theirs.is_empty(), all.is_empty()) {
            (false, _) => theirs,
            (true, false) => all,
            (true, true) => packets(),
        };
        let skip = chosen.len().saturating_sub(LISTED);
        Ok(chosen[skip..].iter().map(|line| (*line).clone()).collect())
    }
}

impl Causes {
    /// The picture: everything in milliseconds.
    fn page(&self, task: &Task, run: &RunReport, story: &str, replay: &str) -> String {
        let ms = |at: Nanos| json::ms(at.0);
        let plan = &task.plan;
        let curve = rising(&self.points);
        let fit = |at: Nanos| -> f64 {
            let known = self.points.iter().position(|point| point.at == at);
            known.map_or(0.0, |index| curve[index])
        };
        let point = |(point, fit): (&Point, &f64)| {
            json!({
                "at_ms": ms(point.at), "failed": point.failed, "futures": point.futures,
                "fit": fit,
            })
        };
        let fault = |fault: &Fault| {
            let text = fault.describe(plan.total_stake());
            json!({
                "label": fault.label, "near": self.faults.contains(&text), "text": text,
                "from_ms": ms(fault.start), "to_ms": fault.end.map(ms),
            })
        };
        let event = |line: &Line| json!({ "at_ms": json::ms(line.at_ns), "node": line.node, "text": line.text });
        let jump = self.jump.map(|(from, to)| {
            json!({
                "from_ms": ms(from), "to_ms": ms(to), "before": fit(from), "after": fit(to),
            })
        });
        let first = run.violations.first();
        html::causes(&json!({
            "plan": plan.name, "seed": task.seed.to_string(), "story": story.trim(),
            "replay": replay, "nodes": plan.nodes.len(), "commit": run.commit,
            "oracle": first.map_or(run.verdict.name(), |v| v.oracle.as_str()),
            "detail": first.map_or("", |v| v.detail.as_str()),
            "violated_ms": ms(self.violated_at), "heal_ms": plan.run.heal_at.map(ms),
            "futures": self.points.iter().map(|point| point.futures).sum::<u64>(),
            "points": self.points.iter().zip(&curve).map(point).collect::<Vec<_>>(),
            "jump": jump,
            "faults": plan.faults.iter().map(fault).collect::<Vec<_>>(),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
        }))
    }

    fn text(&self) -> String {
        let mut text = String::from("share of failing futures, if all is drawn anew from T on\n");
        for point in &self.points {
            let filled = (point.share() * BAR as f64).round() as usize;
            let bar = "#".repeat(filled);
            let (at, percent) = (point.at.in_seconds(), point.share() * 100.0);
            let Point { failed, futures, .. } = point;
            let _ =
                writeln!(text, "{at:>10} |{bar:<BAR$}| {percent:>3.0} % ({failed} of {futures})");
        }
        let _ = writeln!(text, "{:>10} | the violation", self.violated_at.in_seconds());
        let Some((from, to)) = self.jump else {
            text.push_str("\nthe share never rises: the failure does not depend on chance");
            return text;
        };
        let (from, to) = (from.in_seconds(), to.in_seconds());
        let _ = write!(text, "\nthe largest jump is between {from} and {to}");
        for fault in &self.faults {
            let _ = write!(text, "\n  {fault}");
        }
        for event in &self.events {
            let _ = write!(text, "\n  {event}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: u64, failed: u64) -> Point {
        Point { at: Nanos::from_secs(at), failed, futures: 4 }
    }

    #[test]
    fn the_largest_jump_is_a_rise() {
        let points = [point(0, 3), point(1, 0), point(2, 1), point(3, 3), point(4, 4)];
        assert_eq!(largest_jump(&points), Some((Nanos::from_secs(2), Nanos::from_secs(3))));
        assert_eq!(rising(&points)[..3], [1.0 / 3.0; 3], "what falls is pooled");
        let scattered = [point(0, 1), point(1, 4), point(2, 0), point(3, 1), point(4, 4)];
        let expected = Some((Nanos::from_secs(3), Nanos::from_secs(4)));
        assert_eq!(largest_jump(&scattered), expected, "the rise to the second was not for good");
        assert_eq!(largest_jump(&[point(0, 4), point(1, 4)]), None);
        assert_eq!(largest_jump(&[]), None);
    }

    #[test]
    fn the_plot_is_read_from_top_to_bottom() {
        let causes = Causes {
            violated_at: Nanos::from_millis(2_500),
            points: vec![point(0, 0), point(1, 1), point(2, 4)],
            jump: Some((Nanos::from_secs(1), Nanos::from_secs(2))),
            faults: vec!["crash #1".into()],
            events: vec![Line { index: 1, at_ns: 1_500_000_000, node: 3, text: "Timeout".into() }],
        };
        insta::assert_snapshot!(causes.text(), @"
        share of failing futures, if all is drawn anew from T on
           0.000 s |                                        |   0 % (0 of 4)
           1.000 s |##########                              |  25 % (1 of 4)
           2.000 s |########################################| 100 % (4 of 4)
           2.500 s | the violation

        the largest jump is between 1.000 s and 2.000 s
          crash #1
             1.500000000 n3 Timeout
        ");
    }
}
