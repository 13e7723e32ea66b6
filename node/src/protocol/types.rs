//! The words every other file uses: slots, windows, blocks, stake, nodes, time.
//!
//! Two rules are carried by types here. A block is named by the *pair* (slot, hash), because the
//! hash commits to the slices only and a bad leader can sign the same slices for two slots
//! (K20). And stake is an exact integer: sums stay below the total, which fits `u64`, and
//! fractions are compared in `u128` by [`crate::protocol::committee`], never divided.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

pub use crate::crypto::Hash;

/// Slots per leader window (w in the paper).
pub const SLOTS_PER_WINDOW: u64 = 4;

/// A slot number. Slot 0 is genesis, which every node holds as notarized and finalized.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Slot(pub u64);

impl Slot {
    /// The genesis slot.
    pub const GENESIS: Slot = Slot(0);

    /// The next slot.
    pub fn next(self) -> Slot {
        Slot(self.0.saturating_add(1))
    }

    /// The slot before, or genesis for genesis.
    pub fn previous(self) -> Slot {
        Slot(self.0.saturating_sub(1))
    }

    /// This slot plus `n`, saturating (peers choose slot numbers freely).
    pub fn plus(self, n: u64) -> Slot {
        Slot(self.0.saturating_add(n))
    }

    /// The leader window that this slot belongs to.
    pub fn window(self) -> Window {
        Window(self.0 / SLOTS_PER_WINDOW)
    }

    /// True for the first slot of a window, where the parent is chosen by ParentReady. Genesis is
    /// the first slot of window 0; slot 1 is *not* first (protocol 1.3).
    pub fn is_first(self) -> bool {
        self.0.is_multiple_of(SLOTS_PER_WINDOW)
    }

    /// True for the last slot of a window.
    pub fn is_last(self) -> bool {
        self.0 % SLOTS_PER_WINDOW == SLOTS_PER_WINDOW - 1
    }

    /// All slots after `self` up to and including `last`.
    pub fn after_to(self, last: Slot) -> impl DoubleEndedIterator<Item = Slot> {
        (self.0.saturating_add(1)..=last.0).map(Slot)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// A leader window: `SLOTS_PER_WINDOW` consecutive slots with one leader. Window 0 holds 1..3.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Window(pub u64);

impl Window {
    /// The first slot that has a block: `4j`, except 1 in window 0 (slot 0 is genesis).
    pub fn first(self) -> Slot {
        Slot(self.0.saturating_mul(SLOTS_PER_WINDOW).max(1))
    }

    /// The last slot.
    pub fn last(self) -> Slot {
        Slot(self.0.saturating_mul(SLOTS_PER_WINDOW).saturating_add(SLOTS_PER_WINDOW - 1))
    }

    /// The slots of the window that can hold a block (genesis excluded), ascending.
    pub fn slots(self) -> impl DoubleEndedIterator<Item = Slot> {
        (self.first().0..=self.last().0).map(Slot)
    }

    /// The following window.
    pub fn next(self) -> Window {
        Window(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}

/// The identity of a block: slot and double-Merkle root of its slices.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct BlockId {
    /// The slot the block was signed for.
    pub slot: Slot,
    /// Root of the Merkle tree over the slice roots.
    pub hash: Hash,
}

impl BlockId {
    /// Names the block with `hash` in `slot`.
    pub fn new(slot: Slot, hash: Hash) -> Self {
        BlockId { slot, hash }
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.slot, self.hash)
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Stake units. All stakes of a committee sum to at most `u64::MAX`.
pub type Stake = u64;

/// A validator: its index in the canonical order of the genesis file.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct NodeId(pub u16);

impl NodeId {
    /// The index as an array position.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// A point on the node's own monotonic clock, in nanoseconds since an origin that the host chose.
/// Never compared between nodes.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// Nanoseconds from `earlier` to `self`, or 0 if `earlier` is later.
    pub fn since(self, earlier: Time) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<std::time::Duration> for Time {
    type Output = Time;
    fn add(self, d: std::time::Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Names a piece of work that the host finishes later: a signature or a durable write. Increases
/// within one incarnation of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_zero_starts_at_slot_one() {
        assert_eq!(Slot(0).window(), Window(0));
        assert_eq!(Window(0).first(), Slot(1));
        assert_eq!(Window(0).slots().collect::<Vec<_>>(), [Slot(1), Slot(2), Slot(3)]);
        assert!(!Slot(1).is_first());
        assert!(Slot(4).is_first() && Slot(7).is_last());
        assert_eq!(Window(1).slots().count(), 4);
    }

    #[test]
    fn arithmetic_of_peer_chosen_slots_saturates() {
        assert_eq!(Slot(u64::MAX).next(), Slot(u64::MAX));
        assert_eq!(Slot(u64::MAX).window().last(), Slot(u64::MAX));
        assert_eq!(Slot(0).previous(), Slot(0));
    }
}
