//! A flight recorder: what a run's report and its short trace are made from.
//!
//! The problem: twenty nodes observe some ten thousand things a virtual second. A page with all of
//! them freezes its tab, and keeping them freezes the machine; keeping only the first ones loses
//! the end, where the failure is.
//!
//! Our way: observations have four [`Detail`]s, from landmarks to the receipt of a single vote.
//! Each detail has a ring of its own with a cap, so that receipts never push out finalizations.
//! A full ring forgets its oldest entry, until the first violation: from then on it takes half a
//! ring more and stops, so the violation stays in it with what led there and what followed. How
//! many were left out, and from when to when the kept ones reach, is part of the record. What each
//! node voted in each slot is kept for the whole run beside it, because it is small.
//!
//! It exists only when somebody asked for a report. It sees facts and changes nothing.

use super::kind::{Detail, Kind};
use crate::oracles::Fact;
use alpenglow_node::protocol::event::{Event, Origin, Standing};
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{CertificateKind, Vote, VoteKind};
use alpenglow_node::protocol::wire::Reject;
use std::collections::{BTreeMap, VecDeque};

/// How many entries of each detail are kept, landmarks first.
pub const CAPS: [usize; 4] = [20_000, 250_000, 150_000, 80_000];

/// One observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// World time.
    pub at_ns: u64,
    /// Position among all entries: the order of those of one moment.
    pub number: u64,
    /// Whose observation.
    pub node: u16,
    /// What.
    pub kind: Kind,
    /// About which slot.
    pub slot: Option<u64>,
    /// About which block: an index of [`Log::blocks`].
    pub block: Option<u32>,
    /// Who else: the signer of a stored vote, the sender of dropped input.
    pub peer: Option<u16>,
    /// More words: an index of [`Log::notes`].
    pub note: Option<u32>,
}

/// What happened in one slot, over all nodes and the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotLog {
    /// The first thing that any node did in it.
    pub begin_ns: Option<u64>,
    /// When a node first could build on a parent of it; only for first slots of windows.
    pub ready_ns: Option<u64>,
    /// Who first began with a block for it, when, and when that node was last seen at it.
    pub work: Option<(u16, u64, u64)>,
    /// First and last finalization of its block by a node.
    pub final_ns: Option<(u64, u64)>,
    /// Votes cast: (kind, block, node), in order of time; a restarted node may repeat itself.
    pub votes: Vec<(Kind, Option<u32>, u16)>,
}

/// What became of the entries of one detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub detail: Detail,
    /// Observed.
    pub seen: u64,
    /// Still here.
    pub kept: u64,
    /// Time of the first and the last that are here.
    pub span_ns: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    cap: usize,
    seen: u64,
    /// After the first violation: how many more it takes.
    left: Option<usize>,
}

impl Ring {
    fn push(&mut self, entry: Entry) {
        self.seen += 1;
        match &mut self.left {
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        if self.entries.len() == self.cap {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

/// The record of a run.
#[derive(Debug)]
pub struct Log {
    /// Blocks that were named, in order of appearance.
    pub blocks: Vec<BlockId>,
    /// Words that entries point to, each once.
    pub notes: Vec<String>,
    /// Slots that anything happened in.
    pub slots: BTreeMap<u64, SlotLog>,
    rings: [Ring; 4],
    block_numbers: BTreeMap<BlockId, u32>,
    note_numbers: BTreeMap<String, u32>,
    number: u64,
}

impl Default for Log {
    fn default() -> Log {
        Log::new(CAPS)
    }
}

impl Log {
    /// Nothing has happened; `caps` are those of each [`Detail`].
    pub fn new(caps: [usize; 4]) -> Log {
        Log {
            blocks: Vec::new(),
            notes: Vec::new(),
            slots: BTreeMap::new(),
            rings: caps.map(|cap| Ring { cap, ..Ring::default() }),
            block_numbers: BTreeMap::new(),
            note_numbers: BTreeMap::new(),
            number: 0,
        }
    }

    /// What is kept, in the order in which it happened.
    pub fn entries(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> =
            self.rings.iter().flat_map(|r| r.entries.iter().copied()).collect();
        all.sort_by_key(|entry| entry.number);
        all
    }

    /// What was kept and what was left out.
    pub fn kept(&self) -> Vec<Kept> {
        let kept = |(detail, ring): (Detail, &Ring)| Kept {
            detail,
            seen: ring.seen,
            kept: ring.entries.len() as u64,
            span_ns: ring.entries.front().zip(ring.entries.back()).map(|(a, b)| (a.at_ns, b.at_ns)),
        };
        Detail::ALL.into_iter().zip(&self.rings).map(kept).collect()
    }

    /// A property broke: what is in the rings now stays there.
    pub fn violated(&mut self) {
        for ring in &mut self.rings {
            ring.left.get_or_insert(ring.cap / 2);
        }
    }

    /// Takes one fact. Packets and dumps of disks are not recorded.
    pub fn take(&mut self, at_ns: u64, node: NodeId, fact: &Fact<'_>) {
        match fact {
            Fact::Event(event) => self.event(at_ns, node, event),
            Fact::Started(incarnation) => {
                let note = (*incarnation > 1).then(|| format!("start number {incarnation}"));
                self.add(at_ns, node, Kind::Start, None, None, None, note);
            }
            Fact::Crashed => self.plain(at_ns, node, Kind::Crash, None),
            Fact::Paused(true) => self.plain(at_ns, node, Kind::Pause, None),
            Fact::Paused(false) => self.plain(at_ns, node, Kind::Resume, None),
            Fact::Sent(..)
            | Fact::Shred { .. }
            | Fact::Wrote { .. }
            | Fact::Image(..)
            | Fact::LogLost(_) => {}
        }
    }

    fn plain(&mut self, at_ns: u64, node: NodeId, kind: Kind, slot: Option<Slot>) {
        self.add(at_ns, node, kind, slot, None, None, None);
    }

    fn about(
        &mut self,
        at_ns: u64,
        node: NodeId,
        kind: Kind,
        block: BlockId,
        note: Option<String>,
    ) {
        self.add(at_ns, node, kind, Some(block.slot), Some(block), None, note);
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of an entry, in one place")]
    fn add(
        &mut self,
        at_ns: u64,
        node: NodeId,
        kind: Kind,
        slot: Option<Slot>,
        block: Option<BlockId>,
        peer: Option<NodeId>,
        note: Option<String>,
    ) {
        let block = block.map(|block| self.block(block));
        let note = note.map(|note| self.note(note));
        let slot = slot.map(|slot| slot.0);
        if let Some(slot) = slot {
            self.slot(at_ns, node, kind, slot, block);
        }
        let number = self.number;
        self.number += 1;
        let peer = peer.map(|peer| peer.0);
        let entry = Entry { at_ns, number, node: node.0, kind, slot, block, peer, note };
        self.rings[kind.detail() as usize].push(entry);
    }

    fn block(&mut self, block: BlockId) -> u32 {
        let next = self.blocks.len() as u32;
        let number = *self.block_numbers.entry(block).or_insert(next);
        if number == next {
            self.blocks.push(block);
        }
        number
    }

    fn note(&mut self, note: String) -> u32 {
        if let Some(number) = self.note_numbers.get(&note) {
            return *number;
        }
        let number = self.notes.len() as u32;
        self.notes.push(note.clone());
        self.note_numbers.insert(note, number);
        number
    }

    fn slot(&mut self, at_ns: u64, node: NodeId, kind: Kind, slot: u64, block: Option<u32>) {
        let log = self.slots.entry(slot).or_default();
        match kind {
            Kind::ParentReady => {
                log.ready_ns.get_or_insert(at_ns);
                return;
            }
            // Known long before, and long after: neither says when the slot was at work.
            Kind::TimersSet | Kind::Reloaded | Kind::Standstill | Kind::CatchUp => return,
            Kind::Production | Kind::ParentSwitched | Kind::BlockSent => {
                let (_, _, until) = log.work.get_or_insert((node.0, at_ns, at_ns));
                *until = at_ns;
            }
            Kind::FinalFast | Kind::FinalSlow | Kind::FinalIndirect => {
                let first = log.final_ns.map_or(at_ns, |(first, _)| first);
                log.final_ns = Some((first, at_ns));
            }
            kind if kind.is_vote() => log.votes.push((kind, block, node.0)),
            _ => {}
        }
        log.begin_ns.get_or_insert(at_ns);
    }

    fn vote(&mut self, at_ns: u64, node: NodeId, vote: &Vote, from: Option<NodeId>) {
        let kind = match (vote.kind, from.is_some()) {
            (VoteKind::Notar(_), false) => Kind::VoteNotar,
            (VoteKind::Skip, false) => Kind::VoteSkip,
            (VoteKind::NotarFallback(_), false) => Kind::VoteNotarFallback,
            (VoteKind::SkipFallback, false) => Kind::VoteSkipFallback,
            (VoteKind::Final, false) => Kind::VoteFinal,
            (VoteKind::Notar(_), true) => Kind::GotNotar,
            (VoteKind::Skip, true) => Kind::GotSkip,
            (VoteKind::NotarFallback(_), true) => Kind::GotNotarFallback,
            (VoteKind::SkipFallback, true) => Kind::GotSkipFallback,
            (VoteKind::Final, true) => Kind::GotFinal,
        };
        self.add(at_ns, node, kind, Some(vote.slot), vote.block(), from, None);
    }

    fn event(&mut self, at: u64, node: NodeId, event: &Event) {
        match event {
            Event::VoteCast(vote) => self.vote(at, node, vote, None),
            // An own vote enters the own Pool in the moment in which it is cast.
            Event::VoteStored(from, vote) if *from != node => {
                self.vote(at, node, vote, Some(*from));
            }
            Event::CertificateAdded { certificate, built } => {
                let kind = match certificate.id.kind {
                    CertificateKind::FastFinal(_) => Kind::CertFastFinal,
                    CertificateKind::Notar(_) => Kind::CertNotar,
                    CertificateKind::NotarFallback(_) => Kind::CertNotarFallback,
                    CertificateKind::Skip => Kind::CertSkip,
                    CertificateKind::Final => Kind::CertFinal,
                };
                let (slot, block) = (certificate.id.slot, certificate.id.block());
                let note = (!built).then(|| "received".to_owned());
                self.add(at, node, kind, Some(slot), block, None, note);
            }
            Event::Finalized(block, mode) => {
                let kind = match mode {
                    Mode::Fast => Kind::FinalFast,
                    Mode::Slow => Kind::FinalSlow,
                    Mode::Indirect => Kind::FinalIndirect,
                };
                self.about(at, node, kind, *block, None);
            }
            Event::BlockStored { block, parent, origin, slices, switched } => {
                let kind = match origin {
                    Origin::Rotor => Kind::BlockStored,
                    Origin::Repair => Kind::BlockRepaired,
                    Origin::Store => Kind::BlockReloaded,
                };
                let s = if *slices == 1 { "" } else { "s" };
                let switch = if *switched { ", parent switched" } else { "" };
                let note = format!("on {parent}, {slices} slice{s}{switch}");
                self.about(at, node, kind, *block, Some(note));
            }
            Event::Delivered { block, transactions, .. } => {
                let note = match transactions.len() {
                    0 => None,
                    n => Some(format!("{n} transactions")),
                };
                self.about(at, node, Kind::Delivered, *block, note);
            }
            _ => self.rest(at, node, event),
        }
    }

    /// What is observed more rarely than votes and blocks.
    fn rest(&mut self, at: u64, node: NodeId, event: &Event) {
        let mut slot = |kind, slot: Slot| self.plain(at, node, kind, Some(slot));
        match event {
            Event::Timeout(s) => slot(Kind::Timeout, *s),
            Event::TimeoutCrashed(s) => slot(Kind::TimeoutCrashed, *s),
            Event::SlotSeen(s) => slot(Kind::SlotSeen, *s),
            Event::BlockInvalid(s) => slot(Kind::BlockInvalid, *s),
            Event::Equivocation(s) => slot(Kind::Equivocation, *s),
            Event::SliceSigned { slot: s, last: true, .. } => slot(Kind::BlockSent, *s),
            Event::SafeToSkip(s) => slot(Kind::SafeToSkip, *s),
            Event::SkippedByFinality(s) => slot(Kind::Skipped, *s),
            Event::CatchUp(s) => slot(Kind::CatchUp, *s),
            Event::Contradiction(s) => slot(Kind::Contradiction, *s),
            Event::SafeToNotar(block) => self.about(at, node, Kind::SafeToNotar, *block, None),
            Event::RepairStarted(b) => self.about(at, node, Kind::RepairStarted, *b, None),
            Event::RepairEnded(block, stored) => {
                let note = (!stored).then(|| "no longer needed".to_owned());
                self.about(at, node, Kind::RepairEnded, *block, note);
            }
            Event::ParentReady(s, on) => {
                let note = Some(format!("on {on}"));
                self.add(at, node, Kind::ParentReady, Some(*s), None, None, note);
            }
            Event::TimersSet(s, grown) => {
                let note = (*grown > 0).then(|| format!("timeout grew {grown} times"));
                self.add(at, node, Kind::TimersSet, Some(*s), None, None, note);
            }
            Event::ProductionStarted { slot: s, parent, optimistic } => {
                let before = if *optimistic { ", before it is ready" } else { "" };
                let note = Some(format!("on {parent}{before}"));
                self.add(at, node, Kind::Production, Some(*s), None, None, note);
            }
            Event::ParentSwitched(s, parent) => {
                let note = Some(format!("to {parent}"));
                self.add(at, node, Kind::ParentSwitched, Some(*s), None, None, note);
            }
            Event::Standstill { highest, certificates, votes } => {
                let (c, v) = (certificates.len(), votes.len());
                let note = Some(format!("says again {c} certificates and {v} votes"));
                self.add(at, node, Kind::Standstill, Some(*highest), None, None, note);
            }
            // The daily bread of a network that says things more than once.
            Event::Rejected(_, Reject::Duplicate | Reject::Old | Reject::NotNeeded) => {}
            Event::Rejected(from, reason) => {
                let note = Some(reason.to_string());
                self.add(at, node, Kind::Rejected, None, None, Some(*from), note);
            }
            Event::Offence(who, s, offence) => {
                let note = Some(format!("{offence:?}"));
                self.add(at, node, Kind::Offence, Some(*s), None, Some(*who), note);
            }
            Event::Reloaded { votes, tip, .. } => {
                let (votes, slot) = (votes.len(), tip.slot);
                let note = Some(format!("{votes} votes, delivered up to slot {slot}"));
                self.add(at, node, Kind::Reloaded, None, None, None, note);
            }
            Event::Standing(standing) => {
                let kind = match standing {
                    Standing::Voting => Kind::Voting,
                    Standing::Observing => Kind::Observing,
                };
                self.plain(at, node, kind, None);
            }
            _ => {} // sizes, single slices, own votes: nothing to look at
        }
    }
}

#[cfg(test)]
mod tests;
