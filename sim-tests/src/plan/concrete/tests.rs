//! Expansion: what is drawn, what stays when something else changes, and what is refused.

use super::*;
use crate::plan::{CutStyle, Effect, Plan, Share};
use std::collections::{BTreeMap, BTreeSet};

const HEAD: &str = r#"
about = "x"
plan_format = 1
cluster = { nodes = 20, stake = "mainnet", regions = "mainnet", crypto = "null" }
run = { duration = "60s", heal_at = "50s" }
network = { loss = "1%", jitter = "5%", bursts = { loss = "50%", length = "80ms", gap = "3s" } }
disk = { sync = "1.5ms", sync_jitter = "20%", crash = "tear" }
clocks = { offset = "2s", drift = "100ppm" }
cpu = { verify = "100us", decode = "200us" }
workload = { transactions_per_second = 7, size = "1KiB" }
expect = { recovery = "15s", caught_up = "20s", sometimes = ["repair"] }
"#;

/// One row of every kind.
const ROWS: [&str; 22] = [
    r#"kind = "partition", at = "1s", for = "2s", side = { stake = "30%..45%" }, style = "jam""#,
    r#"kind = "partition", at = "2s", side = { region = "london" }, style = "one-way""#,
    r#"kind = "crash", at = "5s", for = "1s", stake = "10%..30%""#,
    r#"kind = "pause", at = "7s", for = "500ms", stake = "10%..30%""#,
    r#"kind = "late-start", at = "4s", nodes = [19]"#,
    r#"kind = "loss", at = "8s", for = "1s", nodes = "all", share = "5%""#,
    r#"kind = "bursts", at = "9s", nodes = [1], loss = "50%", length = "1s", gap = "2s""#,
    r#"kind = "latency", at = "9s", nodes = [1], add = "40ms""#,
    r#"kind = "duplication", at = "9s", nodes = [1], share = "2%""#,
    r#"kind = "reordering", at = "9s", nodes = [1], share = "2%", delay = "10ms""#,
    r#"kind = "corruption", at = "9s", nodes = [1], share = "0.1%""#,
    r#"kind = "bandwidth", at = "9s", nodes = [1], rate = "10Mbps""#,
    r#"kind = "disk-slow", at = "9s", stake = "20%", sync = "10ms""#,
    r#"kind = "clock-jump", at = "9s", nodes = [2], by = "-3s""#,
    r#"kind = "cut", at = "9s", nodes = [2], from = [4, 5], style = "jam""#,
    r#"kind = "straddle", at = "9s", nodes = [1], share = "10%""#,
    r#"kind = "disk-stall", at = "9s", nodes = [1], share = "1%", time = "300ms""#,
    r#"kind = "disk-error", at = "9s", for = "1s", nodes = [1], cause = "full""#,
    r#"kind = "bit-rot", at = "9s", nodes = [1], bits = 7"#,
    r#"kind = "starvation", at = "9s", nodes = [1], turn = "30ms""#,
    r#"kind = "byzantine", at = "9s", nodes = [18], behaviour = "vote-spam""#,
    r#"kind = "clock-drift", at = "9s", nodes = [1], drift = "-500ppm""#,
];

fn plan(rows: &[&str]) -> Plan {
    let rows: Vec<String> = rows.iter().map(|row| format!("[[fault]]\n{}", lines(row))).collect();
    Plan::parse("p", "p.toml", &(HEAD.to_owned() + &rows.concat()), &[])
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Commas between keys become line breaks; commas inside brackets stay.
fn lines(row: &str) -> String {
    let mut depth = 0;
    let line = |c: char| {
        depth += i32::from("{[".contains(c)) - i32::from("}]".contains(c));
        if c == ',' && depth == 0 { '\n' } else { c }
    };
    row.chars().map(line).collect::<String>() + "\n"
}

fn world(rows: &[&str], seed: u64) -> Concrete {
    plan(rows).expand(seed).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_world_survives_its_text() {
    for seed in 0..5 {
        let world = world(&ROWS, seed);
        let text = world.to_toml();
        assert_eq!(Concrete::parse("w.toml", &text).unwrap_or_else(|e| panic!("{e}")), world);
    }
}

/// The text is the format of saved seeds: what is read today must be read next year.
#[test]
fn the_text_of_a_world() {
    let sets = ["cluster.nodes=3".to_owned(), "clocks.offset=0s".to_owned()];
    let text = HEAD.to_owned() + "[[fault]]\n" + &lines(ROWS[5]) + "[[fault]]\n" + &lines(ROWS[13]);
    let plan = Plan::parse("small", "p.toml", &text, &sets).unwrap();
    insta::assert_snapshot!(plan.expand(1).unwrap().to_toml());
}

#[test]
fn every_kind_becomes_the_effect_of_its_name() {
    let world = world(&ROWS, 1);
    assert_eq!(world.faults.len(), ROWS.len());
    for (row, fault) in ROWS.iter().zip(&world.faults) {
        assert!(row.contains(&format!("\"{}\"", fault.effect.name())), "{row}");
        assert!(fault.label.starts_with(fault.effect.name()));
    }
    let named: BTreeSet<&str> = world.faults.iter().map(|f| f.effect.name()).collect();
    assert_eq!(named.len(), crate::plan::fault::KINDS.len(), "every kind is in this test");
    assert_eq!(world.faults[0].effect, Effect::Partition { style: CutStyle::Jam });
    assert_eq!(world.faults[1].end, Some(Nanos::from_secs(50)), "until the network heals");
    assert_eq!(
        (world.faults[4].start, world.faults[4].end),
        (Nanos(0), Some(Nanos(4_000_000_000)))
    );
    assert_eq!(world.faults[13].end, Some(world.faults[13].start), "an instant");
}

/// The text of all faults by the draw that they are, without their number.
fn by_name(world: &Concrete) -> BTreeMap<String, (Vec<u16>, u64)> {
    let name = |f: &Fault| format!("{} {}", f.effect, f.start);
    world.faults.iter().map(|f| (name(f), (f.nodes.clone(), f.stake))).collect()
}

#[test]
fn faults_do_not_disturb_each_other() {
    for seed in 0..10 {
        let all = world(&ROWS, seed);
        for without in 0..ROWS.len() {
            let mut rows = ROWS.to_vec();
            rows.remove(without);
            let fewer = world(&rows, seed);
            assert_eq!(fewer.nodes, all.nodes);
            let (fewer, all) = (by_name(&fewer), by_name(&all));
            assert_eq!(fewer.len(), ROWS.len() - 1);
            assert!(fewer.iter().all(|(name, drawn)| all[name] == *drawn), "without {without}");
        }
        let mut rows = ROWS.to_vec();
        rows.reverse();
        assert_eq!(by_name(&world(&rows, seed)), by_name(&all), "the order does not matter");
    }
}

#[test]
fn seeds_make_different_worlds() {
    let sides: BTreeSet<Vec<u16>> =
        (0..20).map(|seed| world(&ROWS[..1], seed).faults[0].nodes.clone()).collect();
    assert!(sides.len() > 15, "{} sides", sides.len());
    let clocks: BTreeSet<i64> =
        (0..20).map(|seed| world(&[], seed).nodes[3].clock_offset.0).collect();
    assert_eq!(clocks.len(), 20);
    for node in world(&[], 1).nodes {
        assert!(node.clock_offset.0.abs() <= 2_000_000_000 && node.clock_drift.0.abs() <= 100_000);
    }
    // Two equal faults at one time are two draws.
    let row = ROWS[0].replace("\"jam\"", "\"drop\"");
    let twice = world(&[&row, &row], 3);
    assert_ne!(twice.faults[0].nodes, twice.faults[1].nodes);
}

#[test]
fn rolling_crashes_take_turns() {
    let row = r#"kind = "crash", at = "3s", for = "40s", nodes = "all",
        rolling = { at_once = "20%", down = "2s", gap = "1s" }"#;
    let world = world(&[&row.replace('\n', "")], 4);
    let total = world.total_stake();
    assert_eq!(world.faults.len(), 13, "3 s each from 3 s, the last one down from 39 s to 41 s");
    for (i, fault) in world.faults.iter().enumerate() {
        assert_eq!(fault.label, format!("crash #1.{}", i + 1));
        assert_eq!(fault.start, Nanos::from_secs(3 + 3 * i as u64));
        assert_eq!(fault.end, Some(Nanos::from_secs(5 + 3 * i as u64)));
        assert!(fault.stake * 5 <= total);
    }
    let batches = world
        .faults
        .iter()
        .take_while(|f| f.start.0 == 3_000_000_000 || f.nodes != world.faults[0].nodes);
    let mut once: Vec<u16> = batches.flat_map(|f| f.nodes.clone()).collect();
    once.sort();
    assert_eq!(once, (0..20).collect::<Vec<u16>>(), "everybody once in the first round");
    let alone = row.replace("at_once = \"20%\", ", "").replace('\n', "");
    assert!(self::world(&[&alone], 4).faults.iter().all(|fault| fault.nodes.len() == 1));
}

#[test]
fn rolling_uses_time_and_stake_to_the_last_unit() {
    let roll = |lasting: &str| {
        let rolling = r#"rolling = { at_once = "20%", down = "2s", gap = "1s" }"#;
        let row = format!(
            "[[fault]]\nkind = \"crash\"\nat = \"1s\"\nnodes = \"all\"\nfor = {lasting}\n{rolling}"
        );
        // Five equal nodes: one of them is exactly 20 %.
        let sets = ["cluster.nodes=5".to_owned(), "cluster.stake=equal".to_owned()];
        let plan = Plan::parse("p", "p.toml", &(HEAD.to_owned() + &row), &sets).unwrap();
        plan.expand(1).map(|world| world.faults.len())
    };
    assert_eq!(roll("\"2s\""), Ok(1));
    assert_eq!(roll("\"4.999s\""), Ok(1));
    assert_eq!(roll("\"5s\""), Ok(2));
    assert!(roll("\"1.999s\"").is_err());
}

#[test]
fn the_timeline_ends_before_it_begins() {
    let crash = |at: &str| format!(r#"kind = "crash", at = "{at}", for = "1s", nodes = [0]"#);
    let (a, b) = (crash("2s"), crash("1s"));
    let jump = r#"kind = "clock-jump", at = "2s", nodes = [0], by = "1s""#;
    let stop = r#"kind = "crash", at = "3s", nodes = [1], permanent = true"#;
    let world = world(&[&a, &b, jump, stop], 1);
    let timeline: Vec<(u64, Edge, usize)> =
        world.timeline().into_iter().map(|(at, edge, i)| (at.0 / 1_000_000_000, edge, i)).collect();
    use Edge::{Begin, End};
    assert_eq!(
        timeline,
        [(1, Begin, 1), (2, End, 1), (2, Begin, 0), (2, Begin, 2), (3, End, 0), (3, Begin, 3)]
    );
}

#[test]
fn delays_come_from_the_map_and_the_jitter() {
    let world = world(&[], 1);
    // Frankfurt to Tokyo: the measured spread is below 5 % of 113.5 ms.
    let delay = world.delay(0, 11);
    assert_eq!(delay.p50, Nanos(113_500_000));
    assert_eq!(delay.p90, Nanos(119_175_000));
    assert_eq!(delay.max, Nanos(113_500_000 + 3 * 5_675_000));
    assert_eq!(world.delay(11, 0), delay);
    assert!(world.max_delay() >= delay.max);
    assert_eq!(world.network.jitter, Share(50_000_000));
}

fn cut(from: &[u16]) -> Effect {
    Effect::Cut { from: from.to_vec(), style: CutStyle::Drop }
}

fn drift(ppb: i64) -> Effect {
    Effect::ClockDrift { drift: Drift(ppb) }
}

/// Each edge from both sides: the key that is refused, or nothing.
#[test]
fn edges_of_what_is_legal() {
    type Change = fn(&mut Concrete);
    let cases: [(Change, Option<&str>); 25] = [
        (|w| w.params.delta_timeout = Nanos(750_000_001), None),
        (|w| w.params.delta_timeout = Nanos(750_000_000), Some("params.delta_timeout")),
        (|w| w.params.delta_first = w.params.delta_block, None),
        (|w| w.params.delta_first = Nanos(400_000_001), Some("params.delta_first")),
        (|w| w.params.standstill_poll = w.params.standstill, None),
        (|w| w.params.standstill_poll = Nanos(10_000_000_001), Some("params.standstill_poll")),
        (|w| w.params.timeout_cap = w.params.delta_timeout, None),
        (|w| w.params.timeout_cap = Nanos(799_999_999), Some("params.timeout_cap")),
        (|w| w.params.max_slices = 65, Some("params.max_slices")),
        (|w| w.params.timeout_growth = Share(1), Some("params.timeout_growth")),
        (|w| w.run.heal_at = Some(w.run.duration), None),
        (|w| w.run.heal_at = Some(Nanos(60_000_000_001)), Some("run.heal_at")),
        (|w| w.run.heal_at = Some(Nanos(6_999_999_999)), Some("fault.0.end")),
        (|w| w.workload.size.0 = 1_232, None),
        (|w| w.workload.size.0 = 1_233, Some("workload.size")),
        (|w| w.faults[0].end = None, None),
        (|w| w.faults[1].end = None, Some("fault.1.end")),
        (|w| w.faults[0].end = Some(Nanos(5_000_000_000)), Some("fault.0.end")),
        (|w| w.faults[0].nodes.reverse(), Some("fault.0.nodes")),
        (|w| w.map.p50[2].truncate(4), Some("map")),
        (|w| w.faults[0].effect = cut(&[0, 5]), None),
        (|w| w.faults[0].effect = cut(&[5, 0]), Some("fault.0.from")),
        (|w| w.faults[0].effect = cut(&[0, 3]), Some("fault.0.from")),
        (|w| w.faults[1].effect = drift(100_000_000), None),
        (|w| w.faults[1].effect = drift(-100_000_001), Some("fault.1.drift")),
    ];
    let crash = r#"kind = "crash", at = "5s", for = "2s", nodes = [3, 4]"#;
    let pause = r#"kind = "pause", at = "7s", for = "2s", nodes = [3, 4]"#;
    let good = world(&[crash, pause.replace("7s", "3s").as_str()], 1);
    assert_eq!(good.check(), Ok(()), "one may begin when the other ends");
    for (i, (change, refused)) in cases.into_iter().enumerate() {
        let mut world = good.clone();
        change(&mut world);
        let found = world.check().err().map(|defect| defect.path());
        assert_eq!(found.as_deref(), refused, "case {i}");
    }
}
