//! B1, inside a window: one block reaches less than half of the stake, and its receivers get two
//! different children of it.
//!
//! Seen: a first block with votes of a little over 40 %, and two blocks in the next slot that name it
//! as their parent, each with votes of a fifth or more. Everybody else skips, and may then help all
//! three; but the children may not be helped before their parent is certified, which takes such help
//! itself. So several blocks wait for one certificate.
//!
//! Must not achieve: that one of them waits for ever, a slot that stays undecided, or different ends
//! of a slot at different correct nodes.

use super::Lie;
use super::leader::{Fork, mark, quietly, take_slices};
use super::tools::Tools;
use alpenglow_node::protocol::block::Slice;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
#[derive(Default)]
pub struct ForkedWindow {
    /// The second chain; it shares the first block of the window with the honest one.
    other: Fork,
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
        // 46 %: over 40 % together, and over 20 % each.
        let stake = tools.quorum(2) / 20 * 23;
        let (to, _) = tools.split("who", window.0, stake, true);
        if commitment.slot == window.first() {
            self.other.note(honest);
            quietly(tools, honest, &to);
        } else {
            let [one, other] = halves(tools, &to);
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
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            self.tell(tools, &slice);
        }
    }
}
