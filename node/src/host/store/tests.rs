//! Round trips, pruning and boots.

mod copies;
mod crash;
mod damage;
mod rot;
mod world;

use super::*;
use crate::protocol::block::Block;
use crate::protocol::params::TRANSACTION_LIFETIME_SLOTS;
use crate::protocol::vote::{CertificateId, CertificateKind, VoteKind};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::io;
use world::*;

#[test]
fn what_was_committed_is_there_after_reopening() {
    for seed in 0..8 {
        let (medium, model) = lived(seed, 120);
        let (store, restored) = medium.open();
        assert!(restored.intact, "{:?}", store.report());
        assert_eq!(Model::read(&store, &restored), model.restorable(), "seed {seed}");
        let recent = model
            .ledger
            .iter()
            .filter(|id| id.slot.0 + TRANSACTION_LIFETIME_SLOTS >= model.tip().0);
        assert!(restored.recent.iter().map(|block| block.id()).eq(recent.copied()));
        let report = *store.report();
        assert_eq!(report, OpenReport { rows: report.rows, ..OpenReport::default() });
    }
}

/// Two stores that did the same are the same, to the byte and in every write on the way.
#[test]
fn equal_calls_write_equal_bytes() {
    let run = || {
        let medium = Medium::created();
        let (mut store, _) = medium.open();
        let mut life = Life::new(5);
        for _ in 0..60 {
            store.commit(&life.batch()).unwrap();
        }
        drop(store);
        let (mut store, _) = medium.open();
        store.next_boot(77).unwrap();
        (format!("{:?}", medium.ops()), medium.bytes())
    };
    let (a, b) = (run(), run());
    assert!(a == b);
}

/// Every kind of record, one by one and by value.
#[test]
fn every_kind_of_record_comes_back() {
    let a = block(1, GENESIS, 3, 100);
    let b = block(2, a.id(), 1, 0);
    let (skip, fast) = (certificate(2, CertificateKind::Skip), proof(a.id(), true));
    let hash = b.id().hash;
    let kinds = [
        VoteKind::Notar(hash),
        VoteKind::Skip,
        VoteKind::NotarFallback(hash),
        VoteKind::SkipFallback,
        VoteKind::Final,
    ];
    let mut records: Vec<Record> = kinds.into_iter().map(|kind| vote(2, kind)).collect();
    records.extend([Record::Produced(Slot(4)), Record::Produced(Slot(3))]);
    records.extend([Record::Block(a.clone()), Record::Delivered(a.id()), Record::Block(b.clone())]);
    records.extend([Record::Proof(fast.clone()), Record::Certificate(skip.clone())]);
    let medium = Medium::created();
    medium.open().0.commit(&records).unwrap();
    let (store, restored) = medium.open();
    assert!(restored.votes.iter().map(|vote| vote.kind).eq(kinds));
    assert_eq!((restored.produced, restored.tip), (Some(Slot(4)), Some(a.id())));
    for (stored, block) in [(&restored.recent, &a), (&restored.candidates, &b)] {
        let [stored] = &stored[..] else { panic!("{stored:?}") };
        // Everything that is not stored was computed again.
        assert_eq!(format!("{stored:?}"), format!("{block:?}"));
        let shreds = |block: &Block| block.slices().iter().map(|s| s.shred(40)).collect::<Vec<_>>();
        assert_eq!(shreds(stored), shreds(block));
    }
    assert_eq!((restored.proofs, restored.certificates), (vec![fast], vec![skip]));
    assert_eq!(store.votes().unwrap().count(), 5);
    assert!(matches!(store.load(Query::Block(GENESIS)).unwrap(), Stored::Block(None)));
}

/// What is below the tip goes with the delivery that moves it; the tip's own slot stays.
#[test]
fn delivery_drops_what_it_makes_needless() {
    let medium = Medium::created();
    let (mut store, _) = medium.open();
    let mut chain = vec![block(1, GENESIS, 1, 5)];
    for slot in 2..=4 {
        chain.push(block(slot, chain[slot as usize - 2].id(), 1, 5));
    }
    let rivals: Vec<_> = (1..=4)
        .map(|slot| {
            block(slot, if slot == 1 { GENESIS } else { chain[slot as usize - 2].id() }, 1, 9)
        })
        .collect();
    let mut records = Vec::new();
    for (slot, (block, rival)) in (1..).zip(chain.iter().zip(&rivals)) {
        records.extend([Record::Block(block.clone()), Record::Block(rival.clone())]);
        records.push(vote(slot, VoteKind::Skip));
        records.push(Record::Certificate(certificate(slot, CertificateKind::Skip)));
        records.push(Record::Proof(proof(block.id(), false)));
    }
    store.commit(&records).unwrap();
    store.commit(&[1, 2, 3].map(|slot: usize| Record::Delivered(chain[slot - 1].id()))).unwrap();
    // Stored again, as after a second repair: it is on the chain and must stay there.
    store.commit(&[Record::Block(chain[1].clone()), Record::Delivered(chain[3].id())]).unwrap();
    let keys = |table: Table| -> Vec<Vec<u8>> {
        let table = store.db.begin_read().unwrap().open_table(table).unwrap();
        let rows = table.range_owned::<&[u8]>(..).unwrap();
        rows.map(|row| row.unwrap().0.value().to_vec()).collect()
    };
    let blocks = chain.iter().chain(&rivals[3..]).map(|block| rows::block_key(block.id()).to_vec());
    assert!(keys(BLOCKS).into_iter().eq(blocks.collect::<std::collections::BTreeSet<_>>()));
    assert_eq!(keys(LOG).len(), 2, "the head and one vote");
    assert_eq!(keys(rows::CERTIFICATES).len(), 1);
    assert_eq!(keys(PROOFS).len(), 4, "joiners need them");
    drop(store);
    let (_, restored) = medium.open();
    assert_eq!(restored.votes, [Vote::new(Slot(4), VoteKind::Skip)]);
    assert_eq!((restored.candidates.len(), restored.certificates.len()), (0, 0));
    assert_eq!(restored.recent.len(), 4);
}

/// A restart needs the blocks of a transaction's lifetime and the newest proofs, not more.
#[test]
fn a_restart_gets_the_recent_past() {
    let medium = Medium::created();
    let (mut store, _) = medium.open();
    let mut last = GENESIS;
    for slot in 1..=200 {
        let block = block(slot, last, 1, 1);
        last = block.id();
        let delivered = [Record::Block(block), Record::Delivered(last)];
        store.commit(&[&delivered[..], &[Record::Proof(proof(last, true))]].concat()).unwrap();
    }
    let ahead =
        [201, 205].map(|slot| Record::Proof(proof(BlockId::new(Slot(slot), last.hash), true)));
    store.commit(&ahead).unwrap();
    let Stored::Proofs(proofs) = store.load(Query::Proofs(Slot(150))).unwrap() else { panic!() };
    assert!(proofs.iter().map(|proof| proof.slot().0).eq(150..182), "32 of them");
    drop(store);
    let (store, restored) = medium.open();
    assert!(restored.recent.iter().map(|block| block.id().slot.0).eq(50..=200));
    let proofs = restored.proofs.iter().map(|proof| proof.slot().0);
    assert!(proofs.eq((137..=200).chain([201, 205])));
    let old = store.ledger(Slot(0)).unwrap().next().unwrap().unwrap();
    assert!(matches!(store.load(Query::Block(old)).unwrap(), Stored::Block(Some(_))));
}

#[test]
fn boots_grow_whatever_the_clock_says() {
    let medium = Medium::created();
    let clock = [1_000, 999, 999, 0, 5_000, 5_000, u64::MAX, 6_000];
    let boots = clock.map(|seconds| medium.open().0.next_boot(seconds).unwrap());
    assert_eq!(boots, [1_000, 1_001, 1_002, 1_003, 5_000, 5_001, 5_002, 6_000]);
    let (mut store, _) = medium.open();
    assert_eq!(store.next_boot(u32::MAX.into()).unwrap(), u32::MAX);
    assert!(matches!(store.next_boot(0), Err(StoreError::BootCounter)));
    store.commit(&[vote(1, VoteKind::Skip)]).unwrap();
}

/// A store is `Send`, so that the host may keep it on a thread of its own.
#[test]
fn a_store_can_be_moved_to_a_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<Store>();
}

/// What is written stays readable: if this fails, [`FORMAT`] must grow. Keys in full, and the
/// checksums that cover everything else.
#[test]
fn the_format_is_pinned() {
    let mut lines = String::new();
    let mut pin = |name: &str, key: &[u8], row: Vec<u8>| {
        let line = format!(
            "{name}: {} -> {} bytes, {}\n",
            hex::encode(key),
            row.len(),
            hex::encode(&row[..16])
        );
        lines.push_str(&line);
    };
    let vote = rows::vote_key(&Vote::new(Slot(258), VoteKind::NotarFallback(Hash([0xab; 32]))));
    pin("vote", &vote, rows::seal(LOG, &vote, &()));
    let head = rows::Head { marked: true, produced: Some(Slot(4)), votes: 2, ..Default::default() };
    pin("head", HEAD, rows::seal(LOG, HEAD, &head));
    let block = block(1, GENESIS, 2, 3);
    let row = rows::LedgerRow { hash: block.id().hash, parent: block.parent() };
    let slot = rows::slot_key(Slot(1));
    pin("ledger", &slot, rows::seal(LEDGER, &slot, &row));
    pin("block", &rows::block_key(block.id()), rows::seal_block(&block));
    pin("proof", &slot, rows::seal(PROOFS, &slot, &proof(block.id(), false)));
    let skip = certificate(7, CertificateKind::Skip);
    let key = rows::certificate_key(skip.id);
    pin("certificate", &key, rows::seal(rows::CERTIFICATES, &key, &skip));
    let identity = rows::IdentityRow { format: FORMAT, cluster: ME.cluster, node: 3 };
    pin("identity", IDENTITY, rows::seal(META, IDENTITY, &identity));
    pin("boot", BOOT, rows::seal(META, BOOT, &7_u32));
    insta::assert_snapshot!(lines, @r"
    vote: 01000000000000010202abababababababababababababababababababababababababababababababab -> 16 bytes, 7293cf3b7ed280e6b4921e6478b68632
    head: 00 -> 51 bytes, 96cd88c26e1b99d87664d2dfeb181164
    ledger: 0000000000000001 -> 88 bytes, 24f9b317a354c281cd79067d673e9f81
    block: 0000000000000001c9e8609f133c6e57997d9a072c74d568e6803e78180884c4c8eefbbc8affc39e -> 386 bytes, 5a847668287cd620405b57be43375fec
    proof: 0000000000000001 -> 197 bytes, 8645312f9c7ca162fdff35417b664ace
    certificate: 000000000000000703 -> 90 bytes, c9e46ffccc64d25cdbceaedaa4a3e63d
    identity: 6964656e74697479 -> 54 bytes, 21cc3747bc5ce24de3046a6daf8f457e
    boot: 626f6f74 -> 20 bytes, ba6ba25efc215100a4131563d113134c
    ");
}
