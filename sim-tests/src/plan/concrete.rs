//! A plan in which nothing is left to chance or to be worked out: what runs, is printed, is saved
//! with a failing seed, and is shrunk.
//!
//! A plan file says "a bit more than 40 % of the stake, for 3 s". Which nodes that is follows from
//! the seed; if a saved failure kept only the plan file and the seed, a later change of the file,
//! of the figures or of the expansion would silently turn it into another world. So the world is
//! written out: every node with its stake, place and clock, every fault with its nodes and times.
//! The text is TOML with units, and reading it gives back the same value to the nanosecond.
//!
//! The seed is not part of it. Together with the seed, which decides what each packet meets, it is
//! the whole input of a run; the same world under another seed is another legal run.
//!
//! Link parameters follow from the regions, see [`Concrete::delay`]; [`Concrete::timeline`] lists
//! what has to be switched, and when.

pub(super) mod check;

use super::budget::Budget;
use super::error::PlanError;
use super::fault::{Effect, Fault};
use super::settings::{Cpu, CrashMode, Crypto, Disk, Expect, Network, Params, Run, Workload};
use super::shape::{Delay, Map};
use super::source::Source;
use super::units::{Drift, Nanos, Offset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A world, ready to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concrete {
    /// [`super::PLAN_FORMAT`].
    pub plan_format: u64,
    /// The name of the plan that it was expanded from.
    pub name: String,
    /// What that plan shows.
    pub about: String,
    /// Which signatures the nodes use.
    pub crypto: Crypto,
    /// Genesis parameters.
    pub params: Params,
    /// Duration and heal.
    pub run: Run,
    /// The network without faults.
    pub network: Network,
    /// The disks without faults.
    pub disk: Disk,
    /// What work costs.
    pub cpu: Cpu,
    /// What clients do.
    pub workload: Workload,
    /// What must hold.
    pub expect: Expect,
    /// How far the regions are from each other.
    pub map: Map,
    /// The nodes, by number.
    #[serde(rename = "node")]
    pub nodes: Vec<Node>,
    /// The faults, in the order of the plan.
    #[serde(rename = "fault", default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// One node of the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its stake. All stakes together fit an `i64`.
    pub stake: u64,
    /// The name of its region on the map.
    pub region: String,
    /// How far its wall clock is off at the start.
    pub clock_offset: Offset,
    /// How much too fast its clock runs.
    pub clock_drift: Drift,
}

/// Something that happens to a fault at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// It is over.
    End,
    /// It starts, or happens if it is an instant.
    Begin,
}

impl Concrete {
    /// Reads a world from the text that [`Concrete::to_toml`] wrote, and checks it. `file` is how
    /// errors call the text.
    pub fn parse(file: &str, text: &str) -> Result<Concrete, PlanError> {
        let (source, table) = Source::parse(file, text, &[])?;
        let concrete: Concrete = source.read(table, 0..0, &[])?;
        match concrete.check() {
            Ok(()) => Ok(concrete),
            Err(defect) => Err(source.error_at(&defect.path(), defect.words())),
        }
    }

    /// Whether this world can run and can keep what it expects; else why not.
    pub fn legal(&self) -> Result<(), String> {
        let checked = self.check().and_then(|()| Budget::of(self).approve(self));
        checked.map_err(|defect| format!("{}: {}", defect.path(), defect.words().0))
    }

    /// The text of this world.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value of a checked world fits TOML")
    }

    /// All stake.
    pub fn total_stake(&self) -> u64 {
        self.nodes.iter().map(|node| node.stake).sum()
    }

    /// Whether a fault of this world has by `time` taken from the disk of `node` what was durable
    /// there.
    pub fn spoils_disk(&self, node: u16, time: Nanos) -> bool {
        let hit = |fault: &&Fault| fault.start <= time && fault.nodes.contains(&node);
        self.faults.iter().filter(hit).any(|fault| {
            let wipes = matches!(fault.effect, Effect::Crash { mode: CrashMode::Wipe });
            wipes || matches!(fault.effect, Effect::BitRot { .. })
        })
    }

    /// Whether the disk of `node` refuses to write at `time`.
    pub fn disk_fails(&self, node: u16, time: Nanos) -> bool {
        self.disk_has_failed(node, time, time)
    }

    /// Whether the disk of `node` refused to write at any time from `from` to `to`.
    pub fn disk_has_failed(&self, node: u16, from: Nanos, to: Nanos) -> bool {
        let fails = |fault: &Fault| {
            matches!(fault.effect, Effect::DiskError { .. })
                && fault.start <= to
                && fault.end.is_none_or(|end| end > from)
        };
        self.faults.iter().any(|fault| fault.nodes.contains(&node) && fails(fault))
    }

    /// Every identity that is byzantine at any time of the run.
    pub fn byzantine(&self) -> BTreeSet<u16> {
        let lies = self.faults.iter().filter(|f| matches!(f.effect, Effect::Byzantine { .. }));
        lies.flat_map(|fault| fault.nodes.iter().copied()).collect()
    }

    /// How long a packet takes from node `from` to node `to`, both below the number of nodes,
    /// before queues and faults.
    pub fn delay(&self, from: u16, to: u16) -> Delay {
        let place = |node: u16| {
            let name = &self.nodes[usize::from(node)].region;
            self.map.regions.iter().position(|r| r == name).expect("checked: it is on the map")
        };
        self.map.delay(place(from), place(to), self.network.jitter)
    }

    /// The longest delay between any two places on the map, before queues and faults.
    pub fn max_delay(&self) -> Nanos {
        let count = self.map.regions.len();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let longest = pairs.map(|(from, to)| self.map.delay(from, to, self.network.jitter).max);
        longest.max().unwrap_or_default()
    }

    /// What begins and ends when: (time, edge, index into `faults`), in the order in which it must
    /// be done. At one moment ends come before begins, so that a node can come back and go down
    /// again. Instants only begin; what lasts to the end of the run never ends.
    pub fn timeline(&self) -> Vec<(Nanos, Edge, usize)> {
        let mut edges = Vec::new();
        for (index, fault) in self.faults.iter().enumerate() {
            edges.push((fault.start, Edge::Begin, index));
            edges.extend(fault.end.filter(|e| *e > fault.start).map(|e| (e, Edge::End, index)));
        }
        edges.sort();
        edges
    }

    /// What this world does, one line for each fault, for people.
    pub fn describe(&self) -> String {
        let total = self.total_stake();
        self.faults.iter().map(|fault| fault.describe(total) + "\n").collect()
    }
}

#[cfg(test)]
mod tests;
