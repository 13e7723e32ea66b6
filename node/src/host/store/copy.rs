//! Backups: all rows of a store in one file, and a store made from such a file.
//!
//! The problem: a copy of a data directory looks like the original. A node that starts on it does
//! not know what its key has signed since, and every vote it casts may contradict one of those.
//!
//! Our way: a backup is not a copy of the file but a list of rows that says of itself what it is.
//! - The copy of a *running* node holds everything but the vote log. The store made from it is
//!   unmarked: the node follows and serves, and does not vote.
//! - The *final* copy of a stopped node holds the log too. Whoever takes one seals the source
//!   first, so that there is one successor and no original.
//!
//! ```text
//! "agbackup" version 1 | final 1 | then rows:  1 table | key length 4 | key | row length 4 | row
//! and at the end:      0 | number of rows 8 | BLAKE3 over everything before it 32
//! ```

use super::rows::{self, ANEW, HEAD, Head, IDENTITY, IdentityRow, LOG, META, SEALED};
use super::{FORMAT, Identity, Store, StoreError};
use crate::protocol::types::NodeId;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableHandle};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"agbackup";
const VERSION: u8 = 1;
const END: u8 = 0;
/// Longest key or row that is believed when a backup is read: a block of 64 slices, generously.
const MAX_LENGTH: u32 = 16 << 20;
/// Rows in one transaction of a restoration.
const ROWS_PER_COMMIT: usize = 1_024;

/// Why a backup cannot be put back.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file is not a backup, is cut off, or was changed.
    #[error("this is not a whole backup: {0}")]
    Broken(&'static str),
    /// It was written by another version.
    #[error("this backup has version {0}, and this program reads version {VERSION}")]
    Version(u8),
    /// The file cannot be read or written.
    #[error("the backup cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The new store cannot be written, or what the backup holds is no store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A consistent view of a store at one commit, while the store goes on.
#[derive(Debug)]
pub struct Snapshot {
    txn: ReadTransaction,
    whole: bool,
}

/// What was put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restoration {
    /// Whose store it is.
    pub identity: Identity,
    /// It came from a final backup, so the node may vote at once.
    pub whole: bool,
    /// Rows written.
    pub rows: u64,
}

impl Store {
    /// The store as it is now. `whole` with the vote log: only of a store that was sealed.
    ///
    /// # Errors
    /// [`StoreError::Disk`].
    pub fn snapshot(&self, whole: bool) -> Result<Snapshot, StoreError> {
        Ok(Snapshot { txn: self.db.begin_read()?, whole })
    }
}

/// Passes bytes on and hashes them.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Hashing<T> {
        Hashing { inner, hasher: blake3::Hasher::new() }
    }
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Hashing<R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CopyError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn take_long(&mut self) -> Result<Vec<u8>, CopyError> {
        let length = u32::from_le_bytes(self.take()?);
        if length > MAX_LENGTH {
            return Err(CopyError::Broken("a row is too long"));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CopyError> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CopyError::Broken("it ends too early"),
            _ => error.into(),
        })?;
        self.hasher.update(bytes);
        Ok(())
    }
}

impl Snapshot {
    /// Writes the backup.
    ///
    /// # Errors
    /// If the store cannot be read or `to` cannot be written.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut out = Hashing::new(to);
        out.put(MAGIC)?;
        out.put(&[VERSION, self.whole.into()])?;
        let mut count = 0_u64;
        for (number, table) in (1_u8..).zip(rows::ALL) {
            if table.name() == LOG.name() && !self.whole {
                continue;
            }
            let table = self.txn.open_table(table).map_err(io::Error::other)?;
            for entry in table.iter().map_err(io::Error::other)? {
                let (key, row) = entry.map_err(io::Error::other)?;
                if number == 1 && [SEALED, ANEW].contains(&key.value()) {
                    continue;
                }
                out.put(&[number])?;
                for bytes in [key.value(), row.value()] {
                    out.put(&(bytes.len() as u32).to_le_bytes())?;
                    out.put(bytes)?;
                }
                count += 1;
            }
        }
        out.put(&[END])?;
        out.put(&count.to_le_bytes())?;
        let hash = out.hasher.finalize();
        out.inner.write_all(hash.as_bytes())
    }
}

/// Makes a store from a backup, in an empty place. Nobody may use the place before this returns
/// well: only then is everything there and checked.
///
/// # Errors
/// See [`CopyError`].
pub fn restore<B: StorageBackend>(
    from: &mut dyn Read,
    backend: B,
    cache_bytes: usize,
) -> Result<Restoration, CopyError> {
    let mut from = Hashing::new(from);
    if from.take::<8>()? != *MAGIC {
        return Err(CopyError::Broken("it does not begin like one"));
    }
    let [version, whole] = from.take()?;
    if version != VERSION {
        return Err(CopyError::Version(version));
    }
    let (disk, switch) = super::Disk::new(backend).map_err(StoreError::from)?;
    if !disk.is_blank().map_err(StoreError::from)? {
        return Err(StoreError::Exists.into());
    }
    let mut store = Store::attach(disk, switch, cache_bytes)?;
    let whole = whole == 1;
    let mut count = 0_u64;
    let mut identity = None;
    loop {
        let (batch, ended) = read_rows(&mut from)?;
        count += batch.len() as u64;
        for (table, key, row) in &batch {
            if *table == 1 && key == IDENTITY {
                identity = rows::open::<IdentityRow>(META, key, row);
            }
        }
        store.transact(true, |_, txn| {
            for table in rows::ALL {
                txn.open_table(table)?;
            }
            for (number, key, row) in &batch {
                let mut table = txn.open_table(rows::ALL[usize::from(*number) - 1])?;
                table.insert(key.as_slice(), row.as_slice())?;
            }
            Ok(())
        })?;
        if ended {
            break;
        }
    }
    let written = u64::from_le_bytes(from.take()?);
    let hash = *from.hasher.finalize().as_bytes();
    if written != count || from.take()? != hash {
        return Err(CopyError::Broken("its sum is wrong"));
    }
    let IdentityRow { format, cluster, node } =
        identity.ok_or(CopyError::Broken("it does not say whose it is"))?;
    if format != FORMAT {
        return Err(StoreError::Format { found: format }.into());
    }
    let identity = Identity { cluster, node: NodeId(node) };
    finish(&mut store, &identity, whole)?;
    Ok(Restoration { identity, whole, rows: count })
}

/// Checks what was put back and, without a log, writes the head of a log that is not whole.
fn finish(store: &mut Store, identity: &Identity, whole: bool) -> Result<(), StoreError> {
    if !whole {
        let head = Head::default();
        store.transact(true, |_, txn| super::put(txn, LOG, HEAD, &head))?;
    }
    let found = super::check::check(&store.db.begin_read()?, Some(identity))?;
    if whole && !found.restored.intact {
        return Err(StoreError::damaged("the vote log of a final backup is not whole"));
    }
    let head = found.state.head;
    store.transact(true, |_, txn| super::put(txn, LOG, HEAD, &head))
}

/// A table, a key, a row.
type Row = (u8, Vec<u8>, Vec<u8>);

/// Some rows, and whether they were the last.
fn read_rows(from: &mut Hashing<&mut dyn Read>) -> Result<(Vec<Row>, bool), CopyError> {
    let mut batch = Vec::new();
    while batch.len() < ROWS_PER_COMMIT {
        let [number] = from.take()?;
        if number == END {
            return Ok((batch, true));
        }
        if usize::from(number) > rows::ALL.len() {
            return Err(CopyError::Broken("it has a table that no store has"));
        }
        batch.push((number, from.take_long()?, from.take_long()?));
    }
    Ok((batch, false))
}
