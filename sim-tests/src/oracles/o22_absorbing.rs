//! O22: what is decided stays decided.
//!
//! (a) A slot is decided the same way at every node and in every incarnation, as a block or as
//! skipped. (b) No restart shortens a ledger: the disk holds everything that was reported, and the
//! next incarnation starts from its end or above. (c) Within one incarnation the highest final slot and the
//! root never go back.
//!
//! Decisions are kept for the whole run (about 60 bytes a slot), so that a node that comes back
//! after an hour is held to them.

use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug)]
pub struct Absorbing {
    decided: BTreeMap<Slot, (Option<BlockId>, NodeId)>,
    /// The highest final slot and the highest root that each incarnation has shown.
    marks: Vec<(Slot, Slot)>,
}

impl Absorbing {
    /// For one run.
    pub fn new(scene: &Scene) -> Absorbing {
        let marks = vec![(Slot::GENESIS, Slot::GENESIS); scene.stakes.len()];
        Absorbing { decided: BTreeMap::new(), marks }
    }

    fn decide(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        slot: Slot,
        decision: Option<BlockId>,
        out: &mut Findings,
    ) {
        let (known, first) = *self.decided.entry(slot).or_insert((decision, node));
        if known != decision {
            let word = |decision: Option<BlockId>| match decision {
                Some(block) => format!("final {block}"),
                None => "skipped".to_owned(),
            };
            let (one, other) = (word(decision), word(known));
            let detail = format!("slot {slot} is {one} at n{node} and {other} at n{first}");
            out.report(cx, "O22", Some(slot), &[node, first], detail);
        }
    }

    /// Raises the marks, and reports a mark that went back.
    fn mark(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        highest: Slot,
        root: Slot,
        out: &mut Findings,
    ) {
        let (high, low) = &mut self.marks[node.index()];
        for (mark, shown, name) in [(high, highest, "highest final slot"), (low, root, "root")] {
            if shown < *mark {
                let detail = format!("the {name} of n{node} went back from {mark} to {shown}");
                out.report(cx, "O22", Some(shown), &[node], detail);
            }
            *mark = shown.max(*mark);
        }
    }

    fn event(&mut self, cx: &Context<'_>, node: NodeId, event: &Event, out: &mut Findings) {
        let (high, low) = self.marks[node.index()];
        match event {
            Event::Finalized(block, mode) => {
                self.decide(cx, node, block.slot, Some(*block), out);
                if *mode != Mode::Indirect {
                    self.mark(cx, node, high.max(block.slot), low, out);
                }
            }
            Event::SkippedByFinality(slot) => self.decide(cx, node, *slot, None, out),
            Event::Delivered { block, .. } => self.mark(cx, node, high, low.max(block.slot), out),
            Event::Standstill { highest, .. } => self.mark(cx, node, *highest, low, out),
            Event::CatchUp(root) => self.mark(cx, node, high, *root, out),
            Event::Reloaded { tip, highest, .. } => {
                self.decide(cx, node, tip.slot, Some(*tip), out);
                self.decide(cx, node, highest.slot, Some(*highest), out);
                // It may be higher: what certificates on the disk decide is delivered next.
                let end = cx.history.of(node).out.last().copied().unwrap_or(cx.scene.genesis);
                if tip.slot < end.slot || tip.slot == end.slot && *tip != end {
                    let detail =
                        format!("n{node} starts from {tip}, but its ledger ends with {end}");
                    out.report(cx, "O22", Some(end.slot), &[node], detail);
                }
                self.mark(cx, node, high.max(highest.slot), low.max(tip.slot), out);
            }
            _ => {}
        }
    }
}

impl Oracle for Absorbing {
    fn id(&self) -> &'static str {
        "O22"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Event(event) => self.event(cx, node, event, out),
            Fact::Started(_) => self.marks[node.index()] = (Slot::GENESIS, Slot::GENESIS),
            Fact::Image(_, ledger) => {
                // The history takes an image over only if it continues what was reported.
                let known = &cx.history.of(node).out;
                if known != ledger {
                    let (disk, reported) = (ledger.len(), known.len());
                    let detail = format!(
                        "the disk of n{node} holds {disk} entries that do not continue the \
                         {reported} reported ones"
                    );
                    out.report(cx, "O22", None, &[node], detail);
                }
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
        World::watched_by("O22", &[1; 5])
    }

    #[test]
    fn decided_in_two_ways() {
        let skipped = world().finalized(0, block(4, A), Fast).skipped(1, 4);
        assert_eq!(skipped.found(), ["O22: slot 4 is skipped at n1 and final 4:aaaaaaaa at n0"]);
        let later = world().skipped(0, 4).crash(0).start(0).finalized(0, block(4, A), Indirect);
        assert_eq!(later.found(), ["O22: slot 4 is final 4:aaaaaaaa at n0 and skipped at n0"]);
        let other = world().finalized(0, block(4, A), Fast).finalized(1, block(4, B), Fast);
        assert_eq!(other.found().len(), 1);
    }

    #[test]
    fn a_shorter_or_different_ledger_on_the_disk() {
        let two = || world().out(0, block(1, A), genesis()).out(0, block(2, A), block(1, A));
        let short = two().crash_with(0, &[], &[block(1, A)]);
        let found = "O22: the disk of n0 holds 1 entries that do not continue the 2 reported ones";
        assert_eq!(short.found(), [found]);
        let other = two().crash_with(0, &[], &[block(1, A), block(2, B), block(3, B)]);
        assert_eq!(other.found().len(), 1);
    }

    #[test]
    fn a_start_from_somewhere_else() {
        let world = world().out(0, block(1, A), genesis()).crash(0).start_from(
            0,
            &[],
            genesis(),
            genesis(),
        );
        let found = ["O22: n0 starts from 0:00000000, but its ledger ends with 1:aaaaaaaa"];
        assert_eq!(world.found(), found);
        let other = self::world().out(0, block(1, A), genesis()).crash(0);
        let found = ["O22: n0 starts from 1:bbbbbbbb, but its ledger ends with 1:aaaaaaaa"];
        assert_eq!(other.start_from(0, &[], block(1, B), block(1, B)).found(), found);
    }

    #[test]
    fn marks_that_go_back() {
        let behind = world().finalized(0, block(9, A), Fast).standstill(0, 8);
        assert_eq!(behind.found(), ["O22: the highest final slot of n0 went back from 9 to 8"]);
        let root = world().out(0, block(3, A), genesis()).event(0, Event::CatchUp(Slot(2)));
        assert_eq!(root.found(), ["O22: the root of n0 went back from 3 to 2"]);
    }

    #[test]
    fn late_and_repeated_decisions() {
        let world = world()
            .finalized(0, block(9, A), Fast)
            .skipped(0, 8)
            .finalized(0, block(7, A), Indirect)
            .finalized(0, block(7, A), Slow)
            .standstill(0, 9)
            .out(0, block(7, A), genesis())
            .event(0, Event::CatchUp(Slot(7)))
            .event(0, Event::CatchUp(Slot(8)))
            // Only the report of the second delivery is lost, and with it the mark of slot 9.
            .crash_with(0, &[], &[block(7, A), block(9, A)])
            .start_from(0, &[], block(9, A), block(9, A))
            .standstill(0, 9)
            .crash(0)
            .start_from(0, &[], block(10, A), block(12, A))
            .finalized(1, block(7, A), Fast)
            .skipped(1, 8);
        assert_eq!(world.found(), NOTHING);
    }
}
