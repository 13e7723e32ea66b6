//! The fault points of the host: which are active in a run, and when they fire.
//!
//! If every point could fire in every run, rare effects would drown each other: with ten points at
//! 5 % hardly a batch is handled normally. So the seed first decides for each point whether it is
//! active in this run at all; those that are fire with the share that the plan states. Both draws
//! have names: the point, and for each question the node, its incarnation and the number of the
//! question.

use crate::plan::Share;
use crate::world::rng::Draws;
use std::collections::BTreeMap;

/// Every other point is active in a run.
const ACTIVE_PPB: u32 = 500_000_000;

/// One fault point at one incarnation.
struct Point {
    draws: Draws,
    active: bool,
    asked: u64,
}

/// The fault points of one incarnation.
pub struct Points {
    seed: u64,
    fires: Share,
    /// Node and incarnation.
    name: u64,
    known: BTreeMap<&'static str, Point>,
}

impl Points {
    /// For a node in its `incarnation`.
    pub fn new(seed: u64, fires: Share, node: usize, incarnation: u32) -> Points {
        let name = (node as u64) << 32 | u64::from(incarnation);
        Points { seed, fires, name, known: BTreeMap::new() }
    }

    /// Whether this point fires now.
    pub fn fires(&mut self, point: &'static str) -> bool {
        if self.fires == Share::NONE {
            return false;
        }
        let seed = self.seed;
        let Point { draws, active, asked } = self.known.entry(point).or_insert_with(|| {
            let mut draws = Draws::new(seed, point);
            let active = draws.draw(u64::MAX, 0).happens(0, ACTIVE_PPB);
            Point { draws, active, asked: 0 }
        });
        *asked += 1;
        *active && draws.draw(self.name, *asked).happens(0, self.fires.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = "driver.early_wake";

    fn fired(seed: u64, share: u32, node: usize) -> u32 {
        let mut points = Points::new(seed, Share(share), node, 1);
        (0..1_000).map(|_| u32::from(points.fires(POINT))).sum()
    }

    #[test]
    fn active_in_half_of_the_runs_at_every_node_or_at_none() {
        let counts: Vec<u32> = (0..100).map(|seed| fired(seed, 100_000_000, 0)).collect();
        let silent = counts.iter().filter(|count| **count == 0).count();
        assert!((35..65).contains(&silent), "{silent}");
        assert!(counts.iter().all(|count| *count == 0 || (50..160).contains(count)), "{counts:?}");
        let others: Vec<u32> = (0..100).map(|seed| fired(seed, 100_000_000, 1)).collect();
        assert_ne!(counts, others);
        assert!(counts.iter().zip(&others).all(|(a, b)| (*a == 0) == (*b == 0)));
    }

    #[test]
    fn silent_unless_the_plan_says_so() {
        assert!((0..20).all(|seed| fired(seed, 0, 0) == 0));
    }
}
