//! B1, inside a window: one block reaches less than half of the stake, and its receivers get two
//! different children of it.
//!
//! Seen: a first block with votes of a little over 40 %, and two blocks in the next slot that name it
//! as their parent, each with votes of a fifth or more. Everybody else has one of them, skips,
//! and may then help all three; but the children may not be helped before their parent is certified,
//! which takes such help itself. So several blocks wait for one certificate.
//!
//! In some windows the first block gets a little over half of the stake, and the leader keeps its vote
//! until the first skip vote. Then it says skip to those who have the block, which is enough for them
//! to help the skip, and notar to the others, which is enough to notarize it after all.
//!
//! Must not achieve: that one of them waits for ever, a final vote beside a fallback vote, a slot that stays undecided, or different ends
//! of a slot at different correct nodes.

use super::Lie;
use super::leader::{Fork, mark, quietly, take_slices};
use super::tools::Tools;
use alpenglow_node::protocol::block::Slice;
use alpenglow_node::protocol::certificate::SignedVote;
use alpenglow_node::protocol::types::{Hash, NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::BTreeMap;

/// The lie.
#[derive(Default)]
pub struct ForkedWindow {
    /// The second chain; it shares the first block of the window with the honest one.
    other: Fork,
    /// First blocks whose vote is kept, who has them, and who has not.
    kept: BTreeMap<Slot, (Hash, Vec<NodeId>, Vec<NodeId>)>,
}

/// Two groups of about the same stake.
fn halves(tools: &Tools, nodes: &[NodeId]) -> [Vec<NodeId>; 2] {
    let mut halves = [Vec::new(), Vec::new()];
    let mut order = nodes.to_vec();
    order.sort_by_key(|node| (std::cmp::Reverse(tools.stake([node])), *node));
    for node in order {
        let [one, other] = &mut halves;
        let lighter = if tools.stake(&*one) <= tools.stake(&*other) { one } else { other };
        lighter.push(node);
    }
    halves
}

impl ForkedWindow {
    fn tell(&mut self, tools: &mut Tools, honest: &Slice) {
        let commitment = honest.commitment;
        let window = commitment.slot.window();
        // 46 or 52 %: over 40 % together, and over 20 % each.
        let wide = tools.draw("wide", window.0).happens(0, 500_000_000);
        let stake = tools.quorum(2) / 20 * if wide { 26 } else { 23 };
        let (to, rest) = tools.split("who", window.0, stake, true);
        if commitment.slot == window.first() {
            let first = self.other.note(honest);
            quietly(tools, honest, &to);
            if let Some(first) = first.filter(|_| wide) {
                self.kept.insert(first.slot, (first.hash, to, rest));
            }
        } else {
            let [mut one, other] = halves(tools, &to);
            // Whoever has not seen the parent cannot vote for this, but has it when it matters.
            one.extend(rest);
            let second = self.other.follow(tools, honest, |payload| {
                payload.transactions.push(mark(commitment.slot, 1));
            });
            self.other.note(&second);
            quietly(tools, honest, &one);
            quietly(tools, &second, &other);
        }
        if commitment.last {
            tools.did();
        }
    }
}

impl Lie for ForkedWindow {
    fn says(&mut self, tools: &mut Tools, input: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            self.tell(tools, &slice);
        }
        let kept = |effect: &Effect| {
            tools.own_vote(effect).is_some_and(|signed| self.kept.contains_key(&signed.vote.slot))
        };
        effects.retain(|effect| !kept(effect));
        let Input::Message { message, .. } = input else { return };
        if let Message::Vote(SignedVote { vote: Vote { slot, kind: VoteKind::Skip }, .. }) =
            **message
            && let Some((hash, to, rest)) = self.kept.remove(&slot)
        {
            let (skip, notar) =
                (tools.sign(slot, VoteKind::Skip), tools.sign(slot, VoteKind::Notar(hash)));
            tools.send(&to, Message::Vote(skip));
            tools.send(&rest, Message::Vote(notar));
        }
    }
}
