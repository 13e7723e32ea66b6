//! A file that is read and never written: what is written lies over it, in memory.
//!
//! Opening a database repairs it, and a repair writes. Whoever only wants to look, at a store that
//! may be evidence, must not. So writes go to pages in memory, and the file below stays as it is.

use redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::io::Error;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

const PAGE: u64 = 4096;

/// A backend over which writes are kept in memory.
#[derive(Debug)]
pub(super) struct Overlay<B> {
    below: B,
    above: Mutex<Above>,
}

#[derive(Debug)]
struct Above {
    length: u64,
    /// Bytes of the file below that are still visible.
    visible: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl<B: StorageBackend> Overlay<B> {
    pub(super) fn new(below: B) -> Result<Overlay<B>, Error> {
        let length = below.len()?;
        let above = Above { length, visible: length, pages: BTreeMap::new() };
        Ok(Overlay { below, above: Mutex::new(above) })
    }

    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content of one page, from above or below.
    fn page(&self, above: &Above, number: u64) -> Result<Box<[u8]>, Error> {
        if let Some(page) = above.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE as usize].into_boxed_slice();
        let start = number * PAGE;
        let there = above.visible.saturating_sub(start).min(PAGE) as usize;
        if there > 0 {
            self.below.read(start, &mut page[..there])?;
        }
        Ok(page)
    }
}

/// The pages that `length` bytes at `offset` touch: number, range within the page, range of bytes.
fn touched(
    offset: u64,
    length: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = offset + done as u64;
        let start = (at % PAGE) as usize;
        let count = (PAGE as usize - start).min(length - done);
        let bytes = done..done + count;
        done += count;
        Some((at / PAGE, start..start + count, bytes))
    })
}

impl<B: StorageBackend> StorageBackend for Overlay<B> {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.above().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let above = self.above();
        for (number, within, bytes) in touched(offset, out.len()) {
            out[bytes].copy_from_slice(&self.page(&above, number)?[within]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        let mut above = self.above();
        if length < above.length {
            above.visible = above.visible.min(length);
            above.pages.split_off(&length.div_ceil(PAGE));
        }
        above.length = length;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut above = self.above();
        for (number, within, bytes) in touched(offset, data.len()) {
            let mut page = self.page(&above, number)?;
            page[within].copy_from_slice(&data[bytes]);
            above.pages.insert(number, page);
        }
        Ok(())
    }

    fn close(&self) -> Result<(), Error> {
        self.below.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        // Enough to keep a writer out, and all that a file opened for reading allows.
        self.below.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.below.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_shared_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    #[test]
    fn writes_are_read_back_and_never_reach_the_file() {
        let below = InMemoryBackend::new();
        below.set_len(3 * PAGE).unwrap();
        below.write(0, &[1; 3 * PAGE as usize]).unwrap();
        let overlay = Overlay::new(below).unwrap();
        overlay.write(PAGE - 2, &[2; 4]).unwrap();
        let mut read = [0; 8];
        overlay.read(PAGE - 4, &mut read).unwrap();
        assert_eq!(read, [1, 1, 2, 2, 2, 2, 1, 1]);
        overlay.set_len(PAGE).unwrap();
        overlay.set_len(3 * PAGE).unwrap();
        overlay.read(PAGE - 4, &mut read).unwrap();
        assert_eq!(read, [1, 1, 2, 2, 0, 0, 0, 0], "what was cut off does not come back");
        let mut below = [0; 3 * PAGE as usize];
        overlay.below.read(0, &mut below).unwrap();
        assert!(below.iter().all(|&byte| byte == 1));
    }
}
