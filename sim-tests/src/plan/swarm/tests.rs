//! Many seeds: every one gives a legal world within the budget, and together they reach everything.

use crate::plan::{Budget, Effect, Plan};
use std::collections::BTreeMap;

const FILE: &str = "about = \"a swarm\"\nplan_format = 1\n[swarm]\n";

fn plan(text: &str, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Plan::parse("swarm", "swarm.toml", text, &sets).unwrap()
}

#[test]
fn every_seed_is_a_legal_world_within_the_budget() {
    let plan = plan(FILE, &[]);
    let (mut kinds, mut sizes) = (BTreeMap::<&str, u32>::new(), BTreeMap::<usize, u32>::new());
    let (mut calm, mut total) = (0, 0);
    for seed in 0..600 {
        let world = plan.expand(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let budget = Budget::of(&world);
        assert!(budget.safety(), "seed {seed}");
        let heal_at = world.run.heal_at.unwrap();
        assert!(budget.at(heal_at).reasons.is_empty(), "seed {seed}: liveness is promised");
        let mut here: Vec<&str> = world.faults.iter().map(|fault| fault.effect.name()).collect();
        here.sort_unstable();
        here.dedup();
        here.iter().for_each(|kind| *kinds.entry(kind).or_default() += 1);
        *sizes.entry(world.nodes.len()).or_default() += 1;
        calm += u32::from(world.faults.is_empty());
        total += world.faults.len();
    }
    for kind in super::faults::KINDS {
        let runs = kinds.get(kind.name).copied().unwrap_or(0);
        assert!((20..300).contains(&runs), "{} in {runs} of 600 runs: a subset", kind.name);
    }
    assert!(sizes.keys().any(|n| *n > 60) && sizes[&4] > 20, "{sizes:?}");
    assert!((10..150).contains(&calm), "{calm} runs without faults");
    assert!((1_800..4_500).contains(&total), "{total} faults");
}

#[test]
fn what_the_file_and_the_overrides_state_is_not_drawn() {
    let text =
        format!("{FILE}nodes = [5, 9]\nwithout = [\"crash\"]\n[params]\ndelta_block = \"333ms\"\n");
    let text =
        format!("{text}[[fault]]\nkind = \"pause\"\nat = \"1s\"\nfor = \"1s\"\nnodes = [0]\n");
    let plan = plan(&text, &["cluster.crypto=bls"]);
    for seed in 0..50 {
        // A drawn pause of node 0 may overlap the stated one, which is an error of the file.
        let Ok(world) = plan.expand(seed) else { continue };
        assert!((5..=9).contains(&world.nodes.len()));
        assert_eq!(world.params.delta_block.0, 333_000_000);
        assert_eq!(world.crypto, crate::plan::Crypto::Bls);
        assert!(matches!(world.faults[0].effect, Effect::Pause {}));
        assert!(!world.faults.iter().any(|fault| matches!(fault.effect, Effect::Crash { .. })));
    }
}

/// Fixing one thing leaves what is drawn for the others.
#[test]
fn draws_have_names() {
    let (free, fixed) = (plan(FILE, &[]), plan(FILE, &["workload.transactions_per_second=7"]));
    for seed in 0..20 {
        let (free, mut fixed) = (free.expand(seed).unwrap(), fixed.expand(seed).unwrap());
        assert_eq!(fixed.workload.transactions_per_second, 7);
        fixed.workload = free.workload.clone();
        assert_eq!(free, fixed);
    }
}

#[test]
fn mistakes() {
    let error = |text: &str| {
        Plan::parse("swarm", "swarm.toml", &format!("{FILE}{text}"), &[]).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            error("nodes = [2, 9]"),
            error("nodes = [9, 5]"),
            error("without = [\"earthquake\"]"),
            error("node = [4, 5]"),
            error("[cluster]\nnodes = \"many\""),
        ]
        .join("\n\n")
    );
}
