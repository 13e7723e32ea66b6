//! Merkle trees: one hash that commits to a list, and short proofs that an entry is in it.
//!
//! The problem: a naive tree says less than it seems to. If leaves and inner nodes hash alike, an
//! inner node can be passed off as a leaf. If a proof may be longer than the tree is high, or the
//! index has bits that the climb never uses, one entry has many "positions". And nothing in a plain
//! proof says how *many* entries there are, so a liar can hide the end of the list.
//!
//! Our way: leaves, inner nodes and padding have different labels. The list is padded to a power of
//! two with empty entries; the empty subtree of each height has a known hash ("the EMPTY chain").
//! A proof has exactly as many hashes as the tree is high, and the index must be used up by them.
//! [`check_last`] proves that an entry is the last one: whatever lies to its right is empty.
//!
//! Indices start at 0.

use super::Hash;
use std::sync::OnceLock;

#[cfg(test)]
mod tests;

/// The highest tree there is; far more than any block needs.
pub const MAX_HEIGHT: u32 = 24;

/// The hash of an entry.
pub fn leaf(data: &[u8]) -> Hash {
    Hash::of("ag/merkle/leaf", &[data])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Hash::of("ag/merkle/node", &[&left.0, &right.0])
}

/// The hash of a subtree of height `level` that holds no entry. The label of the empty leaf is its
/// own: no data hashes to it.
fn empty(level: u32) -> Hash {
    static CHAIN: OnceLock<Vec<Hash>> = OnceLock::new();
    let chain = CHAIN.get_or_init(|| {
        let bottom = Hash::of("ag/merkle/empty", &[]);
        std::iter::successors(Some(bottom), |below| Some(node(below, below)))
            .take(MAX_HEIGHT as usize + 1)
            .collect()
    });
    chain[level as usize]
}

/// The height of the tree over `entries` entries: the base-2 logarithm, rounded up. 0 for none.
pub fn height(entries: u32) -> u32 {
    entries.max(1).next_power_of_two().trailing_zeros()
}

/// A tree with all its hashes, for those who hand out proofs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    /// Level by level from the padded leaves (level 0) to the root.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Builds the tree over entries with these [`leaf`] hashes.
    ///
    /// # Panics
    /// If there are no entries or more than 2^[`MAX_HEIGHT`]: the caller decides how many to have.
    pub fn new(mut leaves: Vec<Hash>) -> Tree {
        assert!(!leaves.is_empty() && leaves.len() <= 1 << MAX_HEIGHT, "1 to 2^24 leaves");
        leaves.resize(leaves.len().next_power_of_two(), empty(0));
        let mut levels = vec![leaves];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            levels.push(below.chunks_exact(2).map(|pair| node(&pair[0], &pair[1])).collect());
        }
        Tree { levels }
    }

    /// The hash that commits to all entries.
    pub fn root(&self) -> Hash {
        self.levels[self.levels.len() - 1][0]
    }

    /// The length of every path.
    pub fn height(&self) -> u32 {
        u32::try_from(self.levels.len() - 1).expect("at most MAX_HEIGHT")
    }

    /// The proof for the entry at `index`, from the leaf's sibling upwards.
    ///
    /// # Panics
    /// If `index` is outside the padded tree.
    pub fn path(&self, index: u32) -> Vec<Hash> {
        assert!(index >> self.height() == 0, "index {index} is outside the tree");
        self.siblings(index).copied().collect()
    }

    /// True if `path` is exactly [`Tree::path`] of `index`. Compares, hashes nothing.
    pub fn has_path(&self, index: u32, path: &[Hash]) -> bool {
        index >> self.height() == 0 && self.siblings(index).eq(path)
    }

    fn siblings(&self, index: u32) -> impl Iterator<Item = &Hash> {
        let below_root = &self.levels[..self.levels.len() - 1];
        below_root.iter().enumerate().map(move |(l, level)| &level[(index as usize >> l) ^ 1])
    }
}

/// True if `path` proves that the entry at `index` of the tree of this `root` and `height` has the
/// hash `leaf`. The path must have exactly `height` hashes, and `index` no bit above them.
pub fn check_path(leaf: Hash, index: u32, path: &[Hash], root: &Hash, height: u32) -> bool {
    if height > MAX_HEIGHT || path.len() != height as usize || index >> height != 0 {
        return false;
    }
    let climb = path.iter().enumerate().fold(leaf, |below, (level, sibling)| {
        if index >> level & 1 == 0 { node(&below, sibling) } else { node(sibling, &below) }
    });
    climb == *root
}

/// As [`check_path`], and the entry is the last of the list: it is not padding, and all that lies
/// to its right is.
pub fn check_last(leaf: Hash, index: u32, path: &[Hash], root: &Hash, height: u32) -> bool {
    let nothing_right =
        |(level, sibling): (u32, &Hash)| index >> level & 1 == 1 || *sibling == empty(level);
    check_path(leaf, index, path, root, height)
        && leaf != empty(0)
        && (0..).zip(path).all(nothing_right)
}
