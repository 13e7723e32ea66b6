//! O41: every correct node casts an initial vote in every slot in time (Lemma 35).
//!
//! > by own t0 + mΔ_timeout + (i-s+1)Δ_block, or highestFinal has passed the slot
//!
//! t0 is when the node set its timers: at ParentReady, J1 or restart. Needs nothing of the network,
//! so it is watched all the time, for nodes that stay up and keep voting.

use super::bounds::{Bounds, Uptime, place};
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug)]
pub struct InitialVotes {
    bounds: Bounds,
    uptime: Uptime,
    /// (deadline, node, slot) -> when the timers were set.
    due: BTreeMap<(u64, NodeId, Slot), u64>,
}

impl InitialVotes {
    /// For one run.
    pub fn new(scene: &Scene) -> InitialVotes {
        let (bounds, uptime) = (Bounds::of(scene), Uptime::new(scene));
        InitialVotes { bounds, uptime, due: BTreeMap::new() }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        while let Some(entry) = self.due.first_entry().filter(|e| e.key().0 < cx.at_ns) {
            let (deadline, node, slot) = *entry.key();
            let set_at = entry.remove();
            let me = cx.history.of(node);
            let initial = |kind: &VoteKind| matches!(kind, VoteKind::Notar(_) | VoteKind::Skip);
            let voted = me.cast_in.get(&slot).is_some_and(|kinds| kinds.iter().any(initial));
            let passed = me.highest.is_some_and(|block| block.slot >= slot);
            if !voted && !passed && self.uptime.is_up_since(node, set_at) {
                let late = (cx.at_ns - deadline) / 1_000;
                let detail = format!(
                    "n{node} set its timers at {:.3} s and has no initial vote in slot {slot} \
                     ({late} us after the deadline)",
                    set_at as f64 / 1e9
                );
                out.report(cx, "O41", Some(slot), &[node], detail);
            }
        }
    }
}

impl Oracle for InitialVotes {
    fn id(&self) -> &'static str {
        "O41"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        self.check(cx, out);
        self.uptime.take(cx, node, fact);
        if let Fact::Event(Event::TimersSet(first, growth)) = fact {
            for slot in first.window().slots() {
                let local = self.bounds.timeout(*growth) + place(slot) * self.bounds.block;
                let deadline = cx.at_ns + self.bounds.drifted(local) + self.bounds.slack;
                self.due.insert((deadline, node, slot), cx.at_ns);
            }
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}
