//! Many seeds: every one gives a legal world within the budget, and together they reach everything.

use crate::plan::{BEHAVIOURS, Budget, Effect, Plan};
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = "about = \"a swarm\"\nplan_format = 1\n[swarm]\n";

fn plan(text: &str, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Plan::parse("swarm", "swarm.toml", text, &sets).unwrap()
}

/// What is drawn in how many runs.
#[derive(Default)]
struct Tally(BTreeMap<String, u32>);

impl Tally {
    fn note(&mut self, found: impl IntoIterator<Item = impl Into<String>>) {
        let found: BTreeSet<String> = found.into_iter().map(Into::into).collect();
        found.into_iter().for_each(|name| *self.0.entry(name).or_default() += 1);
    }

    fn of(&self, name: &str) -> u32 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

const SEEDS: u64 = 600;

#[test]
fn every_seed_is_a_legal_world_within_the_budget() {
    let plan = plan(FILE, &[]);
    let (mut kinds, mut lies, mut sizes) = (Tally::default(), Tally::default(), Tally::default());
    let (mut calm, mut total, mut most, mut stalls) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let world = plan.expand(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let budget = Budget::of(&world);
        assert!(budget.safety(), "seed {seed}");
        let heal_at = world.run.heal_at.unwrap();
        let promised = budget.at(heal_at).reasons.is_empty();
        let owed = world.expect.liveness;
        assert!(promised || !owed, "seed {seed}: {:?}", budget.at(heal_at).reasons);
        kinds.note(world.faults.iter().map(|fault| fault.effect.name()));
        lies.note(world.faults.iter().flat_map(|fault| match &fault.effect {
            Effect::Byzantine { behaviour } => behaviour.0.clone(),
            _ => Vec::new(),
        }));
        sizes.note([world.nodes.len().to_string()]);
        most += u32::from(5 * (budget.byzantine + 1) >= budget.total);
        stalls += u32::from(!promised);
        calm += u32::from(world.faults.is_empty());
        total += world.faults.len();
    }
    for kind in crate::plan::fault::KINDS {
        let runs = kinds.of(kind.name);
        assert!((20..350).contains(&runs), "{} in {runs} of {SEEDS} runs: a subset", kind.name);
    }
    for behaviour in BEHAVIOURS {
        let runs = lies.of(behaviour.name);
        assert!((10..200).contains(&runs), "{} in {runs} of {SEEDS} runs", behaviour.name);
    }
    assert!((0..100).contains(&lies.0.len()) && sizes.of("4") > 20 && sizes.0.len() > 50);
    assert!((10..150).contains(&calm), "{calm} runs without faults");
    assert!((2_500..12_000).contains(&total), "{total} faults");
    assert!((30..300).contains(&most), "as much stake lies as may, to the unit: in {most} runs");
    assert!((1..60).contains(&stalls), "{stalls} runs without a promise");
}

/// Each row of the table is drawn, each setting has its turn, and none is there always.
#[test]
fn everything_that_can_be_said_is_said() {
    let swarm = super::Swarm::default();
    let text: Vec<String> = (0..SEEDS).map(|seed| swarm.write(seed, &Default::default())).collect();
    let keys = [
        "regions = \"mainnet\"",
        "one-way = ",
        "stake = \"equal\"",
        "stake = \"mainnet\"",
        "stake = [2, 3, 5",
        "crypto = \"bls\"",
        "timeout_cap = \"60000ms\"",
        "max_slices = 2",
        "epoch_slots = 18000",
        "heal_at = \"0ms\"",
        "buggify = ",
        "loss = \"",
        "bursts = ",
        "duplication = ",
        "corruption = ",
        "reordering = ",
        "bandwidth = ",
        "mtu = \"1472B\"",
        "grid = ",
        "crash = \"tear\"",
        "[cpu]",
        "offset = \"0ms\"",
        "drift = \"0ppm\"",
        "transactions_per_second = 0",
        "shape = \"halves\"",
        "shape = \"ring\"",
        "shape = \"bridge\"",
        "shape = \"isolated\"",
        "shape = \"swizzle\"",
        "style = \"jam\"",
        "style = \"one-way\"",
        "by = \"all\"",
        "by = \"node\"",
        "by = \"region\"",
        "at_once = ",
        "mode = \"wipe\"",
        "mode = \"tear\"",
        "permanent = true",
        "cause = \"write\"",
        "cause = \"sync\"",
        "cause = \"full\"",
        "kind = \"byzantine\"",
        "liveness = false",
    ];
    for key in keys {
        let runs = text.iter().filter(|text| text.contains(key)).count();
        assert!((1..SEEDS as usize).contains(&runs), "{key} in {runs} of {SEEDS} runs");
    }
}

/// One more kind or behaviour would leave the others where they are: without one, the rest stays.
#[test]
fn what_is_left_out_moves_no_other() {
    let rows = |text: &str| -> Vec<String> {
        text.split("[[fault]]\n").skip(1).map(str::to_owned).collect()
    };
    let mut same = 0;
    for seed in 0..100 {
        let full = super::Swarm { faults: 200, ..Default::default() };
        let less = super::Swarm { without: ["loss".to_owned()].into(), ..full.clone() };
        let stated = super::Stated::default();
        let (full, less) = (full.write(seed, &stated), less.write(seed, &stated));
        let mut full = rows(&full);
        full.retain(|row| !row.starts_with("kind = \"loss\""));
        same += u32::from(full == rows(&less));
    }
    // A count of faults that ends the list may end it elsewhere.
    assert!(same > 60, "{same} of 100");
}

#[test]
fn over_the_budget_only_if_told() {
    let plan = plan(&format!("{FILE}over_budget = true\n"), &[]);
    let mut broken = 0;
    for seed in 0..50 {
        let world = plan.expand(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(world.expect.safety, crate::plan::Safety::MayBreak);
        broken += u32::from(!Budget::of(&world).safety());
    }
    assert!(broken > 30, "{broken} of 50");
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

/// Faults fit the cluster and the heal that are stated.
#[test]
fn faults_are_drawn_around_what_is_stated() {
    let sets = ["cluster.nodes=6", "cluster.stake=[1, 2, 3, 4, 5, 6]", "run.heal_at=3s"];
    let plan = plan(FILE, &sets);
    for seed in 0..100 {
        let world = plan.expand(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((world.nodes.len(), world.total_stake()), (6, 21));
        assert_eq!(world.run.heal_at, Some(crate::plan::Nanos::from_secs(3)));
        assert!(Budget::of(&world).safety());
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
            error("over_budget = 1"),
            error("node = [4, 5]"),
            error("[cluster]\nnodes = \"many\""),
        ]
        .join("\n\n")
    );
}
