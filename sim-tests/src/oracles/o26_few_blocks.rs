//! O26: at most four blocks of one slot are certified in any way (6.6).
//!
//! An alarm: the bound is derived, not a theorem of the paper. More blocks would mean that fallback
//! votes help sides that they must not help; what stores four per slot would overflow.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::{BlockId, NodeId};
use std::collections::BTreeSet;

/// Blocks of a slot that can be certified.
const MOST_BLOCKS: usize = 4;

/// The oracle.
#[derive(Debug, Default)]
pub struct FewBlocks;

impl Oracle for FewBlocks {
    fn id(&self) -> &'static str {
        "O26"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _fact: Fact<'_>, out: &mut Findings) {
        let Some(block) = cx.history.news.certificate.and_then(|id| id.block()) else { return };
        let named = || cx.history.certificates_in(block.slot).filter_map(|(id, _)| id.block());
        let first_of_its_block = named().filter(|other| *other == block).count() == 1;
        if !first_of_its_block {
            return;
        }
        let blocks: BTreeSet<BlockId> = named().collect();
        if blocks.len() > MOST_BLOCKS {
            let detail = format!("{} blocks of slot {} are certified", blocks.len(), block.slot);
            out.report(cx, "O26", Some(block.slot), &[node], detail);
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn four() -> World {
        let world = World::watched_by("O26", &[1; 5]);
        [NF(A), NF(B), NO(C), NF(D)]
            .into_iter()
            .zip([0, 1, 2, 3])
            .fold(world, |world, (c, n)| world.certified(n, 4, c, &[0, 1, 2]))
    }

    #[test]
    fn a_fifth_block_wherever_it_is() {
        let fifth = Hash([5; 32]);
        let found = ["O26: 5 blocks of slot 4 are certified"];
        let world = four().certified(4, 4, NF(fifth), &[0, 1, 2]);
        assert_eq!(world.certified(3, 4, NO(fifth), &[0, 1, 2]).found(), found, "said once");
    }

    #[test]
    fn four_blocks_with_all_their_certificates() {
        let world = four()
            .certified(0, 4, NF(C), &[0, 1, 2])
            .certified(1, 4, FF(C), &[0, 1, 2, 3])
            .certified(1, 4, SK, &[0, 1, 2])
            .certified(1, 5, NO(A), &[0, 1, 2]);
        assert_eq!(world.found(), NOTHING);
    }
}
