//! O49: a node that starts late or comes back soon knows what is final, and delivers it.
//!
//! > from first contact, highestFinal equals the cluster's within Δ_standstill + Δ (normally one
//! > slot); output caught up within repair time linear in the gap
//!
//! Watched while liveness is promised: for starts after the first, and for first starts after the
//! cluster's. The same is asked of everybody at any time: what a node knows to be final it delivers,
//! within what a joiner is given. A final block that nobody holds any more, because all who voted for
//! it have lost it, shows here and nowhere else. The linear part is 50 slots a second, the rate that catching up aims for, plus a
//! standstill for what was lost and one repair.

use super::bounds::Bounds;
use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use crate::plan::Nanos;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct Join {
    started_ns: u64,
    /// Where its ledger ended then.
    tip: Slot,
    /// What the cluster had finalized when the node started, or the node when it was looked at.
    target: Slot,
    known: bool,
    /// The node was running; it only has to deliver.
    lags: bool,
}

/// The oracle.
#[derive(Debug)]
pub struct Joiner {
    bounds: Bounds,
    joins: BTreeMap<NodeId, Join>,
    highest: Slot,
}

impl Joiner {
    /// For one run.
    pub fn new(scene: &Scene) -> Joiner {
        Joiner { bounds: Bounds::of(scene), joins: BTreeMap::new(), highest: Slot(0) }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        let b = self.bounds;
        let mut over = Vec::new();
        for (&node, join) in &mut self.joins {
            let me = cx.history.of(node);
            let age = cx.at_ns - join.started_ns;
            join.known |= me.highest.is_some_and(|block| block.slot >= join.target);
            let tip = me.out.last().map_or(Slot(0), |block| block.slot);
            if tip >= join.target {
                if owed(cx, node, join.started_ns) {
                    out.probe("judged-O49");
                }
                over.push(node);
                continue;
            }
            if !owed(cx, node, join.started_ns) {
                over.push(node);
            } else if !join.known && age > b.joiner_knows() {
                over.push(node);
                let detail = format!(
                    "n{node} does not know that slot {} is final {:.3} s after its start",
                    join.target,
                    age as f64 / 1e9
                );
                out.report(cx, "O49", Some(join.target), &[node], detail);
            } else {
                let gap = join.target.0.saturating_sub(join.tip.0);
                if age > b.joiner_delivers(gap) {
                    over.push(node);
                    let since = if join.lags { "it knew that this is final" } else { "its start" };
                    let detail = format!(
                        "n{node} has delivered up to slot {tip} and not up to {} {:.3} s after {since}",
                        join.target,
                        age as f64 / 1e9
                    );
                    out.report(cx, "O49", Some(join.target), &[node], detail);
                }
            }
        }
        self.joins.retain(|node, _| !over.contains(node));
    }
}

/// Where the ledger of the node ends.
fn tip_of(cx: &Context<'_>, node: NodeId) -> Slot {
    cx.history.of(node).out.last().map_or(Slot::GENESIS, |block| block.slot)
}

/// True if liveness has been promised without a break since `since_ns`, and to this node too: it
/// may have come back into another fault.
fn owed(cx: &Context<'_>, node: NodeId, since_ns: u64) -> bool {
    let (from, to) = (Nanos(since_ns), Nanos(cx.at_ns));
    // A slow disk takes its time, above all for a start.
    if cx.scene.plan.hampered(node.0).iter().any(|(begin, end)| *begin <= to && *end > from) {
        return false;
    }
    cx.scene.plan.expect.liveness
        && cx.scene.budget.explain(from, Nanos(to.0 + 1)).is_empty()
        && cx.scene.budget.in_touch(from, to)(node.0)
}

impl Oracle for Joiner {
    fn id(&self) -> &'static str {
        "O49"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Started(_) if cx.at_ns > 0 => {
                let (started_ns, target) = (cx.at_ns, self.highest);
                let tip = tip_of(cx, node);
                let join = Join { started_ns, tip, target, known: false, lags: false };
                self.joins.insert(node, join);
            }
            Fact::Crashed | Fact::Paused(_) => {
                self.joins.remove(&node);
            }
            Fact::Event(Event::Finalized(block, _)) => {
                self.highest = self.highest.max(block.slot);
            }
            Fact::Event(Event::Sizes { .. }) => {
                self.check(cx, out);
                let (started_ns, tip) = (cx.at_ns, tip_of(cx, node));
                let target = cx.history.of(node).highest.map_or(tip, |block| block.slot);
                if target > tip {
                    let join = Join { started_ns, tip, target, known: true, lags: true };
                    self.joins.entry(node).or_insert(join);
                }
            }
            _ => {}
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    /// Slot 10 is final at 2 s; node 4 comes back at 3 s.
    fn back() -> World {
        let world = World::watched_by("O49", &[1; 5]).at(1_000).crash(4);
        world.at(2_000).finalized(0, block(10, A), Slow).at(3_000).start(4)
    }

    #[test]
    fn never_learns() {
        assert_eq!(back().at(13_200).tick(4).found(), NOTHING, "within a standstill and Δ");
        let found = back().at(13_500).tick(4).found();
        assert_eq!(found, ["O49: n4 does not know that slot 10 is final 10.500 s after its start"]);
    }

    #[test]
    fn knows_and_does_not_deliver() {
        let knows = || back().at(4_000).finalized(4, block(10, A), Slow);
        assert_eq!(
            knows().at(14_900).tick(4).found(),
            NOTHING,
            "1.5 s for the repair, 0.2 s for ten slots"
        );
        let found = knows().at(15_100).tick(4).found();
        let expected =
            "O49: n4 has delivered up to slot 0 and not up to 10 12.100 s after its start";
        assert_eq!(found, [expected]);
        let delivered = knows().out(4, block(10, A), genesis()).at(40_000).tick(4);
        assert_eq!(delivered.found(), NOTHING);
    }

    /// It was there all the time.
    #[test]
    fn does_not_deliver() {
        let world = || World::watched_by("O49", &[1; 5]).at(2_000).finalized(0, block(10, A), Slow);
        let known = || world().at(3_000).tick(0).at(14_900).tick(0);
        assert_eq!(known().found(), NOTHING);
        let expected = "O49: n0 has delivered up to slot 0 and not up to 10 12.100 s after it knew that \
                        this is final";
        assert_eq!(known().at(15_100).tick(0).found(), [expected]);
        let late = known().out(0, block(10, A), genesis()).at(40_000).tick(0);
        assert_eq!(late.found(), NOTHING);
    }

    #[test]
    fn gone_again() {
        assert_eq!(back().at(5_000).crash(4).at(40_000).tick(0).found(), NOTHING);
    }
}
