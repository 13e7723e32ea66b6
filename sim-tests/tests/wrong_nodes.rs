//! The harness must be able to fail: every wrong node of the table is caught by the oracle that is
//! meant for it, and what honest nodes must withstand does not harm them.
#![cfg(feature = "sim")]

use alpenglow_node::protocol::wire::Reject;
use sim_tests::scenario::{Run, Scenario};
use sim_tests::testing::in_child;
use sim_tests::wrong;

/// Plants the bug and looks for the oracle that its row names.
fn plant(name: &str, scenario: Scenario) -> Run {
    let run = scenario.wrong(name).run();
    if let Some(oracle) = wrong::named(name).unwrap().caught_by {
        run.is_seen_by(oracle);
    }
    run
}

/// After the power comes back, everybody votes again, and not the same. The power fails between the
/// votes for a block and its finalization.
#[test]
fn voting_again_after_a_restart_is_caught() {
    in_child("voting_again_after_a_restart_is_caught", || {
        let crash = r#"fault=[{ kind = "crash", at = "4080ms", for = "1s", nodes = "all" }]"#;
        let run = plant("forgets-votes", Scenario::plan("power-cut").seed(1).set(crash));
        run.is_seen_by("O5");
    });
}

/// With 59 of 100 alive, they certify what nobody may. (Their wrong stakes also give them another
/// leader schedule, which O38 sees before.)
#[test]
fn a_quorum_one_unit_low_is_caught() {
    in_child("a_quorum_one_unit_low_is_caught", || {
        let scenario = Scenario::plan("calm")
            .set("cluster.nodes=5")
            .set("cluster.stake=[21, 20, 19, 20, 20]")
            .set("expect.liveness=false")
            .set(r#"fault=[{ kind = "crash", at = "0s", nodes = [0, 1], permanent = true }]"#);
        plant("low-quorum", scenario).is_seen_by("O14"); // 60 % of 98 is 59
    });
}

#[test]
fn a_certificate_accepted_without_its_stake_is_caught() {
    in_child("a_certificate_accepted_without_its_stake_is_caught", || {
        plant("gullible", Scenario::plan("calm").set("cluster.nodes=7")).is_caught_by("O14");
    });
}

/// The same forger among honest nodes gets nowhere.
#[test]
fn a_forged_certificate_is_refused_by_honest_nodes() {
    in_child("a_forged_certificate_is_refused_by_honest_nodes", || {
        let run = plant("forger", Scenario::plan("calm").set("cluster.nodes=7"));
        run.passes();
        let recorder = run.outcome.recorder();
        assert!(recorder.measure.rejected[&Reject::Certificate] > 100);
    });
}

#[test]
fn a_standstill_from_the_wrong_slot_is_caught() {
    in_child("a_standstill_from_the_wrong_slot_is_caught", || {
        // O37 knows what must be said again; O47 that the cluster does not recover without it.
        plant("late-standstill", Scenario::plan("even-split").seed(2)).is_caught_by("O37");
    });
}
