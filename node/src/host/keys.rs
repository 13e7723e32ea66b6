//! The secret keys of one validator.
//!
//! They never enter the protocol, so no state dump, trace or panic message of it can hold them.
//! Each key has a seed of its own, derived under its own tag, and is wiped when dropped.

use crate::crypto::{Hash, Scheme, bls, ed25519, mac};
use crate::protocol::certificate::SignedVote;
use crate::protocol::committee::{Committee, Validator};
use crate::protocol::types::{NodeId, Stake};
use crate::protocol::wire::{self, Signed, Unsigned, Verified};
use std::fmt;

#[cfg(feature = "program")]
pub mod file;

/// All secrets of one validator.
pub struct Keys {
    vote: bls::SecretKey,
    slice: ed25519::SecretKey,
    datagram: mac::SecretKey,
}

impl Keys {
    /// Derives the three keys from one secret seed.
    pub fn from_seed(scheme: Scheme, seed: &[u8; 32]) -> Keys {
        let derive = |tag| zeroize::Zeroizing::new(Hash::of(tag, &[seed]).0);
        Keys {
            vote: bls::SecretKey::from_seed(scheme, &derive("ag/key/vote")),
            slice: ed25519::SecretKey::from_seed(scheme, &derive("ag/key/slice")),
            datagram: mac::SecretKey::from_seed(&derive("ag/key/datagram")),
        }
    }

    /// The public side, for the genesis file.
    pub fn validator(&self, stake: Stake) -> Validator {
        Validator {
            stake,
            vote_key: self.vote.public(),
            possession: self.vote.prove_possession(),
            slice_key: self.slice.public(),
            mac_key: self.datagram.public(),
        }
    }

    /// The key for datagrams.
    pub fn datagram(&self) -> &mac::SecretKey {
        &self.datagram
    }

    /// Signs what the protocol of `me` asks for.
    pub fn sign(&self, committee: &Committee, me: NodeId, object: Unsigned) -> Verified<Signed> {
        wire::own(match object {
            Unsigned::Vote(vote) => {
                let signature = self.vote.sign(&committee.vote_bytes(&vote));
                Signed::Vote(SignedVote { vote, signer: me, signature })
            }
            Unsigned::Commitment(commitment) => {
                let signature = self.slice.sign(&commitment.signed_bytes(committee));
                Signed::Commitment(commitment, signature)
            }
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(secret)")
    }
}
