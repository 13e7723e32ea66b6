//! A medium that records what happens to it, lives like those of a node, and a model of what must
//! be in the store then.

use super::super::*;
use crate::crypto::bls;
use crate::protocol::block::tests::{slice, transaction};
use crate::protocol::block::{Block, Payload};
use crate::protocol::certificate::{Bitmap, Certificate, Part};
use crate::protocol::vote::{CertificateId, CertificateKind, VoteKind};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

pub(super) const CACHE: usize = 1 << 20;
pub(super) const ME: Identity = Identity { cluster: Hash([7; 32]), node: NodeId(3) };

/// What a store did to its medium.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write(u64, Vec<u8>),
    Resize(u64),
    Sync,
}

/// A file in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Medium(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
pub(super) struct Inside {
    bytes: Vec<u8>,
    ops: Vec<Op>,
    /// Operations until all of them fail.
    lives: Option<usize>,
}

impl Medium {
    pub(super) fn of(bytes: Vec<u8>) -> Medium {
        Medium(Arc::new(Mutex::new(Inside { bytes, ..Inside::default() })))
    }

    /// A new marked store.
    pub(super) fn created() -> Medium {
        let medium = Medium::default();
        Store::create(medium.clone(), &ME, CACHE).unwrap();
        medium.ops();
        medium
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        change(&mut self.0.lock().unwrap().bytes)
    }

    /// All operations fail after so many, or none any more.
    pub(super) fn fail_after(&self, lives: Option<usize>) {
        self.0.lock().unwrap().lives = lives;
    }

    /// What happened since the last call.
    pub(super) fn ops(&self) -> Vec<Op> {
        std::mem::take(&mut self.0.lock().unwrap().ops)
    }

    pub(super) fn op_count(&self) -> usize {
        self.0.lock().unwrap().ops.len()
    }

    pub(super) fn open(&self) -> (Store, Restored) {
        Store::open(self.clone(), &ME, CACHE).unwrap()
    }
}

pub(super) fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(at, data) => {
            let at = usize::try_from(*at).unwrap();
            bytes[at..at + data.len()].copy_from_slice(data);
        }
        Op::Resize(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        Op::Sync => {}
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }
    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let medium = self.0.lock().unwrap();
        let at = usize::try_from(at).unwrap();
        let bytes = medium.bytes.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or_else(|| io::Error::other("beyond the end"))?);
        Ok(())
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.did(Op::Resize(length))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.did(Op::Sync)
    }
    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        self.did(Op::Write(at, data.to_vec()))
    }
}

impl Medium {
    pub(super) fn did(&self, op: Op) -> io::Result<()> {
        let inside = &mut *self.0.lock().unwrap();
        if let Some(lives) = &mut inside.lives {
            *lives = lives.checked_sub(1).ok_or_else(|| io::Error::other("no space"))?;
        }
        apply(&mut inside.bytes, &op);
        inside.ops.push(op);
        Ok(())
    }
}

pub(super) fn block(slot: u64, parent: BlockId, slices: u8, transactions: u64) -> Arc<Block> {
    let slice = |t: u8| {
        let first = u64::from(t) * transactions;
        let transactions =
            (first..first + transactions).map(|i| transaction(slot * 1_000 + i, 500));
        let parent = (t == 0).then_some(parent);
        slice(
            Slot(slot),
            t,
            t + 1 == slices,
            &Payload { parent, transactions: transactions.collect() },
        )
    };
    Arc::new(Block::new((0..slices).map(slice).collect()).unwrap())
}

pub(super) fn certificate(slot: u64, kind: CertificateKind) -> Arc<Certificate> {
    let signers = Bitmap::new(Bytes::from(vec![slot as u8 | 1; 13])).unwrap();
    let signature = bls::Signature::from_bytes([slot as u8; 48]);
    let first = Some(Part { signers, signature });
    Arc::new(Certificate { id: CertificateId::new(Slot(slot), kind), first, fallback: None })
}

pub(super) fn proof(id: BlockId, fast: bool) -> FinalityProof {
    let of = |kind| certificate(id.slot.0, kind);
    match fast {
        true => FinalityProof::Fast(of(CertificateKind::FastFinal(id.hash))),
        false => FinalityProof::Slow {
            notar: of(CertificateKind::Notar(id.hash)),
            last: of(CertificateKind::Final),
        },
    }
}

pub(super) fn vote(slot: u64, kind: VoteKind) -> Record {
    Record::Vote(Vote::new(Slot(slot), kind))
}

pub(super) const GENESIS: BlockId = BlockId { slot: Slot(0), hash: Hash([9; 32]) };

/// A node's life: blocks with votes, rivals, skips, production, certificates, delivery.
pub(super) struct Life {
    rng: ChaCha8Rng,
    /// Stored but not delivered, in chain order.
    ahead: std::collections::VecDeque<Arc<Block>>,
    last: BlockId,
}

impl Life {
    pub(super) fn new(seed: u64) -> Life {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Life { rng, ahead: Default::default(), last: GENESIS }
    }

    pub(super) fn draw(&mut self, n: u64) -> u64 {
        u64::from(self.rng.next_u32()) % n
    }

    /// The next batch of records.
    pub(super) fn batch(&mut self) -> Vec<Record> {
        let mut batch = Vec::new();
        for _ in 0..=self.draw(3) {
            let slot = self.last.slot.0;
            match self.draw(6) {
                0 => batch.push(Record::Produced(Slot(slot + self.draw(4)))),
                1 => batch.push(vote(slot + self.draw(3), VoteKind::Skip)),
                2 => {
                    let rival = block(slot + 1, self.last, 1, 200 + self.draw(9));
                    batch.push(vote(rival.id().slot.0, VoteKind::NotarFallback(rival.id().hash)));
                    batch.push(Record::Block(rival));
                }
                3 => batch.push(Record::Certificate(certificate(slot, CertificateKind::Skip))),
                _ => self.grow(&mut batch),
            }
        }
        batch
    }

    pub(super) fn grow(&mut self, batch: &mut Vec<Record>) {
        if self.ahead.len() < 4 && self.draw(5) < 3 {
            // A first slot of a window may leave slots out.
            let next = self.last.slot.0 + 1;
            let slot = if self.draw(4) == 0 { next.next_multiple_of(4) } else { next };
            let (slices, transactions) = (1 + self.draw(3) as u8, self.draw(120));
            let block = block(slot, self.last, slices, transactions);
            self.last = block.id();
            batch.push(Record::Block(block.clone()));
            batch.push(vote(slot, VoteKind::Notar(block.id().hash)));
            self.ahead.push_back(block);
        } else if let Some(block) = self.ahead.pop_front() {
            let fast = self.draw(2) == 0;
            batch.push(vote(block.id().slot.0, VoteKind::Final));
            batch.push(Record::Proof(proof(block.id(), fast)));
            batch.push(Record::Delivered(block.id()));
        }
    }
}

/// What must be found, kept by other means than the store's.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    votes: Vec<Vote>,
    produced: Option<Slot>,
    pub(super) ledger: Vec<BlockId>,
    blocks: BTreeMap<BlockId, usize>,
    proofs: BTreeMap<Slot, FinalityProof>,
    certificates: BTreeMap<CertificateId, Arc<Certificate>>,
}

impl Model {
    pub(super) fn apply(&mut self, batch: &[Record]) {
        for record in batch {
            match record {
                Record::Vote(vote) if self.votes.contains(vote) => {}
                Record::Vote(vote) => self.votes.push(*vote),
                Record::Produced(slot) => self.produced = self.produced.max(Some(*slot)),
                Record::Block(block) => {
                    let bytes = block.slices().iter().map(|s| s.encoded.payload().len()).sum();
                    self.blocks.insert(block.id(), bytes);
                }
                Record::Delivered(id) => self.ledger.push(*id),
                Record::Proof(proof) => {
                    self.proofs.insert(proof.slot(), proof.clone());
                }
                Record::Certificate(certificate) => {
                    self.certificates.insert(certificate.id, certificate.clone());
                }
            }
        }
        self.votes.sort();
        if batch.iter().any(|record| matches!(record, Record::Delivered(_))) {
            let tip = self.tip();
            self.votes.retain(|vote| vote.slot >= tip);
            self.certificates.retain(|id, _| id.slot >= tip);
            let ledger = &self.ledger;
            self.blocks.retain(|id, _| id.slot >= tip || ledger.contains(id));
        }
    }

    pub(super) fn tip(&self) -> Slot {
        self.ledger.last().map_or(Slot(0), |tip| tip.slot)
    }

    /// Reads a store in the same terms.
    pub(super) fn read(store: &Store, restored: &Restored) -> Model {
        let certificate = |c: &Arc<Certificate>| (c.id, c.clone());
        let mut model = Model {
            votes: restored.votes.clone(),
            produced: restored.produced,
            ledger: store.ledger(Slot(0)).unwrap().collect::<Result<_, _>>().unwrap(),
            blocks: BTreeMap::new(),
            proofs: BTreeMap::new(),
            certificates: restored.certificates.iter().map(certificate).collect(),
        };
        for proof in store.proofs(Slot(0)).unwrap().map(Result::unwrap) {
            model.proofs.insert(proof.slot(), proof);
        }
        let stored = model.ledger.iter().chain(store.state.candidates.keys());
        for &id in stored {
            let Stored::Block(Some(block)) = store.load(Query::Block(id)).unwrap() else {
                panic!("block {id} is not there")
            };
            let bytes = block.slices().iter().map(|s| s.encoded.payload().len()).sum();
            model.blocks.insert(id, bytes);
        }
        assert_eq!(restored.tip, model.ledger.last().copied());
        assert_eq!(store.votes().unwrap().map(Result::unwrap).collect::<Vec<_>>(), model.votes);
        model
    }

    /// The part that [`Restored`] shows of it.
    pub(super) fn restorable(&self) -> Model {
        let tip = self.tip();
        let mut model = self.clone();
        model.certificates.retain(|id, _| id.slot > tip || self.ledger.is_empty());
        model
    }

    /// The part that rot may not take away unnoticed: all but the certificates, which may be
    /// committed without anything that binds.
    pub(super) fn binding(mut self) -> Model {
        self.certificates.clear();
        self
    }
}

/// A store that has lived for `batches` batches, and what must be in it.
pub(super) fn lived(seed: u64, batches: usize) -> (Medium, Model) {
    let medium = Medium::created();
    let (mut store, restored) = medium.open();
    assert!(restored.intact);
    let (mut life, mut model) = (Life::new(seed), Model::default());
    for _ in 0..batches {
        let batch = life.batch();
        store.commit(&batch).unwrap();
        model.apply(&batch);
    }
    (medium, model)
}
