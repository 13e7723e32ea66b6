//! BLS12-381 signatures for votes: 48 bytes each, and many on one message add up to one.
//!
//! The problem: a certificate must show that hundreds of nodes signed the same bytes, within one
//! datagram. Sums of BLS signatures do that, but each shortcut around them is an attack:
//!
//! - A key chosen as `mine - yours` makes a sum that the attacker alone can sign (a rogue key).
//!   So a key joins a validator set only with a proof that its secret is known:
//!   [`PublicKey::verify_possession`]. Every aggregate check here presumes it.
//! - A point on the curve but outside the prime-order subgroup passes the pairing in some libraries
//!   and not in others, and the identity "signs" everything for the identity key. So each decoded
//!   point is canonical, in the subgroup and not the identity, before it meets a pairing.
//! - Two bad signatures `s1 + d` and `s2 - d` cancel in a plain sum. See [`verify_batch`].
//!
//! Signatures live in G1 (48 bytes; adding one costs 0.4 us), keys in G2 (96 bytes). Decoding a
//! signature and its subgroup check cost 50 us, a hundred times an addition, so a [`Signature`]
//! keeps the decoded point that verification had to make anyway. The point is a cache: two
//! signatures are equal iff their bytes are.
//!
//! The ciphersuite is the proof-of-possession one of the IETF draft, with its separate domain for
//! the proofs. What is signed (vote kind, cluster, epoch, slot) is the caller's message.

use super::{KeyError, Scheme};
use blst::BLST_ERROR;
use blst::min_sig::{AggregatePublicKey, AggregateSignature, PublicKey as KeyPoint};
use borsh::{BorshDeserialize, BorshSerialize};
use std::cmp::Ordering;
use std::{fmt, hash, io};

#[cfg(feature = "sim")]
use super::memo;
#[cfg(any(test, feature = "sim"))]
use super::null;

pub use batch::verify_batch;

mod batch;
#[cfg(test)]
mod tests;

/// Length of an encoded public key.
pub const PUBLIC_KEY_BYTES: usize = 96;
/// Length of an encoded signature.
pub const SIGNATURE_BYTES: usize = 48;

/// A decoded signature: always in the subgroup, never the identity.
pub(super) type Point = blst::min_sig::Signature;

/// What a signature is for. The hash to the curve is separate for each, so that a proof of
/// possession is never a vote and a vote never a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// Bytes given by the caller.
    Message,
    /// The signer's own public key.
    Possession,
}

impl Domain {
    const fn tag(self) -> &'static [u8] {
        match self {
            Domain::Message => b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_",
            Domain::Possession => b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_",
        }
    }
}

/// A public key as it is stored and sent: 96 bytes that may or may not be a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKeyBytes(pub [u8; PUBLIC_KEY_BYTES]);

impl fmt::Debug for PublicKeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "bls key ", &self.0)
    }
}

/// A signature or an aggregate of signatures: 48 bytes that may or may not be a point.
///
/// It also holds the decoded point once someone verified or made it. Comparing, hashing and
/// encoding look at the bytes alone.
#[derive(Clone)]
pub struct Signature {
    bytes: [u8; SIGNATURE_BYTES],
    /// If present: what `bytes` decode to, checked to be in the subgroup and not the identity.
    point: Option<Point>,
}

impl Signature {
    /// Takes bytes as they came; nothing is checked before verification.
    pub fn from_bytes(bytes: [u8; SIGNATURE_BYTES]) -> Signature {
        Signature { bytes, point: None }
    }

    /// The encoding.
    pub fn bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.bytes
    }

    fn from_point(point: Point) -> Signature {
        Signature { bytes: point.compress(), point: Some(point) }
    }

    /// The point, decoded and checked now if nobody did before.
    fn decoded(&self) -> Option<Point> {
        self.point.or_else(|| Point::sig_validate(&self.bytes, true).ok())
    }
}

impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Signature {}

impl PartialOrd for Signature {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Signature {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl hash::Hash for Signature {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "bls signature ", &self.bytes)
    }
}

impl BorshSerialize for Signature {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.bytes.serialize(writer)
    }
}

impl BorshDeserialize for Signature {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Ok(Signature::from_bytes(BorshDeserialize::deserialize_reader(reader)?))
    }
}

/// A signing key. Its bytes are overwritten when it is dropped and never printed.
pub struct SecretKey {
    secret: Secret,
    public: PublicKeyBytes,
}

enum Secret {
    Bls(blst::min_sig::SecretKey),
    #[cfg(any(test, feature = "sim"))]
    Null(null::Lanes),
}

impl SecretKey {
    /// Derives the key of a seed. The seed must be secret and used for nothing else.
    pub fn from_seed(scheme: Scheme, seed: &[u8; 32]) -> SecretKey {
        match scheme {
            Scheme::Bls => {
                let secret = blst::min_sig::SecretKey::key_gen(seed, &[]).expect("32 bytes");
                let public = PublicKeyBytes(secret.sk_to_pk().compress());
                SecretKey { secret: Secret::Bls(secret), public }
            }
            #[cfg(any(test, feature = "sim"))]
            Scheme::Null => {
                let public = PublicKeyBytes(null::public_key(seed));
                let lanes = null::decode_key(&public.0).expect("made by null");
                SecretKey { secret: Secret::Null(lanes), public }
            }
        }
    }

    /// The public key of this key.
    pub fn public(&self) -> PublicKeyBytes {
        self.public
    }

    /// Signs `message`. Deterministic: one key has exactly one valid signature on a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.sign_in(Domain::Message, message)
    }

    /// Proves that the secret of [`SecretKey::public`] is known, as a validator set demands.
    pub fn prove_possession(&self) -> Signature {
        self.sign_in(Domain::Possession, &self.public.0)
    }

    fn sign_in(&self, domain: Domain, message: &[u8]) -> Signature {
        match &self.secret {
            Secret::Bls(secret) => Signature::from_point(secret.sign(message, domain.tag(), &[])),
            #[cfg(any(test, feature = "sim"))]
            Secret::Null(key) => Signature::from_bytes(null::sign(*key, domain, message)),
        }
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
    Bls(KeyPoint),
    #[cfg(any(test, feature = "sim"))]
    Null(null::Lanes),
}

impl PublicKey {
    /// Decodes a key.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] unless the bytes are the canonical encoding of a point of the curve,
    /// [`KeyError::Group`] if that point is the identity or outside the subgroup.
    pub fn decode(scheme: Scheme, bytes: &PublicKeyBytes) -> Result<PublicKey, KeyError> {
        let key = match scheme {
            Scheme::Bls => Key::Bls(KeyPoint::key_validate(&bytes.0).map_err(|e| match e {
                BLST_ERROR::BLST_PK_IS_INFINITY | BLST_ERROR::BLST_POINT_NOT_IN_GROUP => {
                    KeyError::Group
                }
                _ => KeyError::Encoding,
            })?),
            #[cfg(any(test, feature = "sim"))]
            Scheme::Null => Key::Null(null::decode_key(&bytes.0).ok_or(KeyError::Encoding)?),
        };
        Ok(PublicKey { bytes: *bytes, key })
    }

    /// The encoding.
    pub fn bytes(&self) -> &PublicKeyBytes {
        &self.bytes
    }

    /// True if `proof` was made by [`SecretKey::prove_possession`] for this key.
    pub fn verify_possession(&self, proof: &Signature) -> bool {
        self.check(Domain::Possession, &self.bytes.0, &mut proof.clone())
    }

    /// True if `signature` is this key's signature on `message`, canonically encoded. It then holds
    /// its decoded point, which later aggregation uses; else it is left as it was.
    pub fn verify(&self, message: &[u8], signature: &mut Signature) -> bool {
        self.check(Domain::Message, message, signature)
    }

    fn check(&self, domain: Domain, message: &[u8], signature: &mut Signature) -> bool {
        match &self.key {
            Key::Bls(key) => self.check_point(key, domain, message, signature),
            #[cfg(any(test, feature = "sim"))]
            Key::Null(key) => null::sign(*key, domain, message) == signature.bytes,
        }
    }

    fn check_point(
        &self,
        key: &KeyPoint,
        domain: Domain,
        message: &[u8],
        signature: &mut Signature,
    ) -> bool {
        #[cfg(feature = "sim")]
        if let Some(point) = memo::signature(domain, &self.bytes, message, &signature.bytes) {
            signature.point = Some(point);
            return true;
        }
        let Some(point) = signature.decoded() else { return false };
        let valid = pairing_holds(key, domain, message, &point);
        if valid {
            self.accept(domain, message, signature, point);
        }
        valid
    }

    /// Books a signature that was just verified.
    #[cfg_attr(not(feature = "sim"), expect(unused_variables, reason = "only the memo asks"))]
    fn accept(&self, domain: Domain, message: &[u8], signature: &mut Signature, point: Point) {
        signature.point = Some(point);
        #[cfg(feature = "sim")]
        memo::insert_signature(domain, &self.bytes, message, signature.bytes, point);
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

/// Adds signatures up. Verified ones cost 0.4 us each; one that carries no point yet is decoded and
/// checked to be in the subgroup first (50 us), but *not* verified.
///
/// `None` if there are none, if one is not a point (or of another scheme), or if the sum is the
/// identity, which no set of honest keys produces and which no check accepts.
pub fn aggregate<'a>(signatures: impl IntoIterator<Item = &'a Signature>) -> Option<Signature> {
    let mut signatures = signatures.into_iter();
    let first = signatures.next()?;
    #[cfg(any(test, feature = "sim"))]
    if null::is_null(&first.bytes) {
        let sum = signatures.try_fold(first.bytes, |sum, next| null::add(sum, &next.bytes));
        return sum.map(Signature::from_bytes);
    }
    let mut sum = AggregateSignature::from_signature(&first.decoded()?);
    for next in signatures {
        sum.add_signature(&next.decoded()?, false).expect("without a check there is no error");
    }
    let sum = Signature::from_point(sum.to_signature());
    (!is_identity(&sum.bytes)).then_some(sum)
}

/// True if `aggregate` is the sum of one signature on `message` by each of `keys` (a key listed
/// twice must have been added twice). One pairing check, whatever the number of keys.
///
/// False for an empty list and for the identity. Only sound for keys whose possession was proved.
pub fn verify_aggregate(keys: &[&PublicKey], message: &[u8], aggregate: &Signature) -> bool {
    let mut points = Vec::with_capacity(keys.len());
    for key in keys {
        match &key.key {
            Key::Bls(point) => points.push(point),
            #[cfg(any(test, feature = "sim"))]
            Key::Null(_) => return verify_null_aggregate(keys, message, aggregate),
        }
    }
    #[cfg(feature = "sim")]
    if memo::aggregate(keys, message, &aggregate.bytes) {
        return true;
    }
    let Some(point) = aggregate.decoded() else { return false };
    let Ok(sum) = AggregatePublicKey::aggregate(&points, false) else { return false };
    let valid = pairing_holds(&sum.to_public_key(), Domain::Message, message, &point);
    #[cfg(feature = "sim")]
    if valid {
        memo::insert_aggregate(keys, message, aggregate.bytes);
    }
    valid
}

#[cfg(any(test, feature = "sim"))]
fn verify_null_aggregate(keys: &[&PublicKey], message: &[u8], aggregate: &Signature) -> bool {
    let lanes = keys.iter().map(|key| match &key.key {
        Key::Null(lanes) => Some(*lanes),
        Key::Bls(_) => None,
    });
    let lanes: Option<Vec<_>> = lanes.collect();
    lanes.and_then(|lanes| null::sign_together(lanes.into_iter(), message)) == Some(aggregate.bytes)
}

/// The pairing check. The caller has checked that both points are in their subgroups.
fn pairing_holds(key: &KeyPoint, domain: Domain, message: &[u8], point: &Point) -> bool {
    point.verify(false, message, domain.tag(), &[], key, false) == BLST_ERROR::BLST_SUCCESS
}

/// True for the compressed encoding of the point at infinity.
pub(super) fn is_identity(bytes: &[u8; SIGNATURE_BYTES]) -> bool {
    bytes[0] & 0x40 != 0
}

fn short_hex(f: &mut fmt::Formatter<'_>, what: &str, bytes: &[u8]) -> fmt::Result {
    f.write_str(what)?;
    bytes[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
}
