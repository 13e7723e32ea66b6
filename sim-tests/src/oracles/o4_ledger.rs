//! O4: a ledger is a chain: each entry's effective parent is the entry before, slots increase, and
//! nothing is delivered twice.
//!
//! The first entry stands on genesis. The parent is what the node itself says with the delivery,
//! and it must be what was stored as that block's effective parent (the last one stated, if the
//! leader switched). An entry that only the disk tells of is judged by the stored link.

use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::NodeId;

/// The oracle.
#[derive(Debug)]
pub struct Ledger {
    /// How many entries of each ledger were judged.
    judged: Vec<usize>,
}

impl Ledger {
    /// For one run.
    pub fn new(scene: &Scene) -> Ledger {
        Ledger { judged: vec![0; scene.stakes.len()] }
    }
}

impl Oracle for Ledger {
    fn id(&self) -> &'static str {
        "O4"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let said = match fact {
            Fact::Event(Event::Delivered { block, parent, .. }) => Some((*block, *parent)),
            Fact::Image(..) => None,
            Fact::LogLost(ledger) => {
                self.judged[node.index()] = ledger.len();
                return;
            }
            _ => return,
        };
        let ledger = &cx.history.of(node).out;
        let judged = std::mem::replace(&mut self.judged[node.index()], ledger.len());
        for (place, block) in ledger.iter().enumerate().skip(judged) {
            let tip = place.checked_sub(1).map_or(cx.scene.genesis, |before| ledger[before]);
            let stored = cx.history.parents.get(block).copied();
            let parents = [said.filter(|(id, _)| id == block).map(|(_, parent)| parent), stored];
            let wrong = parents.into_iter().flatten().find(|parent| *parent != tip);
            let detail = match wrong {
                Some(parent) => {
                    format!("n{node} delivered {block}, child of {parent}, after {tip}")
                }
                None if block.slot <= tip.slot => format!("n{node} delivered {block} after {tip}"),
                None => continue,
            };
            out.report(cx, "O4", Some(block.slot), &[node], detail);
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
        World::watched_by("O4", &[1; 5])
            .stored(0, block(1, A), genesis())
            .stored(0, block(3, B), block(1, A))
            .out(0, block(1, A), genesis())
    }

    #[test]
    fn a_gap() {
        let world = world().out(0, block(5, C), block(3, B));
        let found = "O4: n0 delivered 5:cccccccc, child of 3:bbbbbbbb, after 1:aaaaaaaa";
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn a_repetition() {
        let world = world().out(0, block(1, A), block(1, A));
        let found = "O4: n0 delivered 1:aaaaaaaa, child of 0:00000000, after 1:aaaaaaaa";
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn a_parent_that_is_not_the_stored_one() {
        let world = world().stored(1, block(4, D), genesis()).out(0, block(4, D), block(1, A));
        let found = "O4: n0 delivered 4:dddddddd, child of 0:00000000, after 1:aaaaaaaa";
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn a_wrong_entry_that_only_the_disk_tells() {
        let world = world().stored(0, block(4, D), genesis()).crash_with(
            0,
            &[],
            &[block(1, A), block(4, D)],
        );
        let found = "O4: n0 delivered 4:dddddddd, child of 0:00000000, after 1:aaaaaaaa";
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn a_chain_over_a_restart() {
        let world = world().crash_with(0, &[], &[block(1, A), block(3, B)]).start(0).out(
            0,
            block(5, C),
            block(3, B),
        );
        assert_eq!(world.found(), NOTHING);
    }
}
