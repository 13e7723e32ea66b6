//! The corpus of kept failures, replayed as a whole.
//!
//! A seed file is kept for a situation in which something once went wrong. It can be in four states:
//!
//! | state | the run | means |
//! |---|---|---|
//! | fails | breaks the oracle that it was kept for | open if expected, a regression if not |
//! | changed | fails in another way | somebody should look |
//! | fixed | passes, in the situation that it was kept for | it guards the fix |
//! | stale | passes, but that situation is no longer reached | it guards nothing any more |
//!
//! The situation is told by the probes in `[found]`: each that had hits must still have some. A
//! probe that only the bug itself could hit (an equivocation seen, say) should be deleted from the
//! file when the bug is fixed. A file with a wrong node in it is a canary: it must fail for ever,
//! because the day it passes the harness has lost a tooth.

use crate::pool::{self, Stop};
use crate::report::json::RunReport;
use crate::report::list::toml_files;
use crate::report::seedfile::{Expectation, SeedFile};
use crate::report::verdict::Verdict;
use crate::worker::{Task, Workers};
use anyhow::ensure;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What became of a kept failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It fails as it was kept.
    StillFailing,
    /// It fails, but not as it was kept.
    Changed,
    /// It passes, in its situation.
    Fixed,
    /// It passes because its situation is no longer reached.
    Stale,
    /// At the commit of the file the run is another one.
    Nondeterministic,
}

/// A kept failure after its replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// The seed file.
    pub path: PathBuf,
    /// What became of it.
    pub state: State,
    /// What the file expects.
    pub expect: Expectation,
    /// True if this must be mended: it fails and should pass, or a canary passes.
    pub wrong: bool,
    /// Situations that are no longer reached.
    pub missing: Vec<String>,
    /// How the run ended.
    pub verdict: Verdict,
    /// What to do or know, in one sentence.
    pub detail: String,
}

/// Judges the replay of a kept failure.
pub fn judge(path: &Path, file: &SeedFile, report: &RunReport) -> Replayed {
    let found = &file.found;
    let reached = |name: &String| report.probes.get(name).is_some_and(|hits| *hits > 0);
    let kept = found.probes.iter().filter(|(_, hits)| **hits > 0).map(|(name, _)| name);
    let missing: Vec<String> = kept.filter(|name| !reached(name)).cloned().collect();
    let same_oracle = match &found.oracle {
        Some(oracle) => report.violations.iter().any(|v| v.oracle == *oracle),
        None => report.verdict == found.verdict,
    };
    let other_run = found.is_another_run(report);
    let state = match report.verdict {
        _ if other_run => State::Nondeterministic,
        Verdict::Pass if missing.is_empty() => State::Fixed,
        Verdict::Pass => State::Stale,
        _ if same_oracle => State::StillFailing,
        _ => State::Changed,
    };
    let canary = file.wrong.is_some();
    let fails = report.verdict != Verdict::Pass;
    let wrong = match file.expect.verdict {
        _ if other_run => true,
        Expectation::Pass => fails,
        Expectation::Fails => canary && !fails,
    };
    let first = report.violations.first().map(|v| format!("{}: {}", v.oracle, v.detail));
    let broken = || first.clone().unwrap_or_else(|| report.expectations_missed.join("; "));
    let detail = match (state, file.expect.verdict) {
        (State::Nondeterministic, _) => {
            format!("at this commit the fingerprint was {}", found.fingerprint)
        }
        (State::Stale, _) => format!("no longer reached: {}", missing.join(", ")),
        (State::Fixed, Expectation::Fails) if canary => "the wrong node is not caught".into(),
        (State::Fixed, Expectation::Fails) => "set expect.verdict = \"pass\"".into(),
        (State::Fixed, Expectation::Pass) => "passes, as it must".into(),
        (_, _) => broken(),
    };
    let (path, expect, verdict) = (path.to_owned(), file.expect.verdict, report.verdict);
    Replayed { path, state, expect, wrong, missing, verdict, detail }
}

/// Replays every seed file of `folder` with these workers, in the order of their names.
pub fn replay(
    folder: &Path,
    workers: &Workers,
    jobs: usize,
    stop: &Stop,
) -> anyhow::Result<Vec<Replayed>> {
    let load = |path: PathBuf| SeedFile::load(&path).map(|file| (path, file));
    let files: Vec<_> = toml_files(folder).into_iter().map(load).collect::<Result<_, _>>()?;
    let one = |(path, file): &(PathBuf, SeedFile)| {
        let task = Task::new(file.plan.clone(), file.seed.0, file.wrong.clone());
        let done = workers.run(&task, stop)?;
        Ok(done.map(|done| judge(path, file, &done.report)))
    };
    let mut all = Vec::new();
    pool::each(jobs, &files, stop, one, |index, replayed| all.push((index, replayed)))?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, replayed)| replayed).collect())
}

/// Runs the verb `replay --all`. Returns the exit code: that of the first file that is wrong.
pub fn run(folder: &Path, jobs: Option<usize>, json: Option<&Path>) -> anyhow::Result<u8> {
    ensure!(folder.is_dir(), "{}: there is no such folder of seed files", folder.display());
    let stop = Stop::default().on_interrupt()?;
    let jobs = jobs.unwrap_or_else(pool::all_cores);
    let all = replay(folder, &Workers::own()?, jobs, &stop)?;
    crate::report::emit(json, &all)?;
    if json != Some(Path::new("-")) {
        println!("{}", table(&all));
    }
    Ok(all.iter().find(|one| one.wrong).map_or(0, |one| match one.state {
        State::Nondeterministic => Verdict::Nondeterminism.exit(),
        // A canary that passes is a goal that was missed.
        State::Fixed | State::Stale => Verdict::Expectation.exit(),
        State::StillFailing | State::Changed => one.verdict.exit(),
    }))
}

fn table(all: &[Replayed]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_width(120);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(["seed file", "state", ""]);
    for one in all {
        let state = match one.state {
            State::StillFailing => "still failing",
            State::Changed => "fails otherwise",
            State::Fixed => "fixed",
            State::Stale => "stale",
            State::Nondeterministic => "nondeterministic",
        };
        let state = if one.wrong { state.to_uppercase() } else { state.to_owned() };
        table.add_row([one.path.display().to_string(), state, one.detail.clone()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Concrete, Plan};
    use crate::report::json::ViolationReport;
    use crate::runner;

    fn world() -> Concrete {
        let text = r#"
            about = "Four equal nodes."
            plan_format = 1
            cluster = { nodes = 4, stake = "equal", regions = { one-way = "20ms" } }
            run = { duration = "10s", heal_at = "0s" }
        "#;
        Plan::parse("four", "four.toml", text, &[]).unwrap().expand(1).unwrap()
    }

    fn failed() -> RunReport {
        let violation = ViolationReport {
            oracle: "O5".into(),
            slot: Some(3),
            nodes: vec![1],
            at_ms: 5.0,
            detail: "n1 voted twice".into(),
        };
        RunReport {
            verdict: Verdict::Safety,
            commit: "c0ffee".into(),
            violations: vec![violation],
            probes: [("restart".to_owned(), 2), ("repair".to_owned(), 0)].into(),
            ..RunReport::default()
        }
    }

    fn state(file: &SeedFile, report: &RunReport) -> (State, bool) {
        let replayed = judge(Path::new("x.toml"), file, report);
        (replayed.state, replayed.wrong)
    }

    #[test]
    fn a_kept_failure_is_failing_fixed_or_stale() {
        let mut file = runner::keep(&failed(), &world(), None);
        let mut now = RunReport { commit: "now".into(), ..failed() };
        assert_eq!(state(&file, &now), (State::StillFailing, false), "it is known to be open");
        file.expect.verdict = Expectation::Pass;
        assert_eq!(state(&file, &now), (State::StillFailing, true));
        now.violations[0].oracle = "O1".into();
        assert_eq!(state(&file, &now), (State::Changed, true));
        (now.violations, now.verdict) = (vec![], Verdict::Pass);
        assert_eq!(
            state(&file, &now),
            (State::Fixed, false),
            "a probe without hits proves nothing"
        );
        now.probes.clear();
        assert_eq!(state(&file, &now), (State::Stale, false));
        assert_eq!(judge(Path::new("x"), &file, &now).missing, ["restart"]);
        file.expect.verdict = Expectation::Fails;
        file.wrong = Some("forgets-votes".into());
        assert_eq!(state(&file, &now), (State::Stale, true), "a canary must fail");
        now.commit = "c0ffee".into();
        now.fingerprint = "other".into();
        assert_eq!(state(&file, &now), (State::Nondeterministic, true));
        file.found.commit = "c0ffee-dirty".into();
        now.commit = "c0ffee-dirty".into();
        assert_eq!(state(&file, &now), (State::Stale, true), "changed code is no commit");
    }
}
