//! The sections of a plan that need no expansion: they mean the same before and after.
//!
//! Keys are snake_case; names of choices are kebab-case, also where a choice carries a value
//! (`regions = { one-way = "20ms" }`). Every key has a default, so that a plan states only what it
//! is about, and so that a plan saved today can still be read when a key has been added. Base
//! conditions of the network (loss, bursts, corruption, duplication) hold until `heal_at`; what
//! is queued, shaped or delayed (bandwidth, reordering, mtu, grid) is part of the world for good.

use super::units::{Nanos, Rate, Share, Size};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Which signatures the nodes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crypto {
    /// BLS12-381 and Ed25519, as in production.
    #[default]
    Bls,
    /// Keyed hashes of the same size: anyone could forge them, nobody does. For wide sweeps.
    Null,
}

/// Genesis parameters, the same at every node. The defaults are those of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Δ: the message delay that the protocol counts on.
    pub delta: Nanos,
    /// Δ_block: the time of a leader for one block.
    pub delta_block: Nanos,
    /// Δ_timeout: from ParentReady to the first skip, less one block time. Above 3Δ.
    pub delta_timeout: Nanos,
    /// Δ_first: the time of a leader for its first slice.
    pub delta_first: Nanos,
    /// Δ_standstill: silence of finality after which everything undecided is sent again.
    pub standstill: Nanos,
    /// How often the standstill rule looks at the clock.
    pub standstill_poll: Nanos,
    /// ε: growth of Δ_timeout per window without finality, in steps of 0.1 %.
    pub timeout_growth: Share,
    /// Upper end of the grown Δ_timeout.
    pub timeout_cap: Nanos,
    /// A slice that is not full closes after this time.
    pub slice_interval: Nanos,
    /// Slices in a block at most, 2 to 64.
    pub max_slices: u8,
    /// L: slots per epoch, a multiple of 4.
    pub epoch_slots: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            delta: Nanos::from_millis(250),
            delta_block: Nanos::from_millis(400),
            delta_timeout: Nanos::from_millis(800),
            delta_first: Nanos::from_millis(10),
            standstill: Nanos::from_secs(10),
            standstill_poll: Nanos::from_millis(400),
            timeout_growth: Share(50_000_000),
            timeout_cap: Nanos::from_secs(60),
            slice_interval: Nanos::from_millis(200),
            max_slices: 64,
            epoch_slots: 18_000,
        }
    }
}

/// How long the run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The least duration in virtual time; the run goes on until every recovery is decided.
    pub duration: Nanos,
    /// When every fault has ended and the network is clean. Without it, liveness is watched where
    /// the faults and the network leave it promised, and through the progress that the plan expects.
    pub heal_at: Option<Nanos>,
    /// How often a fault point in host code fires, in runs in which the seed activates it. It does
    /// what is legal and unlikely: an early wake-up, a short batch, a late completion.
    #[serde(default)]
    pub buggify: Share,
}

/// The network without faults. The delays are in the map of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Packets that are lost, each independently; until `heal_at`.
    pub loss: Share,
    /// The least distance from the median of a delay to its 90th percentile, relative to the
    /// median. The map may spread wider.
    pub jitter: Share,
    /// Upload of each node; unlimited if absent.
    pub bandwidth: Option<Rate>,
    /// Times at which a link loses more than usual; until `heal_at`.
    pub bursts: Option<Bursts>,
    /// Packets that arrive twice; until `heal_at`.
    pub duplication: Share,
    /// Packets that are held back, so that later ones overtake them.
    pub reordering: Option<Reordering>,
    /// Packets with one bit flipped; until `heal_at`.
    pub corruption: Share,
    /// Larger datagrams are dropped.
    pub mtu: Size,
    /// Delivery times are rounded up to a multiple of this; 0 is exact.
    pub grid: Nanos,
}

impl Default for Network {
    fn default() -> Self {
        Network {
            loss: Share::NONE,
            jitter: Share::NONE,
            bandwidth: None,
            bursts: None,
            duplication: Share::NONE,
            reordering: None,
            corruption: Share::NONE,
            mtu: Size(1_500),
            grid: Nanos(0),
        }
    }
}

/// Gilbert-Elliott loss: every link alternates between quiet gaps and bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Packets lost during a burst.
    pub loss: Share,
    /// Mean length of a burst.
    pub length: Nanos,
    /// Mean time between two bursts.
    pub gap: Nanos,
}

/// Packets that arrive late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reordering {
    /// How many packets.
    pub share: Share,
    /// How much later at most; uniform from 0.
    pub delay: Nanos,
}

/// The disks without faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// Time of one sync.
    pub sync: Nanos,
    /// A sync takes up to this share longer.
    pub sync_jitter: Share,
    /// What a crash leaves of unsynced writes, unless the fault says otherwise.
    pub crash: CrashMode,
}

impl Default for Disk {
    fn default() -> Self {
        Disk { sync: Nanos(200_000), sync_jitter: Share::NONE, crash: CrashMode::Lose }
    }
}

/// What becomes of writes that were not synced when the node went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrashMode {
    /// All of them reach the disk: the process died, the machine did not.
    Keep,
    /// None of them does.
    Lose,
    /// Any subset of their sectors does, one of them torn: the power went.
    Tear,
    /// The disk is gone with everything on it, and the node comes back with an empty one.
    Wipe,
}

impl CrashMode {
    /// As written in a plan.
    pub fn name(self) -> &'static str {
        match self {
            CrashMode::Keep => "keep",
            CrashMode::Lose => "lose",
            CrashMode::Tear => "tear",
            CrashMode::Wipe => "wipe",
        }
    }
}

/// What work costs a node in time. 0 is free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// Checking one vote or certificate.
    pub verify: Nanos,
    /// Reconstructing one slice, with the checks of its shreds.
    pub decode: Nanos,
}

impl Cpu {
    /// True if no work takes time.
    pub fn is_free(&self) -> bool {
        self.verify.0 == 0 && self.decode.0 == 0
    }
}

/// What clients do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// Transactions submitted per second, over all nodes. 0: none.
    pub transactions_per_second: u32,
    /// Size of one, at most 1,232 bytes.
    pub size: Size,
}

impl Default for Workload {
    fn default() -> Self {
        Workload { transactions_per_second: 0, size: Size(200) }
    }
}

/// What must hold for the run to pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Whether the safety oracles decide the verdict.
    pub safety: Safety,
    /// Whether the liveness oracles do, wherever the model promises liveness.
    pub liveness: bool,
    /// How soon a slot must be finalized after each heal to which a bound applies.
    pub recovery: Option<RecoveryGate>,
    /// How soon after each heal every live honest node must have delivered what was finalized.
    pub caught_up: Option<Nanos>,
    /// Slots finalized by the end of the run, relative to one slot per Δ_block.
    pub progress: Share,
    /// The median time from the last shred of a block to its finalization.
    pub finalization_p50: Option<Nanos>,
    /// The 99th percentile of the same.
    pub finalization_p99: Option<Nanos>,
    /// Names of the catalogue ([`super::probes`]) that must be reached in at least one run of a sweep.
    pub sometimes: Vec<String>,
}

impl Default for Expect {
    fn default() -> Self {
        Expect {
            safety: Safety::Asserted,
            liveness: true,
            recovery: None,
            caught_up: None,
            progress: Share::NONE,
            finalization_p50: None,
            finalization_p99: None,
            sometimes: Vec::new(),
        }
    }
}

/// `safety = true` or `safety = "may-break"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// A violation fails the run.
    Asserted,
    /// The plan goes beyond what the protocol tolerates; a violation is only counted.
    MayBreak,
}

/// `recovery = "<bound"` or a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryGate {
    /// The bound that follows from the protocol, the plan and the leader schedule.
    Bound,
    /// At most this long.
    Within(Nanos),
}

impl Serialize for Safety {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Safety::Asserted => serializer.serialize_bool(true),
            Safety::MayBreak => serializer.serialize_str("may-break"),
        }
    }
}

impl<'de> Deserialize<'de> for Safety {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Safety;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or \"may-break\"")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Safety, E> {
                match value {
                    true => Ok(Safety::Asserted),
                    false => Err(E::invalid_value(de::Unexpected::Bool(false), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Safety, E> {
                match text {
                    "may-break" => Ok(Safety::MayBreak),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for RecoveryGate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RecoveryGate::Bound => serializer.serialize_str("<bound"),
            RecoveryGate::Within(time) => time.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RecoveryGate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gate;
        impl Visitor<'_> for Gate {
            type Value = RecoveryGate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"<bound\" or a duration such as \"15s\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RecoveryGate, E> {
                match text {
                    "<bound" => Ok(RecoveryGate::Bound),
                    _ => text.parse().map(RecoveryGate::Within).map_err(E::custom),
                }
            }
        }
        deserializer.deserialize_any(Gate)
    }
}
