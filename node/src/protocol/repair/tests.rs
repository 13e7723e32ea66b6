//! A requester among honest, silent, unhelpful and lying peers.

mod world;

use super::*;
use crate::crypto::bls;
use crate::protocol::bounded::BoundedVec;
use crate::protocol::certificate::{Bitmap, Certificate, FinalityProof, Part};
use crate::protocol::committee::tests::committee;
use crate::protocol::params::{MAX_NODES, MAX_SLICES, Params};
use crate::protocol::vote::{CertificateId, CertificateKind};
use crate::protocol::wire::{MAX_BODY_BYTES, MAX_PROOFS, Message};
use std::time::Duration;
use world::{LIES, Peer, ROUND_TRIP, SLOT, World, block};

/// Honest peers: three round trips, and little more than what is needed is asked.
#[test]
fn a_block_is_fetched_in_three_round_trips() {
    let mut world = World::new(&[Peer::Honest; 4]);
    world.want(world.id(), &[]);
    let start = world.now;
    assert!(world.run(Duration::from_secs(1)));
    assert_eq!(world.now.since(start), ROUND_TRIP * 3);
    assert_eq!(world.fetched[0].id(), world.id());
    assert_eq!(world.fetched[0].slices().len(), 3);
    assert_eq!((world.repair.outstanding(), world.refused), (0, 0));
    let shreds = world.asked.iter().filter(|(.., ask)| matches!(ask, Ask::Shred(..))).count();
    assert_eq!(shreds, 3 * (DATA_SHREDS + REPAIR_EXTRA_SHREDS));
    let counts = world.asked.iter().filter(|(.., ask)| matches!(ask, Ask::SliceCount(_))).count();
    assert_eq!(counts, REPAIR_FANOUT);
}

/// Every lie of B26 is refused, whoever tells it and however many: five liars, one honest peer.
#[test]
fn no_lie_is_believed_or_blocks_the_fetch() {
    for lie in LIES {
        for honest in 0..6 {
            let mut peers = [Peer::Liar(lie); 6];
            peers[honest] = Peer::Honest;
            let mut world = World::new(&peers);
            world.want(world.id(), &[]);
            assert!(world.run(Duration::from_secs(60)), "{lie:?} with peer {honest} honest");
            assert_eq!(world.fetched[0].id(), world.id());
            assert!(world.refused > 0, "{lie:?} was never told");
        }
    }
}

/// With nobody else to ask, a liar is asked for ever and never believed.
#[test]
fn liars_alone_give_nothing() {
    for lie in LIES {
        let mut world = World::new(&[Peer::Liar(lie); 3]);
        world.want(world.id(), &[]);
        assert!(!world.run(Duration::from_secs(1)), "{lie:?} was believed");
        assert!(world.refused > 3 && world.repair.outstanding() > 0, "{lie:?}: still asking");
    }
}

/// A bad mixture: all kinds of bad peers at once, the liars named as holders.
#[test]
fn one_honest_peer_among_every_kind_of_bad_one() {
    let mut peers: Vec<Peer> = LIES.into_iter().map(Peer::Liar).collect();
    peers.extend([Peer::Silent, Peer::Nack, Peer::Silent, Peer::Honest]);
    let mut world = World::new(&peers);
    let bad: Vec<u16> = (1..25).collect();
    world.want(world.id(), &bad);
    assert!(world.run(Duration::from_secs(120)));
    assert_eq!(world.fetched[0].id(), world.id());
}

/// An unanswered question goes to another peer after 2Δ, not before; a Nack at once.
#[test]
fn silence_costs_two_delta_and_a_nack_nothing() {
    let retry = Params::default().repair_retry();
    let mut world = World::new(&[Peer::Silent; 9]);
    world.want(world.id(), &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    world.run(retry * 3);
    let times: BTreeSet<Time> = world.asked.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3].map(|k| Time(1) + retry * k));
    let peers: BTreeSet<NodeId> = world.asked[..9].iter().map(|(_, peer, _)| *peer).collect();
    assert_eq!(peers.len(), 9, "each holder is asked before one is asked twice");
    assert_eq!(world.repair.outstanding(), REPAIR_FANOUT);

    let mut world = World::new(&[Peer::Nack; 9]);
    world.want(world.id(), &[]);
    world.run(ROUND_TRIP);
    assert_eq!(world.asked.len(), 2 * REPAIR_FANOUT);
    assert_eq!(world.repair.outstanding(), REPAIR_FANOUT);
}

/// K4: those whose votes say that they hold the block are asked first.
#[test]
fn holders_are_asked_first() {
    let mut world = World::new(&[Peer::Silent; 20]);
    world.want(world.id(), &[0, 5, 11, 17]); // the requester itself cannot be asked
    let asked: BTreeSet<u16> = world.asked.iter().map(|(_, peer, _)| peer.0).collect();
    assert_eq!(asked, BTreeSet::from([5, 11, 17]));
}

/// Nothing is asked before the grace time is over; then the fetch starts by itself.
#[test]
fn the_grace_time_is_kept() {
    let mut world = World::new(&[Peer::Honest; 3]);
    let (block, later) = (world.id(), world.now + Duration::from_millis(125));
    world.call(|repair, cx, out| repair.want(cx, block, later, &NodeSet::default(), out));
    assert!(world.asked.is_empty() && !world.repair.forget(BlockId::default()));
    assert!(world.run(Duration::from_secs(1)));
    assert!(world.asked.iter().all(|(at, ..)| *at >= later));
}

/// What Rotor brought is not asked again: a whole slice not at all, of a half slice the rest.
#[test]
fn pieces_from_rotor_are_reused() {
    let mut world = World::new(&[Peer::Honest; 4]);
    let block = world.blocks[0].clone();
    let mut out = Vec::new();
    for (t, have) in [(0, 40), (1, 20)] {
        for i in 0..have {
            world.store.add_shred(&block.slices()[t].shred(63 - i), &mut out);
        }
    }
    world.want(world.id(), &[]);
    assert!(world.run(Duration::from_secs(1)));
    let asked = |t: u8| {
        world.asked.iter().filter(|(.., ask)| matches!(ask, Ask::Shred(_, s, _) if *s == t)).count()
    };
    let rest = DATA_SHREDS + REPAIR_EXTRA_SHREDS - 20;
    assert_eq!([asked(0), asked(1), asked(2)], [0, rest, DATA_SHREDS + REPAIR_EXTRA_SHREDS]);
    let asked_twice =
        world.asked.iter().any(|(.., ask)| matches!(ask, Ask::Shred(_, 1, i) if *i > 43));
    assert!(!asked_twice, "pieces 44 to 63 were here");
}

/// Rotor pieces under another root (an equivocating leader) are left alone.
#[test]
fn pieces_of_another_block_are_not_reused() {
    let mut world = World::new(&[Peer::Honest; 4]);
    let other = block(&world.committee, SLOT, 3, 2);
    let mut out = Vec::new();
    for (t, i) in (0..3).flat_map(|t| (0..64).map(move |i| (t, i))) {
        world.store.add_shred(&other.slices()[t].shred(i), &mut out);
    }
    world.want(world.id(), &[]);
    assert!(world.run(Duration::from_secs(1)));
    assert_eq!(world.fetched[0].id(), world.id());
}

/// Two of the largest blocks at once would be 4,608 open questions; the cap holds, and both come.
#[test]
fn open_questions_are_capped() {
    let mut world = World::new(&[Peer::Honest; 4]);
    let count = MAX_SLICES as u8;
    world.blocks = [1, 2].map(|v| Arc::new(block(&world.committee, SLOT, count, v))).into();
    let ids: Vec<BlockId> = world.blocks.iter().map(|block| block.id()).collect();
    for id in &ids {
        world.want(*id, &[]);
    }
    let mut most = 0;
    while world.fetched.len() < 2 {
        assert!(!world.answers.is_empty() || !world.timers.is_empty(), "the fetch got stuck");
        world.run(Duration::from_millis(1));
        world.now = world.now + Duration::from_millis(1);
        most = most.max(world.repair.outstanding());
        assert!(world.now < Time(20_000_000_000), "the fetch takes for ever");
    }
    assert_eq!(most, MAX_OUTSTANDING_REQUESTS, "the test reaches the cap");
    assert_eq!(world.repair.outstanding(), 0);
}

/// At most 64 fetches, the lowest slots first; a dropped one can be wanted again.
#[test]
fn fetches_are_capped_and_low_slots_win() {
    let mut world = World::new(&[Peer::Silent; 4]);
    let id = |slot: u64| BlockId::new(Slot(slot), Hash([1; 32]));
    world.blocks = vec![];
    let later = world.now + Duration::from_secs(1_000);
    let mut want = |slot: u64| {
        world.call(|repair, cx, out| repair.want(cx, id(slot), later, &NodeSet::default(), out));
        world.repair.jobs.len()
    };
    for slot in 100..100 + MAX_JOBS as u64 {
        want(slot);
    }
    assert_eq!(want(500), MAX_JOBS, "full, and not lower than what is fetched");
    assert_eq!(want(50), MAX_JOBS, "lower: takes the place of the highest");
    let slots: Vec<u64> = world.repair.jobs.keys().map(|block| block.slot.0).collect();
    assert_eq!((slots[0], slots[MAX_JOBS - 1]), (50, 100 + MAX_JOBS as u64 - 2));
    assert!(!world.repair.has_room());
    world.repair.prune(Slot(120));
    assert!(world.repair.has_room());
    assert_eq!(world.repair.jobs.keys().next().map(|block| block.slot), Some(Slot(121)));
}

/// What is forgotten leaves no question behind, and late answers match nothing.
#[test]
fn forgetting_closes_every_question() {
    let mut world = World::new(&[Peer::Honest; 4]);
    let id = world.id();
    world.want(id, &[]);
    world.run(ROUND_TRIP); // the count is known, roots are asked
    assert!(world.repair.outstanding() > 0);
    assert!(world.repair.forget(id) && !world.repair.forget(id));
    assert_eq!(world.repair.outstanding(), 0);
    let asked = world.asked.len();
    world.run(Duration::from_secs(2));
    assert!(world.refused > 0 && world.fetched.is_empty());
    assert_eq!(world.asked.len(), asked, "stale timers and answers start nothing");
}

/// An answer counts only from the peer that was asked, under its number, once, and of its kind.
#[test]
fn only_solicited_answers_are_expected() {
    let mut world = World::new(&[Peer::Silent; 4]);
    let id = world.id();
    world.want(id, &[]);
    let (_, peer, ask) = world.asked[0];
    let number = 7 << 32;
    let answer = server::answer(&world.blocks[0], ask);
    assert!(world.repair.expects(peer, number, &answer));
    assert!(world.repair.expects(peer, number, &Answer::Nack));
    let other = NodeId(peer.0 % 4 + 1);
    assert!(!world.repair.expects(other, number, &answer));
    assert!(!world.repair.expects(peer, number + 99, &answer));
    let root = server::answer(&world.blocks[0], Ask::SliceRoot(id, 0));
    assert!(!world.repair.expects(peer, number, &root));
    assert!(!world.repair.expects(peer, number, &Answer::Decided(BoundedVec::default())));
    world.receive(peer, number, answer.clone());
    assert!(!world.repair.expects(peer, number, &answer), "once");
}

#[test]
fn two_nodes_are_enough_and_one_asks_nobody() {
    let mut world = World::new(&[Peer::Honest]);
    world.want(world.id(), &[1]);
    assert!(world.run(Duration::from_secs(1)));
    let mut alone = World::new(&[]);
    alone.want(alone.id(), &[]);
    assert!(alone.asked.is_empty());
    assert!(!alone.run(Duration::from_secs(1)));
}

/// Blocks of every size, the shapes of their trees included.
#[test]
fn every_number_of_slices() {
    for count in (1..=9).chain([31, 32, 33, 63, 64]) {
        let mut world = World::new(&[Peer::Honest; 3]);
        world.blocks = vec![Arc::new(block(&world.committee, SLOT, count, 1))];
        world.want(world.id(), &[]);
        assert!(world.run(Duration::from_secs(5)), "{count} slices");
        assert_eq!(world.fetched[0].slices().len(), usize::from(count));
    }
}

/// What a server cannot know it does not invent.
#[test]
fn questions_past_the_end_get_a_nack() {
    let c = committee(&[1, 1]);
    let block = block(&c, SLOT, 3, 1);
    assert_eq!(server::answer(&block, Ask::SliceRoot(block.id(), 3)), Answer::Nack);
    assert_eq!(server::answer(&block, Ask::Shred(block.id(), 3, 0)), Answer::Nack);
    assert_eq!(server::answer(&block, Ask::Decided(SLOT)), Answer::Nack);
}

/// With 2,000 validators as many proofs as fit are sent, and never more than a datagram.
#[test]
fn decided_answers_fit_a_datagram() {
    let part = |n: usize| {
        let signers = Bitmap::new(vec![0xff; n.div_ceil(8)].into()).unwrap();
        Some(Part { signers, signature: bls::Signature::from_bytes([9; 48]) })
    };
    let of = |n, slot, kind| {
        let id = CertificateId::new(Slot(slot), kind);
        Arc::new(Certificate { id, first: part(n), fallback: None })
    };
    let hash = Hash([1; 32]);
    let fast = |n, slot| FinalityProof::Fast(of(n, slot, CertificateKind::FastFinal(hash)));
    let slow = |n, slot| FinalityProof::Slow {
        notar: of(n, slot, CertificateKind::Notar(hash)),
        last: of(n, slot, CertificateKind::Final),
    };
    for (n, fasts, slows) in [(MAX_NODES, 4, 2), (100, 13, 7), (4, 15, 9)] {
        for (make, expected) in
            [(&fast as &dyn Fn(usize, u64) -> FinalityProof, fasts), (&slow, slows)]
        {
            let all: Vec<_> = (1..100).map(|slot| make(n, slot)).collect();
            let answer = server::fit(all.iter().cloned());
            let Answer::Decided(proofs) = &answer else { panic!("{answer:?}") };
            assert_eq!(proofs[..], all[..expected], "in order and without a gap, n = {n}");
            let size = |answer: Answer| Message::Response(u64::MAX, answer).encode().len();
            let (one, two) = (&all[..1], &all[..2]);
            let list = |proofs: &[_]| Answer::Decided(BoundedVec::new(proofs.to_vec()).unwrap());
            let each = size(list(two)) - size(list(one));
            let size = size(answer);
            assert!(size <= MAX_BODY_BYTES && size + each > MAX_BODY_BYTES, "{size} bytes");
            assert!(expected <= MAX_PROOFS);
        }
    }
    assert_eq!(server::fit(std::iter::empty()), Answer::Nack);
}
