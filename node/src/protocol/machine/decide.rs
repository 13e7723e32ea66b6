//! Carries decisions of consensus to the rest of the node.

use super::super::block::Block;
use super::super::blokstor::Outcome;
use super::super::certificate::FinalityProof;
use super::super::consensus::{Decision, Fact};
use super::super::event::{Event, Origin};
use super::super::params::MAX_STANDSTILL_DATAGRAMS;
use super::super::pool::Mode;
use super::super::types::{BlockId, NodeId, Slot, Time, Window};
use super::super::vote::{CertificateId, CertificateKind, Vote};
use super::super::wire::Message;
use super::super::{Effect, Recipients, Record, Timer};
use super::Protocol;
use std::sync::Arc;

/// One thing of a standstill bundle.
enum Item {
    Certificate(CertificateId),
    Vote(Vote),
}

fn observe(event: Event, out: &mut Vec<Effect>) {
    out.push(Effect::Observe { event, after: None });
}

impl Protocol {
    /// Tells consensus one fact and works off what follows.
    pub(super) fn feed(&mut self, fact: Fact, now: Time, out: &mut Vec<Effect>) {
        let mut decisions = Vec::new();
        self.consensus.apply(self.committee.stakes(), fact, &mut decisions);
        self.carry_out(decisions, now, out);
    }

    pub(super) fn carry_out(&mut self, decisions: Vec<Decision>, now: Time, out: &mut Vec<Effect>) {
        for decision in decisions {
            match decision {
                Decision::Cast(vote) => self.sign_vote(vote, out),
                Decision::Stored(voter, vote) => observe(Event::VoteStored(voter, vote), out),
                Decision::Offence(node, slot, offence) => {
                    self.offenders.insert((slot, node));
                    observe(Event::Offence(node, slot, offence), out);
                }
                Decision::Certificate { id, built } => self.on_certificate(id, built, out),
                Decision::ParentReady(slot, parent) => {
                    observe(Event::ParentReady(slot, parent), out);
                    self.on_parent_ready(slot, now, out);
                }
                Decision::StartTimers(window) => self.start_timers(window, now, out),
                Decision::SafeToNotar(block) => observe(Event::SafeToNotar(block), out),
                Decision::SafeToSkip(slot) => observe(Event::SafeToSkip(slot), out),
                Decision::Finalized(block, mode) => self.on_finalized(block, mode, now, out),
                Decision::Skipped(slot) => observe(Event::SkippedByFinality(slot), out),
                Decision::Delivered(block) => self.deliver(block, out),
                Decision::Missing(block) => self.fetch(block, now, out),
                Decision::Contradiction(slot) => observe(Event::Contradiction(slot), out),
            }
        }
    }

    /// Sends a new certificate to everybody once (Lemma 42 depends on it, K22), except FI where FF
    /// was sent already (6.2).
    fn on_certificate(&mut self, id: CertificateId, built: bool, out: &mut Vec<Effect>) {
        let certificate = if built {
            self.signatures.build(self.committee.len(), self.consensus.pool(), id)
        } else {
            let held = self.signatures.certificate(id);
            held.expect("a certificate is kept before consensus hears of it").clone()
        };
        observe(Event::CertificateAdded { certificate: certificate.clone(), built }, out);
        let fast = || {
            self.consensus
                .pool()
                .certificates(id.slot)
                .any(|held| matches!(held.kind, CertificateKind::FastFinal(_)))
        };
        if id.kind == CertificateKind::Final && fast() {
            return;
        }
        out.push(Effect::Note(Record::Certificate(certificate.clone())));
        self.broadcast(Message::Certificate(certificate), None, out);
    }

    /// 7.3: the timers of a window, from now.
    fn start_timers(&mut self, window: Window, now: Time, out: &mut Vec<Effect>) {
        let params = self.committee.params();
        let growth = self.standstill.growth(window);
        let base = now + params.timeout_after(growth);
        let first = window.first();
        out.push(Effect::SetTimer(Timer::Crashed(first), base + params.delta_first()));
        for (i, slot) in (1u32..).zip(window.slots()) {
            out.push(Effect::SetTimer(Timer::Skip(slot), base + params.delta_block() * i));
        }
        observe(Event::TimersSet(first, growth), out);
    }

    fn on_finalized(&mut self, block: BlockId, mode: Mode, now: Time, out: &mut Vec<Effect>) {
        observe(Event::Finalized(block, mode), out);
        if mode == Mode::Indirect {
            return;
        }
        if let Some(proof) = self.signatures.proof(block.slot) {
            out.push(Effect::Note(Record::Proof(proof.clone())));
            self.server.add_proof(proof);
        }
        let highest = self.highest().slot;
        self.standstill.on_finalized(now, highest);
        self.producer.on_finalized(highest);
        self.head = self.head.max(highest.window());
        self.check_behind(now, out);
    }

    /// The next block of the chain goes to the ledger, and out once that is durable.
    fn deliver(&mut self, id: BlockId, out: &mut Vec<Effect>) {
        let block = self.blokstor.get(id).expect("consensus delivers stored blocks").clone();
        let executed: Arc<[_]> = self.ledger.deliver(&block).into();
        self.chain.insert(id.slot, id);
        let mut records = Vec::new();
        if self.own.note_stored(id) {
            records.push(Record::Block(block.clone()));
        }
        records.push(Record::Delivered(id));
        let after = self.persist(records, out);
        let event =
            Event::Delivered { block: id, parent: block.parent(), transactions: executed.clone() };
        out.push(Effect::Observe { event, after: Some(after) });
        out.push(Effect::Deliver { block, transactions: executed, after });
        for id in self.ledger.expire() {
            observe(Event::TransactionExpired(id), out);
        }
    }

    /// Takes a complete block into Blokstor and consensus.
    pub(super) fn store_block(
        &mut self,
        block: Arc<Block>,
        origin: Origin,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        let (id, parent) = (block.id(), block.parent());
        if id.slot <= self.root().slot || !self.consensus.pool().finality().holds(id.slot) {
            return;
        }
        if !self.blokstor.insert(block.clone()) && self.blokstor.get(id).is_none() {
            return; // the slot is full, which takes more than a fifth of byzantine stake
        }
        let event = Event::BlockStored {
            block: id,
            parent,
            origin,
            slices: block.slices().len() as u8,
            switched: block.has_switch(),
        };
        observe(event, out);
        if self.repair.forget(id) && origin != Origin::Repair {
            observe(Event::RepairEnded(id, false), out);
        }
        self.feed(Fact::Block(id, parent), now, out);
        self.begin_optimistically(id, now, out);
    }

    pub(super) fn on_outcomes(&mut self, outcomes: Vec<Outcome>, now: Time, out: &mut Vec<Effect>) {
        for outcome in outcomes {
            match outcome {
                Outcome::FirstShred(slot) => {
                    observe(Event::SlotSeen(slot), out);
                    self.feed(Fact::Shred(slot), now, out);
                }
                Outcome::Complete(block) => self.store_block(block, Origin::Rotor, now, out),
                Outcome::Invalid(slot) => {
                    observe(Event::BlockInvalid(slot), out);
                    self.feed(Fact::InvalidBlock(slot), now, out);
                }
                Outcome::Equivocation(slot) => observe(Event::Equivocation(slot), out),
            }
        }
    }

    /// Takes a verified finalization proof, whatever is known already.
    pub(super) fn take_proof(&mut self, proof: &FinalityProof, now: Time, out: &mut Vec<Effect>) {
        if proof.slot() <= self.root().slot || !self.consensus.epoch_known(proof.slot()) {
            return;
        }
        for certificate in proof.certificates() {
            self.signatures.add_certificate(certificate.clone());
            self.feed(Fact::Certificate(certificate.id), now, out);
        }
        // Below the floor the Pool takes no certificates, but what is final is final.
        if let Some(block) = proof.block()
            && proof.slot() < self.consensus.pool().finality().floor()
        {
            let mode = match proof {
                FinalityProof::Fast(_) => Mode::Fast,
                FinalityProof::Slow { .. } => Mode::Slow,
            };
            self.server.add_proof(proof.clone());
            out.push(Effect::Note(Record::Proof(proof.clone())));
            self.feed(Fact::Final(block, mode), now, out);
        }
    }

    /// A peer speaks for the first time in this incarnation: it may have started after us and
    /// missed what we said (7.1).
    pub(super) fn greet(&mut self, peer: NodeId, out: &mut Vec<Effect>) {
        let highest = self.highest().slot;
        let proof = self.highest_proof().map(Message::Proof);
        let votes = self.own.durable(highest).filter_map(|v| self.signatures.vote(self.me, v));
        let votes = votes.take(MAX_STANDSTILL_DATAGRAMS - 1).map(Message::Vote);
        let messages: Vec<Message> = proof.into_iter().chain(votes).collect();
        let to = Recipients::One(peer);
        let send = |message| Effect::Send { to: to.clone(), message, after: None };
        out.extend(messages.into_iter().map(send));
    }

    pub(super) fn on_standstill_timer(&mut self, now: Time, out: &mut Vec<Effect>) {
        let params = self.committee.params();
        out.push(Effect::SetTimer(Timer::Standstill, now + params.standstill_poll()));
        if self.started && self.standstill.fires(now, params.standstill()) {
            self.say_everything_again(out);
        }
        self.refill(now, out);
        let event = Event::Sizes {
            pool: self.consensus.pool().size() as u32,
            blocks: self.blokstor.size() as u32,
            transactions: self.ledger.waiting() as u32,
            requests: self.repair.outstanding() as u32,
        };
        observe(event, out);
    }

    /// 10.1: the proof of the highest finalization, then every certificate and own vote above it.
    fn say_everything_again(&mut self, out: &mut Vec<Effect>) {
        let highest = self.highest().slot;
        let mut items: Vec<(Slot, Item)> = Vec::new();
        let pool = self.consensus.pool();
        for slot in pool.slots().filter(|&slot| slot > highest) {
            items.extend(pool.certificates(slot).map(|id| (slot, Item::Certificate(id))));
        }
        let newest = self.own.newest_window();
        for vote in self.own.durable(highest) {
            let settled =
                pool.readiness().is_skipped(vote.slot) || pool.readiness().any_certified(vote.slot);
            if !settled || vote.slot.window().next() >= newest {
                items.push((vote.slot, Item::Vote(vote)));
            }
        }
        items.sort_by_key(|(slot, _)| *slot);
        let chosen = self.standstill.select(items, MAX_STANDSTILL_DATAGRAMS - 1);
        if let Some(proof) = self.highest_proof() {
            self.broadcast(Message::Proof(proof), None, out);
        }
        let (mut certificates, mut votes) = (Vec::new(), Vec::new());
        for item in chosen {
            match item {
                Item::Certificate(id) => {
                    let held = self.signatures.certificate(id).cloned();
                    let certificate = held.expect("the Pool holds it, so it is here");
                    self.broadcast(Message::Certificate(certificate), None, out);
                    certificates.push(id);
                }
                Item::Vote(vote) => {
                    if let Some(signed) = self.signatures.vote(self.me, vote) {
                        self.broadcast(Message::Vote(signed), None, out);
                        votes.push(vote);
                    }
                }
            }
        }
        let event =
            Event::Standstill { highest, certificates: certificates.into(), votes: votes.into() };
        observe(event, out);
    }
}
