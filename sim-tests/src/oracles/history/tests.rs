//! What is remembered, for how long, and what is news.

use super::*;
use crate::oracles::testing::*;

fn take(history: &mut History, node: u16, event: Event) {
    history.take(0, NodeId(node), Fact::Event(&event));
}

/// One slot of one node's life: a vote cast, one heard, a block stored, final and delivered.
fn live(history: &mut History, node: u16, slot: u64) {
    let (id, parent) = (block(slot, A), block(slot - 1, A));
    let said = vote(slot, Notar(A));
    take(history, node, Event::VoteCast(said));
    take(history, node, Event::VoteStored(NodeId(9), said));
    let (slices, switched) = (1, false);
    let origin = Origin::Rotor;
    take(history, node, Event::BlockStored { block: id, parent, origin, slices, switched });
    take(history, node, Event::ParentReady(Slot(slot), parent));
    take(history, node, Event::Finalized(id, Fast));
    take(history, node, Event::Delivered { block: id, parent, transactions: [].into() });
}

fn two_nodes() -> History {
    let mut history = History::new(2);
    history.take(0, NodeId(0), Fact::Started(1));
    history.take(0, NodeId(1), Fact::Started(1));
    history
}

fn sizes(me: &NodeHistory) -> [usize; 5] {
    let lives = [me.cast_in.len(), me.blocks.len(), me.ready.len(), me.decided.len()];
    [lives[0], lives[1], lives[2], lives[3], me.votes.len()]
}

#[test]
fn what_lies_far_below_everybody_is_forgotten() {
    let mut history = two_nodes();
    for slot in 1..=1_000 {
        live(&mut history, 0, slot);
        live(&mut history, 1, slot);
    }
    assert_eq!(history.floor, Slot(1_000 - KEPT_SLOTS - (1_000 - KEPT_SLOTS) % BATCH_SLOTS));
    let kept = (1_000 - history.floor.0 + 1) as usize;
    assert_eq!(sizes(history.of(NodeId(0)))[..4], [kept; 4]);
    assert!(history.of(NodeId(0)).votes.len() <= (KEPT_VOTE_SLOTS + BATCH_SLOTS) as usize);
    assert_eq!(history.parents.len(), kept);
    assert_eq!(history.of(NodeId(0)).out.len(), 1_000, "ledgers stay");
}

/// A running node that lags may still need it; one that is down starts anew anyway.
#[test]
fn the_slowest_running_node_decides() {
    let mut history = two_nodes();
    (1..=10).for_each(|slot| live(&mut history, 1, slot));
    (1..=600).for_each(|slot| live(&mut history, 0, slot));
    assert_eq!(history.floor, Slot(0));
    history.take(0, NodeId(1), Fact::Crashed);
    live(&mut history, 0, 601);
    assert_eq!(history.floor, Slot(601 - KEPT_SLOTS));
    take(&mut history, 0, Event::VoteCast(vote(3, Skip)));
    assert_eq!(history.news.cast, [], "no longer judged");
}

/// Who comes back from far behind the others is judged by what it did before.
#[test]
fn the_own_ledger_decides_what_is_forgotten_of_oneself() {
    let mut history = two_nodes();
    (1..=10).for_each(|slot| live(&mut history, 1, slot));
    history.take(0, NodeId(1), Fact::Crashed);
    (1..=601).for_each(|slot| live(&mut history, 0, slot));
    history.take(0, NodeId(1), Fact::Started(2));
    let again = vote(9, Skip);
    take(&mut history, 1, Event::VoteCast(again));
    assert_eq!(history.news.cast, [again]);
    assert_eq!(history.of(NodeId(1)).cast_before(again), [Notar(A)]);
}

#[test]
fn lifetimes() {
    let mut history = two_nodes();
    live(&mut history, 0, 1);
    let log = [vote(1, Notar(A)), vote(2, Skip)];
    history.take(0, NodeId(0), Fact::Crashed);
    history.take(0, NodeId(0), Fact::Image(&log, &[block(1, A), block(2, B)]));
    assert_eq!(history.news.cast, [vote(2, Skip)], "the other one was known");
    history.take(5, NodeId(0), Fact::Started(2));
    let me = history.of(NodeId(0));
    assert_eq!(sizes(me), [2, 0, 0, 0, 0]);
    assert_eq!((me.incarnation, me.started_ns, me.reloaded_ns), (2, 5, None));
    assert_eq!(me.start_tip, Some(block(2, B)));
    assert!(me.is_final(block(2, B)) && me.is_certified(block(2, B)));
    // An image that contradicts what was reported is not taken over.
    history.take(5, NodeId(0), Fact::Image(&[], &[block(1, B), block(2, B), block(3, B)]));
    assert_eq!(history.of(NodeId(0)).out, [block(1, A), block(2, B)]);
}

#[test]
fn ancestry() {
    let mut history = two_nodes();
    live(&mut history, 0, 1);
    live(&mut history, 0, 2);
    assert_eq!(history.descends(block(2, A), block(1, A)), Some(true));
    assert_eq!(history.descends(block(2, A), block(1, B)), Some(false));
    assert_eq!(history.descends(block(1, A), block(2, A)), Some(false));
    assert_eq!(history.descends(block(3, A), block(1, A)), None);
}
