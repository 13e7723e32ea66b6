//! A node that forges certificates, among honest nodes and among nodes that believe it.
//!
//! The forger is the last node. With each notar vote it sends a fast-finalization certificate that
//! nobody but itself has signed. Honest nodes refuse it; gullible ones count stakes in which the
//! forger owns nearly everything.

use super::{Lie, Made, Wrong, each};
use crate::cluster::{Options, setup};
use crate::plan::Concrete;
use alpenglow_node::protocol::certificate::{Certificate, Part};
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, VoteKind};
use alpenglow_node::protocol::wire::{self, Message, Reject, Unverified, Verified};
use alpenglow_node::protocol::{Effect, Input, Protocol};
use std::sync::Arc;

pub(super) const GULLIBLE: Wrong = Wrong {
    name: "gullible",
    about: "the last node forges certificates, and all others do not count their stake",
    caught_by: Some("O14"),
    plans: &["calm"],
    made: Made::Around(|plan, seed, options| {
        let mut believed = plan.clone();
        believed.nodes[usize::from(last(plan).0)].stake = plan.total_stake().saturating_mul(1_000);
        let lax: Arc<dyn Lie> = Arc::new(Gullible(setup::committee(&believed, seed)));
        plant(plan, options, Some(lax));
    }),
};

pub(super) const FORGER: Wrong = Wrong {
    name: "forger",
    about: "the last node forges certificates; honest nodes refuse them",
    caught_by: None,
    plans: &["calm"],
    made: Made::Around(|plan, _, options| plant(plan, options, None)),
};

fn last(plan: &Concrete) -> NodeId {
    NodeId(plan.nodes.len() as u16 - 1)
}

fn plant(plan: &Concrete, options: &mut Options, others: Option<Arc<dyn Lie>>) {
    let forger = last(plan);
    options.byzantine.insert(forger);
    options.wrap = each(move |me, _| match me == forger {
        true => Some(Arc::new(Forger)),
        false => others.clone(),
    });
}

/// Certificates are checked against stakes in which the forger owns nearly everything; all else
/// against the true ones.
struct Gullible(Arc<Committee>);

impl Lie for Gullible {
    fn verify(
        &self,
        node: &Protocol,
        claim: Unverified<Message>,
    ) -> Result<Verified<Message>, Reject> {
        match claim.claim() {
            Message::Certificate(_) => wire::verify(&self.0, claim),
            _ => wire::verify(node.committee(), claim),
        }
    }
}

struct Forger;

impl Lie for Forger {
    fn change(&self, node: &Protocol, _: &Input, effects: &mut Vec<Effect>) {
        let forged: Vec<Effect> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Send { to, message: Message::Vote(vote), after } => {
                    let VoteKind::Notar(hash) = vote.vote.kind else { return None };
                    let n = node.committee().len();
                    let kind = CertificateKind::FastFinal(hash);
                    let certificate = Certificate {
                        id: CertificateId::new(vote.vote.slot, kind),
                        first: Part::new(n, [(vote.signer, &vote.signature)]),
                        fallback: None,
                    };
                    let message = Message::Certificate(Arc::new(certificate));
                    Some(Effect::Send { to: to.clone(), message, after: *after })
                }
                _ => None,
            })
            .collect();
        effects.extend(forged);
    }
}
