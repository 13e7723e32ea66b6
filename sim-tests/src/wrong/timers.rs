//! Nodes whose timers are wrong: without them nothing is skipped, and too early too much is.

use super::{Lie, Made, Wrong, each, everybody};
use alpenglow_node::protocol::types::{Slot, Time, Window};
use alpenglow_node::protocol::{Effect, Input, Protocol, Timer};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The timers of the windows that are known at the start are missing (10.4).
pub(super) const NO_TIMERS_AFTER_RESTART: Wrong = Wrong {
    name: "no-timers-after-restart",
    about: "after a restart no timer is set for the windows that the disk makes ready",
    caught_by: Some("O41"),
    plans: &["power-cut", "crash-restart"],
    made: Made::Around(|_, _, options| {
        options.wrap = each(|_, node| {
            let votor = node.consensus().votor();
            let root = node.consensus().pool().finality().root().slot;
            // A node that starts for the first time has neither, and its timers start later.
            let restarted = root > Slot::GENESIS || votor.slots().next().is_some();
            let near = (root.window().0..root.window().0 + 64).map(Window);
            let lost = near.filter(|window| votor.timers_started(*window)).collect();
            restarted.then(|| Arc::new(Deaf { lost }) as Arc<dyn Lie>)
        });
    }),
};

struct Deaf {
    lost: BTreeSet<Window>,
}

impl Lie for Deaf {
    fn hears(&self, input: &Input) -> bool {
        match input {
            Input::Timer(Timer::Skip(slot) | Timer::Crashed(slot)) => {
                !self.lost.contains(&slot.window())
            }
            _ => true,
        }
    }
}

/// Everybody gives up on leaders that are in time.
pub(super) const HASTY: Wrong = Wrong {
    name: "hasty",
    about: "timeouts are 700 ms too short: a block from a far leader is too late",
    caught_by: Some("O45"),
    plans: &["calm"],
    made: Made::Around(|_, _, options| options.wrap = everybody(Hasty)),
};

struct Hasty;

impl Lie for Hasty {
    fn change(&self, _: &Protocol, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects {
            if let Effect::SetTimer(Timer::Skip(_) | Timer::Crashed(_), at) = effect {
                *at = Time(at.0.saturating_sub(700_000_000));
            }
        }
    }
}
