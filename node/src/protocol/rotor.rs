//! Rotor's relay sampling PS-P, in exact integers (protocol 3.2).
//!
//! The leader sends piece i of a slice to relay i, who forwards it to everyone. Stake-weighted
//! sampling with the least variance: a node with `q` whole shares of the Γ seats gets `q` seats
//! for certain; what is left over is laid on a line of `k` bins in random order, and each bin
//! draws one point. A node's expected seats are exactly `Γ * stake / T`, and no rounding occurs,
//! because remainders are kept as integers over the common denominator T.
//!
//! All nodes must compute the same vector, so the order comes from a public stream.

use super::committee::{Committee, uniform};
use super::params::TOTAL_SHREDS;
use super::types::{NodeId, Slot};

/// The relay of each of the Γ shreds of slice `slice` of `slot`.
pub fn relays(committee: &Committee, slot: Slot, slice: u8) -> Vec<NodeId> {
    let total = u128::from(committee.stakes().total());
    let mut rng = committee.relay_stream(slot, slice);
    let mut relays = Vec::with_capacity(TOTAL_SHREDS);
    let mut rest: Vec<(NodeId, u128)> = Vec::new();
    for node in committee.nodes() {
        let seats = u128::from(committee.stakes().of(node)) * TOTAL_SHREDS as u128;
        relays.extend(std::iter::repeat_n(node, (seats / total) as usize));
        if !seats.is_multiple_of(total) {
            rest.push((node, seats % total));
        }
    }
    for i in (1..rest.len()).rev() {
        rest.swap(i, uniform(&mut rng, i as u64 + 1) as usize);
    }
    let bins = TOTAL_SHREDS - relays.len();
    let (mut next, mut end) = (0, 0); // rest[..next] covers the line up to `end`
    let mut covering = NodeId(0);
    for bin in 0..bins as u128 {
        let point = bin * total + u128::from(uniform(&mut rng, committee.stakes().total()));
        while end <= point {
            (covering, end) = (rest[next].0, end + rest[next].1);
            next += 1;
        }
        relays.push(covering);
    }
    relays
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::committee::tests::committee;

    /// A node's whole shares are certain, and no node gets more than two seats above them.
    #[test]
    fn whole_shares_are_certain() {
        let stakes: Vec<u64> = (1..=20).map(|i| i * i * 7 + 3).collect();
        let total: u64 = stakes.iter().sum();
        let committee = committee(&stakes);
        for slot in 1..200 {
            let relays = relays(&committee, Slot(slot), 3);
            assert_eq!(relays.len(), TOTAL_SHREDS);
            for (i, stake) in stakes.iter().enumerate() {
                let seats = relays.iter().filter(|r| r.index() == i).count() as u64;
                let whole = stake * TOTAL_SHREDS as u64 / total;
                assert!((whole..=whole + 2).contains(&seats), "node {i}: {seats} seats");
            }
        }
    }

    /// O38: over many slices the mean number of seats is Γ·stake/T. With 20,000 slices the
    /// standard error of a mean is below 0.006, so 0.03 is five of them.
    #[test]
    fn expected_seats_are_proportional_to_stake() {
        let stakes = [334, 211, 149, 98, 77, 51, 40, 29, 8, 3];
        let total: u64 = stakes.iter().sum();
        let committee = committee(&stakes);
        let mut seats = [0u64; 10];
        let slices = 20_000;
        for slot in 1..=slices {
            for relay in relays(&committee, Slot(slot), 0) {
                seats[relay.index()] += 1;
            }
        }
        for (stake, seats) in stakes.iter().zip(seats) {
            let expected = 64.0 * *stake as f64 / total as f64;
            let mean = seats as f64 / slices as f64;
            assert!((mean - expected).abs() < 0.03, "stake {stake}: {mean} seats, not {expected}");
        }
    }

    /// Golden: a change of the sampling splits a cluster of mixed versions.
    #[test]
    fn relays_are_pinned() {
        let committee = committee(&[50, 30, 20]);
        let first: Vec<u16> = relays(&committee, Slot(9), 1).iter().map(|r| r.0).collect();
        insta::assert_compact_json_snapshot!(first);
    }

    #[test]
    fn a_single_node_relays_everything() {
        let committee = committee(&[1]);
        assert_eq!(relays(&committee, Slot(1), 0), vec![NodeId(0); TOTAL_SHREDS]);
    }

    /// Stakes near 2^64 do not overflow the line.
    #[test]
    fn huge_stakes() {
        let committee = committee(&[u64::MAX / 2, u64::MAX / 3, 5]);
        assert_eq!(relays(&committee, Slot(1), 0).len(), TOTAL_SHREDS);
    }
}
