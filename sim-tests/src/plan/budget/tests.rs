//! The budget against hand-made worlds, its exact edges, and brute force.

use super::*;
use crate::plan::{CrashMode, CutStyle, Plan};
use proptest::prelude::*;

/// A clean world with these stakes and rows of faults; 20 ms between any two nodes.
fn plan(stakes: &str, run: &str, rest: &str) -> Plan {
    let nodes = stakes.split(',').count();
    let text = format!(
        "about = \"x\"\nplan_format = 1\nrun = {{ duration = \"60s\", {run} }}\n\
         cluster = {{ nodes = {nodes}, stake = [{stakes}], regions = {{ one-way = \"20ms\" }} }}\n\
         {rest}"
    );
    Plan::parse("p", "p.toml", &text, &[]).unwrap_or_else(|e| panic!("{e}"))
}

fn world(stakes: &str, run: &str, rest: &str) -> Concrete {
    plan(stakes, run, rest).expand(1).unwrap_or_else(|e| panic!("{e}"))
}

/// `[[fault]]` with a kind, a second at which it begins and how many it lasts.
fn fault(kind: &str, at: u32, lasting: u32, rest: &str) -> String {
    format!("[[fault]]\nkind = \"{kind}\"\nat = \"{at}s\"\nfor = \"{lasting}s\"\n{rest}\n")
}

fn promised(world: &Concrete) -> Vec<(u64, Option<u64>)> {
    let seconds = |time: Nanos| time.0 / 1_000_000_000;
    Budget::of(world).promised().iter().map(|p| (seconds(p.0), p.1.map(seconds))).collect()
}

const HEAL: &str = "heal_at = \"50s\"";

#[test]
fn sixty_percent_is_exact() {
    let crash = fault("crash", 10, 5, "nodes = [0, 1]");
    assert_eq!(promised(&world("1, 1, 1, 1, 1", HEAL, &crash)), [(0, None)]);
    // T = 1,000: 600 up, then 599 up.
    assert_eq!(promised(&world("200, 200, 300, 300", HEAL, &crash)), [(0, None)]);
    let short = world("200, 201, 300, 299", HEAL, &crash);
    assert_eq!(promised(&short), [(0, Some(10)), (15, None)]);
    assert_eq!(
        Budget::of(&short).explain(Nanos(0), Nanos::from_secs(60)),
        ["reachable stake 59.9 % < 60 % from 10.000 s to 15.000 s: crash #1"]
    );
    assert_eq!(Budget::of(&short).explain(Nanos(0), Nanos::from_secs(10)), [] as [&str; 0]);
    assert_eq!(Budget::of(&short).explain(Nanos::from_secs(15), Nanos::from_secs(20)).len(), 0);
}

/// Who can count on whom: the heaviest group of healthy nodes, phase by phase.
#[test]
fn who_is_in_touch() {
    let faults = fault("partition", 10, 10, "side = { nodes = [0] }")
        + &fault("pause", 15, 10, "nodes = [1]");
    let world = world("10, 20, 15, 30, 25", HEAL, &faults);
    let budget = Budget::of(&world);
    let from_to = |from, to| {
        let in_touch = budget.in_touch(Nanos::from_secs(from), Nanos::from_secs(to));
        (0..5).filter(|node| in_touch(*node)).collect::<Vec<u16>>()
    };
    assert_eq!(from_to(0, 9), [0, 1, 2, 3, 4]);
    assert_eq!(from_to(0, 10), [1, 2, 3, 4]);
    assert_eq!(from_to(10, 14), [1, 2, 3, 4]);
    assert_eq!(from_to(12, 22), [2, 3, 4]);
    assert_eq!(from_to(20, 22), [0, 2, 3, 4]);
    assert_eq!(from_to(25, 60), [0, 1, 2, 3, 4]);
}

/// Packets that never fit are a reason, and one that no heal takes away.
#[test]
fn an_mtu_below_a_shred() {
    let run = "heal_at = \"50s\"";
    let lost = |mtu: &str| {
        let text = format!("network = {{ mtu = \"{mtu}\" }}\nexpect = {{ liveness = false }}");
        let budget = Budget::of(&world("1, 1, 1, 1", run, &text));
        budget.explain(Nanos(0), Nanos::from_secs(60))
    };
    assert_eq!(lost("1472B"), [] as [&str; 0]);
    assert_eq!(lost("1471B"), ["an mtu of 1471B, and packets of up to 1472B from 0.000 s on"]);
    let owed = plan("1, 1, 1, 1", run, "network = { mtu = \"1kB\" }").expand(1).unwrap_err();
    assert!(owed.to_string().contains("an mtu of 1kB"), "{owed}");
}

#[test]
fn faults_at_one_time_add_up_and_phases_of_one_reason_join() {
    let faults = fault("crash", 10, 10, "nodes = [0]")
        + &fault("pause", 12, 4, "nodes = [1]")
        + "[[fault]]\nkind = \"late-start\"\nat = \"14s\"\nnodes = [2]\n"
        + &fault("partition", 15, 10, "side = { nodes = [3] }");
    let world = world("10, 20, 15, 30, 25", HEAL, &faults);
    let budget = Budget::of(&world);
    let at = |s: u64| {
        let p = budget.at(Nanos::from_secs(s));
        (p.crashed, p.paused, p.absent, p.impaired, p.unreachable, p.reachable)
    };
    assert_eq!(at(0), (0, 0, 15, 0, 0, 85));
    assert_eq!(at(11), (10, 0, 15, 0, 0, 75));
    assert_eq!(at(12), (10, 20, 15, 0, 0, 55));
    assert_eq!(at(14), (10, 20, 0, 0, 0, 70));
    assert_eq!(at(15), (10, 20, 0, 0, 30, 40));
    assert_eq!(at(16), (10, 0, 0, 0, 30, 60));
    assert_eq!(at(20), (0, 0, 0, 0, 30, 70));
    assert_eq!(at(25), (0, 0, 0, 0, 0, 100));
    assert_eq!(promised(&world), [(0, Some(12)), (14, Some(15)), (16, None)]);
    assert_eq!(
        budget.explain(Nanos(0), Nanos::from_secs(60)),
        [
            "reachable stake 55.0 % < 60 % from 12.000 s to 14.000 s: \
             crash #1, pause #2, late-start #3",
            "reachable stake 40.0 % < 60 % from 15.000 s to 16.000 s: \
             crash #1, pause #2, partition #4",
        ]
    );
}

#[test]
fn bad_links_and_disks_count_only_where_they_are() {
    let one = |rows: &str| Budget::of(&world("30, 30, 40", HEAL, rows)).at(Nanos(1)).clone();
    for row in [
        "kind = \"loss\"\nshare = \"1%\"",
        "kind = \"corruption\"\nshare = \"1%\"",
        "kind = \"bandwidth\"\nrate = \"1Mbps\"",
        "kind = \"latency\"\nadd = \"231ms\"",
        "kind = \"disk-slow\"\nsync = \"9ms\"",
    ] {
        let phase = one(&format!("[[fault]]\n{row}\nat = \"0s\"\nnodes = [2]\n"));
        assert_eq!((phase.impaired, phase.reachable), (40, 60), "{row}");
        assert!(phase.reasons.is_empty());
    }
    for row in [
        "kind = \"latency\"\nadd = \"230ms\"",
        "kind = \"reordering\"\nshare = \"1%\"\ndelay = \"230ms\"",
        "kind = \"disk-slow\"\nsync = \"8ms\"",
        "kind = \"duplication\"\nshare = \"1%\"",
    ] {
        let phase = one(&format!("[[fault]]\n{row}\nat = \"0s\"\nnodes = [2]\n"));
        assert_eq!((phase.impaired, phase.reachable), (0, 100), "{row}");
    }
    // A node that is down is not also impaired.
    let both = "[[fault]]\nkind = \"loss\"\nshare = \"1%\"\nat = \"0s\"\nnodes = [0]\n".to_owned();
    let phase = one(&(both + &fault("crash", 0, 1, "nodes = [0, 1]")));
    assert_eq!((phase.impaired, phase.crashed, phase.reachable), (0, 60, 40));
}

#[test]
fn base_conditions_excuse_until_the_heal() {
    let base = "network = { loss = \"1%\", corruption = \"0.1%\", duplication = \"5%\" }\n";
    let healing = world("1, 1, 1", HEAL, base);
    assert_eq!(promised(&healing), [(50, None)]);
    let never = world("1, 1, 1", "", &format!("{base}expect = {{ progress = \"50%\" }}\n"));
    assert_eq!(promised(&never), []);
    assert_eq!(
        Budget::of(&never).explain(Nanos(0), Nanos(1)),
        ["base loss of 1% from 0.000 s on", "base corruption of 0.1% from 0.000 s on"]
    );
}

#[test]
fn over_budget_must_be_said() {
    let refuse = |run: &str, rest: &str| plan("1, 1, 1", run, rest).expand(1).unwrap_err().what;
    let stop = "[[fault]]\nkind = \"crash\"\nat = \"9s\"\nnodes = [0, 1]\n";
    let permanent = format!("{stop}permanent = true\n");
    assert!(refuse(HEAL, &permanent).starts_with("reachable stake 33.3 % < 60 % from 50.000 s on"));
    let allowed = format!("{permanent}[expect]\nliveness = false\n");
    assert_eq!(promised(&world("1, 1, 1", HEAL, &allowed)), [(0, Some(9))]);
    // Without a heal, what never ends must leave 60 %; what ends may take everything.
    let floor = |rows: &str| format!("{rows}[expect]\nprogress = \"1%\"\n");
    assert!(refuse("", &floor(stop)).starts_with("reachable stake 33.3 % < 60 % from 9.000 s on"));
    assert_eq!(
        promised(&world("1, 1, 1", "", &floor(&fault("pause", 9, 1, "nodes = \"all\"")))).len(),
        2
    );
    let slow = "cluster.regions={one-way=\"251ms\"}".to_owned();
    let text = "about = \"x\"\nplan_format = 1\nrun = { duration = \"9s\", heal_at = \"3s\" }\n\
                cluster = { nodes = 3, stake = \"equal\", regions = \"mainnet\" }\n";
    let expand = |sets: &[String]| Plan::parse("p", "p.toml", text, sets).unwrap().expand(1);
    assert!(
        expand(std::slice::from_ref(&slow))
            .unwrap_err()
            .what
            .contains("251ms, longer than delta = 250ms")
    );
    let raised = "params={ delta = \"251ms\" }".to_owned();
    expand(&[slow.clone(), raised]).unwrap();
    expand(&[slow, "expect.liveness=false".to_owned()]).unwrap();
}

/// 10 s without a quorum and 10.4 s until lost votes come again are 26 windows of 0.81 s, and 17
/// may fail after that.
#[test]
fn an_epoch_must_outlast_the_faults() {
    let dark = fault("crash", 10, 10, "nodes = [0, 1, 2]");
    let of = |slots: u32, faults: &str| {
        plan("1, 1, 1, 1, 1", HEAL, &format!("[params]\nepoch_slots = {slots}\n{faults}")).expand(1)
    };
    assert!(of(172, &dark).is_ok());
    let error = of(168, &dark).unwrap_err().to_string();
    assert!(error.contains("in which 172 slots can pass, and an epoch of 168"), "{error}");
    let again = dark.clone() + &fault("crash", 22, 10, "nodes = [1, 2, 3]");
    assert!(of(172, &again).is_err(), "2 s in between are not enough to finalize anything");
    assert!(of(8, &fault("crash", 10, 10, "nodes = [0, 1]")).is_ok(), "60 % go on");
}

#[test]
fn recoveries_say_whether_a_bound_applies() {
    let faults = fault("partition", 5, 5, "side = { nodes = [0] }\nstyle = \"jam\"")
        + &fault("crash", 8, 4, "nodes = [1]")
        + &fault("crash", 20, 5, "nodes = [1]")
        + "[[fault]]\nkind = \"clock-jump\"\nat = \"3s\"\nby = \"1s\"\nnodes = [0]\n"
        + "[[fault]]\nkind = \"crash\"\nat = \"30s\"\nnodes = [2]\npermanent = true\n"
        + &fault("pause", 40, 10, "nodes = [3]");
    let found = |extra: &str| {
        let world = world("10, 10, 10, 10, 60", HEAL, &(extra.to_owned() + &faults));
        Budget::of(&world).recoveries(&world)
    };
    let line = |r: &Recovery| {
        let until = r.undisturbed_until.map_or("the end".into(), |time| time.to_string());
        let bound = r.unbounded.as_deref().unwrap_or("a bound applies");
        assert!(r.messages_lost, "the crash loses some");
        format!("{} at {}, until {until}: {bound}", r.label, r.at)
    };
    let lines: Vec<String> = found("").iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "partition #1 at 10s, until 20s: crash #2 is still in force",
            "crash #2 at 12s, until 20s: a bound applies",
            "crash #3 at 25s, until 30s: a bound applies",
            "pause #6 at 50s, until the end: a bound applies",
            "heal at 50s, until the end: a bound applies",
        ]
    );
    assert_eq!(found("")[0].fault, Some(0));
    assert_eq!(found("")[4].fault, None);
    for (base, reason) in [
        ("duplication = \"1%\"", "base duplication of 1%"),
        ("loss = \"1%\"", "base loss of 1%"),
        ("corruption = \"1%\"", "base corruption of 1%"),
        ("bursts = { loss = \"9%\", length = \"1s\", gap = \"1s\" }", "bursts that lose 9%"),
    ] {
        let found = found(&format!("network = {{ {base} }}\n"));
        assert_eq!(found[1].unbounded.as_deref(), Some(reason), "before the heal");
        assert_eq!(found[4].unbounded, None, "after it");
    }
}

#[test]
fn a_fault_that_begins_with_the_heal_disturbs_it() {
    let faults = fault("crash", 5, 5, "nodes = [0]")
        + &fault("crash", 10, 5, "nodes = [1]")
        + &fault("crash", 20, 5, "nodes = [1]");
    let world = world("1, 1, 1, 1, 1", HEAL, &faults);
    let heals = Budget::of(&world).recoveries(&world);
    assert_eq!(heals[0].unbounded.as_deref(), Some("crash #2 is still in force"));
    assert_eq!(heals[0].undisturbed_until, Some(Nanos::from_secs(20)));
    assert_eq!(
        (&heals[1].unbounded, heals[1].undisturbed_until),
        (&None, heals[0].undisturbed_until)
    );
}

#[test]
fn held_messages_are_late_and_not_lost() {
    let jam = fault("partition", 5, 5, "side = { nodes = [0] }\nstyle = \"jam\"");
    let lost = |rows: &str| {
        let world = world("1, 1, 1", "heal_at = \"10s\"", rows);
        Budget::of(&world).recoveries(&world).iter().all(|heal| heal.messages_lost)
    };
    assert!(!lost(&jam));
    assert!(lost(&jam.replace("jam", "drop")));
    assert!(lost(&jam.replace("jam", "one-way")));
    assert!(lost(&format!("network = {{ loss = \"1%\" }}\n{jam}")));
}

/// What comes later than Δ after the heal is as good as lost: the bound may not wait for it.
#[test]
fn late_beyond_delta_counts_as_lost() {
    let lost = |row: &str| {
        let row = format!("[[fault]]\n{row}\nat = \"0s\"\nfor = \"5s\"\nnodes = [0]\n");
        let world = world("1, 1, 1", "heal_at = \"10s\"", &row);
        Budget::of(&world).recoveries(&world)[1].messages_lost
    };
    assert!(!lost("kind = \"latency\"\nadd = \"230ms\""));
    assert!(lost("kind = \"latency\"\nadd = \"231ms\""));
    assert!(lost("kind = \"reordering\"\nshare = \"1%\"\ndelay = \"8s\""));
    assert!(lost("kind = \"straddle\"\nshare = \"1%\""));
    assert!(lost("kind = \"starvation\"\nturn = \"1ms\""));
    assert!(!lost("kind = \"clock-drift\"\ndrift = \"50000ppm\""));
}

#[test]
fn a_clock_may_be_as_fast_as_the_timeout_is_long() {
    // 800 ms against three times 250 ms: 1/15 is the edge.
    let impaired = |ppb: i64| {
        let row = format!("kind = \"clock-drift\"\ndrift = \"{ppb}ppb\"");
        let row = format!("[[fault]]\n{row}\nat = \"0s\"\nfor = \"5s\"\nnodes = [0]\n");
        Budget::of(&world("1, 2, 7", HEAL, &row)).at(Nanos(1)).impaired
    };
    assert_eq!([impaired(66_666_666), impaired(66_666_667), impaired(-100_000_000)], [0, 1, 0]);
    let mut world = world("1, 1", HEAL, "");
    world.nodes[0].clock_drift.0 = 66_666_667;
    let reasons = &Budget::of(&world).phases[0].reasons;
    assert_eq!(*reasons, [Reason::Clock { drift: Drift(66_666_667) }]);
    world.nodes[0].clock_drift.0 -= 1;
    assert_eq!(Budget::of(&world).phases[0].reasons, []);
}

/// A node whose disk fails is gone until it boots on one that works; one that lost its log is gone
/// for good; one whose disk rots is gone from its next boot on.
#[test]
fn disks_take_nodes_for_longer_than_their_faults() {
    let observing = |rows: &str| -> Vec<(u64, Option<u64>)> {
        let world = world("10, 20, 70", HEAL, rows);
        let phases = Budget::of(&world).phases;
        let seconds = |time: Nanos| time.0 / 1_000_000_000;
        let mut found: Vec<(u64, Option<u64>)> = Vec::new();
        for phase in phases.iter().filter(|phase| phase.observing + phase.crashed > 0) {
            assert_eq!((phase.observing + phase.crashed, phase.reachable), (10, 90));
            match found.last_mut() {
                Some(last) if last.1 == Some(seconds(phase.start)) => {
                    last.1 = phase.end.map(seconds);
                }
                _ => found.push((seconds(phase.start), phase.end.map(seconds))),
            }
        }
        found
    };
    let crash = |at, lasting| fault("crash", at, lasting, "nodes = [0]");
    let error = fault("disk-error", 5, 5, "nodes = [0]\ncause = \"write\"");
    assert_eq!(observing(&error), [(5, None)], "nobody restarts it");
    assert_eq!(observing(&(crash(6, 3) + &error)), [(5, None)], "it boots too early");
    assert_eq!(observing(&(crash(6, 4) + &error)), [(5, Some(10))], "the disk is mended first");
    assert_eq!(observing(&(crash(20, 2) + &error)), [(5, Some(22))]);
    let rot = "[[fault]]\nkind = \"bit-rot\"\nat = \"5s\"\nnodes = [0]\nbits = 1\n";
    assert_eq!(observing(rot), [], "it does not look");
    assert_eq!(observing(&(crash(2, 3) + rot)), [(2, Some(5))], "it has booted before");
    assert_eq!(observing(&(crash(8, 2) + rot)), [(8, None)]);
    let wipe = |at| fault("crash", at, 2, "nodes = [0]\nmode = \"wipe\"");
    assert_eq!(observing(&(wipe(7) + &crash(20, 1))), [(7, None)]);
}

#[test]
fn fault_points_cost_slack() {
    let with = |run: &str| Budget::of(&world("1, 1", run, "")).slack;
    let late = with("heal_at = \"50s\", buggify = \"1%\"").0 - with(HEAL).0;
    assert_eq!(late, 6_000_000, "three writes that start a millisecond late and end another");
}

#[test]
fn slack_counts_syncs_inputs_grid_and_drift() {
    let base = "disk = { sync = \"2ms\", sync_jitter = \"50%\" }\ncpu = { decode = \"500us\" }\n\
                network = { grid = \"100us\" }\nparams = { max_slices = 2 }\n";
    let mut world = world("1, 1", HEAL, base);
    assert_eq!(Budget::of(&world).slack, Nanos(21_100_000));
    world.nodes[1].clock_drift.0 = -100_000_000;
    assert_eq!(Budget::of(&world).slack, Nanos(23_210_000));
    assert!(Budget::of(&world).safety());
}

#[test]
fn a_clock_that_is_behind_starts_late() {
    let mut world = world("1, 1, 1", HEAL, "");
    world.nodes[0].clock_offset.0 = -300_000_000;
    world.nodes[1].clock_offset.0 = 300_000_000;
    let times = [0, 1, 2].map(|node| world.hampered(node));
    assert_eq!(times, [vec![(Nanos(0), Nanos::from_millis(300))], vec![], vec![]]);
}

fn any_fault(nodes: usize) -> impl Strategy<Value = (bool, Vec<bool>, u8)> {
    (any::<bool>(), prop::collection::vec(any::<bool>(), nodes), 0..3u8)
}

proptest! {
    /// The heaviest set whose members all hear each other both ways, by trying every set.
    #[test]
    fn reachable_stake_agrees_with_brute_force(
        stakes in prop::collection::vec(1..50u64, 6),
        faults in prop::collection::vec(any_fault(6), 0..4),
    ) {
        let list: Vec<String> = stakes.iter().map(u64::to_string).collect();
        let mut world = world(&list.join(", "), HEAL, "expect = { liveness = false }\n");
        for (crash, hit, style) in &faults {
            let nodes: Vec<u16> = (0..6).filter(|n| hit[usize::from(*n)]).collect();
            let effect = match (crash, style) {
                (true, _) => Effect::Crash { mode: CrashMode::Lose },
                (_, 0) => Effect::Partition { style: CutStyle::Drop },
                (_, 1) => Effect::Partition { style: CutStyle::Jam },
                _ => Effect::Partition { style: CutStyle::OneWay },
            };
            let stake = nodes.iter().map(|n| stakes[usize::from(*n)]).sum();
            let (label, start, end) = (String::new(), Nanos(0), Some(Nanos(9)));
            world.faults.push(Fault { label, start, end, nodes, stake, effect });
        }
        let up = |n: usize| !faults.iter().any(|(crash, hit, _)| *crash && hit[n]);
        let cut = |a: usize, b: usize| faults.iter().any(|(crash, hit, _)| !crash && hit[a] != hit[b]);
        let best = (0..64u32).filter_map(|set| {
            let members: Vec<usize> = (0..6).filter(|n| set >> n & 1 == 1).collect();
            let linked = members.iter().all(|a| up(*a) && members.iter().all(|b| !cut(*a, *b)));
            linked.then(|| members.iter().map(|n| stakes[*n]).sum::<u64>())
        });
        let budget = Budget::of(&world);
        let phase = &budget.phases[0];
        prop_assert_eq!(phase.reachable, best.max().unwrap());
        let counted = phase.crashed + phase.paused + phase.absent + phase.impaired;
        prop_assert_eq!(counted + phase.unreachable + phase.reachable, budget.total);
        let promised = phase.reasons.is_empty();
        prop_assert_eq!(promised, phase.reachable * 5 >= budget.total * 3);
    }
}

/// 199 of 1,000 lie and 200 are down: 601 owe progress, unless the lies split the votes; 200 that
/// lie are too many, even if no two of them ever lie at the same time.
#[test]
fn liars_count_over_the_whole_run() {
    const STAKES: &str = "199, 1, 200, 300, 300";
    let lie = |how: &str, node: u8, at: u32| {
        let rest = format!("behaviour = {how}\nnodes = [{node}]");
        fault("byzantine", at, 5, &rest)
    };
    let crash = fault("crash", 10, 10, "nodes = [2]");
    let one = world(STAKES, HEAL, &(lie("\"dark-relays\"", 0, 30) + &crash));
    let budget = Budget::of(&one);
    assert_eq!((budget.byzantine, budget.safety()), (199, true));
    let at = |s: u64| budget.at(Nanos::from_secs(s));
    assert_eq!((at(0).byzantine, at(0).reachable), (199, 801), "before it lies, too");
    assert_eq!((at(11).crashed, at(11).reachable), (200, 601));
    assert_eq!(promised(&one), [(0, None)]);
    // A crash of the liar takes nothing more away.
    let down = fault("crash", 10, 10, "nodes = [0]");
    let same = world(STAKES, HEAL, &(lie("\"dark-relays\"", 0, 30) + &down));
    assert_eq!(Budget::of(&same).at(Nanos::from_secs(11)).reachable, 801);

    let split = world(STAKES, HEAL, &(lie("[\"vote-spam\", \"twins\"]", 0, 12) + &crash));
    assert_eq!(promised(&split), [(0, Some(12)), (20, None)], "what is split stays split");
    assert_eq!(
        Budget::of(&split).explain(Nanos(0), Nanos::from_secs(60)),
        ["leaders split the votes while only 60.1 % are correct and in touch from 12.000 s to \
          20.000 s: byzantine #1"]
    );
    // Once something is final above what was split, it owes nothing any more.
    let late = fault("crash", 49, 1, "nodes = [2]");
    let mut long = world(STAKES, HEAL, &(lie("\"twins\"", 0, 12) + &late));
    assert_eq!(promised(&long), [(0, Some(49)), (50, None)]);
    long.params.standstill = Nanos::from_secs(1);
    long.params.delta_timeout = Nanos::from_millis(100);
    long.params.delta = Nanos::from_millis(30);
    long.params.delta_block = Nanos::from_millis(100);
    assert_eq!(promised(&long), [(0, None)]);

    let both = lie("\"twins\"", 0, 30) + &lie("\"twins\"", 1, 40);
    let refused = plan(STAKES, HEAL, &both).expand(1).unwrap_err();
    assert_eq!(
        refused.what,
        "byzantine stake 20.0 % over the run, 20.0 % of it by 40.000 s (byzantine #2), and safety \
         is promised below 20 %"
    );
    let said = both + "[expect]\nsafety = \"may-break\"\n";
    let refused = plan(STAKES, HEAL, &said).expand(1).unwrap_err();
    assert_eq!(refused.what, "byzantine stake 20.0 %, not below 20 % from 50.000 s on");
    let said = Budget::of(&world(STAKES, HEAL, &(said + "liveness = false\n")));
    assert_eq!((said.safety(), said.promised()), (false, vec![]));
}
