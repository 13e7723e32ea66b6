//! What is under `deploy/` and in `docs/operating.md` speaks of metrics, alerts and fields that
//! exist. An alert on a metric that nobody exports never fires, and nobody notices.
#![cfg(all(feature = "program", not(feature = "sim")))]

use alpenglow_node::host::config::{Config, Tls};
use alpenglow_node::host::genesis::Figures;
use alpenglow_node::host::metrics::Metrics;
use alpenglow_node::host::view::Status;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a node exports before anything happened.
fn exported() -> String {
    let status = Status {
        version: String::new(),
        node: 0,
        cluster: String::new(),
        mode: "voting".to_owned(),
        ready: true,
        not_ready: None,
        votes_again_at: None,
        height: 0,
        finalized: 0,
        lag: 0,
        seen: 0,
        since_finalized_ms: 0,
        peers: 1,
        validators: 1,
        present_stake_permille: 1_000,
        waiting_transactions: 0,
        uptime_ms: 0,
    };
    Metrics::default().text(&status)
}

/// Words of `text` that begin with `alpenglow_`.
fn words(text: &str) -> BTreeSet<&str> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !part_of_name(c)).filter(|word| word.starts_with("alpenglow_")).collect()
}

/// Everything that looks like `label="value"` and is no pattern or variable.
fn matchers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("=\"") {
        let label: String = text[..at]
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_alphabetic())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        let value: String = text[at + 2..].chars().take_while(|&c| c != '"').collect();
        if ["outcome", "kind", "reason", "event", "origin", "queue"].contains(&label.as_str()) {
            found.insert(format!("{label}=\"{value}\""));
        }
    }
    found
}

#[test]
fn every_metric_that_is_spoken_of_is_exported() {
    let (text, names) = (exported(), Metrics::default().names());
    let exists = |word: &str| {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| word.strip_suffix(s));
        names.iter().any(|name| name == word || Some(name.as_str()) == family)
    };
    let files = [
        "deploy/prometheus-alerts.yml",
        "deploy/prometheus-alerts-test.yml",
        "deploy/grafana-dashboard.json",
        "docs/operating.md",
    ];
    for path in files {
        let file = read(path).replace("\\\"", "\"");
        // The name of the crate is not that of a metric.
        let unknown: Vec<_> =
            words(&file).into_iter().filter(|w| *w != "alpenglow_node" && !exists(w)).collect();
        assert!(unknown.is_empty(), "{path} speaks of {unknown:?}");
        for matcher in matchers(&file) {
            assert!(text.contains(&matcher), "{path}: nothing has {matcher}");
        }
    }
    let dashboard = read("deploy/grafana-dashboard.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
    for name in &names {
        assert!(dashboard.contains(name.as_str()), "{name} is not on the dashboard");
        assert!(read("docs/operating.md").contains(name.as_str()), "{name} is not in the docs");
    }
}

#[test]
fn names_and_help_lines_are_stable() {
    let about: Vec<String> = exported()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(str::to_owned)
        .collect();
    insta::assert_snapshot!(about.join("\n"));
    let helps = exported().lines().filter(|line| line.starts_with("# HELP ")).count();
    assert_eq!(helps, about.len());
}

#[test]
fn every_alert_is_explained() {
    let docs = read("docs/operating.md");
    let alerts = read("deploy/prometheus-alerts.yml");
    let names: Vec<_> = alerts.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 10, "{names:?}");
    let tests = read("deploy/prometheus-alerts-test.yml");
    for name in names {
        assert!(docs.contains(name), "{name} is not explained");
        let fires = format!("{{alertname=\"{name}\"}}");
        assert!(tests.contains(&fires), "nothing shows that {name} can fire");
    }
}

/// The keys of a table, with their tables.
fn keys(table: &toml::Table, prefix: &str, found: &mut Vec<String>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => keys(inner, &format!("{name}."), found),
            _ => found.push(name),
        }
    }
}

#[test]
fn every_field_is_documented() {
    let mut config = Config::new("g".as_ref(), "k".as_ref(), "d".as_ref());
    config.network.listen = Some(([0, 0, 0, 0], 8000).into());
    config.http.tls = Some(Tls { certificate: "c".into(), key: "k".into() });
    let docs = read("docs/operating.md");
    let mut fields = Vec::new();
    keys(&config.text().parse().unwrap(), "", &mut fields);
    let mut figures = Vec::new();
    keys(&toml::to_string(&Figures::default()).unwrap().parse().unwrap(), "", &mut figures);
    assert!(fields.len() >= 11 && figures.len() == 11, "{fields:?} {figures:?}");
    for field in fields.iter().chain(&figures) {
        assert!(docs.contains(&format!("| `{field}` |")), "{field} is not in the docs");
    }
    // The defaults that the docs state for figures are those of the program.
    let defaults: toml::Table = toml::to_string(&Figures::default()).unwrap().parse().unwrap();
    for (key, value) in &defaults {
        let value = value.as_str().map_or(value.to_string(), str::to_owned);
        let row = format!("| `{key}` | {value} |");
        assert!(docs.contains(&row), "the docs have no row `{row}`");
    }
}

#[test]
fn the_unit_starts_what_the_program_has() {
    let unit = read("deploy/alpenglow.service");
    for verb in ["run", "check"] {
        assert!(unit.contains(&format!("/usr/local/bin/alpenglow {verb} --config")), "{verb}");
        let help = Command::new(env!("CARGO_BIN_EXE_alpenglow")).args([verb, "--help"]).output();
        assert!(String::from_utf8(help.unwrap().stdout).unwrap().contains("--config"));
    }
}

/// With promtool, from Debian's package `prometheus`, rules and metrics are checked by their consumer,
/// and each alert fires when it should and not when it should not.
#[test]
fn promtool_accepts_rules_and_metrics() {
    let promtool = |args: &[&str]| Command::new("promtool").args(args).output();
    let Ok(version) = promtool(&["--version"]) else {
        eprintln!("promtool is not installed: nothing checked");
        return;
    };
    assert!(version.status.success());
    let rules = root().join("deploy/prometheus-alerts.yml");
    let checked = promtool(&["check", "rules", &rules.display().to_string()]).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let tests = root().join("deploy/prometheus-alerts-test.yml");
    let tested = promtool(&["test", "rules", &tests.display().to_string()]).unwrap();
    let said = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{said}{}", String::from_utf8_lossy(&tested.stdout));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics");
    std::fs::write(&path, exported()).unwrap();
    let input = std::fs::File::open(&path).unwrap();
    let mut metrics = Command::new("promtool");
    let checked = metrics.args(["check", "metrics"]).stdin(input).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}
