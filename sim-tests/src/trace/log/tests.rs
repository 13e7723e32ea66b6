//! What stays in the record, and what is told apart.

use super::*;

fn timeout(log: &mut Log, at_ns: u64) {
    log.take(at_ns, NodeId(0), &Fact::Event(&Event::TimeoutCrashed(Slot(at_ns))));
}

#[test]
fn a_full_ring_keeps_the_end_and_says_what_is_missing() {
    let mut log = Log::new([4, 4, 4, 4]);
    (0..10).for_each(|at| timeout(&mut log, at));
    log.take(11, NodeId(1), &Fact::Crashed);
    let times: Vec<u64> = log.entries().iter().map(|entry| entry.at_ns).collect();
    assert_eq!(times, [6, 7, 8, 9, 11]);
    let kept = log.kept();
    assert_eq!((kept[2].seen, kept[2].kept, kept[2].span_ns), (10, 4, Some((6, 9))));
    assert_eq!((kept[0].seen, kept[0].kept), (1, 1), "details do not push each other out");
    assert_eq!(log.slots.len(), 10, "slots are kept for the whole run");
}

#[test]
fn a_violation_stays_with_what_led_to_it() {
    let mut log = Log::new([4, 4, 4, 4]);
    (0..10).for_each(|at| timeout(&mut log, at));
    log.violated();
    (10..20).for_each(|at| timeout(&mut log, at));
    log.violated();
    timeout(&mut log, 20);
    let times: Vec<u64> = log.entries().iter().map(|entry| entry.at_ns).collect();
    assert_eq!(times, [8, 9, 10, 11]);
    assert_eq!(log.kept()[2].seen, 21);
}

#[test]
fn votes_are_told_apart_from_their_receipt() {
    let mut log = Log::default();
    let vote = Vote::new(Slot(3), VoteKind::Skip);
    let stored = Event::VoteStored(NodeId(1), vote);
    log.take(5, NodeId(1), &Fact::Event(&Event::VoteCast(vote)));
    log.take(5, NodeId(1), &Fact::Event(&stored));
    log.take(6, NodeId(2), &Fact::Event(&stored));
    let kinds: Vec<(Kind, Option<u16>)> =
        log.entries().iter().map(|entry| (entry.kind, entry.peer)).collect();
    assert_eq!(kinds, [(Kind::VoteSkip, None), (Kind::GotSkip, Some(1))]);
    assert_eq!(log.slots[&3].votes, [(Kind::VoteSkip, None, 1)]);
}
