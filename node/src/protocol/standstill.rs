//! Standstill: when finality rests, say everything again (10.1, 10.2).
//!
//! Messages can be lost before the network is well. Retransmitting each until acknowledged would
//! cost state per peer and message; instead a node that has seen no new finalization for
//! Δ_standstill sends its proof of the highest one, and every certificate and own vote above it.
//! Whoever gets all of that knows as much as the sender. Everyone's Δ_timeout grows meanwhile,
//! counted in windows from the finalized slot, so that it outgrows any real delay.

use super::rules::rule;
use super::types::{Slot, Time, Window};
use std::time::Duration;

/// When to fire, and where a bundle that was too large goes on.
#[derive(Debug)]
pub struct Standstill {
    last_progress: Time,
    highest: Slot,
    /// The highest finalized slot when the rule last fired, until a higher one is finalized.
    stalled_at: Option<Slot>,
    resume: Option<Slot>,
}

impl Standstill {
    /// Starts the clock.
    pub fn new(now: Time, highest: Slot) -> Standstill {
        Standstill { last_progress: now, highest, stalled_at: None, resume: None }
    }

    /// A higher slot is finalized: the clock and the timeouts start again.
    pub fn on_finalized(&mut self, now: Time, highest: Slot) {
        if highest > self.highest {
            (self.highest, self.last_progress) = (highest, now);
            (self.stalled_at, self.resume) = (None, None);
        }
    }

    /// True if it is time to say everything again; the clock then restarts.
    pub fn fires(&mut self, now: Time, after: Duration) -> bool {
        if now < self.last_progress + after {
            return false;
        }
        rule!("standstill.fire");
        self.last_progress = now;
        self.stalled_at = Some(self.highest);
        true
    }

    /// The exponent of the timeout growth for `window`: windows since the stalled slot's (10.2).
    pub fn growth(&self, window: Window) -> u64 {
        match self.stalled_at {
            Some(slot) => {
                rule!("timeouts.grow");
                window.0.saturating_sub(slot.window().0)
            }
            None => 0,
        }
    }

    /// Chooses what fits: `items` are (slot, what) in slot order; at most `room` of them, from
    /// where the last bundle stopped.
    pub fn select<T>(&mut self, items: Vec<(Slot, T)>, room: usize) -> Vec<T> {
        let from = self.resume.take().filter(|slot| items.iter().any(|(s, _)| s >= slot));
        let mut chosen = Vec::new();
        for (slot, item) in items {
            if from.is_some_and(|from| slot < from) {
                continue;
            }
            if chosen.len() == room {
                rule!("standstill.partial");
                self.resume = Some(slot);
                break;
            }
            chosen.push(item);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn fires_after_silence_and_again_but_not_after_progress() {
        let mut s = Standstill::new(Time(0), Slot(0));
        assert!(!s.fires(Time(0) + SECOND * 9, SECOND * 10));
        assert!(s.fires(Time(0) + SECOND * 10, SECOND * 10));
        assert!(!s.fires(Time(0) + SECOND * 19, SECOND * 10));
        assert!(s.fires(Time(0) + SECOND * 20, SECOND * 10));
        s.on_finalized(Time(0) + SECOND * 25, Slot(5));
        assert!(!s.fires(Time(0) + SECOND * 30, SECOND * 10));
        s.on_finalized(Time(0) + SECOND * 34, Slot(4));
        assert!(s.fires(Time(0) + SECOND * 35, SECOND * 10), "a lower slot is no progress");
    }

    #[test]
    fn growth_counts_windows_from_the_stalled_slot_and_ends_with_progress() {
        let mut s = Standstill::new(Time(0), Slot(9));
        assert_eq!(s.growth(Window(50)), 0);
        assert!(s.fires(Time(u64::MAX / 2), SECOND));
        assert_eq!((s.growth(Window(2)), s.growth(Window(7))), (0, 5));
        s.on_finalized(Time(u64::MAX / 2), Slot(10));
        assert_eq!(s.growth(Window(7)), 0);
    }

    #[test]
    fn a_bundle_that_is_too_large_goes_on_next_time() {
        let mut s = Standstill::new(Time(0), Slot(0));
        let items = || (1..=5).map(|i| (Slot(i), i)).collect::<Vec<_>>();
        assert_eq!(s.select(items(), 2), [1, 2]);
        assert_eq!(s.select(items(), 2), [3, 4]);
        assert_eq!(s.select(items(), 2), [5]);
        assert_eq!(s.select(items(), 9), [1, 2, 3, 4, 5]);
    }
}
