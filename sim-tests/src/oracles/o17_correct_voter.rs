//! O17: a certified block has a correct notar voter.
//!
//! Somebody honest has seen the block, found it valid and stored it; so it can be repaired, and its
//! ancestry is sound. Fallback votes alone cannot certify a block: a correct one needs 20 % of
//! notar votes first, which is more than all liars have.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct CorrectVoter;

impl Oracle for CorrectVoter {
    fn id(&self) -> &'static str {
        "O17"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        let Some(id) = cx.history.news.certificate else { return };
        let Some(block) = id.block() else { return };
        let notar = Vote::new(id.slot, VoteKind::Notar(block.hash));
        if !cx.history.correct(cx.scene).any(|(_, about)| about.has_cast(notar)) {
            let detail = format!("n{node} holds {id:?}, but no correct node cast {notar:?}");
            out.report(cx, "O17", Some(id.slot), &[node], detail);
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
    fn certified_out_of_nothing() {
        let world = || World::watched_by("O17", &[1; 5]).byzantine(4).cast(0, 4, NotarFallback(A));
        let found = ["O17: n1 holds NF[4:aaaaaaaa], but no correct node cast N(4:aaaaaaaa)"];
        assert_eq!(world().certified(1, 4, NF(A), &[0, 4]).found(), found);
        let other = world().cast(2, 4, Notar(B)).cast(2, 5, Notar(A));
        assert_eq!(other.certified(1, 4, NF(A), &[0, 4]).found(), found);
    }

    #[test]
    fn one_correct_voter_is_enough_even_a_dead_one() {
        let world = World::watched_by("O17", &[1; 5])
            .cast(0, 4, Notar(A))
            .crash(0)
            .certified(1, 4, NF(A), &[0, 1, 2])
            .certified(1, 4, NO(A), &[0, 1, 2])
            .certified(1, 5, SK, &[0, 1, 2])
            .certified(1, 5, FI, &[0, 1, 2]);
        assert_eq!(world.found(), NOTHING);
    }
}
