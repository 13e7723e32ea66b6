//! Transactions: waiting, chosen for blocks, delivered exactly once (protocol 2.4).
//!
//! Delivery is a pure function of the chain: a transaction is executed in the first block of the
//! chain that holds it, unless that block's slot is outside its lifetime. Because a lifetime is
//! 150 slots, the index of the last 150 slots is all that is needed to know what was executed,
//! and it is rebuilt from the delivered blocks after a restart.
//!
//! Waiting is best effort: a node that dies forgets what it accepted but had not delivered.

use super::block::{Block, Transaction, TransactionId};
use super::params::{MAX_POOLED_TRANSACTIONS, TRANSACTION_LIFETIME_SLOTS};
use super::rules::rule;
use super::types::Slot;
use super::wire::Reject;
use std::collections::{BTreeMap, BTreeSet};

/// What became of a transaction that was submitted here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Waiting, or in a block that is not final yet.
    Pending,
    /// Executed in the final block of this slot.
    Finalized(Slot),
    /// Its last slot has passed.
    Expired,
}

/// The delivered index and the waiting room.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Delivered within the last lifetime, by id and by slot.
    delivered: BTreeMap<TransactionId, Slot>,
    recent: BTreeMap<Slot, Vec<TransactionId>>,
    /// Waiting, in order of arrival.
    waiting: BTreeMap<u64, (TransactionId, Transaction)>,
    by_id: BTreeMap<TransactionId, u64>,
    by_expiry: BTreeSet<(Slot, u64)>,
    /// Those of them that were submitted here and are forwarded to leaders.
    submitted: BTreeSet<u64>,
    arrivals: u64,
    tip: Slot,
}

/// Transactions already on a chain that is not delivered yet.
pub type ChainIds = BTreeSet<TransactionId>;

impl Ledger {
    /// Says whether [`Ledger::admit`] would take a transaction, and under which id.
    pub fn admission(
        &self,
        transaction: &Transaction,
        head: Slot,
    ) -> Result<TransactionId, Reject> {
        let latest = head.plus(TRANSACTION_LIFETIME_SLOTS);
        if transaction.valid_until <= self.tip || transaction.valid_until > latest {
            return Err(Reject::Expired);
        }
        let id = transaction.id();
        if self.delivered.contains_key(&id) || self.by_id.contains_key(&id) {
            return Err(Reject::Duplicate);
        }
        if self.waiting.len() >= MAX_POOLED_TRANSACTIONS {
            return Err(Reject::Full);
        }
        Ok(id)
    }

    /// Admits a transaction, submitted here or forwarded by a peer. `head` is the slot that the
    /// cluster works on.
    pub fn admit(
        &mut self,
        transaction: Transaction,
        submitted: bool,
        head: Slot,
    ) -> Result<TransactionId, Reject> {
        if submitted && let Some(arrival) = self.by_id.get(&transaction.id()) {
            self.submitted.insert(*arrival); // a peer forwarded it before the client came
        }
        let id = self.admission(&transaction, head)?;
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.by_id.insert(id, arrival);
        self.by_expiry.insert((transaction.valid_until, arrival));
        self.waiting.insert(arrival, (id, transaction));
        if submitted {
            self.submitted.insert(arrival);
        }
        Ok(id)
    }

    /// The next waiting transactions, from the arrival `cursor` on, that a block of `slot` may hold
    /// and that are not on its chain yet, up to `room` bytes; their ids join `chain` and the cursor
    /// moves behind them. True if the room ended before the transactions did.
    pub fn choose(
        &self,
        slot: Slot,
        room: usize,
        chain: &mut ChainIds,
        cursor: &mut u64,
    ) -> (Vec<Transaction>, bool) {
        let mut chosen = Vec::new();
        let mut left = room;
        for (&arrival, (id, transaction)) in self.waiting.range(*cursor..) {
            *cursor = arrival;
            if !transaction.is_valid_in(slot) || chain.contains(id) {
                continue;
            }
            if transaction.encoded_len() > left {
                return (chosen, true);
            }
            left -= transaction.encoded_len();
            chain.insert(*id);
            chosen.push(transaction.clone());
        }
        *cursor = self.arrivals;
        (chosen, false)
    }

    /// Executes the next block of the chain. Returns what was executed, in order.
    pub fn deliver(&mut self, block: &Block) -> Vec<TransactionId> {
        let slot = block.id().slot;
        let mut executed = Vec::new();
        for (id, transaction) in block.transactions() {
            let id = *id;
            if !transaction.is_valid_in(slot) {
                rule!("transaction.expired");
            } else if self.slot_of(&id).is_some() {
                rule!("transaction.duplicate");
            } else {
                self.delivered.insert(id, slot);
                self.remove(id);
                executed.push(id);
            }
        }
        self.recent.insert(slot, executed.clone());
        let oldest = Slot(slot.0.saturating_sub(TRANSACTION_LIFETIME_SLOTS));
        let kept = self.recent.split_off(&oldest);
        for id in std::mem::replace(&mut self.recent, kept).into_values().flatten() {
            self.delivered.remove(&id);
        }
        self.tip = slot;
        executed
    }

    /// Removes what can no longer be included after the tip moved. Returns those submitted here.
    pub fn expire(&mut self) -> Vec<TransactionId> {
        let later = self.by_expiry.split_off(&(self.tip.next(), 0));
        let mut expired = Vec::new();
        for (_, arrival) in std::mem::replace(&mut self.by_expiry, later) {
            let Some((id, _)) = self.waiting.remove(&arrival) else { continue };
            self.by_id.remove(&id);
            if self.submitted.remove(&arrival) {
                expired.push(id);
            }
        }
        expired
    }

    fn remove(&mut self, id: TransactionId) {
        if let Some(arrival) = self.by_id.remove(&id) {
            if let Some((_, transaction)) = self.waiting.remove(&arrival) {
                self.by_expiry.remove(&(transaction.valid_until, arrival));
            }
            self.submitted.remove(&arrival);
        }
    }

    /// Transactions submitted here that still wait, in order of arrival.
    pub fn to_forward(&self) -> impl Iterator<Item = &Transaction> {
        self.submitted.iter().filter_map(|arrival| Some(&self.waiting.get(arrival)?.1))
    }

    /// The slot in which a recent transaction was executed.
    pub fn slot_of(&self, id: &TransactionId) -> Option<Slot> {
        self.delivered.get(id).copied()
    }

    /// True if the transaction waits here.
    pub fn is_waiting(&self, id: &TransactionId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Number of waiting transactions.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::block::tests::{block_with, transaction};
    use crate::protocol::params::MAX_SLICE_BYTES;

    fn all(ledger: &Ledger, slot: u64, room: usize) -> (usize, bool) {
        let (chosen, full) = ledger.choose(Slot(slot), room, &mut ChainIds::new(), &mut 0);
        (chosen.len(), full)
    }

    #[test]
    fn a_transaction_is_executed_once_and_leaves_the_waiting_room() {
        let mut ledger = Ledger::default();
        let (a, b) = (transaction(1, 100), transaction(2, 100));
        ledger.admit(a.clone(), true, Slot(1)).unwrap();
        let first = block_with(Slot(1), vec![a.clone(), a.clone(), b.clone()]);
        assert_eq!(ledger.deliver(&first), [a.id(), b.id()]);
        assert_eq!(ledger.deliver(&block_with(Slot(2), vec![b.clone()])), []);
        assert_eq!((ledger.waiting(), ledger.slot_of(&b.id())), (0, Some(Slot(1))));
        assert_eq!(ledger.admit(a, true, Slot(2)), Err(Reject::Duplicate));
    }

    /// The lifetime of 2.4 at both ends: [valid_until - 150, valid_until].
    #[test]
    fn execution_respects_the_lifetime() {
        for (slot, executed) in [(49, 0), (50, 1), (200, 1), (201, 0)] {
            let block = block_with(Slot(slot), vec![transaction(1, 200)]);
            assert_eq!(Ledger::default().deliver(&block).len(), executed, "slot {slot}");
        }
    }

    /// What was delivered is remembered exactly as long as it could come back.
    #[test]
    fn the_index_covers_a_lifetime() {
        let mut ledger = Ledger::default();
        let t = transaction(1, 160);
        ledger.deliver(&block_with(Slot(10), vec![t.clone()]));
        for slot in 11..=160 {
            let again = block_with(Slot(slot), vec![t.clone()]);
            assert_eq!(ledger.deliver(&again), [], "slot {slot}");
        }
        ledger.deliver(&block_with(Slot(161), vec![]));
        assert_eq!(ledger.slot_of(&t.id()), None);
    }

    #[test]
    fn admission_checks_time_duplicates_and_room() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.admit(transaction(1, 151), true, Slot(0)), Err(Reject::Expired));
        ledger.admit(transaction(1, 150), true, Slot(0)).unwrap();
        assert_eq!(ledger.admit(transaction(1, 150), true, Slot(0)), Err(Reject::Duplicate));
        for i in 1..MAX_POOLED_TRANSACTIONS as u64 {
            ledger.admit(transaction(i + 1, 100), false, Slot(0)).unwrap();
        }
        assert_eq!(ledger.admit(transaction(0, 100), true, Slot(0)), Err(Reject::Full));
        ledger.deliver(&block_with(Slot(149), vec![]));
        assert_eq!(ledger.expire(), [], "the one submitted here lives until 150");
        assert_eq!(ledger.waiting(), 1);
        ledger.deliver(&block_with(Slot(150), vec![]));
        assert_eq!(ledger.expire().len(), 1);
    }

    #[test]
    fn choosing_goes_on_where_it_stopped_and_skips_the_chain() {
        let mut ledger = Ledger::default();
        for i in 0..10 {
            ledger.admit(transaction(i, 100), false, Slot(1)).unwrap();
        }
        let one = transaction(0, 100).encoded_len();
        let mut chain = ChainIds::from([transaction(1, 100).id()]);
        let mut cursor = 0;
        let (first, full) = ledger.choose(Slot(1), 4 * one, &mut chain, &mut cursor);
        assert_eq!((first.len(), full), (4, true));
        let (second, full) = ledger.choose(Slot(1), MAX_SLICE_BYTES, &mut chain, &mut cursor);
        assert_eq!((second.len(), full), (5, false));
        assert_eq!(all(&ledger, 101, MAX_SLICE_BYTES), (0, false), "out of their lifetime");
    }
}
