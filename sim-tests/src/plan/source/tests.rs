//! Overrides and places.

use super::*;

const TEXT: &str =
    "about = \"x\"\n[run]\nduration = \"30s\"\n[[fault]]\nat = \"5s\"\n[[fault]]\nat = \"6s\"\n";

fn parse(sets: &[String]) -> Result<(Source, Table<'_>), PlanError> {
    Source::parse("p.toml", TEXT, sets)
}

fn value<'a>(table: &Table<'a>, path: &[&str]) -> Value<'a> {
    path.iter().fold(DeValue::Table(table.clone()), |value, key| match value {
        DeValue::Table(table) => table[*key].get_ref().clone(),
        DeValue::Array(rows) => rows[key.parse::<usize>().unwrap()].get_ref().clone(),
        _ => panic!("{key}"),
    })
}

#[test]
fn an_override_is_a_toml_value_or_else_a_string() {
    let sets = [
        "cluster.nodes=7",
        "run.duration=10s",
        "cluster.regions={ one-way = \"20ms\" }",
        "cluster.stake=[1, 2]",
        "fault.1.at=8s",
        "about=a = b",
        "run.duration=11s",
    ]
    .map(str::to_owned);
    let (_, table) = parse(&sets).unwrap();
    assert_eq!(value(&table, &["cluster", "nodes"]).as_integer().unwrap().as_str(), "7");
    assert_eq!(value(&table, &["run", "duration"]).as_str(), Some("11s"));
    assert!(value(&table, &["cluster", "regions", "one-way"]).is_str());
    assert!(value(&table, &["cluster", "stake", "1"]).is_integer());
    assert_eq!(value(&table, &["fault", "0", "at"]).as_str(), Some("5s"));
    assert_eq!(value(&table, &["fault", "1", "at"]).as_str(), Some("8s"));
    assert_eq!(value(&table, &["about"]).as_str(), Some("a = b"));
}

#[test]
fn bad_overrides_are_named() {
    for (set, part) in [
        ("run.duration", "no `=`"),
        ("=5", "not a path"),
        ("run..x=5", "not a path"),
        ("about.x=5", "single value"),
        ("fault.2.at=5s", "2 entries"),
        ("fault.first=5s", "2 entries"),
        ("fault.0.at.x=1", "single value"),
    ] {
        let error = parse(&["about=y".into(), set.into()]).unwrap_err();
        assert_eq!(error.place, format!("--set {set}"));
        assert!(error.what.contains(part), "{set}: {error}");
    }
}

#[test]
fn errors_point_at_the_file_or_at_the_override() {
    let (source, _) = parse(&["run.heal_at=40s".into()]).unwrap();
    let at = |path: &str| source.error_at(path, (String::new(), String::new()));
    assert_eq!(at("run.duration").place, "p.toml:3:12");
    assert_eq!(at("fault.1.at").place, "p.toml:7:6");
    assert_eq!(at("run.heal_at").place, "--set run.heal_at=40s");
    // What is not there is shown at what should hold it, or at the file.
    assert_eq!(at("fault.1.for").excerpt.unwrap().line, 6);
    assert_eq!(at("disk.sync").place, "p.toml");
    let excerpt = at("run.duration").excerpt.unwrap();
    assert_eq!((excerpt.marked, excerpt.text.as_str()), (5, "duration = \"30s\""));
}

#[test]
fn columns_count_characters() {
    let excerpt = excerpt("a\nä = \"ö\" # x\r\n", &(7..11));
    assert_eq!((excerpt.line, excerpt.column, excerpt.marked), (2, 5, 3));
    assert_eq!(excerpt.text, "ä = \"ö\" # x");
}
