//! B9: blocks on a parent that nobody may build on.
//!
//! Seen, one kind for each window: a parent that nobody knows; one in the future; the own slot; an
//! old block although newer ones are final; the block before the one that a slot must follow.
//!
//! Must not achieve: a notar vote of a correct node in the first slot of the window, or a break in
//! the chain.

use super::Lie;
use super::leader::{Fork, all_pieces, mark, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::crypto::Hash;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, Slot};
use alpenglow_node::protocol::{Effect, Input};

/// The lie.
#[derive(Default)]
pub struct WrongParent {
    chain: Fork,
    /// A block that was a ready parent long ago.
    old: Option<BlockId>,
}

impl Lie for WrongParent {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects.iter() {
            if let Effect::Observe { event: Event::ParentReady(_, parent), .. } = effect {
                self.old.get_or_insert(*parent);
            }
        }
        for honest in take_slices(tools, effects) {
            let slot = honest.commitment.slot;
            let kind = tools.draw("kind", slot.window().0).below(0, 5);
            let unknown = Hash::of("sim/unknown", &[&slot.0.to_le_bytes()]);
            let parent = match kind {
                0 => BlockId::new(slot.previous(), unknown),
                1 => BlockId::new(slot.plus(3), unknown),
                2 => BlockId::new(slot, unknown),
                3 => self.old.unwrap_or_else(|| tools.committee.genesis_block()),
                _ => BlockId::new(Slot(slot.0.saturating_sub(2)), unknown),
            };
            let wrong = slot == slot.window().first() || kind == 4;
            let mut lied = false;
            let slice = self.chain.follow(tools, &honest, |payload| {
                payload.transactions.insert(0, mark(slot, kind));
                if wrong && payload.parent.is_some_and(|right| right != parent) {
                    payload.parent = Some(parent);
                    lied = true;
                }
            });
            self.chain.note(&slice);
            through_relays(tools, &slice, all_pieces());
            if lied {
                tools.did();
            }
        }
    }
}
