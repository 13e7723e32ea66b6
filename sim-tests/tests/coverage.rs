//! The list of what is never reached stays honest: `docs/coverage.md` knows every situation and
//! every rule, reached or explained, and nothing else. Whether the plans still reach them is judged
//! by the nightly hunt; that takes hours.
#![cfg(feature = "sim")]

use alpenglow_node::protocol::rules::RULES;
use sim_tests::coverage::{Coverage, UNREACHED};
use sim_tests::plan::{SITUATIONS, probes};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const REMEDY: &str = "make a plan reach it (`cargo sim sweep PLAN --out DIR`, then `cargo sim \
                      coverage DIR... --write docs/coverage.md`) or explain it in coverage.rs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Name and columns of each row of the page, by heading.
fn page() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let text = std::fs::read_to_string(root().join("docs/coverage.md")).unwrap();
    let (mut tables, mut heading) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_owned();
        }
        let Some(row) = line.strip_prefix("| `") else { continue };
        let mut cells = row.trim_end_matches(" |").split(" | ").map(str::to_owned);
        let name = cells.next().unwrap().trim_end_matches('`').to_owned();
        let table: &mut BTreeMap<String, Vec<String>> = tables.entry(heading.clone()).or_default();
        assert!(table.insert(name.clone(), cells.collect()).is_none(), "{name} has two rows");
    }
    tables
}

#[test]
fn every_situation_and_rule_is_reached_or_explained() {
    let page = page();
    let explained: BTreeSet<&str> = UNREACHED.iter().map(|one| one.name).collect();
    let written = page["Never reached, and why"].keys().map(String::as_str).collect();
    assert_eq!(explained, written, "the page explains what coverage.rs explains");
    let catalogue: [(&str, Vec<&str>); 2] = [
        ("Situations", probes().map(|probe| probe.name).collect()),
        ("Rules", RULES.iter().map(|(name, _)| *name).collect()),
    ];
    let mut known = BTreeSet::new();
    for (heading, names) in catalogue {
        let table = &page[heading];
        for name in &names {
            assert!(known.insert(name.to_string()), "{name} is both a situation and a rule");
            if explained.contains(name) {
                assert!(!table.contains_key(*name), "{name} is reached, and explained as never");
                continue;
            }
            let row = table.get(*name).unwrap_or_else(|| panic!("{name} is new: {REMEDY}"));
            let runs: u64 = row[1].parse().unwrap();
            assert!(runs > 0, "{name} is reached by no shipped plan: {REMEDY}");
        }
        let gone = table.keys().find(|name| !names.contains(&name.as_str()));
        assert_eq!(gone, None, "a row of the page is about nothing that exists");
    }
    assert!(explained.iter().all(|name| known.contains(*name)), "{explained:?}");
}

/// The text of every source file below `folder` but the catalogue itself.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.ends_with("plan/probe.rs") => String::new(),
        false if path.extension().is_some_and(|ending| ending == "rs") => {
            std::fs::read_to_string(path).unwrap()
        }
        false => String::new(),
    };
    entries.map(text).collect()
}

/// A name that nobody counts any more would pass for a situation that is never reached.
#[test]
fn every_situation_is_counted_somewhere() {
    let text = ["sim-tests/src", "node/src/host"].map(|folder| sources(&root().join(folder)));
    let counted = |name: &str| text.iter().any(|text| text.contains(&format!("\"{name}\"")));
    let names = SITUATIONS.iter().map(|one| one.name);
    assert_eq!(names.filter(|name| !counted(name)).collect::<Vec<_>>(), [""; 0]);
}

/// An explanation names files that exist.
#[test]
fn explanations_point_at_tests() {
    for one in UNREACHED {
        for file in one.covered_by.split(", ") {
            let file = file.split(':').next().unwrap();
            assert!(root().join(file).is_file(), "{}: {file} is not there", one.name);
        }
    }
}

#[test]
fn what_nobody_reached_is_a_gap() {
    let nothing = Coverage::of(&[]);
    assert_eq!(nothing.explained.len(), UNREACHED.len());
    assert!(nothing.gaps.contains(&"standstill") && nothing.gaps.contains(&"repair.nack"));
    assert!(nothing.text().ends_with("FAIL (expectation)  0 runs of 0 plans"));
}
