//! B19: votes that are held back until they decide, and then sent to one node only.
//!
//! Seen: a certificate that appears at one node, with liars' votes in it that nobody else ever
//! heard. The liars watch the sums of stake on their board: as soon as all of them together would
//! lift a vote over 20, 40, 60 or 80 %, and only then, all of them send it, to the same node.
//!
//! Must not achieve: a certificate that stays visible to one; that node spreads it.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::certificate::SignedVote;
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::vote::Vote;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::BTreeMap;

/// The lie.
#[derive(Default)]
pub struct DecidingVotes {
    held: BTreeMap<Vote, SignedVote>,
}

impl Lie for DecidingVotes {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| match tools.own_vote(effect) {
            Some(signed) => {
                self.held.insert(signed.vote, signed);
                false
            }
            // What this identity builds of what it holds back would give it away.
            None => !matches!(effect, Effect::Send { message: Message::Certificate(_), .. }),
        });
        let newest = self.held.keys().next_back().map_or(Slot(0), |vote| vote.slot);
        self.held.retain(|vote, _| vote.slot.plus(32) > newest);
        let own = tools.own_stake();
        let decides = |vote: &Vote| {
            let stakes = tools.committee.stakes();
            let known = tools.board().stake(stakes, *vote, &tools.liars);
            (1..=4).any(|fifths| {
                let quorum = tools.quorum(fifths);
                known < quorum && quorum <= known + own
            })
        };
        let now: Vec<Vote> = self.held.keys().filter(|vote| decides(vote)).copied().collect();
        for vote in now {
            let signed = self.held.remove(&vote).expect("it was among them");
            let one = tools.victim("one", vote.slot.window().0);
            tools.send(&[one], Message::Vote(signed));
            tools.did();
        }
    }
}
