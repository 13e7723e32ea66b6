//! Messages for tests: true ones, signed with the secrets of the test committee, and any others.

use super::super::*;
use crate::crypto::{bls, erasure};
use crate::protocol::block::{Payload, Slice};
use crate::protocol::bounded::BoundedBytes;
use crate::protocol::certificate::{Bitmap, Part};
use crate::protocol::committee::tests::secrets;
use crate::protocol::params::*;
use crate::protocol::vote::{CertificateId, CertificateKind, Vote, VoteKind};
use proptest::collection::vec;
use proptest::prelude::*;

/// A vote with the right signature of `signer`.
pub(crate) fn signed_vote(
    committee: &Committee,
    signer: u16,
    slot: u64,
    kind: VoteKind,
) -> SignedVote {
    let vote = Vote::new(Slot(slot), kind);
    let signature = secrets(signer).0.sign(&committee.vote_bytes(&vote));
    SignedVote { vote, signer: NodeId(signer), signature }
}

/// A certificate that verifies, by these signers of its first and its fallback message.
pub(crate) fn certificate(
    committee: &Committee,
    slot: u64,
    kind: CertificateKind,
    first: &[u16],
    fallback: &[u16],
) -> Arc<Certificate> {
    let part = |nodes: &[u16], kind| {
        let votes: Vec<_> =
            nodes.iter().map(|&node| signed_vote(committee, node, slot, kind)).collect();
        Part::new(committee.len(), votes.iter().map(|vote| (vote.signer, &vote.signature)))
    };
    let (first_kind, fallback_kind, _) = kind.messages();
    Arc::new(Certificate {
        id: CertificateId::new(Slot(slot), kind),
        first: part(first, first_kind),
        fallback: fallback_kind.and_then(|kind| part(fallback, kind)),
    })
}

/// A slice signed by the leader of its slot.
pub(crate) fn signed_slice(
    committee: &Committee,
    slot: Slot,
    slice: u8,
    last: bool,
    payload: &Payload,
) -> Slice {
    let encoded = erasure::encode(&payload.encode()).unwrap();
    let commitment = Commitment { slot, slice, last, root: encoded.root() };
    let leader = committee.leader(slot.window());
    let signature = secrets(leader.0).1.sign(&commitment.signed_bytes(committee));
    Slice { commitment, signature, encoded }
}

fn hashes() -> impl Strategy<Value = Hash> {
    prop_oneof![any::<u8>().prop_map(|b| Hash([b; 32])), any::<[u8; 32]>().prop_map(Hash)]
}

fn slots() -> impl Strategy<Value = Slot> {
    prop_oneof![4 => 0u64..60, 1 => any::<u64>()].prop_map(Slot)
}

fn blocks() -> impl Strategy<Value = BlockId> {
    (slots(), hashes()).prop_map(|(slot, hash)| BlockId::new(slot, hash))
}

fn signatures() -> impl Strategy<Value = bls::Signature> {
    vec(any::<u8>(), 48).prop_map(|b| bls::Signature::from_bytes(b.try_into().unwrap()))
}

fn certificates() -> impl Strategy<Value = Arc<Certificate>> {
    let kind = (0..5u8, hashes()).prop_map(|(i, hash)| match i {
        0 => CertificateKind::FastFinal(hash),
        1 => CertificateKind::Notar(hash),
        2 => CertificateKind::NotarFallback(hash),
        3 => CertificateKind::Skip,
        _ => CertificateKind::Final,
    });
    let part = || {
        let bits = prop_oneof![vec(any::<u8>(), 1), vec(any::<u8>(), 0..=250)];
        let part = (bits, signatures()).prop_map(|(bits, signature)| Part {
            signers: Bitmap::new(bits.into()).unwrap(),
            signature,
        });
        proptest::option::of(part)
    };
    (slots(), kind, part(), part()).prop_map(|(slot, kind, first, fallback)| {
        Arc::new(Certificate { id: CertificateId::new(slot, kind), first, fallback })
    })
}

fn proofs() -> impl Strategy<Value = FinalityProof> {
    prop_oneof![
        certificates().prop_map(FinalityProof::Fast),
        (certificates(), certificates())
            .prop_map(|(notar, last)| FinalityProof::Slow { notar, last }),
    ]
}

fn shreds() -> impl Strategy<Value = Arc<Shred>> {
    let commitment = (slots(), 0..64u8, any::<bool>(), hashes())
        .prop_map(|(slot, slice, last, root)| Commitment { slot, slice, last, root });
    let signature = vec(any::<u8>(), 64).prop_map(|b| ed25519::Signature(b.try_into().unwrap()));
    let piece = vec(any::<u8>(), 0..=MAX_SHRED_BYTES);
    (commitment, signature, 0..64u8, piece, vec(hashes(), 6)).prop_map(
        |(commitment, signature, index, piece, path)| {
            Arc::new(Shred {
                commitment,
                signature,
                index,
                piece: BoundedBytes::new(piece.into()).unwrap(),
                path: path.try_into().unwrap(),
            })
        },
    )
}

/// Any message that decodes: true or not, sensible or not.
pub(crate) fn messages() -> impl Strategy<Value = Message> {
    let kind = (0..5u8, hashes()).prop_map(|(i, hash)| match i {
        0 => VoteKind::Notar(hash),
        1 => VoteKind::Skip,
        2 => VoteKind::NotarFallback(hash),
        3 => VoteKind::SkipFallback,
        _ => VoteKind::Final,
    });
    let vote = (slots(), kind, prop_oneof![0..6u16, any::<u16>()], signatures()).prop_map(
        |(slot, kind, signer, signature)| {
            let vote = Vote::new(slot, kind);
            Message::Vote(SignedVote { vote, signer: NodeId(signer), signature })
        },
    );
    let payload = vec(any::<u8>(), 0..=MAX_TRANSACTION_BYTES - 10);
    let forward = (slots(), payload).prop_map(|(valid_until, payload)| {
        Message::Forward(Transaction {
            valid_until,
            payload: BoundedBytes::new(payload.into()).unwrap(),
        })
    });
    let path = || vec(hashes(), 0..=MAX_SLICE_PATH).prop_map(|p| BoundedVec::new(p).unwrap());
    let ask = prop_oneof![
        blocks().prop_map(Ask::SliceCount),
        (blocks(), 0..64u8).prop_map(|(b, t)| Ask::SliceRoot(b, t)),
        (blocks(), 0..64u8, 0..64u8).prop_map(|(b, t, i)| Ask::Shred(b, t, i)),
        slots().prop_map(Ask::Decided),
    ];
    let answer = prop_oneof![
        (0..64u8, hashes(), path()).prop_map(|(last, root, path)| Answer::SliceCount {
            last,
            root,
            path
        }),
        (hashes(), path()).prop_map(|(root, path)| Answer::SliceRoot { root, path }),
        shreds().prop_map(Answer::Shred),
        // Two are enough for the shape; more would often not fit a datagram.
        vec(proofs(), 0..2).prop_map(|p| Answer::Decided(BoundedVec::new(p).unwrap())),
        Just(Answer::Nack),
    ];
    let number = || prop_oneof![0..20u64, any::<u64>()];
    prop_oneof![
        vote,
        certificates().prop_map(Message::Certificate),
        shreds().prop_map(Message::Shred),
        forward,
        (number(), ask).prop_map(|(n, ask)| Message::Request(n, ask)),
        (number(), answer).prop_map(|(n, answer)| Message::Response(n, answer)),
        proofs().prop_map(Message::Proof),
    ]
}

/// Valid bytes with a few random changes: bytes replaced, cut, repeated or inserted.
pub(crate) fn mutated(bytes: impl Strategy<Value = Bytes>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<u16>(), any::<u8>(), 0..5u8);
    (bytes, vec(change, 1..6)).prop_map(|(bytes, changes)| {
        let mut bytes = bytes.to_vec();
        for (at, value, how) in changes {
            let at = usize::from(at) % bytes.len().max(1);
            match how {
                0 | 1 if !bytes.is_empty() => bytes[at] = value,
                2 if !bytes.is_empty() => bytes[at] ^= 1 << (value % 8),
                3 => bytes.truncate(at),
                _ => bytes.insert(at, value),
            }
        }
        bytes
    })
}
