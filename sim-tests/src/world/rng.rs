//! Keyed randomness: every draw has a name, and the name alone decides the draw.
//!
//! The problem: a run must not change where nothing was changed. Remove one fault from a plan, or
//! add one message, and every other packet should still be lost or late exactly as before; without
//! that, shrinking a failure finds a different failure, and a diff of two runs is noise. One shared
//! stream of random numbers cannot give it: the first extra draw shifts all later ones. A counter
//! per object is little better, because it still counts what happened before.
//!
//! Our way: ChaCha8 keyed by (seed, purpose) is a random function. The name of a draw *is* its
//! position: 64 bits of stream and 64 bits of block number, and the answer is that block of 64
//! bytes. Names are placed side by side, not hashed, so that two names never share a block. There
//! is no state, so a draw can be repeated at will: the network draws the fate of a packet once when
//! it is sent (latency) and once when it arrives (loss), and keeps nothing in between.
//!
//! Speed: the generator always makes four neighbouring blocks. We keep the last four, and whoever
//! chooses names lets neighbours be asked for together (the receivers of one broadcast), so most
//! draws cost a copy. What is kept never changes an answer.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// One billion: the denominator of every probability in the world.
pub const BILLION: u32 = 1_000_000_000;

/// Blocks that the generator makes at once.
const WINDOW: u64 = 4;
/// Bytes in one block.
const BLOCK_BYTES: usize = 64;

/// The random function of one purpose.
pub struct Draws {
    rng: ChaCha8Rng,
    /// Stream and first block number of what `window` holds.
    held: Option<(u64, u64)>,
    window: [u8; WINDOW as usize * BLOCK_BYTES],
}

impl Draws {
    /// The random function for `purpose` under `seed`.
    ///
    /// # Panics
    /// If `purpose` is longer than 24 bytes: it is part of the key as it stands.
    pub fn new(seed: u64, purpose: &'static str) -> Draws {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        assert!(purpose.len() <= 24, "a purpose is at most 24 bytes: {purpose}");
        key[8..8 + purpose.len()].copy_from_slice(purpose.as_bytes());
        Draws { rng: ChaCha8Rng::from_seed(key), held: None, window: [0; 256] }
    }

    /// The draw named (`stream`, `position`): eight uniform words, the same on every call.
    #[inline]
    pub fn draw(&mut self, stream: u64, position: u64) -> Draw {
        let start = position & !(WINDOW - 1);
        if self.held != Some((stream, start)) {
            self.rng.set_word_pos(u128::from(start) * (BLOCK_BYTES as u128 / 4));
            self.rng.set_stream(stream);
            self.rng.fill_bytes(&mut self.window);
            self.held = Some((stream, start));
        }
        let offset = (position - start) as usize * BLOCK_BYTES;
        let block = &self.window[offset..offset + BLOCK_BYTES];
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        }
        Draw(words)
    }
}

/// The seed of another future of the run under `seed`.
pub fn salted(seed: u64, salt: u64) -> u64 {
    Draws::new(seed, "salt").draw(0, salt).word(0)
}

/// Eight independent uniform 64-bit words that belong to one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(pub [u64; 8]);

impl Draw {
    /// Word `index` as it is.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.0[index]
    }

    /// Word `index` mapped to `0..n` (0 for `n = 0`). No number is favoured by more than 2^-64.
    #[inline]
    pub fn below(&self, index: usize, n: u64) -> u64 {
        ((u128::from(self.0[index]) * u128::from(n)) >> 64) as u64
    }

    /// True with probability `ppb` / 10^9 (error below 2^-64), decided by word `index`.
    #[inline]
    pub fn happens(&self, index: usize, ppb: u32) -> bool {
        self.below(index, u64::from(BILLION)) < u64::from(ppb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_draws() {
        // These words are in every stored seed: if they change, all seeds become other runs.
        let mut draws = Draws::new(7, "packet");
        assert_eq!(draws.draw(1, 2).0[..2], [4_524_760_525_948_650_855, 124_988_602_042_246_941]);
        assert_eq!(draws.draw(u64::MAX, u64::MAX).0[7], 4_724_624_491_264_796_478);
    }

    #[test]
    fn every_part_of_the_name_matters() {
        let base = Draws::new(1, "loss").draw(1, 1);
        assert_ne!(base, Draws::new(2, "loss").draw(1, 1));
        assert_ne!(base, Draws::new(1, "loss2").draw(1, 1));
        assert_ne!(base, Draws::new(1, "loss").draw(2, 1));
        assert_ne!(base, Draws::new(1, "loss").draw(1, 2));
    }

    #[test]
    fn neighbours_are_the_blocks_of_one_stream() {
        // The cached window must hold what a straight read of the stream gives.
        let mut straight = ChaCha8Rng::from_seed({
            let mut key = [0; 32];
            key[0] = 9;
            key[8] = b'x';
            key
        });
        straight.set_stream(5);
        let mut draws = Draws::new(9, "x");
        for position in 0..9 {
            let expected: [u64; 8] = std::array::from_fn(|_| straight.next_u64());
            assert_eq!(draws.draw(5, position).0, expected);
        }
    }

    proptest! {
        #[test]
        fn order_of_asking_changes_nothing(
            names in proptest::collection::vec((0..3u64, 0..12u64), 1..40),
        ) {
            let mut shared = Draws::new(3, "order");
            for (stream, position) in names {
                prop_assert_eq!(
                    shared.draw(stream, position),
                    Draws::new(3, "order").draw(stream, position)
                );
            }
        }

        #[test]
        fn below_stays_below(word: u64, n: u64) {
            let value = Draw([word; 8]).below(0, n);
            prop_assert!(value < n || (n == 0 && value == 0));
        }
    }

    #[test]
    fn happens_is_exact_at_its_ends_and_close_between() {
        assert!(!Draw([0; 8]).happens(0, 0));
        assert!(Draw([u64::MAX; 8]).happens(0, BILLION));
        assert!(Draw([0; 8]).happens(0, 1) && !Draw([u64::MAX; 8]).happens(0, BILLION - 1));
        let mut draws = Draws::new(11, "coin");
        let hits = (0..20_000).filter(|i| draws.draw(0, *i).happens(3, BILLION / 10)).count();
        // Mean 2,000, standard deviation 42: five of them.
        assert!((1_790..=2_210).contains(&hits), "{hits}");
    }
}
