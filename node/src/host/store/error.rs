//! What can go wrong with a store, and what its operator should do then.
//!
//! redb's errors are many and say how; these are few and say what follows. A disk that does not do
//! what it is told is one thing: it may work tomorrow. Content that is not what was written is
//! another, wherever it was noticed: in a page, in a length, in a row.

use super::{FORMAT, Identity};
use std::io;

/// Why the store cannot do what it was asked. After any error of `Store::commit` or
/// `Store::next_boot`, only opening it again helps.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `Store::create` found something.
    #[error(
        "there is a store here already. A store is created once, together with the keys; for a \
         new identity choose an empty place"
    )]
    Exists,
    /// It belongs to somebody else.
    #[error(
        "this is the store of node {} of cluster {}, not of node {} of cluster {}. Start the \
         node with its own data directory",
        found.node, found.cluster, expected.node, expected.cluster
    )]
    Foreign {
        /// Whose it is.
        found: Identity,
        /// Who asks.
        expected: Identity,
    },
    /// It was written by another version.
    #[error(
        "this store has format {found}, and this program reads format {FORMAT}. Use the version \
         that wrote it"
    )]
    Format {
        /// The format of the store.
        found: u32,
    },
    /// It cannot be trusted.
    #[error(
        "the store is damaged: {what}. The node does not start with it. Check the disk; then move \
         the store away, and the node will rebuild its ledger from its peers as an observer"
    )]
    Damaged {
        /// What was found.
        what: String,
    },
    /// A final backup was taken of it.
    #[error(
        "this store is sealed: a final backup of it was taken, and the node goes on from there. \
         Two nodes with one key contradict each other"
    )]
    Sealed,
    /// The disk refuses to work.
    #[error("the disk failed: {0}")]
    Disk(#[source] io::Error),
    /// An earlier call failed, so nothing more is promised.
    #[error("an earlier access failed; the store must be opened again")]
    Failed,
    /// Another process has it open.
    #[error("another process has this store open")]
    Busy,
    /// There is no higher boot number.
    #[error("the boot counter is used up")]
    BootCounter,
}

impl StoreError {
    pub(super) fn damaged(what: impl Into<String>) -> StoreError {
        StoreError::Damaged { what: what.into() }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        match error.kind() {
            // What the wrapper of the disk, or redb, says of the content of the file.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                StoreError::damaged(error.to_string())
            }
            _ => StoreError::Disk(error),
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> StoreError {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::DatabaseAlreadyOpen => StoreError::Busy,
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => StoreError::Failed,
            other => StoreError::damaged(other.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> StoreError {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_redb!(DatabaseError, TransactionError, TableError, StorageError, CommitError);
