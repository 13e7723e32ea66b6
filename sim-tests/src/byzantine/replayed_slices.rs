//! B12: slices of other leaders, and old ones of its own, under the names of slots that this liar
//! leads.
//!
//! Seen: shreds whose piece and path fit and whose signature is a real one, made for another slot
//! or by another leader.
//!
//! Must not achieve: acceptance; the signature covers slot and place.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::block::{Commitment, Shred};
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::VecDeque;
use std::sync::Arc;

/// Shreds that are remembered.
const KEPT: usize = 256;

/// The lie.
#[derive(Default)]
pub struct ReplayedSlices {
    seen: VecDeque<Arc<Shred>>,
}

impl ReplayedSlices {
    fn keep(&mut self, shred: &Arc<Shred>) {
        if self.seen.len() >= KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(shred.clone());
    }
}

impl Lie for ReplayedSlices {
    fn says(&mut self, tools: &mut Tools, input: &Input, effects: &mut Vec<Effect>) {
        if let Input::Message { message, .. } = input
            && let Message::Shred(shred) = &**message
        {
            self.keep(shred);
        }
        let leads =
            |shred: &Shred| tools.committee.leader(shred.commitment.slot.window()) == tools.me;
        let own = effects.iter().find_map(|effect| match effect {
            Effect::Send { message: Message::Shred(shred), .. } if leads(shred) => {
                Some(shred.clone())
            }
            _ => None,
        });
        let Some(own) = own else { return };
        let to = tools.others.clone();
        let mut done = false;
        for old in self.seen.clone().into_iter().filter(|s| s.index < 4) {
            let same = old.commitment.slot == own.commitment.slot;
            let replayed = Shred {
                commitment: Commitment { root: old.commitment.root, ..own.commitment },
                ..Shred::clone(&old)
            };
            if !same {
                tools.send(&to, Message::Shred(Arc::new(replayed)));
                done = true;
            }
        }
        self.keep(&own);
        if done {
            tools.did();
        }
    }
}
