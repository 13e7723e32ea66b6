//! Every shipped plan, and what each was made to show. The seeds differ from those that people
//! type first, so that the suite and the README do not watch the same runs.
#![cfg(feature = "sim")]

use sim_tests::scenario::{Run, Scenario};
use sim_tests::testing::{child_result, in_child};

/// Runs a plan under a seed and checks everything it promises.
fn pass(plan: &str, seed: u64) -> Run {
    let run = Scenario::plan(plan).seed(seed).run();
    run.passes();
    run
}

/// How often the nodes of this process took a rule.
fn taken(rule: &str) -> u64 {
    let hits = alpenglow_node::protocol::rules::hits();
    hits.iter().find(|(name, _)| *name == rule).map_or(0, |(_, hits)| *hits)
}

#[test]
fn calm() {
    in_child("calm", || {
        let run = pass("calm", 11);
        let slots = run.slots();
        assert_eq!((slots.skipped, slots.undecided), (0, slots.undecided.min(1)));
        assert_eq!(run.probe("repair"), 0, "nothing was lost, so nothing is fetched");
        assert_eq!(run.probe("standstill"), 0);
        let recorder = run.outcome.recorder();
        assert_eq!((recorder.measure.lost, recorder.measure.expired), (0, 0));
    });
}

/// 1 % loss, bursts, duplicates and reordering cost at most a fifth of the slots.
#[test]
fn lossy_wan() {
    let finalized = |plan: &str| {
        let result =
            child_result("lossy_wan", plan, |plan| pass(plan, 12).slots().finalized().to_string());
        result.parse::<u64>().unwrap()
    };
    let (lossy, calm) = (finalized("lossy-wan"), finalized("calm"));
    assert!(lossy * 5 >= calm * 4, "{lossy} slots against {calm}");
}

#[test]
fn partition_heal() {
    in_child("partition_heal", || {
        let run = pass("partition-heal", 13);
        assert!(run.probe("standstill") > 0 && run.probe("skip-certificate") > 0);
        let recorder = run.outcome.recorder();
        let heal = recorder.measure.recoveries.last().unwrap();
        assert!(heal.first.is_some() && heal.bound_ns.is_some() && heal.caught_up_ns.is_some());
    });
}

#[test]
fn minority_partition() {
    in_child("minority_partition", || {
        // The rest goes on: at no time in the cut does finality rest for long.
        pass("minority-partition", 14);
    });
}

#[test]
fn even_split() {
    in_child("even_split", || {
        let run = pass("even-split", 15);
        assert!(run.probe("standstill") > 0, "what was lost comes back only with the standstill");
    });
}

#[test]
fn one_way_partition() {
    in_child("one_way_partition", || {
        pass("one-way-partition", 16);
    });
}

#[test]
fn crash_restart() {
    in_child("crash_restart", || {
        let run = pass("crash-restart", 17);
        assert_eq!(run.probe("restart"), 20, "every node comes back once");
    });
}

#[test]
fn power_cut() {
    in_child("power_cut", || {
        let run = pass("power-cut", 18);
        assert_eq!(run.probe("restart"), 40, "every node comes back twice");
    });
}

#[test]
fn forty_percent_crashed() {
    in_child("forty_percent_crashed", || {
        let slots = pass("forty-percent-crashed", 19).slots();
        assert_eq!(slots.finalized_fast, 0, "60 % cannot finalize fast");
        assert!(slots.finalized_slow > 0 && slots.skipped > 0);
    });
}

#[test]
fn late_joiner() {
    in_child("late_joiner", || {
        let run = pass("late-joiner", 20);
        assert!(run.probe("catch-up") > 0 && run.probe("repair") > 100);
    });
}

/// More slots than a node holds in memory; the rule says so.
#[test]
fn far_behind() {
    in_child("far_behind", || {
        let run = pass("far-behind", 41);
        assert!(taken("finality.far") > 0 && run.probe("repair") > 1_000);
        let recorder = run.outcome.recorder();
        assert!(recorder.history.nodes[2].out.len() > 2_048, "it has delivered them all");
    });
}

/// The epoch ends without a final block, nothing of the next begins, and then it goes on.
#[test]
fn halted_epoch() {
    in_child("halted_epoch", || {
        let run = pass("halted-epoch", 42);
        assert!(taken("epoch.halt") > 0 && taken("epoch.resume") > 0);
        assert!(taken("standstill.partial") > 0, "so much was to be said again");
        assert!(run.probe("epoch-end") > 0);
    });
}

#[test]
fn two_epochs() {
    in_child("two_epochs", || {
        assert!(pass("two-epochs", 21).probe("epoch-end") >= 2);
    });
}

#[test]
fn heavy() {
    in_child("heavy", || {
        let run = pass("heavy", 22);
        let full = taken("producer.full_slice");
        assert!(full > 100, "{full} full slices");
        let measure = &run.outcome.recorder().measure;
        assert!(measure.finalized * 100 >= measure.submitted * 90);
        assert_eq!(measure.lost, 0);
    });
}

/// Runs a plan with null signatures, for worlds that are not about signatures.
fn pass_null(plan: &str, seed: u64) -> Run {
    let run = Scenario::plan(plan).set("cluster.crypto=null").seed(seed).run();
    run.passes();
    run
}

#[test]
fn clock_drift() {
    in_child("clock_drift", || {
        let run = pass_null("clock-drift", 24);
        let expired = run.outcome.recorder().measure.expired;
        assert_eq!(expired, 0, "no clock decides how long a transaction lives");
        assert!(run.slots().finalized() > 50);
    });
}

#[test]
fn slow_disks() {
    in_child("slow_disks", || {
        let run = pass_null("slow-disks", 25);
        assert!(run.probe("storage-error") >= 2 && run.probe("observing") >= 2);
        assert_eq!(run.probe("restart"), 2);
        // Restarted on a disk that works, a node votes again; the one that was not, never.
        let recorder = run.outcome.recorder();
        let last = |node: usize| recorder.history.nodes[node].cast_in.keys().next_back().copied();
        assert!(last(19) > last(17) && last(18) > last(17));
    });
}

#[test]
fn bit_rot() {
    in_child("bit_rot", || {
        let run = pass_null("bit-rot", 26);
        assert!(run.probe("log-lost") >= 2 && run.probe("start-refused") > 0);
        let recorder = run.outcome.recorder();
        let lost = &recorder.history.nodes[4];
        assert!(lost.up && lost.incarnation == 3, "it is back, twice");
        assert!(lost.out.len() > 20, "it follows, from the beginning");
        let voted = lost.cast_in.keys().next_back().copied();
        let others = recorder.history.nodes[0].cast_in.keys().next_back().copied();
        assert!(voted.map(|slot| slot.plus(20)) < others, "and does not vote: {voted:?}");
    });
}

#[test]
fn gray_network() {
    in_child("gray_network", || {
        let run = pass_null("gray-network", 4);
        let dropped = &run.outcome.stats.dropped;
        for cause in ["burst", "cut", "uplink"] {
            assert!(
                dropped.iter().any(|(name, n)| *name == cause && *n > 0),
                "{cause}: {dropped:?}"
            );
        }
        assert!(run.probe("standstill") > 0);
    });
}

/// The fault points of the host are at work here, and nothing but the slack of the bounds shows it.
#[test]
fn rolling_continents() {
    in_child("rolling_continents", || {
        let run = pass_null("rolling-continents", 2);
        assert!(run.probe("restart") >= 13, "whoever had time to come back");
        let points = ["early_wake", "short_batch", "late_completion", "late_commit"];
        let fired = points.map(|point| run.probe(&format!("driver.{point}")));
        assert!(fired.iter().sum::<u64>() > 20, "{fired:?}");
    });
}

#[test]
fn asynchronous() {
    in_child("asynchronous", || {
        let run = pass_null("asynchronous", 29);
        assert!(run.slots().skipped > 10, "before GST little is in time");
        let recorder = run.outcome.recorder();
        let heal = recorder.measure.recoveries.last().unwrap();
        assert!(heal.bound_ns.is_some() && heal.first.is_some());
        assert!(run.outcome.stats.dropped.is_empty(), "late, and never lost");
    });
}

/// Five minutes of the fifty: a sweep runs them all.
#[test]
fn satellite() {
    in_child("satellite", || {
        let run = Scenario::plan("satellite")
            .set("cluster.crypto=null")
            .set("run={duration=\"9m\",heal_at=\"7m\"}")
            .set("fault.0.at=2m")
            .set("fault.0.for=5m")
            .seed(30)
            .run();
        run.passes();
        assert!(run.probe("standstill") > 100 && run.outcome.stats.corrupted > 0);
    });
}

#[test]
fn mainnet_100() {
    in_child("mainnet_100", || {
        assert_eq!(pass("mainnet-100", 23).plan.nodes.len(), 100);
    });
}

/// Runs a plan of liars with signatures that cost nothing, and wants these lies to have happened.
fn withstand(plan: &str, seed: u64, lies: &[&str]) -> Run {
    let run = Scenario::plan(plan).seed(seed).set("cluster.crypto=null").run();
    run.passes();
    for lie in lies {
        assert!(run.probe(lie) > 0, "{lie} never happened");
    }
    run
}

#[test]
fn equivocating_leader() {
    in_child("equivocating_leader", || {
        withstand("equivocating-leader", 31, &["equivocating-leader", "two-faced-votes"]);
    });
}

#[test]
fn split_at_threshold() {
    in_child("split_at_threshold", || {
        let lies = ["split-at-threshold", "late-block", "deciding-votes"];
        let run = withstand("split-at-threshold", 33, &lies);
        assert!(run.probe("safe-to-notar") > 0);
    });
}

#[test]
fn withheld_shreds() {
    in_child("withheld_shreds", || {
        withstand("withheld-shreds", 33, &["withheld-shreds", "skip-certificate"]);
    });
}

/// Rotor succeeds for every slice of a correct leader; the plan's `recovery` gate and O45 say so.
#[test]
fn dark_relays() {
    in_child("dark_relays", || {
        let run = withstand("dark-relays", 34, &["dark-relays", "relay-flood", "malformed-shreds"]);
        assert_eq!(run.slots().skipped, 0);
    });
}

#[test]
fn lying_repair() {
    in_child("lying_repair", || {
        withstand("lying-repair", 35, &["lying-repair", "repair-flood", "repair"]);
    });
}

#[test]
fn certificate_games() {
    in_child("certificate_games", || {
        let lies = ["withheld-certificates", "votes-for-one", "forged-certificates"];
        withstand("certificate-games", 36, &lies);
    });
}

#[test]
fn vote_spam() {
    in_child("vote_spam", || {
        withstand("vote-spam", 37, &["vote-spam", "fallback-spam", "double-votes"]);
    });
}

#[test]
fn twins() {
    in_child("twins", || {
        withstand("twins", 38, &["twins"]);
    });
}

#[test]
fn old_forks() {
    in_child("old_forks", || {
        let run = withstand("old-forks", 1, &["old-fork"]);
        assert!(run.probe("certified-and-skipped") > 0 && taken("ready.more") > 0);
    });
}

#[test]
fn twenty_twenty() {
    in_child("twenty_twenty", || {
        let run = withstand("twenty-twenty", 39, &["two-faced-votes", "dark-relays"]);
        assert_eq!(run.outcome.recorder().scene.budget.byzantine, 199);
    });
}

#[test]
fn example_44() {
    in_child("example_44", || {
        let run = withstand("example-44", 40, &["equivocating-leader", "two-faced-votes"]);
        let recorder = run.outcome.recorder();
        let heal = recorder.measure.recoveries.last().unwrap();
        assert!(heal.first.is_some(), "finality returns with those who were down");
    });
}

#[test]
fn forked_window() {
    in_child("forked_window", || {
        let run = withstand("forked-window", 41, &["forked-window", "safe-to-notar", "repair"]);
        assert!(run.slots().skipped > 0);
    });
}

#[test]
fn far_apart() {
    in_child("far_apart", || {
        let run = pass_null("far-apart", 42);
        assert!(run.slots().finalized_fast > run.slots().finalized_slow, "one round is enough");
        assert!(run.probe("restart") >= 4 && run.probe("repair") > 0);
    });
}

#[test]
fn constant_delays() {
    in_child("constant_delays", || {
        let run = pass_null("constant-delays", 44);
        assert!(run.probe("judged-O46") > 300, "{}", run.probe("judged-O46"));
    });
}

#[test]
fn early_blocks() {
    in_child("early_blocks", || {
        let run = withstand("early-blocks", 43, &["early-block"]);
        assert!(run.slots().skipped > 0);
    });
}

/// The one plan in which two truths are legal: some seed shows them, no seed fails for it.
#[test]
fn over_budget() {
    let broken = (0..8).any(|seed| {
        let found = child_result("over_budget", &seed.to_string(), |seed| {
            let plan = Scenario::plan("over-budget").seed(seed.parse().unwrap());
            let run = plan.set("cluster.crypto=null").run();
            run.passes();
            let oracles = run.outcome.violations();
            oracles.iter().any(|v| ["O1", "O2", "O3"].contains(&v.oracle)).to_string()
        });
        found == "true"
    });
    assert!(broken, "the liars are too weak to break what they should be able to break");
}
