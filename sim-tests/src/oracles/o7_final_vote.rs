//! O7: a final vote comes after exactly one notar vote, and excludes every other vote of the slot.
//!
//! F says "I will help nobody to undo this". Slow finality rests on it: 60 % of F leave too little
//! correct stake for any other certificate of the slot, if those who cast F keep their word,
//! before and after, over restarts.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use std::collections::BTreeSet;

/// The oracle.
#[derive(Debug, Default)]
pub struct FinalVote;

fn is_notar(kind: &VoteKind) -> bool {
    matches!(kind, VoteKind::Notar(_))
}

impl Oracle for FinalVote {
    fn id(&self) -> &'static str {
        "O7"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        for vote in &cx.history.news.cast {
            let before = cx.history.of(node).cast_before(*vote);
            let named = |kind: &VoteKind| Vote::new(vote.slot, *kind);
            let detail = if vote.kind == VoteKind::Final {
                let notars: BTreeSet<_> = before.iter().filter(|kind| is_notar(kind)).collect();
                let other = before.iter().find(|k| !is_notar(k) && **k != VoteKind::Final);
                match (notars.len(), other) {
                    (1, None) => continue,
                    (1, Some(other)) => format!("n{node} cast {:?} and {vote:?}", named(other)),
                    (count, _) => format!("n{node} cast {vote:?} after {count} notar votes"),
                }
            } else if before.contains(&VoteKind::Final) && !before.contains(&vote.kind) {
                format!("n{node} cast {vote:?} after {:?}", named(&VoteKind::Final))
            } else {
                continue;
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
        World::watched_by("O7", &[1; 5]).cast(0, 4, Notar(A))
    }

    #[test]
    fn beside_a_fallback_or_a_skip() {
        let before = world().cast(0, 4, NotarFallback(B)).cast(0, 4, Final);
        assert_eq!(before.found(), ["O7: n0 cast NF(4:bbbbbbbb) and F(4)"]);
        let after = world().cast(0, 4, Final).crash(0).start(0).cast(0, 4, SkipFallback);
        assert_eq!(after.found(), ["O7: n0 cast SF(4) after F(4)"]);
        let skipped = world().cast(0, 5, Skip).cast(0, 5, Final);
        assert_eq!(skipped.found(), ["O7: n0 cast F(5) after 0 notar votes"]);
    }

    #[test]
    fn after_two_notar_votes_or_before_one() {
        let two = world().cast(0, 4, Notar(B)).cast(0, 4, Final);
        assert_eq!(two.found(), ["O7: n0 cast F(4) after 2 notar votes"]);
        let late = world().cast(0, 5, Final).cast(0, 5, Notar(A));
        let found =
            ["O7: n0 cast F(5) after 0 notar votes", "O7: n0 cast N(5:aaaaaaaa) after F(5)"];
        assert_eq!(late.found(), found);
    }

    #[test]
    fn notar_and_final_alone() {
        let world = world()
            .crash(0)
            .start(0)
            .cast(0, 4, Final)
            .cast(0, 5, Notar(B))
            .cast(0, 5, SkipFallback)
            .crash(0)
            .start(0);
        assert_eq!(world.found(), NOTHING);
    }
}
