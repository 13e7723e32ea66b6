//! Blokstor: collects shreds into slices and slices into blocks (protocol 3.4, 4).
//!
//! Each slot has one *Rotor spot*, fed by shreds as they come, and any number (within a cap) of
//! complete blocks, from Rotor or from repair. The Rotor spot trusts the first signed commitment
//! it sees for each slice; a second, different one is proof that the leader lies, and then the
//! spot is given up for good, unless the block is complete already. Pieces of different roots are
//! never mixed. A slice that does not decode to its own root is the same kind of proof.
//!
//! Relay duty is decided here too, because "first valid shred at these indices" is what this file
//! knows: [`Blokstor::add_shred`] says whether the shred was new.

use super::block::{Block, Commitment, Shred, Slice};
use super::params::{DATA_SHREDS, MAX_BLOCKS_PER_SLOT};
use super::rules::rule;
use super::types::{BlockId, Hash, Slot};
use crate::crypto::ed25519::Signature;
use crate::crypto::erasure;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a shred or slice brought about.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The first valid shred of the slot.
    FirstShred(Slot),
    /// The first block of the slot is complete through Rotor.
    Complete(Arc<Block>),
    /// The Rotor copy is given up: signed contradictions, a bad slice, or an invalid block.
    Invalid(Slot),
    /// The leader signed things that contradict each other.
    Equivocation(Slot),
}

/// What is known of a shred before its proofs are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Its commitment is new, or contradicts a known one: everything must be checked.
    New,
    /// Exactly its commitment and signature were verified before: the path is left to check.
    KnownCommitment,
    /// It is a repetition, or its slot is given up.
    Useless,
    /// Valid or not, its slice is decoded already; only a relay has use for it.
    Decoded,
}

#[derive(Debug)]
struct SliceSpot {
    commitment: Commitment,
    signature: Signature,
    seen: u64,
    pieces: Vec<(u8, Bytes)>,
    decoded: Option<Slice>,
}

#[derive(Debug, Default)]
struct RotorSpot {
    slices: BTreeMap<u8, SliceSpot>,
    last: Option<u8>,
    given_up: bool,
    equivocated: bool,
    complete: bool,
}

/// All blocks and partial blocks in memory.
#[derive(Debug, Default)]
pub struct Blokstor {
    rotor: BTreeMap<Slot, RotorSpot>,
    blocks: BTreeMap<BlockId, Arc<Block>>,
}

impl Blokstor {
    /// Says how much of `shred` is left to check. Cheap.
    pub fn standing(&self, shred: &Shred) -> Standing {
        let Some(spot) = self.rotor.get(&shred.commitment.slot) else { return Standing::New };
        let Some(slice) = spot.slices.get(&shred.commitment.slice) else {
            // Once the leader's lie is proved or the spot given up, a place that was never seen
            // has nothing to add, and must not cost a signature check for each repetition.
            let over = spot.given_up || spot.equivocated;
            return if over { Standing::Useless } else { Standing::New };
        };
        if slice.commitment != shred.commitment {
            // Proof of equivocation is worth checking once.
            return if spot.equivocated { Standing::Useless } else { Standing::New };
        }
        if spot.given_up || slice.seen >> shred.index & 1 == 1 {
            return Standing::Useless;
        }
        if slice.signature != shred.signature {
            return Standing::New;
        }
        if slice.decoded.is_some() { Standing::Decoded } else { Standing::KnownCommitment }
    }

    /// Takes a verified shred. True if it is the first valid one at its indices, and the slot is
    /// not given up: then its relay forwards it.
    pub fn add_shred(&mut self, shred: &Shred, out: &mut Vec<Outcome>) -> bool {
        let commitment = shred.commitment;
        if !self.admit(commitment, shred.signature, out) {
            return false;
        }
        let spot = self.rotor.entry(commitment.slot).or_default();
        let slice = spot.slices.get_mut(&commitment.slice).expect("admitted above");
        let bit = 1u64 << shred.index;
        if slice.seen & bit != 0 {
            return false;
        }
        slice.seen |= bit;
        if slice.decoded.is_none() {
            slice.pieces.push((shred.index, shred.piece.bytes().clone()));
            if slice.pieces.len() >= DATA_SHREDS {
                self.decode(commitment, out);
            }
        }
        true
    }

    /// Takes a slice that this node made as leader.
    pub fn add_own_slice(&mut self, slice: Slice, out: &mut Vec<Outcome>) {
        let commitment = slice.commitment;
        if self.admit(commitment, slice.signature, out) {
            let spot = self.rotor.entry(commitment.slot).or_default();
            let entry = spot.slices.get_mut(&commitment.slice).expect("admitted above");
            entry.seen = u64::MAX;
            entry.decoded = Some(slice);
            self.complete(commitment.slot, out);
        }
    }

    /// Checks a verified commitment against what is known of the slot. False if it must not be
    /// used; contradictions are reported.
    fn admit(
        &mut self,
        commitment: Commitment,
        signature: Signature,
        out: &mut Vec<Outcome>,
    ) -> bool {
        let slot = commitment.slot;
        let fresh = !self.rotor.contains_key(&slot);
        let spot = self.rotor.entry(slot).or_default();
        let t = commitment.slice;
        let contradiction = match spot.slices.get(&t) {
            Some(known) => known.commitment != commitment,
            None => {
                let beyond_last = spot.last.is_some_and(|last| t > last || commitment.last);
                let not_last = commitment.last && spot.slices.keys().any(|&other| other > t);
                beyond_last || not_last
            }
        };
        if fresh {
            out.push(Outcome::FirstShred(slot));
        }
        if contradiction {
            if !spot.equivocated {
                rule!("blokstor.equivocation");
                spot.equivocated = true;
                out.push(Outcome::Equivocation(slot));
            }
            self.give_up(slot, out);
            return false;
        }
        if spot.given_up {
            return false;
        }
        if commitment.last {
            spot.last = Some(t);
        }
        spot.slices.entry(t).or_insert_with(|| SliceSpot {
            commitment,
            signature,
            seen: 0,
            pieces: Vec::new(),
            decoded: None,
        });
        true
    }

    fn give_up(&mut self, slot: Slot, out: &mut Vec<Outcome>) {
        let spot = self.rotor.entry(slot).or_default();
        if !spot.complete && !spot.given_up {
            spot.given_up = true;
            spot.slices.values_mut().for_each(|slice| slice.pieces = Vec::new());
            out.push(Outcome::Invalid(slot));
        }
    }

    fn decode(&mut self, commitment: Commitment, out: &mut Vec<Outcome>) {
        let spot = self.rotor.get_mut(&commitment.slot).expect("the caller has it");
        let slice = spot.slices.get_mut(&commitment.slice).expect("the caller has it");
        let pieces = std::mem::take(&mut slice.pieces);
        match erasure::decode(&commitment.root, &pieces) {
            Ok(encoded) => {
                slice.decoded = Some(Slice { commitment, signature: slice.signature, encoded });
                self.complete(commitment.slot, out);
            }
            Err(_) => {
                rule!("blokstor.bad_slice");
                if !spot.equivocated {
                    spot.equivocated = true;
                    out.push(Outcome::Equivocation(commitment.slot));
                }
                self.give_up(commitment.slot, out);
            }
        }
    }

    /// Assembles the block of the Rotor spot once its last slice is known and all are decoded.
    fn complete(&mut self, slot: Slot, out: &mut Vec<Outcome>) {
        let Some(spot) = self.rotor.get_mut(&slot) else { return };
        let Some(last) = spot.last else { return };
        if spot.complete || spot.given_up || spot.slices.len() != usize::from(last) + 1 {
            return;
        }
        let slices: Option<Vec<Slice>> =
            spot.slices.values().map(|slice| slice.decoded.clone()).collect();
        let Some(slices) = slices else { return };
        match Block::new(slices) {
            Ok(block) => {
                rule!("blokstor.complete");
                spot.complete = true;
                let block = Arc::new(block);
                self.insert(block.clone());
                out.push(Outcome::Complete(block));
            }
            Err(_) => {
                rule!("blokstor.invalid");
                self.give_up(slot, out);
            }
        }
    }

    /// Keeps a complete block (repaired, or from the store). False if it is held already or its
    /// slot is full.
    pub fn insert(&mut self, block: Arc<Block>) -> bool {
        let id = block.id();
        let (low, high) =
            (BlockId::new(id.slot, Hash([0; 32])), BlockId::new(id.slot, Hash([255; 32])));
        if self.blocks.contains_key(&id)
            || self.blocks.range(low..=high).count() >= MAX_BLOCKS_PER_SLOT
        {
            return false;
        }
        self.blocks.insert(id, block);
        true
    }

    /// The block, if in memory.
    pub fn get(&self, block: BlockId) -> Option<&Arc<Block>> {
        self.blocks.get(&block)
    }

    /// True once the Rotor copy of the slot is complete or given up: waiting for it is pointless.
    pub fn rotor_is_over(&self, slot: Slot) -> bool {
        self.rotor.get(&slot).is_some_and(|spot| spot.complete || spot.given_up)
    }

    /// What the Rotor spot has of the slice with this commitment: the leader's signature and verified
    /// pieces, all of them if it is decoded. For repair (section 9). A lying leader may have signed
    /// the same root with another last flag: that signature is no use.
    pub fn rotor_pieces(&self, wanted: &Commitment) -> Option<(Signature, Vec<(u8, Bytes)>)> {
        let spot = self.rotor.get(&wanted.slot)?.slices.get(&wanted.slice)?;
        if spot.commitment != *wanted {
            return None;
        }
        let pieces = match &spot.decoded {
            Some(slice) => (0..DATA_SHREDS as u8).map(|i| (i, slice.encoded.piece(i))).collect(),
            None => spot.pieces.clone(),
        };
        Some((spot.signature, pieces))
    }

    /// Forgets partial blocks below `floor` and complete blocks that `keep` does not name.
    pub fn prune(&mut self, floor: Slot, keep: impl Fn(BlockId) -> bool) {
        self.rotor = self.rotor.split_off(&floor);
        self.blocks.retain(|id, _| keep(*id));
    }

    /// Blocks and partial blocks in memory.
    pub fn size(&self) -> usize {
        self.rotor.len() + self.blocks.len()
    }
}

#[cfg(test)]
mod tests;
