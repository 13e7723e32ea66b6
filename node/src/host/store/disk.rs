//! What stands between the database and a disk that fails, lies or belongs to a killed process.
//!
//! The problem: redb trusts more than a vote log may trust. After a clean shutdown it opens
//! without looking at a single checksum, and one rotten bit in a page header then ends in a panic
//! or in free space that is not free. While it runs it never looks at a checksum at all. And when
//! its handle is dropped it writes; in a simulated crash that is a dead node writing.
//!
//! Our way is three small lies to redb, all in this wrapper.
//! - *Every start is a restart after a crash.* The flags in the first page read as "not closed,
//!   not two-phase", so each opening walks the tree and compares every checksum, and both commit
//!   slots are candidates (see [`crate::host::store`] for why that is safe).
//! - *There is no shutdown.* Once the [`Switch`] is off, nothing reaches the disk any more.
//! - *A page reads back as it was.* A sum of each page is kept in memory from the first read,
//!   which is the checked one, or the last write. A page that rots later is an I/O error and not
//!   input to a tree walk that expects the truth.

use redb::{BackendError, StorageBackend};
use std::fmt::Debug;
use std::io::{Error, ErrorKind};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The unit of all that redb reads and writes, except for its header.
const PAGE: usize = 4096;
/// What every database file begins with.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// The byte that holds redb's flags.
const FLAGS: u64 = MAGIC.len() as u64;
const RECOVERY_REQUIRED: u8 = 2;
const TWO_PHASE: u8 = 4;

/// Cuts the power of a [`Disk`].
#[derive(Debug, Clone, Default)]
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    /// From now on every access fails and nothing is written.
    pub(super) fn turn_off(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::NotConnected, "the store is closed"));
        }
        Ok(())
    }
}

/// What is known of the file without reading it again.
#[derive(Debug, Default)]
struct Known {
    length: u64,
    /// By page number; `None` until the page is read or written.
    sums: Vec<Option<u64>>,
}

/// A backend as redb gets to see it.
#[derive(Debug)]
pub(super) struct Disk<B> {
    backend: B,
    switch: Switch,
    known: Mutex<Known>,
}

impl<B: StorageBackend> Disk<B> {
    /// Wraps `backend`. Nobody else may write to it meanwhile.
    pub(super) fn new(backend: B) -> Result<(Disk<B>, Switch), Error> {
        let known = Known { length: backend.len()?, sums: Vec::new() };
        let switch = Switch::default();
        Ok((Disk { backend, switch: switch.clone(), known: Mutex::new(known) }, switch))
    }

    /// True if nothing was ever committed here: an empty file, or what a creation leaves that was
    /// interrupted before the first commit could begin.
    pub(super) fn is_blank(&self) -> Result<bool, Error> {
        let length = self.backend.len()?;
        let mut chunk = vec![0; PAGE];
        for start in (0..length).step_by(PAGE) {
            chunk.truncate(usize::try_from(length - start).unwrap_or(PAGE));
            self.backend.read(start, &mut chunk)?;
            let must_be_zero = match start {
                0 => &chunk[..MAGIC.len().min(chunk.len())],
                _ => &chunk[..],
            };
            if must_be_zero.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes a blank file an empty one, in which redb creates a database.
    pub(super) fn clear(&self) -> Result<(), Error> {
        self.set_len(0)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Compares the whole pages in `data` with what was here before, and learns the others.
    fn compare(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        for (page, bytes) in whole_pages(offset, data) {
            let sum = sum(bytes);
            match self.slot(page) {
                Some(known) if *known != sum => {
                    let message = format!("page {page} reads otherwise than it was written");
                    return Err(Error::new(ErrorKind::InvalidData, message));
                }
                known => *known = Some(sum),
            }
        }
        Ok(())
    }

    fn learn(&mut self, offset: u64, data: &[u8]) {
        for (page, bytes) in whole_pages(offset, data) {
            *self.slot(page) = Some(sum(bytes));
        }
    }

    fn resize(&mut self, length: u64) {
        self.length = length;
        let pages = usize::try_from(length / PAGE as u64).unwrap_or(usize::MAX);
        self.sums.truncate(pages);
    }

    fn slot(&mut self, page: usize) -> &mut Option<u64> {
        if self.sums.len() <= page {
            self.sums.resize(page + 1, None);
        }
        &mut self.sums[page]
    }
}

/// The pages with their numbers; the header, which redb keeps in memory, is not one of them.
fn whole_pages(offset: u64, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = usize::try_from(offset / PAGE as u64).unwrap_or(usize::MAX);
    let pages = data.chunks_exact(PAGE).enumerate().filter(move |_| offset > 0);
    pages.map(move |(i, bytes)| (first + i, bytes))
}

/// Tells a page from the same page with any change within eight bytes, and from others with
/// probability 1 - 2^-64 or so. Against rot, not against people: it is never written down.
fn sum(page: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut lanes = [1_u64, 2, 3, 4];
    for block in page.chunks_exact(32) {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            // Invertible in the lane and in the word: what differs once, differs for good.
            *lane = (*lane ^ word).wrapping_mul(ODD).rotate_left(29);
        }
    }
    lanes.into_iter().fold(0, |all, lane| (all ^ lane).wrapping_mul(ODD).rotate_left(29))
}

impl<B: StorageBackend> StorageBackend for Disk<B> {
    fn len(&self) -> Result<u64, Error> {
        self.switch.check()?;
        Ok(self.known().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.switch.check()?;
        let mut known = self.known();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > known.length) {
            let message = format!("{} bytes at {offset} of {}", out.len(), known.length);
            return Err(Error::new(ErrorKind::UnexpectedEof, message));
        }
        self.backend.read(offset, out)?;
        known.compare(offset, out)?;
        if let Some(at) = FLAGS.checked_sub(offset)
            && let Some(flags) = usize::try_from(at).ok().and_then(|at| out.get_mut(at))
        {
            *flags = (*flags | RECOVERY_REQUIRED) & !TWO_PHASE;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        self.switch.check()?;
        self.backend.set_len(length)?;
        self.known().resize(length);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.switch.check()?;
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.switch.check()?;
        let whole = offset.is_multiple_of(PAGE as u64) && data.len().is_multiple_of(PAGE);
        assert!(offset == 0 || whole, "only the header is not made of whole pages");
        self.backend.write(offset, data)?;
        self.known().learn(offset, data);
        Ok(())
    }

    fn close(&self) -> Result<(), Error> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_notices_every_flipped_bit_and_every_moved_word() {
        let mut page: Vec<u8> = (0..PAGE).map(|i| (i * i / 7) as u8).collect();
        let whole = sum(&page);
        for bit in 0..8 * PAGE {
            page[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&page), whole, "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
        for word in (16..=PAGE).step_by(8) {
            let mut moved = page.clone();
            moved[..word].rotate_left(8);
            assert_ne!(sum(&moved), whole, "word {word}");
        }
        assert_ne!(sum(&[0; PAGE]), sum(&[0xff; PAGE]));
    }
}
