//! What the cluster looks like: who holds how much stake, who sits where, how far apart.
//!
//! `stake = "mainnet"` must mean something for 4 nodes as for 400. The public figures give the
//! cumulative stake at seventeen ranks only, so the ranks between are interpolated. Straight lines
//! would give whole groups of equal nodes, and logarithms would bring in the C library's. Instead
//! the stake *per rank* falls linearly inside each stretch between two known ranks: its middle is
//! the mean of the stretch, and its slope is the steepest that stays on the right side of both
//! neighbours. That keeps every known point exactly, falls from rank to rank, and needs nothing
//! but integers. The top n are then scaled to [`TOTAL`] units; the few units that rounding loses
//! go to the first ranks, one each.
//!
//! Regions are dealt out in rank order: each node goes where most stake is still missing.

mod figures;

use super::units::{Nanos, Share};
use figures::{CUMULATIVE_STAKE, REGION_SHARES, REGIONS, ROUND_TRIP_P50, ROUND_TRIP_P90};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// All stake of a cluster whose stakes are "mainnet" or "equal".
pub const TOTAL: u64 = 1_000_000_000;

/// A link's delay is cut off at its median plus so many times the distance from the median to the
/// 90th percentile. A normal distribution would exceed that about once in 16,000 packets.
pub const TRUNCATION: u64 = 3;

/// Who holds how much, as the plan states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StakeShape {
    /// The top nodes of the public distribution.
    Mainnet,
    /// All the same.
    Equal,
    /// These stakes, in units of the plan's own.
    List(Vec<u64>),
}

/// Who sits where, as the plan states it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionShape {
    /// Thirteen cities with their measured round trips.
    Mainnet,
    /// One region; every message takes this long, plus jitter.
    OneWay(Nanos),
}

impl<'de> Deserialize<'de> for StakeShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = StakeShape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"mainnet\", \"equal\" or a list of integers")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StakeShape, E> {
                match text {
                    "mainnet" => Ok(StakeShape::Mainnet),
                    "equal" => Ok(StakeShape::Equal),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StakeShape, A::Error> {
                let mut stakes = Vec::new();
                while let Some(stake) = seq.next_element()? {
                    stakes.push(stake);
                }
                Ok(StakeShape::List(stakes))
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

/// Why stakes or regions do not make a cluster. The text before the line break says what is
/// wrong, the text after it what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A cluster of that size is outside the protocol.
    #[error("a cluster of {0} nodes is not possible\nchoose from 1 to 2000 nodes")]
    Nodes(usize),
    /// The public figures end there.
    #[error("{0} nodes cannot have mainnet stakes: the figures know {1}\nuse \"equal\" stakes")]
    Ranks(usize, u32),
    /// Another number of stakes than nodes.
    #[error("{stakes} stakes for {nodes} nodes\nlist one stake for each node")]
    Count {
        /// Length of the list.
        stakes: usize,
        /// Nodes of the cluster.
        nodes: usize,
    },
    /// A node without stake is no validator.
    #[error("node {0} has no stake\nevery node needs at least 1 unit")]
    Zero(usize),
    /// The sum does not fit.
    #[error("the stakes add up to more than {}\nscale them down", i64::MAX)]
    Sum,
}

impl StakeShape {
    /// The stake of each of `nodes` nodes. The sum is at most `i64::MAX`.
    pub(super) fn stakes(&self, nodes: usize) -> Result<Vec<u64>, ShapeError> {
        if nodes == 0 || nodes > 2_000 {
            return Err(ShapeError::Nodes(nodes));
        }
        let ranks = CUMULATIVE_STAKE[CUMULATIVE_STAKE.len() - 1].0;
        match self {
            StakeShape::Mainnet if nodes > ranks as usize => Err(ShapeError::Ranks(nodes, ranks)),
            StakeShape::Mainnet => Ok(scale(&mainnet_weights()[..nodes])),
            StakeShape::Equal => Ok(scale(&vec![1; nodes])),
            StakeShape::List(stakes) if stakes.len() != nodes => {
                Err(ShapeError::Count { stakes: stakes.len(), nodes })
            }
            StakeShape::List(stakes) => check_stakes(stakes).map(|()| stakes.clone()),
        }
    }
}

/// Every stake is positive and the sum fits the integers of TOML.
pub(super) fn check_stakes(stakes: &[u64]) -> Result<(), ShapeError> {
    if let Some(node) = stakes.iter().position(|s| *s == 0) {
        return Err(ShapeError::Zero(node));
    }
    let sum = stakes.iter().try_fold(0u64, |sum, s| sum.checked_add(*s));
    sum.filter(|s| i64::try_from(*s).is_ok()).map(|_| ()).ok_or(ShapeError::Sum)
}

/// Weight of every rank, strictly falling.
fn mainnet_weights() -> Vec<u128> {
    // Hundredths of a percent, with so much room below the point that flooring cannot disturb
    // the order.
    const SCALE: i128 = 1_000_000_000_000;
    let mut knots = vec![(0, 0)];
    knots.extend(CUMULATIVE_STAKE.iter().map(|(r, c)| (i128::from(*r), i128::from(*c))));
    let mean = |i: usize| {
        let ((r0, c0), (r1, c1)) = (knots[i - 1], knots[i]);
        (c1 - c0) * SCALE / (r1 - r0)
    };
    let mut weights = Vec::new();
    for i in 1..knots.len() {
        let above = if i > 1 { mean(i - 1) - mean(i) } else { mean(i) };
        let below = if i + 1 < knots.len() { mean(i) - mean(i + 1) } else { mean(i) };
        let swing = above.min(below) / 2;
        let ranks = knots[i].0 - knots[i - 1].0;
        for k in 1..=ranks {
            let stake = mean(i) + swing * (ranks + 1 - 2 * k) / ranks;
            weights.push(u128::try_from(stake).expect("the swing is below the mean"));
        }
    }
    weights
}

/// Scales `weights` to integers that sum to exactly [`TOTAL`].
fn scale(weights: &[u128]) -> Vec<u64> {
    let sum: u128 = weights.iter().sum();
    let floor = |w: &u128| u64::try_from(w * u128::from(TOTAL) / sum).expect("at most TOTAL");
    let mut stakes: Vec<u64> = weights.iter().map(floor).collect();
    let lost = TOTAL - stakes.iter().sum::<u64>();
    stakes
        .iter_mut()
        .take(usize::try_from(lost).expect("at most one a node"))
        .for_each(|s| *s += 1);
    stakes
}

/// The map: which regions there are and how long a message takes between them, before jitter.
/// [`super::Concrete::delay`] gives the delay of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Names of the regions that have nodes.
    pub regions: Vec<String>,
    /// Median one-way delay from region (row) to region (column).
    pub p50: Vec<Vec<Nanos>>,
    /// 90th percentile of the one-way delay, likewise.
    pub p90: Vec<Vec<Nanos>>,
}

/// How long a message takes from one node to another.
///
/// The delay of one packet is `p50 + (p90 - p50) * g`, where g is normally distributed with a 90th
/// percentile of 1, cut off at `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The median.
    pub p50: Nanos,
    /// The 90th percentile.
    pub p90: Nanos,
    /// The longest possible delay, without queues and faults.
    pub max: Nanos,
}

impl Map {
    /// The delay from region `from` to region `to`. `jitter` is the least distance from p50 to
    /// p90, relative to p50.
    pub(super) fn delay(&self, from: usize, to: usize, jitter: Share) -> Delay {
        let p50 = self.p50[from][to];
        let spread = self.p90[from][to].0.saturating_sub(p50.0).max(jitter.of(p50.0));
        let reach = |times: u64| Nanos(p50.0.saturating_add(spread.saturating_mul(times)));
        Delay { p50, p90: reach(1), max: reach(TRUNCATION) }
    }
}

impl RegionShape {
    /// The map, and the region of every node by number.
    pub(super) fn place(&self, stakes: &[u64]) -> (Map, Vec<usize>) {
        match self {
            RegionShape::Mainnet => mainnet_map(stakes),
            RegionShape::OneWay(delay) => {
                let delay = vec![vec![*delay]];
                let regions = vec!["everywhere".to_owned()];
                (Map { regions, p50: delay.clone(), p90: delay }, vec![0; stakes.len()])
            }
        }
    }
}

fn mainnet_map(stakes: &[u64]) -> (Map, Vec<usize>) {
    let mut ranks: Vec<usize> = (0..stakes.len()).collect();
    ranks.sort_by_key(|i| std::cmp::Reverse(stakes[*i]));
    let total: i128 = stakes.iter().map(|s| i128::from(*s)).sum();
    // Thousandths of the total, times 1,000: what each region should still get.
    let mut missing = REGION_SHARES.map(|(_, share)| i128::from(share) * total);
    let mut city = vec![0; stakes.len()];
    for i in ranks {
        let first_largest =
            |best: usize, r: usize| if missing[r] > missing[best] { r } else { best };
        city[i] = (1..REGIONS).fold(0, first_largest);
        missing[city[i]] -= i128::from(stakes[i]) * 1_000;
    }
    let used: Vec<usize> = (0..REGIONS).filter(|r| city.contains(r)).collect();
    let half = |round_trip: u64| Nanos(round_trip * 100_000 / 2);
    let table = |figures: &[[u64; REGIONS]; REGIONS]| {
        used.iter().map(|a| used.iter().map(|b| half(figures[*a][*b])).collect()).collect()
    };
    let map = Map {
        regions: used.iter().map(|r| REGION_SHARES[*r].0.to_owned()).collect(),
        p50: table(&ROUND_TRIP_P50),
        p90: table(&ROUND_TRIP_P90),
    };
    let place = |c: &usize| used.binary_search(c).expect("every city of a node is used");
    (map, city.iter().map(place).collect())
}

#[cfg(test)]
mod tests;
