//! What there is: the plans and the kept failures of the working directory, wrong nodes, lies, and
//! everything that runs count.

use super::seedfile::{Expectation, SeedFile};
use crate::plan::{BEHAVIOURS, Behaviour, Plan, SITUATIONS};
use alpenglow_node::protocol::rules::RULES;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Listing {
    plans: Vec<Entry>,
    behaviours: Vec<Lie>,
    /// What runs count, and what plans may name as goals.
    probes: Vec<Situation>,
    /// The branches of the protocol that runs count.
    rules: Vec<Situation>,
    seeds: Vec<Entry>,
    /// What `--wrong` knows: names and what is wrong.
    wrong: Vec<WrongEntry>,
}

#[derive(Serialize)]
struct WrongEntry {
    name: &'static str,
    about: &'static str,
}

/// A way to lie, for `kind = "byzantine"`.
#[derive(Serialize)]
struct Lie {
    behaviour: &'static str,
    id: &'static str,
    shows: &'static str,
}

/// A situation that a run may reach, or a rule that it may take.
#[derive(Serialize)]
struct Situation {
    name: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct Entry {
    path: PathBuf,
    about: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<Expectation>,
}

/// The TOML files of a folder, by name; none if it cannot be read.
pub fn toml_files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    paths
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints the table, or the same as JSON. `wrong` are names and meanings of wrong nodes.
pub fn print(
    json: Option<&Path>,
    wrong: impl Iterator<Item = (&'static str, &'static str)>,
) -> anyhow::Result<()> {
    let plan = |path: PathBuf| match Plan::load(&path, &[]) {
        Ok(plan) => Entry { path, about: one_line(&plan.document.about), expect: None },
        Err(error) => Entry { path, about: format!("unusable: {error}"), expect: None },
    };
    let seed = |path: PathBuf| match SeedFile::load(&path) {
        Ok(file) => Entry { path, about: one_line(&file.story), expect: Some(file.expect.verdict) },
        Err(error) => Entry { path, about: format!("unusable: {error}"), expect: None },
    };
    let lie = |lie: Behaviour| Lie { behaviour: lie.name, id: lie.id, shows: lie.shows };
    let listing = Listing {
        behaviours: BEHAVIOURS.map(lie).into(),
        probes: SITUATIONS.map(|probe| Situation { name: probe.name, about: probe.about }).into(),
        rules: RULES.iter().map(|(name, about)| Situation { name, about }).collect(),
        plans: toml_files("fault-plans").into_iter().map(plan).collect(),
        seeds: toml_files("seeds").into_iter().map(seed).collect(),
        wrong: wrong.map(|(name, about)| WrongEntry { name, about }).collect(),
    };
    super::emit(json, &listing)?;
    if json != Some(Path::new("-")) {
        println!("{}\n{}", table(&listing), lies(&listing));
        println!("{}", situations("situation that a run may reach", &listing.probes));
        println!("{}", situations("rule that a node may take", &listing.rules));
    }
    Ok(())
}

fn table(listing: &Listing) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_width(100);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(["file", "what it shows"]);
    for entry in listing.plans.iter().chain(&listing.seeds) {
        let open = match entry.expect {
            Some(Expectation::Fails) => " (open)",
            _ => "",
        };
        table.add_row([entry.path.display().to_string(), format!("{}{open}", entry.about)]);
    }
    for wrong in &listing.wrong {
        table.add_row([format!("--wrong {}", wrong.name), wrong.about.to_owned()]);
    }
    table
}

fn situations(what: &str, all: &[Situation]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_width(100);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header([what, "what it means"]);
    for situation in all {
        table.add_row([situation.name, situation.about]);
    }
    table
}

fn lies(listing: &Listing) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_width(100);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(["behaviour of kind = \"byzantine\"", "", "what an observer sees"]);
    for lie in &listing.behaviours {
        table.add_row([lie.behaviour, lie.id, lie.shows]);
    }
    table
}
