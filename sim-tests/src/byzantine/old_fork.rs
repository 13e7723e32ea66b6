//! B34: a leader builds on the oldest ready parent although newer ones are ready.
//!
//! Seen: a first block of a window that leaves out blocks which were certified, and is itself
//! acceptable, because its parent is ready.
//!
//! Must not achieve: that a finalized block is left out. Dropping what was not final is its right.

use super::Lie;
use super::leader::{Fork, all_pieces, mark, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, Slot};
use alpenglow_node::protocol::{Effect, Input};
use std::collections::{BTreeMap, BTreeSet};

/// The lie.
#[derive(Default)]
pub struct OldFork {
    chain: Fork,
    ready: BTreeMap<Slot, BTreeSet<BlockId>>,
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
            let slot = honest.commitment.slot;
            let oldest = self.ready.get(&slot).and_then(|ready| ready.first().copied());
            let mut forked = false;
            let slice = self.chain.follow(tools, &honest, |payload| {
                payload.transactions.push(mark(slot, 0));
                if let (Some(parent), Some(oldest)) = (&mut payload.parent, oldest)
                    && oldest.slot < parent.slot
                {
                    *parent = oldest;
                    forked = true;
                }
            });
            self.chain.note(&slice);
            through_relays(tools, &slice, all_pieces());
            if forked {
                tools.did();
            }
        }
    }
}
