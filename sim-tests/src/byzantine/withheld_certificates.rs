//! B21: certificates that are collected in private and released late.
//!
//! Seen: a certificate for a slot that went another way seconds ago. The liars send no votes; they
//! add their own to what they hear, and where the sum reaches a threshold only with them, they
//! keep the certificate for a drawn time and then give it to one node or to everybody.
//!
//! Must not achieve: a late certificate that contradicts what is final, or a decided slot that
//! flips. What it may cost is further ready parents.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::certificate::{Certificate, Part};
use alpenglow_node::protocol::stake::NodeSet;
use alpenglow_node::protocol::types::{Slot, Time};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, VoteKind};
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The lie.
#[derive(Default)]
pub struct WithheldCertificates {
    made: BTreeSet<CertificateId>,
}

/// Certificates that a vote can be part of.
fn kinds(kind: VoteKind) -> Vec<CertificateKind> {
    match kind {
        VoteKind::Notar(h) => vec![
            CertificateKind::FastFinal(h),
            CertificateKind::Notar(h),
            CertificateKind::NotarFallback(h),
        ],
        VoteKind::NotarFallback(h) => vec![CertificateKind::NotarFallback(h)],
        VoteKind::Skip | VoteKind::SkipFallback => vec![CertificateKind::Skip],
        VoteKind::Final => vec![CertificateKind::Final],
    }
}

/// The certificate from all that is on the board, if liars make the difference.
pub fn build(tools: &Tools, id: CertificateId) -> Option<Certificate> {
    let (first, fallback, fraction) = id.kind.messages();
    let (n, board) = (tools.committee.len(), tools.board());
    let signers = |kind| board.votes.get(&(id.slot, kind)).into_iter().flatten();
    let all: NodeSet =
        signers(first).chain(fallback.into_iter().flat_map(signers)).map(|(v, _)| *v).collect();
    let correct: NodeSet = all.iter().filter(|node| !tools.liars.contains(node)).collect();
    let reaches = |set: &NodeSet| {
        let stakes = tools.committee.stakes();
        stakes.reaches(stakes.of_set(set), fraction)
    };
    (reaches(&all) && !reaches(&correct)).then(|| Certificate {
        id,
        first: Part::new(n, signers(first).map(|(node, signature)| (*node, signature))),
        fallback: fallback
            .and_then(|kind| Part::new(n, signers(kind).map(|(node, sig)| (*node, sig)))),
    })
}

impl Lie for WithheldCertificates {
    fn says(&mut self, tools: &mut Tools, input: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| {
            !matches!(
                effect,
                Effect::Send { message: Message::Vote(_) | Message::Certificate(_), .. }
            )
        });
        let Input::Message { message, .. } = input else { return };
        let Message::Vote(heard) = &**message else { return };
        let slot = heard.vote.slot;
        for kind in kinds(heard.vote.kind) {
            let id = CertificateId::new(slot, kind);
            if self.made.contains(&id) {
                continue;
            }
            let Some(certificate) = build(tools, id) else { continue };
            self.made.insert(id);
            let low = Slot(slot.0.saturating_sub(128));
            self.made.retain(|id| id.slot >= low);
            let draw = tools.draw("release", slot.0);
            let at = Time(tools.now.0 + 300_000_000 + draw.below(0, 6_000_000_000));
            let to = match draw.happens(1, 500_000_000) {
                true => tools.others.clone(),
                false => vec![tools.victim("one", slot.window().0)],
            };
            tools.send_at(at, &to, Message::Certificate(Arc::new(certificate)));
            tools.did();
        }
    }
}
