//! B4: a block reaches nodes with just over, or just under, a threshold of the stake.
//!
//! Seen: a block that some have and others do not, with votes for it that end one node before or
//! after 20, 40, 60 or 80 %. The receivers get pieces that they do not forward. The liars' own
//! stake is counted in or not, by draw, so that their votes tip the scale or are not needed. If some
//! correct node is not heard, it gets the block too, and just as much stake as it takes for it, and
//! it alone, to see 80 % with the liars' votes.
//!
//! Must not achieve: different ends of the slot at different correct nodes.

use super::Lie;
use super::leader::{quietly, take_slices};
use super::tools::Tools;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
pub struct SplitAtThreshold;

impl Lie for SplitAtThreshold {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for slice in take_slices(tools, effects) {
            let window = slice.commitment.slot.window().0;
            let draw = tools.common("threshold", window);
            let (mut fifths, mut own) = (1 + draw.below(1, 4), 0);
            let mut above = draw.happens(2, 500_000_000);
            if draw.happens(0, 500_000_000) {
                own = tools.own_stake();
            }
            let victim = tools.muted(window);
            if let Some(victim) = victim {
                // It sees 80 % with the liars' votes, and can tell nobody.
                (fifths, above) = (4, true);
                own = tools.own_stake() + tools.stake(&[victim]);
            }
            let stake = tools.quorum(fifths).saturating_sub(own);
            let (mut to, _) = tools.split("who", window, stake, above);
            to.extend(victim);
            let liars: Vec<NodeId> = tools.liars.iter().copied().collect();
            to.extend(liars.into_iter().filter(|liar| *liar != tools.me));
            quietly(tools, &slice, &to);
            if slice.commitment.last {
                tools.did();
            }
        }
    }
}
