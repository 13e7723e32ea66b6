//! The oracles' own arithmetic over what one incarnation knew.
//!
//! The product keeps its sums and sets incrementally, because it must be fast; that is where it
//! can be wrong (a vote counted twice, a walk that ends too early, an event that is never
//! re-evaluated). Here everything is counted again from the plain facts, each time from nothing,
//! in the most literal way. That is slow and is done only when a vote or an event claims it.

use super::Scene;
use super::history::NodeHistory;
use alpenglow_node::protocol::types::{BlockId, Hash, NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;
use std::collections::{BTreeMap, BTreeSet};

/// True for N and S.
pub fn is_initial(kind: VoteKind) -> bool {
    matches!(kind, VoteKind::Notar(_) | VoteKind::Skip)
}

/// Stake behind the initial votes that a Pool has stored for one slot.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// The own initial vote, once it is stored.
    pub own: Option<VoteKind>,
    /// Stake with S.
    pub skip: u128,
    /// Stake with N, by block.
    pub notar: BTreeMap<Hash, u128>,
}

impl Counts {
    /// Counts the stored votes of `slot` in the Pool of `me`, each validator by its first initial
    /// vote only.
    pub fn of(scene: &Scene, me: NodeId, about: &NodeHistory, slot: Slot) -> Counts {
        let mut counts = Counts::default();
        let mut counted = BTreeSet::new();
        let stored = about.votes.get(&slot).into_iter().flatten();
        for (voter, kind) in stored.filter(|(_, kind)| is_initial(*kind)) {
            if !counted.insert(*voter) {
                continue;
            }
            let stake = scene.stake_of([*voter]);
            match kind {
                VoteKind::Notar(hash) => *counts.notar.entry(*hash).or_default() += stake,
                _ => counts.skip += stake,
            }
            if *voter == me {
                counts.own = Some(*kind);
            }
        }
        counts
    }

    /// The stake condition of SafeToNotar: 40 % for the block, or 20 % for it and 60 % together
    /// with the skips.
    pub fn allow_notar_fallback(&self, scene: &Scene, hash: Hash) -> bool {
        let notar = self.notar.get(&hash).copied().unwrap_or(0);
        scene.at_least(notar, 2) || scene.at_least(notar, 1) && scene.at_least(notar + self.skip, 3)
    }

    /// The stake condition of SafeToSkip: 40 % voted for something else than the strongest block.
    pub fn allow_skip_fallback(&self, scene: &Scene) -> bool {
        let strongest = self.notar.values().max().copied().unwrap_or(0);
        scene.at_least(self.skip + self.notar.values().sum::<u128>() - strongest, 2)
    }
}

/// NFplus: certified, final, or genesis.
pub fn is_certified(scene: &Scene, about: &NodeHistory, block: BlockId) -> bool {
    block == scene.genesis || about.is_certified(block)
}

/// Whether `parent` is in ready(`first`).
pub fn is_ready(scene: &Scene, about: &NodeHistory, first: Slot, parent: BlockId) -> bool {
    if first == Slot(1) {
        return parent == scene.genesis;
    }
    parent.slot < first
        && is_certified(scene, about, parent)
        && parent.slot.after_to(first.previous()).all(|slot| about.is_skipped(slot))
}

/// The whole set ready(`first`).
pub fn ready(scene: &Scene, about: &NodeHistory, first: Slot) -> BTreeSet<BlockId> {
    let mut parents = BTreeSet::new();
    for slot in (0..first.0).rev().map(Slot) {
        parents.extend(about.certified_in(slot));
        if slot == Slot::GENESIS {
            parents.insert(scene.genesis);
        }
        if !about.is_skipped(slot) {
            break;
        }
    }
    parents
}
