//! O8: a final vote needs the notarization certificate of the block that was voted for.
//!
//! F names no block. What it finalizes is the one block of the slot that is notarized, so whoever
//! casts it must know that this is the block of its own notar vote. A fast-finalization certificate
//! is no substitute: it finalizes by itself, and nobody who holds only that has a reason to cast F.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct FinalNeedsNotarization;

impl Oracle for FinalNeedsNotarization {
    fn id(&self) -> &'static str {
        "O8"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        for vote in cx.history.news.cast.iter().filter(|vote| vote.kind == VoteKind::Final) {
            let me = cx.history.of(node);
            // Without a notar vote it is O7 that is broken.
            let own = me.cast_before(*vote).iter().find_map(|kind| match kind {
                VoteKind::Notar(hash) => Some(*hash),
                _ => None,
            });
            let Some(hash) = own else { continue };
            let needed = CertificateId::new(vote.slot, CertificateKind::Notar(hash));
            if !me.holds(needed) {
                let detail = format!("n{node} cast {vote:?} without {needed:?}");
                out.report(cx, self.id(), Some(vote.slot), &[node], detail);
            }
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
        World::watched_by("O8", &[1; 5]).cast(0, 4, Notar(A))
    }

    #[test]
    fn without_a_certificate_or_with_another_one() {
        let found = ["O8: n0 cast F(4) without NO[4:aaaaaaaa]"];
        assert_eq!(world().cast(0, 4, Final).found(), found);
        let other = world().certified(0, 4, NO(B), &[1, 2, 3]).cast(0, 4, Final);
        assert_eq!(other.found(), found);
        let fast = world().certified(0, 4, FF(A), &[0, 1, 2, 3]).cast(0, 4, Final);
        assert_eq!(fast.found(), found);
    }

    /// What the incarnation before knew does not help.
    #[test]
    fn with_a_certificate_that_a_crash_took() {
        let world = world().certified(0, 4, NO(A), &[0, 1, 2]).crash(0).start(0).cast(0, 4, Final);
        assert_eq!(world.found(), ["O8: n0 cast F(4) without NO[4:aaaaaaaa]"]);
    }

    #[test]
    fn with_the_certificate() {
        let world = world()
            .certified(0, 4, NO(A), &[0, 1, 2])
            .crash_with(0, &[vote(4, Notar(A)), vote(4, Final)], &[])
            .start(0);
        assert_eq!(world.found(), NOTHING);
    }
}
