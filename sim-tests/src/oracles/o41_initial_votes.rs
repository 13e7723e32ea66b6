//! O41: every correct node casts an initial vote in every slot in time (Lemma 35).
//!
//! > by own t0 + mΔ_timeout + (i-s+1)Δ_block, or highestFinal has passed the slot
//!
//! t0 is when the node set its timers: at ParentReady, J1 or restart. Needs nothing of the network,
//! so it is watched all the time, for nodes that stay up and keep voting, and whose processor, disk
//! and clock the plan leaves alone.

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
            if !self.uptime.is_up_since(node, set_at) {
                continue;
            }
            out.probe("judged-O41");
            if !voted && !passed {
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
        self.uptime.pass(cx.at_ns);
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
        self.uptime.pass(cx.at_ns);
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::Fact;
    use crate::oracles::testing::*;
    use alpenglow_node::protocol::event::{Event, Standing};

    /// Timers of window 1, set at 0.1 s: slot 4 is due 0.8 s + 0.4 s later.
    fn waiting(growth: u64) -> World {
        World::watched_by("O41", &[1; 5]).at(100).timers(0, 4, growth)
    }

    #[test]
    fn silent_after_the_timeout() {
        assert_eq!(waiting(0).at(1_290).tick(0).found(), NOTHING);
        let found = waiting(0).at(1_400).tick(0).found();
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = "O41: n0 set its timers at 0.100 s and has no initial vote in slot 4";
        assert!(found[0].starts_with(expected), "{found:?}");
        assert_eq!(waiting(0).at(9_000).found().len(), 4, "every slot of the window");
        let fallback = waiting(0).cast(0, 4, SkipFallback).at(1_400).tick(0).found();
        assert_eq!(fallback.len(), 1, "a fallback vote is not an initial one");
    }

    /// A starved node may be late, until its last turn is over; the others may not.
    #[test]
    fn starved_nodes_are_late() {
        let starved = |until: &str| {
            let run = format!(
                "[run]\nduration = \"10s\"\nheal_at = \"5s\"\n[[fault]]\nkind = \"starvation\"\n\
                 at = \"0s\"\nfor = \"{until}\"\nnodes = [0]\nturn = \"20ms\"\n"
            );
            let world = World::owing("O41", &[1; 4], &run).at(100);
            world.timers(0, 4, 0).timers(1, 4, 0).at(1_400).tick(0).found()
        };
        assert_eq!(starved("81ms").len(), 1, "n1 only: n0 got its timers before it was free");
        assert_eq!(starved("80ms").len(), 2, "that was over before");
    }

    /// A node whose disk fails has stopped voting; standing still for a while changes nothing.
    #[test]
    fn observers_owe_nothing() {
        let observing = Event::Standing(Standing::Observing);
        let paused = |world: World| {
            let world = world.fact(0, Fact::Paused(true)).at(300);
            world.fact(0, Fact::Paused(false)).timers(0, 4, 0).at(1_600).tick(0).found().len()
        };
        let world = || World::watched_by("O41", &[1; 5]).at(200);
        assert_eq!(paused(world().event(0, observing)), 0);
        assert_eq!(paused(world()), 1, "who votes owes its vote after a pause too");
    }

    /// Five windows of growth are 27 % more: 0.8 s become 1.02 s.
    #[test]
    fn a_grown_timeout_is_granted() {
        assert_eq!(waiting(5).at(1_500).tick(0).found(), NOTHING);
        assert_eq!(waiting(5).at(1_620).tick(0).found().len(), 1);
    }

    #[test]
    fn excused() {
        let voted = waiting(0).cast(0, 4, Notar(A)).cast(0, 5, Skip).cast(0, 6, Skip);
        assert_eq!(voted.cast(0, 7, Skip).at(9_000).found(), NOTHING, "voted");
        let passed = waiting(0).finalized(0, block(7, A), Slow).at(9_000).tick(0);
        assert_eq!(passed.found(), NOTHING, "finality has passed the window");
        let crashed = waiting(0).crash(0).at(200).start(0).at(9_000).tick(0);
        assert_eq!(crashed.found(), NOTHING, "its timers died with it");
    }
}
