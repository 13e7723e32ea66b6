//! Validity rules of blocks, and builders for other tests.

use super::*;
use crate::crypto::Scheme;
use crate::protocol::params::TOTAL_SHREDS;

/// A transaction that carries its number, valid until `valid_until`.
pub fn transaction(i: u64, valid_until: u64) -> Transaction {
    let payload = BoundedBytes::new(Bytes::copy_from_slice(&i.to_le_bytes())).unwrap();
    Transaction { valid_until: Slot(valid_until), payload }
}

/// A slice with this payload, signed by nobody in particular.
pub fn slice(slot: Slot, t: u8, last: bool, payload: &Payload) -> Slice {
    let encoded = erasure::encode(&payload.encode()).unwrap();
    let commitment = Commitment { slot, slice: t, last, root: encoded.root() };
    let key = ed25519::SecretKey::from_seed(Scheme::Null, &[1; 32]);
    Slice { commitment, signature: key.sign(b"test"), encoded }
}

/// The parent that test blocks of `slot` name: the previous slot, hash of its number.
pub fn parent_of(slot: Slot) -> BlockId {
    BlockId::new(slot.previous(), Hash([slot.previous().0 as u8; 32]))
}

/// A valid one-slice block with these transactions.
pub fn block_with(slot: Slot, transactions: Vec<Transaction>) -> Block {
    let payload = Payload { parent: Some(parent_of(slot)), transactions };
    Block::new(vec![slice(slot, 0, true, &payload)]).unwrap()
}

fn parents(slot: u64, stated: &[Option<BlockId>]) -> Result<Block, BlockError> {
    let count = stated.len();
    let slices = stated.iter().enumerate().map(|(t, &parent)| {
        let payload = Payload { parent, transactions: vec![transaction(t as u64, 200)] };
        slice(Slot(slot), t as u8, t + 1 == count, &payload)
    });
    Block::new(slices.collect())
}

const fn id(slot: u64, hash: u8) -> BlockId {
    BlockId { slot: Slot(slot), hash: Hash([hash; 32]) }
}

/// 2.3, rules 2 and 3 (K23), B9, B10.
#[test]
fn parent_rules() {
    use BlockError::*;
    let (a, b, c) = (Some(id(7, 1)), Some(id(6, 1)), Some(id(5, 1)));
    // First slot of a window: any earlier parent, at most one switch, to another pair.
    assert_eq!(parents(8, &[a]).unwrap().parent(), id(7, 1));
    assert_eq!(parents(8, &[b]).unwrap().parent(), id(6, 1));
    let switched = parents(8, &[a, None, b]).unwrap();
    assert_eq!((switched.parent(), switched.has_switch()), (id(6, 1), true));
    let effective = transaction(2, 200);
    assert_eq!(switched.transactions(), [(effective.id(), effective)], "the rest is ignored");
    assert_eq!(parents(8, &[a, a]).unwrap_err(), Switch(1));
    assert_eq!(parents(8, &[a, b, c]).unwrap_err(), Switch(2));
    let same_hash_other_slot = Some(id(6, 1));
    assert!(parents(8, &[a, same_hash_other_slot]).is_ok(), "compared as a pair");
    assert_eq!(parents(8, &[None, a]).unwrap_err(), NoParent);
    assert_eq!(parents(8, &[None]).unwrap_err(), NoParent);
    for bad in [id(8, 1), id(9, 1)] {
        assert_eq!(parents(8, &[Some(bad)]).unwrap_err(), Parent(bad));
    }
    // Other slots: exactly the previous slot, no switch.
    assert!(parents(9, &[Some(id(8, 1))]).is_ok());
    assert_eq!(parents(9, &[a]).unwrap_err(), Parent(id(7, 1)));
    assert_eq!(parents(9, &[Some(id(8, 1)), Some(id(8, 2))]).unwrap_err(), Switch(1));
    // Slot 1 is not a first slot: genesis, no switch.
    assert!(parents(1, &[Some(id(0, 9))]).is_ok());
    assert_eq!(parents(1, &[Some(id(0, 9)), Some(id(0, 8))]).unwrap_err(), Switch(1));
}

/// 2.3, rule 1.
#[test]
fn slices_must_form_a_sequence() {
    let payload = |t: u8| Payload {
        parent: (t == 0).then_some(id(7, 1)),
        transactions: vec![transaction(t.into(), 200)],
    };
    let s = |slot: u64, t: u8, last: bool| slice(Slot(slot), t, last, &payload(t));
    assert!(Block::new(vec![s(8, 0, false), s(8, 1, true)]).is_ok());
    for bad in [
        vec![],
        vec![s(8, 0, false)],
        vec![s(8, 0, true), s(8, 1, true)],
        vec![s(8, 1, false), s(8, 0, true)],
        vec![s(8, 0, false), s(9, 1, true)],
        vec![s(8, 0, false), s(8, 2, true)],
    ] {
        assert_eq!(Block::new(bad).unwrap_err(), BlockError::Sequence);
    }
}

#[test]
fn payloads_round_trip_and_refuse_garbage() {
    let payload = Payload {
        parent: Some(id(3, 3)),
        transactions: (0..9).map(|i| transaction(i, 9)).collect(),
    };
    let bytes = Bytes::from(payload.encode());
    assert_eq!(Payload::decode(&bytes), Some(payload.clone()));
    let cost: usize = payload.transactions.iter().map(Transaction::encoded_len).sum();
    assert_eq!(bytes.len(), Payload::OVERHEAD + cost);
    for cut in 1..bytes.len() {
        let known = Payload::decode(&bytes.slice(..cut));
        assert!(known.is_none_or(|p| p.transactions.len() < 9));
    }
    assert_eq!(Payload::decode(&Bytes::from_static(&[7])), None);
    assert_eq!(Payload::decode(&Bytes::new()), None);
}

#[test]
fn every_shred_of_a_slice_verifies_and_a_changed_one_does_not() {
    // Enough different content that no two neighbouring pieces are equal.
    let transactions = (0..200).map(|i| transaction(i, 99)).collect();
    let slice = slice(Slot(4), 0, true, &Payload { parent: Some(id(3, 3)), transactions });
    for i in 0..TOTAL_SHREDS as u8 {
        let shred = slice.shred(i);
        assert!(shred.verify_piece());
        assert!(!Shred { index: (i + 1) % 64, ..shred.clone() }.verify_piece());
        let mut path = shred.path;
        path[3].0[0] ^= 1;
        assert!(!Shred { path, ..shred }.verify_piece());
    }
}

/// K20, B11: equal slices in two slots have equal hashes and are two blocks.
#[test]
fn the_slot_is_part_of_the_identity() {
    let payload = Payload { parent: Some(id(3, 3)), transactions: vec![] };
    let (a, b) = (slice(Slot(4), 0, true, &payload), slice(Slot(8), 0, true, &payload));
    let (a, b) = (Block::new(vec![a]).unwrap(), Block::new(vec![b]).unwrap());
    assert_eq!(a.id().hash, b.id().hash);
    assert_ne!(a.id(), b.id());
}
