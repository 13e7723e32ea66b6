//! What [`verify`] must refuse, one forgery at a time, and votes checked together.

use super::build::{certificate, signed_slice, signed_vote};
use super::*;
use crate::crypto::{Scheme, merkle};
use crate::protocol::stake::NodeSet;

fn check(c: &Committee, message: Message) -> Result<Message, Reject> {
    let decoded = Message::decode(&message.encode()).unwrap();
    verify(c, Unverified::new(decoded)).map(Verified::into_inner)
}

#[test]
fn verify_takes_the_truth_and_refuses_each_forged_variant() {
    let c = committee(&[40, 30, 20, 10]);
    for (name, message) in samples() {
        assert_eq!(check(&c, message.clone()), Ok(message), "{name}");
    }
    let vote = || signed_vote(&c, 2, 9, VoteKind::Notar(A));
    let wrong = |change: &dyn Fn(&mut SignedVote)| {
        let mut vote = vote();
        change(&mut vote);
        check(&c, Message::Vote(vote)).unwrap_err()
    };
    assert_eq!(wrong(&|v| v.signer = NodeId(1)), Reject::Signature);
    assert_eq!(wrong(&|v| v.signer = NodeId(4)), Reject::Signer);
    assert_eq!(wrong(&|v| v.vote.slot = Slot(10)), Reject::Signature);
    assert_eq!(wrong(&|v| v.vote.kind = VoteKind::Notar(B)), Reject::Signature);
    assert_eq!(wrong(&|v| v.vote.kind = VoteKind::NotarFallback(A)), Reject::Signature);
    let zero = bls::Signature::from_bytes([0; 48]);
    assert_eq!(wrong(&|v| v.signature = zero.clone()), Reject::Signature);

    let weak = certificate(&c, 9, CertificateKind::Notar(A), &[1, 2], &[]);
    let (notar, fast, last) = (
        certificate(&c, 9, CertificateKind::Notar(A), &[0, 1], &[]),
        certificate(&c, 9, CertificateKind::FastFinal(A), &[0, 1, 2], &[]),
        certificate(&c, 9, CertificateKind::Final, &[0, 1], &[]),
    );
    let proofs = [
        FinalityProof::Fast(notar.clone()),
        FinalityProof::Slow { notar: weak.clone(), last: last.clone() },
        FinalityProof::Slow { notar: last.clone(), last: notar },
    ];
    assert_eq!(check(&c, Message::Certificate(weak)), Err(Reject::Certificate));
    for bad in proofs {
        assert_eq!(check(&c, Message::Proof(bad.clone())), Err(Reject::Certificate), "{bad:?}");
        // One bad proof among good ones spoils the answer.
        let list = BoundedVec::new(vec![FinalityProof::Fast(fast.clone()), bad]).unwrap();
        let answer = Message::Response(1, Answer::Decided(list));
        assert_eq!(check(&c, answer), Err(Reject::Certificate));
    }

    let parent = Some(BlockId::new(Slot(8), B));
    let slice = |n: u64| {
        let payload = BoundedBytes::new(Bytes::copy_from_slice(&n.to_le_bytes())).unwrap();
        let transactions = vec![Transaction { valid_until: Slot(n), payload }; 30];
        signed_slice(&c, Slot(9), 0, true, &Payload { parent, transactions })
    };
    let (slice, other) = (slice(1), slice(2));
    let forged = |change: &dyn Fn(&mut Shred), expected| {
        let mut shred = slice.shred(5);
        change(&mut shred);
        let shred = Arc::new(shred);
        assert_eq!(check(&c, Message::Shred(shred.clone())), Err(expected));
        assert_eq!(check(&c, Message::Response(1, Answer::Shred(shred))), Err(expected));
    };
    forged(&|s| s.commitment.slot = Slot(10), Reject::Signature);
    forged(&|s| s.commitment.slice = 1, Reject::Signature);
    forged(&|s| s.commitment.last = false, Reject::Signature);
    forged(&|s| s.signature.0[40] ^= 1, Reject::Signature);
    forged(&|s| s.signature = other.signature, Reject::Signature);
    forged(&|s| s.commitment.root = other.commitment.root, Reject::Proof);
    forged(&|s| s.index = 6, Reject::Proof);
    forged(&|s| s.piece = other.shred(5).piece, Reject::Proof);
    forged(&|s| s.piece = BoundedBytes::default(), Reject::Proof);
    forged(&|s| s.path[0] = A, Reject::Proof);
    forged(&|s| s.path.swap(0, 1), Reject::Proof);
    // A member who is not the leader of the slot.
    let follower = c.nodes().find(|&node| node != c.leader(Slot(9).window())).unwrap();
    let signature = secrets(follower.0).1.sign(&slice.commitment.signed_bytes(&c));
    forged(&|s| s.signature = signature, Reject::Signature);
}

/// B12: a leader's slices carry its slot, so they are worth nothing in another window, even to the
/// same leader; B25: nor in another cluster.
#[test]
fn slices_cannot_be_replayed() {
    let c = committee(&[1]);
    let slice = signed_slice(&c, Slot(5), 0, true, &Payload::default());
    let mut moved = slice.shred(0);
    moved.commitment.slot = Slot(9);
    assert_eq!(check(&c, Message::Shred(Arc::new(moved))), Err(Reject::Signature));
    let mut genesis = crate::protocol::committee::tests::genesis(&[1]);
    genesis.cluster = Hash([1; 32]);
    let other = Committee::new(&genesis).unwrap();
    let shred = Message::Shred(Arc::new(slice.shred(0)));
    assert_eq!(check(&other, shred.clone()), Err(Reject::Signature));
    assert_eq!(check(&c, shred.clone()), Ok(shred));
}

/// With a known commitment only the signature check is left out, never the check of the piece.
#[test]
fn a_known_commitment_still_needs_a_true_piece() {
    let c = committee(&[1, 1]);
    let slice = full_slice(&c, Slot(9));
    let known = |shred: Shred| {
        let unverified = Unverified::new(Message::Shred(Arc::new(shred)));
        verify(&c, unverified.with_known_commitment()).map(|_| ())
    };
    let good = slice.shred(3);
    assert_eq!(known(good.clone()), Ok(()));
    assert_eq!(known(Shred { index: 4, ..good.clone() }), Err(Reject::Proof));
    let mut leaves: Vec<Hash> = (0..64).map(|i| merkle::leaf(&slice.encoded.piece(i))).collect();
    leaves[3] = merkle::leaf(b"xx");
    let path = merkle::Tree::new(leaves).path(3).try_into().unwrap();
    let piece = BoundedBytes::new(Bytes::from_static(b"xx")).unwrap();
    assert_eq!(known(Shred { piece, path, ..good }), Err(Reject::Proof));
}

#[test]
fn only_votes_are_bound_to_their_sender() {
    for (name, message) in samples() {
        let is_vote = matches!(message, Message::Vote(_));
        assert!(sender_may_say(NodeId(2), &message), "{name}");
        assert_eq!(sender_may_say(NodeId(1), &message), !is_vote, "{name}");
    }
}

/// How a vote of a batch is spoiled.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    Nothing,
    OtherSigner,
    UnknownSigner,
    Garbage,
    OtherMessage,
}

fn spoiled(
    committee: &Committee,
    sign: impl Fn(u16, &Vote) -> bls::Signature,
    batch: &[(u16, Spoil)],
) -> Vec<SignedVote> {
    let vote = Vote::new(Slot(9), VoteKind::Notar(A));
    let n = committee.len() as u16;
    let make = |&(node, spoil): &(u16, Spoil)| {
        let node = node % n;
        let (signer, signature) = match spoil {
            Spoil::Nothing => (node, sign(node, &vote)),
            Spoil::OtherSigner => ((node + 1) % n, sign(node, &vote)),
            Spoil::UnknownSigner => (n + node, sign(node, &vote)),
            Spoil::Garbage => (node, bls::Signature::from_bytes([node as u8; 48])),
            Spoil::OtherMessage => (node, sign(node, &Vote::new(Slot(9), VoteKind::Skip))),
        };
        SignedVote { vote, signer: NodeId(signer), signature }
    };
    batch.iter().map(make).collect()
}

fn batch_equals_singles(committee: &Committee, votes: Vec<SignedVote>) {
    let fresh = |vote: &SignedVote| SignedVote {
        signature: bls::Signature::from_bytes(*vote.signature.bytes()),
        ..vote.clone()
    };
    let single = |vote| verify(committee, Unverified::new(Message::Vote(fresh(vote))));
    let singles: Vec<_> = votes.iter().map(single).collect();
    let together = verify_votes(committee, votes.iter().map(fresh).collect());
    assert_eq!(together, singles);
}

proptest! {
    /// Whatever mixture arrives, checking it as one gives the answers of single checks, in order.
    #[test]
    fn votes_checked_together_are_checked_as_alone(
        batch in vec((0..5u16, proptest::sample::select(vec![
            Spoil::Nothing, Spoil::Nothing, Spoil::Nothing, Spoil::OtherSigner,
            Spoil::UnknownSigner, Spoil::Garbage, Spoil::OtherMessage,
        ])), 0..12),
    ) {
        let c = committee(&[1; 5]);
        let sign = |node, vote: &Vote| secrets(node).0.sign(&c.vote_bytes(vote));
        batch_equals_singles(&c, spoiled(&c, sign, &batch));
    }
}

/// The same with pairings, where good votes really are checked as one aggregate.
#[test]
fn real_votes_checked_together_are_checked_as_alone() {
    use Spoil::*;
    let mut genesis = crate::protocol::committee::tests::genesis(&[1; 5]);
    genesis.scheme = Scheme::Bls;
    let seed = |i: u16| [i as u8 + 1; 32];
    let key = |i: u16| bls::SecretKey::from_seed(Scheme::Bls, &seed(i));
    for (i, validator) in (0..).zip(&mut genesis.validators) {
        (validator.vote_key, validator.possession) = (key(i).public(), key(i).prove_possession());
        let slice = ed25519::SecretKey::from_seed(Scheme::Bls, &seed(i));
        validator.slice_key = slice.public();
    }
    let c = Committee::new(&genesis).unwrap();
    let sign = |node, vote: &Vote| key(node).sign(&c.vote_bytes(vote));
    let batches: [&[(u16, Spoil)]; 7] = [
        &[],
        &[(0, Nothing)],
        &[(0, Garbage)],
        &[(0, Nothing), (1, Nothing), (2, Nothing), (3, Nothing), (4, Nothing)],
        &[(0, Nothing), (1, OtherMessage), (2, Nothing)],
        &[(0, OtherSigner), (1, Nothing), (1, Nothing), (4, UnknownSigner)],
        &[(0, Garbage), (1, UnknownSigner), (2, OtherSigner), (3, OtherMessage)],
    ];
    for batch in batches {
        batch_equals_singles(&c, spoiled(&c, sign, batch));
    }
    // Two errors that cancel in the plain sum: the signatures of two nodes, exchanged.
    let mut crossed = spoiled(&c, sign, &[(0, Nothing), (1, Nothing), (2, Nothing)]);
    let first = crossed[0].signature.clone();
    crossed[0].signature = std::mem::replace(&mut crossed[1].signature, first);
    batch_equals_singles(&c, crossed);
}

/// A vote's signer bit is what it says: the set of all signers of a built certificate.
#[test]
fn sample_certificates_name_their_signers() {
    for (_, message) in samples() {
        if let Message::Certificate(certificate) = message {
            let parts = [&certificate.first, &certificate.fallback].into_iter().flatten();
            let all = parts.fold(NodeSet::default(), |all, p| all.union(&p.signers(4).unwrap()));
            assert!(all.len() >= 2, "{:?}", certificate.id);
        }
    }
}
