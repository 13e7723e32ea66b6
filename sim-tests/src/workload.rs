//! What clients do: a steady stream of numbered transactions to nodes drawn by name.
//!
//! Transaction i is submitted at a fixed time to a node that depends on (seed, i) only, and its
//! bytes depend on (seed, i) and on how far the chain has got. So a change of faults changes what
//! happens to a transaction, never which transactions there are.

use crate::plan::Concrete;
use crate::world::rng::Draws;
use alpenglow_node::protocol::block::Transaction;
use alpenglow_node::protocol::bounded::BoundedBytes;
use alpenglow_node::protocol::types::Slot;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots that a client gives its transaction, from the newest delivered block on.
const LIFETIME_SLOTS: u64 = 120;
/// Bytes of a transaction that are not payload.
const OVERHEAD: usize = 10;
const SECOND: u64 = 1_000_000_000;

/// The clients of one run.
pub struct Workload {
    seed: u64,
    nodes: u64,
    per_second: u64,
    size: usize,
    head: AtomicU64,
}

impl Workload {
    /// The clients of a plan.
    pub fn new(plan: &Concrete, seed: u64) -> Workload {
        Workload {
            seed,
            nodes: plan.nodes.len() as u64,
            per_second: plan.workload.transactions_per_second.into(),
            size: (plan.workload.size.0 as usize).max(OVERHEAD + 8),
            head: AtomicU64::new(0),
        }
    }

    /// The transactions of second `second` of the run: (index, time, entry node).
    pub fn in_second(&self, second: u64) -> impl Iterator<Item = (u64, u64, usize)> + '_ {
        let mut draws = Draws::new(self.seed, "workload entry");
        (0..self.per_second).map(move |i| {
            let index = second * self.per_second + i;
            let at = second * SECOND + i * SECOND / self.per_second;
            (index, at, draws.draw(0, index).below(0, self.nodes) as usize)
        })
    }

    /// Transaction `index` as its client makes it now.
    pub fn transaction(&self, index: u64, head: Slot) -> Transaction {
        let mut payload = vec![0; self.size - OVERHEAD];
        payload[..8].copy_from_slice(&index.to_le_bytes());
        let mut filler = Draws::new(self.seed, "workload bytes");
        for (block, chunk) in (0..).zip(payload[8..].chunks_mut(64)) {
            let words = filler.draw(index, block).0.map(u64::to_le_bytes);
            chunk.copy_from_slice(&words.as_flattened()[..chunk.len()]);
        }
        let payload = BoundedBytes::new(payload.into()).expect("the plan checks the size");
        Transaction { valid_until: head.plus(LIFETIME_SLOTS), payload }
    }

    /// The highest slot that anybody has delivered: what clients know of the chain.
    pub fn head(&self) -> Slot {
        Slot(self.head.load(Ordering::Relaxed))
    }

    /// A node has delivered a block of `slot`.
    pub fn on_delivered(&self, slot: Slot) {
        self.head.fetch_max(slot.0, Ordering::Relaxed);
    }
}
