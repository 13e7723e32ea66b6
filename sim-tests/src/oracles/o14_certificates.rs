//! O14: every certificate that a correct node holds or sends is valid, and so is every proof that
//! it sends.
//!
//! A certificate that counts one voter twice, lacks the vote that made it, or covers other bytes
//! than it says, is refused by everybody else, or worse, by some. The same certificate is seen at
//! every node and for every receiver, so each content is verified once; the pointer tells at once
//! when a broadcast goes to the next receiver.

use super::verifier::Verifier;
use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::certificate::{Certificate, FinalityProof};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, Vote};
use alpenglow_node::protocol::wire::{Answer, Message};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The oracle.
#[derive(Debug)]
pub struct Certificates {
    verifier: Verifier,
    /// Every content that was judged, by what it claims to be.
    judged: BTreeMap<CertificateId, Vec<Arc<Certificate>>>,
    /// What each node sent last.
    last: Vec<(Option<Vote>, Option<Arc<Certificate>>)>,
    floor: Slot,
}

impl Certificates {
    /// For one run.
    pub fn new(scene: &Scene) -> Certificates {
        Certificates {
            verifier: Verifier::default(),
            judged: BTreeMap::new(),
            last: vec![(None, None); scene.stakes.len()],
            floor: Slot::GENESIS,
        }
    }

    fn judge(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        certificate: &Arc<Certificate>,
        out: &mut Findings,
    ) {
        let id = certificate.id;
        let last = &mut self.last[node.index()].1;
        if id.slot < self.floor || last.as_ref().is_some_and(|last| Arc::ptr_eq(last, certificate))
        {
            return;
        }
        *last = Some(certificate.clone());
        let judged = self.judged.entry(id).or_default();
        if judged.iter().any(|known| Arc::ptr_eq(known, certificate) || known == certificate) {
            return;
        }
        judged.push(certificate.clone());
        if let Err(flaw) = self.verifier.check(cx.scene, certificate) {
            out.report(cx, "O14", Some(id.slot), &[node], format!("n{node} has {id:?}: {flaw}"));
        }
    }

    fn judge_proof(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        proof: &FinalityProof,
        out: &mut Findings,
    ) {
        if !is_proof(proof) {
            let detail = format!("n{node} sent a proof that proves nothing: {proof:?}");
            out.report(cx, "O14", Some(proof.slot()), &[node], detail);
        }
        proof.certificates().for_each(|one| self.judge(cx, node, one, out));
    }

    fn forget(&mut self, floor: Slot) {
        self.floor = floor;
        self.verifier.forget(floor);
        let low = CertificateId::new(floor, CertificateKind::FastFinal(Default::default()));
        self.judged = self.judged.split_off(&low);
    }
}

/// True if the certificates of a proof prove a block final.
fn is_proof(proof: &FinalityProof) -> bool {
    match proof {
        FinalityProof::Fast(fast) => matches!(fast.id.kind, CertificateKind::FastFinal(_)),
        FinalityProof::Slow { notar, last } => {
            matches!(notar.id.kind, CertificateKind::Notar(_))
                && last.id == CertificateId::new(notar.id.slot, CertificateKind::Final)
        }
    }
}

impl Oracle for Certificates {
    fn id(&self) -> &'static str {
        "O14"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if cx.history.floor > self.floor {
            self.forget(cx.history.floor);
        }
        match fact {
            Fact::Event(Event::CertificateAdded { certificate, .. })
            | Fact::Sent(_, Message::Certificate(certificate)) => {
                self.judge(cx, node, certificate, out);
            }
            Fact::Sent(_, Message::Vote(vote)) => {
                let last = self.last[node.index()].0.replace(vote.vote);
                if last != Some(vote.vote) && vote.vote.slot >= self.floor {
                    self.verifier.learn(cx.scene, vote);
                }
            }
            Fact::Sent(_, Message::Proof(proof)) => self.judge_proof(cx, node, proof, out),
            Fact::Sent(_, Message::Response(_, Answer::Decided(proofs))) => {
                proofs.iter().for_each(|proof| self.judge_proof(cx, node, proof, out));
            }
            _ => {}
        }
    }

    fn ignores(&self, noise: Noise) -> bool {
        noise == Noise::Rejections
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::testing::*;
    use alpenglow_node::protocol::bounded::BoundedVec;

    const THIN: &str = "O14: n0 has NO[4:aaaaaaaa]: its signers hold 2 of 5";

    #[test]
    fn a_thin_certificate_however_it_shows() {
        let world = || World::watched_by("O14", &[1; 5]);
        assert_eq!(world().certified(0, 4, NO(A), &[1, 2]).found(), [THIN]);
        let thin = world().certificate(4, NO(A), &[1, 2], &[]);
        assert_eq!(world().sent(0, &Message::Certificate(thin.clone())).found(), [THIN]);
        let last = world().certificate(4, FI, &[1, 2, 3], &[]);
        let proof = Message::Proof(FinalityProof::Slow { notar: thin, last });
        assert_eq!(world().sent(0, &proof).found(), [THIN]);
    }

    #[test]
    fn a_proof_of_two_slots() {
        let world = World::watched_by("O14", &[1; 5]);
        let notar = world.certificate(4, NO(A), &[1, 2, 3], &[]);
        let last = world.certificate(5, FI, &[1, 2, 3], &[]);
        let found = world.sent(0, &Message::Proof(FinalityProof::Slow { notar, last })).found();
        assert!(found[0].starts_with("O14: n0 sent a proof that proves nothing"), "{found:?}");
    }

    #[test]
    fn an_answer_full_of_proofs() {
        let world = || World::watched_by("O14", &[1; 5]);
        let thin = world().certificate(4, FF(A), &[1, 2], &[]);
        let proofs = BoundedVec::new(vec![FinalityProof::Fast(thin)]).unwrap();
        let found = world().sent(0, &Message::Response(7, Answer::Decided(proofs))).found();
        assert_eq!(found, ["O14: n0 has FF[4:aaaaaaaa]: its signers hold 2 of 5"]);
    }

    /// One bad content is reported once, but every different one is.
    #[test]
    fn contents_are_told_apart() {
        let world = World::watched_by("O14", &[1; 5]);
        let (one, same) =
            (world.certificate(4, SK, &[1], &[2]), world.certificate(4, SK, &[1], &[2]));
        let other = world.certificate(4, SK, &[1, 2], &[]);
        let world = [one, same, other].into_iter().fold(world, |world, certificate| {
            let message = Message::Certificate(certificate);
            world.sent(0, &message).sent(3, &message)
        });
        let found = "O14: n0 has SK[4]: its signers hold 2 of 5";
        assert_eq!(world.found(), [found, found]);
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let world = World::watched_by("O14", &[1; 5]).certified(0, 4, SK, &[0]).forgotten(5);
        let world = world.certified(0, 4, FI, &[0]).said(0, 4, Skip).certified(0, 5, SK, &[0]);
        let found = [4, 5].map(|slot| format!("O14: n0 has SK[{slot}]: its signers hold 1 of 5"));
        assert_eq!(world.found(), found);
    }

    #[test]
    fn valid_ones_of_every_kind() {
        let mut world = World::watched_by("O14", &[1; 5]);
        for node in 0..5 {
            world = world.said(node, 4, Notar(A)).said(node, 4, Final);
        }
        let fast = world.certificate(4, FF(A), &[0, 1, 2, 3], &[]);
        let proof = Message::Proof(FinalityProof::Fast(fast));
        let world = world
            .certified(0, 4, NO(A), &[0, 1, 2])
            .certified(1, 4, NF(A), &[2, 3, 4])
            .certified(2, 4, FI, &[0, 1, 4])
            .certified(3, 5, SK, &[0, 1, 2])
            .sent(4, &proof);
        assert_eq!(world.found(), NOTHING);
    }
}
