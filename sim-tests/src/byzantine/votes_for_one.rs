//! B20: votes that reach one node only, another one in each window.
//!
//! Seen: one node that builds certificates which nobody else can build. The liars pass on no
//! certificates either.
//!
//! Must not achieve: that this node goes another way than the others for good.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct VotesForOne;

impl Lie for VotesForOne {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let votes: Vec<_> = effects.iter().filter_map(|effect| tools.own_vote(effect)).collect();
        effects.retain(|effect| {
            !matches!(
                effect,
                Effect::Send { message: Message::Vote(_) | Message::Certificate(_), .. }
            )
        });
        for signed in votes {
            let one = tools.victim("one", signed.vote.slot.window().0);
            tools.send(&[one], Message::Vote(signed));
            tools.did();
        }
    }
}
