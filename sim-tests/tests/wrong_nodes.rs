//! The harness must be able to fail: every wrong node that is made around the product is caught by
//! the oracle that is meant for it, and what honest nodes must withstand does not harm them. Those
//! that are patches need a build of their own: `cargo sim wrong` hunts them all, and CI runs it.
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

/// What is uncertified at the standstill, votes alone can bring back.
#[test]
fn a_standstill_without_votes_is_caught() {
    in_child("a_standstill_without_votes_is_caught", || {
        let scenario = Scenario::plan("even-split").seed(2).set("cluster.crypto=null");
        plant("standstill-without-votes", scenario).is_caught_by("O37");
    });
}

#[test]
fn a_vote_that_leaves_before_it_is_durable_is_caught() {
    in_child("a_vote_that_leaves_before_it_is_durable_is_caught", || {
        plant("sends-before-durable", short("calm")).is_caught_by("O31");
    });
}

#[test]
fn certificates_that_are_not_passed_on_are_missed() {
    in_child("certificates_that_are_not_passed_on_are_missed", || {
        plant("keeps-certificates", short("calm"));
    });
}

#[test]
fn timeouts_that_are_too_short_are_caught() {
    in_child("timeouts_that_are_too_short_are_caught", || {
        plant("hasty", Scenario::plan("calm").set("cluster.crypto=null"));
    });
}

/// Seven nodes and null signatures: enough for what shows at once.
fn short(plan: &str) -> Scenario {
    Scenario::plan(plan).set("cluster.nodes=7").set("cluster.crypto=null")
}

/// The power fails everywhere in the middle of a window: whoever comes back has to give it up.
#[test]
fn timers_that_are_lost_in_a_restart_are_missed() {
    in_child("timers_that_are_lost_in_a_restart_are_missed", || {
        plant("no-timers-after-restart", Scenario::plan("power-cut").set("cluster.crypto=null"));
    });
}

/// The power fails when everybody has voted for a block and nobody has delivered it.
#[test]
fn blocks_that_all_holders_lose_are_missed() {
    in_child("blocks_that_all_holders_lose_are_missed", || {
        plant("forgets-blocks", Scenario::plan("power-cut").set("cluster.crypto=null"));
    });
}

#[test]
fn blocks_that_nobody_fetches_are_missed() {
    in_child("blocks_that_nobody_fetches_are_missed", || {
        plant("never-repairs", Scenario::plan("minority-partition").set("cluster.crypto=null"));
    });
}
