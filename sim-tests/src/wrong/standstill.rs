//! Standstill rules that say too little: one skips the two windows above the highest finalized slot,
//! exactly what the others need; one repeats what is certified, and not what still has to be.

use super::{Lie, Made, Wrong, everybody};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input, Protocol, Timer};

pub(super) const LATE_STANDSTILL: Wrong = Wrong {
    name: "late-standstill",
    about: "the standstill rule repeats votes and certificates from the wrong slot on",
    caught_by: Some("O47"),
    plans: &["even-split", "partition-heal"],
    made: Made::Around(|_, _, options| options.wrap = everybody(LateStandstill)),
};

pub(super) const STANDSTILL_WITHOUT_VOTES: Wrong = Wrong {
    name: "standstill-without-votes",
    about: "the standstill rule repeats certificates and not the own votes",
    caught_by: Some("O37"),
    plans: &["even-split", "partition-heal"],
    made: Made::Around(|_, _, options| options.wrap = everybody(WithoutVotes)),
};

struct LateStandstill;

impl Lie for LateStandstill {
    fn change(&self, _: &Protocol, input: &Input, effects: &mut Vec<Effect>) {
        if !matches!(input, Input::Timer(Timer::Standstill)) {
            return;
        }
        let highest = effects.iter().find_map(|effect| match effect {
            Effect::Observe { event: Event::Standstill { highest, .. }, .. } => Some(*highest),
            _ => None,
        });
        let Some(highest) = highest else { return };
        let wrong = Slot(highest.0 + 8);
        effects.retain(|effect| match effect {
            Effect::Send { message: Message::Vote(vote), .. } => vote.vote.slot > wrong,
            Effect::Send { message: Message::Certificate(c), .. } => c.id.slot > wrong,
            _ => true,
        });
    }
}

struct WithoutVotes;

impl Lie for WithoutVotes {
    fn change(&self, _: &Protocol, input: &Input, effects: &mut Vec<Effect>) {
        if matches!(input, Input::Timer(Timer::Standstill)) {
            let vote = |e: &Effect| matches!(e, Effect::Send { message: Message::Vote(_), .. });
            effects.retain(|effect| !vote(effect));
        }
    }
}
