//! The collision-resistant hash of the protocol: SHA-256, always under a domain tag.

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::Digest;
use std::fmt;

/// A SHA-256 digest.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Hashes `parts` under `tag`. The tag is length-prefixed, so no two tags can be confused;
    /// callers that pass parts of variable length must make their framing unambiguous themselves.
    pub fn of(tag: &'static str, parts: &[&[u8]]) -> Hash {
        let mut sha = sha2::Sha256::new();
        sha.update([u8::try_from(tag.len()).expect("tags are short literals")]);
        sha.update(tag.as_bytes());
        for part in parts {
            sha.update(part);
        }
        Hash(sha.finalize().into())
    }
}

impl fmt::Display for Hash {
    /// The first eight hex digits: enough for people, never parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
