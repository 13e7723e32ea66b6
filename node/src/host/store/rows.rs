//! How records lie in the tables: keys that sort by slot, values that carry their own checksum.
//!
//! The database checks its pages, but only when it opens, and only what it wrote itself. A row
//! that was rotten in memory when its page was written again has a perfectly good page. So every
//! row starts with 16 bytes of BLAKE3 over table, key and content. The table and the key are in
//! it, so that a row that turns up elsewhere is no row there.
//!
//! Keys begin with the slot, big-endian: what belongs to a range of slots is one range of keys, and
//! dropping everything below a slot touches nothing above it.
//!
//! ```text
//! meta          "identity", "boot", "sealed", "anew"
//! log           0 -> head            1 slot vote -> (nothing: the key says it all)
//! ledger        slot -> hash, parent            the delivered chain
//! blocks        slot hash -> slices             delivered and candidates
//! proofs        slot -> proof of a direct finalization
//! certificates  slot kind -> certificate
//! ```

use crate::crypto::{ed25519, erasure};
use crate::protocol::block::{Block, Commitment, Slice};
use crate::protocol::bounded::BoundedBytes;
use crate::protocol::params::MAX_SLICE_BYTES;
use crate::protocol::types::{BlockId, Hash, Slot};
use crate::protocol::vote::{CertificateId, Vote};
use borsh::{BorshDeserialize, BorshSerialize};
use redb::{ReadOnlyTable, TableDefinition, TableHandle};

/// All tables have the same type; rows give the bytes a meaning.
pub(super) type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// A table opened for reading.
pub(super) type Reader = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(super) const META: Table = TableDefinition::new("meta");
pub(super) const LOG: Table = TableDefinition::new("log");
pub(super) const LEDGER: Table = TableDefinition::new("ledger");
pub(super) const BLOCKS: Table = TableDefinition::new("blocks");
pub(super) const PROOFS: Table = TableDefinition::new("proofs");
pub(super) const CERTIFICATES: Table = TableDefinition::new("certificates");
/// Every table of a store.
pub(super) const ALL: [Table; 6] = [META, LOG, LEDGER, BLOCKS, PROOFS, CERTIFICATES];

pub(super) const IDENTITY: &[u8] = b"identity";
pub(super) const BOOT: &[u8] = b"boot";
/// Present once a final backup was taken: this store has a successor.
pub(super) const SEALED: &[u8] = b"sealed";
/// Present once it is known from which delivered slot on an unmarked log may begin anew.
pub(super) const ANEW: &[u8] = b"anew";
pub(super) const HEAD: &[u8] = &[0];
const VOTE: u8 = 1;

const CHECKSUM_BYTES: usize = 16;
/// What a stored slice takes besides its payload, or a little more.
const SLICE_OVERHEAD: usize = 128;

/// The identity row. The first field decides how everything else is read, this row included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub(super) struct IdentityRow {
    pub(super) format: u32,
    pub(super) cluster: Hash,
    pub(super) node: u16,
}

/// The head of the vote log: what the log must look like to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, BorshSerialize, BorshDeserialize)]
pub(super) struct Head {
    /// Created with the keys, and whole ever since. Once false, false for ever.
    pub(super) marked: bool,
    /// The ledger's tip when the log was written last.
    pub(super) tip: Option<BlockId>,
    /// The highest own slot whose production began.
    pub(super) produced: Option<Slot>,
    /// Number of votes, and the wrapping sum of the checksums of their rows.
    pub(super) votes: u64,
    pub(super) sum: u128,
}

/// A row of the ledger; the slot is the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub(super) struct LedgerRow {
    pub(super) hash: Hash,
    pub(super) parent: BlockId,
}

/// A slice without what can be computed again.
#[derive(BorshSerialize, BorshDeserialize)]
struct StoredSlice {
    commitment: Commitment,
    signature: ed25519::Signature,
    payload: BoundedBytes<MAX_SLICE_BYTES>,
}

impl Head {
    /// Counts a vote row in.
    pub(super) fn add(&mut self, row: &[u8]) {
        self.votes += 1;
        self.sum = self.sum.wrapping_add(checksum_of(row));
    }

    /// Counts a vote row out.
    pub(super) fn subtract(&mut self, row: &[u8]) {
        self.votes = self.votes.saturating_sub(1);
        self.sum = self.sum.wrapping_sub(checksum_of(row));
    }
}

fn checksum(table: Table, key: &[u8], content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in [table.name().as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(content);
    let hash = hasher.finalize();
    hash.as_bytes()[..CHECKSUM_BYTES].try_into().expect("a hash is longer")
}

fn checksum_of(row: &[u8]) -> u128 {
    let bytes = row.first_chunk().copied().unwrap_or_default();
    u128::from_le_bytes(bytes)
}

/// The row of `content` under `key`.
pub(super) fn seal(table: Table, key: &[u8], content: &impl BorshSerialize) -> Vec<u8> {
    seal_within(table, key, content, 128)
}

/// The same with room for so many bytes of content from the start.
fn seal_within(table: Table, key: &[u8], content: &impl BorshSerialize, room: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(CHECKSUM_BYTES + room);
    row.resize(CHECKSUM_BYTES, 0);
    content.serialize(&mut row).expect("writing to memory does not fail");
    let checksum = checksum(table, key, &row[CHECKSUM_BYTES..]);
    row[..CHECKSUM_BYTES].copy_from_slice(&checksum);
    row
}

/// The content of a row; `None` if it is not what was sealed under this key of this table.
pub(super) fn unseal<'a>(table: Table, key: &[u8], row: &'a [u8]) -> Option<&'a [u8]> {
    let (sealed, content) = row.split_first_chunk::<CHECKSUM_BYTES>()?;
    (*sealed == checksum(table, key, content)).then_some(content)
}

/// The decoded content of a row; `None` if it is damaged.
pub(super) fn open<T: BorshDeserialize>(table: Table, key: &[u8], row: &[u8]) -> Option<T> {
    T::try_from_slice(unseal(table, key, row)?).ok()
}

/// The prefix of all keys of `slot`.
pub(super) fn slot_key(slot: Slot) -> [u8; 8] {
    slot.0.to_be_bytes()
}

/// The slot that a key begins with.
pub(super) fn slot_of(key: &[u8]) -> Option<Slot> {
    Some(Slot(u64::from_be_bytes(*key.first_chunk()?)))
}

/// The key of a block.
pub(super) fn block_key(id: BlockId) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&slot_key(id.slot));
    key[8..].copy_from_slice(&id.hash.0);
    key
}

/// The block that a key names.
pub(super) fn block_of(key: &[u8]) -> Option<BlockId> {
    let hash = Hash(key.get(8..)?.try_into().ok()?);
    Some(BlockId::new(slot_of(key)?, hash))
}

/// The key of a certificate.
pub(super) fn certificate_key(id: CertificateId) -> Vec<u8> {
    let mut key = slot_key(id.slot).to_vec();
    id.kind.serialize(&mut key).expect("writing to memory does not fail");
    key
}

/// The lowest key of a vote on `slot`.
pub(super) fn votes_from(slot: Slot) -> Vec<u8> {
    [&[VOTE][..], &slot_key(slot)].concat()
}

/// The key of a vote.
pub(super) fn vote_key(vote: &Vote) -> Vec<u8> {
    let mut key = votes_from(vote.slot);
    vote.kind.serialize(&mut key).expect("writing to memory does not fail");
    key
}

/// The vote that a key says.
pub(super) fn vote_of(key: &[u8]) -> Option<Vote> {
    let key = key.strip_prefix(&[VOTE])?;
    Some(Vote::new(slot_of(key)?, borsh::from_slice(&key[8..]).ok()?))
}

/// The row of a block.
pub(super) fn seal_block(block: &Block) -> Vec<u8> {
    let stored = |slice: &Slice| StoredSlice {
        commitment: slice.commitment,
        signature: slice.signature,
        payload: BoundedBytes::new(slice.encoded.payload()).expect("a slice is within its cap"),
    };
    let slices: Vec<StoredSlice> = block.slices().iter().map(stored).collect();
    let room = slices.iter().map(|slice| slice.payload.len() + SLICE_OVERHEAD).sum();
    seal_within(BLOCKS, &block_key(block.id()), &slices, room)
}

/// The block in a row, encoded again; `None` if it is damaged or not the one that the key names.
pub(super) fn open_block(key: &[u8], row: &[u8]) -> Option<Block> {
    let stored: Vec<StoredSlice> = open(BLOCKS, key, row)?;
    let slice = |stored: StoredSlice| {
        let StoredSlice { commitment, signature, payload } = stored;
        let encoded = erasure::encode(&payload).ok()?;
        (encoded.root() == commitment.root).then_some(Slice { commitment, signature, encoded })
    };
    let slices = stored.into_iter().map(slice).collect::<Option<_>>()?;
    let block = Block::new(slices).ok()?;
    (Some(block.id()) == block_of(key)).then_some(block)
}
