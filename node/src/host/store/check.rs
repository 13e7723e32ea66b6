//! The check of everything, once per start, and what the protocol gets from it.
//!
//! Damage is sorted by what it would make the node do. A gap in the vote log would let it vote
//! against itself: the log is declared lost. A gap in the ledger, or in the blocks from which the
//! index of executed transactions is rebuilt, would let it deliver differently: it does not start.
//! Everything else is a copy of what others hold as well, and goes.

use super::apply::State;
use super::rows::{self, *};
use super::{FORMAT, Identity, StoreError, table};
use crate::protocol::Restored;
use crate::protocol::certificate::{Certificate, FinalityProof};
use crate::protocol::params::TRANSACTION_LIFETIME_SLOTS;
use crate::protocol::types::{BlockId, NodeId, Slot};
use redb::{ReadTransaction, ReadableTable};
use std::ops::RangeBounds;
use std::sync::Arc;

/// Proofs at or below the tip that the protocol gets at a start.
const RECENT_PROOFS: usize = 64;

/// Why a log is not whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFault {
    /// The store was not created with the keys, or an earlier start found its log lost.
    Unmarked,
    /// The log or its head is missing or unreadable.
    Lost,
    /// Votes are damaged, missing, or too many.
    Changed,
    /// The ledger has moved on without the log.
    BehindLedger,
}

/// What the check at an opening found. Everything counted as dropped is gone from the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenReport {
    /// Rows whose checksum was right.
    pub rows: u64,
    /// Why the log is not whole; `None` if it is.
    pub log: Option<LogFault>,
    /// Damaged votes.
    pub dropped_votes: u32,
    /// Damaged blocks above the tip.
    pub dropped_candidates: u32,
    /// Delivered blocks, older than what a restart needs, that are damaged or missing. Peers that
    /// ask for them get nothing.
    pub lost_blocks: u32,
    /// Damaged proofs.
    pub dropped_proofs: u32,
    /// Damaged certificates.
    pub dropped_certificates: u32,
}

/// What a store holds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) identity: Option<Identity>,
    pub(super) sealed: bool,
    /// Delivered slot from which an unmarked log begins anew.
    pub(super) anew: Option<Slot>,
    pub(super) restored: Restored,
    pub(super) state: State,
    pub(super) boot: u32,
    pub(super) report: OpenReport,
    /// Rows to be removed.
    pub(super) trash: Vec<(Table, Vec<u8>)>,
    /// The head must be written again.
    pub(super) head_changed: bool,
}

/// Checks every row. Reads only. Without an expected identity, that of the store is as good as any.
pub(super) fn check(
    txn: &ReadTransaction,
    expected: Option<&Identity>,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    found.check_meta(table(txn, META)?, expected)?;
    let blocks = table(txn, BLOCKS)?;
    let ledger = table(txn, LEDGER)?.ok_or_else(|| StoreError::damaged("the ledger is missing"))?;
    found.check_ledger(&ledger, blocks.as_ref())?;
    found.check_log(table(txn, LOG)?)?;
    found.check_candidates(blocks.as_ref())?;
    found.check_proofs(table(txn, PROOFS)?.as_ref())?;
    found.check_certificates(table(txn, CERTIFICATES)?.as_ref())?;
    Ok(found)
}

/// The delivered block in a row, and its parent.
pub(super) fn ledger_row(key: &[u8], row: &[u8]) -> Option<(BlockId, BlockId)> {
    let LedgerRow { hash, parent } = rows::open(LEDGER, key, row)?;
    Some((BlockId::new(rows::slot_of(key)?, hash), parent))
}

/// The proof in a row, if it is about the slot of its key.
pub(super) fn proof_row(key: &[u8], row: &[u8]) -> Option<FinalityProof> {
    let proof: FinalityProof = rows::open(PROOFS, key, row)?;
    (rows::slot_key(proof.slot()) == key).then_some(proof)
}

fn certificate_row(key: &[u8], row: &[u8]) -> Option<Certificate> {
    let certificate: Certificate = rows::open(CERTIFICATES, key, row)?;
    (rows::certificate_key(certificate.id) == key).then_some(certificate)
}

/// Calls `visit` with each key and row in the range; a missing table has none.
fn each<'a>(
    table: Option<&Reader>,
    range: impl RangeBounds<&'a [u8]> + 'a,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(table) = table else { return Ok(()) };
    for entry in table.range::<&[u8]>(range)? {
        let (key, row) = entry?;
        visit(key.value(), row.value())?;
    }
    Ok(())
}

impl Found {
    /// Counts a good row; puts a bad one into the trash. True if it was good.
    fn sort(&mut self, table: Table, key: &[u8], good: bool) -> bool {
        match good {
            true => self.report.rows += 1,
            false => self.trash.push((table, key.to_vec())),
        }
        good
    }

    fn check_meta(
        &mut self,
        meta: Option<Reader>,
        expected: Option<&Identity>,
    ) -> Result<(), StoreError> {
        let nobody = || StoreError::damaged("it does not say whose it is");
        let meta = meta.ok_or_else(nobody)?;
        let row = meta.get(IDENTITY)?.ok_or_else(nobody)?;
        let content = rows::unseal(META, IDENTITY, row.value()).ok_or_else(nobody)?;
        let format = content.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        if let Some(found) = format.filter(|&format| format != FORMAT) {
            return Err(StoreError::Format { found });
        }
        let row = borsh::from_slice::<IdentityRow>(content).map_err(|_| nobody())?;
        let found = Identity { cluster: row.cluster, node: NodeId(row.node) };
        if let Some(&expected) = expected.filter(|&expected| found != *expected) {
            return Err(StoreError::Foreign { found, expected });
        }
        self.identity = Some(found);
        self.sealed = meta.get(SEALED)?.is_some();
        self.anew = meta.get(ANEW)?.and_then(|row| rows::open(META, ANEW, row.value()));
        let boot = meta.get(BOOT)?.and_then(|row| rows::open(META, BOOT, row.value()));
        self.boot = boot.ok_or_else(|| StoreError::damaged("the boot counter is unreadable"))?;
        self.report.rows += 2;
        Ok(())
    }

    /// The chain from its first block to the tip, each block of it, and the recent ones decoded.
    fn check_ledger(&mut self, ledger: &Reader, blocks: Option<&Reader>) -> Result<(), StoreError> {
        let last = match ledger.last()? {
            Some((key, _)) => rows::slot_of(key.value()).unwrap_or_default(),
            None => return Ok(()),
        };
        let recent = Slot(last.0.saturating_sub(TRANSACTION_LIFETIME_SLOTS));
        let mut tip: Option<BlockId> = None;
        each(Some(ledger), .., |key, row| {
            let (id, parent) = ledger_row(key, row)
                .ok_or_else(|| StoreError::damaged(format!("ledger entry after {tip:?}")))?;
            if tip.map_or(parent.slot != Slot::GENESIS, |tip| tip != parent) {
                let what = format!("the ledger has no {parent} between {tip:?} and {id}");
                return Err(StoreError::damaged(what));
            }
            tip = Some(id);
            self.report.rows += 1;
            self.check_delivered(blocks, id, id.slot >= recent)
        })?;
        self.restored.tip = tip;
        Ok(())
    }

    fn check_delivered(
        &mut self,
        blocks: Option<&Reader>,
        id: BlockId,
        recent: bool,
    ) -> Result<(), StoreError> {
        let key = rows::block_key(id);
        let row = match blocks {
            Some(blocks) => blocks.get(key.as_slice())?,
            None => None,
        };
        if recent {
            let block = row.and_then(|row| rows::open_block(&key, row.value()));
            let block =
                block.ok_or_else(|| StoreError::damaged(format!("delivered block {id}")))?;
            self.report.rows += 1;
            self.restored.recent.push(Arc::new(block));
            return Ok(());
        }
        let good =
            row.as_ref().is_some_and(|row| rows::unseal(BLOCKS, &key, row.value()).is_some());
        if good {
            self.report.rows += 1;
            return Ok(());
        }
        self.report.lost_blocks += 1;
        if row.is_some() {
            self.trash.push((BLOCKS, key.to_vec()));
        }
        Ok(())
    }

    /// True if the delivered chain has reached the slot from which the log may begin anew.
    pub(super) fn begins_anew(&self) -> bool {
        let tip = self.restored.tip.map(|tip| tip.slot);
        self.anew.is_some_and(|anew| Some(anew) <= tip)
    }

    /// The votes against the head, and the head against the ledger.
    fn check_log(&mut self, log: Option<Reader>) -> Result<(), StoreError> {
        let stored: Option<Head> = match &log {
            Some(log) => log.get(HEAD)?.and_then(|row| rows::open(LOG, HEAD, row.value())),
            None => None,
        };
        let tip = self.restored.tip;
        let mut head = Head { tip, ..Head::default() };
        let first = rows::votes_from(Slot::GENESIS);
        each(log.as_ref(), first.as_slice().., |key, row| {
            let vote = rows::unseal(LOG, key, row).and(rows::vote_of(key));
            if self.sort(LOG, key, vote.is_some()) {
                self.restored.votes.extend(vote);
                head.add(row);
            } else {
                self.report.dropped_votes += 1;
            }
            Ok(())
        })?;
        self.report.log = match stored {
            None => Some(LogFault::Lost),
            Some(stored) if stored.tip > tip => {
                let what = format!("the ledger ends at {tip:?}, but reached {:?}", stored.tip);
                return Err(StoreError::damaged(what));
            }
            // What the key signed before the log was lost is of an earlier epoch.
            Some(stored) if !stored.marked && self.begins_anew() => None,
            Some(stored) if !stored.marked => Some(LogFault::Unmarked),
            Some(stored) if stored.tip != tip => Some(LogFault::BehindLedger),
            Some(stored) if (stored.votes, stored.sum) != (head.votes, head.sum) => {
                Some(LogFault::Changed)
            }
            Some(_) => None,
        };
        head.produced = stored.and_then(|stored| stored.produced);
        head.marked = self.report.log.is_none();
        self.report.rows += u64::from(stored.is_some());
        self.head_changed = stored != Some(head);
        (self.restored.intact, self.restored.produced) = (head.marked, head.produced);
        self.state.head = head;
        Ok(())
    }

    /// Blocks above the tip, and what else is stored in its slot.
    fn check_candidates(&mut self, blocks: Option<&Reader>) -> Result<(), StoreError> {
        let tip = self.restored.tip;
        let from = rows::slot_key(tip.map_or(Slot::GENESIS, |tip| tip.slot));
        each(blocks, from.as_slice().., |key, row| {
            if rows::block_of(key) == tip && tip.is_some() {
                return Ok(());
            }
            let block = rows::open_block(key, row);
            if !self.sort(BLOCKS, key, block.is_some()) {
                self.report.dropped_candidates += 1;
            }
            if let Some(block) = block {
                self.state.candidates.insert(block.id(), block.parent());
                if tip.is_none_or(|tip| block.id().slot > tip.slot) {
                    self.restored.candidates.push(Arc::new(block));
                }
            }
            Ok(())
        })
    }

    fn check_proofs(&mut self, proofs: Option<&Reader>) -> Result<(), StoreError> {
        let tip = self.restored.tip.map_or(Slot::GENESIS, |tip| tip.slot);
        let mut kept = std::collections::VecDeque::new();
        each(proofs, .., |key, row| {
            let proof = proof_row(key, row);
            if !self.sort(PROOFS, key, proof.is_some()) {
                self.report.dropped_proofs += 1;
            }
            if let Some(proof) = proof {
                if proof.slot() <= tip && kept.len() == RECENT_PROOFS {
                    kept.pop_front();
                }
                kept.push_back(proof);
            }
            Ok(())
        })?;
        self.restored.proofs = kept.into();
        Ok(())
    }

    fn check_certificates(&mut self, certificates: Option<&Reader>) -> Result<(), StoreError> {
        let tip = self.restored.tip;
        each(certificates, .., |key, row| {
            let certificate = certificate_row(key, row);
            if !self.sort(CERTIFICATES, key, certificate.is_some()) {
                self.report.dropped_certificates += 1;
            }
            let above = |c: &Certificate| tip.is_none_or(|tip| c.id.slot > tip.slot);
            self.restored.certificates.extend(certificate.filter(above).map(Arc::new));
            Ok(())
        })
    }
}
