//! B3: one piece too few of the last slice arrives, except at a few nodes that get one more.
//!
//! Seen: a slot with a first shred and no block. Through the relays go exactly γ - 1 pieces; a
//! drawn set of nodes gets the deciding one, each another piece, and one that it does not forward.
//!
//! Must not achieve: a node that waits for ever, a vote for a block that its voter does not hold,
//! or an end of the slot that differs between nodes.

use super::Lie;
use super::leader::{all_pieces, take_slices, through_relays, unrelayed};
use super::tools::Tools;
use alpenglow_node::protocol::params::DATA_SHREDS;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::sync::Arc;

/// The lie.
pub struct WithheldShreds;

/// Pieces that everybody gets.
const TOO_FEW: u8 = DATA_SHREDS as u8 - 1;

impl Lie for WithheldShreds {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            if !slice.commitment.last {
                through_relays(tools, &slice, all_pieces());
                continue;
            }
            through_relays(tools, &slice, 0..TOO_FEW);
            let slot = slice.commitment.slot.0;
            let draw = tools.common("how many", slot);
            let stake = tools.quorum(draw.below(0, 4));
            let (to, _) = tools.split("deciding", slot, stake, draw.happens(1, 500_000_000));
            for node in to {
                let deciding = unrelayed(tools, &slice, node).into_iter().find(|i| *i >= TOO_FEW);
                if let Some(index) = deciding {
                    tools.send(&[node], Message::Shred(Arc::new(slice.shred(index))));
                }
            }
            tools.did();
        }
    }
}
