//! O24: what is ready above a directly final block descends from it.
//!
//! If it did not, the next leader could build around a final block. The two facts may come in any
//! order and at different nodes. Final blocks form a chain (O2), so a ready parent is compared with
//! the highest final block below its window only, and a new final block with the windows up to the
//! next final one only.
//!
//! Only for blocks that are final by certificates of their own slot. A block that is final merely as
//! an ancestor may have had a skip certificate beside it: then windows between it and its final
//! descendant were rightly ready on something older, and no correct node is to blame.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug, Default)]
pub struct ReadyDescends {
    finals: BTreeMap<Slot, (BlockId, NodeId)>,
    ready: BTreeMap<(Slot, BlockId), NodeId>,
    floor: Slot,
}

fn judge(
    cx: &Context<'_>,
    (first, parent, at): (Slot, BlockId, NodeId),
    (block, node): (BlockId, NodeId),
    out: &mut Findings,
) {
    if parent.slot < block.slot || cx.history.descends(parent, block) == Some(false) {
        let detail =
            format!("{parent} is ready for slot {first} at n{at}, but {block} is final at n{node}");
        out.report(cx, "O24", Some(first), &[at, node], detail);
    }
}

impl Oracle for ReadyDescends {
    fn id(&self) -> &'static str {
        "O24"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Event(Event::ParentReady(first, parent)) => {
                if self.ready.insert((*first, *parent), node).is_none()
                    && let Some((_, known)) = self.finals.range(..*first).next_back()
                {
                    judge(cx, (*first, *parent, node), *known, out);
                }
            }
            Fact::Event(Event::Finalized(block, Mode::Fast | Mode::Slow)) => {
                if self.finals.contains_key(&block.slot) {
                    return;
                }
                let (from, above) = (block.slot.next(), self.finals.range(block.slot..).next());
                let to = above.map_or(Slot(u64::MAX), |(slot, _)| *slot);
                let ready = self.ready.range((from, BlockId::default())..);
                for ((first, parent), at) in ready.take_while(|((first, _), _)| *first <= to) {
                    judge(cx, (*first, *parent, *at), (*block, node), out);
                }
                self.finals.insert(block.slot, (*block, node));
            }
            Fact::Event(Event::Delivered { .. }) if cx.history.floor > self.floor => {
                self.floor = cx.history.floor;
                self.finals = self.finals.split_off(&self.floor);
                self.ready = self.ready.split_off(&(self.floor, BlockId::default()));
            }
            _ => {}
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
        World::watched_by("O24", &[1; 5])
            .stored(0, block(5, A), block(4, A))
            .stored(0, block(6, A), block(5, A))
            .stored(0, block(6, B), block(4, A))
    }

    #[test]
    fn around_a_final_block() {
        let found = ["O24: 6:bbbbbbbb is ready for slot 8 at n1, but 5:aaaaaaaa is final at n0"];
        let after = world().finalized(0, block(5, A), Fast).ready(1, 8, block(6, B));
        assert_eq!(after.found(), found);
        let before = world().ready(1, 8, block(6, B)).finalized(0, block(5, A), Slow);
        assert_eq!(before.found(), found);
    }

    #[test]
    fn below_a_final_block() {
        let world = world().ready(1, 8, block(4, A)).finalized(0, block(5, A), Fast);
        let found = ["O24: 4:aaaaaaaa is ready for slot 8 at n1, but 5:aaaaaaaa is final at n0"];
        assert_eq!(world.found(), found);
    }

    #[test]
    fn descendants_and_windows_before() {
        let world = world()
            .ready(1, 4, genesis())
            .ready(1, 8, block(6, A))
            .finalized(0, block(5, A), Fast)
            .ready(1, 8, block(5, A))
            .stored(0, block(9, C), block(5, A))
            .finalized(0, block(9, C), Slow)
            .ready(1, 12, block(9, C))
            .finalized(2, block(6, A), Indirect);
        assert_eq!(world.found(), NOTHING);
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let world = world()
            .finalized(0, block(5, A), Fast)
            .ready(1, 4, block(2, B))
            .forgotten(6)
            .out(0, block(6, A), genesis())
            .ready(1, 8, block(6, B))
            .finalized(0, block(3, A), Fast);
        assert_eq!(world.found(), NOTHING);
    }

    /// Slot 5 was both certified and skipped, the window went on from its block, and that became
    /// final with it. That the window was also ready on slot 4 is nobody's fault.
    #[test]
    fn an_ancestor_that_could_have_been_skipped() {
        let world = world()
            .ready(0, 8, block(5, A))
            .ready(0, 8, block(4, A))
            .stored(0, block(8, C), block(5, A))
            .finalized(0, block(8, C), Fast)
            .finalized(0, block(5, A), Indirect);
        assert_eq!(world.found(), NOTHING);
    }
}
