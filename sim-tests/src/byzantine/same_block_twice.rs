//! B11: the same slices signed for two slots, so that two blocks have one hash.
//!
//! Seen: the block of a slot again in the next one, with good signatures. The hash of a block does
//! not commit to its slot; only the pair does.
//!
//! Must not achieve: that anybody takes the one for the other: a vote, a certificate or a repaired
//! block in the wrong slot.

use super::Lie;
use super::leader::{all_pieces, signature, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::protocol::block::{Commitment, Slice};
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
#[derive(Default)]
pub struct SameBlockTwice {
    /// The slices of the last slot that was sent as it was.
    kept: Vec<Slice>,
}

impl Lie for SameBlockTwice {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            let c = slice.commitment;
            let again = self.kept.first().is_some_and(|kept| {
                kept.commitment.slot.window() == c.slot.window() && kept.commitment.slot < c.slot
            });
            if again {
                // In place of the new block, once.
                if c.slice == 0 {
                    for kept in self.kept.clone() {
                        let commitment = Commitment { slot: c.slot, ..kept.commitment };
                        let signature = signature(tools, commitment);
                        let slice = Slice { commitment, signature, encoded: kept.encoded };
                        through_relays(tools, &slice, all_pieces());
                    }
                    tools.did();
                }
                continue;
            }
            if c.slice == 0 {
                self.kept.clear();
            }
            self.kept.push(slice.clone());
            through_relays(tools, &slice, all_pieces());
        }
    }
}
