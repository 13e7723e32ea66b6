//! Thin wrappers over well-kept cryptography crates.
//!
//! The problem: consensus spends most of its time in signatures and codes, and every mistake there
//! (a point outside the subgroup, a proof that is too long, a codeword that decodes in two ways)
//! is a safety hole, not a wrong picture. Used directly, the crates leave those choices to each
//! call site.
//!
//! Our way: each file owns one primitive, takes and gives plain bytes, and makes the strict choice
//! once. Nothing here reads a clock or draws a random number: keys come from 32-byte seeds, and all
//! functions are pure. They know nothing of votes or blocks either: whoever signs puts the tag of
//! the object, the cluster and the epoch into the message.
//!
//! | file | what |
//! |---|---|
//! | [`hash`] | tagged SHA-256, the `H` of the protocol |
//! | [`bls`] | votes: BLS12-381, 48-byte signatures that add up |
//! | [`ed25519`] | slices and repair: ordinary signatures |
//! | [`merkle`] | trees over pieces and slices |
//! | [`erasure`] | a slice as 64 pieces, any 32 of which are enough |
//! | [`mac`] | who sent a datagram |
//! | `memo` | (simulation only) remembers what was verified once in this process |

pub mod bls;
pub mod ed25519;
pub mod erasure;
pub mod hash;
pub mod mac;
#[cfg(feature = "sim")]
pub mod memo;
pub mod merkle;
#[cfg(any(test, feature = "sim"))]
mod null;

use borsh::{BorshDeserialize, BorshSerialize};

pub use hash::Hash;

/// Which signatures a cluster uses; fixed at genesis.
///
/// `Null` is a toy for wide sweeps of simulated seeds: it costs one hash and anyone can forge it.
/// The variant itself exists only in unit tests and under the feature `sim`. A production build
/// has no such value: it cannot be named, and its encoding is refused on decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Scheme {
    /// BLS12-381 for votes and Ed25519 for slices.
    Bls,
    /// Keyed hashes of the same sizes. Forgeable.
    #[cfg(any(test, feature = "sim"))]
    Null,
}

/// Why the bytes of a public key were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the one canonical encoding of a point of the curve.
    #[error("not the canonical encoding of a key")]
    Encoding,
    /// A point of the curve, but the identity or outside the prime-order subgroup.
    #[error("not a point of the prime-order group other than its identity")]
    Group,
}
