//! Every constant, cap and timeout of the protocol, in one place.
//!
//! [`Params`] are the figures that a genesis file may choose (protocol 1.5, row "Ours"); they are
//! the same at every node of a cluster and are validated before use. The constants are caps and
//! formats that nobody chooses: changing one changes the protocol. Thresholds are not here: they
//! are fractions of the stake and live in [`crate::protocol::committee`].

use borsh::{BorshDeserialize, BorshSerialize};
use std::time::Duration;

/// Data pieces of a slice (γ): any so many shreds reconstruct it.
pub const DATA_SHREDS: usize = 32;
/// All pieces of a slice (Γ = 2γ).
pub const TOTAL_SHREDS: usize = 64;
/// Height of the Merkle tree over the pieces of one slice (log2 Γ).
pub const SHRED_TREE_HEIGHT: usize = 6;
/// Longest slice payload in bytes: γ pieces of 1,024 bytes less one byte of padding.
pub const MAX_SLICE_BYTES: usize = 32_767;
/// Longest piece in bytes.
pub const MAX_SHRED_BYTES: usize = 1_024;
/// Hard cap of slices in a block (the height of the slice tree follows: 6).
pub const MAX_SLICES: usize = 64;
/// Largest validator set; certificates must fit one datagram.
pub const MAX_NODES: usize = 2_000;
/// Largest datagram, header included: an Ethernet frame of 1,500 bytes less IP and UDP headers.
pub const MAX_DATAGRAM_BYTES: usize = 1_472;
/// Longest transaction in bytes, encoded. It must fit a datagram.
pub const MAX_TRANSACTION_BYTES: usize = 1_232;
/// A transaction names the last slot that may hold it, at most so many slots ahead (2.4).
pub const TRANSACTION_LIFETIME_SLOTS: u64 = 150;
/// Notar-fallback votes that one validator may cast, and others count, per slot (K14).
pub const MAX_NOTAR_FALLBACKS: usize = 3;
/// Blocks of one slot that a node keeps at most: 4 can be certified, 3 more can be candidates (6.6).
pub const MAX_BLOCKS_PER_SLOT: usize = 8;
/// Slots of state held above the highest finalized one, and slots under repair above the root.
pub const MAX_HELD_SLOTS: u64 = 2_048;
/// Votes and certificates are held down to so many slots below the highest finalized one.
pub const HELD_BELOW_FINAL_SLOTS: u64 = 64;
/// Votes are taken up to so many slots past the highest slot that can matter yet (K31).
pub const VOTE_LOOKAHEAD_SLOTS: u64 = 40;
/// Datagrams that one standstill trigger sends to each peer at most (10.1).
pub const MAX_STANDSTILL_DATAGRAMS: usize = 256;
/// Transactions waiting in one node at most; more are refused at the entrance.
pub const MAX_POOLED_TRANSACTIONS: usize = 65_536;
/// Finalized blocks that stay in memory for peers that repair; older ones are read from the store.
pub const BLOCKS_IN_MEMORY: u64 = 64;
/// Finalization proofs that stay in memory for peers that catch up; older ones come from the store.
pub const PROOFS_IN_MEMORY: usize = 1_024;
/// Repair requests without an answer at most.
pub const MAX_OUTSTANDING_REQUESTS: usize = 4_096;
/// Peers that are asked the same repair question in parallel (section 9: m >= 3).
pub const REPAIR_FANOUT: usize = 3;
/// Shreds asked for beyond the γ that are needed, so that one lost answer costs no round trip.
pub const REPAIR_EXTRA_SHREDS: usize = 4;

/// Genesis parameters. All nodes of a cluster hold the same values.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// Δ, the assumed bound of a message delay after GST. Nanoseconds, like all times here.
    pub delta_ns: u64,
    /// Δ_block, the time a leader has for one block.
    pub delta_block_ns: u64,
    /// Δ_timeout, from ParentReady to the first skip less one block time. Strictly above 3Δ.
    pub delta_timeout_ns: u64,
    /// Δ_first, the time a leader has for its first slice.
    pub delta_first_ns: u64,
    /// Δ_standstill, silence of finality after which everything undecided is sent again.
    pub standstill_ns: u64,
    /// How often the standstill rule looks at the clock.
    pub standstill_poll_ns: u64,
    /// ε, growth of Δ_timeout per window during a standstill, in thousandths.
    pub timeout_growth_permille: u32,
    /// Upper end of the grown Δ_timeout.
    pub timeout_cap_ns: u64,
    /// A slice that is not full closes after this time.
    pub slice_interval_ns: u64,
    /// Slices in a block at most; not above [`MAX_SLICES`].
    pub max_slices: u8,
    /// L, slots per epoch. A multiple of the window length.
    pub epoch_slots: u64,
}

/// Why [`Params::validate`] refuses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParamsError {
    /// The timeout must leave room for leader skew (Δ) and Rotor (2Δ).
    #[error("delta_timeout {timeout_ns} ns must be above 3 * delta = {} ns", 3 * .delta_ns)]
    TimeoutTooShort {
        /// The configured Δ_timeout.
        timeout_ns: u64,
        /// The configured Δ.
        delta_ns: u64,
    },
    /// A figure that must be positive is zero, or absurdly large.
    #[error("{name} is {value}, but must be between {min} and {max}")]
    OutOfRange {
        /// The field.
        name: &'static str,
        /// Its value.
        value: u64,
        /// Smallest legal value.
        min: u64,
        /// Largest legal value.
        max: u64,
    },
    /// Epochs must hold whole windows.
    #[error("epoch_slots {0} must be a positive multiple of 4")]
    Epoch(u64),
}

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000 * MS;

impl Default for Params {
    fn default() -> Self {
        Params {
            delta_ns: 250 * MS,
            delta_block_ns: 400 * MS,
            delta_timeout_ns: 800 * MS,
            delta_first_ns: 10 * MS,
            standstill_ns: 10_000 * MS,
            standstill_poll_ns: 400 * MS,
            timeout_growth_permille: 50,
            timeout_cap_ns: 60_000 * MS,
            slice_interval_ns: 200 * MS,
            max_slices: MAX_SLICES as u8,
            epoch_slots: 18_000,
        }
    }
}

impl Params {
    /// Checks every relation that the protocol relies on.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let range = |name, value, min, max| {
            if value < min || value > max {
                return Err(ParamsError::OutOfRange { name, value, min, max });
            }
            Ok(())
        };
        range("delta_ns", self.delta_ns, MS, HOUR)?;
        range("delta_block_ns", self.delta_block_ns, MS, HOUR)?;
        range("delta_timeout_ns", self.delta_timeout_ns, MS, 4 * HOUR)?;
        range("delta_first_ns", self.delta_first_ns, 1, self.delta_block_ns)?;
        range("standstill_ns", self.standstill_ns, MS, 24 * HOUR)?;
        range("standstill_poll_ns", self.standstill_poll_ns, MS, self.standstill_ns)?;
        range("timeout_growth_permille", self.timeout_growth_permille.into(), 0, 1_000)?;
        range("timeout_cap_ns", self.timeout_cap_ns, self.delta_timeout_ns, 24 * HOUR)?;
        range("slice_interval_ns", self.slice_interval_ns, MS, HOUR)?;
        range("max_slices", self.max_slices.into(), 2, MAX_SLICES as u64)?;
        if self.delta_timeout_ns <= 3 * self.delta_ns {
            return Err(ParamsError::TimeoutTooShort {
                timeout_ns: self.delta_timeout_ns,
                delta_ns: self.delta_ns,
            });
        }
        let whole = self.epoch_slots.is_multiple_of(super::types::SLOTS_PER_WINDOW);
        if self.epoch_slots == 0 || !whole {
            return Err(ParamsError::Epoch(self.epoch_slots));
        }
        Ok(())
    }

    /// m·Δ_timeout with m = (1+ε)^`windows`, capped (10.2). Integer arithmetic, rounded down at
    /// each step, so that every node computes the same figure.
    pub fn timeout_after(&self, windows: u64) -> Duration {
        let mut timeout = u128::from(self.delta_timeout_ns);
        let cap = u128::from(self.timeout_cap_ns);
        let growth = u128::from(1_000 + self.timeout_growth_permille);
        if growth > 1_000 {
            for _ in 0..windows {
                timeout = timeout * growth / 1_000;
                if timeout >= cap {
                    break;
                }
            }
        }
        Duration::from_nanos(timeout.min(cap) as u64)
    }

    /// Δ.
    pub fn delta(&self) -> Duration {
        Duration::from_nanos(self.delta_ns)
    }

    /// Δ_block.
    pub fn delta_block(&self) -> Duration {
        Duration::from_nanos(self.delta_block_ns)
    }

    /// Δ_first.
    pub fn delta_first(&self) -> Duration {
        Duration::from_nanos(self.delta_first_ns)
    }

    /// Δ_standstill.
    pub fn standstill(&self) -> Duration {
        Duration::from_nanos(self.standstill_ns)
    }

    /// Time between two looks of the standstill rule.
    pub fn standstill_poll(&self) -> Duration {
        Duration::from_nanos(self.standstill_poll_ns)
    }

    /// Longest time a slice stays open.
    pub fn slice_interval(&self) -> Duration {
        Duration::from_nanos(self.slice_interval_ns)
    }

    /// Time that Rotor gets to complete a certified block before repair starts (Δ/2).
    pub fn repair_grace(&self) -> Duration {
        Duration::from_nanos(self.delta_ns / 2)
    }

    /// Time after which an unanswered repair request goes to another peer (2Δ).
    pub fn repair_retry(&self) -> Duration {
        Duration::from_nanos(2 * self.delta_ns)
    }
}

const _: () = {
    assert!(TOTAL_SHREDS == 2 * DATA_SHREDS && TOTAL_SHREDS == 1 << SHRED_TREE_HEIGHT);
    assert!(MAX_SLICE_BYTES == DATA_SHREDS * MAX_SHRED_BYTES - 1);
    assert!(MAX_SLICES.is_power_of_two() && MAX_SLICES <= u8::MAX as usize + 1);
    assert!(MAX_BLOCKS_PER_SLOT > 4 + MAX_NOTAR_FALLBACKS);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_match_the_specification() {
        let p = Params::default();
        p.validate().unwrap();
        // D_any for R = 0 (13.4): m·Δ_timeout + w·Δ_block + 3Δ = 3.15 s.
        assert_eq!(p.delta_timeout_ns + 4 * p.delta_block_ns + 3 * p.delta_ns, 3_150 * MS);
    }

    #[test]
    fn timeout_must_exceed_three_delta_strictly() {
        let p = Params { delta_timeout_ns: 750 * MS, ..Params::default() };
        assert!(matches!(p.validate(), Err(ParamsError::TimeoutTooShort { .. })));
        let p = Params { delta_timeout_ns: 750 * MS + 1, ..Params::default() };
        p.validate().unwrap();
    }

    #[test]
    fn epochs_hold_whole_windows() {
        for bad in [0, 1, 41] {
            let p = Params { epoch_slots: bad, ..Params::default() };
            assert_eq!(p.validate(), Err(ParamsError::Epoch(bad)));
        }
    }

    #[test]
    fn timeouts_grow_by_epsilon_and_stop_at_the_cap() {
        let p = Params::default();
        assert_eq!(p.timeout_after(0), Duration::from_millis(800));
        assert_eq!(p.timeout_after(1), Duration::from_millis(840));
        assert_eq!(p.timeout_after(2), Duration::from_millis(882));
        assert_eq!(p.timeout_after(u64::MAX), Duration::from_secs(60));
        let flat = Params { timeout_growth_permille: 0, ..p };
        assert_eq!(flat.timeout_after(u64::MAX), Duration::from_millis(800));
    }
}
