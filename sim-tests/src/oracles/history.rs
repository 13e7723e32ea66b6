//! The shared memory of the oracles: plain facts, indexed.
//!
//! Two lifetimes matter. What an *identity* did (votes, deliveries, signed slices) counts over its
//! whole life, because a restart does not excuse an equivocation. What an *incarnation* knew
//! (votes in its Pool, certificates, blocks, ParentReady) starts anew with each start, because a
//! crash forgets it. Pruning inside the node is ignored: known once, known in that incarnation.

use super::{Fact, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, Vote, VoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// A block finalized by a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finalization {
    /// The block.
    pub block: BlockId,
    /// How.
    pub mode: Mode,
    /// When, in world time.
    pub at_ns: u64,
}

/// One identity over its whole life, and what its present incarnation knows.
#[derive(Clone, Debug, Default)]
pub struct NodeHistory {
    /// Running now.
    pub up: bool,
    /// Standing still now.
    pub paused: bool,
    /// The number of the present or last incarnation, from 1; 0 before the first.
    pub incarnation: u32,
    /// When that incarnation started.
    pub started_ns: u64,

    // Whole life.
    /// Votes in the order in which they became durable, with the time.
    pub cast: Vec<(u64, Vote)>,
    /// The same by slot.
    pub cast_in: BTreeMap<Slot, Vec<VoteKind>>,
    /// Delivered blocks in order: the ledger.
    pub out: Vec<BlockId>,
    /// Every finalization it reported, in order.
    pub finalized: Vec<Finalization>,

    // Present incarnation.
    /// Votes stored in its Pool.
    pub votes: BTreeMap<Slot, BTreeMap<NodeId, Vec<VoteKind>>>,
    /// Certificates in its Pool.
    pub certificates: BTreeMap<CertificateId, u64>,
    /// Blocks that it has stored, with their effective parents.
    pub blocks: BTreeMap<BlockId, BlockId>,
    /// ParentReady events, with the time.
    pub ready: BTreeMap<(Slot, BlockId), u64>,
    /// Slots that are final or skipped by finality, as reported.
    pub decided: BTreeMap<Slot, Option<BlockId>>,
    /// The highest directly finalized block known to it, reloaded or reported.
    pub highest: Option<BlockId>,
    /// The delivered tip when it started.
    pub start_tip: Option<BlockId>,
}

/// All nodes, and what is known of blocks anywhere.
#[derive(Clone, Debug)]
pub struct History {
    /// By node.
    pub nodes: Vec<NodeHistory>,
    /// The effective parent of every block that any correct node stored.
    pub parents: BTreeMap<BlockId, BlockId>,
}

impl History {
    /// Before the first fact.
    pub fn new(nodes: usize) -> History {
        History { nodes: vec![NodeHistory::default(); nodes], parents: BTreeMap::new() }
    }

    /// One node.
    pub fn of(&self, node: NodeId) -> &NodeHistory {
        &self.nodes[node.index()]
    }

    /// Correct nodes with their histories.
    pub fn correct<'a>(
        &'a self,
        scene: &'a Scene,
    ) -> impl Iterator<Item = (NodeId, &'a NodeHistory)> + 'a {
        (0u16..).map(NodeId).zip(&self.nodes).filter(|(node, _)| scene.correct[node.index()])
    }

    /// True if `ancestor` is `block` or is reached from it over known parent links.
    pub fn descends(&self, mut block: BlockId, ancestor: BlockId) -> bool {
        while block.slot > ancestor.slot {
            match self.parents.get(&block) {
                Some(parent) => block = *parent,
                None => return false,
            }
        }
        block == ancestor
    }

    /// True if the chain from `block` down to slot `slot` is known link by link.
    pub fn is_chain_known(&self, mut block: BlockId, slot: Slot) -> bool {
        while block.slot > slot {
            match self.parents.get(&block) {
                Some(parent) => block = *parent,
                None => return false,
            }
        }
        true
    }

    /// Takes one fact about a correct node.
    pub fn take(&mut self, at_ns: u64, node: NodeId, fact: Fact<'_>) {
        let parents = &mut self.parents;
        let me = &mut self.nodes[node.index()];
        match fact {
            Fact::Started(incarnation) => {
                *me = NodeHistory {
                    up: true,
                    incarnation,
                    started_ns: at_ns,
                    cast: std::mem::take(&mut me.cast),
                    cast_in: std::mem::take(&mut me.cast_in),
                    out: std::mem::take(&mut me.out),
                    finalized: std::mem::take(&mut me.finalized),
                    ..NodeHistory::default()
                };
            }
            Fact::Crashed => me.up = false,
            Fact::Paused(paused) => me.paused = paused,
            Fact::Sent(..) => {}
            Fact::Image(_, ledger) => {
                // Entries that became durable before their report are part of the ledger.
                if ledger.len() > me.out.len() && ledger.starts_with(&me.out) {
                    me.out = ledger.to_vec();
                }
            }
            Fact::Event(event) => me.take_event(at_ns, event, parents),
        }
    }
}

impl NodeHistory {
    fn take_event(&mut self, at_ns: u64, event: &Event, parents: &mut BTreeMap<BlockId, BlockId>) {
        match event {
            Event::VoteCast(vote) => {
                self.cast.push((at_ns, *vote));
                self.cast_in.entry(vote.slot).or_default().push(vote.kind);
            }
            Event::VoteStored(voter, vote) => {
                let voters = self.votes.entry(vote.slot).or_default();
                voters.entry(*voter).or_default().push(vote.kind);
            }
            Event::CertificateAdded { certificate, .. } => {
                self.certificates.entry(certificate.id).or_insert(at_ns);
            }
            Event::ParentReady(slot, parent) => {
                self.ready.entry((*slot, *parent)).or_insert(at_ns);
            }
            Event::BlockStored { block, parent, .. } => {
                self.blocks.insert(*block, *parent);
                parents.insert(*block, *parent);
            }
            Event::Finalized(block, mode) => {
                self.finalized.push(Finalization { block: *block, mode: *mode, at_ns });
                self.decided.insert(block.slot, Some(*block));
                if *mode != Mode::Indirect {
                    self.highest = self.highest.max(Some(*block));
                }
            }
            Event::SkippedByFinality(slot) => {
                self.decided.insert(*slot, None);
            }
            Event::Delivered { block, .. } => self.out.push(*block),
            Event::Reloaded { tip, highest, .. } => {
                self.start_tip = Some(*tip);
                self.highest = self.highest.max(Some(*highest));
            }
            _ => {}
        }
    }

    /// True if the incarnation holds the certificate, or for NF a stronger one of the same block.
    pub fn holds(&self, id: CertificateId) -> bool {
        self.certificates.contains_key(&id)
    }

    /// NFplus(p): NO, NF or FF for p is held, or p is final here, or it is where the incarnation
    /// started.
    pub fn is_certified(&self, block: BlockId) -> bool {
        let kinds = [
            CertificateKind::Notar(block.hash),
            CertificateKind::NotarFallback(block.hash),
            CertificateKind::FastFinal(block.hash),
        ];
        kinds.into_iter().any(|kind| self.holds(CertificateId::new(block.slot, kind)))
            || self.decided.get(&block.slot) == Some(&Some(block))
            || self.start_tip == Some(block)
    }

    /// SkipPlus(x): SK is held, or finality skipped the slot here.
    pub fn is_skipped(&self, slot: Slot) -> bool {
        self.holds(CertificateId::new(slot, CertificateKind::Skip))
            || self.decided.get(&slot) == Some(&None)
    }

    /// Blocks of `slot` with NFplus in this incarnation.
    pub fn certified_in(&self, slot: Slot) -> BTreeSet<BlockId> {
        let low = CertificateId::new(slot, CertificateKind::FastFinal(Default::default()));
        let held = self.certificates.range(low..).take_while(|(id, _)| id.slot == slot);
        let named = held.filter_map(|(id, _)| id.block());
        let decided = self.decided.get(&slot).copied().flatten();
        let start = self.start_tip.filter(|tip| tip.slot == slot);
        named.chain(decided).chain(start).collect()
    }
}
