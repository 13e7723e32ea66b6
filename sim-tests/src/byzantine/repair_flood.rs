//! B27: repair questions without end, for blocks that exist and that do not.
//!
//! Seen: thousands of questions a second from one peer. (A datagram from nobody in the committee
//! cannot carry a valid tag; floods of those are dropped at the door.)
//!
//! Must not achieve: a panic, or that the victim's own repair or voting starves.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::crypto::Hash;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, Slot};
use alpenglow_node::protocol::wire::{Ask, Message};
use alpenglow_node::protocol::{Effect, Input};

/// Questions to each of the others for each own vote.
const QUESTIONS: u64 = 100;

/// The lie.
#[derive(Default)]
pub struct RepairFlood {
    /// A block that exists.
    known: Option<BlockId>,
    asked: u64,
}

impl Lie for RepairFlood {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects.iter() {
            if let Effect::Observe { event: Event::BlockStored { block, .. }, .. } = effect {
                self.known = Some(*block);
            }
        }
        let votes = effects.iter().filter(|effect| tools.own_vote(effect).is_some()).count();
        let to = tools.others.clone();
        for question in 0..votes as u64 * QUESTIONS {
            self.asked += 1;
            let invented = BlockId::new(Slot(self.asked), Hash([9; 32]));
            let block = self.known.filter(|_| question % 2 == 0).unwrap_or(invented);
            let ask = match question % 7 {
                0 => Ask::SliceCount(block),
                1 => Ask::SliceRoot(block, (question % 64) as u8),
                2 => Ask::Decided(Slot(question)),
                3 => Ask::Decided(Slot(u64::MAX)),
                _ => Ask::Shred(block, (question % 3) as u8, (question % 64) as u8),
            };
            tools.send(&to, Message::Request(self.asked, ask));
        }
        if votes > 0 {
            tools.did();
        }
    }
}
