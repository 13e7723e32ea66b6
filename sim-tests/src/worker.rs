//! One run in a process of its own: what the parent asks, what the child answers, who watches.
//!
//! One process may make one run (statics, process-wide counters). Whoever wants many runs starts
//! this program again for each, with the hidden verb `worker`: the task goes in as JSON on standard
//! input, the answer comes out as one line of JSON. The task holds the expanded world, so a child
//! reads no file and two children cannot disagree about what they run. Another build of the program
//! can be asked as well, which is how two builds are compared.
//!
//! A run may also hang or eat the machine. The child watches itself from a thread outside the
//! simulation: a virtual second that takes more than [`STUCK`] of CPU time, or a resident set above
//! the limit, ends the process. CPU time and not wall time, so that a busy machine changes no
//! verdict; only a child that waits for ever without using any is ended by the wall clock
//! ([`STILL`]). Whatever a child dies of becomes an ordinary report with an ordinary verdict.

use crate::cluster::Options;
use crate::plan::{Concrete, Nanos};
use crate::pool::Stop;
use crate::report::json::{self, RunReport, ViolationReport};
use crate::report::verdict::Verdict;
use crate::runner::{self, Job};
use crate::trace::fingerprint::Checkpoint;
use crate::trace::text::Line;
use crate::wrong;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// CPU time that a run may take without a virtual second passing.
pub const STUCK: Duration = Duration::from_secs(120);

/// Time on the wall without a virtual second, after which a child that hardly computes has stopped
/// for good. Far more than a starved process waits for its turn.
pub const STILL: Duration = Duration::from_secs(1_800);

/// How often a child looks at itself.
const LOOK: Duration = Duration::from_millis(200);

/// Exit code of a child whose watchdog ended it.
const WATCHDOG: i32 = 70;

/// One run to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The world.
    pub plan: Concrete,
    /// The seed.
    pub seed: u64,
    /// The wrong node to plant.
    pub wrong: Option<String>,
    /// The run may end early once this oracle (or [`crate::cluster::ANY`]) has found something.
    pub stop_on: Option<String>,
    /// From this moment on everything is drawn anew with this salt.
    pub fresh: Option<(Nanos, u64)>,
    /// The answer holds the checkpoints of the fingerprint.
    pub checkpoints: bool,
    /// The answer holds the events from the first of these numbers to before the second in words.
    pub describe: Option<(u64, u64)>,
    /// The resident set may not grow beyond this.
    pub memory_mb: u64,
}

/// The resident set that a run may have unless somebody says otherwise, in MiB.
pub const MEMORY_MB: u64 = 4_096;

impl Task {
    /// A plain run.
    pub fn new(plan: Concrete, seed: u64, wrong: Option<String>) -> Task {
        Task {
            plan,
            seed,
            wrong,
            stop_on: None,
            fresh: None,
            checkpoints: false,
            describe: None,
            memory_mb: MEMORY_MB,
        }
    }
}

/// The answer to a [`Task`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// What came of it.
    pub report: RunReport,
    /// The checkpoints of the whole run, the final state last, if asked for.
    pub checkpoints: Vec<Checkpoint>,
    /// The events that were asked for.
    pub lines: Vec<Line>,
}

/// Reads a task from standard input, runs it and writes the answer: the verb `worker`.
pub fn serve() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let task: Task = serde_json::from_str(&text).context("this is not a task")?;
    let mut options = Options {
        stop_on: task.stop_on.clone(),
        fresh: task.fresh.map(|(at, salt)| (at.0, salt)),
        describe: task.describe.map(|(from, to)| from..to),
        ..Options::default()
    };
    if let Some(name) = &task.wrong {
        wrong::named(name)?.plant(&task.plan, task.seed, &mut options)?;
    }
    let second = Arc::new(AtomicU64::new(0));
    let beat = second.clone();
    options.progress = Some(Arc::new(move |now, _| beat.store(now, Ordering::Relaxed)));
    let (done, waits) = channel::<()>();
    let done = std::thread::scope(|scope| {
        scope.spawn(move || watch(&second, task.memory_mb, &waits));
        let job = Job { plan: &task.plan, seed: task.seed, quiet: true, options };
        let (report, outcome) = job.run_fully();
        drop(done);
        let recorder = outcome.recorder();
        let mut checkpoints = Vec::new();
        if task.checkpoints {
            checkpoints.extend_from_slice(recorder.fingerprint().checkpoints());
            checkpoints.push(recorder.fingerprint().whole());
        }
        Done { report, checkpoints, lines: recorder.described().to_vec() }
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &done)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Ends the process when the run neither ends nor goes on, or grows too large.
fn watch(second: &AtomicU64, memory_mb: u64, run: &std::sync::mpsc::Receiver<()>) {
    let (mut seen, mut since_ms, mut waited) = (0, runner::cpu_ms(), 0);
    while run.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let (now, cpu_ms) = (second.load(Ordering::Relaxed), runner::cpu_ms());
        if now != seen {
            (seen, since_ms, waited) = (now, cpu_ms, 0);
        }
        waited += 1;
        let grown = runner::peak_rss_mb();
        let message = if cpu_ms - since_ms > STUCK.as_millis() as u64 {
            format!("stuck: {} s of CPU time in one virtual second", STUCK.as_secs())
        } else if LOOK * waited > STILL {
            format!("stuck: {} s on the wall without a virtual second", STILL.as_secs())
        } else if grown > memory_mb {
            format!("memory: {grown} MiB, and the limit is {memory_mb} MiB")
        } else {
            continue;
        };
        eprintln!("{message} (at {} s)", now / 1_000_000_000);
        std::process::exit(WATCHDOG);
    }
}

/// Where children come from.
#[derive(Clone, Debug)]
pub struct Workers {
    program: PathBuf,
}

impl Workers {
    /// This program.
    pub fn own() -> anyhow::Result<Workers> {
        Ok(Workers { program: std::env::current_exe()? })
    }

    /// Another build of it.
    pub fn of(program: PathBuf) -> Workers {
        Workers { program }
    }

    /// Makes one run, in the program that has its wrong node. `None` if it was stopped.
    ///
    /// # Errors
    /// If the program cannot be built or started. What happens to a child is an answer, not an error.
    pub fn run(&self, task: &Task, stop: &Stop) -> anyhow::Result<Option<Done>> {
        let elsewhere = task.wrong.as_deref().map(wrong::program).transpose()?.flatten();
        let program = elsewhere.unwrap_or(&self.program);
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at the terminal is for the parent, who decides what is kept.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut input = child.stdin.take().expect("it was asked for");
        let mut output = child.stdout.take().expect("it was asked for");
        let mut errors = child.stderr.take().expect("it was asked for");
        let ticket = stop.adopt(child);
        let (mut answer, mut said) = (Vec::new(), String::new());
        // A child that dies early breaks these pipes; its end says why.
        if serde_json::to_writer(&mut input, task).is_ok() {
            drop(input);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| errors.read_to_string(&mut said));
            output.read_to_end(&mut answer)
        })?;
        let status = stop.release(ticket)?;
        if stop.is_killed() && !status.success() {
            return Ok(None);
        }
        let done = serde_json::from_slice(&answer).ok().filter(|_| status.success());
        Ok(Some(done.unwrap_or_else(|| died(task, status, &said))))
    }
}

/// The report of a child that gave none.
fn died(task: &Task, status: ExitStatus, said: &str) -> Done {
    let last = said.trim().lines().last().unwrap_or("it said nothing");
    let (oracle, detail) = match (status.code(), status.signal()) {
        (Some(WATCHDOG), _) => (last.split(':').next().unwrap_or("watchdog"), last.to_owned()),
        (_, Some(signal)) => ("died", format!("the process died of signal {signal}: {last}")),
        (code, _) => ("died", format!("the process ended with {code:?}: {last}")),
    };
    let violation = ViolationReport {
        oracle: oracle.into(),
        slot: None,
        nodes: Vec::new(),
        at_ms: 0.0,
        detail,
    };
    let report = RunReport {
        schema: json::SCHEMA,
        plan: task.plan.name.clone(),
        seed: task.seed,
        commit: env!("SIM_COMMIT").into(),
        verdict: Verdict::Panic,
        nodes: task.plan.nodes.len(),
        violations: vec![violation],
        ..RunReport::default()
    };
    Done { report, checkpoints: Vec::new(), lines: Vec::new() }
}
