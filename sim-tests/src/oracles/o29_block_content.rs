//! O29: a stored block is what its name says (2.1, 2.2).
//!
//! > recomputed hash = key; all 64 pieces re-encode to each slice root; it is valid (2.3)
//!
//! A node that keeps something else under a block's name hands it to execution and to whoever
//! repairs from it. Looked at when a node writes a block to its store, which it does before it votes
//! for it and before it delivers it. Each content is judged once.
//!
//! Everything is worked out here a second time: padding, trees, parent statements, and the code. 64
//! bytes are a codeword of the systematic Reed-Solomon code if they are the values of one polynomial
//! of degree below 32 at the points 0 to 63 of GF(2^8). With v_i = 1 / prod over j != i of (i - j),
//! the sum of v_i·q(i)·c_i is then 0 for every q of degree up to 31. One q per slice, whose
//! coefficients are the bytes of the slice root, finds a wrong byte with probability 255/256 and a
//! wrong piece almost surely.

use super::schedule::{ENOUGH_PIECES, PIECES};
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::crypto::erasure::Encoded;
use alpenglow_node::protocol::block::Slice;
use alpenglow_node::protocol::types::{BlockId, Hash, NodeId, Slot};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The oracle.
#[derive(Debug, Default)]
pub struct BlockContent {
    /// Slices that were judged, by what they claim to be.
    slices: BTreeMap<(Slot, u8, Hash), Vec<Arc<Encoded>>>,
    floor: Slot,
}

impl BlockContent {
    /// True if this content was not judged before.
    fn is_new(&mut self, slot: Slot, slice: u8, encoded: &Arc<Encoded>) -> bool {
        let known = self.slices.entry((slot, slice, encoded.root())).or_default();
        if known.iter().any(|one| Arc::ptr_eq(one, encoded) || one == encoded) {
            return false;
        }
        known.push(encoded.clone());
        true
    }

    fn flaw(&mut self, block: BlockId, parent: BlockId, slices: &[Slice]) -> Option<String> {
        for (place, slice) in slices.iter().enumerate() {
            let (about, encoded) = (&slice.commitment, &slice.encoded);
            let fits = about.slot == block.slot
                && usize::from(about.slice) == place
                && about.last == (place + 1 == slices.len());
            if !fits {
                return Some(format!("slice {place} is signed as {about:?}"));
            }
            if encoded.root() != about.root {
                return Some(format!("slice {place} is not what its leader signed"));
            }
            if self.is_new(about.slot, about.slice, encoded)
                && let Some(flaw) = slice_flaw(encoded)
            {
                return Some(format!("slice {place}: {flaw}"));
            }
        }
        let leaves: Vec<Hash> = slices.iter().map(|s| leaf(&s.commitment.root.0)).collect();
        if leaves.is_empty() || root(leaves) != block.hash {
            return Some("its slices have another hash".into());
        }
        let stated: Vec<_> =
            slices.iter().map(|slice| stated_parent(&slice.encoded.payload())).collect();
        if let Some(flaw) = parent_flaw(block.slot, &stated) {
            return Some(flaw);
        }
        let effective = stated.into_iter().flatten().next_back();
        (effective != Some(parent)).then(|| format!("it states {effective:?} as its parent"))
    }
}

fn leaf(data: &[u8]) -> Hash {
    Hash::of("ag/merkle/leaf", &[data])
}

/// The root over these leaves, padded with empty ones to a power of two.
fn root(mut level: Vec<Hash>) -> Hash {
    level.resize(level.len().next_power_of_two(), Hash::of("ag/merkle/empty", &[]));
    while level.len() > 1 {
        let pair = |pair: &[Hash]| Hash::of("ag/merkle/node", &[&pair[0].0, &pair[1].0]);
        level = level.chunks(2).map(pair).collect();
    }
    level[0]
}

/// The parent that a slice states: a flag, a slot, a hash.
fn stated_parent(payload: &[u8]) -> Option<BlockId> {
    let (flag, rest) = payload.split_first()?;
    let slot = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let hash = Hash(rest.get(8..40)?.try_into().ok()?);
    (*flag == 1).then(|| BlockId::new(Slot(slot), hash))
}

/// What is wrong with the parents that the slices of a block of `slot` state (2.3): the first states
/// one; one later slice of the first slot of a window may state another; each is an earlier block,
/// and inside a window one of the slot before.
fn parent_flaw(slot: Slot, stated: &[Option<BlockId>]) -> Option<String> {
    if stated.first().copied().flatten().is_none() {
        return Some("its first slice states no parent".into());
    }
    let parents: Vec<BlockId> = stated.iter().copied().flatten().collect();
    let inside = !slot.0.is_multiple_of(4);
    let far = |p: &&BlockId| p.slot >= slot || inside && p.slot.0 + 1 != slot.0;
    if let Some(parent) = parents.iter().find(far) {
        return Some(format!("it states {parent} as a parent, which may not be one"));
    }
    let switches = parents.len() - 1;
    let may = switches == 0 || switches == 1 && !inside && parents[0] != parents[1];
    (!may).then(|| format!("it switches its parent {switches} times: {parents:?}"))
}

fn slice_flaw(encoded: &Encoded) -> Option<&'static str> {
    let pieces: Vec<_> = (0..PIECES as u8).map(|index| encoded.piece(index)).collect();
    let mut padded = encoded.payload().to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(2 * ENOUGH_PIECES), 0);
    let length = padded.len() / ENOUGH_PIECES;
    if pieces.iter().any(|piece| piece.len() != length) {
        return Some("its pieces have a wrong length");
    }
    if !padded.chunks(length).eq(pieces[..ENOUGH_PIECES].iter().map(|piece| &piece[..])) {
        return Some("its first pieces are not its payload");
    }
    let root_of_pieces = root(pieces.iter().map(|piece| leaf(piece)).collect());
    if root_of_pieces != encoded.root() {
        return Some("its pieces have another root");
    }
    (!is_codeword(&pieces, &encoded.root().0)).then_some("its pieces are no codeword")
}

/// Whether the pieces are a codeword, byte by byte, as far as this q can tell.
fn is_codeword<T: AsRef<[u8]>>(pieces: &[T], q: &[u8; 32]) -> bool {
    let field = Field::get();
    let mut sums = vec![0u8; pieces[0].as_ref().len()];
    for (i, piece) in (0u8..).zip(pieces) {
        let others = (0..PIECES as u8).filter(|j| *j != i);
        let product = others.fold(1, |product, j| field.times(product, i ^ j));
        let value = q.iter().rev().fold(0, |value, c| field.times(value, i) ^ c);
        let weight = field.times(field.inverse(product), value);
        let multiples: Vec<u8> = (0..=255).map(|byte| field.times(weight, byte)).collect();
        for (sum, byte) in sums.iter_mut().zip(piece.as_ref()) {
            *sum ^= multiples[usize::from(*byte)];
        }
    }
    sums.iter().all(|sum| *sum == 0)
}

/// GF(2^8) by the polynomial x^8 + x^4 + x^3 + x^2 + 1, in powers of x.
struct Field {
    power: [u8; 255],
    log: [u8; 256],
}

impl Field {
    fn get() -> &'static Field {
        static FIELD: OnceLock<Field> = OnceLock::new();
        FIELD.get_or_init(|| {
            let mut field = Field { power: [0; 255], log: [0; 256] };
            let mut element = 1u16;
            for exponent in 0..255u8 {
                field.power[usize::from(exponent)] = element as u8;
                field.log[usize::from(element)] = exponent;
                element <<= 1;
                if element > 255 {
                    element ^= 0x11d;
                }
            }
            field
        })
    }

    fn times(&self, a: u8, b: u8) -> u8 {
        let log = |element| usize::from(self.log[usize::from(element)]);
        if a == 0 || b == 0 { 0 } else { self.power[(log(a) + log(b)) % 255] }
    }

    fn inverse(&self, a: u8) -> u8 {
        self.power[(255 - usize::from(self.log[usize::from(a)])) % 255]
    }
}

impl Oracle for BlockContent {
    fn id(&self) -> &'static str {
        "O29"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Wrote { block, parent, slices } = fact else { return };
        if cx.history.floor > self.floor {
            self.floor = cx.history.floor;
            self.slices = self.slices.split_off(&(self.floor, 0, Hash::default()));
        }
        out.probe("judged-O29");
        if let Some(flaw) = self.flaw(block, parent, slices) {
            let detail = format!("n{node} stores {block} wrongly: {flaw}");
            out.report(cx, "O29", Some(block.slot), &[node], detail);
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::testing::*;
    use alpenglow_node::crypto::{ed25519, erasure};
    use alpenglow_node::protocol::block::{Block, Commitment, Payload};

    fn slice(slot: u64, place: u8, last: bool, parent: Option<BlockId>) -> Slice {
        let payload = Payload { parent, transactions: Vec::new() };
        let encoded = erasure::encode(&payload.encode()).expect("short");
        let root = encoded.root();
        let commitment = Commitment { slot: Slot(slot), slice: place, last, root };
        Slice { commitment, signature: ed25519::Signature([0; 64]), encoded }
    }

    fn made(slices: Vec<Slice>) -> Block {
        Block::new(slices).expect("a valid block")
    }

    fn found(block: BlockId, parent: BlockId, slices: &[Slice]) -> Vec<String> {
        let wrote = Fact::Wrote { block, parent, slices };
        World::watched_by("O29", &[1; 5]).fact(0, wrote).found()
    }

    #[test]
    fn blocks_of_one_and_many_slices_and_a_switch() {
        let parents = [Some(block(3, A)), None, Some(block(2, B)), None, None];
        for count in 1..=5usize {
            let slices = (0..count).map(|t| slice(4, t as u8, t + 1 == count, parents[t]));
            let block = made(slices.collect());
            let found = found(block.id(), block.parent(), block.slices());
            assert_eq!(found, NOTHING, "{count} slices");
        }
    }

    #[test]
    fn another_content_under_the_same_name() {
        let honest = || vec![slice(4, 0, false, Some(block(3, A))), slice(4, 1, true, None)];
        let name = made(honest()).id();
        let bend = |change: fn(&mut Vec<Slice>)| {
            let mut slices = honest();
            change(&mut slices);
            let found = found(name, block(3, A), &slices);
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        let other = bend(|slices| slices[1] = slice(4, 1, true, Some(block(2, B))));
        assert!(other.ends_with("its slices have another hash"), "{other}");
        let root = bend(|slices| slices[1].commitment.root = A);
        assert!(root.ends_with("slice 1 is not what its leader signed"), "{root}");
        let order = bend(|slices| slices.swap(0, 1));
        assert!(order.contains("slice 0 is signed as"), "{order}");
        let end = bend(|slices| slices[0].commitment.last = true);
        assert!(end.contains("slice 0 is signed as"), "{end}");
        let parent = found(name, block(2, C), &honest());
        assert!(parent[0].contains("it states Some(3:aaaaaaaa) as its parent"), "{parent:?}");
        assert_eq!(found(name, block(3, A), &[]).len(), 1, "nothing at all");
        assert_eq!(found(name, block(3, A), &honest()), NOTHING);
    }

    /// What a block may state about its parent, and each way to state it wrongly (2.3).
    #[test]
    fn parents_that_may_not_be() {
        let flaw = |slot: u64, stated: &[Option<BlockId>]| {
            parent_flaw(Slot(slot), stated).unwrap_or_default()
        };
        let (old, other, near) = (Some(block(2, A)), Some(block(2, B)), Some(block(4, A)));
        assert_eq!(flaw(4, &[old, None, None]), "");
        assert_eq!(flaw(4, &[old, None, other]), "", "one switch in a first slot");
        assert_eq!(flaw(5, &[near, None]), "");
        assert!(flaw(4, &[None, old]).contains("no parent"));
        assert!(flaw(4, &[near]).contains("4:aaaaaaaa as a parent"), "not an earlier block");
        assert!(flaw(6, &[near]).contains("4:aaaaaaaa as a parent"), "not the slot before");
        assert!(flaw(4, &[old, other, old]).contains("2 times"));
        assert!(flaw(4, &[old, old]).contains("1 times"), "to the same parent");
        assert!(flaw(5, &[near, Some(block(4, B))]).contains("1 times"), "inside a window");
    }

    /// Every single wrong byte in every piece of a short slice is found by this q or the next.
    #[test]
    fn no_codeword() {
        let encoded = erasure::encode(b"a slice of a hundred bytes or so, in 64 pieces of four")
            .expect("short");
        let pieces: Vec<Vec<u8>> = (0..64).map(|index| encoded.piece(index).to_vec()).collect();
        let qs = [*b"the coefficients of a polynomial", *b"and of another one: 32 more byte"];
        assert!(qs.iter().all(|q| is_codeword(&pieces, q)));
        for wrong in 0..64 {
            let mut pieces = pieces.clone();
            pieces[wrong][1] ^= 0x40;
            assert!(!qs.iter().all(|q| is_codeword(&pieces, q)), "piece {wrong}");
        }
    }
}
