//! The node's state machine: owns the parts and carries what one concludes to the others.
//!
//! The order of every step is the same: a verified input changes one part; what follows is worked
//! off until nothing follows any more; effects leave in that order; at the end everything forgets
//! what the marks have passed. The parts know nothing of each other.

mod decide;
mod fetch;
mod sign;

use super::block::{Transaction, TransactionId};
use super::blokstor::{Blokstor, Standing as ShredStanding};
use super::catchup::CatchUp;
use super::certificate::SignedVote;
use super::committee::Committee;
use super::consensus::{Consensus, Fact};
use super::event::{Event, Origin, Standing};
use super::ledger::{Ledger, Status};
use super::params::{MAX_HELD_SLOTS, TRANSACTION_LIFETIME_SLOTS};
use super::pool::Context;
use super::pool::tally::Admission;
use super::producer::Producer;
use super::repair::{Repair, server::Server};
use super::rules::rule;
use super::signatures::Signatures;
use super::stake::NodeSet;
use super::standstill::Standstill;
use super::types::{BlockId, NodeId, Slot, Time, Token, Window};
use super::vote::{CertificateId, CertificateKind, Vote};
use super::wire::{Answer, Message, Reject, Unverified, sender_may_say};
use super::{Effect, Input, Recipients, Restored, Timer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The protocol state of one node. See [`crate::protocol`] for how it is used.
#[derive(Debug)]
pub struct Protocol {
    committee: Arc<Committee>,
    me: NodeId,
    standing: Standing,
    consensus: Consensus,
    signatures: Signatures,
    blokstor: Blokstor,
    ledger: Ledger,
    producer: Producer,
    repair: Repair,
    server: Server,
    catchup: CatchUp,
    standstill: Standstill,
    own: sign::Own,
    /// All others by decreasing stake.
    others: Arc<[NodeId]>,
    /// Relays of slices that were seen.
    relays: BTreeMap<(Slot, u8), Arc<[NodeId]>>,
    /// Whom a relay of a window forwards to, in order.
    audiences: BTreeMap<Window, (NodeId, Arc<[NodeId]>)>,
    /// Delivered blocks that are kept in memory for peers.
    chain: BTreeMap<Slot, BlockId>,
    /// Peers that this incarnation has heard.
    heard: NodeSet,
    /// Validators with a proved offence in a slot; more of it is not worth a signature check.
    offenders: BTreeSet<(Slot, NodeId)>,
    /// The window that the cluster works on, as far as this node knows.
    head: Window,
    started: bool,
    next_token: u64,
}

/// How a node starts.
#[derive(Debug)]
pub struct Config {
    /// The validator set.
    pub committee: Arc<Committee>,
    /// The own index.
    pub me: NodeId,
    /// What the store holds.
    pub restored: Restored,
    /// The cluster's start on the own clock.
    pub start: Time,
    /// Differs between incarnations; names requests.
    pub boot: u32,
}

impl Protocol {
    /// Starts an incarnation. The first effects sign the reloaded votes again and set timers.
    pub fn new(config: Config, now: Time, out: &mut Vec<Effect>) -> Protocol {
        let Config { committee, me, restored, start, boot } = config;
        assert!(me.index() < committee.len(), "the own index is a member");
        let root = restored.tip.unwrap_or_else(|| committee.genesis_block());
        let epoch_slots = committee.params().epoch_slots;
        let votes: Vec<Vote> =
            restored.votes.iter().copied().filter(|vote| vote.slot > root.slot).collect();
        let numbers = u64::from(boot) << 32;
        let mut protocol = Protocol {
            me,
            standing: if restored.intact { Standing::Voting } else { Standing::Observing },
            consensus: Consensus::new(me, epoch_slots, root, restored.intact, &votes),
            signatures: Signatures::default(),
            blokstor: Blokstor::default(),
            ledger: Ledger::default(),
            producer: Producer::new(None),
            repair: Repair::new(me, numbers),
            server: Server::new(committee.len()),
            catchup: CatchUp::new(me, numbers | 1 << 31),
            standstill: Standstill::new(now, root.slot),
            own: sign::Own::default(),
            others: committee.by_stake().iter().copied().filter(|&node| node != me).collect(),
            relays: BTreeMap::new(),
            audiences: BTreeMap::new(),
            chain: BTreeMap::new(),
            heard: NodeSet::default(),
            offenders: BTreeSet::new(),
            head: root.slot.window(),
            started: false,
            next_token: 0,
            committee,
        };
        protocol.restore(restored, &votes, now, out);
        if now < start && root.slot == Slot::GENESIS {
            out.push(Effect::SetTimer(Timer::Start, start));
        } else {
            protocol.start(now, out);
        }
        let poll = now + protocol.committee.params().standstill_poll();
        out.push(Effect::SetTimer(Timer::Standstill, poll));
        protocol
    }

    /// Puts back what the store held (10.4).
    fn restore(&mut self, restored: Restored, votes: &[Vote], now: Time, out: &mut Vec<Effect>) {
        for block in &restored.recent {
            self.ledger.deliver(block);
            self.chain.insert(block.id().slot, block.id());
            self.blokstor.insert(block.clone());
        }
        let voted = votes.iter().map(|vote| vote.slot);
        // A window in which production may have begun, or that was voted on, is never produced.
        if let Some(slot) = restored.produced.into_iter().chain(voted).max() {
            self.producer.bar(slot.window());
        }
        if self.standing == Standing::Observing {
            rule!("restart.observer");
            self.producer.bar(Window(u64::MAX));
        }
        let proofs: Vec<_> = restored
            .proofs
            .into_iter()
            .filter(|proof| proof.verify(&self.committee).is_ok())
            .collect();
        let proved = proofs.iter().flat_map(|p| p.certificates().cloned()).collect::<Vec<_>>();
        // Said before anything follows from it: the tip is what is durable, not what the blocks
        // and certificates below will add to it.
        let tip = self.root();
        let highest = proofs.iter().filter_map(|proof| proof.block()).fold(tip, BlockId::max);
        let event = Event::Reloaded { votes: votes.into(), tip, highest };
        out.push(Effect::Observe { event, after: None });
        let event = Event::Standing(self.standing);
        out.push(Effect::Observe { event, after: None });
        for proof in proofs {
            self.server.add_proof(proof);
        }
        let valid = restored.certificates.into_iter().filter(|c| c.verify(&self.committee).is_ok());
        let certificates: Vec<_> = proved.into_iter().chain(valid).collect();
        for block in restored.candidates {
            self.own.note_stored(block.id());
            self.store_block(block, Origin::Store, now, out);
        }
        for certificate in certificates {
            if certificate.id.slot > self.root().slot {
                self.signatures.add_certificate(certificate.clone());
                self.feed(Fact::Certificate(certificate.id), now, out);
            }
        }
        self.own.restore(votes);
        for &vote in votes {
            self.sign_vote(vote, out);
        }
    }

    fn start(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.started = true;
        // The wait for the cluster's start is no silence of finality.
        self.standstill = Standstill::new(now, self.highest().slot);
        let mut decisions = Vec::new();
        self.consensus.start(&mut decisions);
        self.carry_out(decisions, now, out);
        self.check_behind(now, out);
    }

    /// Decodes and filters bytes of a peer without touching a signature. Total.
    pub fn precheck(&self, from: NodeId, bytes: &[u8]) -> Result<Unverified<Message>, Reject> {
        self.screen(from, Message::decode(bytes)?)
    }

    /// The part of [`Protocol::precheck`] that depends on the state. A host that lets messages
    /// wait for their check asks again before it.
    pub fn screen(&self, from: NodeId, message: Message) -> Result<Unverified<Message>, Reject> {
        if from.index() >= self.committee.len() || !sender_may_say(from, &message) {
            return Err(Reject::Signer);
        }
        match &message {
            Message::Vote(vote) => self.precheck_vote(vote)?,
            Message::Certificate(certificate) => self.precheck_certificate(certificate.id)?,
            Message::Shred(shred) => {
                let slot = shred.commitment.slot;
                self.in_range(slot)?;
                let known = match self.blokstor.standing(shred) {
                    ShredStanding::New => false,
                    ShredStanding::KnownCommitment => true,
                    ShredStanding::Useless => return Err(Reject::Duplicate),
                    ShredStanding::Decoded => {
                        let relays = self.relays.get(&(slot, shred.commitment.slice));
                        let relay = relays.map(|relays| relays[usize::from(shred.index)]);
                        if relay != Some(self.me) {
                            return Err(Reject::NotNeeded);
                        }
                        true
                    }
                };
                let unverified = Unverified::new(message);
                return Ok(if known { unverified.with_known_commitment() } else { unverified });
            }
            Message::Forward(transaction) => {
                self.admission(transaction)?;
            }
            Message::Request(..) => {}
            Message::Response(number, answer) => {
                let expected = match answer {
                    Answer::Decided(_) => self.catchup.expects(from, *number),
                    Answer::Nack => {
                        self.catchup.expects(from, *number)
                            || self.repair.expects(from, *number, answer)
                    }
                    _ => self.repair.expects(from, *number, answer),
                };
                if !expected {
                    return Err(Reject::Unsolicited);
                }
            }
            Message::Proof(proof) => {
                let slot = proof.slot();
                if slot <= self.consensus.pool().finality().highest().slot {
                    return Err(Reject::Old);
                }
                self.epoch(slot)?;
            }
        }
        Ok(Unverified::new(message))
    }

    /// True if `vote` by all of these validators would let this node conclude something that it
    /// has not concluded yet, as far as that can be told before the votes are checked. A host may
    /// let other votes wait for a moment.
    pub fn decides(&self, vote: Vote, voters: &mut dyn Iterator<Item = NodeId>) -> bool {
        let cx = Context { stakes: self.committee.stakes(), me: self.me };
        self.consensus.pool().decides(cx, vote, voters)
    }

    fn epoch(&self, slot: Slot) -> Result<(), Reject> {
        if self.consensus.epoch_known(slot) { Ok(()) } else { Err(Reject::Epoch) }
    }

    fn in_range(&self, slot: Slot) -> Result<(), Reject> {
        let range = self.consensus.pool().vote_range();
        if slot < *range.start() {
            return Err(Reject::Old);
        }
        self.epoch(slot)?;
        if slot > *range.end() { Err(Reject::Far) } else { Ok(()) }
    }

    fn precheck_vote(&self, vote: &SignedVote) -> Result<(), Reject> {
        let slot = vote.vote.slot;
        self.in_range(slot)?;
        let Some(tally) = self.consensus.pool().tally(slot) else { return Ok(()) };
        match tally.admission(vote.signer, vote.vote.kind) {
            Admission::Duplicate => Err(Reject::Duplicate),
            // A proof of misbehaviour is worth one check, not more.
            Admission::Refused(_) if self.offenders.contains(&(slot, vote.signer)) => {
                Err(Reject::NotNeeded)
            }
            _ => Ok(()),
        }
    }

    fn precheck_certificate(&self, id: CertificateId) -> Result<(), Reject> {
        let pool = self.consensus.pool();
        if id.slot < pool.finality().floor() {
            return Err(Reject::Old);
        }
        self.epoch(id.slot)?;
        if pool.holds(id) {
            return Err(Reject::Duplicate);
        }
        // What finalizes is taken from any slot: a node that is far behind needs it (6.1).
        let helps_only_near =
            matches!(id.kind, CertificateKind::Skip | CertificateKind::NotarFallback(_));
        if helps_only_near && id.slot > pool.finality().highest().slot.plus(MAX_HELD_SLOTS) {
            return Err(Reject::Far);
        }
        Ok(())
    }

    /// Takes one input and appends the effects. Never blocks, never checks a signature.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Message { from, message } => {
                self.on_message(from, message.into_inner(), now, out)
            }
            Input::Dropped { from, reason } => {
                out.push(Effect::Observe { event: Event::Rejected(from, reason), after: None });
                if reason == Reject::Epoch {
                    self.catchup.hint();
                    self.check_behind(now, out);
                }
                return; // most of a flood ends here: no mark has moved
            }
            Input::Timer(timer) => self.on_timer(timer, now, out),
            Input::Submit(transaction) => self.submit(transaction, now, out),
            Input::Signed { token, signed } => self.on_signed(token, signed.into_inner(), now, out),
            Input::Persisted(token) => self.on_persisted(token, now, out),
            Input::Loaded(query, stored) => self.on_loaded(query, stored, now, out),
            Input::StorageFailed => self.stop_voting(out),
        }
        self.settle();
    }

    fn on_message(&mut self, from: NodeId, message: Message, now: Time, out: &mut Vec<Effect>) {
        if self.heard.insert(from) {
            self.greet(from, out);
        }
        match message {
            Message::Vote(vote) => {
                self.signatures.add_vote(&vote);
                self.feed(Fact::Vote(vote.signer, vote.vote), now, out);
            }
            Message::Certificate(certificate) => {
                let id = certificate.id;
                self.signatures.add_certificate(certificate);
                self.feed(Fact::Certificate(id), now, out);
            }
            Message::Proof(proof) => self.take_proof(&proof, now, out),
            Message::Shred(shred) => self.take_shred(&shred, now, out),
            Message::Forward(transaction) => {
                if self.ledger.admit(transaction, false, self.head.last()).is_ok() {
                    self.produce(now, out, |producer, cx, actions| producer.fill(cx, actions));
                }
            }
            Message::Request(number, ask) => self.on_request(from, number, ask, now, out),
            Message::Response(number, answer) => self.on_response(from, number, answer, now, out),
        }
    }

    fn on_timer(&mut self, timer: Timer, now: Time, out: &mut Vec<Effect>) {
        match timer {
            Timer::Start => self.start(now, out),
            Timer::Skip(slot) => {
                out.push(Effect::Observe { event: Event::Timeout(slot), after: None });
                self.feed(Fact::Timeout(slot), now, out);
            }
            Timer::Crashed(slot) => {
                out.push(Effect::Observe { event: Event::TimeoutCrashed(slot), after: None });
                self.feed(Fact::TimeoutCrashed(slot), now, out);
            }
            Timer::Slice(slot, slice) => {
                self.produce(now, out, |producer, cx, actions| {
                    producer.on_timer(cx, slot, slice, actions);
                });
            }
            Timer::Repair(block) => self.on_repair_timer(block, now, out),
            Timer::CatchUp => self.on_catch_up_timer(now, out),
            Timer::Standstill => self.on_standstill_timer(now, out),
        }
    }

    /// Forgets what the marks have passed.
    fn settle(&mut self) {
        let before = self.consensus.pool().finality().floor();
        self.consensus.settle();
        let finality = self.consensus.pool().finality();
        let (root, floor) = (finality.root(), finality.floor());
        if self.own.settled == (root, floor) {
            debug_assert_eq!(before, floor);
            return;
        }
        self.own.settled = (root, floor);
        self.signatures.prune(floor);
        self.offenders = self.offenders.split_off(&(floor, NodeId(0)));
        self.relays = self.relays.split_off(&(floor, 0));
        self.audiences = self.audiences.split_off(&floor.window());
        let oldest = Slot(root.slot.0.saturating_sub(super::params::BLOCKS_IN_MEMORY));
        self.chain = self.chain.split_off(&oldest);
        let chain = &self.chain;
        self.blokstor.prune(floor, |block| {
            if block.slot > root.slot {
                finality.holds(block.slot)
            } else {
                chain.get(&block.slot) == Some(&block)
            }
        });
        self.repair.prune(root.slot);
        self.own.prune(root.slot, floor);
    }

    fn root(&self) -> BlockId {
        self.consensus.pool().finality().root()
    }

    fn highest(&self) -> BlockId {
        self.consensus.pool().finality().highest()
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn broadcast(&self, message: Message, after: Option<Token>, out: &mut Vec<Effect>) {
        if !self.others.is_empty() {
            out.push(Effect::Send { to: Recipients::Many(self.others.clone()), message, after });
        }
    }

    fn stop_voting(&mut self, out: &mut Vec<Effect>) {
        if self.standing == Standing::Voting {
            self.standing = Standing::Observing;
            self.consensus.stop_voting();
            self.producer.bar(Window(u64::MAX));
            self.producer.on_finalized(Slot(u64::MAX));
            let event = Event::Standing(Standing::Observing);
            out.push(Effect::Observe { event, after: None });
        }
    }

    /// The committee.
    pub fn committee(&self) -> &Arc<Committee> {
        &self.committee
    }

    /// The own index.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The consensus state, for status and tests.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// Whether this node votes.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The slot that the cluster works on, as far as this node knows: the last one of the head
    /// window. Transactions live up to 150 slots past it.
    pub fn head(&self) -> Slot {
        self.head.last()
    }

    /// True while this node fetches what others have delivered.
    pub fn is_catching_up(&self) -> bool {
        self.catchup.is_behind(self.root().slot, self.highest().slot)
    }

    /// Says whether a transaction would be taken now, and under which id.
    pub fn admission(&self, transaction: &Transaction) -> Result<TransactionId, Reject> {
        self.ledger.admission(transaction, self.head.last())
    }

    /// What became of a transaction, as far as the last lifetime of slots tells. `None` if this
    /// node has never seen it, or forgot it.
    pub fn status(&self, id: &TransactionId) -> Option<Status> {
        if let Some(slot) = self.ledger.slot_of(id) {
            return Some(Status::Finalized(slot));
        }
        self.ledger.is_waiting(id).then_some(Status::Pending)
    }
}

const _: () = assert!(TRANSACTION_LIFETIME_SLOTS < MAX_HELD_SLOTS);

#[cfg(test)]
mod tests;
