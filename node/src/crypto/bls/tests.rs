//! Golden bytes, and everything a peer may send that must be refused.

use super::*;
use blst::min_sig::Signature as BlstSignature;
use proptest::prelude::*;

fn secret(scheme: Scheme, n: u8) -> SecretKey {
    SecretKey::from_seed(scheme, &[n; 32])
}

fn public(scheme: Scheme, n: u8) -> PublicKey {
    PublicKey::decode(scheme, &secret(scheme, n).public()).unwrap()
}

fn verifies(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    // Also through the encoding, so that a cached point cannot help.
    let mut fresh = Signature::from_bytes(*signature.bytes());
    let answer = key.verify(message, &mut fresh);
    assert_eq!(answer, key.verify(message, &mut signature.clone()));
    answer
}

/// p, the order of the base field, big-endian.
const FIELD: [u8; 48] = [
    0x1a, 0x01, 0x11, 0xea, 0x39, 0x7f, 0xe6, 0x9a, 0x4b, 0x1b, 0xa7, 0xb6, 0x43, 0x4b, 0xac, 0xd7,
    0x64, 0x77, 0x4b, 0x84, 0xf3, 0x85, 0x12, 0xbf, 0x67, 0x30, 0xd2, 0xa0, 0xf6, 0xb0, 0xf6, 0x24,
    0x1e, 0xab, 0xff, 0xfe, 0xb1, 0x53, 0xff, 0xff, 0xb9, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xaa, 0xab,
];

/// The same x coordinate, written as x + p, if that fits its 381 bits.
fn plus_field(bytes: &[u8]) -> Option<[u8; 48]> {
    let mut sum: [u8; 48] = bytes.try_into().unwrap();
    let flags = sum[0] & 0xe0;
    sum[0] &= 0x1f;
    let mut carry = 0;
    for (byte, p) in sum.iter_mut().zip(FIELD).rev() {
        let wide = u16::from(*byte) + u16::from(p) + carry;
        (*byte, carry) = (wide as u8, wide >> 8);
    }
    (sum[0] & 0xe0 == 0).then(|| {
        sum[0] |= flags;
        sum
    })
}

/// The order of the subgroup, big-endian.
const ORDER: [u8; 32] = [
    0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8, 0x08, 0x09, 0xa1, 0xd8, 0x05,
    0x53, 0xbd, 0xa4, 0x02, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
];

/// A point on the curve but outside the subgroup.
fn stray_point() -> BlstSignature {
    let on_curve = |x| {
        let mut bytes = [0; SIGNATURE_BYTES];
        (bytes[0], bytes[47]) = (0x80, x);
        BlstSignature::uncompress(&bytes).ok()
    };
    let point = (1..=255).find_map(on_curve).expect("one x in two is on the curve");
    assert!(!point.subgroup_check());
    point
}

/// A point whose order divides the cofactor: the part of a stray point that pairings ignore.
fn cofactor_point() -> BlstSignature {
    let stray = AggregateSignature::from_signature(&stray_point());
    let mut sum: Option<AggregateSignature> = None;
    for bit in (0..256).rev() {
        if let Some(sum) = &mut sum {
            let same = *sum;
            sum.add_aggregate(&same);
        }
        if ORDER[31 - bit / 8] >> (bit % 8) & 1 == 1 {
            match &mut sum {
                Some(sum) => sum.add_aggregate(&stray),
                None => sum = Some(stray),
            }
        }
    }
    let point = sum.expect("the order is not zero").to_signature();
    assert!(!point.subgroup_check() && !is_identity(&point.compress()));
    point
}

fn plus(signature: &Signature, point: &BlstSignature) -> Signature {
    let mut sum = AggregateSignature::from_signature(&signature.decoded().unwrap());
    sum.add_signature(point, false).unwrap();
    Signature::from_bytes(sum.to_signature().compress())
}

fn minus(a: &Signature, b: &Signature) -> BlstSignature {
    let mut negated = *b.bytes();
    negated[0] ^= 0x20;
    plus(a, &BlstSignature::uncompress(&negated).unwrap()).decoded().unwrap()
}

#[test]
fn golden_bytes() {
    let key = secret(Scheme::Bls, 7);
    assert_eq!(
        hex::encode(key.public().0),
        "8038bfe033bc328ea36bb7c3438bc5a27a0dc880506277e116c8b842ed0c1ea78d32c90b04af\
             bca59bd828c1e6c5e3f319274412f2e9eecf7334114b02847693e9d997f1aa9f936d90cae894\
             6df6593033431513e210880bcda015da1b61f6f5"
    );
    assert_eq!(
        hex::encode(key.sign(b"golden").bytes()),
        "a1361bd8ac58d1f3fafded621e7b39d98249dcd8f670f86242b417992b5ab5a1c0b121b16b7c\
             50b98d6f9f75a5887d45"
    );
    assert_eq!(
        hex::encode(key.prove_possession().bytes()),
        "ab382bef6a1bf6eee731ada63ac9dced4ee25532993064605cbc4e05abfdb20ce0b32335a561\
             b0ad428df113b527ee5a"
    );
    let key = secret(Scheme::Null, 7);
    assert_eq!(
        hex::encode(key.public().0),
        "6e756c6c206b65793a20616e796f6e652063616e20666f726765207468697300e8949f0ae5da\
             539538d2850dc1f3982e0d31333febf761ba358e2342f9bedf0cb254b3728d6659857e790f1c\
             36dd0798cd30d33ce76ab75edc3f4d4004097293"
    );
    assert_eq!(
        hex::encode(key.sign(b"golden").bytes()),
        "6e756c6c207369676e617475726500001816ea16a89eab98f81ae3b4c829dfac6fad1f2cf5aa\
             379ced5af417cece1ee7"
    );
    assert_eq!(
        hex::encode(key.prove_possession().bytes()),
        "6e756c6c207369676e61747572650000b82f1c8c56bacdf058565620e4042b08354668dceac1\
             b6f1edbb136d287c7b3d"
    );
}

#[test]
fn proof_of_possession_follows_the_standard() {
    // The draft's PopProve: the compressed key, hashed under the POP tag, times the secret.
    let key = secret(Scheme::Bls, 1);
    let blst = blst::min_sig::SecretKey::key_gen(&[1; 32], &[]).unwrap();
    let tag = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    let proof = blst.sign(&key.public().0, tag, &[]).compress();
    assert_eq!(key.prove_possession().bytes(), &proof);
}

#[test]
fn signatures_bind_key_message_and_domain() {
    for scheme in [Scheme::Bls, Scheme::Null] {
        let (one, two) = (secret(scheme, 1), secret(scheme, 2));
        let (pk1, pk2) = (public(scheme, 1), public(scheme, 2));
        assert!(verifies(&pk1, b"m", &one.sign(b"m")));
        assert!(!verifies(&pk2, b"m", &one.sign(b"m")), "swapped keys");
        assert!(!verifies(&pk1, b"n", &one.sign(b"m")), "other message");
        assert!(pk1.verify_possession(&one.prove_possession()));
        assert!(!pk1.verify_possession(&two.prove_possession()), "another's proof");
        assert!(!pk1.verify_possession(&one.sign(&pk1.bytes().0)), "a vote is no proof");
        assert!(!verifies(&pk1, &pk1.bytes().0, &one.prove_possession()), "a proof is no vote");
    }
}

#[test]
fn only_verified_signatures_keep_a_point() {
    let mut good = Signature::from_bytes(*secret(Scheme::Bls, 1).sign(b"m").bytes());
    let mut bad = good.clone();
    assert!(!public(Scheme::Bls, 2).verify(b"m", &mut bad) && bad.point.is_none());
    assert!(public(Scheme::Bls, 1).verify(b"m", &mut good) && good.point.is_some());
    assert_eq!(good, bad, "equality looks at the bytes");
    assert_eq!(good.cmp(&bad), Ordering::Equal);
    let bytes = borsh::to_vec(&good).unwrap();
    assert_eq!(bytes, good.bytes());
    assert!(borsh::from_slice::<Signature>(&bytes).unwrap().point.is_none());
}

#[test]
fn every_flipped_bit_is_refused() {
    for scheme in [Scheme::Bls, Scheme::Null] {
        let (key, signature) = (public(scheme, 1), secret(scheme, 1).sign(b"m"));
        for bit in 0..8 * SIGNATURE_BYTES {
            let mut bytes = *signature.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"m", &mut Signature::from_bytes(bytes)), "{scheme:?} bit {bit}");
        }
    }
}

#[test]
fn the_identity_is_refused_everywhere() {
    let mut identity = [0; SIGNATURE_BYTES];
    identity[0] = 0xc0;
    assert!(BlstSignature::uncompress(&identity).is_ok(), "a point, as such");
    let (key, identity) = (public(Scheme::Bls, 1), Signature::from_bytes(identity));
    assert!(!verifies(&key, b"m", &identity));
    assert!(!key.verify_possession(&identity));
    assert!(!verify_aggregate(&[&key], b"m", &identity));
    assert_eq!(aggregate([&identity]), None);

    let mut bytes = [0; PUBLIC_KEY_BYTES];
    bytes[0] = 0xc0;
    let refused = PublicKey::decode(Scheme::Bls, &PublicKeyBytes(bytes));
    assert_eq!(refused, Err(KeyError::Group));

    // A key and its negative: the sum of the keys is the identity, and so is that of the signatures.
    let mut negative = key.bytes().0;
    negative[0] ^= 0x20;
    let negative = PublicKey::decode(Scheme::Bls, &PublicKeyBytes(negative)).unwrap();
    let signature = secret(Scheme::Bls, 1).sign(b"m");
    let mut opposite = *signature.bytes();
    opposite[0] ^= 0x20;
    let opposite = Signature::from_bytes(opposite);
    assert!(verifies(&negative, b"m", &opposite), "the negative key signs with the negative");
    assert_eq!(aggregate([&signature, &opposite]), None);
    assert!(!verify_aggregate(&[&key, &negative], b"m", &identity));
}

#[test]
fn encodings_that_are_not_canonical_are_refused() {
    let (key, secret) = (public(Scheme::Bls, 1), secret(Scheme::Bls, 1));
    let mut tried = 0;
    for n in 0..32u8 {
        let signature = secret.sign(&[n]);
        if let Some(bytes) = plus_field(signature.bytes()) {
            tried += 1;
            assert!(!verifies(&key, &[n], &Signature::from_bytes(bytes)));
        }
    }
    assert!(tried > 0, "some x is small enough");

    let mut tried = 0;
    for n in 0..32 {
        let mut bytes = super::tests::secret(Scheme::Bls, n).public();
        if let Some(high) = plus_field(&bytes.0[..48]) {
            tried += 1;
            bytes.0[..48].copy_from_slice(&high);
            assert_eq!(PublicKey::decode(Scheme::Bls, &bytes), Err(KeyError::Encoding));
        }
    }
    assert!(tried > 0, "some x is small enough");

    // No compression flag; stray bits on the identity.
    let mut bytes = *secret.sign(b"m").bytes();
    bytes[0] &= 0x7f;
    assert!(!verifies(&key, b"m", &Signature::from_bytes(bytes)));
    let mut bytes = [0; PUBLIC_KEY_BYTES];
    bytes[0] = 0xe0;
    let refused = PublicKey::decode(Scheme::Bls, &PublicKeyBytes(bytes));
    assert_eq!(refused, Err(KeyError::Encoding));
}

#[test]
fn points_outside_the_subgroup_are_refused() {
    let (key, signature) = (public(Scheme::Bls, 1), secret(Scheme::Bls, 1).sign(b"m"));
    let stray = Signature::from_bytes(stray_point().compress());
    assert!(!verifies(&key, b"m", &stray));
    // A good signature plus a point of the cofactor: the pairing alone does not notice.
    let shifted = plus(&signature, &cofactor_point());
    let unchecked = BlstSignature::uncompress(shifted.bytes()).unwrap();
    let Key::Bls(point) = key.key else { unreachable!("a BLS key") };
    assert!(pairing_holds(&point, Domain::Message, b"m", &unchecked), "the check is needed");
    assert!(!verifies(&key, b"m", &shifted));
    assert!(!verify_aggregate(&[&key], b"m", &shifted));
    assert_eq!(aggregate([&signature, &shifted]), None);
    assert_eq!(verify_batch(b"m", &mut [(&key, signature), (&key, shifted)]), [true, false]);

    // Almost no x of G2 is in the subgroup; take the first that is on the curve.
    let outside = (0..=255).find_map(|x| {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        (bytes[0], bytes[95]) = (0x80, x);
        let point = KeyPoint::uncompress(&bytes).ok()?;
        point.validate().is_err().then_some(PublicKeyBytes(bytes))
    });
    let refused = PublicKey::decode(Scheme::Bls, &outside.expect("one in two is on the curve"));
    assert_eq!(refused, Err(KeyError::Group));
}

#[test]
fn keys_of_the_null_scheme_have_a_checksum() {
    let bytes = secret(Scheme::Null, 1).public();
    for bit in 0..8 * PUBLIC_KEY_BYTES {
        let mut bytes = bytes;
        bytes.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(PublicKey::decode(Scheme::Null, &bytes), Err(KeyError::Encoding), "bit {bit}");
    }
    assert_eq!(PublicKey::decode(Scheme::Bls, &bytes), Err(KeyError::Encoding));
}

#[test]
fn a_rogue_key_fools_the_sum_but_has_no_proof() {
    let (victim, attacker) = (public(Scheme::Bls, 1), secret(Scheme::Bls, 2));
    let mut rogue =
        AggregatePublicKey::from_public_key(&KeyPoint::from_bytes(&attacker.public().0).unwrap());
    rogue.sub_aggregate(&AggregatePublicKey::from_public_key(
        &KeyPoint::from_bytes(&victim.bytes().0).unwrap(),
    ));
    let bytes = PublicKeyBytes(rogue.to_public_key().compress());
    let rogue = PublicKey::decode(Scheme::Bls, &bytes).expect("a fine point");
    let forged = attacker.sign(b"m");
    assert!(verify_aggregate(&[&victim, &rogue], b"m", &forged), "this is why proofs are needed");
    assert!(!rogue.verify_possession(&attacker.prove_possession()));
    assert!(!rogue.verify_possession(&attacker.sign_in(Domain::Possession, &bytes.0)));
}

#[test]
fn aggregates_bind_the_set_of_keys() {
    for scheme in [Scheme::Bls, Scheme::Null] {
        let keys: Vec<_> = (0..5).map(|n| public(scheme, n)).collect();
        let signatures: Vec<_> = (0..5).map(|n| secret(scheme, n).sign(b"m")).collect();
        let all: Vec<_> = keys.iter().collect();
        let sum = aggregate(&signatures).unwrap();
        let fresh: Vec<_> = signatures.iter().map(|s| Signature::from_bytes(s.bytes)).collect();
        assert_eq!(aggregate(&fresh).as_ref(), Some(&sum), "with and without points");
        assert_eq!(aggregate(signatures.iter().rev()).as_ref(), Some(&sum), "in any order");
        assert!(verify_aggregate(&all, b"m", &sum));
        assert!(verify_aggregate(&all, b"m", &Signature::from_bytes(sum.bytes)));
        assert!(!verify_aggregate(&all, b"n", &sum));
        assert!(!verify_aggregate(&all[1..], b"m", &sum));
        assert!(!verify_aggregate(&[all.clone(), vec![all[0]]].concat(), b"m", &sum));
        assert!(!verify_aggregate(&[], b"m", &sum));
        assert!(verify_aggregate(&[all[3]], b"m", &aggregate([&signatures[3]]).unwrap()));
        assert_eq!(aggregate([&signatures[3]]).as_ref(), Some(&signatures[3]));
    }
    assert_eq!(aggregate([]), None);
}

#[test]
fn schemes_do_not_mix() {
    let (bls, null) = (public(Scheme::Bls, 1), public(Scheme::Null, 1));
    let (s1, s2) = (secret(Scheme::Bls, 1).sign(b"m"), secret(Scheme::Null, 1).sign(b"m"));
    assert!(!verifies(&bls, b"m", &s2) && !verifies(&null, b"m", &s1));
    assert_eq!(aggregate([&s1, &s2]), None);
    assert_eq!(aggregate([&s2, &s1]), None);
    for signature in [&s1, &s2] {
        assert!(!verify_aggregate(&[&bls, &null], b"m", signature));
        assert!(!verify_aggregate(&[&null, &bls], b"m", signature));
    }
}

#[test]
fn a_cancelling_pair_passes_the_sum_but_not_the_batch() {
    let keys = [public(Scheme::Bls, 1), public(Scheme::Bls, 2), public(Scheme::Bls, 3)];
    let good: Vec<_> = (1..=3).map(|n| secret(Scheme::Bls, n).sign(b"m")).collect();
    let error = secret(Scheme::Bls, 9).sign(b"error").decoded().unwrap();
    let opposite = minus(&good[1], &plus(&good[1], &error));
    let pair = [plus(&good[0], &error), plus(&good[1], &opposite), good[2].clone()];
    let sum = aggregate(&pair).unwrap();
    assert_eq!(Some(&sum), aggregate(&good).as_ref(), "the errors cancel");
    assert!(verify_aggregate(&keys.each_ref(), b"m", &sum));
    let mut batch: Vec<_> = keys.iter().zip(pair).collect();
    assert_eq!(verify_batch(b"m", &mut batch), [false, false, true]);
    assert!(batch[0].1.point.is_none() && batch[2].1.point.is_some());
    // Swapped signatures cancel in the same way.
    let mut batch: Vec<_> = keys[..2].iter().zip([good[1].clone(), good[0].clone()]).collect();
    assert_eq!(verify_batch(b"m", &mut batch), [false, false]);
}

#[test]
fn weights_depend_on_every_input() {
    let key = public(Scheme::Bls, 1);
    let batch = |n: u8| vec![(&key, Signature::from_bytes([n; 48])); 2];
    let weights = super::batch::weights(b"m", &batch(1), 2);
    assert_ne!(weights[..16], weights[16..]);
    assert_ne!(weights, super::batch::weights(b"n", &batch(1), 2));
    assert_ne!(weights, super::batch::weights(b"m", &batch(2), 2));
    let other = public(Scheme::Bls, 2);
    let signature = || Signature::from_bytes([1; 48]);
    let swapped = [(&key, signature()), (&other, signature())];
    assert_ne!(weights, super::batch::weights(b"m", &swapped, 2));
}

#[test]
fn an_empty_batch_has_no_answers() {
    assert_eq!(verify_batch(b"m", &mut []), Vec::<bool>::new());
}

#[test]
fn secrets_are_not_printed() {
    for scheme in [Scheme::Bls, Scheme::Null] {
        let key = secret(scheme, 1);
        assert_eq!(format!("{key:?}"), format!("secret of {:?}", key.public()));
    }
}

#[test]
fn schemes_have_fixed_encodings() {
    assert_eq!(borsh::to_vec(&Scheme::Bls).unwrap(), [0]);
    assert_eq!(borsh::to_vec(&Scheme::Null).unwrap(), [1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The batch answers what single checks answer, whatever is wrong with whichever entries.
    #[test]
    fn batch_equals_singles(
        null in any::<bool>(),
        entries in proptest::collection::vec((0u8..6, 0u8..12), 0..9),
    ) {
        let scheme = if null { Scheme::Null } else { Scheme::Bls };
        let keys: Vec<_> = (0..6).map(|n| public(scheme, n)).collect();
        let mut batch: Vec<_> = entries
            .iter()
            .map(|(n, fault)| {
                let mut signature = secret(scheme, *n).sign(if *fault == 0 { b"x" } else { b"m" });
                match fault {
                    1 => signature = secret(scheme, n + 1).sign(b"m"),
                    2 => signature = Signature::from_bytes([0xff; 48]),
                    3 => signature = Signature::from_bytes(signature.bytes),
                    _ => {}
                }
                (&keys[usize::from(*n)], signature)
            })
            .collect();
        let expected: Vec<_> = entries.iter().map(|(_, fault)| *fault > 2).collect();
        prop_assert_eq!(verify_batch(b"m", &mut batch), expected);
    }
}
