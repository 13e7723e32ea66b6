//! Block production: the leader's loop as a state machine (section 8).
//!
//! A window's first slice leaves at once, so that others see that the leader lives. A leader does
//! not wait for the certificate of the block before it: once that block is complete it begins on
//! it (*optimistic handover*), and when ParentReady names another parent, one slice of the first
//! block says so (the *parent switch*). From ParentReady on the clock runs: a block every Δ_block,
//! whatever the load; slices close when they are full or after an interval.
//!
//! The producer signs nothing and sends nothing. It closes slices; the caller has them signed and
//! sends them. Since the hash of a block depends on slice roots only, the next block can name its
//! parent before any signature is back.

use super::block::{Commitment, Payload, Transaction, slice_leaf};
use super::ledger::{ChainIds, Ledger};
use super::params::{MAX_SLICE_BYTES, Params};
use super::rules::rule;
use super::types::{BlockId, Hash, Slot, Time, Window};
use crate::crypto::erasure::{self, Encoded};
use crate::crypto::merkle;
use std::sync::Arc;

/// What the producer wants done, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make durable that production of the slot began, before any of its shreds leaves.
    Began {
        /// The slot.
        slot: Slot,
        /// The parent it begins on.
        parent: BlockId,
        /// Before ParentReady.
        optimistic: bool,
    },
    /// Have the slice signed, then send its shreds.
    Sign(Commitment, Arc<Encoded>),
    /// The block goes on with another parent.
    Switched(Slot, BlockId),
    /// Call [`Producer::on_timer`] with this slot and slice then.
    Timer(Slot, u8, Time),
}

/// What the producer needs to see.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The figures.
    pub params: &'a Params,
    /// Transactions that wait.
    pub ledger: &'a Ledger,
    /// Now.
    pub now: Time,
}

/// The block being built.
#[derive(Debug)]
struct Building {
    window: Window,
    slot: Slot,
    parent: BlockId,
    /// The parent must be stated in the next slice (the first one, or the switch).
    state_parent: bool,
    /// When the last slice closes; unknown before ParentReady.
    end: Option<Time>,
    /// Roots of the closed slices.
    roots: Vec<Hash>,
    opened: Time,
    open: Vec<Transaction>,
    room: usize,
    chain: ChainIds,
    cursor: u64,
}

/// The production state of one node.
#[derive(Debug)]
pub struct Producer {
    /// No window up to this one is produced (any more).
    done: Option<Window>,
    building: Option<Building>,
}

const ROOM: usize = MAX_SLICE_BYTES - Payload::OVERHEAD;

impl Producer {
    /// Never produces in `barred` or an earlier window (10.4); `None` bars nothing.
    pub fn new(barred: Option<Window>) -> Producer {
        Producer { done: barred, building: None }
    }

    /// Bars windows up to `window`, unless it is being produced.
    pub fn bar(&mut self, window: Window) {
        self.done = self.done.max(Some(window));
    }

    /// True if production of `window` may still begin.
    pub fn may_begin(&self, window: Window) -> bool {
        self.done.is_none_or(|done| done < window)
    }

    /// The parent of the first block of `window`, if it is being built without ParentReady.
    pub fn waiting_on(&self, window: Window) -> Option<BlockId> {
        let building = self.building.as_ref()?;
        (building.window == window && building.end.is_none()).then_some(building.parent)
    }

    /// Begins a window on `parent`. Without `ready` it waits for ParentReady to start the clock.
    pub fn begin(
        &mut self,
        cx: Context<'_>,
        window: Window,
        parent: BlockId,
        chain: ChainIds,
        ready: bool,
        out: &mut Vec<Action>,
    ) {
        assert!(self.may_begin(window), "one production per window");
        match ready {
            true => rule!("producer.direct"),
            false => rule!("producer.optimistic"),
        }
        self.done = Some(window);
        let slot = window.first();
        out.push(Action::Began { slot, parent, optimistic: !ready });
        self.building = Some(Building {
            window,
            slot,
            parent,
            state_parent: true,
            end: ready.then(|| cx.now + cx.params.delta_block()),
            roots: Vec::new(),
            opened: cx.now,
            open: Vec::new(),
            room: ROOM,
            chain,
            cursor: 0,
        });
        self.fill(cx, out);
        // The first slice leaves now, unless it was full and has left. Closing another one would
        // go past the permitted slices when more transactions wait than a block can hold.
        if self.building.as_ref().is_some_and(|building| building.roots.is_empty()) {
            self.close(cx, out);
        }
    }

    /// ParentReady for the window being built: the clock starts; `switch` holds another parent
    /// and its chain, if the one that was begun on is not ready.
    pub fn on_ready(
        &mut self,
        cx: Context<'_>,
        switch: Option<(BlockId, ChainIds)>,
        out: &mut Vec<Action>,
    ) {
        let Some(building) = &mut self.building else { return };
        building.end = Some(cx.now + cx.params.delta_block());
        if let Some((parent, chain)) = switch {
            rule!("producer.switch");
            out.push(Action::Switched(building.slot, parent));
            (building.parent, building.state_parent) = (parent, true);
            // What was sent before the switch is not executed: choose it again.
            (building.chain, building.cursor) = (chain, 0);
            (building.open, building.room) = (Vec::new(), ROOM);
        }
        self.fill(cx, out);
        self.arm(cx, out);
    }

    /// More transactions wait.
    pub fn fill(&mut self, cx: Context<'_>, out: &mut Vec<Action>) {
        while let Some(building) = &mut self.building {
            let (chosen, full) = cx.ledger.choose(
                building.slot,
                building.room,
                &mut building.chain,
                &mut building.cursor,
            );
            building.room -= chosen.iter().map(Transaction::encoded_len).sum::<usize>();
            building.open.extend(chosen);
            // The last permitted slice is kept for the end of the block.
            let last_permitted = building.roots.len() + 1 >= usize::from(cx.params.max_slices);
            if !full || last_permitted {
                return;
            }
            rule!("producer.full_slice");
            self.close(cx, out);
        }
    }

    /// A slice has been open long enough, or the block's time is over.
    pub fn on_timer(&mut self, cx: Context<'_>, slot: Slot, slice: u8, out: &mut Vec<Action>) {
        let Some(building) = &self.building else { return };
        if building.slot != slot || building.roots.len() != usize::from(slice) {
            return; // that slice closed when it was full
        }
        let over = building.end.is_some_and(|end| cx.now >= end);
        let last_permitted = building.roots.len() + 1 >= usize::from(cx.params.max_slices);
        if over || (!last_permitted && cx.now >= building.opened + cx.params.slice_interval()) {
            self.close(cx, out);
        } else {
            self.arm(cx, out);
        }
    }

    /// Closes the open slice, and the block if its time is over.
    fn close(&mut self, cx: Context<'_>, out: &mut Vec<Action>) {
        let Some(building) = &mut self.building else { return };
        let last = building.end.is_some_and(|end| cx.now >= end);
        let parent = std::mem::take(&mut building.state_parent).then_some(building.parent);
        let transactions = std::mem::take(&mut building.open);
        let payload = Payload { parent, transactions }.encode();
        let encoded = erasure::encode(&payload).expect("the room is below the cap");
        let slice = building.roots.len() as u8;
        let commitment = Commitment { slot: building.slot, slice, last, root: encoded.root() };
        building.roots.push(commitment.root);
        (building.opened, building.room) = (cx.now, ROOM);
        out.push(Action::Sign(commitment, encoded));
        if last {
            self.next_block(cx, out);
        } else {
            self.arm(cx, out);
        }
    }

    /// Goes on with the next slot of the window on the own block, without waiting for anything.
    fn next_block(&mut self, cx: Context<'_>, out: &mut Vec<Action>) {
        let Some(building) = &mut self.building else { return };
        if building.slot == building.window.last() {
            self.building = None;
            return;
        }
        let leaves = building.roots.drain(..).map(slice_leaf).collect();
        building.parent = BlockId::new(building.slot, merkle::Tree::new(leaves).root());
        building.slot = building.slot.next();
        building.state_parent = true;
        building.end = building.end.map(|end| end + cx.params.delta_block());
        out.push(Action::Began { slot: building.slot, parent: building.parent, optimistic: false });
        self.fill(cx, out);
        self.arm(cx, out);
    }

    /// Sets the timer of the open slice.
    fn arm(&self, cx: Context<'_>, out: &mut Vec<Action>) {
        let Some(building) = &self.building else { return };
        let interval = building.opened + cx.params.slice_interval();
        let last_permitted = building.roots.len() + 1 >= usize::from(cx.params.max_slices);
        let at = match building.end {
            Some(end) if last_permitted => end,
            Some(end) => end.min(interval),
            None if last_permitted => return,
            None => interval,
        };
        out.push(Action::Timer(building.slot, building.roots.len() as u8, at));
    }

    /// Stops if finality has passed the slot being built: nobody needs the block any more.
    pub fn on_finalized(&mut self, highest: Slot) {
        if self.building.as_ref().is_some_and(|b| b.slot <= highest) {
            rule!("producer.abandon");
            self.building = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::block::tests::transaction;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    /// Drives a producer through time with exact timers and collects what it closes.
    struct Leader {
        params: Params,
        ledger: Ledger,
        producer: Producer,
        timers: Vec<(Time, Slot, u8)>,
        closed: Vec<(u64, Commitment, Payload)>,
        others: Vec<Action>,
    }

    impl Leader {
        fn new() -> Leader {
            Leader {
                params: Params::default(),
                ledger: Ledger::default(),
                producer: Producer::new(None),
                timers: Vec::new(),
                closed: Vec::new(),
                others: Vec::new(),
            }
        }

        fn call(&mut self, now: u64, f: impl FnOnce(&mut Producer, Context<'_>, &mut Vec<Action>)) {
            let mut out = Vec::new();
            let cx = Context { params: &self.params, ledger: &self.ledger, now: Time(now * MS) };
            f(&mut self.producer, cx, &mut out);
            for action in out {
                match action {
                    Action::Timer(slot, slice, at) => self.timers.push((at, slot, slice)),
                    Action::Sign(commitment, encoded) => {
                        let payload = Payload::decode(&encoded.payload()).unwrap();
                        self.closed.push((now, commitment, payload));
                    }
                    other => self.others.push(other),
                }
            }
        }

        fn run_until(&mut self, end: u64) {
            loop {
                self.timers.sort();
                match self.timers.first().copied() {
                    Some((at, slot, slice)) if at <= Time(end * MS) => {
                        self.timers.remove(0);
                        self.call(at.0 / MS, |p, cx, out| p.on_timer(cx, slot, slice, out));
                    }
                    _ => return,
                }
            }
        }

        fn begin(&mut self, now: u64, ready: bool) {
            self.call(now, |p, cx, out| {
                p.begin(cx, Window(2), parent(7, 1), ChainIds::new(), ready, out)
            });
        }
    }

    fn parent(slot: u64, hash: u8) -> BlockId {
        BlockId::new(Slot(slot), Hash([hash; 32]))
    }

    #[test]
    fn a_window_is_four_blocks_on_time() {
        let mut leader = Leader::new();
        leader.begin(100, true);
        leader.run_until(10_000);
        let times: Vec<_> =
            leader.closed.iter().map(|(t, c, _)| (*t, c.slot.0, c.slice, c.last)).collect();
        assert_eq!(
            times,
            [
                (100, 8, 0, false),
                (300, 8, 1, false),
                (500, 8, 2, true),
                (700, 9, 0, false),
                (900, 9, 1, true),
                (1_100, 10, 0, false),
                (1_300, 10, 1, true),
                (1_500, 11, 0, false),
                (1_700, 11, 1, true)
            ]
        );
        let parents: Vec<_> = leader.closed.iter().filter_map(|(_, _, p)| p.parent).collect();
        assert_eq!(parents[0], parent(7, 1));
        let leaf = |i: usize| slice_leaf(leader.closed[i].1.root);
        let first = merkle::Tree::new(vec![leaf(0), leaf(1), leaf(2)]).root();
        assert_eq!(parents[1], BlockId::new(Slot(8), first));
        assert!(!leader.producer.may_begin(Window(2)) && leader.producer.may_begin(Window(3)));
    }

    #[test]
    fn optimistic_blocks_wait_for_ready_and_switch_once() {
        let mut leader = Leader::new();
        leader.ledger.admit(transaction(1, 100), false, Slot(1)).unwrap();
        leader.begin(0, false);
        leader.run_until(500);
        assert_eq!(leader.closed.len(), 3);
        assert!(leader.closed.iter().all(|(_, c, _)| !c.last));
        leader.call(500, |p, cx, out| p.on_ready(cx, Some((parent(6, 2), ChainIds::new())), out));
        leader.run_until(900);
        let slot8: Vec<_> = leader.closed.iter().filter(|(_, c, _)| c.slot == Slot(8)).collect();
        assert_eq!(slot8.last().map(|(t, c, _)| (*t, c.last)), Some((900, true)));
        let stated: Vec<_> = slot8.iter().filter_map(|(_, _, p)| p.parent).collect();
        assert_eq!(stated, [parent(7, 1), parent(6, 2)]);
        // The transaction sent before the switch is in the effective part again.
        let switched = slot8.iter().position(|(_, _, p)| p.parent == Some(parent(6, 2))).unwrap();
        assert_eq!(slot8[switched].2.transactions, [transaction(1, 100)]);
    }

    /// A transaction of 1,200 bytes.
    fn big(i: u64) -> Transaction {
        let mut bytes = vec![0; 1_200];
        bytes[..8].copy_from_slice(&i.to_le_bytes());
        let payload = crate::protocol::bounded::BoundedBytes::new(bytes.into()).unwrap();
        Transaction { valid_until: Slot(100), payload }
    }

    #[test]
    fn full_slices_close_at_once_and_the_last_permitted_one_waits() {
        let mut leader = Leader::new();
        leader.params.max_slices = 4;
        leader.begin(0, true);
        for i in 0..200 {
            leader.ledger.admit(big(i), false, Slot(1)).unwrap();
            leader.call(10, |p, cx, out| p.fill(cx, out));
        }
        let at_10: Vec<_> = leader.closed.iter().filter(|(t, ..)| *t == 10).collect();
        assert_eq!(at_10.len(), 2, "slices 1 and 2; slice 3 is the last permitted");
        assert_eq!(at_10[0].2.transactions.len(), ROOM / 1_210);
        leader.run_until(400);
        let last = leader.closed.iter().find(|(_, c, _)| c.last).unwrap();
        assert_eq!((last.0, last.1.slice), (400, 3));
    }

    /// More waits than a block can hold, as after a long stall: no slice past the permitted ones.
    #[test]
    fn a_backlog_does_not_push_a_window_past_its_slices() {
        for (slices, ready) in [(2, true), (2, false), (4, true)] {
            let mut leader = Leader::new();
            leader.params.max_slices = slices;
            for i in 0..600 {
                leader.ledger.admit(big(i), false, Slot(1)).unwrap();
            }
            leader.begin(0, ready);
            assert_eq!(leader.closed.len(), usize::from(slices) - 1, "the last one waits");
            if !ready {
                leader.run_until(300);
                leader.call(300, |p, cx, out| p.on_ready(cx, None, out));
            }
            leader.run_until(5_000);
            assert!(leader.closed.iter().all(|(_, c, _)| c.slice < slices));
            let lasts = leader.closed.iter().filter(|(_, c, _)| c.last && c.slice == slices - 1);
            assert_eq!(lasts.count(), 4, "four whole blocks");
        }
    }

    #[test]
    fn a_window_passed_by_finality_is_abandoned() {
        let mut leader = Leader::new();
        leader.begin(0, true);
        leader.producer.on_finalized(Slot(8));
        leader.run_until(5_000);
        assert_eq!(leader.closed.len(), 1);
        let interval = Duration::from_nanos(leader.params.slice_interval_ns);
        assert_eq!(leader.timers, vec![], "the timer at {interval:?} fired into nothing");
    }
}
