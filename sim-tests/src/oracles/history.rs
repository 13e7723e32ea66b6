//! The shared memory of the oracles: plain facts, indexed.
//!
//! Two lifetimes matter. What an *identity* did (votes, deliveries, signed slices) counts over its
//! whole life, because a restart does not excuse an equivocation. What an *incarnation* knew
//! (votes in its Pool, certificates, blocks, ParentReady) starts anew with each start, because a
//! crash forgets it. Pruning inside the node is ignored: known once, known in that incarnation.
//!
//! A vote counts as cast once it is durable. Usually the node says so itself; a vote that became
//! durable just before a crash is found on the disk afterwards, so an image must be told between
//! the crash and the next start. [`News`] says what the last fact added, whichever way it came.
//!
//! Memory is bounded. Decisions are old once every running node has delivered far beyond them, and
//! what lies below that [`History::floor`] is forgotten and no longer judged (the ledgers stay).
//! Other validators' votes are many, but only matter until the own decision; they go earlier.

use super::{Fact, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, Vote, VoteKind};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// So many slots below the lowest delivered tip of a running node are kept.
const KEPT_SLOTS: u64 = 256;
/// So many slots below its own delivered tip a node's stored votes are kept.
const KEPT_VOTE_SLOTS: u64 = 16;
/// Forgetting waits until at least so many slots can go.
const BATCH_SLOTS: u64 = 16;

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
    /// Its votes by slot, in the order in which they became durable.
    pub cast_in: BTreeMap<Slot, Vec<VoteKind>>,
    /// Delivered blocks in order: the ledger.
    pub out: Vec<BlockId>,
    /// What it did and held in slots below this is forgotten.
    floor: Slot,

    // Present incarnation.
    /// Votes stored in its Pool, in that order.
    pub votes: BTreeMap<Slot, Vec<(NodeId, VoteKind)>>,
    /// Stored votes of slots below this are forgotten.
    pub votes_from: Slot,
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
    /// When it reported what it had reloaded.
    pub reloaded_ns: Option<u64>,
}

/// What the last fact added to what was known.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Votes of the node that are known to be cast only now.
    pub cast: Vec<Vote>,
    /// The certificate, if no correct node held one of this name before.
    pub certificate: Option<CertificateId>,
}

/// All nodes, and what is known of blocks anywhere.
#[derive(Clone, Debug)]
pub struct History {
    /// By node.
    pub nodes: Vec<NodeHistory>,
    /// The effective parent of every block that any correct node stored.
    pub parents: BTreeMap<BlockId, BlockId>,
    /// The certificates of all correct Pools of the whole run, with the first holder.
    pub certificates: BTreeMap<CertificateId, NodeId>,
    /// What the last fact added.
    pub news: News,
    /// Slots below this are forgotten.
    pub floor: Slot,
}

impl History {
    /// Before the first fact.
    pub fn new(nodes: usize) -> History {
        History {
            nodes: vec![NodeHistory::default(); nodes],
            parents: BTreeMap::new(),
            certificates: BTreeMap::new(),
            news: News::default(),
            floor: Slot::GENESIS,
        }
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

    /// Whether `block` is `ancestor` or descends from it, over the links of stored blocks. `None`
    /// if a link is not known.
    pub fn descends(&self, mut block: BlockId, ancestor: BlockId) -> Option<bool> {
        while block.slot > ancestor.slot {
            block = *self.parents.get(&block)?;
        }
        Some(block == ancestor)
    }

    /// Certificates of `slot` in any correct Pool at any time, with the first holder.
    pub fn certificates_in(
        &self,
        slot: Slot,
    ) -> impl Iterator<Item = (CertificateId, NodeId)> + '_ {
        let low = CertificateId::new(slot, CertificateKind::FastFinal(Default::default()));
        let held = self.certificates.range(low..).take_while(move |(id, _)| id.slot == slot);
        held.map(|(id, node)| (*id, *node))
    }

    /// Takes one fact about a correct node.
    pub fn take(&mut self, at_ns: u64, node: NodeId, fact: Fact<'_>) {
        self.news.cast.clear();
        self.news.certificate = None;
        let me = &mut self.nodes[node.index()];
        match fact {
            Fact::Started(incarnation) => {
                *me = NodeHistory {
                    up: true,
                    incarnation,
                    started_ns: at_ns,
                    start_tip: me.out.last().copied(),
                    cast_in: std::mem::take(&mut me.cast_in),
                    out: std::mem::take(&mut me.out),
                    floor: me.floor,
                    ..NodeHistory::default()
                };
            }
            Fact::Crashed => me.up = false,
            Fact::Paused(paused) => me.paused = paused,
            Fact::Sent(..) | Fact::Shred { .. } | Fact::Wrote { .. } => {}
            Fact::Image(votes, ledger) => {
                let floor = me.floor;
                for vote in votes.iter().filter(|vote| vote.slot >= floor) {
                    if !me.has_cast(*vote) {
                        me.cast_in.entry(vote.slot).or_default().push(vote.kind);
                        self.news.cast.push(*vote);
                    }
                }
                // Entries that became durable before their report are part of the ledger.
                if ledger.len() > me.out.len() && ledger.starts_with(&me.out) {
                    me.out = ledger.to_vec();
                }
            }
            Fact::LogLost(ledger) => me.out = ledger.to_vec(),
            Fact::Event(event) => self.take_event(at_ns, node, event),
        }
    }

    fn take_event(&mut self, at_ns: u64, node: NodeId, event: &Event) {
        let me = &mut self.nodes[node.index()];
        match event {
            Event::VoteCast(vote) if vote.slot >= me.floor => {
                me.cast_in.entry(vote.slot).or_default().push(vote.kind);
                self.news.cast.push(*vote);
            }
            Event::VoteStored(voter, vote) if vote.slot >= me.votes_from => {
                me.votes.entry(vote.slot).or_default().push((*voter, vote.kind));
            }
            Event::CertificateAdded { certificate, .. } => {
                let id = certificate.id;
                me.certificates.entry(id).or_insert(at_ns);
                if id.slot >= self.floor
                    && let Entry::Vacant(entry) = self.certificates.entry(id)
                {
                    entry.insert(node);
                    self.news.certificate = Some(id);
                }
            }
            Event::ParentReady(slot, parent) => {
                me.ready.entry((*slot, *parent)).or_insert(at_ns);
            }
            Event::BlockStored { block, parent, .. } => {
                me.blocks.insert(*block, *parent);
                self.parents.insert(*block, *parent);
            }
            Event::Finalized(block, mode) => {
                me.decided.insert(block.slot, Some(*block));
                if *mode != Mode::Indirect {
                    me.highest = me.highest.max(Some(*block));
                }
            }
            Event::SkippedByFinality(slot) => {
                me.decided.insert(*slot, None);
            }
            Event::Delivered { block, .. } => {
                me.out.push(*block);
                me.forget_votes(block.slot);
                self.forget();
            }
            Event::Reloaded { tip, highest, .. } => {
                me.start_tip = Some(*tip);
                me.highest = me.highest.max(Some(*highest));
                me.reloaded_ns = Some(at_ns);
            }
            _ => {}
        }
    }

    /// Raises the floor to what no running node can come back to, and drops what lies below. A node
    /// that is down may come back to less: its own history goes back as far as its ledger ends.
    fn forget(&mut self) {
        let running = self.nodes.iter().filter(|me| me.up);
        let lowest = running.map(NodeHistory::tip).min();
        let floor = Slot(lowest.unwrap_or(Slot(0)).0.saturating_sub(KEPT_SLOTS));
        if floor < self.floor.plus(BATCH_SLOTS) {
            return;
        }
        self.floor = floor;
        self.parents = self.parents.split_off(&BlockId::new(floor, Default::default()));
        self.certificates = self.certificates.split_off(&lowest_certificate(floor));
        self.nodes.iter_mut().for_each(|me| me.forget(floor));
    }
}

/// No certificate of the slot is below this.
fn lowest_certificate(slot: Slot) -> CertificateId {
    CertificateId::new(slot, CertificateKind::FastFinal(Default::default()))
}

impl NodeHistory {
    /// True if the identity is known to have cast this vote.
    pub fn has_cast(&self, vote: Vote) -> bool {
        self.cast_in.get(&vote.slot).is_some_and(|kinds| kinds.contains(&vote.kind))
    }

    /// What the identity had cast in the slot before it cast `vote`.
    pub fn cast_before(&self, vote: Vote) -> &[VoteKind] {
        let kinds = self.cast_in.get(&vote.slot).map_or(&[][..], Vec::as_slice);
        let place = kinds.iter().rposition(|kind| *kind == vote.kind);
        &kinds[..place.unwrap_or(kinds.len())]
    }

    fn tip(&self) -> Slot {
        self.out.last().map_or(Slot(0), |tip| tip.slot)
    }

    fn forget(&mut self, below: Slot) {
        self.floor = self.floor.max(below.min(Slot(self.tip().0.saturating_sub(KEPT_SLOTS))));
        let (floor, block) = (self.floor, BlockId::new(self.floor, Default::default()));
        self.cast_in = self.cast_in.split_off(&floor);
        self.certificates = self.certificates.split_off(&lowest_certificate(floor));
        self.blocks = self.blocks.split_off(&block);
        self.ready = self.ready.split_off(&(floor, BlockId::default()));
        self.decided = self.decided.split_off(&floor);
    }

    fn forget_votes(&mut self, tip: Slot) {
        let from = Slot(tip.0.saturating_sub(KEPT_VOTE_SLOTS));
        if from >= self.votes_from.plus(BATCH_SLOTS) {
            self.votes_from = from;
            self.votes = self.votes.split_off(&from);
        }
    }

    /// True if the incarnation holds exactly this certificate.
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
            || self.is_final(block)
    }

    /// True if the incarnation knows that the block is final.
    pub fn is_final(&self, block: BlockId) -> bool {
        self.decided.get(&block.slot) == Some(&Some(block))
            || self.start_tip == Some(block)
            || self.highest == Some(block)
    }

    /// True if the incarnation knows that the block is final, or holds what proves it: of what
    /// contradicts its ledger it announces nothing more.
    pub fn has_proof(&self, block: BlockId) -> bool {
        let held = |kind| self.holds(CertificateId::new(block.slot, kind));
        self.is_final(block)
            || held(CertificateKind::FastFinal(block.hash))
            || held(CertificateKind::Notar(block.hash)) && held(CertificateKind::Final)
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

#[cfg(test)]
mod tests;
