//! What the oracles about windows share: when each window became ready, who was in scope, and
//! whether it had to go well. From causes: plan, schedule, power; never from how it went.

use super::bounds::{Bounds, Uptime, first};
use super::{Context, Fact, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::rotor;
use alpenglow_node::protocol::types::{NodeId, Slot, Window};
use std::collections::BTreeMap;

/// Pieces of a slice that must get through.
const ENOUGH_RELAYS: usize = 32;

/// One window as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct WindowFacts {
    /// t_W: first ParentReady at a correct node.
    pub ready_ns: Option<u64>,
    /// The earliest moment at which a correct node set timers for it.
    pub timers_ns: Option<u64>,
    /// The largest timeout growth that a correct node used.
    pub growth: u64,
    /// When its leader began to produce.
    pub begun_ns: Option<u64>,
    /// Slices that the leader sent, by slot.
    pub slices: BTreeMap<Slot, u8>,
}

/// All windows that are not over yet.
#[derive(Debug)]
pub struct Windows {
    /// The figures.
    pub bounds: Bounds,
    /// Who is up since when.
    pub uptime: Uptime,
    /// From this moment on liveness is promised; `None` without a heal.
    pub armed_ns: Option<u64>,
    /// By window.
    pub facts: BTreeMap<Window, WindowFacts>,
    /// Windows below this are over and forgotten: a node that catches up goes through them again.
    floor: Window,
}

impl Windows {
    /// For one run. Liveness is owed from the heal on, if the plan says so.
    pub fn new(scene: &Scene) -> Windows {
        let owed = scene.plan.expect.liveness;
        Windows {
            bounds: Bounds::of(scene),
            uptime: Uptime::new(scene),
            armed_ns: scene.plan.run.heal_at.filter(|_| owed).map(|at| at.0),
            facts: BTreeMap::new(),
            floor: Window(0),
        }
    }

    fn entry(&mut self, slot: Slot) -> Option<&mut WindowFacts> {
        let window = slot.window();
        (window >= self.floor).then(|| self.facts.entry(window).or_default())
    }

    /// Takes one fact; true if it made a window ready for the first time.
    pub fn take(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>) -> Option<Window> {
        self.uptime.take(cx, node, fact);
        let Fact::Event(event) = fact else { return None };
        match event {
            Event::ParentReady(slot, _) => {
                let facts = self.entry(*slot)?;
                if facts.ready_ns.is_none() {
                    facts.ready_ns = Some(cx.at_ns);
                    return Some(slot.window());
                }
            }
            Event::TimersSet(slot, growth) => {
                let facts = self.entry(*slot)?;
                facts.timers_ns.get_or_insert(cx.at_ns);
                facts.growth = facts.growth.max(*growth);
            }
            Event::ProductionStarted { slot, .. } => {
                let facts = self.entry(*slot)?;
                facts.begun_ns.get_or_insert(cx.at_ns);
            }
            Event::SliceSigned { slot, slice, .. } => {
                let facts = self.entry(*slot)?;
                let count = facts.slices.entry(*slot).or_default();
                *count = (*count).max(slice + 1);
            }
            _ => {}
        }
        None
    }

    /// True if liveness is owed in this window: it became ready after the heal, and nothing of it
    /// was sent before.
    pub fn is_owed(&self, window: Window) -> bool {
        let (Some(armed), Some(facts)) = (self.armed_ns, self.facts.get(&window)) else {
            return false;
        };
        let after = |time: Option<u64>| time.is_none_or(|time| time >= armed);
        facts.ready_ns.is_some_and(|ready| ready >= armed)
            && after(facts.timers_ns)
            && after(facts.begun_ns)
    }

    /// Correct nodes in scope: up without a break since Δ before the window became ready, or since
    /// the start of the run for its first windows.
    pub fn scope(&self, scene: &Scene, window: Window) -> Vec<NodeId> {
        let ready = self.facts.get(&window).and_then(|facts| facts.ready_ns).unwrap_or(0);
        // Window 0 is ready as soon as a node has opened its store: nobody is up Δ before that.
        let since = match window {
            Window(0) => ready.saturating_add(self.bounds.slack),
            _ => ready.saturating_sub(self.bounds.delta),
        };
        self.uptime.since(since).filter(|node| scene.correct[node.index()]).collect()
    }

    /// True if Rotor had to succeed for `slices` slices of `slot` with these nodes: γ of the Γ
    /// relays of each are in scope.
    pub fn rotor_succeeds(&self, scene: &Scene, slot: Slot, slices: u8, scope: &[NodeId]) -> bool {
        (0..slices).all(|slice| {
            let relays = rotor::relays(&scene.committee, slot, slice);
            relays.iter().filter(|relay| scope.contains(relay)).count() >= ENOUGH_RELAYS
        })
    }

    /// True if the window had to go well: it is owed, its leader is in scope, and Rotor had to
    /// succeed for everything that was sent.
    pub fn is_good(&self, scene: &Scene, window: Window, scope: &[NodeId]) -> bool {
        let facts = self.facts.get(&window).cloned().unwrap_or_default();
        self.is_owed(window)
            && scope.contains(&scene.committee.leader(window))
            && window.slots().all(|slot| {
                let slices = facts.slices.get(&slot).copied().unwrap_or(1);
                self.rotor_succeeds(scene, slot, slices, scope)
            })
    }

    /// Forgets windows below that of `slot`.
    pub fn forget(&mut self, slot: Slot) {
        self.floor = self.floor.max(slot.window());
        self.facts = self.facts.split_off(&slot.window());
    }

    /// t_W + `after`, for deadlines.
    pub fn after_ready(&self, window: Window, after: u64) -> u64 {
        let ready = self.facts.get(&window).and_then(|facts| facts.ready_ns).unwrap_or(0);
        ready + after
    }
}

/// The slots of a window with their places, as the deadlines count them.
pub fn places(window: Window) -> impl Iterator<Item = (u64, Slot)> {
    (1..).zip((first(window).0..=window.last().0).map(Slot))
}
