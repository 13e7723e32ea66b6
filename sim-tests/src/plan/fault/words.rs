//! What each fault is called in a report: words that say what somebody would see.

use super::{CutStyle, DiskCause, Effect};
use crate::plan::settings::{Bursts, CrashMode, Reordering};
use std::fmt;

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Partition { style } => write!(f, "{style}"),
            Effect::Cut { from, style } => {
                let from: Vec<String> = from.iter().map(u16::to_string).collect();
                write!(f, "between them and nodes {}: {style}", from.join(" "))
            }
            Effect::Crash { mode: CrashMode::Keep } => write!(f, "down, all writes kept"),
            Effect::Crash { mode: CrashMode::Lose } => write!(f, "down, unsynced writes lost"),
            Effect::Crash { mode: CrashMode::Tear } => write!(f, "down, unsynced writes torn"),
            Effect::Crash { mode: CrashMode::Wipe } => write!(f, "down, the disk lost"),
            Effect::Pause {} => write!(f, "standing still"),
            Effect::LateStart {} => write!(f, "not started yet"),
            Effect::Loss { share } => write!(f, "{share} of packets lost"),
            Effect::Bursts(Bursts { loss, length, gap }) => {
                write!(f, "{loss} of packets lost for {length} every {gap} on average")
            }
            Effect::Latency { add } => write!(f, "packets {add} later"),
            Effect::Duplication { share } => write!(f, "{share} of packets twice"),
            Effect::Reordering(Reordering { share, delay }) => {
                write!(f, "{share} of packets up to {delay} later")
            }
            Effect::Straddle { share } => write!(f, "{share} of packets late by about a timer"),
            Effect::Corruption { share } => write!(f, "{share} of packets damaged"),
            Effect::Bandwidth { rate } => write!(f, "upload limited to {rate}"),
            Effect::DiskSlow { sync } => write!(f, "{sync} for each sync"),
            Effect::DiskStall { share, time } => write!(f, "{share} of syncs {time} longer"),
            Effect::DiskError { cause: DiskCause::Write } => write!(f, "writes fail"),
            Effect::DiskError { cause: DiskCause::Sync } => write!(f, "syncs fail"),
            Effect::DiskError { cause: DiskCause::Full } => write!(f, "disk full"),
            Effect::BitRot { bits } => write!(f, "{bits} bits flip on each disk"),
            Effect::Starvation { turn } => write!(f, "up to {turn} between two turns"),
            Effect::ClockDrift { drift } => write!(f, "clocks drift by {drift}"),
            Effect::Byzantine { behaviour } => write!(f, "byzantine: {behaviour}"),
            Effect::ClockJump { by } => write!(f, "wall clock jumps by {by}"),
        }
    }
}

impl fmt::Display for CutStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CutStyle::Drop => "cut off, messages dropped",
            CutStyle::Jam => "cut off, messages held",
            CutStyle::OneWay => "not heard by the others",
        })
    }
}
