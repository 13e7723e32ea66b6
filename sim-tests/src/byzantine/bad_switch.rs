//! B10: blocks that switch their parent where or how none may.
//!
//! Seen, one kind for each window: two switches in one block; a switch in a slot that is not the
//! first of its window; a switch to the parent that was stated before; a switch to the same hash in
//! another slot.
//!
//! Must not achieve: that a correct node takes such a block as valid, or votes for it.

use super::Lie;
use super::leader::{Fork, all_pieces, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::protocol::types::{BlockId, Slot};
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
#[derive(Default)]
pub struct BadSwitch {
    chain: Fork,
    /// The parent stated in the first slice of the slot being built.
    stated: Option<BlockId>,
}

impl Lie for BadSwitch {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for honest in take_slices(tools, effects) {
            let c = honest.commitment;
            let kind = tools.draw("kind", c.slot.window().0).below(0, 4);
            let first = c.slot.is_first();
            let genesis = tools.committee.genesis_block();
            let stated = self.stated;
            let switch = stated.and_then(|stated| match (kind, c.slice) {
                (0, 1) if first => Some(genesis),
                (0, 2) if first => Some(stated),
                (1, 1) if !first => Some(genesis),
                (2, 1) => Some(stated),
                (3, 1) if first => {
                    Some(BlockId::new(Slot(stated.slot.0.saturating_sub(1)), stated.hash))
                }
                _ => None,
            });
            let slice = self.chain.follow(tools, &honest, |payload| {
                payload.parent = switch.or(payload.parent);
            });
            if c.slice == 0 {
                self.stated = super::leader::payload(&slice).parent;
            }
            self.chain.note(&slice);
            through_relays(tools, &slice, all_pieces());
            if switch.is_some() {
                tools.did();
            }
        }
    }
}
