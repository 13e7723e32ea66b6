//! Stake arithmetic: who holds how much, and when a sum reaches a fraction of the total.
//!
//! Safety rests on quorum overlaps that have no slack at all: with f < 20 % byzantine stake, two
//! sums of 60 % overlap in an honest node, and one unit less would not do. So no division, no
//! rounding, no floats (K24): `x` reaches a/5 of `T` exactly when `5x >= aT`, computed in `u128`.
//! Thresholds are inclusive. They are constants of the protocol, not configuration.

use super::types::{NodeId, Stake};
use borsh::{BorshDeserialize, BorshSerialize};

/// A threshold in fifths of the total stake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fraction {
    /// 20 %.
    Fifth = 1,
    /// 40 %.
    TwoFifths = 2,
    /// 60 %: notarization, skip, finalization.
    ThreeFifths = 3,
    /// 80 %: fast finalization.
    FourFifths = 4,
}

/// Why [`Stakes::new`] refuses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StakeError {
    /// A committee needs members, and at most [`super::params::MAX_NODES`] of them.
    #[error("{0} validators; there must be 1 to {max}", max = super::params::MAX_NODES)]
    Count(usize),
    /// Every validator holds stake.
    #[error("validator {0} has no stake")]
    Zero(usize),
    /// The total must fit 64 bits.
    #[error("the stakes sum to more than 2^64 - 1")]
    Overflow,
}

/// The stakes of one validator set, by canonical index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stakes {
    stakes: Vec<Stake>,
    total: Stake,
}

impl Stakes {
    /// Checks and stores the stakes in canonical order.
    pub fn new(stakes: Vec<Stake>) -> Result<Self, StakeError> {
        if stakes.is_empty() || stakes.len() > super::params::MAX_NODES {
            return Err(StakeError::Count(stakes.len()));
        }
        if let Some(index) = stakes.iter().position(|&s| s == 0) {
            return Err(StakeError::Zero(index));
        }
        let total = stakes
            .iter()
            .try_fold(0u64, |sum, &s| sum.checked_add(s))
            .ok_or(StakeError::Overflow)?;
        Ok(Stakes { stakes, total })
    }

    /// The number of validators.
    #[expect(clippy::len_without_is_empty, reason = "never empty: `new` refuses that")]
    pub fn len(&self) -> usize {
        self.stakes.len()
    }

    /// T, the total stake.
    pub fn total(&self) -> Stake {
        self.total
    }

    /// The stake of `node`; 0 for an index outside the set.
    pub fn of(&self, node: NodeId) -> Stake {
        self.stakes.get(node.index()).copied().unwrap_or(0)
    }

    /// All stakes in canonical order.
    pub fn all(&self) -> &[Stake] {
        &self.stakes
    }

    /// The summed stake of a set, each member once.
    pub fn of_set(&self, set: &NodeSet) -> Stake {
        set.iter().map(|node| self.of(node)).sum()
    }

    /// True if `sum` is at least `fraction` of the total.
    pub fn reaches(&self, sum: Stake, fraction: Fraction) -> bool {
        u128::from(sum) * 5 >= u128::from(self.total) * fraction as u128
    }
}

/// A set of validators as a bitmap by canonical index. Grows as needed; equal sets are equal
/// values whatever their history (no trailing zero words).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeSet {
    words: Vec<u64>,
}

impl NodeSet {
    /// Adds `node`; true if it was not a member.
    pub fn insert(&mut self, node: NodeId) -> bool {
        let (word, bit) = (node.index() / 64, node.index() % 64);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] >> bit & 1 == 0;
        self.words[word] |= 1 << bit;
        fresh
    }

    /// True if `node` is a member.
    pub fn contains(&self, node: NodeId) -> bool {
        let (word, bit) = (node.index() / 64, node.index() % 64);
        self.words.get(word).is_some_and(|w| w >> bit & 1 == 1)
    }

    /// The members in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| NodeId((i * 64 + bit) as u16))
        })
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// True without members.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// All members of `self` or `other`.
    pub fn union(&self, other: &NodeSet) -> NodeSet {
        let (mut long, short) = if self.words.len() >= other.words.len() {
            (self.clone(), other)
        } else {
            (other.clone(), self)
        };
        long.words.iter_mut().zip(&short.words).for_each(|(a, b)| *a |= b);
        long
    }

    /// The set as a bitmap of exactly `ceil(n/8)` bytes, bit i of byte i/8 for validator i.
    pub fn to_bitmap(&self, n: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.resize(n.div_ceil(8), 0);
        bytes
    }

    /// Reads a bitmap for `n` validators: exact length and no bit at or above `n`, else `None`.
    pub fn from_bitmap(bytes: &[u8], n: usize) -> Option<NodeSet> {
        if bytes.len() != n.div_ceil(8) {
            return None;
        }
        if !n.is_multiple_of(8) && bytes.last().is_some_and(|b| b >> (n % 8) != 0) {
            return None;
        }
        let mut words: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(word)
            })
            .collect();
        while words.last() == Some(&0) {
            words.pop();
        }
        Some(NodeSet { words })
    }
}

impl Extend<NodeId> for NodeSet {
    fn extend<I: IntoIterator<Item = NodeId>>(&mut self, nodes: I) {
        for node in nodes {
            self.insert(node);
        }
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = NodeSet::default();
        set.extend(nodes);
        set
    }
}

impl std::fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl BorshSerialize for NodeSet {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.words.serialize(writer)
    }
}

impl BorshDeserialize for NodeSet {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let words = Vec::<u64>::deserialize_reader(reader)?;
        if words.last() == Some(&0) {
            return Err(std::io::Error::other("node set with trailing zero words"));
        }
        Ok(NodeSet { words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fraction::*;
    use proptest::prelude::*;

    fn quorum(total: u64, fraction: Fraction) -> u64 {
        let stakes = Stakes::new(vec![total]).unwrap();
        (0..=total).find(|&x| stakes.reaches(x, fraction)).unwrap()
    }

    /// E9: quorums are ceilings, also where the total is not divisible by five.
    #[test]
    fn quorums_are_ceilings() {
        let all = |t| [Fifth, TwoFifths, ThreeFifths, FourFifths].map(|f| quorum(t, f));
        assert_eq!(all(11), [3, 5, 7, 9]);
        assert_eq!(all(7), [2, 3, 5, 6]);
        assert_eq!(all(13), [3, 6, 8, 11]);
        assert_eq!(all(10), [2, 4, 6, 8]);
    }

    /// E10: totals near 2^64 do not overflow.
    #[test]
    fn totals_near_the_limit() {
        let stakes = Stakes::new(vec![u64::MAX - 10, 10]).unwrap();
        assert!(stakes.reaches(u64::MAX, FourFifths));
        assert!(stakes.reaches(u64::MAX / 5 * 4, FourFifths));
        assert!(!stakes.reaches(u64::MAX / 5 * 4 - 1, FourFifths));
        assert_eq!(Stakes::new(vec![u64::MAX, 1]), Err(StakeError::Overflow));
    }

    #[test]
    fn empty_and_stakeless_committees_are_refused() {
        assert_eq!(Stakes::new(vec![]), Err(StakeError::Count(0)));
        assert_eq!(Stakes::new(vec![1, 0]), Err(StakeError::Zero(1)));
        assert_eq!(Stakes::new(vec![1; 2001]), Err(StakeError::Count(2001)));
    }

    /// The overlaps of section 12 that safety rests on, for every total up to 3,000 and every
    /// f below a fifth.
    #[test]
    fn quorum_overlaps_have_the_required_slack() {
        for t in 1..=3_000u64 {
            let q = |a: u64| (t * a).div_ceil(5);
            let f = q(1) - 1;
            assert!(t - (q(4) - f) < q(2), "a fast-final block excludes every fallback, T = {t}");
            assert!(t - (q(3) - f) < q(3), "slow finality excludes other certificates, T = {t}");
            assert!(2 * q(3) - t > f, "one notarized block per slot, T = {t}");
            assert!(f < q(1), "byzantine votes alone never make SafeToNotar, T = {t}");
        }
    }

    proptest! {
        #[test]
        fn bitmaps_round_trip(nodes in proptest::collection::btree_set(0u16..300, 0..40)) {
            let set: NodeSet = nodes.iter().copied().map(NodeId).collect();
            prop_assert_eq!(set.len(), nodes.len());
            let bytes = set.to_bitmap(300);
            prop_assert_eq!(NodeSet::from_bitmap(&bytes, 300), Some(set.clone()));
            prop_assert_eq!(set.iter().map(|n| n.0).collect::<Vec<_>>(), nodes.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn stray_bits_and_wrong_lengths_are_refused() {
        assert!(NodeSet::from_bitmap(&[0b0000_0111], 3).is_some());
        assert!(NodeSet::from_bitmap(&[0b0000_1000], 3).is_none());
        assert!(NodeSet::from_bitmap(&[0, 0], 3).is_none());
        assert!(NodeSet::from_bitmap(&[], 3).is_none());
    }
}
