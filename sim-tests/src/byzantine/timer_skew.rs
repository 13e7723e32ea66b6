//! B28: votes and certificates that reach some at once and others late, so that ParentReady and
//! with it the timers start as far apart as possible.
//!
//! Seen: the liars' messages arrive at one half up to two message delays after the other, and the
//! halves change with each window.
//!
//! Must not achieve: anything but skips; above all no window that takes longer than it may.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::types::Time;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct TimerSkew;

impl Lie for TimerSkew {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let taken: Vec<Effect> = effects
            .extract_if(.., |effect| {
                matches!(
                    effect,
                    Effect::Send { message: Message::Vote(_) | Message::Certificate(_), .. }
                )
            })
            .collect();
        for effect in taken {
            let Effect::Send { to, message, .. } = effect else { continue };
            let slot = match &message {
                Message::Vote(vote) => vote.vote.slot,
                Message::Certificate(certificate) => certificate.id.slot,
                _ => continue,
            };
            let (early, _) = tools.halves("early", slot.window().0);
            let (now, later): (Vec<_>, Vec<_>) =
                to.as_slice().iter().copied().partition(|node| early.contains(node));
            let delta = tools.committee.params().delta_ns;
            let delay = delta + tools.common("delay", slot.0).below(0, delta);
            tools.send(&now, message.clone());
            tools.send_at(Time(tools.now.0 + delay), &later, message);
            tools.did();
        }
    }
}
