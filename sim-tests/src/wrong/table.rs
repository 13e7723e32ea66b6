//! The hunt for wrong nodes as a person reads it.

use super::hunt::{Hunt, Result};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use std::collections::BTreeMap;

fn seconds(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 1_000.0)
}

/// One line when a hunt has ended.
pub(super) fn line(hunt: &Hunt) -> String {
    let cost = format!("{} runs, {} s CPU", hunt.runs, seconds(hunt.cpu_ms));
    match &hunt.caught {
        Some(caught) => {
            let (oracle, plan, seed) = (&caught.oracle, &caught.plan, caught.seed);
            format!("{}: {oracle} on {plan}, seed {seed} ({cost})", hunt.name)
        }
        None => format!("{}: NOT CAUGHT ({cost})", hunt.name),
    }
}

/// The table, and the sums.
pub(super) fn render(result: &Result) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_width(150);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "wrong node",
        "made",
        "caught by",
        "on plan",
        "seed",
        "at",
        "runs",
        "CPU s",
        "honest node",
        "what is wrong",
    ]);
    for hunt in &result.hunts {
        let mut row = vec![hunt.name.clone(), hunt.made.clone()];
        match &hunt.caught {
            Some(caught) => row.extend([
                match caught.others.len() {
                    0 => caught.oracle.clone(),
                    more => format!("{} (+{more})", caught.oracle),
                },
                caught.plan.clone(),
                caught.seed.to_string(),
                format!("{:.1} s", caught.at_ms / 1_000.0),
            ]),
            None => row.extend(["NOTHING", "-", "-", "-"].map(str::to_owned)),
        }
        row.extend([hunt.runs.to_string(), seconds(hunt.cpu_ms)]);
        row.push(match &hunt.caught {
            Some(caught) => format!("passes, {} s", seconds(caught.honest_cpu_ms)),
            None => "-".into(),
        });
        row.push(hunt.about.clone());
        table.add_row(row);
    }
    for column in [4, 5, 6, 7] {
        let column = table.column_mut(column).expect("it has that many");
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.to_string();
    for hunt in result.hunts.iter().filter(|hunt| !hunt.honest_failures.is_empty()) {
        let worlds = hunt.honest_failures.join("; ");
        text.push_str(&format!("\n{}: the honest node fails, too, on {worlds}", hunt.name));
    }
    let caught = result.hunts.iter().filter(|hunt| hunt.caught.is_some());
    let most = result.hunts.iter().map(|hunt| hunt.runs).max().unwrap_or(0);
    let wrong_ms: u64 = result.hunts.iter().map(|hunt| hunt.cpu_ms).sum();
    let honest = result.hunts.iter().filter_map(|hunt| hunt.caught.as_ref());
    let honest: BTreeMap<_, u64> =
        honest.map(|caught| ((&caught.plan, caught.seed), caught.honest_cpu_ms)).collect();
    let honest_ms: u64 = honest.values().sum();
    text + &format!(
        "\n{} of {} wrong nodes are caught, each within {most} runs of at most {}; \
         {} s CPU, and {} s for the honest node in the same worlds",
        caught.count(),
        result.hunts.len(),
        result.seeds,
        seconds(wrong_ms),
        seconds(honest_ms),
    )
}

#[cfg(test)]
mod tests {
    use super::super::hunt::Catch;
    use super::*;

    #[test]
    fn a_table_of_both_kinds() {
        let caught = Catch {
            oracle: "O14".into(),
            detail: "n3 built a certificate of too little stake".into(),
            others: vec!["O21".into()],
            plan: "vote-spam".into(),
            seed: 2,
            at_ms: 1_234.5,
            honest_cpu_ms: 4_000,
        };
        let one = Hunt {
            name: "counts-twice".into(),
            about: "a vote is counted twice".into(),
            made: "patch".into(),
            caught: Some(caught),
            runs: 3,
            cpu_ms: 2_560,
            honest_failures: vec![],
        };
        let two = Hunt {
            name: "unseen".into(),
            about: "nobody knows".into(),
            made: "around".into(),
            caught: None,
            runs: 200,
            cpu_ms: 100_000,
            honest_failures: vec!["calm, seed 7".into()],
        };
        let lines = format!("{}\n{}", line(&one), line(&two));
        let result = Result { schema: 1, commit: "x".into(), seeds: 200, hunts: vec![one, two] };
        insta::assert_snapshot!(format!("{lines}\n\n{}", render(&result)));
    }
}
