//! The world of the repair tests: questions go out, each peer answers in its own way with what
//! [`server::answer`] would say or a twist of it, and answers come back through the real codec and
//! the real verifier after a round trip.

use super::super::*;
use crate::protocol::block::{Payload, Transaction};
use crate::protocol::bounded::{BoundedBytes, BoundedVec};
use crate::protocol::committee::tests::{committee, secrets};
use crate::protocol::wire::tests::build::signed_slice;
use crate::protocol::wire::{Message, Unverified, verify};
use std::time::Duration;

pub(super) const ME: NodeId = NodeId(0);
pub(super) const SLOT: Slot = Slot(9);
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(40);

/// How a peer answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    Honest,
    Silent,
    Nack,
    Liar(Lie),
}

/// B26: the lies about a block of three slices, so the tree over them has height 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lie {
    CountTooLow,
    CountTooHigh,
    CountPlusTree,
    CountOfOne,
    CountEmptyPath,
    CountShortPath,
    CountLongPath,
    CountWrongRoot,
    RootOfOtherSlice,
    RootInvented,
    RootEmptyPath,
    RootShortPath,
    RootLongPath,
    ShredOfOtherIndex,
    ShredOfOtherSlice,
    ShredOfOtherBlock,
    ShredOfOtherSlot,
    ShredWrongLastFlag,
    ShredDamaged,
    ShredUnsigned,
    AnswerToAnotherQuestion,
}

pub(super) const LIES: [Lie; 21] = [
    Lie::CountTooLow,
    Lie::CountTooHigh,
    Lie::CountPlusTree,
    Lie::CountOfOne,
    Lie::CountEmptyPath,
    Lie::CountShortPath,
    Lie::CountLongPath,
    Lie::CountWrongRoot,
    Lie::RootOfOtherSlice,
    Lie::RootInvented,
    Lie::RootEmptyPath,
    Lie::RootShortPath,
    Lie::RootLongPath,
    Lie::ShredOfOtherIndex,
    Lie::ShredOfOtherSlice,
    Lie::ShredOfOtherBlock,
    Lie::ShredOfOtherSlot,
    Lie::ShredWrongLastFlag,
    Lie::ShredDamaged,
    Lie::ShredUnsigned,
    Lie::AnswerToAnotherQuestion,
];

impl Lie {
    /// The question that it is a lie about.
    fn concerns(self, ask: Ask) -> bool {
        let name = format!("{self:?}");
        match ask {
            Ask::SliceCount(_) => name.starts_with("Count") || name.starts_with("Answer"),
            Ask::SliceRoot(..) => name.starts_with("Root") || name.starts_with("Answer"),
            Ask::Shred(..) => name.starts_with("Shred") || name.starts_with("Answer"),
            Ask::Decided(_) => false,
        }
    }
}

/// A block of `count` slices that its leader signed; `variant` makes blocks of one slot differ.
pub(super) fn block(committee: &Committee, slot: Slot, count: u8, variant: u8) -> Block {
    let slice = |t: u8| {
        let transaction = |i: u8| Transaction {
            valid_until: slot,
            payload: BoundedBytes::new(vec![i, t, variant].into()).unwrap(),
        };
        let parent = BlockId::new(slot.previous(), Hash([variant; 32]));
        let payload = Payload {
            parent: (t == 0).then_some(parent),
            transactions: (0..30).map(transaction).collect(),
        };
        signed_slice(committee, slot, t, t + 1 == count, &payload)
    };
    Block::new((0..count).map(slice).collect()).unwrap()
}

pub(super) struct World {
    pub(super) committee: Committee,
    peers: Vec<Peer>,
    pub(super) blocks: Vec<Arc<Block>>,
    pub(super) store: Blokstor,
    pub(super) repair: Repair,
    pub(super) now: Time,
    pub(super) timers: BTreeSet<(Time, BlockId)>,
    /// Answers under way: when, from whom, to which question, what.
    pub(super) answers: BTreeMap<(Time, u64), (NodeId, Answer)>,
    pub(super) asked: Vec<(Time, NodeId, Ask)>,
    pub(super) fetched: Vec<Arc<Block>>,
    /// Answers that the verifier, `expects` or `on_answer` turned down.
    pub(super) refused: usize,
}

impl World {
    /// Equal stakes; the first node is the requester. One block of three slices.
    pub(super) fn new(peers: &[Peer]) -> World {
        let committee = committee(&vec![1; peers.len() + 1]);
        let blocks = vec![Arc::new(block(&committee, SLOT, 3, 1))];
        World {
            committee,
            peers: peers.to_vec(),
            blocks,
            store: Blokstor::default(),
            repair: Repair::new(ME, 7 << 32),
            now: Time(1),
            timers: BTreeSet::new(),
            answers: BTreeMap::new(),
            asked: Vec::new(),
            fetched: Vec::new(),
            refused: 0,
        }
    }

    pub(super) fn id(&self) -> BlockId {
        self.blocks[0].id()
    }

    pub(super) fn call(&mut self, f: impl FnOnce(&mut Repair, Context<'_>, &mut Vec<Action>)) {
        let mut out = Vec::new();
        let cx = Context { committee: &self.committee, blokstor: &self.store, now: self.now };
        f(&mut self.repair, cx, &mut out);
        for action in out {
            match action {
                Action::Ask(peer, number, ask) => {
                    assert_ne!(peer, ME, "a node never asks itself");
                    self.asked.push((self.now, peer, ask));
                    if let Some(answer) = self.answer(peer, ask) {
                        self.answers.insert((self.now + ROUND_TRIP, number), (peer, answer));
                    }
                }
                Action::Timer(block, at) => {
                    self.timers.insert((at, block));
                }
                Action::Started(_) => {}
                Action::Fetched(block) => self.fetched.push(block),
            }
        }
        assert!(self.repair.outstanding() <= MAX_OUTSTANDING_REQUESTS);
    }

    fn answer(&self, peer: NodeId, ask: Ask) -> Option<Answer> {
        let wanted = match ask {
            Ask::SliceCount(b) | Ask::SliceRoot(b, _) | Ask::Shred(b, ..) => b,
            Ask::Decided(_) => unreachable!("repair asks for blocks"),
        };
        let block = self.blocks.iter().find(|block| block.id() == wanted).unwrap();
        match self.peers[peer.index() - 1] {
            Peer::Honest => Some(server::answer(block, ask)),
            Peer::Silent => None,
            Peer::Nack => Some(Answer::Nack),
            Peer::Liar(lie) if lie.concerns(ask) => {
                Some(lie_about(&self.committee, block, ask, lie))
            }
            Peer::Liar(_) => Some(server::answer(block, ask)),
        }
    }

    pub(super) fn want(&mut self, block: BlockId, holders: &[u16]) {
        let holders: NodeSet = holders.iter().copied().map(NodeId).collect();
        let now = self.now;
        self.call(|repair, cx, out| repair.want(cx, block, now, &holders, out));
    }

    /// Runs until nothing is left to do or the time has come; true if all blocks are fetched.
    pub(super) fn run(&mut self, limit: Duration) -> bool {
        let end = self.now + limit;
        while self.fetched.len() < self.blocks.len() {
            let answer = self.answers.keys().next().copied();
            let timer = self.timers.first().copied();
            let next = answer.map(|(at, _)| at).into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = next;
            if let Some(key) = answer.filter(|(at, _)| *at == next) {
                let (from, answer) = self.answers.remove(&key).unwrap();
                self.receive(from, key.1, answer);
            } else if let Some(timer) = timer {
                self.timers.remove(&timer);
                self.call(|repair, cx, out| repair.on_timer(cx, timer.1, out));
            }
        }
        self.fetched.len() == self.blocks.len()
    }

    pub(super) fn receive(&mut self, from: NodeId, number: u64, answer: Answer) {
        let message = Message::decode(&Message::Response(number, answer).encode()).unwrap();
        let Message::Response(_, answer) = &message else { unreachable!() };
        if !self.repair.expects(from, number, answer) {
            self.refused += 1;
            return;
        }
        let Ok(message) = verify(&self.committee, Unverified::new(message)) else {
            self.refused += 1;
            return;
        };
        let Message::Response(_, answer) = message.into_inner() else { unreachable!() };
        let mut good = true;
        self.call(|repair, cx, out| good = repair.on_answer(cx, number, &answer, out));
        self.refused += usize::from(!good);
    }
}

/// Twists the honest answer.
fn lie_about(committee: &Committee, block: &Block, ask: Ask, lie: Lie) -> Answer {
    let root = |t: u8| block.slices()[usize::from(t)].commitment.root;
    let bounded = |path: Vec<Hash>| BoundedVec::new(path).unwrap();
    let count = |last: u8, root: Hash, path: Vec<Hash>| Answer::SliceCount {
        last,
        root,
        path: bounded(path),
    };
    let of_root = |root: Hash, path: Vec<Hash>| Answer::SliceRoot { root, path: bounded(path) };
    let longer = |t: u8| [block.path(t), vec![Hash([0; 32])]].concat();
    let shred = |shred: Shred| Answer::Shred(Arc::new(shred));
    let (t, i) = match ask {
        Ask::Shred(_, t, i) => (t, i),
        Ask::SliceRoot(_, t) => (t, 0),
        _ => (0, 0),
    };
    let other_t = (t + 1) % 3;
    let honest = |t: u8| block.slices()[usize::from(t)].shred(i);
    match lie {
        Lie::CountTooLow => count(1, root(1), block.path(1)),
        Lie::CountTooHigh => count(3, root(2), block.path(3)),
        Lie::CountPlusTree => count(2 + 4, root(2), block.path(2)),
        Lie::CountOfOne => count(0, root(2), vec![]),
        Lie::CountEmptyPath => count(2, root(2), vec![]),
        Lie::CountShortPath => count(2, root(2), block.path(2)[..1].to_vec()),
        Lie::CountLongPath => count(2, root(2), longer(2)),
        Lie::CountWrongRoot => count(2, root(1), block.path(2)),
        Lie::RootOfOtherSlice => of_root(root(other_t), block.path(other_t)),
        Lie::RootInvented => of_root(Hash([t; 32]), block.path(t)),
        Lie::RootEmptyPath => of_root(root(t), vec![]),
        Lie::RootShortPath => of_root(root(t), block.path(t)[..1].to_vec()),
        Lie::RootLongPath => of_root(root(t), longer(t)),
        Lie::ShredOfOtherIndex => shred(block.slices()[usize::from(t)].shred((i + 1) % 64)),
        Lie::ShredOfOtherSlice => shred(honest(other_t)),
        // A bad leader signed another block of the slot, and an earlier one.
        Lie::ShredOfOtherBlock => {
            let other = self::block(committee, SLOT, 3, 2);
            shred(other.slices()[usize::from(t)].shred(i))
        }
        Lie::ShredOfOtherSlot => {
            let other = self::block(committee, Slot(SLOT.0 + 1), 3, 1);
            shred(other.slices()[usize::from(t)].shred(i))
        }
        Lie::ShredWrongLastFlag => {
            let mut shred = honest(t);
            shred.commitment.last = !shred.commitment.last;
            let leader = committee.leader(SLOT.window());
            let bytes = shred.commitment.signed_bytes(committee);
            shred.signature = secrets(leader.0).1.sign(&bytes);
            Answer::Shred(Arc::new(shred))
        }
        Lie::ShredDamaged => {
            let mut bad = honest(t);
            let mut piece = bad.piece.to_vec();
            piece[0] ^= 1;
            bad.piece = BoundedBytes::new(piece.into()).unwrap();
            shred(bad)
        }
        Lie::ShredUnsigned => {
            let mut bad = honest(t);
            bad.signature = Signature([1; 64]);
            shred(bad)
        }
        Lie::AnswerToAnotherQuestion => match ask {
            Ask::SliceCount(_) => of_root(root(2), block.path(2)),
            _ => count(2, root(2), block.path(2)),
        },
    }
}
