//! Each way to lie, in a small cluster: it really happened, and it achieved nothing.
//!
//! The oracles watch every run: safety always, and liveness all the time, because the networks here
//! are clean and less than 20 % lies. A behaviour that did nothing fails its test.
#![cfg(feature = "sim")]

use alpenglow_node::protocol::wire::Reject;
use sim_tests::scenario::{Run, Scenario};
use sim_tests::testing::in_child;
use sim_tests::trace::kind::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// Ten nodes, 30 ms apart; nodes 1 and 2 (20 of 101 units) behave like this all the time.
fn liars(behaviour: &str) -> Scenario {
    lying(&format!(
        r#"{{ kind = "byzantine", at = "0s", behaviour = {behaviour}, nodes = [1, 2], permanent = true }}"#
    ))
}

fn lying(faults: &str) -> Scenario {
    Scenario::plan("calm")
        .set("cluster.crypto=null")
        .set("cluster.nodes=10")
        .set("cluster.stake=[11, 10, 10, 10, 10, 10, 10, 10, 10, 10]")
        .set(r#"cluster.regions={ one-way = "30ms" }"#)
        .set("run.duration=12s")
        .set("expect.progress=20%")
        .set("expect.finalization_p50=60s")
        .set("expect.finalization_p99=60s")
        .set("expect.sometimes=[]")
        .set(&format!("fault=[{faults}]"))
}

/// Runs it; it must have happened at least so often, and nothing may be wrong.
fn withstood(scenario: Scenario, lies: &[(&str, u64)]) -> Run {
    let run = scenario.run();
    run.passes();
    for (name, least) in lies {
        assert!(run.probe(name) >= *least, "{name} happened {} times", run.probe(name));
    }
    run
}

/// How often correct nodes refused input for this reason.
fn refused(run: &Run, reason: &str) -> u64 {
    let recorder = run.outcome.recorder();
    let named = |(known, count): (&Reject, &u64)| (known.to_string() == reason).then_some(*count);
    recorder.measure.rejected.iter().find_map(named).unwrap_or(0)
}

fn offences(run: &Run) -> u64 {
    run.probe("offence-seen")
}

/// B1.
#[test]
fn equivocating_leader() {
    in_child("equivocating_leader", || {
        let run = withstood(liars(r#""equivocating-leader""#), &[("equivocating-leader", 2)]);
        assert!(run.probe("equivocation-seen") + run.probe("safe-to-skip") > 0);
        assert!(run.slots().skipped > 0, "a split window is lost");
    });
}

/// B1, inside a window: blocks that wait for one parent.
#[test]
fn forked_window() {
    in_child("forked_window", || {
        let run = withstood(liars(r#""forked-window""#), &[("forked-window", 2)]);
        assert!(run.probe("safe-to-notar") > 0, "somebody helped one of the blocks");
    });
}

/// B2.
#[test]
fn many_blocks() {
    in_child("many_blocks", || {
        let run = withstood(liars(r#""many-blocks""#), &[("many-blocks", 2)]);
        assert!(run.slots().skipped > 0);
    });
}

/// B1 with B15: the liars support each block where it is known.
#[test]
fn equivocating_leaders_and_voters() {
    in_child("equivocating_leaders_and_voters", || {
        let lies = r#"["equivocating-leader", "two-faced-votes"]"#;
        let run = withstood(liars(lies), &[("equivocating-leader", 2), ("two-faced-votes", 20)]);
        assert!(run.slots().skipped > 0);
    });
}

/// B3.
#[test]
fn withheld_shreds() {
    in_child("withheld_shreds", || {
        let run = withstood(liars(r#""withheld-shreds""#), &[("withheld-shreds", 3)]);
        assert!(run.slots().skipped > 0 || run.probe("repair") > 0);
    });
}

/// B4.
#[test]
fn split_at_threshold() {
    in_child("split_at_threshold", || {
        let run = withstood(liars(r#""split-at-threshold""#), &[("split-at-threshold", 4)]);
        assert!(run.probe("repair") > 0, "who did not get the block has to fetch it");
    });
}

/// B5.
#[test]
fn late_block() {
    in_child("late_block", || {
        let run = withstood(liars(r#""late-block""#), &[("late-block", 3)]);
        assert!(run.probe("safe-to-notar") > 0 && run.probe("safe-to-skip") > 0);
    });
}

/// B6.
#[test]
fn bad_code() {
    in_child("bad_code", || {
        let run = withstood(liars(r#""bad-code""#), &[("bad-code", 2)]);
        assert!(run.probe("equivocation-seen") >= 8, "everybody can tell");
        assert!(run.slots().skipped >= 4);
    });
}

/// B7. Good slots stay good.
#[test]
fn malformed_shreds() {
    in_child("malformed_shreds", || {
        let run = withstood(liars(r#""malformed-shreds""#), &[("malformed-shreds", 500)]);
        assert_eq!(run.slots().skipped, 0);
        assert!(refused(&run, "wrong proof") > 100 && refused(&run, "malformed") > 100);
    });
}

/// B8.
#[test]
fn bad_sequence() {
    in_child("bad_sequence", || {
        let run = withstood(liars(r#""bad-sequence""#), &[("bad-sequence", 2)]);
        assert!(run.slots().skipped > 0);
    });
}

/// B9.
#[test]
fn wrong_parent() {
    in_child("wrong_parent", || {
        let run = withstood(liars(r#""wrong-parent""#), &[("wrong-parent", 1)]);
        assert!(run.slots().skipped > 0);
    });
}

/// B9, long before its time: every window is skipped in time, and no correct leader is left out.
#[test]
fn early_block() {
    in_child("early_block", || {
        let run =
            withstood(liars(r#""early-block""#).set("run.duration=24s"), &[("early-block", 3)]);
        assert!(run.slots().skipped > 0);
    });
}

/// B10.
#[test]
fn bad_switch() {
    in_child("bad_switch", || {
        let run = withstood(liars(r#""bad-switch""#), &[("bad-switch", 1)]);
        assert!(run.slots().skipped > 0);
    });
}

/// B11.
#[test]
fn same_block_twice() {
    in_child("same_block_twice", || {
        let scenario = liars(r#""same-block-twice""#).set("run.duration=24s").recorded();
        let run = withstood(scenario, &[("same-block-twice", 4)]);
        assert!(run.slots().skipped > 0, "the second copy is no block, or has no ready parent");
        let recorder = run.outcome.recorder();
        let log = recorder.record(run.outcome.virtual_ns).expect("it was recorded").log;
        let stored = log.entries().into_iter().filter(|entry| entry.kind == Kind::BlockStored);
        let mut slots = BTreeMap::<_, BTreeSet<_>>::new();
        for block in stored.filter_map(|entry| log.blocks.get(entry.block? as usize)) {
            slots.entry(block.hash).or_default().insert(block.slot);
        }
        assert!(slots.values().any(|slots| slots.len() > 1), "correct nodes held both");
    });
}

/// B12. Good slots stay good.
#[test]
fn replayed_slices() {
    in_child("replayed_slices", || {
        let run = withstood(liars(r#""replayed-slices""#), &[("replayed-slices", 5)]);
        assert_eq!(run.slots().skipped, 0);
        assert!(refused(&run, "wrong signature") + refused(&run, "wrong proof") > 50);
    });
}

/// B13. Enough relays are good, so nothing is lost but time.
#[test]
fn dark_relays() {
    in_child("dark_relays", || {
        let run = withstood(liars(r#""dark-relays""#), &[("dark-relays", 500)]);
        assert_eq!(run.slots().skipped, 0);
    });
}

/// B14. Correct nodes do not join in: they send what they send without the flood.
#[test]
fn relay_flood() {
    in_child("relay_flood", || {
        let run = withstood(liars(r#""relay-flood""#), &[("relay-flood", 500)]);
        assert_eq!(run.slots().skipped, 0);
        assert!(refused(&run, "duplicate") + refused(&run, "not needed") > 1_000);
    });
}

/// B15.
#[test]
fn two_faced_votes() {
    in_child("two_faced_votes", || {
        withstood(liars(r#""two-faced-votes""#), &[("two-faced-votes", 40)]);
    });
}

/// B16.
#[test]
fn double_votes() {
    in_child("double_votes", || {
        let run = withstood(liars(r#""double-votes""#), &[("double-votes", 40)]);
        assert!(offences(&run) > 100);
    });
}

/// B17.
#[test]
fn fallback_spam() {
    in_child("fallback_spam", || {
        let run = withstood(liars(r#""fallback-spam""#), &[("fallback-spam", 40)]);
        assert_eq!(run.probe("repair"), 0, "nobody fetches what only liars voted for");
        assert!(offences(&run) > 100);
    });
}

/// B18.
#[test]
fn stray_final_votes() {
    in_child("stray_final_votes", || {
        withstood(liars(r#""stray-final-votes""#), &[("stray-final-votes", 40)]);
    });
}

/// B19, with 20 % down, so that the liars' votes decide. The one that sees 80 % tells all others.
#[test]
fn deciding_votes() {
    in_child("deciding_votes", || {
        let run = withstood(with_crashes("deciding-votes"), &[("deciding-votes", 40)]);
        assert!(run.slots().finalized_fast > 0);
    });
}

/// B20.
#[test]
fn votes_for_one() {
    in_child("votes_for_one", || {
        withstood(with_crashes("votes-for-one"), &[("votes-for-one", 40)]);
    });
}

/// B20, with so many down that the liars' votes notarize and their silence keeps from finality.
#[test]
fn withheld_final_votes() {
    in_child("withheld_final_votes", || {
        let faults = r#"{ kind = "byzantine", at = "0s", behaviour = "withheld-final-votes", nodes = [1, 2], permanent = true },
           { kind = "crash", at = "0s", for = "5s", nodes = [3, 4, 5] }"#;
        let scenario = lying(faults).set("run.heal_at=5s").set("run.duration=25s");
        let run = withstood(scenario, &[("withheld-final-votes", 10)]);
        assert!(run.probe("notarization") > 0);
        let recorder = run.outcome.recorder();
        let heal = recorder.measure.recoveries.last().unwrap();
        assert!(heal.first.is_some_and(|(_, at)| at > 5_000_000_000), "81 correct of 101 are back");
        assert_eq!(heal.before.0, 0, "51 alone finalize nothing");
    });
}

/// B21.
#[test]
fn withheld_certificates() {
    in_child("withheld_certificates", || {
        let run =
            withstood(with_crashes("withheld-certificates"), &[("withheld-certificates", 40)]);
        assert_eq!(run.slots().finalized_fast, 0, "a late 80 % changes nothing that is final");
    });
}

/// Nodes 3 and 4 are down, nodes 1 and 2 lie: 61 of 101 are correct.
fn with_crashes(behaviour: &str) -> Scenario {
    lying(&format!(
        r#"{{ kind = "byzantine", at = "0s", behaviour = ["{behaviour}"], nodes = [1, 2], permanent = true }},
           {{ kind = "crash", at = "0s", nodes = [3, 4], permanent = true }}"#
    ))
}

/// B22, with real signatures.
#[test]
fn forged_certificates() {
    in_child("forged_certificates", || {
        let scenario = liars(r#""forged-certificates""#).set("cluster.crypto=bls");
        let run = withstood(scenario.set("run.duration=6s"), &[("forged-certificates", 20)]);
        assert!(refused(&run, "invalid certificate") > 500);
    });
}

/// B23, with real signatures. The other liar keeps blocks below the threshold, so that the sums
/// stay where the double count would decide.
#[test]
fn double_signers() {
    in_child("double_signers", || {
        let scenario = lying(
            r#"{ kind = "byzantine", at = "0s", behaviour = "split-at-threshold", nodes = [1], permanent = true },
               { kind = "byzantine", at = "0s", behaviour = "double-signers", nodes = [2], permanent = true },
               { kind = "crash", at = "0s", nodes = [3, 4], permanent = true }"#,
        );
        let run = withstood(scenario.set("cluster.crypto=bls"), &[("double-signers", 5)]);
        assert!(refused(&run, "invalid certificate") > 0);
    });
}

/// B24.
#[test]
fn vote_spam() {
    in_child("vote_spam", || {
        let run = withstood(liars(r#""vote-spam""#), &[("vote-spam", 40)]);
        assert!(refused(&run, "far slot") > 100 && refused(&run, "old slot") > 100);
    });
}

/// What one liar says of slots far ahead is not where the cluster is: the others still know whom they
/// can deceive, and when.
#[test]
fn spam_does_not_blind_the_other_liars() {
    in_child("spam_does_not_blind_the_other_liars", || {
        let lies = [("vote-spam", 40), ("deciding-votes", 40)];
        withstood(with_crashes(r#"vote-spam", "deciding-votes"#), &lies);
    });
}

/// B25, with real signatures.
#[test]
fn replayed_votes() {
    in_child("replayed_votes", || {
        let scenario = liars(r#""replayed-votes""#).set("cluster.crypto=bls");
        let run = withstood(scenario.set("run.duration=6s"), &[("replayed-votes", 20)]);
        assert!(refused(&run, "wrong signature") > 100 && refused(&run, "unknown signer") > 50);
    });
}

/// B26: a node comes back after ten seconds and has to fetch everything, also from liars.
#[test]
fn lying_repair() {
    in_child("lying_repair", || {
        let scenario = lying(
            r#"{ kind = "byzantine", at = "0s", behaviour = "lying-repair", nodes = [1, 2] },
               { kind = "crash", at = "1s", for = "10s", nodes = [5] }"#,
        );
        let scenario = scenario.set("run.heal_at=20s").set("run.duration=22s");
        let run = withstood(scenario, &[("lying-repair", 20)]);
        assert!(run.probe("repair") >= 10, "{} blocks", run.probe("repair"));
        assert!(refused(&run, "wrong proof") + refused(&run, "unsolicited answer") > 0);
    });
}

/// B27.
#[test]
fn repair_flood() {
    in_child("repair_flood", || {
        let run = withstood(liars(r#""repair-flood""#), &[("repair-flood", 40)]);
        assert_eq!(run.slots().skipped, 0);
    });
}

/// B28.
#[test]
fn timer_skew() {
    in_child("timer_skew", || {
        withstood(with_crashes("timer-skew"), &[("timer-skew", 40)]);
    });
}

/// B31.
#[test]
fn twins() {
    in_child("twins", || {
        let run = withstood(liars(r#""twins""#), &[("twins", 100)]);
        assert!(run.probe("equivocation-seen") > 0, "two instances lead two ways");
    });
}

/// B34: after a contested window the next leader builds below it.
#[test]
fn old_fork() {
    in_child("old_fork", || {
        let scenario = lying(
            r#"{ kind = "byzantine", at = "0s", behaviour = "late-block", nodes = [1], permanent = true },
               { kind = "byzantine", at = "0s", behaviour = "old-fork", nodes = [2], permanent = true },
               { kind = "crash", at = "0s", nodes = [3, 4], permanent = true }"#,
        );
        withstood(scenario.set("run.duration=30s"), &[("late-block", 4), ("old-fork", 1)]);
    });
}

/// A lie that is switched on and off again: nothing of it before and after.
#[test]
fn lies_have_a_time() {
    in_child("lies_have_a_time", || {
        let lie = r#"{ kind = "byzantine", at = "4s", for = "4s", behaviour = "two-faced-votes", nodes = [1, 2] }"#;
        let run = withstood(lying(lie).set("run.heal_at=8s"), &[("two-faced-votes", 10)]);
        // About 20 slots of two liars, not 60.
        assert!(run.probe("two-faced-votes") < 30, "{}", run.probe("two-faced-votes"));
    });
}

/// A liar may crash too, and stays a liar to everybody's count.
#[test]
fn liars_crash_too() {
    in_child("liars_crash_too", || {
        let scenario = lying(
            r#"{ kind = "byzantine", at = "0s", behaviour = ["twins", "lying-repair"], nodes = [1, 2] },
               { kind = "crash", at = "3s", for = "2s", nodes = [1, 2, 5], mode = "tear" }"#,
        );
        let run = withstood(scenario.set("run.heal_at=8s"), &[("twins", 100)]);
        assert_eq!(run.probe("restart"), 1, "only the correct one is watched");
    });
}
