//! The durable store: what a restarted node must know to be the same node (protocol 10.3, 10.4).
//!
//! The problem: a node that forgets one vote can vote again, otherwise, and is then byzantine. A
//! database that survives power cuts is not enough. redb commits into one of two slots, and opens
//! with the newer slot whose pages verify. A torn commit that nobody was told of looks exactly
//! like an acknowledged one that rotted: both fall back to the other slot, and in the second case
//! a vote that was sent is gone without a word.
//!
//! Our way:
//! - **A commit is acknowledged when both slots hold it.** Records that bind the node (votes,
//!   production, delivery, boot) are followed by a second, empty commit. Whichever slot is opened
//!   later, nothing acknowledged is missing, whatever rots. It costs 4 KiB and a second sync.
//! - **Each start checks everything**: pages by redb (see `disk`), rows by their own checksums, the
//!   log against its head, which counts and sums its votes, the ledger by its parent links.
//! - **The ledger table is the delivered chain.** Its last row is the delivery cursor, so blocks
//!   and cursor cannot disagree.
//! - **A log that is not whole is never mended.** The store then says `intact: false`. It may begin
//!   anew only in an epoch in which the key has signed nothing ([`Store::begin_anew_at`]).
//!
//! What is found damaged, and what follows:
//!
//! | damage | consequence |
//! |---|---|
//! | log missing, unmarked, changed, or behind the ledger | opens, `intact: false`: the identity observes |
//! | candidate block, old block, proof, certificate | dropped and counted: peers have it |
//! | ledger, recent block, boot counter, identity | [`StoreError::Damaged`]: better not to start |
//! | pages shared by both slots, header, length | the same: the tree cannot be read at all |
//!
//! Two more ways in: [`Store::inspect`] reads a stopped node's store and writes nothing (see
//! `overlay`), and `copy` makes and puts back backups.
//!
//! Out of reach: a whole data directory put back from a backup, or one identity run twice. Nothing in
//! such a directory is wrong; only the operator can know (10.4).

mod apply;
mod check;
mod copy;
mod disk;
mod error;
mod overlay;
mod rows;

use crate::protocol::certificate::FinalityProof;
use crate::protocol::types::{BlockId, Hash, NodeId, Slot};
use crate::protocol::vote::Vote;
use crate::protocol::wire::MAX_PROOFS;
use crate::protocol::{Query, Record, Restored, Stored};
use apply::State;
use check::Found;
use disk::{Disk, Switch};
use redb::{
    Database, ReadTransaction, ReadableDatabase, StorageBackend, TableError, WriteTransaction,
};
use rows::{ANEW, BLOCKS, BOOT, HEAD, IDENTITY, LEDGER, LOG, META, PROOFS, Reader, SEALED, Table};
use std::sync::Arc;

pub use check::{LogFault, OpenReport};
pub use copy::{CopyError, Restoration, Snapshot, restore};
pub use error::StoreError;

/// The version of everything that is written. A store of another one is refused.
pub const FORMAT: u32 = 1;

/// Whose store it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster, by the hash of its genesis.
    pub cluster: Hash,
    /// The validator.
    pub node: NodeId,
}

/// What [`Store::inspect`] found.
#[derive(Debug)]
pub struct Inspection {
    /// Whose store it is.
    pub identity: Identity,
    /// A final backup was taken.
    pub sealed: bool,
    /// What a node that starts on it would know.
    pub restored: Restored,
}

/// The open store of one node. Its calls block for as long as the disk takes. Dropping it writes
/// nothing: there is no clean shutdown.
#[derive(Debug)]
pub struct Store {
    db: Database,
    switch: Switch,
    state: State,
    boot: u32,
    failed: bool,
    report: OpenReport,
}

impl Store {
    /// Creates the empty, marked store of a new identity. Exactly once, together with its keys
    /// (10.4). `cache_bytes` bounds redb's page cache.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if anything is there; [`StoreError::Disk`].
    pub fn create<B: StorageBackend>(
        backend: B,
        identity: &Identity,
        cache_bytes: usize,
    ) -> Result<(), StoreError> {
        let (disk, switch) = Disk::new(backend)?;
        if !disk.is_blank()? {
            return Err(StoreError::Exists);
        }
        Store::attach(disk, switch, cache_bytes)?.initialize(identity, true)
    }

    /// Opens the store, checks all of it, and says what the protocol needs to go on. A backend in
    /// which nothing was ever committed becomes an *unmarked* store: the node follows and serves,
    /// but never votes. Blocks of several hundred KiB want `cache_bytes` of 2 MiB or more; below,
    /// they are written twice.
    ///
    /// # Errors
    /// [`StoreError::Foreign`], [`StoreError::Format`], [`StoreError::Damaged`],
    /// [`StoreError::Busy`], [`StoreError::Disk`].
    pub fn open<B: StorageBackend>(
        backend: B,
        identity: &Identity,
        cache_bytes: usize,
    ) -> Result<(Store, Restored), StoreError> {
        let (disk, switch) = Disk::new(backend)?;
        let mut store = Store::attach(disk, switch, cache_bytes)?;
        if store.is_virgin()? {
            store.initialize(identity, false)?;
        }
        let found = check::check(&store.db.begin_read()?, Some(identity))?;
        let anew = found.begins_anew();
        let Found { restored, state, boot, report, mut trash, head_changed, sealed, .. } = found;
        if sealed {
            return Err(StoreError::Sealed);
        }
        if anew {
            // In the same commit as the new mark: the permission is good for one loss.
            trash.push((META, ANEW.to_vec()));
        }
        if head_changed || !trash.is_empty() {
            store.transact(true, |_, txn| {
                for (table, key) in &trash {
                    txn.open_table(*table)?.remove(key.as_slice())?;
                }
                put(txn, LOG, HEAD, &state.head)
            })?;
        }
        (store.state, store.boot, store.report) = (state, boot, report);
        Ok((store, restored))
    }

    /// Opens a store whosever it is, sealed or not, checks it like [`Store::open`], and writes
    /// nothing: what the database writes meanwhile stays in memory. The store must not be in use.
    ///
    /// # Errors
    /// As for [`Store::open`]; [`StoreError::Damaged`] if there is nothing.
    pub fn inspect<B: StorageBackend>(
        backend: B,
        cache_bytes: usize,
    ) -> Result<(Store, Inspection), StoreError> {
        let (disk, switch) = Disk::new(overlay::Overlay::new(backend)?)?;
        if disk.is_blank()? {
            return Err(StoreError::damaged("there is nothing in it"));
        }
        let mut store = Store::attach(disk, switch, cache_bytes)?;
        let found = check::check(&store.db.begin_read()?, None)?;
        let identity = found.identity.expect("the check has read it");
        (store.state, store.boot, store.report) = (found.state, found.boot, found.report);
        Ok((store, Inspection { identity, sealed: found.sealed, restored: found.restored }))
    }

    /// Lets an unmarked log begin anew at the first start that finds `slot` delivered. The caller
    /// vouches that the key has signed nothing in `slot` or above before this store was opened.
    /// Said once; a marked log is left alone. The answer is the slot that counts.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub fn begin_anew_at(&mut self, slot: Slot) -> Result<Option<Slot>, StoreError> {
        self.note_anew(|said| said.or(Some(slot)))
    }

    /// Takes back what was said of slots below `slot`: the key may have signed there after all. The
    /// answer is the slot that counts, if one was ever said.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub fn begin_anew_not_before(&mut self, slot: Slot) -> Result<Option<Slot>, StoreError> {
        self.note_anew(|said| said.map(|said| said.max(slot)))
    }

    fn note_anew(
        &mut self,
        change: impl FnOnce(Option<Slot>) -> Option<Slot>,
    ) -> Result<Option<Slot>, StoreError> {
        if self.state.head.marked {
            return Ok(None);
        }
        let said = match table(&self.db.begin_read()?, META)? {
            Some(meta) => meta.get(ANEW)?.and_then(|row| rows::open(META, ANEW, row.value())),
            None => None,
        };
        let counts = change(said);
        if let Some(slot) = counts
            && counts != said
        {
            self.transact(true, |_, txn| put(txn, META, ANEW, &slot))?;
        }
        Ok(counts)
    }

    /// Marks the store as succeeded by a final backup. It never opens for a node again.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub fn seal(&mut self) -> Result<(), StoreError> {
        self.transact(true, |_, txn| put(txn, META, SEALED, &()))
    }

    /// Makes the records durable, in order, all or none, in one transaction. On return they are.
    /// The caller batches.
    ///
    /// # Errors
    /// [`StoreError::Disk`], [`StoreError::Damaged`], [`StoreError::Failed`]: whether the records
    /// are durable is then unknown until the store is opened again.
    ///
    /// # Panics
    /// If a delivered block was not stored before, or does not follow the tip of the ledger (at
    /// first: genesis).
    pub fn commit(&mut self, records: &[Record]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let binds = |record: &Record| match record {
            Record::Vote(_) | Record::Produced(_) | Record::Delivered(_) => true,
            Record::Block(_) | Record::Proof(_) | Record::Certificate(_) => false,
        };
        let binding = records.iter().any(binds);
        self.transact(binding, |state, txn| state.apply(txn, records))
    }

    /// Reads a stored block or proofs back.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is there is not what was written; [`StoreError::Disk`].
    pub fn load(&self, query: Query) -> Result<Stored, StoreError> {
        match query {
            Query::Block(id) => {
                let key = rows::block_key(id);
                let Some(blocks) = table(&self.db.begin_read()?, BLOCKS)? else {
                    return Ok(Stored::Block(None));
                };
                let Some(row) = blocks.get(key.as_slice())? else {
                    return Ok(Stored::Block(None));
                };
                match rows::open_block(&key, row.value()) {
                    Some(block) => Ok(Stored::Block(Some(Arc::new(block)))),
                    None => Err(StoreError::damaged(format!("block {id}"))),
                }
            }
            Query::Proofs(from) => {
                Ok(Stored::Proofs(self.proofs(from)?.take(MAX_PROOFS).collect::<Result<_, _>>()?))
            }
        }
    }

    /// The number of the incarnation that starts now: above all before it, and at least
    /// `wall_seconds`, so that it grows even if the store is lost. Durable on return (1.2).
    ///
    /// # Errors
    /// As for [`Store::commit`]; [`StoreError::BootCounter`] after 2^32 - 1 of them.
    pub fn next_boot(&mut self, wall_seconds: u64) -> Result<u32, StoreError> {
        let next = self.boot.checked_add(1).ok_or(StoreError::BootCounter)?;
        let boot = next.max(u32::try_from(wall_seconds).unwrap_or(next));
        self.transact(true, |_, txn| put(txn, META, BOOT, &boot))?;
        self.boot = boot;
        Ok(boot)
    }

    /// What the check at the opening found.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The votes in the log, by slot; those below the delivered tip are dropped.
    ///
    /// # Errors
    /// As for [`Store::load`].
    pub fn votes(&self) -> Result<impl Iterator<Item = Result<Vote, StoreError>>, StoreError> {
        let from = rows::votes_from(Slot::GENESIS);
        self.scan(LOG, &from, |key, row| {
            rows::unseal(LOG, key, row).and(rows::vote_of(key)).ok_or("a vote")
        })
    }

    /// The delivered blocks from `from` on, ascending.
    ///
    /// # Errors
    /// As for [`Store::load`].
    pub fn ledger(
        &self,
        from: Slot,
    ) -> Result<impl Iterator<Item = Result<BlockId, StoreError>>, StoreError> {
        self.scan(LEDGER, &rows::slot_key(from), |key, row| {
            check::ledger_row(key, row).map(|(id, _)| id).ok_or("the ledger")
        })
    }

    /// The proofs of directly finalized slots from `from` on, ascending.
    ///
    /// # Errors
    /// As for [`Store::load`].
    pub fn proofs(
        &self,
        from: Slot,
    ) -> Result<impl Iterator<Item = Result<FinalityProof, StoreError>>, StoreError> {
        self.scan(PROOFS, &rows::slot_key(from), |key, row| {
            check::proof_row(key, row).ok_or("a proof")
        })
    }

    fn scan<T, F: Fn(&[u8], &[u8]) -> Result<T, &'static str>>(
        &self,
        of: Table,
        from: &[u8],
        read: F,
    ) -> Result<impl Iterator<Item = Result<T, StoreError>> + use<T, F>, StoreError> {
        let range = match table(&self.db.begin_read()?, of)? {
            Some(table) => Some(table.range_owned::<&[u8]>(from..)?),
            None => None,
        };
        Ok(range.into_iter().flatten().map(move |entry| {
            let (key, row) = entry?;
            read(key.value(), row.value()).map_err(StoreError::damaged)
        }))
    }

    /// A database on `disk`, made if the disk is blank.
    fn attach<B: StorageBackend>(
        disk: Disk<B>,
        switch: Switch,
        cache_bytes: usize,
    ) -> Result<Store, StoreError> {
        if disk.is_blank()? {
            disk.clear()?;
        }
        let db = Database::builder().set_cache_size(cache_bytes).create_with_backend(disk)?;
        let (state, report) = (State::default(), OpenReport::default());
        Ok(Store { db, switch, state, boot: 0, failed: false, report })
    }

    /// True if nothing was ever committed, as after a creation that was interrupted late. A
    /// database whose tables were lost still has pages of its own.
    fn is_virgin(&self) -> Result<bool, StoreError> {
        let txn = self.db.begin_write()?;
        Ok(txn.list_tables()?.next().is_none() && txn.stats()?.allocated_pages() == 0)
    }

    fn initialize(&mut self, identity: &Identity, marked: bool) -> Result<(), StoreError> {
        let Identity { cluster, node } = *identity;
        let row = rows::IdentityRow { format: FORMAT, cluster, node: node.0 };
        let head = rows::Head { marked, ..rows::Head::default() };
        self.transact(true, |_, txn| {
            for table in rows::ALL {
                txn.open_table(table)?;
            }
            put(txn, META, BOOT, &0_u32)?;
            put(txn, META, IDENTITY, &row)?;
            put(txn, LOG, HEAD, &head)
        })
    }

    /// One transaction; `binding` puts it into both commit slots before it returns.
    fn transact(
        &mut self,
        binding: bool,
        change: impl FnOnce(&mut State, &WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // Until this succeeds: after a failure the state in memory may be ahead of the disk.
        if std::mem::replace(&mut self.failed, true) {
            return Err(StoreError::Failed);
        }
        let txn = self.db.begin_write()?;
        change(&mut self.state, &txn)?;
        txn.commit()?;
        if binding {
            self.db.begin_write()?.commit()?;
        }
        self.failed = false;
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.switch.turn_off();
    }
}

fn put(
    txn: &WriteTransaction,
    table: Table,
    key: &[u8],
    content: &impl borsh::BorshSerialize,
) -> Result<(), StoreError> {
    txn.open_table(table)?.insert(key, rows::seal(table, key, content).as_slice())?;
    Ok(())
}

/// The table, unless it does not exist.
fn table(txn: &ReadTransaction, table: Table) -> Result<Option<Reader>, StoreError> {
    match txn.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
