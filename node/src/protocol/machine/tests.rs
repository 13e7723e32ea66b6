//! Whole nodes against each other, without any I/O.

mod cluster;
mod contested;
mod faults;
mod hostile;
mod swarm;

use super::*;
use crate::protocol::block::tests::transaction;
use crate::protocol::ledger::Status;
use crate::protocol::params::Params;
use crate::protocol::pool::Mode;
use crate::protocol::vote::VoteKind;
use cluster::{Cluster, at, ms, quick};

/// The modes in which a node finalized slots directly.
fn modes(cluster: &Cluster, node: u16) -> BTreeMap<Slot, Mode> {
    let mut modes = BTreeMap::new();
    for event in cluster.events(node) {
        if let Event::Finalized(block, mode @ (Mode::Fast | Mode::Slow)) = event {
            modes.entry(block.slot).or_insert(*mode);
        }
    }
    modes
}

fn count(cluster: &Cluster, node: u16, what: impl Fn(&Event) -> bool) -> usize {
    cluster.events(node).filter(|event| what(event)).count()
}

fn slots(cluster: &Cluster, node: u16) -> Vec<u64> {
    cluster.nodes[usize::from(node)].disk.chain.iter().map(|block| block.slot.0).collect()
}

/// A perfect network: every slot is finalized fast, in order, by everybody; nobody skips, repairs,
/// catches up or says anything twice; each transaction is executed exactly once.
#[test]
fn a_perfect_network_finalizes_every_slot_fast() {
    let mut cluster = Cluster::running(&[1; 4]);
    let transactions: Vec<_> = (0..60).map(|i| transaction(i, 100)).collect();
    for (i, transaction) in transactions.iter().enumerate() {
        cluster.run_to(at(i as u64 * 100));
        for entrance in [i % 4, (i + 1) % 4] {
            // Clients may hand the same bytes to two nodes.
            cluster.input(NodeId(entrance as u16), Input::Submit(transaction.clone()));
        }
    }
    cluster.run_until(at(12_000), "24 slots delivered", |c| c.all_past(0..4, 24));
    cluster.check();
    for node in 0..4 {
        assert_eq!(slots(&cluster, node)[..24], (1..=24).collect::<Vec<_>>());
        assert!(modes(&cluster, node).values().all(|mode| *mode == Mode::Fast));
        let votes = &cluster.nodes[usize::from(node)].disk.votes;
        let odd = |vote: &&Vote| !matches!(vote.kind, VoteKind::Notar(_) | VoteKind::Final);
        assert_eq!(votes.iter().find(odd), None, "node {node} was not content");
        let unrest = |event: &Event| {
            matches!(
                event,
                Event::RepairStarted(_)
                    | Event::CatchUp(_)
                    | Event::Standstill { .. }
                    | Event::SafeToNotar(_)
                    | Event::SafeToSkip(_)
                    | Event::BlockInvalid(_)
            )
        };
        assert_eq!(cluster.events(node).find(|event| unrest(event)), None, "node {node}");
        let executed: Vec<TransactionId> = cluster.nodes[usize::from(node)]
            .executed
            .iter()
            .flat_map(|(_, ids)| ids.iter().copied())
            .collect();
        assert_eq!(executed.len(), transactions.len(), "each once");
        for transaction in &transactions {
            assert!(executed.contains(&transaction.id()));
            let status = cluster.node(node).status(&transaction.id());
            assert!(matches!(status, Some(Status::Finalized(_))));
        }
        assert_eq!(cluster.node(node).ledger.waiting(), 0);
    }
}

/// O45, O41: on a network with delays of at most Δ the blocks of the first window are final
/// everywhere by t + 4Δ + i·Δ_block.
#[test]
fn finality_is_as_fast_as_promised() {
    let delta = Params::default().delta();
    for delay in [ms(1), ms(100), delta - ms(2)] {
        let mut cluster = Cluster::new(&[1; 4], quick());
        cluster.net = Box::new(move |_, _, _, _| Some(delay));
        cluster.start_all();
        cluster.run_to(at(20_000));
        cluster.check();
        for (node, slot) in (0..4u16).flat_map(|node| (1..4).map(move |slot| (node, slot))) {
            let events = &cluster.nodes[usize::from(node)].events;
            let done = |(at, event): &(Time, Event)| match event {
                Event::Finalized(block, Mode::Fast | Mode::Slow) if block.slot.0 == slot => {
                    Some(*at)
                }
                _ => None,
            };
            let by = events.iter().find_map(done).unwrap_or(Time(u64::MAX));
            let bound = Time(0) + delta * 4 + ms(400) * slot as u32 + ms(10);
            assert!(by <= bound, "slot {slot} at {node} with {delay:?}: {by:?}, not {bound:?}");
        }
        let skips = count(
            &cluster,
            0,
            |e| matches!(e, Event::VoteStored(_, v) if v.kind == VoteKind::Skip),
        );
        assert_eq!(skips, 0, "delays within the bound cause no skip");
    }
}

/// Exactly 60 % alive: what is finalized is finalized in two rounds, the windows of the dead are
/// skipped, and the living agree.
#[test]
fn sixty_percent_finalize_slowly() {
    let mut cluster = Cluster::new(&[1; 5], quick());
    let alive = [0, 1, 2];
    for i in alive {
        cluster.start(i);
    }
    cluster.run_until(at(60_000), "40 slots", |c| c.all_past(alive, 40));
    cluster.check();
    let leads = |slot: u64| cluster.committee.leader(Slot(slot).window()).0;
    let expected: Vec<u64> = (1..=40).filter(|slot| alive.contains(&leads(*slot))).collect();
    assert!(expected.len() < 40, "the test has a dead leader");
    for node in alive {
        let delivered: Vec<u64> =
            slots(&cluster, node).into_iter().filter(|slot| *slot <= 40).collect();
        assert_eq!(delivered, expected, "node {node}");
        assert!(modes(&cluster, node).values().all(|mode| *mode == Mode::Slow));
    }
}

/// The window of a silent leader is given up by the early timer (K12) within the time of O44.
#[test]
fn the_window_of_a_silent_leader_is_skipped() {
    let mut cluster = Cluster::new(&[1; 4], quick());
    let silent = cluster.committee.leader(Window(1)).0;
    let alive: Vec<u16> = (0..4).filter(|i| *i != silent).collect();
    for &i in &alive {
        cluster.start(i);
    }
    cluster.run_until(at(60_000), "a later window", |c| c.all_past(alive.clone(), 8));
    cluster.check();
    let params = quick();
    for &node in &alive {
        assert!(!slots(&cluster, node).iter().any(|slot| (4..8).contains(slot)));
        let ready = |first| {
            let of = |(at, event): &(Time, Event)| {
                matches!(event, Event::ParentReady(s, _) if *s == Slot(first)).then_some(*at)
            };
            cluster.nodes[usize::from(node)].events.iter().find_map(of).unwrap()
        };
        let took = ready(8).since(ready(4));
        let bound = params.delta() * 2 + params.timeout_after(0) + params.delta_first();
        assert!(took <= bound, "{took:?}");
        let early = |e: &Event| matches!(e, Event::TimeoutCrashed(s) if *s == Slot(4));
        assert_eq!(count(&cluster, node, early), 1);
    }
}

/// A slow disk delays votes, and nothing else: the cluster asserts at every effect that votes and
/// own shreds leave only when they are durable; here it has time to go wrong.
#[test]
fn nothing_leaves_before_it_is_durable() {
    for disk in [0, 30, 90] {
        let mut cluster = Cluster::new(&[1; 4], quick());
        cluster.disk = ms(disk);
        cluster.start_all();
        cluster.run_until(at(15_000), "12 slots", |c| c.all_past(0..4, 12));
        cluster.check();
        for node in 0..4 {
            // The own vote is cast (durable), and only then counted.
            let mut cast = BTreeSet::new();
            for event in cluster.events(node) {
                match event {
                    Event::VoteCast(vote) => assert!(cast.insert(*vote)),
                    Event::VoteStored(voter, vote) if voter.0 == node => {
                        assert!(cast.contains(vote), "{vote:?} counted before it is durable");
                    }
                    _ => {}
                }
            }
            assert!(!cast.is_empty());
        }
    }
}
