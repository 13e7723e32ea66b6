//! Repair, the answering side: stateless, cheap, and limited per peer (section 9).
//!
//! Blocks near the head are in memory. Older ones are in the store: such a question waits (within
//! a cap) while the host reads the block back, and a few blocks read back stay, because the next
//! hundred questions will be about them. Validators only: the sender of a datagram is what its tag
//! proves, and others do not get this far.

use crate::protocol::block::Block;
use crate::protocol::bounded::BoundedVec;
use crate::protocol::certificate::FinalityProof;
use crate::protocol::params::PROOFS_IN_MEMORY;
use crate::protocol::types::{BlockId, NodeId, Slot, Time};
use crate::protocol::wire::{Answer, Ask, MAX_BODY_BYTES, MAX_PROOFS, Message};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Questions per second that one peer may ask in the long run; as many at once after a pause.
const QUESTIONS_PER_SECOND: u64 = 4_096;
/// Questions that wait for the store at most.
const MAX_WAITING: usize = 1_024;
/// Of these, questions of one peer. A peer that wants them all is told Nack, and others are served.
const MAX_WAITING_OF_PEER: usize = 256;
/// Things that the store reads at once because one peer asked for them. An honest peer fetches 64
/// blocks at once, and a Nack makes it ask again without a pause: fewer would turn it into a flood.
const MAX_LOADS_OF_PEER: usize = 64;
/// Blocks read back from the store that stay in memory.
const MAX_READ_BACK: usize = 32;

/// A question that waits for the store.
pub type Waiting = (NodeId, u64, Ask);

/// Questions that wait for the store, by what it must read. The first one made it read.
#[derive(Debug)]
struct Queue<K> {
    waiting: BTreeMap<K, Vec<Waiting>>,
    questions: usize,
    /// Questions and loads of each peer.
    shares: Vec<(usize, usize)>,
}

impl<K: Ord> Queue<K> {
    fn new(n: usize) -> Queue<K> {
        Queue { waiting: BTreeMap::new(), questions: 0, shares: vec![(0, 0); n] }
    }

    /// `Some(true)` if the store must read now; `None` if too many wait.
    fn push(&mut self, key: K, question: Waiting) -> Option<bool> {
        let (questions, loads) = self.shares.get_mut(question.0.index())?;
        let first = !self.waiting.contains_key(&key);
        if self.questions >= MAX_WAITING
            || *questions >= MAX_WAITING_OF_PEER
            || (first && *loads >= MAX_LOADS_OF_PEER)
        {
            return None;
        }
        self.questions += 1;
        *questions += 1;
        *loads += usize::from(first);
        self.waiting.entry(key).or_default().push(question);
        Some(first)
    }

    fn take(&mut self, key: &K) -> Vec<Waiting> {
        let taken = self.waiting.remove(key).unwrap_or_default();
        self.questions -= taken.len();
        for (i, (peer, ..)) in taken.iter().enumerate() {
            let (questions, loads) = &mut self.shares[peer.index()];
            *questions -= 1;
            *loads -= usize::from(i == 0);
        }
        taken
    }
}

/// Proofs of recent direct finalizations, blocks read back, and the limits.
#[derive(Debug)]
pub struct Server {
    proofs: BTreeMap<Slot, FinalityProof>,
    read_back: BTreeMap<BlockId, Arc<Block>>,
    order: Vec<BlockId>,
    waiting: Queue<BlockId>,
    waiting_proofs: Queue<Slot>,
    allowance: Vec<(Time, u64)>,
}

impl Server {
    /// For a committee of `n`.
    pub fn new(n: usize) -> Server {
        Server {
            proofs: BTreeMap::new(),
            read_back: BTreeMap::new(),
            order: Vec::new(),
            waiting: Queue::new(n),
            waiting_proofs: Queue::new(n),
            allowance: vec![(Time(0), QUESTIONS_PER_SECOND * 1_000_000_000); n],
        }
    }

    /// Takes one question off the allowance of `peer`; false if it has none left.
    pub fn allow(&mut self, peer: NodeId, now: Time) -> bool {
        const UNIT: u64 = 1_000_000_000;
        let full = QUESTIONS_PER_SECOND * UNIT;
        let Some((since, left)) = self.allowance.get_mut(peer.index()) else { return false };
        let elapsed = u64::try_from(now.since(*since).as_nanos()).unwrap_or(u64::MAX);
        *left = left.saturating_add(elapsed.saturating_mul(QUESTIONS_PER_SECOND)).min(full);
        *since = now;
        if *left < UNIT {
            return false;
        }
        *left -= UNIT;
        true
    }

    /// Remembers the proof of a direct finalization.
    pub fn add_proof(&mut self, proof: FinalityProof) {
        self.proofs.insert(proof.slot(), proof);
        while self.proofs.len() > PROOFS_IN_MEMORY {
            self.proofs.pop_first();
        }
    }

    /// The proof for exactly this slot, if in memory.
    pub fn proof(&self, slot: Slot) -> Option<&FinalityProof> {
        self.proofs.get(&slot)
    }

    /// The lowest slot from which on all proofs are in memory.
    pub fn proofs_from(&self) -> Option<Slot> {
        self.proofs.keys().next().copied()
    }

    /// As many proofs from `from` on as fit one datagram.
    pub fn proofs(&self, from: Slot) -> Answer {
        fit(self.proofs.range(from..).map(|(_, proof)| proof.clone()))
    }

    /// A block read back from the store earlier.
    pub fn read_back(&self, block: BlockId) -> Option<&Arc<Block>> {
        self.read_back.get(&block)
    }

    /// Lets a question for a block wait. `Some(true)` if the block must be read now; `None` if
    /// too many wait, or too many of this peer.
    pub fn wait_for_block(&mut self, block: BlockId, question: Waiting) -> Option<bool> {
        self.waiting.push(block, question)
    }

    /// The same for proofs from `from` on.
    pub fn wait_for_proofs(&mut self, from: Slot, question: Waiting) -> Option<bool> {
        self.waiting_proofs.push(from, question)
    }

    /// The store has answered: keeps the block and gives the questions that waited for it.
    pub fn take_block(&mut self, id: BlockId, block: Option<Arc<Block>>) -> Vec<Waiting> {
        if let Some(block) = block
            && self.read_back.insert(id, block).is_none()
        {
            self.order.push(id);
            if self.order.len() > MAX_READ_BACK {
                self.read_back.remove(&self.order.remove(0));
            }
        }
        self.waiting.take(&id)
    }

    /// The store has answered a question for proofs.
    pub fn take_proofs(&mut self, from: Slot) -> Vec<Waiting> {
        self.waiting_proofs.take(&from)
    }
}

/// Packs proofs into one answer that fits a datagram.
pub fn fit(proofs: impl Iterator<Item = FinalityProof>) -> Answer {
    let empty = Message::Response(0, Answer::Decided(BoundedVec::default())).encode().len();
    let mut room = MAX_BODY_BYTES - empty;
    let mut taken = Vec::new();
    for proof in proofs.take(MAX_PROOFS) {
        let size = borsh::object_length(&proof).expect("measuring does not fail");
        if size > room {
            break;
        }
        room -= size;
        taken.push(proof);
    }
    match BoundedVec::new(taken) {
        Ok(list) if !list.is_empty() => Answer::Decided(list),
        _ => Answer::Nack,
    }
}

/// The answer to a question about a block that is at hand.
pub fn answer(block: &Block, ask: Ask) -> Answer {
    let path = |t: u8| BoundedVec::new(block.path(t)).expect("at most 64 slices");
    let root = |t: u8| block.slices()[usize::from(t)].commitment.root;
    let last = (block.slices().len() - 1) as u8;
    match ask {
        Ask::SliceCount(_) => Answer::SliceCount { last, root: root(last), path: path(last) },
        Ask::SliceRoot(_, t) if t <= last => Answer::SliceRoot { root: root(t), path: path(t) },
        Ask::Shred(_, t, i) if t <= last => {
            Answer::Shred(Arc::new(block.slices()[usize::from(t)].shred(i)))
        }
        _ => Answer::Nack,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_is_spent_and_refilled() {
        let mut server = Server::new(2);
        let peer = NodeId(1);
        let asked = (0..10_000).filter(|_| server.allow(peer, Time(1))).count();
        assert_eq!(asked as u64, QUESTIONS_PER_SECOND);
        assert!(server.allow(NodeId(0), Time(1)), "per peer");
        let second = Time(1_000_000_001);
        let asked = (0..10_000).filter(|_| server.allow(peer, second)).count();
        assert_eq!(asked as u64, QUESTIONS_PER_SECOND);
        assert!(!server.allow(NodeId(7), second), "unknown peers get nothing");
    }

    fn block(i: u64) -> BlockId {
        BlockId::new(Slot(i), Default::default())
    }

    fn ask(server: &mut Server, peer: u16, i: u64) -> Option<bool> {
        server.wait_for_block(block(i), (NodeId(peer), i, Ask::SliceCount(block(i))))
    }

    #[test]
    fn waiting_questions_are_capped() {
        let peers = MAX_WAITING.div_ceil(MAX_LOADS_OF_PEER) as u16;
        let mut server = Server::new(usize::from(peers) + 1);
        for i in 0..MAX_WAITING as u64 {
            assert_eq!(ask(&mut server, i as u16 % peers, i), Some(true));
        }
        assert_eq!(ask(&mut server, peers, 0), None);
        assert_eq!(server.take_block(block(3), None).len(), 1);
        assert_eq!(ask(&mut server, peers, 0), Some(false));
        assert_eq!(ask(&mut server, peers, 1), None, "full again");
    }

    /// One peer that floods is told Nack; the others are served.
    #[test]
    fn one_peer_cannot_take_all_the_room() {
        let mut server = Server::new(3);
        let loads = MAX_LOADS_OF_PEER as u64;
        let granted = (0..1_024).filter(|&i| ask(&mut server, 0, i).is_some()).count();
        assert_eq!(granted, MAX_LOADS_OF_PEER, "distinct blocks");
        assert_eq!(ask(&mut server, 1, 0), Some(false), "another peer joins a read under way");
        assert_eq!(ask(&mut server, 1, 1_024), Some(true), "and has its own");
        let granted = (0..1_024).filter(|_| ask(&mut server, 0, 5).is_some()).count();
        assert_eq!(granted, MAX_WAITING_OF_PEER - MAX_LOADS_OF_PEER, "the same block");
        assert_eq!(ask(&mut server, 2, 5), Some(false));
        // What is answered makes room, also for whoever joined.
        for i in 0..loads {
            assert!(!server.take_block(block(i), None).is_empty());
        }
        assert!(server.take_block(block(0), None).is_empty(), "answered once");
        assert_eq!(server.take_block(block(1_024), None).len(), 1);
        assert_eq!(server.waiting.questions, 0);
        assert!(server.waiting.shares.iter().all(|share| *share == (0, 0)));
        assert_eq!(ask(&mut server, 0, 5), Some(true));
        let question = |i| (NodeId(1), i, Ask::Decided(Slot(i)));
        let granted =
            (0..1_024).filter(|&i| server.wait_for_proofs(Slot(i), question(i)).is_some());
        assert_eq!(granted.count(), MAX_LOADS_OF_PEER, "proofs have their own room");
        assert_eq!(ask(&mut server, 7, 6), None, "unknown peers get nothing");
    }
}
