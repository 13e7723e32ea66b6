//! An independent verifier of certificates.
//!
//! The product's own check may be what is broken, so this one starts from the bytes: it unpacks the
//! bitmaps itself, adds the stake up itself, and keeps its own table of single signatures, which it
//! fills from the votes that correct nodes send. BLS signatures are unique (one key, one message, one
//! point), so an aggregate is right exactly if it is the sum of the signers' single signatures:
//! additions, no pairing. A real aggregate check is made where a signer's signature is not in the
//! table (a liar's), where the sums differ, and for one in 64 aggregates as a check on the table,
//! chosen by a draw that depends on the cluster (hence on the seed) and on the aggregate itself.

use super::Scene;
use alpenglow_node::crypto::{Hash, bls};
use alpenglow_node::protocol::certificate::{Certificate, Part, SignedVote};
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::{CertificateKind, Vote, VoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// One in so many aggregates is checked by a pairing although its sum is right.
const SPOT_CHECK: u64 = 64;

/// Why a certificate proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Flaw {
    /// No part, or a fallback part in a kind without one.
    #[error("its parts do not fit its kind")]
    Parts,
    /// Not exactly one bit for each validator, padded with zeros, or nobody.
    #[error("a bitmap is malformed")]
    Bitmap,
    /// Too little stake.
    #[error("its signers hold {stake} of {total}")]
    Stake {
        /// What the signers hold together, each counted once.
        stake: u128,
        /// All stake.
        total: u64,
    },
    /// Not the signers' signatures.
    #[error("an aggregate is not the signature of its signers")]
    Signature,
}

/// The table of single signatures.
#[derive(Debug, Default)]
pub struct Verifier {
    singles: BTreeMap<Vote, BTreeMap<NodeId, bls::Signature>>,
    /// Aggregates that were checked by more than a sum.
    pub pairings: u64,
}

impl Verifier {
    /// Takes a vote into the table if its signature is right.
    pub fn learn(&mut self, scene: &Scene, vote: &SignedVote) {
        let known = self.singles.get(&vote.vote).and_then(|signers| signers.get(&vote.signer));
        if known.is_some() {
            return;
        }
        let mut signature = vote.signature.clone();
        let key = scene.committee.vote_key(vote.signer);
        let message = scene.committee.vote_bytes(&vote.vote);
        if key.is_some_and(|key| key.verify(&message, &mut signature)) {
            self.singles.entry(vote.vote).or_default().insert(vote.signer, signature);
        }
    }

    /// Checks everything that makes a certificate valid.
    pub fn check(&mut self, scene: &Scene, certificate: &Certificate) -> Result<(), Flaw> {
        let (first, fallback, fifths) = match certificate.id.kind {
            CertificateKind::FastFinal(hash) => (VoteKind::Notar(hash), None, 4),
            CertificateKind::Notar(hash) => (VoteKind::Notar(hash), None, 3),
            CertificateKind::NotarFallback(hash) => {
                (VoteKind::Notar(hash), Some(VoteKind::NotarFallback(hash)), 3)
            }
            CertificateKind::Skip => (VoteKind::Skip, Some(VoteKind::SkipFallback), 3),
            CertificateKind::Final => (VoteKind::Final, None, 3),
        };
        if fallback.is_none() && certificate.fallback.is_some() {
            return Err(Flaw::Parts);
        }
        let parts = [(Some(first), &certificate.first), (fallback, &certificate.fallback)];
        let parts: Vec<(VoteKind, &Part)> =
            parts.into_iter().filter_map(|(kind, part)| Some((kind?, part.as_ref()?))).collect();
        if parts.is_empty() {
            return Err(Flaw::Parts);
        }
        let mut signed = Vec::new();
        for (kind, part) in parts {
            let nodes = signers(&part.signers, scene.stakes.len()).ok_or(Flaw::Bitmap)?;
            signed.push((Vote::new(certificate.id.slot, kind), part, nodes));
        }
        let all: BTreeSet<NodeId> = signed.iter().flat_map(|(.., nodes)| nodes).copied().collect();
        let stake = scene.stake_of(all);
        if !scene.at_least(stake, fifths) {
            return Err(Flaw::Stake { stake, total: scene.total });
        }
        let right = |(vote, part, nodes): &(Vote, &Part, Vec<NodeId>)| {
            self.is_signed(scene, vote, &part.signature, nodes)
        };
        if signed.iter().all(right) { Ok(()) } else { Err(Flaw::Signature) }
    }

    fn is_signed(
        &mut self,
        scene: &Scene,
        vote: &Vote,
        aggregate: &bls::Signature,
        nodes: &[NodeId],
    ) -> bool {
        let singles = self.singles.get(vote);
        let known: Option<Vec<_>> = nodes.iter().map(|node| singles?.get(node)).collect();
        let sum = known.and_then(bls::aggregate);
        let draw = Hash::of("sim/spot-check", &[&scene.committee.cluster().0, aggregate.bytes()]);
        let spared = u64::from_le_bytes(draw.0[..8].try_into().expect("8 of 32")) % SPOT_CHECK != 0;
        if spared && sum.as_ref() == Some(aggregate) {
            return true;
        }
        self.pairings += 1;
        let keys: Option<Vec<_>> = nodes.iter().map(|n| scene.committee.vote_key(*n)).collect();
        let message = scene.committee.vote_bytes(vote);
        keys.is_some_and(|keys| bls::verify_aggregate(&keys, &message, aggregate))
    }

    /// Forgets votes of slots below `floor`.
    pub fn forget(&mut self, floor: Slot) {
        self.singles = self.singles.split_off(&Vote::new(floor, VoteKind::Notar(Hash::default())));
    }
}

/// The set bits of a bitmap for `n` validators; `None` if it is malformed or empty.
pub fn signers(bitmap: &[u8], n: usize) -> Option<Vec<NodeId>> {
    if bitmap.len() != n.div_ceil(8) {
        return None;
    }
    let bits = (0..bitmap.len() * 8).filter(|bit| bitmap[bit / 8] & (1 << (bit % 8)) != 0);
    let nodes: Vec<usize> = bits.collect();
    let last = *nodes.last()?;
    (last < n).then(|| nodes.into_iter().map(|node| NodeId(node as u16)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::testing::*;
    use alpenglow_node::protocol::certificate::Bitmap;

    fn bitmap(part: &mut Part, bytes: &'static [u8]) {
        part.signers = Bitmap::new(bytes.into()).expect("short");
    }

    #[test]
    fn bitmaps() {
        let nodes = |bytes: &[u8], n| signers(bytes, n).map(|s| s.iter().map(|n| n.0).collect());
        assert_eq!(nodes(&[0b0000_0101, 0b10], 10), Some(vec![0u16, 2, 9]));
        assert_eq!(nodes(&[0b1000_0000], 8), Some(vec![7]));
        assert_eq!(nodes(&[0b1000_0000], 7), None, "a stray bit");
        assert_eq!(nodes(&[0b1, 0], 8), None, "too long");
        assert_eq!(nodes(&[0b1], 9), None, "too short");
        assert_eq!(nodes(&[0], 5), None, "nobody");
    }

    #[test]
    fn thresholds_of_each_kind() {
        let world = World::new(&[59, 1, 19, 1, 20]);
        let check = |kind, first: &[u16], fallback: &[u16]| {
            let mut verifier = Verifier::default();
            verifier.check(&world.scene, &world.certificate(4, kind, first, fallback))
        };
        for kind in [NO(A), NF(A), SK, FI] {
            assert_eq!(check(kind, &[0, 1], &[]), Ok(()), "{kind:?}");
            assert_eq!(check(kind, &[0], &[]), Err(Flaw::Stake { stake: 59, total: 100 }));
        }
        assert_eq!(check(FF(A), &[0, 1, 2, 3], &[]), Ok(()));
        assert_eq!(check(FF(A), &[0, 1, 2], &[]), Err(Flaw::Stake { stake: 79, total: 100 }));
        for kind in [NF(A), SK] {
            assert_eq!(check(kind, &[0], &[1]), Ok(()));
            assert_eq!(check(kind, &[], &[0, 1]), Ok(()));
            let twice = Err(Flaw::Stake { stake: 59, total: 100 });
            assert_eq!(check(kind, &[0], &[0]), twice, "one validator in both parts");
        }
        for kind in [FF(A), NO(A), FI] {
            assert_eq!(check(kind, &[0, 1, 2, 3], &[4]), Err(Flaw::Parts), "{kind:?}");
        }
    }

    /// With and without the signatures in the table.
    #[test]
    fn wrong_aggregates() {
        let world = World::new(&[1; 5]);
        let mut taught = Verifier::default();
        for node in 0..5 {
            for kind in [Notar(A), Notar(B), NotarFallback(A)] {
                taught.learn(&world.scene, &world.signed(node, 4, kind));
            }
        }
        let good = world.certificate(4, NF(A), &[0, 1], &[2]);
        let mut liars = vec![(*good).clone(); 6];
        liars[0].first = world.certificate(4, NO(B), &[0, 1], &[]).first.clone();
        liars[1].first = world.certificate(5, NO(A), &[0, 1], &[]).first.clone();
        liars[2].fallback = world.certificate(4, NF(A), &[2], &[]).first.clone();
        bitmap(liars[3].first.as_mut().expect("there"), &[0b11000]);
        bitmap(liars[4].first.as_mut().expect("there"), &[0b01011]);
        let cancelled = bls::Signature::from_bytes([0xc0; 48]);
        liars[5].first.as_mut().expect("there").signature = cancelled;
        for verifier in [&mut taught, &mut Verifier::default()] {
            for (i, liar) in liars.iter().enumerate() {
                assert_eq!(verifier.check(&world.scene, liar), Err(Flaw::Signature), "liar {i}");
            }
            assert_eq!(verifier.check(&world.scene, &good), Ok(()));
        }
    }

    /// Sums do almost all of the work; unknown signers and one in 64 need a pairing.
    #[test]
    fn pairings_are_rare() {
        let world = World::new(&[1; 5]);
        let mut verifier = Verifier::default();
        for slot in 1..=128 {
            for node in 0..3 {
                verifier.learn(&world.scene, &world.signed(node, slot, Notar(A)));
            }
            let certificate = world.certificate(slot, NO(A), &[0, 1, 2], &[]);
            assert_eq!(verifier.check(&world.scene, &certificate), Ok(()));
        }
        assert!((1..=8).contains(&verifier.pairings), "{} of 128", verifier.pairings);
        let before = verifier.pairings;
        let unknown = world.certificate(1, NO(A), &[0, 1, 3], &[]);
        assert_eq!(verifier.check(&world.scene, &unknown), Ok(()));
        assert_eq!(verifier.pairings, before + 1);
    }

    #[test]
    fn forged_votes_are_not_learned() {
        let world = World::new(&[1; 5]);
        let mut verifier = Verifier::default();
        let mut forged = world.signed(0, 4, Notar(A));
        forged.signer = NodeId(1);
        verifier.learn(&world.scene, &forged);
        assert!(verifier.singles.is_empty());
        verifier.learn(&world.scene, &world.signed(1, 4, Notar(A)));
        verifier.forget(Slot(4));
        assert_eq!(verifier.singles.len(), 1);
        verifier.forget(Slot(5));
        assert!(verifier.singles.is_empty());
    }
}
