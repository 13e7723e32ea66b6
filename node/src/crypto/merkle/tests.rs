//! Every path of every small tree, and every way to bend one.

use super::*;
use proptest::prelude::*;

fn leaves(k: u32) -> Vec<Hash> {
    (0..k).map(|i| leaf(&i.to_le_bytes())).collect()
}

#[test]
fn golden_roots() {
    assert_eq!(
        hex::encode(leaf(b"").0),
        "0e155d519f725de768ecfaee9efce90bbc34e2f52256e46e6fa6607cb2a365d0"
    );
    assert_eq!(
        hex::encode(Tree::new(leaves(1)).root().0),
        "1767b6081799eba3335d3226208e631bef0f0071ceaa459f9da021b450cab3a6"
    );
    assert_eq!(
        hex::encode(Tree::new(leaves(5)).root().0),
        "ddde016b13bb26f3532b97c9f0c621fbe355e8e84b444dcc24df288b92580e3f"
    );
    assert_eq!(
        hex::encode(Tree::new(leaves(64)).root().0),
        "a8b2e43bdabd151148e94f6975902458924d9522368a279f97a43b313b997e06"
    );
}

#[test]
fn heights() {
    let heights = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6), (65, 7)];
    for (entries, expected) in heights {
        assert_eq!(height(entries), expected);
        if entries > 0 {
            assert_eq!(Tree::new(leaves(entries)).height(), expected);
        }
    }
}

/// The definition, computed from the top down.
fn root_by_definition(leaves: &[Hash], level: u32) -> Hash {
    if leaves.is_empty() {
        return empty(level);
    }
    if level == 0 {
        return leaves[0];
    }
    let half = leaves.len().min(1 << (level - 1));
    node(
        &root_by_definition(&leaves[..half], level - 1),
        &root_by_definition(&leaves[half..], level - 1),
    )
}

#[test]
fn every_path_of_every_tree_checks() {
    for k in 1..=64 {
        let (entries, h) = (leaves(k), height(k));
        let tree = Tree::new(entries.clone());
        let root = tree.root();
        assert_eq!(root, root_by_definition(&entries, h));
        for i in 0..k {
            let (entry, path) = (entries[i as usize], tree.path(i));
            assert_eq!(path.len(), h as usize);
            assert!(tree.has_path(i, &path));
            assert!(check_path(entry, i, &path, &root, h));
            for j in (0..1 << h).filter(|j| *j != i) {
                assert!(!check_path(entry, j, &path, &root, h), "{i} of {k} passed as {j}");
                assert!(!tree.has_path(j, &path));
            }
        }
    }
}

#[test]
fn only_the_last_entry_is_last() {
    for k in 1..=64 {
        let (entries, h) = (leaves(k), height(k));
        let tree = Tree::new(entries.clone());
        for i in 0..1 << h {
            let entry = entries.get(i as usize).copied().unwrap_or(empty(0));
            assert!(check_path(entry, i, &tree.path(i), &tree.root(), h));
            let last = check_last(entry, i, &tree.path(i), &tree.root(), h);
            assert_eq!(last, i == k - 1, "{i} of {k}");
        }
    }
}

#[test]
fn index_bits_above_the_height_are_refused() {
    let tree = Tree::new(leaves(5));
    let path = tree.path(2);
    for bit in 3..32 {
        assert!(!check_path(leaves(5)[2], 2 | 1 << bit, &path, &tree.root(), 3));
        assert!(!tree.has_path(2 | 1 << bit, &path));
    }
    assert!(!check_path(leaves(1)[0], 1, &[], &Tree::new(leaves(1)).root(), 0));
}

#[test]
fn the_length_of_a_path_is_exact() {
    let tree = Tree::new(leaves(6));
    let (entry, root, path) = (leaves(6)[5], tree.root(), tree.path(5));
    let longer = [&path[..], &[empty(3)]].concat();
    for (path, height) in [
        (&path[..2], 3),
        (&path[..2], 2),
        (&longer[..], 3),
        (&longer[..], 4),
        (&[], 0),
        (&[], MAX_HEIGHT + 1),
        (&[], u32::MAX),
    ] {
        assert!(!check_path(entry, 5, path, &root, height));
        assert!(!check_last(entry, 5, path, &root, height));
        assert!(!tree.has_path(5, path));
    }
    // The upper part of a path does not prove an inner node as an entry.
    let inner = node(&leaves(6)[4], &entry);
    assert!(!check_path(inner, 2, &path[1..], &root, 3));
    assert!(check_path(inner, 2, &path[1..], &root, 2), "so heights must come from the count");
    assert!(!check_path(leaf(&[leaves(6)[4].0, entry.0].concat()), 2, &path[1..], &root, 2));
}

#[test]
fn labels_are_distinct() {
    let (a, b) = (leaf(b"a"), leaf(b"b"));
    assert_ne!(leaf(&[a.0, b.0].concat()), node(&a, &b));
    assert_ne!(leaf(b""), empty(0));
}

#[test]
#[should_panic(expected = "1 to 2^24 leaves")]
fn a_tree_has_entries() {
    Tree::new(Vec::new());
}

proptest! {
    #[test]
    fn any_flipped_bit_is_noticed(
        k in 1u32..=64,
        i in any::<prop::sample::Index>(),
        byte in 0usize..32,
        bit in 0u8..8,
        level in any::<prop::sample::Index>(),
    ) {
        let (tree, h) = (Tree::new(leaves(k)), height(k));
        let i = i.index(k as usize) as u32;
        let (entry, root, path) = (leaves(k)[i as usize], tree.root(), tree.path(i));
        let flip = |mut hash: Hash| {
            hash.0[byte] ^= 1 << bit;
            hash
        };
        prop_assert!(!check_path(flip(entry), i, &path, &root, h));
        prop_assert!(!check_path(entry, i, &path, &flip(root), h));
        if h > 0 {
            let mut path = path;
            let level = level.index(path.len());
            path[level] = flip(path[level]);
            prop_assert!(!check_path(entry, i, &path, &root, h));
            prop_assert!(!check_last(entry, i, &path, &root, h));
            prop_assert!(!tree.has_path(i, &path));
        }
    }
}
