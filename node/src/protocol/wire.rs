//! Bytes on the wire, and the border between what peers claim and what is true.
//!
//! Everything a peer sends is `Unverified<Message>` until [`verify`] has checked each signature
//! and each proof in it. Only this file can make a `Verified<T>`, so the type system carries the
//! rule that consensus works on facts. `verify` is a pure function of the committee and the
//! message: production runs it on worker threads, simulation runs it inline.
//!
//! The encoding is borsh behind a version byte: fixed-width little-endian integers, one-byte tags,
//! lengths of two bytes under a cap. One message has one encoding; trailing bytes are refused.

use super::block::{Commitment, Shred, Transaction};
use super::bounded::BoundedVec;
use super::certificate::{Certificate, CertificateError, FinalityProof, SignedVote};
use super::committee::Committee;
use super::params::{MAX_DATAGRAM_BYTES, MAX_SLICES, TOTAL_SHREDS};
use super::types::{BlockId, Hash, NodeId, Slot};
use crate::crypto::ed25519;
#[cfg(feature = "sim")]
use crate::crypto::memo;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::sync::Arc;

/// Version of the wire format, the first byte of every body.
pub const VERSION: u8 = 1;
/// Bytes that the datagram header and tag take from [`MAX_DATAGRAM_BYTES`].
pub const DATAGRAM_OVERHEAD: usize = 31;
/// Longest encoded message.
pub const MAX_BODY_BYTES: usize = MAX_DATAGRAM_BYTES - DATAGRAM_OVERHEAD;
/// Longest path in a tree over slice roots.
pub const MAX_SLICE_PATH: usize = MAX_SLICES.ilog2() as usize;
/// Proofs in one answer at most; the datagram usually ends earlier.
pub const MAX_PROOFS: usize = 32;

/// Everything that nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A vote of the sender.
    Vote(SignedVote),
    /// A certificate that the sender built or received.
    Certificate(Arc<Certificate>),
    /// A shred, from the leader to a relay or from a relay to all.
    Shred(Arc<Shred>),
    /// A transaction on its way to a leader.
    Forward(Transaction),
    /// A repair question; the answer repeats the number.
    Request(u64, Ask),
    /// A repair answer.
    Response(u64, Answer),
    /// Proof of the highest finalization (standstill, first contact).
    Proof(FinalityProof),
}

/// Repair questions (section 9).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, BorshSerialize, BorshDeserialize,
)]
pub enum Ask {
    /// How many slices has the block?
    SliceCount(BlockId),
    /// What is the root of slice t?
    SliceRoot(BlockId, u8),
    /// Shred i of slice t.
    Shred(BlockId, u8, u8),
    /// Proofs for directly finalized slots from this one on, in order.
    Decided(Slot),
}

/// Repair answers.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub enum Answer {
    /// The position and root of the last slice, with a path that proves that it is the last.
    SliceCount {
        /// Position of the last slice (count - 1).
        last: u8,
        /// Its root.
        root: Hash,
        /// Path to the block hash.
        path: BoundedVec<Hash, MAX_SLICE_PATH>,
    },
    /// The root of the slice that was asked for, and its path to the block hash.
    SliceRoot {
        /// The root.
        root: Hash,
        /// Path to the block hash.
        path: BoundedVec<Hash, MAX_SLICE_PATH>,
    },
    /// The shred.
    Shred(Arc<Shred>),
    /// Finalization proofs in slot order.
    Decided(BoundedVec<FinalityProof, MAX_PROOFS>),
    /// The peer does not have it, or does not want to answer now.
    Nack,
}

/// Why bytes from a peer are dropped. Small and cheap, because floods end here.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    thiserror::Error,
    BorshSerialize,
    BorshDeserialize,
)]
pub enum Reject {
    /// Not a canonical encoding, or out of range.
    #[error("malformed")]
    Malformed,
    /// Another wire version.
    #[error("unknown version")]
    Version,
    /// A vote whose signer is not the sender's committee member, or a member that does not exist.
    #[error("unknown signer")]
    Signer,
    /// The slot is finished with.
    #[error("old slot")]
    Old,
    /// The slot is too far ahead.
    #[error("far slot")]
    Far,
    /// The validator set of the slot is not known yet.
    #[error("unknown epoch")]
    Epoch,
    /// Held already.
    #[error("duplicate")]
    Duplicate,
    /// True or not, it cannot be used.
    #[error("not needed")]
    NotNeeded,
    /// A signature does not verify.
    #[error("wrong signature")]
    Signature,
    /// A certificate does not verify.
    #[error("invalid certificate")]
    Certificate,
    /// A Merkle path or piece does not fit its root.
    #[error("wrong proof")]
    Proof,
    /// An answer to no question.
    #[error("unsolicited answer")]
    Unsolicited,
    /// Too many requests from this peer.
    #[error("rate limit")]
    RateLimit,
    /// A queue is full.
    #[error("full")]
    Full,
    /// The transaction cannot be in a block any more, or not yet.
    #[error("transaction out of time")]
    Expired,
}

impl Message {
    /// The bytes to send.
    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(VERSION);
        self.serialize(&mut bytes).expect("writing to memory does not fail");
        debug_assert!(bytes.len() <= MAX_BODY_BYTES);
        bytes.into()
    }

    /// Reads bytes of a peer. Total: any input gives a message or a reason.
    pub fn decode(bytes: &[u8]) -> Result<Message, Reject> {
        #[cfg(feature = "sim")]
        if let Some(message) = memo::decoded_body(bytes) {
            return Ok(message);
        }
        let message = Message::read(bytes)?;
        #[cfg(feature = "sim")]
        memo::insert_decoded_body(bytes, &message);
        Ok(message)
    }

    fn read(bytes: &[u8]) -> Result<Message, Reject> {
        let (&version, rest) = bytes.split_first().ok_or(Reject::Malformed)?;
        if version != VERSION {
            return Err(Reject::Version);
        }
        if bytes.len() > MAX_BODY_BYTES {
            return Err(Reject::Malformed);
        }
        let message = Message::try_from_slice(rest).map_err(|_| Reject::Malformed)?;
        if !message.in_range() {
            return Err(Reject::Malformed);
        }
        Ok(message)
    }

    /// Indices within their caps, so that later code can index by them.
    fn in_range(&self) -> bool {
        let shred = |shred: &Shred| {
            usize::from(shred.index) < TOTAL_SHREDS
                && usize::from(shred.commitment.slice) < MAX_SLICES
        };
        match self {
            Message::Shred(s) | Message::Response(_, Answer::Shred(s)) => shred(s),
            Message::Request(_, Ask::SliceRoot(_, t)) => usize::from(*t) < MAX_SLICES,
            Message::Request(_, Ask::Shred(_, t, i)) => {
                usize::from(*t) < MAX_SLICES && usize::from(*i) < TOTAL_SHREDS
            }
            Message::Response(_, Answer::SliceCount { last, .. }) => {
                usize::from(*last) < MAX_SLICES
            }
            _ => true,
        }
    }

    /// A fixed name for the message: its kind, slot, position and request number, mixed into 64
    /// bits. The simulated network names its random draws by it.
    pub fn label(&self) -> u64 {
        let (kind, slot, index, number) = match self {
            Message::Vote(v) => (1, v.vote.slot, vote_index(v), u64::from(v.signer.0)),
            Message::Certificate(c) => (2, c.id.slot, certificate_index(c), 0),
            Message::Shred(s) => (3, s.commitment.slot, shred_index(s), 0),
            Message::Forward(t) => (4, t.valid_until, word(t.id()), 0),
            Message::Request(n, ask) => match ask {
                Ask::SliceCount(b) => (5, b.slot, 0, *n),
                Ask::SliceRoot(b, t) => (6, b.slot, u64::from(*t), *n),
                Ask::Shred(b, t, i) => (7, b.slot, u64::from(*t) << 8 | u64::from(*i), *n),
                Ask::Decided(s) => (8, *s, 0, *n),
            },
            Message::Response(n, answer) => match answer {
                Answer::SliceCount { .. } => (9, Slot(0), 0, *n),
                Answer::SliceRoot { .. } => (10, Slot(0), 0, *n),
                Answer::Shred(s) => (11, s.commitment.slot, shred_index(s), *n),
                Answer::Decided(_) => (12, Slot(0), 0, *n),
                Answer::Nack => (13, Slot(0), 0, *n),
            },
            Message::Proof(p) => (14, p.slot(), 0, 0),
        };
        [kind, slot.0, index, number].into_iter().fold(0x9e37_79b9_7f4a_7c15, |h: u64, word| {
            (h ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31)
        })
    }
}

fn word(hash: Hash) -> u64 {
    u64::from_le_bytes(hash.0[..8].try_into().expect("8 of 32 bytes"))
}

fn vote_index(v: &SignedVote) -> u64 {
    use super::vote::VoteKind::*;
    match v.vote.kind {
        Notar(h) => word(h),
        Skip => 1,
        NotarFallback(h) => word(h) ^ 2,
        SkipFallback => 3,
        Final => 4,
    }
}

fn certificate_index(c: &Certificate) -> u64 {
    use super::vote::CertificateKind::*;
    match c.id.kind {
        FastFinal(h) => word(h),
        Notar(h) => word(h) ^ 1,
        NotarFallback(h) => word(h) ^ 2,
        Skip => 3,
        Final => 4,
    }
}

fn shred_index(s: &Shred) -> u64 {
    u64::from(s.commitment.slice) << 8 | u64::from(s.index) ^ word(s.commitment.root) << 16
}

/// What a peer claims.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unverified<T> {
    claim: T,
    commitment_known: bool,
}

impl Unverified<Message> {
    /// Wraps a decoded message.
    pub fn new(message: Message) -> Self {
        Unverified { claim: message, commitment_known: false }
    }

    /// Says that exactly this shred's commitment with exactly this signature was verified before,
    /// so that only its path is left to check (3.4).
    pub fn with_known_commitment(self) -> Self {
        Unverified { commitment_known: true, ..self }
    }

    /// The claim, for decisions that need no truth (dropping, counting).
    pub fn claim(&self) -> &Message {
        &self.claim
    }

    /// The bare claim, to be looked at again.
    pub fn into_claim(self) -> Message {
        self.claim
    }
}

/// What is true: every signature and proof in it was checked, or the own node made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The truth.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// What a node asks its own keys to sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsigned {
    /// A vote.
    Vote(super::vote::Vote),
    /// A slice.
    Commitment(Commitment),
}

/// An object with the signature of the own keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signed {
    /// A vote.
    Vote(SignedVote),
    /// A slice.
    Commitment(Commitment, ed25519::Signature),
}

/// Vouches for what the own keys signed. The host calls it with the result of its own signing and
/// with nothing else.
pub fn own(signed: Signed) -> Verified<Signed> {
    Verified(signed)
}

/// Checks every signature and proof of a message that can be checked without state. Pure.
pub fn verify(
    committee: &Committee,
    unverified: Unverified<Message>,
) -> Result<Verified<Message>, Reject> {
    let Unverified { mut claim, commitment_known } = unverified;
    match &mut claim {
        Message::Vote(SignedVote { vote, signer, signature }) => {
            let key = committee.vote_key(*signer).ok_or(Reject::Signer)?;
            if !key.verify(&committee.vote_bytes(vote), signature) {
                return Err(Reject::Signature);
            }
        }
        Message::Certificate(certificate) => certificate.verify(committee)?,
        Message::Proof(proof) => proof.verify(committee)?,
        Message::Response(_, Answer::Decided(proofs)) => {
            proofs.iter().try_for_each(|proof| proof.verify(committee))?;
        }
        Message::Shred(shred) | Message::Response(_, Answer::Shred(shred)) => {
            if !shred.verify_piece() {
                return Err(Reject::Proof);
            }
            if !commitment_known && !shred.commitment.verify(committee, &shred.signature) {
                return Err(Reject::Signature);
            }
        }
        Message::Forward(_) | Message::Request(..) | Message::Response(..) => {}
    }
    Ok(Verified(claim))
}

/// Checks votes that wait for verification and are over one message as one aggregate.
/// See [`crate::crypto::bls::verify_batch`]. Returns each vote or the reason, in order.
pub fn verify_votes(
    committee: &Committee,
    votes: Vec<SignedVote>,
) -> Vec<Result<Verified<Message>, Reject>> {
    let bytes = match votes.first() {
        Some(first) => committee.vote_bytes(&first.vote),
        None => return Vec::new(),
    };
    debug_assert!(votes.windows(2).all(|pair| pair[0].vote == pair[1].vote));
    let mut batch = Vec::with_capacity(votes.len());
    let known: Vec<bool> = votes.iter().map(|v| committee.vote_key(v.signer).is_some()).collect();
    for vote in &votes {
        if let Some(key) = committee.vote_key(vote.signer) {
            batch.push((key, vote.signature.clone()));
        }
    }
    let results = crate::crypto::bls::verify_batch(&bytes, &mut batch);
    let mut checked = batch.into_iter().zip(results);
    votes
        .into_iter()
        .zip(known)
        .map(|(vote, known)| {
            let ((_, signature), valid) = match known.then(|| checked.next()).flatten() {
                Some(checked) => checked,
                None => return Err(Reject::Signer),
            };
            if !valid {
                return Err(Reject::Signature);
            }
            Ok(Verified(Message::Vote(SignedVote { signature, ..vote })))
        })
        .collect()
}

impl From<CertificateError> for Reject {
    fn from(_: CertificateError) -> Reject {
        Reject::Certificate
    }
}

/// The sender of a vote must be its signer, except that anyone may relay proofs.
pub fn sender_may_say(from: NodeId, message: &Message) -> bool {
    match message {
        Message::Vote(vote) => vote.signer == from,
        _ => true,
    }
}

#[cfg(test)]
pub(crate) mod tests;
