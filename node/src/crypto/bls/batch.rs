//! Many signatures on one message, checked with one pairing.
//!
//! Votes of one slot arrive together and all sign the same bytes, so one pairing over their sum
//! could stand for all of them. But the plain sum proves only that the *sum* is right: an attacker
//! with two keys sends `s1 + d` and `s2 - d`, the errors cancel, and two invalid votes are stored.
//! A node that later aggregates one of them without the other builds a certificate that everybody
//! refuses.
//!
//! Our way: signature i is multiplied by a 128-bit weight `w_i`, and so is key i. If the signatures
//! are off by `d_i`, the check passes iff `sum(w_i * d_i) = 0`. All points are in a group of prime
//! order (checked one by one, or small-order errors would survive), so if some `d_i` is not zero,
//! then for any choice of the other weights at most one value of `w_i` in 2^128 satisfies it. The
//! weights are not random but a hash of the message, all keys and all signatures: they change
//! whenever any signature does, so an attacker cannot choose errors to fit known weights, only try
//! again, and each try succeeds with probability 2^-128. Thus the result is the same in every run,
//! and the same as that of single checks.

use super::{Domain, Key, KeyPoint, Point, PublicKey, Signature, pairing_holds};
use blst::min_sig::{AggregatePublicKey, AggregateSignature};

/// Bits per weight. With half of it, an attacker who hashes 2^64 batches off line gets one through.
const WEIGHT_BITS: usize = 128;

/// Verifies votes on one message as [`PublicKey::verify`] would one by one: the i-th answer says
/// whether the i-th signature is valid, and valid ones then hold their decoded points.
///
/// If all that decode are valid, this costs one pairing check and a fraction of it per signature;
/// if one is not, each is checked singly.
pub fn verify_batch(message: &[u8], batch: &mut [(&PublicKey, Signature)]) -> Vec<bool> {
    let points = decode_all(batch);
    let together = holds_together(message, batch, &points);
    let check = |(i, (key, signature)): (usize, &mut (&PublicKey, Signature))| match points[i] {
        Some((_, point)) if together => {
            key.accept(Domain::Message, message, signature, point);
            true
        }
        _ => key.verify(message, signature),
    };
    batch.iter_mut().enumerate().map(check).collect()
}

/// Key and point of each entry that has them (those of the null scheme have none).
fn decode_all(batch: &[(&PublicKey, Signature)]) -> Vec<Option<(KeyPoint, Point)>> {
    // The memo knows single signatures: let each be looked up.
    #[cfg(feature = "sim")]
    if super::memo::is_enabled() {
        return vec![None; batch.len()];
    }
    let decode = |(key, signature): &(&PublicKey, Signature)| match &key.key {
        Key::Bls(key) => Some((*key, signature.decoded()?)),
        #[cfg(any(test, feature = "sim"))]
        Key::Null(_) => None,
    };
    batch.iter().map(decode).collect()
}

/// True if the weighted sum of all points fits the weighted sum of their keys.
fn holds_together(
    message: &[u8],
    batch: &[(&PublicKey, Signature)],
    points: &[Option<(KeyPoint, Point)>],
) -> bool {
    let (keys, points): (Vec<_>, Vec<_>) = points.iter().flatten().copied().unzip();
    if points.len() < 2 {
        return false; // one alone is cheaper without weights
    }
    let weights = weights(message, batch, points.len());
    let keys = AggregatePublicKey::aggregate_with_randomness(&keys, &weights, WEIGHT_BITS, false);
    let sum = AggregateSignature::aggregate_with_randomness(&points, &weights, WEIGHT_BITS, false);
    let (Ok(keys), Ok(sum)) = (keys, sum) else { return false };
    pairing_holds(&keys.to_public_key(), Domain::Message, message, &sum.to_signature())
}

/// `count` weights, one after the other, that depend on every bit of the batch.
pub(super) fn weights(message: &[u8], batch: &[(&PublicKey, Signature)], count: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key("alpenglow-node 2026 weights of a BLS batch");
    hasher.update(&(message.len() as u64).to_le_bytes());
    hasher.update(message);
    for (key, signature) in batch {
        hasher.update(&key.bytes.0);
        hasher.update(&signature.bytes);
    }
    let mut weights = vec![0; count * WEIGHT_BITS / 8];
    hasher.finalize_xof().fill(&mut weights);
    weights
}
