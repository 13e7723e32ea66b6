//! The Alpenglow protocol as a pure function of (state, time, input): the doorway.
//!
//! A node that owns channels, sleeps and sockets cannot be replayed, model-checked or run a hundred
//! times in one process. So everything that decides lives behind three functions that never block:
//!
//! ```text
//! precheck(&self, from, bytes) -> Unverified<Message>   cheap: decode, range, duplicate
//! verify(&Committee, Unverified)  -> Verified<Message>  pure, slow: signatures and proofs
//! step(&mut self, now, Input, &mut Vec<Effect>)         total: no I/O, no signature check
//! ```
//!
//! Time, timers, signatures and disk writes are data. What must wait for the disk says so: an
//! [`Effect`] with `after: Some(token)` leaves when the host has made that token's records
//! durable; everything else leaves at once. The host stays small enough that nothing in it can be
//! wrong about consensus.
//!
//! ```text
//! votes, certificates -> signatures (side table) -> consensus = pool + votor  (facts only)
//! shreds              -> blokstor -> blocks      -> consensus, ledger
//! own windows         -> producer -> Sign        -> blokstor, shreds to relays
//! certified, missing  -> repair   -> blocks      -> blokstor
//! ```

pub mod block;
pub mod blokstor;
pub mod bounded;
pub mod catchup;
pub mod certificate;
pub mod committee;
pub mod consensus;
pub mod event;
pub mod ledger;
pub mod machine;
pub mod params;
pub mod pool;
pub mod producer;
pub mod repair;
pub mod rotor;
pub mod rules;
pub mod signatures;
pub mod stake;
pub mod standstill;
pub mod types;
pub mod vote;
pub mod votor;
pub mod wire;

use block::{Block, Transaction, TransactionId};
use certificate::{Certificate, FinalityProof};
use event::Event;
use std::sync::Arc;
use types::{BlockId, NodeId, Slot, Time, Token};
use vote::Vote;
use wire::{Message, Reject, Signed, Unsigned, Verified};

pub use machine::Protocol;

/// Something that reaches the protocol.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message whose signatures and proofs are checked.
    Message {
        /// The sender that the datagram's tag proves.
        from: NodeId,
        /// What it says.
        message: Verified<Message>,
    },
    /// Bytes of a peer were dropped by `precheck` or `verify`. Told so that it can be counted and,
    /// for an unknown epoch, taken as a hint that this node is behind.
    Dropped {
        /// The sender.
        from: NodeId,
        /// Why.
        reason: Reject,
    },
    /// A timer that was set with [`Effect::SetTimer`] is due.
    Timer(Timer),
    /// A client's transaction. [`Protocol::admission`] says beforehand whether it is taken.
    Submit(Transaction),
    /// The own keys have signed.
    Signed {
        /// The token of the [`Effect::Sign`].
        token: Token,
        /// The object with its signature.
        signed: Verified<Signed>,
    },
    /// Everything up to this token is durable.
    Persisted(Token),
    /// The store answers a [`Effect::Load`].
    Loaded(Query, Stored),
    /// A write failed, so nothing can be made durable any more: the node stops voting for good.
    StorageFailed,
}

/// Something the protocol wants done. Effects without `after` are carried out in order; those with
/// the same `after` too, once it is durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Sign with the own keys and feed back [`Input::Signed`].
    Sign {
        /// To be repeated.
        token: Token,
        /// What to sign.
        object: Unsigned,
    },
    /// Make these records durable in one commit, then feed back [`Input::Persisted`].
    Persist {
        /// Increases with each of these.
        token: Token,
        /// What to write, in order.
        records: Vec<Record>,
    },
    /// Write this with the next commit, whenever that is: it is useful after a restart, and nothing
    /// waits for it. What is noted before a [`Effect::Persist`] is durable when that is.
    Note(Record),
    /// Send to one or many peers.
    Send {
        /// Whom.
        to: Recipients,
        /// What.
        message: Message,
        /// Not before this token is durable.
        after: Option<Token>,
    },
    /// Feed back [`Input::Timer`] at this time. Timers are never cancelled; a stale one is ignored.
    SetTimer(Timer, Time),
    /// Read from the store and feed back [`Input::Loaded`].
    Load(Query),
    /// Hand the next block of the chain to execution.
    Deliver {
        /// The block.
        block: Arc<Block>,
        /// Which of its transactions are executed, in order.
        transactions: Arc<[TransactionId]>,
        /// Not before this token is durable.
        after: Token,
    },
    /// Tell observers.
    Observe {
        /// What.
        event: Event,
        /// Not before this token is durable.
        after: Option<Token>,
    },
}

/// Whom to send to. Shared lists, in sending order.
#[derive(Clone, Debug)]
pub enum Recipients {
    /// One peer.
    One(NodeId),
    /// Several, none of them this node.
    Many(Arc<[NodeId]>),
}

impl Recipients {
    /// The recipients in sending order.
    pub fn as_slice(&self) -> &[NodeId] {
        match self {
            Recipients::One(node) => std::slice::from_ref(node),
            Recipients::Many(nodes) => nodes,
        }
    }
}

/// Timers by what they mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// The cluster's start time has come.
    Start,
    /// Timeout(s).
    Skip(Slot),
    /// TimeoutCrashed(s).
    Crashed(Slot),
    /// The open slice of the own block.
    Slice(Slot, u8),
    /// Grace or overdue answers of a repair.
    Repair(BlockId),
    /// Ask for proofs while behind.
    CatchUp,
    /// Look at the standstill rule.
    Standstill,
}

/// One thing to write. See 10.3 for what must be durable before what leaves.
#[derive(Clone, Debug)]
pub enum Record {
    /// An own vote.
    Vote(Vote),
    /// Production of this own slot began.
    Produced(Slot),
    /// A block that is voted for or delivered.
    Block(Arc<Block>),
    /// The next entry of the ledger. Votes and certificates below it may be dropped.
    Delivered(BlockId),
    /// Proof of a direct finalization.
    Proof(FinalityProof),
    /// A certificate above the highest finalized slot; speeds up a restart.
    Certificate(Arc<Certificate>),
}

/// What can be read back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Query {
    /// A block of the ledger.
    Block(BlockId),
    /// Proofs of directly finalized slots from this one on.
    Proofs(Slot),
}

impl Query {
    /// The answer of a store that has nothing, or cannot read.
    pub fn nothing(self) -> Stored {
        match self {
            Query::Block(_) => Stored::Block(None),
            Query::Proofs(_) => Stored::Proofs(Vec::new()),
        }
    }
}

/// What was read back.
#[derive(Clone, Debug)]
pub enum Stored {
    /// The block, if it is there.
    Block(Option<Arc<Block>>),
    /// At most [`wire::MAX_PROOFS`] proofs, ascending.
    Proofs(Vec<FinalityProof>),
}

/// What a node finds in its store when it starts.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The vote log is there and undamaged. If not, the identity never votes again (10.4).
    pub intact: bool,
    /// Every vote in the log.
    pub votes: Vec<Vote>,
    /// The highest own slot whose production began.
    pub produced: Option<Slot>,
    /// The delivered tip; `None` before the first delivery.
    pub tip: Option<BlockId>,
    /// Delivered blocks of the last [`params::TRANSACTION_LIFETIME_SLOTS`] slots, ascending.
    pub recent: Vec<Arc<Block>>,
    /// Stored blocks above the tip.
    pub candidates: Vec<Arc<Block>>,
    /// Proofs of the highest directly finalized slots, ascending.
    pub proofs: Vec<FinalityProof>,
    /// Certificates above the tip.
    pub certificates: Vec<Arc<Certificate>>,
}
