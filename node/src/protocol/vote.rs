//! Votes and certificates as plain facts, without signatures (protocol 5.1, 5.2).
//!
//! Consensus reasons about *who said what*. Whether it was really said is settled before
//! (`wire::verify`), and the signatures that prove it to others live beside the facts
//! (`signatures`). Two nodes that know the same facts are then in equal states.

use super::types::{BlockId, Hash, Slot};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

/// What a vote says about its slot.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, BorshSerialize, BorshDeserialize,
)]
pub enum VoteKind {
    /// N(b): a valid block came in time. An *initial* vote.
    Notar(Hash),
    /// S: no acceptable block came in time, or the window is given up. An *initial* vote.
    Skip,
    /// NF(b): no other block of the slot can be fast-finalized, so b may be certified too.
    NotarFallback(Hash),
    /// SF: nothing in the slot can be fast-finalized, so it may be skipped.
    SkipFallback,
    /// F: the block that this node voted N for is notarized, and the node cast nothing else.
    Final,
}

/// One vote, as a fact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// The slot voted on.
    pub slot: Slot,
    /// What is said.
    pub kind: VoteKind,
}

impl Vote {
    /// Makes a vote.
    pub fn new(slot: Slot, kind: VoteKind) -> Vote {
        Vote { slot, kind }
    }

    /// The block that the vote names, if its kind names one.
    pub fn block(&self) -> Option<BlockId> {
        match self.kind {
            VoteKind::Notar(hash) | VoteKind::NotarFallback(hash) => {
                Some(BlockId::new(self.slot, hash))
            }
            VoteKind::Skip | VoteKind::SkipFallback | VoteKind::Final => None,
        }
    }
}

impl fmt::Debug for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            VoteKind::Notar(hash) => write!(f, "N({}:{hash})", self.slot),
            VoteKind::Skip => write!(f, "S({})", self.slot),
            VoteKind::NotarFallback(hash) => write!(f, "NF({}:{hash})", self.slot),
            VoteKind::SkipFallback => write!(f, "SF({})", self.slot),
            VoteKind::Final => write!(f, "F({})", self.slot),
        }
    }
}

/// What a certificate proves about its slot.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, BorshSerialize, BorshDeserialize,
)]
pub enum CertificateKind {
    /// FF(b): N(b) from 80 %.
    FastFinal(Hash),
    /// NO(b): N(b) from 60 %.
    Notar(Hash),
    /// NF(b): N(b) or NF(b) from 60 %.
    NotarFallback(Hash),
    /// SK: S or SF from 60 %.
    Skip,
    /// FI: F from 60 %. Finalizes nothing alone; together with NO(b) it finalizes b.
    Final,
}

/// One certificate, as a fact: its slot and what it proves. Who signed is beside the point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct CertificateId {
    /// The slot.
    pub slot: Slot,
    /// What is proved.
    pub kind: CertificateKind,
}

impl CertificateId {
    /// Names a certificate.
    pub fn new(slot: Slot, kind: CertificateKind) -> CertificateId {
        CertificateId { slot, kind }
    }

    /// The block that the certificate names, if its kind names one.
    pub fn block(&self) -> Option<BlockId> {
        match self.kind {
            CertificateKind::FastFinal(hash)
            | CertificateKind::Notar(hash)
            | CertificateKind::NotarFallback(hash) => Some(BlockId::new(self.slot, hash)),
            CertificateKind::Skip | CertificateKind::Final => None,
        }
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            CertificateKind::FastFinal(hash) => write!(f, "FF[{}:{hash}]", self.slot),
            CertificateKind::Notar(hash) => write!(f, "NO[{}:{hash}]", self.slot),
            CertificateKind::NotarFallback(hash) => write!(f, "NF[{}:{hash}]", self.slot),
            CertificateKind::Skip => write!(f, "SK[{}]", self.slot),
            CertificateKind::Final => write!(f, "FI[{}]", self.slot),
        }
    }
}

/// A pair of votes by one validator in one slot that no honest validator casts (5.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, BorshSerialize, BorshDeserialize)]
pub enum Offence {
    /// N for two blocks.
    TwoNotar,
    /// N and S.
    NotarAndSkip,
    /// F beside S or SF.
    FinalAndSkip,
    /// F beside NF.
    FinalAndFallback,
    /// A fourth NF.
    FourthFallback,
    /// N and NF for the same block. Harmless: ignored, never counted twice.
    NotarAndFallbackSame,
    /// S and SF. Harmless: ignored, never counted twice.
    SkipAndFallback,
}
