//! Shreds in every order, leaders that lie in every way, and what must be left afterwards.

use super::*;
use crate::crypto::{ed25519, merkle};
use crate::protocol::block::tests::{slice, transaction};
use crate::protocol::block::{Payload, Transaction};
use crate::protocol::bounded::BoundedBytes;
use crate::protocol::params::{MAX_SLICES, TOTAL_SHREDS};
use proptest::prelude::*;
use proptest::sample::subsequence;

const SLOT: Slot = Slot(9);

fn parent() -> BlockId {
    BlockId::new(SLOT.previous(), Hash([3; 32]))
}

/// Slice `t` of a block of `count`; `variant` makes equal places differ.
fn piece_of(t: u8, count: u8, variant: u64) -> Slice {
    let payload = Payload {
        parent: (t == 0).then(parent),
        transactions: (0..20).map(|i| transaction(variant * 100 + i, 99)).collect(),
    };
    slice(SLOT, t, t + 1 == count, &payload)
}

fn block_of(count: u8, variant: u64) -> Vec<Slice> {
    (0..count).map(|t| piece_of(t, count, variant)).collect()
}

fn feed(store: &mut Blokstor, shred: &Shred) -> (bool, Vec<Outcome>) {
    let mut out = Vec::new();
    let fresh = store.add_shred(shred, &mut out);
    (fresh, out)
}

/// Feeds these shreds and gives everything that came out.
fn feed_all<'a>(
    store: &mut Blokstor,
    shreds: impl IntoIterator<Item = (&'a Slice, u8)>,
) -> Vec<Outcome> {
    shreds.into_iter().flat_map(|(slice, i)| feed(store, &slice.shred(i)).1).collect()
}

fn first(slice: &Slice, n: u8) -> impl Iterator<Item = (&Slice, u8)> {
    (0..n).map(move |i| (slice, i))
}

/// Outcomes by name, without the first shred.
fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::FirstShred(_) => None,
        Outcome::Complete(_) => Some("complete"),
        Outcome::Invalid(_) => Some("invalid"),
        Outcome::Equivocation(_) => Some("equivocation"),
    };
    outcomes.iter().filter_map(name).collect()
}

fn completed(outcomes: &[Outcome]) -> Option<Arc<Block>> {
    outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Complete(block) => Some(block.clone()),
        _ => None,
    })
}

proptest! {
    /// Any 32 of the 64 shreds, in any order, complete a slice, and never 31.
    #[test]
    fn any_half_of_the_shreds_in_any_order_completes_a_slice(
        chosen in subsequence((0..64u8).collect::<Vec<_>>(), 32).prop_shuffle(),
    ) {
        let slice = piece_of(0, 1, 1);
        let mut store = Blokstor::default();
        for (n, &i) in chosen.iter().enumerate() {
            let (fresh, out) = feed(&mut store, &slice.shred(i));
            prop_assert!(fresh);
            prop_assert_eq!(completed(&out).is_some(), n == 31, "after {} shreds", n + 1);
        }
        let block = store.blocks.values().next().unwrap();
        prop_assert_eq!(block.slices()[0].encoded.payload(), slice.encoded.payload());
        prop_assert_eq!(block.parent(), parent());
    }

    /// Three slices in any interleaving, all 192 shreds: one block, always the same, completed
    /// exactly when the last of the three has 32 pieces; each shred is new exactly once.
    #[test]
    fn any_interleaving_of_slices_gives_the_same_block(
        order in Just((0..3 * 64).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let slices = block_of(3, 1);
        let expected = Block::new(slices.clone()).unwrap().id();
        let mut store = Blokstor::default();
        let mut counts = [0; 3];
        let mut blocks = Vec::new();
        for at in order {
            let shred = slices[at / 64].shred((at % 64) as u8);
            let (fresh, out) = feed(&mut store, &shred);
            prop_assert!(fresh, "every shred is new once");
            let (again, nothing) = feed(&mut store, &shred);
            prop_assert!(!again && nothing.is_empty(), "and not twice");
            counts[at / 64] += 1;
            prop_assert_eq!(completed(&out).is_some(), blocks.is_empty() && counts.iter().all(|&n| n >= 32));
            prop_assert!(!names(&out).contains(&"invalid"));
            blocks.extend(completed(&out));
        }
        prop_assert_eq!(blocks.len(), 1, "one Complete event");
        prop_assert_eq!(blocks[0].id(), expected);
    }
}

#[test]
fn the_first_shred_of_a_slot_is_reported_once() {
    let slices = block_of(2, 1);
    let mut store = Blokstor::default();
    let out = feed_all(&mut store, first(&slices[1], 3).chain(first(&slices[0], 3)));
    let seen = out.iter().filter(|o| matches!(o, Outcome::FirstShred(SLOT))).count();
    assert_eq!((seen, out.len()), (1, 1));
}

/// The ways a leader can contradict itself (3.4, B1, B8), as what it signed first and then.
fn contradictions() -> Vec<(&'static str, Slice, Slice)> {
    let relabelled = |mut slice: Slice, last: bool| {
        slice.commitment.last = last;
        slice
    };
    vec![
        ("two roots for one place", piece_of(1, 3, 1), piece_of(1, 3, 2)),
        ("one root, last and not last", piece_of(1, 3, 1), relabelled(piece_of(1, 3, 1), true)),
        ("two last slices", piece_of(1, 2, 1), piece_of(2, 3, 1)),
        ("a slice after the last", piece_of(1, 2, 1), piece_of(2, 4, 1)),
        ("the last before a known one", piece_of(2, 4, 1), piece_of(1, 2, 1)),
        ("two last slices, lower second", piece_of(2, 3, 1), piece_of(1, 2, 1)),
        (
            "the very last place after the last",
            piece_of(0, 1, 1),
            piece_of(MAX_SLICES as u8 - 1, 64, 1),
        ),
    ]
}

/// O30: evidence before completion gives Equivocation and Invalid once each, in either order of
/// arrival, and no block ever, whatever comes later.
#[test]
fn equivocation_before_completion_ends_the_slot() {
    for (name, a, b) in contradictions() {
        for (a, b) in [(&a, &b), (&b, &a)] {
            let mut store = Blokstor::default();
            assert!(feed(&mut store, &a.shred(7)).0);
            let (fresh, out) = feed(&mut store, &b.shred(8));
            assert!(!fresh, "{name}: a contradiction is not relayed");
            assert_eq!(names(&out), ["equivocation", "invalid"], "{name}");
            assert!(store.rotor_is_over(SLOT));
            // Everything of the slot, in every version, is useless from now on.
            let whole = [1, 2].into_iter().flat_map(|v| (1..=4).flat_map(move |n| block_of(n, v)));
            for slice in whole.chain([a.clone(), b.clone()]) {
                for i in 0..64 {
                    let (fresh, out) = feed(&mut store, &slice.shred(i));
                    assert!(!fresh && out.is_empty(), "{name}: {out:?}");
                }
            }
            assert!(store.blocks.is_empty(), "{name}");
        }
    }
}

/// Evidence one shred before completion still counts: 31 pieces are not a slice.
#[test]
fn equivocation_just_before_completion() {
    let (good, other) = (piece_of(0, 1, 1), piece_of(0, 1, 2));
    let mut store = Blokstor::default();
    let out = feed_all(&mut store, first(&good, 31).chain([(&other, 63)]).chain([(&good, 31)]));
    assert_eq!(names(&out), ["equivocation", "invalid"]);
    assert!(store.blocks.is_empty());
}

/// Evidence after completion is reported once and takes nothing back (3.4): the block stays, and
/// its shreds are still relayed.
#[test]
fn equivocation_after_completion_keeps_the_block() {
    for liar in [piece_of(0, 2, 2), piece_of(1, 3, 1), piece_of(2, 3, 1), piece_of(5, 9, 1)] {
        let slices = block_of(2, 1);
        let mut store = Blokstor::default();
        let out = feed_all(&mut store, first(&slices[0], 32).chain(first(&slices[1], 32)));
        let block = completed(&out).unwrap();
        assert_eq!(names(&feed_all(&mut store, first(&liar, 64))), ["equivocation"]);
        assert_eq!(store.get(block.id()).map(|b| b.id()), Some(block.id()));
        let (fresh, out) = feed(&mut store, &slices[1].shred(40));
        assert!(fresh && out.is_empty(), "the good copy is relayed on");
    }
}

/// B6: 64 pieces under one signed root that are no codeword. Every piece verifies; every choice of
/// 32 fails, and the slot is given up.
#[test]
fn a_root_over_no_codeword_is_an_offence() {
    let (a, b) = (piece_of(0, 1, 1), piece_of(0, 1, 2));
    let pieces: Vec<Bytes> =
        (0..64).map(|i| if i < 40 { a.encoded.piece(i) } else { b.encoded.piece(i) }).collect();
    let tree = merkle::Tree::new(pieces.iter().map(|piece| merkle::leaf(piece)).collect());
    let shred = |i: u8| Shred {
        commitment: Commitment { root: tree.root(), ..a.commitment },
        signature: a.signature,
        index: i,
        piece: BoundedBytes::new(pieces[usize::from(i)].clone()).unwrap(),
        path: tree.path(i.into()).try_into().unwrap(),
    };
    for choice in [0..32u8, 8..40, 32..64, 20..52] {
        let mut store = Blokstor::default();
        let mut all = Vec::new();
        for i in choice {
            let shred = shred(i);
            assert!(shred.verify_piece(), "nothing is wrong with piece {i} alone");
            all.extend(feed(&mut store, &shred).1);
        }
        assert_eq!(names(&all), ["equivocation", "invalid"]);
        let late = feed_all(&mut store, first(&a, 64));
        assert!(late.is_empty() && store.blocks.is_empty());
    }
}

/// Slices that decode but make no valid block (2.3): given up without a claim of equivocation.
#[test]
fn an_invalid_block_is_given_up() {
    let nothing = Payload::default();
    let stated = |parent| Payload { parent: Some(parent), ..Payload::default() };
    let cases: [(&str, Vec<Payload>); 4] = [
        ("no parent", vec![nothing.clone()]),
        ("a parent in the same slot", vec![stated(BlockId::new(SLOT, Hash([1; 32])))]),
        ("not the previous slot", vec![stated(BlockId::new(Slot(7), Hash([1; 32])))]),
        ("a switch inside a window", vec![stated(parent()), nothing, stated(parent())]),
    ];
    for (name, payloads) in cases {
        let count = payloads.len();
        let mut store = Blokstor::default();
        let mut all = Vec::new();
        for (t, payload) in payloads.iter().enumerate() {
            let slice = slice(SLOT, t as u8, t + 1 == count, payload);
            all.extend(feed_all(&mut store, first(&slice, 64)));
        }
        assert_eq!(names(&all), ["invalid"], "{name}");
        assert!(store.blocks.is_empty() && store.rotor_is_over(SLOT));
    }
    // A payload that does not parse.
    let garbage = crate::crypto::erasure::encode(&[9; 100]).unwrap();
    let commitment = Commitment { slot: SLOT, slice: 0, last: true, root: garbage.root() };
    let slice = Slice { commitment, encoded: garbage, ..piece_of(0, 1, 1) };
    let mut store = Blokstor::default();
    assert_eq!(names(&feed_all(&mut store, first(&slice, 64))), ["invalid"]);
}

/// Pieces of different roots never meet: a lie about one slice does not spoil what repair may take
/// over of another, and what it may take is of the asked root only.
#[test]
fn pieces_of_different_roots_are_never_mixed() {
    let (good, other) = (piece_of(0, 2, 1), piece_of(0, 2, 2));
    let mut store = Blokstor::default();
    feed_all(&mut store, first(&good, 20));
    let (signature, pieces) = store.rotor_pieces(&good.commitment).unwrap();
    assert_eq!(signature, good.signature);
    let expected: Vec<_> = (0..20).map(|i| (i, good.encoded.piece(i))).collect();
    assert_eq!(pieces, expected);
    assert!(store.rotor_pieces(&other.commitment).is_none());
    assert!(store.rotor_pieces(&Commitment { slice: 1, ..good.commitment }).is_none());
    assert!(store.rotor_pieces(&Commitment { slot: Slot(8), ..good.commitment }).is_none());
    let flipped = Commitment { last: !good.commitment.last, ..good.commitment };
    assert!(store.rotor_pieces(&flipped).is_none(), "the signature is for another last flag");
    feed_all(&mut store, first(&other, 20));
    let kept = store.rotor_pieces(&good.commitment);
    assert!(kept.is_none_or(|(_, pieces)| pieces.iter().all(|p| expected.contains(p))));
    assert!(store.rotor_pieces(&other.commitment).is_none());
    // A decoded slice gives all that is needed.
    let mut store = Blokstor::default();
    feed_all(&mut store, (32..64).map(|i| (&good, i)));
    let (_, pieces) = store.rotor_pieces(&good.commitment).unwrap();
    assert_eq!(pieces.len(), DATA_SHREDS);
    assert!(pieces.iter().all(|(i, piece)| good.encoded.has_piece(*i, piece)));
}

/// What precheck is told, along the life of a slice.
#[test]
fn standing_says_what_is_left_to_check() {
    let (good, other) = (piece_of(0, 2, 1), piece_of(0, 2, 2));
    let mut store = Blokstor::default();
    assert_eq!(store.standing(&good.shred(0)), Standing::New);
    feed(&mut store, &good.shred(0));
    assert_eq!(store.standing(&good.shred(0)), Standing::Useless);
    assert_eq!(store.standing(&good.shred(1)), Standing::KnownCommitment);
    let resigned = ed25519::Signature([5; 64]);
    let unknown_signature = Shred { signature: resigned, ..good.shred(1) };
    assert_eq!(store.standing(&unknown_signature), Standing::New);
    assert_eq!(store.standing(&other.shred(1)), Standing::New, "it may be evidence");
    feed_all(&mut store, first(&good, 32));
    assert_eq!(store.standing(&good.shred(40)), Standing::Decoded);
    feed(&mut store, &other.shred(1));
    assert_eq!(store.standing(&other.shred(2)), Standing::Useless, "one proof is enough");
    assert_eq!(store.standing(&good.shred(41)), Standing::Useless);
}

/// B14, B24: once a slot is given up, or its leader's lie is proved, no further shred of it costs a
/// signature check, not even one for a place that was never seen.
#[test]
fn a_given_up_slot_costs_no_more_checks() {
    for (name, a, b) in contradictions() {
        let mut store = Blokstor::default();
        feed(&mut store, &a.shred(0));
        feed(&mut store, &b.shred(0));
        for t in 0..MAX_SLICES as u8 {
            let shred = piece_of(t, 64, 7).shred(1);
            assert_eq!(store.standing(&shred), Standing::Useless, "{name}, slice {t}");
        }
    }
    // The lie is proved after completion: the good copy is relayed on, lies are ignored.
    let slices = block_of(1, 1);
    let mut store = Blokstor::default();
    feed_all(&mut store, first(&slices[0], 32));
    feed(&mut store, &piece_of(3, 9, 1).shred(0));
    assert_eq!(store.standing(&piece_of(4, 9, 1).shred(0)), Standing::Useless);
    assert_eq!(store.standing(&slices[0].shred(50)), Standing::Decoded);
}

#[test]
fn own_slices_complete_a_block_and_are_not_relayed() {
    let slices = block_of(3, 1);
    let mut store = Blokstor::default();
    let mut out = Vec::new();
    for slice in &slices {
        store.add_own_slice(slice.clone(), &mut out);
    }
    assert_eq!(names(&out), ["complete"]);
    let (fresh, nothing) = feed(&mut store, &slices[1].shred(5));
    assert!(!fresh && nothing.is_empty(), "own shreds that come back are repetitions");
}

/// Blocks of one slot coexist up to the cap, and a full slot keeps what it has.
#[test]
fn repaired_blocks_of_one_slot_coexist_up_to_the_cap() {
    let block = |i: u64| Arc::new(Block::new(block_of(1, i)).unwrap());
    let mut store = Blokstor::default();
    let blocks: Vec<_> = (0..=MAX_BLOCKS_PER_SLOT as u64).map(block).collect();
    for block in &blocks[..MAX_BLOCKS_PER_SLOT] {
        assert!(store.insert(block.clone()));
        assert!(!store.insert(block.clone()), "held already");
    }
    assert!(!store.insert(blocks[MAX_BLOCKS_PER_SLOT].clone()), "full");
    let elsewhere =
        Payload { parent: Some(BlockId::new(Slot(9), Hash([1; 32]))), ..Payload::default() };
    let elsewhere = Block::new(vec![slice(Slot(10), 0, true, &elsewhere)]).unwrap();
    assert!(store.insert(Arc::new(elsewhere)), "the cap is per slot");
    assert!(blocks[..MAX_BLOCKS_PER_SLOT].iter().all(|b| store.get(b.id()).is_some()));
}

#[test]
fn pruning_forgets_partial_blocks_below_the_floor_and_blocks_that_are_not_kept() {
    let mut store = Blokstor::default();
    let at = |slot: u64| {
        slice(
            Slot(slot),
            0,
            true,
            &Payload {
                parent: Some(BlockId::new(Slot(slot - 1), Hash([1; 32]))),
                transactions: Vec::<Transaction>::new(),
            },
        )
    };
    let slices: Vec<Slice> = (5..10).map(at).collect();
    let ids: Vec<BlockId> = slices
        .iter()
        .map(|slice| completed(&feed_all(&mut store, first(slice, 32))).unwrap().id())
        .collect();
    store.prune(Slot(8), |id| id.slot >= Slot(9) || id == ids[0]);
    let left: Vec<u64> =
        ids.iter().filter(|id| store.get(**id).is_some()).map(|id| id.slot.0).collect();
    assert_eq!(left, [5, 9]);
    let spots: Vec<u64> = store.rotor.keys().map(|slot| slot.0).collect();
    assert_eq!(spots, [8, 9]);
    assert_eq!(store.size(), 4);
    assert!(store.rotor_is_over(Slot(8)) && !store.rotor_is_over(Slot(7)));
}

/// A slot holds at most 64 slices of 64 pieces, however many shreds come.
#[test]
fn a_slot_is_bounded() {
    let mut store = Blokstor::default();
    for t in 0..MAX_SLICES as u8 {
        let slice = piece_of(t, 64, 1);
        for i in 0..31 {
            feed(&mut store, &slice.shred(i));
            feed(&mut store, &slice.shred(i));
        }
    }
    let spot = &store.rotor[&SLOT];
    let pieces: usize = spot.slices.values().map(|slice| slice.pieces.len()).sum();
    assert_eq!((spot.slices.len(), pieces), (MAX_SLICES, MAX_SLICES * 31));
    assert!(pieces <= MAX_SLICES * TOTAL_SHREDS && store.size() == 1);
}
