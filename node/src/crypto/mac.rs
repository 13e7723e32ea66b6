//! Who sent a datagram: a 16-byte tag under a key that only two nodes have.
//!
//! The problem: UDP addresses are forged at will, so what a peer may do to us must depend on
//! something it cannot fake. Signing each datagram is too slow (13 us to make, 30 us to check), and
//! a tag over a whole broadcast costs one pass over the body *per receiver*.
//!
//! Our way: every pair of nodes derives one key from its X25519 keys and the cluster (`context`).
//! The body of a broadcast is digested once ([`own_body_digest`]); the tag per receiver covers the short
//! header and that digest. Both directions of a pair use one key, so the header must name the
//! sender, or a node could be shown its own datagrams.

use super::KeyError;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::fmt;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(feature = "sim")]
use super::memo;

#[cfg(test)]
mod tests;

/// Length of a tag in bytes.
pub const TAG_BYTES: usize = 16;
/// Length of a body digest in bytes.
pub const DIGEST_BYTES: usize = 32;

/// Headers up to this length are tagged in one go.
const SHORT_HEADER: usize = 32;

/// A public key: 32 bytes, every value of which is a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x25519 key ")?;
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The secret half. Overwritten when dropped, never printed.
pub struct SecretKey {
    secret: StaticSecret,
    /// Kept beside it: every shared key needs it.
    public: PublicKey,
}

impl SecretKey {
    /// The key of a seed. The seed must be secret and used for nothing else.
    pub fn from_seed(seed: &[u8; 32]) -> SecretKey {
        let secret = StaticSecret::from(*seed);
        let public = PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes());
        SecretKey { secret, public }
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The key shared with the holder of `other` in this `context` (the cluster). Both ends derive
    /// the same one.
    ///
    /// # Errors
    /// [`KeyError::Group`] if `other` has small order: everybody would know the shared key.
    pub fn shared(&self, other: &PublicKey, context: &[u8]) -> Result<MacKey, KeyError> {
        let pair = [self.public.min(*other), self.public.max(*other)];
        #[cfg(feature = "sim")]
        if let Some(key) = memo::shared_key(pair, context) {
            return Ok(MacKey(key));
        }
        let shared = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(other.0));
        if !shared.was_contributory() {
            return Err(KeyError::Group);
        }
        let mut hasher = blake3::Hasher::new_derive_key("alpenglow-node 2026 pairwise MAC key");
        hasher.update(shared.as_bytes());
        pair.iter().for_each(|key| _ = hasher.update(&key.0));
        hasher.update(context);
        let key = *hasher.finalize().as_bytes();
        #[cfg(feature = "sim")]
        memo::insert_shared_key(pair, context, key);
        Ok(MacKey(key))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret of {:?}", self.public())
    }
}

/// A key that two nodes share. Overwritten when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MacKey([u8; 32]);

impl MacKey {
    /// The tag of a datagram with this header and this [`body_digest`]. The header may have any
    /// length: the digest that follows it has always the same.
    pub fn tag(&self, header: &[u8], digest: &[u8; DIGEST_BYTES]) -> [u8; TAG_BYTES] {
        *self.long_tag(header, digest).as_bytes().first_chunk().expect("32 bytes hold 16")
    }

    /// True if `tag` is the tag of header and digest. Takes the same time whichever bits differ.
    pub fn check(&self, header: &[u8], digest: &[u8; DIGEST_BYTES], tag: &[u8; TAG_BYTES]) -> bool {
        let own = self.long_tag(header, digest);
        let mut given = *own.as_bytes();
        given[..TAG_BYTES].copy_from_slice(tag);
        own == blake3::Hash::from_bytes(given) // this comparison takes constant time
    }

    fn long_tag(&self, header: &[u8], digest: &[u8; DIGEST_BYTES]) -> blake3::Hash {
        let mut short = [0; SHORT_HEADER + DIGEST_BYTES];
        let Some(input) = short.get_mut(..header.len() + DIGEST_BYTES) else {
            return blake3::Hasher::new_keyed(&self.0).update(header).update(digest).finalize();
        };
        input[..header.len()].copy_from_slice(header);
        input[header.len()..].copy_from_slice(digest);
        blake3::keyed_hash(&self.0, input)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

/// The digest of a datagram's body, as whoever receives it makes it.
pub fn body_digest(body: &[u8]) -> [u8; DIGEST_BYTES] {
    #[cfg(feature = "sim")]
    if let Some(digest) = memo::digest(body) {
        return digest;
    }
    *blake3::hash(body).as_bytes()
}

/// The digest of a body that is about to be sent: made once, however many nodes receive it.
pub fn own_body_digest(body: &Bytes) -> [u8; DIGEST_BYTES] {
    let digest = *blake3::hash(body).as_bytes();
    #[cfg(feature = "sim")]
    memo::insert_digest(body, digest);
    digest
}
