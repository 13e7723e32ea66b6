//! The view, fed by hand.

use super::*;
use crate::protocol::block::tests::transaction;
use crate::protocol::committee::tests::committee;
use crate::protocol::event::Origin;
use crate::protocol::types::{BlockId, Hash};
use crate::protocol::vote::{Vote, VoteKind};

fn view(intact: bool) -> View {
    let restored = Restored { intact, ..Restored::default() };
    View::new(Arc::new(committee(&[40, 30, 30])), NodeId(0), &restored, Time(0))
}

fn at(ms: u64) -> Time {
    Time(ms * 1_000_000)
}

fn id(slot: u64) -> BlockId {
    BlockId::new(Slot(slot), Hash([1; 32]))
}

fn stored(slot: u64) -> Event {
    let parent = id(slot - 1);
    let (origin, slices, switched) = (Origin::Rotor, 1, false);
    Event::BlockStored { block: id(slot), parent, origin, slices, switched }
}

fn delivered(slot: u64) -> Event {
    Event::Delivered { block: id(slot), parent: id(slot - 1), transactions: [].into() }
}

#[test]
fn finality_is_told_once_with_its_times() {
    let mut view = view(true);
    view.observe(at(10), &Event::SlotSeen(Slot(5)));
    view.observe(at(30), &stored(5));
    let news = view.observe(at(45), &Event::Finalized(id(5), Mode::Slow)).unwrap();
    let finality = Finality {
        mode: Mode::Slow,
        at: at(45),
        after_block: Some(Duration::from_millis(15)),
        after_shred: Some(Duration::from_millis(35)),
    };
    assert_eq!(news, News::Final(finality));
    assert_eq!(view.observe(at(46), &Event::Finalized(id(5), Mode::Fast)), None);
    assert_eq!(view.observe(at(50), &delivered(5)), Some(News::Delivered(Some(finality))));
    assert_eq!(view.observe(at(51), &Event::Finalized(id(5), Mode::Fast)), None, "late");
    assert_eq!((view.tip(), view.highest()), (Slot(5), Slot(5)));
}

#[test]
fn ready_means_voting_caught_up_and_alive() {
    let mut view = view(true);
    let reason = |view: &View, ms| view.not_ready(at(ms)).unwrap_or_default();
    assert!(reason(&view, 1).contains("nothing is final"));
    view.observe(at(1), &Event::Finalized(id(20), Mode::Fast));
    assert!(reason(&view, 2).contains("20 slots behind"));
    view.observe(at(3), &delivered(12));
    assert_eq!(view.not_ready(at(4)), None, "eight slots are allowed");
    assert!(reason(&view, 10_002).contains("10 s"));
    view.observe(at(5), &Event::Standing(Standing::Observing));
    assert!(reason(&view, 6).contains("observing"));
}

#[test]
fn those_count_as_present_whose_recent_votes_came() {
    let mut view = view(true);
    let vote = |slot| Vote::new(Slot(slot), VoteKind::Skip);
    assert_eq!(view.present(), (40, 1), "itself");
    view.observe(at(1), &Event::VoteStored(NodeId(1), vote(3)));
    view.observe(at(1), &Event::VoteStored(NodeId(2), vote(20)));
    assert_eq!(view.present(), (100, 3));
    view.observe(at(2), &Event::Finalized(id(20), Mode::Fast));
    assert_eq!(view.present(), (70, 2));
    assert_eq!(view.status(at(2)).present_stake_permille, 700);
}

#[test]
fn lifetimes_are_judged_as_the_protocol_does() {
    let mut view = view(true);
    view.observe(at(1), &Event::ParentReady(Slot(8), id(7)));
    view.observe(at(1), &delivered(7));
    let lifetime = Err(NotTaken::Lifetime { tip: 7, latest: 161 });
    for (until, taken) in [(7, lifetime), (8, Ok(())), (161, Ok(())), (162, lifetime)] {
        assert_eq!(view.submit(&transaction(1, until)), taken, "valid until {until}");
    }
    let transactions = MAX_POOLED_TRANSACTIONS as u32;
    view.observe(at(2), &Event::Sizes { pool: 0, blocks: 0, transactions, requests: 0 });
    assert_eq!(view.submit(&transaction(2, 20)), Err(NotTaken::Full));
}

/// An observer needs a slot that the cluster decided under its eyes, not one that it was told of.
#[test]
fn an_observer_may_vote_an_epoch_after_what_it_has_seen_decided() {
    let mut told = view(false);
    told.observe(at(1), &Event::Finalized(id(17_000), Mode::Fast));
    assert_eq!(told.safe_to_vote_from(), None);
    for (slot, from) in [(100, 18_000), (15_951, 18_000), (15_952, 36_000)] {
        let mut view = view(false);
        view.observe(at(2), &Event::SlotSeen(Slot(slot)));
        view.observe(at(2), &Event::Finalized(id(slot), Mode::Fast));
        assert_eq!(view.safe_to_vote_from(), Some(Slot(from)), "after slot {slot}");
        assert!(view.too_early_below() <= Some(Slot(from)));
    }
}

/// A peer sends an old shred and the old certificate of its slot again.
#[test]
fn a_replay_of_the_past_does_not_let_an_observer_vote_too_early() {
    let replay = |view: &mut View, ms, slot| {
        view.observe(at(ms), &Event::SlotSeen(Slot(slot)));
        view.observe(at(ms), &Event::Finalized(id(slot), Mode::Fast));
    };
    // After the node has heard of the present.
    let mut late = view(false);
    late.observe(at(1), &Event::Finalized(id(30_000), Mode::Fast));
    replay(&mut late, 2, 29_950);
    assert_eq!(late.safe_to_vote_from(), None, "something higher was final before");
    replay(&mut late, 400, 30_001);
    assert_eq!(late.safe_to_vote_from(), Some(Slot(36_000)));
    // Before that: what it led to is taken back.
    let mut early = view(false);
    replay(&mut early, 1, 5);
    assert_eq!((early.safe_to_vote_from(), early.too_early_below()), (Some(Slot(18_000)), None));
    early.observe(at(2), &Event::Finalized(id(30_000), Mode::Slow));
    assert_eq!((early.safe_to_vote_from(), early.too_early_below()), (None, Some(Slot(36_000))));
    replay(&mut early, 3, 6);
    assert_eq!(early.safe_to_vote_from(), None);
    replay(&mut early, 400, 30_001);
    let both = (early.safe_to_vote_from(), early.too_early_below());
    assert_eq!(both, (Some(Slot(36_000)), Some(Slot(36_000))));
    // A store that knew of later finality is not behind because of it.
    let mut reloaded = view(false);
    let event = Event::Reloaded { votes: [].into(), tip: id(5), highest: id(1_500) };
    reloaded.observe(at(1), &event);
    replay(&mut reloaded, 2, 1_501);
    assert_eq!(reloaded.too_early_below(), None);
}

/// A node whose disk has failed goes on following, and delivers nothing.
#[test]
fn what_is_never_delivered_does_not_grow_for_ever() {
    let mut view = view(true);
    for slot in 1..4 * MAX_UNDELIVERED as u64 {
        view.observe(at(slot), &Event::SlotSeen(Slot(slot)));
        view.observe(at(slot), &Event::SlotSeen(Slot(slot + 1)));
        if slot % 2 == 0 {
            let news = view.observe(at(slot), &Event::Finalized(id(slot), Mode::Slow));
            assert!(matches!(news, Some(News::Final(_))));
        }
        assert!(view.slots.len() <= MAX_UNDELIVERED + 2);
        assert!(view.finals.len() <= MAX_UNDELIVERED + 1);
    }
    assert_eq!((view.tip(), view.highest().0), (Slot(0), 4 * MAX_UNDELIVERED as u64 - 2));
}
