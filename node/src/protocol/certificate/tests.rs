//! Certificates under real BLS signatures: which verify, and every lie that must not.
//!
//! Each case is also put through its encoding first, so that no decoded point that the builder
//! left behind can help a forgery.

use super::*;
use crate::crypto::{Scheme, ed25519, mac};
use crate::protocol::committee::{Genesis, GenesisError, Validator};
use crate::protocol::params::Params;
use crate::protocol::pool::{Conclusion, Context, Pool};
use crate::protocol::signatures::Signatures;
use crate::protocol::types::Hash;
use std::sync::OnceLock;

/// T = 100, chosen so that sets of exactly 60, 59, 80 and 79 exist.
const STAKES: [u64; 7] = [21, 20, 20, 19, 10, 9, 1];
const AT_60: [u16; 3] = [0, 1, 3];
const AT_59: [u16; 3] = [1, 2, 3];
const AT_80: [u16; 4] = [0, 1, 2, 3];
const AT_79: [u16; 5] = [0, 1, 3, 4, 5];
const SLOT: Slot = Slot(5);
const A: Hash = Hash([0xa; 32]);
const B: Hash = Hash([0xb; 32]);

/// A committee, its keys, and a key outside of it. Made once: keys and proofs cost a millisecond.
struct World {
    committee: Committee,
    keys: Vec<bls::SecretKey>,
    stranger: bls::SecretKey,
}

fn key(i: u16) -> bls::SecretKey {
    bls::SecretKey::from_seed(Scheme::Bls, &Hash::of("test/real-vote", &[&i.to_le_bytes()]).0)
}

fn genesis(name: &str) -> Genesis {
    let validator = |(i, &stake): (usize, &u64)| {
        let vote = key(i as u16);
        let seed = |tag| Hash::of(tag, &[&[i as u8]]).0;
        Validator {
            stake,
            vote_key: vote.public(),
            possession: vote.prove_possession(),
            slice_key: ed25519::SecretKey::from_seed(Scheme::Bls, &seed("test/slice")).public(),
            mac_key: mac::SecretKey::from_seed(&seed("test/mac")).public(),
        }
    };
    Genesis {
        cluster: Hash::of("test", &[name.as_bytes()]),
        start_unix_ns: 0,
        scheme: Scheme::Bls,
        params: Params::default(),
        validators: STAKES.iter().enumerate().map(validator).collect(),
    }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World {
        committee: Committee::new(&genesis("real")).unwrap(),
        keys: (0..STAKES.len() as u16).map(key).collect(),
        stranger: key(99),
    })
}

fn sign_for(committee: &Committee, node: u16, slot: Slot, kind: VoteKind) -> bls::Signature {
    world().keys[usize::from(node)].sign(&committee.vote_bytes(&Vote::new(slot, kind)))
}

fn sign(node: u16, slot: Slot, kind: VoteKind) -> bls::Signature {
    sign_for(&world().committee, node, slot, kind)
}

/// The part that these nodes sign honestly.
fn part(nodes: &[u16], slot: Slot, kind: VoteKind) -> Option<Part> {
    let signatures: Vec<_> =
        nodes.iter().map(|&node| (NodeId(node), sign(node, slot, kind))).collect();
    Part::new(STAKES.len(), signatures.iter().map(|(node, signature)| (*node, signature)))
}

/// An honest certificate by these signers of the first and the fallback message.
fn certificate(kind: CertificateKind, first: &[u16], fallback: &[u16]) -> Certificate {
    let (first_kind, fallback_kind, _) = kind.messages();
    Certificate {
        id: CertificateId::new(SLOT, kind),
        first: part(first, SLOT, first_kind),
        fallback: fallback_kind.and_then(|kind| part(fallback, SLOT, kind)),
    }
}

/// The verifier's answer after a trip over the wire.
fn check(certificate: &Certificate) -> Result<(), CertificateError> {
    let bytes = borsh::to_vec(certificate).unwrap();
    let received = Certificate::try_from_slice(&bytes).unwrap();
    assert_eq!(received, *certificate);
    received.verify(&world().committee)
}

fn bitmap(nodes: &[u16]) -> Bitmap {
    let set: NodeSet = nodes.iter().copied().map(NodeId).collect();
    Bitmap::new(Bytes::from(set.to_bitmap(STAKES.len()))).unwrap()
}

fn raw_bitmap(bytes: &[u8]) -> Bitmap {
    Bitmap::new(Bytes::copy_from_slice(bytes)).unwrap()
}

const KINDS: [CertificateKind; 5] = [
    CertificateKind::FastFinal(A),
    CertificateKind::Notar(A),
    CertificateKind::NotarFallback(A),
    CertificateKind::Skip,
    CertificateKind::Final,
];

/// The signers that just suffice for the first message alone, and those one unit short of it.
fn thresholds(kind: CertificateKind) -> (&'static [u16], &'static [u16]) {
    match kind {
        CertificateKind::FastFinal(_) => (&AT_80, &AT_79),
        _ => (&AT_60, &AT_59),
    }
}

#[test]
fn every_kind_verifies_at_its_threshold_and_not_one_unit_below() {
    for kind in KINDS {
        let (enough, short) = thresholds(kind);
        assert_eq!(check(&certificate(kind, enough, &[])), Ok(()), "{kind:?}");
        assert_eq!(check(&certificate(kind, &[0, 1, 2, 3, 4, 5, 6], &[])), Ok(()), "{kind:?}");
        let short = check(&certificate(kind, short, &[]));
        assert_eq!(short, Err(CertificateError::Stake), "{kind:?}");
    }
}

#[test]
fn mixed_kinds_verify_with_either_part_or_both() {
    for kind in [CertificateKind::NotarFallback(A), CertificateKind::Skip] {
        assert_eq!(check(&certificate(kind, &[0, 1], &[3])), Ok(()), "{kind:?}");
        assert_eq!(check(&certificate(kind, &[3], &[0, 1])), Ok(()), "{kind:?}");
        assert_eq!(check(&certificate(kind, &[], &AT_60)), Ok(()), "{kind:?}");
        let short = check(&certificate(kind, &[1, 2], &[3]));
        assert_eq!(short, Err(CertificateError::Stake), "{kind:?}");
    }
}

/// E12, B23: in both parts a validator is worth its stake once. 21 + 20 + 19 is enough, 21 + 20
/// with both of them twice is not, whatever the parts sum to (82).
#[test]
fn a_signer_in_both_parts_counts_once() {
    for kind in [CertificateKind::NotarFallback(A), CertificateKind::Skip] {
        let twice = check(&certificate(kind, &[0, 1], &[0, 1]));
        assert_eq!(twice, Err(CertificateError::Stake), "{kind:?}");
        // With enough stake in the union the overlap does no harm.
        assert_eq!(check(&certificate(kind, &AT_60, &[0, 1])), Ok(()), "{kind:?}");
    }
}

/// Every single flipped bit of the aggregate is noticed.
#[test]
fn no_bit_of_the_aggregate_may_change() {
    let good = certificate(CertificateKind::Notar(A), &AT_60, &[]);
    let bytes = *good.first.as_ref().unwrap().signature.bytes();
    for bit in 0..bytes.len() * 8 {
        let mut wrong = bytes;
        wrong[bit / 8] ^= 1 << (bit % 8);
        let mut bad = good.clone();
        bad.first.as_mut().unwrap().signature = bls::Signature::from_bytes(wrong);
        assert_eq!(check(&bad), Err(CertificateError::Signature), "bit {bit}");
    }
}

/// B22: the bitmap claims somebody who did not sign, leaves out somebody who did, or names
/// somebody else with more stake.
#[test]
fn the_bitmap_must_name_exactly_the_signers() {
    for kind in KINDS {
        let all: &[u16] = &[0, 1, 2, 3, 4];
        let good = certificate(kind, all, &[]);
        assert_eq!(check(&good), Ok(()));
        for claimed in [&[0, 1, 2, 3, 4, 5][..], &[0, 1, 2, 3], &[0, 1, 2, 3, 5]] {
            let mut bad = good.clone();
            bad.first.as_mut().unwrap().signers = bitmap(claimed);
            assert_eq!(check(&bad), Err(CertificateError::Signature), "{kind:?} by {claimed:?}");
        }
    }
    // The same for the second message.
    let mut bad = certificate(CertificateKind::Skip, &[0, 1], &[3, 4]);
    bad.fallback.as_mut().unwrap().signers = bitmap(&[3, 5]);
    assert_eq!(check(&bad), Err(CertificateError::Signature));
}

/// The signature of a key outside of the committee under a member's bit.
#[test]
fn a_foreign_key_signs_for_nobody() {
    let vote = Vote::new(SLOT, VoteKind::Skip);
    let stranger = world().stranger.sign(&world().committee.vote_bytes(&vote));
    let honest: Vec<_> = [0, 1].map(|node| sign(node, SLOT, VoteKind::Skip)).into();
    let signers = [(NodeId(0), &honest[0]), (NodeId(1), &honest[1]), (NodeId(3), &stranger)];
    let mut bad = certificate(CertificateKind::Skip, &AT_60, &[]);
    bad.first = Part::new(STAKES.len(), signers);
    assert_eq!(check(&bad), Err(CertificateError::Signature));
}

/// B22: wrong length, stray bits, nobody.
#[test]
fn malformed_bitmaps() {
    let good = certificate(CertificateKind::Notar(A), &AT_60, &[]);
    let bits = good.first.as_ref().unwrap().signers[0];
    let cases: [&[u8]; 5] = [&[], &[0], &[bits, 0], &[bits | 0x80], &[bits, bits]];
    for case in cases {
        let mut bad = good.clone();
        bad.first.as_mut().unwrap().signers = raw_bitmap(case);
        assert_eq!(check(&bad), Err(CertificateError::Bitmap), "{case:x?}");
        // An empty or stray second part spoils a certificate that would be valid without it.
        let mut bad = certificate(CertificateKind::Skip, &AT_60, &[1]);
        bad.fallback.as_mut().unwrap().signers = raw_bitmap(case);
        assert_eq!(check(&bad), Err(CertificateError::Bitmap), "{case:x?}");
    }
    // A bitmap for the committee size of another cluster.
    let longest = vec![0xff; MAX_NODES.div_ceil(8)];
    let mut bad = good;
    bad.first.as_mut().unwrap().signers = raw_bitmap(&longest);
    assert_eq!(check(&bad), Err(CertificateError::Bitmap));
}

/// B22: points that are no signature: the identity, a point outside of the subgroup, x = 0 bytes.
#[test]
fn degenerate_points() {
    let mut identity = [0; 48];
    identity[0] = 0xc0;
    let stray = (1..=255u8)
        .map(|x| {
            let mut bytes = [0; 48];
            (bytes[0], bytes[47]) = (0x80, x);
            bytes
        })
        .find(|bytes| {
            blst::min_sig::Signature::uncompress(bytes).is_ok_and(|point| !point.subgroup_check())
        })
        .expect("half of all x are on the curve, few of them in the subgroup");
    for bytes in [identity, stray, [0; 48], [0xff; 48]] {
        for kind in KINDS {
            let mut bad = certificate(kind, &AT_80, &[]);
            bad.first.as_mut().unwrap().signature = bls::Signature::from_bytes(bytes);
            assert_eq!(check(&bad), Err(CertificateError::Signature), "{kind:?} {bytes:02x?}");
        }
    }
    // Nor as a second part beside a first one that is enough by itself.
    let mut bad = certificate(CertificateKind::Skip, &AT_60, &[1]);
    bad.fallback.as_mut().unwrap().signature = bls::Signature::from_bytes(identity);
    assert_eq!(check(&bad), Err(CertificateError::Signature));
}

/// An aggregate proves its own kind, slot and block only.
#[test]
fn an_aggregate_cannot_be_relabelled() {
    let kinds = [
        CertificateKind::FastFinal(A),
        CertificateKind::Notar(A),
        CertificateKind::Notar(B),
        CertificateKind::NotarFallback(A),
        CertificateKind::NotarFallback(B),
        CertificateKind::Skip,
        CertificateKind::Final,
    ];
    for made in kinds {
        let (made_first, made_fallback, _) = made.messages();
        for first in [true, false] {
            if !first && made_fallback.is_none() {
                continue;
            }
            let mut certificate = certificate(made, &AT_80, &[]);
            if !first {
                certificate.first = part(&AT_80, SLOT, made_fallback.unwrap());
            }
            for claimed in kinds {
                let mut relabelled = certificate.clone();
                relabelled.id = CertificateId::new(SLOT, claimed);
                // N(a) is the first message of FF, NO and NF alike, so those may be derived.
                let same = first && claimed.messages().0 == made_first;
                let expected = if same { Ok(()) } else { Err(CertificateError::Signature) };
                assert_eq!(check(&relabelled), expected, "{made:?} as {claimed:?}");
            }
            let mut elsewhere = certificate;
            elsewhere.id.slot = SLOT.next();
            assert_eq!(check(&elsewhere), Err(CertificateError::Signature), "{made:?}");
        }
    }
    // The two parts of a mixed certificate do not stand in for each other.
    let mut swapped = certificate(CertificateKind::NotarFallback(A), &AT_60, &[4]);
    std::mem::swap(&mut swapped.first, &mut swapped.fallback);
    assert_eq!(check(&swapped), Err(CertificateError::Signature));
}

#[test]
fn parts_must_fit_the_kind() {
    for kind in KINDS {
        let mut none = certificate(kind, &AT_80, &[]);
        none.first = None;
        assert_eq!(check(&none), Err(CertificateError::Parts), "{kind:?} without parts");
    }
    let fallback = part(&AT_80, SLOT, VoteKind::NotarFallback(A));
    for kind in [CertificateKind::FastFinal(A), CertificateKind::Notar(A), CertificateKind::Final] {
        let mut extra = certificate(kind, &AT_80, &[]);
        extra.fallback = fallback.clone();
        assert_eq!(check(&extra), Err(CertificateError::Parts), "{kind:?} with a second part");
        extra.first = None;
        assert_eq!(check(&extra), Err(CertificateError::Parts), "{kind:?} with only that part");
    }
}

/// B25: the same validators in another cluster sign other bytes.
#[test]
fn votes_of_another_cluster_prove_nothing() {
    let other = Committee::new(&genesis("another")).unwrap();
    let good = certificate(CertificateKind::Skip, &AT_60, &[]);
    assert_eq!(good.verify(&other), Err(CertificateError::Signature));
    let signatures: Vec<_> = AT_60
        .iter()
        .map(|&node| (NodeId(node), sign_for(&other, node, SLOT, VoteKind::Skip)))
        .collect();
    let mut theirs = good;
    theirs.first = Part::new(STAKES.len(), signatures.iter().map(|(node, s)| (*node, s)));
    assert_eq!(theirs.verify(&other), Ok(()));
    assert_eq!(check(&theirs), Err(CertificateError::Signature));
}

/// B23: the key `mine - theirs` lets one node sign for two. It cannot enter a committee, because
/// nobody knows its secret and so nobody can prove possession.
#[test]
fn a_rogue_key_stays_outside() {
    let (mine, theirs) = (key(50), key(0));
    // The sign bit of a compressed point negates it.
    let mut negated = theirs.public().0;
    negated[0] ^= 0x20;
    let points = [mine.public().0, negated]
        .map(|bytes| blst::min_sig::PublicKey::key_validate(&bytes).unwrap());
    let sum = blst::min_sig::AggregatePublicKey::aggregate(&[&points[0], &points[1]], false);
    let rogue = bls::PublicKeyBytes(sum.unwrap().to_public_key().compress());
    let decode = |bytes| bls::PublicKey::decode(Scheme::Bls, bytes).unwrap();
    let keys = [decode(&theirs.public()), decode(&rogue)];
    let forged = mine.sign(b"both of us");
    let danger = bls::verify_aggregate(&[&keys[0], &keys[1]], b"both of us", &forged);
    assert!(danger, "the attack works on keys that are taken on trust");
    let mut genesis = genesis("rogue");
    genesis.validators[6].vote_key = rogue;
    for proof in [mine.prove_possession(), theirs.prove_possession(), mine.sign(&rogue.0)] {
        genesis.validators[6].possession = proof;
        assert_eq!(Committee::new(&genesis).unwrap_err(), GenesisError::Possession(6));
    }
}

#[test]
fn finality_proofs_must_belong_together() {
    let committee = &world().committee;
    let of = |slot: Slot, kind: CertificateKind| {
        let (first, ..) = kind.messages();
        let id = CertificateId::new(slot, kind);
        Arc::new(Certificate { id, first: part(&AT_80, slot, first), fallback: None })
    };
    let fast = of(SLOT, CertificateKind::FastFinal(A));
    let notar = of(SLOT, CertificateKind::Notar(A));
    let last = of(SLOT, CertificateKind::Final);
    let good = FinalityProof::Fast(fast.clone());
    assert_eq!((good.verify(committee), good.block()), (Ok(()), Some(BlockId::new(SLOT, A))));
    let good = FinalityProof::Slow { notar: notar.clone(), last: last.clone() };
    assert_eq!((good.verify(committee), good.block()), (Ok(()), Some(BlockId::new(SLOT, A))));

    let fallback = of(SLOT, CertificateKind::NotarFallback(A));
    let skip = of(SLOT, CertificateKind::Skip);
    let elsewhere = of(SLOT.next(), CertificateKind::Final);
    let pairs = [
        (&notar, &elsewhere),
        (&fallback, &last),
        (&fast, &last),
        (&skip, &last),
        (&last, &notar),
        (&notar, &notar),
        (&notar, &skip),
    ];
    for (notar, last) in pairs {
        let bad = FinalityProof::Slow { notar: notar.clone(), last: last.clone() };
        assert_eq!(bad.verify(committee), Err(CertificateError::Parts), "{bad:?}");
        assert_eq!(bad.block(), None);
    }
    for alone in [&notar, &fallback, &skip, &last] {
        let bad = FinalityProof::Fast(alone.clone());
        assert_eq!(bad.verify(committee), Err(CertificateError::Parts), "{bad:?}");
    }
    // Each of the two certificates is really checked.
    let weak = |kind: CertificateKind| {
        let mut weak = Certificate::clone(&of(SLOT, kind));
        weak.first = part(&AT_59, SLOT, kind.messages().0);
        Arc::new(weak)
    };
    let bad = [
        FinalityProof::Slow { notar: weak(CertificateKind::Notar(A)), last },
        FinalityProof::Slow { notar, last: weak(CertificateKind::Final) },
        FinalityProof::Fast(weak(CertificateKind::FastFinal(A))),
    ];
    for bad in bad {
        assert_eq!(bad.verify(committee), Err(CertificateError::Stake));
    }
}

/// K1 with real signatures: for every kind, the certificate that a node builds when a vote crosses
/// the threshold holds that vote, verifies, and did not exist one vote before.
#[test]
fn a_built_certificate_holds_the_deciding_vote_and_verifies() {
    use VoteKind::*;
    let mixed = |first: VoteKind, fallback: VoteKind| [(0, first), (1, fallback), (3, fallback)];
    let same = |kind: VoteKind| AT_60.map(|node| (node, kind));
    let runs: [(&[(u16, VoteKind)], CertificateKind); 7] = [
        (&same(Notar(A)), CertificateKind::Notar(A)),
        (&AT_80.map(|node| (node, Notar(A))), CertificateKind::FastFinal(A)),
        (&mixed(Notar(A), NotarFallback(A)), CertificateKind::NotarFallback(A)),
        (&same(NotarFallback(A)), CertificateKind::NotarFallback(A)),
        (&same(Skip), CertificateKind::Skip),
        (&mixed(Skip, SkipFallback), CertificateKind::Skip),
        (&same(Final), CertificateKind::Final),
    ];
    for (votes, kind) in runs {
        let id = CertificateId::new(SLOT, kind);
        let committee = &world().committee;
        let cx = Context { stakes: committee.stakes(), me: NodeId(6) };
        let mut pool = Pool::new(committee.genesis_block());
        let mut signatures = Signatures::default();
        let (mut out, mut built) = (Vec::new(), None);
        for (i, &(node, kind)) in votes.iter().enumerate() {
            let vote = Vote::new(SLOT, kind);
            let signature = sign(node, SLOT, kind);
            signatures.add_vote(&SignedVote { vote, signer: NodeId(node), signature });
            pool.add_vote(cx, NodeId(node), vote, &mut out);
            if out.contains(&Conclusion::Certificate(id)) {
                assert_eq!(i + 1, votes.len(), "{id:?} before the deciding vote");
                built = Some(signatures.build(STAKES.len(), &pool, id));
            }
        }
        let built = built.unwrap_or_else(|| panic!("{id:?} was not built"));
        assert_eq!(check(&built), Ok(()), "{id:?}");
        let signers = |part: &Option<Part>| {
            part.as_ref().map_or_else(NodeSet::default, |p| p.signers(STAKES.len()).unwrap())
        };
        let all = signers(&built.first).union(&signers(&built.fallback));
        let voters: NodeSet = votes.iter().map(|(node, _)| NodeId(*node)).collect();
        assert_eq!(all, voters, "{id:?} holds exactly the voters, the last one too");
        assert_eq!(signatures.certificate(id), Some(&built), "and is kept");
    }
}
