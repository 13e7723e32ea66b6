//! The life of a node: starts, crashes, pauses, timers, clocks, commands, panics.

#[path = "common/datagrams.rs"]
mod common;
#[path = "common/scribe.rs"]
mod scribe;

use common::{Datagram, MS, calm};
use scribe::{Log, Scribe};
use sim_tests::testing::in_child;
use sim_tests::world::disk::CrashMode;
use sim_tests::world::{Arrival, Port, Stop, WALL_START_NS, World, run};
use std::sync::{Arc, Mutex};

type Lines = Arc<Mutex<Vec<String>>>;

fn note(lines: &Lines, line: String) {
    lines.lock().unwrap().push(line);
}

fn joined(lines: &Lines) -> String {
    std::mem::take(&mut *lines.lock().unwrap()).join("; ")
}

/// Writes its own end down.
struct Mortal(Lines, String);

impl Drop for Mortal {
    fn drop(&mut self) {
        note(&self.0, format!("end of {}", self.1));
    }
}

/// Writes down every arrival; asks for a flush and a wake far ahead on start.
async fn witness(mut port: Port<Datagram>, lines: Lines) {
    let me = format!("{}.{}", port.node(), port.incarnation());
    let _mortal = Mortal(Arc::clone(&lines), me.clone());
    note(&lines, format!("start of {me}"));
    let start = port.now_ns();
    port.flush_ticket(u64::from(port.incarnation()));
    let mut deadline = Some(start + 50 * MS);
    let mut arrivals = Vec::new();
    loop {
        port.next(deadline, &mut arrivals).await;
        let after = (port.now_ns() - start) / MS;
        for arrival in arrivals.drain(..) {
            if arrival == Arrival::Wake {
                deadline = None;
            }
            if arrival == Arrival::Command(99) {
                return;
            }
            note(&lines, format!("{me} +{after} {arrival:?}"));
        }
    }
}

fn witnesses(nodes: usize) -> (World<Datagram>, Lines) {
    let world = World::new(calm(nodes, 1));
    let lines = Lines::default();
    let for_nodes = Arc::clone(&lines);
    world.set_program(move |port| witness(port, Arc::clone(&for_nodes)));
    (world, lines)
}

#[test]
fn a_crash_ends_an_incarnation_and_nothing_of_it_returns() {
    in_child("a_crash_ends_an_incarnation_and_nothing_of_it_returns", || {
        run(1, || async {
            let (world, lines) = witnesses(1);
            world.start(0);
            world.pump(10 * MS).await;
            assert_eq!(joined(&lines), "start of 0.1; 0.1 +0 Done { ticket: 1, result: Ok(()) }");
            // Flushes, wakes and commands for the incarnation that is about to die.
            world.edit_disk(0, |disk| disk.sync_ns = 15 * MS);
            world.schedule_command(25 * MS, 0, 7);
            world.pump(20 * MS).await;
            world.crash(0, CrashMode::Lose);
            assert!(!world.is_up(0));
            assert_eq!(joined(&lines), "", "it is dropped when time goes on");
            world.pump(30 * MS).await;
            assert_eq!(joined(&lines), "end of 0.1", "the command was lost");
            world.start(0);
            world.pump(79 * MS).await;
            let fresh = "start of 0.2; 0.2 +0 Done { ticket: 2, result: Ok(()) }";
            assert_eq!(joined(&lines), fresh, "the wake of the first at 50 ms is not for it");
            world.pump(81 * MS).await;
            assert_eq!(joined(&lines), "0.2 +50 Wake");
            // Crash and start at one instant.
            world.crash(0, CrashMode::Keep);
            world.start(0);
            world.pump(82 * MS).await;
            let ends = "end of 0.2; start of 0.3; 0.3 +0 Done { ticket: 3, result: Ok(()) }";
            assert_eq!(joined(&lines), ends, "the old one is gone before the new one begins");
        })
        .unwrap();
    });
}

/// A node that waits for a time on its own clock is woken earlier or later when the clock changes.
#[test]
fn a_change_of_drift_moves_the_wake() {
    in_child("a_change_of_drift_moves_the_wake", || {
        run(1, || async {
            let (world, lines) = witnesses(2);
            (0..2).for_each(|node| world.start(node));
            world.pump(10 * MS).await;
            world.set_clock_drift(0, 100_000_000);
            // Both want to be woken after 50 ms of their time; 40 ms fast are 36.4 ms.
            joined(&lines);
            world.pump(47 * MS).await;
            assert_eq!(joined(&lines), "0.1 +50 Wake");
            world.pump(51 * MS).await;
            assert_eq!(joined(&lines), "1.1 +50 Wake");
        })
        .unwrap();
    });
}

#[test]
fn a_program_that_returns_is_down_and_can_be_started_again() {
    in_child("a_program_that_returns_is_down_and_can_be_started_again", || {
        run(1, || async {
            let (world, lines) = witnesses(2);
            let log = Log::default();
            world.set_observer(Scribe(Arc::clone(&log)));
            (0..2).for_each(|node| world.start(node));
            world.schedule_command(5 * MS, 0, 99);
            world.schedule_command(6 * MS, 1, 1);
            world.pump(7 * MS).await;
            assert!(!world.is_up(0) && world.is_up(1));
            assert!(joined(&lines).ends_with("end of 0.1; 1.1 +6 Command(1)"));
            world.start(0);
            world.pump(8 * MS).await;
            assert!(joined(&lines).starts_with("start of 0.2"));
            let log = log.lock().unwrap().join("\n");
            assert!(log.contains("5000000 0 Exited\n6000000 1 Command(1)\n"), "{log}");
            assert!(log.contains("7000000 0 Started { incarnation: 2 }"), "{log}");
        })
        .unwrap();
    });
}

#[test]
fn a_pause_delays_wakes_and_a_crash_ends_it() {
    in_child("a_pause_delays_wakes_and_a_crash_ends_it", || {
        run(1, || async {
            let (world, lines) = witnesses(1);
            world.start(0);
            world.pump(10 * MS).await;
            joined(&lines);
            world.pause(0);
            world.schedule_command(20 * MS, 0, 3);
            world.pump(70 * MS).await;
            assert_eq!(joined(&lines), "");
            world.resume(0);
            world.pump(71 * MS).await;
            assert_eq!(joined(&lines), "0.1 +70 Command(3); 0.1 +70 Wake");
            world.pause(0);
            world.schedule_command(72 * MS, 0, 4);
            world.pump(73 * MS).await;
            world.crash(0, CrashMode::Keep);
            world.start(0);
            world.pump(74 * MS).await;
            let expected = "end of 0.1; start of 0.2; 0.2 +0 Done { ticket: 2, result: Ok(()) }";
            assert_eq!(joined(&lines), expected, "what waited for the dead one is gone");
            world.resume(0);
            // Paused before its first poll.
            world.crash(0, CrashMode::Keep);
            world.start(0);
            world.pause(0);
            world.pump(80 * MS).await;
            assert_eq!(joined(&lines), "end of 0.2");
            world.resume(0);
            world.pump(81 * MS).await;
            assert!(joined(&lines).starts_with("start of 0.3"));
        })
        .unwrap();
    });
}

/// Sends once more when it is dropped.
struct LastWords(Port<Datagram>);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.0.send(0, "and another thing".into(), 1);
        self.0.flush_ticket(1);
    }
}

#[test]
fn the_dead_are_silent() {
    in_child("the_dead_are_silent", || {
        run(1, || async {
            let world = World::new(calm(2, 1));
            world.set_program(|port: Port<Datagram>| async move {
                let mut alive = LastWords(port);
                let mut arrivals = Vec::new();
                loop {
                    alive.0.next(None, &mut arrivals).await;
                    if arrivals.pop() == Some(Arrival::Command(1)) {
                        return;
                    }
                }
            });
            (0..2).for_each(|node| world.start(node));
            world.pump(MS).await;
            world.crash(0, CrashMode::Lose);
            world.crash(1, CrashMode::Lose);
            world.start(1);
            world.pump(2 * MS).await;
            assert_eq!(world.stats().sent, 0, "a crash leaves no time for words");
            world.schedule_command(3 * MS, 1, 1);
            world.pump(4 * MS).await;
            assert_eq!(world.stats().sent, 1, "a program that returns may say goodbye");
        })
        .unwrap();
    });
}

#[test]
fn packets_to_a_node_that_is_down_are_dropped_and_counted() {
    in_child("packets_to_a_node_that_is_down_are_dropped_and_counted", || {
        run(1, || async {
            let world = World::new(calm(2, 1));
            world.set_program(|mut port: Port<Datagram>| async move {
                let mut arrivals = Vec::new();
                loop {
                    port.next(None, &mut arrivals).await;
                    for arrival in arrivals.drain(..) {
                        if let Arrival::Command(id) = arrival {
                            port.send(1, "x".into(), id);
                        }
                    }
                }
            });
            (0..2).for_each(|node| world.start(node));
            world.schedule_command(0, 0, 1);
            world.schedule_command(MS, 0, 2);
            world.pump(5 * MS).await;
            world.crash(1, CrashMode::Lose);
            world.pump(10 * MS).await;
            assert_eq!(world.stats().dropped["down"], 1);
            world.start(1);
            world.pump(12 * MS).await;
            assert_eq!(world.stats().delivered, 1, "an address outlives its machine");
        })
        .unwrap();
    });
}

#[test]
fn clocks_drift_jump_and_have_origins_of_their_own() {
    in_child("clocks_drift_jump_and_have_origins_of_their_own", || {
        run(1, || async {
            let mut config = calm(3, 1);
            config.clocks[1].drift_ppb = 100_000_000;
            config.clocks[1].wall_offset_ns = -5 * MS as i64;
            let world = World::new(config);
            let seen = Arc::new(Mutex::new(Vec::new()));
            let for_nodes = Arc::clone(&seen);
            let clock = world.clone();
            world.set_program(move |mut port: Port<Datagram>| {
                let (seen, clock) = (Arc::clone(&for_nodes), clock.clone());
                async move {
                    let origin = port.now_ns();
                    port.next(Some(origin + 110 * MS), &mut Vec::new()).await;
                    seen.lock().unwrap().push((
                        port.node(),
                        origin,
                        clock.now_ns(),
                        port.wall_ns() - WALL_START_NS,
                    ));
                }
            });
            (0..3).for_each(|node| world.start(node));
            world.pump(50 * MS).await;
            world.jump_wall_clock(2, 1_000 * MS as i64);
            world.pump(u64::MAX).await;
            let first = seen.lock().unwrap().clone();
            let times: Vec<_> =
                first.iter().map(|(node, _, at, wall)| (*node, *at, *wall)).collect();
            assert_eq!(times[0], (1, 100 * MS, 105 * MS), "a tenth faster, 5 ms behind");
            assert!(times.contains(&(0, 110 * MS, 110 * MS)));
            assert!(times.contains(&(2, 110 * MS, 1_110 * MS)));
            world.start(0);
            world.pump(u64::MAX).await;
            let mut origins: Vec<u64> = seen.lock().unwrap().iter().map(|entry| entry.1).collect();
            origins.sort_unstable();
            origins.dedup();
            assert_eq!(origins.len(), 4, "another origin on each node and after each start");
        })
        .unwrap();
    });
}

#[test]
fn only_the_latest_deadline_counts() {
    in_child("only_the_latest_deadline_counts", || {
        run(1, || async {
            let world = World::new(calm(1, 1));
            let lines = Lines::default();
            let for_nodes = Arc::clone(&lines);
            world.set_program(move |mut port: Port<Datagram>| {
                let lines = Arc::clone(&for_nodes);
                async move {
                    let start = port.now_ns();
                    // A deadline is chosen by the latest command; one in the past is due at once.
                    let (mut deadline, mut arrivals) = (Some(start + 40 * MS), Vec::new());
                    loop {
                        port.next(deadline, &mut arrivals).await;
                        for arrival in arrivals.drain(..) {
                            let at = (port.now_ns() - start) / MS;
                            match arrival {
                                Arrival::Command(0) => deadline = None,
                                Arrival::Command(ms) => deadline = Some(start + ms * MS),
                                _ => {
                                    note(&lines, format!("{at}"));
                                    deadline = None;
                                }
                            }
                        }
                    }
                }
            });
            world.start(0);
            for (at, ms) in [(10, 30), (20, 60), (70, 80), (75, 0), (90, 50), (95, 97), (96, 97)] {
                world.schedule_command(at * MS, 0, ms);
            }
            world.pump(u64::MAX).await;
            assert_eq!(joined(&lines), "60; 90; 97");
        })
        .unwrap();
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    in_child("a_dropped_wait_loses_nothing", || {
        run(1, || async {
            let world = World::new(calm(2, 1));
            let count = Arc::new(Mutex::new((0, 0)));
            let for_nodes = Arc::clone(&count);
            world.set_program(move |mut port: Port<Datagram>| {
                let count = Arc::clone(&for_nodes);
                async move {
                    let mut arrivals = Vec::new();
                    loop {
                        // Polls a wait twice, drops it in between, and starts another one.
                        let mut wait = Box::pin(port.next(None, &mut arrivals));
                        let once = std::future::poll_fn(|context| {
                            std::task::Poll::Ready(wait.as_mut().poll(context).is_ready())
                        });
                        let ready = once.await;
                        drop(wait);
                        if !ready {
                            count.lock().unwrap().1 += 1;
                            port.next(None, &mut arrivals).await;
                        }
                        count.lock().unwrap().0 += arrivals.drain(..).count();
                    }
                }
            });
            (0..2).for_each(|node| world.start(node));
            for id in 0..100 {
                world.schedule_command(id / 3 * MS, id as usize % 2, id);
            }
            world.pump(u64::MAX).await;
            let (arrived, dropped) = *count.lock().unwrap();
            assert_eq!(arrived, 100);
            assert!(dropped > 20, "{dropped}");
        })
        .unwrap();
    });
}

#[test]
fn control_points_come_first_and_a_dropped_pump_can_be_resumed() {
    in_child("control_points_come_first_and_a_dropped_pump_can_be_resumed", || {
        run(1, || async {
            let (world, lines) = witnesses(1);
            world.start(0);
            for id in 0..20 {
                world.schedule_command(10 * MS, 0, id);
            }
            world.schedule_control(10 * MS, 5);
            world.schedule_control(10 * MS, 6);
            drop(world.pump(30 * MS));
            assert_eq!(world.pump(30 * MS).await, Stop::Control(5));
            assert_eq!(world.pump(30 * MS).await, Stop::Control(6));
            assert!(!joined(&lines).contains("Command"));
            // Polled once and dropped while a node has the baton.
            {
                let mut pump = Box::pin(world.pump(30 * MS));
                std::future::poll_fn(|context| {
                    assert!(pump.as_mut().poll(context).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
            }
            assert_eq!(world.pump(30 * MS).await, Stop::Limit);
            assert_eq!(world.now_ns(), 30 * MS);
            assert_eq!(joined(&lines).matches("Command").count(), 20);
            assert_eq!(world.pump(20 * MS).await, Stop::Limit);
            assert_eq!(world.now_ns(), 30 * MS, "time never goes back");
        })
        .unwrap();
    });
}

/// Work adds up, what arrives meanwhile waits in order, and a crash ends it.
#[test]
fn a_busy_processor_keeps_everything_waiting() {
    in_child("a_busy_processor_keeps_everything_waiting", || {
        run(1, || async {
            let world = World::new(calm(1, 1));
            let lines = Lines::default();
            let for_nodes = Arc::clone(&lines);
            world.set_program(move |mut port: Port<Datagram>| {
                let lines = Arc::clone(&for_nodes);
                async move {
                    let (start, mut arrivals) = (port.now_ns(), Vec::new());
                    loop {
                        port.next(None, &mut arrivals).await;
                        for arrival in arrivals.drain(..) {
                            let after = (port.now_ns() - start) / MS;
                            note(&lines, format!("+{after} {arrival:?}"));
                            if let Arrival::Command(ms) = arrival {
                                port.work(ms * MS);
                            }
                        }
                    }
                }
            });
            world.start(0);
            world.schedule_command(10 * MS, 0, 20);
            world.schedule_command(15 * MS, 0, 5);
            world.schedule_command(16 * MS, 0, 5);
            world.pump(29 * MS).await;
            assert_eq!(joined(&lines), "+10 Command(20)");
            world.schedule_command(32 * MS, 0, 0);
            world.pump(39 * MS).await;
            assert_eq!(joined(&lines), "+30 Command(5); +30 Command(5)", "they waited together");
            world.pump(41 * MS).await;
            assert_eq!(joined(&lines), "+40 Command(0)", "their work adds up");
            world.schedule_command(50 * MS, 0, 1_000);
            world.pump(60 * MS).await;
            world.crash(0, CrashMode::Keep);
            world.start(0);
            world.schedule_command(61 * MS, 0, 0);
            world.pump(62 * MS).await;
            assert_eq!(joined(&lines), "+50 Command(1000); +1 Command(0)", "a new one is idle");
        })
        .unwrap();
    });
}

/// A program that works on one packet at a time sees its timers and answers between them.
#[test]
fn timers_do_not_wait_behind_packets() {
    in_child("timers_do_not_wait_behind_packets", || {
        run(1, || async {
            let world = World::new(calm(2, 1));
            let lines = Lines::default();
            let for_nodes = Arc::clone(&lines);
            world.set_program(move |mut port: Port<Datagram>| {
                let lines = Arc::clone(&for_nodes);
                async move {
                    let (start, mut arrivals) = (port.now_ns(), Vec::new());
                    let (mut timer, mut number) = (Some(start + 25 * MS), 0);
                    loop {
                        port.next_few(1, timer.filter(|_| port.node() == 1), &mut arrivals).await;
                        for arrival in arrivals.drain(..) {
                            let after = (port.now_ns() - start) / MS;
                            match arrival {
                                Arrival::Packet { .. } => {
                                    number += 1;
                                    note(&lines, format!("+{after} packet {number}"));
                                    port.work(10 * MS);
                                }
                                Arrival::Wake => {
                                    timer = None;
                                    note(&lines, format!("+{after} timer"));
                                }
                                _ => (0..5).for_each(|i| port.send(1, Datagram("x".into()), i)),
                            }
                        }
                    }
                }
            });
            world.start(0);
            world.start(1);
            world.schedule_command(0, 0, 0);
            world.pump(100 * MS).await;
            let expected = "+10 packet 1; +20 packet 2; +30 timer; +30 packet 3; +40 packet 4; \
                            +50 packet 5";
            assert_eq!(joined(&lines), expected);
        })
        .unwrap();
    });
}
