//! O30: Rotor gives a node at most one block of a slot, and none once its leader was caught.
//!
//! Candidates come from Rotor; what others certified comes through repair. If Rotor could complete a
//! second block, or one of a leader that already contradicted itself, a liar could choose what
//! each node sees first, one node at a time. Evidence that comes after completion changes nothing.
//! An incarnation that starts anew may rightly receive the block again.

use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::event::{Event, Origin};
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// How the Rotor copy of a slot ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Complete(BlockId),
    Caught,
}

/// The oracle.
#[derive(Debug)]
pub struct OneRotorBlock {
    ends: Vec<BTreeMap<Slot, End>>,
    floor: Slot,
}

impl OneRotorBlock {
    /// For one run.
    pub fn new(scene: &Scene) -> OneRotorBlock {
        OneRotorBlock { ends: vec![BTreeMap::new(); scene.stakes.len()], floor: Slot::GENESIS }
    }
}

impl Oracle for OneRotorBlock {
    fn id(&self) -> &'static str {
        "O30"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let ends = &mut self.ends[node.index()];
        match fact {
            Fact::Started(_) => ends.clear(),
            Fact::Event(Event::Equivocation(slot) | Event::BlockInvalid(slot)) => {
                ends.entry(*slot).or_insert(End::Caught);
            }
            Fact::Event(Event::BlockStored { block, origin: Origin::Rotor, .. }) => {
                let before = ends.insert(block.slot, End::Complete(*block));
                let detail = match before {
                    None => return,
                    Some(End::Caught) => {
                        format!("n{node} completed {block} after its leader was caught")
                    }
                    Some(End::Complete(other)) => {
                        format!("n{node} completed {block} through Rotor after {other}")
                    }
                };
                out.report(cx, "O30", Some(block.slot), &[node], detail);
            }
            Fact::Event(Event::Delivered { .. }) if cx.history.floor > self.floor => {
                self.floor = cx.history.floor;
                self.ends.iter_mut().for_each(|ends| *ends = ends.split_off(&self.floor));
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

    fn world() -> World {
        World::watched_by("O30", &[1; 5])
    }

    #[test]
    fn two_blocks() {
        let world = world().stored(0, block(4, A), genesis()).stored(0, block(4, B), genesis());
        let found = ["O30: n0 completed 4:bbbbbbbb through Rotor after 4:aaaaaaaa"];
        assert_eq!(world.found(), found);
    }

    #[test]
    fn after_evidence() {
        for event in [Event::Equivocation(Slot(4)), Event::BlockInvalid(Slot(4))] {
            let world = world().event(0, event).stored(0, block(4, A), genesis());
            let found = ["O30: n0 completed 4:aaaaaaaa after its leader was caught"];
            assert_eq!(world.found(), found);
        }
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let world = world()
            .stored(0, block(4, A), genesis())
            .forgotten(5)
            .out(0, block(4, A), genesis())
            .stored(0, block(4, B), genesis());
        assert_eq!(world.found(), NOTHING);
    }

    #[test]
    fn late_evidence_repair_and_restarts() {
        let world = world()
            .stored(0, block(4, A), genesis())
            .event(0, Event::Equivocation(Slot(4)))
            .stored_from(Origin::Repair, 0, block(4, B), genesis())
            .stored(0, block(5, A), block(4, A))
            .event(1, Event::Equivocation(Slot(4)))
            .stored_from(Origin::Repair, 1, block(4, A), genesis())
            .crash(0)
            .start(0)
            .stored_from(Origin::Store, 0, block(4, A), genesis())
            .stored(0, block(4, A), genesis());
        assert_eq!(world.found(), NOTHING);
    }
}
