//! Golden bytes, and what must be refused.

use super::*;

fn secret(scheme: Scheme, n: u8) -> SecretKey {
    SecretKey::from_seed(scheme, &[n; 32])
}

fn public(scheme: Scheme, n: u8) -> PublicKey {
    PublicKey::decode(scheme, &secret(scheme, n).public()).unwrap()
}

#[test]
fn golden_bytes() {
    let key = secret(Scheme::Bls, 7);
    assert_eq!(
        hex::encode(key.public().0),
        "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"
    );
    assert_eq!(
        hex::encode(key.sign(b"golden").0),
        "373e05805b5caa2cb0646a7fcf7aac68df1ca0417bfe90e6f7185ff27c72e107b3bc6d07904d\
             89eca23e6ad254e93e749448d099a1eeaa5983bd3a90699ea40f"
    );
    let key = secret(Scheme::Null, 7);
    assert_eq!(
        hex::encode(key.public().0),
        "c4172444aa91cabbae73d0df25b65e71aa50e76df4d03f844ca5744781c4174c"
    );
    assert_eq!(
        hex::encode(key.sign(b"golden").0),
        "6e756c6c207369676e6174757265000000000000000000000000000000000000b1415a807672\
             8085f818cd6be415de232fe0252ef834cc1aa161ea3a6acaf594"
    );
}

#[test]
fn signatures_bind_key_and_message() {
    for scheme in [Scheme::Bls, Scheme::Null] {
        let (key, signature) = (public(scheme, 1), secret(scheme, 1).sign(b"m"));
        assert!(key.verify(b"m", &signature));
        assert!(!key.verify(b"n", &signature));
        assert!(!public(scheme, 2).verify(b"m", &signature));
        for bit in 0..8 * 64 {
            let mut damaged = signature;
            damaged.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"m", &damaged), "{scheme:?} bit {bit}");
        }
        let encoded = borsh::to_vec(&signature).unwrap();
        assert_eq!(encoded, signature.0);
        assert_eq!(borsh::from_slice::<Signature>(&encoded).unwrap(), signature);
    }
    let null = secret(Scheme::Null, 1).sign(b"m");
    assert!(!public(Scheme::Bls, 1).verify(b"m", &null));
}

#[test]
fn a_scalar_above_the_order_is_refused() {
    // s + l is the same scalar; accepting it would give one statement two signatures.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (key, mut signature) = (public(Scheme::Bls, 1), secret(Scheme::Bls, 1).sign(b"m"));
    let mut carry = 0;
    for (byte, l) in signature.0[32..].iter_mut().zip(order) {
        let wide = u16::from(*byte) + l + carry;
        (*byte, carry) = (wide as u8, wide >> 8);
    }
    assert_eq!(carry, 0);
    assert!(!key.verify(b"m", &signature));
}

#[test]
fn a_commitment_of_small_order_is_refused() {
    // R is the identity and s = H(R, A, m) * a, which fits the equation that verifiers check.
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let s = "324a58ccc042d3ab39bbdc26597fb39827a159256aed3c62b396d4c6830c0808";
    hex::decode_to_slice(s, &mut bytes[32..]).unwrap();
    let key = VerifyingKey::from_bytes(&secret(Scheme::Bls, 1).public().0).unwrap();
    let decoded = ed25519_dalek::Signature::from_bytes(&bytes);
    assert!(ed25519_dalek::Verifier::verify(&key, b"m", &decoded).is_ok(), "lax verifiers agree");
    assert!(!public(Scheme::Bls, 1).verify(b"m", &Signature(bytes)));
}

#[test]
fn bad_keys_are_refused() {
    let decode = |bytes| PublicKey::decode(Scheme::Bls, &PublicKeyBytes(bytes));
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(decode(identity), Err(KeyError::Group));
    assert_eq!(decode([0; 32]), Err(KeyError::Group), "order 4");
    // y = p + 1, the identity once more.
    let mut high = [0xff; 32];
    (high[0], high[31]) = (0xee, 0x7f);
    assert_eq!(decode(high), Err(KeyError::Encoding));
    // x = 0 with a sign.
    identity[31] = 0x80;
    assert_eq!(decode(identity), Err(KeyError::Encoding));
    // Half of all y are not on the curve.
    let off_curve = (0..=255).filter(|n| {
        let mut bytes = [0; 32];
        bytes[1] = *n;
        decode(bytes) == Err(KeyError::Encoding)
    });
    assert!((64..192).contains(&off_curve.count()));
}

#[test]
fn secrets_are_not_printed() {
    for scheme in [Scheme::Bls, Scheme::Null] {
        let key = secret(scheme, 1);
        assert_eq!(format!("{key:?}"), format!("secret of {:?}", key.public()));
    }
}
