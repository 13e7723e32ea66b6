//! One batch of records into one transaction.
//!
//! What is delivered makes most of what is older needless: votes, certificates and blocks below
//! the tip that are not on the chain. They go in the same transaction in which the tip moves, so
//! that the log never claims to be cut where the ledger has not been. The tip's own slot stays:
//! its votes and certificates are what a peer one slot behind asks for.
//!
//! What is needed to do that without reading blocks back is kept in memory: the head of the log,
//! and which stored blocks are not delivered yet.

use super::StoreError;
use super::rows::{self, BLOCKS, CERTIFICATES, HEAD, Head, LEDGER, LOG, LedgerRow, PROOFS};
use crate::protocol::Record;
use crate::protocol::types::{BlockId, Hash, Slot};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::BTreeMap;

/// The part of the store that is kept in memory.
#[derive(Debug, Default)]
pub(super) struct State {
    /// As in the log table.
    pub(super) head: Head,
    /// Stored blocks that are not in the ledger, with their parents.
    pub(super) candidates: BTreeMap<BlockId, BlockId>,
}

type Open<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

/// A table that is opened when it is first needed: each open one costs the commit something, and
/// most commits are votes.
struct Lazy<'txn> {
    txn: &'txn WriteTransaction,
    name: rows::Table,
    table: Option<Open<'txn>>,
}

impl<'txn> Lazy<'txn> {
    fn open(&mut self) -> Result<&mut Open<'txn>, StoreError> {
        if self.table.is_none() {
            self.table = Some(self.txn.open_table(self.name)?);
        }
        Ok(self.table.as_mut().expect("just opened"))
    }
}

struct Tables<'txn> {
    log: Lazy<'txn>,
    ledger: Lazy<'txn>,
    blocks: Lazy<'txn>,
    proofs: Lazy<'txn>,
    certificates: Lazy<'txn>,
}

impl State {
    /// Writes the records in order. On an error nothing of `self` may be used any more.
    pub(super) fn apply(
        &mut self,
        txn: &WriteTransaction,
        records: &[Record],
    ) -> Result<(), StoreError> {
        let lazy = |name| Lazy { txn, name, table: None };
        let mut tables = Tables {
            log: lazy(LOG),
            ledger: lazy(LEDGER),
            blocks: lazy(BLOCKS),
            proofs: lazy(PROOFS),
            certificates: lazy(CERTIFICATES),
        };
        let before = self.head;
        for record in records {
            self.apply_one(&mut tables, record)?;
        }
        if self.head.tip != before.tip {
            self.prune(&mut tables)?;
        }
        if self.head != before {
            tables.log.open()?.insert(HEAD, rows::seal(LOG, HEAD, &self.head).as_slice())?;
        }
        Ok(())
    }

    fn apply_one(&mut self, tables: &mut Tables<'_>, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::Vote(vote) => {
                let key = rows::vote_key(vote);
                let row = rows::seal(LOG, &key, &());
                if tables.log.open()?.insert(key.as_slice(), row.as_slice())?.is_none() {
                    self.head.add(&row);
                }
            }
            Record::Produced(slot) => self.head.produced = self.head.produced.max(Some(*slot)),
            Record::Block(block) => {
                let id = block.id();
                if !self.candidates.contains_key(&id) && !self.is_delivered(tables, id)? {
                    let key = rows::block_key(id);
                    tables
                        .blocks
                        .open()?
                        .insert(key.as_slice(), rows::seal_block(block).as_slice())?;
                    self.candidates.insert(id, block.parent());
                }
            }
            Record::Delivered(id) => self.deliver(tables, *id)?,
            Record::Proof(proof) => {
                let key = rows::slot_key(proof.slot());
                let row = rows::seal(PROOFS, &key, proof);
                tables.proofs.open()?.insert(key.as_slice(), row.as_slice())?;
            }
            Record::Certificate(certificate) => {
                let key = rows::certificate_key(certificate.id);
                let row = rows::seal(CERTIFICATES, &key, certificate);
                tables.certificates.open()?.insert(key.as_slice(), row.as_slice())?;
            }
        }
        Ok(())
    }

    fn is_delivered(&self, tables: &mut Tables<'_>, id: BlockId) -> Result<bool, StoreError> {
        if self.head.tip.is_none_or(|tip| id.slot > tip.slot) {
            return Ok(false);
        }
        let key = rows::slot_key(id.slot);
        let row = tables.ledger.open()?.get(key.as_slice())?;
        let row = row.and_then(|row| rows::open::<LedgerRow>(LEDGER, &key, row.value()));
        Ok(row.is_some_and(|row| row.hash == id.hash))
    }

    fn deliver(&mut self, tables: &mut Tables<'_>, id: BlockId) -> Result<(), StoreError> {
        let parent = self.candidates.remove(&id);
        let parent = parent.expect("a block is stored before it is delivered, and delivered once");
        let follows = self.head.tip.map_or(parent.slot == Slot::GENESIS, |tip| tip == parent);
        assert!(follows, "block {id} with parent {parent} does not follow {:?}", self.head.tip);
        let key = rows::slot_key(id.slot);
        let row = rows::seal(LEDGER, &key, &LedgerRow { hash: id.hash, parent });
        tables.ledger.open()?.insert(key.as_slice(), row.as_slice())?;
        self.head.tip = Some(id);
        Ok(())
    }

    /// Drops what is below the tip and not on the chain.
    fn prune(&mut self, tables: &mut Tables<'_>) -> Result<(), StoreError> {
        let Some(tip) = self.head.tip else { return Ok(()) };
        let (first, end) = (rows::votes_from(Slot::GENESIS), rows::votes_from(tip.slot));
        for vote in
            tables.log.open()?.extract_from_if(first.as_slice()..end.as_slice(), |_, _| true)?
        {
            self.head.subtract(vote?.1.value());
        }
        let end = rows::slot_key(tip.slot);
        tables.certificates.open()?.retain_in(..end.as_slice(), |_, _| false)?;
        let kept = self.candidates.split_off(&BlockId::new(tip.slot, Hash::default()));
        for id in std::mem::replace(&mut self.candidates, kept).into_keys() {
            tables.blocks.open()?.remove(rows::block_key(id).as_slice())?;
        }
        Ok(())
    }
}
