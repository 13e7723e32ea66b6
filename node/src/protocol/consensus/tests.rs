//! Edge cases and fixtures of the specification (sections 12 and 15), each a few lines: one node
//! is observed, the others are votes that reach it.

use super::*;
use crate::protocol::types::Hash;
use crate::protocol::vote::{CertificateKind, VoteKind, VoteKind::*};
use proptest::prelude::*;

/// One node under observation and everything it decided so far.
struct Seat {
    stakes: Stakes,
    node: Consensus,
    log: Vec<Decision>,
    /// Own votes wait here until the test lets them become durable.
    undurable: Vec<Vote>,
    durable: bool,
}

const fn hash(i: u8) -> Hash {
    Hash([i; 32])
}
const A: Hash = hash(0xa);
const B: Hash = hash(0xb);
const C: Hash = hash(0xc);
const D: Hash = hash(0xd);

fn genesis() -> BlockId {
    BlockId::new(Slot(0), hash(0))
}
fn id(slot: u64, hash: Hash) -> BlockId {
    BlockId::new(Slot(slot), hash)
}

impl Seat {
    /// Node 0 of a committee with these stakes.
    fn new(stakes: &[u64]) -> Seat {
        Seat::restart(stakes, genesis(), &[])
    }

    fn restart(stakes: &[u64], root: BlockId, log: &[Vote]) -> Seat {
        let mut seat = Seat {
            stakes: Stakes::new(stakes.to_vec()).unwrap(),
            node: Consensus::new(NodeId(0), 18_000, root, true, log),
            log: Vec::new(),
            undurable: Vec::new(),
            durable: true,
        };
        let mut out = Vec::new();
        seat.node.start(&mut out);
        for vote in log {
            seat.node.apply(&seat.stakes, Fact::Vote(NodeId(0), *vote), &mut out);
        }
        seat.take(out);
        seat
    }

    fn take(&mut self, out: Vec<Decision>) {
        for decision in out {
            self.log.push(decision);
            if let Decision::Cast(vote) = decision {
                if self.durable {
                    self.fact(Fact::Vote(NodeId(0), vote));
                } else {
                    self.undurable.push(vote);
                }
            }
        }
    }

    fn fact(&mut self, fact: Fact) -> &mut Seat {
        let mut out = Vec::new();
        self.node.apply(&self.stakes, fact, &mut out);
        self.node.settle();
        self.take(out);
        self
    }

    fn vote(&mut self, voter: u16, slot: u64, kind: VoteKind) -> &mut Seat {
        self.fact(Fact::Vote(NodeId(voter), Vote::new(Slot(slot), kind)))
    }

    fn votes(&mut self, voters: impl IntoIterator<Item = u16>, slot: u64, kind: VoteKind) {
        for voter in voters {
            self.vote(voter, slot, kind);
        }
    }

    fn certificate(&mut self, slot: u64, kind: CertificateKind) -> &mut Seat {
        self.fact(Fact::Certificate(CertificateId::new(Slot(slot), kind)))
    }

    fn block(&mut self, slot: u64, hash: Hash, parent: BlockId) -> &mut Seat {
        self.fact(Fact::Block(id(slot, hash), parent))
    }

    fn timeout(&mut self, slot: u64) -> &mut Seat {
        self.fact(Fact::Timeout(Slot(slot)))
    }

    fn cast(&self, slot: u64) -> Vec<VoteKind> {
        self.node.votor().cast_in(Slot(slot)).iter().map(|v| v.kind).collect()
    }

    fn has(&self, decision: Decision) -> bool {
        self.log.contains(&decision)
    }

    fn holds(&self, slot: u64, kind: CertificateKind) -> bool {
        self.node.pool().holds(CertificateId::new(Slot(slot), kind))
    }

    fn finalized(&self, slot: u64, hash: Hash) -> Option<Mode> {
        self.log.iter().find_map(|d| match d {
            Decision::Finalized(block, mode) if *block == id(slot, hash) => Some(*mode),
            _ => None,
        })
    }
}

/// E3, E4: each certificate at exactly its threshold and one unit below. The observed node has a
/// stake of 1 that does not vote.
#[test]
fn thresholds_are_inclusive_and_exact() {
    let cases: [(VoteKind, u64, CertificateKind); 5] = [
        (Notar(A), 80, CertificateKind::FastFinal(A)),
        (Notar(A), 60, CertificateKind::Notar(A)),
        (NotarFallback(A), 60, CertificateKind::NotarFallback(A)),
        (Skip, 60, CertificateKind::Skip),
        (Final, 60, CertificateKind::Final),
    ];
    for (kind, percent, certificate) in cases {
        let mut exact = Seat::new(&[1, percent, 99 - percent]);
        exact.vote(1, 5, kind);
        assert!(exact.holds(5, certificate), "{certificate:?} at {percent} %");
        let mut below = Seat::new(&[1, percent - 1, 100 - percent]);
        below.vote(1, 5, kind);
        assert!(!below.holds(5, certificate), "{certificate:?} one unit below {percent} %");
    }
}

/// NF counts N and NF together, SK counts S and SF together; a validator in both is once (E12).
#[test]
fn mixed_certificates_count_each_validator_once() {
    let mut seat = Seat::new(&[1, 30, 29, 30, 10]);
    seat.vote(1, 5, NotarFallback(A)).vote(1, 5, Notar(A)).vote(2, 5, Notar(A));
    assert!(!seat.holds(5, CertificateKind::NotarFallback(A)));
    seat.vote(1, 6, Skip).vote(1, 6, SkipFallback).vote(2, 6, SkipFallback);
    assert!(!seat.holds(6, CertificateKind::Skip));
    seat.vote(3, 5, NotarFallback(A)).vote(3, 6, SkipFallback);
    assert!(seat.holds(5, CertificateKind::NotarFallback(A)));
    assert!(seat.holds(6, CertificateKind::Skip));
}

/// E5: SafeToNotar at exactly 40 % without skips, and one unit below.
#[test]
fn safe_to_notar_at_forty_percent() {
    for (stake, expected) in [(40, true), (39, false)] {
        let mut seat = Seat::new(&[1, stake, 99 - stake]);
        seat.block(1, A, genesis()).block(1, B, genesis());
        seat.vote(1, 1, Notar(B));
        assert_eq!(seat.cast(1).contains(&NotarFallback(B)), expected, "{stake} %");
    }
}

/// E6: SafeToNotar at exactly 20 % notar and 60 % together; one unit less of either is not enough.
#[test]
fn safe_to_notar_at_twenty_and_sixty_percent() {
    for (notar, skip, expected) in [(20, 40, true), (19, 41, false), (20, 39, false)] {
        let mut seat = Seat::new(&[1, notar, skip, 99 - notar - skip]);
        seat.block(1, A, genesis()).block(1, B, genesis());
        seat.vote(1, 1, Notar(B)).vote(2, 1, Skip);
        assert_eq!(seat.cast(1).contains(&NotarFallback(B)), expected, "{notar} and {skip}");
    }
}

/// SafeToSkip at exactly 40 % not on the strongest block (the own notar vote is the strongest).
#[test]
fn safe_to_skip_at_forty_percent() {
    for (skip, expected) in [(40, true), (39, false)] {
        let mut seat = Seat::new(&[20, skip, 80 - skip]);
        seat.block(1, A, genesis());
        seat.vote(1, 1, Skip);
        assert_eq!(seat.cast(1).contains(&SkipFallback), expected, "{skip} %");
    }
}

/// E1: at exactly 20 % byzantine stake safety is lost, as the paper says; the node reports it.
/// E2: one unit less and nobody else can be led to skip.
#[test]
fn a_fifth_is_one_unit_too_much() {
    // T = 10, f = 2: six honest N, two honest S; the byzantine two vote N to us, S to others.
    let mut us = Seat::new(&[1; 10]);
    us.block(1, A, genesis());
    us.votes([1, 2, 3, 4, 5, 8, 9], 1, Notar(A));
    assert_eq!(us.finalized(1, A), Some(Mode::Fast));
    let mut other = Seat::new(&[1; 10]);
    other.block(1, A, genesis());
    other.votes([6, 7, 8, 9], 1, Skip);
    assert_eq!(other.cast(1), [Notar(A), SkipFallback], "other sees 40 % skip before 60 % N");
    other.certificate(1, CertificateKind::Skip).certificate(1, CertificateKind::FastFinal(A));
    assert!(other.has(Decision::Contradiction(Slot(1))));
    // T = 11, f = 2.
    let mut other = Seat::new(&[1; 11]);
    other.block(1, A, genesis());
    other.votes([6, 7, 8, 9], 1, Skip);
    assert_eq!(other.cast(1), [Notar(A)]);
}

/// E7: five equal nodes, two crashed, votes N, S, S: both sides must come out with the same skip.
#[test]
fn sixty_percent_alive_resolves_a_split_slot() {
    let mut notar = Seat::new(&[1; 5]);
    notar.block(1, A, genesis());
    notar.votes([1, 2], 1, Skip);
    assert_eq!(notar.cast(1), [Notar(A), SkipFallback]);
    assert!(notar.holds(1, CertificateKind::Skip));
    let mut skip = Seat::new(&[1; 5]);
    skip.timeout(1).vote(1, 1, Skip).vote(2, 1, Notar(A));
    assert!(skip.has(Decision::Missing(id(1, A))), "the block is needed for NF");
    skip.block(1, A, genesis());
    assert_eq!(skip.cast(1), [Skip, NotarFallback(A)]);
}

/// E8: three blocks with 20 % each and 40 % skip. A skipper casts three NF, a notar-voter two and
/// a skip-fallback.
#[test]
fn three_way_split() {
    for skips in [true, false] {
        let mut seat = Seat::new(&[20, 20, 20, 20, 20]);
        for h in [A, B, C] {
            seat.block(1, h, genesis());
        }
        let mut expected = vec![Notar(A), NotarFallback(B), NotarFallback(C), SkipFallback];
        if skips {
            seat = Seat::new(&[20, 20, 20, 20, 20]);
            seat.timeout(1);
            for h in [A, B, C] {
                seat.block(1, h, genesis());
            }
            seat.vote(4, 1, Notar(A));
            expected = vec![Skip, NotarFallback(A), NotarFallback(B), NotarFallback(C)];
        } else {
            seat.vote(4, 1, Skip);
        }
        seat.vote(1, 1, Notar(B)).vote(2, 1, Notar(C)).vote(3, 1, Skip);
        assert_eq!(seat.cast(1), expected);
    }
}

/// E13: four blocks of one slot can be certified with NF; that is not a contradiction.
#[test]
fn four_notar_fallback_certificates_may_coexist() {
    let mut seat = Seat::new(&[400, 101, 101, 101, 98, 200]);
    for h in [A, B, C, D] {
        seat.certificate(1, CertificateKind::NotarFallback(h));
    }
    seat.certificate(1, CertificateKind::Skip);
    assert!(!seat.has(Decision::Contradiction(Slot(1))));
    seat.certificate(1, CertificateKind::Notar(A)).certificate(1, CertificateKind::Notar(B));
    assert!(seat.has(Decision::Contradiction(Slot(1))));
}

/// K1: the vote that crosses the threshold is stored before the certificate is built from the
/// stored voters.
#[test]
fn a_certificate_holds_the_deciding_vote() {
    let mut seat = Seat::new(&[1; 5]);
    seat.votes([1, 2, 3], 5, Notar(A));
    let (voters, _) =
        seat.node.pool().voters(CertificateId::new(Slot(5), CertificateKind::Notar(A)));
    assert_eq!(voters.iter().collect::<Vec<_>>(), [NodeId(1), NodeId(2), NodeId(3)]);
    assert!(seat.holds(5, CertificateKind::Notar(A)));
}

/// K3: the own notar vote becomes durable last, after 40 % of skips; SafeToSkip fires then.
#[test]
fn safe_to_skip_with_the_own_vote_last() {
    let mut seat = Seat::new(&[1; 5]);
    seat.durable = false;
    seat.block(1, A, genesis());
    seat.votes([1, 2], 1, Skip);
    assert_eq!(seat.cast(1), [Notar(A)]);
    let own = seat.undurable[0];
    seat.fact(Fact::Vote(NodeId(0), own));
    assert_eq!(seat.cast(1), [Notar(A), SkipFallback]);
}

/// K6: two children wait for one parent certificate; both become safe. K2: FF is enough for it.
#[test]
fn two_children_wait_for_one_parent() {
    let mut seat = Seat::new(&[20, 20, 20, 40]);
    seat.timeout(1);
    seat.block(1, A, genesis());
    seat.block(2, B, id(1, A)).block(2, C, id(1, A));
    seat.vote(1, 2, Notar(B)).vote(2, 2, Notar(C)).vote(3, 2, Skip);
    assert_eq!(seat.cast(2), [Skip], "no certificate for the parent yet");
    seat.certificate(1, CertificateKind::FastFinal(A));
    assert_eq!(seat.cast(2), [Skip, NotarFallback(B), NotarFallback(C)]);
}

/// K7: a NO or FI after FF changes nothing.
#[test]
fn finality_is_absorbing() {
    let mut seat = Seat::new(&[1; 5]);
    seat.certificate(5, CertificateKind::FastFinal(A));
    seat.certificate(5, CertificateKind::Notar(A)).certificate(5, CertificateKind::Final);
    assert_eq!(seat.finalized(5, A), Some(Mode::Fast));
    assert!(seat.node.pool().finality().is_final(id(5, A)));
    assert!(!seat.has(Decision::Contradiction(Slot(5))));
}

/// FI before NO and NO before FI finalize slowly; FI alone finalizes nothing.
#[test]
fn slow_finality_in_both_orders() {
    for no_first in [true, false] {
        let mut seat = Seat::new(&[1; 5]);
        let (first, second) = (CertificateKind::Notar(A), CertificateKind::Final);
        let (first, second) = if no_first { (first, second) } else { (second, first) };
        seat.certificate(5, first);
        assert_eq!(seat.finalized(5, A), None);
        seat.certificate(5, second);
        assert_eq!(seat.finalized(5, A), Some(Mode::Slow));
    }
}

/// FF only: the block counts as certified everywhere, but BlockNotarized is not raised (no F).
#[test]
fn fast_finality_alone_makes_a_parent() {
    let mut seat = Seat::new(&[1; 5]);
    seat.certificate(3, CertificateKind::FastFinal(A));
    assert!(seat.has(Decision::ParentReady(Slot(4), id(3, A))));
    assert!(seat.has(Decision::Missing(id(3, A))));
    assert_eq!(seat.cast(3), []);
}

/// NF, then a late SK: the window gets a second parent, and its timers only once (K5).
#[test]
fn a_late_skip_adds_a_second_parent() {
    let mut seat = Seat::new(&[1; 5]);
    seat.certificate(2, CertificateKind::NotarFallback(A));
    seat.certificate(3, CertificateKind::NotarFallback(B));
    assert!(seat.has(Decision::ParentReady(Slot(4), id(3, B))));
    seat.certificate(3, CertificateKind::Skip);
    assert!(seat.has(Decision::ParentReady(Slot(4), id(2, A))));
    let starts = seat.log.iter().filter(|d| **d == Decision::StartTimers(Window(1))).count();
    assert_eq!(starts, 1);
}

/// A chain of four blocks that waited for ParentReady is voted in one pass, parents first.
#[test]
fn a_pending_chain_is_voted_in_one_pass() {
    let mut seat = Seat::new(&[1; 5]);
    for (slot, h, parent) in
        [(7, D, id(6, C)), (5, B, id(4, A)), (6, C, id(5, B)), (4, A, id(3, hash(3)))]
    {
        seat.block(slot, h, parent);
    }
    assert_eq!(seat.cast(4), []);
    seat.certificate(3, CertificateKind::NotarFallback(hash(3)));
    for (slot, h) in [(4, A), (5, B), (6, C), (7, D)] {
        assert_eq!(seat.cast(slot), [Notar(h)]);
    }
}

/// SafeToNotar waits for repair of the block, and then for the certificate of its parent (K18).
#[test]
fn safe_to_notar_waits_for_repair_and_then_for_the_parent() {
    let mut seat = Seat::new(&[20, 40, 40]);
    seat.timeout(1);
    seat.vote(1, 2, Notar(B));
    assert!(seat.has(Decision::Missing(id(2, B))));
    seat.block(2, B, id(1, A));
    assert_eq!(seat.cast(2), [Skip]);
    seat.certificate(1, CertificateKind::NotarFallback(A));
    assert_eq!(seat.cast(2), [Skip, NotarFallback(B)]);
}

/// SafeToNotar in slot 2 gives up the rest of the window first (K16).
#[test]
fn safe_to_notar_skips_the_rest_of_the_window() {
    let mut seat = Seat::new(&[20, 40, 40]);
    seat.block(1, A, genesis()).block(2, B, id(1, A)).block(2, C, id(1, A));
    seat.certificate(1, CertificateKind::Notar(A));
    let before = seat.log.len();
    seat.vote(1, 2, Notar(C));
    let casts: Vec<_> = seat.log[before..]
        .iter()
        .filter_map(|d| match d {
            Decision::Cast(vote) => Some(*vote),
            _ => None,
        })
        .collect();
    assert_eq!(casts, [Vote::new(Slot(3), Skip), Vote::new(Slot(2), NotarFallback(C))]);
}

/// K9 and J2: a node that fell behind votes on inside the window of the highest finalized slot.
#[test]
fn votes_continue_on_a_finalized_parent() {
    let mut seat = Seat::new(&[1; 5]);
    seat.block(6, B, id(5, A));
    assert_eq!(seat.cast(6), []);
    seat.certificate(5, CertificateKind::FastFinal(A));
    assert_eq!(seat.cast(6), [Notar(B)]);
}

/// J1: a joiner that learns of a finalization in mid-window gets timers for the rest of it, and
/// its timeout does not skip slots below the final one.
#[test]
fn a_joiner_gets_timers_for_the_rest_of_the_window() {
    let mut seat = Seat::new(&[1; 5]);
    seat.certificate(9, CertificateKind::FastFinal(A));
    assert!(seat.has(Decision::StartTimers(Window(2))));
    seat.timeout(8);
    assert_eq!((seat.cast(8), seat.cast(9)), (vec![Skip], vec![]));
    assert_eq!((seat.cast(10), seat.cast(11)), (vec![Skip], vec![Skip]));
}

/// The timer of a slot that is final and delivered, and so forgotten, skips nothing.
#[test]
fn the_timer_of_a_forgotten_slot_does_nothing() {
    let mut seat = Seat::new(&[1; 5]);
    seat.block(1, A, genesis()).block(2, B, id(1, A));
    seat.certificate(2, CertificateKind::FastFinal(B));
    assert_eq!(seat.node.pool().finality().root(), id(2, B));
    seat.timeout(1).fact(Fact::TimeoutCrashed(Slot(1))).fact(Fact::InvalidBlock(Slot(1)));
    assert_eq!(seat.cast(3), []);
}

/// A leader can lie long before its window begins. Votes against it that go too far ahead are kept by
/// nobody, and who has cast them has none left when the window comes.
#[test]
fn a_lie_about_a_far_window_is_answered_when_it_begins() {
    let mut seat = Seat::new(&[1; 5]);
    seat.fact(Fact::InvalidBlock(Slot(41)));
    assert_eq!(seat.cast(41), []);
    seat.certificate(39, CertificateKind::FastFinal(A));
    assert!(seat.has(Decision::StartTimers(Window(10))));
    for slot in 40..44 {
        assert_eq!(seat.cast(slot), [Skip], "slot {slot}");
    }
    seat.votes([1, 2], 41, Skip);
    assert!(seat.holds(41, CertificateKind::Skip), "the own vote counts");
}

/// Votes of others are kept up to the end of a window, so that it can be skipped as a whole; the own
/// one always, because nobody sends it again to oneself.
#[test]
fn how_far_ahead_votes_are_kept() {
    let mut seat = Seat::new(&[1; 5]);
    for slot in [40, 43, 44] {
        seat.vote(1, slot, Skip).vote(0, slot, Skip);
    }
    let kept = |seat: &Seat, voter, slot| {
        seat.has(Decision::Stored(NodeId(voter), Vote::new(Slot(slot), Skip)))
    };
    assert_eq!([40, 43, 44].map(|slot| kept(&seat, 1, slot)), [true, true, false]);
    assert_eq!([40, 43, 44].map(|slot| kept(&seat, 0, slot)), [true; 3]);
}

/// A final vote excludes every other vote of the slot, whatever the Pool says later.
#[test]
fn nothing_follows_a_final_vote() {
    let mut seat = Seat::new(&[20, 20, 20, 20, 20]);
    seat.block(1, A, genesis()).block(1, B, genesis());
    seat.votes([1, 2], 1, Notar(A));
    assert_eq!(seat.cast(1), [Notar(A), Final]);
    seat.votes([3, 4], 1, Notar(B));
    assert!(!seat.has(Decision::SafeToNotar(id(1, B))), "own F ends the slot");
    assert_eq!(seat.cast(1), [Notar(A), Final]);
    assert_eq!(seat.cast(2), [], "and gives no reason to give up the window");
}

/// And a fallback vote excludes the final vote.
#[test]
fn no_final_vote_after_a_fallback() {
    let mut seat = Seat::new(&[20, 20, 20, 20, 20]);
    seat.block(1, A, genesis());
    seat.votes([3, 4], 1, Skip);
    assert_eq!(seat.cast(1), [Notar(A), SkipFallback]);
    seat.certificate(1, CertificateKind::Notar(A));
    assert_eq!(seat.cast(1), [Notar(A), SkipFallback]);
}

/// A skip vote cast before the block arrived stays the only initial vote.
#[test]
fn one_initial_vote_per_slot() {
    let mut seat = Seat::new(&[1; 5]);
    seat.timeout(1).block(1, A, genesis());
    assert_eq!(seat.cast(1), [Skip]);
    assert_eq!(seat.cast(2), [Skip]);
}

/// K12: the early timer skips only if nothing at all was seen of the slot.
#[test]
fn the_crashed_timer_spares_a_leader_that_has_started() {
    let mut seat = Seat::new(&[1; 5]);
    seat.fact(Fact::Shred(Slot(1))).fact(Fact::TimeoutCrashed(Slot(1)));
    assert_eq!(seat.cast(1), []);
    let mut seat = Seat::new(&[1; 5]);
    seat.fact(Fact::TimeoutCrashed(Slot(1)));
    assert_eq!(seat.cast(1), [Skip]);
}

/// 10.4: after a restart the log decides. Nothing is voted twice and nothing new contradicts it.
#[test]
fn a_restarted_node_obeys_its_log() {
    let log = [Vote::new(Slot(1), Notar(A)), Vote::new(Slot(1), Final), Vote::new(Slot(2), Skip)];
    let mut seat = Seat::restart(&[20, 20, 20, 20, 20], genesis(), &log);
    seat.block(1, B, genesis()).block(2, C, id(1, A)).timeout(1).timeout(2);
    seat.votes([1, 2, 3], 1, Skip);
    assert_eq!(seat.cast(1), [Notar(A), Final]);
    assert_eq!(seat.cast(2), [Skip]);
    assert_eq!(seat.cast(3), [], "timeout(2) does nothing: slot 2 is voted");
}

/// 10.4: after a restart the timers of the root's window run again.
#[test]
fn a_restarted_node_has_timers() {
    let seat = Seat::restart(&[1; 5], id(5, A), &[]);
    assert!(seat.has(Decision::StartTimers(Window(1))));
    let seat = Seat::restart(&[1; 5], id(7, A), &[]);
    assert!(seat.has(Decision::ParentReady(Slot(8), id(7, A))));
    assert!(seat.has(Decision::StartTimers(Window(2))));
}

/// An observer counts but never casts.
#[test]
fn an_observer_casts_nothing() {
    let mut seat = Seat::new(&[1; 5]);
    seat.node.stop_voting();
    seat.block(1, A, genesis()).timeout(2);
    seat.votes([1, 2, 3, 4], 1, Notar(A));
    assert_eq!(seat.finalized(1, A), Some(Mode::Fast));
    assert_eq!((seat.cast(1), seat.cast(2)), (vec![], vec![]));
}

/// 1.3: without a finalized block in an epoch the next-but-one epoch is not entered; a
/// finalization opens it.
#[test]
fn an_unfinalized_epoch_halts_the_node() {
    let mut seat = Seat::new(&[1; 5]);
    seat.node = Consensus::new(NodeId(0), 8, genesis(), true, &[]);
    for slot in 1..16 {
        seat.certificate(slot, CertificateKind::Skip);
    }
    assert!(seat.has(Decision::ParentReady(Slot(12), genesis())));
    assert!(!seat.has(Decision::ParentReady(Slot(16), genesis())), "epoch 2 is not known");
    seat.certificate(14, CertificateKind::Notar(A)).certificate(14, CertificateKind::Final);
    seat.certificate(15, CertificateKind::Skip);
    assert!(seat.has(Decision::ParentReady(Slot(16), id(14, A))));
}

/// Votes outside the admission range are dropped, certificates above it are not (K31).
#[test]
fn far_votes_are_dropped_and_far_certificates_taken() {
    let mut seat = Seat::new(&[1; 5]);
    seat.vote(1, 44, Skip); // slot 1 is ready, 40 slots of look-ahead end in window 10
    assert!(!seat.log.iter().any(|d| matches!(d, Decision::Stored(NodeId(1), _))));
    seat.vote(1, 41, Skip);
    assert!(seat.has(Decision::Stored(NodeId(1), Vote::new(Slot(41), Skip))));
    seat.certificate(9_000, CertificateKind::FastFinal(A));
    assert_eq!(seat.node.pool().finality().highest(), id(9_000, A));
    seat.vote(1, 9_040, Skip);
    assert!(seat.has(Decision::Stored(NodeId(1), Vote::new(Slot(9_040), Skip))));
}

#[derive(Clone, Debug)]
enum Message {
    Vote(u16, u64, VoteKind),
    Block(u64, Hash, BlockId),
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    // A fixed, honest-looking history without equivocation: blocks 1..3, votes of nodes 1..6 in
    // each slot either for the block, or skip with fallbacks.
    let per_slot = |slot: u64| {
        proptest::collection::vec(0u8..4, 6).prop_map(move |choices| {
            let h = hash(slot as u8);
            let mut all = vec![Message::Block(
                slot,
                h,
                if slot == 1 { genesis() } else { id(slot - 1, hash(slot as u8 - 1)) },
            )];
            for (i, choice) in choices.into_iter().enumerate() {
                let voter = i as u16 + 1;
                match choice {
                    0 => all.push(Message::Vote(voter, slot, Skip)),
                    1 => all.extend([
                        Message::Vote(voter, slot, Skip),
                        Message::Vote(voter, slot, NotarFallback(h)),
                    ]),
                    2 => all.extend([
                        Message::Vote(voter, slot, Notar(h)),
                        Message::Vote(voter, slot, Final),
                    ]),
                    _ => all.push(Message::Vote(voter, slot, Notar(h))),
                }
            }
            all
        })
    };
    (per_slot(1), per_slot(2), per_slot(3)).prop_map(|(a, b, c)| [a, b, c].concat())
}

/// Whether N(A) or F of these voters decides something in slot 1.
fn decides(seat: &Seat, voters: &[u16], kind: VoteKind) -> bool {
    let cx = Context { stakes: &seat.stakes, me: NodeId(0) };
    let vote = Vote::new(Slot(1), kind);
    seat.node.pool().decides(cx, vote, &mut voters.iter().map(|&node| NodeId(node)))
}

/// What makes checks of signatures cheap: of six equal votes the third of another node decides
/// (with the own one), then the fourth, and no other.
#[test]
fn most_votes_decide_nothing() {
    let mut seat = Seat::new(&[1; 6]);
    assert!(!decides(&seat, &[1, 2], Notar(A)) && decides(&seat, &[1, 2, 3], Notar(A)));
    seat.block(1, A, genesis());
    assert!(!decides(&seat, &[1, 2], Notar(A)) && decides(&seat, &[1, 2, 3], Notar(A)));
    seat.votes(1..=3, 1, Notar(A));
    assert!(seat.holds(1, CertificateKind::Notar(A)));
    assert!(!decides(&seat, &[], Notar(A)) && decides(&seat, &[4], Notar(A)));
    assert!(!decides(&seat, &[1, 2], Final) && decides(&seat, &[1, 2, 3], Final));
    assert!(decides(&seat, &[1], Skip) && decides(&seat, &[1], NotarFallback(A)));
    assert!(decides(&seat, &[4], Notar(B)), "the slot is contested");
}

proptest! {
    /// Votes that the host lets wait conclude nothing, whatever was stored before.
    #[test]
    fn what_does_not_decide_concludes_nothing(
        before in proptest::collection::vec((1u16..7, 0usize..6), 0..10),
        own in 0..3,
        voters in proptest::collection::btree_set(1u16..7, 1..6),
        kind in 0usize..6,
    ) {
        let kinds = [Notar(A), Notar(B), Skip, NotarFallback(A), SkipFallback, Final];
        let mut seat = Seat::new(&[10, 5, 10, 10, 15, 20, 30]);
        match own {
            0 => {}
            1 => { seat.block(1, A, genesis()); }
            _ => { seat.timeout(1); }
        }
        for (voter, kind) in before {
            seat.vote(voter, 1, kinds[kind]);
        }
        let voters: Vec<u16> = voters.into_iter().collect();
        let decides = decides(&seat, &voters, kinds[kind]);
        seat.log.clear();
        seat.votes(voters, 1, kinds[kind]);
        let news = |d: &Decision| !matches!(d, Decision::Stored(..) | Decision::Offence(..));
        prop_assert!(decides || !seat.log.iter().any(news), "{:?}", seat.log);
    }

    /// O36: for an observer (no own votes) every delivery order of one message set gives the same
    /// certified blocks, skips, ready parents and decisions above the final root.
    #[test]
    fn pool_is_confluent(all in messages(), seed in any::<u64>()) {
        let run = |order: &[Message]| {
            let mut seat = Seat::new(&[1, 10, 10, 10, 10, 10, 10]);
            seat.node.stop_voting();
            for message in order {
                match *message {
                    Message::Vote(voter, slot, kind) => { seat.vote(voter, slot, kind); }
                    Message::Block(slot, h, parent) => { seat.block(slot, h, parent); }
                }
            }
            let pool = seat.node.pool();
            let above = |slot: Slot| slot > pool.finality().root().slot;
            let certified: Vec<_> = (1..=3).map(Slot).filter(|s| above(*s))
                .map(|s| (s, pool.readiness().is_certified(BlockId::new(s, hash(s.0 as u8))), pool.readiness().is_skipped(s)))
                .collect();
            let parents: Vec<_> = pool.readiness().parents(Slot(4)).filter(|p| p.slot >= pool.finality().root().slot).collect();
            (pool.finality().root(), pool.finality().highest(), certified, parents)
        };
        let mut shuffled = all.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        prop_assert_eq!(run(&all), run(&shuffled));
    }
}
