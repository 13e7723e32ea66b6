//! B34: a leader builds on the oldest ready parent although newer ones are ready.
//!
//! Seen: a first block of a window that leaves out blocks which were certified, and is itself
//! acceptable, because its parent is ready. The liar waits with its window as long as it dares:
//! certificates of a slot that was contested before come one after the other.
//!
//! Must not achieve: that a finalized block is left out. Dropping what was not final is its right.

use super::Lie;
use super::leader::{Fork, all_pieces, mark, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::protocol::block::Slice;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, Slot, Time};
use alpenglow_node::protocol::{Effect, Input};
use std::collections::{BTreeMap, BTreeSet};

/// The lie.
#[derive(Default)]
pub struct OldFork {
    chain: Fork,
    ready: BTreeMap<Slot, BTreeSet<BlockId>>,
    /// The beginning of a window that is held back, and until when.
    held: Vec<Slice>,
    until: Time,
}

impl OldFork {
    fn tell(&mut self, tools: &mut Tools, honest: &Slice) {
        let slot = honest.commitment.slot;
        let ready = self.ready.get(&slot);
        let ends = ready.and_then(|ready| Some((*ready.first()?, *ready.last()?)));
        let mut forked = false;
        let slice = self.chain.follow(tools, honest, |payload| {
            payload.transactions.push(mark(slot, 0));
            if let (Some(parent), Some((oldest, newest))) = (&mut payload.parent, ends) {
                *parent = oldest;
                forked = oldest < newest;
            }
        });
        self.chain.note(&slice);
        through_relays(tools, &slice, all_pieces());
        if forked {
            tools.did();
        }
    }
}

impl Lie for OldFork {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects.iter() {
            if let Effect::Observe { event: Event::ParentReady(slot, parent), .. } = effect {
                self.ready.entry(*slot).or_default().insert(*parent);
                self.ready = self.ready.split_off(&Slot(slot.0.saturating_sub(16)));
            }
        }
        for honest in take_slices(tools, effects) {
            if honest.commitment.slot.is_first() && honest.commitment.slice == 0 {
                // Its block must still arrive before the first timeout.
                let dares = tools.committee.params().delta_timeout_ns;
                self.until = Time(tools.now.0 + dares);
                tools.wake_at(self.until);
            }
            self.held.push(honest);
        }
        if tools.now >= self.until {
            for honest in std::mem::take(&mut self.held) {
                self.tell(tools, &honest);
            }
        }
    }
}
