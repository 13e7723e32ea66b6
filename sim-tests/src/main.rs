//! `sim`: runs worlds, hunts for failures, replays, shrinks and explains them.

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use sim_tests::cluster::{Options, Outcome};
use sim_tests::diff::Side;
use sim_tests::plan::{Concrete, Plan};
use sim_tests::pool::Stop;
use sim_tests::report::seedfile::{Expectation, SeedFile};
use sim_tests::report::verdict::{USAGE, Verdict};
use sim_tests::report::{self, json::RunReport, table};
use sim_tests::runner::{self, Job};
use sim_tests::trace::Format;
use sim_tests::worker::{Task, Workers};
use sim_tests::{causes, corpus, coverage, diff, shrink, sweep, worker, wrong};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A simulation is a great many small allocations; this allocator is a tenth of a run faster than
/// the system's, and nothing in a run looks at an address.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs a cluster of real Alpenglow nodes in a simulated world. One seed and one plan decide
/// everything that happens; the same pair gives the same run, byte for byte.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a plan under a seed and says how it went.
    ///
    /// Example: cargo sim run fault-plans/partition-heal.toml --seed 7
    Run {
        /// The plan file.
        plan: PathBuf,
        /// The seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Overrides a value of the plan by its path; repeatable. Example: --set cluster.nodes=7
        #[arg(long = "set", value_name = "PATH=VALUE")]
        sets: Vec<String>,
        /// Plants a wrong node, to see that it is caught (`cargo sim list` names them).
        #[arg(long, value_name = "NAME")]
        wrong: Option<String>,
        /// Runs it a second time in another process and compares the fingerprints.
        #[arg(long)]
        check_determinism: bool,
        #[command(flatten)]
        pictures: Pictures,
        /// Writes the machine-readable result; `-` is standard output, which then carries nothing
        /// else.
        #[arg(long, value_name = "FILE|-")]
        json: Option<PathBuf>,
    },
    /// Runs plans under many seeds, one process per run, and keeps one seed file for each kind of
    /// failure.
    ///
    /// Example: cargo sim sweep fault-plans/ --seeds 1000 --jobs 2 --budget 30m --out hunt
    Sweep(sweep::Arguments),
    /// Joins the folders of the shards of a sweep to what one sweep would have written.
    ///
    /// Example: cargo sim merge hunt-0 hunt-1 --out hunt
    Merge {
        /// The `--out` folders of all shards.
        #[arg(required = true, value_name = "DIR")]
        folders: Vec<PathBuf>,
        /// Where the joined files go.
        #[arg(long, value_name = "DIR", default_value = "merged")]
        out: PathBuf,
        /// Writes a page about all runs, to be looked at in a browser.
        #[arg(long, value_name = "FILE.html")]
        report: Option<PathBuf>,
        /// As in `sweep`.
        #[arg(long, value_name = "FILE|-")]
        json: Option<PathBuf>,
    },
    /// Removes and weakens what a failure does not need, and tells what is left in words.
    ///
    /// Example: cargo sim shrink seeds/swarm-o5-17.toml --budget 3m
    Shrink(shrink::Arguments),
    /// Finds the first event in which two runs differ.
    ///
    /// Example: cargo sim diff seeds/a.toml --against ../old/target/release/sim
    Diff(diff::Arguments),
    /// Finds the moment at which a failure became likely, by running other futures from there.
    ///
    /// Example: cargo sim causes seeds/swarm-o5-17.toml --futures 16
    Causes(causes::Arguments),
    /// Plants every known bug and runs the plans against it: says which oracle caught it, where, and
    /// at what cost.
    ///
    /// Example: cargo sim wrong
    ///
    /// Example: cargo sim wrong counts-twice forgets-votes --seeds 50
    Wrong(wrong::Arguments),
    /// Says which situations and rules sweeps have reached; fails if one is neither reached nor
    /// explained.
    ///
    /// Example: cargo sim coverage hunt --write docs/coverage.md
    Coverage(coverage::Arguments),
    /// Makes one run that standard input describes: what other verbs start for each run.
    #[command(hide = true)]
    Worker,
    /// Runs a kept failure again, or all of them, and says whether it still fails.
    ///
    /// Example: cargo sim replay seeds/partition-heal-o47-7.toml
    ///
    /// Example: cargo sim replay --all
    Replay {
        /// The seed file; with `--all` a folder of them, seeds/ if not given.
        #[arg(required_unless_present = "all")]
        seed_file: Option<PathBuf>,
        /// Replays every file of the folder and says which still fail, which are fixed, and which
        /// no longer reach the situation that they were kept for.
        #[arg(long)]
        all: bool,
        /// With `--all`: runs at one time.
        #[arg(long, requires = "all")]
        jobs: Option<usize>,
        #[command(flatten)]
        pictures: Pictures,
        /// As in `run`.
        #[arg(long, value_name = "FILE|-")]
        json: Option<PathBuf>,
    },
    /// Prints the completions of a shell.
    ///
    /// Example: cargo sim completions bash > ~/.local/share/bash-completion/completions/sim
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Lists the plans, the kept failures, the wrong nodes, the lies, and what runs count.
    ///
    /// Example: cargo sim list
    List {
        /// As in `run`.
        #[arg(long, value_name = "FILE|-")]
        json: Option<PathBuf>,
    },
}

/// What to keep of a run to look at.
#[derive(clap::Args)]
struct Pictures {
    /// Writes what happened. FILE.json opens in Perfetto, FILE.brief is short enough to read, any
    /// other name gets one line of text for everything that nodes observe and say.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Draws the run as one HTML file that needs no network. Example: --report run.html
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

impl Pictures {
    /// The files can be written: known before the run, not after it.
    fn check(&self) -> anyhow::Result<()> {
        for path in self.trace.iter().chain(&self.report) {
            write(path, "")?;
        }
        Ok(())
    }

    /// The text trace is written while the run happens; what is made afterwards needs a record.
    fn options(&self) -> Options {
        let trace = self.trace.clone().filter(|path| Format::of(path) == Format::Text);
        let record = self.report.is_some() || self.trace.is_some() && trace.is_none();
        Options { trace, record, ..Options::default() }
    }

    fn draw(&self, report: &RunReport, outcome: &Outcome, replay: &str) -> anyhow::Result<()> {
        if let Some(path) = &self.report
            && let Some(page) = runner::page(report, outcome, replay)
        {
            write(path, &page)?;
        }
        if let Some(path) = &self.trace
            && let Some(text) = runner::trace(Format::of(path), outcome)
        {
            write(path, &text)?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match arguments.command {
        Command::Run { plan, seed, sets, wrong, check_determinism, pictures, json } => {
            let wrong = wrong.as_deref();
            run(&plan, seed, &sets, wrong, check_determinism, &pictures, json.as_deref())
        }
        Command::Sweep(arguments) => sweep::run(arguments),
        Command::Merge { folders, out, report, json } => {
            sweep::merge(&folders, &out, report.as_deref(), json.as_deref())
        }
        Command::Shrink(arguments) => shrink::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Causes(arguments) => causes::run(&arguments),
        Command::Wrong(arguments) => wrong::run(&arguments),
        Command::Coverage(arguments) => coverage::run(&arguments),
        Command::Worker => worker::serve().map(|()| 0),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "sim", &mut std::io::stdout());
            Ok(0)
        }
        Command::Replay { seed_file, all: true, jobs, json, .. } => {
            let folder = seed_file.unwrap_or_else(|| "seeds".into());
            corpus::run(&folder, jobs, json.as_deref())
        }
        Command::Replay { seed_file, pictures, json, .. } => {
            let seed_file = seed_file.expect("clap asks for it");
            replay(&seed_file, &pictures, json.as_deref())
        }
        Command::List { json } => {
            let wrong = wrong::all().map(|wrong| (wrong.name, wrong.about));
            report::list::print(json.as_deref(), wrong).map(|()| 0)
        }
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(
    path: &Path,
    seed: u64,
    sets: &[String],
    wrong: Option<&str>,
    check: bool,
    pictures: &Pictures,
    json: Option<&Path>,
) -> anyhow::Result<u8> {
    let plan = Plan::load(path, sets)?.expand(seed)?;
    pictures.check()?;
    let mut replay = format!("cargo sim run {} --seed {seed}", path.display());
    for set in sets {
        replay.push_str(&format!(" --set {}", runner::quote(set)));
    }
    let mut options = pictures.options();
    if let Some(name) = wrong {
        wrong::hand_over(name)?;
        wrong::named(name)?.plant(&plan, seed, &mut options)?;
        replay.push_str(&format!(" --wrong {name}"));
    }
    let quiet = json.is_some_and(|json| json == Path::new("-"));
    if !quiet {
        eprintln!("{}", runner::headline(&plan, seed));
    }
    let job = Job { plan: &plan, seed, quiet, options };
    let (mut report, outcome) = job.run_fully();
    if check {
        let task = Task::new(plan.clone(), seed, wrong.map(str::to_owned));
        let side = Side { workers: Workers::own()?, task };
        let stop = Stop::default();
        let done = side.workers.run(&side.task, &stop)?.context("nobody stops this run")?;
        let again = done.report.fingerprint;
        if again != report.fingerprint {
            report.verdict = Verdict::Nondeterminism;
            let missed = format!("a second run has fingerprint {again}");
            report.expectations_missed.push(missed);
            match diff::compare(&[side.clone(), side], &stop)? {
                (_, Some(difference)) => eprintln!("{difference}"),
                (_, None) => eprintln!("two more runs do not differ from each other"),
            }
        }
    }
    pictures.draw(&report, &outcome, &replay)?;
    finish(&report, &plan, wrong, &replay, json)
}

fn replay(path: &Path, pictures: &Pictures, json: Option<&Path>) -> anyhow::Result<u8> {
    let file = SeedFile::load(path)?;
    pictures.check()?;
    let replay = format!("cargo sim replay {}", path.display());
    let quiet = json.is_some_and(|json| json == Path::new("-"));
    if !quiet {
        eprintln!("{}\n{}", file.story.trim(), runner::headline(&file.plan, file.seed.0));
    }
    let mut options = pictures.options();
    if let Some(name) = &file.wrong {
        wrong::hand_over(name)?;
        wrong::named(name)?.plant(&file.plan, file.seed.0, &mut options)?;
    }
    let job = Job { plan: &file.plan, seed: file.seed.0, quiet, options };
    let (mut report, outcome) = job.run_fully();
    if file.found.is_another_run(&report) {
        report.verdict = Verdict::Nondeterminism;
        let missed = format!("at this commit the fingerprint was {}", file.found.fingerprint);
        report.expectations_missed.push(missed);
    }
    pictures.draw(&report, &outcome, &replay)?;
    print_report(&report, &replay, json)?;
    let fails = report.verdict != Verdict::Pass;
    if !quiet {
        match (file.expect.verdict, fails) {
            (Expectation::Pass, false) => eprintln!("passes, as it must"),
            (Expectation::Pass, true) => eprintln!("FAILS, but it is kept as fixed"),
            (Expectation::Fails, true) => eprintln!("still fails: the bug is open"),
            (Expectation::Fails, false) => eprintln!("passes: set expect.verdict = \"pass\""),
        }
    }
    Ok(report.verdict.exit())
}

/// Prints the result, keeps a failure, and gives the exit code.
fn finish(
    report: &RunReport,
    plan: &Concrete,
    wrong: Option<&str>,
    replay: &str,
    json: Option<&Path>,
) -> anyhow::Result<u8> {
    print_report(report, replay, json)?;
    if report.verdict != Verdict::Pass {
        let file = runner::keep(report, plan, wrong);
        let path = Path::new("seeds").join(file.name());
        std::fs::create_dir_all("seeds").context("seeds/ cannot be made")?;
        std::fs::write(&path, file.to_toml())
            .with_context(|| format!("{} cannot be written", path.display()))?;
        eprintln!("replay: cargo sim replay {}", path.display());
    }
    Ok(report.verdict.exit())
}

fn print_report(report: &RunReport, replay: &str, json: Option<&Path>) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report).context("the result cannot be encoded")?;
    match json {
        Some(path) if path == Path::new("-") => println!("{text}"),
        Some(path) => {
            std::fs::write(path, text + "\n")
                .with_context(|| format!("{} cannot be written", path.display()))?;
            println!("{}", table::render(report, replay));
        }
        None => println!("{}", table::render(report, replay)),
    }
    Ok(())
}
