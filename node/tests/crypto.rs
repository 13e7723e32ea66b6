//! The crypto room as a production build has it: unit tests always know the forgeable null scheme,
//! so what happens without it can only be seen from outside.

use alpenglow_node::crypto::{Scheme, bls, ed25519, erasure, mac};

/// In a production build the null scheme has no name and no encoding, and what would be its keys
/// and signatures are refused like any other bytes.
#[cfg(not(feature = "sim"))]
#[test]
fn production_knows_no_null_scheme() {
    let Scheme::Bls = borsh::from_slice(&[0]).unwrap(); // irrefutable: there is no other variant
    assert!(borsh::from_slice::<Scheme>(&[1]).is_err());

    let mut key = [0; bls::PUBLIC_KEY_BYTES];
    key[..32].copy_from_slice(b"null key: anyone can forge this\0");
    assert!(bls::PublicKey::decode(Scheme::Bls, &bls::PublicKeyBytes(key)).is_err());
    let mut signature = [0; bls::SIGNATURE_BYTES];
    signature[..16].copy_from_slice(b"null signature\0\0");
    let mut signature = bls::Signature::from_bytes(signature);
    assert_eq!(bls::aggregate([&signature]), None);
    let key = bls::SecretKey::from_seed(Scheme::Bls, &[1; 32]).public();
    let key = bls::PublicKey::decode(Scheme::Bls, &key).unwrap();
    assert!(!key.verify(b"m", &mut signature));
    assert!(!bls::verify_aggregate(&[&key], b"m", &signature));
}

#[cfg(feature = "sim")]
#[test]
fn simulation_decodes_both_schemes() {
    assert_eq!(borsh::from_slice::<Scheme>(&[0]).unwrap(), Scheme::Bls);
    assert_eq!(borsh::from_slice::<Scheme>(&[1]).unwrap(), Scheme::Null);
    assert!(borsh::from_slice::<Scheme>(&[2]).is_err());
}

/// Verification runs on a pool of workers in production.
#[test]
fn everything_crosses_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<bls::SecretKey>();
    crosses::<bls::PublicKey>();
    crosses::<bls::Signature>();
    crosses::<ed25519::SecretKey>();
    crosses::<ed25519::PublicKey>();
    crosses::<erasure::Encoded>();
    crosses::<mac::SecretKey>();
    crosses::<mac::MacKey>();
}
