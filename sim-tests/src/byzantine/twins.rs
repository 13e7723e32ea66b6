//! B31: one identity runs twice, with the same keys and two memories.
//!
//! Seen: two votes of one identity, two blocks of one leader; each half of the nodes hears one of
//! the two, and the halves change with each window. The second instance lives in memory, starts from
//! nothing, hears votes and shreds only from its half, and includes its own transactions, so that
//! the two come to different views by themselves, each by honest rules.
//!
//! Must not achieve: more than any byzantine identity of its stake.

use super::Lie;
use super::leader::mark;
use super::tools::Tools;
use crate::byzantine::tools::many;
use alpenglow_node::protocol::machine::Config;
use alpenglow_node::protocol::types::{NodeId, Slot, Time};
use alpenglow_node::protocol::wire::{self, Message};
use alpenglow_node::protocol::{Effect, Input, Protocol, Restored, Timer};
use std::collections::{BTreeMap, VecDeque};

/// The lie.
#[derive(Default)]
pub struct Twins {
    second: Option<Protocol>,
    timers: BTreeMap<(Time, u64), Timer>,
    number: u64,
    marked: Slot,
}

impl Twins {
    /// Lets the second instance take one input, and all that follows from it at once.
    fn run(&mut self, tools: &mut Tools, inputs: Vec<Input>) {
        let mut inputs = VecDeque::from(inputs);
        let mut effects = Vec::new();
        if self.second.is_none() {
            let restored = Restored { intact: true, ..Restored::default() };
            let (committee, me) = (tools.committee.clone(), tools.me);
            let config = Config { committee, me, restored, start: tools.now, boot: u32::MAX };
            self.second = Some(Protocol::new(config, tools.now, &mut effects));
        }
        let mut second = self.second.take().expect("it was made above");
        loop {
            for effect in effects.drain(..) {
                match effect {
                    // Its disk is its memory, and durable at once.
                    Effect::Persist { token, .. } => inputs.push_back(Input::Persisted(token)),
                    Effect::Sign { token, object } => {
                        let signed = wire::own(tools.sign_object(object));
                        inputs.push_back(Input::Signed { token, signed });
                    }
                    Effect::Load(query) => {
                        inputs.push_back(Input::Loaded(query, query.nothing()));
                    }
                    Effect::SetTimer(timer, at) => {
                        self.number += 1;
                        self.timers.insert((at, self.number), timer);
                        tools.wake_at(at);
                    }
                    Effect::Send { to, message, .. } => {
                        let kept = half(tools, &message, to.as_slice(), false);
                        if !kept.is_empty() && !matches!(message, Message::Forward(_)) {
                            tools.send(&kept, message);
                            tools.did();
                        }
                    }
                    Effect::Note(_) | Effect::Deliver { .. } | Effect::Observe { .. } => {}
                }
            }
            let Some(input) = inputs.pop_front() else { break };
            second.step(tools.now, input, &mut effects);
        }
        self.second = Some(second);
    }

    fn due(&mut self, now: Time) -> Vec<Input> {
        let mut due = Vec::new();
        while let Some(entry) = self.timers.first_entry().filter(|e| e.key().0 <= now) {
            due.push(Input::Timer(entry.remove()));
        }
        due
    }
}

/// The slot of a message that only one half may hear or say.
fn slot(message: &Message) -> Option<Slot> {
    match message {
        Message::Vote(vote) => Some(vote.vote.slot),
        Message::Shred(shred) => Some(shred.commitment.slot),
        _ => None,
    }
}

/// The receivers of a message that belong to the first or the second instance.
fn half(tools: &mut Tools, message: &Message, to: &[NodeId], first: bool) -> Vec<NodeId> {
    let Some(slot) = slot(message) else { return to.to_vec() };
    let (one, _) = tools.halves("mask", slot.window().0);
    to.iter().copied().filter(|node| one.contains(node) == first).collect()
}

impl Lie for Twins {
    fn hears(&mut self, tools: &mut Tools, input: &Input) -> bool {
        match input {
            Input::Message { from, message } => half(tools, message, &[*from], true).len() == 1,
            _ => true,
        }
    }

    fn says(&mut self, tools: &mut Tools, input: &Input, effects: &mut Vec<Effect>) {
        for mut effect in std::mem::take(effects) {
            if let Effect::Send { to, message, .. } = &mut effect {
                let kept = half(tools, message, to.as_slice(), true);
                if kept.is_empty() {
                    continue;
                }
                *to = many(&kept);
            }
            effects.push(effect);
        }
        let mut inputs = self.due(tools.now);
        if let Input::Message { from, message } = input
            && !matches!(**message, Message::Forward(_))
            && half(tools, message, &[*from], false).len() == 1
        {
            inputs.push(input.clone());
        }
        // A transaction of its own in each window, so that its blocks differ.
        if let Some(second) = &self.second
            && second.head() > self.marked
        {
            self.marked = second.head();
            inputs.push(Input::Submit(mark(self.marked, u64::from(tools.me.0))));
        }
        self.run(tools, inputs);
    }
}
