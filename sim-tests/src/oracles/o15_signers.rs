//! O15: whom a certificate in a correct Pool names among the correct, that node cast that vote.
//!
//! This is what signatures are for, end to end: between a vote in one node's log and a bit in another
//! node's bitmap lie two wires, an admission, a sum and an encoding. A bit too many would be stake
//! that nobody gave.

use super::verifier::signers;
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{CertificateKind, Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct Signers;

impl Oracle for Signers {
    fn id(&self) -> &'static str {
        "O15"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Event(Event::CertificateAdded { certificate, .. }) = fact else { return };
        let id = certificate.id;
        if id.slot < cx.history.floor {
            return;
        }
        let (first, fallback) = match id.kind {
            CertificateKind::FastFinal(hash) | CertificateKind::Notar(hash) => {
                (VoteKind::Notar(hash), VoteKind::Notar(hash))
            }
            CertificateKind::NotarFallback(hash) => {
                (VoteKind::Notar(hash), VoteKind::NotarFallback(hash))
            }
            CertificateKind::Skip => (VoteKind::Skip, VoteKind::SkipFallback),
            CertificateKind::Final => (VoteKind::Final, VoteKind::Final),
        };
        for (kind, part) in [(first, &certificate.first), (fallback, &certificate.fallback)] {
            let vote = Vote::new(id.slot, kind);
            let named =
                part.as_ref().and_then(|part| signers(&part.signers, cx.scene.stakes.len()));
            for signer in named.into_iter().flatten() {
                if cx.scene.correct[signer.index()] && !cx.history.of(signer).has_cast(vote) {
                    let detail =
                        format!("{id:?} at n{node} names n{signer}, which never cast {vote:?}");
                    out.report(cx, "O15", Some(id.slot), &[node, signer], detail);
                }
            }
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn world() -> World {
        World::watched_by("O15", &[1; 5])
            .cast(0, 4, Notar(A))
            .cast(1, 4, Notar(A))
            .cast(2, 4, Skip)
            .cast(2, 4, NotarFallback(A))
    }

    #[test]
    fn a_vote_that_was_never_cast() {
        let found = world().certified(3, 4, NO(A), &[0, 1, 2]).found();
        assert_eq!(found, ["O15: NO[4:aaaaaaaa] at n3 names n2, which never cast N(4:aaaaaaaa)"]);
    }

    #[test]
    fn the_right_voter_in_the_wrong_part() {
        let world = world();
        let wrong = world.certificate(4, NF(A), &[0, 2], &[1]);
        let found = [
            "O15: NF[4:aaaaaaaa] at n3 names n2, which never cast N(4:aaaaaaaa)",
            "O15: NF[4:aaaaaaaa] at n3 names n1, which never cast NF(4:aaaaaaaa)",
        ];
        assert_eq!(world.added(3, wrong).found(), found);
    }

    /// Votes of liars prove nothing about the correct; those of the crashed still count, also
    /// when only their disk tells of them.
    #[test]
    fn honest_certificates() {
        let world = world();
        let mixed = world.certificate(4, NF(A), &[0, 1, 4], &[2]);
        let world = world
            .byzantine(4)
            .crash_with(0, &[vote(5, Skip)], &[])
            .added(3, mixed)
            .cast(1, 5, Skip)
            .cast(2, 5, Skip)
            .certified(3, 5, SK, &[0, 1, 2]);
        assert_eq!(world.found(), NOTHING);
    }
}
