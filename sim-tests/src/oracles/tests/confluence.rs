//! O36: the order in which messages reach a Pool does not matter.
//!
//! > for fixed own votes, no equivocation and slots inside the admission range, every delivery order
//! > of one message multiset gives the same NFplus, SkipPlus and ParentReady facts above the final
//! > root and the same decisions
//!
//! Asynchrony is nothing but order. A Pool that concludes something in one order only (a child that
//! waits in the wrong map, a walk that is not taken up again, a certificate that hides another) makes
//! two honest nodes differ for good. Here three windows are written as honest voters might vote
//! them: final fast or slowly, notarized, contested, skipped, with two blocks. Votes, certificates
//! and blocks of them, not always all, reach the product's Pool in many orders.

use super::super::testing::*;
use alpenglow_node::protocol::pool::{Conclusion, Context, Pool};
use alpenglow_node::protocol::stake::Stakes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

const LAST_SLOT: u64 = 12;
const CASES: u64 = 400;
const ORDERS: u64 = 12;
const SHAPES: [&[u64]; 4] = [&[1; 5], &[1; 7], &[21, 20, 19, 20, 20], &[5, 4, 4, 3, 2, 1, 1]];

/// One thing that reaches the Pool.
#[derive(Clone, Copy, Debug)]
enum Parcel {
    Vote(NodeId, Vote),
    Certificate(CertificateId),
    Block(BlockId, BlockId),
}

/// What has to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    delivered: Vec<BlockId>,
    decided: BTreeMap<Slot, String>,
    certified: BTreeSet<BlockId>,
    skipped: BTreeSet<Slot>,
    ready: BTreeSet<(Slot, BlockId)>,
}

/// Three windows as honest voters might vote them.
struct Story {
    rng: ChaCha8Rng,
    stakes: Vec<u64>,
    votes: BTreeMap<(Slot, NodeId), Vec<VoteKind>>,
    blocks: BTreeMap<BlockId, BlockId>,
    /// Blocks on which the next window may build.
    viable: Vec<BlockId>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut story = Story {
            rng: ChaCha8Rng::seed_from_u64(seed),
            stakes: SHAPES[seed as usize % SHAPES.len()].to_vec(),
            votes: BTreeMap::new(),
            blocks: BTreeMap::new(),
            viable: vec![genesis()],
        };
        (1..=LAST_SLOT).for_each(|slot| story.slot(Slot(slot)));
        story
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below
    }

    fn at_least(&self, nodes: &[NodeId], fifths: u64) -> bool {
        let sum: u64 = nodes.iter().map(|node| self.stakes[node.index()]).sum();
        sum * 5 >= self.stakes.iter().sum::<u64>() * fifths
    }

    fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for last in (1..items.len()).rev() {
            let chosen = self.draw(last as u64 + 1) as usize;
            items.swap(last, chosen);
        }
        items
    }

    fn vote(&mut self, slot: Slot, nodes: &[NodeId], kind: VoteKind) {
        for node in nodes {
            self.votes.entry((slot, *node)).or_default().push(kind);
        }
    }

    /// One slot: who votes for the block in time, and what follows from it.
    fn slot(&mut self, slot: Slot) {
        let parents: Vec<BlockId> = match slot == slot.window().first() {
            true => self.viable.clone(),
            false => self.viable.iter().copied().filter(|b| b.slot == slot.previous()).collect(),
        };
        let all: Vec<NodeId> = (0..self.stakes.len() as u16).map(NodeId).collect();
        let nodes = self.shuffled(all);
        let Some(parent) = parents.first().copied() else {
            self.vote(slot, &nodes, Skip);
            return;
        };
        let a = block(slot.0, Hash([slot.0 as u8; 32]));
        self.blocks.insert(a, parent);
        let cut = self.draw(nodes.len() as u64 + 1) as usize;
        let (for_a, rest) = nodes.split_at(cut);
        self.vote(slot, for_a, Notar(a.hash));
        if self.at_least(for_a, 3) && self.draw(3) > 0 {
            self.vote(slot, for_a, Final);
            self.vote(slot, rest, Skip);
            self.vote(slot, rest, NotarFallback(a.hash));
            self.viable = vec![a];
        } else {
            self.contested(slot, a, parent, for_a, rest);
        }
    }

    /// Nobody casts F. Some of the others may have another block.
    fn contested(
        &mut self,
        slot: Slot,
        a: BlockId,
        parent: BlockId,
        for_a: &[NodeId],
        rest: &[NodeId],
    ) {
        let split = self.draw(rest.len() as u64 + 1) as usize;
        let (for_b, skips) = if self.draw(3) == 0 { rest.split_at(split) } else { (&[][..], rest) };
        let b = block(slot.0, Hash([100 + slot.0 as u8; 32]));
        if !for_b.is_empty() {
            self.blocks.insert(b, parent);
        }
        self.vote(slot, for_b, Notar(b.hash));
        self.vote(slot, skips, Skip);
        let joins = |story: &Story, side: &[NodeId]| {
            let with_skips: Vec<NodeId> = side.iter().chain(skips).copied().collect();
            story.at_least(side, 2) || story.at_least(side, 1) && story.at_least(&with_skips, 3)
        };
        let (to_a, to_b) = (joins(self, for_a), joins(self, for_b) && !for_b.is_empty());
        if to_a {
            self.vote(slot, rest, NotarFallback(a.hash));
        }
        if to_b {
            let others: Vec<NodeId> = for_a.iter().chain(skips).copied().collect();
            self.vote(slot, &others, NotarFallback(b.hash));
        }
        let weaker = if self.at_least(for_a, 2) { for_b } else { for_a };
        let against: Vec<NodeId> = weaker.iter().chain(skips).copied().collect();
        let skippable = self.at_least(&against, 2) || self.at_least(skips, 3);
        if skippable {
            let notar: Vec<NodeId> = for_a.iter().chain(for_b).copied().collect();
            self.vote(slot, &notar, SkipFallback);
        } else if !to_a && !to_b {
            return;
        }
        let certified = |story: &Story, id: BlockId| story.certified(slot, id);
        let (a, b) = (certified(self, a).then_some(a), certified(self, b).then_some(b));
        let old = if skippable { std::mem::take(&mut self.viable) } else { Vec::new() };
        let viable: Vec<BlockId> = a.into_iter().chain(b).chain(old).collect();
        self.viable = self.shuffled(viable);
    }

    fn voters(&self, slot: Slot, wanted: impl Fn(&VoteKind) -> bool) -> Vec<NodeId> {
        let of_slot = self.votes.range((slot, NodeId(0))..=(slot, NodeId(u16::MAX)));
        of_slot.filter(|(_, kinds)| kinds.iter().any(&wanted)).map(|((_, node), _)| *node).collect()
    }

    fn certified(&self, slot: Slot, id: BlockId) -> bool {
        let for_it = |kind: &VoteKind| *kind == Notar(id.hash) || *kind == NotarFallback(id.hash);
        self.at_least(&self.voters(slot, for_it), 3)
    }

    /// Every certificate that the votes make.
    fn certificates(&self) -> Vec<CertificateId> {
        let mut made = Vec::new();
        for slot in (1..=LAST_SLOT).map(Slot) {
            let mut add = |kind, voters: &[NodeId], fifths| {
                if self.at_least(voters, fifths) {
                    made.push(CertificateId::new(slot, kind));
                }
            };
            for id in self.blocks.keys().filter(|id| id.slot == slot) {
                let notar = self.voters(slot, |kind| *kind == Notar(id.hash));
                add(FF(id.hash), &notar, 4);
                add(NO(id.hash), &notar, 3);
                if self.certified(slot, *id) {
                    add(NF(id.hash), &notar, 0);
                }
            }
            add(SK, &self.voters(slot, |kind| matches!(kind, Skip | SkipFallback)), 3);
            add(FI, &self.voters(slot, |kind| *kind == Final), 3);
        }
        made
    }

    /// The messages of which a Pool hears: most of them, some twice.
    fn parcels(&mut self) -> Vec<Parcel> {
        let votes = self.votes.iter().flat_map(|((slot, node), kinds)| {
            kinds.iter().map(|kind| Parcel::Vote(*node, Vote::new(*slot, *kind)))
        });
        let blocks = self.blocks.iter().map(|(id, parent)| Parcel::Block(*id, *parent));
        let certificates = self.certificates().into_iter().map(Parcel::Certificate);
        let all: Vec<Parcel> = votes.chain(blocks).chain(certificates).collect();
        let heard = 40 + self.draw(61);
        all.into_iter().flat_map(|p| vec![p; [0, 1, 1, 2][self.often(heard)]]).collect()
    }

    /// 0 rarely, the more often the lower `percent` is.
    fn often(&mut self, percent: u64) -> usize {
        if self.draw(100) >= percent { 0 } else { 1 + self.draw(3) as usize }
    }
}

/// Delivers to a new Pool of node 0 and says what it knows in the end.
fn delivered(stakes: &Stakes, parcels: &[Parcel], blocks: &[BlockId]) -> Facts {
    let cx = Context { stakes, me: NodeId(0) };
    let (mut pool, mut out) = (Pool::new(genesis()), Vec::new());
    pool.start(&mut out);
    for (number, parcel) in parcels.iter().enumerate() {
        match *parcel {
            Parcel::Vote(voter, vote) => {
                pool.add_vote(cx, voter, vote, &mut out);
            }
            Parcel::Certificate(id) => {
                pool.add_certificate(cx, id, &mut out);
            }
            Parcel::Block(id, parent) => pool.add_block(cx, id, parent, &mut out),
        }
        if number % 5 == 0 {
            pool.prune();
        }
    }
    assert!(!out.iter().any(|c| matches!(c, Conclusion::Contradiction(_))), "honest voters");
    let root = pool.finality().root().slot;
    let above = || root.after_to(Slot(LAST_SLOT));
    let mut facts = Facts {
        decided: above()
            .filter_map(|s| Some((s, format!("{:?}", pool.finality().decided(s)?))))
            .collect(),
        certified: blocks.iter().copied().filter(|b| b.slot > root).collect(),
        skipped: above().filter(|slot| pool.readiness().is_skipped(*slot)).collect(),
        ..Facts::default()
    };
    facts.certified.retain(|id| pool.readiness().is_certified(*id));
    for conclusion in out {
        match conclusion {
            Conclusion::Delivered(id) => facts.delivered.push(id),
            Conclusion::ParentReady(ready) if ready.first > root => {
                let new = facts.ready.insert((ready.first, ready.parent));
                assert!(new, "announced twice: {ready:?}");
            }
            _ => {}
        }
    }
    facts
}

#[test]
fn every_order_gives_the_same_facts() {
    let mut seen = BTreeMap::<&str, u64>::new();
    for seed in 0..CASES {
        let mut story = Story::new(seed);
        let stakes = Stakes::new(story.stakes.clone()).expect("legal");
        let blocks: Vec<BlockId> = story.blocks.keys().copied().collect();
        let parcels = story.parcels();
        let first = delivered(&stakes, &parcels, &blocks);
        for order in 0..ORDERS {
            let shuffled = story.shuffled(parcels.clone());
            let facts = delivered(&stakes, &shuffled, &blocks);
            assert_eq!(facts, first, "seed {seed}, order {order}: {shuffled:?}");
        }
        let several =
            first.ready.iter().any(|(s, p)| first.ready.iter().any(|r| r.0 == *s && r.1 != *p));
        let sizes = [
            ("delivered", first.delivered.len()),
            ("decided above the root", first.decided.len()),
            ("certified", first.certified.len()),
            ("skipped", first.skipped.len()),
            ("ready", first.ready.len()),
            ("several parents", several.into()),
        ];
        for (what, count) in sizes {
            *seen.entry(what).or_default() += count as u64;
        }
    }
    assert!(seen.values().all(|count| *count >= 40), "{seen:?}");
}
