//! Packets through a whole world: exact times, order, faults at run time, and what is counted.

#[path = "common/datagrams.rs"]
mod common;
#[path = "common/scribe.rs"]
mod scribe;

use common::{Datagram, MS, calm};
use scribe::{Log, Scribe};
use sim_tests::testing::in_child;
use sim_tests::world::network::{Latency, Links, Socket, Uplink};
use sim_tests::world::{Arrival, Config, Port, Stop, World, run};
use std::sync::{Arc, Mutex};

/// What arrived where: (world time since start, receiver, text).
type Seen = Arc<Mutex<Vec<(u64, usize, String)>>>;

/// Node 0 sends what the harness asks for: command `c` is packet number `c` to node 1. All others
/// write down what arrives.
async fn sender_or_receiver(mut port: Port<Datagram>, seen: Seen) {
    let start = port.now_ns();
    let mut arrivals = Vec::new();
    loop {
        port.next(None, &mut arrivals).await;
        let now = port.now_ns() - start;
        for arrival in arrivals.drain(..) {
            match arrival {
                Arrival::Command(id) => port.send(1, format!("{id}").as_str().into(), id),
                Arrival::Packet { payload, .. } => {
                    let text = String::from_utf8_lossy(&payload.0).into_owned();
                    seen.lock().unwrap().push((now, port.node(), text));
                }
                _ => {}
            }
        }
    }
}

/// Starts all nodes of a world in which node 0 sends one packet at each of `times`.
fn world(config: Config, times: &[u64]) -> (World<Datagram>, Seen) {
    let nodes = config.nodes;
    let world = World::new(config);
    let seen = Seen::default();
    let for_nodes = Arc::clone(&seen);
    world.set_program(move |port| sender_or_receiver(port, Arc::clone(&for_nodes)));
    (0..nodes).for_each(|node| world.start(node));
    for (id, at_ns) in times.iter().enumerate() {
        world.schedule_command(*at_ns, 0, id as u64);
    }
    (world, seen)
}

fn texts(seen: &Seen) -> Vec<(u64, String)> {
    seen.lock().unwrap().iter().map(|(at, _, text)| (*at, text.clone())).collect()
}

#[test]
fn packets_arrive_at_exact_times_and_in_order() {
    in_child("packets_arrive_at_exact_times_and_in_order", || {
        run(1, || async {
            let mut config = calm(2, 1);
            config.network.edit(Links::All, |link| {
                link.latency = Latency::with_jitter(12_345_678, 0);
            });
            let (world, seen) = world(config, &[7, 5, 1_000]);
            assert_eq!(world.pump(u64::MAX).await, Stop::Limit);
            let expected = [(5 + 12_345_678, "1"), (7 + 12_345_678, "0"), (12_346_678, "2")];
            let expected: Vec<_> = expected.map(|(at, text)| (at, text.to_owned())).into();
            assert_eq!(texts(&seen), expected);
            assert_eq!(world.now_ns(), 12_346_678, "time stops with the last event");
            let stats = world.stats();
            assert_eq!((stats.sent, stats.delivered, stats.dropped.len()), (3, 3, 0));
        })
        .unwrap();
    });
}

#[test]
fn the_observer_sees_it_all_in_order() {
    in_child("the_observer_sees_it_all_in_order", || {
        run(1, || async {
            let (world, _) = world(calm(2, 1), &[5]);
            let log = Log::default();
            world.set_observer(Scribe(Arc::clone(&log)));
            world.schedule_command(12 * MS, 0, 9);
            world.schedule_control(15 * MS, 77);
            assert_eq!(world.pump(u64::MAX).await, Stop::Control(77));
            world.cut(0, 1);
            world.pump(u64::MAX).await;
            let expected = "0 0 Started { incarnation: 1 }\n0 1 Started { incarnation: 1 }\n\
                            5 0 Command(0)\n5 0>1 sent 0 b\"0\"\n\
                            10000005 0>1 delivered 0 b\"0\"\n\
                            12000000 0 Command(9)\n12000000 0>1 sent 9 b\"9\"\n\
                            22000000 0>1 dropped 9 cut";
            assert_eq!(log.lock().unwrap().join("\n"), expected);
        })
        .unwrap();
    });
}

#[test]
fn a_cut_kills_what_is_under_way_and_only_one_direction() {
    in_child("a_cut_kills_what_is_under_way_and_only_one_direction", || {
        run(1, || async {
            let world = World::new(calm(2, 1));
            let log = Log::default();
            world.set_observer(Scribe(Arc::clone(&log)));
            // Both nodes send one packet to the other every 4 ms.
            world.set_program(|mut port: Port<Datagram>| async move {
                let start = port.now_ns();
                let mut arrivals = Vec::new();
                for round in 1..=5 {
                    let deadline = start + round * 4 * MS;
                    while port.now_ns() < deadline {
                        port.next(Some(deadline), &mut arrivals).await;
                    }
                    port.send(1 - port.node(), "x".into(), round);
                }
                loop {
                    port.next(None, &mut arrivals).await;
                }
            });
            (0..2).for_each(|node| world.start(node));
            // Sent at 4, 8, 12, 16, 20 ms; they arrive 10 ms later.
            world.pump(17 * MS).await;
            world.cut(0, 1);
            world.pump(23 * MS).await;
            world.uncut(0, 1);
            world.schedule_control(40 * MS, 0);
            world.pump(u64::MAX).await;
            let log = log.lock().unwrap();
            let labels = |pattern: &str| -> Vec<&str> {
                log.iter()
                    .filter(|line| line.contains(pattern))
                    .map(|line| line.split(' ').nth(3).unwrap())
                    .collect()
            };
            assert_eq!(labels("0>1 delivered"), ["1", "4", "5"], "14 | 18, 22 | 26, 30");
            assert_eq!(labels("0>1 dropped"), ["2", "3"]);
            assert_eq!(labels("1>0 delivered"), ["1", "2", "3", "4", "5"]);
        })
        .unwrap();
    });
}

#[test]
fn a_jam_holds_and_releases() {
    in_child("a_jam_holds_and_releases", || {
        run(1, || async {
            let times: Vec<u64> = (0..10).map(|i| i * MS).collect();
            let (world, seen) = world(calm(2, 1), &times);
            world.jam(0, 1);
            world.jam(0, 1);
            world.pump(15 * MS).await;
            world.unjam(0, 1);
            world.pump(16 * MS).await;
            assert_eq!(texts(&seen), [], "one of two jams is left");
            world.unjam(0, 1);
            world.pump(17 * MS).await;
            let released = texts(&seen);
            assert_eq!(released.len(), 8, "all that had arrived by 16 ms, and the one due at 17");
            assert!(released[..7].iter().all(|(at, _)| (16 * MS..17 * MS).contains(at)));
            let order: Vec<&str> = released[..7].iter().map(|(_, text)| text.as_str()).collect();
            assert!(!order.is_sorted(), "the order is explored: {order:?}");
            world.pump(u64::MAX).await;
            assert_eq!(texts(&seen).len(), 10);
            assert_eq!(texts(&seen)[9], (19 * MS, "9".to_owned()));
        })
        .unwrap();
    });
}

#[test]
fn quality_can_be_changed_and_healed_at_run_time() {
    in_child("quality_can_be_changed_and_healed_at_run_time", || {
        run(1, || async {
            let times: Vec<u64> = (0..2_000).map(|i| i * MS / 10).collect();
            let (world, seen) = world(calm(2, 1), &times);
            world.set_link_quality(Links::One(0, 1), |link| {
                link.quality.loss_ppb = 300_000_000;
                link.quality.duplicate_ppb = 100_000_000;
                link.quality.corrupt_ppb = 100_000_000;
            });
            world.pump(110 * MS).await;
            let before = world.stats();
            assert_eq!(world.link(0, 1).quality.loss_ppb, 300_000_000);
            world.set_link_quality(Links::All, |link| link.quality = Default::default());
            let (arrived, sent) = (seen.lock().unwrap().len() as u64, before.sent);
            assert_eq!(arrived, before.delivered);
            assert_eq!(sent, 1_101);
            let lost = before.dropped["loss"];
            // About 1,100 copies have arrived or were lost: 30 %, plus or minus five sigma.
            assert!((250..420).contains(&lost), "{lost}");
            assert!((60..165).contains(&before.duplicated), "{}", before.duplicated);
            assert!((40..130).contains(&before.corrupted), "{}", before.corrupted);
            world.pump(u64::MAX).await;
            let after = world.stats();
            assert_eq!(after.dropped, before.dropped, "nothing is lost after the heal");
            assert_eq!(after.corrupted, before.corrupted);
            assert_eq!(after.sent + after.duplicated, after.delivered + lost);
        })
        .unwrap();
    });
}

#[test]
fn the_uplink_delays_a_broadcast() {
    in_child("the_uplink_delays_a_broadcast", || {
        run(1, || async {
            let mut config = calm(4, 1);
            // 1,000 bytes a millisecond; room for three packets of 500.
            let uplink = Uplink { bytes_per_second: 1_000_000, queue_bytes: 1_500 };
            config.network.uplinks[0] = Some(uplink);
            let world = World::new(config);
            let log = Log::default();
            world.set_observer(Scribe(Arc::clone(&log)));
            world.set_program(|mut port: Port<Datagram>| async move {
                if port.node() == 0 {
                    for to in [1, 2, 3, 1] {
                        port.send(to, "a".repeat(500).as_str().into(), to as u64);
                    }
                }
                loop {
                    port.next(None, &mut Vec::new()).await;
                }
            });
            (0..4).for_each(|node| world.start(node));
            world.pump(u64::MAX).await;
            let log = log.lock().unwrap();
            let at = |to: &str| {
                let pattern = format!("0>{to} delivered");
                let line = log.iter().find(|line| line.contains(&pattern)).unwrap();
                line.split(' ').next().unwrap().parse::<u64>().unwrap()
            };
            let due = [10 * MS + MS / 2, 11 * MS, 11 * MS + MS / 2];
            assert_eq!([at("1"), at("2"), at("3")], due);
            assert_eq!(world.stats().dropped["uplink"], 1);
        })
        .unwrap();
    });
}

#[test]
fn a_paused_node_reads_late_and_its_socket_overflows() {
    in_child("a_paused_node_reads_late_and_its_socket_overflows", || {
        run(1, || async {
            let times: Vec<u64> = (0..10).map(|i| i * MS).collect();
            let mut config = calm(2, 1);
            config.network.socket = Socket { packets: 5, bytes: 1_000 };
            let (world, seen) = world(config, &times);
            world.pump(12 * MS).await;
            assert_eq!(texts(&seen).len(), 3, "10, 11 and 12 ms");
            world.pause(1);
            world.pump(30 * MS).await;
            assert_eq!(texts(&seen).len(), 3);
            world.resume(1);
            world.pump(31 * MS).await;
            let late: Vec<_> = texts(&seen)[3..].to_vec();
            let expected: Vec<_> = (3..8).map(|i| (30 * MS, i.to_string())).collect();
            assert_eq!(late, expected, "five fit, in order, read when it goes on");
            assert_eq!(world.stats().dropped["socket"], 2);
            // What was read makes room: the next pause has all of the socket again.
            (40..48).for_each(|at| world.schedule_command(at * MS, 0, at));
            world.pump(49 * MS).await;
            world.pause(1);
            world.pump(60 * MS).await;
            assert_eq!(world.stats().dropped["socket"], 5, "five of eight fit");
        })
        .unwrap();
    });
}

#[test]
fn latency_follows_its_percentiles() {
    in_child("latency_follows_its_percentiles", || {
        run(1, || async {
            let times: Vec<u64> = (0..20_000).map(|i| i * MS).collect();
            let mut config = calm(2, 1);
            config.network.edit(Links::All, |link| {
                link.latency = Latency { p50_ns: 30 * MS, p90_ns: 40 * MS };
            });
            let (world, seen) = world(config, &times);
            world.pump(u64::MAX).await;
            let took =
                |(at, _, text): &(u64, usize, String)| at - text.parse::<u64>().unwrap() * MS;
            let mut delays: Vec<u64> = seen.lock().unwrap().iter().map(took).collect();
            delays.sort_unstable();
            assert_eq!(delays.len(), 20_000);
            assert!(delays[10_000].abs_diff(30 * MS) < MS / 2, "{}", delays[10_000]);
            assert!(delays[18_000].abs_diff(40 * MS) < MS / 2, "{}", delays[18_000]);
            assert!(delays[0] >= 18 * MS && delays[19_999] <= 60 * MS);
        })
        .unwrap();
    });
}
