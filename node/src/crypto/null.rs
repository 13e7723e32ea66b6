//! The null scheme: signatures that cost one hash and protect nothing.
//!
//! A sweep of ten thousand seeds would spend its week in pairings. A plain hash in their place would
//! be fast, but could not be *aggregated*: a certificate would need one hash per signer, and code
//! that adds signatures up would go untested.
//!
//! Our way: the same algebra without the hardness. A BLS signature is `secret * H(message)`, and the
//! sum of signatures is checked against the sum of keys. Here a key is four integers `k` that
//! everybody knows, a message hashes to four odd integers `m`, and a signature is `k * m` modulo
//! 2^64, place by place; so `sum(k) * m = sum(k * m)`. Odd factors lose nothing, so a flipped bit
//! anywhere is always noticed. Anyone can forge; the simulated adversary simply does not.
//!
//! Layout (48 bytes): a tag of 16 bytes that no compressed curve point starts with, then the four
//! integers. The signature therefore says by itself to which scheme it belongs.

use super::bls::{Domain, PUBLIC_KEY_BYTES, SIGNATURE_BYTES};

const TAG: [u8; 16] = *b"null signature\0\0";
const KEY_TAG: [u8; 32] = *b"null key: anyone can forge this\0";

/// Four integers: a key, a hashed message, or a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Lanes([u64; 4]);

impl Lanes {
    fn read(bytes: &[u8; 32]) -> Lanes {
        let mut lanes = [0; 4];
        for (lane, chunk) in lanes.iter_mut().zip(bytes.chunks_exact(8)) {
            *lane = u64::from_le_bytes(chunk.try_into().expect("chunks of 8 bytes"));
        }
        Lanes(lanes)
    }

    fn of_message(domain: Domain, message: &[u8]) -> Lanes {
        let key = match domain {
            Domain::Message => b"null scheme: hash of a message \0",
            Domain::Possession => b"null scheme: proof of possession",
        };
        Lanes(Lanes::read(blake3::keyed_hash(key, message).as_bytes()).0.map(|lane| lane | 1))
    }

    fn add(self, other: Lanes) -> Lanes {
        Lanes(std::array::from_fn(|i| self.0[i].wrapping_add(other.0[i])))
    }

    fn mul(self, other: Lanes) -> Lanes {
        Lanes(std::array::from_fn(|i| self.0[i].wrapping_mul(other.0[i])))
    }

    fn to_signature(self) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes[..16].copy_from_slice(&TAG);
        for (chunk, lane) in bytes[16..].chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }
}

/// The public key bytes of a seed: a tag, the integers, and a checksum over them.
pub(super) fn public_key(seed: &[u8; 32]) -> [u8; PUBLIC_KEY_BYTES] {
    let lanes = blake3::keyed_hash(&KEY_TAG, seed);
    let mut bytes = [0; PUBLIC_KEY_BYTES];
    bytes[..32].copy_from_slice(&KEY_TAG);
    bytes[32..64].copy_from_slice(lanes.as_bytes());
    bytes[64..].copy_from_slice(blake3::hash(lanes.as_bytes()).as_bytes());
    bytes
}

/// The integers of a public key, or `None` if the bytes were not made by [`public_key`].
pub(super) fn decode_key(bytes: &[u8; PUBLIC_KEY_BYTES]) -> Option<Lanes> {
    let lanes: &[u8; 32] = bytes[32..64].try_into().expect("32 bytes");
    let sound = bytes[..32] == KEY_TAG && bytes[64..] == *blake3::hash(lanes).as_bytes();
    sound.then(|| Lanes::read(lanes))
}

/// The one signature of `key` on `message`.
pub(super) fn sign(key: Lanes, domain: Domain, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
    key.mul(Lanes::of_message(domain, message)).to_signature()
}

/// The one aggregate of `keys` on `message`; `None` without keys.
pub(super) fn sign_together(
    keys: impl Iterator<Item = Lanes>,
    message: &[u8],
) -> Option<[u8; SIGNATURE_BYTES]> {
    Some(sign(keys.reduce(Lanes::add)?, Domain::Message, message))
}

/// True if the bytes belong to this scheme.
pub(super) fn is_null(signature: &[u8; SIGNATURE_BYTES]) -> bool {
    signature[..16] == TAG
}

/// The sum of two signatures, or `None` if one of them belongs to another scheme.
pub(super) fn add(
    a: [u8; SIGNATURE_BYTES],
    b: &[u8; SIGNATURE_BYTES],
) -> Option<[u8; SIGNATURE_BYTES]> {
    let lanes = |bytes: &[u8; SIGNATURE_BYTES]| {
        is_null(bytes).then(|| Lanes::read(bytes[16..].try_into().expect("32 bytes")))
    };
    Some(lanes(&a)?.add(lanes(b)?).to_signature())
}

/// The public key of a seed where ordinary signatures are wanted.
pub(super) fn ed25519_public_key(seed: &[u8; 32]) -> [u8; 32] {
    *blake3::keyed_hash(b"null scheme: ordinary public key", seed).as_bytes()
}

/// The one ordinary signature of the holder of `key` on `message`.
pub(super) fn ed25519_sign(key: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..16].copy_from_slice(&TAG);
    bytes[32..].copy_from_slice(blake3::keyed_hash(key, message).as_bytes());
    bytes
}
