//! What a person, a program and the corpus get to see of a run.

pub mod html;
pub mod json;
pub mod list;
pub mod seedfile;
pub mod table;
pub mod verdict;

use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// Writes a machine-readable result where `--json` says: to a file, or for `-` to standard output.
pub fn emit(json: Option<&Path>, result: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = json else { return Ok(()) };
    let text = serde_json::to_string_pretty(result).context("the result cannot be encoded")?;
    if path == Path::new("-") {
        println!("{text}");
        return Ok(());
    }
    std::fs::write(path, text + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))
}
