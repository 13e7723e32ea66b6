//! The votes of one slot: which are stored, how much stake they add up to (protocol 6.1, 6.2).
//!
//! A validator is counted at most once for anything that can become a certificate. That is not a
//! matter of adding carefully: a byzantine validator sends N(b), N(b'), S, SF and NF(b) to the
//! same node and wins if any two of them meet in one sum. So admission decides once, per
//! validator, and the counters only ever add what admission stored.

use crate::protocol::params::MAX_NOTAR_FALLBACKS;
use crate::protocol::stake::NodeSet;
use crate::protocol::types::{Hash, NodeId, Stake};
use crate::protocol::vote::{CertificateKind, Offence, VoteKind};
use std::collections::BTreeMap;

/// The one initial vote of a validator in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Initial {
    /// N(b).
    Notar(Hash),
    /// S.
    Skip,
}

/// What admission says of a vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// New, and consistent with what is stored.
    Stored,
    /// New and stored, although it proves an offence together with an earlier vote.
    StoredWith(Offence),
    /// Exactly this vote is stored already.
    Duplicate,
    /// Not stored: it contradicts a stored vote of the same validator.
    Refused(Offence),
}

/// Votes and stake sums of one slot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tally {
    initial: Vec<Option<Initial>>,
    fallbacks: BTreeMap<NodeId, Vec<Hash>>,
    skip_fallback: NodeSet,
    finals: NodeSet,
    blocks: BTreeMap<Hash, BlockStake>,
    skip_stake: Stake,
    skip_fallback_stake: Stake,
    final_stake: Stake,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct BlockStake {
    notar: Stake,
    fallback: Stake,
}

impl Tally {
    /// An empty tally for `n` validators.
    pub fn new(n: usize) -> Tally {
        Tally {
            initial: vec![None; n],
            fallbacks: BTreeMap::new(),
            skip_fallback: NodeSet::default(),
            finals: NodeSet::default(),
            blocks: BTreeMap::new(),
            skip_stake: 0,
            skip_fallback_stake: 0,
            final_stake: 0,
        }
    }

    /// Decides whether `kind` by `voter` would be stored, without storing it.
    pub fn admission(&self, voter: NodeId, kind: VoteKind) -> Admission {
        let initial = self.initial_of(voter);
        let fallbacks = self.fallbacks.get(&voter).map_or(&[][..], Vec::as_slice);
        let skips = initial == Some(Initial::Skip) || self.skip_fallback.contains(voter);
        match kind {
            VoteKind::Notar(hash) => match initial {
                Some(Initial::Notar(h)) if h == hash => Admission::Duplicate,
                Some(Initial::Notar(_)) => Admission::Refused(Offence::TwoNotar),
                Some(Initial::Skip) => Admission::Refused(Offence::NotarAndSkip),
                None if fallbacks.contains(&hash) => {
                    Admission::Refused(Offence::NotarAndFallbackSame)
                }
                None => Admission::Stored,
            },
            VoteKind::Skip => match initial {
                Some(Initial::Skip) => Admission::Duplicate,
                Some(Initial::Notar(_)) => Admission::Refused(Offence::NotarAndSkip),
                None if self.skip_fallback.contains(voter) => {
                    Admission::Refused(Offence::SkipAndFallback)
                }
                None => self.beside_final(voter, Offence::FinalAndSkip),
            },
            VoteKind::NotarFallback(hash) => {
                if fallbacks.contains(&hash) {
                    Admission::Duplicate
                } else if initial == Some(Initial::Notar(hash)) {
                    Admission::Refused(Offence::NotarAndFallbackSame)
                } else if fallbacks.len() >= MAX_NOTAR_FALLBACKS {
                    Admission::Refused(Offence::FourthFallback)
                } else {
                    self.beside_final(voter, Offence::FinalAndFallback)
                }
            }
            VoteKind::SkipFallback => {
                if self.skip_fallback.contains(voter) {
                    Admission::Duplicate
                } else if initial == Some(Initial::Skip) {
                    Admission::Refused(Offence::SkipAndFallback)
                } else {
                    self.beside_final(voter, Offence::FinalAndSkip)
                }
            }
            VoteKind::Final => {
                if self.finals.contains(voter) {
                    Admission::Duplicate
                } else if skips {
                    Admission::StoredWith(Offence::FinalAndSkip)
                } else if !fallbacks.is_empty() {
                    Admission::StoredWith(Offence::FinalAndFallback)
                } else {
                    Admission::Stored
                }
            }
        }
    }

    fn beside_final(&self, voter: NodeId, offence: Offence) -> Admission {
        if self.finals.contains(voter) { Admission::StoredWith(offence) } else { Admission::Stored }
    }

    /// Stores `kind` by `voter`, who holds `stake`, if admission allows it.
    pub fn store(&mut self, voter: NodeId, stake: Stake, kind: VoteKind) -> Admission {
        let admission = self.admission(voter, kind);
        if matches!(admission, Admission::Duplicate | Admission::Refused(_)) {
            return admission;
        }
        match kind {
            VoteKind::Notar(hash) => {
                self.initial[voter.index()] = Some(Initial::Notar(hash));
                self.blocks.entry(hash).or_default().notar += stake;
            }
            VoteKind::Skip => {
                self.initial[voter.index()] = Some(Initial::Skip);
                self.skip_stake += stake;
            }
            VoteKind::NotarFallback(hash) => {
                self.fallbacks.entry(voter).or_default().push(hash);
                self.blocks.entry(hash).or_default().fallback += stake;
            }
            VoteKind::SkipFallback => {
                self.skip_fallback.insert(voter);
                self.skip_fallback_stake += stake;
            }
            VoteKind::Final => {
                self.finals.insert(voter);
                self.final_stake += stake;
            }
        }
        admission
    }

    /// The stored initial vote of `voter`.
    pub fn initial_of(&self, voter: NodeId) -> Option<Initial> {
        self.initial.get(voter.index()).copied().flatten()
    }

    /// notar(b): stake with a stored N(b).
    pub fn notar(&self, hash: Hash) -> Stake {
        self.blocks.get(&hash).map_or(0, |b| b.notar)
    }

    /// notar(b) + nf(b). Each validator is in it once (see [`Tally::admission`]).
    pub fn notar_or_fallback(&self, hash: Hash) -> Stake {
        self.blocks.get(&hash).map_or(0, |b| b.notar + b.fallback)
    }

    /// Stake with a stored S.
    pub fn skip(&self) -> Stake {
        self.skip_stake
    }

    /// Stake with a stored S or SF.
    pub fn skip_or_fallback(&self) -> Stake {
        self.skip_stake + self.skip_fallback_stake
    }

    /// Stake with a stored F.
    pub fn finals(&self) -> Stake {
        self.final_stake
    }

    /// Stake with a stored initial vote for anything but the strongest block:
    /// `skip + sum notar - max notar`. With a tie, one of the strongest is subtracted (E14).
    pub fn not_strongest(&self) -> Stake {
        let sum: Stake = self.blocks.values().map(|b| b.notar).sum();
        let max = self.blocks.values().map(|b| b.notar).max().unwrap_or(0);
        self.skip_stake + sum - max
    }

    /// True if any stored vote but a final one says something else than N(`hash`).
    pub fn is_contested(&self, hash: Hash) -> bool {
        let others = |(named, stake): (&Hash, &BlockStake)| *named != hash || stake.fallback > 0;
        self.skip_or_fallback() > 0 || self.blocks.iter().any(others)
    }

    /// Blocks that any vote names, in hash order.
    pub fn blocks(&self) -> impl Iterator<Item = Hash> + '_ {
        self.blocks.keys().copied()
    }

    /// Stored voters behind a certificate of `kind`: those of the first message (N, S or F) and
    /// those of the fallback message (NF or SF).
    pub fn voters(&self, kind: CertificateKind) -> (NodeSet, NodeSet) {
        let initial = |wanted: Initial| {
            let position = |(i, vote): (usize, &Option<Initial>)| {
                (*vote == Some(wanted)).then_some(NodeId(i as u16))
            };
            self.initial.iter().enumerate().filter_map(position).collect::<NodeSet>()
        };
        match kind {
            CertificateKind::FastFinal(hash) | CertificateKind::Notar(hash) => {
                (initial(Initial::Notar(hash)), NodeSet::default())
            }
            CertificateKind::NotarFallback(hash) => {
                let fallback =
                    |(node, hashes): (&NodeId, &Vec<Hash>)| hashes.contains(&hash).then_some(*node);
                let fallbacks = self.fallbacks.iter().filter_map(fallback).collect();
                (initial(Initial::Notar(hash)), fallbacks)
            }
            CertificateKind::Skip => (initial(Initial::Skip), self.skip_fallback.clone()),
            CertificateKind::Final => (self.finals.clone(), NodeSet::default()),
        }
    }

    /// Validators whose stored N(b) or NF(b) says that they hold b, in index order (K4).
    pub fn holders(&self, hash: Hash) -> NodeSet {
        let (first, second) = self.voters(CertificateKind::NotarFallback(hash));
        first.union(&second)
    }

    /// The number of votes stored for `voter`; at most 6 (O35).
    pub fn votes_of(&self, voter: NodeId) -> usize {
        usize::from(self.initial_of(voter).is_some())
            + self.fallbacks.get(&voter).map_or(0, Vec::len)
            + usize::from(self.skip_fallback.contains(voter))
            + usize::from(self.finals.contains(voter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Admission::*;

    const A: Hash = Hash([1; 32]);
    const B: Hash = Hash([2; 32]);
    const V: NodeId = NodeId(0);

    fn hash(i: u8) -> Hash {
        Hash([i; 32])
    }

    /// The truth table of 6.1 and 5.4: what happens to `second` after `first`.
    #[test]
    fn admission_of_every_pair() {
        use VoteKind::*;
        let kinds = [Notar(A), Notar(B), Skip, NotarFallback(A), SkipFallback, Final];
        let table = [
            // after N(A)
            [
                Duplicate,
                Refused(Offence::TwoNotar),
                Refused(Offence::NotarAndSkip),
                Refused(Offence::NotarAndFallbackSame),
                Stored,
                Stored,
            ],
            // after N(B)
            [
                Refused(Offence::TwoNotar),
                Duplicate,
                Refused(Offence::NotarAndSkip),
                Stored,
                Stored,
                Stored,
            ],
            // after S
            [
                Refused(Offence::NotarAndSkip),
                Refused(Offence::NotarAndSkip),
                Duplicate,
                Stored,
                Refused(Offence::SkipAndFallback),
                StoredWith(Offence::FinalAndSkip),
            ],
            // after NF(A)
            [
                Refused(Offence::NotarAndFallbackSame),
                Stored,
                Stored,
                Duplicate,
                Stored,
                StoredWith(Offence::FinalAndFallback),
            ],
            // after SF
            [
                Stored,
                Stored,
                Refused(Offence::SkipAndFallback),
                Stored,
                Duplicate,
                StoredWith(Offence::FinalAndSkip),
            ],
            // after F
            [
                Stored,
                Stored,
                StoredWith(Offence::FinalAndSkip),
                StoredWith(Offence::FinalAndFallback),
                StoredWith(Offence::FinalAndSkip),
                Duplicate,
            ],
        ];
        for (first, row) in kinds.iter().zip(table) {
            for (second, expected) in kinds.iter().zip(row) {
                let mut tally = Tally::new(1);
                assert_eq!(tally.store(V, 7, *first), Stored);
                assert_eq!(tally.store(V, 7, *second), expected, "{second:?} after {first:?}");
            }
        }
    }

    #[test]
    fn a_fourth_fallback_is_refused_and_not_counted() {
        let mut tally = Tally::new(1);
        for i in 0..3 {
            assert_eq!(tally.store(V, 5, VoteKind::NotarFallback(hash(i))), Stored);
        }
        let fourth = VoteKind::NotarFallback(hash(3));
        assert_eq!(tally.store(V, 5, fourth), Refused(Offence::FourthFallback));
        assert_eq!(tally.notar_or_fallback(hash(3)), 0);
        assert_eq!(tally.votes_of(V), 3);
    }

    /// B16, E12: whatever one validator sends, no sum holds its stake twice.
    #[test]
    fn no_sum_counts_a_validator_twice() {
        use VoteKind::*;
        let mut tally = Tally::new(1);
        for kind in [NotarFallback(A), Notar(A), Skip, SkipFallback, Notar(B), Final, Final] {
            tally.store(V, 5, kind);
            assert!(tally.notar_or_fallback(A) <= 5);
            assert!(tally.skip_or_fallback() <= 5);
            assert!(tally.finals() <= 5);
            assert!(tally.votes_of(V) <= 6);
        }
    }

    /// E14: with the maximum tied, one of the two is subtracted.
    #[test]
    fn the_strongest_block_is_subtracted_once() {
        let mut tally = Tally::new(4);
        tally.store(NodeId(0), 3, VoteKind::Notar(A));
        tally.store(NodeId(1), 3, VoteKind::Notar(B));
        tally.store(NodeId(2), 2, VoteKind::Skip);
        tally.store(NodeId(3), 9, VoteKind::NotarFallback(A));
        assert_eq!(tally.not_strongest(), 5);
    }
}
