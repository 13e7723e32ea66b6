//! The shapes against the figures they come from.

use super::super::units::percent;
use super::*;
use std::fmt::Write as _;

fn mainnet(nodes: usize) -> (Vec<u64>, Map, Vec<usize>) {
    let stakes = StakeShape::Mainnet.stakes(nodes).unwrap();
    let (map, regions) = RegionShape::Mainnet.place(&stakes);
    (stakes, map, regions)
}

#[test]
fn every_known_point_of_the_curve_is_kept_and_ranks_fall() {
    let weights = mainnet_weights();
    assert_eq!(weights.len(), 959);
    assert!(weights.windows(2).all(|pair| pair[0] > pair[1]));
    for (rank, cumulative) in CUMULATIVE_STAKE {
        let sum: u128 = weights[..rank as usize].iter().sum();
        let exact = u128::from(cumulative) * 1_000_000_000_000;
        // Flooring loses at most one unit of 10^-12 a rank and one for the mean.
        assert!(sum.abs_diff(exact) <= 2 * u128::from(rank), "rank {rank}: {sum} {exact}");
    }
}

#[test]
fn stakes_sum_to_a_billion_and_fall() {
    for nodes in [1, 2, 3, 4, 7, 20, 33, 100, 400, 959] {
        let stakes = StakeShape::Mainnet.stakes(nodes).unwrap();
        assert_eq!(stakes.iter().sum::<u64>(), TOTAL, "{nodes}");
        assert!(stakes.windows(2).all(|pair| pair[0] > pair[1]), "{nodes}");
    }
    let equal = StakeShape::Equal.stakes(7).unwrap();
    assert_eq!(equal.iter().sum::<u64>(), TOTAL);
    assert_eq!((equal[0], equal[6]), (142_857_143, 142_857_142));
}

#[test]
fn impossible_stakes_are_refused() {
    let list = |stakes: &[u64]| StakeShape::List(stakes.to_vec());
    assert_eq!(StakeShape::Equal.stakes(0), Err(ShapeError::Nodes(0)));
    assert_eq!(StakeShape::Equal.stakes(2_001), Err(ShapeError::Nodes(2_001)));
    assert_eq!(StakeShape::Mainnet.stakes(960), Err(ShapeError::Ranks(960, 959)));
    assert_eq!(list(&[1, 2]).stakes(3), Err(ShapeError::Count { stakes: 2, nodes: 3 }));
    assert_eq!(list(&[1, 0]).stakes(2), Err(ShapeError::Zero(1)));
    let half = 1 << 62;
    assert_eq!(list(&[half, half]).stakes(2), Err(ShapeError::Sum));
    assert_eq!(list(&[u64::MAX, 2]).stakes(2), Err(ShapeError::Sum));
    assert_eq!(list(&[half - 1, half]).stakes(2), Ok(vec![half - 1, half]));
}

#[test]
fn figures_are_consistent() {
    assert_eq!(REGION_SHARES.iter().map(|r| r.1).sum::<u64>(), 1_000);
    for a in 0..REGIONS {
        for b in 0..REGIONS {
            assert_eq!(ROUND_TRIP_P50[a][b], ROUND_TRIP_P50[b][a]);
            assert_eq!(ROUND_TRIP_P90[a][b], ROUND_TRIP_P90[b][a]);
            assert!(ROUND_TRIP_P50[a][b] < ROUND_TRIP_P90[a][b]);
        }
    }
}

#[test]
fn a_hundred_nodes_reach_every_region_and_stay_below_delta() {
    let (stakes, map, regions) = mainnet(100);
    assert_eq!(map.regions.len(), REGIONS);
    for (r, (name, share)) in REGION_SHARES.iter().enumerate() {
        let inside = (0..100).filter(|i| regions[*i] == r).map(|i| stakes[i]).sum::<u64>();
        assert!(inside.abs_diff(share * TOTAL / 1_000) < TOTAL / 150, "{name} {inside}");
    }
    let longest =
        (0..REGIONS * REGIONS).map(|i| map.delay(i / REGIONS, i % REGIONS, Share::NONE).max).max();
    assert_eq!(longest.unwrap().to_string(), "138.5ms");
}

#[test]
fn jitter_widens_only_what_is_narrower() {
    let jitter = Share(50_000_000);
    let (map, regions) = RegionShape::OneWay(Nanos::from_millis(20)).place(&[1, 1]);
    assert_eq!(regions, [0, 0]);
    assert_eq!(map.delay(0, 0, Share::NONE).max, Nanos::from_millis(20));
    let delay = map.delay(0, 0, jitter);
    assert_eq!((delay.p90, delay.max), (Nanos::from_millis(21), Nanos::from_millis(23)));
    // Frankfurt to Frankfurt: 2 ms, p90 2.95 ms; 5 % of jitter adds nothing.
    let (map, _) = RegionShape::Mainnet.place(&[1, 1]);
    assert_eq!(map.delay(0, 0, jitter).p90, Nanos(2_950_000));
}

#[test]
fn twenty_nodes() {
    let (stakes, map, regions) = mainnet(20);
    let mut table = String::from("node      stake   share  region\n");
    for (i, stake) in stakes.iter().enumerate() {
        let (share, region) = (percent(*stake, TOTAL), &map.regions[regions[i]]);
        writeln!(table, "{i:>4} {stake:>10} {share:>7}  {region}").unwrap();
    }
    for (from, name) in map.regions.iter().enumerate() {
        write!(table, "\n{name:>10}").unwrap();
        for to in 0..map.regions.len() {
            let delay = map.delay(from, to, Share::NONE);
            write!(table, "  {:>7}..{:<7}", delay.p50.to_string(), delay.max.to_string()).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
