//! Worlds that no shipped plan shows, each in a few lines.
#![cfg(feature = "sim")]

use sim_tests::plan::{Concrete, Share};
use sim_tests::scenario::{Run, Scenario};
use sim_tests::testing::in_child;

fn calm(fault: &str) -> Scenario {
    Scenario::plan("calm")
        .set("cluster.crypto=null")
        .set("expect.finalization_p99=60s")
        .set("expect.finalization_p50=60s")
        .set(&format!("fault=[{fault}]"))
}

/// Nodes that stand still for five seconds come back with overdue timers and vote nothing wrong.
#[test]
fn paused_nodes_come_back() {
    in_child("paused_nodes_come_back", || {
        calm(r#"{ kind = "pause", at = "5s", for = "5s", stake = "20%" }"#)
            .set("run.heal_at=10s")
            .set("expect.progress=50%")
            .run()
            .passes();
    });
}

/// Messages that are held for the time of a cut and then all arrive, old and out of order.
#[test]
fn a_jam_releases_old_messages() {
    in_child("a_jam_releases_old_messages", || {
        let cut = r#"{ kind = "partition", at = "5s", for = "6s", side = { stake = "46%..50%" }, style = "jam" }"#;
        let run = calm(cut).set("run.heal_at=11s").set("expect.progress=40%").run();
        run.passes();
        assert_eq!(run.probe("standstill"), 0, "nothing was lost, so nothing is said again");
    });
}

/// The heaviest region disappears and comes back.
#[test]
fn a_region_fails() {
    in_child("a_region_fails", || {
        calm(r#"{ kind = "crash", at = "4s", for = "6s", region = "frankfurt", mode = "tear" }"#)
            .set("run.heal_at=10s")
            .set("expect.progress=30%")
            .run()
            .passes();
    });
}

/// Wall clocks up to two seconds off (so nodes begin seconds apart) that later jump back by more, and
/// clocks that drift by 200 ppm.
#[test]
fn wrong_clocks_do_not_matter() {
    in_child("wrong_clocks_do_not_matter", || {
        let jump = r#"{ kind = "clock-jump", at = "7s", by = "-90s", nodes = [0, 3, 5] }"#;
        calm(jump)
            .set("run.heal_at=7s")
            .set("clocks.offset=2s")
            .set("clocks.drift=200ppm")
            .set("expect.progress=60%")
            .run()
            .passes();
    });
}

/// Crashed in mid-window and back within it: the log keeps them from voting twice.
#[test]
fn a_blink_of_everybody() {
    in_child("a_blink_of_everybody", || {
        let blink =
            r#"{ kind = "crash", at = "5.05s", for = "30ms", stake = "100%", mode = "keep" }"#;
        let run = calm(blink).set("run.heal_at=6s").set("expect.progress=30%").run();
        run.passes();
        assert_eq!(run.probe("restart"), 20);
    });
}

/// A signature check of a millisecond on one core: later, but everything holds.
#[test]
fn slow_processors() {
    in_child("slow_processors", || {
        calm("").set("cpu.verify=500us").run().passes();
    });
}

/// An oracle that judges nothing would find nothing either.
#[test]
fn the_oracles_have_work() {
    in_child("the_oracles_have_work", || {
        let run = Scenario::plan("even-split").seed(100).set("cluster.crypto=null").run();
        run.passes();
        let ids = ["O28", "O29", "O34", "O37", "O38", "O40", "O43", "O44", "O48", "O50"];
        let idle = |id: &&str| run.probe(&format!("judged-{id}")) == 0;
        assert_eq!(ids.into_iter().filter(idle).collect::<Vec<_>>(), [""; 0]);
    });
}

/// Peaks of node sizes in the minutes `from..to`.
fn peaks(run: &Run, from: u64, to: u64) -> [u32; 4] {
    let recorder = run.outcome.recorder();
    let minutes = recorder.measure.peak_sizes.range(from..to);
    minutes.fold([0; 4], |all, (_, one)| std::array::from_fn(|i| all[i].max(one[i])))
}

/// O35 holds sizes against caps for the worst that liars can do. Where nobody lies they do not grow
/// at all, with clients at work and a node down half of the time.
fn sizes_stay(minutes: u64) {
    let down = |from: u64, to: u64| {
        format!(r#"{{ kind = "crash", at = "{from}s", for = "{}s", nodes = [3] }}"#, to - from)
    };
    let end = minutes * 60;
    let faults = [down(end / 8, end / 4), down(end * 5 / 8, end * 3 / 4)].join(", ");
    let run = calm(&faults)
        .set("cluster.nodes=4")
        .set("cluster.stake=equal")
        .set(&format!("run.duration={end}s"))
        .set(&format!("run.heal_at={}s", end * 3 / 4))
        .set("expect.progress=50%")
        .run();
    run.passes();
    let (first, second) = (peaks(&run, 0, minutes / 2), peaks(&run, minutes / 2, minutes));
    println!("pool, blocks, transactions, requests: {first:?}, then {second:?}");
    for (first, second) in first.into_iter().zip(second).take(3) {
        assert!(second <= first + first / 4 + 8, "{second} after {first}");
    }
    // Whoever catches up asks a lot at once; when it is done nothing is left over.
    let last = peaks(&run, minutes - 1, minutes)[3];
    assert!(last < 64, "{last} requests without an answer");
}

#[test]
fn sizes_do_not_grow() {
    in_child("sizes_do_not_grow", || sizes_stay(8));
}

/// `cargo test --release -p sim-tests --features sim --test scenarios -- --ignored`
#[test]
#[ignore = "two virtual hours take minutes"]
fn sizes_do_not_grow_over_hours() {
    in_child("sizes_do_not_grow_over_hours", || sizes_stay(120));
}

/// The distances of the public cluster, without any variation and without queues.
fn to_the_nanosecond(plan: &mut Concrete) {
    plan.map.p90 = plan.map.p50.clone();
    plan.network.jitter = Share::NONE;
    plan.network.bandwidth = None;
}

/// O46: where delays are constant, every finalization is where the formula puts it, fast or slow.
#[test]
fn finality_is_a_formula() {
    in_child("finality_is_a_formula", || {
        let run = calm("").seed(5).change(to_the_nanosecond).run();
        run.passes();
        assert!(run.probe("judged-O46") > 1_000, "{}", run.probe("judged-O46"));
        assert!(run.probe("fast-finalization") > 0 && run.probe("slow-finalization") > 0);
    });
}

/// The same with 60 % alive, where only two rounds finalize, and with disks that take their time.
#[test]
fn finality_is_a_formula_in_two_rounds() {
    in_child("finality_is_a_formula_in_two_rounds", || {
        let scenario = Scenario::plan("forty-percent-crashed").seed(6).set("cluster.crypto=null");
        let scenario = scenario.set("disk.sync=2ms").set("disk.sync_jitter=50%");
        let run = scenario.change(to_the_nanosecond).run();
        run.passes();
        assert!(run.probe("judged-O46") > 300, "{}", run.probe("judged-O46"));
        assert_eq!(run.probe("fast-finalization"), 0);
    });
}

/// Seven equal nodes, two of them down: 5 of 7 is enough for 60 %, and never for 80 %.
#[test]
fn five_of_seven() {
    in_child("five_of_seven", || {
        let run = calm(r#"{ kind = "crash", at = "0s", nodes = [2, 4], permanent = true }"#)
            .set("cluster.nodes=7")
            .set("cluster.stake=equal")
            .set("expect.progress=20%")
            .run();
        run.passes();
        assert_eq!(run.slots().finalized_fast, 0);
    });
}
