//! Consensus itself as the maker of worlds: the oracles must find nothing in what it does, and
//! something when there are too many liars.
//!
//! Six nodes run the product's consensus under a scheduler that delivers any message at any time,
//! fires timers early, syncs disks late and cuts the power. The last one or two lie: as leaders
//! they make two chains, as voters they tell everybody something else. No network, no clocks, no
//! signatures (so certificates are not verified here): only what votes and certificates mean.

use super::super::testing::*;
use alpenglow_node::crypto::bls::Signature;
use alpenglow_node::protocol::certificate::{Bitmap, Certificate, Part, SignedVote};
use alpenglow_node::protocol::consensus::{Consensus, Decision, Fact};
use alpenglow_node::protocol::stake::{NodeSet, Stakes};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NODES: u16 = 6;
const STEPS: u64 = 2_500;
const LAST_SLOT: u64 = 24;

/// On its way to one node.
#[derive(Clone)]
enum Parcel {
    Vote(NodeId, Vote),
    Certificate(Arc<Certificate>),
    Block(BlockId, Origin),
}

/// Waits for the disk.
#[derive(Clone, Copy)]
enum Pending {
    Vote(Vote),
    Deliver(BlockId),
}

/// One honest node: its consensus, and its disk.
struct Seat {
    consensus: Consensus,
    pending: Vec<Pending>,
    log: Vec<Vote>,
    ledger: Vec<BlockId>,
    stored: BTreeSet<BlockId>,
    certificates: Vec<Arc<Certificate>>,
}

struct Cluster {
    rng: ChaCha8Rng,
    stakes: Stakes,
    honest: u16,
    world: Option<World>,
    seats: Vec<Seat>,
    parcels: Vec<(u16, Parcel)>,
    timers: Vec<(u16, Slot)>,
    /// Every block that was made, with its parent.
    blocks: BTreeMap<BlockId, BlockId>,
    /// How often something interesting happened.
    seen: BTreeMap<&'static str, u64>,
}

fn consensus(me: u16, root: BlockId, log: &[Vote]) -> Consensus {
    Consensus::new(NodeId(me), 18_000, root, true, log)
}

impl Cluster {
    fn new(seed: u64, liars: u16) -> Cluster {
        let world = World::new(&[1; NODES as usize]);
        // There are no signatures here, and messages go straight into queues.
        let mut world = world.without("O14").without("O34").without("O37");
        let honest = NODES - liars;
        for liar in honest..NODES {
            world = world.byzantine(liar);
        }
        let seat = |me| Seat {
            consensus: consensus(me, genesis(), &[]),
            pending: Vec::new(),
            log: Vec::new(),
            ledger: Vec::new(),
            stored: BTreeSet::new(),
            certificates: Vec::new(),
        };
        let mut cluster = Cluster {
            rng: ChaCha8Rng::seed_from_u64(seed),
            stakes: Stakes::new(vec![1; NODES.into()]).expect("legal"),
            honest,
            world: Some(world),
            seats: (0..honest).map(seat).collect(),
            parcels: Vec::new(),
            timers: Vec::new(),
            blocks: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        for me in 0..honest {
            let mut decisions = Vec::new();
            cluster.seats[usize::from(me)].consensus.start(&mut decisions);
            cluster.carry_out(me, decisions, None);
        }
        cluster
    }

    fn draw(&mut self, below: usize) -> usize {
        (self.rng.next_u32() as usize) % below
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.draw(100) < percent
    }

    fn seat(&mut self, me: u16) -> &mut Seat {
        &mut self.seats[usize::from(me)]
    }

    fn tell(&mut self, act: impl FnOnce(World) -> World) {
        self.world = self.world.take().map(act);
    }

    fn event(&mut self, me: u16, event: Event) {
        self.tell(|world| world.event(me, event));
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn broadcast(&mut self, me: u16, parcel: &Parcel) {
        let others = (0..self.honest).filter(|to| *to != me);
        self.parcels.extend(others.map(|to| (to, parcel.clone())));
    }

    fn feed(&mut self, me: u16, fact: Fact, received: Option<Arc<Certificate>>) {
        let (stakes, mut decisions) = (self.stakes.clone(), Vec::new());
        self.seat(me).consensus.apply(&stakes, fact, &mut decisions);
        self.carry_out(me, decisions, received);
        self.seat(me).consensus.settle();
    }

    fn carry_out(&mut self, me: u16, all: Vec<Decision>, received: Option<Arc<Certificate>>) {
        for decision in all {
            match decision {
                Decision::Cast(vote) => self.seat(me).pending.push(Pending::Vote(vote)),
                Decision::Stored(voter, vote) => self.event(me, Event::VoteStored(voter, vote)),
                Decision::Offence(node, slot, offence) => {
                    self.event(me, Event::Offence(node, slot, offence));
                }
                Decision::Certificate { id, built } => {
                    let certificate = match (built, &received) {
                        (false, Some(received)) => received.clone(),
                        _ => self.build(me, id),
                    };
                    self.broadcast(me, &Parcel::Certificate(certificate.clone()));
                    self.seat(me).certificates.push(certificate.clone());
                    self.event(me, Event::CertificateAdded { certificate, built });
                }
                Decision::ParentReady(slot, parent) => {
                    self.event(me, Event::ParentReady(slot, parent));
                    self.lead(slot, parent);
                }
                Decision::StartTimers(window) => {
                    self.timers.extend(window.slots().map(|slot| (me, slot)));
                }
                Decision::Finalized(block, mode) => {
                    self.count(match mode {
                        Fast => "fast",
                        Slow => "slow",
                        Indirect => "indirect",
                    });
                    self.event(me, Event::Finalized(block, mode));
                }
                Decision::Skipped(slot) => self.event(me, Event::SkippedByFinality(slot)),
                Decision::Delivered(block) => self.seat(me).pending.push(Pending::Deliver(block)),
                Decision::Missing(block) if self.blocks.contains_key(&block) => {
                    self.parcels.push((me, Parcel::Block(block, Origin::Repair)));
                }
                _ => {}
            }
        }
    }

    fn build(&mut self, me: u16, id: CertificateId) -> Arc<Certificate> {
        let (first, fallback) = self.seat(me).consensus.pool().voters(id);
        let part = |nodes: NodeSet| {
            let bytes = nodes.to_bitmap(NODES.into()).into();
            let signers = Bitmap::new(bytes).expect("short");
            (!nodes.is_empty()).then(|| Part { signers, signature: Signature::from_bytes([0; 48]) })
        };
        Arc::new(Certificate { id, first: part(first), fallback: part(fallback) })
    }

    /// The leader of the window makes its blocks on the first parent that is ready anywhere; half
    /// of the leaders lie and make a second chain, on any ready parent.
    fn lead(&mut self, first: Slot, parent: BlockId) {
        if first.0 > LAST_SLOT || self.blocks.contains_key(&block(first.0, B)) {
            return;
        }
        let hash = match self.blocks.contains_key(&block(first.0, A)) {
            true if self.chance(50) => B,
            true => return,
            false => A,
        };
        let mut tip = parent;
        for slot in first.window().slots() {
            let id = block(slot.0, hash);
            self.blocks.insert(id, tip);
            tip = id;
            for to in 0..self.honest {
                if self.chance(if hash == A { 80 } else { 50 }) {
                    self.parcels.push((to, Parcel::Block(id, Origin::Rotor)));
                }
                for liar in self.honest..NODES {
                    self.lie(NodeId(liar), to, slot);
                }
            }
        }
    }

    fn lie(&mut self, liar: NodeId, to: u16, slot: Slot) {
        let kinds =
            [Notar(A), Notar(B), Skip, NotarFallback(A), NotarFallback(B), SkipFallback, Final];
        for _ in 0..self.draw(4) {
            let kind = kinds[self.draw(kinds.len())];
            self.parcels.push((to, Parcel::Vote(liar, Vote::new(slot, kind))));
        }
    }

    /// What waited for the disk leaves, then the own votes count.
    fn sync(&mut self, me: u16) {
        let durable = std::mem::take(&mut self.seat(me).pending);
        let mut votes = Vec::new();
        for pending in durable {
            match pending {
                Pending::Vote(vote) => {
                    self.count(match vote.kind {
                        NotarFallback(_) => "notar-fallback",
                        SkipFallback => "skip-fallback",
                        Skip => "skip",
                        _ => "notar or final",
                    });
                    self.seat(me).log.push(vote);
                    self.event(me, Event::VoteCast(vote));
                    self.say(me, vote);
                    votes.push(vote);
                }
                Pending::Deliver(block) => {
                    self.seat(me).ledger.push(block);
                    let parent = self.blocks[&block];
                    self.tell(|world| world.out(me, block, parent));
                }
            }
        }
        for vote in votes {
            self.feed(me, Fact::Vote(NodeId(me), vote), None);
        }
    }

    fn say(&mut self, me: u16, vote: Vote) {
        let (signer, signature) = (NodeId(me), Signature::from_bytes([0; 48]));
        let message = Message::Vote(SignedVote { vote, signer, signature });
        self.tell(|world| world.sent(me, &message));
        self.broadcast(me, &Parcel::Vote(signer, vote));
    }

    fn deliver(&mut self, to: u16, parcel: Parcel) {
        match parcel {
            Parcel::Vote(voter, vote) => self.feed(to, Fact::Vote(voter, vote), None),
            Parcel::Certificate(certificate) => {
                self.feed(to, Fact::Certificate(certificate.id), Some(certificate));
            }
            Parcel::Block(id, origin) => {
                let seat = &self.seats[usize::from(to)];
                let finality = seat.consensus.pool().finality();
                let taken = seat.stored.iter().any(|b| b.slot == id.slot);
                if !finality.holds(id.slot) || finality.is_stored(id) {
                    return;
                }
                // Rotor completes one block of a slot at most.
                if origin != Origin::Rotor || !taken {
                    self.store(to, id, origin);
                }
            }
        }
    }

    fn store(&mut self, me: u16, id: BlockId, origin: Origin) {
        let parent = self.blocks[&id];
        self.seat(me).stored.insert(id);
        self.tell(|world| world.stored_from(origin, me, id, parent));
        self.feed(me, Fact::Block(id, parent), None);
    }

    /// The power goes in the middle of a sync, and comes back. Certificates are written lazily.
    fn restart(&mut self, me: u16) {
        self.count("restart");
        let pending = std::mem::take(&mut self.seat(me).pending);
        let durable = self.draw(pending.len() + 1);
        for pending in &pending[..durable] {
            match pending {
                Pending::Vote(vote) => self.seat(me).log.push(*vote),
                Pending::Deliver(block) => self.seat(me).ledger.push(*block),
            }
        }
        let Seat { log, ledger, stored, certificates, .. } = self.seat(me);
        let (log, ledger) = (log.clone(), ledger.clone());
        let (stored, mut certificates) = (stored.clone(), std::mem::take(certificates));
        let root = ledger.last().copied().unwrap_or(genesis());
        let votes: Vec<Vote> = log.iter().copied().filter(|vote| vote.slot > root.slot).collect();
        self.seat(me).consensus = consensus(me, root, &votes);
        self.timers.retain(|(node, _)| *node != me);
        self.tell(|world| world.crash_with(me, &log, &ledger).later().restarting(me));
        for id in stored.into_iter().filter(|id| id.slot > root.slot) {
            self.store(me, id, Origin::Store);
        }
        certificates.truncate(self.draw(certificates.len() + 1));
        for certificate in certificates.into_iter().filter(|c| c.id.slot > root.slot) {
            self.deliver(me, Parcel::Certificate(certificate));
        }
        let finality = self.seat(me).consensus.pool().finality();
        let (tip, highest) = (finality.root(), finality.highest());
        self.event(me, Event::Reloaded { votes: votes.clone().into(), tip, highest });
        let mut decisions = Vec::new();
        self.seat(me).consensus.start(&mut decisions);
        self.carry_out(me, decisions, None);
        for vote in votes {
            self.feed(me, Fact::Vote(NodeId(me), vote), None);
            self.say(me, vote);
        }
    }

    fn step(&mut self) {
        self.tell(World::later);
        let me = self.draw(self.honest.into()) as u16;
        match self.draw(200) {
            0 => self.restart(me),
            1..=3 if !self.timers.is_empty() => {
                let timer = self.draw(self.timers.len());
                let (me, slot) = self.timers.swap_remove(timer);
                self.feed(me, Fact::Timeout(slot), None);
            }
            4..=60 => self.sync(me),
            _ if !self.parcels.is_empty() => {
                // Mostly in order, sometimes anything.
                let any = self.chance(20);
                let among = if any { self.parcels.len() } else { self.parcels.len().min(8) };
                let parcel = self.draw(among);
                let (to, parcel) = self.parcels.remove(parcel);
                self.deliver(to, parcel);
            }
            _ => self.sync(me),
        }
    }

    fn run(seed: u64, liars: u16) -> (Vec<String>, BTreeMap<&'static str, u64>) {
        let mut cluster = Cluster::new(seed, liars);
        (0..STEPS).for_each(|_| cluster.step());
        (cluster.world.take().expect("always there").found(), cluster.seen)
    }
}

#[test]
fn one_liar_of_six_breaks_nothing() {
    let mut all = BTreeMap::<&str, u64>::new();
    for seed in 0..60 {
        let (found, seen) = Cluster::run(seed, 1);
        assert_eq!(found, NOTHING, "seed {seed}");
        seen.into_iter().for_each(|(what, count)| *all.entry(what).or_default() += count);
    }
    let wanted = ["fast", "slow", "indirect", "notar-fallback", "skip-fallback", "skip", "restart"];
    for what in wanted {
        assert!(all.get(what).copied().unwrap_or(0) >= 10, "{what} in {all:?}");
    }
}

#[test]
fn two_liars_of_six_are_noticed() {
    let mut ids = BTreeSet::new();
    for seed in 0..60 {
        let (found, _) = Cluster::run(seed, 2);
        ids.extend(found.iter().filter_map(|found| Some(found.split_once(':')?.0.to_owned())));
    }
    // Certificates that exclude each other, and final blocks without enough correct votes.
    for id in ["O18", "O19", "O21"] {
        assert!(ids.contains(id), "{ids:?}");
    }
}
