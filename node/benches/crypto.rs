//! What the primitives cost: one table, in nanoseconds per call.
//!
//! `cargo bench -p alpenglow-node --bench crypto`, and again with `--features sim` for the rows of
//! the null scheme and of the memo. Each row is the median of five batches on one thread. Run as a
//! test (without `--bench`), each row is measured once, to see that it works.

use alpenglow_node::crypto::{Hash, Scheme, bls, ed25519, erasure, mac, merkle};
use bytes::Bytes;
use std::hint::black_box;

/// A vote as it is signed: tag, cluster, epoch, kind, slot, hash.
const VOTE: &[u8; 56] = &[7; 56];

fn main() {
    let table = Table { full: std::env::args().any(|argument| argument == "--bench") };
    signatures(&table, "bls", Scheme::Bls);
    slices(&table);
    datagrams(&table);
    #[cfg(feature = "sim")]
    {
        signatures(&table, "null", Scheme::Null);
        alpenglow_node::crypto::memo::set_enabled(true);
        signatures(&table, "memo", Scheme::Bls);
        slices(&table);
        datagrams(&table);
        println!("\n{:#?}", alpenglow_node::crypto::memo::stats());
    }
}

struct Table {
    full: bool,
}

impl Table {
    /// Measures `work` on what `prepare` makes (whose cost counts, so it should be a clone).
    fn row<I, T>(&self, name: &str, mut prepare: impl FnMut() -> I, work: impl Fn(&mut I) -> T) {
        let mut batch = |calls: u32| {
            let started = now();
            for _ in 0..calls {
                black_box(work(black_box(&mut prepare())));
            }
            started.elapsed().as_nanos() / u128::from(calls)
        };
        let once = batch(1).max(1);
        let calls = if self.full { u32::try_from(40_000_000 / once).unwrap_or(1) } else { 1 };
        let mut batches: Vec<_> = (0..5).map(|_| batch(calls.max(1))).collect();
        batches.sort_unstable();
        println!("{name:<44} {:>12} ns", batches[2]);
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; nothing is simulated")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn signatures(table: &Table, what: &str, scheme: Scheme) {
    println!("\n== signatures: {what}");
    let secrets: Vec<_> = (0..100).map(|n| bls::SecretKey::from_seed(scheme, &[n; 32])).collect();
    let keys: Vec<_> =
        secrets.iter().map(|s| bls::PublicKey::decode(scheme, &s.public()).unwrap()).collect();
    let keys: Vec<_> = keys.iter().collect();
    let votes: Vec<_> = secrets.iter().map(|secret| secret.sign(VOTE)).collect();
    let fresh = || bls::Signature::from_bytes(*votes[0].bytes());
    table.row("vote: clone", || (), |()| votes[0].clone());
    table.row("vote: sign", || (), |()| secrets[0].sign(VOTE));
    table.row("vote: verify", fresh, |vote| assert!(keys[0].verify(VOTE, vote)));
    table.row("vote: verify, point known", || votes[0].clone(), |vote| keys[0].verify(VOTE, vote));
    table.row("key: decode", || (), |()| bls::PublicKey::decode(scheme, keys[0].bytes()));
    for n in [20, 100] {
        let aggregate = bls::aggregate(&votes[..n]).unwrap();
        let sent = bls::Signature::from_bytes(*aggregate.bytes());
        let batch = || -> Vec<_> {
            let fresh = votes[..n].iter().map(|vote| bls::Signature::from_bytes(*vote.bytes()));
            keys.iter().copied().zip(fresh).collect()
        };
        table.row(&format!("aggregate {n}"), || (), |()| bls::aggregate(&votes[..n]));
        table.row(&format!("verify_batch {n}"), batch, |batch| bls::verify_batch(VOTE, batch));
        let check = |(): &mut ()| assert!(bls::verify_aggregate(&keys[..n], VOTE, &sent));
        table.row(&format!("verify_aggregate {n}"), || (), check);
    }
    let secret = ed25519::SecretKey::from_seed(scheme, &[1; 32]);
    let key = ed25519::PublicKey::decode(scheme, &secret.public()).unwrap();
    let signature = secret.sign(VOTE);
    table.row("slice: sign", || (), |()| secret.sign(VOTE));
    table.row("slice: verify", || (), |()| assert!(key.verify(VOTE, &signature)));
}

fn slices(table: &Table) {
    println!("\n== slices of 32,767 bytes");
    let payload: Vec<_> = (0..erasure::MAX_PAYLOAD).map(|i| (i * 7 + i / 251) as u8).collect();
    let encoded = erasure::encode(&payload).unwrap();
    let (root, piece, path) = (encoded.root(), encoded.piece(40), encoded.path(40));
    let copy = Bytes::copy_from_slice(&piece);
    let check = |piece: &Bytes| assert!(erasure::check_piece(&root, 40, piece, &path));
    table.row("encode", || (), |()| erasure::encode(&payload));
    table.row("check_piece, shared bytes", || (), |()| check(&piece));
    table.row("check_piece, copied bytes", || (), |()| check(&copy));
    let choose = |first: u8| -> Vec<_> {
        (first..first + 32).map(|i| (i, Bytes::copy_from_slice(&encoded.piece(i)))).collect()
    };
    for (name, pieces) in [("data", choose(0)), ("mixed", choose(16)), ("parity", choose(32))] {
        let decode = |(): &mut ()| assert!(erasure::decode(&root, &pieces).is_ok());
        table.row(&format!("decode 32 pieces, {name}"), || (), decode);
    }
    let leaves: Vec<Hash> = (0..64_u32).map(|i| merkle::leaf(&i.to_le_bytes())).collect();
    let tree = merkle::Tree::new(leaves.clone());
    table.row("tree of 64", || leaves.clone(), |leaves| merkle::Tree::new(std::mem::take(leaves)));
    let path = tree.path(9);
    let climb = |(): &mut ()| assert!(merkle::check_path(leaves[9], 9, &path, &tree.root(), 6));
    table.row("check_path of 6", || (), climb);
}

fn datagrams(table: &Table) {
    println!("\n== datagrams");
    let secret = mac::SecretKey::from_seed(&[1; 32]);
    let other = mac::SecretKey::from_seed(&[2; 32]).public();
    let key = secret.shared(&other, b"cluster").unwrap();
    for len in [120, 1200] {
        let body = Bytes::from(vec![3; len]);
        table.row(&format!("own_body_digest of {len}"), || (), |()| mac::own_body_digest(&body));
        table.row(&format!("body_digest of {len}"), || (), |()| mac::body_digest(&body));
    }
    let digest = mac::body_digest(b"body");
    let tag = key.tag(&[1; 15], &digest);
    table.row("tag", || (), |()| key.tag(&[1; 15], &digest));
    table.row("check", || (), |()| assert!(key.check(&[1; 15], &digest, &tag)));
    table.row("shared key", || (), |()| secret.shared(&other, b"cluster").is_ok());
}
