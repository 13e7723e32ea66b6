//! B23: certificates of two parts that count the liars in both.
//!
//! Seen: an NF or SK certificate in which the same signers stand under both messages, all
//! signatures good. It is sent at the moment at which the sum reaches 60 % if each liar is counted
//! twice, and not if once. (Rogue keys, the other half of B23, end at the proof of possession
//! in genesis, before any run.)
//!
//! Must not achieve: a threshold reached with less stake.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::certificate::{Certificate, Part};
use alpenglow_node::protocol::stake::NodeSet;
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, VoteKind};
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The lie.
#[derive(Default)]
pub struct DoubleSigners {
    made: BTreeSet<CertificateId>,
}

impl DoubleSigners {
    fn forge(&mut self, tools: &mut Tools, slot: Slot, kind: VoteKind) {
        let (certificate, fallback) = match kind {
            VoteKind::Notar(hash) => {
                (CertificateKind::NotarFallback(hash), VoteKind::NotarFallback(hash))
            }
            VoteKind::Skip => (CertificateKind::Skip, VoteKind::SkipFallback),
            _ => return,
        };
        let id = CertificateId::new(slot, certificate);
        let own = [kind, fallback].map(|kind| tools.sign(slot, kind));
        let (n, quorum) = (tools.committee.len(), tools.quorum(3));
        let board = tools.board();
        let Some(signers) = board.votes.get(&(slot, kind)) else { return };
        let mut first = signers.clone();
        first.insert(tools.me, own[0].signature.clone());
        let set: NodeSet = first.keys().copied().collect();
        let stakes = tools.committee.stakes();
        let (once, twice) = (stakes.of_set(&set), stakes.of_set(&set) + stakes.of(tools.me));
        if once >= quorum || twice < quorum || self.made.contains(&id) {
            return;
        }
        drop(board);
        self.made.insert(id);
        self.made.retain(|made| made.slot.plus(128) > slot);
        let certificate = Certificate {
            id,
            first: Part::new(n, first.iter().map(|(node, signature)| (*node, signature))),
            fallback: Part::new(n, [(tools.me, &own[1].signature)]),
        };
        tools.send(&tools.others.clone(), Message::Certificate(Arc::new(certificate)));
        tools.did();
    }
}

impl Lie for DoubleSigners {
    fn says(&mut self, tools: &mut Tools, input: &Input, _: &mut Vec<Effect>) {
        if let Input::Message { message, .. } = input
            && let Message::Vote(heard) = &**message
        {
            self.forge(tools, heard.vote.slot, heard.vote.kind);
        }
    }
}
