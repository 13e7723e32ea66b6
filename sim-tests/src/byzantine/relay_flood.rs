//! B14: shreds again and again, also from those who are not their relays.
//!
//! Seen: every piece several times, from nodes that have no duty to send it.
//!
//! Must not achieve: that correct nodes send more because of it; a relay forwards a shred once.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::BTreeSet;

/// Slots whose shreds are remembered.
const KEPT: u64 = 64;

/// The lie.
#[derive(Default)]
pub struct RelayFlood {
    /// What was passed on: two liars that answered each other's copies of a shred that neither
    /// stores (its slot is disputed) would multiply it for ever.
    passed: BTreeSet<(Slot, u8, u8)>,
}

impl Lie for RelayFlood {
    fn says(&mut self, tools: &mut Tools, input: &Input, effects: &mut Vec<Effect>) {
        let again: Vec<Effect> = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Send { message: Message::Shred(_), .. }))
            .cloned()
            .collect();
        effects.extend(again.iter().cloned());
        effects.extend(again);
        if let Input::Message { message, .. } = input
            && let Message::Shred(shred) = &**message
            && shred.index.is_multiple_of(4)
            && self.passed.insert((shred.commitment.slot, shred.commitment.slice, shred.index))
        {
            let old = Slot(shred.commitment.slot.0.saturating_sub(KEPT));
            self.passed = self.passed.split_off(&(old, 0, 0));
            let to = tools.others.clone();
            tools.send(&to, Message::Shred(shred.clone()));
            tools.did();
        }
    }
}
