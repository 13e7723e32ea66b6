//! Consensus = Pool + Votor: verified facts in, decisions out. The inner unit of the node.
//!
//! It is plain data (`Clone + Eq + Hash`) without signatures, keys, blocks, clocks or I/O, so a
//! model checker can hold millions of its states, and two nodes that know the same are equal.
//! Events that one half produces for the other are handled before the call returns.

use super::pool::readiness::Ready;
use super::pool::tally::Admission;
use super::pool::{Conclusion, Context, Mode, Pool};
use super::rules::rule;
use super::stake::Stakes;
use super::types::{BlockId, NodeId, Slot, Window};
use super::vote::{CertificateId, Offence, Vote};
use super::votor::{Action, Knowledge, Votor};
use std::collections::{BTreeSet, VecDeque};

/// Something that is true: verified, stored, or measured by the own clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fact {
    /// A vote with a valid signature; of the own node only once it is durable.
    Vote(NodeId, Vote),
    /// A certificate of a peer, valid by itself.
    Certificate(CertificateId),
    /// A proof that the block is final, about a slot whose certificates are not held any more.
    Final(BlockId, Mode),
    /// Peers know of nothing final between what is delivered here and this final block.
    Beyond(BlockId),
    /// A complete, valid block and its effective parent.
    Block(BlockId, BlockId),
    /// The leader of the slot was caught before its block was complete.
    InvalidBlock(Slot),
    /// A valid shred of the slot.
    Shred(Slot),
    /// Timeout(s).
    Timeout(Slot),
    /// TimeoutCrashed(s).
    TimeoutCrashed(Slot),
}

/// What follows, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Sign, log, send and count this vote.
    Cast(Vote),
    /// A vote entered the Pool.
    Stored(NodeId, Vote),
    /// A validator provably misbehaved.
    Offence(NodeId, Slot, Offence),
    /// A certificate is held now. `built` from stored votes, or else received.
    Certificate {
        /// Which.
        id: CertificateId,
        /// Built here.
        built: bool,
    },
    /// A new element of ready(s).
    ParentReady(Slot, BlockId),
    /// Set the timers of the window, from now.
    StartTimers(Window),
    /// The SafeToNotar condition holds.
    SafeToNotar(BlockId),
    /// The SafeToSkip condition holds.
    SafeToSkip(Slot),
    /// The block is final.
    Finalized(BlockId, Mode),
    /// The slot is skipped by finality.
    Skipped(Slot),
    /// The next block of the chain goes out.
    Delivered(BlockId),
    /// The block must be fetched.
    Missing(BlockId),
    /// Certificates contradict each other.
    Contradiction(Slot),
}

/// The consensus state of one node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Consensus {
    me: NodeId,
    epoch_slots: u64,
    pool: Pool,
    votor: Votor,
    /// ParentReady of windows whose epoch is not open yet.
    held: BTreeSet<(Slot, BlockId)>,
}

/// The Pool as Votor sees it.
struct View<'a> {
    pool: &'a Pool,
    epoch_slots: u64,
}

impl Knowledge for View<'_> {
    fn is_decided(&self, slot: Slot) -> bool {
        // What lies below the floor is finished with, whether its decision is still held or not.
        slot < self.floor() || self.pool.finality().decided(slot).is_some()
    }
    fn is_final(&self, block: BlockId) -> bool {
        self.pool.finality().is_final(block)
    }
    fn floor(&self) -> Slot {
        self.pool.finality().floor()
    }
    fn highest_final(&self) -> Slot {
        self.pool.finality().highest().slot
    }
    fn epoch_known(&self, slot: Slot) -> bool {
        // Finality in epoch e finalizes the end of e-1, which fixes the validators of e+1.
        slot.0 / self.epoch_slots <= self.highest_final().0 / self.epoch_slots + 1
    }
}

impl Consensus {
    /// Starts from a final, delivered block with the votes that this identity cast before.
    pub fn new(me: NodeId, epoch_slots: u64, root: BlockId, voting: bool, log: &[Vote]) -> Self {
        Consensus {
            me,
            epoch_slots,
            pool: Pool::new(root),
            votor: Votor::new(voting, log),
            held: BTreeSet::new(),
        }
    }

    /// The Pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The Votor.
    pub fn votor(&self) -> &Votor {
        &self.votor
    }

    /// Never votes again.
    pub fn stop_voting(&mut self) {
        self.votor.stop_voting();
    }

    /// True if messages about `slot` can be verified (1.3).
    pub fn epoch_known(&self, slot: Slot) -> bool {
        self.view().epoch_known(slot)
    }

    fn view(&self) -> View<'_> {
        View { pool: &self.pool, epoch_slots: self.epoch_slots }
    }

    /// The first step of an incarnation: window 0 is ready on genesis (7.1), a window that starts
    /// right after the root is ready on it, and the window of the root gets its timers (J1).
    pub fn start(&mut self, out: &mut Vec<Decision>) {
        let mut conclusions = Vec::new();
        self.pool.start(&mut conclusions);
        self.conclude(conclusions, false, out);
        let mut actions = Vec::new();
        let view = View { pool: &self.pool, epoch_slots: self.epoch_slots };
        let root = self.pool.finality().root();
        if root.slot > Slot::GENESIS {
            self.votor.on_finalized(&view, root, true, &mut actions);
        }
        Self::act(actions, out);
    }

    /// Takes one fact and appends every decision that follows.
    pub fn apply(&mut self, stakes: &Stakes, fact: Fact, out: &mut Vec<Decision>) {
        let cx = Context { stakes, me: self.me };
        let mut conclusions = Vec::new();
        let mut actions = Vec::new();
        let view = View { pool: &self.pool, epoch_slots: self.epoch_slots };
        match fact {
            Fact::Vote(voter, vote) => self.add_vote(cx, voter, vote, &mut conclusions, out),
            Fact::Certificate(id) => {
                self.pool.add_certificate(cx, id, &mut conclusions);
            }
            Fact::Final(block, mode) => self.pool.finalize(cx, block, mode, &mut conclusions),
            Fact::Beyond(block) => self.pool.reach(cx, block, &mut conclusions),
            Fact::Block(block, parent) => {
                self.pool.add_block(cx, block, parent, &mut conclusions);
                self.conclude(conclusions, false, out);
                let view = View { pool: &self.pool, epoch_slots: self.epoch_slots };
                self.votor.on_block(&view, block, parent, &mut actions);
                return Self::act(actions, out);
            }
            Fact::InvalidBlock(slot) => self.votor.on_invalid_block(&view, slot, &mut actions),
            Fact::Shred(slot) => self.votor.on_shred(&view, slot),
            Fact::Timeout(slot) => self.votor.on_timeout(&view, slot, &mut actions),
            Fact::TimeoutCrashed(slot) => {
                self.votor.on_timeout_crashed(&view, slot, &mut actions);
            }
        }
        Self::act(actions, out);
        let built = matches!(fact, Fact::Vote(..));
        self.conclude(conclusions, built, out);
    }

    fn add_vote(
        &mut self,
        cx: Context<'_>,
        voter: NodeId,
        vote: Vote,
        conclusions: &mut Vec<Conclusion>,
        out: &mut Vec<Decision>,
    ) {
        // The own vote always counts here: nobody sends it again to oneself.
        let range = self.pool.vote_range();
        if vote.slot < *range.start() || vote.slot > *range.end() && voter != cx.me {
            return;
        }
        match self.pool.add_vote(cx, voter, vote, conclusions) {
            Admission::Stored => out.push(Decision::Stored(voter, vote)),
            Admission::StoredWith(offence) => {
                out.push(Decision::Stored(voter, vote));
                out.push(Decision::Offence(voter, vote.slot, offence));
            }
            Admission::Refused(offence) => {
                out.push(Decision::Offence(voter, vote.slot, offence));
            }
            Admission::Duplicate => {}
        }
    }

    /// Hands each conclusion to Votor and to the caller, in order.
    fn conclude(&mut self, conclusions: Vec<Conclusion>, built: bool, out: &mut Vec<Decision>) {
        let mut conclusions = VecDeque::from(conclusions);
        while let Some(conclusion) = conclusions.pop_front() {
            let mut actions = Vec::new();
            let view = View { pool: &self.pool, epoch_slots: self.epoch_slots };
            match conclusion {
                Conclusion::Certificate(id) => out.push(Decision::Certificate { id, built }),
                Conclusion::BlockNotarized(block) => {
                    self.votor.on_block_notarized(&view, block, &mut actions);
                }
                Conclusion::ParentReady(ready) => {
                    if !view.epoch_known(ready.first) {
                        rule!("epoch.halt");
                        self.held.insert((ready.first, ready.parent));
                        continue;
                    }
                    out.push(Decision::ParentReady(ready.first, ready.parent));
                    self.votor.on_parent_ready(&view, ready.first, ready.parent, &mut actions);
                }
                // Own F cast is the last condition of both events, and only Votor knows it (6.5).
                Conclusion::SafeToNotar(block) if self.votor.is_over(block.slot) => {}
                Conclusion::SafeToSkip(slot) if self.votor.is_over(slot) => {}
                Conclusion::SafeToNotar(block) => {
                    out.push(Decision::SafeToNotar(block));
                    self.votor.on_safe_to_notar(&view, block, &mut actions);
                }
                Conclusion::SafeToSkip(slot) => {
                    out.push(Decision::SafeToSkip(slot));
                    self.votor.on_safe_to_skip(&view, slot, &mut actions);
                }
                Conclusion::Finalized(block, mode) => {
                    out.push(Decision::Finalized(block, mode));
                    let direct = mode != Mode::Indirect;
                    self.votor.on_finalized(&view, block, direct, &mut actions);
                    self.open_epochs(&mut conclusions);
                }
                Conclusion::Skipped(slot) => out.push(Decision::Skipped(slot)),
                Conclusion::Delivered(block) => out.push(Decision::Delivered(block)),
                Conclusion::Missing(block) => out.push(Decision::Missing(block)),
                Conclusion::Contradiction(slot) => out.push(Decision::Contradiction(slot)),
            }
            Self::act(actions, out);
        }
    }

    /// Forgets what the last facts have made obsolete. The caller has looked at the decisions by
    /// then: building a certificate needs the votes of a slot that it may itself have finalized.
    pub fn settle(&mut self) {
        self.pool.prune();
        self.votor.prune(self.pool.finality().floor());
    }

    /// Releases ParentReady of windows whose epoch a finalization has opened.
    fn open_epochs(&mut self, conclusions: &mut VecDeque<Conclusion>) {
        let view = View { pool: &self.pool, epoch_slots: self.epoch_slots };
        let open: Vec<_> =
            self.held.iter().copied().filter(|(first, _)| view.epoch_known(*first)).collect();
        for (first, parent) in open {
            rule!("epoch.resume");
            self.held.remove(&(first, parent));
            conclusions.push_back(Conclusion::ParentReady(Ready { first, parent }));
        }
    }

    fn act(actions: Vec<Action>, out: &mut Vec<Decision>) {
        out.extend(actions.into_iter().map(|action| match action {
            Action::Cast(vote) => Decision::Cast(vote),
            Action::StartTimers(window) => Decision::StartTimers(window),
        }));
    }
}

#[cfg(test)]
mod tests;
