//! B25: old votes again, votes of others under the own name, and votes for another cluster.
//!
//! Seen: votes whose signature is real and whose cluster, sender or time is wrong.
//!
//! Must not achieve: acceptance of anything but the first copy of a vote of this cluster from its
//! own signer.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::certificate::SignedVote;
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::vote::Vote;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::VecDeque;
use std::sync::Arc;

/// Own votes that are said again.
const KEPT: usize = 32;

/// The lie.
#[derive(Default)]
pub struct ReplayedVotes {
    old: VecDeque<SignedVote>,
    /// Another cluster with the same members.
    elsewhere: Option<Arc<Committee>>,
}

/// The newest vote of a node that does not lie.
fn newest_of_others(tools: &Tools) -> Option<SignedVote> {
    tools.board().votes.iter().rev().find_map(|((slot, kind), voters)| {
        let (signer, signature) = voters.iter().find(|(voter, _)| !tools.liars.contains(voter))?;
        let (vote, signature) = (Vote::new(*slot, *kind), signature.clone());
        Some(SignedVote { vote, signer: *signer, signature })
    })
}

impl Lie for ReplayedVotes {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let votes: Vec<_> = effects.iter().filter_map(|effect| tools.own_vote(effect)).collect();
        let to = tools.others.clone();
        for signed in votes {
            let elsewhere = self.elsewhere.take().unwrap_or_else(|| tools.elsewhere());
            let vote = Vote::new(signed.vote.slot.next(), signed.vote.kind);
            let foreign = tools.sign_for(&elsewhere, vote);
            self.elsewhere = Some(elsewhere);
            tools.send(&to, Message::Vote(foreign.clone()));
            // The slot of one vote with the signature of another, and the votes of others.
            tools.send(&to, Message::Vote(SignedVote { vote, ..signed.clone() }));
            if let Some(heard) = newest_of_others(tools) {
                let mine = SignedVote { signer: tools.me, ..heard.clone() };
                tools.send(&to, Message::Vote(heard));
                tools.send(&to, Message::Vote(mine));
            }
            for old in self.old.clone() {
                tools.send(&to, Message::Vote(old));
            }
            self.old.push_front(signed);
            self.old.truncate(KEPT);
            tools.did();
        }
    }
}
