//! What the protocol owes in a given world, worked out from the causes alone.
//!
//! A run in which nothing is finalized for ten seconds is a bug, or exactly what must happen when
//! 41 % of the stake is cut off. A harness that decides that from what it saw excuses bugs: the
//! stall itself looks like the excuse. Here it is decided before the run, from the world as
//! written. Time is cut into phases between the moments at which a fault begins or ends. For each
//! phase the stake is counted that takes part and can hear each other, and every premise of
//! liveness that does not hold is named. Where none is named, liveness is promised.
//!
//! Who can hear whom: a partition, one-way or not, breaks the pair for both (votes must go one way
//! and certificates the other). The heaviest set of nodes that hear each other pairwise is the
//! largest that can act (`connected`). Nodes whose links lose messages or are slower than Δ, whose
//! disks or processors are too slow to vote in time, or whose clocks make them give up too early
//! count as not reachable: the others owe progress without them. Nodes whose disks fail or were
//! lost count as down for as long as they may not vote (`observers`).
//!
//! Safety is owed whenever less than 20 % of the stake is ever byzantine, whatever else happens.
//! The arithmetic is the harness's own: exact integers, no code shared with the node.

use super::concrete::Concrete;
use super::concrete::check::Defect;
use super::fault::{Effect, Fault, Premise};
use super::settings::Safety;
use super::units::{Drift, Nanos, Size};
use connected::Hearing;
use observers::Observing;
use std::collections::BTreeSet;

mod connected;
mod liars;
mod observers;
mod reason;
mod recovery;

pub use reason::Reason;
pub use recovery::Recovery;

/// Processing time that liveness bounds allow on top of the network; a node that needs more is
/// starved and owes nothing.
pub const SLACK_LIMIT: Nanos = Nanos::from_millis(50);

/// What the largest shred takes on the wire; a smaller mtu stops all full slices for good.
const LARGEST_PACKET: Size = Size(1_472);

/// What a world owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// All stake.
    pub total: u64,
    /// Stake of every identity that is byzantine at any time of the run.
    pub byzantine: u64,
    /// Processing time that a healthy node may need on top of the network.
    pub slack: Nanos,
    /// The whole run, without gaps; the last phase has no end.
    pub phases: Vec<Phase>,
}

/// A stretch of time in which no fault begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its first moment.
    pub start: Nanos,
    /// The first moment after it. None: the end of the run.
    pub end: Option<Nanos>,
    /// Stake of identities that lie in this or another phase: nothing is counted on them.
    pub byzantine: u64,
    /// Stake of nodes that are down after having run.
    pub crashed: u64,
    /// Stake of nodes that stand still.
    pub paused: u64,
    /// Stake of nodes that may not vote, because of their disks.
    pub observing: u64,
    /// Stake of nodes that have not started yet.
    pub absent: u64,
    /// Stake of nodes that run, but whose links or disks are too bad to count on.
    pub impaired: u64,
    /// Stake of healthy nodes outside the heaviest connected group.
    pub unreachable: u64,
    /// Stake of the heaviest group of healthy nodes that all hear each other.
    pub reachable: u64,
    /// The nodes of that group, ascending.
    pub together: Vec<u16>,
    /// Why liveness is not promised; empty if it is.
    pub reasons: Vec<Reason>,
}

impl Budget {
    /// The budget of a checked world.
    pub fn of(world: &Concrete) -> Budget {
        let mut moments = BTreeSet::from([Nanos(0)]);
        moments.extend(world.run.heal_at);
        for fault in world.faults.iter().filter(|f| f.end != Some(f.start)) {
            moments.insert(fault.start);
            moments.extend(fault.end);
        }
        let moments: Vec<Nanos> = moments.into_iter().collect();
        let slack = slack(world, world.disk.sync);
        let observers = observers::of(world);
        let mut phases: Vec<Phase> = Vec::with_capacity(moments.len());
        for (i, start) in moments.iter().enumerate() {
            let mut phase = phase(world, &observers, slack, *start, moments.get(i + 1));
            phase.reasons.extend(liars::split(world, &phases, &phase));
            phases.push(phase);
        }
        let stake = |node: &u16| world.nodes[usize::from(*node)].stake;
        let byzantine = world.byzantine().iter().map(stake).sum();
        Budget { total: world.total_stake(), byzantine, slack, phases }
    }

    /// Whether the model promises safety: byzantine stake strictly below 20 %.
    pub fn safety(&self) -> bool {
        u128::from(self.byzantine) * 5 < u128::from(self.total)
    }

    /// The phase at `time`.
    pub fn at(&self, time: Nanos) -> &Phase {
        let after = self.phases.partition_point(|phase| phase.start <= time);
        &self.phases[after - 1]
    }

    /// Which nodes are healthy and in touch with each other all the time from `from` to `to`, both
    /// included.
    pub fn in_touch(&self, from: Nanos, to: Nanos) -> impl Fn(u16) -> bool {
        let meets = |p: &&Phase| p.start <= to && p.end.is_none_or(|end| end > from);
        let phases: Vec<&Phase> = self.phases.iter().filter(meets).collect();
        move |node| phases.iter().all(|phase| phase.together.binary_search(&node).is_ok())
    }

    /// The stretches of time in which liveness is promised, each as long as possible; None is the
    /// end of the run.
    pub fn promised(&self) -> Vec<(Nanos, Option<Nanos>)> {
        let mut stretches: Vec<(Nanos, Option<Nanos>)> = Vec::new();
        for phase in self.phases.iter().filter(|phase| phase.reasons.is_empty()) {
            match stretches.last_mut() {
                Some(last) if last.1 == Some(phase.start) => last.1 = phase.end,
                _ => stretches.push((phase.start, phase.end)),
            }
        }
        stretches
    }

    /// Every reason why liveness is not promised between `from` and `to`, with the time for which
    /// it holds. Empty: a stall there is a bug.
    pub fn explain(&self, from: Nanos, to: Nanos) -> Vec<String> {
        let mut found: Vec<(&Reason, Nanos, Option<Nanos>)> = Vec::new();
        for phase in &self.phases {
            for reason in &phase.reasons {
                let known = found.iter_mut().find(|f| f.0 == reason && f.2 == Some(phase.start));
                match known {
                    Some(known) => known.2 = phase.end,
                    None => found.push((reason, phase.start, phase.end)),
                }
            }
        }
        let touches = |start: Nanos, end: Option<Nanos>| start < to && end.is_none_or(|e| e > from);
        let kept = found.into_iter().filter(|(_, start, end)| touches(*start, *end));
        kept.map(|(reason, start, end)| reason.during(start, end)).collect()
    }

    /// Refuses a world that cannot keep what its plan expects.
    pub(super) fn approve(&self, world: &Concrete) -> Result<(), Defect> {
        if !self.safety() && world.expect.safety == Safety::Asserted {
            return Err(liars::too_many(world, self));
        }
        if !world.expect.liveness {
            return Ok(());
        }
        let last = self.phases.len() - 1;
        for (i, phase) in self.phases.iter().enumerate() {
            for reason in &phase.reasons {
                // After the heal nothing may be in the way. Without a heal the plan lives with
                // loss, but the stake that it takes away has to come back.
                let counts = match world.run.heal_at {
                    Some(heal_at) => phase.start >= heal_at,
                    None => i == last && matches!(reason, Reason::Reachable { .. }),
                };
                if counts {
                    return Err(over_budget(world, reason, reason.during(phase.start, phase.end)));
                }
            }
        }
        self.approve_epochs(world)
    }

    /// An epoch in which nothing is finalized is the end of the chain: nobody may know the
    /// validators of the one after next (1.3 of the specification, where nodes halt). So the
    /// windows that can pass while nothing is owed, and until the cluster has recovered, must be
    /// fewer than an epoch holds.
    fn approve_epochs(&self, world: &Concrete) -> Result<(), Defect> {
        let params = &world.params;
        // No window passes faster than the timer that skips a silent leader's.
        let silent = (params.delta_timeout.0 + params.delta_first.0).max(1);
        let resend = params.standstill.0 + params.standstill_poll.0;
        let recovery = resend + MOST_FAILED_WINDOWS * silent;
        let (mut longest, mut dark) = (0, None::<(u64, u64)>);
        for phase in self.phases.iter().filter(|phase| !phase.reasons.is_empty()) {
            let end = phase.end.map_or(world.run.duration.0, |end| end.0);
            // In too short a break nothing need be finalized.
            let since = dark.filter(|(_, until)| phase.start.0 < until + recovery);
            let since = since.map_or(phase.start.0, |(since, _)| since);
            dark = Some((since, end));
            longest = longest.max(end.saturating_sub(since));
        }
        if longest == 0 {
            return Ok(());
        }
        let windows = (longest + resend).div_ceil(silent) + MOST_FAILED_WINDOWS;
        let slots = windows * SLOTS_PER_WINDOW;
        if slots <= params.epoch_slots {
            return Ok(());
        }
        let what = format!(
            "nothing may be final for {} and until the recovery, in which {slots} slots can pass, \
             and an epoch of {} without a final block is the last one",
            Nanos(longest),
            params.epoch_slots
        );
        let remedy = "make epochs longer or faults shorter, or say expect.liveness = false";
        Err(Defect::new("params.epoch_slots", what, remedy))
    }
}

/// Slots in a leader window.
const SLOTS_PER_WINDOW: u64 = 4;

/// Windows that may fail in a row with everything healed (13.4), and the one that the heal taints.
const MOST_FAILED_WINDOWS: u64 = 17;

fn over_budget(world: &Concrete, reason: &Reason, what: String) -> Defect {
    let or = "or say expect.liveness = false";
    match reason {
        Reason::Reachable { causes, .. } | Reason::Split { causes, .. } => {
            let least = match reason {
                Reason::Split { .. } => "more than 80 %",
                _ => "at least 60 %",
            };
            let remedy = format!("leave {least} of the stake in touch, {or}");
            let culprit = world.faults.iter().position(|f| causes.contains(&f.label));
            let defect = Defect::new("nodes", what, &remedy);
            culprit.map_or(defect.clone(), |index| defect.of(index))
        }
        Reason::Delay { .. } => {
            let remedy = format!("raise params.delta and params.delta_timeout, {or}");
            Defect::new("params.delta", what, &remedy)
        }
        Reason::Clock { .. } => {
            let remedy = format!("raise params.delta_timeout or lower clocks.drift, {or}");
            Defect::new("params.delta_timeout", what, &remedy)
        }
        Reason::Lossy { .. } => Defect::new("network", what, or),
        Reason::Byzantine { .. } => Defect::new("expect", what, or),
        Reason::Slack { .. } => {
            Defect::new("disk.sync", what, &format!("use faster disks and processors, {or}"))
        }
    }
}

/// Syncs of one durable write: the database makes its commit, and then its commit's own record,
/// durable (a damaged newest record must not bring back an older state unnoticed).
const SYNCS_PER_WRITE: u64 = 2;
/// Syncs before a starting node says its first word: the database is opened and checked, and the
/// number of the boot is written.
const SYNCS_PER_START: u64 = 7;

/// The processing time a node may need: three durable writes, two inputs, the delivery grid and a
/// millisecond, stretched by the worst clock.
fn slack(world: &Concrete, sync: Nanos) -> Nanos {
    let sync = sync.0.saturating_add(world.disk.sync_jitter.of(sync.0));
    let sync = sync.saturating_mul(SYNCS_PER_WRITE);
    // The input that completes a block pays for all its slices.
    let block = world.cpu.decode.0.saturating_mul(u64::from(world.params.max_slices));
    let input = world.cpu.verify.0.max(block);
    let time = 3 * u128::from(sync) + 2 * u128::from(input) + u128::from(world.network.grid.0);
    let time = time + u128::from(Nanos::from_millis(1).0);
    let late = if world.run.buggify.0 > 0 { 3 * LATE_PER_WRITE.0 } else { 0 };
    let time = time + u128::from(late);
    let drift = world.nodes.iter().map(|node| node.clock_drift.0.unsigned_abs()).max();
    let stretched = time + (time * u128::from(drift.unwrap_or(0))).div_ceil(1_000_000_000);
    Nanos(u64::try_from(stretched).unwrap_or(u64::MAX))
}

/// What fault points of the host may add to one durable write: it starts late, and is noticed late.
const LATE_PER_WRITE: Nanos = Nanos::from_millis(2);

/// What a fault takes from a node, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Lying,
    Absent,
    Crashed,
    Observing,
    Paused,
    Impaired,
}

/// What `fault` takes from its nodes, if anything.
fn state(world: &Concrete, fault: &Fault) -> Option<State> {
    match fault.effect.kind().premise {
        Premise::Down => Some(match fault.effect {
            Effect::LateStart {} => State::Absent,
            Effect::Pause {} => State::Paused,
            _ => State::Crashed,
        }),
        Premise::Lossy | Premise::Starved => Some(State::Impaired),
        Premise::Late => {
            let late = delayed(world, fault) > world.params.delta;
            late.then_some(State::Impaired)
        }
        Premise::SlowDisk => match fault.effect {
            Effect::DiskSlow { sync } => {
                (slack(world, sync) > SLACK_LIMIT).then_some(State::Impaired)
            }
            Effect::DiskStall { time, .. } => {
                let sync = Nanos(world.disk.sync.0.saturating_add(time.0));
                (slack(world, sync) > SLACK_LIMIT).then_some(State::Impaired)
            }
            _ => None,
        },
        Premise::Clock => match fault.effect {
            Effect::ClockDrift { drift } => gives_up_early(world, drift).then_some(State::Impaired),
            _ => None,
        },
        // Their time is not that of the fault: see `observers`.
        Premise::Disk => None,
        Premise::Cut | Premise::Lying | Premise::Harmless => None,
    }
}

/// The longest time of a packet while `fault` is in force.
fn delayed(world: &Concrete, fault: &Fault) -> Nanos {
    let added = fault.effect.added_delay(&world.params);
    Nanos(worst_delay(world).0.saturating_add(added.0))
}

/// Whether a clock that drifts so gives up before 3Δ of true time: the timeout must cover the way
/// of a block from its leader over the relays.
fn gives_up_early(world: &Concrete, drift: Drift) -> bool {
    let billion = 1_000_000_000_i128;
    let needs = i128::from(world.params.delta.0) * 3 * (billion + i128::from(drift.0));
    i128::from(world.params.delta_timeout.0) * billion <= needs
}

/// The longest time of a packet without faults.
fn worst_delay(world: &Concrete) -> Nanos {
    let held = world.network.reordering.map_or(0, |reordering| reordering.delay.0);
    Nanos(world.max_delay().0.saturating_add(held))
}

fn phase(
    world: &Concrete,
    observers: &[Observing<'_>],
    slack: Nanos,
    start: Nanos,
    end: Option<&Nanos>,
) -> Phase {
    let active: Vec<&Fault> = world.faults.iter().filter(|f| f.active_at(start)).collect();
    let mut phase = Phase {
        start,
        end: end.copied(),
        byzantine: 0,
        crashed: 0,
        paused: 0,
        observing: 0,
        absent: 0,
        impaired: 0,
        unreachable: 0,
        reachable: 0,
        together: Vec::new(),
        reasons: Vec::new(),
    };
    let cut = |fault: &&&Fault| fault.effect.kind().premise == Premise::Cut;
    let cuts: Vec<&Fault> = active.iter().filter(cut).copied().collect();
    let taken: Vec<(State, &Fault)> =
        active.iter().filter_map(|f| state(world, f).map(|s| (s, *f))).collect();
    let observers: Vec<&Observing<'_>> = observers.iter().filter(|o| o.active_at(start)).collect();
    let liars = world.byzantine();
    let mut healthy = vec![0; world.nodes.len()];
    for (node, about) in (0u16..).zip(&world.nodes) {
        let hit = |fault: &Fault| fault.nodes.binary_search(&node).is_ok();
        let lying = liars.contains(&node).then_some(State::Lying);
        let observes = observers.iter().any(|o| o.node == node).then_some(State::Observing);
        let worst = taken.iter().filter(|(_, fault)| hit(fault)).map(|(state, _)| *state);
        let worst = worst.chain(lying).chain(observes).min();
        let count = match worst {
            Some(State::Lying) => &mut phase.byzantine,
            Some(State::Absent) => &mut phase.absent,
            Some(State::Crashed) => &mut phase.crashed,
            Some(State::Observing) => &mut phase.observing,
            Some(State::Paused) => &mut phase.paused,
            Some(State::Impaired) => &mut phase.impaired,
            None => &mut healthy[usize::from(node)],
        };
        *count += about.stake;
    }
    (phase.reachable, phase.together) = hearing(world, &cuts).heaviest(&healthy);
    phase.unreachable = healthy.iter().sum::<u64>() - phase.reachable;
    let total = world.total_stake();
    if u128::from(phase.reachable) * 5 < u128::from(total) * 3 {
        let relevant = cuts.iter().copied().chain(taken.iter().map(|(_, fault)| *fault));
        let relevant = relevant.chain(observers.iter().map(|o| o.fault));
        let lies = world.faults.iter().filter(|f| f.effect.kind().premise == Premise::Lying);
        let labels: BTreeSet<&String> = relevant.chain(lies).map(|fault| &fault.label).collect();
        let causes = world.faults.iter().map(|f| &f.label).filter(|l| labels.contains(l));
        let causes = causes.cloned().collect();
        phase.reasons.push(Reason::Reachable { stake: phase.reachable, total, causes });
    }
    if u128::from(phase.byzantine) * 5 >= u128::from(total) {
        phase.reasons.push(Reason::Byzantine { stake: phase.byzantine, total });
    }
    phase.reasons.extend(base_reasons(world, slack, start));
    phase
}

/// Who hears whom with these cuts.
fn hearing(world: &Concrete, cuts: &[&Fault]) -> Hearing {
    let nodes = world.nodes.len();
    let mut hearing = Hearing::complete(nodes);
    for fault in cuts {
        let others: Vec<u16> = match &fault.effect {
            Effect::Cut { from, .. } => from.clone(),
            _ => (0..nodes as u16).filter(|n| fault.nodes.binary_search(n).is_err()).collect(),
        };
        for node in &fault.nodes {
            others.iter().for_each(|other| hearing.cut(*node, *other));
        }
    }
    hearing
}

/// Premises that the world itself breaks at `time`, whatever the faults.
fn base_reasons(world: &Concrete, slack: Nanos, time: Nanos) -> Vec<Reason> {
    let (network, delta) = (&world.network, world.params.delta);
    let mut reasons = Vec::new();
    if world.run.heal_at.is_none_or(|heal_at| time < heal_at) {
        let mut lossy = |what: String| reasons.push(Reason::Lossy { what });
        if network.loss.0 > 0 {
            lossy(format!("base loss of {}", network.loss));
        }
        if let Some(bursts) = network.bursts {
            lossy(format!("bursts that lose {}", bursts.loss));
        }
        if network.corruption.0 > 0 {
            lossy(format!("base corruption of {}", network.corruption));
        }
    }
    if network.mtu < LARGEST_PACKET {
        let what = format!("an mtu of {}, and packets of up to {LARGEST_PACKET}", network.mtu);
        reasons.push(Reason::Lossy { what });
    }
    let max = worst_delay(world);
    if max > delta {
        reasons.push(Reason::Delay { max, delta });
    }
    let fastest = world.nodes.iter().map(|node| node.clock_drift).max().unwrap_or_default();
    if gives_up_early(world, fastest) {
        reasons.push(Reason::Clock { drift: fastest });
    }
    if slack > SLACK_LIMIT {
        reasons.push(Reason::Slack { slack });
    }
    reasons
}

#[cfg(test)]
mod tests;
