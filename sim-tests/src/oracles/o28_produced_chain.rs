//! O28: what a correct leader produces hangs where it may.
//!
//! > its first block has <= 1 switch and its effective parent was in its ready(s) at completion;
//! > the others chain to its previous block
//!
//! The leader's own words (production started, parent switched, last slice signed) are held against
//! its certificates, counted again; and what other correct nodes decoded is held against its words.

use super::recount::is_ready;
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// A block under way or made.
#[derive(Clone, Copy, Debug)]
struct Product {
    leader: NodeId,
    parent: BlockId,
    switches: u32,
    /// Its identity, once its leader has all of it.
    block: Option<BlockId>,
}

/// The oracle.
#[derive(Debug, Default)]
pub struct ProducedChain {
    products: BTreeMap<Slot, Product>,
    floor: Slot,
}

fn is_first(slot: Slot) -> bool {
    slot == slot.window().first()
}

impl ProducedChain {
    fn switched(&mut self, cx: &Context<'_>, slot: Slot, to: BlockId, out: &mut Findings) {
        let Some(product) = self.products.get_mut(&slot) else { return };
        let (leader, from) = (product.leader, product.parent);
        (product.parent, product.switches) = (to, product.switches + 1);
        let detail = if !is_first(slot) {
            format!("n{leader} switched the parent in slot {slot}, not the first of a window")
        } else if product.switches > 1 {
            format!("n{leader} switched the parent twice in slot {slot}")
        } else if from == to {
            format!("n{leader} switched in slot {slot} to the same parent {to}")
        } else {
            return;
        };
        out.report(cx, "O28", Some(slot), &[leader], detail);
    }

    fn completed(&self, cx: &Context<'_>, node: NodeId, slot: Slot, out: &mut Findings) {
        let Some(product) = self.products.get(&slot) else { return };
        out.probe("judged-O28");
        let parent = product.parent;
        let detail = if is_first(slot) {
            let ready = is_ready(cx.scene, cx.history.of(node), slot, parent);
            (!ready)
                .then(|| format!("n{node} finished slot {slot} on {parent}, which is not ready"))
        } else {
            let own = self.products.get(&slot.previous()).filter(|one| one.leader == node);
            let chained = own.and_then(|one| one.block) == Some(parent);
            (!chained)
                .then(|| format!("n{node} made slot {slot} on {parent}, not on its last block"))
        };
        if let Some(detail) = detail {
            out.report(cx, "O28", Some(slot), &[node], detail);
        }
    }

    fn stored(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        (block, parent, switched): (BlockId, BlockId, bool),
        out: &mut Findings,
    ) {
        let Some(product) = self.products.get_mut(&block.slot) else { return };
        if product.leader == node {
            product.block.get_or_insert(block);
        }
        if parent != product.parent || switched != (product.switches > 0) {
            let detail = format!(
                "n{node} has {block} on {parent}, but its leader n{} built on {}",
                product.leader, product.parent
            );
            out.report(cx, "O28", Some(block.slot), &[node, product.leader], detail);
        }
    }
}

impl Oracle for ProducedChain {
    fn id(&self) -> &'static str {
        "O28"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Event(event) = fact else { return };
        match event {
            Event::ProductionStarted { slot, parent, .. } => {
                if cx.history.floor > self.floor {
                    self.floor = cx.history.floor;
                    self.products = self.products.split_off(&self.floor);
                }
                let product = Product { leader: node, parent: *parent, switches: 0, block: None };
                self.products.insert(*slot, product);
            }
            Event::ParentSwitched(slot, parent) => self.switched(cx, *slot, *parent, out),
            Event::SliceSigned { slot, last: true, .. } => self.completed(cx, node, *slot, out),
            Event::BlockStored { block, parent, switched, .. } => {
                self.stored(cx, node, (*block, *parent, *switched), out);
            }
            _ => {}
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn began(slot: u64, parent: BlockId) -> Event {
        Event::ProductionStarted { slot: Slot(slot), parent, optimistic: true }
    }

    fn switched(slot: u64, parent: BlockId) -> Event {
        Event::ParentSwitched(Slot(slot), parent)
    }

    fn ended(slot: u64) -> Event {
        Event::SliceSigned { slot: Slot(slot), slice: 1, last: true, root: A }
    }

    /// Node 0 leads window 1, and knows that a block of slot 3 is certified.
    fn world() -> World {
        World::watched_by("O28", &[1; 5]).certified(0, 3, NO(A), &[0, 1, 2])
    }

    fn made(world: World, slot: u64, hash: Hash, parent: BlockId) -> World {
        let world = world.event(0, began(slot, parent)).stored(0, block(slot, hash), parent);
        world.event(0, ended(slot))
    }

    #[test]
    fn finished_on_what_is_not_ready() {
        let found = ["O28: n0 finished slot 4 on 3:bbbbbbbb, which is not ready"];
        assert_eq!(made(world(), 4, A, block(3, B)).found(), found);
        let elsewhere = made(world().certified(1, 3, NF(B), &[0, 1, 2]), 4, A, block(3, B));
        assert_eq!(elsewhere.found(), found, "it has to know by itself");
    }

    #[test]
    fn a_block_beside_the_last_one() {
        let found = ["O28: n0 made slot 5 on 4:bbbbbbbb, not on its last block"];
        assert_eq!(made(made(world(), 4, A, block(3, A)), 5, C, block(4, B)).found(), found);
        let alone = ["O28: n0 made slot 5 on 4:aaaaaaaa, not on its last block"];
        assert_eq!(made(world(), 5, C, block(4, A)).found(), alone);
    }

    #[test]
    fn switches_that_may_not_be() {
        let begun = |parent| world().event(0, began(4, parent));
        let twice = begun(block(3, B)).event(0, switched(4, block(3, C)));
        let twice = twice.event(0, switched(4, block(3, A)));
        assert_eq!(twice.found(), ["O28: n0 switched the parent twice in slot 4"]);
        let same = begun(block(3, A)).event(0, switched(4, block(3, A)));
        assert_eq!(same.found(), ["O28: n0 switched in slot 4 to the same parent 3:aaaaaaaa"]);
        let inside = world().event(0, began(5, block(4, A))).event(0, switched(5, block(4, B)));
        let found = ["O28: n0 switched the parent in slot 5, not the first of a window"];
        assert_eq!(inside.found(), found);
    }

    #[test]
    fn others_decode_something_else() {
        let world = made(world(), 4, A, block(3, A)).stored(1, block(4, A), block(2, A));
        let found = ["O28: n1 has 4:aaaaaaaa on 2:aaaaaaaa, but its leader n0 built on 3:aaaaaaaa"];
        assert_eq!(world.found(), found);
    }

    #[test]
    fn a_window_with_a_switch_and_an_unfinished_block() {
        let parent = block(3, A);
        let world = world().event(0, began(4, block(3, B))).event(0, switched(4, parent));
        let four = |switched| Event::BlockStored {
            block: block(4, A),
            parent,
            origin: Origin::Rotor,
            slices: 2,
            switched,
        };
        let world = world.event(0, four(true)).event(0, ended(4)).event(1, four(true));
        let world = made(made(world, 5, B, block(4, A)), 6, C, block(5, B));
        // It gives up on a window whose parent never becomes ready.
        let world = world.event(2, began(8, block(7, D)));
        assert_eq!(made(world, 1, A, genesis()).found(), NOTHING);
    }
}
