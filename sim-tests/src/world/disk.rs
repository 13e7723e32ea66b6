//! The disk of one node: what a process reads, what survives a crash, and why they differ.
//!
//! The problem: a database is correct or not in the moments between a write and the end of its
//! sync. A simulation that keeps a file as a plain byte vector never sees them: each write is
//! durable at once. Recording each write and replaying a prefix is closer, but real disks reorder
//! writes between two syncs and lose any subset of the sectors.
//!
//! Our way: two images. The *view* is what the process reads: all its writes. The *medium* is what
//! a crash leaves: only what was synced and had the time to get there. A sync closes an *epoch*:
//! the set of 512-byte sectors changed since the last one. Epochs reach the medium whole, in order,
//! each one sync latency after the one before it. A crash keeps what has arrived; of the rest it
//! keeps everything, nothing, or a run of whole epochs and an arbitrary subset of the sectors of
//! the next one, one of them torn in the middle; never anything of a later epoch, because on a real
//! disk those writes would have been issued after the earlier sync returned.
//!
//! `sync_data` therefore returns at once: the process goes on, and asks with a ticket to be told
//! when all it synced is durable. Nothing may be promised to others before that.
//!
//! Cost: pages of 4 KiB are shared between view, epochs and medium, and copied when written.
//! Because the view holds all earlier writes, a page closed into an epoch *is* the page that the
//! medium will have, so an epoch arrives by moving pointers.

mod handle;
mod image;

pub use handle::Handle;

use super::rng::Draws;
use image::{Image, PAGE, Page, SECTOR};
use std::collections::{BTreeMap, VecDeque};

/// What a node's disk is like. May be changed while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// Time from a sync (or from the end of the one before it) until its epoch is durable, in
    /// nanoseconds.
    pub sync_ns: u64,
    /// Up to this many millionths of `sync_ns` are added to each sync, drawn by name.
    pub sync_jitter_ppm: u32,
    /// This share of all syncs stalls, in parts per billion, drawn by name.
    pub stall_ppb: u32,
    /// How much longer such a sync takes, in nanoseconds. What is synced meanwhile waits for it.
    pub stall_ns: u64,
    /// The file cannot grow beyond this many bytes.
    pub capacity_bytes: u64,
    /// If set, every write and every change of length fails with it and changes nothing.
    pub write_fault: Option<Fault>,
    /// If set, every sync fails with it and closes nothing: what was written stays unsynced.
    pub sync_fault: Option<Fault>,
}

impl Default for DiskConfig {
    /// A good disk without limits: 200 microseconds a sync.
    fn default() -> DiskConfig {
        DiskConfig {
            sync_ns: 200_000,
            sync_jitter_ppm: 0,
            stall_ppb: 0,
            stall_ns: 0,
            capacity_bytes: u64::MAX,
            write_fault: None,
            sync_fault: None,
        }
    }
}

/// Why an operation on a disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// The device reported an error (EIO).
    #[error("simulated input/output error")]
    Io,
    /// The device is full (ENOSPC).
    #[error("simulated disk full")]
    NoSpace,
}

/// What a crash does to the writes that are not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashMode {
    /// All of them survive, synced or not: the process died, the machine did not.
    Keep,
    /// None of them survives.
    Lose,
    /// Some whole epochs survive, then an arbitrary subset of the sectors of the next one, one of
    /// them torn at an arbitrary byte.
    Tear,
}

/// What changed since the last sync.
#[derive(Default)]
struct Changes {
    /// Page number to the set of its changed sectors, one bit each.
    pages: BTreeMap<usize, u8>,
    /// Set if the length was changed: the shortest that the file was meanwhile.
    shortest: Option<u64>,
}

/// What one sync has closed.
struct Epoch {
    durable_ns: u64,
    pages: Vec<(usize, u8, Option<Page>)>,
    shortest: Option<u64>,
    len: u64,
}

/// The disk of one node.
pub(super) struct Disk {
    config: DiskConfig,
    node: u64,
    /// The incarnation that may use it; 0 while the node is down.
    owner: u32,
    view: Image,
    medium: Image,
    open: Changes,
    pending: VecDeque<Epoch>,
    /// When the last closed epoch is durable.
    flushed_ns: u64,
    /// Set by a failed sync until one succeeds.
    failed: Option<Fault>,
    /// Number of syncs, crashes and rots so far: they name the draws.
    syncs: u64,
    crashes: u64,
    rots: u64,
    sync_draws: Draws,
    tear_draws: Draws,
    rot_draws: Draws,
}

impl Disk {
    pub(super) fn new(seed: u64, node: usize, config: DiskConfig) -> Disk {
        Disk {
            config,
            node: node as u64,
            owner: 0,
            view: Image::default(),
            medium: Image::default(),
            open: Changes::default(),
            pending: VecDeque::new(),
            flushed_ns: 0,
            failed: None,
            syncs: 0,
            crashes: 0,
            rots: 0,
            sync_draws: Draws::new(seed, "disk sync"),
            tear_draws: Draws::new(seed, "disk tear"),
            rot_draws: Draws::new(seed, "disk rot"),
        }
    }

    /// Draws from another seed from now on.
    pub(super) fn draw_anew(&mut self, seed: u64) {
        self.sync_draws = Draws::new(seed, "disk sync");
        self.tear_draws = Draws::new(seed, "disk tear");
        self.rot_draws = Draws::new(seed, "disk rot");
    }

    /// The configuration, to be read or changed.
    pub(super) fn config_mut(&mut self) -> &mut DiskConfig {
        &mut self.config
    }

    /// Gives the disk to a new incarnation.
    pub(super) fn attach(&mut self, incarnation: u32) {
        self.owner = incarnation;
        self.failed = None;
    }

    /// Takes the disk from a process that ended by itself: the machine goes on, nothing is lost.
    pub(super) fn detach(&mut self) {
        self.owner = 0;
    }

    /// Closes an epoch.
    fn sync(&mut self, now_ns: u64) -> Result<(), Fault> {
        self.settle(now_ns);
        if let Some(fault) = self.config.sync_fault {
            self.failed = Some(fault);
            return Err(fault);
        }
        self.failed = None;
        let jitter = u128::from(self.config.sync_ns) * u128::from(self.config.sync_jitter_ppm);
        let draw = self.sync_draws.draw(self.node, self.syncs);
        let stalls = draw.happens(1, self.config.stall_ppb);
        let stall_ns = if stalls { self.config.stall_ns } else { 0 };
        let jitter_ns = draw.below(0, (jitter / 1_000_000) as u64);
        let takes_ns = self.config.sync_ns + jitter_ns + stall_ns;
        self.syncs += 1;
        self.flushed_ns = self.flushed_ns.max(now_ns) + takes_ns;
        let changes = std::mem::take(&mut self.open);
        let epoch = self.epoch(changes, self.flushed_ns);
        self.pending.push_back(epoch);
        Ok(())
    }

    fn epoch(&self, changes: Changes, durable_ns: u64) -> Epoch {
        let page = |(number, mask)| (number, mask, self.view.page(number));
        Epoch {
            durable_ns,
            pages: changes.pages.into_iter().map(page).collect(),
            shortest: changes.shortest,
            len: self.view.len(),
        }
    }

    /// When everything synced so far is durable, or why it never will be.
    pub(super) fn flushed_at(&self) -> Result<u64, Fault> {
        match self.failed {
            Some(fault) => Err(fault),
            None => Ok(self.flushed_ns),
        }
    }

    /// Moves the epochs that have become durable to the medium.
    pub(super) fn settle(&mut self, now_ns: u64) {
        while self.pending.front().is_some_and(|epoch| epoch.durable_ns <= now_ns) {
            let epoch = self.pending.pop_front().expect("just seen");
            self.medium.apply(epoch);
        }
    }

    /// Stops the disk at `now_ns` and leaves on it what `mode` says. The node is down after it.
    pub(super) fn crash(&mut self, now_ns: u64, mode: CrashMode) {
        self.settle(now_ns);
        self.owner = 0;
        let changes = std::mem::take(&mut self.open);
        if !changes.pages.is_empty() || changes.shortest.is_some() {
            let unsynced = self.epoch(changes, u64::MAX);
            self.pending.push_back(unsynced);
        }
        match mode {
            CrashMode::Keep => {
                std::mem::take(&mut self.pending).into_iter().for_each(|e| self.medium.apply(e));
            }
            CrashMode::Lose => self.pending.clear(),
            CrashMode::Tear => self.tear(),
        }
        self.crashes += 1;
        self.flushed_ns = now_ns;
        self.view = self.medium.clone();
    }

    fn tear(&mut self) {
        let stream = self.node << 32 | self.crashes;
        let draw = self.tear_draws.draw(stream, u64::MAX);
        let whole = draw.below(0, self.pending.len() as u64);
        let mut pending = std::mem::take(&mut self.pending).into_iter();
        pending.by_ref().take(whole as usize).for_each(|epoch| self.medium.apply(epoch));
        let Some(mut epoch) = pending.next() else { return };
        // The length is one piece of metadata: all of its change survives or none.
        if draw.word(1) & 1 == 1 {
            self.medium.resize(epoch.shortest, epoch.len);
        }
        let sectors: u64 =
            epoch.pages.iter().map(|(_, mask, _)| u64::from(mask.count_ones())).sum();
        let chosen = draw.below(2, sectors);
        let torn_at = draw.below(3, SECTOR as u64) as usize;
        let subset = draw.below(4, 5);
        let mut index = 0;
        for (number, mask, page) in epoch.pages.drain(..) {
            let coins = self.tear_draws.draw(stream, number as u64);
            let coins = [coins.word(0) as u8, coins.word(1) as u8];
            for sector in (0..8).filter(|sector| mask >> sector & 1 == 1) {
                let coin = |which: usize| coins[which] >> sector & 1 == 1;
                let kept = match subset {
                    0 => coin(0) && coin(1),
                    1 => coin(0),
                    2 => coin(0) || coin(1),
                    3 => index != chosen,
                    _ => index == chosen,
                };
                // The chosen sector is torn: its first bytes are new, the others old.
                let bytes = if index == chosen { torn_at } else { SECTOR };
                if kept || index == chosen {
                    self.medium.copy_sector(number, sector, bytes, page.as_deref());
                }
                index += 1;
            }
        }
    }

    /// Flips `bits` bits anywhere on the medium. A running process may not see it before a restart,
    /// because it reads its view, as it would read the page cache.
    pub(super) fn rot(&mut self, bits: u32) {
        let stream = self.node << 32 | self.rots;
        self.rots += 1;
        for i in 0..bits {
            let draw = self.rot_draws.draw(stream, u64::from(i));
            self.medium.flip_bit(draw.below(0, self.medium.len() * 8));
        }
        if self.owner == 0 && self.pending.is_empty() && self.open.pages.is_empty() {
            self.view = self.medium.clone();
        }
    }

    /// Replaces the disk by an empty one.
    ///
    /// # Panics
    /// If the node is running.
    pub(super) fn lose(&mut self) {
        assert_eq!(self.owner, 0, "a disk is lost while its node is down");
        self.view = Image::default();
        self.medium = Image::default();
        self.open = Changes::default();
        self.pending.clear();
    }

    /// Lets the file grow no further than it is now.
    pub(super) fn fill(&mut self) {
        self.config.capacity_bytes = self.view.len();
    }

    /// A copy of the file as a process would find it, while the node is down.
    pub(super) fn image(&self) -> Vec<u8> {
        assert_eq!(self.owner, 0, "a disk is copied while its node is down");
        let mut bytes = vec![0; self.view.len() as usize];
        assert!(self.view.read(0, &mut bytes), "the length is the file's");
        bytes
    }

    /// Gives the file these durable contents, while the node is down.
    pub(super) fn install(&mut self, bytes: &[u8]) {
        self.lose();
        self.view = Image::new(bytes);
        self.medium = self.view.clone();
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), Fault> {
        self.room(offset.saturating_add(data.len() as u64))?;
        if offset + data.len() as u64 > self.view.len() {
            self.set_len(offset + data.len() as u64)?;
        }
        self.view.write(offset, data, |page, mask| {
            *self.open.pages.entry(page).or_insert(0) |= mask;
        });
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> Result<(), Fault> {
        self.room(len)?;
        let shortest = self.open.shortest.unwrap_or(self.view.len()).min(len);
        self.open.shortest = Some(shortest);
        if len < self.view.len() {
            // What was written beyond the new end is no longer there to be synced.
            let end = len.div_ceil(SECTOR as u64) as usize;
            self.open.pages.retain(|page, mask| {
                let left = end.saturating_sub(page * (PAGE / SECTOR)).min(8);
                *mask &= ((1u16 << left) - 1) as u8;
                *mask != 0
            });
        }
        self.view.resize(None, len);
        Ok(())
    }

    fn room(&self, end: u64) -> Result<(), Fault> {
        match self.config.write_fault {
            Some(fault) => Err(fault),
            None if end > self.config.capacity_bytes => Err(Fault::NoSpace),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
