//! O42: every slot of a window ends with a skip certificate or a certified block at every correct
//! node in time (Lemmas 37-39).
//!
//! > by t_W + 3Δ + mΔ_timeout + (i-s+1)Δ_block + R + (i-s)·max(0, Δ-Δ_block), or highestFinal has
//! > passed the window
//!
//! Claimed for nodes in scope, if they hold at least 60 % of the stake, in windows that became
//! ready after the heal. R is 0 there, because nothing of such a window was lost, unless identities
//! lie in this run: then a slot may end only when a block has been fetched.

use super::windows::{Due, Windows};
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::types::{NodeId, Slot};

/// The oracle.
#[derive(Debug)]
pub struct SlotsResolve {
    windows: Windows,
    due: Due,
}

impl SlotsResolve {
    /// For one run.
    pub fn new(scene: &Scene) -> SlotsResolve {
        SlotsResolve { windows: Windows::new(scene), due: Due::default() }
    }

    fn judge(&self, cx: &Context<'_>, slot: Slot, out: &mut Findings) {
        let window = slot.window();
        let scope = self.windows.scope(cx, window);
        let enough = cx.scene.at_least(cx.scene.stake_of(scope.iter().copied()), 3);
        if !enough || !self.windows.is_claimed(window) {
            return;
        }
        out.probe("judged-O42");
        let unresolved = |node: &NodeId| {
            let me = cx.history.of(*node);
            !me.is_skipped(slot)
                && me.certified_in(slot).is_empty()
                && me.highest.is_none_or(|block| block.slot < slot)
        };
        let left: Vec<NodeId> = scope.into_iter().filter(unresolved).collect();
        if !left.is_empty() {
            let ready = self.windows.after_ready(window, 0) as f64 / 1e9;
            let detail = format!(
                "slot {slot} is neither skipped nor certified at {left:?}, {:.3} s after its \
                 window became ready at {ready:.3} s",
                (self.windows.slot_resolved_by(slot) as f64 / 1e9) - ready
            );
            out.report(cx, "O42", Some(slot), &left, detail);
        }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        let windows = &self.windows;
        while let Some(slot) = self.due.next(cx.at_ns, |slot| windows.slot_resolved_by(slot)) {
            self.judge(cx, slot, out);
        }
        self.windows.forget_delivered(cx);
    }
}

impl Oracle for SlotsResolve {
    fn id(&self) -> &'static str {
        "O42"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if self.due.is_passed(cx.at_ns) {
            self.check(cx, out);
        }
        if let Some(window) = self.windows.take(cx, node, fact) {
            self.due.watch(window, |place| self.windows.resolved_by(window, place));
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    /// Window 1 becomes ready at 1 s: slot 4 is due 0.75 s + 0.8 s + 0.4 s later.
    fn ready() -> World {
        World::watched_by("O42", &[1; 5]).at(1_000).ready(0, 4, block(3, A)).timers(0, 4, 0)
    }

    #[test]
    fn neither_skipped_nor_certified() {
        assert_eq!(ready().at(2_940).tick(0).found(), NOTHING);
        let found = ready().at(3_100).tick(0).found();
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = "O42: slot 4 is neither skipped nor certified at [n0, n1, n2, n3, n4], 1.95";
        assert!(found[0].starts_with(expected), "{found:?}");
    }

    #[test]
    fn one_node_is_left_behind() {
        let all = [0, 1, 2, 3, 4];
        let world = ready().at(2_000).certified(0, 4, SK, &all).certified(1, 4, NO(A), &all);
        let world = world.certified(2, 4, NF(A), &all).finalized(3, block(4, A), Slow);
        let found = world.at(3_100).tick(0).found();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("certified at [n4]"), "{found:?}");
    }

    #[test]
    fn not_owed() {
        let short = World::watched_by("O42", &[1; 5]).at(100).crash(0).crash(1).crash(2);
        let short = short.at(1_000).ready(3, 4, block(3, A));
        assert_eq!(short.at(9_000).tick(3).found(), NOTHING, "40 % owe nothing");
        let early = World::owing("O42", &[1; 4], &cut("[0, 1]", "drop"));
        let early = early.at(1_500).ready(0, 4, block(3, A));
        assert_eq!(early.at(9_000).tick(0).found(), NOTHING, "ready before the heal");
        let tainted = World::owing("O42", &[1; 4], &cut("[0, 1]", "drop")).at(1_900);
        let tainted = tainted.timers(1, 4, 0).at(2_100).ready(0, 4, block(3, A));
        assert_eq!(tainted.at(9_000).tick(0).found(), NOTHING, "timers from before the heal");
    }

    /// Window 1 becomes ready after the heal at 2 s, on a block that node 0 saw certified before. If
    /// that certificate may be lost, the others cannot act before the standstill.
    #[test]
    fn what_was_certified_before_the_heal_may_be_lost() {
        let found = |style: &str, certified_at: u64| {
            let world = World::owing("O42", &[1; 5], &cut("[0, 1]", style)).at(certified_at);
            let world = world.certified(0, 3, NO(A), &[0, 1, 2]).at(2_300);
            let world = world.ready(0, 4, block(3, A)).timers(0, 4, 0);
            world.at(9_000).tick(0).found().len()
        };
        assert_eq!((found("drop", 1_500), found("drop", 2_100)), (0, 4));
        assert_eq!(found("jam", 1_500), 4, "it was only late");
    }
}
