//! The file that a node sees: redb's storage interface over a simulated disk.

use super::{Disk, Fault};
use redb::StorageBackend;
use std::fmt;
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A node's one database file, open for the incarnation that got it.
///
/// After a crash every operation through an old handle fails, so a database object that is dropped
/// with its dead process cannot touch what the next process finds. Writing past the end extends the
/// file with zeros, as a file does.
#[derive(Clone)]
pub struct Handle {
    disk: Arc<Mutex<Disk>>,
    now_ns: Arc<AtomicU64>,
    incarnation: u32,
}

impl Handle {
    pub(in crate::world) fn new(
        disk: Arc<Mutex<Disk>>,
        now_ns: Arc<AtomicU64>,
        incarnation: u32,
    ) -> Handle {
        Handle { disk, now_ns, incarnation }
    }

    fn open(&self) -> Result<MutexGuard<'_, Disk>, Error> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.owner == self.incarnation {
            Ok(disk)
        } else {
            Err(Error::other("this process is dead and its file is closed"))
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk::Handle(incarnation {})", self.incarnation)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Io => Error::other(fault),
            Fault::NoSpace => Error::new(ErrorKind::StorageFull, fault),
        }
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.open()?.view.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let disk = self.open()?;
        if disk.view.read(offset, out) {
            Ok(())
        } else {
            let (bytes, len) = (out.len(), disk.view.len());
            let problem = format!("read of {bytes} bytes at {offset} in a file of {len}");
            Err(Error::new(ErrorKind::UnexpectedEof, problem))
        }
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        Ok(self.open()?.set_len(len)?)
    }

    /// Closes an epoch and returns at once: see `Port::flush_ticket` for its durability.
    fn sync_data(&self) -> Result<(), Error> {
        Ok(self.open()?.sync(self.now_ns.load(Ordering::Relaxed))?)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        Ok(self.open()?.write(offset, data)?)
    }
}
