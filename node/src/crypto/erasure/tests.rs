//! Codewords good and bad, and the promise that all nodes agree on which is which.

use super::*;
use merkle::Tree;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

/// What a leader signs and sends: any 64 pieces under their honest tree.
fn commit(pieces: &[Bytes]) -> (Hash, Tree) {
    let tree = Tree::new(pieces.iter().map(|piece| merkle::leaf(piece)).collect());
    (tree.root(), tree)
}

fn all_pieces(encoded: &Encoded) -> Vec<Bytes> {
    (0..64).map(|i| encoded.piece(i)).collect()
}

fn choose(pieces: &[Bytes], indices: &[u8]) -> Vec<(u8, Bytes)> {
    indices.iter().map(|i| (*i, pieces[usize::from(*i)].clone())).collect()
}

fn every_index() -> Vec<u8> {
    (0..64).collect()
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn golden_roots() {
    let root = |len| hex::encode(encode(&payload(len)).unwrap().root().0);
    assert_eq!(root(0), "18b4da74bd4de8060d221ffcfd4a90f2234aa5b6099cba54b0e25de13b037ce6");
    assert_eq!(root(1000), "dbaea5511655ca2dfbb7a1c3162d3c3aefe559cd18da6c01a027a967ad2bc4c2");
    assert_eq!(
        root(MAX_PAYLOAD),
        "a191e1aabc4905893fe63c8ed4ac073d8a2aabcc3dd3fdd51076f837580a1bdb"
    );
    let encoded = encode(&payload(1000)).unwrap();
    assert_eq!(
        hex::encode(encoded.piece(31)),
        "232a31383f464d54800000000000000000000000000000000000000000000000"
    );
    assert_eq!(
        hex::encode(encoded.piece(63)),
        "e2d3f744fe6005fa08cccca9c10d3b7e522f42e8c48bdaaf78284e73af4d24fa"
    );
}

#[test]
fn sizes() {
    for (len, piece_len) in [(0, 2), (63, 2), (64, 4), (127, 4), (32_704, 1024), (32_767, 1024)] {
        let encoded = encode(&payload(len)).unwrap();
        assert_eq!(encoded.payload(), payload(len));
        assert!((0..64).all(|i| encoded.piece(i).len() == piece_len));
        let systematic = all_pieces(&encoded)[..32].concat();
        assert_eq!(systematic[..len], payload(len));
        assert_eq!(systematic[len], 0x80);
        assert!(systematic[len + 1..].iter().all(|byte| *byte == 0));
    }
    assert_eq!(encode(&payload(32_768)), Err(PayloadTooLarge { got: 32_768 }));
}

#[test]
fn pieces_check_at_their_place_only() {
    let encoded = encode(&payload(5000)).unwrap();
    let root = encoded.root();
    for i in 0..64 {
        let (piece, path) = (encoded.piece(i), encoded.path(i));
        assert_eq!(path.len(), PATH_LENGTH);
        assert!(check_piece(&root, i, &piece, &path));
        assert!(encoded.has_piece(i, &piece) && encoded.has_path(i, &path));
        for other in (0..=255).filter(|other| *other != i) {
            assert!(!check_piece(&root, other, &piece, &path));
            assert!(!encoded.has_piece(other, &piece) && !encoded.has_path(other, &path));
        }
        assert!(!check_piece(&root, i, &piece, &path[..5]));
        assert!(!check_piece(&root, i, &piece, &[&path[..], &path[..1]].concat()));
        assert!(!check_piece(&root, i, &piece[..piece.len() - 2], &path));
    }
}

#[test]
fn sizes_that_no_piece_has_are_refused() {
    for len in [0, 1, 3, 1023, 1025, 1026, 2048] {
        let pieces = vec![Bytes::from(vec![1; len]); 64];
        let (root, tree) = commit(&pieces);
        assert!(!check_piece(&root, 0, &pieces[0], &tree.path(0)));
        let refused = decode(&root, &choose(&pieces, &every_index()));
        assert_eq!(refused, Err(DecodeError::Length { first: len, other: len }));
    }
}

#[test]
fn too_few_different_pieces() {
    let encoded = encode(&payload(100)).unwrap();
    let pieces = all_pieces(&encoded);
    let few = |indices: Vec<u8>| decode(&encoded.root(), &choose(&pieces, &indices));
    assert_eq!(few(vec![]), Err(DecodeError::TooFew { distinct: 0 }));
    assert_eq!(few((0..31).collect()), Err(DecodeError::TooFew { distinct: 31 }));
    let repeated = (0..31).chain(0..31).collect();
    assert_eq!(few(repeated), Err(DecodeError::TooFew { distinct: 31 }));
    let mut wild = choose(&pieces, &(0..31).collect::<Vec<_>>());
    wild.push((64, pieces[40].clone()));
    wild.push((255, pieces[41].clone()));
    assert_eq!(decode(&encoded.root(), &wild), Err(DecodeError::TooFew { distinct: 31 }));
    wild.push((63, pieces[63].clone()));
    assert_eq!(decode(&encoded.root(), &wild), Ok(encoded));
}

#[test]
fn padding_is_checked() {
    let good = [&payload(100)[..], &[0x80], &[0; 27]].concat();
    let none = vec![0; 128];
    let wrong = [&payload(100)[..], &[0x40], &[0; 27]].concat();
    let longer = [&good[..], &[0; 64]].concat();
    for (padded, valid) in [(good, true), (none, false), (wrong, false), (longer, false)] {
        let (pieces, tree) = complete(padded);
        let pieces: Vec<_> =
            pieces.chunks_exact(pieces.len() / 64).map(Bytes::copy_from_slice).collect();
        for half in [0..32, 32..64, 16..48] {
            let decoded = decode(&tree.root(), &choose(&pieces, &half.collect::<Vec<_>>()));
            match decoded {
                Ok(decoded) => assert!(valid && decoded.payload() == payload(100)),
                Err(error) => assert!(!valid && error == DecodeError::Padding, "{error}"),
            }
        }
    }
}

#[test]
fn halves_that_decode_differently_are_refused_by_both() {
    let (one, two) = (encode(&payload(900)).unwrap(), encode(&[3; 900]).unwrap());
    let pieces = [&all_pieces(&one)[..32], &all_pieces(&two)[32..]].concat();
    let (root, tree) = commit(&pieces);
    for i in every_index() {
        let path = tree.path(u32::from(i));
        assert!(check_piece(&root, i, &pieces[usize::from(i)], &path), "the paths are fine");
    }
    for (half, decoded) in [(0..32, &one), (32..64, &two)] {
        let refused = decode(&root, &choose(&pieces, &half.collect::<Vec<_>>()));
        assert_eq!(refused, Err(DecodeError::Root { committed: root, got: decoded.root() }));
    }
}

/// What a leader may do to one piece before committing to all.
#[derive(Clone, Debug)]
enum Tamper {
    Flip(Index, Index, u8),
    Cut(Index),
    Swap(Index, Index),
}

fn tamper() -> impl Strategy<Value = Tamper> {
    prop_oneof![
        3 => (any::<Index>(), any::<Index>(), 1u8..).prop_map(|(i, at, x)| Tamper::Flip(i, at, x)),
        1 => any::<Index>().prop_map(Tamper::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(i, j)| Tamper::Swap(i, j)),
    ]
}

fn apply(pieces: &mut [Bytes], tamper: &Tamper) {
    match tamper {
        Tamper::Flip(i, at, x) => {
            let piece = &mut pieces[i.index(64)];
            let mut bytes = piece.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= x;
            *piece = bytes.into();
        }
        Tamper::Cut(i) => {
            let piece = &mut pieces[i.index(64)];
            *piece = piece.slice(..(piece.len() - 2).max(2));
        }
        Tamper::Swap(i, j) => pieces.swap(i.index(64), j.index(64)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For one root, every choice of 32 gives the same payload, or every choice fails.
    #[test]
    fn all_choices_agree(
        len in prop_oneof![0usize..400, 30_000usize..=MAX_PAYLOAD],
        tampers in proptest::collection::vec(tamper(), 0..3),
        choices in proptest::collection::vec(subsequence(every_index(), 32..=64), 2..6),
        rotate in any::<Index>(),
    ) {
        let encoded = encode(&payload(len)).unwrap();
        let honest = all_pieces(&encoded);
        let mut pieces = honest.clone();
        tampers.iter().for_each(|tamper| apply(&mut pieces, tamper));
        let (root, _) = commit(&pieces);
        for mut choice in choices {
            let middle = rotate.index(choice.len());
            choice.rotate_left(middle);
            let decoded = decode(&root, &choose(&pieces, &choice));
            if pieces == honest {
                let decoded = decoded.expect("an honest slice decodes from any 32 pieces");
                prop_assert_eq!(decoded.payload(), payload(len));
                prop_assert_eq!(&decoded, &encoded);
            } else {
                prop_assert!(decoded.is_err(), "decoded {:?}", decoded);
            }
        }
    }
}
