//! The public schedule, worked out a second time: who leads which window, who relays which shred
//! (1.4, 3.2).
//!
//! Oracles that say whether a window had to go well, or whether a node did its duty, must not ask
//! the code whose schedule may be what is broken. This follows the specification in its most
//! literal form: remainders on a line, a point in each bin, a search from the start for the node
//! that covers it. Only the hash and the stream cipher are shared with the product.

use super::Scene;
use alpenglow_node::protocol::types::{Hash, NodeId, Slot, Window};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Pieces of a slice, and so relays.
pub const PIECES: usize = 64;
/// Pieces that are enough.
pub const ENOUGH_PIECES: usize = 32;

/// What it follows from.
#[derive(Clone, Debug)]
pub struct Schedule {
    cluster: Hash,
    stakes: Vec<u64>,
    epoch_slots: u64,
}

impl Schedule {
    /// The schedule of one run.
    pub fn new(scene: &Scene) -> Schedule {
        Schedule {
            cluster: scene.committee.cluster(),
            stakes: scene.stakes.clone(),
            epoch_slots: scene.params.epoch_slots,
        }
    }

    fn total(&self) -> u128 {
        self.stakes.iter().map(|stake| u128::from(*stake)).sum()
    }

    fn epoch(&self, slot: u64) -> (u64, Hash) {
        let epoch = slot / self.epoch_slots;
        (epoch, Hash::of("ag/epoch", &[&self.cluster.0, &epoch.to_le_bytes()]))
    }

    /// The leader of a window.
    pub fn leader(&self, window: Window) -> NodeId {
        let (epoch, randomness) = self.epoch(window.0 * 4);
        let [epoch, number] = [epoch.to_le_bytes(), window.0.to_le_bytes()];
        let key = Hash::of("ag/leader", &[&self.cluster.0, &epoch, &randomness.0, &number]);
        let point = below(&mut ChaCha20Rng::from_seed(key.0), self.total());
        let all = (0u16..).map(NodeId).zip(self.stakes.iter().map(|stake| u128::from(*stake)));
        covering(all, point)
    }

    /// The relay of each shred of a slice.
    pub fn relays(&self, slot: Slot, slice: u8) -> Vec<NodeId> {
        let (_, randomness) = self.epoch(slot.0);
        let place = [&slot.0.to_le_bytes()[..], &[slice]].concat();
        let key = Hash::of("ag/rotor", &[&self.cluster.0, &randomness.0, &place]);
        let mut stream = ChaCha20Rng::from_seed(key.0);
        let total = self.total();
        let seats = |stake: &u64| u128::from(*stake) * PIECES as u128;
        let mut relays = Vec::with_capacity(PIECES);
        for (node, stake) in (0u16..).map(NodeId).zip(&self.stakes) {
            relays.resize(relays.len() + (seats(stake) / total) as usize, node);
        }
        let rests = self.stakes.iter().map(|stake| seats(stake) % total);
        let mut line: Vec<(NodeId, u128)> =
            (0u16..).map(NodeId).zip(rests).filter(|(_, rest)| *rest > 0).collect();
        for last in (1..line.len()).rev() {
            let chosen = below(&mut stream, last as u128 + 1);
            line.swap(last, chosen as usize);
        }
        let drawn = PIECES - relays.len();
        for bin in 0..drawn as u128 {
            let point = bin * total + below(&mut stream, total);
            relays.push(covering(line.iter().copied(), point));
        }
        relays
    }

    /// True if so many of these nodes relay each of the first `slices` slices that it gets through.
    pub fn rotor_succeeds(&self, slot: Slot, slices: u8, healthy: &[NodeId]) -> bool {
        (0..slices).all(|slice| {
            let relays = self.relays(slot, slice);
            relays.iter().filter(|relay| healthy.contains(relay)).count() >= ENOUGH_PIECES
        })
    }
}

/// A uniform integer below `bound`, which is at most 2^64: words that would favour low numbers are
/// drawn again.
fn below(stream: &mut ChaCha20Rng, bound: u128) -> u128 {
    let fair = (1u128 << 64) / bound * bound;
    loop {
        let word = u128::from(stream.next_u64());
        if word < fair {
            return word % bound;
        }
    }
}

/// The node on whose stretch of the line the point lies.
fn covering(line: impl Iterator<Item = (NodeId, u128)>, point: u128) -> NodeId {
    let mut end = 0;
    for (node, length) in line {
        end += length;
        if point < end {
            return node;
        }
    }
    unreachable!("the line is as long as the largest point")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::testing::World;
    use alpenglow_node::protocol::rotor;

    const SHAPES: [&[u64]; 6] = [
        &[1],
        &[1; 5],
        &[50, 30, 20],
        &[334, 211, 149, 98, 77, 51, 40, 29, 8, 3],
        &[1 << 60, 1 << 61, 3, 17, 1 << 59],
        &[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 1],
    ];

    /// The two implementations meet, over whole shares, remainders, huge stakes and epoch ends.
    #[test]
    fn as_the_product_has_it() {
        for stakes in SHAPES {
            let world = World::new(stakes);
            let (schedule, committee) = (Schedule::new(&world.scene), &world.scene.committee);
            let around_an_epoch_end = (0..300).chain(17_990..18_010);
            for slot in around_an_epoch_end.map(Slot) {
                let window = slot.window();
                assert_eq!(schedule.leader(window), committee.leader(window), "{stakes:?}");
                for slice in [0, 1, 63] {
                    let (ours, theirs) =
                        (schedule.relays(slot, slice), rotor::relays(committee, slot, slice));
                    assert_eq!(ours, theirs, "{stakes:?} slot {slot} slice {slice}");
                }
            }
        }
    }

    /// Pearson's statistic of counts against what is expected.
    fn chi_square(counts: &[u64], expected: &[f64]) -> f64 {
        let terms = counts.iter().zip(expected).map(|(n, e)| (*n as f64 - e).powi(2) / e);
        terms.sum()
    }

    /// Leaders are independent draws by stake, so the statistic of ten classes has nine degrees of
    /// freedom: 33.7 is passed once in ten thousand.
    #[test]
    fn leaders_are_drawn_by_stake() {
        let stakes = SHAPES[3];
        let schedule = Schedule::new(&World::new(stakes).scene);
        let (windows, mut counts) = (20_000, [0u64; 10]);
        for window in 0..windows {
            counts[schedule.leader(Window(window)).index()] += 1;
        }
        let share = |stake: &u64| windows as f64 * *stake as f64 / 1_000.0;
        let statistic = chi_square(&counts, &stakes.iter().map(share).collect::<Vec<_>>());
        assert!(statistic < 33.7, "{statistic}: {counts:?}");
    }

    /// Seats beyond the whole shares are stratified, hence less scattered than independent draws:
    /// the statistic stays below the one for independent draws, and is not zero.
    #[test]
    fn seats_are_drawn_by_stake() {
        let stakes = SHAPES[3];
        let schedule = Schedule::new(&World::new(stakes).scene);
        let (slices, mut counts) = (20_000u64, [0u64; 10]);
        for number in 0..slices {
            for relay in schedule.relays(Slot(1 + number / 4), (number % 4) as u8) {
                counts[relay.index()] += 1;
            }
        }
        let whole = |stake: &u64| slices * (stake * PIECES as u64 / 1_000);
        let rests: Vec<u64> = counts.iter().zip(stakes).map(|(n, s)| n - whole(s)).collect();
        let rest = |stake: &u64| slices as f64 * (*stake as f64 * 64.0 / 1_000.0).fract();
        let statistic = chi_square(&rests, &stakes.iter().map(rest).collect::<Vec<_>>());
        assert!((0.001..33.7).contains(&statistic), "{statistic}: {rests:?}");
    }
}
