//! O3: of the ledgers of two correct nodes, one is a prefix of the other.
//!
//! Clients act on what a node delivers, so this is what they see of safety. All ledgers are
//! compared with one: the longest so far, which grows by whoever is ahead. Entries that a node
//! wrote just before a crash, too late to report them, are read from its disk and count too.

use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId};

/// The oracle.
#[derive(Debug)]
pub struct Prefix {
    longest: Vec<BlockId>,
    /// How many entries of each ledger were compared.
    compared: Vec<usize>,
}

impl Prefix {
    /// For one run.
    pub fn new(scene: &Scene) -> Prefix {
        Prefix { longest: Vec::new(), compared: vec![0; scene.stakes.len()] }
    }
}

impl Oracle for Prefix {
    fn id(&self) -> &'static str {
        "O3"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Event(Event::Delivered { .. }) | Fact::Image(..) => {}
            // It delivers again what it lost.
            Fact::LogLost(_) => self.compared[node.index()] = 0,
            _ => return,
        }
        let ledger = &cx.history.of(node).out;
        let compared = &mut self.compared[node.index()];
        for (place, block) in ledger.iter().enumerate().skip(*compared) {
            match self.longest.get(place) {
                None => self.longest.push(*block),
                Some(other) if other == block => {}
                Some(other) => {
                    let detail =
                        format!("n{node} delivered {block} as number {place}, others {other}");
                    out.report(cx, "O3", Some(block.slot), &[node], detail);
                }
            }
        }
        *compared = ledger.len();
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    #[test]
    fn two_ledgers_that_part() {
        let world = World::watched_by("O3", &[1; 5])
            .out(0, block(1, A), genesis())
            .out(0, block(2, A), block(1, A))
            .out(1, block(1, A), genesis())
            .out(1, block(2, B), block(1, A));
        let found = "O3: n1 delivered 2:bbbbbbbb as number 1, others 2:aaaaaaaa";
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn an_entry_that_only_the_disk_tells() {
        let world = World::watched_by("O3", &[1; 5])
            .out(0, block(1, A), genesis())
            .out(1, block(1, A), genesis())
            .out(1, block(2, A), block(1, A))
            .crash_with(0, &[], &[block(1, A), block(2, B)]);
        let found = "O3: n0 delivered 2:bbbbbbbb as number 1, others 2:aaaaaaaa";
        assert_eq!(world.found(), [found]);
    }

    #[test]
    fn a_laggard_and_a_restart() {
        let world = World::watched_by("O3", &[1; 5])
            .out(0, block(1, A), genesis())
            .out(0, block(3, A), block(1, A))
            .out(1, block(1, A), genesis())
            .crash(1)
            .start(1)
            .out(1, block(3, A), block(1, A))
            .out(1, block(4, A), block(3, A))
            .out(0, block(4, A), block(3, A));
        assert_eq!(world.found(), NOTHING);
    }
}
