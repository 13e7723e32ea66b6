//! O40: a window that is ready at one correct node is ready at all of them Δ later, with timers
//! (Lemma 42).
//!
//! > all correct nodes have ParentReady of W and timers by t_W + Δ, or highestFinal has passed W
//!
//! Rests on every certificate being passed on. Claimed for nodes in scope, if they hold at least
//! 60 % of the stake, in windows that became ready when nothing that was lost before the heal could
//! be missing any more (G1 of 13.4).

use super::windows::Windows;
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId, Window};
use std::collections::BTreeSet;

/// The oracle.
#[derive(Debug)]
pub struct Spread {
    windows: Windows,
    due: BTreeSet<(u64, Window)>,
    /// Windows for which the present incarnation of a node has set timers.
    timers: Vec<BTreeSet<Window>>,
}

impl Spread {
    /// For one run.
    pub fn new(scene: &Scene) -> Spread {
        let timers = vec![BTreeSet::new(); scene.stakes.len()];
        Spread { windows: Windows::new(scene), due: BTreeSet::new(), timers }
    }

    fn judge(&mut self, cx: &Context<'_>, window: Window, out: &mut Findings) {
        let scope = self.windows.scope(cx, window);
        let enough = cx.scene.at_least(cx.scene.stake_of(scope.iter().copied()), 3);
        if !enough || !self.windows.is_shared(window) {
            return;
        }
        out.probe("judged-O40");
        let late = |node: &NodeId| {
            let me = cx.history.of(*node);
            let low = (window.first(), BlockId::default());
            let next = me.ready.range(low..).next();
            let ready = next.is_some_and(|((slot, _), _)| slot.window() == window);
            let timers = self.timers[node.index()].contains(&window);
            let passed = me.highest.is_some_and(|block| block.slot >= window.last());
            !(ready && timers || passed)
        };
        let late: Vec<NodeId> = scope.into_iter().filter(late).collect();
        if !late.is_empty() {
            let ready = self.windows.after_ready(window, 0) as f64 / 1e9;
            let detail = format!(
                "the window of slot {} is ready since {ready:.3} s, but not ready and timed at \
                 {late:?} delta later",
                window.first()
            );
            out.report(cx, "O40", Some(window.first()), &late, detail);
        }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        while let Some((due, window)) = self.due.first().copied().filter(|(at, _)| *at < cx.at_ns) {
            self.due.remove(&(due, window));
            self.judge(cx, window, out);
            self.windows.forget_delivered(cx);
            let from = Window(window.0.saturating_sub(64));
            self.timers.iter_mut().for_each(|windows| *windows = windows.split_off(&from));
        }
    }
}

impl Oracle for Spread {
    fn id(&self) -> &'static str {
        "O40"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        self.check(cx, out);
        match fact {
            Fact::Started(_) => self.timers[node.index()].clear(),
            Fact::Event(Event::TimersSet(slot, _)) => {
                self.timers[node.index()].insert(slot.window());
            }
            _ => {}
        }
        if let Some(window) = self.windows.take(cx, node, fact) {
            let b = &self.windows.bounds;
            self.due.insert((self.windows.after_ready(window, b.delta + b.slack), window));
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    /// Window 1 becomes ready at 1 s at node 0, and everything must have it at 1.25 s.
    fn ready(run: &str) -> World {
        World::owing("O40", &[1; 5], run).at(1_000).ready(0, 4, block(3, A)).timers(0, 4, 0)
    }

    fn all_but(world: World, late: u16) -> World {
        (1..5)
            .filter(|node| *node != late)
            .fold(world, |world, node| world.ready(node, 4, block(3, B)).timers(node, 4, 0))
    }

    #[test]
    fn one_node_does_not_hear_of_it() {
        let late = || all_but(ready(CALM), 3);
        assert_eq!(late().at(1_250).tick(0).found(), NOTHING, "not yet due");
        let found = late().at(1_300).tick(0).found();
        let expected = "O40: the window of slot 4 is ready since 1.000 s, but not ready and timed \
                        at [n3] delta later";
        assert_eq!(found, [expected]);
        assert_eq!(late().ready(3, 4, block(3, A)).at(1_300).tick(0).found(), [expected]);
        assert_eq!(late().timers(3, 4, 0).at(1_300).tick(0).found(), [expected]);
    }

    #[test]
    fn everybody_in_time_or_past_it() {
        let all = all_but(ready(CALM), 9);
        assert_eq!(all.at(5_000).tick(0).found(), NOTHING);
        let passed = all_but(ready(CALM), 3).finalized(3, block(7, A), Fast);
        assert_eq!(passed.at(5_000).tick(0).found(), NOTHING);
        let restarted = all_but(ready(CALM), 3).crash(3).start(3);
        assert_eq!(restarted.at(5_000).tick(0).found(), NOTHING, "not in scope");
        let few = all_but(ready(CALM).crash(1).crash(2).crash(4), 3);
        assert_eq!(few.at(5_000).tick(0).found(), NOTHING, "40 % owe nothing");
    }

    /// After a cut that lost messages, a node may miss an old certificate until the standstill.
    #[test]
    fn what_was_lost_is_waited_for() {
        let after = |style| {
            let world = World::owing("O40", &[1; 5], &cut("[0, 1]", style)).at(3_000);
            let world = world.ready(0, 4, block(3, A)).timers(0, 4, 0);
            let once = world.at(4_000).tick(0);
            let again = once.at(20_000).ready(0, 8, block(7, A)).timers(0, 8, 0);
            again.at(21_000).tick(0).found().len()
        };
        assert_eq!((after("drop"), after("jam")), (1, 2));
    }
}
