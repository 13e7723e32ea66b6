//! The standstill rule skips the two windows above the highest finalized slot: exactly what the
//! others need is never said again.

use super::{Lie, Wrong, everybody};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input, Protocol, Timer};
use std::sync::Arc;

pub(super) const LATE_STANDSTILL: Wrong = Wrong {
    name: "late-standstill",
    about: "the standstill rule repeats votes and certificates from the wrong slot on",
    caught_by: Some("O47"),
    plant: |_, _, options| {
        options.wrap = Some(everybody(|_| Some(Arc::new(LateStandstill))));
    },
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
