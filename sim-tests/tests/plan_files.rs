//! The plan files that come with the program: all of them load, expand and stay within the budget,
//! and the table below says in one place what each of them does and what it is owed.

use sim_tests::plan::{Budget, Concrete, Edge, Plan, percent};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const NAMES: [&str; 39] = [
    "asynchronous",
    "bit-rot",
    "calm",
    "certificate-games",
    "clock-drift",
    "constant-delays",
    "crash-restart",
    "dark-relays",
    "early-blocks",
    "equivocating-leader",
    "even-split",
    "example-44",
    "far-apart",
    "far-behind",
    "forked-window",
    "forty-percent-crashed",
    "gray-network",
    "halted-epoch",
    "heavy",
    "late-joiner",
    "lossy-wan",
    "lying-repair",
    "mainnet-100",
    "minority-partition",
    "old-forks",
    "one-way-partition",
    "over-budget",
    "partition-heal",
    "power-cut",
    "rolling-continents",
    "satellite",
    "slow-disks",
    "split-at-threshold",
    "swarm",
    "twenty-twenty",
    "twins",
    "two-epochs",
    "vote-spam",
    "withheld-shreds",
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fault-plans")
}

fn load(name: &str, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    let path = directory().join(name).with_extension("toml");
    Plan::load(&path, &sets).unwrap_or_else(|e| panic!("{e}"))
}

fn expand(plan: &Plan, seed: u64) -> Concrete {
    plan.expand(seed).unwrap_or_else(|e| panic!("{} under seed {seed}:\n{e}", plan.name))
}

#[test]
fn every_file_is_known_and_teaches() {
    let files = std::fs::read_dir(directory()).unwrap();
    let mut names: Vec<String> = files
        .map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, NAMES);
    for name in NAMES {
        let document = load(name, &[]).document;
        assert!(document.about.len() > 60, "{name}: {}", document.about);
        assert!(!document.expect.sometimes.is_empty(), "{name} expects nothing to happen");
    }
}

#[test]
fn every_plan_expands_under_twenty_seeds() {
    for name in NAMES {
        let plan = load(name, &[]);
        for seed in 0..20 {
            let world = expand(&plan, seed);
            assert_eq!(world, expand(&plan, seed), "{name} {seed}");
            let again = Concrete::parse("saved.toml", &world.to_toml());
            assert_eq!(again.unwrap_or_else(|e| panic!("{name}: {e}")), world, "{name} {seed}");
            let begins = world.timeline().iter().filter(|edge| edge.1 == Edge::Begin).count();
            assert_eq!(begins, world.faults.len());
            assert_eq!(Budget::of(&world).safety(), name != "over-budget");
        }
    }
}

/// What each plan is about, in exact stake.
#[test]
fn plans_take_as_much_stake_as_they_say() {
    let stake = |name: &str, seed: u64| {
        let world = expand(&load(name, &[]), seed);
        let budget = Budget::of(&world);
        let least = budget.phases.iter().map(|phase| phase.reachable).min().unwrap();
        (world.faults.first().map_or(0, |f| f.stake), least, budget.total)
    };
    for seed in 0..20 {
        let (cut, least, total) = stake("partition-heal", seed);
        assert!(cut * 5 > total * 2 && least * 5 < total * 3, "nobody can finalize");
        let (cut, least, total) = stake("minority-partition", seed);
        assert!(cut * 5 <= total && least * 5 >= total * 4, "the fast path stays open");
        let (cut, least, total) = stake("even-split", seed);
        assert!(cut * 2 <= total && least * 5 < total * 3, "neither side holds 60 %");
        let (_, least, total) = stake("one-way-partition", seed);
        assert!(least * 5 >= total * 3 && least * 5 < total * 4, "the slow path only");
        let (down, least, total) = stake("forty-percent-crashed", seed);
        assert!(down * 5 <= total * 2 && least * 5 >= total * 3 && least * 5 < total * 4);
        let (_, least, total) = stake("crash-restart", seed);
        assert!(least * 5 >= total * 4, "at most a fifth is down at a time");
        assert_eq!(stake("power-cut", seed).1, 0, "everybody is down");
    }
}

#[test]
fn crash_restart_reaches_every_node() {
    for seed in 0..20 {
        let world = expand(&load("crash-restart", &[]), seed);
        let down = |node: &u16| world.faults.iter().any(|fault| fault.nodes.contains(node));
        assert!((0..20).all(|node| down(&node)), "seed {seed}:\n{}", world.describe());
    }
}

#[test]
fn lossy_wan_wants_four_fifths_of_calm() {
    let progress = |name: &str| u64::from(load(name, &[]).document.expect.progress.0);
    assert!(progress("lossy-wan") * 5 >= progress("calm") * 4);
}

#[test]
fn calm_shrinks_to_four_nodes() {
    let world = expand(&load("calm", &["cluster.nodes=4", "run.duration=10s"]), 0);
    assert_eq!((world.nodes.len(), world.run.duration.to_string().as_str()), (4, "10s"));
}

#[test]
fn overview() {
    let mut table = String::new();
    for name in NAMES {
        let world = expand(&load(name, &[]), 0);
        let budget = Budget::of(&world);
        writeln!(table, "## {name}: {} nodes, {}", world.nodes.len(), world.run.duration).unwrap();
        // The first batches of a rolling crash say it all.
        world.describe().lines().take(3).for_each(|line| writeln!(table, "{line}").unwrap());
        for (from, to) in budget.promised() {
            let to = to.map_or("the end".to_owned(), |to| to.in_seconds());
            writeln!(table, "liveness promised from {} to {to}", from.in_seconds()).unwrap();
        }
        for line in budget.explain(Default::default(), world.run.duration) {
            writeln!(table, "no promise: {line}").unwrap();
        }
        let least = budget.phases.iter().map(|phase| phase.reachable).min().unwrap();
        writeln!(table, "least reachable stake {}", percent(least, budget.total)).unwrap();
        for recovery in budget.recoveries(&world).iter().rev().take(2).rev() {
            let bound = recovery.unbounded.clone().unwrap_or_else(|| "a bound applies".into());
            let lost = if recovery.messages_lost { "lost" } else { "nothing lost" };
            let at = recovery.at.in_seconds();
            writeln!(table, "{} heals at {at} ({lost}): {bound}", recovery.label).unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

/// Defaults are written down here and in the node; this is where they meet.
#[test]
fn genesis_defaults_are_those_of_the_node() {
    let (ours, node) =
        (sim_tests::plan::Params::default(), alpenglow_node::protocol::params::Params::default());
    assert_eq!(ours.delta.0, node.delta_ns);
    assert_eq!(ours.delta_block.0, node.delta_block_ns);
    assert_eq!(ours.delta_timeout.0, node.delta_timeout_ns);
    assert_eq!(ours.delta_first.0, node.delta_first_ns);
    assert_eq!(ours.standstill.0, node.standstill_ns);
    assert_eq!(ours.standstill_poll.0, node.standstill_poll_ns);
    assert_eq!(ours.timeout_growth.0, node.timeout_growth_permille * 1_000_000);
    assert_eq!(ours.timeout_cap.0, node.timeout_cap_ns);
    assert_eq!(ours.slice_interval.0, node.slice_interval_ns);
    assert_eq!(ours.max_slices, node.max_slices);
    assert_eq!(ours.epoch_slots, node.epoch_slots);
}
