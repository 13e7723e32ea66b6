//! The times that the liveness oracles hold a run against, from figures and causes alone.
//!
//! Everything is world time in nanoseconds. A local timer of length t may take up to
//! t·(1 + drift) of world time; processing adds the slack that the plan's budget states. The
//! arithmetic is the harness's own (the growth of timeouts too).

use super::{Context, Fact, Scene};
use alpenglow_node::protocol::event::{Event, Standing};
use alpenglow_node::protocol::types::{NodeId, SLOTS_PER_WINDOW, Slot, Window};

/// Messages of a repair that depend on each other: count, roots, shreds (13.4).
const REPAIR_ROUND_TRIPS: u64 = 3;
/// Peers that are asked the same question in parallel.
const REPAIR_FANOUT: u64 = 3;
/// Slots that a node which is behind fetches in a second: what catching up aims for.
const SLOTS_PER_SECOND: u64 = 50;

/// The figures of one run.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Δ.
    pub delta: u64,
    /// Δ_block.
    pub block: u64,
    /// Processing time of a node on top of the network.
    pub slack: u64,
    timeout: u64,
    growth_permille: u64,
    cap: u64,
    standstill: u64,
    poll: u64,
    drift_ppb: u64,
    /// Identities that may answer falsely, or lead two ways.
    liars: u64,
}

impl Bounds {
    /// From the genesis parameters and the plan.
    pub fn of(scene: &Scene) -> Bounds {
        let p = &scene.params;
        let drift = |node: &crate::plan::Node| node.clock_drift.0.unsigned_abs();
        Bounds {
            delta: p.delta_ns,
            block: p.delta_block_ns,
            slack: scene.budget.slack.0,
            timeout: p.delta_timeout_ns,
            growth_permille: p.timeout_growth_permille.into(),
            cap: p.timeout_cap_ns,
            standstill: p.standstill_ns,
            poll: p.standstill_poll_ns,
            drift_ppb: scene.plan.nodes.iter().map(drift).max().unwrap_or(0),
            liars: scene.correct.iter().filter(|correct| !**correct).count() as u64,
        }
    }

    /// World time that a local span may take.
    pub fn drifted(&self, local: u64) -> u64 {
        let more = u128::from(local) * u128::from(self.drift_ppb);
        local + more.div_ceil(1_000_000_000) as u64
    }

    /// m·Δ_timeout after `windows` windows of growth.
    pub fn timeout(&self, windows: u64) -> u64 {
        let mut timeout = self.timeout;
        for _ in 0..windows {
            if timeout >= self.cap {
                break;
            }
            timeout = timeout * (1_000 + self.growth_permille) / 1_000;
        }
        timeout.min(self.cap)
    }

    /// Standstill and its poll: how long lost messages stay lost.
    pub fn resend(&self) -> u64 {
        self.drifted(self.standstill + self.poll)
    }

    /// Δ_standstill of the fastest clock.
    pub fn standstill(&self) -> u64 {
        self.standstill - (self.drifted(self.standstill) - self.standstill)
    }

    /// R: fetching a block that its voters hold. Voters that lie are asked in vain, so many at a
    /// time.
    pub fn repair(&self) -> u64 {
        2 * self.delta * (REPAIR_ROUND_TRIPS + self.liars.div_ceil(REPAIR_FANOUT))
    }

    /// What a node that is `slots` behind takes to fetch them all, on top of the time for one: its
    /// questions are asked in order, the oldest block first.
    pub fn fetching(&self, slots: u64) -> u64 {
        slots * 1_000_000_000 / SLOTS_PER_SECOND
    }

    /// From first contact until a joiner knows what was final (O49).
    pub fn joiner_knows(&self) -> u64 {
        self.drifted(self.standstill) + self.delta + self.slack
    }

    /// From first contact until a joiner has delivered the `slots` that it was behind (O49).
    pub fn joiner_delivers(&self, slots: u64) -> u64 {
        self.joiner_knows() + self.repair() + self.fetching(slots)
    }

    /// R where no message was lost: 0, unless somebody may give different blocks, or none, to
    /// different nodes.
    pub fn repair_for_lies(&self) -> u64 {
        if self.liars == 0 { 0 } else { self.repair() }
    }

    /// D_any: the longest that a window with any leader takes (O44).
    pub fn any_window(&self, growth: u64, repair: u64) -> u64 {
        let late = self.delta.saturating_sub(self.block);
        self.drifted(self.timeout(growth) + SLOTS_PER_WINDOW * self.block)
            + 3 * self.delta
            + repair
            + (SLOTS_PER_WINDOW - 1) * late
    }
}

/// Since when each node has been up, running and voting without a break, and not starved.
#[derive(Debug)]
pub struct Uptime {
    since: Vec<Option<u64>>,
    /// Who does not vote, because of its disk.
    observing: Vec<bool>,
    /// When the plan starves it, slows its disk or bends its clock.
    hampered: Vec<Vec<(u64, u64)>>,
    now_ns: u64,
}

impl Uptime {
    /// Nobody is up.
    pub fn new(scene: &Scene) -> Uptime {
        let nodes = 0..scene.stakes.len();
        let times = |(from, to): (crate::plan::Nanos, crate::plan::Nanos)| (from.0, to.0);
        let hampered = |node| scene.plan.hampered(node as u16).into_iter().map(times).collect();
        Uptime {
            since: vec![None; nodes.len()],
            observing: vec![false; nodes.len()],
            hampered: nodes.map(hampered).collect(),
            now_ns: 0,
        }
    }

    /// Takes one fact about a correct node.
    pub fn take(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>) {
        self.pass(cx.at_ns);
        let entry = &mut self.since[node.index()];
        match fact {
            Fact::Started(_) => {
                (*entry, self.observing[node.index()]) = (Some(cx.at_ns), false);
            }
            // Who has stopped voting does not begin again before it starts anew.
            Fact::Paused(false) if !self.observing[node.index()] => *entry = Some(cx.at_ns),
            Fact::Crashed | Fact::Paused(true) => *entry = None,
            // An observer counts as crashed (10.4).
            Fact::Event(Event::Standing(Standing::Observing)) => {
                (*entry, self.observing[node.index()]) = (None, true);
            }
            _ => {}
        }
    }

    /// Time passes.
    pub fn pass(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Nodes that have been up since `since_ns` or longer.
    pub fn since(&self, since_ns: u64) -> impl Iterator<Item = NodeId> + '_ {
        let nodes = (0..self.since.len()).map(|node| NodeId(node as u16));
        nodes.filter(move |node| self.is_up_since(*node, since_ns))
    }

    /// When the faults that were in force at `at_ns`, or just before, hamper nobody any more: what a
    /// slow disk was asked before it healed still takes its time. What never ends hampers to the end,
    /// and is not waited for: who is hampered is out of scope.
    pub fn settled(&self, at_ns: u64) -> u64 {
        let last = self
            .hampered
            .iter()
            .flatten()
            .filter(|(from, to)| *from < at_ns && *to > at_ns && *to < u64::MAX);
        last.map(|(_, to)| *to).max().unwrap_or(at_ns)
    }

    /// True if the node has been up since `since_ns` or longer.
    pub fn is_up_since(&self, node: NodeId, since_ns: u64) -> bool {
        let hampered = |(from, to): &(u64, u64)| *from <= self.now_ns && *to > since_ns;
        self.since[node.index()].is_some_and(|from| from <= since_ns)
            && !self.hampered[node.index()].iter().any(hampered)
    }
}

/// The number of a slot within its window, from 1: window 0 has three slots.
pub fn place(slot: Slot) -> u64 {
    slot.0 - first(slot.window()).0 + 1
}

/// The first slot of a window that holds a block.
pub fn first(window: Window) -> Slot {
    Slot((window.0 * SLOTS_PER_WINDOW).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        let ms = 1_000_000;
        Bounds {
            delta: 250 * ms,
            block: 400 * ms,
            slack: 0,
            timeout: 800 * ms,
            growth_permille: 50,
            cap: 60_000 * ms,
            standstill: 10_000 * ms,
            poll: 400 * ms,
            drift_ppb: 0,
            liars: 0,
        }
    }

    /// The numbers of 13.4.
    #[test]
    fn the_figures_of_the_specification() {
        let b = bounds();
        assert_eq!(b.any_window(0, 0), 3_150_000_000);
        assert_eq!(b.resend(), 10_400_000_000);
        assert_eq!(b.timeout(1), 840_000_000);
        assert_eq!(b.timeout(1_000), 60_000_000_000);
        assert_eq!((b.repair(), b.repair_for_lies()), (1_500_000_000, 0));
        let b4 = Bounds { liars: 4, ..b };
        assert_eq!((b4.repair(), b4.repair_for_lies()), (2_500_000_000, 2_500_000_000));
        assert_eq!(Bounds { drift_ppb: 1_000_000, ..b }.drifted(1_000), 1_001);
    }

    #[test]
    fn window_zero_has_three_places() {
        assert_eq!([1, 2, 3, 4, 7].map(|s| place(Slot(s))), [1, 2, 3, 1, 4]);
    }
}
