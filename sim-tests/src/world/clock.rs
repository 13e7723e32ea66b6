//! The clocks of one node: a monotonic one that drifts, and a wall clock that is also wrong.
//!
//! The problem: in a naive simulation all nodes read the same clock, so a protocol that quietly
//! compares times of two machines, or stores a monotonic time and reads it after a reboot, passes
//! every test. Our way: the world's time is known to nobody. Each node has a monotonic clock with
//! an origin of its own (another one after each start, as after a reboot) and a drift, which may
//! change as a crystal does with its temperature, and a wall clock with an offset on top, which may
//! jump while the node runs. A change of drift bends the line; it never moves a clock back.
//!
//! Everything is integer arithmetic in 128 bits. Reading rounds down; the inverse gives the first
//! instant of world time at which the clock shows the asked value, so a timer never fires early
//! and never a nanosecond late.

/// Unix time at which every run starts: 2026-01-01T00:00:00Z, in nanoseconds.
pub const WALL_START_NS: u64 = 1_767_225_600 * 1_000_000_000;

/// The largest drift that a clock may have, in parts per billion: one part in ten.
pub const MAX_DRIFT_PPB: i32 = 100_000_000;

const UNIT: u128 = 1_000_000_000;

/// How wrong the clocks of a node are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockConfig {
    /// How much faster than world time both clocks run, in parts per billion (negative: slower),
    /// at most [`MAX_DRIFT_PPB`] either way.
    pub drift_ppb: i32,
    /// Wall clock minus true time at the start of the run, in nanoseconds.
    pub wall_offset_ns: i64,
}

/// The clocks of one node during one incarnation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What the monotonic clock shows at world time 0.
    origin_ns: u64,
    /// Local nanoseconds per 10^9 world nanoseconds, since the drift last changed.
    rate: u64,
    /// When that was, in world time, and how much local time had passed by then.
    bend: (u64, u64),
    wall_offset_ns: i128,
}

impl Clock {
    /// # Panics
    /// If the drift is beyond [`MAX_DRIFT_PPB`].
    pub(super) fn new(config: ClockConfig, origin_ns: u64) -> Clock {
        Clock {
            origin_ns,
            rate: rate(config.drift_ppb),
            bend: (0, 0),
            wall_offset_ns: i128::from(config.wall_offset_ns),
        }
    }

    /// Gives the monotonic clock another origin, as a reboot does.
    pub(super) fn reboot(&mut self, origin_ns: u64) {
        self.origin_ns = origin_ns;
    }

    /// Lets both clocks drift by `drift_ppb` from world time `now_ns` on.
    ///
    /// # Panics
    /// If the drift is beyond [`MAX_DRIFT_PPB`].
    pub(super) fn set_drift(&mut self, now_ns: u64, drift_ppb: i32) {
        self.bend = (now_ns, self.elapsed(now_ns));
        self.rate = rate(drift_ppb);
    }

    /// Moves the wall clock by `by_ns` from now on.
    pub(super) fn jump(&mut self, by_ns: i64) {
        self.wall_offset_ns += i128::from(by_ns);
    }

    /// What the monotonic clock shows at world time `world_ns`.
    pub(super) fn local(&self, world_ns: u64) -> u64 {
        self.origin_ns.saturating_add(self.elapsed(world_ns))
    }

    /// What the wall clock shows at world time `world_ns`: Unix nanoseconds, never below 0.
    pub(super) fn wall(&self, world_ns: u64) -> u64 {
        let shown =
            i128::from(WALL_START_NS) + i128::from(self.elapsed(world_ns)) + self.wall_offset_ns;
        u64::try_from(shown.max(0)).unwrap_or(u64::MAX)
    }

    /// The first world time at which the monotonic clock shows `local_ns` or more; at the earliest
    /// when its drift last changed, which is never later than now.
    pub(super) fn world(&self, local_ns: u64) -> u64 {
        let (bend_ns, elapsed_ns) = self.bend;
        let left = local_ns.saturating_sub(self.origin_ns).saturating_sub(elapsed_ns);
        let takes = (u128::from(left) * UNIT).div_ceil(u128::from(self.rate));
        bend_ns.saturating_add(u64::try_from(takes).unwrap_or(u64::MAX))
    }

    fn elapsed(&self, world_ns: u64) -> u64 {
        let (bend_ns, elapsed_ns) = self.bend;
        let since = u128::from(world_ns.saturating_sub(bend_ns));
        let scaled = since * u128::from(self.rate) / UNIT;
        elapsed_ns.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

/// Local nanoseconds per 10^9 world nanoseconds.
fn rate(drift_ppb: i32) -> u64 {
    let possible = drift_ppb.abs() <= MAX_DRIFT_PPB;
    assert!(possible, "a clock drift of {drift_ppb} ppb is beyond {MAX_DRIFT_PPB}");
    (UNIT as i64 + i64::from(drift_ppb)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// About 35 years: no run is longer.
    const LONG: u64 = 1 << 60;

    fn clock(drift_ppb: i32, origin_ns: u64) -> Clock {
        Clock::new(ClockConfig { drift_ppb, wall_offset_ns: 0 }, origin_ns)
    }

    #[test]
    fn shows_what_a_table_says() {
        let fast = clock(MAX_DRIFT_PPB, 5);
        let slow = clock(-MAX_DRIFT_PPB, 5);
        for (world, fast_ns, slow_ns) in [(0, 5, 5), (1, 6, 5), (10, 16, 14), (1_000, 1_105, 905)] {
            assert_eq!((fast.local(world), slow.local(world)), (fast_ns, slow_ns), "at {world}");
        }
        assert_eq!(slow.world(6), 2, "0.9 ns a nanosecond: one local nanosecond takes two");
        assert_eq!(fast.world(4), 0, "a time before the origin is over at once");
    }

    #[test]
    fn the_wall_jumps_and_stops_at_zero() {
        let config = ClockConfig { drift_ppb: 0, wall_offset_ns: -7 };
        let mut clock = Clock::new(config, 0);
        assert_eq!(clock.wall(10), WALL_START_NS + 3);
        clock.jump(100);
        assert_eq!(clock.wall(10), WALL_START_NS + 103);
        assert_eq!(clock.local(10), 10, "the monotonic clock does not jump");
        clock.jump(i64::MIN);
        assert_eq!(clock.wall(10), 0);
    }

    #[test]
    fn a_change_of_drift_bends_the_line() {
        let mut clock = clock(MAX_DRIFT_PPB, 5);
        assert_eq!(clock.local(1_000), 1_105);
        clock.set_drift(1_000, -MAX_DRIFT_PPB);
        assert_eq!(clock.local(1_000), 1_105, "no jump");
        assert_eq!((clock.local(2_000), clock.wall(2_000)), (2_005, WALL_START_NS + 2_000));
        assert_eq!(clock.world(2_005), 2_000);
        assert_eq!(clock.world(7), 1_000, "what it has shown is over at once");
        clock.set_drift(2_000, 0);
        assert_eq!(clock.local(2_010), 2_015);
    }

    proptest! {
        #[test]
        fn monotone(drift in -MAX_DRIFT_PPB..=MAX_DRIFT_PPB, at in 0..LONG, step in 0..1_000_000u64) {
            let clock = clock(drift, 1 << 40);
            prop_assert!(clock.local(at) <= clock.local(at + step));
            prop_assert!(clock.wall(at) <= clock.wall(at + step));
        }

        #[test]
        fn the_inverse_is_the_first_instant(
            drift in -MAX_DRIFT_PPB..=MAX_DRIFT_PPB, origin in 0..LONG, after in 0..LONG,
        ) {
            let clock = clock(drift, origin);
            let first = clock.world(origin + after);
            prop_assert!(clock.local(first) >= origin + after);
            prop_assert!(first == 0 || clock.local(first - 1) < origin + after);
        }
    }
}
