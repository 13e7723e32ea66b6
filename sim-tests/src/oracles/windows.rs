//! What the oracles about windows share: when each window became ready, who was in scope, and
//! whether it had to go well. From causes: plan, schedule, power; never from how it went.

use super::bounds::{Bounds, Uptime, first};
use super::schedule::Schedule;
use super::{Context, Fact, Scene};
use crate::plan::Nanos;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot, Window};
use std::collections::{BTreeMap, BTreeSet};

/// So many slots below the lowest delivered tip are still judged.
const KEPT_SLOTS: u64 = 64;
/// So many slots above what it knows to be final a node holds anything (1.5). Who comes back from
/// further behind drops what is said at the head until it has a proof.
const HELD_SLOTS: u64 = 2_048;

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
    /// A certificate that made it ready was held by somebody before the heal, so that others may
    /// have lost it.
    pub on_old: bool,
}

/// All windows that are not over yet.
#[derive(Debug)]
pub struct Windows {
    /// The figures.
    pub bounds: Bounds,
    /// Who is up since when.
    pub uptime: Uptime,
    /// Who leads and who relays.
    pub schedule: Schedule,
    /// From this moment on liveness is promised to the end of the run; `None` if it never is.
    pub armed_ns: Option<u64>,
    /// From this moment on all correct nodes share the certificates and votes of the time before:
    /// G1 of 13.4. What was lost before the heal comes only with a standstill.
    pub shared_ns: Option<u64>,
    /// By window.
    pub facts: BTreeMap<Window, WindowFacts>,
    /// Slots of which a certificate was held before the heal.
    old: BTreeSet<Slot>,
    /// The highest slot that is final anywhere.
    highest: Slot,
    /// Since when each node could come back to what it missed, and how many slots that was: from its
    /// start, or from the heal.
    behind: BTreeMap<NodeId, (u64, u64)>,
    /// Who started on a disk so slow that everybody else went on for long.
    late: BTreeSet<NodeId>,
    healed: bool,
    /// Windows below this are over and forgotten: a node that catches up goes through them again.
    floor: Window,
}

impl Windows {
    /// For one run. Liveness is owed, if the plan says so, from the heal on; in a plan without a
    /// heal from where the budget promises it to the end.
    pub fn new(scene: &Scene) -> Windows {
        let bounds = Bounds::of(scene);
        let owed = scene.plan.expect.liveness;
        let promised = || scene.budget.promised().last().filter(|last| last.1.is_none()).copied();
        let armed = scene.plan.run.heal_at.or_else(|| Some(promised()?.0)).filter(|_| owed);
        let lost = armed.is_some_and(|at| scene.budget.messages_lost(&scene.plan, at));
        let late = bounds.delta + if lost { bounds.resend() } else { 0 };
        Windows {
            bounds,
            uptime: Uptime::new(scene),
            schedule: Schedule::new(scene),
            armed_ns: armed.map(|at| at.0),
            shared_ns: armed.map(|at| if at.0 == 0 { 0 } else { at.0 + late }),
            facts: BTreeMap::new(),
            old: BTreeSet::new(),
            highest: Slot(0),
            behind: BTreeMap::new(),
            late: BTreeSet::new(),
            healed: false,
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
        if !self.healed && self.armed_ns.is_some_and(|armed| cx.at_ns >= armed) {
            self.healed = true;
            cx.history.correct(cx.scene).for_each(|(node, _)| self.came_back(cx, node, false));
        }
        let event = match fact {
            Fact::Event(event) => event,
            Fact::Started(_) | Fact::Paused(false) => {
                self.came_back(cx, node, matches!(fact, Fact::Started(_)));
                return None;
            }
            _ => return None,
        };
        match event {
            Event::Finalized(block, _) => self.highest = self.highest.max(block.slot),
            Event::ParentReady(slot, parent) => {
                let on_old = self.old.range(parent.slot..*slot).next().is_some();
                let facts = self.entry(*slot)?;
                if facts.ready_ns.is_none() {
                    (facts.ready_ns, facts.on_old) = (Some(cx.at_ns), on_old);
                    return Some(slot.window());
                }
            }
            Event::CertificateAdded { certificate, .. }
                if self.armed_ns.is_some_and(|armed| cx.at_ns < armed) =>
            {
                self.old.insert(certificate.id.slot);
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

    fn came_back(&mut self, cx: &Context<'_>, node: NodeId, starts: bool) {
        if !starts && self.late.contains(&node) {
            return; // it has not come yet
        }
        let tip = cx.history.of(node).out.last().map_or(0, |block| block.slot.0);
        // Who starts on a slow disk says its first word long after.
        let late = cx.scene.plan.late_start(node.0, Nanos(cx.at_ns)).filter(|_| starts);
        self.behind
            .insert(node, (late.map_or(cx.at_ns, |at| at.0), self.highest.0.saturating_sub(tip)));
        self.late.remove(&node);
        self.late.extend(late.map(|_| node));
    }

    /// True if the node was so far behind, or so late, that it need not know yet where the head is
    /// (O49).
    fn is_lost(&self, node: NodeId, at_ns: u64) -> bool {
        self.behind.get(&node).is_some_and(|(since, slots)| {
            (*slots > HELD_SLOTS || self.late.contains(&node))
                && at_ns < since + self.bounds.joiner_knows()
        })
    }

    /// How long the node may be busy with fetching what it missed, as seen at `at_ns`.
    pub fn fetching(&self, node: NodeId, at_ns: u64) -> u64 {
        let missed = self.behind.get(&node).map_or((0, 0), |missed| *missed);
        match at_ns < missed.0 + self.bounds.joiner_delivers(missed.1) {
            true => self.bounds.fetching(missed.1),
            false => 0,
        }
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

    /// As [`Windows::is_owed`], and nothing that was lost before the heal is missing anywhere.
    pub fn is_shared(&self, window: Window) -> bool {
        let ready = self.facts.get(&window).and_then(|facts| facts.ready_ns);
        self.is_owed(window) && self.shared_ns.zip(ready).is_some_and(|(from, ready)| ready >= from)
    }

    /// As [`Windows::is_owed`], and what the window stands on can reach everybody in time: it is of
    /// the time after the heal, or what was lost before has come again.
    pub fn is_claimed(&self, window: Window) -> bool {
        let on_old = self.facts.get(&window).is_some_and(|facts| facts.on_old);
        if on_old { self.is_shared(window) } else { self.is_owed(window) }
    }

    /// Correct nodes in scope: up and in touch with each other without a break since Δ before the
    /// window became ready, or since the start of the run for its first windows; and had the time to
    /// learn where the head is, if they came back from far behind.
    pub fn scope(&self, cx: &Context<'_>, window: Window) -> Vec<NodeId> {
        let ready = self.facts.get(&window).and_then(|facts| facts.ready_ns).unwrap_or(0);
        // Window 0 is ready as soon as a node has opened its store: nobody is up Δ before that.
        let since = match window {
            Window(0) => ready.saturating_add(self.bounds.slack),
            _ => ready.saturating_sub(self.bounds.delta),
        };
        let mut scope = self.healthy(cx, since);
        scope.retain(|node| !self.is_lost(*node, since));
        scope
    }

    /// Correct nodes that have been up from `since_ns` to now, and in touch with each other, as
    /// planned, for the part of it in which liveness is promised.
    pub fn healthy(&self, cx: &Context<'_>, since_ns: u64) -> Vec<NodeId> {
        let from = since_ns.max(self.armed_ns.unwrap_or(0)).min(cx.at_ns);
        let in_touch = cx.scene.budget.in_touch(Nanos(from), Nanos(cx.at_ns));
        let healthy = |node: &NodeId| cx.scene.correct[node.index()] && in_touch(node.0);
        self.uptime.since(since_ns).filter(healthy).collect()
    }

    /// True if the window had to go well: it is claimed, its leader is in scope, and Rotor had to
    /// succeed for everything that was sent.
    pub fn is_good(&self, window: Window, scope: &[NodeId]) -> bool {
        let facts = self.facts.get(&window).cloned().unwrap_or_default();
        self.is_claimed(window)
            && scope.contains(&self.schedule.leader(window))
            && window.slots().all(|slot| {
                let slices = facts.slices.get(&slot).copied().unwrap_or(1);
                self.schedule.rotor_succeeds(slot, slices, scope)
            })
    }

    /// Forgets windows that every correct node has delivered long ago.
    pub fn forget_delivered(&mut self, cx: &Context<'_>) {
        let tips = cx.history.correct(cx.scene).filter_map(|(_, me)| me.out.last());
        if let Some(lowest) = tips.min().filter(|tip| tip.slot.0 > KEPT_SLOTS) {
            self.forget(Slot(lowest.slot.0 - KEPT_SLOTS));
        }
    }

    /// The largest timeout growth that a correct node is known to use in the window.
    pub fn growth(&self, window: Window) -> u64 {
        self.facts.get(&window).map_or(0, |facts| facts.growth)
    }

    /// P_i of a slot.
    pub fn slot_resolved_by(&self, slot: Slot) -> u64 {
        self.resolved_by(slot.window(), super::bounds::place(slot))
    }

    /// P_i: by then the slot at this place of the window is skipped or certified (O42, O43).
    pub fn resolved_by(&self, window: Window, place: u64) -> u64 {
        let b = &self.bounds;
        let local = b.timeout(self.growth(window)) + place * b.block;
        let late = (place - 1) * b.delta.saturating_sub(b.block);
        let repair = b.repair_for_lies();
        self.after_ready(window, 3 * b.delta + b.drifted(local) + late + repair + b.slack)
    }

    /// By then the slot at this place of a good window is final (O45): `fast` under A1, a round
    /// later under A2.
    pub fn finalized_by(&self, window: Window, place: u64, fast: bool) -> u64 {
        let b = &self.bounds;
        let rounds = if fast { 4 } else { 5 };
        self.after_ready(window, rounds * b.delta + b.drifted(place * b.block) + b.slack)
    }

    /// The same for a slot, with who is in scope now.
    pub fn final_by(&self, cx: &Context<'_>, slot: Slot) -> u64 {
        let scope = self.scope(cx, slot.window());
        let fast = cx.scene.at_least(cx.scene.stake_of(scope), 4);
        self.finalized_by(slot.window(), super::bounds::place(slot), fast)
    }

    /// Forgets windows below that of `slot`.
    pub fn forget(&mut self, slot: Slot) {
        self.floor = self.floor.max(slot.window());
        self.facts = self.facts.split_off(&slot.window());
        self.old = self.old.split_off(&Slot(slot.0.saturating_sub(KEPT_SLOTS)));
    }

    /// t_W + `after`, for deadlines.
    pub fn after_ready(&self, window: Window, after: u64) -> u64 {
        let ready = self.facts.get(&window).and_then(|facts| facts.ready_ns).unwrap_or(0);
        ready + after
    }
}

/// Slots that are judged once their deadlines have passed.
#[derive(Debug, Default)]
pub struct Due(BTreeSet<(u64, Slot)>);

impl Due {
    /// Watches the slots of a window that has become ready; `deadline` is asked for each place.
    pub fn watch(&mut self, window: Window, deadline: impl Fn(u64) -> u64) {
        self.0.extend(places(window).map(|(place, slot)| (deadline(place), slot)));
    }

    /// Whether there is anything to look at. Cheap.
    pub fn is_passed(&self, now_ns: u64) -> bool {
        self.0.first().is_some_and(|(due, _)| *due < now_ns)
    }

    /// The next slot whose deadline has passed. The deadline is asked for once more then: a node may
    /// have used a longer timeout than was known when the slot was noted.
    pub fn next(&mut self, now_ns: u64, deadline: impl Fn(Slot) -> u64) -> Option<Slot> {
        while self.is_passed(now_ns) {
            let (_, slot) = self.0.pop_first()?;
            let due = deadline(slot);
            if due < now_ns {
                return Some(slot);
            }
            self.0.insert((due, slot));
        }
        None
    }
}

/// The slots of a window with their places, as the deadlines count them.
pub fn places(window: Window) -> impl Iterator<Item = (u64, Slot)> {
    (1..).zip((first(window).0..=window.last().0).map(Slot))
}
