//! Blocks, slices and shreds (protocol 2).
//!
//! A block is a sequence of slices; each is erasure-coded into 64 shreds, and the hash of the
//! block is the root of a second Merkle tree over the slice roots. So a single shred proves that
//! it belongs to its slice, and a single slice root proves that it belongs to its block, and both
//! can be fetched from anybody.
//!
//! A leader signs one [`Commitment`] per slice. Signing two different ones for the same place, or
//! two last slices, or a slice that does not decode, is proof of misbehaviour.

use super::bounded::BoundedBytes;
use super::committee::Committee;
use super::params::{
    MAX_SHRED_BYTES, MAX_SLICE_BYTES, MAX_TRANSACTION_BYTES, SHRED_TREE_HEIGHT,
    TRANSACTION_LIFETIME_SLOTS,
};
use super::types::{BlockId, Hash, Slot};
use crate::crypto::erasure::{self, Encoded};
use crate::crypto::{ed25519, merkle};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::sync::Arc;

/// What a leader signs for one slice.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, BorshSerialize, BorshDeserialize,
)]
pub struct Commitment {
    /// The slot of the block.
    pub slot: Slot,
    /// Position of the slice, from 0.
    pub slice: u8,
    /// True for the last slice of the block (z).
    pub last: bool,
    /// Merkle root over the 64 pieces.
    pub root: Hash,
}

/// One piece of a slice with all that is needed to check it alone.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub struct Shred {
    /// The slice it belongs to.
    pub commitment: Commitment,
    /// The leader's signature over the commitment.
    pub signature: ed25519::Signature,
    /// Which piece, below 64.
    pub index: u8,
    /// The piece.
    pub piece: BoundedBytes<MAX_SHRED_BYTES>,
    /// Its path to the root.
    pub path: [Hash; SHRED_TREE_HEIGHT],
}

/// A shred without its piece and path: all that decides whether the rest is worth reading. It is
/// how an encoded shred begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, BorshDeserialize)]
pub struct ShredHead {
    /// As in [`Shred`].
    pub commitment: Commitment,
    /// As in [`Shred`].
    pub signature: ed25519::Signature,
    /// As in [`Shred`].
    pub index: u8,
}

/// A decoded slice.
#[derive(Clone, Debug)]
pub struct Slice {
    /// What the leader committed to.
    pub commitment: Commitment,
    /// The leader's signature over it.
    pub signature: ed25519::Signature,
    /// Payload, pieces and paths; shared.
    pub encoded: Arc<Encoded>,
}

/// The identity of a transaction: the hash of its bytes.
pub type TransactionId = Hash;

/// Opaque bytes that ask to be ordered, with the last slot that may hold them (2.4).
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub struct Transaction {
    /// The last slot of a block that may hold it.
    pub valid_until: Slot,
    /// What is ordered.
    pub payload: BoundedBytes<{ MAX_TRANSACTION_BYTES - 10 }>,
}

impl Transaction {
    /// H over all bytes.
    pub fn id(&self) -> TransactionId {
        Hash::of("ag/transaction", &[&self.valid_until.0.to_le_bytes(), &self.payload])
    }

    /// Bytes it takes in a slice.
    pub fn encoded_len(&self) -> usize {
        10 + self.payload.len()
    }

    /// True if a block of `slot` may hold it: not too late and not absurdly early.
    pub fn is_valid_in(&self, slot: Slot) -> bool {
        slot <= self.valid_until
            && self.valid_until.0.saturating_sub(TRANSACTION_LIFETIME_SLOTS) <= slot.0
    }
}

/// What one slice carries: possibly a statement of the parent, and transactions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload {
    /// The parent. The first slice must state it; one later slice of the first block of a window
    /// may state another (the parent switch).
    pub parent: Option<BlockId>,
    /// The transactions in order.
    pub transactions: Vec<Transaction>,
}

impl Payload {
    /// Bytes of a payload with a parent statement and no transaction; at most so many are not
    /// available for transactions.
    pub const OVERHEAD: usize = 41;

    /// Encodes; the caller keeps within [`MAX_SLICE_BYTES`].
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = borsh::to_vec(&self.parent).expect("writing to memory does not fail");
        for transaction in &self.transactions {
            transaction.serialize(&mut bytes).expect("writing to memory does not fail");
        }
        assert!(bytes.len() <= MAX_SLICE_BYTES, "the producer overfilled a slice");
        bytes
    }

    /// Decodes; the payloads of the transactions share `bytes`. `None` if malformed.
    pub fn decode(bytes: &Bytes) -> Option<Payload> {
        let mut reader = &bytes[..];
        let parent = Option::<BlockId>::deserialize(&mut reader).ok()?;
        let mut at = bytes.len() - reader.len();
        let mut transactions = Vec::new();
        while at < bytes.len() {
            let header = bytes.get(at..at + 10)?;
            let valid_until = Slot(u64::from_le_bytes(header[..8].try_into().ok()?));
            let length = usize::from(u16::from_le_bytes([header[8], header[9]]));
            at += 10;
            if at + length > bytes.len() {
                return None;
            }
            let payload = BoundedBytes::new(bytes.slice(at..at + length)).ok()?;
            transactions.push(Transaction { valid_until, payload });
            at += length;
        }
        Some(Payload { parent, transactions })
    }
}

/// A complete, valid block.
#[derive(Clone, Debug)]
pub struct Block {
    id: BlockId,
    parent: BlockId,
    slices: Vec<Slice>,
    tree: merkle::Tree,
    transactions: Vec<(TransactionId, Transaction)>,
    switched: bool,
}

/// Why complete slices do not make a valid block (2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BlockError {
    /// A payload does not decode.
    #[error("malformed payload in slice {0}")]
    Payload(u8),
    /// The first slice states no parent.
    #[error("no parent")]
    NoParent,
    /// The parent is not earlier, or not the previous slot where it must be.
    #[error("parent {0} is not acceptable in this slot")]
    Parent(BlockId),
    /// A second statement of the parent where none is allowed, or of the same parent.
    #[error("parent switch in slice {0}")]
    Switch(u8),
    /// Slots, positions or last flags of the slices do not fit together.
    #[error("the slices do not form a sequence")]
    Sequence,
}

impl Commitment {
    /// The bytes that the leader signs.
    pub fn signed_bytes(&self, committee: &Committee) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(b"ag/slice");
        bytes.extend_from_slice(&committee.cluster().0);
        self.serialize(&mut bytes).expect("writing to memory does not fail");
        bytes
    }

    /// Checks that the genesis allows a slice at this position, and the signature of the slot's
    /// leader. Pure.
    pub fn verify(&self, committee: &Committee, signature: &ed25519::Signature) -> bool {
        if self.slice >= committee.params().max_slices {
            return false;
        }
        let leader = committee.leader(self.slot.window());
        let key = committee.slice_key(leader).expect("the leader is a member");
        key.verify(&self.signed_bytes(committee), signature)
    }
}

impl Shred {
    /// The shred without piece and path.
    pub fn head(&self) -> ShredHead {
        ShredHead { commitment: self.commitment, signature: self.signature, index: self.index }
    }

    /// Checks index, piece and path against the root that the commitment names. Pure.
    pub fn verify_piece(&self) -> bool {
        erasure::check_piece(&self.commitment.root, self.index, &self.piece, &self.path)
    }
}

impl Slice {
    /// Shred `index` of the slice.
    pub fn shred(&self, index: u8) -> Shred {
        let path = self.encoded.path(index);
        Shred {
            commitment: self.commitment,
            signature: self.signature,
            index,
            piece: BoundedBytes::new(self.encoded.piece(index)).expect("pieces are within the cap"),
            path: path.try_into().expect("the tree over 64 pieces has height 6"),
        }
    }
}

impl Block {
    /// Assembles and checks a block from all its slices in order (2.3).
    pub fn new(slices: Vec<Slice>) -> Result<Block, BlockError> {
        let slot = slices.first().ok_or(BlockError::Sequence)?.commitment.slot;
        let count = slices.len();
        let sequence = |(t, slice): (usize, &Slice)| {
            let c = slice.commitment;
            c.slot == slot && usize::from(c.slice) == t && c.last == (t + 1 == count)
        };
        if !slices.iter().enumerate().all(sequence) {
            return Err(BlockError::Sequence);
        }
        let mut parent = None;
        let mut switched = false;
        let mut transactions = Vec::new();
        for (t, slice) in (0u8..).zip(&slices) {
            let payload =
                Payload::decode(&slice.encoded.payload()).ok_or(BlockError::Payload(t))?;
            if t == 0 && payload.parent.is_none() {
                return Err(BlockError::NoParent);
            }
            if let Some(stated) = payload.parent {
                let allowed = t == 0 || (slot.is_first() && !switched && parent != Some(stated));
                if !allowed {
                    return Err(BlockError::Switch(t));
                }
                if stated.slot >= slot || (!slot.is_first() && stated.slot != slot.previous()) {
                    return Err(BlockError::Parent(stated));
                }
                if t > 0 {
                    switched = true;
                    transactions.clear(); // what came before the switch is not executed
                }
                parent = Some(stated);
            }
            transactions.extend(payload.transactions.into_iter().map(|t| (t.id(), t)));
        }
        let tree =
            merkle::Tree::new(slices.iter().map(|s| slice_leaf(s.commitment.root)).collect());
        Ok(Block {
            id: BlockId::new(slot, tree.root()),
            parent: parent.ok_or(BlockError::NoParent)?,
            slices,
            tree,
            transactions,
            switched,
        })
    }

    /// Slot and hash.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// The effective parent: the last one stated.
    pub fn parent(&self) -> BlockId {
        self.parent
    }

    /// The slices in order.
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// The transactions on the effective parent with their ids, in order. Delivery leaves out repeated and
    /// expired ones.
    pub fn transactions(&self) -> &[(TransactionId, Transaction)] {
        &self.transactions
    }

    /// True if the leader switched the parent.
    pub fn has_switch(&self) -> bool {
        self.switched
    }

    /// The path from the root of slice `t` to the block hash.
    pub fn path(&self, t: u8) -> Vec<Hash> {
        self.tree.path(u32::from(t))
    }
}

/// The leaf of the block tree for a slice with this root.
pub fn slice_leaf(root: Hash) -> Hash {
    merkle::leaf(&root.0)
}

#[cfg(test)]
pub mod tests;
