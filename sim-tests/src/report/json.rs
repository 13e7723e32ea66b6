//! The machine-readable result of a run. Other programs read it: names are fixed, fields are only
//! ever added, and `schema` says which version it is.

use super::verdict::Verdict;
use crate::measure::{Measure, SlotEnd, percentile};
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::Slot;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// The result of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the plan.
    pub plan: String,
    /// The seed.
    pub seed: u64,
    /// The commit that the program was built from.
    pub commit: String,
    /// How the run ended.
    pub verdict: Verdict,
    /// Identity of the run.
    pub fingerprint: String,
    /// Cluster size.
    pub nodes: usize,
    /// Virtual duration.
    pub virtual_ms: u64,
    /// User and system time of the process.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Time on the wall.
    #[serde(default)]
    pub wall_ms: u64,
    /// Largest resident set of the process, in MiB.
    #[serde(default)]
    pub peak_rss_mb: u64,
    /// What was broken, earliest first.
    pub violations: Vec<ViolationReport>,
    /// Goals and gates of the plan that were missed.
    pub expectations_missed: Vec<String>,
    /// Packets, per receiver.
    pub messages: Messages,
    /// How slots ended.
    pub slots: Slots,
    /// From the last shred of a block leaving its leader to its finalization, per (node, block).
    pub finalization_ms: Distribution,
    /// One entry per heal.
    pub recovery_ms: Vec<RecoveryReport>,
    /// What happened to the transactions of the clients.
    pub transactions: Transactions,
    /// Situations reached.
    pub probes: BTreeMap<String, u64>,
    /// The same for what the plan says should happen sometimes, 0 if it did not in this run. The
    /// goals are judged over the seeds of a sweep.
    pub goals: BTreeMap<String, u64>,
    /// Rules of the protocol that no node took.
    pub rules_missed: Vec<String>,
}

/// A broken property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationReport {
    /// Which oracle.
    pub oracle: String,
    /// The slot, if it is about one.
    pub slot: Option<u64>,
    /// The nodes concerned.
    pub nodes: Vec<u16>,
    /// When.
    pub at_ms: f64,
    /// What happened.
    pub detail: String,
}

/// Packets, each counted once per receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Messages {
    /// Handed to the network.
    pub sent: u64,
    /// Reached a socket.
    pub delivered: u64,
    /// Did not, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// Second copies.
    pub duplicated: u64,
    /// Delivered with a flipped bit.
    pub corrupted: u64,
}

/// How slots ended, each once, by the earliest honest decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slots {
    /// By 80 % in one round.
    pub finalized_fast: u64,
    /// By 60 % in two rounds.
    pub finalized_slow: u64,
    /// As ancestors.
    pub finalized_indirect: u64,
    /// By certificate or by finality.
    pub skipped: u64,
    /// Neither, up to the highest slot with a ParentReady.
    pub undecided: u64,
}

impl Slots {
    /// Slots with a final block.
    pub fn finalized(&self) -> u64 {
        self.finalized_fast + self.finalized_slow + self.finalized_indirect
    }
}

/// Count and percentiles in milliseconds; null without samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Number of samples.
    pub n: u64,
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
}

/// The recovery after one heal. Times count from the heal; null: it never happened, or no bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// What healed.
    pub fault: String,
    /// When.
    pub healed_at_ms: f64,
    /// First finalization of a slot above all finalized before.
    pub first_finalization_ms: Option<f64>,
    /// Every live honest node had delivered it.
    pub caught_up_ms: Option<f64>,
    /// The bound that follows from the causes.
    pub bound_ms: Option<f64>,
}

/// What happened to the transactions of the clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transactions {
    /// Handed to nodes.
    pub submitted: u64,
    /// Delivered.
    pub finalized: u64,
    /// Given up by their entry node.
    pub expired: u64,
    /// Pairs (transaction, honest node): delivered elsewhere, passed over there.
    pub lost: u64,
    /// From submission to delivery at the entry node.
    pub latency_ms: Distribution,
}

/// Nanoseconds as milliseconds, to the microsecond.
pub fn ms(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1_000.0
}

impl Distribution {
    /// Of sorted nanoseconds.
    pub fn of(sorted: &[u64]) -> Distribution {
        let at = |percent| percentile(sorted, percent).map(ms);
        let max = sorted.last().copied().map(ms);
        Distribution { n: sorted.len() as u64, p50: at(50), p95: at(95), p99: at(99), max }
    }
}

impl Slots {
    /// From the measurements.
    pub fn of(measure: &Measure) -> Slots {
        let mut slots = Slots::default();
        for end in measure.slots.values() {
            match end {
                SlotEnd::Finalized(Mode::Fast) => slots.finalized_fast += 1,
                SlotEnd::Finalized(Mode::Slow) => slots.finalized_slow += 1,
                SlotEnd::Finalized(Mode::Indirect) => slots.finalized_indirect += 1,
                SlotEnd::Skipped => slots.skipped += 1,
            }
        }
        let all = 1..=measure.highest_ready.0;
        slots.undecided = all.filter(|s| !measure.slots.contains_key(&Slot(*s))).count() as u64;
        slots
    }
}
