//! What a disk takes from a node for longer than its fault lasts.
//!
//! A crash is over when the node boots. A failed disk is not: a node whose write failed stops
//! voting until it starts again on a disk that works, and a node that lost its log, or may have,
//! never votes again (10.4). It still follows, relays and answers, but its stake is gone. From
//! causes alone: when the fault begins, and when power comes back.
//!
//! | cause | does not vote |
//! |---|---|
//! | a disk is lost in a crash | from the crash on |
//! | writes or syncs fail | from the fault to the first boot at or after its end |
//! | bits flip | from the next boot on: it may refuse to start, or find its log damaged |

use super::{SYNCS_PER_START, SYNCS_PER_WRITE};
use crate::plan::concrete::Concrete;
use crate::plan::fault::{Effect, Fault};
use crate::plan::settings::CrashMode;
use crate::plan::units::Nanos;

/// A time in which a node does not vote, because of its disk.
pub(super) struct Observing<'a> {
    pub(super) node: u16,
    start: Nanos,
    end: Option<Nanos>,
    /// Why.
    pub(super) fault: &'a Fault,
}

impl Observing<'_> {
    /// Whether it holds at `time`.
    pub(super) fn active_at(&self, time: Nanos) -> bool {
        self.start <= time && self.end.is_none_or(|end| time < end)
    }
}

/// Every such time of a world.
pub(super) fn of(world: &Concrete) -> Vec<Observing<'_>> {
    let mut found = Vec::new();
    for fault in &world.faults {
        for &node in &fault.nodes {
            let times = match fault.effect {
                Effect::Crash { mode: CrashMode::Wipe } => Some((fault.start, None)),
                Effect::DiskError { .. } => {
                    let healed = fault.end.and_then(|end| boot(world, node, end));
                    Some((fault.start, healed))
                }
                Effect::BitRot { .. } => {
                    boot(world, node, Nanos(fault.start.0 + 1)).map(|boot| (boot, None))
                }
                _ => None,
            };
            found.extend(times.map(|(start, end)| Observing { node, start, end, fault }));
        }
    }
    found
}

/// The first time at or after `from` at which the node boots.
fn boot(world: &Concrete, node: u16, from: Nanos) -> Option<Nanos> {
    let boots = world.faults.iter().filter(|fault| {
        let boots = matches!(fault.effect, Effect::Crash { .. } | Effect::LateStart {});
        boots && fault.nodes.binary_search(&node).is_ok()
    });
    boots.filter_map(|fault| fault.end).filter(|end| *end >= from).min()
}

impl Concrete {
    /// When `node` says its first word if it starts at `at` on a disk that a fault makes slow.
    pub fn late_start(&self, node: u16, at: Nanos) -> Option<Nanos> {
        let active = self.faults.iter().filter(|f| f.active_at(at) && f.nodes.contains(&node));
        let sync = active.filter_map(|fault| match fault.effect {
            Effect::DiskSlow { sync } => Some(sync.0),
            Effect::DiskStall { time, .. } => Some(self.disk.sync.0 + time.0),
            _ => None,
        });
        sync.max().map(|sync| Nanos(at.0 + SYNCS_PER_START * sync))
    }

    /// Whether `node` starts while `fault` is in force.
    fn starts_during(&self, node: u16, fault: &Fault) -> bool {
        let starts =
            |down: &Fault| matches!(down.effect, Effect::Crash { .. } | Effect::LateStart {});
        let hit = self.faults.iter().filter(|down| starts(down) && down.nodes.contains(&node));
        hit.filter_map(|down| down.end).any(|start| fault.active_at(start))
    }

    /// The times in which `node` does things later than the slack of the budget allows, or by a
    /// clock that the plan's drift does not cover: its processor is starved, its disk slow, its
    /// clock wrong. What it was doing when a fault ends may take as long as the fault makes it. And
    /// a node whose wall clock is behind begins with window 0 when that clock reads the start time
    /// of the genesis.
    pub fn hampered(&self, node: u16) -> Vec<(Nanos, Nanos)> {
        let hit = self.faults.iter().filter(|fault| fault.nodes.binary_search(&node).is_ok());
        let times = hit.filter_map(|fault| {
            let syncs =
                if self.starts_during(node, fault) { SYNCS_PER_START } else { SYNCS_PER_WRITE };
            let longer = match fault.effect {
                Effect::DiskSlow { sync } => syncs * sync.0,
                Effect::DiskStall { time, .. } => syncs * (self.disk.sync.0 + time.0),
                Effect::Starvation { turn } => turn.0,
                Effect::ClockDrift { .. } => 0,
                _ => return None,
            };
            let end = fault.end.map_or(u64::MAX, |end| end.0.saturating_add(longer));
            Some((fault.start, Nanos(end)))
        });
        let offset = self.nodes[usize::from(node)].clock_offset.0;
        let behind = (offset < 0).then(|| (Nanos(0), Nanos(offset.unsigned_abs())));
        times.chain(behind).collect()
    }
}
