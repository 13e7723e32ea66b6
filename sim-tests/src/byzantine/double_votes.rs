//! B16: initial and fallback vote for the same thing, so that it might be counted twice.
//!
//! Seen: N and NF for one block, or S and SF, by one identity; some see the fallback vote first.
//!
//! Must not achieve: stake that counts twice towards a certificate.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::vote::VoteKind;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct DoubleVotes;

impl Lie for DoubleVotes {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let votes: Vec<_> = effects.iter().filter_map(|effect| tools.own_vote(effect)).collect();
        for signed in votes {
            let slot = signed.vote.slot;
            let again = match signed.vote.kind {
                VoteKind::Notar(hash) => VoteKind::NotarFallback(hash),
                VoteKind::Skip => VoteKind::SkipFallback,
                _ => continue,
            };
            let fallback = Message::Vote(tools.sign(slot, again));
            let (first, _) = tools.halves("first", slot.0);
            // The honest vote is among the effects, which leave before what the tools send.
            effects.retain(|effect| tools.own_vote(effect).is_none_or(|vote| vote != signed));
            tools.send(&first, fallback.clone());
            tools.send(&tools.others.clone(), Message::Vote(signed));
            tools.send(&tools.others.clone(), fallback);
            tools.did();
        }
    }
}
