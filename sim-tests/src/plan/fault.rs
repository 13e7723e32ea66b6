//! What can go wrong, and the table that says how each kind of fault is written and counted.
//!
//! A new kind of fault is one variant of [`Effect`] and one row of [`KINDS`]: the row says how its
//! times are written, what may not overlap with it, and what it does to the model that liveness
//! rests on. Reading, expansion, the budget and the timeline follow from the row.
//!
//! An [`Effect`] holds what the plan states about one fault; a [`Fault`] adds when and to whom.
//! Parameters of links (loss, latency, ...) apply to every link with a selected node at either
//! end; where two faults of one kind meet on a link, or a fault meets the base value, the worse of
//! the two counts. Bandwidth, disk and clock faults apply to the selected nodes.

use super::behaviour::Behaviours;
use super::settings::{Bursts, CrashMode, Params, Reordering};
use super::units::{Drift, Nanos, Offset, Rate, Share, percent};
use serde::{Deserialize, Serialize};

mod words;

/// A fault on named nodes at a fixed time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Kind and number in the plan file, as in `partition #1`; `crash #2.3` is the third batch of
    /// a rolling crash.
    pub label: String,
    /// When it begins, from the start of the run.
    pub start: Nanos,
    /// When it ends. None: it lasts to the end of the run. Equal to `start` for an instant.
    pub end: Option<Nanos>,
    /// The nodes it selects, ascending.
    pub nodes: Vec<u16>,
    /// The stake that these nodes hold.
    pub stake: u64,
    /// What happens to them.
    pub effect: Effect,
}

impl Fault {
    /// Whether it is in force at `time`; the end is no longer part of it.
    pub fn active_at(&self, time: Nanos) -> bool {
        self.start <= time && self.end.is_none_or(|end| time < end)
    }

    /// One line for people: when, what, whom and how much stake of `total`.
    pub fn describe(&self, total: u64) -> String {
        let when = match self.end {
            Some(end) if end == self.start => format!("at {}", self.start),
            Some(end) => format!("{} to {end}", self.start),
            None => format!("from {} on", self.start),
        };
        let nodes: Vec<String> = self.nodes.iter().map(u16::to_string).collect();
        let share = percent(self.stake, total);
        let (label, effect) = (&self.label, &self.effect);
        format!("{label}: {when}, {effect}, {share} of the stake (nodes {})", nodes.join(" "))
    }
}

/// What a fault does to the selected nodes and their links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// The selected nodes are cut off from all others, and stay connected among themselves.
    Partition {
        /// What happens to messages between the sides.
        #[serde(default)]
        style: CutStyle,
    },
    /// The selected nodes are cut off from certain others; neither side hears less of the rest.
    Cut {
        /// The others, ascending.
        from: Vec<u16>,
        /// What happens to messages between them.
        #[serde(default)]
        style: CutStyle,
    },
    /// The nodes go down at the start and boot again at the end.
    Crash {
        /// What becomes of unsynced writes.
        mode: CrashMode,
    },
    /// The process stands still and then goes on, with its timers overdue.
    Pause {},
    /// The nodes boot for the first time when the fault ends; it lasts from 0.
    LateStart {},
    /// Independent loss.
    Loss {
        /// Lost packets.
        share: Share,
    },
    /// Loss in bursts.
    Bursts(Bursts),
    /// Every packet takes longer.
    Latency {
        /// How much longer.
        add: Nanos,
    },
    /// Packets arrive twice.
    Duplication {
        /// How many of them.
        share: Share,
    },
    /// Packets are held back.
    Reordering(Reordering),
    /// Packets are held back for a time close to the length of one of the protocol's timers.
    Straddle {
        /// How many of them.
        share: Share,
    },
    /// Packets arrive with one bit flipped.
    Corruption {
        /// How many of them.
        share: Share,
    },
    /// The nodes upload more slowly.
    Bandwidth {
        /// What is left.
        rate: Rate,
    },
    /// The disks sync more slowly.
    DiskSlow {
        /// Time of one sync.
        sync: Nanos,
    },
    /// Now and then a sync stands for long, and what follows waits for it.
    DiskStall {
        /// How many syncs.
        share: Share,
        /// How much longer such a sync takes.
        time: Nanos,
    },
    /// Writing fails. The node stops voting until it starts again after the end of the fault.
    DiskError {
        /// In which way.
        cause: DiskCause,
    },
    /// Bits on the disks flip. A node notices when it starts again, and what it finds then may keep
    /// it from voting, or from starting, for good.
    BitRot {
        /// How many on each disk.
        bits: u32,
    },
    /// The processors are busy with other things.
    Starvation {
        /// After each batch of input, the node waits for its next turn up to this long.
        turn: Nanos,
    },
    /// The clocks run at another speed than usual.
    ClockDrift {
        /// How much too fast.
        drift: Drift,
    },
    /// The identities lie. Their stake counts as byzantine over the whole run, whenever they do it.
    Byzantine {
        /// How.
        behaviour: Behaviours,
    },
    /// The wall clocks jump once.
    ClockJump {
        /// How far; negative is back.
        by: Offset,
    },
}

/// How writing to a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskCause {
    /// Every write is refused (EIO).
    Write,
    /// Writes are taken, and every sync fails.
    Sync,
    /// The disk is full: the file can be changed, but not grow (ENOSPC).
    Full,
}

/// What happens to messages that a partition stands in the way of. It is decided when a message
/// would arrive, so that a cut also stops what is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutStyle {
    /// They are lost, in both directions.
    #[default]
    Drop,
    /// They are held, and arrive when the partition ends.
    Jam,
    /// What the selected side sends is lost; it still hears the others.
    OneWay,
}

/// How the times of a kind are written in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// `at`, and `for` if it should end before the network heals.
    Lasting,
    /// `at`, once.
    Instant,
    /// `at` is the end; the start is the start of the run.
    Until,
}

/// What a kind does to the premises of liveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Premise {
    /// The nodes do not take part.
    Down,
    /// The nodes and the others do not reach each other both ways.
    Cut,
    /// Messages may be lost or late without bound.
    Lossy,
    /// Messages are late, by a known time.
    Late,
    /// Votes leave late, because they must be durable first.
    SlowDisk,
    /// Inputs wait for the processor.
    Starved,
    /// Timers fire early or late.
    Clock,
    /// The nodes may have to stop voting, for longer than the fault lasts.
    Disk,
    /// The nodes are not correct, in this or any other phase.
    Lying,
    /// Nothing that the protocol counts on.
    Harmless,
}

/// One kind of fault.
pub(super) struct Kind {
    /// As written in a plan, and the name of the variant of [`Effect`].
    pub(super) name: &'static str,
    /// How its times are written.
    pub(super) timing: Timing,
    /// What it does to the premises of liveness.
    pub(super) premise: Premise,
    /// Two faults with the same word may not be in force on one node at one time.
    pub(super) exclusive: Option<&'static str>,
}

/// Every kind of fault that a plan may name.
#[rustfmt::skip]
pub(super) const KINDS: [Kind; 21] = [
    Kind { name: "partition",   timing: Timing::Lasting, premise: Premise::Cut,      exclusive: None },
    Kind { name: "cut",         timing: Timing::Lasting, premise: Premise::Cut,      exclusive: None },
    Kind { name: "crash",       timing: Timing::Lasting, premise: Premise::Down,     exclusive: Some("process") },
    Kind { name: "pause",       timing: Timing::Lasting, premise: Premise::Down,     exclusive: Some("process") },
    Kind { name: "late-start",  timing: Timing::Until,   premise: Premise::Down,     exclusive: Some("process") },
    Kind { name: "loss",        timing: Timing::Lasting, premise: Premise::Lossy,    exclusive: Some("loss") },
    Kind { name: "bursts",      timing: Timing::Lasting, premise: Premise::Lossy,    exclusive: Some("bursts") },
    Kind { name: "latency",     timing: Timing::Lasting, premise: Premise::Late,     exclusive: Some("latency") },
    Kind { name: "duplication", timing: Timing::Lasting, premise: Premise::Harmless, exclusive: Some("duplication") },
    Kind { name: "reordering",  timing: Timing::Lasting, premise: Premise::Late,     exclusive: Some("reordering") },
    Kind { name: "straddle",    timing: Timing::Lasting, premise: Premise::Late,     exclusive: Some("straddle") },
    Kind { name: "corruption",  timing: Timing::Lasting, premise: Premise::Lossy,    exclusive: Some("corruption") },
    Kind { name: "bandwidth",   timing: Timing::Lasting, premise: Premise::Lossy,    exclusive: Some("bandwidth") },
    Kind { name: "disk-slow",   timing: Timing::Lasting, premise: Premise::SlowDisk, exclusive: Some("disk-slow") },
    Kind { name: "disk-stall",  timing: Timing::Lasting, premise: Premise::SlowDisk, exclusive: Some("disk-stall") },
    Kind { name: "disk-error",  timing: Timing::Lasting, premise: Premise::Disk,     exclusive: Some("disk-error") },
    Kind { name: "bit-rot",     timing: Timing::Instant, premise: Premise::Disk,     exclusive: None },
    Kind { name: "starvation",  timing: Timing::Lasting, premise: Premise::Starved,  exclusive: Some("starvation") },
    Kind { name: "clock-drift", timing: Timing::Lasting, premise: Premise::Clock,    exclusive: Some("clock-drift") },
    Kind { name: "byzantine",   timing: Timing::Lasting, premise: Premise::Lying,    exclusive: None },
    Kind { name: "clock-jump",  timing: Timing::Instant, premise: Premise::Harmless, exclusive: None },
];

impl Kind {
    /// The row with this name.
    pub(super) fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

impl Effect {
    /// The kind as written in a plan.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::Partition { .. } => "partition",
            Effect::Cut { .. } => "cut",
            Effect::Crash { .. } => "crash",
            Effect::Pause {} => "pause",
            Effect::LateStart {} => "late-start",
            Effect::Loss { .. } => "loss",
            Effect::Bursts(_) => "bursts",
            Effect::Latency { .. } => "latency",
            Effect::Duplication { .. } => "duplication",
            Effect::Reordering(_) => "reordering",
            Effect::Straddle { .. } => "straddle",
            Effect::Corruption { .. } => "corruption",
            Effect::Bandwidth { .. } => "bandwidth",
            Effect::DiskSlow { .. } => "disk-slow",
            Effect::DiskStall { .. } => "disk-stall",
            Effect::DiskError { .. } => "disk-error",
            Effect::BitRot { .. } => "bit-rot",
            Effect::Starvation { .. } => "starvation",
            Effect::ClockDrift { .. } => "clock-drift",
            Effect::Byzantine { .. } => "byzantine",
            Effect::ClockJump { .. } => "clock-jump",
        }
    }

    /// The row of [`KINDS`] for this effect.
    pub(super) fn kind(&self) -> &'static Kind {
        Kind::named(self.name()).expect("every effect has a row")
    }

    /// Whether messages (or what a node remembers of them) can be lost, not merely late.
    pub(super) fn loses_messages(&self) -> bool {
        match self.kind().premise {
            // A starved node drops what its socket cannot hold; liars that relay or lead make
            // correct nodes miss shreds.
            Premise::Down | Premise::Lossy | Premise::Lying => true,
            Premise::Starved | Premise::Disk => true,
            Premise::Cut => self.cut_style() != Some(CutStyle::Jam),
            Premise::Late | Premise::SlowDisk | Premise::Clock | Premise::Harmless => false,
        }
    }

    /// What becomes of messages, if this stands in their way.
    fn cut_style(&self) -> Option<CutStyle> {
        match self {
            Effect::Partition { style } | Effect::Cut { style, .. } => Some(*style),
            _ => None,
        }
    }

    /// How much later than the map says a packet may arrive.
    pub(super) fn added_delay(&self, params: &Params) -> Nanos {
        match self {
            Effect::Latency { add } => *add,
            Effect::Reordering(Reordering { delay, .. }) => *delay,
            Effect::Straddle { .. } => {
                let longest = straddled(params).into_iter().max().unwrap_or_default().0;
                Nanos(longest.saturating_add(STRADDLE_SPREAD.of(longest)))
            }
            _ => Nanos(0),
        }
    }
}

/// The delays that straddle timers lie within this share of their lengths, either way.
pub const STRADDLE_SPREAD: Share = Share(100_000_000);

/// The lengths of the timers, and of the sums of them that decide whether a slot is in time.
pub fn straddled(params: &Params) -> [Nanos; 8] {
    let p = params;
    let sum = |a: Nanos, b: Nanos| Nanos(a.0.saturating_add(b.0));
    [
        p.delta_first,
        p.slice_interval,
        p.delta,
        p.delta_block,
        p.delta_timeout,
        sum(p.delta_timeout, p.delta_block),
        sum(p.delta_timeout, Nanos(p.delta_block.0.saturating_mul(4))),
        p.standstill,
    ]
}
