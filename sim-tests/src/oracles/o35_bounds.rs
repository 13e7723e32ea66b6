//! O35: memory is bounded, whatever peers send.
//!
//! A Pool stores at most six votes of one validator in a slot: one initial vote, three NF, SF, F. It
//! stores none for a slot further ahead than any honest validator can be.
//! What a node holds is proportional to the slots that can still matter to it: from its delivered
//! tip to the head of the cluster and the range of votes that it takes beyond. The caps here are
//! for the worst that liars can fill those slots with; a leak passes them sooner or later.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::params::{
    MAX_BLOCKS_PER_SLOT, MAX_OUTSTANDING_REQUESTS, MAX_POOLED_TRANSACTIONS,
    TRANSACTION_LIFETIME_SLOTS, VOTE_LOOKAHEAD_SLOTS,
};
use alpenglow_node::protocol::types::{NodeId, SLOTS_PER_WINDOW, Slot};

/// Votes of one validator in one slot.
const MAX_VOTES: usize = 6;
/// Entries of the Pool for one slot: its votes, its decision, SkipPlus, NFplus, and for each block
/// its parent and a place in a queue for a certified parent.
const POOL_ENTRIES: u64 = 4 + 2 * MAX_BLOCKS_PER_SLOT as u64;
/// Blocks for one slot: complete ones, and one under way.
const BLOCK_ENTRIES: u64 = 1 + MAX_BLOCKS_PER_SLOT as u64;

/// The oracle.
#[derive(Debug, Default)]
pub struct Bounded {
    /// The highest slot that any correct node knows to be final or ready.
    head: Slot,
}

impl Bounded {
    fn judge(&self, cx: &Context<'_>, node: NodeId, sizes: [u32; 4], out: &mut Findings) {
        let me = cx.history.of(node);
        let tip = me.out.last().map_or(Slot::GENESIS, |block| block.slot);
        let end = self.head.plus(SLOTS_PER_WINDOW + VOTE_LOOKAHEAD_SLOTS);
        let slots = end.0.saturating_sub(tip.0) + 2;
        let caps = [
            ("pool entries", slots * POOL_ENTRIES),
            ("blocks", slots * BLOCK_ENTRIES + TRANSACTION_LIFETIME_SLOTS),
            ("transactions", MAX_POOLED_TRANSACTIONS as u64),
            ("repair requests", MAX_OUTSTANDING_REQUESTS as u64),
        ];
        for ((name, cap), size) in caps.into_iter().zip(sizes) {
            if u64::from(size) > cap {
                let detail = format!(
                    "n{node} holds {size} {name}, but {cap} are enough from slot {tip} to {end}"
                );
                out.report(cx, "O35", None, &[node], detail);
            }
        }
    }
}

impl Oracle for Bounded {
    fn id(&self) -> &'static str {
        "O35"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Event(Event::VoteStored(voter, vote)) => {
                let stored = cx.history.of(node).votes.get(&vote.slot);
                let own = stored.into_iter().flatten().filter(|(by, _)| by == voter).count();
                let end = self.head.plus(SLOTS_PER_WINDOW + VOTE_LOOKAHEAD_SLOTS);
                if vote.slot > end {
                    let detail = format!("n{node} stores {vote:?} of n{voter}, far beyond {end}");
                    out.report(cx, "O35", Some(vote.slot), &[node], detail);
                }
                if own > MAX_VOTES {
                    let detail = format!("n{node} stores {own} votes of n{voter}");
                    out.report(cx, "O35", Some(vote.slot), &[node], detail);
                }
            }
            Fact::Event(Event::ParentReady(slot, _)) => self.head = self.head.max(*slot),
            Fact::Event(Event::Finalized(block, _)) => self.head = self.head.max(block.slot),
            Fact::Event(Event::Sizes { pool, blocks, transactions, requests }) => {
                self.judge(cx, node, [*pool, *blocks, *transactions, *requests], out);
            }
            _ => {}
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn sizes(pool: u32, blocks: u32, transactions: u32, requests: u32) -> Event {
        Event::Sizes { pool, blocks, transactions, requests }
    }

    #[test]
    fn a_seventh_vote() {
        let six = World::watched_by("O35", &[1; 5])
            .heard(0, &[1, 2], 4, Notar(A))
            .heard(0, &[1], 4, NotarFallback(B))
            .heard(0, &[1], 4, NotarFallback(C))
            .heard(0, &[1], 4, NotarFallback(D))
            .heard(0, &[1], 4, SkipFallback)
            .heard(0, &[1], 4, Final);
        assert_eq!(six.heard(0, &[1], 4, Skip).found(), ["O35: n0 stores 7 votes of n1"]);
    }

    #[test]
    fn a_vote_for_the_far_future() {
        let near = World::watched_by("O35", &[1; 5]).heard(0, &[1], 44, Skip);
        let found = ["O35: n0 stores S(45) of n1, far beyond 44"];
        assert_eq!(near.heard(0, &[1], 45, Skip).found(), found);
    }

    #[test]
    fn each_cap_and_one_more() {
        // Slots 0 to 44 and two of slack: 46.
        let full = sizes(46 * 20, 46 * 9 + 150, 65_536, 4_096);
        assert_eq!(World::watched_by("O35", &[1; 5]).event(0, full).found(), NOTHING);
        let found = [
            "O35: n0 holds 921 pool entries, but 920 are enough from slot 0 to 44",
            "O35: n0 holds 565 blocks, but 564 are enough from slot 0 to 44",
            "O35: n0 holds 65537 transactions, but 65536 are enough from slot 0 to 44",
            "O35: n0 holds 4097 repair requests, but 4096 are enough from slot 0 to 44",
        ];
        let over = sizes(921, 565, 65_537, 4_097);
        assert_eq!(World::watched_by("O35", &[1; 5]).event(0, over).found(), found);
    }

    /// What a node may hold grows with its distance to the head, and shrinks as it delivers.
    #[test]
    fn caps_follow_the_tip() {
        let ahead = || World::watched_by("O35", &[1; 5]).ready(1, 100, block(99, A));
        assert_eq!(ahead().event(0, sizes(146 * 20, 0, 0, 0)).found(), NOTHING);
        let caught_up = ahead().out(0, block(99, A), genesis());
        assert_eq!(caught_up.event(0, sizes(146 * 20, 0, 0, 0)).found().len(), 1);
    }
}
