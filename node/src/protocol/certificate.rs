//! Votes and certificates with their signatures, as they travel (protocol 5.3, 5.4).
//!
//! A certificate is one aggregate signature per message plus a bitmap of who signed it. NF and SK
//! mix two messages (N with NF, S with SF), hence two parts. What it proves is recomputed from
//! the validator set by everyone who receives it; it carries no stake figure that could lie.

use super::bounded::BoundedBytes;
use super::committee::Committee;
use super::params::MAX_NODES;
use super::stake::{Fraction, NodeSet};
use super::types::{BlockId, NodeId, Slot};
use super::vote::{CertificateId, CertificateKind, Vote, VoteKind};
use crate::crypto::bls;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::sync::Arc;

/// A vote with the signature of its validator.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub struct SignedVote {
    /// What is said.
    pub vote: Vote,
    /// Who says it.
    pub signer: NodeId,
    /// Their signature over [`Committee::vote_bytes`].
    pub signature: bls::Signature,
}

/// The signers of one message: bit i for validator i.
pub type Bitmap = BoundedBytes<{ MAX_NODES.div_ceil(8) }>;

/// One message of a certificate: who signed it, and the sum of their signatures.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub struct Part {
    /// Exactly `ceil(n/8)` bytes without stray bits.
    pub signers: Bitmap,
    /// The aggregate.
    pub signature: bls::Signature,
}

/// A certificate as it travels.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// What it claims.
    pub id: CertificateId,
    /// Signers of N, S or F.
    pub first: Option<Part>,
    /// Signers of NF or SF. Only in NF and SK certificates.
    pub fallback: Option<Part>,
}

/// Proof that a block is final without reference to any ancestor.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub enum FinalityProof {
    /// FF(b).
    Fast(Arc<Certificate>),
    /// NO(b) and FI.
    Slow {
        /// NO(b).
        notar: Arc<Certificate>,
        /// FI of the same slot.
        last: Arc<Certificate>,
    },
}

/// Why a certificate is refused, in the order of the checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// No part at all, or a fallback part in a kind that has none.
    #[error("the parts do not fit the kind")]
    Parts,
    /// Wrong length, stray bits, or nobody.
    #[error("malformed bitmap")]
    Bitmap,
    /// The union of the signers does not reach the threshold.
    #[error("the signers hold too little stake")]
    Stake,
    /// An aggregate does not verify.
    #[error("wrong signature")]
    Signature,
}

impl CertificateKind {
    /// The votes that the first and the fallback part sign, and the stake that they need.
    pub fn messages(self) -> (VoteKind, Option<VoteKind>, Fraction) {
        match self {
            CertificateKind::FastFinal(h) => (VoteKind::Notar(h), None, Fraction::FourFifths),
            CertificateKind::Notar(h) => (VoteKind::Notar(h), None, Fraction::ThreeFifths),
            CertificateKind::NotarFallback(h) => {
                (VoteKind::Notar(h), Some(VoteKind::NotarFallback(h)), Fraction::ThreeFifths)
            }
            CertificateKind::Skip => {
                (VoteKind::Skip, Some(VoteKind::SkipFallback), Fraction::ThreeFifths)
            }
            CertificateKind::Final => (VoteKind::Final, None, Fraction::ThreeFifths),
        }
    }
}

impl Part {
    /// Aggregates signatures of one message; `None` without any.
    pub fn new<'a>(
        n: usize,
        signatures: impl IntoIterator<Item = (NodeId, &'a bls::Signature)>,
    ) -> Option<Part> {
        let (nodes, signatures): (NodeSet, Vec<_>) = signatures.into_iter().unzip();
        let signers = Bitmap::new(Bytes::from(nodes.to_bitmap(n))).expect("n is below the cap");
        Some(Part { signers, signature: bls::aggregate(signatures)? })
    }

    /// The signers, if the bitmap is well formed for `n` validators and not empty.
    pub fn signers(&self, n: usize) -> Option<NodeSet> {
        NodeSet::from_bitmap(&self.signers, n).filter(|set| !set.is_empty())
    }
}

impl Certificate {
    /// Checks everything that makes a certificate valid, cheapest first (5.3). Pure.
    pub fn verify(&self, committee: &Committee) -> Result<(), CertificateError> {
        let (first, fallback, fraction) = self.id.kind.messages();
        if self.first.is_none() && self.fallback.is_none()
            || fallback.is_none() && self.fallback.is_some()
        {
            return Err(CertificateError::Parts);
        }
        let signers = |part: &Option<Part>| match part {
            Some(part) => part.signers(committee.len()).ok_or(CertificateError::Bitmap),
            None => Ok(NodeSet::default()),
        };
        let (first_signers, fallback_signers) = (signers(&self.first)?, signers(&self.fallback)?);
        let stake = committee.stakes().of_set(&first_signers.union(&fallback_signers));
        if !committee.stakes().reaches(stake, fraction) {
            return Err(CertificateError::Stake);
        }
        let parts = [
            (Some(first), &self.first, first_signers),
            (fallback, &self.fallback, fallback_signers),
        ];
        for (kind, part, signers) in parts {
            let (Some(kind), Some(part)) = (kind, part) else { continue };
            let keys: Vec<_> = signers.iter().filter_map(|node| committee.vote_key(node)).collect();
            let message = committee.vote_bytes(&Vote::new(self.id.slot, kind));
            if !bls::verify_aggregate(&keys, &message, &part.signature) {
                return Err(CertificateError::Signature);
            }
        }
        Ok(())
    }
}

impl FinalityProof {
    /// The block that is proved final; `None` if the certificates do not belong together.
    pub fn block(&self) -> Option<BlockId> {
        match self {
            FinalityProof::Fast(certificate) => match certificate.id.kind {
                CertificateKind::FastFinal(_) => certificate.id.block(),
                _ => None,
            },
            FinalityProof::Slow { notar, last } => match (notar.id.kind, last.id.kind) {
                (CertificateKind::Notar(_), CertificateKind::Final)
                    if notar.id.slot == last.id.slot =>
                {
                    notar.id.block()
                }
                _ => None,
            },
        }
    }

    /// The slot that the proof is about.
    pub fn slot(&self) -> Slot {
        match self {
            FinalityProof::Fast(certificate) => certificate.id.slot,
            FinalityProof::Slow { notar, .. } => notar.id.slot,
        }
    }

    /// The certificates, in an order in which a Pool can take them.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        let (a, b) = match self {
            FinalityProof::Fast(certificate) => (certificate, None),
            FinalityProof::Slow { notar, last } => (notar, Some(last)),
        };
        std::iter::once(a).chain(b)
    }

    /// Verifies every certificate of the proof and that they belong together. Pure.
    pub fn verify(&self, committee: &Committee) -> Result<(), CertificateError> {
        self.block().ok_or(CertificateError::Parts)?;
        self.certificates().try_for_each(|certificate| certificate.verify(committee))
    }
}

#[cfg(test)]
mod tests;
