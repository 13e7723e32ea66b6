//! O1: no two correct nodes finalize different blocks of one slot.
//!
//! This is the promise of the whole protocol; most other oracles exist to find its breach earlier
//! and nearer to its cause. It counts over the whole run, restarts included, and however a block
//! became final. What is known is never forgotten: one block a slot, some 50 bytes.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug, Default)]
pub struct Agreement {
    finals: BTreeMap<Slot, (BlockId, NodeId)>,
}

impl Oracle for Agreement {
    fn id(&self) -> &'static str {
        "O1"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Event(Event::Finalized(block, _)) = fact else { return };
        let (known, first) = *self.finals.entry(block.slot).or_insert((*block, node));
        if known != *block {
            let detail = format!("n{node} finalized {block}, n{first} finalized {known}");
            out.report(cx, self.id(), Some(block.slot), &[node, first], detail);
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    #[test]
    fn two_blocks_of_one_slot() {
        let world = World::watched_by("O1", &[1; 5])
            .finalized(0, block(4, A), Fast)
            .finalized(1, block(4, A), Slow)
            .crash(0)
            .start(0)
            .finalized(0, block(4, B), Indirect);
        assert_eq!(world.found(), ["O1: n0 finalized 4:bbbbbbbb, n0 finalized 4:aaaaaaaa"]);
    }

    #[test]
    fn the_same_block_in_every_way() {
        let world = World::watched_by("O1", &[1; 5])
            .finalized(0, block(4, A), Fast)
            .finalized(1, block(4, A), Slow)
            .finalized(2, block(4, A), Indirect)
            .finalized(2, block(4, A), Fast)
            .finalized(2, block(5, B), Fast);
        assert_eq!(world.found(), NOTHING);
    }
}
