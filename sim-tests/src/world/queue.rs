//! The one queue of the world: everything that is going to happen, in the order in which it will.
//!
//! The order is (time, tie-break, order of insertion). The tie-break is a keyed draw named by what
//! the event is, so two events of one instant swap places under another seed, and never because
//! something else was inserted before them. Insertion order decides only between events with the
//! same name.
//!
//! Keys and bodies are apart: the heap moves 24 bytes per step whatever a packet weighs. It is the
//! most expensive part of a run, and its price is the cache that it does not fit in.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Events of type `E`, popped in order.
pub(super) struct Queue<E> {
    heap: BinaryHeap<Key>,
    bodies: Vec<Option<E>>,
    free: Vec<u32>,
    inserted: u32,
}

#[derive(PartialEq, Eq)]
struct Key {
    at_ns: u64,
    tie: u64,
    /// Wraps after 2^32 events, which matters only to equal names that far apart.
    inserted: u32,
    body: u32,
}

impl Key {
    /// Time and tie-break as one number: one comparison without a branch.
    #[inline]
    fn order(&self) -> u128 {
        u128::from(self.at_ns) << 64 | u128::from(self.tie)
    }
}

impl Ord for Key {
    /// Reversed: the heap pops its greatest, and we want the earliest.
    #[inline]
    fn cmp(&self, other: &Key) -> Ordering {
        other.order().cmp(&self.order()).then_with(|| other.inserted.cmp(&self.inserted))
    }
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), bodies: Vec::new(), free: Vec::new(), inserted: 0 }
    }

    /// Adds an event.
    #[inline]
    pub(super) fn push(&mut self, at_ns: u64, tie: u64, event: E) {
        let body = match self.free.pop() {
            Some(body) => {
                self.bodies[body as usize] = Some(event);
                body
            }
            None => {
                self.bodies.push(Some(event));
                u32::try_from(self.bodies.len() - 1).expect("fewer than 2^32 events wait")
            }
        };
        self.heap.push(Key { at_ns, tie, inserted: self.inserted, body });
        self.inserted = self.inserted.wrapping_add(1);
    }

    /// The time and the body of the next event.
    #[inline]
    pub(super) fn peek(&self) -> Option<(u64, &E)> {
        let key = self.heap.peek()?;
        Some((key.at_ns, self.bodies[key.body as usize].as_ref()?))
    }

    /// Gives events another time and tie-break, where `when` says so. Looks at every event.
    pub(super) fn retime(&mut self, mut when: impl FnMut(&mut E) -> Option<(u64, u64)>) {
        let mut keys = std::mem::take(&mut self.heap).into_vec();
        for key in &mut keys {
            let event = self.bodies[key.body as usize].as_mut();
            if let Some((at_ns, tie)) = event.and_then(&mut when) {
                (key.at_ns, key.tie) = (at_ns, tie);
            }
        }
        self.heap = BinaryHeap::from(keys);
    }

    /// Takes the next event.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(u64, E)> {
        let key = self.heap.pop()?;
        self.free.push(key.body);
        Some((key.at_ns, self.bodies[key.body as usize].take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pops_in_order(events in proptest::collection::vec((0..4u64, 0..4u64), 0..60)) {
            let mut queue = Queue::new();
            let mut expected: Vec<_> =
                events.iter().enumerate().map(|(i, (at, tie))| (*at, *tie, i)).collect();
            for (at, tie, i) in &expected {
                queue.push(*at, *tie, *i);
            }
            expected.sort_unstable();
            for (at, _, i) in expected {
                prop_assert_eq!(queue.peek(), Some((at, &i)));
                prop_assert_eq!(queue.pop(), Some((at, i)));
            }
            prop_assert!(queue.pop().is_none());
        }
    }

    #[test]
    fn what_is_moved_comes_at_its_new_time() {
        let mut queue = Queue::new();
        (0..6).for_each(|i| queue.push(i, 0, i));
        queue.retime(|event| (*event % 2 == 0).then_some((10 - *event, 0)));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(1, 1), (3, 3), (5, 5), (6, 4), (8, 2), (10, 0)]);
    }

    #[test]
    fn places_are_used_again() {
        let mut queue = Queue::new();
        for i in 0..1_000 {
            queue.push(i, 0, i);
            queue.push(i, 1, i);
            queue.pop();
            queue.pop();
        }
        assert_eq!(queue.bodies.len(), 2);
    }
}
