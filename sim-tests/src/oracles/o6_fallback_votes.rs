//! O6: no vote and its own fallback together, and no fallback before an initial vote.
//!
//! NF(b) beside N(b), or SF beside S, would count one stake twice in a sum that admits both. And a
//! fallback vote is an answer to how the others voted against one's own vote: without an own
//! initial vote there is nothing to fall back from.

use super::recount::is_initial;
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct FallbackVotes;

impl Oracle for FallbackVotes {
    fn id(&self) -> &'static str {
        "O6"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        for vote in &cx.history.news.cast {
            let before = cx.history.of(node).cast_before(*vote);
            let (twin, needs_initial) = match vote.kind {
                VoteKind::Notar(hash) => (VoteKind::NotarFallback(hash), false),
                VoteKind::NotarFallback(hash) => (VoteKind::Notar(hash), true),
                VoteKind::Skip => (VoteKind::SkipFallback, false),
                VoteKind::SkipFallback => (VoteKind::Skip, true),
                VoteKind::Final => continue,
            };
            if before.contains(&twin) {
                let twin = Vote::new(vote.slot, twin);
                let detail = format!("n{node} cast {twin:?} and {vote:?}");
                out.report(cx, self.id(), Some(vote.slot), &[node], detail);
            } else if needs_initial && !before.iter().any(|kind| is_initial(*kind)) {
                let detail = format!("n{node} cast {vote:?} before any initial vote");
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

    #[test]
    fn a_vote_with_its_own_fallback() {
        for (first, second, found) in [
            (Notar(A), NotarFallback(A), "O6: n0 cast N(4:aaaaaaaa) and NF(4:aaaaaaaa)"),
            (Skip, SkipFallback, "O6: n0 cast S(4) and SF(4)"),
        ] {
            let world = World::watched_by("O6", &[1; 5]).cast(0, 4, first).cast(0, 4, second);
            assert_eq!(world.found(), [found]);
        }
    }

    #[test]
    fn a_fallback_out_of_nothing() {
        let world = World::watched_by("O6", &[1; 5]).cast(0, 4, SkipFallback).cast(0, 4, Skip);
        let found = ["O6: n0 cast SF(4) before any initial vote", "O6: n0 cast SF(4) and S(4)"];
        assert_eq!(world.found(), found);
        let world = World::watched_by("O6", &[1; 5]).cast(0, 5, Skip).cast(0, 4, NotarFallback(A));
        assert_eq!(world.found(), ["O6: n0 cast NF(4:aaaaaaaa) before any initial vote"]);
    }

    #[test]
    fn every_set_that_is_allowed() {
        let world = World::watched_by("O6", &[1; 5])
            .cast(0, 4, Notar(A))
            .cast(0, 4, SkipFallback)
            .cast(0, 4, NotarFallback(B))
            .crash(0)
            .start(0)
            .cast(0, 4, NotarFallback(C))
            .cast(1, 4, Skip)
            .cast(1, 4, NotarFallback(A))
            .cast(2, 4, Notar(A))
            .cast(2, 4, Final);
        assert_eq!(world.found(), NOTHING);
    }
}
