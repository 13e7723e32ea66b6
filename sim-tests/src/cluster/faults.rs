//! Carries the faults of a plan into the world, edge by edge.
//!
//! Cuts and jams are counted by the world, so overlapping ones nest. Everything else that a link
//! or a node is like at a moment is worked out anew from what is in force: the base of the plan,
//! and the worst of the faults that touch it. So there is no state to undo, and two faults that
//! end in another order than they began leave nothing behind.

use super::datagram::Packet;
use super::load::Loads;
use super::setup;
use crate::plan::{Concrete, CrashMode, CutStyle, DiskCause, Edge, Effect, Fault, Nanos};
use crate::world::network::{Link, Links};
use crate::world::{World, disk};

/// What the edge asks for beyond the world itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// These nodes lose their power now.
    Crash(Vec<usize>, CrashMode),
    /// The disks of these nodes hold something else now than they did.
    Rotten(Vec<usize>),
    /// These nodes start now.
    Start(Vec<usize>),
}

/// The faults of one run.
pub struct Faults<'a> {
    plan: &'a Concrete,
    world: World<Packet>,
    loads: Loads,
    active: Vec<bool>,
    healed: bool,
}

impl<'a> Faults<'a> {
    /// Nothing is in force yet.
    pub fn new(plan: &'a Concrete, world: World<Packet>, loads: Loads) -> Faults<'a> {
        Faults { plan, world, loads, active: vec![false; plan.faults.len()], healed: false }
    }

    /// The base loss, bursts, corruption and duplication end.
    pub fn heal(&mut self) {
        self.healed = true;
        self.refresh();
    }

    /// Begins or ends a fault.
    pub fn apply(&mut self, edge: Edge, index: usize) -> Option<Lifecycle> {
        let fault = &self.plan.faults[index];
        let begins = edge == Edge::Begin;
        self.active[index] = begins;
        let nodes: Vec<usize> = fault.nodes.iter().map(|&node| usize::from(node)).collect();
        match &fault.effect {
            Effect::Partition { style } => {
                let outside = (0..self.plan.nodes.len()).filter(|node| !nodes.contains(node));
                self.cut(&nodes, &outside.collect::<Vec<_>>(), *style, begins);
            }
            Effect::Cut { from, style } => {
                let from: Vec<usize> = from.iter().map(|&node| usize::from(node)).collect();
                self.cut(&nodes, &from, *style, begins);
            }
            Effect::Crash { mode } if begins => return Some(Lifecycle::Crash(nodes, *mode)),
            Effect::Crash { .. } => return Some(Lifecycle::Start(nodes)),
            Effect::LateStart {} if begins => {}
            Effect::LateStart {} => return Some(Lifecycle::Start(nodes)),
            Effect::Pause {} if begins => nodes.iter().for_each(|&node| self.world.pause(node)),
            Effect::Pause {} => nodes.iter().for_each(|&node| self.world.resume(node)),
            // The liars look at the clock of the plan themselves.
            Effect::Byzantine { .. } => {}
            Effect::ClockJump { by } => {
                nodes.iter().for_each(|&node| self.world.jump_wall_clock(node, by.0));
            }
            Effect::BitRot { bits } => {
                nodes.iter().for_each(|&node| self.world.rot_disk(node, *bits));
                return Some(Lifecycle::Rotten(nodes));
            }
            Effect::ClockDrift { drift } => self.drift(&nodes, begins.then_some(drift.0)),
            Effect::Starvation { turn } => {
                let turn_ns = if begins { turn.0 } else { 0 };
                nodes.iter().for_each(|&node| self.loads[node].set_turn(turn_ns));
            }
            Effect::DiskError { cause } => self.disk_error(&nodes, *cause, begins),
            Effect::Loss { .. }
            | Effect::Bursts(_)
            | Effect::Latency { .. }
            | Effect::Duplication { .. }
            | Effect::Reordering(_)
            | Effect::Straddle { .. }
            | Effect::Corruption { .. }
            | Effect::Bandwidth { .. }
            | Effect::DiskSlow { .. }
            | Effect::DiskStall { .. } => self.refresh(),
        }
        None
    }

    fn drift(&self, nodes: &[usize], drift_ppb: Option<i64>) {
        for &node in nodes {
            let drift_ppb = drift_ppb.unwrap_or(self.plan.nodes[node].clock_drift.0);
            self.world.set_clock_drift(node, drift_ppb as i32);
        }
    }

    fn disk_error(&self, nodes: &[usize], cause: DiskCause, begins: bool) {
        let fault = begins.then_some(disk::Fault::Io);
        for &node in nodes {
            match cause {
                DiskCause::Write => self.world.edit_disk(node, |disk| disk.write_fault = fault),
                DiskCause::Sync => self.world.edit_disk(node, |disk| disk.sync_fault = fault),
                DiskCause::Full if begins => self.world.fill_disk(node),
                DiskCause::Full => {
                    self.world.edit_disk(node, |disk| disk.capacity_bytes = u64::MAX);
                }
            }
        }
    }

    /// Cuts or mends every link between the two sides.
    fn cut(&self, side: &[usize], others: &[usize], style: CutStyle, begins: bool) {
        for &inside in side {
            for &outside in others {
                let world = &self.world;
                match (style, begins) {
                    (CutStyle::Drop, true) => {
                        world.cut(inside, outside);
                        world.cut(outside, inside);
                    }
                    (CutStyle::Drop, false) => {
                        world.uncut(inside, outside);
                        world.uncut(outside, inside);
                    }
                    (CutStyle::Jam, true) => {
                        world.jam(inside, outside);
                        world.jam(outside, inside);
                    }
                    (CutStyle::Jam, false) => {
                        world.unjam(inside, outside);
                        world.unjam(outside, inside);
                    }
                    (CutStyle::OneWay, true) => world.cut(inside, outside),
                    (CutStyle::OneWay, false) => world.uncut(inside, outside),
                }
            }
        }
    }

    fn in_force(&self) -> impl Iterator<Item = &'a Fault> + use<'a, '_> {
        let active = self.active.iter().zip(&self.plan.faults);
        active.filter(|(active, _)| **active).map(|(_, fault)| fault)
    }

    /// Sets every link, uplink and disk to what is in force now.
    fn refresh(&self) {
        let nodes = self.plan.nodes.len();
        for from in 0..nodes {
            for to in (0..nodes).filter(|&to| to != from) {
                self.world.set_link_quality(Links::One(from, to), |link| self.link(from, to, link));
            }
        }
        for node in 0..nodes {
            let touches = |fault: &&Fault| fault.nodes.contains(&(node as u16));
            let faults = || self.in_force().filter(touches);
            let rates = faults().filter_map(|f| match f.effect {
                Effect::Bandwidth { rate } => Some(rate),
                _ => None,
            });
            let rate = rates.chain(self.plan.network.bandwidth).min();
            self.world.set_uplink(node, rate.map(|rate| setup::uplink(rate.0)));
            let syncs = faults().filter_map(|f| match f.effect {
                Effect::DiskSlow { sync } => Some(sync),
                _ => None,
            });
            let sync = syncs.chain([self.plan.disk.sync]).max().unwrap_or_default();
            let stalls = faults().find_map(|f| match f.effect {
                Effect::DiskStall { share, time } => Some((share.0, time.0)),
                _ => None,
            });
            self.world.edit_disk(node, |disk| {
                disk.sync_ns = sync.0;
                (disk.stall_ppb, disk.stall_ns) = stalls.unwrap_or_default();
            });
        }
    }

    fn link(&self, from: usize, to: usize, link: &mut Link) {
        let delay = self.plan.delay(from as u16, to as u16);
        let mut added = Nanos(0);
        let mut quality = setup::base_quality(self.plan, self.healed);
        let touches =
            |f: &&Fault| f.nodes.contains(&(from as u16)) || f.nodes.contains(&(to as u16));
        for fault in self.in_force().filter(touches) {
            match &fault.effect {
                Effect::Loss { share } => quality.loss_ppb = quality.loss_ppb.max(share.0),
                Effect::Duplication { share } => {
                    quality.duplicate_ppb = quality.duplicate_ppb.max(share.0);
                }
                Effect::Corruption { share } => {
                    quality.corrupt_ppb = quality.corrupt_ppb.max(share.0);
                }
                Effect::Latency { add } => added = added.max(*add),
                Effect::Reordering(reordering) => {
                    quality.reorder_ppb = quality.reorder_ppb.max(reordering.share.0);
                    quality.reorder_max_ns = quality.reorder_max_ns.max(reordering.delay.0);
                }
                Effect::Straddle { share } => {
                    let held = quality.hold.map_or(0, |hold| hold.ppb).max(share.0);
                    quality.hold = Some(setup::hold(self.plan, held));
                }
                Effect::Bursts(bursts) => {
                    let worse = quality.burst.is_none_or(|b| b.loss_ppb <= bursts.loss.0);
                    if worse {
                        let burst = setup::burst(bursts.loss.0, bursts.length, bursts.gap);
                        quality.burst = Some(burst);
                    }
                }
                _ => {}
            }
        }
        link.quality = quality;
        link.latency.p50_ns = delay.p50.0.saturating_add(added.0);
        link.latency.p90_ns = delay.p90.0.saturating_add(added.0);
    }
}

/// The plan's word for what a crash leaves, in the disk's words.
pub fn crash_mode(mode: CrashMode) -> disk::CrashMode {
    match mode {
        CrashMode::Keep => disk::CrashMode::Keep,
        CrashMode::Lose | CrashMode::Wipe => disk::CrashMode::Lose,
        CrashMode::Tear => disk::CrashMode::Tear,
    }
}
