//! O11: a notar-fallback vote is safe when it is cast, and is cast when it is safe.
//!
//! NF(b) helps a block that the voter did not vote for. It is harmless only when no *other* block of
//! the slot can be fast-finalized any more, which the votes that the voter has stored must show; and
//! the voter must hold b, and b must stand on something certified. All of this is counted again from
//! the voter's own Pool. Nothing of it is ever taken back, so it is enough that it holds when the
//! vote is durable.
//!
//! The other way round, a slot may end only with the help of such votes. So a node that has all the
//! conditions before it must find SafeToNotar (6.5), whichever of them came last: its own vote, the
//! block, the certificate of the parent; and must cast the vote.

use super::history::NodeHistory;
use super::owed::Owed;
use super::recount::{Counts, is_certified};
use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct NotarFallbackVote {
    owed: Owed,
}

/// The votes for blocks of `slot` for which SafeToNotar holds, own F aside.
fn safe(scene: &Scene, me: &NodeHistory, slot: Slot, counts: &Counts) -> Vec<Vote> {
    let other = |block: &BlockId| counts.own != Some(VoteKind::Notar(block.hash));
    let stands = |block: &BlockId| {
        let parent = me.blocks.get(block);
        parent.is_some_and(|parent| slot.is_first() || is_certified(scene, me, *parent))
    };
    let blocks = counts.notar.keys().map(|hash| BlockId::new(slot, *hash));
    let blocks = blocks.filter(other).filter(stands);
    let safe = blocks.filter(|block| counts.allow_notar_fallback(scene, block.hash));
    safe.map(|block| Vote::new(slot, VoteKind::NotarFallback(block.hash))).collect()
}

/// The first condition that fails, in words.
fn missing(cx: &Context<'_>, node: NodeId, vote: Vote, block: BlockId) -> Option<String> {
    let me = cx.history.of(node);
    let counts = Counts::of(cx.scene, node, me, vote.slot);
    match counts.own {
        None => return Some("before its own initial vote was stored".into()),
        Some(VoteKind::Notar(hash)) if hash == block.hash => {
            return Some("against its own notar vote".into());
        }
        Some(_) => {}
    }
    if me.cast_before(vote).contains(&VoteKind::Final) {
        return Some("after its final vote".into());
    }
    if !counts.allow_notar_fallback(cx.scene, block.hash) {
        let notar = counts.notar.get(&block.hash).copied().unwrap_or(0);
        let (skip, total) = (counts.skip, cx.scene.total);
        return Some(format!("with {notar} of {total} for the block and {skip} for skip"));
    }
    let Some(parent) = me.blocks.get(&block) else {
        return Some("without having stored the block".into());
    };
    let stands = vote.slot.is_first() || is_certified(cx.scene, me, *parent);
    (!stands).then(|| format!("but its parent {parent} is not certified"))
}

impl Oracle for NotarFallbackVote {
    fn id(&self) -> &'static str {
        "O11"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        for vote in self.owed.take(cx, node, fact, safe) {
            let detail = format!("n{node} could cast {vote:?} and does not");
            out.report(cx, self.id(), Some(vote.slot), &[node], detail);
        }
        let from = cx.history.of(node).votes_from;
        for vote in cx.history.news.cast.iter().filter(|vote| vote.slot >= from) {
            let (VoteKind::NotarFallback(_), Some(block)) = (vote.kind, vote.block()) else {
                continue;
            };
            if let Some(missing) = missing(cx, node, *vote, block) {
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
    use alpenglow_node::protocol::event::Standing;

    /// Node 0 has skipped slot 5 and holds block A there, whose parent is certified.
    fn world(stakes: &[u64]) -> World {
        World::watched_by("O11", stakes)
            .stored(0, block(5, A), block(4, A))
            .certified(0, 4, NF(A), &[1, 2, 3])
            .cast(0, 5, Skip)
    }

    #[test]
    fn forty_percent_exactly_and_one_unit_less() {
        let enough = world(&[10, 40, 25, 25]).heard(0, &[1], 5, Notar(A));
        assert_eq!(enough.cast(0, 5, NotarFallback(A)).found(), NOTHING);
        let less = world(&[10, 39, 26, 25]).heard(0, &[1], 5, Notar(A));
        let found = "O11: n0 cast NF(5:aaaaaaaa) with 39 of 100 for the block and 10 for skip";
        assert_eq!(less.cast(0, 5, NotarFallback(A)).found(), [found]);
    }

    /// The own skip and another make 40 %; with 20 % for the block that is 60 %.
    #[test]
    fn twenty_percent_with_forty_of_skips_and_one_unit_less() {
        let enough = world(&[30, 20, 10, 40]).heard(0, &[1], 5, Notar(A)).heard(0, &[2], 5, Skip);
        assert_eq!(enough.cast(0, 5, NotarFallback(A)).found(), NOTHING);
        let less = world(&[30, 19, 11, 40]).heard(0, &[1], 5, Notar(A)).heard(0, &[2], 5, Skip);
        let found = "O11: n0 cast NF(5:aaaaaaaa) with 19 of 100 for the block and 41 for skip";
        assert_eq!(less.cast(0, 5, NotarFallback(A)).found(), [found]);
        let few = world(&[30, 20, 9, 41]).heard(0, &[1], 5, Notar(A)).heard(0, &[2], 5, Skip);
        let found = "O11: n0 cast NF(5:aaaaaaaa) with 20 of 100 for the block and 39 for skip";
        assert_eq!(few.cast(0, 5, NotarFallback(A)).found(), [found]);
    }

    /// Only the first initial vote of a validator counts, and fallback votes do not.
    #[test]
    fn a_liar_is_counted_once() {
        let world = world(&[20, 30, 20, 30])
            .heard(0, &[1], 5, Notar(A))
            .heard(0, &[2], 5, Notar(B))
            .heard(0, &[2], 5, Notar(A))
            .heard(0, &[3], 5, NotarFallback(A))
            .cast(0, 5, NotarFallback(A));
        let found = "O11: n0 cast NF(5:aaaaaaaa) with 30 of 100 for the block and 20 for skip";
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn every_other_condition() {
        let heard = |world: World| world.heard(0, &[1, 2], 5, Notar(A));
        let found = |world: World| heard(world).cast(0, 5, NotarFallback(A)).found();
        let bare = || World::watched_by("O11", &[1; 5]);
        let early = bare().stored(0, block(5, A), genesis());
        assert_eq!(
            found(early),
            ["O11: n0 cast NF(5:aaaaaaaa) before its own initial vote was stored"]
        );
        let same = bare().cast(0, 5, Notar(A));
        assert_eq!(found(same), ["O11: n0 cast NF(5:aaaaaaaa) against its own notar vote"]);
        let over = bare().cast(0, 5, Notar(B)).cast(0, 5, Final);
        assert_eq!(found(over), ["O11: n0 cast NF(5:aaaaaaaa) after its final vote"]);
        let unknown = bare().cast(0, 5, Skip);
        assert_eq!(found(unknown), ["O11: n0 cast NF(5:aaaaaaaa) without having stored the block"]);
        let hanging = bare().cast(0, 5, Skip).stored(0, block(5, A), block(4, A));
        let parent = "O11: n0 cast NF(5:aaaaaaaa) but its parent 4:aaaaaaaa is not certified";
        assert_eq!(found(hanging), [parent]);
    }

    /// What the others said to the incarnation before is forgotten; what a crash interrupted was
    /// safe when it became durable.
    #[test]
    fn over_restarts() {
        let forgotten = world(&[1; 5]).heard(0, &[1, 2], 5, Notar(A)).crash(0).start(0);
        let found = "O11: n0 cast NF(5:aaaaaaaa) with 0 of 5 for the block and 1 for skip";
        assert_eq!(forgotten.cast(0, 5, NotarFallback(A)).found(), [found]);
        let interrupted = world(&[1; 5])
            .heard(0, &[1, 2], 5, Notar(A))
            .crash_with(0, &[vote(5, Skip), vote(5, NotarFallback(A))], &[])
            .start(0);
        assert_eq!(interrupted.found(), NOTHING);
    }

    /// Whoever can help a block, does: whatever the last condition was.
    #[test]
    fn a_vote_that_is_never_cast() {
        let sizes = Event::Sizes { pool: 0, blocks: 0, transactions: 0, requests: 0 };
        let wait = |world: World, reports: u32| {
            (0..reports).fold(world, |world, _| world.event(0, sizes.clone()))
        };
        let open = || world(&[1; 5]).heard(0, &[1, 2], 5, Notar(A));
        assert_eq!(wait(open(), 9).found(), NOTHING, "patience");
        let found = "O11: n0 could cast NF(5:aaaaaaaa) and does not";
        assert_eq!(wait(open(), 30).found(), [found], "once");
        let found_safe = open().event(0, Event::SafeToNotar(block(5, A)));
        assert_eq!(wait(found_safe, 30).found(), [found], "to see it is not enough");
        assert_eq!(wait(open().cast(0, 5, NotarFallback(A)), 30).found(), NOTHING);
        let over = wait(open().finalized(0, block(6, B), Slow), 30);
        assert_eq!(over.found(), [found], "finality comes after it and excuses nothing");
        let late = World::watched_by("O11", &[1; 5])
            .certified(0, 4, NF(A), &[1, 2, 3])
            .cast(0, 5, Skip)
            .heard(0, &[1, 2], 5, Notar(A))
            .finalized(0, block(5, A), Indirect)
            .stored(0, block(5, A), block(4, A));
        assert_eq!(wait(late, 30).found(), NOTHING, "the block came when all was over");
        let last = open().cast(0, 5, Final);
        assert_eq!(wait(last, 30).found(), NOTHING, "after F nothing is owed");
        let other = World::watched_by("O11", &[1; 5]).stored(0, block(5, A), block(4, A)).heard(
            0,
            &[1, 2],
            5,
            Notar(A),
        );
        assert_eq!(wait(other, 30).found(), NOTHING, "without an own vote nothing is owed");
        let observing = open().event(0, Event::Standing(Standing::Observing));
        assert_eq!(wait(observing, 30).found(), NOTHING);
    }

    /// In a first slot the parent need not be certified.
    #[test]
    fn in_a_first_slot() {
        let world = World::watched_by("O11", &[1; 5])
            .stored(0, block(8, A), block(6, A))
            .cast(0, 8, Notar(B))
            .heard(0, &[1, 2], 8, Notar(A))
            .cast(0, 8, NotarFallback(A));
        assert_eq!(world.found(), NOTHING);
    }
}
