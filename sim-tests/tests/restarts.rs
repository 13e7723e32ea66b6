//! Power that fails between any two steps of a node (protocol 10.3, 10.4).
//!
//! One of five nodes loses its power right before or right after a step: a datagram that leaves, a
//! commit, a read, a delivery, an observation, a boot. What was not synced is kept, lost or torn in
//! turn. It comes back, goes on, and loses its power again a few steps later. A stretch of crash
//! points is one run; the stretches of one stride, each with another first step, together crash the
//! node before and after each of its first thousand steps. The oracles watch the whole life of the
//! identity: one initial vote a slot (O5), fallbacks and final votes (O6-O8), one block from a
//! leader (O27), the log before the vote (O31), everything reloaded (O32).
//!
//! Every day, some of the stretches. All of them (200 runs):
//! `cargo test --release --features sim -p sim-tests --test restarts -- --ignored`
#![cfg(feature = "sim")]

use sim_tests::cluster::power::PowerCuts;
use sim_tests::plan::{CrashMode, Nanos};
use sim_tests::scenario::Scenario;
use sim_tests::testing::child_result;

/// Steps between two crashes.
const STRIDE: u64 = 100;
/// Steps before and after which the node crashes.
const STEPS: u64 = 1_000;

/// Runs one stretch, `"first side"`, and says how often the node crashed and how often it voted.
fn stretch(argument: &str) -> String {
    let (first, side) = argument.split_once(' ').expect("two words");
    let first: u64 = first.parse().expect("a number");
    let cuts = PowerCuts {
        node: 1,
        first,
        stride: STRIDE,
        last: STEPS,
        after: side == "after",
        modes: [CrashMode::Lose, CrashMode::Tear, CrashMode::Keep],
        down: Nanos::from_millis(200),
    };
    let run = Scenario::plan("calm")
        .set("cluster.nodes=5")
        .set("cluster.stake=equal")
        .set("cluster.regions={one-way=\"5ms\"}")
        .set("cluster.crypto=null")
        .set("run={duration=\"12s\"}")
        .set("workload={transactions_per_second=20}")
        .set("expect={liveness=false,progress=\"50%\"}")
        .seed(first)
        .power(cuts)
        .run();
    run.passes();
    let recorder = run.outcome.recorder();
    let about = &recorder.history.nodes[1];
    let votes: usize = about.cast_in.values().map(Vec::len).sum();
    format!("{} {votes}", about.incarnation)
}

/// Runs stretches and returns how many crash points they have met.
fn crash_at(name: &str, firsts: impl Iterator<Item = u64>) -> u64 {
    let mut crashes = 0;
    for first in firsts {
        for side in ["before", "after"] {
            let result = child_result(name, &format!("{first} {side}"), stretch);
            let (incarnation, votes) = result.split_once(' ').expect("two numbers");
            let (starts, votes): (u64, u64) =
                (incarnation.parse().unwrap(), votes.parse().unwrap());
            assert_eq!(starts, 1 + (STEPS - first) / STRIDE + 1, "{first} {side}: a crash a point");
            assert!(votes > 10, "{first} {side}: it goes on voting, {votes} votes");
            crashes += starts - 1;
        }
    }
    crashes
}

#[test]
fn power_fails_between_steps() {
    // Another stretch each would be the same every day: these hit every residue of small cycles.
    let firsts = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89];
    assert_eq!(crash_at("power_fails_between_steps", firsts.into_iter()), 200);
}

#[test]
#[ignore = "200 runs: the command is at the top of the file"]
fn power_fails_around_each_of_a_thousand_steps() {
    let name = "power_fails_around_each_of_a_thousand_steps";
    assert_eq!(crash_at(name, 1..=STRIDE), 2 * STEPS);
}
