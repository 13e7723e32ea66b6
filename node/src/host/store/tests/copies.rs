//! Backups: what comes back, who may vote with it, and what is no backup.

use super::super::copy::{self, CopyError};
use super::*;

/// A store with a delivered block and two votes above it.
fn lived() -> (Medium, BlockId) {
    let medium = Medium::created();
    let (mut store, _) = medium.open();
    let block = block(1, GENESIS, 1, 5);
    let id = block.id();
    store.commit(&[Record::Block(block), Record::Delivered(id)]).unwrap();
    store.commit(&[vote(2, VoteKind::Skip), vote(3, VoteKind::Skip)]).unwrap();
    store.commit(&[Record::Produced(Slot(2)), Record::Proof(proof(id, true))]).unwrap();
    (medium, id)
}

fn backup(store: &Store, whole: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.snapshot(whole).unwrap().write(&mut bytes).unwrap();
    bytes
}

fn restore(bytes: &[u8]) -> Result<(copy::Restoration, Medium), CopyError> {
    let medium = Medium::default();
    let restoration = copy::restore(&mut &*bytes, medium.clone(), CACHE)?;
    Ok((restoration, medium))
}

#[test]
fn the_copy_of_a_running_node_knows_everything_and_never_votes() {
    let (medium, tip) = lived();
    let (mut store, _) = medium.open();
    let bytes = backup(&store, false);
    store.commit(&[vote(4, VoteKind::Skip)]).unwrap();
    let (restoration, copy) = restore(&bytes).unwrap();
    assert_eq!((restoration.identity, restoration.whole), (ME, false));
    for _ in 0..2 {
        let (store, restored) = copy.open();
        assert!(!restored.intact, "never, however often it is opened");
        assert_eq!((restored.tip, restored.votes.len()), (Some(tip), 0));
        assert_eq!((restored.recent.len(), restored.proofs.len()), (1, 1));
        assert_eq!(store.report().log, Some(LogFault::Unmarked));
    }
}

#[test]
fn the_final_copy_votes_and_its_source_is_sealed() {
    let (medium, tip) = lived();
    let (mut store, before) = medium.open();
    store.seal().unwrap();
    let bytes = backup(&store, true);
    drop(store);
    assert!(matches!(Store::open(medium.clone(), &ME, CACHE), Err(StoreError::Sealed)));
    let (_, inspection) = Store::inspect(medium, CACHE).unwrap();
    assert!(inspection.sealed, "it can still be looked at");
    let (restoration, copy) = restore(&bytes).unwrap();
    assert!(restoration.whole);
    let (_, restored) = copy.open();
    assert!(restored.intact);
    assert_eq!((restored.tip, restored.produced), (Some(tip), Some(Slot(2))));
    assert_eq!(restored.votes, before.votes);
}

#[test]
fn looking_writes_nothing() {
    let (medium, tip) = lived();
    let before = medium.bytes();
    medium.ops();
    let (store, inspection) = Store::inspect(medium.clone(), CACHE).unwrap();
    assert_eq!((inspection.identity, inspection.sealed), (ME, false));
    assert_eq!((inspection.restored.tip, store.votes().unwrap().count()), (Some(tip), 2));
    drop(store);
    assert!(medium.ops().is_empty() && medium.bytes() == before);
    let nothing = Store::inspect(Medium::default(), CACHE);
    assert!(matches!(nothing, Err(StoreError::Damaged { .. })));
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let bytes = backup(&lived().0.open().0, false);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(restore(&changed).is_err(), "byte {at} of {}", bytes.len());
        assert!(restore(&bytes[..at]).is_err(), "cut at {at}");
    }
    restore(&bytes).unwrap();
}

#[test]
fn a_restoration_needs_an_empty_place() {
    let (medium, _) = lived();
    let bytes = backup(&medium.open().0, false);
    let result = copy::restore(&mut &bytes[..], medium, CACHE);
    assert!(matches!(result, Err(CopyError::Store(StoreError::Exists))));
}

/// 10.4: an identity that lost its log votes again in an epoch in which it has signed nothing.
#[test]
fn a_lost_log_begins_anew_where_it_is_allowed_and_only_once() {
    let (_, copy) = restore(&backup(&lived().0.open().0, false)).unwrap();
    let (mut store, _) = copy.open();
    assert_eq!(store.begin_anew_at(Slot(3)).unwrap(), Some(Slot(3)));
    assert_eq!(store.begin_anew_at(Slot(2)).unwrap(), Some(Slot(3)), "said once");
    assert_eq!(store.begin_anew_not_before(Slot(3)).unwrap(), Some(Slot(3)), "it is not");
    // A copy of the copy knows nothing of that permission.
    let (_, second) = restore(&backup(&store, false)).unwrap();
    let deliver = |medium: &Medium| {
        let (mut store, restored) = medium.open();
        let next = restored.tip.unwrap().slot.next();
        let block = block(next.0, restored.tip.unwrap(), 1, 5);
        store.commit(&[Record::Block(block.clone()), Record::Delivered(block.id())]).unwrap();
        restored.intact
    };
    for medium in [&copy, &second] {
        assert!(!deliver(medium) && !deliver(medium), "slots 1 and 2 are before");
    }
    assert!(!second.open().1.intact);
    let (mut store, restored) = copy.open();
    assert!(restored.intact && restored.votes.is_empty());
    assert_eq!(store.begin_anew_at(Slot(9)).unwrap(), None, "it is whole");
    store.commit(&[vote(4, VoteKind::Skip)]).unwrap();
    drop(store);
    assert!(copy.open().1.intact);
    // Lost once more, the old permission does not count.
    let (_, third) = restore(&backup(&copy.open().0, false)).unwrap();
    assert!(!third.open().1.intact);
}

/// What turned out to be too early is raised, durably, and never lowered.
#[test]
fn a_permission_that_was_too_early_is_raised() {
    let (_, copy) = restore(&backup(&lived().0.open().0, false)).unwrap();
    let (mut store, restored) = copy.open();
    assert_eq!(store.begin_anew_not_before(Slot(9)).unwrap(), None, "nothing was said");
    assert_eq!(store.begin_anew_at(Slot(2)).unwrap(), Some(Slot(2)));
    let next = block(2, restored.tip.unwrap(), 1, 5);
    store.commit(&[Record::Block(next.clone()), Record::Delivered(next.id())]).unwrap();
    assert_eq!(store.begin_anew_not_before(Slot(3)).unwrap(), Some(Slot(3)));
    assert_eq!(store.begin_anew_not_before(Slot(1)).unwrap(), Some(Slot(3)));
    assert_eq!(store.begin_anew_at(Slot(2)).unwrap(), Some(Slot(3)));
    drop(store);
    let (mut store, restored) = copy.open();
    assert!(!restored.intact, "slot 2 is delivered, slot 3 is not");
    let last = block(3, next.id(), 1, 5);
    store.commit(&[Record::Block(last.clone()), Record::Delivered(last.id())]).unwrap();
    drop(store);
    let (mut store, restored) = copy.open();
    assert!(restored.intact);
    assert_eq!(store.begin_anew_not_before(Slot(9)).unwrap(), None, "it is whole");
}
