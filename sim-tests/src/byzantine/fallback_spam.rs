//! B17: notar-fallback votes for more blocks than there can be, some of which nobody has.
//!
//! Seen: five NF votes of one identity in one slot; the fourth is proof of a lie.
//!
//! Must not achieve: that the fourth is counted, or that anybody starts to fetch what only a
//! liar voted for.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::crypto::Hash;
use alpenglow_node::protocol::vote::VoteKind;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct FallbackSpam;

impl Lie for FallbackSpam {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let initial = |kind| matches!(kind, VoteKind::Notar(_) | VoteKind::Skip);
        let votes: Vec<_> = effects.iter().filter_map(|effect| tools.own_vote(effect)).collect();
        for signed in votes.into_iter().filter(|signed| initial(signed.vote.kind)) {
            let slot = signed.vote.slot;
            let known: Vec<Hash> = tools
                .board()
                .votes
                .keys()
                .filter_map(|(s, kind)| match kind {
                    VoteKind::Notar(hash) if *s == slot => Some(*hash),
                    _ => None,
                })
                .collect();
            let invented = (0..5u64).map(|number| {
                Hash::of("sim/invented", &[&slot.0.to_le_bytes(), &number.to_le_bytes()])
            });
            for hash in known.into_iter().chain(invented).take(5) {
                let vote = tools.sign(slot, VoteKind::NotarFallback(hash));
                tools.send(&tools.others.clone(), Message::Vote(vote));
            }
            tools.did();
        }
    }
}
