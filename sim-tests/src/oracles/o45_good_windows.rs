//! O45: in a good window nothing is skipped and every block is finalized everywhere, fast under A1
//! and slowly under A2 (Theorem 2).
//!
//! > no correct S, SF, NF in it; slot i final by t_W + 4Δ + (i-s+1)Δ_block under A1, + Δ under A2
//!
//! Good is a matter of causes: ready after the heal, no timer of it set before, its leader in
//! scope, and γ relays of each slice in scope. A1 holds if nodes in scope hold 80 % of the stake,
//! A2 if they hold 60 %.

use super::windows::{Due, Windows};
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;

/// The oracle.
#[derive(Debug)]
pub struct GoodWindows {
    windows: Windows,
    due: Due,
    /// Windows that were judged good.
    pub good: u64,
}

impl GoodWindows {
    /// For one run.
    pub fn new(scene: &Scene) -> GoodWindows {
        GoodWindows { windows: Windows::new(scene), due: Due::default(), good: 0 }
    }

    fn judge(&mut self, cx: &Context<'_>, slot: Slot, out: &mut Findings) {
        let (scene, window) = (cx.scene, slot.window());
        let scope = self.windows.scope(cx, window);
        let stake = scene.stake_of(scope.iter().copied());
        if !scene.at_least(stake, 3) || !self.windows.is_good(window, &scope) {
            return;
        }
        self.good += 1;
        out.probe("judged-O45");
        let bad = |kind: &VoteKind| {
            matches!(kind, VoteKind::Skip | VoteKind::SkipFallback | VoteKind::NotarFallback(_))
        };
        for &node in &scope {
            let cast = cx.history.of(node).cast_in.get(&slot);
            if let Some(kind) = cast.and_then(|kinds| kinds.iter().find(|kind| bad(kind))) {
                let detail = format!("n{node} cast {kind:?} in slot {slot} of a good window");
                out.report(cx, "O45", Some(slot), &[node], detail);
            }
        }
        let open = |node: &NodeId| {
            let me = cx.history.of(*node);
            !me.decided.contains_key(&slot) && me.highest.is_none_or(|b| b.slot < slot)
        };
        let left: Vec<NodeId> = scope.into_iter().filter(open).collect();
        if !left.is_empty() {
            let after = cx.at_ns - self.windows.after_ready(window, 0);
            let detail = format!(
                "slot {slot} of a good window is not final at {left:?}, {:.3} s after the window \
                 became ready",
                after as f64 / 1e9
            );
            out.report(cx, "O45", Some(slot), &left, detail);
        }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        while let Some(slot) = self.due.next(cx.at_ns, |slot| self.windows.final_by(cx, slot)) {
            self.judge(cx, slot, out);
        }
        self.windows.forget_delivered(cx);
    }
}

impl Oracle for GoodWindows {
    fn id(&self) -> &'static str {
        "O45"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if self.due.is_passed(cx.at_ns) {
            self.check(cx, out);
        }
        if let Some(window) = self.windows.take(cx, node, fact) {
            self.due.watch(window, |place| self.windows.finalized_by(window, place, true));
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    const ALL: [u16; 5] = [0, 1, 2, 3, 4];

    /// Window 1 becomes ready at 1 s: slot 4 is due 1 s + 0.4 s later.
    fn ready() -> World {
        World::watched_by("O45", &[1; 5]).at(1_000).ready(0, 4, block(3, A))
    }

    fn finalized(world: World, nodes: &[u16]) -> World {
        nodes.iter().fold(world, |world, node| world.finalized(*node, block(7, D), Fast))
    }

    #[test]
    fn everything_is_final() {
        assert_eq!(finalized(ready(), &ALL).at(9_000).tick(0).found(), NOTHING);
    }

    #[test]
    fn not_final_everywhere() {
        assert_eq!(ready().at(2_390).tick(0).found(), NOTHING, "not yet due");
        let found = finalized(ready(), &ALL[1..]).at(2_500).tick(0).found();
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = "O45: slot 4 of a good window is not final at [n0], 1.500 s after";
        assert!(found[0].starts_with(expected), "{found:?}");
    }

    #[test]
    fn a_vote_against_the_leader() {
        for kind in [Skip, SkipFallback, NotarFallback(B)] {
            let world = finalized(ready().cast(2, 5, kind), &ALL).at(9_000).tick(0);
            let found = [format!("O45: n2 cast {kind:?} in slot 5 of a good window")];
            assert_eq!(world.found(), found);
        }
    }

    /// Window 1 was skipped before the heal; long after it a late node goes through it again.
    #[test]
    fn history_is_not_judged_again() {
        let world = World::owing("O45", &[1; 4], &cut("[0, 1]", "drop")).crash(3).at(1_500);
        let world = world.ready(0, 4, block(3, A)).cast(0, 4, Skip);
        let world = [0, 1, 2].into_iter().fold(world, |world, node| {
            world.out(node, block(200, A), block(3, A)).finalized(node, block(200, A), Slow)
        });
        // Something falls due, so that the oracle tidies up.
        let world = world.ready(0, 204, block(203, A)).at(9_000).tick(0);
        let world = world.start(3).at(10_000).ready(3, 4, block(3, A)).at(19_000).tick(0);
        let about_the_past = |line: &String| line.contains("slot 4 ");
        assert!(!world.found().iter().any(about_the_past));
    }

    /// With every node that could lead crashed in turn, only the true leader's absence excuses.
    #[test]
    fn without_its_leader_nothing_is_owed() {
        let silent = |node| {
            let world = World::watched_by("O45", &[1; 5]).crash(node).at(1_000);
            let heard = (node + 1) % 5;
            world.ready(heard, 4, block(3, A)).at(9_000).tick(heard).found().len()
        };
        let reports: Vec<usize> = ALL.iter().map(|node| silent(*node)).collect();
        assert_eq!(reports.iter().filter(|n| **n == 0).count(), 1, "{reports:?}");
        assert_eq!(reports.iter().sum::<usize>(), 16, "four slots, four innocent leaders");
    }

    /// Node 4 is cut off for good, in a plan that never heals: the others owe it all among
    /// themselves.
    #[test]
    fn whoever_is_cut_off_owes_nothing() {
        let run = "[run]\nduration = \"10s\"\n[expect]\nprogress = \"1%\"\n[[fault]]\n\
                   kind = \"partition\"\nat = \"0s\"\nside = { nodes = [4] }\n";
        let world = || World::owing("O45", &[1; 5], run).at(1_000).ready(0, 4, block(3, A));
        assert_eq!(finalized(world(), &ALL[..4]).at(9_000).tick(0).found(), NOTHING);
        let found = finalized(world(), &ALL[..3]).at(9_000).tick(0).found();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains("is not final at [n3]"), "{found:?}");
    }
}
