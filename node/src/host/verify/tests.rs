//! What waits, in which order and company it is checked, and who pays for what is wrong.

use super::*;
use crate::protocol::committee::tests::committee;
use crate::protocol::types::{Hash, Slot};
use crate::protocol::vote::{CertificateKind, VoteKind};
use crate::protocol::wire::tests::build::{certificate, signed_vote};
use proptest::prelude::*;

const NOW: Time = Time(1_000_000_000);
const BLOCK: Hash = Hash([7; 32]);

fn vote(committee: &Committee, signer: u16, slot: u64) -> Unverified<Message> {
    let vote = signed_vote(committee, signer, slot, VoteKind::Notar(BLOCK));
    Unverified::new(Message::Vote(vote))
}

/// Well-formed, but the signature is on other bytes.
fn forged(committee: &Committee, signer: u16, slot: u64) -> Unverified<Message> {
    let mut vote = signed_vote(committee, signer, slot + 1, VoteKind::Notar(BLOCK));
    vote.vote.slot = Slot(slot);
    Unverified::new(Message::Vote(vote))
}

fn skip_certificate(committee: &Committee, slot: u64) -> Unverified<Message> {
    let skip = certificate(committee, slot, CertificateKind::Skip, &[0, 1, 2, 3], &[]);
    Unverified::new(Message::Certificate(skip))
}

/// As if every vote decided something.
fn push(
    checks: &mut Checks,
    now: Time,
    from: NodeId,
    claim: Unverified<Message>,
) -> Result<(), Reject> {
    checks.push(now, from, claim, |_, _| true)
}

/// As if three votes on one message decided something.
fn gather(checks: &mut Checks, now: Time, from: u16, claim: Unverified<Message>) {
    checks.push(now, NodeId(from), claim, |_, voters| voters.count() >= 3).unwrap();
}

/// The next job when nothing became needless.
fn next(checks: &mut Checks, now: Time) -> Option<Job> {
    let mut dropped = Vec::new();
    let job = checks.next(now, Ok, &mut dropped);
    assert_eq!(dropped, []);
    job
}

fn senders(job: &Job) -> Vec<u16> {
    job.0.iter().map(|(from, _)| from.0).collect()
}

#[test]
fn votes_on_one_message_are_checked_together() {
    let committee = committee(&[1; 4]);
    let mut checks = Checks::new(4, 1);
    for node in [2, 0, 3] {
        push(&mut checks, NOW, NodeId(node), vote(&committee, node, 9)).unwrap();
    }
    push(&mut checks, NOW, NodeId(1), vote(&committee, 1, 10)).unwrap();
    let again = push(&mut checks, NOW, NodeId(2), vote(&committee, 2, 9));
    assert_eq!(again, Err(Reject::Duplicate));
    let job = next(&mut checks, NOW).unwrap();
    assert_eq!(senders(&job), [2, 0, 3]);
    assert_eq!(checks.waiting(), 1);
    assert!(next(&mut checks, NOW).is_none(), "the only worker is busy");
    let done = job.run(&committee);
    assert!(done.results.iter().all(|(_, result)| result.is_ok()));
    checks.done(NOW, &done);
    assert_eq!(senders(&next(&mut checks, NOW).unwrap()), [1]);
    assert_eq!((checks.waiting(), checks.votes.len(), checks.ready.len()), (0, 0, 0));
}

#[test]
fn votes_gather_until_they_decide() {
    let committee = committee(&[1; 5]);
    let mut checks = Checks::new(5, 1);
    for node in [2, 0] {
        gather(&mut checks, NOW, node, vote(&committee, node, 9));
        assert!(next(&mut checks, NOW).is_none(), "nothing is decided yet");
    }
    assert_eq!((checks.waiting(), checks.deadline()), (2, Some(NOW + GATHER)));
    gather(&mut checks, NOW, 3, vote(&committee, 3, 9));
    assert_eq!(checks.deadline(), None);
    let job = next(&mut checks, NOW).unwrap();
    assert_eq!(senders(&job), [0, 2, 3]);
    // What comes during the check may decide together with what is checked.
    gather(&mut checks, NOW, 1, vote(&committee, 1, 9));
    assert!(next(&mut checks, NOW).is_none());
    checks.done(NOW, &job.run(&committee));
    let job = next(&mut checks, NOW).unwrap();
    assert_eq!(senders(&job), [1]);
    checks.done(NOW, &job.run(&committee));
    assert_eq!((checks.waiting(), checks.deadline()), (0, None));
}

#[test]
fn votes_that_never_decide_are_checked_after_a_moment() {
    let committee = committee(&[1; 4]);
    let mut checks = Checks::new(4, 1);
    gather(&mut checks, NOW, 2, vote(&committee, 2, 9));
    let later = NOW + GATHER / 2;
    gather(&mut checks, later, 1, vote(&committee, 1, 9));
    gather(&mut checks, later, 1, vote(&committee, 1, 10));
    assert_eq!(checks.deadline(), Some(NOW + GATHER), "the first of a group counts");
    assert!(next(&mut checks, later).is_none());
    let job = next(&mut checks, NOW + GATHER).unwrap();
    assert_eq!(senders(&job), [1, 2]);
    checks.done(NOW, &job.run(&committee));
    assert!(next(&mut checks, NOW + GATHER).is_none(), "the other slot still gathers");
    assert_eq!(senders(&next(&mut checks, later + GATHER).unwrap()), [1]);
}

/// A group cannot outgrow an aggregate while it gathers, and a peer its queue.
#[test]
fn what_gathers_is_bounded() {
    let committee = committee(&[1; 1]);
    let mut checks = Checks::new(MAX_TOGETHER + 1, 1);
    let claim = vote(&committee, 0, 9);
    let never = |_: Vote, _: &mut dyn Iterator<Item = NodeId>| false;
    for node in 0..MAX_TOGETHER {
        assert!(next(&mut checks, NOW).is_none());
        checks.push(NOW, NodeId(node as u16), claim.clone(), never).unwrap();
    }
    assert_eq!(next(&mut checks, NOW).unwrap().size(), MAX_TOGETHER);
    let mut checks = Checks::new(1, 1);
    let full = (0..10_000)
        .find(|slot| checks.push(NOW, NodeId(0), vote(&committee, 0, *slot), never).is_err());
    assert_eq!(full, Some(MAX_WAITING as u64));
    assert_eq!(checks.gathering.len(), MAX_WAITING);
}

#[test]
fn a_wrong_vote_among_others_blames_its_sender_only() {
    let committee = committee(&[1; 4]);
    let mut checks = Checks::new(4, 1);
    push(&mut checks, NOW, NodeId(0), vote(&committee, 0, 9)).unwrap();
    push(&mut checks, NOW, NodeId(1), forged(&committee, 1, 9)).unwrap();
    push(&mut checks, NOW, NodeId(2), vote(&committee, 2, 9)).unwrap();
    let done = next(&mut checks, NOW).unwrap().run(&committee);
    let wrong: Vec<_> = done.results.iter().map(|(from, r)| (from.0, r.is_err())).collect();
    assert_eq!(wrong, [(0, false), (1, true), (2, false)]);
    checks.done(NOW, &done);
    // From now on the liar's votes keep nobody company, and the others' still do.
    for node in 0..3 {
        push(&mut checks, NOW, NodeId(node), vote(&committee, node, 10)).unwrap();
    }
    let mut jobs = Vec::new();
    while let Some(job) = next(&mut checks, NOW) {
        jobs.push(senders(&job));
        checks.done(NOW, &job.run(&committee));
    }
    assert_eq!(jobs, [vec![0, 2], vec![1]]);
    let later = NOW + SUSPICION;
    for node in 0..3 {
        push(&mut checks, later, NodeId(node), vote(&committee, node, 11)).unwrap();
    }
    assert_eq!(senders(&next(&mut checks, later).unwrap()), [0, 1, 2], "forgiven");
}

/// The flood of the issue: 5,000 forged votes per second for 10 s, while the others vote.
#[test]
fn forgeries_cost_a_bounded_number_of_checks_and_nobody_else_a_vote() {
    let committee = committee(&[1; 4]);
    let mut checks = Checks::new(4, 1);
    let (liar, mut wrong, mut right) = (NodeId(3), 0, 0);
    let lie = forged(&committee, 3, 9);
    for tick in 0..10_000 {
        let now = NOW + Duration::from_millis(tick);
        for _ in 0..5 {
            let _ = push(&mut checks, now, liar, lie.clone());
        }
        if tick % 200 == 0 {
            for node in 0..3 {
                let slot = 10 + tick / 200;
                push(&mut checks, now, NodeId(node), vote(&committee, node, slot)).unwrap();
            }
        }
        let mut dropped = Vec::new();
        while let Some(job) = checks.next(now, Ok, &mut dropped) {
            let done = job.run(&committee);
            for (from, result) in &done.results {
                *(if *from == liar { &mut wrong } else { &mut right }) += 1;
                assert_eq!(result.is_ok(), *from != liar);
            }
            checks.done(now, &done);
        }
        assert!(dropped.iter().all(|(from, why)| *from == liar && *why == Reject::RateLimit));
    }
    assert_eq!(right, 150);
    assert!((16..=27).contains(&wrong), "{wrong} checks");
}

#[test]
fn nothing_but_a_lie_costs_trust() {
    let mut checks = Checks::new(1, 1);
    let harmless = [Reject::Malformed, Reject::Old, Reject::Duplicate, Reject::NotNeeded];
    for _ in 0..100 {
        harmless.into_iter().for_each(|reason| checks.blame(NOW, NodeId(0), reason));
    }
    assert!(checks.trusts(NOW, NodeId(0)));
    (0..TRUST.burst).for_each(|_| checks.blame(NOW, NodeId(0), Reject::Certificate));
    assert!(!checks.trusts(NOW, NodeId(0)));
    assert!(checks.trusts(NOW + Duration::from_secs(1), NodeId(0)));
}

#[test]
fn one_certificate_is_checked_once_if_it_is_right() {
    let committee = committee(&[1; 4]);
    let mut checks = Checks::new(4, 4);
    for node in 0..3 {
        push(&mut checks, NOW, NodeId(node), skip_certificate(&committee, 9)).unwrap();
    }
    push(&mut checks, NOW, NodeId(3), skip_certificate(&committee, 10)).unwrap();
    let first = next(&mut checks, NOW).unwrap();
    let other = next(&mut checks, NOW).unwrap();
    assert_eq!((senders(&first), senders(&other)), (vec![0], vec![3]));
    assert!(next(&mut checks, NOW).is_none(), "two wait for the answer");
    checks.done(NOW, &first.run(&committee));
    let mut dropped = Vec::new();
    let held = |_| Err(Reject::Duplicate);
    assert!(checks.next(NOW, held, &mut dropped).is_none());
    assert_eq!(dropped, [(NodeId(1), Reject::Duplicate), (NodeId(2), Reject::Duplicate)]);
    assert_eq!(checks.waiting(), 0);
}

#[test]
fn queues_are_bounded_and_peers_are_served_in_turn() {
    let committee = committee(&[1; 4]);
    let mut checks = Checks::new(4, 1);
    let full = (0..10_000).find(|slot| {
        push(&mut checks, NOW, NodeId(0), skip_certificate(&committee, *slot)) == Err(Reject::Full)
    });
    assert_eq!(full, Some(MAX_WAITING as u64));
    push(&mut checks, NOW, NodeId(1), vote(&committee, 1, 9)).unwrap();
    let first = next(&mut checks, NOW).unwrap();
    assert_eq!(senders(&first), [0]);
    checks.done(NOW, &first.run(&committee));
    assert_eq!(senders(&next(&mut checks, NOW).unwrap()), [1], "not after 255 others");
}

proptest! {
    /// Whatever is pushed and however it is worked off: each message is answered exactly once,
    /// with the answer that it deserves.
    #[test]
    fn every_message_is_answered_once(
        steps in proptest::collection::vec(
            (0u16..4, 0u64..3, 0u8..3, any::<bool>(), any::<bool>()),
            1..60,
        )
    ) {
        let committee = committee(&[1; 4]);
        let mut checks = Checks::new(4, 2);
        let (mut accepted, mut answered, mut running) = (0, 0, VecDeque::new());
        let mut dropped = Vec::new();
        let finish = |checks: &mut Checks, job: Job| {
            let claims: Vec<_> = job.0.iter().map(|(_, c)| c.clone()).collect();
            let done = job.run(&committee);
            checks.done(NOW, &done);
            for ((_, result), claim) in done.results.iter().zip(&claims) {
                assert_eq!(result.is_ok(), wire::verify(&committee, claim.clone()).is_ok());
            }
            claims.len()
        };
        for (node, slot, kind, decides, work) in steps {
            let claim = match kind {
                0 => vote(&committee, node, slot + 1),
                1 => forged(&committee, node, slot + 1),
                _ => skip_certificate(&committee, slot + 1),
            };
            let pushed = checks.push(NOW, NodeId(node), claim, |_, _| decides);
            accepted += usize::from(pushed.is_ok());
            if let Some(job) = checks.next(NOW, Ok, &mut dropped) {
                running.push_back(job);
            }
            if work && let Some(job) = running.pop_front() {
                answered += finish(&mut checks, job);
            }
        }
        loop {
            running.extend(checks.next(NOW + GATHER, Ok, &mut dropped));
            let Some(job) = running.pop_front() else { break };
            answered += finish(&mut checks, job);
        }
        prop_assert_eq!(accepted, answered + dropped.len());
        prop_assert_eq!((checks.waiting(), checks.busy, checks.votes.len()), (0, 0, 0));
        prop_assert!(checks.ready.is_empty() && checks.checking.is_empty());
        prop_assert!(checks.gathering.is_empty());
        prop_assert!(checks.peers.iter().all(|peer| peer.gathering == 0));
    }
}
