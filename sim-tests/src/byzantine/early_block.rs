//! B9: blocks for windows whose time is far away.
//!
//! Seen: a leader whose next window is up to ten windows off sends something for it now, one kind
//! for each window: bytes that are no block, two commitments for one slice, or a valid block for
//! the last slot, on a parent that nobody knows. When the time comes it sends nothing more.
//!
//! Must not achieve: votes that go too far ahead for others to keep, so that the window can never
//! be skipped; a next leader who begins on that block and leaves its own windows before it out.

use super::Lie;
use super::leader::{all_pieces, mark, resign, signature, take_slices, through_relays};
use super::tools::Tools;
use alpenglow_node::crypto::{Hash, erasure};
use alpenglow_node::protocol::block::{Commitment, Payload, Slice};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, Slot, Window};
use alpenglow_node::protocol::{Effect, Input};
use std::collections::BTreeSet;

/// So many windows ahead of the one that is ready; votes are kept for about as many.
const AHEAD: u64 = 10;

/// The lie.
#[derive(Default)]
pub struct EarlyBlock {
    told: BTreeSet<Window>,
}

/// A one-slice block that says it is for `slot`.
fn block(tools: &Tools, slot: Slot, number: u64) -> Slice {
    let unknown = Hash::of("sim/unknown", &[&slot.0.to_le_bytes()]);
    let parent = Some(BlockId::new(slot.previous(), unknown));
    let payload = Payload { parent, transactions: vec![mark(slot, number)] };
    let commitment = Commitment { slot, slice: 0, last: true, root: Hash::default() };
    resign(tools, commitment, &payload)
}

fn garbage(tools: &Tools, slot: Slot) -> Slice {
    let encoded = erasure::encode(&[9; 100]).expect("it is short");
    let commitment = Commitment { slot, slice: 0, last: true, root: encoded.root() };
    Slice { commitment, signature: signature(tools, commitment), encoded }
}

impl EarlyBlock {
    fn tell(&mut self, tools: &mut Tools, window: Window) {
        let slices = match tools.draw("kind", window.0).below(0, 3) {
            0 => vec![garbage(tools, window.first())],
            1 => vec![block(tools, window.first(), 1), block(tools, window.first(), 2)],
            _ => vec![block(tools, window.last(), 0)],
        };
        for slice in slices {
            through_relays(tools, &slice, all_pieces());
        }
        self.told.insert(window);
        tools.did();
    }
}

impl Lie for EarlyBlock {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let ready = effects.iter().filter_map(|effect| match effect {
            Effect::Observe { event: Event::ParentReady(first, _), .. } => Some(first.window()),
            _ => None,
        });
        if let Some(head) = ready.max() {
            let ahead = (head.0 + 2..=head.0 + AHEAD).map(Window);
            let own = ahead.filter(|window| tools.committee.leader(*window) == tools.me);
            let own: Vec<Window> = own.filter(|window| !self.told.contains(window)).collect();
            own.into_iter().for_each(|window| self.tell(tools, window));
            self.told = self.told.split_off(&head);
        }
        for honest in take_slices(tools, effects) {
            if !self.told.contains(&honest.commitment.slot.window()) {
                through_relays(tools, &honest, all_pieces());
            }
        }
    }
}
