//! The repository checks itself: who may import whom, what simulated code may not name, and that
//! every file starts with words. `docs/architecture.md` says why.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// All Rust files below `folder`, with their text.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("readable");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found.sort();
    found
}

/// Lines of code (comments and strings of documentation left out) that contain `word`.
fn uses(folder: &str, word: &str, allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files(folder) {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        if allowed.iter().any(|allowed| name.contains(allowed)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains(word) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn none(folder: &str, words: &[&str], allowed: &[&str], why: &str) {
    for word in words {
        let found = uses(folder, word, allowed);
        assert!(found.is_empty(), "`{word}` in {folder}: {why}\n{}", found.join("\n"));
    }
}

#[test]
fn imports_go_one_way() {
    let why = "main -> host -> protocol -> crypto";
    none("node/src/crypto", &["crate::protocol", "crate::host"], &[], why);
    none("node/src/protocol", &["crate::host"], &[], why);
    none("node/src", &["sim_tests"], &[], "the product does not know its tests");
}

#[test]
fn the_protocol_is_pure() {
    let io = ["tokio", "madsim", "std::thread", "std::fs", "std::net", "Instant", "SystemTime"];
    none("node/src/protocol", &io, &[], "time, I/O and threads come in as data");
    let order = ["HashMap", "HashSet", "RandomState", "DefaultHasher"];
    none("node/src/protocol", &order, &[], "iteration order must not depend on the process");
    none("node/src/protocol", &["f32", "f64"], &["tests.rs", "rotor.rs"], "no floats (K24)");
    none("node/src/protocol", &["SecretKey"], &["tests"], "keys stay outside");
}

#[test]
fn one_module_names_the_runtime() {
    none("node/src", &["tokio::"], &["host/runtime"], "only host/runtime names tokio");
    none("node/src", &["madsim"], &["lib.rs"], "the simulator gives its world as a value");
    none("sim-tests/src", &["madsim::"], &["world"], "only the world names madsim");
}

#[test]
fn the_world_knows_nothing_of_alpenglow() {
    for folder in ["sim-tests/src/world", "sim-tests/src/plan"] {
        none(folder, &["alpenglow_node"], &[], "another system could move in");
    }
}

#[test]
fn oracles_do_their_own_arithmetic() {
    let product = [".reaches(", "Fraction", "stake::", "pool::tally", "pool::readiness", "votor"];
    // The tests of oracles run the product against them, so they may name it.
    let tests = ["sim-tests/src/oracles/tests"];
    none("sim-tests/src/oracles", &product, &tests, "a wrong threshold must not excuse itself");
}

#[test]
fn every_file_starts_with_words_and_is_not_too_long() {
    for folder in ["node", "sim-tests"] {
        for (path, text) in files(folder) {
            let name = path.display();
            assert!(text.starts_with("//!"), "{name} has no header");
            let lines = text.lines().count();
            assert!(lines <= 700, "{name} has {lines} lines: would two rooms be clearer?");
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // Written in two pieces, so that this file does not find itself.
    let words = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("db", "g!(")];
    for folder in ["node", "sim-tests"] {
        none(folder, &words, &[], "finish it");
    }
}
