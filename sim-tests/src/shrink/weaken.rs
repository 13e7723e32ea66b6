//! Smaller and calmer worlds around a given one, the boldest first.
//!
//! Each pass offers candidates; whether one still fails is for the search to find out, and whether
//! it is a legal world for the plan. So a pass may guess freely. A pass must offer something
//! *smaller* each time, or the search would never end.

use super::Case;
use crate::plan::{
    Concrete, Disk, Drift, Effect, Fault, Map, Nanos, Network, Node, Offset, Share, Size, TOTAL,
};
use crate::report::json::RunReport;

/// A way to make a world smaller.
pub(super) type Pass = fn(&Case, &RunReport) -> Vec<Case>;

/// The passes that come after the removal of faults, in this order.
pub(super) const PASSES: &[Pass] = &[
    smaller_cluster,
    calmer_network,
    simpler_workload,
    shorter_run,
    fewer_nodes,
    shorter_faults,
    later_faults,
    milder_faults,
    without_one_node,
];

/// Other seeds that are tried where the cluster changes and nothing stays as it was.
const OTHER_SEEDS: u64 = 3;

/// A fault is not made shorter than this.
const SHORTEST: Nanos = Nanos::from_millis(50);

fn with(case: &Case, change: impl FnOnce(&mut Concrete)) -> Case {
    let mut case = case.clone();
    change(&mut case.plan);
    case
}

/// Rounded up to a tenth of a second, so that people can read it.
fn rounded(time: u64) -> Nanos {
    Nanos(time.next_multiple_of(100_000_000))
}

/// Ends the run soon after the violation, and heals as soon as the last fault is over.
pub(super) fn shorter_run(case: &Case, report: &RunReport) -> Vec<Case> {
    let run = &case.plan.run;
    let broken = report.violations.iter().map(|v| (v.at_ms * 1e6) as u64).min();
    let last = case.plan.faults.iter().filter_map(|fault| fault.end).max().unwrap_or_default();
    let mut cases = Vec::new();
    if let Some(at) = broken {
        let duration = rounded(at + 1);
        if duration < run.duration {
            // A broken promise of safety needs no heal.
            cases.push(with(case, |plan| {
                plan.run.duration = duration;
                plan.run.heal_at = None;
                plan.expect = crate::plan::Expect { liveness: false, ..Default::default() };
                for fault in &mut plan.faults {
                    fault.end = fault.end.filter(|end| *end <= duration || *end == fault.start);
                }
                plan.faults.retain(|fault| fault.start <= duration);
            }));
            cases.push(with(case, |plan| plan.run.duration = duration));
        }
    }
    if let Some(heal_at) = run.heal_at {
        for earlier in [last, Nanos((heal_at.0 + last.0) / 2)] {
            if earlier < heal_at {
                let change = |plan: &mut Concrete| {
                    plan.run.heal_at = Some(earlier);
                    plan.run.duration = rounded(plan.run.duration.0 - (heal_at.0 - earlier.0));
                };
                cases.push(with(case, change));
            }
        }
        let half = Nanos(heal_at.0.max(run.duration.0 / 2));
        if half < run.duration {
            cases.push(with(case, |plan| plan.run.duration = half));
        }
    } else if run.duration > Nanos::from_secs(1) {
        cases.push(with(case, |plan| plan.run.duration = rounded(run.duration.0 / 2)));
    }
    cases
}

/// The same faults on a few nodes.
fn smaller_cluster(case: &Case, _: &RunReport) -> Vec<Case> {
    let now = case.plan.nodes.len();
    let sizes = [4, 5, 6, 7, 8, 10, 14].into_iter().filter(|size| *size < now);
    let mut cases = Vec::new();
    for size in sizes {
        for plan in [in_proportion(&case.plan, size), top(&case.plan, size)] {
            let seeds = (0..=OTHER_SEEDS).map(|more| case.seed.wrapping_add(more));
            cases.extend(seeds.map(|seed| Case { plan: plan.clone(), seed }));
        }
    }
    cases
}

/// `size` equal nodes, each standing for an equal part of the stake: a fault that hit 40 % of the
/// stake hits about 40 % of the nodes. Nodes that suffer the same faults stand together, so that
/// parts are cut where fates differ.
fn in_proportion(plan: &Concrete, size: usize) -> Concrete {
    let hit = |node: u16| -> Vec<bool> {
        plan.faults.iter().map(|fault| fault.nodes.contains(&node)).collect()
    };
    let mut order: Vec<u16> = (0..plan.nodes.len() as u16).collect();
    order.sort_by_key(|node| (hit(*node), *node));
    let (total, parts) = (u128::from(plan.total_stake()), 2 * size as u128);
    let stands_for = |new: usize| {
        // The old node at the middle of the part.
        let middle = total * (2 * new as u128 + 1) / parts;
        let mut sum = 0;
        let reaches = |node: &&u16| {
            sum += u128::from(plan.nodes[usize::from(**node)].stake);
            sum > middle
        };
        order.iter().find(reaches).copied().unwrap_or(order[0])
    };
    let old: Vec<u16> = (0..size).map(stands_for).collect();
    let stake = TOTAL / size as u64;
    let node = |old: &u16| Node { stake, ..plan.nodes[usize::from(*old)].clone() };
    let nodes = old.iter().map(node).collect();
    mapped(plan, nodes, &old)
}

/// The first `size` nodes as they are.
fn top(plan: &Concrete, size: usize) -> Concrete {
    let old: Vec<u16> = (0..size as u16).collect();
    mapped(plan, plan.nodes[..size].to_vec(), &old)
}

/// The world with these nodes, of which number i stands for the old node `old[i]`.
fn mapped(plan: &Concrete, nodes: Vec<Node>, old: &[u16]) -> Concrete {
    let mut plan = Concrete { nodes, ..plan.clone() };
    for fault in &mut plan.faults {
        let hit = old.iter().enumerate().filter(|(_, old)| fault.nodes.contains(old));
        fault.nodes = hit.map(|(new, _)| new as u16).collect();
    }
    plan.faults.retain(|fault| !fault.nodes.is_empty());
    weigh(&mut plan);
    forget_places(&mut plan);
    plan
}

/// Writes what the nodes of each fault hold.
fn weigh(plan: &mut Concrete) {
    for fault in &mut plan.faults {
        fault.stake = fault.nodes.iter().map(|n| plan.nodes[usize::from(*n)].stake).sum();
    }
}

/// Takes places without a node off the map.
fn forget_places(plan: &mut Concrete) {
    let used = |place: &String| plan.nodes.iter().any(|node| node.region == *place);
    let kept: Vec<usize> =
        (0..plan.map.regions.len()).filter(|i| used(&plan.map.regions[*i])).collect();
    let square = |table: &[Vec<Nanos>]| -> Vec<Vec<Nanos>> {
        kept.iter().map(|row| kept.iter().map(|column| table[*row][*column]).collect()).collect()
    };
    plan.map = Map {
        regions: kept.iter().map(|place| plan.map.regions[*place].clone()).collect(),
        p50: square(&plan.map.p50),
        p90: square(&plan.map.p90),
    };
}

/// Leaves out one node of a small cluster.
fn without_one_node(case: &Case, _: &RunReport) -> Vec<Case> {
    let count = case.plan.nodes.len() as u16;
    if !(2..=8).contains(&count) {
        return Vec::new();
    }
    let without = |left: u16| {
        let old: Vec<u16> = (0..count).filter(|node| *node != left).collect();
        let nodes = old.iter().map(|node| case.plan.nodes[usize::from(*node)].clone()).collect();
        Case { plan: mapped(&case.plan, nodes, &old), seed: case.seed }
    };
    (0..count).rev().map(without).collect()
}

/// One case for each fault and each change of it that `changes` offers.
fn each_fault(case: &Case, changes: impl Fn(&Concrete, &Fault) -> Vec<Fault>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, fault) in case.plan.faults.iter().enumerate() {
        for changed in changes(&case.plan, fault) {
            cases.push(with(case, |plan| {
                plan.faults[index] = changed;
                weigh(plan);
            }));
        }
    }
    cases
}

/// Each fault hits fewer nodes, or lighter ones.
fn fewer_nodes(case: &Case, _: &RunReport) -> Vec<Case> {
    each_fault(case, |plan, fault| {
        let nodes = |nodes: Vec<u16>| Fault { nodes, ..fault.clone() };
        let (all, half) = (&fault.nodes, fault.nodes.len() / 2);
        if let [node] = all[..] {
            let stake = |node: u16| plan.nodes[usize::from(node)].stake;
            let lighter = (0..plan.nodes.len() as u16).filter(|other| stake(*other) < stake(node));
            let lightest = lighter.min_by_key(|other| stake(*other));
            return lightest.map(|other| nodes(vec![other])).into_iter().collect();
        }
        let mut smaller = vec![nodes(all[half..].to_vec()), nodes(all[..half].to_vec())];
        if all.len() <= 8 && all.len() > 2 {
            let without = |left| all.iter().copied().filter(|node| node != left).collect();
            smaller.extend(all.iter().map(|left| nodes(without(left))));
        }
        smaller
    })
}

/// The length of a fault that has one.
fn length(fault: &Fault) -> Option<u64> {
    fault.end.map(|end| end.0 - fault.start.0).filter(|length| *length / 2 >= SHORTEST.0)
}

/// In whole milliseconds.
fn whole(time: u64) -> Nanos {
    Nanos(time / 1_000_000 * 1_000_000)
}

/// Each fault ends earlier.
fn shorter_faults(case: &Case, _: &RunReport) -> Vec<Case> {
    each_fault(case, |_, fault| {
        let Some(length) = length(fault) else { return Vec::new() };
        let end = Some(whole(fault.start.0 + length / 2));
        vec![Fault { end, ..fault.clone() }]
    })
}

/// Each fault begins later and still ends when it did.
fn later_faults(case: &Case, _: &RunReport) -> Vec<Case> {
    each_fault(case, |_, fault| {
        let Some(length) = length(fault) else { return Vec::new() };
        let start = whole(fault.start.0 + length / 2 + 999_999);
        vec![Fault { start, ..fault.clone() }]
    })
}

/// Each fault does half of what it did.
fn milder_faults(case: &Case, _: &RunReport) -> Vec<Case> {
    let half = |share: Share| Share(share.0 / 2 / 10_000_000 * 10_000_000);
    each_fault(case, |_, fault| {
        let effect = match &fault.effect {
            Effect::Loss { share } => Effect::Loss { share: half(*share) },
            Effect::Duplication { share } => Effect::Duplication { share: half(*share) },
            Effect::Corruption { share } => Effect::Corruption { share: half(*share) },
            Effect::Latency { add } => Effect::Latency { add: whole(add.0 / 2) },
            Effect::DiskSlow { sync } => Effect::DiskSlow { sync: whole(sync.0 / 2) },
            Effect::ClockJump { by } => {
                Effect::ClockJump { by: Offset(by.0 / 2 / 1_000_000 * 1_000_000) }
            }
            other => other.clone(),
        };
        vec![Fault { effect, ..fault.clone() }]
    })
}

/// A network without chance, in one place; disks and clocks without faults of their own.
fn calmer_network(case: &Case, _: &RunReport) -> Vec<Case> {
    let quiet = |plan: &mut Concrete| {
        plan.network = Network { mtu: plan.network.mtu, ..Network::default() };
    };
    let clocks = |plan: &mut Concrete| {
        for node in &mut plan.nodes {
            (node.clock_offset, node.clock_drift) = (Offset(0), Drift(0));
        }
    };
    let machines = |plan: &mut Concrete| {
        plan.disk = Disk { crash: plan.disk.crash, ..Disk::default() };
        plan.cpu = Default::default();
    };
    let all = |plan: &mut Concrete| {
        quiet(plan);
        clocks(plan);
        machines(plan);
    };
    let one_by_one: [fn(&mut Network); 6] = [
        |network| network.loss = Share::NONE,
        |network| network.bursts = None,
        |network| (network.duplication, network.corruption) = (Share::NONE, Share::NONE),
        |network| network.reordering = None,
        |network| network.jitter = Share::NONE,
        |network| (network.bandwidth, network.grid) = (None, Nanos(0)),
    ];
    let nowhere = |plan: &mut Concrete| {
        all(plan);
        one_place(plan);
    };
    // Other delays are another run: other seeds have a chance, too.
    let seeds = (0..=OTHER_SEEDS).map(|more| case.seed.wrapping_add(more));
    let mut cases: Vec<Case> = Vec::new();
    if case.plan.map.regions.len() > 1 {
        cases.extend(seeds.map(|seed| Case { seed, ..with(case, nowhere) }));
        cases.push(with(case, one_place));
    }
    cases.extend([with(case, all), with(case, quiet), with(case, clocks), with(case, machines)]);
    cases.extend(one_by_one.map(|change| with(case, |plan| change(&mut plan.network))));
    cases
}

/// Everybody is 20 ms from everybody.
fn one_place(plan: &mut Concrete) {
    let delay = vec![vec![Nanos::from_millis(20)]];
    plan.map = Map { regions: vec!["here".into()], p50: delay.clone(), p90: delay };
    for node in &mut plan.nodes {
        node.region = "here".into();
    }
}

/// Fewer and smaller transactions.
fn simpler_workload(case: &Case, _: &RunReport) -> Vec<Case> {
    let workload = &case.plan.workload;
    let rate = |rate: u32| with(case, |plan| plan.workload.transactions_per_second = rate);
    let mut cases = Vec::new();
    if workload.transactions_per_second > 0 {
        cases.extend([rate(0), rate(workload.transactions_per_second / 10)]);
    }
    if workload.size > Size(200) {
        cases.push(with(case, |plan| plan.workload.size = Size(200)));
    }
    cases
}

#[cfg(test)]
mod tests;
