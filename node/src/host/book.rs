//! What became of transactions, for the clients who ask (protocol 2.4).
//!
//! The protocol forgets a transaction after 150 slots; a client may ask later. And it tells of a
//! delivery, but not of a transaction that was lost on the way. So this book keeps its own record,
//! from facts alone: a transaction is *finalized at s* if a durable delivery of slot s executed it,
//! and *expired* once the chain has passed its last slot without it. Nothing else ends a *pending*.
//!
//! After a restart the book knows the last 150 slots again, from the delivered blocks. What had
//! only been accepted is gone: the entry node keeps it in memory.

use crate::protocol::block::{Block, TransactionId};
use crate::protocol::ledger::{Ledger, Status};
use crate::protocol::types::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Transactions remembered at most; the oldest slots are forgotten first.
pub const CAPACITY: usize = 250_000;

/// The record.
#[derive(Debug, Default)]
pub struct Book {
    by_id: BTreeMap<TransactionId, Entry>,
    /// By the slot in which it was executed, or the last that may hold it.
    by_slot: BTreeSet<(Slot, TransactionId)>,
    tip: Slot,
    capacity: usize,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Waiting { until: Slot },
    Executed { at: Slot },
}

impl Book {
    /// What the delivered blocks of the last lifetime tell, ascending.
    pub fn new(recent: &[Arc<Block>], capacity: usize) -> Book {
        let mut book = Book { capacity, ..Book::default() };
        let mut ledger = Ledger::default();
        for block in recent {
            book.deliver(block.id().slot, &ledger.deliver(block));
        }
        book
    }

    /// A client has submitted it here, or asks for it again.
    pub fn submit(&mut self, id: TransactionId, until: Slot) {
        if !self.by_id.contains_key(&id) {
            self.set(id, Entry::Waiting { until });
        }
    }

    /// The block of `slot` is delivered and durable, and executed these.
    pub fn deliver(&mut self, slot: Slot, executed: &[TransactionId]) {
        self.tip = slot;
        for &id in executed {
            self.set(id, Entry::Executed { at: slot });
        }
    }

    /// What became of it; `None` if this node has not heard of it, or forgot it.
    pub fn status(&self, id: &TransactionId) -> Option<Status> {
        Some(match *self.by_id.get(id)? {
            Entry::Executed { at } => Status::Finalized(at),
            Entry::Waiting { until } if until <= self.tip => Status::Expired,
            Entry::Waiting { .. } => Status::Pending,
        })
    }

    fn set(&mut self, id: TransactionId, entry: Entry) {
        let slot = |entry| match entry {
            Entry::Waiting { until } => until,
            Entry::Executed { at } => at,
        };
        if let Some(before) = self.by_id.insert(id, entry) {
            self.by_slot.remove(&(slot(before), id));
        }
        self.by_slot.insert((slot(entry), id));
        while self.by_id.len() > self.capacity {
            let (_, oldest) = self.by_slot.pop_first().expect("as many as by id");
            self.by_id.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::block::tests::{block_with, transaction};
    use crate::protocol::types::Hash;

    fn id(i: u8) -> TransactionId {
        Hash([i; 32])
    }

    #[test]
    fn a_transaction_ends_finalized_or_expired() {
        let mut book = Book::new(&[], CAPACITY);
        book.submit(id(1), Slot(10));
        book.submit(id(2), Slot(10));
        assert_eq!(book.status(&id(1)), Some(Status::Pending));
        book.deliver(Slot(9), &[id(1), id(3)]);
        book.submit(id(1), Slot(10));
        assert_eq!(book.status(&id(1)), Some(Status::Finalized(Slot(9))), "asked again");
        assert_eq!(book.status(&id(2)), Some(Status::Pending), "slot 10 can still hold it");
        book.deliver(Slot(12), &[]);
        assert_eq!(book.status(&id(2)), Some(Status::Expired));
        assert_eq!(book.status(&id(3)), Some(Status::Finalized(Slot(9))), "submitted elsewhere");
        assert_eq!(book.status(&id(4)), None);
    }

    #[test]
    fn a_restart_knows_the_recent_blocks() {
        let (a, b) = (transaction(1, 100), transaction(2, 100));
        let blocks = [
            Arc::new(block_with(Slot(5), vec![a.clone()])),
            Arc::new(block_with(Slot(6), vec![a.clone(), b.clone()])),
        ];
        let book = Book::new(&blocks, CAPACITY);
        assert_eq!(book.status(&a.id()), Some(Status::Finalized(Slot(5))));
        assert_eq!(book.status(&b.id()), Some(Status::Finalized(Slot(6))));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut book = Book::new(&[], 3);
        for i in 1..=3 {
            book.deliver(Slot(i.into()), &[id(i)]);
        }
        book.submit(id(9), Slot(50));
        assert_eq!((book.status(&id(1)), book.by_id.len(), book.by_slot.len()), (None, 3, 3));
        assert!(book.status(&id(2)).is_some() && book.status(&id(9)).is_some());
    }
}
