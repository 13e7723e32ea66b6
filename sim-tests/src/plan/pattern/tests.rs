//! Shapes and turns, expanded: who is cut off from whom, and when.

use crate::plan::{Budget, Concrete, CutStyle, Edge, Effect, Nanos, Plan};
use std::collections::BTreeSet;

/// The world of one partition of twelve nodes in three regions, from 10 s to 40 s.
fn expand(keys: &str) -> Result<Concrete, String> {
    let text = format!(
        "about = \"x\"\nplan_format = 1\nrun = {{ duration = \"60s\", heal_at = \"50s\" }}\n\
         cluster = {{ nodes = 12, stake = \"equal\", regions = \"mainnet\" }}\n\
         [[fault]]\nkind = \"partition\"\nat = \"10s\"\nfor = \"30s\"\n{keys}\n"
    );
    let plan = Plan::parse("p", "p.toml", &text, &[]);
    plan.and_then(|plan| plan.expand(3)).map_err(|error| error.what)
}

fn world(keys: &str) -> Concrete {
    expand(keys).unwrap_or_else(|error| panic!("{error}"))
}

/// Pairs that do not hear each other at `second`.
fn apart(world: &Concrete, second: u64) -> BTreeSet<(u16, u16)> {
    let mut pairs = BTreeSet::new();
    for fault in world.faults.iter().filter(|f| f.active_at(Nanos::from_secs(second))) {
        let others: Vec<u16> = match &fault.effect {
            Effect::Cut { from, .. } => from.clone(),
            Effect::Partition { .. } => (0..12).filter(|n| !fault.nodes.contains(n)).collect(),
            other => panic!("{other} is no cut"),
        };
        for node in &fault.nodes {
            pairs.extend(others.iter().map(|other| (*node.min(other), *node.max(other))));
        }
    }
    pairs
}

/// How many nodes each node hears, itself included, ascending.
fn hears(world: &Concrete, second: u64) -> Vec<usize> {
    let pairs = apart(world, second);
    let cut = |n: u16| pairs.iter().filter(|(a, b)| *a == n || *b == n).count();
    let mut hears: Vec<usize> = (0..12).map(|n| 12 - cut(n)).collect();
    hears.sort_unstable();
    hears
}

fn reachable(world: &Concrete) -> u64 {
    let total = world.total_stake();
    (Budget::of(world).at(Nanos::from_secs(20)).reachable * 12 + total / 2) / total
}

#[test]
fn shapes() {
    let halves = world("shape = \"halves\"");
    assert_eq!((hears(&halves, 20), reachable(&halves)), (vec![6; 12], 6));
    let ring = world("shape = \"ring\"\nstyle = \"jam\"");
    assert_eq!(hears(&ring, 20), [7; 12], "everybody hears a majority");
    assert_eq!(reachable(&ring), 4, "and only four hear each other");
    let held =
        |f: &crate::plan::Fault| matches!(f.effect, Effect::Cut { style: CutStyle::Jam, .. });
    assert!(ring.faults.iter().all(held));
    let bridge = world("shape = \"bridge\"");
    let heard = hears(&bridge, 20);
    assert_eq!((heard[0], heard[11]), (6, 12), "a half of five and the bridge; the bridge");
    assert_eq!(reachable(&bridge), 7, "the half of six and the bridge");
    let isolated = world("shape = \"isolated\"");
    assert_eq!(reachable(&isolated), 11);
    for world in [halves, ring, bridge, isolated] {
        assert!(apart(&world, 9).is_empty() && apart(&world, 40).is_empty());
    }
    // Among some, the others hear everybody.
    let some = world("shape = \"halves\"\nside = { nodes = [0, 1, 2, 3] }");
    assert_eq!(hears(&some, 20), [10, 10, 10, 10, 12, 12, 12, 12, 12, 12, 12, 12]);
}

#[test]
fn a_swizzle_ends_in_another_order() {
    let world = world("shape = \"swizzle\"\nside = { nodes = [0, 1, 2, 3, 4] }");
    let edges = |wanted: Edge| -> Vec<(u64, u16)> {
        let timeline = world.timeline().into_iter().filter(|(_, edge, _)| *edge == wanted);
        timeline.map(|(at, _, f)| (at.0 / 1_000_000_000, world.faults[f].nodes[0])).collect()
    };
    let (cut, back) = (edges(Edge::Begin), edges(Edge::End));
    let seconds = |list: &[(u64, u16)]| list.iter().map(|(at, _)| *at).collect::<Vec<u64>>();
    assert_eq!(
        (seconds(&cut), seconds(&back)),
        (vec![10, 12, 14, 16, 18], vec![32, 34, 36, 38, 40])
    );
    let order = |list: &[(u64, u16)]| list.iter().map(|(_, n)| *n).collect::<Vec<u16>>();
    assert_ne!(order(&cut), order(&back));
    let same = |list: &[(u64, u16)]| order(list).into_iter().collect::<BTreeSet<u16>>();
    assert_eq!(same(&cut), same(&back));
    assert_eq!(hears(&world, 25)[..5], [1; 5], "each on its own");
}

#[test]
fn turns() {
    let roll = |by: &str| format!("rolling = {{ by = \"{by}\", down = \"1s\", gap = \"1s\" }}\n");
    let flap = world(&(roll("all") + "side = { nodes = [3, 1] }"));
    assert_eq!(flap.faults.len(), 15, "every two seconds");
    assert!(flap.faults.iter().all(|f| f.nodes == [1, 3]));
    let regions = world(&(roll("region") + "side = { nodes = \"all\" }"));
    let names: BTreeSet<&str> = regions.nodes.iter().map(|n| n.region.as_str()).collect();
    let first: Vec<&crate::plan::Fault> = regions.faults.iter().take(names.len()).collect();
    for fault in &first {
        let of = |n: &u16| regions.nodes[usize::from(*n)].region.as_str();
        let hit: BTreeSet<&str> = fault.nodes.iter().map(of).collect();
        assert_eq!(hit.len(), 1, "one region at a time");
    }
    assert_eq!(first.iter().map(|f| f.nodes.len()).sum::<usize>(), 12, "each once");
    assert_eq!(regions.faults[names.len()].nodes, first[0].nodes, "and round again");
}

#[test]
fn what_makes_no_shape() {
    let all = "side = { nodes = \"all\" }";
    for (keys, error) in [
        ("shape = \"ring\"\nside = { nodes = [0, 1, 2] }", "3 nodes do not make this shape"),
        ("shape = \"star\"", "star"),
        (
            "rolling = { by = \"region\", at_once = \"9%\", down = \"1s\", gap = \"0s\" }",
            "only turns by node",
        ),
        ("rolling = { down = \"31s\", gap = \"0s\" }", "there is no time for one turn"),
        ("rolling = { down = \"1ms\", gap = \"0s\" }", "more than 1000 turns"),
        (
            "shape = \"halves\"\nrolling = { down = \"1s\", gap = \"0s\" }",
            "a partition with a shape cannot also roll",
        ),
    ] {
        let side = if keys.contains("rolling") { all } else { "" };
        let found = expand(&format!("{keys}\n{side}")).unwrap_err();
        assert!(found.contains(error), "{keys}: {found}");
    }
}
