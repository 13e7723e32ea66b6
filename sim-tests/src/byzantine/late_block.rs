//! B5: the last slice of a block reaches some at once and others at the moment of their timeout.
//!
//! Seen: notar and skip votes for one slot, cast within one message delay of each other. The liar
//! knows when the others' timers fire, because its own run beside them.
//!
//! Must not achieve: a split of the votes that stays unresolved.

use super::Lie;
use super::leader::{all_pieces, quietly, quietly_at, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::protocol::types::{Slot, Time};
use alpenglow_node::protocol::{Effect, Input, Timer};
use std::collections::BTreeMap;

/// The lie.
#[derive(Default)]
pub struct LateBlock {
    timeouts: BTreeMap<Slot, Time>,
}

impl Lie for LateBlock {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects.iter() {
            if let Effect::SetTimer(Timer::Skip(slot), at) = effect {
                self.timeouts.insert(*slot, *at);
                self.timeouts = self.timeouts.split_off(&Slot(slot.0.saturating_sub(64)));
            }
        }
        for slice in take_slices(tools, effects) {
            let slot = slice.commitment.slot;
            let timeout = self.timeouts.get(&slot).copied();
            let (Some(timeout), true) = (timeout, slice.commitment.last) else {
                through_relays(tools, &slice, all_pieces());
                continue;
            };
            let (early, late) = tools.halves("late", slot.0);
            quietly(tools, &slice, &early);
            for node in late {
                let delta = tools.committee.params().delta_ns;
                let before = tools.common("moment", slot.0).below(0, delta / 2);
                let at = Time(timeout.0.saturating_sub(before)).max(tools.now);
                quietly_at(tools, at, &slice, &[node]);
            }
            tools.did();
        }
    }
}
