//! What lying leaders share: taking the own slices back before they leave, changing them, signing
//! them again, and sending them past or through the relays.

use super::tools::Tools;
use alpenglow_node::crypto::{Hash, erasure, merkle};
use alpenglow_node::protocol::block::{Commitment, Payload, Shred, Slice, Transaction, slice_leaf};
use alpenglow_node::protocol::bounded::BoundedBytes;
use alpenglow_node::protocol::params::{MAX_SLICE_BYTES, TOTAL_SHREDS};
use alpenglow_node::protocol::rotor;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::wire::{Message, Signed, Unsigned};
use alpenglow_node::protocol::{Effect, Recipients};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every index of a piece.
pub fn all_pieces() -> std::ops::Range<u8> {
    0..TOTAL_SHREDS as u8
}

/// Takes the slices that the honest leader sends now out of its effects.
pub fn take_slices(tools: &Tools, effects: &mut Vec<Effect>) -> Vec<Slice> {
    let mut slices: BTreeMap<Commitment, (Arc<Shred>, Vec<_>)> = BTreeMap::new();
    effects.retain(|effect| {
        let Effect::Send { message: Message::Shred(shred), .. } = effect else { return true };
        let c = shred.commitment;
        if tools.committee.leader(c.slot.window()) != tools.me {
            return true;
        }
        let entry = slices.entry(c).or_insert_with(|| (shred.clone(), Vec::new()));
        entry.1.push((shred.index, shred.piece.bytes().clone()));
        false
    });
    let whole = |(commitment, (shred, pieces)): (Commitment, (Arc<Shred>, Vec<_>))| {
        let encoded = erasure::decode(&commitment.root, &pieces).ok()?;
        Some(Slice { commitment, signature: shred.signature, encoded })
    };
    slices.into_iter().filter_map(whole).collect()
}

/// What a slice says.
pub fn payload(slice: &Slice) -> Payload {
    Payload::decode(&slice.encoded.payload()).expect("an honest slice decodes")
}

/// A signed slice that says something else in the same place.
pub fn resign(tools: &Tools, commitment: Commitment, payload: &Payload) -> Slice {
    let encoded = erasure::encode(&payload.encode()).expect("the payload is within the cap");
    let commitment = Commitment { root: encoded.root(), ..commitment };
    Slice { commitment, signature: signature(tools, commitment), encoded }
}

/// The own signature over any commitment.
pub fn signature(
    tools: &Tools,
    commitment: Commitment,
) -> alpenglow_node::crypto::ed25519::Signature {
    match tools.sign_object(Unsigned::Commitment(commitment)) {
        Signed::Commitment(_, signature) => signature,
        Signed::Vote(_) => unreachable!("a commitment was to be signed"),
    }
}

/// A transaction that makes two slices differ.
pub fn mark(slot: Slot, number: u64) -> Transaction {
    let bytes = [slot.0.to_le_bytes(), number.to_le_bytes()].concat();
    let payload = BoundedBytes::new(bytes.into()).expect("16 bytes fit");
    Transaction { valid_until: slot.plus(10), payload }
}

/// Sends one shred to its relay, as an honest leader does.
pub fn to_relay(tools: &mut Tools, shred: Shred) {
    let c = shred.commitment;
    let relay = rotor::relays(&tools.committee, c.slot, c.slice)[usize::from(shred.index)];
    let message = Message::Shred(Arc::new(shred));
    match relay == tools.me {
        true => tools.send(&tools.others.clone(), message),
        false => tools.send(&[relay], message),
    }
}

/// Sends pieces of a slice to their relays.
pub fn through_relays(tools: &mut Tools, slice: &Slice, pieces: impl Iterator<Item = u8>) {
    pieces.for_each(|index| to_relay(tools, slice.shred(index)));
}

/// Pieces that `to` does not forward, because it is not their relay.
pub fn unrelayed(tools: &Tools, slice: &Slice, to: NodeId) -> Vec<u8> {
    let relays = rotor::relays(&tools.committee, slice.commitment.slot, slice.commitment.slice);
    all_pieces().filter(|index| relays[usize::from(*index)] != to).collect()
}

/// Sends enough pieces straight to each receiver, and none that it would forward.
pub fn quietly(tools: &mut Tools, slice: &Slice, to: &[NodeId]) {
    for &node in to {
        for index in unrelayed(tools, slice, node).into_iter().take(34) {
            tools.send(&[node], Message::Shred(Arc::new(slice.shred(index))));
        }
    }
}

/// The same at another time.
pub fn quietly_at(
    tools: &mut Tools,
    at: alpenglow_node::protocol::types::Time,
    slice: &Slice,
    to: &[NodeId],
) {
    for &node in to {
        for index in unrelayed(tools, slice, node).into_iter().take(34) {
            tools.send_at(at, &[node], Message::Shred(Arc::new(slice.shred(index))));
        }
    }
}

/// A chain of own blocks that goes along with the honest one and differs from it.
#[derive(Debug, Default)]
pub struct Fork {
    roots: BTreeMap<Slot, Vec<Hash>>,
    ids: BTreeMap<Slot, BlockId>,
}

impl Fork {
    /// Notes a slice of this chain; the block's identity with its last slice.
    pub fn note(&mut self, slice: &Slice) -> Option<BlockId> {
        let c = slice.commitment;
        let roots = self.roots.entry(c.slot).or_default();
        roots.push(c.root);
        if !c.last {
            return None;
        }
        let leaves = roots.iter().copied().map(slice_leaf).collect();
        let id = BlockId::new(c.slot, merkle::Tree::new(leaves).root());
        self.ids.insert(c.slot, id);
        let floor = Slot(c.slot.0.saturating_sub(16));
        self.roots = self.roots.split_off(&floor);
        self.ids = self.ids.split_off(&floor);
        Some(id)
    }

    /// The slice of this chain for an honest one: on the own block of the slot before, and changed.
    pub fn follow(
        &mut self,
        tools: &Tools,
        honest: &Slice,
        change: impl FnOnce(&mut Payload),
    ) -> Slice {
        let slot = honest.commitment.slot;
        let mut payload = payload(honest);
        if let Some(parent) = &mut payload.parent
            && !slot.is_first()
            && let Some(own) = self.ids.get(&slot.previous())
        {
            *parent = *own;
        }
        change(&mut payload);
        let bytes = |payload: &Payload| -> usize {
            payload.transactions.iter().map(Transaction::encoded_len).sum()
        };
        while Payload::OVERHEAD + bytes(&payload) > MAX_SLICE_BYTES {
            payload.transactions.remove(0);
        }
        resign(tools, honest.commitment, &payload)
    }
}

/// Recipients without some of them; `None` if nobody is left.
pub fn without(to: &Recipients, left_out: &[NodeId]) -> Option<Recipients> {
    let kept: Vec<NodeId> =
        to.as_slice().iter().copied().filter(|node| !left_out.contains(node)).collect();
    (!kept.is_empty()).then(|| super::tools::many(&kept))
}
