//! Nodes that keep to themselves what others need, or do not ask.

use super::{Lie, Made, Wrong, everybody};
use alpenglow_node::protocol::wire::{Ask, Message};
use alpenglow_node::protocol::{Effect, Input, Protocol};

/// Lemma 42 rests on passing on what one receives, and not only what one builds (K22).
pub(super) const KEEPS_CERTIFICATES: Wrong = Wrong {
    name: "keeps-certificates",
    about: "received certificates are used and not passed on",
    caught_by: Some("O37"),
    plans: &["calm"],
    made: Made::Around(|_, _, options| options.wrap = everybody(KeepsCertificates)),
};

struct KeepsCertificates;

impl Lie for KeepsCertificates {
    fn change(&self, _: &Protocol, input: &Input, effects: &mut Vec<Effect>) {
        let Input::Message { message, .. } = input else { return };
        if matches!(**message, Message::Certificate(_)) {
            let passes_on = |effect: &Effect| {
                matches!(effect, Effect::Send { message: Message::Certificate(_), .. })
            };
            effects.retain(|effect| !passes_on(effect));
        }
    }
}

/// Whoever misses a block misses it for ever.
pub(super) const NEVER_REPAIRS: Wrong = Wrong {
    name: "never-repairs",
    about: "nobody asks for the pieces of a block that it lacks",
    caught_by: Some("O48"),
    plans: &["lossy-wan", "minority-partition", "late-joiner"],
    made: Made::Around(|_, _, options| options.wrap = everybody(NeverRepairs)),
};

struct NeverRepairs;

impl Lie for NeverRepairs {
    fn change(&self, _: &Protocol, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| match effect {
            Effect::Send { message: Message::Request(_, ask), .. } => {
                matches!(ask, Ask::Decided(_))
            }
            _ => true,
        });
    }
}
