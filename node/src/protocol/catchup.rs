//! Catching up: a node that is behind asks for finalization proofs in ranges (section 9, 10.5).
//!
//! Hash links alone would lead it back one block per three round trips. A list of what is final
//! lets it fetch many blocks at once and deliver forward. Ranges are asked in parallel, each from
//! one peer and, while its slots stay unknown, from the next one; blocks follow through repair.
//! Asking starts only on evidence of being behind, so a healthy cluster never asks.

use super::committee::Committee;
use super::rules::rule;
use super::types::{Hash, NodeId, Slot, Time};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;

/// Slots per question: about as many proofs as one datagram holds.
const RANGE: u64 = 16;
/// Questions in one round.
const MAX_QUESTIONS: usize = 16;
/// Being so many slots behind the highest finalized one is normal.
const TOLERATED_SLOTS: u64 = 8;

/// The questions under way.
#[derive(Debug)]
pub struct CatchUp {
    me: NodeId,
    numbers: u64,
    asked: BTreeMap<u64, (NodeId, Slot, Time)>,
    /// A peer speaks of an epoch that is not known here.
    hint: bool,
    /// The timer is set.
    active: bool,
    rounds: u64,
}

impl CatchUp {
    /// Nothing asked. Numbers start at `numbers`.
    pub fn new(me: NodeId, numbers: u64) -> CatchUp {
        CatchUp { me, numbers, asked: BTreeMap::new(), hint: false, active: false, rounds: 0 }
    }

    /// A peer spoke of an unknown epoch.
    pub fn hint(&mut self) {
        self.hint = true;
    }

    /// True if this node should ask.
    pub fn is_behind(&self, root: Slot, highest: Slot) -> bool {
        self.hint || highest.0 > root.0.saturating_add(TOLERATED_SLOTS)
    }

    /// True if the timer must be set now.
    pub fn activate(&mut self) -> bool {
        !std::mem::replace(&mut self.active, true)
    }

    /// The node is up to date.
    pub fn rest(&mut self) {
        (self.active, self.hint) = (false, false);
        self.asked.clear();
    }

    /// True if `from` was asked the question with this number.
    pub fn expects(&self, from: NodeId, number: u64) -> bool {
        self.asked.get(&number).is_some_and(|(peer, ..)| *peer == from)
    }

    /// An answer came. `useful` says that it had proofs.
    pub fn on_answer(&mut self, number: u64, useful: bool) {
        self.asked.remove(&number);
        if !useful {
            self.hint = false; // nobody was ahead of what is known, as far as this peer knows
        }
    }

    /// The questions of this round: for ranges from `root` up to `highest` in which `known` knows
    /// no decision, and beyond `highest` on a hint. Unanswered ones are asked again after `retry`.
    pub fn questions(
        &mut self,
        committee: &Committee,
        now: Time,
        retry: std::time::Duration,
        root: Slot,
        highest: Slot,
        known: impl Fn(Slot, Slot) -> bool,
    ) -> Vec<(NodeId, u64, Slot)> {
        self.asked.retain(|_, (_, _, asked)| *asked + retry > now);
        let mut questions = Vec::new();
        let mut from = root.next();
        while from < highest && questions.len() < MAX_QUESTIONS {
            let end = from.plus(RANGE - 1);
            let under_way = self.asked.values().any(|(_, asked, _)| *asked == from);
            if !under_way && !known(from, end.min(highest.previous())) {
                questions.push(from);
            }
            from = end.next();
        }
        if self.hint && !self.asked.values().any(|(_, asked, _)| *asked == highest.next()) {
            questions.push(highest.next());
        }
        questions.into_iter().map(|from| self.ask(committee, now, from)).collect()
    }

    fn ask(&mut self, committee: &Committee, now: Time, from: Slot) -> (NodeId, u64, Slot) {
        rule!("catchup.ask");
        let number = self.numbers;
        self.numbers += 1;
        self.rounds += 1;
        let peer = self.peer(committee);
        self.asked.insert(number, (peer, from, now));
        (peer, number, from)
    }

    /// A peer by stake, from a public stream.
    fn peer(&self, committee: &Committee) -> NodeId {
        let key =
            Hash::of("ag/catch-up-peer", &[&self.me.0.to_le_bytes(), &self.rounds.to_le_bytes()]);
        let mut rng = ChaCha20Rng::from_seed(key.0);
        committee.draw(&mut rng, Some(self.me)).unwrap_or(self.me)
    }
}
