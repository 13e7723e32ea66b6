//! Shreds, repair and catch-up: how blocks get here, and how others get them from here.

use super::super::block::Shred;
use super::super::certificate::FinalityProof;
use super::super::consensus::Fact;
use super::super::event::{Event, Origin};
use super::super::pool::Context;
use super::super::repair::{self, server};
use super::super::rules::rule;
use super::super::stake::NodeSet;
use super::super::types::{BlockId, NodeId, Slot, Time};
use super::super::wire::{Answer, Ask, MAX_PROOFS, Message, Reject};
use super::super::{Effect, Query, Recipients, Stored, Timer};
use super::Protocol;
use std::sync::Arc;

fn observe(event: Event, out: &mut Vec<Effect>) {
    out.push(Effect::Observe { event, after: None });
}

impl Protocol {
    /// Takes a verified shred from Rotor, and relays it if that is this node's duty (3.1).
    pub(super) fn take_shred(&mut self, shred: &Arc<Shred>, now: Time, out: &mut Vec<Effect>) {
        let (slot, slice) = (shred.commitment.slot, shred.commitment.slice);
        let mut outcomes = Vec::new();
        if self.blokstor.add_shred(shred, &mut outcomes) {
            let relays = self.relays(slot, slice);
            if relays[usize::from(shred.index)] == self.me {
                let (leader, audience) = self.audience(slot);
                if leader != self.me && !audience.is_empty() {
                    rule!("rotor.relay");
                    let message = Message::Shred(shred.clone());
                    let to = Recipients::Many(audience);
                    out.push(Effect::Send { to, message, after: None });
                }
            }
        }
        self.on_outcomes(outcomes, now, out);
    }

    /// A block is certified or final, and missing. Rotor gets a moment to complete it, unless
    /// that is pointless (section 9).
    pub(super) fn fetch(&mut self, block: BlockId, now: Time, out: &mut Vec<Effect>) {
        if self.consensus.pool().finality().is_stored(block) {
            return;
        }
        let at_once = self.blokstor.rotor_is_over(block.slot) || block.slot < self.highest().slot;
        let grace = self.committee.params().repair_grace();
        let not_before = if at_once { now } else { now + grace };
        let tally = self.consensus.pool().tally(block.slot);
        let holders = tally.map_or_else(NodeSet::default, |tally| tally.holders(block.hash));
        self.repair(now, out, |repair, cx, actions| {
            repair.want(cx, block, not_before, &holders, actions);
        });
    }

    pub(super) fn on_repair_timer(&mut self, block: BlockId, now: Time, out: &mut Vec<Effect>) {
        self.repair(now, out, |repair, cx, actions| repair.on_timer(cx, block, actions));
        self.refill(now, out);
    }

    fn repair(
        &mut self,
        now: Time,
        out: &mut Vec<Effect>,
        run: impl FnOnce(&mut repair::Repair, repair::Context<'_>, &mut Vec<repair::Action>),
    ) {
        let mut actions = Vec::new();
        let cx = repair::Context { committee: &self.committee, blokstor: &self.blokstor, now };
        run(&mut self.repair, cx, &mut actions);
        for action in actions {
            match action {
                repair::Action::Ask(peer, number, ask) => {
                    let message = Message::Request(number, ask);
                    out.push(Effect::Send { to: Recipients::One(peer), message, after: None });
                }
                repair::Action::Timer(block, at) => {
                    out.push(Effect::SetTimer(Timer::Repair(block), at));
                }
                repair::Action::Started(block) => {
                    observe(Event::RepairStarted(block), out);
                    let finality = self.consensus.pool().finality();
                    if finality.is_final(block) && finality.decided(block.slot.previous()).is_none()
                    {
                        self.catchup.gap();
                        self.check_behind(now, out);
                    }
                }
                repair::Action::Fetched(block) => {
                    rule!("blokstor.repaired");
                    observe(Event::RepairEnded(block.id(), true), out);
                    self.store_block(block, Origin::Repair, now, out);
                    self.refill(now, out);
                }
            }
        }
    }

    /// Starts further fetches while there is room for them. Also called now and then: a block that
    /// found no room when it was first wanted may be one that the cluster waits for.
    pub(super) fn refill(&mut self, now: Time, out: &mut Vec<Effect>) {
        if !self.repair.has_room() {
            return;
        }
        let cx = Context { stakes: self.committee.stakes(), me: self.me };
        let missing: Vec<BlockId> = self.consensus.pool().missing(cx).take(64).collect();
        for block in missing {
            self.fetch(block, now, out);
        }
    }

    /// Starts asking for proofs if this node is behind.
    pub(super) fn check_behind(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.is_catching_up() && self.catchup.activate() {
            // Blocks of the last windows may just be on their way.
            let grace = self.committee.params().repair_grace();
            let at = if self.catchup.is_gap() { now } else { now + grace };
            out.push(Effect::SetTimer(Timer::CatchUp, at));
        }
    }

    pub(super) fn on_catch_up_timer(&mut self, now: Time, out: &mut Vec<Effect>) {
        if !self.is_catching_up() {
            self.catchup.rest();
            return;
        }
        let (root, highest) = (self.root().slot, self.highest().slot);
        observe(Event::CatchUp(root), out);
        let finality = self.consensus.pool().finality();
        let decided = |slot: Slot| finality.decided(slot).is_some();
        let limit = highest.min(root.plus(super::MAX_HELD_SLOTS));
        let params = self.committee.params();
        let retry = params.repair_retry();
        let questions = self.catchup.questions(&self.committee, now, retry, root, limit, decided);
        for (peer, number, from) in questions {
            let message = Message::Request(number, Ask::Decided(from));
            out.push(Effect::Send { to: Recipients::One(peer), message, after: None });
        }
        out.push(Effect::SetTimer(Timer::CatchUp, now + params.delta()));
        self.refill(now, out);
    }

    pub(super) fn on_response(
        &mut self,
        from: NodeId,
        number: u64,
        answer: Answer,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        if self.catchup.expects(from, number) {
            let finality = self.consensus.pool().finality();
            let new = |proof: &FinalityProof| finality.decided(proof.slot()).is_none();
            let useful = matches!(&answer, Answer::Decided(proofs) if proofs.iter().any(new));
            self.catchup.on_answer(number, useful);
            if let Answer::Decided(proofs) = answer {
                rule!("catchup.proofs");
                for proof in proofs.iter() {
                    self.take_proof(proof, now, out);
                }
                // The first of them lies beyond what is held: the cluster skipped all that is held.
                if let Some(block) = proofs.iter().next().and_then(FinalityProof::block)
                    && self.consensus.pool().finality().is_beyond(block.slot)
                {
                    self.feed(Fact::Beyond(block), now, out);
                }
            }
            return;
        }
        let mut good = true;
        self.repair(now, out, |repair, cx, actions| {
            good = repair.on_answer(cx, number, &answer, actions);
        });
        if !good {
            observe(Event::Rejected(from, Reject::Proof), out);
        }
    }

    /// Answers a peer's question, now or when the store has read what it takes.
    pub(super) fn on_request(
        &mut self,
        from: NodeId,
        number: u64,
        ask: Ask,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        if !self.server.allow(from, now) {
            return observe(Event::Rejected(from, Reject::RateLimit), out);
        }
        let question = (from, number, ask);
        let answer = match ask {
            Ask::SliceCount(block) | Ask::SliceRoot(block, _) | Ask::Shred(block, ..) => {
                match self.blokstor.get(block).or_else(|| self.server.read_back(block)) {
                    Some(block) => server::answer(block, ask),
                    // What is delivered, or too far between the root and the head to be kept in
                    // memory, is in the store.
                    None if !self.consensus.pool().finality().holds(block.slot) => {
                        match self.server.wait_for_block(block, question) {
                            Some(first) => {
                                if first {
                                    rule!("repair.store");
                                    out.push(Effect::Load(Query::Block(block)));
                                }
                                return;
                            }
                            None => Answer::Nack,
                        }
                    }
                    None => Answer::Nack,
                }
            }
            Ask::Decided(slot) => {
                let in_memory = self.server.proofs_from().is_none_or(|first| first <= slot);
                if in_memory || slot > self.highest().slot {
                    self.server.proofs(slot)
                } else {
                    match self.server.wait_for_proofs(slot, question) {
                        Some(first) => {
                            if first {
                                out.push(Effect::Load(Query::Proofs(slot)));
                            }
                            return;
                        }
                        None => Answer::Nack,
                    }
                }
            }
        };
        self.reply(from, number, ask, answer, out);
    }

    fn reply(&self, to: NodeId, number: u64, ask: Ask, answer: Answer, out: &mut Vec<Effect>) {
        rule!("repair.answer");
        let message = Message::Response(number, answer);
        // What an own block says must not leave before the record that bars its slot (10.3).
        let after = match ask {
            Ask::SliceCount(block) | Ask::SliceRoot(block, _) | Ask::Shred(block, ..) => {
                self.own.produced.get(&block.slot).copied()
            }
            Ask::Decided(_) => None,
        };
        out.push(Effect::Send { to: Recipients::One(to), message, after });
    }

    pub(super) fn on_loaded(
        &mut self,
        query: Query,
        stored: Stored,
        _now: Time,
        out: &mut Vec<Effect>,
    ) {
        match (query, stored) {
            (Query::Block(id), Stored::Block(block)) => {
                let waiting = self.server.take_block(id, block);
                for (from, number, ask) in waiting {
                    let answer = match self.server.read_back(id) {
                        Some(block) => server::answer(block, ask),
                        None => Answer::Nack,
                    };
                    self.reply(from, number, ask, answer, out);
                }
            }
            (Query::Proofs(from), Stored::Proofs(proofs)) => {
                let waiting = self.server.take_proofs(from);
                let answer = server::fit(proofs.into_iter().take(MAX_PROOFS));
                for (peer, number, ask) in waiting {
                    self.reply(peer, number, ask, answer.clone(), out);
                }
            }
            _ => debug_assert!(false, "the store answers what it was asked"),
        }
    }

    /// The proof of the highest finalization, for peers that have not heard of it.
    pub(super) fn highest_proof(&self) -> Option<FinalityProof> {
        self.server.proof(self.highest().slot).cloned()
    }
}
