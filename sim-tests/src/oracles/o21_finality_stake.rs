//! O21: behind a final block stands enough correct stake.
//!
//! A directly final block was voted for by more than 40 % of correct stake, by more than 60 % if it
//! was fast: the quorum less everything that liars can hold. An indirectly final one has at least
//! one correct voter. This is judged from what the voters did, whatever certificates say.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct FinalityStake;

impl Oracle for FinalityStake {
    fn id(&self) -> &'static str {
        "O21"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Event(Event::Finalized(block, mode)) = fact else { return };
        if block.slot < cx.history.floor {
            return;
        }
        let notar = Vote::new(block.slot, VoteKind::Notar(block.hash));
        let voters = cx.history.correct(cx.scene).filter(|(_, about)| about.has_cast(notar));
        let stake = cx.scene.stake_of(voters.map(|(voter, _)| voter));
        let enough = match mode {
            Mode::Fast => cx.scene.more_than(stake, 3),
            Mode::Slow => cx.scene.more_than(stake, 2),
            Mode::Indirect => stake > 0,
        };
        if !enough {
            let total = cx.scene.total;
            let detail = format!(
                "n{node} finalized {block} ({mode:?}) with correct votes of {stake} of {total}"
            );
            out.report(cx, "O21", Some(block.slot), &[node], detail);
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    /// Node 0 holds 60 % or 40 % exactly, or one unit more.
    fn found(stakes: [u64; 2], mode: Mode) -> Vec<String> {
        let world = World::watched_by("O21", &stakes).cast(0, 4, Notar(A));
        world.finalized(1, block(4, A), mode).found()
    }

    #[test]
    fn exactly_the_share_is_not_enough() {
        let fast = "O21: n1 finalized 4:aaaaaaaa (Fast) with correct votes of 60 of 100";
        assert_eq!(found([60, 40], Fast), [fast]);
        assert_eq!(found([61, 39], Fast), NOTHING);
        let slow = "O21: n1 finalized 4:aaaaaaaa (Slow) with correct votes of 40 of 100";
        assert_eq!(found([40, 60], Slow), [slow]);
        assert_eq!(found([41, 59], Slow), NOTHING);
        assert_eq!(found([1, 99], Indirect), NOTHING);
    }

    #[test]
    fn liars_and_other_votes_do_not_count() {
        let world = World::watched_by("O21", &[1; 5])
            .byzantine(4)
            .cast(4, 4, Notar(A))
            .cast(0, 4, Notar(B))
            .cast(1, 4, NotarFallback(A))
            .cast(2, 5, Notar(A))
            .finalized(3, block(4, A), Indirect);
        let found = ["O21: n3 finalized 4:aaaaaaaa (Indirect) with correct votes of 0 of 5"];
        assert_eq!(world.found(), found);
    }

    #[test]
    fn the_dead_count() {
        let mut world = World::watched_by("O21", &[1; 5]);
        for node in 0..4 {
            world = world.crash_with(node, &[vote(4, Notar(A))], &[]);
        }
        assert_eq!(world.finalized(4, block(4, A), Fast).found(), NOTHING);
    }
}
