//! B13: relays that drop, delay or damage what they should forward, or forward it to some only.
//!
//! Seen: pieces of a slice missing, late or wrong, always those of the same relays.
//!
//! Must not achieve: that a slice fails although at least γ of its relays are good. What it may
//! cost is time.

use super::Lie;
use super::tools::{Tools, many};
use alpenglow_node::protocol::block::Shred;
use alpenglow_node::protocol::bounded::BoundedBytes;
use alpenglow_node::protocol::types::Time;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::sync::Arc;

/// The lie.
pub struct DarkRelays;

impl Lie for DarkRelays {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let taken: Vec<_> = effects
            .extract_if(.., |effect| match effect {
                Effect::Send { message: Message::Shred(shred), .. } => {
                    tools.committee.leader(shred.commitment.slot.window()) != tools.me
                }
                _ => false,
            })
            .collect();
        for effect in taken {
            let Effect::Send { to, message: Message::Shred(shred), after } = effect else {
                continue;
            };
            let c = shred.commitment;
            let draw = tools.draw("kind", c.slot.0 << 8 | u64::from(c.slice));
            match draw.below(0, 4) {
                0 => {}
                1 => {
                    let at = Time(tools.now.0 + draw.below(1, 1_500_000_000));
                    tools.send_at(at, to.as_slice(), Message::Shred(shred));
                }
                2 => {
                    let mut bytes = shred.piece.to_vec();
                    bytes[0] ^= 1;
                    let piece = BoundedBytes::new(bytes.into()).expect("no longer than it was");
                    let wrong = Shred { piece, ..Shred::clone(&shred) };
                    tools.send(to.as_slice(), Message::Shred(Arc::new(wrong)));
                }
                _ => {
                    let some = &to.as_slice()[..to.as_slice().len() / 2];
                    if !some.is_empty() {
                        let message = Message::Shred(shred);
                        effects.push(Effect::Send { to: many(some), message, after });
                    }
                }
            }
            tools.did();
        }
    }
}
