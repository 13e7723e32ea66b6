//! O9: inside a window a notar vote goes to a child of the block that the voter voted for, or that
//! is final for it.
//!
//! So the notar votes of one window form a chain, and whoever certifies its last block has voted for
//! all of it. A final parent is allowed beside the own vote: there is only one such block, so it
//! cannot split the voters, and a node that comes back in the middle of a window can go on.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct NotarInWindow;

impl Oracle for NotarInWindow {
    fn id(&self) -> &'static str {
        "O9"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        for vote in cx.history.news.cast.iter().filter(|vote| !vote.slot.is_first()) {
            let me = cx.history.of(node);
            let (VoteKind::Notar(_), Some(block)) = (vote.kind, vote.block()) else { continue };
            let detail = match me.blocks.get(&block) {
                None => format!("n{node} cast {vote:?} without having stored the block"),
                Some(parent) if parent.slot != vote.slot.previous() => {
                    format!("n{node} cast {vote:?}, child of {parent}, not of the slot before")
                }
                Some(parent) => {
                    let notar = Vote::new(parent.slot, VoteKind::Notar(parent.hash));
                    if *parent == cx.scene.genesis || me.has_cast(notar) || me.has_proof(*parent) {
                        continue;
                    }
                    format!("n{node} cast {vote:?} without a vote for its parent {parent}")
                }
            };
            out.report(cx, self.id(), Some(vote.slot), &[node], detail);
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
        World::watched_by("O9", &[1; 5]).stored(0, block(5, A), block(4, A))
    }

    #[test]
    fn without_a_vote_for_the_parent() {
        let found = ["O9: n0 cast N(5:aaaaaaaa) without a vote for its parent 4:aaaaaaaa"];
        assert_eq!(world().cast(0, 5, Notar(A)).found(), found);
        let other = world().cast(0, 4, Notar(B)).cast(0, 5, Notar(A));
        assert_eq!(other.found(), found);
        let certified = world().certified(0, 4, NO(A), &[1, 2, 3]).cast(0, 5, Notar(A));
        assert_eq!(certified.found(), found);
        // Final elsewhere is not final here.
        let elsewhere = world().finalized(1, block(4, A), Fast).cast(0, 5, Notar(A));
        assert_eq!(elsewhere.found(), found);
    }

    #[test]
    fn over_a_gap_or_for_an_unknown_block() {
        let gap = world().stored(0, block(6, B), block(4, A)).cast(0, 4, Notar(A));
        let found = ["O9: n0 cast N(6:bbbbbbbb), child of 4:aaaaaaaa, not of the slot before"];
        assert_eq!(gap.cast(0, 6, Notar(B)).found(), found);
        let unknown = world().cast(0, 4, Notar(A)).cast(0, 5, Notar(B));
        let found = ["O9: n0 cast N(5:bbbbbbbb) without having stored the block"];
        assert_eq!(unknown.found(), found);
    }

    #[test]
    fn after_a_vote_for_the_parent_even_over_a_restart() {
        let world = World::watched_by("O9", &[1; 5])
            .stored(0, block(1, A), genesis())
            .cast(0, 1, Notar(A))
            .crash(0)
            .start(0)
            .stored(0, block(2, A), block(1, A))
            .cast(0, 2, Notar(A))
            .cast(0, 4, Notar(B));
        assert_eq!(world.found(), NOTHING);
    }

    /// J2: the own vote in the slot before was a skip, but its block became final.
    #[test]
    fn on_a_final_parent() {
        let world = world()
            .cast(0, 4, Skip)
            .finalized(0, block(4, A), Slow)
            .cast(0, 5, Notar(A))
            .out(1, block(4, A), genesis())
            .crash(1)
            .start(1)
            .stored(1, block(5, A), block(4, A))
            .cast(1, 5, Notar(A));
        assert_eq!(world.found(), NOTHING);
    }

    /// It holds the proof; one half of it is none.
    #[test]
    fn on_a_parent_with_a_proof() {
        let holds = |kinds: &[CertificateKind]| {
            let held = |world: World, kind: &_| world.certified(0, 4, *kind, &[1, 2, 3, 4]);
            kinds.iter().fold(world(), held).cast(0, 5, Notar(A)).found().len()
        };
        assert_eq!(
            [holds(&[FF(A)]), holds(&[FI, NO(A)]), holds(&[FI]), holds(&[NO(A)])],
            [0, 0, 1, 1]
        );
        assert_eq!(holds(&[FI, NO(B)]), 1);
    }
}
