//! The data directory of one node.
//!
//! ```text
//! store.redb    the database
//! unused        beside a key that never signed: an empty vote log may be made here, once
//! ```
//!
//! An empty vote log says "this key has never voted". Nobody may say that but whoever made the key
//! (protocol 10.4): a node that finds no database might have lost it. So `genesis` and `keygen` leave
//! the mark `unused` with the key, and the first start turns it into a store: the store is made
//! under another name and renamed, the mark goes, both are durable, and only then the node speaks.
//! A directory with neither gets an unmarked store: its node observes.

use super::store::{Identity, Store, StoreError};
use crate::protocol::Restored;
use redb::backends::FileBackend;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The database in a data directory.
pub const STORE: &str = "store.redb";
const FRESH: &str = "unused";
const UNFINISHED: &str = "store.redb.new";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The system says no.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database says no.
    #[error("{}: {error}", path.display())]
    Store {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    move |error| DataError::Io { path: path.to_owned(), error }
}

/// Makes a file that did not exist, durably.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DataError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    };
    write().map_err(at(path))
}

/// Makes directory entries durable.
pub fn sync_dir(path: &Path) -> Result<(), DataError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at(path))
}

/// Makes the data directory of a key that was made just now and has never signed.
pub fn create(dir: &Path) -> Result<(), DataError> {
    fs::DirBuilder::new().mode(0o700).create(dir).map_err(at(dir))?;
    write_new(&dir.join(FRESH), b"", 0o600)?;
    sync_dir(dir)
}

/// The database file of a directory: the directory itself, or `data` in it.
pub fn find_store(dir: &Path) -> PathBuf {
    let nested = dir.join("data").join(STORE);
    if nested.exists() { nested } else { dir.join(STORE) }
}

/// Opens a file as the database wants it, for this process alone.
pub fn backend(path: &Path, create: bool) -> Result<FileBackend, DataError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    FileBackend::new(file)
        .map_err(|error| DataError::Store { path: path.to_owned(), error: error.into() })
}

/// Opens a file to look at it; the file may be read-only.
pub fn backend_to_look_at(path: &Path) -> Result<FileBackend, DataError> {
    let file = File::open(path).map_err(at(path))?;
    FileBackend::new(file)
        .map_err(|error| DataError::Store { path: path.to_owned(), error: error.into() })
}

/// True if the directory belongs to a key that never signed.
pub fn is_fresh(dir: &Path) -> Result<bool, DataError> {
    let fresh = dir.join(FRESH);
    fresh.try_exists().map_err(at(&fresh))
}

fn remove_if_there(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Makes room for a restored store, in a directory without one. The answer is where to write it.
pub fn prepare_restoration(dir: &Path) -> Result<PathBuf, DataError> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(dir)(error)),
        _ => {}
    }
    let store = dir.join(STORE);
    if is_fresh(dir)? || store.try_exists().map_err(at(&store))? {
        return Err(DataError::Store { path: dir.to_owned(), error: StoreError::Exists });
    }
    let unfinished = dir.join(UNFINISHED);
    remove_if_there(&unfinished)?;
    Ok(unfinished)
}

/// Puts the restored store in its place.
pub fn finish_restoration(dir: &Path) -> Result<(), DataError> {
    let store = dir.join(STORE);
    fs::rename(dir.join(UNFINISHED), &store).map_err(at(&store))?;
    sync_dir(dir)
}

/// Opens the store of a node, and makes it first where that is allowed.
pub fn open(
    dir: &Path,
    identity: &Identity,
    cache_bytes: usize,
) -> Result<(Store, Restored), DataError> {
    let (store, fresh) = (dir.join(STORE), dir.join(FRESH));
    let fail = |path: &Path, error| DataError::Store { path: path.to_owned(), error };
    if is_fresh(dir)? {
        if !store.try_exists().map_err(at(&store))? {
            let unfinished = dir.join(UNFINISHED);
            remove_if_there(&unfinished)?;
            Store::create(backend(&unfinished, true)?, identity, cache_bytes)
                .map_err(|error| fail(&unfinished, error))?;
            fs::rename(&unfinished, &store).map_err(at(&store))?;
            sync_dir(dir)?;
        }
        fs::remove_file(&fresh).map_err(at(&fresh))?;
        sync_dir(dir)?;
    }
    Store::open(backend(&store, true)?, identity, cache_bytes).map_err(|error| fail(&store, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::types::{Hash, NodeId};

    const ME: Identity = Identity { cluster: Hash([1; 32]), node: NodeId(0) };
    const CACHE: usize = 1 << 20;

    fn intact(dir: &Path) -> bool {
        open(dir, &ME, CACHE).unwrap().1.intact
    }

    #[test]
    fn the_first_start_makes_the_log_and_no_other_does() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        create(&data).unwrap();
        assert!(intact(&data) && intact(&data));
        fs::remove_file(data.join(STORE)).unwrap();
        assert!(!intact(&data), "a lost log is not an empty one");
        assert!(!intact(&data));
    }

    /// What a start leaves that was interrupted after each of its steps.
    #[test]
    fn an_interrupted_first_start_is_finished_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let half = dir.path().join("half");
        create(&half).unwrap();
        fs::write(half.join(UNFINISHED), [7; 100]).unwrap();
        assert!(intact(&half));
        let renamed = dir.path().join("renamed");
        create(&renamed).unwrap();
        Store::create(backend(&renamed.join(STORE), true).unwrap(), &ME, CACHE).unwrap();
        assert!(intact(&renamed) && !renamed.join(FRESH).exists());
    }

    #[test]
    fn two_processes_cannot_have_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        create(&data).unwrap();
        let _first = open(&data, &ME, CACHE).unwrap();
        let second = open(&data, &ME, CACHE).unwrap_err();
        assert!(second.to_string().contains("another process"), "{second}");
    }
}
