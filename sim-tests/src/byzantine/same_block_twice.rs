//! B11: the same slices signed for two slots, so that two blocks have one hash.
//!
//! Seen: a block again in a later slot, with good signatures. The hash of a block does not commit
//! to its slot; only the pair does. In some windows the first block is said again in each of the
//! other slots, where its parent makes it invalid; in others the first block of an earlier window
//! is said again in the first slot, where all that could be wrong with it is that its parent is not
//! ready: everybody stores it, beside the block of the same hash that may be final.
//!
//! Must not achieve: that anybody takes the one for the other: a vote, a certificate or a repaired
//! block in the wrong slot.

use super::Lie;
use super::leader::{Fork, all_pieces, signature, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::protocol::block::{Commitment, Slice};
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
#[derive(Default)]
pub struct SameBlockTwice {
    chain: Fork,
    /// The last block that was new in the first slot of a window.
    kept: Vec<Slice>,
}

impl SameBlockTwice {
    /// Whether the kept block is to be said again in `slot`.
    fn again(&self, tools: &mut Tools, slot: Slot) -> bool {
        let Some(kept) = self.kept.last().filter(|slice| slice.commitment.last) else {
            return false;
        };
        let (then, now) = (kept.commitment.slot.window(), slot.window());
        let across = tools.draw("across", now.0).happens(0, 500_000_000);
        match slot.is_first() {
            true => across && then < now,
            false => !across && then == now,
        }
    }
}

impl Lie for SameBlockTwice {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for honest in take_slices(tools, effects) {
            let c = honest.commitment;
            if self.again(tools, c.slot) {
                // In place of the new block, once.
                if c.slice == 0 {
                    for kept in self.kept.clone() {
                        let commitment = Commitment { slot: c.slot, ..kept.commitment };
                        let signature = signature(tools, commitment);
                        let slice = Slice { commitment, signature, encoded: kept.encoded };
                        self.chain.note(&slice);
                        through_relays(tools, &slice, all_pieces());
                    }
                    tools.did();
                }
                continue;
            }
            let slice = self.chain.follow(tools, &honest, |_| ());
            if c.slot.is_first() {
                if c.slice == 0 {
                    self.kept.clear();
                }
                self.kept.push(slice.clone());
            }
            self.chain.note(&slice);
            through_relays(tools, &slice, all_pieces());
        }
    }
}
