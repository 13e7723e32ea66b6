//! Where two runs part: the first event that differs, with what surrounds it.
//!
//! Two runs that should be the same one and are not say so only by their fingerprints, millions of
//! events later. But a rolling hash that is noted every few thousand events is sorted by nature:
//! equal up to the first difference, different ever after. So a bisection over the checkpoints
//! finds the window; a second run of each side puts the events of that window into words; and the
//! first pair of unequal lines is the answer. It is shown with the events before and after it on
//! the nodes concerned, aligned, because the cause is what those nodes did last.
//!
//! The two sides are two seed files, one seed file in two builds of this program, or two recorded
//! traces (which are compared line by line, because they are there).

use crate::pool::{self, Stop};
use crate::report::seedfile::SeedFile;
use crate::report::verdict::Verdict;
use crate::trace::fingerprint::Checkpoint;
use crate::trace::text::Line;
use crate::worker::{Done, Task, Workers};
use anyhow::{Context, ensure};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use std::path::{Path, PathBuf};

/// Events of the nodes concerned that are shown before the difference, and after it.
const AROUND: usize = 8;

/// Events before the window in which the nodes concerned are looked for.
const BEFORE: u64 = 4_096;

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// A seed file, or a trace that `run --trace` wrote.
    pub a: PathBuf,
    /// Another of the same kind; the same again if not given.
    pub b: Option<PathBuf>,
    /// Runs the second side with another build of this program.
    #[arg(long, value_name = "PROGRAM")]
    pub against: Option<PathBuf>,
    /// Writes the machine-readable result; `-` is standard output, which then carries nothing else.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
}

/// The first difference of two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The number of the event, counted from 0.
    pub index: u64,
    /// The event on the first side, if there is one.
    pub a: Option<Line>,
    /// The event on the second side, if there is one.
    pub b: Option<Line>,
    /// The events around it on the nodes concerned, aligned: a space for both sides, A or B.
    pub around: Vec<String>,
}

/// The machine-readable result.
#[derive(Debug, Serialize)]
struct Outcome {
    equal: bool,
    events: u64,
    difference: Option<Difference>,
}

/// A run to compare.
#[derive(Clone, Debug)]
pub struct Side {
    /// Who makes it.
    pub workers: Workers,
    /// What it is.
    pub task: Task,
}

/// Runs the verb. Returns the exit code: 0 if there is no difference.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let b = arguments.b.as_ref().unwrap_or(&arguments.a);
    let is_seed = |path: &Path| path.extension().is_some_and(|ending| ending == "toml");
    ensure!(
        is_seed(&arguments.a) == is_seed(b),
        "{} and {}: compare two seed files (.toml) or two traces",
        arguments.a.display(),
        b.display()
    );
    let (events, difference) = if is_seed(b) {
        let own = Workers::own()?;
        let other = arguments.against.clone().map_or(own.clone(), Workers::of);
        let side = |path: &Path, workers: Workers| -> anyhow::Result<Side> {
            let file = SeedFile::load(path)?;
            let task = Task::new(file.plan, file.seed.0, file.wrong);
            Ok(Side { workers, task })
        };
        let sides = [side(&arguments.a, own)?, side(b, other)?];
        compare(&sides, &Stop::default().on_interrupt()?)?
    } else {
        ensure!(arguments.against.is_none(), "--against needs a seed file");
        let (a, b) = (trace(&arguments.a)?, trace(b)?);
        (a.len() as u64, first_difference(&a, &b))
    };
    let outcome = Outcome { equal: difference.is_none(), events, difference };
    crate::report::emit(arguments.json.as_deref(), &outcome)?;
    if arguments.json.as_deref() != Some(Path::new("-")) {
        match &outcome.difference {
            None => println!("no difference in {events} events"),
            Some(difference) => println!("{difference}"),
        }
    }
    Ok(if outcome.equal { 0 } else { Verdict::Nondeterminism.exit() })
}

/// Compares two runs: the number of events of the first, and the first difference if any.
///
/// # Errors
/// If the difference was there once and is not there again, which names what was seen.
pub fn compare(sides: &[Side; 2], stop: &Stop) -> anyhow::Result<(u64, Option<Difference>)> {
    let tasks = sides.clone().map(|side| {
        let task = Task { checkpoints: true, ..side.task };
        Side { task, ..side }
    });
    let [a, b] = both(&tasks, stop)?;
    let events = a.checkpoints.last().map_or(0, |last| last.events);
    let Some((from, to)) = window(&a.checkpoints, &b.checkpoints) else {
        return Ok((events, None));
    };
    let tasks = sides.clone().map(|side| {
        let describe = Some((from.saturating_sub(BEFORE), to));
        let task = Task { describe, ..side.task };
        Side { task, ..side }
    });
    let [a, b] = both(&tasks, stop)?;
    let found = first_difference(&a.lines, &b.lines);
    let found = found.with_context(|| {
        format!("the runs differ between events {from} and {to}, but two more runs did not")
    })?;
    Ok((events, Some(found)))
}

/// Makes both runs at once.
fn both(sides: &[Side; 2], stop: &Stop) -> anyhow::Result<[Done; 2]> {
    let mut done = [None, None];
    let work = |side: &Side| side.workers.run(&side.task, stop);
    pool::each(2, sides, stop, work, |index, result| done[index] = Some(result))?;
    let [Some(a), Some(b)] = done else { anyhow::bail!("stopped") };
    for side in [&a, &b] {
        let died = side.report.fingerprint.is_empty();
        ensure!(!died, "a run died: {}", side.report.violations[0].detail);
    }
    Ok([a, b])
}

/// The events between the last equal and the first unequal checkpoint: from the first number to
/// before the second. `None` if all are equal.
fn window(a: &[Checkpoint], b: &[Checkpoint]) -> Option<(u64, u64)> {
    if a == b {
        return None;
    }
    // Checkpoints are equal up to the first difference and never again: bisect.
    let (mut equal, mut unequal) = (0, a.len().min(b.len()));
    while equal < unequal {
        let middle = (equal + unequal) / 2;
        match a[middle] == b[middle] {
            true => equal = middle + 1,
            false => unequal = middle,
        }
    }
    let from = equal.checked_sub(1).map_or(0, |last| a[last].events);
    let end = |side: &[Checkpoint]| side.get(equal).map_or(from, |checkpoint| checkpoint.events);
    Some((from, end(a).max(end(b)).max(from + 1)))
}

/// The first pair of lines that differ, both lists beginning with the same event.
fn first_difference(a: &[Line], b: &[Line]) -> Option<Difference> {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    if same == a.len() && same == b.len() {
        return None;
    }
    let concerned: Vec<u16> =
        [a.get(same), b.get(same)].into_iter().flatten().map(|l| l.node).collect();
    let around = |side: &[Line]| -> Vec<String> {
        let of = |line: &&Line| concerned.contains(&line.node);
        let before: Vec<&Line> = side[..same].iter().filter(of).collect();
        let before = before[before.len().saturating_sub(AROUND)..].iter().copied();
        let after = side[same..].iter().filter(of).take(AROUND);
        before.chain(after).map(Line::to_string).collect()
    };
    let (left, right) = (around(a), around(b));
    let (old, new): (Vec<&str>, Vec<&str>) =
        (left.iter().map(String::as_str).collect(), right.iter().map(String::as_str).collect());
    let aligned = TextDiff::from_slices(&old, &new);
    let around = aligned.iter_all_changes().map(|change| {
        let sign = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => 'A',
            ChangeTag::Insert => 'B',
        };
        format!("{sign} {}", change.value())
    });
    Some(Difference {
        index: a.get(same).or(b.get(same)).map_or(0, |line| line.index),
        a: a.get(same).cloned(),
        b: b.get(same).cloned(),
        around: around.collect(),
    })
}

/// The lines of a recorded trace.
fn trace(path: &Path) -> anyhow::Result<Vec<Line>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: not a readable trace", path.display()))?;
    Ok(text.lines().zip(0..).map(|(line, index)| recorded(line, index)).collect())
}

/// A line `seconds.nanoseconds node what`; anything else is an event of nobody at no time.
fn recorded(line: &str, index: u64) -> Line {
    let parts = || {
        let (time, rest) = line.trim_start().split_once(' ')?;
        let (node, text) = rest.split_once(' ')?;
        let (seconds, nanos) = time.split_once('.')?;
        let ns = seconds.parse::<u64>().ok()? * 1_000_000_000 + nanos.parse::<u64>().ok()?;
        let node = node.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
        Some(Line { index, at_ns: ns, node, text: text.to_owned() })
    };
    parts().unwrap_or_else(|| Line { index, at_ns: 0, node: u16::MAX, text: line.to_owned() })
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = |line: &Option<Line>| {
            line.as_ref().map_or("nothing more happens".to_owned(), Line::to_string)
        };
        writeln!(f, "the first difference is event {}", self.index)?;
        writeln!(f, "A {}\nB {}\n", side(&self.a), side(&self.b))?;
        write!(f, "around it, on the nodes concerned:")?;
        self.around.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoints(hashes: &[u128]) -> Vec<Checkpoint> {
        let numbered = hashes.iter().zip(1..);
        numbered.map(|(hash, n)| Checkpoint { events: n * 10, at_ns: n, hash: *hash }).collect()
    }

    #[test]
    fn the_window_ends_at_the_first_unequal_checkpoint() {
        let a = checkpoints(&[1, 2, 3, 4, 5]);
        assert_eq!(window(&a, &a), None);
        for first in 0..5 {
            let mut hashes: Vec<u128> = (1..=5).collect();
            hashes[first..].fill(0);
            let from = first as u64 * 10;
            assert_eq!(window(&a, &checkpoints(&hashes)), Some((from, from + 10)));
        }
        assert_eq!(window(&a, &a[..3]), Some((30, 40)), "one side ends early");
        assert_eq!(window(&a[..0], &a), Some((0, 10)));
    }

    #[test]
    fn the_first_difference_is_shown_among_its_neighbours() {
        let lines = |texts: &[(u16, &str)]| -> Vec<Line> {
            let numbered = texts.iter().zip(0..);
            numbered
                .map(|((node, text), n)| Line {
                    index: n,
                    at_ns: n,
                    node: *node,
                    text: (*text).into(),
                })
                .collect()
        };
        let a = lines(&[(1, "wakes"), (2, "sleeps"), (1, "votes"), (1, "rests")]);
        let b = lines(&[(1, "wakes"), (2, "sleeps"), (1, "skips"), (1, "rests")]);
        insta::assert_snapshot!(first_difference(&a, &b).unwrap(), @"
        the first difference is event 2
        A    0.000000002 n1 votes
        B    0.000000002 n1 skips

        around it, on the nodes concerned:
             0.000000000 n1 wakes
        A    0.000000002 n1 votes
        B    0.000000002 n1 skips
             0.000000003 n1 rests
        ");
        assert_eq!(first_difference(&a, &a), None);
        let shorter = first_difference(&a[..2], &a).unwrap();
        assert_eq!((shorter.index, shorter.a), (2, None));
    }

    #[test]
    fn recorded_lines_are_read_as_they_were_written() {
        let line = Line { index: 4, at_ns: 12_000_000_007, node: 19, text: "a b".into() };
        assert_eq!(recorded(&line.to_string(), 4), line);
        assert_eq!(recorded("{\"json\": 1}", 0).node, u16::MAX);
    }
}
