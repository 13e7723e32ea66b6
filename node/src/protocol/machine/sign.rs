//! What this node says under its own name: votes and slices, from decision to departure.
//!
//! ```text
//! cast     flags set -> Sign -> Signed: signature kept, record written -> durable: sent, counted
//! produce  slice closed -> Sign -> Signed: shreds into the own Rotor spot, sent once "produced" is
//!                                          durable
//! ```
//!
//! Between any two arrows the node may crash. The log then holds either everything that left or
//! more; never less.

use super::super::block::Slice;
use super::super::event::{Event, Standing};
use super::super::params::TOTAL_SHREDS;
use super::super::producer::{self, Producer};
use super::super::rotor;
use super::super::rules::rule;
use super::super::types::{BlockId, NodeId, Slot, Time, Token, Window};
use super::super::vote::Vote;
use super::super::wire::{Message, Signed, Unsigned};
use super::super::{Effect, Recipients, Record, Timer, block::Transaction};
use super::super::{consensus::Fact, ledger::ChainIds};
use super::Protocol;
use crate::crypto::erasure::Encoded;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Own votes and slices under way.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Slices that wait for their signature.
    slices: BTreeMap<Token, Arc<Encoded>>,
    /// Votes that wait to be durable.
    undurable: BTreeMap<Token, Vote>,
    /// Durable votes, in the order in which they were cast within a slot.
    durable: BTreeMap<Slot, Vec<Vote>>,
    /// Votes of the log that are signed again after a restart.
    reloaded: BTreeSet<Vote>,
    /// Blocks whose record was written.
    stored: BTreeSet<BlockId>,
    /// The "produced" record of own slots.
    pub(super) produced: BTreeMap<Slot, Token>,
    /// The marks at the last forgetting.
    pub(super) settled: (BlockId, Slot),
}

impl Own {
    pub(super) fn restore(&mut self, votes: &[Vote]) {
        self.reloaded = votes.iter().copied().collect();
    }

    /// Durable own votes above `slot`, ascending.
    pub(super) fn durable(&self, slot: Slot) -> impl Iterator<Item = Vote> + '_ {
        self.durable.range(slot.next()..).flat_map(|(_, votes)| votes.iter().copied())
    }

    /// The newest window with an own vote.
    pub(super) fn newest_window(&self) -> Window {
        self.durable.keys().next_back().map_or(Window(0), |slot| slot.window())
    }

    /// True if the block's record was not written before; it counts as written now.
    pub(super) fn note_stored(&mut self, block: BlockId) -> bool {
        self.stored.insert(block)
    }

    pub(super) fn prune(&mut self, root: Slot, floor: Slot) {
        self.durable = self.durable.split_off(&floor);
        self.produced = self.produced.split_off(&floor);
        self.stored = self.stored.split_off(&BlockId::new(root, Default::default()));
    }
}

impl Protocol {
    pub(super) fn sign_vote(&mut self, vote: Vote, out: &mut Vec<Effect>) {
        let token = self.token();
        out.push(Effect::Sign { token, object: Unsigned::Vote(vote) });
    }

    pub(super) fn persist(&mut self, records: Vec<Record>, out: &mut Vec<Effect>) -> Token {
        let token = self.token();
        out.push(Effect::Persist { token, records });
        token
    }

    pub(super) fn on_signed(
        &mut self,
        token: Token,
        signed: Signed,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        match signed {
            Signed::Vote(signed) => {
                let vote = signed.vote;
                self.signatures.add_vote(&signed);
                if self.own.reloaded.remove(&vote) {
                    self.durable_vote(vote, now, out);
                    if vote.slot > self.highest().slot {
                        self.broadcast(Message::Vote(signed), None, out);
                    }
                    return;
                }
                let mut records = Vec::new();
                // A block that gets this node's vote must survive with the vote: otherwise all
                // holders could crash after certifying it, and nobody could ever repair it.
                if let Some(id) = vote.block()
                    && let Some(block) = self.blokstor.get(id).cloned()
                    && self.own.note_stored(id)
                {
                    records.push(Record::Block(block));
                }
                records.push(Record::Vote(vote));
                let after = self.persist(records, out);
                self.own.undurable.insert(after, vote);
                out.push(Effect::Observe { event: Event::VoteCast(vote), after: Some(after) });
                self.broadcast(Message::Vote(signed), Some(after), out);
            }
            Signed::Commitment(commitment, signature) => {
                let Some(encoded) = self.own.slices.remove(&token) else { return };
                // Finality has passed the slot: with its record of production forgotten, nothing
                // would keep the shreds from leaving before that record is durable.
                let Some(&after) = self.own.produced.get(&commitment.slot) else { return };
                let slice = Slice { commitment, signature, encoded };
                let event = Event::SliceSigned {
                    slot: commitment.slot,
                    slice: commitment.slice,
                    last: commitment.last,
                    root: commitment.root,
                };
                out.push(Effect::Observe { event, after: Some(after) });
                self.send_slice(&slice, after, out);
                let mut outcomes = Vec::new();
                self.blokstor.add_own_slice(slice, &mut outcomes);
                self.on_outcomes(outcomes, now, out);
            }
        }
    }

    pub(super) fn on_persisted(&mut self, token: Token, now: Time, out: &mut Vec<Effect>) {
        let later = self.own.undurable.split_off(&Token(token.0 + 1));
        for vote in std::mem::replace(&mut self.own.undurable, later).into_values() {
            self.durable_vote(vote, now, out);
        }
    }

    fn durable_vote(&mut self, vote: Vote, now: Time, out: &mut Vec<Effect>) {
        self.own.durable.entry(vote.slot).or_default().push(vote);
        self.feed(Fact::Vote(self.me, vote), now, out);
    }

    /// The relays of a slice, computed once.
    pub(super) fn relays(&mut self, slot: Slot, slice: u8) -> Arc<[NodeId]> {
        let committee = &self.committee;
        let relays = self.relays.entry((slot, slice));
        relays.or_insert_with(|| rotor::relays(committee, slot, slice).into()).clone()
    }

    /// The leader of the slot's window, and whom its relays forward to: first the next leader,
    /// then by decreasing stake, without the leader and this node (3.1).
    pub(super) fn audience(&mut self, slot: Slot) -> (NodeId, Arc<[NodeId]>) {
        let window = slot.window();
        let (committee, others) = (&self.committee, &self.others);
        let entry = self.audiences.entry(window).or_insert_with(|| {
            let (leader, next) = (committee.leader(window), committee.leader(window.next()));
            let first = others.iter().copied().filter(|&node| node == next && node != leader);
            let rest = others.iter().copied().filter(|&node| node != next && node != leader);
            (leader, first.chain(rest).collect())
        });
        entry.clone()
    }

    /// One shred to each relay; those that this node relays itself, to all.
    fn send_slice(&mut self, slice: &Slice, after: Token, out: &mut Vec<Effect>) {
        let slot = slice.commitment.slot;
        let relays = self.relays(slot, slice.commitment.slice);
        let (_, audience) = self.audience(slot);
        for index in 0..TOTAL_SHREDS as u8 {
            let relay = relays[usize::from(index)];
            let to = if relay == self.me {
                Recipients::Many(audience.clone())
            } else {
                Recipients::One(relay)
            };
            if to.as_slice().is_empty() {
                continue;
            }
            let message = Message::Shred(Arc::new(slice.shred(index)));
            out.push(Effect::Send { to, message, after: Some(after) });
        }
    }

    /// Runs the producer and carries out what it wants.
    pub(super) fn produce(
        &mut self,
        now: Time,
        out: &mut Vec<Effect>,
        run: impl FnOnce(&mut Producer, producer::Context<'_>, &mut Vec<producer::Action>),
    ) {
        let mut actions = Vec::new();
        let params = self.committee.params();
        let cx = producer::Context { params, ledger: &self.ledger, now };
        run(&mut self.producer, cx, &mut actions);
        for action in actions {
            match action {
                producer::Action::Began { slot, parent, optimistic } => {
                    let token = self.persist(vec![Record::Produced(slot)], out);
                    self.own.produced.insert(slot, token);
                    let event = Event::ProductionStarted { slot, parent, optimistic };
                    out.push(Effect::Observe { event, after: None });
                }
                producer::Action::Sign(commitment, encoded) => {
                    let token = self.token();
                    self.own.slices.insert(token, encoded);
                    out.push(Effect::Sign { token, object: Unsigned::Commitment(commitment) });
                }
                producer::Action::Switched(slot, parent) => {
                    let event = Event::ParentSwitched(slot, parent);
                    out.push(Effect::Observe { event, after: None });
                }
                producer::Action::Timer(slot, slice, at) => {
                    out.push(Effect::SetTimer(Timer::Slice(slot, slice), at));
                }
            }
        }
    }

    fn may_lead(&self, window: Window) -> bool {
        self.standing == Standing::Voting
            && self.committee.leader(window) == self.me
            && self.consensus.epoch_known(window.first())
            && self.highest().slot < window.first()
    }

    /// ParentReady of a window: begin it, or start the clock of what was begun before (8.1).
    pub(super) fn on_parent_ready(&mut self, first: Slot, now: Time, out: &mut Vec<Effect>) {
        let window = first.window();
        if window > self.head {
            self.head = window;
            self.forward_again(out);
        }
        if !self.may_lead(window) {
            return;
        }
        let parents: Vec<BlockId> = self.consensus.pool().readiness().parents(first).collect();
        let highest = *parents.iter().max().expect("a parent became ready just now");
        match self.producer.waiting_on(window) {
            Some(parent) => {
                let chain = (!parents.contains(&parent)).then(|| (highest, self.chain_of(highest)));
                self.produce(now, out, |producer, cx, actions| {
                    producer.on_ready(cx, chain, actions);
                });
            }
            None if self.producer.may_begin(window) => {
                let chain = self.chain_of(highest);
                self.produce(now, out, |producer, cx, actions| {
                    producer.begin(cx, window, highest, chain, true, actions);
                });
            }
            None => {}
        }
    }

    /// The block before the own window is complete: begin on it without waiting for ParentReady. Its
    /// leader may have sent it long before its time; that is no reason to leave the own windows
    /// before it out.
    pub(super) fn begin_optimistically(&mut self, base: BlockId, now: Time, out: &mut Vec<Effect>) {
        let window = base.slot.window().next();
        if base.slot.window() > self.head {
            return;
        }
        if !base.slot.is_last() || !self.may_lead(window) || !self.producer.may_begin(window) {
            return;
        }
        let chain = self.chain_of(base);
        self.produce(now, out, |producer, cx, actions| {
            producer.begin(cx, window, base, chain, false, actions);
        });
    }

    /// Ids of the transactions in the blocks from `tip` down to the root.
    fn chain_of(&self, tip: BlockId) -> ChainIds {
        let mut ids = ChainIds::new();
        let mut block = tip;
        while block.slot > self.root().slot {
            let Some(stored) = self.blokstor.get(block) else { break };
            ids.extend(stored.transactions().iter().map(|(id, _)| *id));
            block = stored.parent();
        }
        ids
    }

    /// A client's transaction: it waits here and goes to the next two leaders (2.4).
    pub(super) fn submit(&mut self, transaction: Transaction, now: Time, out: &mut Vec<Effect>) {
        match self.ledger.admit(transaction.clone(), true, self.head.last()) {
            Ok(_) => {
                self.forward(&[transaction], out);
                self.produce(now, out, |producer, cx, actions| producer.fill(cx, actions));
            }
            Err(reason) => {
                let event = Event::Rejected(self.me, reason);
                out.push(Effect::Observe { event, after: None });
            }
        }
    }

    /// Again, every window, until delivered or expired.
    fn forward_again(&mut self, out: &mut Vec<Effect>) {
        let waiting: Vec<Transaction> = self.ledger.to_forward().cloned().collect();
        self.forward(&waiting, out);
    }

    fn forward(&mut self, transactions: &[Transaction], out: &mut Vec<Effect>) {
        if transactions.is_empty() {
            return;
        }
        let (leader, next) =
            (self.audience(self.head.first()).0, self.audience(self.head.next().first()).0);
        let both = [Some(leader), (next != leader).then_some(next)];
        for to in both.into_iter().flatten().filter(|&node| node != self.me) {
            for transaction in transactions {
                rule!("transaction.forward");
                let message = Message::Forward(transaction.clone());
                out.push(Effect::Send { to: Recipients::One(to), message, after: None });
            }
        }
    }
}
