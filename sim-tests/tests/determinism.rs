//! One plan and one seed are one run: in two processes, with and without the memo, and in every
//! decision with real and with null signatures.
#![cfg(feature = "sim")]

use sim_tests::scenario::Scenario;
use sim_tests::testing::child_result;

/// A short calm run of four nodes; `argument` says how.
fn calm(argument: &str) -> String {
    let mut scenario = Scenario::plan("calm")
        .set("cluster.nodes=4")
        .set("run.duration=10s")
        .set("expect.progress=0%");
    for word in argument.split_whitespace() {
        scenario = match word {
            "no-memo" => scenario.without_memo(),
            "null" => scenario.set("cluster.crypto=null"),
            "bls" => scenario,
            seed => scenario.seed(seed.parse().unwrap()),
        };
    }
    let run = scenario.run();
    run.passes();
    let recorder = run.outcome.recorder();
    format!("{} {}", recorder.fingerprint().hex(), recorder.decisions.hex())
}

#[test]
fn the_same_seed_gives_the_same_run_in_two_processes() {
    let run = |argument| {
        child_result("the_same_seed_gives_the_same_run_in_two_processes", argument, calm)
    };
    assert_eq!(run("7"), run("7"));
    assert_ne!(run("7"), run("8"));
}

/// The memo answers pure functions: without it the same things happen, only slower.
#[test]
fn the_memo_changes_nothing() {
    let run = |argument| child_result("the_memo_changes_nothing", argument, calm);
    assert_eq!(run("3"), run("3 no-memo"));
}

/// Null signatures decide the same things at the same virtual times.
#[test]
fn null_and_real_signatures_decide_the_same() {
    let run = |argument: &str| {
        let result = child_result("null_and_real_signatures_decide_the_same", argument, calm);
        let (print, decisions) = result.split_once(' ').unwrap();
        (print.to_owned(), decisions.to_owned())
    };
    let (bls, null) = (run("5 bls"), run("5 null"));
    assert_eq!(bls.1, null.1);
    assert_ne!(bls.0, null.0, "the bytes differ");
}

/// The worst plan for determinism: crashes, torn writes, restarts, repair.
#[test]
fn a_power_cut_is_the_same_twice() {
    let run = |argument| {
        child_result("a_power_cut_is_the_same_twice", argument, |_| {
            let run =
                Scenario::plan("power-cut").set("cluster.nodes=7").set("cluster.crypto=null").run();
            run.outcome.fingerprint()
        })
    };
    assert_eq!(run("one"), run("two"));
}
