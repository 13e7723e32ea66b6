//! One-way delays drawn from measured percentiles.
//!
//! The problem: a real path is known by its median and its 90th percentile, and its delays are not
//! uniform: most lie close together, a few are far out. The usual way, a normal variate from `ln`
//! and `cos`, differs in the last bits between C libraries, which makes one seed two runs; and it
//! has no largest value, so no plan could be checked against the delay bound of the protocol.
//!
//! Our way: delay(u) = p50 + (p90 - p50) * g(u), where g is the normal quantile function scaled so
//! that g(0.5) = 0 and g(0.9) = 1, cut off at [-1.2, 3]. g is a table of 4,097 fixed-point numbers,
//! computed once by bisection on `libm::erfc` (plain Rust, the same everywhere) and interpolated in
//! integers. The cut at 3 is the bound: 99.99 % of a normal curve lies below it.

/// The delay that no packet undercuts, in nanoseconds: switches and kernels take that long.
pub const FLOOR_NS: u64 = 20_000;

/// The largest delay that may be configured: 2^41 ns, about 36 minutes.
pub const LIMIT_NS: u64 = 1 << 41;

/// Delay of one direction of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The median, in nanoseconds.
    pub p50_ns: u64,
    /// The 90th percentile, in nanoseconds; not below the median.
    pub p90_ns: u64,
}

impl Latency {
    /// A median with a spread given as its share: the 90th percentile is `jitter_ppm` millionths
    /// above the median.
    pub fn with_jitter(p50_ns: u64, jitter_ppm: u32) -> Latency {
        let spread = u128::from(p50_ns) * u128::from(jitter_ppm) / 1_000_000;
        Latency { p50_ns, p90_ns: p50_ns.saturating_add(spread as u64) }
    }

    /// The longest delay that this distribution can give, in nanoseconds.
    pub fn longest_ns(self) -> u64 {
        self.at(CEILING)
    }

    /// # Panics
    /// If the percentiles are out of order or beyond [`LIMIT_NS`].
    pub(super) fn check(self) {
        assert!(
            self.p50_ns <= self.p90_ns && self.p90_ns <= LIMIT_NS,
            "a latency needs p50 <= p90 <= {LIMIT_NS} ns, not {self:?}"
        );
    }

    fn at(self, g: i64) -> u64 {
        let shift = ((self.p90_ns - self.p50_ns) as i64 * g) >> SCALE_BITS;
        (self.p50_ns as i64 + shift).max(FLOOR_NS as i64) as u64
    }
}

/// Fractional bits of g.
const SCALE_BITS: u32 = 20;
const LOWEST: i64 = -12 * (1 << SCALE_BITS) / 10;
const CEILING: i64 = 3 * (1 << SCALE_BITS);
const STEP_BITS: u32 = 12;
const STEPS: usize = 1 << STEP_BITS;

/// The table of g.
pub(super) struct Quantiles(Box<[i32]>);

impl Quantiles {
    pub(super) fn new() -> Quantiles {
        let mut table = vec![0; STEPS + 1];
        // g is odd around the middle, so half of it is enough.
        for i in STEPS / 2..=STEPS {
            let g = fixed_quantile(i);
            table[i] = g.min(CEILING) as i32;
            table[STEPS - i] = (-g).max(LOWEST) as i32;
        }
        Quantiles(table.into_boxed_slice())
    }

    /// The delay at the uniform word `u`, in nanoseconds, at least [`FLOOR_NS`].
    #[inline]
    pub(super) fn delay(&self, latency: Latency, u: u64) -> u64 {
        let step = (u >> (64 - STEP_BITS)) as usize;
        let fraction = ((u >> 32) & ((1 << SCALE_BITS) - 1)) as i64;
        let (low, high) = (i64::from(self.0[step]), i64::from(self.0[step + 1]));
        latency.at(low + (((high - low) * fraction) >> SCALE_BITS))
    }
}

/// g at i / STEPS for i in the upper half, in fixed point; beyond the cut at the very end.
fn fixed_quantile(i: usize) -> i64 {
    // Below this the upper tail is not resolved by the table anyway: g = 4.
    let (mut low, mut high) = (0, 4_i64 << SCALE_BITS);
    let tail = (STEPS - i) as f64 / STEPS as f64;
    while high - low > 1 {
        let middle = (low + high) / 2;
        // The share of a normal curve above z is erfc(z / sqrt(2)) / 2; z90 is its 90 % point.
        let z = middle as f64 / f64::from(1 << SCALE_BITS) * 1.281_551_565_544_6;
        let above = libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2) / 2.0;
        if above > tail { low = middle } else { high = middle }
    }
    if i == STEPS / 2 { 0 } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::rng::Draws;

    const UNIT: i64 = 1 << SCALE_BITS;

    #[test]
    fn the_table_is_the_normal_quantile_function() {
        let table = Quantiles::new().0;
        assert_eq!(table.len(), 4_097);
        assert_eq!(i64::from(table[0]), LOWEST);
        assert_eq!(i64::from(table[4_096]), CEILING);
        assert_eq!(table[2_048], 0);
        assert!(table.is_sorted());
        // Known points: z(0.75) = 0.67449, z(0.9) = 1.28155, z(0.99) = 2.32635, over 1.28155.
        for (share, g) in [(0.75, 0.526_307), (0.9, 1.0), (0.99, 1.815_256), (0.25, -0.526_307)] {
            let u = (share * u64::MAX as f64) as u64;
            let wide = Latency { p50_ns: 10 * UNIT as u64, p90_ns: 11 * UNIT as u64 };
            let shown = Quantiles::new().delay(wide, u) as i64 - 10 * UNIT;
            let error = (shown as f64 / UNIT as f64 - g).abs();
            assert!(error < 2e-4, "g({share}) is off by {error}");
        }
    }

    #[test]
    fn golden_table() {
        // The table is part of every stored seed.
        let table = Quantiles::new().0;
        let sum: i64 = table.iter().map(|g| i64::from(*g)).sum();
        let mixed = table
            .iter()
            .fold(0u64, |hash, g| (hash ^ *g as u32 as u64).wrapping_mul(0x0000_0100_0000_01B3));
        assert_eq!((sum, mixed), (90_947_978, 5_951_525_735_271_066_148));
    }

    #[test]
    fn percentiles_of_many_draws() {
        let (quantiles, mut draws) = (Quantiles::new(), Draws::new(1, "test"));
        let latency = Latency { p50_ns: 50_000_000, p90_ns: 60_000_000 };
        let mut seen: Vec<u64> =
            (0..50_000).map(|i| quantiles.delay(latency, draws.draw(0, i).word(0))).collect();
        seen.sort_unstable();
        assert!(seen[25_000].abs_diff(latency.p50_ns) < 200_000, "{}", seen[25_000]);
        assert!(seen[45_000].abs_diff(latency.p90_ns) < 200_000, "{}", seen[45_000]);
        assert!(seen[0] >= 38_000_000 && seen[49_999] <= latency.longest_ns());
        assert_eq!(latency.longest_ns(), 80_000_000);
    }

    #[test]
    fn floor_and_ends() {
        let quantiles = Quantiles::new();
        let steep = Latency { p50_ns: 1_000, p90_ns: 1_000_000 };
        assert_eq!(quantiles.delay(steep, 0), FLOOR_NS);
        assert!(quantiles.delay(steep, u64::MAX) <= steep.longest_ns());
        let flat = Latency::with_jitter(5_000_000, 0);
        assert_eq!(quantiles.delay(flat, 3), 5_000_000);
        assert_eq!(quantiles.delay(flat, u64::MAX), 5_000_000);
        assert_eq!(Latency::with_jitter(1_000_000, 50_000).p90_ns, 1_050_000);
    }
}
