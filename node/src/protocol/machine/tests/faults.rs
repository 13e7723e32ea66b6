//! Crashes at every step, loss, late joiners, broken disks: what a cluster must survive.

use super::super::*;
use super::cluster::{Cluster, Net, at, ms, quick};
use super::{count, slots};
use crate::protocol::block::tests::transaction;
use crate::protocol::params::Params;
use crate::protocol::vote::VoteKind;
use std::cell::Cell;
use std::rc::Rc;

/// Delivers in 20 ms what `keeps` keeps.
fn lossy(mut keeps: impl FnMut(Time, NodeId, NodeId, &Message) -> bool + 'static) -> Net {
    Box::new(move |now, from, to, message| keeps(now, from, to, message).then_some(ms(20)))
}

/// B30: one node crashes before each of its first 300 effects in turn (a signature, a write, a
/// datagram, a timer, a delivery) and comes back with what was durable. The cluster asserts that it
/// never contradicts itself; here everybody, it too, must go on.
fn crash_at_every_step(lucky: bool) {
    for step in 0..300 {
        let mut cluster = Cluster::new(&[1; 4], quick());
        cluster.lucky = lucky;
        cluster.disk = ms(if step % 3 == 0 { 15 } else { 0 });
        // The leader of the first window does most and has most to lose.
        let victim = cluster.committee.leader(Window(0)).0;
        cluster.nodes[usize::from(victim)].crash_at = Some(step);
        cluster.start_all();
        let what = format!("everybody past slot 8 after a crash before effect {step}");
        cluster.run_until(at(60_000), &what, |c| c.all_past(0..4, 8));
        assert_eq!(cluster.nodes[usize::from(victim)].crash_at, None, "it did crash");
        cluster.check();
    }
}

#[test]
fn a_crash_at_any_step_is_survived() {
    crash_at_every_step(false);
}

#[test]
fn a_crash_at_any_step_is_survived_if_writes_under_way_survive() {
    crash_at_every_step(true);
}

/// All nodes lose power at once, again and again, at awkward moments.
#[test]
fn everybody_crashes_at_once_again_and_again() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    cluster.disk = ms(7);
    cluster.start_all();
    for round in 1..=12u64 {
        cluster.lucky = round % 2 == 0;
        cluster.run_to(cluster.now + ms(900 + 37 * round));
        for i in 0..4 {
            cluster.crash(i);
        }
        cluster.run_to(cluster.now + ms(50));
        cluster.start_all();
    }
    let tip = (0..4).map(|i| cluster.tip(i).0).max().unwrap();
    let end = cluster.now + ms(40_000);
    cluster.run_until(end, "ten more slots", |c| c.all_past(0..4, tip + 10));
    cluster.check();
}

/// A restarted node says first what it reloaded, and that is what its disk held.
#[test]
fn a_restarted_node_reports_its_log_first() {
    let mut cluster = Cluster::running(&[1; 4]);
    cluster.disk = ms(30);
    for _ in 0..60 {
        cluster.run_to(cluster.now + ms(61));
        cluster.crash(2);
        let before = cluster.nodes[2].events.len();
        let disk = cluster.nodes[2].disk.clone();
        let tip = disk.chain.last().copied().unwrap_or(cluster.committee.genesis_block());
        cluster.start(2);
        let (_, first) = &cluster.nodes[2].events[before];
        let Event::Reloaded { votes, tip: reported, highest } = first else {
            panic!("the first observation is {first:?}")
        };
        let above: BTreeSet<Vote> =
            disk.votes.iter().copied().filter(|vote| vote.slot > tip.slot).collect();
        let reloaded = votes.iter().copied().collect();
        assert_eq!((above, tip), (reloaded, *reported));
        let proved = disk.proofs.values().next_back().map_or(tip, |p| p.block().unwrap());
        assert_eq!(*highest, proved.max(tip));
    }
}

/// After a restart the reloaded votes are said again and counted, and none is cast twice.
#[test]
fn reloaded_votes_are_sent_and_counted_again() {
    let mut cluster = Cluster::running(&[1; 4]);
    // Nobody hears anybody: votes are cast and lost.
    cluster.net = lossy(|_, _, _, _| false);
    cluster.run_to(at(3_000));
    let votes = cluster.nodes[1].disk.votes.clone();
    assert!(!votes.is_empty());
    cluster.crash(1);
    let sent = cluster.nodes[1].sent.len();
    cluster.start(1);
    for vote in &votes {
        let again = |(.., message): &(Time, Recipients, Message)| matches!(message, Message::Vote(signed) if signed.vote == *vote);
        assert!(cluster.nodes[1].sent[sent..].iter().any(again), "{vote:?} is sent again");
        let tally = cluster.node(1).consensus().pool().tally(vote.slot).unwrap();
        assert_eq!(
            tally.admission(NodeId(1), vote.kind),
            crate::protocol::pool::tally::Admission::Duplicate
        );
    }
    assert_eq!(cluster.nodes[1].disk.votes, votes, "and not logged again");
}

/// No block arrives anywhere for so long that more slots are skipped than anybody holds. Then the next
/// final block stands on one far below: hash links lead over the gap, also for a node that was down
/// when it happened.
#[test]
fn more_is_skipped_than_is_held() {
    let params = quick();
    let params = Params { timeout_cap_ns: params.delta_timeout_ns, ..params };
    let mut cluster = Cluster::new(&[1; 4], params);
    let dark = Rc::new(Cell::new(false));
    let is_dark = dark.clone();
    cluster.net = lossy(move |_, _, _, message| {
        !(is_dark.get() && matches!(message, Message::Shred(_) | Message::Response(..)))
    });
    cluster.start_all();
    cluster.run_until(at(20_000), "a beginning", |c| c.all_past(0..4, 6));
    dark.set(true);
    let far = cluster.tip(0).0 + MAX_HELD_SLOTS + 100;
    cluster.run_until(at(2_000_000), "a long night", |c| c.node(0).head().0 > far);
    cluster.crash(3);
    dark.set(false);
    let morning = cluster.now;
    cluster.run_until(morning + ms(20_000), "the first morning", |c| c.all_past(0..3, far + 8));
    cluster.start(3);
    cluster.run_until(cluster.now + ms(20_000), "who slept longer", |c| c.all_past(0..4, far + 8));
    cluster.check();
}

/// O49: a node that joins an hour late (in slots) has the head at once, votes in the next window,
/// and delivers everything from the start.
#[test]
fn a_late_joiner_catches_up() {
    let mut cluster = Cluster::new(&[1; 5], quick());
    for i in 0..4 {
        cluster.start(i);
    }
    cluster.run_until(at(120_000), "120 slots", |c| c.all_past(0..4, 120));
    cluster.start(4);
    let joined = cluster.now;
    let others = |c: &Cluster| (0..4).map(|i| c.tip(i)).min().unwrap();
    cluster.run_until(joined + ms(10_000), "it caught up", |c| c.tip(4) >= others(c));
    assert!(!cluster.node(4).is_catching_up());
    let highest = cluster.node(4).highest().slot;
    cluster.run_until(cluster.now + ms(15_000), "its votes", |c| {
        c.nodes[4]
            .disk
            .votes
            .iter()
            .any(|v| v.slot > highest && matches!(v.kind, VoteKind::Notar(_)))
    });
    cluster.check();
}

/// 1.3: with epochs of 8 slots a joiner that is many epochs behind can verify nothing it hears. It
/// must take that as the hint that it is behind, and work its way up.
#[test]
fn a_joiner_many_epochs_behind_catches_up() {
    let params = Params { epoch_slots: 8, ..quick() };
    let mut cluster = Cluster::new(&[1; 5], params);
    for i in 0..4 {
        cluster.start(i);
    }
    cluster.run_until(at(60_000), "60 slots", |c| c.all_past(0..4, 60));
    cluster.start(4);
    let others = |c: &Cluster| (0..4).map(|i| c.tip(i)).min().unwrap();
    cluster.run_until(cluster.now + ms(20_000), "it caught up", |c| c.tip(4) >= others(c));
    cluster.check();
}

/// Two epoch ends in ordinary operation: no slot is lost, no vote refused.
#[test]
fn epochs_change_without_a_pause() {
    let mut cluster = Cluster::new(&[1; 4], Params { epoch_slots: 8, ..quick() });
    cluster.start_all();
    cluster.run_until(at(15_000), "30 slots", |c| c.all_past(0..4, 30));
    cluster.check();
    for node in 0..4 {
        assert_eq!(slots(&cluster, node)[..30], (1..=30).collect::<Vec<_>>());
        let refused = |event: &Event| matches!(event, Event::Rejected(_, Reject::Epoch));
        assert_eq!(count(&cluster, node, refused), 0);
    }
}

/// 1.3: without finality nobody enters the epoch after the next, and everybody goes on after it.
#[test]
fn an_epoch_without_finality_halts_and_resumes() {
    let params = Params { epoch_slots: 8, ..quick() };
    let mut cluster = Cluster::new(&[1; 4], params);
    // No final and no notar votes arrive: slots end skipped, nothing is finalized.
    let heal = at(40_000);
    cluster.net = lossy(move |now, _, _, message| {
        now >= heal || !matches!(message, Message::Shred(_) | Message::Forward(_))
    });
    cluster.start_all();
    cluster.run_to(heal);
    for node in 0..4 {
        let highest = cluster.nodes[usize::from(node)].disk.votes.iter().map(|v| v.slot).max();
        assert!(highest < Some(Slot(16)), "node {node} voted in {highest:?}, epoch 2");
        let ready = |e: &Event| matches!(e, Event::ParentReady(s, _) if s.0 >= 16);
        assert_eq!(count(&cluster, node, ready), 0);
    }
    cluster.check();
}

/// Shreds never reach one node for a while: certificates tell it what it lacks, and it repairs.
#[test]
fn missed_blocks_are_repaired() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    let victim = (0..4).find(|i| (0..4).all(|w| cluster.committee.leader(Window(w)).0 != *i));
    let victim = victim.expect("four windows, somebody leads none of them");
    cluster.net = lossy(move |now, _, to, message| {
        let dark = now >= at(800) && now < at(5_000);
        !(dark && to.0 == victim && matches!(message, Message::Shred(_)))
    });
    cluster.start_all();
    cluster.run_until(at(20_000), "16 slots everywhere", |c| c.all_past(0..4, 16));
    cluster.check();
    assert_eq!(slots(&cluster, victim)[..16], (1..=16).collect::<Vec<_>>());
    let repaired = |e: &Event| matches!(e, Event::RepairEnded(_, true));
    let started = |e: &Event| matches!(e, Event::RepairStarted(_));
    assert!(count(&cluster, victim, repaired) >= 5);
    assert_eq!(
        count(&cluster, victim, started),
        count(&cluster, victim, |e| matches!(e, Event::RepairEnded(..)))
    );
}

/// One datagram in five is lost, of every kind, for ever: repair and redundancy carry it.
#[test]
fn a_fifth_of_all_datagrams_may_be_lost() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    let mut state = 1u64;
    cluster.net = lossy(move |_, _, _, _| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        !(state >> 33).is_multiple_of(5)
    });
    cluster.start_all();
    cluster.run_until(at(120_000), "30 slots", |c| c.all_past(0..4, 30));
    cluster.check();
}

/// 10.1, 13.4: everything is lost for a while; after the heal the standstill brings it back within
/// the bound for one tainted window and the failed ones after it.
#[test]
fn a_standstill_recovers_what_was_lost() {
    for (start, long) in [(500, 3_000), (1_700, 12_000), (2_600, 30_000)] {
        let mut cluster = Cluster::new(&[1; 4], quick());
        cluster.net = lossy(move |now, _, _, _| now < at(start) || now >= at(start + long));
        cluster.start_all();
        cluster.run_to(at(start + long));
        let stuck = (0..4).map(|i| cluster.node(i).highest().slot).max().unwrap();
        // S + Δ + D_any + 5Δ + Δ_block, with D_any for a timeout that grew for a few windows.
        let bound = ms(10_400) + ms(250) + ms(3_500) * 2 + ms(1_250) + ms(400);
        let end = at(start + long) + bound;
        cluster.run_until(end, "a new finalization", |c| {
            (0..4).all(|i| c.node(i).highest().slot > stuck)
        });
        let tip = stuck.0 + 12;
        cluster.run_until(end + ms(20_000), "normal operation", |c| c.all_past(0..4, tip));
        cluster.check();
        let fired = (0..4).map(|i| count(&cluster, i, |e| matches!(e, Event::Standstill { .. })));
        assert!(fired.sum::<usize>() > 0);
    }
}

/// B29: two halves without a quorum, everything between them lost; then they heal.
#[test]
fn two_halves_stall_and_agree_again() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    let split = |now: Time| now >= at(1_500) && now < at(16_000);
    cluster.net = lossy(move |now, from, to, _| !split(now) || from.0 % 2 == to.0 % 2);
    cluster.start_all();
    cluster.run_to(at(16_000));
    let stuck = (0..4).map(|i| cluster.node(i).highest().slot).max().unwrap();
    assert!(stuck.0 < 6, "half of the stake finalizes nothing");
    cluster.run_until(at(50_000), "agreement", |c| c.all_past(0..4, stuck.0 + 8));
    cluster.check();
}

/// Only votes are lost: blocks and certificates pass, nothing is certified any more.
#[test]
fn lost_votes_come_back_with_the_standstill() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    cluster.net = lossy(|now, _, _, message| {
        !(now >= at(1_000) && now < at(6_000) && matches!(message, Message::Vote(_)))
    });
    cluster.start_all();
    cluster.run_until(at(40_000), "24 slots", |c| c.all_past(0..4, 24));
    cluster.check();
}

/// 10.3: a node whose disk fails stops voting and producing for good; the others go on, and it
/// still knows what they finalize.
#[test]
fn a_failed_disk_makes_an_observer() {
    let mut cluster = Cluster::running(&[1; 5]);
    cluster.run_to(at(2_000));
    let leads_next = cluster.committee.leader(cluster.node(0).head().window().next()).0;
    cluster.fail_disk(leads_next);
    let failed = &cluster.nodes[usize::from(leads_next)];
    let (sent, votes) = (failed.sent.len(), failed.disk.votes.len());
    let others: Vec<u16> = (0..5).filter(|i| *i != leads_next).collect();
    cluster.run_until(at(30_000), "the others go on", |c| c.all_past(others.clone(), 30));
    cluster.check();
    let failed = &cluster.nodes[usize::from(leads_next)];
    assert_eq!(cluster.node(leads_next).standing(), Standing::Observing);
    assert_eq!(failed.disk.votes.len(), votes);
    for (.., message) in &failed.sent[sent..] {
        let own = match message {
            Message::Vote(_) => true,
            Message::Shred(shred) => {
                cluster.committee.leader(shred.commitment.slot.window()).0 == leads_next
            }
            _ => false,
        };
        assert!(!own, "an observer says nothing of its own: {message:?}");
    }
    let behind = cluster.tip(others[0]).0 - cluster.node(leads_next).highest().slot.0;
    assert!(behind <= 4, "it follows what is finalized");
}

/// 10.4: a node whose vote log is lost follows, serves and delivers, but never votes or leads
/// again, in this incarnation or the next.
#[test]
fn a_lost_log_makes_an_observer() {
    let mut cluster = Cluster::running(&[1; 5]);
    cluster.run_to(at(3_000));
    cluster.crash(2);
    cluster.nodes[2].log_lost = true;
    cluster.nodes[2].disk.votes.clear();
    let sent = cluster.nodes[2].sent.len();
    cluster.start(2);
    cluster.run_until(at(30_000), "everybody delivers", |c| c.all_past(0..5, 30));
    cluster.crash(2);
    cluster.start(2);
    cluster.run_until(at(50_000), "everybody delivers", |c| c.all_past(0..5, 50));
    cluster.check();
    assert!(cluster.nodes[2].disk.votes.is_empty());
    let spoke = |(.., message): &(Time, Recipients, Message)| match message {
        Message::Vote(_) => true,
        Message::Shred(s) => cluster.committee.leader(s.commitment.slot.window()) == NodeId(2),
        _ => false,
    };
    assert!(!cluster.nodes[2].sent[sent..].iter().any(spoke), "it says nothing of its own");
}

/// One node alone is a cluster.
#[test]
fn a_single_node_finalizes_alone() {
    let mut cluster = Cluster::running(&[7]);
    cluster.input(NodeId(0), Input::Submit(transaction(1, 100)));
    cluster.run_until(at(10_000), "16 slots", |c| c.all_past([0], 16));
    cluster.check();
    assert_eq!(slots(&cluster, 0)[..16], (1..=16).collect::<Vec<_>>());
    assert_eq!(cluster.nodes[0].executed.iter().map(|(_, ids)| ids.len()).sum::<usize>(), 1);
    assert!(cluster.nodes[0].sent.is_empty());
}

/// Clocks that start seconds apart: who starts late has missed nothing that matters (7.1).
#[test]
fn nodes_may_start_seconds_apart() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    for i in 0..4 {
        cluster.run_to(at(u64::from(i) * 1_300));
        cluster.start(i);
    }
    let end = cluster.now + ms(9_000);
    cluster.run_until(end, "12 slots without a standstill", |c| c.all_past(0..4, 12));
    cluster.check();
}

/// Operators start nodes before the cluster starts. The wait is no standstill (O50), and the first
/// window has the ordinary timeout.
#[test]
fn waiting_for_the_start_is_no_standstill() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    cluster.start = at(60_000);
    for i in 0..4 {
        cluster.run_to(at(20_000 * u64::from(i)));
        cluster.start(i);
    }
    let windows = cluster.nodes.iter().flat_map(|node| &node.events);
    let early = windows.filter(|(at, e)| *at < cluster.start && matches!(e, Event::TimersSet(..)));
    assert_eq!(early.count(), 0, "nobody begins before the start");
    cluster.run_until(at(66_000), "12 slots", |c| c.all_past(0..4, 12));
    cluster.check();
    for node in 0..4 {
        assert_eq!(count(&cluster, node, |e| matches!(e, Event::Standstill { .. })), 0);
        let grown = |e: &Event| matches!(e, Event::TimersSet(_, growth) if *growth > 0);
        assert_eq!(count(&cluster, node, grown), 0);
    }
}

/// O35: what a node holds does not grow with the chain.
#[test]
fn state_stays_bounded_over_many_slots() {
    let mut cluster = Cluster::running(&[1; 4]);
    let size = |c: &Cluster| {
        let p = c.node(0);
        let own = [p.relays.len(), p.audiences.len(), p.chain.len(), p.offenders.len()];
        [p.consensus.pool().size(), p.blokstor.size(), p.repair.outstanding()]
            .into_iter()
            .chain(own)
            .collect::<Vec<_>>()
    };
    cluster.run_until(at(60_000), "100 slots", |c| c.all_past(0..4, 100));
    let early = size(&cluster);
    cluster.run_until(at(120_000), "220 slots", |c| c.all_past(0..4, 220));
    let late = size(&cluster);
    for (early, late) in early.iter().zip(&late) {
        assert!(late <= &(early + 8), "{early} grew to {late}: {late:?}");
    }
}
