//! What a node says about itself: one stream for metrics, tracing, traces and oracles.
//!
//! Events are observations, never inputs: nothing in the node reads them back. They are cheap to
//! make (plain data, shared where they carry a certificate) and they encode canonically, so that
//! a simulation can hash them into its fingerprint.

use super::block::TransactionId;
use super::certificate::Certificate;
use super::pool::Mode;
use super::types::{BlockId, NodeId, Slot};
use super::vote::{CertificateId, Offence, Vote};
use super::wire::Reject;
use borsh::BorshSerialize;
use std::sync::Arc;

/// Where a block came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, BorshSerialize)]
pub enum Origin {
    /// Through Rotor, or made here.
    Rotor,
    /// Through repair.
    Repair,
    /// From the own store after a restart.
    Store,
}

/// Whether a node takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, BorshSerialize)]
pub enum Standing {
    /// Votes and produces.
    Voting,
    /// Follows and serves, but casts nothing: its vote log is lost or cannot be written (10.4).
    Observing,
}

/// One observation.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize)]
pub enum Event {
    /// An own vote is durable; its first byte may leave now.
    VoteCast(Vote),
    /// A vote entered the Pool.
    VoteStored(NodeId, Vote),
    /// A certificate entered the Pool; built here, or received.
    CertificateAdded {
        /// The certificate.
        certificate: Arc<Certificate>,
        /// Built here.
        built: bool,
    },
    /// A new element of ready(s).
    ParentReady(Slot, BlockId),
    /// The timers of the window starting at the slot are set; its timeout grew by so many windows.
    TimersSet(Slot, u64),
    /// Timeout(s) fired.
    Timeout(Slot),
    /// TimeoutCrashed(s) fired.
    TimeoutCrashed(Slot),
    /// The first valid shred of the slot.
    SlotSeen(Slot),
    /// A block is complete and valid.
    BlockStored {
        /// Its identity.
        block: BlockId,
        /// Its effective parent.
        parent: BlockId,
        /// Where it came from.
        origin: Origin,
        /// Number of slices.
        slices: u8,
        /// The leader switched the parent.
        switched: bool,
    },
    /// The slot's Rotor copy is given up: its leader lied.
    BlockInvalid(Slot),
    /// The slot's leader signed things that contradict each other.
    Equivocation(Slot),
    /// A slice that the own key signed as a leader goes to the network now.
    SliceSigned {
        /// The slot.
        slot: Slot,
        /// Position.
        slice: u8,
        /// z.
        last: bool,
        /// Slice root.
        root: super::types::Hash,
    },
    /// The own slot begins on this parent (optimistically, if not yet ready).
    ProductionStarted {
        /// The slot.
        slot: Slot,
        /// The parent it starts on.
        parent: BlockId,
        /// Started before ParentReady.
        optimistic: bool,
    },
    /// The own block goes on with another parent.
    ParentSwitched(Slot, BlockId),
    /// SafeToNotar holds.
    SafeToNotar(BlockId),
    /// SafeToSkip holds.
    SafeToSkip(Slot),
    /// A block is final. A block can be reported as indirect first and as direct later.
    Finalized(BlockId, Mode),
    /// A slot is skipped by finality.
    SkippedByFinality(Slot),
    /// A block went out, in chain order.
    Delivered {
        /// The block.
        block: BlockId,
        /// Its effective parent: the block delivered before.
        parent: BlockId,
        /// The transactions that were executed, in order.
        transactions: Arc<[TransactionId]>,
    },
    /// The standstill rule fired: so many certificates and votes are sent again.
    Standstill {
        /// The highest finalized slot.
        highest: Slot,
        /// What is sent, in order.
        certificates: Arc<[CertificateId]>,
        /// What is sent, in order.
        votes: Arc<[Vote]>,
    },
    /// A block is fetched from peers.
    RepairStarted(BlockId),
    /// The fetch ended: stored (true), or no longer needed.
    RepairEnded(BlockId, bool),
    /// The node asks for proofs because it is behind.
    CatchUp(Slot),
    /// Input from a peer was dropped.
    Rejected(NodeId, Reject),
    /// A validator provably misbehaved.
    Offence(NodeId, Slot, Offence),
    /// Certificates contradict each other: 20 % or more of the stake is byzantine.
    Contradiction(Slot),
    /// First observation of an incarnation.
    Reloaded {
        /// The vote log, ascending.
        votes: Arc<[Vote]>,
        /// The delivered tip.
        tip: BlockId,
        /// The highest finalized block known.
        highest: BlockId,
    },
    /// Whether this node votes; at the start and when it changes.
    Standing(Standing),
    /// A transaction that was submitted here can no longer be included.
    TransactionExpired(TransactionId),
    /// Held state, once per standstill poll: slots and blocks in memory, transactions waiting.
    Sizes {
        /// Entries of the Pool.
        pool: u32,
        /// Blocks and partial blocks.
        blocks: u32,
        /// Transactions waiting.
        transactions: u32,
        /// Repair requests without an answer.
        requests: u32,
    },
}
