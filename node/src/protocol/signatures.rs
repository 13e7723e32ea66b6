//! The side table: signatures of stored votes, and the certificates made of them.
//!
//! Consensus says *which* certificate is possible and *who* stands behind it; this table holds the
//! signatures and adds them up. It also keeps the certificates of others, because everything that
//! is held must be sent again at a standstill. Decoded points are kept, so building a certificate
//! is additions only.

use super::certificate::{Certificate, FinalityProof, Part, SignedVote};
use super::pool::Pool;
use super::stake::NodeSet;
use super::types::{NodeId, Slot};
use super::vote::{CertificateId, CertificateKind, Vote, VoteKind};
use crate::crypto::bls;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Signatures and certificates from the Pool's floor on.
#[derive(Debug, Default)]
pub struct Signatures {
    votes: BTreeMap<(Slot, VoteKind), BTreeMap<NodeId, bls::Signature>>,
    certificates: BTreeMap<CertificateId, Arc<Certificate>>,
}

impl Signatures {
    /// Keeps the signature of a verified vote. One that consensus does not store is never used.
    pub fn add_vote(&mut self, vote: &SignedVote) {
        let key = (vote.vote.slot, vote.vote.kind);
        self.votes.entry(key).or_default().insert(vote.signer, vote.signature.clone());
    }

    /// The signature of a vote.
    pub fn vote(&self, signer: NodeId, vote: Vote) -> Option<SignedVote> {
        let signature = self.votes.get(&(vote.slot, vote.kind))?.get(&signer)?.clone();
        Some(SignedVote { vote, signer, signature })
    }

    /// Keeps a verified certificate of a peer.
    pub fn add_certificate(&mut self, certificate: Arc<Certificate>) {
        self.certificates.entry(certificate.id).or_insert(certificate);
    }

    /// The certificate, if held.
    pub fn certificate(&self, id: CertificateId) -> Option<&Arc<Certificate>> {
        self.certificates.get(&id)
    }

    /// Builds the certificate `id` from the votes that the Pool has stored. Consensus decided that
    /// they suffice, so every signature is here.
    pub fn build(&mut self, n: usize, pool: &Pool, id: CertificateId) -> Arc<Certificate> {
        let (first_kind, fallback_kind, _) = id.kind.messages();
        let (first_voters, fallback_voters) = pool.voters(id);
        let part = |kind, voters: NodeSet| {
            let signatures = self.votes.get(&(id.slot, kind));
            Part::new(
                n,
                voters.iter().map(|node| {
                    let signature = signatures.and_then(|s| s.get(&node));
                    (node, signature.expect("a stored vote has its signature beside it"))
                }),
            )
        };
        let certificate = Arc::new(Certificate {
            id,
            first: part(first_kind, first_voters),
            fallback: fallback_kind.and_then(|kind| part(kind, fallback_voters)),
        });
        self.certificates.insert(id, certificate.clone());
        certificate
    }

    /// Proof that a block of `slot` is final, from the certificates held.
    pub fn proof(&self, slot: Slot) -> Option<FinalityProof> {
        let find = |wanted: fn(CertificateKind) -> bool| {
            let low = CertificateId::new(slot, CertificateKind::FastFinal(Default::default()));
            self.certificates
                .range(low..)
                .take_while(|(id, _)| id.slot == slot)
                .find(|(id, _)| wanted(id.kind))
                .map(|(_, certificate)| certificate.clone())
        };
        if let Some(fast) = find(|kind| matches!(kind, CertificateKind::FastFinal(_))) {
            return Some(FinalityProof::Fast(fast));
        }
        let last = find(|kind| kind == CertificateKind::Final)?;
        let notar = find(|kind| matches!(kind, CertificateKind::Notar(_)))?;
        Some(FinalityProof::Slow { notar, last })
    }

    /// Forgets slots below `floor`.
    pub fn prune(&mut self, floor: Slot) {
        self.votes = self.votes.split_off(&(floor, VoteKind::Notar(Default::default())));
        let low = CertificateId::new(floor, CertificateKind::FastFinal(Default::default()));
        self.certificates = self.certificates.split_off(&low);
    }
}
