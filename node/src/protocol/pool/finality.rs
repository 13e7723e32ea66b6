//! What is final, what is skipped by finality, and in which order blocks go out (protocol 6.7).
//!
//! A direct finalization decides one slot. Hash links then decide its ancestors, and the slots
//! between a block and its parent are skipped. The links may be missing (the block was never
//! received), so resolution stops there and resumes when the block arrives; decisions are
//! *absorbing*, a late NO or FI never changes one (K7).
//!
//! The root is the tip of the contiguous decided and stored prefix. It moves exactly when blocks
//! can be delivered in chain order without a gap, so moving the root and delivering are one act.
//!
//! A node that was away for a week learns of a finalization a million slots ahead. It must believe
//! it (its votes concern later slots only), but holding a million slots of decisions is no option.
//! So decisions and links are held near the root and near the highest finalized slot only; the
//! gap is filled from peers in ranges as the root moves up. If there is nothing in the gap, because
//! the cluster skipped more slots than are held, peers say so, and hash links lead over it.

use crate::protocol::params::{HELD_BELOW_FINAL_SLOTS, MAX_HELD_SLOTS};
use crate::protocol::rules::rule;
use crate::protocol::types::{BlockId, Hash, Slot};
use std::collections::BTreeMap;

/// The final state of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decided {
    /// This block is final.
    Block(Hash),
    /// A final block's parent link passes over the slot.
    Skipped,
}

/// What a call changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// The block is final as an ancestor of a final block.
    Ancestor(BlockId),
    /// The slot is skipped by finality.
    Skipped(Slot),
    /// The block is final, but not stored: it must be repaired.
    Missing(BlockId),
    /// The next block of the chain in order: the root moved to it.
    Delivered(BlockId),
    /// A decision contradicts an earlier one: more than a fifth of the stake is byzantine.
    Contradiction(Slot),
}

/// Decided slots above the root, known parents, and the two marks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Finality {
    root: BlockId,
    highest: BlockId,
    decided: BTreeMap<Slot, Decided>,
    parents: BTreeMap<BlockId, BlockId>,
    /// A final block beyond the held range, where peers know of none within it; or its ancestor.
    beyond: Option<BlockId>,
}

impl Finality {
    /// Starts from a final, delivered block (genesis at first).
    pub fn new(root: BlockId) -> Finality {
        Finality {
            root,
            highest: root,
            decided: BTreeMap::new(),
            parents: BTreeMap::new(),
            beyond: None,
        }
    }

    /// Tip of the contiguous decided and stored prefix; everything up to it is delivered.
    pub fn root(&self) -> BlockId {
        self.root
    }

    /// The highest directly finalized block.
    pub fn highest(&self) -> BlockId {
        self.highest
    }

    /// The decision for `slot`, if it lies above the root and is decided. The root itself counts.
    pub fn decided(&self, slot: Slot) -> Option<Decided> {
        if slot == self.root.slot {
            return Some(Decided::Block(self.root.hash));
        }
        if slot == self.highest.slot {
            return Some(Decided::Block(self.highest.hash));
        }
        self.decided.get(&slot).copied()
    }

    /// Lowest slot whose votes and certificates still matter: above the root, and not far below
    /// the highest finalized slot (nothing older than that is ever needed, Theorem 1).
    pub fn floor(&self) -> Slot {
        let below = Slot(self.highest.slot.0.saturating_sub(HELD_BELOW_FINAL_SLOTS));
        self.root.slot.next().max(below)
    }

    /// True if blocks of `slot` are held: near above the root, or near the head.
    pub fn holds(&self, slot: Slot) -> bool {
        slot > self.root.slot
            && (slot <= self.root.slot.plus(MAX_HELD_SLOTS)
                || slot >= self.floor()
                || self.beyond.is_some_and(|beyond| beyond.slot == slot))
    }

    /// True if `block` is known to be final and not below the root.
    pub fn is_final(&self, block: BlockId) -> bool {
        self.decided(block.slot) == Some(Decided::Block(block.hash))
    }

    /// True if `block` is stored (its parent is known).
    pub fn is_stored(&self, block: BlockId) -> bool {
        block == self.root || self.parents.contains_key(&block)
    }

    /// The parent of a stored block above the root.
    pub fn parent(&self, block: BlockId) -> Option<BlockId> {
        self.parents.get(&block).copied()
    }

    /// Stored blocks of `slot`.
    pub fn stored(&self, slot: Slot) -> impl Iterator<Item = (BlockId, BlockId)> + '_ {
        let (low, high) = (BlockId::new(slot, Hash([0; 32])), BlockId::new(slot, Hash([255; 32])));
        self.parents.range(low..=high).map(|(block, parent)| (*block, *parent))
    }

    /// Registers a stored block. Idempotent; ignored at or below the root.
    pub fn add_block(&mut self, block: BlockId, parent: BlockId, out: &mut Vec<Change>) {
        if !self.holds(block.slot) || self.parents.contains_key(&block) {
            return;
        }
        debug_assert!(parent.slot < block.slot, "validity rule 2 is checked before storing");
        self.parents.insert(block, parent);
        if self.beyond == Some(block) {
            self.bridge(out);
        } else if self.is_final(block) {
            self.resolve(block, out);
        }
    }

    /// Finalizes `block` directly. Returns false if its slot was decided as this block before (the
    /// mark may still move), or is below the root.
    pub fn finalize(&mut self, block: BlockId, out: &mut Vec<Change>) -> bool {
        let known = self.is_final(block);
        if block.slot > self.highest.slot {
            self.highest = block;
            self.forget();
        }
        if block.slot > self.root.slot.plus(MAX_HELD_SLOTS) {
            rule!("finality.far");
            return !known;
        }
        if block.slot <= self.root.slot {
            if block.slot == self.root.slot && block.hash != self.root.hash {
                out.push(Change::Contradiction(block.slot));
            }
            return false;
        }
        let fresh = self.decide(block.slot, Decided::Block(block.hash), out);
        if fresh {
            self.resolve(block, out);
        }
        fresh
    }

    /// True if the slot is further above the root than slots are held.
    pub fn is_beyond(&self, slot: Slot) -> bool {
        slot > self.root.slot.plus(MAX_HELD_SLOTS)
    }

    /// Peers say that nothing is final between the root and this final block, which lies beyond what
    /// is held: the root gets there by hash links alone.
    pub fn reach(&mut self, block: BlockId, out: &mut Vec<Change>) {
        let far = self.is_beyond(block.slot);
        if far && self.beyond.is_none_or(|beyond| beyond.slot > block.slot) {
            self.beyond = Some(block);
        }
        if far {
            self.bridge(out);
        }
    }

    /// Goes on from the block beyond the held range down to the root, as far as its ancestors are
    /// stored, and moves the root over the gap.
    fn bridge(&mut self, out: &mut Vec<Change>) {
        while let Some(block) = self.beyond {
            let Some(&parent) = self.parents.get(&block) else {
                out.push(Change::Missing(block));
                return;
            };
            if parent == self.root {
                rule!("finality.bridge");
                out.extend(parent.slot.after_to(block.slot.previous()).map(Change::Skipped));
                out.push(Change::Delivered(block));
                (self.root, self.beyond) = (block, None);
                return self.advance(out);
            }
            if parent.slot <= self.root.slot {
                out.push(Change::Contradiction(parent.slot));
                self.beyond = None;
                return;
            }
            out.push(Change::Ancestor(parent));
            if parent.slot <= self.root.slot.plus(MAX_HELD_SLOTS) {
                // The rest of the way is an ordinary one; the gap is crossed when the root is there.
                if self.decide(parent.slot, Decided::Block(parent.hash), out) {
                    self.resolve(parent, out);
                }
                return;
            }
            self.beyond = Some(parent);
        }
    }

    /// Records a decision; true if the slot was undecided.
    fn decide(&mut self, slot: Slot, decision: Decided, out: &mut Vec<Change>) -> bool {
        let known = match self.decided.get(&slot) {
            Some(known) => Some(*known),
            None if slot <= self.root.slot => self.decided(slot),
            None => None,
        };
        if known.is_some_and(|known| known != decision) || self.contradicts_highest(slot, decision)
        {
            out.push(Change::Contradiction(slot));
        } else if known.is_none() {
            self.decided.insert(slot, decision);
            return true;
        }
        false
    }

    fn contradicts_highest(&self, slot: Slot, decision: Decided) -> bool {
        slot == self.highest.slot && decision != Decided::Block(self.highest.hash)
    }

    /// Drops what lies in neither held range.
    fn forget(&mut self) {
        let root = self.root;
        self.decided = self.decided.split_off(&root.slot.next());
        self.parents = self.parents.split_off(&BlockId::new(root.slot.next(), Hash([0; 32])));
        let (low, high) = (root.slot.plus(MAX_HELD_SLOTS), self.floor());
        if low < high {
            let beyond = self.beyond;
            self.decided.retain(|slot, _| *slot <= low);
            self.parents.retain(|block, _| {
                block.slot <= low || block.slot >= high || Some(*block) == beyond
            });
        }
    }

    /// Follows hash links from the final block `block` down to what is known to be final.
    fn resolve(&mut self, mut block: BlockId, out: &mut Vec<Change>) {
        loop {
            let Some(&parent) = self.parents.get(&block) else {
                rule!("finality.missing");
                out.push(Change::Missing(block));
                break;
            };
            for slot in parent.slot.max(self.root.slot).after_to(block.slot.previous()) {
                if self.decide(slot, Decided::Skipped, out) {
                    rule!("finality.skip");
                    out.push(Change::Skipped(slot));
                }
            }
            if parent.slot < self.root.slot
                || !self.decide(parent.slot, Decided::Block(parent.hash), out)
            {
                if parent.slot < self.root.slot {
                    out.push(Change::Contradiction(parent.slot));
                }
                break;
            }
            rule!("finality.ancestor");
            out.push(Change::Ancestor(parent));
            block = parent;
        }
        self.advance(out);
    }

    /// Moves the root over every decided and stored slot and says which blocks go out.
    fn advance(&mut self, out: &mut Vec<Change>) {
        let mut slot = self.root.slot.next();
        loop {
            match self.decided.get(&slot) {
                Some(Decided::Skipped) => {}
                Some(&Decided::Block(hash)) => {
                    let block = BlockId::new(slot, hash);
                    match self.parents.get(&block) {
                        Some(&parent) if parent == self.root => {
                            self.root = block;
                            out.push(Change::Delivered(block));
                        }
                        Some(_) => {
                            out.push(Change::Contradiction(slot));
                            break;
                        }
                        None => break,
                    }
                }
                None => break,
            }
            slot = slot.next();
        }
        self.forget();
        if let Some(beyond) = self.beyond {
            match beyond.slot <= self.root.slot.plus(MAX_HELD_SLOTS) {
                true => {
                    self.beyond = None;
                    if beyond.slot > self.root.slot
                        && self.decide(beyond.slot, Decided::Block(beyond.hash), out)
                    {
                        self.resolve(beyond, out);
                    }
                }
                false if self.parents.get(&beyond) == Some(&self.root) => self.bridge(out),
                false => {}
            }
        }
        let highest = self.highest;
        if self.holds(highest.slot)
            && highest.slot <= self.root.slot.plus(MAX_HELD_SLOTS)
            && self.decide(highest.slot, Decided::Block(highest.hash), out)
        {
            self.resolve(highest, out);
        }
    }

    /// Final blocks that are not stored, lowest slot first.
    pub fn missing(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.decided.iter().filter_map(|(&slot, decided)| match decided {
            Decided::Block(hash) => {
                let block = BlockId::new(slot, *hash);
                (!self.parents.contains_key(&block)).then_some(block)
            }
            Decided::Skipped => None,
        })
    }

    /// Number of entries held above the root.
    pub fn size(&self) -> usize {
        self.decided.len() + self.parents.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(slot: u64) -> BlockId {
        BlockId::new(Slot(slot), Hash([slot as u8 + 1; 32]))
    }

    fn genesis() -> BlockId {
        BlockId::new(Slot(0), Hash([9; 32]))
    }

    /// A quarter of an hour in which everything was skipped: more slots than are held. One block in
    /// between is final as an ancestor only.
    #[test]
    fn a_gap_wider_than_what_is_held_is_crossed_by_links() {
        let far = BlockId::new(Slot(MAX_HELD_SLOTS + 500), Hash([7; 32]));
        let between = BlockId::new(Slot(MAX_HELD_SLOTS + 400), Hash([8; 32]));
        for order in [[far, between], [between, far]] {
            let mut finality = Finality::new(genesis());
            let mut out = Vec::new();
            finality.finalize(far, &mut out);
            let parents = [(far, between), (between, genesis())];
            let parent = |block| parents.iter().find(|(child, _)| *child == block).unwrap().1;
            finality.add_block(far, between, &mut out);
            finality.add_block(between, genesis(), &mut out);
            assert_eq!(finality.root(), genesis(), "nobody has said that there is nothing else");
            out.clear();
            finality.reach(far, &mut out);
            let missing: Vec<_> = finality.beyond.into_iter().collect();
            for block in missing.into_iter().chain(order) {
                finality.add_block(block, parent(block), &mut out);
            }
            assert_eq!(finality.root(), far);
            let delivered = |change: &&Change| matches!(change, Change::Delivered(_));
            let delivered: Vec<_> = out.iter().filter(delivered).copied().collect();
            assert_eq!(delivered, [Change::Delivered(between), Change::Delivered(far)]);
            let skipped = out.iter().filter(|change| matches!(change, Change::Skipped(_))).count();
            assert_eq!(skipped as u64, MAX_HELD_SLOTS + 498);
            assert_eq!((finality.size(), finality.beyond), (0, None));
        }
    }

    /// The block that peers name may have ancestors within the held range: those go out first.
    #[test]
    fn a_far_block_waits_for_its_near_ancestor() {
        let far = BlockId::new(Slot(MAX_HELD_SLOTS + 500), Hash([7; 32]));
        let mut finality = Finality::new(genesis());
        let mut out = Vec::new();
        finality.finalize(far, &mut out);
        finality.reach(far, &mut out);
        assert_eq!(out, [Change::Missing(far)]);
        out.clear();
        finality.add_block(far, block(9), &mut out);
        assert_eq!(out, [Change::Ancestor(block(9)), Change::Missing(block(9))]);
        finality.add_block(block(9), genesis(), &mut out);
        assert_eq!(finality.root(), far);
    }

    #[test]
    fn a_chain_with_a_gap_waits_for_its_missing_block() {
        let mut finality = Finality::new(genesis());
        let mut out = Vec::new();
        finality.add_block(block(5), block(2), &mut out);
        assert!(finality.finalize(block(5), &mut out));
        assert_eq!(
            out,
            [
                Change::Skipped(Slot(3)),
                Change::Skipped(Slot(4)),
                Change::Ancestor(block(2)),
                Change::Missing(block(2))
            ]
        );
        assert_eq!(finality.root(), genesis());
        out.clear();
        finality.add_block(block(2), genesis(), &mut out);
        assert_eq!(
            out,
            [Change::Skipped(Slot(1)), Change::Delivered(block(2)), Change::Delivered(block(5))]
        );
        assert_eq!((finality.root(), finality.size()), (block(5), 0));
    }

    #[test]
    fn decisions_are_absorbing() {
        let mut finality = Finality::new(genesis());
        let mut out = Vec::new();
        finality.finalize(block(4), &mut out);
        out.clear();
        let other = BlockId::new(Slot(4), Hash([77; 32]));
        assert!(!finality.finalize(other, &mut out));
        assert_eq!(out, [Change::Contradiction(Slot(4))]);
        assert!(finality.is_final(block(4)) && !finality.is_final(other));
    }

    /// A proof far ahead moves the mark only; its slot is decided when the root comes near.
    #[test]
    fn a_far_proof_is_believed_but_not_held() {
        let mut finality = Finality::new(genesis());
        let mut out = Vec::new();
        let far = BlockId::new(Slot(MAX_HELD_SLOTS + 2), Hash([3; 32]));
        assert!(finality.finalize(far, &mut out));
        assert!(finality.is_final(far) && !finality.finalize(far, &mut out));
        assert_eq!((finality.highest(), finality.size()), (far, 0));
        for slot in 1..=2 {
            finality.add_block(block(slot), if slot == 1 { genesis() } else { block(1) }, &mut out);
        }
        finality.finalize(block(2), &mut out);
        assert!(out.ends_with(&[Change::Delivered(block(2)), Change::Missing(far)]));
    }

    #[test]
    fn finality_below_the_mark_does_not_lower_it() {
        let mut finality = Finality::new(genesis());
        let mut out = Vec::new();
        finality.finalize(block(9), &mut out);
        finality.finalize(block(4), &mut out);
        assert_eq!(finality.highest(), block(9));
        assert_eq!(finality.missing().collect::<Vec<_>>(), [block(4), block(9)]);
    }

    /// The root only moves over blocks that link to it: a fork that more than a fifth of byzantine
    /// stake finalized is reported, not delivered.
    #[test]
    fn a_final_block_off_the_chain_is_not_delivered() {
        let mut finality = Finality::new(genesis());
        let mut out = Vec::new();
        finality.add_block(block(1), genesis(), &mut out);
        finality.add_block(block(2), block(1), &mut out);
        finality.finalize(block(2), &mut out);
        assert_eq!(finality.root(), block(2));
        out.clear();
        finality.add_block(block(3), block(1), &mut out);
        finality.finalize(block(3), &mut out);
        assert!(out.contains(&Change::Contradiction(Slot(1))));
        assert_eq!(finality.root(), block(2));
    }
}
