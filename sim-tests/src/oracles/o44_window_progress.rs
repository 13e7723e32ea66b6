//! O44: from one window to the next in bounded time, whoever leads.
//!
//! > t_{W+1} - t_W: correct leader with Rotor success <= 4Δ + wΔ_block; silent leader <= 2Δ +
//! > mΔ_timeout + Δ_first; any leader <= D_any
//!
//! Good is a matter of causes, as for O45. Silent is a correct leader that is down and has handed
//! nothing of the window to the network: then the early timer (7.3) ends the whole window. Claimed
//! if nodes with at least 60 % of the stake are in scope, in windows that became ready when nothing
//! that was lost before the heal could be missing any more (G1 of 13.4). R is charged only where
//! liars may make it necessary.

use super::windows::{Windows, places};
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::types::{NodeId, Slot, Window};
use std::collections::BTreeSet;

/// Why a window must be over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Claim {
    Silent,
    Good,
    Any,
}

/// The oracle.
#[derive(Debug)]
pub struct WindowProgress {
    windows: Windows,
    due: BTreeSet<(u64, Window, Claim)>,
    /// The highest window that is ready at a correct node, or begins after its finality.
    reached: Window,
    early_ns: u64,
}

impl WindowProgress {
    /// For one run.
    pub fn new(scene: &Scene) -> WindowProgress {
        let (windows, early_ns) = (Windows::new(scene), scene.params.delta_first_ns);
        WindowProgress { windows, due: BTreeSet::new(), reached: Window(0), early_ns }
    }

    fn deadline(&self, window: Window, claim: Claim) -> u64 {
        let b = &self.windows.bounds;
        let slots = places(window).count() as u64;
        let timeout = b.timeout(self.windows.growth(window));
        let after = match claim {
            Claim::Silent => 2 * b.delta + b.drifted(timeout + self.early_ns),
            Claim::Good => 4 * b.delta + b.drifted(slots * b.block),
            Claim::Any => b.any_window(self.windows.growth(window), b.repair_for_lies()),
        };
        self.windows.after_ready(window, after + b.slack)
    }

    fn holds(&self, cx: &Context<'_>, window: Window, claim: Claim) -> bool {
        let scope = self.windows.scope(cx, window);
        let stake = cx.scene.stake_of(scope.iter().copied());
        if !cx.scene.at_least(stake, 3) || !self.windows.is_shared(window) {
            return false;
        }
        let leader = self.windows.schedule.leader(window);
        match claim {
            Claim::Any => true,
            Claim::Good => self.windows.is_good(window, &scope),
            Claim::Silent => {
                let facts = &self.windows.facts[&window];
                let down = !cx.history.of(leader).up && cx.scene.correct[leader.index()];
                down && facts.slices.is_empty()
            }
        }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        while let Some(entry) = self.due.first().copied().filter(|(due, ..)| *due < cx.at_ns) {
            self.due.remove(&entry);
            let (_, window, claim) = entry;
            // A node may have used a longer timeout than was known when this was noted.
            let deadline = self.deadline(window, claim);
            if deadline >= cx.at_ns {
                self.due.insert((deadline, window, claim));
                continue;
            }
            if !self.windows.facts.contains_key(&window) || !self.holds(cx, window, claim) {
                continue;
            }
            out.probe("judged-O44");
            if self.reached <= window {
                let ready = self.windows.after_ready(window, 0);
                let leader = match claim {
                    Claim::Silent => "a silent",
                    Claim::Good => "a good",
                    Claim::Any => "any",
                };
                let detail = format!(
                    "no window after that of slot {} is ready {:.3} s after it, and {leader} \
                     leader takes {:.3} s",
                    window.first(),
                    (cx.at_ns - ready) as f64 / 1e9,
                    (deadline - ready) as f64 / 1e9
                );
                out.report(cx, "O44", Some(window.next().first()), &[], detail);
            }
        }
        self.windows.forget_delivered(cx);
    }
}

impl Oracle for WindowProgress {
    fn id(&self) -> &'static str {
        "O44"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if self.due.first().is_some_and(|(due, ..)| *due < cx.at_ns) {
            self.check(cx, out);
        }
        let highest = cx.history.of(node).highest.map_or(Slot::GENESIS, |block| block.slot);
        self.reached = self.reached.max(highest.next().window());
        if let Some(window) = self.windows.take(cx, node, fact) {
            self.reached = self.reached.max(window);
            for claim in [Claim::Silent, Claim::Good, Claim::Any] {
                self.due.insert((self.deadline(window, claim), window, claim));
            }
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::schedule::Schedule;
    use crate::oracles::testing::*;
    use alpenglow_node::protocol::types::Window;

    /// Window 1 becomes ready at 1 s at a node that does not lead it.
    fn ready(down: impl Fn(u16) -> Option<u16>, run: &str) -> World {
        let world = World::owing("O44", &[1; 5], run);
        let leader = Schedule::new(&world.scene).leader(Window(1)).0;
        let world = match down(leader) {
            Some(node) => world.crash(node),
            None => world,
        };
        world.at(1_000).ready((leader + 2) % 5, 4, block(3, A))
    }

    /// The claims that are broken one after the other, with the second in which they are.
    fn broken(world: impl Fn() -> World) -> Vec<(u64, String)> {
        let mut broken = Vec::new();
        for at in (1_050..9_000).step_by(50) {
            for line in world().at(at).tick(0).found().split_off(broken.len()) {
                let claim = line.split(", and ").nth(1).expect("a reason").to_owned();
                broken.push((at, claim));
            }
        }
        broken
    }

    #[test]
    fn each_leader_has_its_time() {
        let good = broken(|| ready(|_| None, CALM));
        let expected =
            [(3_650, "a good leader takes 2.602 s"), (4_200, "any leader takes 3.150 s")];
        let close = |found: &[(u64, String)], expected: &[(u64, &str)]| {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for ((at, claim), (when, what)) in found.iter().zip(expected) {
                assert!(at.abs_diff(*when) <= 100, "{found:?}");
                assert_eq!(claim.split(" takes").next(), what.split(" takes").next(), "{found:?}");
            }
        };
        close(&good, &expected);
        let silent = broken(|| ready(Some, CALM));
        close(&silent, &[(2_350, "a silent leader"), (4_200, "any leader")]);
        let other = broken(|| ready(|leader| Some((leader + 1) % 5), CALM));
        close(&other, &expected);
    }

    #[test]
    fn the_next_window_or_finality_beyond() {
        let on = ready(|_| None, CALM).at(2_000).ready(0, 8, block(7, A));
        assert_eq!(on.at(4_500).tick(0).found(), NOTHING);
        let jumped = ready(|_| None, CALM).at(2_000).finalized(0, block(9, A), Fast);
        assert_eq!(jumped.at(9_000).tick(0).found(), NOTHING);
        let inside = ready(|_| None, CALM).at(2_000).finalized(0, block(6, A), Fast);
        assert_eq!(inside.at(9_000).tick(0).found().len(), 2, "the window is not over");
    }

    #[test]
    fn a_longer_timeout_is_granted_and_old_losses_excuse() {
        let grown = ready(|_| None, CALM).timers(0, 4, 20);
        let found = grown.at(4_500).tick(0).found();
        assert_eq!(found.len(), 1, "only a good leader needs no timer: {found:?}");
        let lossy = ready(|_| None, &cut("[0, 1]", "drop"));
        assert_eq!(lossy.at(9_000).tick(0).found(), NOTHING, "it was ready before the heal");
    }
}
