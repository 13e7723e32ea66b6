//! Ed25519: ordinary signatures for what one node says alone (slices, repair).
//!
//! The problem: the standard leaves two doors open. Some points have a tiny order, and under such a
//! key one signature fits many messages; and libraries differ on encodings that are not canonical,
//! so that two nodes can disagree on whether a slice is signed.
//!
//! Our way: keys of small order and keys that are not canonically encoded are refused on decode,
//! and verification is the strict one (canonical scalar, no small order, no cofactor), which has
//! one answer everywhere.

use super::{KeyError, Scheme};
use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::fmt;

#[cfg(feature = "sim")]
use super::memo;
#[cfg(any(test, feature = "sim"))]
use super::null;

#[cfg(test)]
mod tests;

/// A public key as it is stored and sent: 32 bytes that may or may not be a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKeyBytes(pub [u8; 32]);

impl fmt::Debug for PublicKeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519 key ")?;
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A signature: 64 bytes that may or may not be valid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519 signature ")?;
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A signing key. Its bytes are overwritten when it is dropped and never printed.
pub struct SecretKey {
    secret: Secret,
    public: PublicKeyBytes,
}

enum Secret {
    Ed25519(Box<SigningKey>),
    #[cfg(any(test, feature = "sim"))]
    Null,
}

impl SecretKey {
    /// The key of a seed (the "private key" of the standard). The seed must be secret.
    pub fn from_seed(scheme: Scheme, seed: &[u8; 32]) -> SecretKey {
        match scheme {
            Scheme::Bls => {
                let secret = Box::new(SigningKey::from_bytes(seed));
                let public = PublicKeyBytes(secret.verifying_key().to_bytes());
                SecretKey { secret: Secret::Ed25519(secret), public }
            }
            #[cfg(any(test, feature = "sim"))]
            Scheme::Null => {
                let public = PublicKeyBytes(null::ed25519_public_key(seed));
                SecretKey { secret: Secret::Null, public }
            }
        }
    }

    /// The public key of this key.
    pub fn public(&self) -> PublicKeyBytes {
        self.public
    }

    /// Signs `message`, deterministically.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(match &self.secret {
            Secret::Ed25519(secret) => secret.sign(message).to_bytes(),
            #[cfg(any(test, feature = "sim"))]
            Secret::Null => null::ed25519_sign(&self.public.0, message),
        })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret of {:?}", self.public)
    }
}

/// A public key that was decoded and checked.
#[derive(Clone)]
pub struct PublicKey {
    bytes: PublicKeyBytes,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Ed25519(VerifyingKey),
    #[cfg(any(test, feature = "sim"))]
    Null,
}

impl PublicKey {
    /// Decodes a key. (Any 32 bytes are a key of the null scheme.)
    ///
    /// # Errors
    /// [`KeyError::Encoding`] unless the bytes are the canonical encoding of a point of the curve,
    /// [`KeyError::Group`] if that point has small order.
    pub fn decode(scheme: Scheme, bytes: &PublicKeyBytes) -> Result<PublicKey, KeyError> {
        let key = match scheme {
            Scheme::Bls => {
                let key = VerifyingKey::from_bytes(&bytes.0).map_err(|_| KeyError::Encoding)?;
                if key.to_edwards().compress().to_bytes() != bytes.0 {
                    return Err(KeyError::Encoding);
                }
                if key.is_weak() {
                    return Err(KeyError::Group);
                }
                Key::Ed25519(key)
            }
            #[cfg(any(test, feature = "sim"))]
            Scheme::Null => Key::Null,
        };
        Ok(PublicKey { bytes: *bytes, key })
    }

    /// The encoding.
    pub fn bytes(&self) -> &PublicKeyBytes {
        &self.bytes
    }

    /// True if `signature` is a signature of this key on `message`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        match &self.key {
            Key::Ed25519(key) => self.verify_strict(key, message, signature),
            #[cfg(any(test, feature = "sim"))]
            Key::Null => null::ed25519_sign(&self.bytes.0, message) == signature.0,
        }
    }

    fn verify_strict(&self, key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
        #[cfg(feature = "sim")]
        if memo::ed25519(&self.bytes, message, signature) {
            return true;
        }
        let decoded = ed25519_dalek::Signature::from_bytes(&signature.0);
        let valid = key.verify_strict(message, &decoded).is_ok();
        #[cfg(feature = "sim")]
        if valid {
            memo::insert_ed25519(&self.bytes, message, signature);
        }
        valid
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}
