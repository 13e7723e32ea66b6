//! O20: what a node finalizes it can prove.
//!
//! Directly final: the node holds FF(b), or NO(b) and FI. Indirectly final: the next decided block
//! above is a child of it, which leads link by link up to a directly final one.
//!
//! One case shows too little to be judged. A node that is far behind takes finalization proofs for
//! slots so old that its Pool keeps no certificates of them, and its events do not show the proof.
//! Such a finalization must still be backed by correct votes (O21) and fit everything else.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::params::HELD_BELOW_FINAL_SLOTS;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct FinalityProven;

impl Oracle for FinalityProven {
    fn id(&self) -> &'static str {
        "O20"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Event(Event::Finalized(block, mode)) = fact else { return };
        let me = cx.history.of(node);
        let holds = |kind| me.holds(CertificateId::new(block.slot, kind));
        let detail = if *mode == Mode::Indirect {
            let above = me.decided.range(block.slot.next()..).find_map(|(_, decided)| *decided);
            let parent = above.and_then(|child| cx.history.parents.get(&child));
            match above {
                Some(_) if parent == Some(block) => return,
                Some(child) => format!("n{node} finalized {block} below {child}, not its child"),
                None => format!("n{node} finalized {block} as an ancestor of nothing"),
            }
        } else {
            let fast = holds(CertificateKind::FastFinal(block.hash));
            let slow =
                || holds(CertificateKind::Notar(block.hash)) && holds(CertificateKind::Final);
            let far_below = block.slot.plus(HELD_BELOW_FINAL_SLOTS);
            if fast || slow() || me.highest.is_some_and(|highest| highest.slot > far_below) {
                return;
            }
            format!("n{node} finalized {block} without FF, or NO and FI")
        };
        out.report(cx, "O20", Some(block.slot), &[node], detail);
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn world() -> World {
        World::watched_by("O20", &[1; 5])
    }

    #[test]
    fn direct_without_proof() {
        let found = ["O20: n0 finalized 4:aaaaaaaa without FF, or NO and FI"];
        for mode in [Fast, Slow] {
            assert_eq!(world().finalized(0, block(4, A), mode).found(), found);
            let half = world().certified(0, 4, NO(A), &[0]).certified(1, 4, FI, &[0]);
            assert_eq!(half.finalized(0, block(4, A), mode).found(), found);
            let other = world().certified(0, 4, FF(B), &[0]).certified(0, 4, FI, &[0]);
            assert_eq!(other.finalized(0, block(4, A), mode).found(), found);
        }
        let forgotten = world().certified(0, 4, FF(A), &[0]).crash(0).start(0);
        assert_eq!(forgotten.finalized(0, block(4, A), Fast).found(), found);
    }

    #[test]
    fn indirect_without_a_child() {
        let found = ["O20: n0 finalized 4:aaaaaaaa as an ancestor of nothing"];
        assert_eq!(world().finalized(0, block(4, A), Indirect).found(), found);
        let world = world()
            .stored(0, block(5, B), block(3, B))
            .certified(0, 5, FF(B), &[0])
            .finalized(0, block(5, B), Fast)
            .finalized(0, block(4, A), Indirect);
        assert_eq!(world.found(), ["O20: n0 finalized 4:aaaaaaaa below 5:bbbbbbbb, not its child"]);
    }

    #[test]
    fn proven_in_every_way() {
        let world = world()
            .stored(0, block(6, B), block(4, A))
            .stored(1, block(4, A), block(3, A))
            .certified(0, 6, FI, &[0])
            .certified(0, 6, NO(B), &[0])
            .finalized(0, block(6, B), Slow)
            .skipped(0, 5)
            .finalized(0, block(4, A), Indirect)
            .finalized(0, block(3, A), Indirect)
            .certified(0, 4, FF(A), &[0])
            .finalized(0, block(4, A), Fast);
        assert_eq!(world.found(), NOTHING);
    }

    /// A proof of a slot that the Pool has left behind does not show in the events.
    #[test]
    fn far_below() {
        let world = || world().certified(0, 90, FF(A), &[0]).finalized(0, block(90, A), Fast);
        assert_eq!(world().finalized(0, block(25, A), Fast).found(), NOTHING);
        assert_eq!(world().finalized(0, block(26, A), Fast).found().len(), 1);
    }
}
