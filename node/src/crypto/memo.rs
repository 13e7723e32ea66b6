//! Real cryptography at mock speed: what one simulated node verified, the others need not.
//!
//! The problem: twenty nodes in one process check the same vote twenty times, and a run spends nine
//! tenths of its time in pairings. Switching the checks off would be fast, and blind: the forged
//! vote that some byzantine node sends would count.
//!
//! Our way: verification is a pure function, so the process remembers answers. Three rules keep
//! it honest. An entry is keyed by *everything* the answer depends on, compared byte by byte, never
//! by a digest. Only a real computation makes an entry. And only good answers are remembered, so
//! every forged or damaged input meets the real computation. Thus memo on and memo off give the same
//! answers, and a test shows it. What is remembered:
//!
//! - signatures, with the decoded point;
//! - aggregates, if each signer's signature on the message is remembered and their sum is exactly this
//!   aggregate (additions, no pairing), or after a real pairing check;
//! - the encoding of each slice root, which answers piece checks by comparison and decoding by
//!   handing out the same encoding again;
//! - digests of datagram bodies, and what they say once they are decoded. All receivers of a
//!   broadcast hold the one buffer of its sender, which nobody can write to; here the buffer itself
//!   is the key, and not a copy of its bytes;
//! - the key that two nodes share, which both would compute.
//!
//! Not remembered: the hash of a message to the curve. It is 7 % of a verification, and this happens
//! once per signature in the whole process.
//!
//! The memo belongs to the thread (a simulation is one thread), starts switched off, and forgets what
//! is [`GENERATIONS`] generations old. It holds hash maps, which is harmless: nothing here ever
//! depends on the order of iteration, and the hasher is fixed.

use super::bls::{self, Domain, Point, PublicKeyBytes, SIGNATURE_BYTES};
use super::erasure::{DATA_PIECES, Encoded, PIECES};
use super::mac::{self, DIGEST_BYTES};
use super::{Hash, ed25519};
use blst::min_sig::AggregateSignature;
use bytes::Bytes;
use std::any::Any;
use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// How many calls of [`next_generation`] an entry outlives.
pub const GENERATIONS: u64 = 8;
/// The most messages (for each use of BLS) and the most Ed25519 signatures that are remembered. A
/// kind that is full forgets everything and starts again.
pub const MAX_MESSAGES: usize = 1 << 13;
/// The most encodings that are remembered (70 KB each). When full, all are forgotten.
pub const MAX_ENCODINGS: usize = 1 << 10;
/// The most datagram bodies that are remembered: each new one takes the place of an older one.
const MAX_BODIES: usize = 1 << 12;
/// The most pairs of nodes whose shared keys are remembered.
const MAX_PAIRS: usize = 1 << 16;

#[expect(clippy::disallowed_types, reason = "fixed hasher, and iteration only drops entries")]
type Map<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Fold>>;

/// How often one kind of question was answered from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Answered from memory.
    pub hits: u64,
    /// Left to the real computation.
    pub misses: u64,
    /// Entries held now.
    pub size: usize,
}

/// What the memo of this thread did since it was switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// BLS signatures and proofs of possession. `size` counts signed messages.
    pub signatures: Count,
    /// BLS aggregates. They live with the message they are on; `size` is 0.
    pub aggregates: Count,
    /// Ed25519 signatures.
    pub ed25519: Count,
    /// Pieces of slices. `size` counts remembered encodings.
    pub pieces: Count,
    /// Decoded slices, from the same encodings; `size` is 0.
    pub decodes: Count,
    /// Digests of datagram bodies.
    pub digests: Count,
}

/// Switches the memo of this thread on or off. Either way it starts empty, with [`Stats`] at zero.
pub fn set_enabled(enabled: bool) {
    MEMO.with_borrow_mut(|memo| *memo = enabled.then(Memo::default));
}

/// True between `set_enabled(true)` and `set_enabled(false)`.
pub fn is_enabled() -> bool {
    MEMO.with_borrow(Option::is_some)
}

/// Drops entries that were not made during the last [`GENERATIONS`] generations. To be called as
/// the root advances. Never changes an answer.
pub fn next_generation() {
    ask(|memo| {
        memo.generation += 1;
        let oldest = memo.generation.saturating_sub(GENERATIONS - 1);
        memo.messages.iter_mut().for_each(|kind| kind.retain(|_, entry| entry.born >= oldest));
        memo.ed25519.retain(|_, entry| entry.born >= oldest);
        memo.encodings.retain(|_, entry| entry.0 >= oldest);
        Some(())
    });
}

/// Hits, misses and sizes since the memo was switched on; all zero while it is off.
pub fn stats() -> Stats {
    ask(|memo| {
        let mut stats = memo.stats;
        stats.signatures.size = memo.messages.iter().map(Map::len).sum();
        stats.ed25519.size = memo.ed25519.len();
        stats.pieces.size = memo.encodings.len();
        stats.digests.size = memo.bodies.iter().flatten().count();
        Some(stats)
    })
    .unwrap_or_default()
}

#[derive(Default)]
struct Memo {
    generation: u64,
    stats: Stats,
    /// Per [`Domain`]: what is known about a signed message.
    messages: [Map<Box<[u8]>, Message>; 2],
    ed25519: Map<[u8; 64], Ordinary>,
    encodings: Map<Hash, (u64, Arc<Encoded>)>,
    bodies: Vec<Option<Body>>,
    shared_keys: Map<Pair, [u8; 32]>,
}

/// Everything verified about one message.
#[derive(Default)]
struct Message {
    born: u64,
    /// The valid signature of each signer. (There is only one per key and message.)
    signatures: Map<PublicKeyBytes, ([u8; SIGNATURE_BYTES], Point)>,
    /// Valid aggregates with their signers, in the order in which they were asked for.
    aggregates: Map<[u8; SIGNATURE_BYTES], Box<[PublicKeyBytes]>>,
}

/// A datagram body and its digest. While it is held here, its memory holds no other bytes.
struct Body {
    bytes: Bytes,
    digest: [u8; DIGEST_BYTES],
    /// What a successful decoding made of it.
    decoded: Option<Box<dyn Any>>,
}

/// Two public keys, the smaller one first, and a context.
type Pair = ([mac::PublicKey; 2], Box<[u8]>);

/// The rest of the key of a verified Ed25519 signature.
struct Ordinary {
    born: u64,
    key: ed25519::PublicKeyBytes,
    message: Box<[u8]>,
}

thread_local! {
    static MEMO: RefCell<Option<Memo>> = const { RefCell::new(None) };
}

/// Asks the memo, which knows nothing while it is off.
fn ask<T>(question: impl FnOnce(&mut Memo) -> Option<T>) -> Option<T> {
    MEMO.with_borrow_mut(|memo| memo.as_mut().and_then(question))
}

impl Count {
    fn note<T>(&mut self, answer: Option<T>) -> Option<T> {
        *(if answer.is_some() { &mut self.hits } else { &mut self.misses }) += 1;
        answer
    }
}

/// The point of a signature that is known to be valid.
pub(super) fn signature(
    domain: Domain,
    key: &PublicKeyBytes,
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Option<Point> {
    ask(|memo| {
        let known = memo.messages[domain as usize].get(message);
        let known = known.and_then(|known| known.signatures.get(key));
        let answer = known.filter(|known| known.0 == *signature).map(|known| known.1);
        memo.stats.signatures.note(answer)
    })
}

/// Remembers a signature that was verified by a pairing.
pub(super) fn insert_signature(
    domain: Domain,
    key: &PublicKeyBytes,
    message: &[u8],
    signature: [u8; SIGNATURE_BYTES],
    point: Point,
) {
    ask(|memo| {
        memo.message(domain, message).signatures.insert(*key, (signature, point));
        Some(())
    });
}

/// True if this aggregate is known to be valid, or follows from signatures that are.
pub(super) fn aggregate(
    keys: &[&bls::PublicKey],
    message: &[u8],
    aggregate: &[u8; SIGNATURE_BYTES],
) -> bool {
    let answer = ask(|memo| {
        let Some(known) = memo.messages[Domain::Message as usize].get_mut(message) else {
            return memo.stats.aggregates.note(None);
        };
        let signers = keys.iter().map(|key| key.bytes());
        if known.aggregates.get(aggregate).is_some_and(|known| known.iter().eq(signers)) {
            return memo.stats.aggregates.note(Some(()));
        }
        let answer = known.sum(keys).filter(|sum| sum == aggregate).map(|_| ());
        if answer.is_some() {
            known.aggregates.insert(*aggregate, keys.iter().map(|key| *key.bytes()).collect());
        }
        memo.stats.aggregates.note(answer)
    });
    answer.is_some()
}

/// Remembers an aggregate that was verified by a pairing.
pub(super) fn insert_aggregate(
    keys: &[&bls::PublicKey],
    message: &[u8],
    aggregate: [u8; SIGNATURE_BYTES],
) {
    ask(|memo| {
        let signers = keys.iter().map(|key| *key.bytes()).collect();
        memo.message(Domain::Message, message).aggregates.insert(aggregate, signers);
        Some(())
    });
}

/// True if this Ed25519 signature is known to be valid.
pub(super) fn ed25519(
    key: &ed25519::PublicKeyBytes,
    message: &[u8],
    signature: &ed25519::Signature,
) -> bool {
    let answer = ask(|memo| {
        let known = memo.ed25519.get(&signature.0);
        let same = known.filter(|known| known.key == *key && *known.message == *message);
        memo.stats.ed25519.note(same.map(|_| ()))
    });
    answer.is_some()
}

/// Remembers an Ed25519 signature that was verified.
pub(super) fn insert_ed25519(
    key: &ed25519::PublicKeyBytes,
    message: &[u8],
    signature: &ed25519::Signature,
) {
    ask(|memo| {
        make_room(&mut memo.ed25519, MAX_MESSAGES);
        let entry = Ordinary { born: memo.generation, key: *key, message: message.into() };
        memo.ed25519.insert(signature.0, entry);
        Some(())
    });
}

/// True if `root` was encoded here, to this piece and this path.
pub(super) fn piece(root: &Hash, index: u8, piece: &[u8], path: &[Hash]) -> bool {
    let answer = ask(|memo| {
        let known = memo.encodings.get(root);
        let same = known.filter(|(_, known)| {
            usize::from(index) < PIECES
                && known.has_piece(index, piece)
                && known.has_path(index, path)
        });
        memo.stats.pieces.note(same.map(|_| ()))
    });
    answer.is_some()
}

/// The encoding of `root`, if it is known and all of `pieces` (32 or more) are pieces of it.
pub(super) fn decoded(root: &Hash, pieces: &[(u8, Bytes)]) -> Option<Arc<Encoded>> {
    debug_assert!(pieces.len() >= DATA_PIECES, "the caller counts");
    ask(|memo| {
        let known = memo.encodings.get(root);
        let same = known.filter(|(_, known)| {
            pieces.iter().all(|(i, piece)| usize::from(*i) < PIECES && known.has_piece(*i, piece))
        });
        memo.stats.decodes.note(same.map(|(_, known)| known.clone()))
    })
}

/// Remembers the encoding that a real encode or decode made.
pub(super) fn insert_encoded(encoded: &Arc<Encoded>) {
    ask(|memo| {
        make_room(&mut memo.encodings, MAX_ENCODINGS);
        memo.encodings.insert(encoded.root(), (memo.generation, encoded.clone()));
        Some(())
    });
}

/// The digest of `body`, if it is one of the buffers that were made last.
pub(super) fn digest(body: &[u8]) -> Option<[u8; DIGEST_BYTES]> {
    ask(|memo| {
        let digest = memo.body(body).map(|known| known.digest);
        memo.stats.digests.note(digest)
    })
}

/// Remembers the digest of a buffer.
pub(super) fn insert_digest(body: &Bytes, digest: [u8; DIGEST_BYTES]) {
    ask(|memo| {
        memo.bodies.resize_with(MAX_BODIES, || None);
        let body_of = Body { bytes: body.clone(), digest, decoded: None };
        memo.bodies[place_of(body)] = Some(body_of);
        Some(())
    });
}

/// What this buffer was decoded to, if it is known.
pub(crate) fn decoded_body<T: Clone + 'static>(body: &[u8]) -> Option<T> {
    ask(|memo| memo.body(body)?.decoded.as_ref()?.downcast_ref().cloned())
}

/// Remembers what a buffer was decoded to, if the buffer is known.
pub(crate) fn insert_decoded_body<T: Clone + 'static>(body: &[u8], decoded: &T) {
    ask(|memo| {
        memo.body(body)?.decoded = Some(Box::new(decoded.clone()));
        Some(())
    });
}

/// The key that the holders of these two keys share in this context.
pub(super) fn shared_key(pair: [mac::PublicKey; 2], context: &[u8]) -> Option<[u8; 32]> {
    ask(|memo| memo.shared_keys.get(&(pair, context.into())).copied())
}

/// Remembers a shared key that one of them has computed.
pub(super) fn insert_shared_key(pair: [mac::PublicKey; 2], context: &[u8], key: [u8; 32]) {
    ask(|memo| {
        make_room(&mut memo.shared_keys, MAX_PAIRS);
        memo.shared_keys.insert((pair, context.into()), key);
        Some(())
    });
}

impl Memo {
    /// What is known of a buffer: of this one, not of one with the same bytes.
    fn body(&mut self, body: &[u8]) -> Option<&mut Body> {
        let known = self.bodies.get_mut(place_of(body))?.as_mut();
        known.filter(|known| std::ptr::eq(&*known.bytes, body))
    }

    /// The entry of a message that something new was learned about.
    fn message(&mut self, domain: Domain, message: &[u8]) -> &mut Message {
        let messages = &mut self.messages[domain as usize];
        make_room(messages, MAX_MESSAGES);
        let entry = messages.entry(message.into()).or_default();
        entry.born = self.generation;
        entry
    }
}

impl Message {
    /// The sum of the signatures of all `keys`, if all are known. Never the identity, which no
    /// check accepts.
    fn sum(&self, keys: &[&bls::PublicKey]) -> Option<[u8; SIGNATURE_BYTES]> {
        let mut points = keys.iter().map(|key| Some(&self.signatures.get(key.bytes())?.1));
        let mut sum = AggregateSignature::from_signature(points.next()??);
        for point in points {
            sum.add_signature(point?, false).expect("without a check there is no error");
        }
        let sum = sum.to_signature().compress();
        (!bls::is_identity(&sum)).then_some(sum)
    }
}

/// Keeps one kind below its cap.
fn make_room<K, V>(map: &mut Map<K, V>, cap: usize) {
    if map.len() >= cap {
        map.clear();
    }
}

/// Where a body is remembered. The address decides only who is forgotten, never an answer.
fn place_of(body: &[u8]) -> usize {
    let mut hasher = Fold::default();
    hasher.write_usize(body.as_ptr().addr());
    hasher.finish() as usize % MAX_BODIES
}

/// A small fixed hash for tables; it only has to spread well, equality is checked on the bytes.
#[derive(Default)]
struct Fold(u64);

impl Fold {
    fn fold(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in words.by_ref() {
            self.fold(u64::from_le_bytes(word.try_into().expect("8 bytes")));
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        self.fold(u64::from_le_bytes(last));
    }

    fn write_usize(&mut self, n: usize) {
        self.fold(n as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
