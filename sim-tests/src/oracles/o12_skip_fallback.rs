//! O12: a skip-fallback vote is safe when it is cast, and is cast when it is safe.
//!
//! SF helps to skip a slot in which the voter voted for a block. It is harmless only when nothing in
//! the slot can be fast-finalized any more: 40 % of the stake, in initial votes that the voter has
//! stored, stand against the strongest block, whichever that turns out to be. And whoever sees that
//! must cast the vote: a slot may end only so.

use super::history::NodeHistory;
use super::owed::Owed;
use super::recount::Counts;
use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct SkipFallbackVote {
    owed: Owed,
}

/// The vote that SafeToSkip of `slot` allows, if that holds, own F aside.
fn safe(scene: &Scene, _: &NodeHistory, slot: Slot, counts: &Counts) -> Vec<Vote> {
    let notar = matches!(counts.own, Some(VoteKind::Notar(_)));
    let vote = Vote::new(slot, VoteKind::SkipFallback);
    (notar && counts.allow_skip_fallback(scene)).then_some(vote).into_iter().collect()
}

/// The first condition that fails, in words.
fn missing(cx: &Context<'_>, node: NodeId, vote: Vote) -> Option<String> {
    let me = cx.history.of(node);
    let counts = Counts::of(cx.scene, node, me, vote.slot);
    if !matches!(counts.own, Some(VoteKind::Notar(_))) {
        return Some("before its own notar vote was stored".into());
    }
    if me.cast_before(vote).contains(&VoteKind::Final) {
        return Some("after its final vote".into());
    }
    if !counts.allow_skip_fallback(cx.scene) {
        let notar: Vec<_> = counts.notar.values().collect();
        return Some(format!("with {} for skip and {notar:?} for blocks", counts.skip));
    }
    None
}

impl Oracle for SkipFallbackVote {
    fn id(&self) -> &'static str {
        "O12"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        for vote in self.owed.take(cx, node, fact, safe) {
            let detail = format!("n{node} could cast {vote:?} and does not");
            out.report(cx, self.id(), Some(vote.slot), &[node], detail);
        }
        let from = cx.history.of(node).votes_from;
        let casts = cx.history.news.cast.iter().filter(|vote| vote.slot >= from);
        for vote in casts.filter(|vote| vote.kind == VoteKind::SkipFallback) {
            if let Some(missing) = missing(cx, node, *vote) {
                let detail = format!("n{node} cast {vote:?} {missing}");
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

    fn world(stakes: &[u64]) -> World {
        World::watched_by("O12", stakes).cast(0, 5, Notar(A))
    }

    #[test]
    fn forty_percent_exactly_and_one_unit_less() {
        let enough = world(&[60, 40]).heard(0, &[1], 5, Skip).cast(0, 5, SkipFallback);
        assert_eq!(enough.found(), NOTHING);
        let less = world(&[61, 39]).heard(0, &[1], 5, Skip).cast(0, 5, SkipFallback);
        assert_eq!(less.found(), ["O12: n0 cast SF(5) with 39 for skip and [61] for blocks"]);
    }

    /// With a tie only one of the strongest is taken out; with no tie it is the strongest.
    #[test]
    fn the_strongest_block_does_not_count() {
        let tie = world(&[40, 40, 20]).heard(0, &[1], 5, Notar(B)).cast(0, 5, SkipFallback);
        assert_eq!(tie.found(), NOTHING);
        let strong = world(&[39, 50, 11]).heard(0, &[1], 5, Notar(B)).cast(0, 5, SkipFallback);
        let found = ["O12: n0 cast SF(5) with 0 for skip and [39, 50] for blocks"];
        assert_eq!(strong.found(), found);
    }

    #[test]
    fn every_other_condition() {
        let bare = || World::watched_by("O12", &[1; 5]).heard(0, &[1, 2, 3], 5, Skip);
        let found = ["O12: n0 cast SF(5) before its own notar vote was stored"];
        assert_eq!(bare().cast(0, 5, SkipFallback).found(), found);
        assert_eq!(bare().cast(0, 5, Skip).cast(0, 5, SkipFallback).found(), found);
        let over = bare().cast(0, 5, Notar(A)).cast(0, 5, Final).cast(0, 5, SkipFallback);
        assert_eq!(over.found(), ["O12: n0 cast SF(5) after its final vote"]);
    }

    #[test]
    fn a_vote_that_is_never_cast() {
        let sizes = Event::Sizes { pool: 0, blocks: 0, transactions: 0, requests: 0 };
        let wait = |world: World| (0..30).fold(world, |world, _| world.event(0, sizes.clone()));
        let open = || world(&[60, 40]).heard(0, &[1], 5, Skip);
        assert_eq!(wait(open()).found(), ["O12: n0 could cast SF(5) and does not"]);
        assert_eq!(wait(open().cast(0, 5, SkipFallback)).found(), NOTHING);
        assert_eq!(wait(world(&[61, 39]).heard(0, &[1], 5, Skip)).found(), NOTHING);
        assert_eq!(wait(open().cast(0, 5, Final)).found(), NOTHING);
    }

    #[test]
    fn over_restarts() {
        let forgotten = world(&[1; 5]).heard(0, &[1, 2], 5, Skip).crash(0).start(0);
        let found = ["O12: n0 cast SF(5) with 0 for skip and [1] for blocks"];
        assert_eq!(forgotten.cast(0, 5, SkipFallback).found(), found);
        let interrupted = world(&[1; 5])
            .heard(0, &[1, 2], 5, Skip)
            .crash_with(0, &[vote(5, Notar(A)), vote(5, SkipFallback)], &[])
            .start(0);
        assert_eq!(interrupted.found(), NOTHING);
    }
}
