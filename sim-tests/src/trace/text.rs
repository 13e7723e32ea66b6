//! One fact as one line of text, for people and for snapshots.

use crate::oracles::Fact;
use alpenglow_node::protocol::types::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An event of a run in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which event it is, counted from 0 as in the fingerprint.
    pub index: u64,
    /// World time.
    pub at_ns: u64,
    /// The node to which it happened.
    pub node: u16,
    /// What it was.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ns) = (self.at_ns / 1_000_000_000, self.at_ns % 1_000_000_000);
        write!(f, "{seconds:>4}.{ns:09} n{} {}", self.node, self.text)
    }
}

/// `seconds.nanoseconds node what`.
pub fn line(at_ns: u64, node: NodeId, fact: &Fact<'_>) -> String {
    let time = format!("{:>4}.{:09}", at_ns / 1_000_000_000, at_ns % 1_000_000_000);
    let what = match fact {
        Fact::Event(event) => format!("{event:?}"),
        Fact::Sent(to, message) => format!("-> {to:?} {message:?}"),
        Fact::Shred { to, commitment, index, .. } => {
            let (slot, slice) = (commitment.slot, commitment.slice);
            format!("-> {to:?} shred {index} of slice {slice} of slot {slot}")
        }
        Fact::Wrote { block, parent, slices } => {
            format!("WRITE {block} on {parent}, {} slices", slices.len())
        }
        Fact::Started(incarnation) => format!("START #{incarnation}"),
        Fact::Crashed => "CRASH".into(),
        Fact::Paused(true) => "PAUSE".into(),
        Fact::Paused(false) => "RESUME".into(),
        Fact::LogLost(ledger) => format!("DISK log lost, ledger of {}", ledger.len()),
        Fact::Image(votes, ledger) => {
            format!("DISK {} votes, ledger of {}", votes.len(), ledger.len())
        }
    };
    format!("{time} {node:?} {what}")
}
