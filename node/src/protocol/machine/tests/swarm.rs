//! Random trouble of every kind at once, then a quiet network: a small swarm of seeds.
//!
//! Scenarios written by hand find what their author thought of. Here each seed draws stakes, loss,
//! delays far above Δ, dark links, crashes, restarts, and in half of the seeds a villain with less
//! than a fifth of the stake who says anything and sends different blocks to different nodes. Until
//! the heal nothing but safety is asked for; after it everybody must deliver again, although the
//! villain goes on.

use super::super::*;
use super::cluster::{Cluster, at, ms, quick};
use super::contested::{forged, hand};
use super::hostile::{Lie, next_window, tell};
use crate::protocol::block::tests::transaction;
use crate::protocol::committee::uniform;
use crate::protocol::params::Params;
use crate::protocol::types::Hash;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::cell::RefCell;
use std::rc::Rc;

/// When everything heals, in milliseconds.
const HEAL: u64 = 12_000;

/// The dice of one seed.
struct Dice(ChaCha20Rng);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(ChaCha20Rng::from_seed(Hash::of("test/swarm", &[&seed.to_le_bytes()]).0))
    }

    fn below(&mut self, n: u64) -> u64 {
        uniform(&mut self.0, n)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<const N: usize>(&mut self, choices: [u64; N]) -> u64 {
        choices[self.below(N as u64) as usize]
    }
}

/// Draws the network before the heal: loss, delays, dark links, perhaps for blocks only.
fn bad_network(dice: &mut Dice, cluster: &mut Cluster, seed: u64) {
    let n = cluster.nodes.len() as u64;
    let (loss, slowest) = (dice.of([0, 5, 20, 60]), dice.of([30, 200, 900, 3_000]));
    let dark: Vec<_> = (0..dice.below(8)).map(|_| (dice.below(n), dice.below(n))).collect();
    let blocks_only = dice.one_in(3);
    let dice = Rc::new(RefCell::new(Dice::new(seed ^ 0xfeed)));
    cluster.net = Box::new(move |now, from, to, message| {
        let mut dice = dice.borrow_mut();
        if now >= at(HEAL) {
            return Some(ms(5 + dice.below(60)));
        }
        let of_a_block = matches!(message, Message::Shred(_) | Message::Response(..));
        let pair = (u64::from(from.0), u64::from(to.0));
        let lost = dark.contains(&pair) || dice.below(100) < loss;
        (!(lost && (of_a_block || !blocks_only))).then(|| ms(1 + dice.below(slowest)))
    });
}

/// The villain speaks: a lie to some, or two whole blocks for one slot to different nodes.
fn lie(dice: &mut Dice, cluster: &mut Cluster, villain: NodeId) {
    let to: Vec<u16> = (0..villain.0)
        .filter(|i| !dice.one_in(3) && cluster.nodes[usize::from(*i)].protocol.is_some())
        .collect();
    let running = || cluster.nodes.iter().filter_map(|node| node.protocol.as_ref());
    let Some(highest) = running().map(|node| node.highest()).max() else { return };
    if dice.one_in(4) {
        let slot = next_window(cluster, villain, highest.slot.0).first();
        let parent = if dice.one_in(3) { cluster.committee.genesis_block() } else { highest };
        if slot <= parent.slot {
            return;
        }
        let blocks = [1, 2].map(|variant| forged(cluster, slot.0, parent, variant));
        for i in to {
            hand(cluster, &blocks[dice.below(2) as usize], i);
        }
        return;
    }
    let relative = dice.below(30) as i64 - 4;
    let kind = dice.below(5) as u8;
    let lie = match dice.below(4) {
        0 => Lie::Certificate(relative, kind),
        1 => Lie::Shred(dice.below(4), kind % 2, kind % 3, dice.one_in(2), dice.below(64) as u8),
        2 => Lie::Vote(relative, kind, None),
        _ => Lie::Vote(relative, kind, Some(dice.below(3) as u8)),
    };
    let message = tell(cluster, villain, lie).encode();
    for i in to {
        cluster.receive(villain, NodeId(i), &message);
    }
}

fn trouble(seed: u64) {
    let mut dice = Dice::new(seed);
    let honest = 4 + dice.below(4) as u16;
    let mut stakes: Vec<u64> = (0..honest).map(|_| 10 + dice.below(11)).collect();
    let villain = dice.one_in(2).then_some(NodeId(honest));
    if villain.is_some() {
        let sum: u64 = stakes.iter().sum();
        stakes.push((sum - 1) / 4); // the most that is below a fifth of all
    }
    // Short epochs, but not so short that the bad time alone ends one (the cluster would halt).
    let epoch_slots = dice.of([48, 18_000, 18_000]);
    let mut cluster = Cluster::new(&stakes, Params { epoch_slots, ..quick() });
    cluster.disk = ms(dice.below(40));
    bad_network(&mut dice, &mut cluster, seed);
    (0..honest).for_each(|i| cluster.start(i));
    let mut submitted = 0;
    while cluster.now < at(HEAL) {
        cluster.run_to(cluster.now + ms(20 + dice.below(200)));
        if let Some(villain) = villain {
            lie(&mut dice, &mut cluster, villain);
        }
        let i = dice.below(honest.into()) as u16;
        let runs = cluster.nodes[usize::from(i)].protocol.is_some();
        cluster.lucky = dice.one_in(2);
        match dice.below(8) {
            0 if runs => cluster.crash(i),
            _ if runs => {
                submitted += 1;
                cluster.input(NodeId(i), Input::Submit(transaction(submitted, 140)));
            }
            _ => cluster.start(i),
        }
    }
    for i in 0..honest {
        if cluster.nodes[usize::from(i)].protocol.is_none() {
            cluster.start(i);
        }
    }
    let tip = (0..honest).map(|i| cluster.node(i).highest().slot.0).max().unwrap();
    let end = cluster.now + ms(60_000);
    while !cluster.all_past(0..honest, tip + 8) {
        assert!(cluster.now < end, "seed {seed}: nothing new after the heal; {}", cluster.state());
        cluster.run_to(cluster.now + ms(50));
        if let Some(villain) = villain {
            lie(&mut dice, &mut cluster, villain);
        }
    }
    cluster.check_except(|event| match event {
        Event::Offence(node, ..) => Some(*node) == villain,
        Event::Equivocation(slot) => Some(cluster.committee.leader(slot.window())) == villain,
        _ => false,
    });
}

/// `SWARM=100..900 cargo test random_trouble` runs other seeds than the usual few.
#[test]
fn random_trouble_heals() {
    let seeds = std::env::var("SWARM").ok().and_then(|range| {
        let (first, end) = range.split_once("..")?;
        Some(first.parse().ok()?..end.parse().ok()?)
    });
    for seed in seeds.unwrap_or(0..24) {
        println!("seed {seed}");
        trouble(seed);
    }
}
