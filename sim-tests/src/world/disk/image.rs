//! A file of shared pages: holes cost nothing, a copy costs a pointer a page.

use super::Epoch;
use std::sync::Arc;

/// The unit that a disk writes whole or not at all (except for one torn by a crash), in bytes.
pub(super) const SECTOR: usize = 512;
/// The unit of sharing, in bytes: eight sectors.
pub(super) const PAGE: usize = 4_096;

/// A shared page.
pub(super) type Page = Arc<[u8; PAGE]>;

/// The contents of a file. A page that was never written is a hole and reads as zeros.
#[derive(Clone, Default)]
pub(super) struct Image {
    pages: Vec<Option<Page>>,
    len: u64,
}

impl Image {
    /// A file with these contents. Pages of zeros become holes.
    pub(super) fn new(bytes: &[u8]) -> Image {
        let page = |chunk: &[u8]| {
            let mut page = [0; PAGE];
            page[..chunk.len()].copy_from_slice(chunk);
            (page != [0; PAGE]).then(|| Arc::new(page))
        };
        Image { pages: bytes.chunks(PAGE).map(page).collect(), len: bytes.len() as u64 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn page(&self, number: usize) -> Option<Page> {
        self.pages[number].clone()
    }

    /// Reads `out.len()` bytes at `offset`; false if that is beyond the end.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        let Some(end) = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len) else {
            return false;
        };
        let mut at = offset;
        let mut out = out;
        while at < end {
            let (number, start, count) = piece(at, end);
            let (head, tail) = out.split_at_mut(count);
            match &self.pages[number] {
                Some(page) => head.copy_from_slice(&page[start..start + count]),
                None => head.fill(0),
            }
            (out, at) = (tail, at + count as u64);
        }
        true
    }

    /// Writes `data` at `offset`, inside the length, and reports the sectors of each page touched.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], mut touched: impl FnMut(usize, u8)) {
        let end = offset + data.len() as u64;
        let mut at = offset;
        let mut data = data;
        while at < end {
            let (number, start, count) = piece(at, end);
            let (head, tail) = data.split_at(count);
            self.put(number, start, head);
            let (first, last) = (start / SECTOR, (start + count - 1) / SECTOR);
            touched(number, (0xFF << first) & (0xFF_u8 >> (7 - last)));
            (data, at) = (tail, at + count as u64);
        }
    }

    /// Cuts the file to `shortest` (if it was that short in between), then gives it the length
    /// `len`. New bytes are zeros.
    pub(super) fn resize(&mut self, shortest: Option<u64>, len: u64) {
        let cut = shortest.unwrap_or(len).min(len);
        if cut < self.len {
            self.pages.truncate(cut.div_ceil(PAGE as u64) as usize);
            let inside = (cut % PAGE as u64) as usize;
            let last = self.pages.len().wrapping_sub(1);
            if inside > 0 && self.pages[last].is_some() {
                self.page_mut(last)[inside..].fill(0);
            }
        }
        self.pages.resize(len.div_ceil(PAGE as u64) as usize, None);
        self.len = len;
    }

    /// Lets a whole epoch arrive.
    pub(super) fn apply(&mut self, epoch: Epoch) {
        self.resize(epoch.shortest, epoch.len);
        for (number, _, page) in epoch.pages {
            self.pages[number] = page;
        }
    }

    /// Copies the first `bytes` bytes of one sector from `page` (`None` is a hole), as far as they
    /// lie inside the file.
    pub(super) fn copy_sector(
        &mut self,
        number: usize,
        sector: usize,
        bytes: usize,
        page: Option<&[u8; PAGE]>,
    ) {
        let start = sector * SECTOR;
        let at = (number * PAGE + start) as u64;
        let bytes = bytes.min(self.len.saturating_sub(at) as usize);
        if bytes == 0 {
            return;
        }
        let target = &mut self.page_mut(number)[start..start + bytes];
        match page {
            Some(page) => target.copy_from_slice(&page[start..start + bytes]),
            None => target.fill(0),
        }
    }

    /// Flips one bit inside the file; an empty file has none.
    pub(super) fn flip_bit(&mut self, bit: u64) {
        let at = bit / 8;
        if at < self.len {
            let page = self.page_mut((at / PAGE as u64) as usize);
            page[(at % PAGE as u64) as usize] ^= 1 << (bit % 8);
        }
    }

    /// Writes inside one page. One that is replaced as a whole is not copied first.
    fn put(&mut self, number: usize, start: usize, data: &[u8]) {
        let page = &mut self.pages[number];
        match (<&[u8; PAGE]>::try_from(data), page.as_mut().and_then(Arc::get_mut)) {
            (Ok(whole), Some(unshared)) => *unshared = *whole,
            (Ok(whole), None) => *page = Some(Arc::new(*whole)),
            (Err(_), _) => self.page_mut(number)[start..start + data.len()].copy_from_slice(data),
        }
    }

    fn page_mut(&mut self, number: usize) -> &mut [u8; PAGE] {
        Arc::make_mut(self.pages[number].get_or_insert_with(|| Arc::new([0; PAGE])))
    }
}

/// The part of `at..end` that lies in the page of `at`: page number, start in it, byte count.
fn piece(at: u64, end: u64) -> (usize, usize, usize) {
    let start = (at % PAGE as u64) as usize;
    let count = (end - at).min((PAGE - start) as u64) as usize;
    ((at / PAGE as u64) as usize, start, count)
}
