//! O25: a certified block has an ancestor in each earlier slot of its window (Lemma 30).
//!
//! > NO or NF (or FF) for b in slot s => b has an ancestor in each earlier slot of its window
//!
//! A leader may not jump over a slot of its own window: a certified block that skips one would let
//! the slot below be skipped and finalized at once. Links come from blocks that correct nodes
//! stored; a certificate that comes before the link is judged when the link is there.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug, Default)]
pub struct WindowAncestors {
    /// Certified blocks by the block whose parent is not known yet.
    waiting: BTreeMap<BlockId, Vec<BlockId>>,
    floor: Slot,
}

impl WindowAncestors {
    fn judge(&mut self, cx: &Context<'_>, node: NodeId, certified: BlockId, out: &mut Findings) {
        let first = certified.slot.window().first();
        let mut block = certified;
        while block.slot > first {
            let Some(parent) = cx.history.parents.get(&block).copied() else {
                self.waiting.entry(block).or_default().push(certified);
                return;
            };
            if parent.slot.next() != block.slot {
                let detail = format!(
                    "{certified} is certified and has no ancestor in slot {}",
                    block.slot.previous()
                );
                out.report(cx, "O25", Some(certified.slot), &[node], detail);
                return;
            }
            block = parent;
        }
    }
}

impl Oracle for WindowAncestors {
    fn id(&self) -> &'static str {
        "O25"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if let Some(block) = cx.history.news.certificate.and_then(|id| id.block()) {
            self.judge(cx, node, block, out);
        }
        if let Fact::Event(Event::BlockStored { block, .. }) = fact
            && let Some(certified) = self.waiting.remove(block)
        {
            certified.into_iter().for_each(|certified| self.judge(cx, node, certified, out));
        }
        if cx.history.floor > self.floor {
            self.floor = cx.history.floor;
            let low = BlockId::new(self.floor, Default::default());
            self.waiting = self.waiting.split_off(&low);
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn world() -> World {
        World::watched_by("O25", &[1; 5]).stored(0, block(4, A), block(2, A))
    }

    #[test]
    fn a_slot_of_the_window_is_jumped_over() {
        let found = ["O25: 6:cccccccc is certified and has no ancestor in slot 5"];
        let jump = || world().stored(1, block(6, C), block(4, A));
        for kind in [NO(C), NF(C), FF(C)] {
            assert_eq!(jump().certified(2, 6, kind, &[0, 1, 2]).found(), found);
        }
        let deep = jump().stored(1, block(7, D), block(6, C)).certified(2, 7, NO(D), &[0, 1, 2]);
        assert_eq!(deep.found(), ["O25: 7:dddddddd is certified and has no ancestor in slot 5"]);
    }

    #[test]
    fn a_link_that_comes_after_the_certificate() {
        let late = world().stored(1, block(7, D), block(6, C)).certified(2, 7, NO(D), &[0, 1, 2]);
        let late = late.stored(3, block(6, C), block(4, A));
        assert_eq!(late.found(), ["O25: 7:dddddddd is certified and has no ancestor in slot 5"]);
    }

    #[test]
    fn whole_windows_first_slots_and_unknown_links() {
        let world = world()
            .certified(0, 4, NO(A), &[0, 1, 2])
            .stored(0, block(5, B), block(4, A))
            .certified(0, 5, NF(B), &[0, 1, 2])
            .certified(0, 9, NO(C), &[0, 1, 2])
            .stored(0, block(1, A), genesis())
            .stored(0, block(2, A), block(1, A))
            .certified(0, 2, FF(A), &[0, 1, 2, 3]);
        assert_eq!(world.found(), NOTHING);
    }
}
