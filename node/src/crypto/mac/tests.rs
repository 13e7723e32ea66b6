//! Golden tag, agreement of both ends, and refusals.

use super::*;
use proptest::prelude::*;

fn pair(a: u8, b: u8, context: &[u8]) -> (MacKey, MacKey) {
    let (a, b) = (SecretKey::from_seed(&[a; 32]), SecretKey::from_seed(&[b; 32]));
    (a.shared(&b.public(), context).unwrap(), b.shared(&a.public(), context).unwrap())
}

#[test]
fn golden_bytes() {
    let digest = body_digest(b"body");
    let key = pair(1, 2, b"cluster").0;
    let public = SecretKey::from_seed(&[1; 32]).public().0;
    assert_eq!(
        hex::encode(public),
        "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209"
    );
    assert_eq!(
        hex::encode(digest),
        "0be9c598ae63835518e7fb422dc3027f452d75f3dbdb94c90d843298b1180ad9"
    );
    assert_eq!(hex::encode(key.tag(b"header", &digest)), "27c4191a3ecfb262330dd3c8dfa8cabe");
    assert_eq!(hex::encode(key.tag(&[9; 100], &digest)), "642a9c53e7a86e0aa0f3f88ba2016128");
}

#[test]
fn keys_belong_to_a_pair_and_a_context() {
    let digest = body_digest(b"body");
    let tag = pair(1, 2, b"cluster").0.tag(b"h", &digest);
    assert!(pair(1, 2, b"cluster").1.check(b"h", &digest, &tag), "the other end agrees");
    assert!(!pair(1, 3, b"cluster").0.check(b"h", &digest, &tag));
    assert!(!pair(1, 2, b"other").1.check(b"h", &digest, &tag));
    let own = pair(1, 1, b"cluster");
    assert!(own.0.check(b"h", &digest, &own.1.tag(b"h", &digest)), "a node may talk to itself");
}

#[test]
fn keys_of_small_order_are_refused() {
    let key = SecretKey::from_seed(&[1; 32]);
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    for point in [[0; 32], one, minus_one] {
        let refused = key.shared(&PublicKey(point), b"cluster");
        assert_eq!(refused.err(), Some(KeyError::Group));
    }
}

#[test]
fn secrets_are_not_printed() {
    let key = SecretKey::from_seed(&[1; 32]);
    assert_eq!(format!("{key:?}"), format!("secret of {:?}", key.public()));
    assert_eq!(format!("{:?}", pair(1, 2, b"").0), "MacKey");
}

proptest! {
    /// Short and long headers go different ways to the same function.
    #[test]
    fn a_tag_is_the_keyed_hash_of_header_and_digest(
        header in proptest::collection::vec(any::<u8>(), 0..80),
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let (key, digest) = (MacKey([5; 32]), body_digest(&body));
        let whole = blake3::keyed_hash(&[5; 32], &[&header[..], &digest].concat());
        prop_assert_eq!(&key.tag(&header, &digest)[..], &whole.as_bytes()[..TAG_BYTES]);
    }

    #[test]
    fn any_flipped_bit_is_noticed(
        header in proptest::collection::vec(any::<u8>(), 1..48),
        body in proptest::collection::vec(any::<u8>(), 1..2000),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let (key, other) = pair(1, 2, b"cluster");
        let digest = body_digest(&body);
        let tag = key.tag(&header, &digest);
        prop_assert!(other.check(&header, &digest, &tag));
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            bytes
        };
        prop_assert!(!other.check(&flip(&header), &digest, &tag));
        prop_assert!(!other.check(&header, &body_digest(&flip(&body)), &tag));
        prop_assert!(!other.check(&header, &digest, flip(&tag)[..].try_into().unwrap()));
    }
}
