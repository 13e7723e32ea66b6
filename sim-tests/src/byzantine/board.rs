//! The blackboard of the liars: what any of them knows, all of them know at once.
//!
//! Real attackers have a network of their own, faster than the one they attack. So the board needs
//! no messages. It outlives the incarnations of its users. It holds what they heard, nothing that
//! only an honest node knows.

use alpenglow_node::crypto::bls::Signature;
use alpenglow_node::protocol::certificate::SignedVote;
use alpenglow_node::protocol::stake::Stakes;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// Slots that the board remembers below the highest one that was heard of.
const KEPT_SLOTS: u64 = 64;
/// Who has not voted in so many slots is silent: down, or cut off.
const SILENT_SLOTS: u64 = 8;

/// What liars share.
#[derive(Debug, Default)]
pub struct Board {
    /// Faults of the plan that are in force, by index.
    pub active: BTreeSet<usize>,
    /// How often each lie really happened.
    pub deeds: BTreeMap<&'static str, u64>,
    /// Votes that somebody heard or cast, with their signatures.
    pub votes: BTreeMap<(Slot, VoteKind), BTreeMap<NodeId, Signature>>,
    /// Which of several blocks of a slot was given to whom.
    pub groups: BTreeMap<Slot, Vec<(BlockId, BTreeSet<NodeId>)>>,
    /// The newest slot in which somebody heard each node vote.
    heard: BTreeMap<NodeId, Slot>,
    /// The newest slot in which a correct node voted.
    highest: Slot,
}

impl Board {
    /// Remembers a vote. What a liar says about slots that are far ahead means nothing, and is not
    /// taken for where the cluster is.
    pub fn note_vote(&mut self, vote: &SignedVote, lies: bool) {
        let slot = vote.vote.slot;
        if lies && slot > self.highest.plus(KEPT_SLOTS) {
            return;
        }
        let newest = self.heard.entry(vote.signer).or_default();
        *newest = slot.max(*newest);
        let entry = self.votes.entry((slot, vote.vote.kind)).or_default();
        entry.insert(vote.signer, vote.signature.clone());
        if slot > self.highest && !lies {
            self.highest = slot;
            let floor = Slot(slot.0.saturating_sub(KEPT_SLOTS));
            self.votes = self.votes.split_off(&(floor, VoteKind::Notar(Default::default())));
            self.groups = self.groups.split_off(&floor);
        }
    }

    /// True if the node has voted of late, or nobody has yet.
    pub fn is_heard(&self, node: NodeId) -> bool {
        let newest = self.heard.get(&node).copied().unwrap_or_default();
        newest.plus(SILENT_SLOTS) >= self.highest
    }

    /// Stake behind a vote, without that of `except`.
    pub fn stake(&self, stakes: &Stakes, vote: Vote, except: &BTreeSet<NodeId>) -> u64 {
        let voters = self.votes.get(&(vote.slot, vote.kind)).into_iter().flat_map(|v| v.keys());
        voters.filter(|voter| !except.contains(voter)).map(|voter| stakes.of(*voter)).sum()
    }
}
