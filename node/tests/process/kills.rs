//! `kill -9` at random moments: of one node at a time, then of all at once.

use super::cluster::{Clients, Cluster};
use super::votes::VoteMemory;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Numbers that only have to be all over the place.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Trial {
    cluster: Cluster,
    clients: Clients,
    memories: Vec<VoteMemory>,
    dice: Dice,
    slowest: Duration,
}

impl Trial {
    fn new(seed: u64) -> Trial {
        let mut cluster = Cluster::new(4, &["block-time=100ms"]);
        cluster.start_all();
        let clients = cluster.clients();
        let memories = (0..4).map(|_| VoteMemory::default()).collect();
        let dice = Dice(seed | 1);
        Trial { cluster, clients, memories, dice, slowest: Duration::ZERO }
    }

    /// Clients work for up to `most` milliseconds.
    fn live(&mut self, most: u64) {
        let end = Instant::now() + Duration::from_millis(self.dice.below(most));
        while Instant::now() < end {
            self.clients.submit(&self.cluster);
            self.clients.ask(&self.cluster);
            sleep(Duration::from_millis(5));
        }
    }

    /// Nobody has seen anybody misbehave.
    fn check_reputation(&self) {
        for node in 0..self.cluster.len() {
            for name in ["alpenglow_offences_total", "alpenglow_equivocations_total"] {
                let seen = self.cluster.metric(node, name);
                assert!(seen.is_none_or(|seen| seen == 0.0), "node {node}: {name} {seen:?}");
            }
        }
    }

    fn kill_and_return(&mut self, nodes: &[usize]) {
        self.check_reputation();
        for &node in nodes {
            self.cluster.kill(node);
        }
        for &node in nodes {
            let store = self.cluster.inspect(node);
            self.memories[node].read(node, &store);
        }
        let begun = Instant::now();
        for &node in nodes {
            self.cluster.start(node);
        }
        for &node in nodes {
            self.cluster.wait_ready(node);
        }
        self.slowest = self.slowest.max(begun.elapsed());
    }

    fn run(mut self, one_at_a_time: usize, all_at_once: usize) {
        (0..4).for_each(|node| self.cluster.wait_ready(node));
        for round in 0..one_at_a_time {
            self.live(1_500);
            let node = self.dice.below(4) as usize;
            self.kill_and_return(&[node]);
            println!("kill {round} of node {node}: slowest return {:?}", self.slowest);
        }
        for round in 0..all_at_once {
            self.live(1_500);
            self.kill_and_return(&[0, 1, 2, 3]);
            println!("kill {round} of all: slowest return {:?}", self.slowest);
        }
        self.live(3_000);
        self.check_reputation();
        self.cluster.stop_all();
        let stores: Vec<_> = (0..4).map(|node| self.cluster.inspect(node)).collect();
        for (node, store) in stores.iter().enumerate() {
            self.memories[node].read(node, store);
            let (logs, slots) = self.memories[node].size();
            println!("node {node}: {logs} logs with votes in {slots} slots");
        }
        self.clients.check(&stores);
        assert!(self.clients.finalized() > 0, "clients were told of something");
        println!("{} transactions were reported as finalized, and are", self.clients.finalized());
    }
}

#[test]
fn killed_nodes_come_back_and_contradict_nothing() {
    Trial::new(0x5eed).run(4, 1);
}

#[test]
#[ignore = "takes minutes"]
fn thirty_kills_of_one_and_thirty_of_all() {
    Trial::new(0xa1fa).run(30, 30);
}
