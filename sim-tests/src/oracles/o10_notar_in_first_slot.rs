//! O10: in the first slot of a window a notar vote goes to a child of a ready parent.
//!
//! Ready is counted again from the certificates and decisions of the voter's incarnation: the parent
//! is certified or final, and every slot between it and the window is skipped. This is the link
//! from window to window in the proof of safety; inside a window it is O9.

use super::recount::is_ready;
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::VoteKind;

/// The oracle.
#[derive(Debug, Default)]
pub struct NotarInFirstSlot;

impl Oracle for NotarInFirstSlot {
    fn id(&self) -> &'static str {
        "O10"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        for vote in cx.history.news.cast.iter().filter(|vote| vote.slot.is_first()) {
            let me = cx.history.of(node);
            let (VoteKind::Notar(_), Some(block)) = (vote.kind, vote.block()) else { continue };
            let detail = match me.blocks.get(&block) {
                None => format!("n{node} cast {vote:?} without having stored the block"),
                Some(parent) if is_ready(cx.scene, me, vote.slot, *parent) => continue,
                Some(parent) => {
                    format!("n{node} cast {vote:?}, but its parent {parent} is not ready")
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
        World::watched_by("O10", &[1; 5]).stored(0, block(8, A), block(6, A))
    }

    const NOT_READY: [&str; 1] =
        ["O10: n0 cast N(8:aaaaaaaa), but its parent 6:aaaaaaaa is not ready"];

    #[test]
    fn one_condition_at_a_time() {
        let certified = world().certified(0, 6, NF(A), &[1, 2, 3]);
        assert_eq!(certified.cast(0, 8, Notar(A)).found(), NOT_READY);
        let skipped = world().certified(0, 7, SK, &[1, 2, 3]);
        assert_eq!(skipped.cast(0, 8, Notar(A)).found(), NOT_READY);
        let other = world().certified(0, 6, NO(B), &[1, 2, 3]).certified(0, 7, SK, &[1, 2, 3]);
        assert_eq!(other.cast(0, 8, Notar(A)).found(), NOT_READY);
        let forgotten = world()
            .certified(0, 6, NF(A), &[1, 2, 3])
            .certified(0, 7, SK, &[1, 2, 3])
            .crash(0)
            .start(0)
            .stored(0, block(8, A), block(6, A));
        assert_eq!(forgotten.cast(0, 8, Notar(A)).found(), NOT_READY);
    }

    #[test]
    fn a_parent_of_the_future_or_an_unknown_block() {
        let world = World::watched_by("O10", &[1; 5])
            .stored(0, block(8, A), block(8, B))
            .certified(0, 8, NO(B), &[1, 2, 3])
            .cast(0, 8, Notar(A))
            .cast(0, 12, Notar(C));
        let found = [
            "O10: n0 cast N(8:aaaaaaaa), but its parent 8:bbbbbbbb is not ready",
            "O10: n0 cast N(12:cccccccc) without having stored the block",
        ];
        assert_eq!(world.found(), found);
    }

    /// A certified parent behind skipped slots, a final parent with slots skipped by finality, and
    /// the tip on which a node starts again.
    #[test]
    fn every_way_to_be_ready() {
        let certified = world().certified(0, 6, NF(A), &[1, 2, 3]).certified(0, 7, SK, &[1, 2, 3]);
        assert_eq!(certified.cast(0, 8, Notar(A)).found(), NOTHING);
        let by_finality = world().finalized(0, block(6, A), Indirect).skipped(0, 7);
        assert_eq!(by_finality.cast(0, 8, Notar(A)).found(), NOTHING);
        let on_the_tip = world()
            .out(0, block(6, A), genesis())
            .crash(0)
            .start(0)
            .stored(0, block(8, A), block(6, A))
            .certified(0, 7, SK, &[1, 2, 3]);
        assert_eq!(on_the_tip.cast(0, 8, Notar(A)).found(), NOTHING);
        let on_genesis = World::watched_by("O10", &[1; 5])
            .stored(0, block(4, A), genesis())
            .certified(0, 1, SK, &[1, 2, 3])
            .certified(0, 2, SK, &[1, 2, 3])
            .certified(0, 3, SK, &[1, 2, 3]);
        assert_eq!(on_genesis.cast(0, 4, Notar(A)).found(), NOTHING);
    }
}
