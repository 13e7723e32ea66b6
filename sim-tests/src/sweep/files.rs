//! What a sweep writes into its folder, and how the folders of shards become one.
//!
//! | file | holds | the same for every machine |
//! |---|---|---|
//! | `sweep.json` | what was asked for | yes |
//! | `runs.jsonl` | the result of each run, one a line, without what it cost | yes |
//! | `summary.json` | what they say together | yes |
//! | `junit.xml` | the same for test dashboards | yes |
//! | `latencies.csv` | percentiles of each run | yes |
//! | `seeds/` | one seed file for each kind of failure | yes |
//! | `costs.jsonl` | CPU time, time on the wall and memory of each run | no |
//!
//! While the sweep runs, results are added to `runs.jsonl` as they come, so that not even a lost
//! machine loses them; at the end the file is written anew in order.

use super::range::{Seeds, Shard};
use super::{Groups, Made, Summary, summary, table};
use crate::report::html;
use crate::report::json::{Distribution, RunReport};
use crate::report::verdict::Verdict;
use anyhow::{Context, bail, ensure};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Version of the folder's format.
pub const FORMAT: u32 = 1;

/// Fields of a result that say what the run cost here and now.
const COSTS: [&str; 3] = ["cpu_ms", "wall_ms", "peak_rss_mb"];

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `FORMAT`.
    pub format: u32,
    /// The commit of the program.
    pub commit: String,
    /// The plans, in order.
    pub plans: Vec<PlanEntry>,
    /// Overrides.
    pub sets: Vec<String>,
    /// The wrong node that was planted.
    pub wrong: Option<String>,
    /// The seeds.
    pub seeds: Seeds,
    /// Which part of the runs.
    pub shard: Shard,
}

/// A plan of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Its goals.
    pub sometimes: Vec<String>,
}

impl Manifest {
    /// The numbers of the runs of this shard.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let all = (self.seeds.to - self.seeds.from) * self.plans.len() as u64;
        (0..all).filter(|number| self.shard.holds(*number))
    }

    /// Plan (by index) and seed of run `number`.
    pub fn run(&self, number: u64) -> (usize, u64) {
        let plans = self.plans.len() as u64;
        ((number % plans) as usize, self.seeds.from + number / plans)
    }

    /// The number of the run of this plan and seed.
    fn number(&self, plan: &str, seed: u64) -> Option<u64> {
        let index = self.plans.iter().position(|entry| entry.name == plan)? as u64;
        let seeds = self.seeds.from..self.seeds.to;
        let round = seeds.contains(&seed).then(|| seed - self.seeds.from)?;
        Some(round * self.plans.len() as u64 + index)
    }
}

/// Takes results as they come.
pub struct Journal(Option<File>);

impl Journal {
    /// In this folder, if in any.
    pub fn open(folder: Option<&Path>) -> anyhow::Result<Journal> {
        let Some(folder) = folder else { return Ok(Journal(None)) };
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let path = folder.join("runs.jsonl");
        let file =
            File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Journal(Some(file)))
    }

    /// Adds one.
    pub fn add(&mut self, report: &RunReport) -> anyhow::Result<()> {
        match &mut self.0 {
            Some(file) => Ok(writeln!(file, "{}", split(report)?.0)?),
            None => Ok(()),
        }
    }
}

/// A result as its two lines: what happened, and what it cost.
fn split(report: &RunReport) -> anyhow::Result<(Value, Value)> {
    let mut value = serde_json::to_value(report)?;
    let fields = value.as_object_mut().context("a result is an object")?;
    let mut costs = serde_json::Map::new();
    costs.insert("plan".into(), report.plan.clone().into());
    costs.insert("seed".into(), report.seed.into());
    for name in COSTS {
        costs.extend(fields.remove_entry(name));
    }
    Ok((value, costs.into()))
}

fn put(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let path = folder.join(name);
    // In one step, so that nobody reads half a file.
    let unfinished = folder.join(format!("{name}.unfinished"));
    fs::write(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, &path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes everything but the seed files. The runs are in the order of their numbers.
pub fn write(
    folder: &Path,
    manifest: &Manifest,
    made: &[Made],
    summary: &Summary,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let (mut runs, mut costs) = (String::new(), String::new());
    for made in made {
        let (run, cost) = split(&made.report)?;
        runs.push_str(&format!("{run}\n"));
        costs.push_str(&format!("{cost}\n"));
    }
    put(folder, "sweep.json", serde_json::to_string_pretty(manifest)? + "\n")?;
    put(folder, "runs.jsonl", runs)?;
    put(folder, "costs.jsonl", costs)?;
    put(folder, "summary.json", summary.to_json()? + "\n")?;
    put(folder, "junit.xml", junit(manifest, made).to_string()?)?;
    put(folder, "latencies.csv", latencies(made)?)
}

/// Writes the seed files of the failures that stand for others.
pub fn write_seeds(folder: &Path, made: &[Made], summary: &Summary) -> anyhow::Result<()> {
    for failure in &summary.failures {
        let kept = made.iter().filter_map(|made| made.failure.as_ref());
        let mut kept = kept.map(|(_, file)| file);
        let smallest = &failure.smallest;
        let wanted = kept.find(|file| {
            (file.plan.name.as_str(), file.seed.0) == (smallest.plan.as_str(), smallest.seed)
        });
        let Some(file) = wanted else { continue };
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        put(folder, &smallest.file, file.to_toml())?;
    }
    Ok(())
}

/// Writes the page about these runs.
pub fn write_page(path: &Path, made: &[Made]) -> anyhow::Result<()> {
    let runs: Vec<Value> =
        made.iter().map(|made| serde_json::to_value(&made.report)).collect::<Result<_, _>>()?;
    fs::write(path, html::sweep(&runs))
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn junit(manifest: &Manifest, made: &[Made]) -> Report {
    let mut report = Report::new("sim sweep");
    for plan in &manifest.plans {
        let mut suite = TestSuite::new(plan.name.as_str());
        for Made { report, .. } in made.iter().filter(|made| made.report.plan == plan.name) {
            let status = match report.verdict {
                Verdict::Pass => TestCaseStatus::success(),
                verdict => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    let first = report.violations.first();
                    let details = first.map(|v| v.detail.as_str());
                    let missed = report.expectations_missed.first().map(String::as_str);
                    status.set_message(details.or(missed).unwrap_or_default());
                    status.set_type(first.map_or(verdict.name(), |v| v.oracle.as_str()));
                    status
                }
            };
            suite.add_test_case(TestCase::new(format!("seed {}", report.seed), status));
        }
        report.add_test_suite(suite);
    }
    report
}

/// One row for each run and measure.
fn latencies(made: &[Made]) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["plan", "seed", "measure", "n", "p50_ms", "p95_ms", "p99_ms", "max_ms"])?;
    let cell = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for Made { report, .. } in made {
        let mut row = |measure: &str, d: &Distribution| {
            let head = [report.plan.clone(), report.seed.to_string(), measure.to_owned()];
            let figures = [d.p50, d.p95, d.p99, d.max].map(cell);
            csv.write_record(head.into_iter().chain([d.n.to_string()]).chain(figures))
        };
        row("finalization", &report.finalization_ms)?;
        row("transaction", &report.transactions.latency_ms)?;
        for recovery in &report.recovery_ms {
            let first = recovery.first_finalization_ms;
            let one = Distribution {
                n: u64::from(first.is_some()),
                p50: first,
                p95: first,
                p99: first,
                max: first,
            };
            row(&format!("recovery after {}", recovery.fault), &one)?;
        }
    }
    csv.into_inner().map_err(|error| anyhow::anyhow!("{error}"))
}

/// One shard as read back.
struct Part {
    folder: PathBuf,
    manifest: Manifest,
    summary: Summary,
    made: Vec<Made>,
}

fn read<T: for<'de> Deserialize<'de>>(folder: &Path, name: &str) -> anyhow::Result<T> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).with_context(|| {
        format!("{}: not readable\nremedy: name the --out folders of shards", path.display())
    })?;
    serde_json::from_str(&text).with_context(|| format!("{}: not from a sweep", path.display()))
}

impl Part {
    fn read(folder: &Path) -> anyhow::Result<Part> {
        let manifest: Manifest = read(folder, "sweep.json")?;
        let summary = read(folder, "summary.json")?;
        let lines = |name: &str| -> anyhow::Result<Vec<serde_json::Map<String, Value>>> {
            let path = folder.join(name);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let parse = |(number, line): (usize, &str)| {
                let place = || format!("{}:{}: not a result", path.display(), number + 1);
                serde_json::from_str(line).with_context(place)
            };
            text.lines().enumerate().map(parse).collect()
        };
        let (runs, mut costs) = (lines("runs.jsonl")?, lines("costs.jsonl")?.into_iter());
        let mut made = Vec::new();
        for mut run in runs {
            run.extend(costs.next().unwrap_or_default());
            let report: RunReport = serde_json::from_value(run.into())?;
            let number = manifest.number(&report.plan, report.seed);
            let index = number.with_context(|| {
                let (plan, seed) = (&report.plan, report.seed);
                format!("{}: {plan} with seed {seed} is not of it", folder.display())
            })?;
            made.push(Made { index, report, failure: None });
        }
        Ok(Part { folder: folder.to_owned(), manifest, summary, made })
    }
}

/// Joins the folders of shards into `out`, to what one sweep would have written there. Returns the
/// exit code.
pub fn merge(
    folders: &[PathBuf],
    out: &Path,
    report: Option<&Path>,
    json: Option<&Path>,
) -> anyhow::Result<u8> {
    let parts: Vec<Part> =
        folders.iter().map(|folder| Part::read(folder)).collect::<Result<_, _>>()?;
    let first = parts.first().context("no folder is named")?;
    let whole = Manifest { shard: Shard::WHOLE, ..first.manifest.clone() };
    check(&parts, &whole)?;
    let mut made: Vec<Made> = parts.iter().flat_map(|part| part.made.clone()).collect();
    made.sort_by_key(|made| made.index);
    let mut groups = Groups::new();
    for failure in parts.iter().flat_map(|part| &part.summary.failures) {
        summary::add(&mut groups, failure.clone());
    }
    let summary = Summary::with(&whole, &made, groups);
    write(out, &whole, &made, &summary)?;
    let seeds = out.join("seeds");
    for failure in &summary.failures {
        let name = &failure.smallest.file;
        let mut found = parts.iter().map(|part| part.folder.join("seeds").join(name));
        let file = found.find(|path| path.exists());
        let file = file.with_context(|| format!("seeds/{name} is in none of the folders"))?;
        fs::create_dir_all(&seeds)?;
        put(&seeds, name, fs::read(file)?)?;
    }
    if let Some(path) = report {
        write_page(path, &made)?;
    }
    summary.print(json)?;
    if json != Some(Path::new("-")) {
        println!("{}", table::render(&whole, &made, &summary, &seeds));
    }
    Ok(summary.verdict.exit())
}

/// Refuses folders that are not the shards of one sweep, each once.
fn check(parts: &[Part], whole: &Manifest) -> anyhow::Result<()> {
    let (first, of) = (&parts[0], parts[0].manifest.shard.of);
    let mut seen = BTreeMap::<u64, &Path>::new();
    for part in parts {
        let same = Manifest { shard: Shard::WHOLE, ..part.manifest.clone() } == *whole;
        ensure!(
            same && part.manifest.shard.of == of,
            "{} and {} are not of one sweep: commit, plans, seeds, --set, --wrong and the number \
             of shards must be the same",
            first.folder.display(),
            part.folder.display()
        );
        if let Some(twin) = seen.insert(part.manifest.shard.index, &part.folder) {
            bail!("{} and {} are the same shard", twin.display(), part.folder.display());
        }
    }
    let missing: BTreeSet<String> =
        (0..of).filter(|i| !seen.contains_key(i)).map(|i| format!("{i}/{of}")).collect();
    let missing: Vec<String> = missing.into_iter().collect();
    ensure!(missing.is_empty(), "shard {} is missing", missing.join(" and "));
    Ok(())
}
