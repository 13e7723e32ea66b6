//! A run in the Chrome trace format (a JSON object with `traceEvents`), which Perfetto, speedscope
//! and `chrome://tracing` open.
//!
//! Nodes are threads of one process, in order; faults are threads of another. What takes time is a
//! slice (making a block, being down, standing still, a fault), what does not is an instant.
//! Violations are instants of the whole trace. The highest final slot is a counter. Times are
//! microseconds with three decimals: nanoseconds survive.

use super::Record;
use super::kind::Kind;
use super::log::Entry;
use crate::plan::percent;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Processes. A thread with the number of its process is its main thread to readers, and shown
/// first; so these are beyond the numbers of nodes and faults.
const FAULTS: u32 = 10_001;
const NODES: u32 = 10_002;

/// Nanoseconds as the microseconds of the format.
fn us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

/// The trace.
pub fn render(record: &Record<'_>) -> Value {
    let mut events = Vec::new();
    names(record, &mut events);
    faults(record, &mut events);
    let mut highest = 0;
    let mut begun: BTreeMap<(u16, &str, Option<u64>), u64> = BTreeMap::new();
    for entry in record.log.entries() {
        slices(&entry, &mut begun, &mut events);
        events.push(instant(record, &entry));
        let is_final =
            [Kind::FinalFast, Kind::FinalSlow, Kind::FinalIndirect].contains(&entry.kind);
        if let Some(slot) = entry.slot.filter(|slot| is_final && *slot > highest) {
            highest = slot;
            let args = json!({ "slot": slot });
            events.push(json!({
                "name": "highest final slot", "ph": "C", "pid": FAULTS, "ts": us(entry.at_ns), "args": args,
            }));
        }
    }
    for ((node, what, _), begin) in begun {
        if what != "produce" {
            events.push(slice(node, what.to_owned(), begin, record.end_ns));
        }
    }
    for violation in record.violations {
        let nodes: Vec<u16> = violation.nodes.iter().map(|node| node.0).collect();
        let args = json!({
            "detail": violation.detail, "slot": violation.slot.map(|slot| slot.0), "nodes": nodes,
        });
        events.push(json!({
            "name": format!("VIOLATION {}", violation.oracle), "cat": "violation", "ph": "i",
            "s": "g", "pid": FAULTS, "tid": 0, "ts": us(violation.at_ns), "args": args,
        }));
    }
    let left_out: Map<String, Value> = record
        .log
        .kept()
        .iter()
        .filter(|kept| kept.kept < kept.seen)
        .map(|kept| (kept.detail.name().into(), json!(kept.seen - kept.kept)))
        .collect();
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": { "plan": record.scene.plan.name, "left_out": left_out },
    })
}

fn names(record: &Record<'_>, events: &mut Vec<Value>) {
    let mut name = |what: &str, pid: u32, tid: u32, args: Value| {
        events.push(json!({ "name": what, "ph": "M", "pid": pid, "tid": tid, "args": args }));
    };
    for (pid, title) in [(FAULTS, "faults and verdicts"), (NODES, "nodes")] {
        name("process_name", pid, 0, json!({ "name": title }));
        name("process_sort_index", pid, 0, json!({ "sort_index": pid }));
    }
    for (number, node) in record.scene.plan.nodes.iter().enumerate() {
        let tid = number as u32 + 1;
        let lies = if record.scene.correct[number] { "" } else { ", byzantine" };
        let share = percent(node.stake, record.scene.total);
        let title = format!("n{number} {share} {}{lies}", node.region);
        name("thread_name", NODES, tid, json!({ "name": title }));
        name("thread_sort_index", NODES, tid, json!({ "sort_index": tid }));
    }
}

fn faults(record: &Record<'_>, events: &mut Vec<Value>) {
    for (number, fault) in record.scene.plan.faults.iter().enumerate() {
        let tid = number as u32 + 1;
        let end = fault.end.map_or(record.end_ns, |end| end.0.min(record.end_ns));
        let what = fault.describe(record.scene.total);
        events.push(json!({
            "name": "thread_name", "ph": "M", "pid": FAULTS, "tid": tid,
            "args": { "name": fault.label },
        }));
        events.push(json!({
            "name": fault.label, "cat": "fault", "ph": "X", "pid": FAULTS, "tid": tid,
            "ts": us(fault.start.0), "dur": us(end.saturating_sub(fault.start.0)),
            "args": { "what": what },
        }));
    }
}

fn slice(node: u16, what: String, begin: u64, end: u64) -> Value {
    json!({
        "name": what, "ph": "X", "pid": NODES, "tid": u32::from(node) + 1,
        "ts": us(begin), "dur": us(end - begin),
    })
}

/// What takes time has a first and a last entry.
fn slices(
    entry: &Entry,
    begun: &mut BTreeMap<(u16, &'static str, Option<u64>), u64>,
    events: &mut Vec<Value>,
) {
    let (what, begins) = match entry.kind {
        Kind::Production => ("produce", true),
        Kind::BlockSent => ("produce", false),
        Kind::Crash => ("down", true),
        Kind::Start => ("down", false),
        Kind::Pause => ("paused", true),
        Kind::Resume => ("paused", false),
        _ => return,
    };
    let key = (entry.node, what, entry.slot);
    if begins {
        begun.insert(key, entry.at_ns);
    } else if let Some(begin) = begun.remove(&key) {
        let name = match entry.slot {
            Some(slot) => format!("{what} {slot}"),
            None => what.to_owned(),
        };
        events.push(slice(entry.node, name, begin, entry.at_ns));
    }
}

fn instant(record: &Record<'_>, entry: &Entry) -> Value {
    let mut args = Map::new();
    args.insert("what".into(), entry.kind.long().into());
    if let Some(slot) = entry.slot {
        args.insert("slot".into(), slot.into());
    }
    if let Some(block) = entry.block {
        args.insert("block".into(), record.log.blocks[block as usize].to_string().into());
    }
    if let Some(peer) = entry.peer {
        args.insert("from".into(), peer.into());
    }
    if let Some(note) = entry.note {
        args.insert("note".into(), record.log.notes[note as usize].clone().into());
    }
    let slot = entry.slot.map_or(String::new(), |slot| format!(" {slot}"));
    json!({
        "name": format!("{}{slot}", entry.kind.short()), "cat": entry.kind.group().name(),
        "ph": "i", "s": "t", "pid": NODES, "tid": u32::from(entry.node) + 1,
        "ts": us(entry.at_ns), "args": args,
    })
}
