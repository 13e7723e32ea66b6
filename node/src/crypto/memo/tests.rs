//! With and without the memo every answer is the same, and the memo really answers.

use super::super::bls::{self, verify_aggregate, verify_batch};
use super::super::{Scheme, erasure, mac};
use super::*;
use proptest::prelude::*;

/// Asks with the memo off, and then three times with it on: cold, warm, and two more generations
/// than entries live later.
fn same_answers<T: PartialEq + std::fmt::Debug>(mut question: impl FnMut() -> T) {
    set_enabled(false);
    let answer = question();
    set_enabled(true);
    for age in [0, 0, GENERATIONS + 2] {
        (0..age).for_each(|_| next_generation());
        assert_eq!(question(), answer);
    }
    set_enabled(false);
}

fn secret(n: u8) -> bls::SecretKey {
    bls::SecretKey::from_seed(Scheme::Bls, &[n; 32])
}

fn public(n: u8) -> bls::PublicKey {
    bls::PublicKey::decode(Scheme::Bls, &secret(n).public()).unwrap()
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn ordinary(n: u8) -> ed25519::SecretKey {
    ed25519::SecretKey::from_seed(Scheme::Bls, &[n; 32])
}

fn ordinary_public(n: u8) -> ed25519::PublicKey {
    ed25519::PublicKey::decode(Scheme::Bls, &ordinary(n).public()).unwrap()
}

fn fresh(signature: &bls::Signature) -> bls::Signature {
    bls::Signature::from_bytes(*signature.bytes())
}

fn hits() -> [u64; 6] {
    let stats = stats();
    let kinds = [
        stats.signatures,
        stats.aggregates,
        stats.ed25519,
        stats.pieces,
        stats.decodes,
        stats.digests,
    ];
    kinds.map(|kind| kind.hits)
}

#[test]
fn a_known_signature_is_answered_with_its_point() {
    set_enabled(true);
    let (mut first, mut second) = (fresh(&secret(1).sign(b"m")), fresh(&secret(1).sign(b"m")));
    assert!(public(1).verify(b"m", &mut first));
    assert!(public(1).verify(b"m", &mut second));
    assert_eq!(stats().signatures, Count { hits: 1, misses: 1, size: 1 });
    set_enabled(false);
    // Were the remembered point another one, this sum would not verify.
    let sum = bls::aggregate([&second, &secret(2).sign(b"m")]).unwrap();
    assert!(verify_aggregate(&[&public(1), &public(2)], b"m", &sum));
}

#[test]
fn an_entry_answers_nothing_but_its_own_question() {
    set_enabled(true);
    let (one, two) = (public(1), public(2));
    let signature = secret(1).sign(b"m");
    assert!(one.verify(b"m", &mut fresh(&signature)));
    assert!(!one.verify(b"n", &mut fresh(&signature)));
    assert!(!two.verify(b"m", &mut fresh(&signature)));
    assert!(!one.verify(b"m", &mut secret(2).sign(b"m")));
    // The same bytes as a proof of possession belong to another question.
    assert!(one.verify_possession(&secret(1).prove_possession()));
    assert!(!one.verify(&one.bytes().0, &mut secret(1).prove_possession()));
    assert!(one.verify(&one.bytes().0, &mut secret(1).sign(&one.bytes().0)));
    assert!(!one.verify_possession(&secret(1).sign(&one.bytes().0)));
    assert_eq!(hits()[0], 0);

    let (one, two) = (ordinary(1), ordinary(2));
    let (key, other) = (ordinary_public(1), ordinary_public(2));
    assert!(key.verify(b"m", &one.sign(b"m")));
    assert!(!key.verify(b"n", &one.sign(b"m")));
    assert!(!other.verify(b"m", &one.sign(b"m")));
    assert!(!key.verify(b"m", &two.sign(b"m")));
    assert_eq!(stats().ed25519, Count { hits: 0, misses: 4, size: 1 });
    assert!(key.verify(b"m", &one.sign(b"m")));
    assert_eq!(stats().ed25519, Count { hits: 1, misses: 4, size: 1 });
}

#[test]
fn known_signatures_that_cancel_are_no_aggregate() {
    set_enabled(true);
    let negated = |mut bytes: Vec<u8>| {
        bytes[0] ^= 0x20;
        bytes
    };
    let key = public(1);
    let negative = negated(key.bytes().0.to_vec()).try_into().map(bls::PublicKeyBytes).unwrap();
    let negative = bls::PublicKey::decode(Scheme::Bls, &negative).unwrap();
    let vote = secret(1).sign(b"m");
    let opposite = negated(vote.bytes().to_vec()).try_into().map(bls::Signature::from_bytes);
    assert!(key.verify(b"m", &mut fresh(&vote)));
    assert!(negative.verify(b"m", &mut opposite.unwrap()));
    let mut identity = [0; 48];
    identity[0] = 0xc0;
    let identity = bls::Signature::from_bytes(identity);
    assert!(!verify_aggregate(&[&key, &negative], b"m", &identity));
}

#[test]
fn sums_of_known_signatures_need_no_pairing() {
    set_enabled(true);
    let keys: Vec<_> = (0..4).map(public).collect();
    let keys: Vec<_> = keys.iter().collect();
    let votes: Vec<_> = (0..4).map(|n| secret(n).sign(b"m")).collect();
    let sum = bls::aggregate(&votes).unwrap();
    for (key, vote) in keys[..3].iter().zip(&votes) {
        assert!(key.verify(b"m", &mut fresh(vote)));
    }
    assert!(verify_aggregate(&keys, b"m", &sum), "one signer is unknown: by pairing");
    assert_eq!(stats().aggregates, Count { hits: 0, misses: 1, size: 0 });
    assert!(verify_aggregate(&keys, b"m", &sum));
    let part = bls::aggregate(&votes[..3]).unwrap();
    assert!(verify_aggregate(&keys[..3], b"m", &part), "all known: by addition");
    assert!(!verify_aggregate(&keys[1..], b"m", &part), "other signers: by pairing");
    assert!(!verify_aggregate(&keys[..3], b"m", &sum));
    assert!(!verify_aggregate(&keys[..3], b"n", &part));
    assert!(!verify_aggregate(&[], b"m", &part));
    assert_eq!(stats().aggregates, Count { hits: 2, misses: 5, size: 0 });
}

#[test]
fn a_known_slice_is_answered_by_comparison() {
    set_enabled(true);
    let encoded = erasure::encode(&payload(9000)).unwrap();
    let root = encoded.root();
    for i in 0..64 {
        let copy = Bytes::copy_from_slice(&encoded.piece(i));
        assert!(erasure::check_piece(&root, i, &encoded.piece(i), &encoded.path(i)));
        assert!(erasure::check_piece(&root, i, &copy, &encoded.path(i)));
        assert!(!erasure::check_piece(&root, i, &copy, &encoded.path(i ^ 1)));
        assert!(!erasure::check_piece(&root, i, &copy[2..], &encoded.path(i)));
        assert!(!erasure::check_piece(&root, i + 64, &copy, &encoded.path(i)));
    }
    assert_eq!(stats().pieces, Count { hits: 128, misses: 192, size: 1 });
    let pieces: Vec<_> = (32..64).map(|i| (i, encoded.piece(i))).collect();
    assert!(Arc::ptr_eq(&erasure::decode(&root, &pieces).unwrap(), &encoded));
    assert!(erasure::decode(&root, &pieces[1..]).is_err(), "31 are not enough for the memo either");
    // With one foreign piece among them the real decoder decides.
    let extra = [&pieces[..], &[(0, Bytes::from_static(b"no"))]].concat();
    assert!(matches!(erasure::decode(&root, &extra), Err(erasure::DecodeError::Length { .. })));
    assert_eq!(stats().decodes, Count { hits: 1, misses: 1, size: 0 });
}

#[test]
fn a_decoded_slice_is_known_too() {
    set_enabled(false);
    let encoded = erasure::encode(&payload(9000)).unwrap();
    let pieces: Vec<_> = (20..60).map(|i| (i, encoded.piece(i))).collect();
    set_enabled(true);
    let first = erasure::decode(&encoded.root(), &pieces).unwrap();
    let second = erasure::decode(&encoded.root(), &pieces[3..]).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(stats().decodes, Count { hits: 1, misses: 1, size: 0 });
}

#[test]
fn entries_die_after_their_generations() {
    set_enabled(true);
    let ask_all = || {
        assert!(public(1).verify(b"m", &mut fresh(&secret(1).sign(b"m"))));
        assert!(ordinary_public(1).verify(b"m", &ordinary(1).sign(b"m")));
        let encoded = erasure::encode(b"x").unwrap();
        assert!(erasure::check_piece(&encoded.root(), 0, &encoded.piece(0), &encoded.path(0)));
    };
    let sizes = || {
        let stats = stats();
        [stats.signatures, stats.ed25519, stats.pieces].map(|count| count.size)
    };
    ask_all();
    for _ in 1..GENERATIONS {
        next_generation();
        assert_eq!(sizes(), [1, 1, 1]);
    }
    assert!(public(1).verify(b"m", &mut fresh(&secret(1).sign(b"m"))));
    assert_eq!(hits(), [1, 0, 0, 1, 0, 0]);
    next_generation();
    assert_eq!(sizes(), [0, 0, 0], "being asked for does not keep an entry alive");
    ask_all();
    assert_eq!(sizes(), [1, 1, 1]);
    assert_eq!(hits(), [1, 0, 0, 2, 0, 0]);
}

#[test]
fn a_full_kind_starts_again() {
    let mut map = Map::default();
    for i in 0..10_u64 {
        make_room(&mut map, 4);
        map.insert(i, ());
        assert!(map.len() <= 4);
    }
    assert!(map.contains_key(&9) && map.contains_key(&8) && !map.contains_key(&7));
}

#[test]
fn switched_off_it_knows_and_learns_nothing() {
    assert!(!is_enabled());
    assert!(public(1).verify(b"m", &mut fresh(&secret(1).sign(b"m"))));
    erasure::encode(b"x").unwrap();
    next_generation();
    assert_eq!(stats(), Stats::default());
    set_enabled(true);
    assert!(is_enabled());
    assert_eq!(stats(), Stats::default());
}

#[test]
fn only_the_very_buffer_that_was_sent_is_known() {
    set_enabled(true);
    let sent = Bytes::from(vec![5; 200]);
    let digest = mac::own_body_digest(&sent);
    assert_eq!(digest, *blake3::hash(&sent).as_bytes());
    assert_eq!(mac::body_digest(&sent.clone()), digest, "a share of it");
    assert_eq!(stats().digests, Count { hits: 1, misses: 0, size: 1 });
    assert_eq!(mac::body_digest(&Vec::from(&sent[..])), digest, "a copy of it");
    assert_eq!(stats().digests, Count { hits: 1, misses: 1, size: 1 });
    let mut changed = sent.to_vec();
    changed[100] ^= 1;
    assert_ne!(mac::body_digest(&changed), digest);
    assert_ne!(mac::body_digest(&sent[..199]), digest, "the same place, another length");
    assert_eq!(stats().digests, Count { hits: 1, misses: 3, size: 1 });
}

#[test]
fn a_buffer_in_a_used_place_has_its_own_digest() {
    set_enabled(true);
    for round in 0..3 * MAX_BODIES {
        let sent = Bytes::from(round.to_le_bytes().repeat(1 + round % 20));
        assert_eq!(mac::own_body_digest(&sent), *blake3::hash(&sent).as_bytes());
        assert_eq!(mac::body_digest(&sent), *blake3::hash(&sent).as_bytes());
    }
    assert!(stats().digests.size <= MAX_BODIES);
    assert_eq!(stats().digests.hits as usize, 3 * MAX_BODIES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Votes of any signer on any message, damaged, swapped, cancelling; alone, as a batch, summed.
    #[test]
    fn bls_answers_are_the_same(
        votes in proptest::collection::vec((0u8..4, 0u8..3, 0u8..6), 1..6),
        flip in (0usize..48, 0u8..8),
    ) {
        let keys: Vec<_> = (0..4).map(public).collect();
        let negated = |signature: &bls::Signature| {
            let mut bytes = *signature.bytes();
            bytes[0] ^= 0x20;
            bls::Signature::from_bytes(bytes)
        };
        let cast: Vec<_> = votes
            .iter()
            .map(|(n, on, fault)| {
                let good = secret(*n).sign(if *on == 0 { b"n" } else { b"m" });
                let made = match fault {
                    0 => secret((n + 1) % 4).sign(b"m"),
                    1 => negated(&good),
                    2 => {
                        let mut bytes = *good.bytes();
                        bytes[flip.0] ^= 1 << flip.1;
                        bls::Signature::from_bytes(bytes)
                    }
                    _ => good,
                };
                (&keys[usize::from(*n)], fresh(&made))
            })
            .collect();
        let signers: Vec<_> = cast.iter().map(|(key, _)| *key).collect();
        same_answers(|| {
            let mut singly = cast.clone();
            let answers: Vec<_> = singly.iter_mut().map(|(key, s)| key.verify(b"m", s)).collect();
            let sum = bls::aggregate(cast.iter().map(|(_, s)| s));
            let of_points = bls::aggregate(singly.iter().map(|(_, s)| s));
            let valid = sum.as_ref().map(|sum| {
                let rotated: Vec<_> = signers.iter().rev().copied().collect();
                (
                    verify_aggregate(&signers, b"m", sum),
                    verify_aggregate(&rotated, b"m", sum),
                    verify_aggregate(&signers[1..], b"m", sum),
                    verify_aggregate(&signers, b"n", sum),
                )
            });
            (answers, verify_batch(b"m", &mut cast.clone()), sum, of_points, valid)
        });
    }

    #[test]
    fn ed25519_answers_are_the_same(
        asked in proptest::collection::vec((0u8..2, 0u8..2, 0u8..2, 0u8..3), 1..24),
        flip in (0usize..64, 0u8..8),
    ) {
        same_answers(|| {
            let ask = |(signer, key, on, fault): &(u8, u8, u8, u8)| {
                let mut signature = ordinary(*signer).sign(&[*on]);
                signature.0[flip.0] ^= u8::from(*fault == 0) << flip.1;
                ordinary_public(*key).verify(&[0], &signature)
            };
            asked.iter().map(ask).collect::<Vec<_>>()
        });
    }

    /// Pieces of a slice, some damaged, some misplaced; also of a root that is no codeword.
    #[test]
    fn slice_answers_are_the_same(
        len in 0usize..3000,
        damaged in proptest::collection::btree_map(0usize..64, 0usize..2000, 0..3),
        recommit in any::<bool>(),
        chosen in proptest::sample::subsequence((0..64u8).collect::<Vec<_>>(), 30..=64),
        misplaced in 0u8..70,
    ) {
        same_answers(|| {
            let encoded = erasure::encode(&payload(len)).unwrap();
            let mut pieces: Vec<_> = (0..64).map(|i| encoded.piece(i)).collect();
            for (i, at) in &damaged {
                let mut bytes = pieces[*i].to_vec();
                let at = at % bytes.len();
                bytes[at] ^= 1;
                pieces[*i] = bytes.into();
            }
            let honest = erasure::encode(&payload(len)).unwrap();
            let own = super::super::merkle::Tree::new(
                pieces.iter().map(|piece| super::super::merkle::leaf(piece)).collect(),
            );
            let root = if recommit { own.root() } else { honest.root() };
            let path = |i: u8| if recommit { own.path(u32::from(i)) } else { honest.path(i) };
            let checks: Vec<_> = (0..64u8).map(|i| {
                let piece = &pieces[usize::from(i)];
                let valid = erasure::check_piece(&root, i, piece, &path(i));
                (valid, erasure::check_piece(&root, misplaced, piece, &path(i)))
            }).collect();
            let given: Vec<_> = chosen.iter().map(|i| (*i, pieces[usize::from(*i)].clone())).collect();
            (checks, erasure::decode(&root, &given))
        });
    }
}
