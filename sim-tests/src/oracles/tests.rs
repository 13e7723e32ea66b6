//! One long history in which everything goes as it may, watched by all oracles at once.
//!
//! Six nodes of equal stake, so 2 hold 20 %, 3 hold 40 %, 4 hold 60 % and 5 hold 80 %. Node 5 lies.
//! The story has every outcome that a slot can have, and every way for a node to fall behind.

mod confluence;
mod random;

use super::testing::*;
use alpenglow_node::protocol::certificate::FinalityProof;

const HONEST: [u16; 5] = [0, 1, 2, 3, 4];
const LIAR: u16 = 5;

/// What many nodes do at once.
trait Together: Sized {
    fn each(self, nodes: &[u16], act: impl FnMut(Self, u16) -> Self) -> Self {
        nodes.iter().copied().fold(self, act)
    }
}

impl Together for World {}

impl World {
    fn all_store(self, nodes: &[u16], block: BlockId, parent: BlockId) -> World {
        self.each(nodes, |world, node| world.stored(node, block, parent))
    }

    /// These vote, and each of these hears the others.
    fn round(self, nodes: &[u16], slot: u64, kind: VoteKind) -> World {
        self.votes_heard_by(nodes, nodes, slot, kind)
    }

    fn votes_heard_by(self, who: &[u16], by: &[u16], slot: u64, kind: VoteKind) -> World {
        let world = self.each(who, |world, node| world.said(node, slot, kind));
        world.each(by, |world, node| {
            let others: Vec<u16> = who.iter().copied().filter(|other| *other != node).collect();
            world.heard(node, &others, slot, kind)
        })
    }

    /// A certificate reaches these, who pass it on.
    fn spread(self, nodes: &[u16], slot: u64, kind: CertificateKind, by: [&[u16]; 2]) -> World {
        let certificate = self.certificate(slot, kind, by[0], by[1]);
        let message = Message::Certificate(certificate.clone());
        self.each(nodes, |world, n| world.added(n, certificate.clone()).sent(n, &message)).later()
    }

    fn all_ready(self, nodes: &[u16], first: u64, parent: BlockId) -> World {
        self.each(nodes, |world, node| world.ready(node, first, parent))
    }

    /// A block goes through in two rounds, or if fast in one, and is delivered.
    fn finalize(self, nodes: &[u16], block: BlockId, parent: BlockId, mode: Mode) -> World {
        let (slot, hash, quorum) = (block.slot.0, block.hash, &nodes[..4]);
        let world = self
            .all_store(nodes, block, parent)
            .round(nodes, slot, Notar(hash))
            .spread(nodes, slot, NO(hash), [quorum, &[]])
            .round(nodes, slot, Final);
        let world = match mode {
            Fast => world.spread(nodes, slot, FF(hash), [nodes, &[]]),
            _ => world.spread(nodes, slot, FI, [quorum, &[]]),
        };
        world.each(nodes, |world, node| world.finalized(node, block, mode))
    }

    fn all_out(self, nodes: &[u16], block: BlockId, parent: BlockId) -> World {
        self.each(nodes, |world, node| world.out(node, block, parent)).later()
    }
}

/// Slot 1 is fast, slot 2 slow, slot 3 skipped.
fn plain_slots(world: World) -> World {
    let (one, two) = (block(1, A), block(2, A));
    world
        .all_ready(&HONEST, 1, genesis())
        .finalize(&HONEST, one, genesis(), Fast)
        .all_out(&HONEST, one, genesis())
        .finalize(&HONEST, two, one, Slow)
        .all_out(&HONEST, two, one)
        .round(&HONEST, 3, Skip)
        .spread(&HONEST, 3, SK, [&[0, 1, 2, 4], &[]])
        .all_ready(&HONEST, 4, two)
}

/// Slot 4 arrives in time at three of six; the liar tells node 0 that it skips. So the slot is
/// certified everywhere and skipped as well at node 0, which has two parents for the next window.
/// The window after it is fast, and makes slot 4 final as an ancestor.
fn certified_and_skipped(world: World) -> World {
    let (two, four, eight) = (block(2, A), block(4, A), block(8, A));
    let world = world
        .all_store(&HONEST, four, two)
        .votes_heard_by(&[0, 1, 2], &HONEST, 4, Notar(A))
        .votes_heard_by(&[3, 4], &HONEST, 4, Skip)
        .votes_heard_by(&[3, 4], &HONEST, 4, NotarFallback(A))
        .spread(&[1, 2, 3, 4], 4, NF(A), [&[0, 1, 2], &[3]])
        .spread(&[0], 4, NF(A), [&[0, 1, 2], &[3, 4]])
        .heard(0, &[LIAR], 4, Skip)
        .votes_heard_by(&[0], &[1, 2, 3, 4], 4, SkipFallback)
        .spread(&[0], 4, SK, [&[3, 4, 5], &[0]]);
    let world = [5, 6, 7].into_iter().fold(world, |world, slot| {
        let world = world.round(&HONEST, slot, Skip);
        world.spread(&HONEST, slot, SK, [&[0, 1, 2, 3], &[]])
    });
    world
        .all_ready(&HONEST, 8, four)
        .ready(0, 8, two)
        .finalize(&HONEST, eight, four, Fast)
        .each(&HONEST, |world, node| {
            let world = world.skipped(node, 7).skipped(node, 6).skipped(node, 5);
            world.finalized(node, four, Indirect).skipped(node, 3)
        })
        .all_out(&HONEST, four, two)
        .all_out(&HONEST, eight, four)
}

/// Node 3 dies with a vote on its disk that nobody has heard of, comes back with it, dies again,
/// misses slot 10, and votes on in slot 11 on a parent that is final but not its own.
fn two_crashes(world: World) -> World {
    let (eight, nine, ten, eleven) = (block(8, A), block(9, A), block(10, A), block(11, A));
    let others = [0, 1, 2, 4];
    let proof = FinalityProof::Slow {
        notar: world.certificate(10, NO(A), &others, &[]),
        last: world.certificate(10, FI, &others, &[]),
    };
    let resent = Message::Vote(world.signed(3, 9, Notar(A)));
    let log = [vote(8, Notar(A)), vote(8, Final), vote(9, Notar(A))];
    let ledger = [block(1, A), block(2, A), block(4, A), eight];
    let world = world
        .stored(3, nine, eight)
        .crash_with(3, &log, &ledger)
        .finalize(&others, nine, eight, Slow)
        .all_out(&others, nine, eight)
        .later()
        .start(3)
        .stored_from(Origin::Store, 3, nine, eight)
        .sent(3, &resent)
        .later()
        .spread(&[3], 9, NO(A), [&[0, 1, 2, 3], &[]])
        .said(3, 9, Final)
        .spread(&[3], 9, FI, [&others, &[]])
        .finalized(3, nine, Slow)
        .out(3, nine, eight)
        .crash(3)
        .finalize(&others, ten, nine, Slow)
        .all_out(&others, ten, nine)
        .later()
        .start(3)
        .later();
    proof
        .certificates()
        .fold(world, |world, certificate| {
            let message = Message::Certificate(certificate.clone());
            world.added(3, certificate.clone()).sent(3, &message)
        })
        .finalized(3, ten, Slow)
        .stored_from(Origin::Repair, 3, ten, nine)
        .out(3, ten, nine)
        .sent(3, &Message::Proof(proof))
        .finalize(&HONEST, eleven, ten, Fast)
        .all_out(&HONEST, eleven, ten)
        .all_ready(&HONEST, 12, eleven)
}

/// The liar leads slot 12 and makes two blocks. Both are certified, and the slot is skipped.
fn two_blocks_and_a_skip(world: World) -> World {
    let (eleven, a, b, sixteen) = (block(11, A), block(12, A), block(12, B), block(16, A));
    let world = world
        .all_store(&[0, 1], a, eleven)
        .all_store(&[2, 3], b, eleven)
        .votes_heard_by(&[0, 1], &HONEST, 12, Notar(A))
        .votes_heard_by(&[2, 3], &HONEST, 12, Notar(B))
        .votes_heard_by(&[4], &HONEST, 12, Skip)
        // To each side the liar says that it is with the other one.
        .each(&[0, 1], |world, node| world.heard(node, &[LIAR], 12, Notar(B)))
        .each(&[2, 3, 4], |world, node| world.heard(node, &[LIAR], 12, Notar(A)))
        .each(&[0, 1], |world, node| world.stored_from(Origin::Repair, node, b, eleven))
        .each(&[2, 3, 4], |world, node| world.stored_from(Origin::Repair, node, a, eleven))
        .votes_heard_by(&[0, 1], &HONEST, 12, NotarFallback(B))
        .votes_heard_by(&[2, 3, 4], &HONEST, 12, NotarFallback(A))
        .votes_heard_by(&[0, 1, 2], &HONEST, 12, SkipFallback)
        .spread(&HONEST, 12, NF(A), [&[0, 1], &[2, 3, 4]])
        .spread(&[0, 1, 4], 12, NF(B), [&[2, 3], &[0, 1]])
        .spread(&HONEST, 12, SK, [&[4], &[0, 1, 2]]);
    let world = [13, 14, 15].into_iter().fold(world, |world, slot| {
        let world = world.round(&HONEST, slot, Skip);
        world.spread(&HONEST, slot, SK, [&[1, 2, 3, 4], &[]])
    });
    world
        .all_ready(&HONEST, 16, a)
        .all_ready(&[0, 1, 4], 16, b)
        .all_ready(&HONEST, 16, eleven)
        .finalize(&HONEST, sixteen, a, Fast)
        .each(&HONEST, |world, node| {
            let world = world.skipped(node, 15).skipped(node, 14).skipped(node, 13);
            world.finalized(node, a, Indirect)
        })
        .all_out(&HONEST, a, eleven)
        .all_out(&HONEST, sixteen, a)
}

/// Node 4 is away for a hundred slots, and catches up with proofs of slots that its Pool keeps no
/// certificates of, before it votes again.
fn far_behind(world: World) -> World {
    let others = [0, 1, 2, 3];
    let (tip, last) = (16, 119);
    let id = |slot| block(slot, A);
    let mut world = world.crash(4);
    for slot in tip + 1..=last {
        world = world.finalize(&others, id(slot), id(slot - 1), Slow);
        world = world.all_out(&others, id(slot), id(slot - 1));
        if slot % 4 == 3 {
            world = world.all_ready(&others, slot + 1, id(slot));
        }
    }
    world = world
        .start(4)
        .later()
        .spread(&[4], last, NO(A), [&others, &[]])
        .spread(&[4], last, FI, [&others, &[]])
        .finalized(4, id(last), Slow)
        .ready(4, last + 1, id(last));
    for slot in tip + 1..last {
        if slot + 64 >= last {
            world = world.spread(&[4], slot, NO(A), [&others, &[]]);
            world = world.spread(&[4], slot, FI, [&others, &[]]);
        }
        world = world.finalized(4, id(slot), Slow);
        world = world.stored_from(Origin::Repair, 4, id(slot), id(slot - 1));
        world = world.out(4, id(slot), id(slot - 1));
    }
    world
        .stored_from(Origin::Repair, 4, id(last), id(last - 1))
        .out(4, id(last), id(last - 1))
        .finalize(&HONEST, id(last + 1), id(last), Fast)
        .all_out(&HONEST, id(last + 1), id(last))
}

fn story() -> World {
    let world = World::new(&[1; 6]).byzantine(LIAR);
    far_behind(two_blocks_and_a_skip(two_crashes(certified_and_skipped(plain_slots(world)))))
}

#[test]
fn a_long_history_without_findings() {
    assert_eq!(story().found(), NOTHING);
}

#[test]
fn ids_are_unique_and_in_order() {
    let world = World::new(&[1; 5]);
    let ids: Vec<u32> =
        super::safety(&world.scene).iter().map(|o| o.id()[1..].parse().expect("O1")).collect();
    let expected = (1..=35).chain([37, 38]);
    assert_eq!(ids, expected.collect::<Vec<_>>());
}
