//! ParentReady: on which blocks may a window be built? (protocol 6.4)
//!
//! ```text
//! ready(s) = { p : slot(p) < s, NFplus(p), and SkipPlus(x) for every slot(p) < x < s }
//! ```
//!
//! Both predicates only grow, so the set is kept incrementally. A new NFplus(p) walks forward
//! from p over skipped slots; a new SkipPlus(x) walks backward to collect the blocks it connects
//! and then forward with them. The walks end at the first slot that is not skipped, so they are
//! bounded by the certificates that honest validators made, never by what a peer claims.
//!
//! Several parents for one window are normal after faults: the leader picks one, voters take any.

use crate::protocol::bounded::{forget_below, forget_members_below};
use crate::protocol::rules::rule;
use crate::protocol::types::{BlockId, Hash, SLOTS_PER_WINDOW, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// A new element of ready(s): `parent` may be built on by the window that starts at `first`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ready {
    /// First slot of the window.
    pub first: Slot,
    /// The parent.
    pub parent: BlockId,
}

/// NFplus, SkipPlus and ready for all slots from the root on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Readiness {
    root: Slot,
    certified: BTreeMap<Slot, BTreeSet<Hash>>,
    skipped: BTreeSet<Slot>,
    ready: BTreeMap<Slot, BTreeSet<BlockId>>,
}

impl Readiness {
    /// Starts from a finalized block (genesis at first).
    pub fn new(root: BlockId) -> Readiness {
        Readiness {
            root: root.slot,
            certified: BTreeMap::from([(root.slot, BTreeSet::from([root.hash]))]),
            skipped: BTreeSet::new(),
            ready: BTreeMap::new(),
        }
    }

    /// Appends what the root alone makes ready: its own window start, or slot 1 for genesis, whose
    /// window has no slot 0 to start with (7.1).
    pub fn start(&mut self, out: &mut Vec<Ready>) {
        let roots: Vec<BlockId> =
            self.certified[&self.root].iter().map(|&hash| BlockId::new(self.root, hash)).collect();
        if self.root == Slot::GENESIS {
            for &parent in &roots {
                self.ready.entry(Slot(1)).or_default().insert(parent);
                out.push(Ready { first: Slot(1), parent });
            }
        }
        self.forward(self.root, &roots, out);
    }

    /// NFplus(p): a certificate for p is held, or p is final.
    pub fn is_certified(&self, block: BlockId) -> bool {
        self.certified.get(&block.slot).is_some_and(|hashes| hashes.contains(&block.hash))
    }

    /// True if any block of `slot` has NFplus.
    pub fn any_certified(&self, slot: Slot) -> bool {
        self.certified.contains_key(&slot)
    }

    /// SkipPlus(x): a skip certificate is held, or finality skipped x.
    pub fn is_skipped(&self, slot: Slot) -> bool {
        self.skipped.contains(&slot)
    }

    /// ready(s) for the first slot `s` of a window.
    pub fn parents(&self, first: Slot) -> impl Iterator<Item = BlockId> + '_ {
        self.ready.get(&first).into_iter().flatten().copied()
    }

    /// Records NFplus(p) and appends what became ready.
    pub fn certify(&mut self, block: BlockId, out: &mut Vec<Ready>) {
        if block.slot < self.root
            || !self.certified.entry(block.slot).or_default().insert(block.hash)
        {
            return;
        }
        self.forward(block.slot, &[block], out);
    }

    /// Records SkipPlus(x) and appends what became ready.
    pub fn skip(&mut self, slot: Slot, out: &mut Vec<Ready>) {
        if slot <= self.root || !self.skipped.insert(slot) {
            return;
        }
        let mut sources = Vec::new();
        for y in (self.root.0..slot.0).rev().map(Slot) {
            sources
                .extend(self.certified.get(&y).into_iter().flatten().map(|&h| BlockId::new(y, h)));
            if !self.skipped.contains(&y) {
                break;
            }
        }
        self.forward(slot, &sources, out);
    }

    /// Adds `sources` to every window start that is reached from `from` over skipped slots.
    fn forward(&mut self, from: Slot, sources: &[BlockId], out: &mut Vec<Ready>) {
        if sources.is_empty() {
            return;
        }
        let mut slot = from.next();
        loop {
            if slot.is_first() {
                for &parent in sources {
                    let set = self.ready.entry(slot).or_default();
                    if set.insert(parent) {
                        if set.len() == 1 {
                            rule!("ready.first");
                        } else {
                            rule!("ready.more");
                        }
                        if slot.0 - parent.slot.0 > SLOTS_PER_WINDOW {
                            rule!("ready.skips");
                        }
                        out.push(Ready { first: slot, parent });
                    }
                }
            }
            if !self.skipped.contains(&slot) {
                return;
            }
            slot = slot.next();
        }
    }

    /// Moves the root up to the final block `root` and forgets what lies below.
    pub fn prune(&mut self, root: BlockId) {
        self.root = root.slot;
        forget_below(&mut self.certified, &root.slot);
        let only = |hashes: &BTreeSet<Hash>| hashes.len() == 1 && hashes.contains(&root.hash);
        if !self.certified.get(&root.slot).is_some_and(only) {
            self.certified.insert(root.slot, BTreeSet::from([root.hash]));
        }
        forget_members_below(&mut self.skipped, &root.slot.next());
        forget_below(&mut self.ready, &root.slot);
    }

    /// Number of slots about which anything is held.
    pub fn size(&self) -> usize {
        self.certified.len() + self.skipped.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(slot: u64, hash: u8) -> BlockId {
        BlockId::new(Slot(slot), Hash([hash; 32]))
    }

    /// The definition of 6.4, evaluated naively.
    fn naive(
        certified: &BTreeSet<BlockId>,
        skipped: &BTreeSet<Slot>,
        firsts: &[u64],
    ) -> BTreeSet<Ready> {
        let mut all = BTreeSet::new();
        for &first in firsts {
            for &parent in certified {
                if parent.slot.0 < first
                    && (parent.slot.0 + 1..first).all(|x| skipped.contains(&Slot(x)))
                {
                    all.insert(Ready { first: Slot(first), parent });
                }
            }
        }
        all
    }

    #[derive(Clone, Debug)]
    enum Op {
        Certify(u64, u8),
        Skip(u64),
    }

    proptest! {
        /// Any order of certificates and skips gives the defined set, each element once.
        #[test]
        fn incremental_equals_definition(ops in proptest::collection::vec(
            prop_oneof![
                (1u64..20, 1u8..3).prop_map(|(s, h)| Op::Certify(s, h)),
                (1u64..20).prop_map(Op::Skip),
                (1u64..20).prop_map(Op::Skip),
            ], 0..60)) {
            let mut readiness = Readiness::new(block(0, 0));
            let (mut certified, mut skipped) = (BTreeSet::from([block(0, 0)]), BTreeSet::new());
            let mut out = Vec::new();
            for op in ops {
                match op {
                    Op::Certify(s, h) => { certified.insert(block(s, h)); readiness.certify(block(s, h), &mut out); }
                    Op::Skip(s) => { skipped.insert(Slot(s)); readiness.skip(Slot(s), &mut out); }
                }
                let expected = naive(&certified, &skipped, &[4, 8, 12, 16, 20]);
                prop_assert_eq!(out.iter().copied().collect::<BTreeSet<_>>(), expected);
                prop_assert_eq!(out.len(), out.iter().collect::<BTreeSet<_>>().len(), "emitted once");
            }
        }
    }

    #[test]
    fn a_parent_exactly_at_the_root_stays_ready_after_pruning() {
        let mut readiness = Readiness::new(block(0, 0));
        let mut out = Vec::new();
        readiness.certify(block(6, 1), &mut out);
        readiness.prune(block(6, 1));
        assert!(readiness.is_certified(block(6, 1)));
        readiness.skip(Slot(7), &mut out);
        assert_eq!(out, [Ready { first: Slot(8), parent: block(6, 1) }]);
    }
}
