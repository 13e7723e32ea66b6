//! How often each label was used on each link: the last part of a packet's name.
//!
//! The problem: a message that is sent again carries the same label, and must not share the fate
//! of the first copy, or a lost packet would be lost for ever. So the name of a packet ends in the
//! number of earlier uses of its label on its link. Counting exactly for a whole run would keep a
//! record of every message ever sent; a small cache that forgets would start again at 0 and hand
//! the second copy the fate of the first.
//!
//! Our way: count exactly within a period of 2^35 ns (34 s) and forget everything at its end, but
//! make the number of the period part of the name. A label that returns later has a new name, so it
//! never meets an old fate, and memory is bounded by what is sent in 34 s. The price: a send that
//! another fault shifts across the end of a period gets other draws. That is the only way in which
//! time enters a name.
//!
//! A broadcast uses one label for all receivers, so one row of counters, one per receiver, stands
//! behind each (sender, label); rows are found by open addressing, whose order nobody ever sees.

const PERIOD_BITS: u32 = 35;
const EMPTY: u32 = u32::MAX;

/// Exact counts for the current period.
pub(super) struct Uses {
    nodes: usize,
    period: u64,
    /// A power of two, never more than half full.
    slots: Vec<Slot>,
    /// Row r is `counts[r * nodes..][..nodes]`. A count wraps after 65,536 uses in one period.
    counts: Vec<u16>,
    /// The row asked for last: a broadcast asks for the same one again and again.
    last: Slot,
}

#[derive(Clone, Copy)]
struct Slot {
    label: u64,
    from: u32,
    row: u32,
}

const FREE: Slot = Slot { label: 0, from: EMPTY, row: 0 };

impl Uses {
    pub(super) fn new(nodes: usize) -> Uses {
        Uses { nodes, period: 0, slots: vec![FREE; 64], counts: Vec::new(), last: FREE }
    }

    /// The number of this use: the period in the upper 16 bits, earlier uses in the lower.
    pub(super) fn next(&mut self, now_ns: u64, from: usize, to: usize, label: u64) -> u32 {
        let period = now_ns >> PERIOD_BITS;
        if period != self.period {
            *self = Uses { period, ..Uses::new(self.nodes) };
        }
        let row = self.row(from as u32, label) as usize;
        let count = &mut self.counts[row * self.nodes + to];
        let use_number = u32::from(*count);
        *count = count.wrapping_add(1);
        (period as u32) << 16 | use_number
    }

    fn row(&mut self, from: u32, label: u64) -> u32 {
        if self.last.label == label && self.last.from == from {
            return self.last.row;
        }
        let rows = self.counts.len() / self.nodes;
        if rows * 2 >= self.slots.len() {
            self.grow();
        }
        let index = find(&self.slots, from, label);
        let slot = &mut self.slots[index];
        if slot.from == EMPTY {
            *slot = Slot { label, from, row: rows as u32 };
            self.counts.resize(self.counts.len() + self.nodes, 0);
        }
        self.last = self.slots[index];
        self.last.row
    }

    fn grow(&mut self) {
        let mut slots = vec![FREE; self.slots.len() * 2];
        for slot in self.slots.iter().filter(|slot| slot.from != EMPTY) {
            let index = find(&slots, slot.from, slot.label);
            slots[index] = *slot;
        }
        self.slots = slots;
    }
}

/// The slot that holds (from, label), or the free one where it belongs.
fn find(slots: &[Slot], from: u32, label: u64) -> usize {
    let mask = slots.len() - 1;
    let mixed = (label ^ u64::from(from) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut index = (mixed >> 32) as usize & mask;
    while slots[index].from != EMPTY && (slots[index].from, slots[index].label) != (from, label) {
        index = (index + 1) & mask;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn counts_like_a_map(
            sends in proptest::collection::vec((0..3usize, 0..3usize, 0..200u64), 0..600),
        ) {
            let (mut uses, mut map) = (Uses::new(3), BTreeMap::new());
            for (from, to, label) in sends {
                let expected = map.entry((from, to, label)).or_insert(0u32);
                prop_assert_eq!(uses.next(9, from, to, label), *expected);
                *expected += 1;
            }
        }
    }

    #[test]
    fn a_new_period_forgets_but_never_repeats_a_number() {
        let mut uses = Uses::new(2);
        assert_eq!([uses.next(0, 0, 1, 7), uses.next(1, 0, 1, 7)], [0, 1]);
        let later = 1 << PERIOD_BITS;
        assert_eq!(uses.next(later, 0, 1, 7), 1 << 16);
        assert_eq!(uses.counts.len(), 2, "the old period is gone");
        assert_eq!(uses.next(later * 3, 0, 1, 7), 3 << 16);
    }
}
