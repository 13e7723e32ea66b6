//! B15: a notar vote to some, a skip vote or a vote for another block to others.
//!
//! Seen: two signed initial votes of one identity in one slot, which is proof of a lie to whoever
//! holds both. If the slot was split by a lying leader, everybody hears a vote for the block that
//! it holds; else one half, or one node that cannot warn the others, hears notar and the rest skip.
//!
//! Must not achieve: that one Pool counts both, or a fast-finalization certificate beside
//! certificates that contradict it.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::crypto::Hash;
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct TwoFacedVotes;

impl Lie for TwoFacedVotes {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let votes: Vec<_> = effects.iter().filter_map(|effect| tools.own_vote(effect)).collect();
        // A certificate with the vote that only one may hear would tell it to all.
        effects.retain(|effect| {
            !matches!(
                effect,
                Effect::Send { message: Message::Vote(_) | Message::Certificate(_), .. }
            )
        });
        for signed in votes {
            let slot = signed.vote.slot;
            match signed.vote.kind {
                VoteKind::Notar(_) | VoteKind::Skip => tell(tools, slot, signed.vote.kind),
                // Fallback and final votes for both stories.
                _ => tools.send(&tools.others.clone(), Message::Vote(signed)),
            }
        }
    }
}

fn tell(tools: &mut Tools, slot: Slot, own: VoteKind) {
    let groups = tools.board().groups.get(&slot).cloned();
    if let Some(groups) = groups {
        for (block, nodes) in groups {
            let to: Vec<NodeId> = nodes.into_iter().collect();
            let vote = tools.sign(slot, VoteKind::Notar(block.hash));
            tools.send(&to, Message::Vote(vote));
        }
        tools.did();
        return;
    }
    let known = tools.board().votes.keys().find_map(|(s, kind)| match kind {
        VoteKind::Notar(hash) if *s == slot => Some(*hash),
        _ => None,
    });
    let invented = Hash::of("sim/invented", &[&slot.0.to_le_bytes()]);
    let other = match (own, tools.common("other", slot.0).happens(0, 750_000_000)) {
        (VoteKind::Notar(_), true) => VoteKind::Skip,
        (VoteKind::Notar(_), false) => VoteKind::Notar(invented),
        _ => VoteKind::Notar(known.unwrap_or(invented)),
    };
    // One node and the rest, or one half and the other.
    let (one, rest) = match tools.muted(slot.window().0) {
        Some(victim) => {
            let rest = tools.others.iter().copied().filter(|node| *node != victim).collect();
            (vec![victim], rest)
        }
        None => tools.halves("halves", slot.0),
    };
    for (kind, to) in [(own, one), (other, rest)] {
        let vote = tools.sign(slot, kind);
        tools.send(&to, Message::Vote(vote));
    }
    tools.did();
}
