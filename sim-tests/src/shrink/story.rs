//! A failure in words: what happened, to whom, when, and which rule broke.

use crate::oracles::about::about;
use crate::plan::{Concrete, Nanos, percent};
use crate::report::json::RunReport;
use crate::wrong;

/// Tells the story of a failed run: the world, its faults in order, and the first violation among
/// them. One sentence a line.
pub fn tell(plan: &Concrete, report: &RunReport, wrong: Option<&str>) -> String {
    let mut lines = vec![cluster(plan, report.seed)];
    if let Some(wrong) = wrong.and_then(|name| wrong::named(name).ok()) {
        lines.push(format!("A wrong node was planted: {}.", wrong.about));
    }
    let total = plan.total_stake();
    let mut events: Vec<(u64, String)> = Vec::new();
    for fault in &plan.faults {
        let nodes = named(&fault.nodes, plan.nodes.len());
        let until = match fault.end {
            Some(end) if end == fault.start => String::new(),
            Some(end) => format!(", until {}", end.in_seconds()),
            None => ", to the end".into(),
        };
        let (at, stake) = (fault.start.in_seconds(), percent(fault.stake, total));
        let text = format!("At {at}: {nodes} ({stake} of the stake): {}{until}.", fault.effect);
        events.push((fault.start.0, text));
    }
    if let Some(heal_at) = plan.run.heal_at.filter(|_| !plan.faults.is_empty()) {
        events.push((heal_at.0, format!("At {}: everything is healed.", heal_at.in_seconds())));
    }
    events.sort();
    let Some(first) = report.violations.first() else {
        lines.extend(events.into_iter().map(|(_, text)| text));
        lines.extend(report.expectations_missed.iter().map(|missed| format!("Missed: {missed}.")));
        return lines.join("\n");
    };
    let at = Nanos((first.at_ms * 1e6) as u64);
    lines.extend(events.into_iter().filter(|(time, _)| *time <= at.0).map(|(_, text)| text));
    let slot = first.slot.map_or(String::new(), |slot| format!(", slot {slot}"));
    lines.push(format!("At {}{slot}: {}.", at.in_seconds(), first.detail.trim_end_matches('.')));
    let rule = about(&first.oracle).unwrap_or("the run comes to its end");
    lines.push(format!("This breaks {}: {rule}.", first.oracle));
    let mut others: Vec<&str> = Vec::new();
    for violation in &report.violations[1..] {
        let oracle = violation.oracle.as_str();
        if oracle != first.oracle && !others.contains(&oracle) {
            others.push(oracle);
        }
    }
    if !others.is_empty() {
        lines.push(format!("Then break {}.", others.join(", ")));
    }
    lines.join("\n")
}

fn cluster(plan: &Concrete, seed: u64) -> String {
    let nodes = plan.nodes.len();
    let equal = plan.nodes.windows(2).all(|pair| pair[0].stake == pair[1].stake);
    let what = if equal { "equal nodes" } else { "nodes" };
    let places = match plan.map.regions.len() {
        1 => format!("at most {} apart", plan.max_delay()),
        n => format!("in {n} places, at most {} apart", plan.max_delay()),
    };
    format!("{nodes} {what}, {places}; seed {seed}.")
}

fn named(nodes: &[u16], all: usize) -> String {
    match nodes {
        _ if nodes.len() == all => "all nodes".into(),
        [node] => format!("node {node}"),
        _ => {
            let list: Vec<String> = nodes.iter().map(u16::to_string).collect();
            format!("nodes {}", list.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::report::json::ViolationReport;

    #[test]
    fn a_story_is_in_order_and_ends_with_the_rule() {
        let text = r#"
            about = "x"
            plan_format = 1
            cluster = { nodes = 5, stake = "equal", regions = { one-way = "20ms" } }
            run = { duration = "20s", heal_at = "10s" }
            fault = [
                { kind = "crash", at = "4s", for = "1s", nodes = [1], mode = "tear" },
                { kind = "partition", at = "2s", for = "1s", side = { nodes = [0, 2] } },
                { kind = "pause", at = "7s", for = "1s", nodes = "all" },
            ]
        "#;
        let plan = Plan::parse("x", "x.toml", text, &[]).unwrap().expand(1).unwrap();
        let violation = |oracle: &str, at_ms, detail: &str| ViolationReport {
            oracle: oracle.into(),
            slot: Some(9),
            nodes: vec![1],
            at_ms,
            detail: detail.into(),
        };
        let report = RunReport {
            seed: 1,
            violations: vec![
                violation("O5", 5_250.0, "n1 casts two initial votes"),
                violation("O15", 5_300.0, ""),
            ],
            ..RunReport::default()
        };
        insta::assert_snapshot!(tell(&plan, &report, Some("forgets-votes")), @"
        5 equal nodes, at most 20ms apart; seed 1.
        A wrong node was planted: after a restart every node has forgotten the votes and blocks on its disk.
        At 2.000 s: nodes 0 2 (40.0 % of the stake): cut off, messages dropped, until 3.000 s.
        At 4.000 s: node 1 (20.0 % of the stake): down, unsynced writes torn, until 5.000 s.
        At 5.250 s, slot 9: n1 casts two initial votes.
        This breaks O5: an identity casts at most one initial vote in a slot, ever.
        Then break O15.
        ");
    }
}
