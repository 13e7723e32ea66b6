//! Random numbers that have a name instead of a place in a queue.
//!
//! If all random parts of a plan were drawn from one stream, deleting the first fault would give
//! every later fault another side, another node, another moment: a failing seed could not be
//! shrunk, because each smaller plan is a different world. Here each parameter has a stream of its
//! own, ChaCha8 keyed by the seed and by what the number is for: (purpose, subject, parameter),
//! for example ("fault", "partition at 5s", "side"). A draw depends on nothing else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// The stream of one named parameter.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream that belongs to `name` under `seed`.
    pub(super) fn new(seed: u64, name: [&str; 3]) -> Draw {
        // Fixed keys: the hash only turns names of any length into 128 bits. Each part is preceded
        // by its length, so that no two names run together.
        let mut hasher = SipHasher24::new_with_keys(0x616c_7065, 0x6e67_6c6f);
        for part in name {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..24].copy_from_slice(&hasher.finish128().as_u128().to_le_bytes());
        Draw(ChaCha8Rng::from_seed(key))
    }

    /// A uniform number below `n`, without bias. `n` must be positive.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below zero");
        // Multiply and shift; the few products that would favour small results are drawn again.
        let unfair = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(n);
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }

    /// A uniform number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        match (high - low).checked_add(1) {
            Some(count) => low + self.below(count),
            None => self.0.next_u64(),
        }
    }

    /// Puts `items` into a uniformly random order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1);
            items.swap(i, j as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_name_only() {
        let first = |seed, name| Draw::new(seed, name).below(u64::MAX);
        let a = first(1, ["fault", "crash at 5s", "nodes"]);
        assert_eq!(a, first(1, ["fault", "crash at 5s", "nodes"]));
        assert_ne!(a, first(2, ["fault", "crash at 5s", "nodes"]));
        assert_ne!(a, first(1, ["fault", "crash at 6s", "nodes"]));
        assert_ne!(first(1, ["a", "bc", ""]), first(1, ["ab", "c", ""]));
        // Old seeds must keep their meaning: this number may never change.
        assert_eq!(first(7, ["clock", "node 3", "offset"]), 10_052_711_825_700_387_385);
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut draw = Draw::new(3, ["test", "", ""]);
        let mut seen = [0u32; 5];
        (0..5_000).for_each(|_| seen[draw.below(5) as usize] += 1);
        assert!(seen.iter().all(|&n| (800..1_200).contains(&n)), "{seen:?}");
        assert_eq!(draw.below(1), 0);
        assert_eq!(draw.between(9, 9), 9);
        draw.between(0, u64::MAX);
        let mut items: Vec<u32> = (0..100).collect();
        draw.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
