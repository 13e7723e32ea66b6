//! Genesis checks, the leader schedule, and a committee for other tests.

use super::*;

/// The secret keys of validator `i` in tests.
pub fn secrets(i: u16) -> (bls::SecretKey, ed25519::SecretKey, mac::SecretKey) {
    let seed = |tag| Hash::of(tag, &[&i.to_le_bytes()]).0;
    (
        bls::SecretKey::from_seed(Scheme::Null, &seed("test/vote")),
        ed25519::SecretKey::from_seed(Scheme::Null, &seed("test/slice")),
        mac::SecretKey::from_seed(&seed("test/mac")),
    )
}

/// A genesis with null signatures and these stakes.
pub fn genesis(stakes: &[u64]) -> Genesis {
    let validators = stakes.iter().enumerate().map(|(i, &stake)| {
        let (vote, slice, mac) = secrets(i as u16);
        Validator {
            stake,
            vote_key: vote.public(),
            possession: vote.prove_possession(),
            slice_key: slice.public(),
            mac_key: mac.public(),
        }
    });
    Genesis {
        cluster: Hash([0x7e; 32]),
        start_unix_ns: 0,
        scheme: Scheme::Null,
        params: Params::default(),
        validators: validators.collect(),
    }
}

/// A committee with null signatures and these stakes.
pub fn committee(stakes: &[u64]) -> Committee {
    Committee::new(&genesis(stakes)).unwrap()
}

#[test]
fn a_foreign_proof_of_possession_is_refused() {
    let mut g = genesis(&[1, 1, 1]);
    g.validators[2].possession = g.validators[1].possession.clone();
    assert_eq!(Committee::new(&g).unwrap_err(), GenesisError::Possession(2));
}

#[test]
fn a_key_used_twice_is_refused() {
    let mut g = genesis(&[1, 1, 1]);
    g.validators[2].slice_key = g.validators[0].slice_key;
    assert_eq!(Committee::new(&g).unwrap_err(), GenesisError::SharedKey(0, 2, "slice"));
}

#[test]
fn every_field_is_part_of_the_digest() {
    let base = genesis(&[1, 2, 3]);
    let mut variants = vec![base.clone(); 4];
    variants[0].start_unix_ns += 1;
    variants[1].params.delta_ns += 1;
    variants[2].validators[0].stake += 1;
    variants[3].validators.swap(0, 1);
    for variant in variants {
        assert_ne!(variant.digest(), base.digest());
    }
    assert_eq!(Genesis { cluster: Hash([1; 32]), ..base.clone() }.digest(), base.digest());
}

/// O38: the leader frequency follows the stake, and any window can be computed alone.
#[test]
fn leaders_are_drawn_by_stake() {
    let stakes = [60u64, 25, 10, 5];
    let c = committee(&stakes);
    let windows = 20_000u64;
    let mut led = [0u64; 4];
    for w in 0..windows {
        led[c.leader(Window(w)).index()] += 1;
    }
    for (stake, led) in stakes.iter().zip(led) {
        let share = led as f64 / windows as f64;
        assert!((share - *stake as f64 / 100.0).abs() < 0.02, "{stake} % led {share}");
    }
}

#[test]
fn vote_bytes_differ_in_every_field() {
    let c = committee(&[1, 1]);
    let other = Committee::new(&Genesis { cluster: Hash([1; 32]), ..genesis(&[1, 1]) }).unwrap();
    let (a, b) = (Hash([1; 32]), Hash([2; 32]));
    let kinds = [
        VoteKind::Notar(a),
        VoteKind::Notar(b),
        VoteKind::NotarFallback(a),
        VoteKind::Skip,
        VoteKind::SkipFallback,
        VoteKind::Final,
    ];
    let mut all = std::collections::BTreeSet::new();
    for c in [&c, &other] {
        for slot in [1, 2] {
            for kind in kinds {
                assert!(all.insert(c.vote_bytes(&Vote::new(Slot(slot), kind))));
            }
        }
    }
}
