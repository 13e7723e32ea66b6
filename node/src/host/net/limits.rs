//! What one peer may say per second, by class of message.
//!
//! The problem: a validator with a valid datagram key can send as fast as its line allows, and
//! every datagram costs this node a decode and a look at the protocol's state. The sender is
//! proved, so it can be charged, and nobody else pays for it.
//!
//! Our way: one token bucket per peer and class. The class is one byte of the body, so a datagram
//! over the limit is dropped before it is decoded or copied. Limits are far above what an honest
//! peer says at its busiest, because dropping a vote costs more than reading a needless one:
//!
//! | class | tokens per second | at once | the busiest honest peer |
//! |---|---|---|---|
//! | vote | 1,000 | 2,048 | 5 a slot; 256 in one standstill burst |
//! | certificate, proof | 1,000 | 2,048 | 5 a slot; 256 in one standstill burst |
//! | shred | 2 × 64 × slices × slots/s | 2 slots of them | relays every shred of every slice |
//! | forward | 16,384 | 65,536 | repeats all its waiting transactions every window |
//! | request | 4,096 | 4,096 | what the repair server answers (section 9) |
//! | response | 8,192 | 8,192 | what was asked for, 4,096 outstanding |
//! | anything else | 10 | 100 | none |
//!
//! Votes and certificates scale up where blocks are faster than 100 ms. Time comes in as data.

use crate::protocol::params::{MAX_POOLED_TRANSACTIONS, Params, TOTAL_SHREDS};
use crate::protocol::types::{NodeId, Time};
use crate::protocol::wire;

const SECOND_NS: u64 = 1_000_000_000;

/// Messages that share a limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Votes.
    Vote,
    /// Certificates and finality proofs.
    Certificate,
    /// Shreds.
    Shred,
    /// Transactions.
    Forward,
    /// Repair questions.
    Request,
    /// Repair answers.
    Response,
    /// What no honest peer says.
    Other,
}

impl Class {
    const COUNT: usize = 7;

    /// The class of an encoded message, by its kind byte. Nothing else is looked at.
    pub fn of(body: &[u8]) -> Class {
        match body {
            [wire::VERSION, 0, ..] => Class::Vote,
            [wire::VERSION, 1 | 6, ..] => Class::Certificate,
            [wire::VERSION, 2, ..] => Class::Shred,
            [wire::VERSION, 3, ..] => Class::Forward,
            [wire::VERSION, 4, ..] => Class::Request,
            [wire::VERSION, 5, ..] => Class::Response,
            _ => Class::Other,
        }
    }
}

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Tokens per second.
    pub per_second: u64,
    /// Tokens at most.
    pub burst: u64,
}

/// A token bucket. Starts full.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// When it was last brought up to date.
    since: Time,
    /// Tokens that were taken and have not come back, in units of 10^-9.
    missing: u64,
}

impl Bucket {
    /// A full bucket.
    pub const FULL: Bucket = Bucket { since: Time(0), missing: 0 };

    /// True if a token is there.
    pub fn has(&mut self, now: Time, rate: Rate) -> bool {
        let elapsed = u64::try_from(now.since(self.since).as_nanos()).unwrap_or(u64::MAX);
        self.missing = self.missing.saturating_sub(elapsed.saturating_mul(rate.per_second));
        self.since = self.since.max(now);
        self.missing + SECOND_NS <= rate.burst * SECOND_NS
    }

    /// Takes a token; false if there is none.
    pub fn take(&mut self, now: Time, rate: Rate) -> bool {
        let has = self.has(now, rate);
        self.missing += if has { SECOND_NS } else { 0 };
        has
    }
}

/// The buckets of all peers.
#[derive(Debug)]
pub struct Limits {
    rates: [Rate; Class::COUNT],
    buckets: Vec<[Bucket; Class::COUNT]>,
}

impl Limits {
    /// For a committee of `n`.
    pub fn new(n: usize, params: &Params) -> Limits {
        let slots_per_second = SECOND_NS.div_ceil(params.delta_block_ns);
        let rate = |per_second, burst| Rate { per_second, burst };
        let votes = rate((100 * slots_per_second).max(1_000), 2_048);
        let slot_shreds = 2 * TOTAL_SHREDS as u64 * u64::from(params.max_slices);
        let pooled = MAX_POOLED_TRANSACTIONS as u64;
        let rates = [
            votes,
            votes,
            rate(slot_shreds * slots_per_second, 2 * slot_shreds),
            rate(pooled / 4, pooled),
            rate(4_096, 4_096),
            rate(8_192, 8_192),
            rate(10, 100),
        ];
        Limits { rates, buckets: vec![[Bucket::FULL; Class::COUNT]; n] }
    }

    /// Charges `peer`, a member, for one message; false if it must be dropped.
    pub fn allow(&mut self, peer: NodeId, class: Class, now: Time) -> bool {
        let at = class as usize;
        self.buckets[peer.index()][at].take(now, self.rates[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::tests::samples;
    use proptest::prelude::*;

    #[test]
    fn the_kind_byte_gives_the_class() {
        use wire::Message::*;
        let mut seen = std::collections::BTreeSet::new();
        for (name, message) in samples() {
            let expected = match &message {
                Vote(_) => Class::Vote,
                Certificate(_) | Proof(_) => Class::Certificate,
                Shred(_) => Class::Shred,
                Forward(_) => Class::Forward,
                Request(..) => Class::Request,
                Response(..) => Class::Response,
            };
            seen.insert(expected);
            assert_eq!(Class::of(&message.encode()), expected, "{name}");
        }
        assert_eq!(seen.len(), Class::COUNT - 1, "every class but the last has a sample");
        for odd in [&[][..], &[wire::VERSION], &[wire::VERSION, 7], &[wire::VERSION + 1, 0]] {
            assert_eq!(Class::of(odd), Class::Other);
        }
    }

    #[test]
    fn one_peer_uses_up_its_own_limit_only() {
        let mut limits = Limits::new(2, &Params::default());
        let (liar, honest) = (NodeId(0), NodeId(1));
        let now = Time(5 * SECOND_NS);
        let taken = (0..10_000).filter(|_| limits.allow(liar, Class::Vote, now)).count();
        assert_eq!(taken, 2_048);
        assert!(limits.allow(honest, Class::Vote, now));
        assert!(limits.allow(liar, Class::Shred, now), "classes are apart");
        let later = Time(now.0 + SECOND_NS / 2);
        let taken = (0..10_000).filter(|_| limits.allow(liar, Class::Vote, later)).count();
        assert_eq!(taken, 500);
    }

    proptest! {
        /// Whatever the times, no more is taken than the burst and what flowed in.
        #[test]
        fn a_bucket_never_gives_more_than_it_got(
            steps in proptest::collection::vec((0u64..50_000_000, 1usize..20), 1..200),
            per_second in 1u64..5_000, burst in 1u64..50,
        ) {
            let rate = Rate { per_second, burst };
            let (mut bucket, mut now, mut taken) = (Bucket::FULL, 0u64, 0u64);
            for (step, tries) in steps {
                now += step;
                taken += (0..tries).filter(|_| bucket.take(Time(now), rate)).count() as u64;
                let inflow = u128::from(now) * u128::from(per_second) / u128::from(SECOND_NS);
                prop_assert!(u128::from(taken) <= u128::from(burst) + inflow);
            }
            let much_later = Time(now + burst * SECOND_NS);
            prop_assert!((0..burst).all(|_| bucket.take(much_later, rate)), "it fills again");
            prop_assert!(!bucket.has(much_later, rate));
        }
    }
}
