//! The verbs that hunt for failures, as a user runs them: the program itself, in small worlds.
#![cfg(feature = "sim")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A world that a debug build runs in a blink: the power fails between votes and finalization.
const TINY: &str = r#"
about = "Four nodes, one power cut."
plan_format = 1
[cluster]
nodes = 4
stake = "equal"
regions = { one-way = "20ms" }
crypto = "null"
[run]
duration = "5s"
heal_at = "4s"
[[fault]]
kind = "crash"
at = "2065ms"
for = "1s"
nodes = "all"
[expect]
sometimes = ["restart", "fast-finalization"]
"#;

/// A folder with `tiny.toml` in it, in which the program runs.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("tiny.toml", TINY);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command
    }

    fn sim(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it, checks the exit code, and gives standard output.
    fn ends(&self, code: i32, arguments: &str) -> String {
        let output = self.sim(arguments);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "sim {arguments}\n{out}\n{error}");
        out
    }
}

/// Every file that holds nothing of the machine, by name.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(files(&entry.path())),
            false if name == "costs.jsonl" => {}
            false => all.push((name, fs::read_to_string(entry.path()).unwrap())),
        }
    }
    all.sort();
    all
}

/// The number of jobs and the number of shards change nothing. With a wrong node in it, so that
/// there are failures to group.
#[test]
fn jobs_and_shards_change_nothing() {
    let place = Place::new();
    let sweep = "sweep tiny.toml other.toml --seeds 3..6 --wrong forgets-votes";
    place.write("other.toml", &TINY.replace("2065ms", "2075ms"));
    place.ends(10, &format!("{sweep} --jobs 1 --out one"));
    place.ends(10, &format!("{sweep} --jobs 3 --out three"));
    let one = files(&place.path("one"));
    let names: Vec<&str> = one.iter().map(|(name, _)| name.as_str()).collect();
    let seed_file = names.iter().find(|name| name.ends_with(".toml")).unwrap().to_string();
    for name in ["junit.xml", "latencies.csv", "runs.jsonl", "summary.json", "sweep.json"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert_eq!(one, files(&place.path("three")));
    for shard in 1..=2 {
        place.ends(10, &format!("{sweep} --shard {shard}/2 --out shard-{shard}"));
    }
    place.ends(2, "merge shard-1 --out merged");
    place.ends(2, "merge shard-1 shard-1 --out merged");
    place.ends(10, "merge shard-2 shard-1 --out merged");
    assert_eq!(one, files(&place.path("merged")));
    let lines = place.read("one/runs.jsonl");
    let runs: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|run| run["verdict"] == "safety" && run.get("cpu_ms").is_none()));
    let summary: Value = serde_json::from_str(&place.read("one/summary.json")).unwrap();
    let missed = |of: &str| summary[of].as_array().unwrap().iter().map(Value::to_string).collect();
    let (probes, rules): (String, String) = (missed("probes_missed"), missed("rules_missed"));
    assert!(probes.contains("\"epoch-end\"") && !probes.contains("\"restart\""), "{probes}");
    assert!(rules.contains("\"epoch.halt\"") && !rules.contains("\"votor.notar\""), "{rules}");
    let coverage = place.ends(14, "coverage one");
    assert!(coverage.contains("GAP: epoch-end was never reached"), "{coverage}");
    let kinds = summary["failures"].as_array().unwrap();
    assert!(kinds.len() < 6, "failures of one kind are one finding: {kinds:#?}");
    assert_eq!(kinds.iter().map(|kind| kind["runs"].as_u64().unwrap()).sum::<u64>(), 6);
    place.ends(10, &format!("replay one/seeds/{seed_file}"));
}

/// A goal that no seed reaches fails the sweep, and a single run only tells.
#[test]
fn a_goal_that_is_never_reached_fails_the_sweep() {
    let place = Place::new();
    place.write("tiny.toml", &TINY.replace("\"restart\"", "\"epoch-end\""));
    let table = place.ends(14, "sweep tiny.toml --seeds 2");
    assert!(table.contains("tiny: never reached in 2 runs: epoch-end"), "{table}");
    place.ends(0, "run tiny.toml --json result.json");
}

/// What is done when somebody loses patience is kept, and runs that were cut short are not.
#[test]
fn an_interrupt_keeps_what_is_done() {
    let place = Place::new();
    let mut sweep = place.command("sweep tiny.toml --seeds 100000 --jobs 2 --out out");
    let child = sweep.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let journal = place.path("out/runs.jsonl");
    let lines = || fs::read_to_string(&journal).unwrap_or_default().lines().count();
    let (_never, pause) = std::sync::mpsc::channel::<()>();
    while lines() < 3 {
        let _ = pause.recv_timeout(std::time::Duration::from_millis(20));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("stopped early"), "{text}");
    let summary: Value = serde_json::from_str(&place.read("out/summary.json")).unwrap();
    let runs = summary["runs"].as_u64().unwrap();
    assert!((3..100_000).contains(&runs));
    assert_eq!(summary["verdicts"]["pass"].as_u64(), Some(runs));
    assert_eq!(place.read("out/runs.jsonl").lines().count() as u64, runs);
}

/// A budget that is over starts nothing; a limit of memory ends a run, and that is a verdict.
#[test]
fn budgets_and_limits_hold() {
    let place = Place::new();
    let table = place.ends(0, "sweep tiny.toml --seeds 5 --budget 0s");
    assert!(table.contains("0 of 5 runs were made"), "{table}");
    let table = place.ends(12, "sweep tiny.toml --seeds 1 --memory 1MiB --set cluster.nodes=40");
    assert!(table.contains("1 x memory"), "{table}");
}

/// Twelve faults and twenty nodes become at most three faults and seven nodes.
#[test]
fn a_planted_bug_is_shrunk() {
    let place = Place::new();
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/twelve-faults.toml");
    let plan = plan.display();
    place.ends(10, &format!("sweep {plan} --seeds 1 --wrong forgets-votes"));
    let text = place.ends(0, "shrink seeds/twelve-faults-o32-0.toml --json -");
    let result: Value = serde_json::from_str(&text).unwrap();
    let after = |name: &str| result["after"][name].as_u64().unwrap();
    assert!(after("faults") <= 3 && after("nodes") <= 7, "{text}");
    let story = result["story"].as_str().unwrap();
    assert!(story.contains("This breaks O32"), "{story}");
    let replayed = place.ends(10, "replay seeds/twelve-faults-o32-0.min.toml --json -");
    let replayed: Value = serde_json::from_str(&replayed).unwrap();
    assert_eq!(replayed["violations"][0]["oracle"], "O32");
}

/// One run is the same twice; a change of a tenth of a percent shows at its first event.
#[test]
fn diff_finds_the_first_event() {
    let place = Place::new();
    place.ends(10, "sweep tiny.toml --seeds 1 --wrong forgets-votes");
    let file = "seeds/tiny-o32-0.toml";
    let same = place.ends(0, &format!("diff {file}"));
    assert!(same.starts_with("no difference in "), "{same}");
    let text = place.read(file).replace("start = \"2.065s\"", "start = \"2.067s\"");
    place.write("later.toml", &text);
    let other = place.ends(13, &format!("diff {file} later.toml --json -"));
    let other: Value = serde_json::from_str(&other).unwrap();
    let difference = &other["difference"];
    assert_eq!(difference["a"]["node"], 0, "{difference:#}");
    assert_eq!(difference["a"]["at_ns"], 2_065_000_000u64, "{difference:#}");
    assert!(difference["a"]["text"].as_str().unwrap().starts_with("Crashed"), "{difference:#}");
    assert!(difference["index"].as_u64().unwrap() > 1_000, "found by bisection");
    for (name, from) in [("a.txt", file), ("b.txt", "later.toml")] {
        place.write(name, &place.read(from).replace("seed_format", name));
    }
    place.ends(13, "diff a.txt b.txt");
    place.ends(0, "run tiny.toml --check-determinism --json result.json");
}

/// The crash decides: with a future drawn anew after it everything fails, and the plot says so.
#[test]
fn causes_plots_the_share_of_failing_futures() {
    let place = Place::new();
    place.ends(10, "sweep tiny.toml --seeds 1 --wrong forgets-votes");
    let causes = "causes seeds/tiny-o32-0.toml --futures 2 --points 3 --json - --report why.html";
    let text = place.ends(0, causes);
    let causes: Value = serde_json::from_str(&text).unwrap();
    let points = causes["points"].as_array().unwrap();
    assert!(points.len() >= 3 && points.iter().all(|point| point["futures"] == 2), "{text}");
    let last = points.last().unwrap();
    assert_eq!(last["failed"], 2, "after the violation every future holds it");
    let page = place.read("why.html");
    let (_, data) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data["points"].as_array().unwrap().len(), points.len(), "the picture shows them");
    assert_eq!((&data["oracle"], &data["faults"][0]["label"]), (&"O32".into(), &"crash #1".into()));
}

/// A kept failure is failing, fixed or stale; only what should pass and fails is wrong.
#[test]
fn the_whole_corpus_is_replayed() {
    let place = Place::new();
    place.ends(10, "sweep tiny.toml --seeds 1 --wrong forgets-votes");
    let kept = place.read("seeds/tiny-o32-0.toml");
    let table = place.ends(0, "replay --all");
    assert!(table.contains("still failing"), "{table}");
    let fixed = kept.replace("wrong = \"forgets-votes\"\n", "");
    let lines =
        fixed.lines().filter(|line| !line.contains("commit =") && !line.contains("catch-up"));
    let fixed: String = lines.map(|line| format!("{line}\n")).collect();
    let fixed = fixed.replace("[found]", "[found]\ncommit = \"then\"");
    place.write("seeds/fixed.toml", &fixed.replace("verdict = \"fails\"", "verdict = \"pass\""));
    let probes = "[found.probes]\nepoch-end = 3";
    place.write("seeds/stale.toml", &fixed.replace("[found.probes]", probes));
    let table = place.ends(0, "replay --all --json -");
    let all: Value = serde_json::from_str(&table).unwrap();
    let state = |name: &str| -> &Value {
        let of = |one: &&Value| one["path"].as_str().unwrap().ends_with(name);
        all.as_array().unwrap().iter().find(of).unwrap_or_else(|| panic!("{name}: {table}"))
    };
    assert_eq!(state("o32-0.toml")["state"], "still-failing");
    assert_eq!(state("fixed.toml")["state"], "fixed");
    assert_eq!(state("stale.toml")["missing"], serde_json::json!(["epoch-end"]));
    place.write("seeds/again.toml", &kept.replace("verdict = \"fails\"", "verdict = \"pass\""));
    place.ends(10, "replay --all");
}

/// Every verb has an example, and shells can complete it.
#[test]
fn help_and_completions() {
    let place = Place::new();
    for verb in ["run", "sweep", "merge", "replay", "shrink", "diff", "causes", "coverage", "list"]
    {
        let help = place.ends(0, &format!("{verb} --help"));
        assert!(help.contains("Example: cargo sim "), "{help}");
        for shell in ["bash", "zsh", "fish"] {
            assert!(place.ends(0, &format!("completions {shell}")).contains(verb));
        }
    }
    assert!(!place.ends(0, "--help").contains("worker"), "what only programs use is not shown");
    place.ends(2, "sweep tiny.toml --seeds 0");
    place.ends(2, "sweep tiny.toml --shard 3/2");
    place.ends(2, "sweep tiny.toml --wrong nobody");
}
