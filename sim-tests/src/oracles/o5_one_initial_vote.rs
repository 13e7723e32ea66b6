//! O5: an identity casts at most one initial vote in a slot, ever.
//!
//! Two quorums of 60 % share a correct voter only because no correct voter says two things. The
//! rule holds over the whole life of an identity: a node that forgets its vote in a crash and
//! casts another one is as bad as a liar.

use super::recount::is_initial;
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::Vote;

/// The oracle.
#[derive(Debug, Default)]
pub struct OneInitialVote;

impl Oracle for OneInitialVote {
    fn id(&self) -> &'static str {
        "O5"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        for vote in cx.history.news.cast.iter().filter(|vote| is_initial(vote.kind)) {
            let before = cx.history.of(node).cast_before(*vote);
            let other = before.iter().find(|kind| is_initial(**kind) && **kind != vote.kind);
            if let Some(other) = other.map(|kind| Vote::new(vote.slot, *kind)) {
                let detail = format!("n{node} cast {other:?} and {vote:?}");
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
    fn notar_and_skip() {
        let world = World::watched_by("O5", &[1; 5]).cast(3, 12, Notar(A)).cast(3, 12, Skip);
        assert_eq!(world.found(), ["O5: n3 cast N(12:aaaaaaaa) and S(12)"]);
    }

    #[test]
    fn two_blocks_with_a_restart_in_between() {
        let world = World::watched_by("O5", &[1; 5])
            .cast(3, 12, Notar(A))
            .crash_with(3, &[], &[])
            .start(3)
            .cast(3, 12, Notar(B));
        assert_eq!(world.found(), ["O5: n3 cast N(12:aaaaaaaa) and N(12:bbbbbbbb)"]);
    }

    /// The first vote was durable, but the node died before it could say so.
    #[test]
    fn a_vote_that_only_the_disk_tells() {
        let world = World::watched_by("O5", &[1; 5])
            .crash_with(3, &[vote(12, Skip)], &[])
            .start(3)
            .cast(3, 12, Notar(B));
        assert_eq!(world.found(), ["O5: n3 cast S(12) and N(12:bbbbbbbb)"]);
    }

    #[test]
    fn other_votes_slots_and_nodes() {
        let world = World::watched_by("O5", &[1; 5])
            .cast(3, 12, Notar(A))
            .cast(3, 12, NotarFallback(B))
            .cast(3, 12, SkipFallback)
            .cast(3, 13, Skip)
            .cast(2, 12, Notar(B))
            .crash(3)
            .start(3);
        assert_eq!(world.found(), NOTHING);
    }
}
