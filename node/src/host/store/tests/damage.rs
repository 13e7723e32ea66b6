//! Stores that were tampered with row by row, stores of others, and disks that refuse to work.

use super::rows::{CERTIFICATES, Head, IdentityRow, seal};
use super::*;
use redb::ReadableTable;

/// Changes the tables behind the store's back, with pages that are perfectly good.
fn tamper(medium: &Medium, change: impl FnOnce(&WriteTransaction)) {
    let db = Database::builder().create_with_backend(medium.clone()).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

fn remove(txn: &WriteTransaction, table: Table, key: &[u8]) {
    assert!(txn.open_table(table).unwrap().remove(key).unwrap().is_some());
}

/// Flips one bit of a row, anywhere in it.
fn flip(txn: &WriteTransaction, table: Table, key: &[u8]) {
    let mut table = txn.open_table(table).unwrap();
    let mut row = table.get(key).unwrap().unwrap().value().to_vec();
    let at = row.len() * 7 / 8;
    row[at] ^= 4;
    table.insert(key, row.as_slice()).unwrap();
}

fn slot_key(slot: u64) -> [u8; 8] {
    rows::slot_key(Slot(slot))
}

/// Slots 1 to 200 delivered, 201 stored and voted for, a skip vote on 203.
fn grown() -> (Medium, Vec<BlockId>) {
    let medium = Medium::created();
    let (mut store, _) = medium.open();
    let mut ids = vec![GENESIS];
    for slot in 1..=201 {
        let block = block(slot, ids[slot as usize - 1], 1, 2);
        ids.push(block.id());
        let vote = vote(slot, VoteKind::Notar(block.id().hash));
        let mut records = vec![Record::Block(block), vote];
        if slot < 201 {
            records.push(Record::Proof(proof(ids[slot as usize], true)));
            records.push(Record::Delivered(ids[slot as usize]));
        }
        store.commit(&records).unwrap();
    }
    let skip = Record::Certificate(certificate(203, CertificateKind::Skip));
    store.commit(&[vote(203, VoteKind::Skip), skip, Record::Produced(Slot(200))]).unwrap();
    (medium, ids)
}

type Tamper = fn(&WriteTransaction, &[BlockId]);

fn skip_key(slot: u64) -> Vec<u8> {
    rows::vote_key(&Vote::new(Slot(slot), VoteKind::Skip))
}

fn change_head(txn: &WriteTransaction, change: impl FnOnce(&mut Head)) {
    let row = txn.open_table(LOG).unwrap().get(HEAD).unwrap().unwrap().value().to_vec();
    let mut head: Head = rows::open(LOG, HEAD, &row).unwrap();
    change(&mut head);
    put(txn, LOG, HEAD, &head).unwrap();
}

fn move_vote(txn: &WriteTransaction, from: &[u8], to: &[u8]) {
    let mut log = txn.open_table(LOG).unwrap();
    let row = log.remove(from).unwrap().unwrap().value().to_vec();
    log.insert(to, row.as_slice()).unwrap();
}

/// Whatever is wrong with the log, the node observes, now and after the next start.
#[test]
fn a_log_that_is_not_whole_is_lost_for_good() {
    use LogFault::*;
    let (medium, ids) = grown();
    let image = medium.bytes();
    let cases: [(&str, LogFault, Tamper); 9] = [
        ("no table", Lost, |txn, _| assert!(txn.delete_table(LOG).unwrap())),
        ("no head", Lost, |txn, _| remove(txn, LOG, HEAD)),
        ("bad head", Lost, |txn, _| flip(txn, LOG, HEAD)),
        ("unmarked", Unmarked, |txn, _| change_head(txn, |head| head.marked = false)),
        ("a vote less", Changed, |txn, _| remove(txn, LOG, &skip_key(203))),
        ("a vote more", Changed, |txn, _| put(txn, LOG, &skip_key(202), &()).unwrap()),
        ("a bad vote", Changed, |txn, _| flip(txn, LOG, &skip_key(203))),
        ("a moved vote", Changed, |txn, _| move_vote(txn, &skip_key(203), &skip_key(204))),
        ("older than the ledger", BehindLedger, |txn, ids| {
            change_head(txn, |head| head.tip = Some(ids[199]));
        }),
    ];
    for (what, fault, change) in cases {
        let medium = Medium::of(image.clone());
        tamper(&medium, |txn| change(txn, &ids));
        for (slot, expected) in [(204, fault), (208, LogFault::Unmarked)] {
            let (mut store, restored) = medium.open();
            assert_eq!((restored.intact, store.report().log), (false, Some(expected)), "{what}");
            assert_eq!((restored.tip, restored.recent.len()), (Some(ids[200]), 151), "{what}");
            // It follows the chain all the same.
            store.commit(&[Record::Block(block(slot, ids[201], 1, 1))]).unwrap();
            store.next_boot(0).unwrap();
        }
    }
}

/// What decides what is delivered, and who this is, is needed to start.
#[test]
fn damage_to_what_a_node_delivers_keeps_it_from_starting() {
    let (medium, ids) = grown();
    let image = medium.bytes();
    let cases: [(&str, Tamper); 10] = [
        ("no ledger", |txn, _| assert!(txn.delete_table(LEDGER).unwrap())),
        ("no blocks", |txn, _| assert!(txn.delete_table(BLOCKS).unwrap())),
        ("no meta", |txn, _| assert!(txn.delete_table(META).unwrap())),
        ("bad entry", |txn, _| flip(txn, LEDGER, &slot_key(3))),
        ("no first entry", |txn, _| remove(txn, LEDGER, &slot_key(1))),
        ("gap", |txn, _| remove(txn, LEDGER, &slot_key(100))),
        ("no last entry", |txn, _| remove(txn, LEDGER, &slot_key(200))),
        ("bad recent block", |txn, ids| flip(txn, BLOCKS, &rows::block_key(ids[50]))),
        ("no recent block", |txn, ids| remove(txn, BLOCKS, &rows::block_key(ids[200]))),
        ("bad boot counter", |txn, _| flip(txn, META, BOOT)),
    ];
    for (what, change) in cases {
        let medium = Medium::of(image.clone());
        tamper(&medium, |txn| change(txn, &ids));
        let result = Store::open(medium, &ME, CACHE);
        assert!(matches!(result, Err(StoreError::Damaged { .. })), "{what}: {result:?}");
    }
}

/// The rest can be fetched again.
#[test]
fn other_damage_is_dropped_and_counted() {
    let (medium, ids) = grown();
    let skip = CertificateId::new(Slot(203), CertificateKind::Skip);
    tamper(&medium, |txn| {
        flip(txn, BLOCKS, &rows::block_key(ids[201]));
        flip(txn, BLOCKS, &rows::block_key(ids[7]));
        remove(txn, BLOCKS, &rows::block_key(ids[8]));
        flip(txn, PROOFS, &slot_key(9));
        flip(txn, CERTIFICATES, &rows::certificate_key(skip));
        // Good in itself, but not about the slot of its key.
        put(txn, PROOFS, &slot_key(300), &proof(ids[10], true)).unwrap();
    });
    let (store, restored) = medium.open();
    let report = OpenReport {
        rows: store.report().rows,
        log: None,
        dropped_votes: 0,
        dropped_candidates: 1,
        lost_blocks: 2,
        dropped_proofs: 2,
        dropped_certificates: 1,
    };
    assert_eq!((restored.intact, *store.report()), (true, report));
    assert!(restored.candidates.is_empty() && restored.certificates.is_empty());
    assert!(matches!(store.load(Query::Block(ids[7])).unwrap(), Stored::Block(None)));
    drop(store);
    let (store, _) = medium.open();
    assert_eq!(
        *store.report(),
        OpenReport { rows: report.rows, lost_blocks: 2, ..OpenReport::default() }
    );
}

/// Content that is encoded already.
struct Raw(Vec<u8>);

impl borsh::BorshSerialize for Raw {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&self.0)
    }
}

/// A block that passes its checksum but is not the one that its key names.
#[test]
fn a_block_is_checked_against_its_name() {
    let (medium, ids) = grown();
    tamper(&medium, |txn| {
        let mut blocks = txn.open_table(BLOCKS).unwrap();
        let key = rows::block_key(ids[201]);
        let row = blocks.get(key.as_slice()).unwrap().unwrap().value().to_vec();
        let slices = rows::unseal(BLOCKS, &key, &row).unwrap().to_vec();
        let other = rows::block_key(BlockId::new(Slot(201), ids[200].hash));
        blocks.insert(other.as_slice(), seal(BLOCKS, &other, &Raw(slices)).as_slice()).unwrap();
    });
    let (store, restored) = medium.open();
    assert_eq!((restored.candidates.len(), store.report().dropped_candidates), (1, 1));
}

#[test]
fn stores_of_others_and_of_other_versions_are_refused() {
    let medium = Medium::created();
    let open = |identity: Identity| Store::open(medium.clone(), &identity, CACHE).map(|_| ());
    let other_node = Identity { node: NodeId(4), ..ME };
    let other_cluster = Identity { cluster: Hash([8; 32]), ..ME };
    for expected in [other_node, other_cluster] {
        let error = open(expected).unwrap_err();
        assert!(matches!(&error, StoreError::Foreign { found: ME, .. }), "{error}");
    }
    insta::assert_snapshot!(open(other_node).unwrap_err(), @"this is the store of node 3 of cluster 07070707, not of node 4 of cluster 07070707. Start the node with its own data directory");
    let create = || Store::create(medium.clone(), &ME, CACHE);
    insta::assert_snapshot!(create().unwrap_err(), @"there is a store here already. A store is created once, together with the keys; for a new identity choose an empty place");
    open(ME).unwrap();
    assert!(matches!(create(), Err(StoreError::Exists)));
    tamper(&medium, |txn| {
        let row = IdentityRow { format: 2, cluster: ME.cluster, node: 3 };
        put(txn, META, IDENTITY, &(row, "and what a later version adds")).unwrap();
    });
    insta::assert_snapshot!(open(ME).unwrap_err(), @"this store has format 2, and this program reads format 1. Use the version that wrote it");
    tamper(&medium, |txn| flip(txn, META, IDENTITY));
    insta::assert_snapshot!(open(ME).unwrap_err(), @"the store is damaged: it does not say whose it is. The node does not start with it. Check the disk; then move the store away, and the node will rebuild its ledger from its peers as an observer");
}

/// The disk refuses to work at each operation in turn: the error says so, later calls refuse, and
/// what was acknowledged before is there when the disk works again.
#[test]
fn a_disk_that_fails_loses_nothing() {
    let mut refused = 0;
    for lives in 0..60 {
        let medium = Medium::created();
        let (mut store, _) = medium.open();
        medium.fail_after(Some(lives));
        let (mut life, mut models) = (Life::new(9), vec![Model::default()]);
        for _ in 0..5 {
            let batch = life.batch();
            let mut model = models.last().unwrap().clone();
            model.apply(&batch);
            match store.commit(&batch) {
                Ok(()) => models = vec![model],
                Err(StoreError::Disk(_)) => {
                    models.push(model);
                    refused += 1;
                    assert!(matches!(store.commit(&batch), Err(StoreError::Failed)));
                    assert!(matches!(store.next_boot(1), Err(StoreError::Failed)));
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        drop(store);
        medium.fail_after(None);
        let (store, restored) = medium.open();
        let found = Model::read(&store, &restored);
        assert!(models.iter().any(|model| model.restorable() == found), "{lives}");
    }
    assert!(refused > 20, "{refused}");
}

/// A process that is gone does not write.
#[test]
fn dropping_a_store_writes_nothing() {
    let (medium, _) = lived(1, 20);
    let (mut store, _) = medium.open();
    store.commit(&[vote(1_000, VoteKind::Skip)]).unwrap();
    medium.ops();
    drop(store);
    assert_eq!(medium.op_count(), 0);
}

/// The protocol delivers in order and stores first. If not, that is a bug here, and nothing that
/// follows it may be written.
#[test]
fn deliveries_out_of_order_are_bugs() {
    let second = block(2, block(1, GENESIS, 1, 1).id(), 1, 1);
    let cases = [
        vec![Record::Delivered(second.id())],
        vec![Record::Block(second.clone()), Record::Delivered(second.id())],
    ];
    for records in cases {
        let medium = Medium::created();
        let (mut store, _) = medium.open();
        let commit = std::panic::AssertUnwindSafe(|| store.commit(&records));
        std::panic::catch_unwind(commit).unwrap_err();
        assert!(matches!(store.commit(&[vote(1, VoteKind::Skip)]), Err(StoreError::Failed)));
        drop(store);
        let (store, restored) = medium.open();
        assert_eq!(Model::read(&store, &restored), Model::default());
    }
}
