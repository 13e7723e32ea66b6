//! What the passes offer for a plan with three faults, and that they come to an end.

use super::*;
use crate::plan::Plan;
use crate::report::json::ViolationReport;

fn case() -> Case {
    let text = r#"
        about = "Three faults."
        plan_format = 1
        cluster = { nodes = 10, stake = "equal", regions = "mainnet" }
        run = { duration = "20s", heal_at = "10s" }
        network = { loss = "1%", jitter = "5%" }
        workload = { transactions_per_second = 20, size = "400B" }
        fault = [
            { kind = "crash", at = "2s", for = "4s", nodes = [0, 1, 2, 3] },
            { kind = "partition", at = "3s", for = "2s", side = { nodes = [3, 4] } },
            { kind = "loss", at = "1s", for = "8s", share = "10%", nodes = [9] },
        ]
    "#;
    let plan = Plan::parse("three", "three.toml", text, &[]).unwrap().expand(1).unwrap();
    Case { plan, seed: 5 }
}

fn broken_at(at_ms: f64) -> RunReport {
    let violation = ViolationReport {
        oracle: "O5".into(),
        slot: None,
        nodes: vec![],
        at_ms,
        detail: String::new(),
    };
    RunReport { violations: vec![violation], ..RunReport::default() }
}

#[test]
fn a_run_ends_after_its_violation() {
    let cases = shorter_run(&case(), &broken_at(6_512.3));
    assert!(cases[0].plan.legal().is_ok());
    assert_eq!(cases[0].plan.run.duration, Nanos::from_millis(6_600));
    assert_eq!(cases[0].plan.faults[2].end, None, "what would end later does not end");
    assert!(cases.iter().any(|case| case.plan.run.heal_at == Some(Nanos::from_secs(9))));
}

#[test]
fn a_small_cluster_keeps_the_shares_of_the_faults() {
    let small = in_proportion(&case().plan, 5);
    let sizes: Vec<usize> = small.faults.iter().map(|fault| fault.nodes.len()).collect();
    assert_eq!((small.nodes.len(), sizes[0]), (5, 2), "4 of 10 nodes are 2 of 5");
    assert!(small.legal().is_ok());
    let first = top(&case().plan, 4);
    assert_eq!(first.faults.len(), 2, "the loss on node 9 went with node 9");
    assert_eq!(first.faults[1].nodes, [3]);
}

/// Every pass comes to an end when everything that it offers is taken, and what it offers is legal
/// or refused with a reason.
#[test]
fn passes_end() {
    let report = broken_at(6_512.3);
    for pass in PASSES {
        let mut now = case();
        for step in 0.. {
            assert!(step < 100, "a pass that never ends");
            let next =
                pass(&now, &report).into_iter().find(|c| *c != now && c.plan.legal().is_ok());
            match next {
                Some(next) => now = next,
                None => break,
            }
        }
    }
}

#[test]
fn the_calmest_world_comes_first() {
    let calm = &calmer_network(&case(), &broken_at(1.0))[0].plan;
    assert_eq!(calm.map.regions, ["here"]);
    assert_eq!(calm.network.loss, Share::NONE);
    assert!(calm.legal().is_ok());
    let quiet = &simpler_workload(&case(), &broken_at(1.0))[0].plan;
    assert_eq!(quiet.workload.transactions_per_second, 0);
}
