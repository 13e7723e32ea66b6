//! The data of one run's page.

use super::{COMMON, page};
use crate::measure::{Measure, SlotEnd};
use crate::plan::Effect;
use crate::report::json::{RunReport, ms};
use crate::trace::Record;
use crate::trace::kind::{Group, Kind};
use crate::trace::log::{Entry, SlotLog};
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{Slot, Window};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const SCRIPTS: &[&str] = &[
    COMMON,
    include_str!("assets/model.js"),
    include_str!("assets/lanes.js"),
    include_str!("assets/charts.js"),
    include_str!("assets/run.js"),
];

/// Samples of a latency that go into the page; more are thinned out evenly by rank.
const RANKS: usize = 1_000;

/// What a page is drawn from.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// The result.
    pub report: &'a RunReport,
    /// What nodes observed.
    pub record: Record<'a>,
    /// What was measured.
    pub measure: &'a Measure,
    /// The command that runs the same again.
    pub replay: &'a str,
}

/// The page of a run.
pub fn run(picture: &Picture<'_>) -> String {
    let Picture { report, record, measure, replay } = picture;
    let end = record.end_ns;
    let faults: Vec<Value> = record
        .scene
        .plan
        .faults
        .iter()
        .map(|fault| {
            let down = matches!(
                fault.effect,
                Effect::Crash { .. } | Effect::Pause {} | Effect::LateStart {}
            );
            json!({
                "label": fault.label, "text": fault.describe(record.scene.total),
                "from_ms": ms(fault.start.0), "to_ms": fault.end.map(|end| ms(end.0)),
                "nodes": fault.nodes, "down": down,
            })
        })
        .collect();
    let left_out: Vec<Value> = record
        .log
        .kept()
        .iter()
        .filter(|kept| kept.kept < kept.seen)
        .map(|kept| {
            let (from, to) = kept.span_ns.unzip();
            json!({
                "what": kept.detail.name(), "detail": kept.detail as u8, "seen": kept.seen, "kept": kept.kept,
                "from_ms": from.map(ms), "to_ms": to.map(ms),
            })
        })
        .collect();
    let kind = |kind: &Kind| json!({ "short": kind.short(), "long": kind.long(), "group": kind.group().name() });
    let heal = record.scene.plan.run.heal_at.map(|at| at.0).filter(|at| (1..end).contains(at));
    let data = json!({
        "report": report,
        // As text: a browser's numbers end at 53 bits.
        "seed": report.seed.to_string(),
        "about": record.scene.plan.about.trim(),
        "heal_ms": heal.map(ms),
        "replay": replay,
        "nodes": nodes(record),
        "faults": faults,
        "windows": windows(record),
        "slots": slots(record, measure, end),
        "kinds": Kind::ALL.iter().map(kind).collect::<Vec<Value>>(),
        "groups": Group::ALL.map(Group::name),
        "events": columns(&record.log.entries()),
        "blocks": record.log.blocks.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "notes": record.log.notes,
        "left_out": left_out,
        "latency": {
            "finalization": ranks(&measure.finalization_ns),
            "transactions": ranks(&measure.transaction_ns),
        },
    });
    let verdict = report.verdict.name();
    page(&format!("{verdict}: {}, seed {}", report.plan, report.seed), SCRIPTS, &data)
}

fn nodes(record: &Record<'_>) -> Vec<Value> {
    let scene = record.scene;
    let node = |(number, node): (usize, &crate::plan::Node)| {
        json!({
            "share": share(u128::from(node.stake), scene.total),
            "region": node.region, "honest": scene.correct[number],
        })
    };
    scene.plan.nodes.iter().enumerate().map(node).collect()
}

/// A part of all stake, rounded down to a millionth.
fn share(sum: u128, total: u64) -> f64 {
    (sum * 1_000_000 / u128::from(total.max(1))) as f64 / 1e6
}

/// Windows in which anything happened: who led, and since when it could.
fn windows(record: &Record<'_>) -> Vec<Value> {
    let log = record.log;
    let all: BTreeSet<Window> = log.slots.keys().map(|slot| Slot(*slot).window()).collect();
    let window = |window: Window| {
        let first = window.first();
        let ready = log.slots.get(&first.0).and_then(|slot| slot.ready_ns);
        let ready = if window == Window(0) { Some(0) } else { ready };
        json!({
            "window": window.0, "first": first.0, "leader": record.scene.committee.leader(window).0,
            "ready_ms": ready.map(ms),
        })
    };
    all.into_iter().map(window).collect()
}

fn slots(record: &Record<'_>, measure: &Measure, end_ns: u64) -> Vec<Value> {
    let mut latest = 0;
    let mut rows = Vec::new();
    for (slot, log) in record.log.slots.iter().filter(|(slot, _)| **slot > 0) {
        let end = match measure.slots.get(&Slot(*slot)) {
            Some(SlotEnd::Finalized(Mode::Fast)) => "fast",
            Some(SlotEnd::Finalized(Mode::Slow)) => "slow",
            Some(SlotEnd::Finalized(Mode::Indirect)) => "indirect",
            Some(SlotEnd::Skipped) => "skipped",
            None => "undecided",
        };
        // A strip of slots reads from left to right, even where a later one was touched first.
        let begin = log.begin_ns.map(|begin| begin.max(latest).min(end_ns));
        latest = begin.unwrap_or(latest);
        let mut row = stake(record, log);
        // The schedule of the world; a node that believes in another one is drawn where it worked.
        let planned = record.scene.committee.leader(Slot(*slot).window()).0;
        let more = json!({
            "slot": slot, "end": end, "begin_ms": begin.map(ms),
            "leader": log.work.map_or(planned, |(node, ..)| node),
            "work_ms": log.work.map(|(_, from, to)| [ms(from), ms(to)]),
            "final_ms": log.final_ns.map(|(first, last)| [ms(first), ms(last)]),
        });
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        rows.push(row);
    }
    rows
}

/// Who voted how, as shares of all stake. A node counts once for each thing it said.
fn stake(record: &Record<'_>, log: &SlotLog) -> Value {
    let scene = record.scene;
    let sum = |nodes: &BTreeSet<u16>| -> u128 {
        nodes.iter().map(|node| u128::from(scene.stakes[usize::from(*node)])).sum()
    };
    let voters = |wanted: &[Kind], block: Option<u32>| -> BTreeSet<u16> {
        let fits = |vote: &&(Kind, Option<u32>, u16)| {
            wanted.contains(&vote.0) && (block.is_none() || vote.1 == block)
        };
        log.votes.iter().filter(fits).map(|(.., node)| *node).collect()
    };
    let blocks: BTreeSet<u32> = log.votes.iter().filter_map(|(_, block, _)| *block).collect();
    let part = |wanted: &[Kind], block| sum(&voters(wanted, block));
    let notar = |block: &u32| part(&[Kind::VoteNotar], Some(*block));
    let best = blocks.iter().max_by_key(|block| (notar(block), std::cmp::Reverse(**block)));
    let top = best.map_or(0, notar);
    let all: u128 = blocks.iter().map(notar).sum();
    let with_fallback = [Kind::VoteNotar, Kind::VoteNotarFallback];
    let notar_all =
        blocks.iter().map(|block| part(&with_fallback, Some(*block))).max().unwrap_or(0);
    let share = |sum| share(sum, scene.total);
    json!({
        "voted": !log.votes.is_empty(),
        "notar": share(top), "other": share(all - top), "notar_all": share(notar_all),
        "skip": share(part(&[Kind::VoteSkip], None)),
        "skip_all": share(part(&[Kind::VoteSkip, Kind::VoteSkipFallback], None)),
        "final": share(part(&[Kind::VoteFinal], None)),
    })
}

/// Entries as columns of small numbers: times as differences, references from 1, 0 for none.
fn columns(entries: &[Entry]) -> Value {
    let mut last = 0;
    let times = entries.iter().map(|entry| entry.at_ns - std::mem::replace(&mut last, entry.at_ns));
    let times: Vec<u64> = times.collect();
    let column = |of: &dyn Fn(&Entry) -> u64| -> Vec<u64> { entries.iter().map(of).collect() };
    let from_one = |value: Option<u64>| value.map_or(0, |value| value + 1);
    json!({
        "t": times,
        "n": column(&|entry| u64::from(entry.node)),
        "k": column(&|entry| entry.kind as u64),
        "s": column(&|entry| from_one(entry.slot)),
        "b": column(&|entry| from_one(entry.block.map(u64::from))),
        "p": column(&|entry| from_one(entry.peer.map(u64::from))),
        "x": column(&|entry| from_one(entry.note.map(u64::from))),
    })
}

/// Evenly ranked samples of a sorted list, in milliseconds, with the largest among them.
fn ranks(sorted: &[u64]) -> Value {
    let n = sorted.len();
    let ranks: Vec<f64> = match n <= RANKS {
        true => sorted.iter().map(|ns| ms(*ns)).collect(),
        false => (1..=RANKS).map(|rank| ms(sorted[rank * n / RANKS - 1])).collect(),
    };
    json!({ "n": n, "ranks": ranks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_samples_are_thinned_out_evenly() {
        let all: Vec<u64> = (1..=5_000_u64).map(|i| i * 1_000_000).collect();
        let thinned = ranks(&all);
        let list = thinned["ranks"].as_array().unwrap();
        assert_eq!((list.len(), &thinned["n"]), (RANKS, &json!(5_000)));
        assert_eq!((&list[499], &list[999]), (&json!(2_500.0), &json!(5_000.0)));
        assert_eq!(ranks(&[7_000_000])["ranks"], json!([7.0]));
    }

    #[test]
    fn shares_are_rounded_down() {
        assert_eq!(share(3, 5), 0.6);
        assert_eq!(share(599_999_999, 1_000_000_000), 0.599999);
    }
}
