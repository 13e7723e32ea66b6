//! B1 and B2: a leader sends one block to some and another to others, or up to ten to as many.
//!
//! Seen: several signed commitments for one place in the block; votes of one slot that name several
//! blocks. Each group gets its block straight from the leader; sometimes it gets the pieces that it
//! relays too, so that everybody soon holds the proof, and sometimes not, so that it has to be
//! found out from the votes. The whole window is forked, each group on its own chain.
//!
//! Must not achieve: two notarized blocks in a slot, two final ones, a slot that stays undecided,
//! more than three notar-fallback votes of a node, or storage without bound.

use super::Lie;
use super::leader::{Fork, all_pieces, mark, quietly, take_slices};
use super::tools::Tools;
use alpenglow_node::protocol::block::Slice;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The lie.
pub struct EquivocatingLeader {
    most: u64,
    /// The chains of the groups; the first one is the honest one.
    chains: Vec<Fork>,
}

impl EquivocatingLeader {
    /// Two blocks.
    pub fn two() -> EquivocatingLeader {
        EquivocatingLeader { most: 2, chains: Vec::new() }
    }

    /// Three to ten blocks.
    pub fn many() -> EquivocatingLeader {
        EquivocatingLeader { most: 10, chains: Vec::new() }
    }

    fn groups(&self, tools: &mut Tools, window: u64) -> Vec<Vec<NodeId>> {
        if self.most == 2 {
            let (one, other) = tools.halves("halves", window);
            return vec![one, other];
        }
        let count = 3 + tools.common("count", window).below(0, self.most - 2) as usize;
        let mut groups = vec![Vec::new(); count];
        for (place, node) in tools.shuffled("groups", window).into_iter().enumerate() {
            groups[place % count].push(node);
        }
        groups
    }

    fn tell(&mut self, tools: &mut Tools, honest: &Slice) {
        let commitment = honest.commitment;
        let window = commitment.slot.window().0;
        let groups = self.groups(tools, window);
        self.chains.resize_with(groups.len().max(self.chains.len()), Fork::default);
        let quiet = tools.common("quiet", window).happens(0, 500_000_000);
        let (me, liars) = (tools.me, tools.liars.clone());
        let mut given = Vec::new();
        for (number, group) in (0..).zip(&groups) {
            let chain = &mut self.chains[number as usize];
            let slice = match number {
                0 => honest.clone(),
                _ => chain.follow(tools, honest, |payload| {
                    payload.transactions.push(mark(commitment.slot, number));
                }),
            };
            let id = chain.note(&slice);
            let mut to = group.clone();
            if number == 0 {
                to.extend(liars.iter().filter(|liar| **liar != me));
            }
            if quiet {
                quietly(tools, &slice, &to);
            } else {
                for index in all_pieces() {
                    tools.send(&to, Message::Shred(Arc::new(slice.shred(index))));
                }
            }
            given.extend(id.map(|id| (id, group.iter().copied().collect::<BTreeSet<_>>())));
        }
        if !given.is_empty() {
            tools.board().groups.insert(commitment.slot, given);
            tools.did();
        }
    }
}

impl Lie for EquivocatingLeader {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            self.tell(tools, &slice);
        }
    }
}
