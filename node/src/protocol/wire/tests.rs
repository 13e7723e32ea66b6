//! The wire: golden bytes, canonical encoding, hostile bytes, sizes, and forged messages.

pub(crate) mod build;
mod forged;

use super::*;
use crate::crypto::bls;
use crate::protocol::block::{Payload, Slice};
use crate::protocol::bounded::BoundedBytes;
use crate::protocol::certificate::{Bitmap, Part};
use crate::protocol::committee::tests::{committee, secrets};
use crate::protocol::params::*;
use crate::protocol::vote::{CertificateId, CertificateKind, Vote, VoteKind};
use build::{certificate, messages, mutated, signed_slice, signed_vote};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Read;

const A: Hash = Hash([0xa; 32]);
const B: Hash = Hash([0xb; 32]);

/// A slice whose pieces have the largest size.
fn full_slice(committee: &Committee, slot: Slot) -> Slice {
    let transaction = |bytes: usize| Transaction {
        valid_until: slot,
        payload: BoundedBytes::new(vec![7; bytes - 10].into()).unwrap(),
    };
    let room = MAX_SLICE_BYTES - Payload::OVERHEAD;
    let mut transactions = vec![transaction(MAX_TRANSACTION_BYTES); room / MAX_TRANSACTION_BYTES];
    transactions.push(transaction(room % MAX_TRANSACTION_BYTES));
    let payload = Payload { parent: Some(BlockId::new(slot.previous(), A)), transactions };
    signed_slice(committee, slot, MAX_SLICES as u8 - 1, true, &payload)
}

pub(crate) fn samples() -> Vec<(&'static str, Message)> {
    let c = committee(&[40, 30, 20, 10]);
    let vote = |kind| Message::Vote(signed_vote(&c, 2, 9, kind));
    let notar = certificate(&c, 9, CertificateKind::Notar(A), &[0, 1], &[]);
    let last = certificate(&c, 9, CertificateKind::Final, &[0, 1], &[]);
    let fast = certificate(&c, 9, CertificateKind::FastFinal(A), &[0, 1, 2], &[]);
    let fallback = certificate(&c, 9, CertificateKind::NotarFallback(A), &[0], &[1]);
    let skip = certificate(&c, 9, CertificateKind::Skip, &[], &[0, 1]);
    let fast_proof = FinalityProof::Fast(fast.clone());
    let slow_proof = FinalityProof::Slow { notar: notar.clone(), last: last.clone() };
    let parent = Some(BlockId::new(Slot(8), B));
    let slice = signed_slice(&c, Slot(9), 1, true, &Payload { parent, transactions: vec![] });
    let shred = Arc::new(slice.shred(33));
    let block = BlockId::new(Slot(9), A);
    let path = BoundedVec::new(vec![A, B]).unwrap();
    let payload = BoundedBytes::new(Bytes::from_static(b"pay")).unwrap();
    let proofs = BoundedVec::new(vec![fast_proof.clone(), slow_proof.clone()]).unwrap();
    let answer = |answer| Message::Response(0x0102_0304, answer);
    vec![
        ("vote N", vote(VoteKind::Notar(A))),
        ("vote S", vote(VoteKind::Skip)),
        ("vote NF", vote(VoteKind::NotarFallback(A))),
        ("vote SF", vote(VoteKind::SkipFallback)),
        ("vote F", vote(VoteKind::Final)),
        ("certificate FF", Message::Certificate(fast)),
        ("certificate NO", Message::Certificate(notar)),
        ("certificate NF", Message::Certificate(fallback)),
        ("certificate SK", Message::Certificate(skip)),
        ("certificate FI", Message::Certificate(last)),
        ("shred", Message::Shred(shred.clone())),
        ("forward", Message::Forward(Transaction { valid_until: Slot(77), payload })),
        ("ask slice count", Message::Request(7, Ask::SliceCount(block))),
        ("ask slice root", Message::Request(7, Ask::SliceRoot(block, 3))),
        ("ask shred", Message::Request(7, Ask::Shred(block, 3, 63))),
        ("ask decided", Message::Request(7, Ask::Decided(Slot(9)))),
        ("slice count", answer(Answer::SliceCount { last: 2, root: A, path: path.clone() })),
        ("slice root", answer(Answer::SliceRoot { root: B, path })),
        ("repaired shred", answer(Answer::Shred(shred))),
        ("decided", answer(Answer::Decided(proofs))),
        ("nack", answer(Answer::Nack)),
        ("proof FF", Message::Proof(fast_proof)),
        ("proof NO and FI", Message::Proof(slow_proof)),
    ]
}

/// The bytes of every kind of message. A change here splits a cluster of mixed versions: it needs
/// another [`VERSION`].
#[test]
fn golden_bytes() {
    let hex = |bytes: Bytes| {
        let lines: Vec<String> = bytes.chunks(48).map(hex::encode).collect();
        lines.join("\n  ")
    };
    let text: Vec<String> = samples()
        .into_iter()
        .map(|(name, message)| format!("{name}\n  {}", hex(message.encode())))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn truncated_and_trailing_bytes_and_other_versions_are_refused() {
    for (name, message) in samples() {
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message), "{name}");
        for cut in 0..bytes.len() {
            assert_eq!(Message::decode(&bytes[..cut]), Err(Reject::Malformed), "{name} cut {cut}");
        }
        for extra in [0, 1, 255] {
            let longer = [&bytes[..], &[extra]].concat();
            assert_eq!(Message::decode(&longer), Err(Reject::Malformed), "{name} plus {extra}");
        }
        for version in (0..=255).filter(|v| *v != VERSION) {
            let mut other = bytes.to_vec();
            other[0] = version;
            assert_eq!(Message::decode(&other), Err(Reject::Version), "{name}");
        }
    }
    assert_eq!(Message::decode(&[]), Err(Reject::Malformed));
    assert_eq!(Message::decode(&[VERSION]), Err(Reject::Malformed));
    assert_eq!(Message::decode(&[VERSION; MAX_BODY_BYTES + 1]), Err(Reject::Malformed));
}

/// Every message at its largest fits a datagram: 2,000 validators, both parts, a full shred, the
/// longest transaction, the longest paths.
#[test]
fn the_largest_messages_fit_a_datagram() {
    let n = MAX_NODES;
    let signature = bls::Signature::from_bytes([9; 48]);
    let signers = Bitmap::new(vec![0xff; n.div_ceil(8)].into()).unwrap();
    let part = Some(Part { signers, signature: signature.clone() });
    let of = |kind, fallback: Option<Part>| {
        let id = CertificateId::new(Slot(u64::MAX), kind);
        Arc::new(Certificate { id, first: part.clone(), fallback })
    };
    let two_parts = of(CertificateKind::NotarFallback(A), part.clone());
    let (notar, last) = (of(CertificateKind::Notar(A), None), of(CertificateKind::Final, None));
    let slice = full_slice(&committee(&[1, 1]), Slot(9));
    let shred = Arc::new(slice.shred(63));
    assert_eq!(shred.piece.len(), MAX_SHRED_BYTES);
    let payload = BoundedBytes::new(vec![1; MAX_TRANSACTION_BYTES - 10].into()).unwrap();
    let path = BoundedVec::new(vec![A; MAX_SLICE_PATH]).unwrap();
    let vote = Vote::new(Slot(u64::MAX), VoteKind::NotarFallback(A));
    let vote = SignedVote { vote, signer: NodeId(u16::MAX), signature };
    let largest = [
        Message::Vote(vote),
        Message::Certificate(two_parts),
        Message::Shred(shred.clone()),
        Message::Forward(Transaction { valid_until: Slot(9), payload }),
        Message::Request(u64::MAX, Ask::Shred(BlockId::default(), 63, 63)),
        Message::Response(u64::MAX, Answer::SliceCount { last: 63, root: A, path: path.clone() }),
        Message::Response(u64::MAX, Answer::SliceRoot { root: A, path }),
        Message::Response(u64::MAX, Answer::Shred(shred)),
        Message::Proof(FinalityProof::Slow { notar, last }),
    ];
    for message in largest {
        let bytes = message.encode();
        assert!(bytes.len() <= MAX_BODY_BYTES, "{} bytes: {message:?}", bytes.len());
        assert_eq!(Message::decode(&bytes), Ok(message));
    }
}

/// A reader that says how much was asked of it.
struct Metered<'a> {
    bytes: &'a [u8],
    largest: usize,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.largest = self.largest.max(buffer.len());
        self.bytes.read(buffer)
    }
}

/// A stated length is no promise: above the cap of its field nothing is read for it, and so
/// nothing was reserved for it.
#[test]
fn lengths_above_their_caps_are_refused_before_anything_is_reserved() {
    const MARK: u16 = 0xfffe;
    let c = committee(&[1, 1]);
    let notar = certificate(&c, 9, CertificateKind::Notar(A), &[0, 1], &[]);
    let fast = certificate(&c, 9, CertificateKind::FastFinal(A), &[0, 1], &[]);
    let shred = Arc::new(full_slice(&c, Slot(9)).shred(1));
    let payload = BoundedBytes::new(vec![1; 5].into()).unwrap();
    let path = BoundedVec::new(vec![A; 2]).unwrap();
    let proofs = BoundedVec::new(vec![FinalityProof::Fast(fast)]).unwrap();
    // The message, where its length field starts, the length there, and the cap.
    let cases: [(Message, usize, u16, usize); 6] = [
        (Message::Certificate(notar), 2 + 41 + 1, 1, MAX_NODES.div_ceil(8)),
        (Message::Shred(shred), 2 + 42 + 64 + 1, 1_024, MAX_SHRED_BYTES),
        (
            Message::Forward(Transaction { valid_until: Slot(9), payload }),
            2 + 8,
            5,
            MAX_TRANSACTION_BYTES - 10,
        ),
        (
            Message::Response(1, Answer::SliceCount { last: 1, root: A, path: path.clone() }),
            2 + 9 + 1 + 32,
            2,
            MAX_SLICE_PATH,
        ),
        (Message::Response(1, Answer::SliceRoot { root: A, path }), 2 + 9 + 32, 2, MAX_SLICE_PATH),
        (Message::Response(1, Answer::Decided(proofs)), 2 + 9, 1, MAX_PROOFS),
    ];
    for (message, at, length, cap) in cases {
        let good = message.encode();
        assert_eq!(good[at..at + 2], length.to_le_bytes(), "{message:?}");
        for stated in [MARK, cap as u16 + 1] {
            let mut bad = good.to_vec();
            bad[at..at + 2].copy_from_slice(&stated.to_le_bytes());
            bad.resize(MAX_BODY_BYTES, 0);
            assert_eq!(Message::decode(&bad), Err(Reject::Malformed), "{message:?}");
            let mut reader = Metered { bytes: &bad[1..], largest: 0 };
            Message::deserialize_reader(&mut reader).unwrap_err();
            let read = bad.len() - 1 - reader.bytes.len();
            assert_eq!(read, at + 2 - 1, "nothing is read past the length: {message:?}");
            assert!(reader.largest <= 64, "{} bytes reserved: {message:?}", reader.largest);
        }
    }
}

#[test]
fn indices_are_in_range_after_decoding() {
    let c = committee(&[1, 1]);
    let block = BlockId::new(Slot(9), A);
    let good = full_slice(&c, Slot(9)).shred(63);
    let mut slice = good.clone();
    slice.commitment.slice = MAX_SLICES as u8;
    let index = Shred { index: TOTAL_SHREDS as u8, ..good };
    let (slice, index) = (Arc::new(slice), Arc::new(index));
    let path = BoundedVec::default();
    for bad in [
        Message::Shred(slice.clone()),
        Message::Shred(index.clone()),
        Message::Response(1, Answer::Shred(slice)),
        Message::Response(1, Answer::Shred(index)),
        Message::Request(1, Ask::SliceRoot(block, 64)),
        Message::Request(1, Ask::Shred(block, 64, 0)),
        Message::Request(1, Ask::Shred(block, 0, 64)),
        Message::Response(1, Answer::SliceCount { last: 64, root: A, path }),
    ] {
        assert_eq!(Message::decode(&bad.encode()), Err(Reject::Malformed), "{bad:?}");
    }
}

/// What decodes must encode to exactly the bytes that were read.
fn canonical(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(message) = Message::decode(bytes) {
        prop_assert_eq!(&message.encode()[..], bytes, "{:?} has two encodings", message);
    }
    Ok(())
}

proptest! {
    #[test]
    fn messages_round_trip(message in messages()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(
        kind in 0..8u8,
        bytes in vec(any::<u8>(), 0..400),
    ) {
        canonical(&bytes)?;
        canonical(&[&[VERSION, kind][..], &bytes].concat())?;
    }

    #[test]
    fn changed_bytes_are_refused_or_canonical(
        bytes in mutated(messages().prop_map(|m| m.encode())),
        change in mutated(proptest::sample::select(samples()).prop_map(|(_, m)| m.encode())),
    ) {
        canonical(&bytes)?;
        canonical(&change)?;
    }
}

/// Labels name random draws: messages that differ in what they are must not share one.
#[test]
fn labels_tell_messages_apart() {
    let c = committee(&[1; 4]);
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    let mut add = |name: String, message: Message| {
        if let Some(other) = seen.insert(message.label(), name.clone()) {
            panic!("{name} and {other} have one label");
        }
    };
    let slice = full_slice(&c, Slot(9));
    let empty = bls::Signature::from_bytes([0; 48]);
    for slot in 1..40 {
        for (i, hash) in [A, B].into_iter().enumerate() {
            let kinds = [VoteKind::Notar(hash), VoteKind::NotarFallback(hash)];
            let others = [VoteKind::Skip, VoteKind::SkipFallback, VoteKind::Final];
            for kind in kinds.into_iter().chain(others.into_iter().filter(|_| i == 0)) {
                for signer in (0..4).map(NodeId) {
                    let vote = Vote::new(Slot(slot), kind);
                    let vote = SignedVote { vote, signer, signature: empty.clone() };
                    add(format!("{vote:?}"), Message::Vote(vote));
                }
            }
            let kinds = [
                CertificateKind::FastFinal(hash),
                CertificateKind::Notar(hash),
                CertificateKind::NotarFallback(hash),
            ];
            let others = [CertificateKind::Skip, CertificateKind::Final];
            for kind in kinds.into_iter().chain(others.into_iter().filter(|_| i == 0)) {
                let id = CertificateId::new(Slot(slot), kind);
                let certificate = Certificate { id, first: None, fallback: None };
                add(format!("{id:?}"), Message::Certificate(Arc::new(certificate)));
            }
        }
        for (t, index) in (0..3).flat_map(|t| (0..64).map(move |i| (t, i))) {
            let mut shred = slice.shred(index);
            (shred.commitment.slot, shred.commitment.slice) = (Slot(slot), t);
            let shred = Arc::new(shred);
            add(format!("shred {slot} {t} {index}"), Message::Shred(shred.clone()));
            let block = BlockId::new(Slot(slot), A);
            for number in 0..2 {
                let ask = Ask::Shred(block, t, index);
                add(format!("{number}: {ask:?}"), Message::Request(number, ask));
                let name = format!("answer {number}: shred {slot} {t} {index}");
                add(name, Message::Response(number, Answer::Shred(shred.clone())));
            }
        }
        for number in 0..9 {
            let block = BlockId::new(Slot(slot), A);
            let asks = [Ask::SliceCount(block), Ask::SliceRoot(block, 0), Ask::SliceRoot(block, 1)];
            for ask in asks.into_iter().chain([Ask::Decided(Slot(slot))]) {
                add(format!("{number}: {ask:?}"), Message::Request(number, ask));
            }
        }
        let payload = BoundedBytes::new(Bytes::from_static(b"p")).unwrap();
        let transaction = Transaction { valid_until: Slot(slot), payload };
        add(format!("forward {slot}"), Message::Forward(transaction));
        let fast = certificate(&c, slot, CertificateKind::FastFinal(A), &[0, 1, 2, 3], &[]);
        add(format!("proof {slot}"), Message::Proof(FinalityProof::Fast(fast)));
    }
    for number in 0..50 {
        for answer in [
            Answer::Nack,
            Answer::SliceCount { last: 0, root: A, path: BoundedVec::default() },
            Answer::SliceRoot { root: A, path: BoundedVec::default() },
            Answer::Decided(BoundedVec::default()),
        ] {
            add(format!("{number}: {answer:?}"), Message::Response(number, answer));
        }
    }
}
