//! O50: nobody stands still while all goes well, and timeouts are as long as they must be (10.1,
//! 10.2).
//!
//! > no standstill firing during good windows; m returns to 1 after the first finalization
//!
//! A good window finalizes its first slot within 5Δ + Δ_block (O45), and the standstill rule needs
//! Δ_standstill of silence after that, on the fastest clock. A node that fires in between has not
//! seen finality, or does not start its clock again. The growth of a timeout is counted here from
//! the node's own standstills and finalizations: exact at every setting of timers.

use super::windows::Windows;
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{NodeId, Slot, Window};

/// The oracle.
#[derive(Debug)]
pub struct Quiet {
    windows: Windows,
    /// The slot at which finality rested when the node last fired, until it moves on.
    stalled: Vec<Option<Slot>>,
}

impl Quiet {
    /// For one run.
    pub fn new(scene: &Scene) -> Quiet {
        Quiet { windows: Windows::new(scene), stalled: vec![None; scene.stakes.len()] }
    }

    /// The good window that should have kept the node from firing now, if there is one.
    fn broken_by(&self, cx: &Context<'_>, node: NodeId) -> Option<Window> {
        let b = &self.windows.bounds;
        let finalizes = 5 * b.delta + b.drifted(b.block) + b.slack;
        let recent = self.windows.facts.iter().rev().filter(|(_, facts)| {
            facts.ready_ns.is_some_and(|ready| {
                cx.at_ns > ready + finalizes && cx.at_ns < ready + b.standstill()
            })
        });
        let good = |window: &Window| {
            let scope = self.windows.scope(cx, *window);
            scope.contains(&node)
                && cx.scene.at_least(cx.scene.stake_of(scope.iter().copied()), 3)
                && self.windows.is_good(*window, &scope)
        };
        recent.map(|(window, _)| *window).find(good)
    }
}

impl Oracle for Quiet {
    fn id(&self) -> &'static str {
        "O50"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        self.windows.take(cx, node, fact);
        match fact {
            Fact::Started(_) => self.stalled[node.index()] = None,
            Fact::Event(Event::Standstill { highest, .. }) => {
                self.stalled[node.index()] = Some(*highest);
                if let Some(window) = self.broken_by(cx, node) {
                    let detail = format!(
                        "n{node} stands still at slot {highest} although the window of slot {} is \
                         good",
                        window.first()
                    );
                    out.report(cx, "O50", Some(*highest), &[node], detail);
                }
            }
            Fact::Event(Event::Finalized(block, mode)) if *mode != Mode::Indirect => {
                let stalled = &mut self.stalled[node.index()];
                *stalled = stalled.filter(|slot| block.slot <= *slot);
                self.windows.forget_delivered(cx);
            }
            Fact::Event(Event::TimersSet(first, growth)) => {
                out.probe("judged-O50");
                let windows = |slot: Slot| first.window().0.saturating_sub(slot.window().0);
                let expected = self.stalled[node.index()].map_or(0, windows);
                if *growth != expected {
                    let detail = format!(
                        "n{node} lets the timeout of slot {first} grow by {growth} windows, not by \
                         {expected}"
                    );
                    out.report(cx, "O50", Some(*first), &[node], detail);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    const ALL: [u16; 5] = [0, 1, 2, 3, 4];

    /// Window 1 becomes ready at 1 s.
    fn good() -> World {
        World::watched_by("O50", &[1; 5]).at(1_000).ready(0, 4, block(3, A))
    }

    #[test]
    fn it_fires_in_a_good_window() {
        let found = ["O50: n2 stands still at slot 3 although the window of slot 4 is good"];
        assert_eq!(good().at(3_000).standstill(2, 3).found(), found);
        assert_eq!(good().at(10_900).standstill(2, 3).found(), found);
    }

    #[test]
    fn it_fires_when_it_may() {
        assert_eq!(good().at(2_000).standstill(2, 3).found(), NOTHING, "nothing is final yet");
        assert_eq!(good().at(11_500).standstill(2, 3).found(), NOTHING, "silence after it");
        let restarted = good().crash(2).start(2);
        assert_eq!(restarted.at(3_000).standstill(2, 3).found(), NOTHING);
        let silent = ALL.map(|leader| {
            let by = (leader + 1) % 5;
            let world = World::watched_by("O50", &[1; 5]).crash(leader).at(1_000);
            world.ready(by, 4, block(3, A)).at(3_000).standstill(by, 3).found().len()
        });
        assert_eq!(
            silent.iter().sum::<usize>(),
            4,
            "only the leader's absence excuses: {silent:?}"
        );
    }

    #[test]
    fn timeouts_grow_without_need_or_do_not_shrink() {
        let grown = |world: World, growth| world.timers(0, 12, growth).found();
        let found = ["O50: n0 lets the timeout of slot 12 grow by 2 windows, not by 0"];
        let calm = || World::watched_by("O50", &[1; 5]);
        assert_eq!(grown(calm(), 2), found);
        assert_eq!(grown(calm(), 0), NOTHING);
        let stalled = || calm().finalized(0, block(5, A), Slow).at(15_000).standstill(0, 5);
        assert_eq!(grown(stalled(), 2), NOTHING);
        let short = ["O50: n0 lets the timeout of slot 12 grow by 0 windows, not by 2"];
        assert_eq!(grown(stalled(), 0), short);
        assert_eq!(grown(stalled().finalized(0, block(6, A), Slow), 2), found, "m is back to 1");
        let old = stalled().finalized(0, block(5, A), Fast).finalized(0, block(4, A), Indirect);
        assert_eq!(grown(old, 2), NOTHING, "no progress");
        assert_eq!(grown(stalled().crash(0).start(0), 0), NOTHING, "a new incarnation");
    }
}
