//! B8: slices that contradict each other about which one is the last.
//!
//! Seen, one kind for each window: two commitments for one slice that differ in the last flag, with
//! other content or with the same; a slice after the last; two last slices; a block that never ends;
//! a last slice far beyond what was sent.
//!
//! Must not achieve: a block mixed from two sequences, or memory that grows with the numbers.

use super::Lie;
use super::leader::{
    all_pieces, mark, payload, quietly, resign, signature, take_slices, through_relays,
};
use super::tools::Tools;
use alpenglow_node::protocol::block::{Commitment, Slice};
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct BadSequence;

impl BadSequence {
    fn tell(tools: &mut Tools, honest: &Slice) {
        let c = honest.commitment;
        let kind = tools.draw("kind", c.slot.window().0).below(0, 6);
        let most = tools.committee.params().max_slices;
        let flipped = Commitment { last: !c.last, ..c };
        let wrong = match kind {
            0 if c.slice == 0 => Some(flipped),
            1 if c.last => Some(Commitment { slice: c.slice + 1, last: false, ..c }),
            2 if c.last => Some(Commitment { slice: c.slice + 1, last: true, ..c }),
            3 if c.last => Some(flipped),
            4 if c.slice == 0 => Some(Commitment { slice: most - 1, last: true, ..c }),
            _ => None,
        };
        if kind == 5 && c.last {
            // A few hear the wrong flag first, give the slot up, and fetch the block later.
            let slice = Slice {
                commitment: flipped,
                signature: signature(tools, flipped),
                ..honest.clone()
            };
            let (few, _) = tools.split("few", c.slot.0, tools.quorum(1), false);
            quietly(tools, &slice, &few);
            through_relays(tools, honest, all_pieces());
            return tools.did();
        }
        if !(kind == 3 && c.last) {
            through_relays(tools, honest, all_pieces());
        }
        if let Some(wrong) = wrong {
            let mut payload = payload(honest);
            if wrong.slice > 0 {
                payload.parent = None;
            }
            payload.transactions = vec![mark(c.slot, kind)];
            let slice = resign(tools, wrong, &payload);
            through_relays(tools, &slice, all_pieces());
            tools.did();
        }
    }
}

impl Lie for BadSequence {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            BadSequence::tell(tools, &slice);
        }
    }
}
