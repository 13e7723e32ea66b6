//! B6: a slice whose pieces are no codeword: one half of them says one thing, the other another.
//!
//! Seen: shreds with valid paths and a valid signature that do not decode. Half of the nodes gets
//! the first half of the pieces, the rest gets the second, so that a decoder that trusts any γ
//! pieces would find two different contents under one root.
//!
//! Must not achieve: two nodes with different contents for one root, or a vote for the block.

use super::Lie;
use super::leader::{all_pieces, mark, payload, resign, signature, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::crypto::merkle;
use alpenglow_node::protocol::block::{Commitment, Shred, Slice};
use alpenglow_node::protocol::bounded::BoundedBytes;
use alpenglow_node::protocol::params::DATA_SHREDS;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::sync::Arc;

/// The lie.
pub struct BadCode;

impl Lie for BadCode {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            if !slice.commitment.last {
                through_relays(tools, &slice, all_pieces());
                continue;
            }
            let slot = slice.commitment.slot;
            let shreds = mixed(tools, &slice);
            let (one, other) = tools.halves("halves", slot.0);
            for shred in shreds {
                let first = usize::from(shred.index) < DATA_SHREDS;
                let to = if first { &one } else { &other };
                tools.send(to, Message::Shred(Arc::new(shred)));
            }
            tools.did();
        }
    }
}

/// The data pieces of one content with the parity pieces of another, under one root.
fn mixed(tools: &Tools, slice: &Slice) -> Vec<Shred> {
    let [one, other] = [1, 2].map(|number| {
        let mut payload = payload(slice);
        payload.transactions = vec![mark(slice.commitment.slot, number)];
        resign(tools, slice.commitment, &payload).encoded
    });
    let piece = |index: u8| match usize::from(index) < DATA_SHREDS {
        true => one.piece(index),
        false => other.piece(index),
    };
    let tree = merkle::Tree::new(all_pieces().map(|i| merkle::leaf(&piece(i))).collect());
    let commitment = Commitment { root: tree.root(), ..slice.commitment };
    let signature = signature(tools, commitment);
    let shred = |index: u8| Shred {
        commitment,
        signature,
        index,
        piece: BoundedBytes::new(piece(index)).expect("pieces are within the cap"),
        path: tree.path(u32::from(index)).try_into().expect("the tree over 64 pieces has height 6"),
    };
    all_pieces().map(shred).collect()
}
