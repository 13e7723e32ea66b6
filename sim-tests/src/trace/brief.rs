//! A run as a short text that a person can read and a snapshot test can keep.
//!
//! A line for every observation of every node is long, and changes with every hash. Here what many
//! nodes did alike is one line: the first of them, how long until the last, and who. Blocks are
//! called by slot and order of appearance (`5a`, then `5b`), so that a change of bytes alone changes
//! nothing. Received votes and dropped input are left out.

use super::Record;
use super::kind::{Detail, Kind};
use super::log::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// One line in the making.
struct Line {
    first_ns: u64,
    last_ns: u64,
    slot: Option<u64>,
    what: String,
    nodes: BTreeSet<u16>,
}

/// What has to be equal for two entries to share a line.
type Key = (Kind, Option<u64>, Option<u32>, Option<u32>, Option<u16>);

fn key(entry: &Entry) -> Key {
    // Who signed or what was counted matters for landmarks only.
    let landmark = entry.kind.detail() == Detail::Landmark;
    let (note, peer) = if landmark { (entry.note, entry.peer) } else { (None, None) };
    (entry.kind, entry.slot, entry.block, note, peer)
}

/// Names of blocks: the slot, and a letter by order of appearance.
fn names(record: &Record<'_>) -> Vec<String> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    let mut name = |slot: u64| {
        let count = counts.entry(slot).or_default();
        *count += 1;
        match *count {
            n @ 1..=26 => format!("{slot}{}", char::from(b'a' + n as u8 - 1)),
            n => format!("{slot}#{n}"),
        }
    };
    record.log.blocks.iter().map(|block| name(block.slot.0)).collect()
}

/// `all`, or numbers and ranges.
fn list(nodes: &BTreeSet<u16>, all: usize) -> String {
    if nodes.len() == all && all > 1 {
        return "all".into();
    }
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for node in nodes {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == *node => *to = *node,
            _ => ranges.push((*node, *node)),
        }
    }
    let range = |(from, to): (u16, u16)| match to - from {
        0 => format!("n{from}"),
        1 => format!("n{from} n{to}"),
        _ => format!("n{from}-n{to}"),
    };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(" ")
}

fn ms(ns: u64) -> f64 {
    (ns / 10_000) as f64 / 100.0
}

/// The text.
pub fn render(record: &Record<'_>) -> String {
    let names = names(record);
    let mut lines: Vec<Line> = Vec::new();
    let mut open: BTreeMap<Key, usize> = BTreeMap::new();
    for entry in record.log.entries() {
        if entry.kind.detail() == Detail::Receipt {
            continue;
        }
        let known = open.get(&key(&entry)).filter(|n| !lines[**n].nodes.contains(&entry.node));
        let number = known.copied().unwrap_or(lines.len());
        if number == lines.len() {
            open.insert(key(&entry), number);
            let block = entry.block.map_or(String::new(), |b| format!(" {}", names[b as usize]));
            let mut what = format!("{}{block}", entry.kind.short());
            if let (_, _, _, Some(note), _) = key(&entry) {
                write!(what, ": {}", record.log.notes[note as usize]).expect("memory");
            }
            if let (.., Some(peer)) = key(&entry) {
                write!(what, " by n{peer}").expect("memory");
            }
            let (first_ns, last_ns) = (entry.at_ns, entry.at_ns);
            lines.push(Line { first_ns, last_ns, slot: entry.slot, what, nodes: BTreeSet::new() });
        }
        lines[number].last_ns = entry.at_ns;
        lines[number].nodes.insert(entry.node);
    }
    faults(record, &mut lines);
    lines.sort_by_key(|line| line.first_ns);
    let mut text = String::from("      ms       +ms  slot  what\n");
    for line in &lines {
        let later = match line.last_ns - line.first_ns {
            0 => String::new(),
            ns => format!("+{:.2}", ms(ns)),
        };
        let slot = line.slot.map_or(String::new(), |slot| slot.to_string());
        let nodes = list(&line.nodes, record.scene.stakes.len());
        let row =
            format!("{:>8.2} {later:>9} {slot:>5}  {:<20}  {nodes}", ms(line.first_ns), line.what);
        writeln!(text, "{}", row.trim_end()).expect("memory");
    }
    left_out(record, &mut text);
    writeln!(text, "{:>8.2} {:>17} end", ms(record.end_ns), "").expect("memory");
    text
}

/// Faults and violations have lines of their own.
fn faults(record: &Record<'_>, lines: &mut Vec<Line>) {
    let mut line = |at_ns: u64, slot: Option<u64>, what: String| {
        let nodes = BTreeSet::new();
        lines.push(Line { first_ns: at_ns, last_ns: at_ns, slot, what, nodes });
    };
    for fault in &record.scene.plan.faults {
        let nodes = fault.nodes.iter().copied().collect();
        let whom = list(&nodes, record.scene.stakes.len());
        line(fault.start.0, None, format!("== {}: {}, {whom}", fault.label, fault.effect));
        if let Some(end) = fault.end.filter(|end| *end > fault.start && end.0 <= record.end_ns) {
            line(end.0, None, format!("== {} is over", fault.label));
        }
    }
    for violation in record.violations {
        let slot = violation.slot.map(|slot| slot.0);
        line(violation.at_ns, slot, format!("!! {}: {}", violation.oracle, violation.detail));
    }
}

fn left_out(record: &Record<'_>, text: &mut String) {
    for kept in record.log.kept().iter().filter(|k| k.kept < k.seen && k.detail != Detail::Receipt)
    {
        let (name, missing) = (kept.detail.name(), kept.seen - kept.kept);
        writeln!(text, "left out: {missing} of {} ({name})", kept.seen).expect("memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nodes() {
        let list = |nodes: &[u16]| list(&nodes.iter().copied().collect(), 6);
        assert_eq!(list(&[0, 1, 2, 3, 4, 5]), "all");
        assert_eq!(list(&[0, 2, 3, 5]), "n0 n2 n3 n5");
        assert_eq!(list(&[1, 2, 3, 5]), "n1-n3 n5");
        assert_eq!(list(&[]), "");
    }
}
