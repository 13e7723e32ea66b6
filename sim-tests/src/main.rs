//! `sim`: runs worlds, replays failures, lists what there is.

use anyhow::Context;
use clap::{Parser, Subcommand};
use sim_tests::cluster::{Options, Outcome};
use sim_tests::plan::{Concrete, Plan};
use sim_tests::report::seedfile::{Expectation, SeedFile};
use sim_tests::report::verdict::{USAGE, Verdict};
use sim_tests::report::{self, json::RunReport, table};
use sim_tests::runner::{self, Job};
use sim_tests::trace::Format;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    /// Runs a kept failure again and says whether it still fails.
    ///
    /// Example: cargo sim replay seeds/partition-heal-o47-7.toml
    Replay {
        /// The seed file.
        seed_file: PathBuf,
        #[command(flatten)]
        pictures: Pictures,
        /// As in `run`.
        #[arg(long, value_name = "FILE|-")]
        json: Option<PathBuf>,
    },
    /// Lists the plans and the kept failures.
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
        Command::Run { plan, seed, sets, check_determinism, pictures, json } => {
            run(&plan, seed, &sets, check_determinism, &pictures, json.as_deref())
        }
        Command::Replay { seed_file, pictures, json } => {
            replay(&seed_file, &pictures, json.as_deref())
        }
        Command::List { json } => report::list::print(json.as_deref()).map(|()| 0),
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
    check: bool,
    pictures: &Pictures,
    json: Option<&Path>,
) -> anyhow::Result<u8> {
    pictures.check()?;
    let plan = Plan::load(path, sets)?.expand(seed)?;
    let mut replay = format!("cargo sim run {} --seed {seed}", path.display());
    for set in sets {
        replay.push_str(&format!(" --set {}", runner::quote(set)));
    }
    let quiet = json.is_some_and(|json| json == Path::new("-"));
    if !quiet {
        eprintln!("{}", runner::headline(&plan, seed));
    }
    let job = Job { plan: &plan, seed, quiet, options: pictures.options() };
    let (mut report, outcome) = job.run_fully();
    if check {
        let again = runner::fingerprint_in_child(path, seed, sets)?;
        if again != report.fingerprint {
            report.verdict = Verdict::Nondeterminism;
            let missed = format!("a second run has fingerprint {again}");
            report.expectations_missed.push(missed);
        }
    }
    pictures.draw(&report, &outcome, &replay)?;
    finish(&report, &plan, &replay, json)
}

fn replay(path: &Path, pictures: &Pictures, json: Option<&Path>) -> anyhow::Result<u8> {
    pictures.check()?;
    let file = SeedFile::load(path)?;
    let replay = format!("cargo sim replay {}", path.display());
    let quiet = json.is_some_and(|json| json == Path::new("-"));
    if !quiet {
        eprintln!("{}\n{}", file.story.trim(), runner::headline(&file.plan, file.seed.0));
    }
    let job = Job { plan: &file.plan, seed: file.seed.0, quiet, options: pictures.options() };
    let (mut report, outcome) = job.run_fully();
    if report.commit == file.found.commit && report.fingerprint != file.found.fingerprint {
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
    replay: &str,
    json: Option<&Path>,
) -> anyhow::Result<u8> {
    print_report(report, replay, json)?;
    if report.verdict != Verdict::Pass {
        let file = runner::keep(report, plan);
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
