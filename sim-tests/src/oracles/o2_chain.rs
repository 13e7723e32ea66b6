//! O2: of two final blocks, the lower one is an ancestor of the higher one.
//!
//! Checking every pair is not needed: if each final block descends from the next lower one, all
//! pairs are in order. So a new final block is compared with its neighbours only, and only with
//! the upper one if there is one, because that one was found to descend from the lower one before.
//!
//! Links are those of blocks that any correct node stored. A correct vote needs the stored block,
//! and a certificate needs correct votes, so below 20 % of byzantine stake no link is missing;
//! where one is, nothing can be said.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug, Default)]
pub struct Chain {
    /// The first block that was final in each slot. One slot costs some 50 bytes, for ever.
    finals: BTreeMap<Slot, (BlockId, NodeId)>,
}

impl Oracle for Chain {
    fn id(&self) -> &'static str {
        "O2"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Event(Event::Finalized(block, _)) = fact else { return };
        if self.finals.contains_key(&block.slot) {
            return;
        }
        let mine = (*block, node);
        let above = self.finals.range(block.slot..).next().map(|(_, known)| (*known, mine));
        let below = || self.finals.range(..block.slot).next_back().map(|(_, known)| (mine, *known));
        if let Some(((upper, u), (lower, v))) = above.or_else(below)
            && cx.history.descends(upper, lower) == Some(false)
        {
            let detail =
                format!("{upper}, final at n{u}, does not descend from {lower}, final at n{v}");
            out.report(cx, self.id(), Some(lower.slot), &[u, v], detail);
        }
        self.finals.insert(block.slot, mine);
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn forked() -> World {
        World::watched_by("O2", &[1; 5])
            .stored(0, block(4, A), genesis())
            .stored(0, block(5, B), block(4, A))
            .stored(1, block(6, C), block(4, A))
    }

    #[test]
    fn a_fork_of_final_blocks() {
        let world = forked().finalized(0, block(5, B), Fast).finalized(1, block(6, C), Fast);
        let found = "O2: 6:cccccccc, final at n1, does not descend from 5:bbbbbbbb, final at n0";
        assert_eq!(world.found(), [found]);
        let world = forked().finalized(1, block(6, C), Fast).finalized(0, block(5, B), Fast);
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn a_chain_finalized_in_any_order() {
        let world = forked()
            .finalized(1, block(6, C), Fast)
            .finalized(1, block(4, A), Indirect)
            .stored(2, block(9, D), block(6, C))
            .finalized(0, block(9, D), Slow)
            .finalized(2, block(4, A), Slow);
        assert_eq!(world.found(), NOTHING);
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        let world = forked().finalized(0, block(5, B), Fast).finalized(1, block(9, D), Fast);
        assert_eq!(world.found(), NOTHING);
    }
}
