//! B20: votes of the first round to all, final votes to nobody.
//!
//! Seen: blocks that are notarized with the help of liars and then not finalized by the slow path,
//! as long as the correct nodes that are in touch hold less than 60 %. Windows go on from
//! certificate to certificate while nothing becomes final, for a whole epoch if need be.
//!
//! Must not achieve: that a node enters an epoch whose schedule nobody can know (1.3), or that what
//! it says again in a standstill outgrows its bounds.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::vote::{CertificateKind, VoteKind};
use alpenglow_node::protocol::wire::{Answer, Message};
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct WithheldFinalVotes;

impl Lie for WithheldFinalVotes {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let before = effects.len();
        effects.retain(|effect| !matches!(effect, Effect::Send { message, .. } if tells(message)));
        if effects.len() < before {
            tools.did();
        }
    }
}

/// True if a final vote is in it. What this identity builds for itself holds its own.
fn tells(message: &Message) -> bool {
    match message {
        Message::Vote(signed) => signed.vote.kind == VoteKind::Final,
        Message::Certificate(certificate) => certificate.id.kind == CertificateKind::Final,
        Message::Proof(_) | Message::Response(_, Answer::Decided(_)) => true,
        _ => false,
    }
}
