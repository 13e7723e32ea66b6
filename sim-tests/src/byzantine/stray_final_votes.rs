//! B18: final votes without a notar vote, or beside skip and fallback votes.
//!
//! Seen: F for a slot in which the identity also cast S, SF or NF, or before anything is notarized.
//!
//! Must not achieve: a finalization certificate from less than 60 % of the stake, or finality of a
//! slot without a notarized block.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::vote::VoteKind;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct StrayFinalVotes;

impl Lie for StrayFinalVotes {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let votes: Vec<_> = effects.iter().filter_map(|effect| tools.own_vote(effect)).collect();
        for signed in votes {
            let slot = signed.vote.slot;
            let others = tools.others.clone();
            let beside = match signed.vote.kind {
                VoteKind::Notar(_) => Some(VoteKind::SkipFallback),
                VoteKind::Skip => None,
                _ => continue,
            };
            for kind in [VoteKind::Final].into_iter().chain(beside) {
                let vote = tools.sign(slot, kind);
                tools.send(&others, Message::Vote(vote));
            }
            // Also for the next slot, of which nobody has anything yet.
            let early = tools.sign(slot.next(), VoteKind::Final);
            tools.send(&others, Message::Vote(early));
            tools.did();
        }
    }
}
