//! Nodes that are wrong about their disks: what happens without the rules of what must be durable
//! before what leaves (10.3), and without reading it back (10.4).

use super::{Lie, Made, Wrong, everybody};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input, Protocol, Restored};
use std::sync::Arc;

/// Whoever comes back votes again, and perhaps not the same.
pub(super) const FORGETS_VOTES: Wrong = Wrong {
    name: "forgets-votes",
    about: "after a restart every node has forgotten the votes and blocks on its disk",
    caught_by: Some("O32"),
    plans: &["power-cut", "crash-restart"],
    made: Made::Around(|_, _, options| {
        options.tamper = Some(Arc::new(|_: NodeId, restored: &mut Restored| {
            restored.votes.clear();
            restored.candidates.clear();
        }));
    }),
};

/// The votes for a block outlive the block: if all its holders crash, nobody can repair it.
pub(super) const FORGETS_BLOCKS: Wrong = Wrong {
    name: "forgets-blocks",
    about: "after a restart every node has forgotten the blocks that it voted for",
    caught_by: Some("O49"),
    plans: &["power-cut"],
    made: Made::Around(|_, _, options| {
        options.tamper = Some(Arc::new(|_: NodeId, restored: &mut Restored| {
            restored.candidates.clear();
        }));
    }),
};

/// A crash between sending and writing makes an honest node a liar.
pub(super) const SENDS_BEFORE_DURABLE: Wrong = Wrong {
    name: "sends-before-durable",
    about: "votes leave while they are being written, and not after",
    caught_by: Some("O31"),
    plans: &["calm"],
    made: Made::Around(|_, _, options| options.wrap = everybody(SendsBeforeDurable)),
};

struct SendsBeforeDurable;

impl Lie for SendsBeforeDurable {
    fn change(&self, _: &Protocol, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects {
            if let Effect::Send { message: Message::Vote(_), after, .. } = effect {
                *after = None;
            }
        }
    }
}
