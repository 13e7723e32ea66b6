//! Bursts of loss: the two-state channel of Gilbert and Elliott, in continuous time.
//!
//! The problem: real loss comes in clumps, and clumps are what breaks erasure codes and quorums;
//! independent loss at the same average is far too kind. The textbook channel changes state per
//! packet, so one packet more would move every later burst.
//!
//! Our way: the bad intervals of a link lie on the time axis, whether anybody sends or not. Gap and
//! burst number k are exponential draws named (link, k); where burst k lies therefore depends on
//! the seed, the link, the means and k, never on traffic. A link remembers only the interval that
//! it is in, and since arrivals come in order of time it only ever steps forward.

use crate::world::rng::Draws;

/// Loss in clumps. Inside a burst the larger of `loss_ppb` and the independent loss of the link
/// holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Probability of losing a packet that arrives during a burst, in parts per billion.
    pub loss_ppb: u32,
    /// Mean length of a burst, in nanoseconds; at least 1.
    pub mean_burst_ns: u64,
    /// Mean time between two bursts, in nanoseconds; at least 1.
    pub mean_gap_ns: u64,
}

/// Where one link stands on its own sequence of bursts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The means that this sequence was drawn with: after a change it is drawn anew from 0.
    shape: Burst,
    /// Number of the burst that begins at `begin_ns`.
    index: u64,
    begin_ns: u64,
    end_ns: u64,
}

impl Cursor {
    /// The cursor for `shape`: `old` if it was made for the same one, else a fresh one.
    pub(super) fn resume(
        old: Option<Cursor>,
        shape: Burst,
        link: u64,
        draws: &mut Draws,
    ) -> Cursor {
        match old {
            Some(cursor) if cursor.shape == shape => cursor,
            _ => {
                let mut cursor = Cursor { shape, index: 0, begin_ns: 0, end_ns: 0 };
                cursor.place(link, draws);
                cursor
            }
        }
    }

    /// Whether `at_ns` lies in a burst. Asked in ascending order of time.
    pub(super) fn covers(&mut self, at_ns: u64, link: u64, draws: &mut Draws) -> bool {
        while at_ns >= self.end_ns {
            self.index += 1;
            self.place(link, draws);
        }
        at_ns >= self.begin_ns
    }

    /// Lays burst number `index` behind the end of the one before.
    fn place(&mut self, link: u64, draws: &mut Draws) {
        let draw = draws.draw(link, self.index);
        let gap = exponential(draw.word(0), self.shape.mean_gap_ns);
        let burst = exponential(draw.word(1), self.shape.mean_burst_ns);
        self.begin_ns = self.end_ns.saturating_add(gap);
        self.end_ns = self.begin_ns.saturating_add(burst);
    }
}

/// An exponential variate with the given mean, at least 1 and at most about 37 means.
fn exponential(word: u64, mean: u64) -> u64 {
    // 53 bits, shifted by half a step so that the logarithm never meets 0.
    let u = ((word >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    ((-libm::log(u) * mean as f64) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Burst = Burst { loss_ppb: 1, mean_burst_ns: 1_000_000, mean_gap_ns: 9_000_000 };

    fn fresh(link: u64, draws: &mut Draws) -> Cursor {
        Cursor::resume(None, SHAPE, link, draws)
    }

    #[test]
    fn intervals_do_not_depend_on_who_asks() {
        let mut draws = Draws::new(5, "burst");
        let mut dense = fresh(3, &mut draws);
        let answers: Vec<bool> =
            (0..2_000).map(|i| dense.covers(i * 100_000, 3, &mut draws)).collect();
        assert!(answers.contains(&true) && answers.contains(&false));
        for skip in [7, 100, 999] {
            let mut sparse = fresh(3, &mut draws);
            for i in (0..2_000).step_by(skip) {
                assert_eq!(sparse.covers(i as u64 * 100_000, 3, &mut draws), answers[i]);
            }
        }
        let mut other = fresh(4, &mut draws);
        let others: Vec<bool> =
            (0..2_000).map(|i| other.covers(i * 100_000, 4, &mut draws)).collect();
        assert_ne!(answers, others, "links have bursts of their own");
    }

    #[test]
    fn shares_are_those_of_the_means() {
        let mut draws = Draws::new(6, "burst");
        let mut cursor = fresh(0, &mut draws);
        let bad = (0..1_000_000).filter(|i| cursor.covers(i * 50_000, 0, &mut draws)).count();
        // 10 % of 50 s, which hold about 5,000 bursts: three sigma are about 0.6 %.
        assert!((94_000..106_000).contains(&bad), "{bad}");
        assert!((4_700..5_300).contains(&cursor.index), "{}", cursor.index);
    }

    #[test]
    fn another_shape_starts_over_and_the_same_goes_on() {
        let mut draws = Draws::new(6, "burst");
        let mut cursor = fresh(0, &mut draws);
        cursor.covers(1_000_000_000, 0, &mut draws);
        let same = Cursor::resume(Some(cursor), SHAPE, 0, &mut draws);
        assert_eq!(same.index, cursor.index);
        let longer = Burst { mean_burst_ns: 2_000_000, ..SHAPE };
        assert_eq!(Cursor::resume(Some(cursor), longer, 0, &mut draws).index, 0);
    }

    #[test]
    fn variates_have_ends() {
        assert_eq!(exponential(u64::MAX, 1_000), 1);
        assert_eq!(exponential(0, 1_000), 37_429);
    }
}
