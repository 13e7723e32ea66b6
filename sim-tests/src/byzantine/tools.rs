//! What every liar can do: sign with its keys, choose recipients by stake, speak now or later.

use super::ALARM;
use super::board::Board;
use crate::cluster::setup;
use crate::plan::{Concrete, CutStyle, Effect as Mute, Fault};
use crate::world::rng::{Draw, Draws};
use alpenglow_node::host::keys::Keys;
use alpenglow_node::protocol::certificate::SignedVote;
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::types::{NodeId, Slot, Time};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use alpenglow_node::protocol::wire::{Message, Signed, Unsigned};
use alpenglow_node::protocol::{Effect, Input, Recipients};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A liar's hands.
pub struct Tools {
    /// The own identity.
    pub me: NodeId,
    /// The validator set.
    pub committee: Arc<Committee>,
    /// The own clock.
    pub now: Time,
    /// Every identity that lies in this run, this one included.
    pub liars: BTreeSet<NodeId>,
    /// All identities but this one.
    pub others: Vec<NodeId>,
    seed: u64,
    /// The lie that is acting.
    pub(super) lie: &'static str,
    plan: Arc<Concrete>,
    keys: Keys,
    draws: Draws,
    board: Arc<Mutex<Board>>,
    out: Vec<Effect>,
    later: BTreeMap<(Time, u64), (Recipients, Message)>,
    number: u64,
}

impl Tools {
    pub(super) fn new(
        me: NodeId,
        plan: Arc<Concrete>,
        seed: u64,
        committee: Arc<Committee>,
        board: Arc<Mutex<Board>>,
    ) -> Tools {
        Tools {
            me,
            now: Time(0),
            liars: plan.byzantine().into_iter().map(NodeId).collect(),
            others: committee.nodes().filter(|node| *node != me).collect(),
            seed,
            lie: "",
            keys: setup::keys(&plan, seed, me.0),
            plan,
            draws: Draws::new(seed, "byzantine"),
            committee,
            board,
            out: Vec::new(),
            later: BTreeMap::new(),
            number: 0,
        }
    }

    /// What the liars share. Not to be held across a call of another tool.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The acting lie really happened once more.
    pub fn did(&mut self) {
        *self.board().deeds.entry(self.lie).or_default() += 1;
    }

    /// The draw of this liar with this name.
    pub fn draw(&mut self, what: &str, number: u64) -> Draw {
        let stream = name(&[self.lie.as_bytes(), what.as_bytes(), &self.me.0.to_le_bytes()]);
        self.draws.draw(stream, number)
    }

    /// The draw with this name, the same for all liars.
    pub fn common(&mut self, what: &str, number: u64) -> Draw {
        let stream = name(&[self.lie.as_bytes(), what.as_bytes()]);
        self.draws.draw(stream, number)
    }

    /// The stake of some nodes.
    pub fn stake<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> u64 {
        nodes.into_iter().map(|node| self.committee.stakes().of(*node)).sum()
    }

    /// The stake of all liars.
    pub fn own_stake(&self) -> u64 {
        self.stake(&self.liars)
    }

    /// So many fifths of all stake, rounded up: the quorum of the specification.
    pub fn quorum(&self, fifths: u64) -> u64 {
        (u128::from(self.committee.stakes().total()) * u128::from(fifths)).div_ceil(5) as u64
    }

    /// The correct nodes that are heard, in an order that all liars draw alike.
    pub fn shuffled(&mut self, what: &str, number: u64) -> Vec<NodeId> {
        let nodes = self.heard(true);
        let mut keyed: Vec<(u64, NodeId)> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let place = number.wrapping_mul(4_096).wrapping_add(u64::from(node.0));
            keyed.push((self.common(what, place).word(0), node));
        }
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, node)| node).collect()
    }

    fn heard(&self, heard: bool) -> Vec<NodeId> {
        let board = self.board();
        let correct = self.committee.nodes().filter(|node| !self.liars.contains(node));
        correct.filter(|node| board.is_heard(*node) == heard).collect()
    }

    /// One correct node to tell something else than all others: as a rule one that is muted,
    /// because it cannot warn them.
    pub fn victim(&mut self, what: &str, window: u64) -> NodeId {
        let chosen = self.muted(window).or_else(|| self.shuffled(what, window).first().copied());
        chosen.unwrap_or_else(|| self.heard(false)[0])
    }

    /// A correct node that hears the others and is not heard by them, if there is one: the same for
    /// every lie about `window`. Now and then none is chosen all the same.
    pub fn muted(&mut self, window: u64) -> Option<NodeId> {
        let one_way =
            |fault: &Fault| matches!(fault.effect, Mute::Partition { style: CutStyle::OneWay });
        let active = self.board().active.clone();
        let faults = active.iter().map(|index| &self.plan.faults[*index]);
        let nodes = faults.filter(|fault| one_way(fault)).flat_map(|fault| &fault.nodes);
        let correct = nodes.map(|node| NodeId(*node)).filter(|node| !self.liars.contains(node));
        let (muted, draw) = (BTreeSet::from_iter(correct), self.draws.draw(0, window));
        let passed_over = muted.is_empty() || draw.happens(0, 200_000_000);
        let place = draw.below(1, muted.len().max(1) as u64) as usize;
        muted.into_iter().nth(place).filter(|_| !passed_over)
    }

    /// Correct nodes that hold as much of `stake` as a drawn order allows; with `above`, one more,
    /// so that they hold at least `stake`. Second: the others that are heard.
    pub fn split(
        &mut self,
        what: &str,
        number: u64,
        stake: u64,
        above: bool,
    ) -> (Vec<NodeId>, Vec<NodeId>) {
        let (mut chosen, mut rest, mut sum) = (Vec::new(), Vec::new(), 0);
        for node in self.shuffled(what, number) {
            let own = self.committee.stakes().of(node);
            if sum + own <= stake {
                sum += own;
                chosen.push(node);
            } else {
                rest.push(node);
            }
        }
        if above && sum < stake {
            let least =
                rest.iter().enumerate().min_by_key(|(_, n)| self.committee.stakes().of(**n));
            if let Some((place, _)) = least {
                chosen.push(rest.remove(place));
            }
        }
        (chosen, rest)
    }

    /// Two halves of the correct stake that is heard.
    pub fn halves(&mut self, what: &str, number: u64) -> (Vec<NodeId>, Vec<NodeId>) {
        let half = self.stake(&self.heard(true)) / 2;
        self.split(what, number, half, false)
    }

    /// Signs a vote, whatever it says.
    pub fn sign(&mut self, slot: Slot, kind: VoteKind) -> SignedVote {
        self.sign_for(&self.committee.clone(), Vote::new(slot, kind))
    }

    /// Signs a vote for a cluster, which need not be this one.
    pub fn sign_for(&mut self, committee: &Committee, vote: Vote) -> SignedVote {
        match self.keys.sign(committee, self.me, Unsigned::Vote(vote)).into_inner() {
            Signed::Vote(vote) => vote,
            Signed::Commitment(..) => unreachable!("a vote was to be signed"),
        }
    }

    /// Another cluster with the same members, in which the own keys sign other bytes.
    pub fn elsewhere(&self) -> Arc<Committee> {
        setup::committee(&self.plan, self.seed ^ 1)
    }

    /// Signs anything.
    pub fn sign_object(&self, object: Unsigned) -> Signed {
        self.keys.sign(&self.committee, self.me, object).into_inner()
    }

    /// Sends now.
    pub fn send(&mut self, to: &[NodeId], message: Message) {
        if !to.is_empty() {
            self.out.push(Effect::Send { to: many(to), message, after: None });
        }
    }

    /// Sends at `at`.
    pub fn send_at(&mut self, at: Time, to: &[NodeId], message: Message) {
        if !to.is_empty() {
            self.number += 1;
            self.later.insert((at, self.number), (many(to), message));
            self.wake_at(at);
        }
    }

    /// Makes the world come back to this liar at `at`.
    pub fn wake_at(&mut self, at: Time) {
        self.out.push(Effect::SetTimer(ALARM, at));
    }

    /// True if this input is the own alarm.
    pub fn is_alarm(&self, input: &Input) -> bool {
        matches!(input, Input::Timer(timer) if *timer == ALARM)
    }

    /// The vote of this identity that an effect sends.
    pub fn own_vote(&self, effect: &Effect) -> Option<SignedVote> {
        match effect {
            Effect::Send { message: Message::Vote(vote), .. } => Some(vote.clone()),
            _ => None,
        }
    }

    pub(super) fn learn(&mut self, input: &Input) {
        if let Input::Message { message, .. } = input
            && let Message::Vote(vote) = &**message
        {
            self.board().note_vote(vote, self.liars.contains(&vote.signer));
        }
    }

    pub(super) fn learn_own(&mut self, effects: &[Effect]) {
        for vote in effects.iter().filter_map(|effect| self.own_vote(effect)) {
            self.board().note_vote(&vote, true);
        }
    }

    pub(super) fn flush(&mut self, out: &mut Vec<Effect>) {
        out.append(&mut self.out);
        while let Some(entry) = self.later.first_entry().filter(|e| e.key().0 <= self.now) {
            let (to, message) = entry.remove();
            out.push(Effect::Send { to, message, after: None });
        }
    }
}

/// These recipients.
pub fn many(to: &[NodeId]) -> Recipients {
    match to {
        [one] => Recipients::One(*one),
        several => Recipients::Many(several.into()),
    }
}

/// A fixed 64-bit name for some bytes (FNV-1a, with each part ended).
fn name(parts: &[&[u8]]) -> u64 {
    parts.iter().fold(0xcbf2_9ce4_8422_2325, |hash, part| {
        let bytes = part.iter().map(|byte| u64::from(*byte)).chain([256]);
        bytes.fold(hash, |hash: u64, byte| (hash ^ byte).wrapping_mul(0x0000_0100_0000_01b3))
    })
}
