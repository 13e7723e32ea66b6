//! A slice as 64 pieces, any 32 of which bring it back.
//!
//! The problem: a receiver of 32 pieces decodes *something*, whatever the leader put into the other
//! 32. A bad leader commits to pieces that are no codeword at all; one half of the nodes then
//! decodes one payload and the other half another, both under one valid Merkle root.
//!
//! Our way: whoever decodes encodes the result again, all 64 pieces, rebuilds the tree and compares
//! the roots. If the committed pieces are a codeword, every choice of 32 gives the same payload; if
//! they are not, every choice fails, because what it re-encodes to is a codeword and the commitment
//! is not. So for one root all nodes agree, and a failure is proof that the leader misbehaved.
//!
//! The code is the systematic Reed-Solomon code over GF(2^8): pieces 0..32 are the padded payload
//! itself. Padding is one byte 0x80 and then the fewest zeros that make a multiple of 64 bytes.

use super::{Hash, merkle};
use bytes::Bytes;
use reed_solomon_erasure::galois_8::ReedSolomon;
use std::fmt;
use std::sync::{Arc, OnceLock};

#[cfg(feature = "sim")]
use super::memo;

#[cfg(test)]
mod tests;

/// Pieces that are enough (gamma).
pub const DATA_PIECES: usize = 32;
/// Pieces that are made (Gamma).
pub const PIECES: usize = 64;
/// The largest piece, in bytes.
pub const MAX_PIECE: usize = 1024;
/// The largest payload of a slice, in bytes: one byte of padding always fits.
pub const MAX_PAYLOAD: usize = DATA_PIECES * MAX_PIECE - 1;
/// The length of every path: the tree over 64 pieces has 6 levels above the leaves.
pub const PATH_LENGTH: usize = PIECES.ilog2() as usize;

const PADDING_UNIT: usize = 2 * DATA_PIECES;

/// A payload too large for one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a slice holds at most {MAX_PAYLOAD} bytes, not {got}")]
pub struct PayloadTooLarge {
    /// Its length in bytes.
    pub got: usize,
}

/// Why pieces did not decode. Given pieces that each passed [`check_piece`], everything but
/// `TooFew` proves that the leader committed to something that is no slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not enough different pieces (indices of 64 and more do not count).
    #[error("{distinct} different pieces, 32 are needed")]
    TooFew {
        /// How many there were.
        distinct: usize,
    },
    /// Pieces of different lengths, or of a length that no slice has.
    #[error("pieces of {first} and {other} bytes; all must have the same even length up to 1024")]
    Length {
        /// The length of the first piece.
        first: usize,
        /// The length that does not fit (equal to `first` if that one is wrong in itself).
        other: usize,
    },
    /// The pieces under this root are no codeword.
    #[error("the pieces re-encode to {got}, not to the committed root {committed}")]
    Root {
        /// The root that the leader signed.
        committed: Hash,
        /// The root of what these pieces decode to.
        got: Hash,
    },
    /// A codeword, but what it holds does not end in valid padding.
    #[error("the padding is malformed")]
    Padding,
}

/// A payload with all its pieces and their tree.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    /// All pieces, one after the other; it starts with the payload.
    pieces: Bytes,
    payload_len: usize,
    tree: merkle::Tree,
}

impl Encoded {
    /// The Merkle root over the 64 pieces: what the leader signs.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The payload (shares memory with the pieces).
    pub fn payload(&self) -> Bytes {
        self.pieces.slice(..self.payload_len)
    }

    /// Piece `index` (shares memory with the others).
    ///
    /// # Panics
    /// If `index` is 64 or more.
    pub fn piece(&self, index: u8) -> Bytes {
        let (start, len) = (usize::from(index) * self.piece_len(), self.piece_len());
        self.pieces.slice(start..start + len)
    }

    /// The proof that [`Encoded::piece`] of `index` belongs to the root.
    ///
    /// # Panics
    /// If `index` is 64 or more.
    pub fn path(&self, index: u8) -> Vec<Hash> {
        self.tree.path(u32::from(index))
    }

    /// True if `piece` is exactly piece `index`. Compares, computes nothing.
    pub fn has_piece(&self, index: u8, piece: &[u8]) -> bool {
        let start = usize::from(index) * self.piece_len();
        let own = self.pieces.get(start..start + self.piece_len());
        own.is_some_and(|own| std::ptr::eq(own, piece) || own == piece)
    }

    /// True if `path` is exactly the path of piece `index`. Compares, computes nothing.
    pub fn has_path(&self, index: u8, path: &[Hash]) -> bool {
        self.tree.has_path(u32::from(index), path)
    }

    fn piece_len(&self) -> usize {
        self.pieces.len() / PIECES
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice of {} bytes, root {}", self.payload_len, self.root())
    }
}

/// Pads and encodes a payload of 0 to [`MAX_PAYLOAD`] bytes.
///
/// # Errors
/// [`PayloadTooLarge`] above that.
pub fn encode(payload: &[u8]) -> Result<Arc<Encoded>, PayloadTooLarge> {
    if payload.len() > MAX_PAYLOAD {
        return Err(PayloadTooLarge { got: payload.len() });
    }
    let padded_len = (payload.len() + 1).next_multiple_of(PADDING_UNIT);
    let mut padded = Vec::with_capacity(padded_len / DATA_PIECES * PIECES);
    padded.extend_from_slice(payload);
    padded.push(0x80);
    padded.resize(padded_len, 0);
    let (pieces, tree) = complete(padded);
    Ok(keep(Encoded { pieces, payload_len: payload.len(), tree }))
}

/// True if `piece` is committed to as number `index` by `root`, and is of a size that pieces can
/// have (2 to [`MAX_PIECE`] bytes, even).
pub fn check_piece(root: &Hash, index: u8, piece: &[u8], path: &[Hash]) -> bool {
    #[cfg(feature = "sim")]
    if memo::piece(root, index, piece, path) {
        return true;
    }
    let height = PIECES.ilog2();
    is_piece_len(piece.len())
        && merkle::check_path(merkle::leaf(piece), u32::from(index), path, root, height)
}

/// Brings back the payload of `root` from pieces that each passed [`check_piece`] for it: at least
/// 32 different ones, in any order. Takes the lowest 32 indices; the choice does not matter.
///
/// # Errors
/// See [`DecodeError`]. For one root either every choice of pieces fails or none does.
pub fn decode(root: &Hash, pieces: &[(u8, Bytes)]) -> Result<Arc<Encoded>, DecodeError> {
    let mut chosen: [Option<&Bytes>; PIECES] = [None; PIECES];
    for (index, piece) in pieces {
        if let Some(place) = chosen.get_mut(usize::from(*index)) {
            place.get_or_insert(piece);
        }
    }
    let distinct = chosen.iter().flatten().count();
    if distinct < DATA_PIECES {
        return Err(DecodeError::TooFew { distinct });
    }
    #[cfg(feature = "sim")]
    if let Some(known) = memo::decoded(root, pieces) {
        return Ok(known);
    }
    let (pieces, tree) = complete(restore(&chosen)?);
    if tree.root() != *root {
        return Err(DecodeError::Root { committed: *root, got: tree.root() });
    }
    let padded = &pieces[..pieces.len() / PIECES * DATA_PIECES];
    let payload_len = unpadded_len(padded).ok_or(DecodeError::Padding)?;
    Ok(keep(Encoded { pieces, payload_len, tree }))
}

fn is_piece_len(len: usize) -> bool {
    (2..=MAX_PIECE).contains(&len) && len.is_multiple_of(2)
}

/// The length of what was padded, or `None` if this is not how [`encode`] pads.
fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let len = padded.iter().rposition(|byte| *byte != 0)?;
    (padded[len] == 0x80 && padded.len() - len <= PADDING_UNIT).then_some(len)
}

fn code() -> &'static ReedSolomon {
    static CODE: OnceLock<ReedSolomon> = OnceLock::new();
    CODE.get_or_init(|| {
        ReedSolomon::new(DATA_PIECES, PIECES - DATA_PIECES).expect("32 + 32 fits GF(2^8)")
    })
}

/// Data pieces from 32 of the chosen ones, one after the other.
fn restore(chosen: &[Option<&Bytes>; PIECES]) -> Result<Vec<u8>, DecodeError> {
    let first = chosen.iter().flatten().next().map_or(0, |piece| piece.len());
    let fits = |piece: &&&Bytes| piece.len() == first && is_piece_len(first);
    if let Some(other) = chosen.iter().flatten().find(|piece| !fits(piece)) {
        return Err(DecodeError::Length { first, other: other.len() });
    }
    let mut flat = vec![0; PIECES * first];
    let mut spare = DATA_PIECES;
    let mut places: Vec<_> = flat.chunks_exact_mut(first).map(|place| (place, false)).collect();
    for (place, piece) in places.iter_mut().zip(chosen) {
        if let Some(piece) = piece.filter(|_| spare > 0) {
            place.0.copy_from_slice(piece);
            place.1 = true;
            spare -= 1;
        }
    }
    code().reconstruct_data(&mut places).expect("32 pieces of one length");
    flat.truncate(DATA_PIECES * first);
    Ok(flat)
}

/// All pieces and their tree, from the data pieces.
fn complete(mut data: Vec<u8>) -> (Bytes, merkle::Tree) {
    let len = data.len() / DATA_PIECES;
    data.resize(PIECES * len, 0);
    let (data_half, parity_half) = data.split_at_mut(DATA_PIECES * len);
    let data_pieces: Vec<_> = data_half.chunks_exact(len).collect();
    let mut parity_pieces: Vec<_> = parity_half.chunks_exact_mut(len).collect();
    code().encode_sep(&data_pieces, &mut parity_pieces).expect("32 + 32 pieces of one length");
    let tree = merkle::Tree::new(data.chunks_exact(len).map(merkle::leaf).collect());
    (Bytes::from(data), tree)
}

/// Shares what was just made, and lets the memo know it.
fn keep(encoded: Encoded) -> Arc<Encoded> {
    let encoded = Arc::new(encoded);
    #[cfg(feature = "sim")]
    memo::insert_encoded(&encoded);
    encoded
}
