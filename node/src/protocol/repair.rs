//! Repair, the asking side: fetches certified blocks that Rotor did not deliver (section 9).
//!
//! A block is fetched in three dependent steps: how many slices (proved against the hash), the
//! root of each slice (proved against the hash), any 32 shreds of each slice (proved against the
//! root). So every answer is checked alone, a liar costs one retry and nothing else, and the steps
//! of different slices and blocks overlap freely.
//!
//! Each question goes to three peers at once; one without an answer after 2Δ, and one answered
//! with Nack or nonsense, goes to the next peer. Peers whose stored votes say that they hold the
//! block come first (K4), then peers drawn by stake from a public stream, round and round: no
//! answer, however bad, ends the asking.

pub mod server;

use super::block::{Block, Commitment, Shred, Slice, slice_leaf};
use super::blokstor::Blokstor;
use super::committee::Committee;
use super::params::{
    DATA_SHREDS, MAX_OUTSTANDING_REQUESTS, REPAIR_EXTRA_SHREDS, REPAIR_FANOUT, TOTAL_SHREDS,
};
use super::rules::rule;
use super::stake::NodeSet;
use super::types::{BlockId, Hash, NodeId, Slot, Time};
use super::wire::{Answer, Ask};
use crate::crypto::ed25519::Signature;
use crate::crypto::{erasure, merkle};
use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Blocks fetched at the same time at most, lowest slots first.
const MAX_JOBS: usize = 64;
/// Peers drawn by stake between two rounds over the known holders.
const DRAWN_PER_ROUND: u64 = 8;

/// What the asking side wants done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this question.
    Ask(NodeId, u64, Ask),
    /// Call [`Repair::on_timer`] for the block then.
    Timer(BlockId, Time),
    /// The fetch began.
    Started(BlockId),
    /// The block is here, complete and valid.
    Fetched(Arc<Block>),
}

#[derive(Debug)]
struct Job {
    not_before: Time,
    started: bool,
    holders: Vec<NodeId>,
    picks: u64,
    slices: Vec<SliceJob>,
    open: BTreeSet<u64>,
    /// Questions for the slice count under way.
    counts_open: usize,
}

#[derive(Debug, Default)]
struct SliceJob {
    root: Option<Hash>,
    signature: Option<Signature>,
    pieces: BTreeMap<u8, Bytes>,
    done: Option<Slice>,
    /// Questions for the root under way.
    roots_open: usize,
    /// Shreds asked for and not answered, as bits.
    shreds_open: u64,
}

#[derive(Debug)]
struct Outstanding {
    block: BlockId,
    ask: Ask,
    peer: NodeId,
    deadline: Time,
}

/// The fetches under way.
#[derive(Debug)]
pub struct Repair {
    me: NodeId,
    jobs: BTreeMap<BlockId, Job>,
    outstanding: BTreeMap<u64, Outstanding>,
    numbers: u64,
}

/// What repair needs to see.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The committee.
    pub committee: &'a Committee,
    /// What Rotor has collected.
    pub blokstor: &'a Blokstor,
    /// Now.
    pub now: Time,
}

impl Repair {
    /// Nothing under way. Request numbers start at `numbers`, which differs between incarnations,
    /// so that a late answer to a former one matches nothing.
    pub fn new(me: NodeId, numbers: u64) -> Repair {
        Repair { me, jobs: BTreeMap::new(), outstanding: BTreeMap::new(), numbers }
    }

    /// Wants `block`, from `not_before` on. Idempotent.
    pub fn want(
        &mut self,
        cx: Context<'_>,
        block: BlockId,
        not_before: Time,
        holders: &NodeSet,
        out: &mut Vec<Action>,
    ) {
        if self.jobs.contains_key(&block) || (self.jobs.len() >= MAX_JOBS && !self.displace(block))
        {
            return;
        }
        let me = self.me;
        let job = Job {
            not_before,
            started: false,
            holders: holders.iter().filter(|&node| node != me).collect(),
            picks: 0,
            slices: Vec::new(),
            open: BTreeSet::new(),
            counts_open: 0,
        };
        self.jobs.insert(block, job);
        if not_before <= cx.now {
            self.advance(cx, block, out);
        } else {
            out.push(Action::Timer(block, not_before));
        }
    }

    /// Makes room for a lower slot by dropping the highest one; it will be wanted again.
    fn displace(&mut self, block: BlockId) -> bool {
        match self.jobs.keys().next_back().copied() {
            Some(highest) if highest.slot > block.slot => {
                self.forget(highest);
                true
            }
            _ => false,
        }
    }

    /// The block is stored, or no longer needed. True if it was wanted.
    pub fn forget(&mut self, block: BlockId) -> bool {
        let Some(job) = self.jobs.remove(&block) else { return false };
        for number in &job.open {
            self.outstanding.remove(number);
        }
        job.started
    }

    /// Drops fetches below the root.
    pub fn prune(&mut self, root: Slot) {
        let old: Vec<BlockId> =
            self.jobs.keys().take_while(|block| block.slot <= root).copied().collect();
        for block in old {
            self.forget(block);
        }
    }

    /// True if another block can be wanted without displacing one.
    pub fn has_room(&self) -> bool {
        self.jobs.len() < MAX_JOBS
    }

    /// Questions without an answer.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// The grace time is over, or answers are overdue.
    pub fn on_timer(&mut self, cx: Context<'_>, block: BlockId, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&block) else { return };
        let late: Vec<u64> = job
            .open
            .iter()
            .copied()
            .filter(|number| self.outstanding.get(number).is_some_and(|o| o.deadline <= cx.now))
            .collect();
        for number in late {
            rule!("repair.timeout");
            if let Some(late) = self.outstanding.remove(&number) {
                job.close(number, late.ask);
            }
        }
        if job.not_before <= cx.now {
            self.advance(cx, block, out);
        }
    }

    /// True if `from` was asked a question with this number that `answer` could answer.
    pub fn expects(&self, from: NodeId, number: u64, answer: &Answer) -> bool {
        self.outstanding.get(&number).is_some_and(|o| {
            o.peer == from
                && matches!(
                    (&o.ask, answer),
                    (_, Answer::Nack)
                        | (Ask::SliceCount(_), Answer::SliceCount { .. })
                        | (Ask::SliceRoot(..), Answer::SliceRoot { .. })
                        | (Ask::Shred(..), Answer::Shred(_))
                )
        })
    }

    /// Takes a solicited answer whose signatures are verified. False if it is nonsense.
    pub fn on_answer(
        &mut self,
        cx: Context<'_>,
        number: u64,
        answer: &Answer,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(Outstanding { block, ask, .. }) = self.outstanding.remove(&number) else {
            return true;
        };
        let Some(job) = self.jobs.get_mut(&block) else { return true };
        job.close(number, ask);
        let good = match (ask, answer) {
            (_, Answer::Nack) => {
                rule!("repair.nack");
                true
            }
            (Ask::SliceCount(_), Answer::SliceCount { last, root, path }) => {
                job.take_count(block, *last, *root, path)
            }
            (Ask::SliceRoot(_, t), Answer::SliceRoot { root, path }) => {
                job.take_root(block, t, *root, path)
            }
            (Ask::Shred(_, t, i), Answer::Shred(shred)) => job.take_shred(block, t, i, shred),
            _ => false,
        };
        if !good {
            rule!("repair.bad");
        }
        self.advance(cx, block, out);
        good
    }

    /// Asks whatever the block needs next and is not asked already; finishes it if nothing is left.
    fn advance(&mut self, cx: Context<'_>, block: BlockId, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&block) else { return };
        if !job.started {
            rule!("repair.start");
            job.started = true;
            out.push(Action::Started(block));
        }
        job.reuse(cx.blokstor, block);
        if !job.decode(block) {
            // A proved root that is no codeword: nobody honest voted for this block.
            self.forget(block);
            return;
        }
        if let Some(fetched) = job.finished(block) {
            self.forget(block);
            if let Some(fetched) = fetched {
                rule!("repair.block");
                out.push(Action::Fetched(fetched));
            }
            return;
        }
        let asks = job.next_asks(block);
        self.ask_all(cx, block, asks, out);
    }

    fn ask_all(&mut self, cx: Context<'_>, block: BlockId, asks: Vec<Ask>, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&block) else { return };
        let deadline = cx.now + cx.committee.params().repair_retry();
        if cx.committee.len() < 2 {
            return;
        }
        let mut timer = asks.is_empty() && job.open.is_empty();
        for ask in asks {
            if self.outstanding.len() >= MAX_OUTSTANDING_REQUESTS {
                timer = true;
                break;
            }
            let peer = job.pick(cx.committee, self.me, block);
            let number = self.numbers;
            self.numbers += 1;
            job.open(number, ask);
            self.outstanding.insert(number, Outstanding { block, ask, peer, deadline });
            out.push(Action::Ask(peer, number, ask));
            timer = true;
        }
        if timer {
            out.push(Action::Timer(block, deadline));
        }
    }
}

impl Job {
    /// The next peer: holders first, then some drawn by stake, and again.
    fn pick(&mut self, committee: &Committee, me: NodeId, block: BlockId) -> NodeId {
        let holders = self.holders.len() as u64;
        let at = self.picks % (holders + DRAWN_PER_ROUND);
        self.picks += 1;
        if at < holders {
            // Nodes start at different holders, so that the first one is not asked by everybody.
            let start = u64::from(me.0) % holders;
            return self.holders[((at + start) % holders) as usize];
        }
        let key = Hash::of(
            "ag/repair-peer",
            &[
                &block.slot.0.to_le_bytes(),
                &block.hash.0,
                &me.0.to_le_bytes(),
                &self.picks.to_le_bytes(),
            ],
        );
        let mut rng = ChaCha20Rng::from_seed(key.0);
        committee.draw(&mut rng, Some(me)).expect("the caller checked that there are two nodes")
    }

    fn take_count(&mut self, block: BlockId, last: u8, root: Hash, path: &[Hash]) -> bool {
        let count = u32::from(last) + 1;
        let height = merkle::height(count);
        if !merkle::check_last(slice_leaf(root), last.into(), path, &block.hash, height) {
            return false;
        }
        rule!("repair.count");
        if self.slices.is_empty() {
            self.slices = (0..count).map(|_| SliceJob::default()).collect();
            self.slices[usize::from(last)].root = Some(root);
        }
        true
    }

    fn take_root(&mut self, block: BlockId, t: u8, root: Hash, path: &[Hash]) -> bool {
        let height = merkle::height(self.slices.len() as u32);
        let good = merkle::check_path(slice_leaf(root), t.into(), path, &block.hash, height);
        if good && let Some(slice) = self.slices.get_mut(usize::from(t)) {
            rule!("repair.root");
            slice.root = Some(root);
        }
        good
    }

    /// The signature and the path to the shred's own root are verified already.
    fn take_shred(&mut self, block: BlockId, t: u8, i: u8, shred: &Shred) -> bool {
        let is_last = usize::from(t) + 1 == self.slices.len();
        let Some(slice) = self.slices.get_mut(usize::from(t)) else { return false };
        let commitment = shred.commitment;
        let good = commitment.slot == block.slot
            && commitment.slice == t
            && shred.index == i
            && Some(commitment.root) == slice.root
            && commitment.last == is_last;
        if good && slice.done.is_none() {
            rule!("repair.shred");
            slice.signature = Some(shred.signature);
            slice.pieces.insert(i, shred.piece.bytes().clone());
        }
        good
    }

    /// Takes over what Rotor has of slices with a proved root.
    fn reuse(&mut self, blokstor: &Blokstor, block: BlockId) {
        let count = self.slices.len();
        for (t, slice) in (0u8..).zip(&mut self.slices) {
            let Some(root) = slice.root else { continue };
            let last = usize::from(t) + 1 == count;
            let wanted = Commitment { slot: block.slot, slice: t, last, root };
            if slice.done.is_none()
                && let Some((signature, pieces)) = blokstor.rotor_pieces(&wanted)
            {
                slice.signature = Some(signature);
                for (i, piece) in pieces {
                    rule!("repair.reuse");
                    slice.pieces.insert(i, piece);
                }
            }
        }
    }

    /// Decodes every slice with enough proved pieces. False if one is no codeword.
    fn decode(&mut self, block: BlockId) -> bool {
        let count = self.slices.len();
        for (t, slice) in self.slices.iter_mut().enumerate() {
            let (Some(root), Some(signature)) = (slice.root, slice.signature) else { continue };
            if slice.done.is_some() || slice.pieces.len() < DATA_SHREDS {
                continue;
            }
            let pieces: Vec<_> = std::mem::take(&mut slice.pieces).into_iter().collect();
            let Ok(encoded) = erasure::decode(&root, &pieces) else { return false };
            let commitment =
                Commitment { slot: block.slot, slice: t as u8, last: t + 1 == count, root };
            slice.done = Some(Slice { commitment, signature, encoded });
        }
        true
    }

    fn slot_of(&mut self, ask: Ask) -> Option<&mut SliceJob> {
        match ask {
            Ask::SliceRoot(_, t) | Ask::Shred(_, t, _) => self.slices.get_mut(usize::from(t)),
            Ask::SliceCount(_) | Ask::Decided(_) => None,
        }
    }

    fn open(&mut self, number: u64, ask: Ask) {
        self.open.insert(number);
        match (ask, self.slot_of(ask)) {
            (Ask::Shred(_, _, i), Some(slice)) => slice.shreds_open |= 1 << i,
            (Ask::SliceRoot(..), Some(slice)) => slice.roots_open += 1,
            _ => self.counts_open += 1,
        }
    }

    fn close(&mut self, number: u64, ask: Ask) {
        self.open.remove(&number);
        match (ask, self.slot_of(ask)) {
            (Ask::Shred(_, _, i), Some(slice)) => slice.shreds_open &= !(1 << i),
            (Ask::SliceRoot(..), Some(slice)) => slice.roots_open -= 1,
            _ => self.counts_open -= 1,
        }
    }

    /// Some if every slice is decoded; the block, if it is valid and has the hash.
    fn finished(&self, block: BlockId) -> Option<Option<Arc<Block>>> {
        if self.slices.is_empty() {
            return None;
        }
        let slices: Option<Vec<Slice>> = self.slices.iter().map(|s| s.done.clone()).collect();
        let fetched = Block::new(slices?).ok().filter(|fetched| fetched.id() == block);
        Some(fetched.map(Arc::new))
    }

    /// What is needed and not under way.
    fn next_asks(&self, block: BlockId) -> Vec<Ask> {
        if self.slices.is_empty() {
            let more = REPAIR_FANOUT.saturating_sub(self.counts_open);
            return vec![Ask::SliceCount(block); more];
        }
        let mut asks = Vec::new();
        for (t, slice) in (0u8..).zip(&self.slices) {
            if slice.done.is_some() {
                continue;
            }
            if slice.root.is_none() {
                let more = REPAIR_FANOUT.saturating_sub(slice.roots_open);
                asks.extend(std::iter::repeat_n(Ask::SliceRoot(block, t), more));
                continue;
            }
            let open = slice.shreds_open;
            let have = slice.pieces.len() + open.count_ones() as usize;
            let missing = (DATA_SHREDS + REPAIR_EXTRA_SHREDS).saturating_sub(have);
            let fresh = (0..TOTAL_SHREDS as u8)
                .filter(|i| open >> i & 1 == 0 && !slice.pieces.contains_key(i));
            asks.extend(fresh.take(missing).map(|i| Ask::Shred(block, t, i)));
        }
        asks
    }
}

#[cfg(test)]
mod tests;
