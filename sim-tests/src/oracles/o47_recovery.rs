//! O47: after a heal the cluster finalizes something new within a bound that follows from the
//! causes (13.4).
//!
//! > G + S + Δ + sum over j windows of D_any(m_i)·(1+drift) + 5Δ + Δ_block + slack    (4Δ under A1)
//!
//! By G1 = G + S + Δ all correct nodes share every certificate above the highest finalization and
//! every correct vote; S is the standstill if messages were lost, 0 if they were merely late. W* is
//! the highest window with a ParentReady at a correct node by then; its timers may be tainted, so
//! it and every later window up to the first good one may fail. j counts them from plan and
//! schedule. A j above 16 with everything healed is itself a failure.
//!
//! Between heals too every stall is explained by a named reason of the budget or is a failure. While
//! liveness is promised, the same bound holds from every finalization to the next one, with S = 0
//! after the heal: a cluster that recovers and then stalls is caught. Before the heal, or in a plan
//! without one, it holds within each phase of the plan from its start, for the nodes that the plan
//! leaves in touch, with S if the phases before could lose messages. Only if none of the next 16
//! windows has its leader and enough relays in touch, that explains a stall before the heal.

use super::bounds::Bounds;
use super::windows::Windows;
use super::{Context, Fact, Findings, Oracle, Scene};
use crate::plan::{Nanos, Recovery};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot, Window};

/// Windows that may fail in a row with everything healed (P < 1e-6, 13.4).
const MOST_WINDOWS: u64 = 16;

/// One heal that is watched.
#[derive(Debug)]
struct Watch {
    recovery: Recovery,
    /// Highest slot finalized anywhere before the heal.
    before: Slot,
    /// When it was finalized.
    last_ns: u64,
    begun: bool,
    /// Decided: recovered, or reported.
    over: bool,
    /// The bound, as far as it can be known yet.
    bound_ns: Option<u64>,
}

/// The oracle.
#[derive(Debug)]
pub struct RecoveryBound {
    bounds: Bounds,
    windows: Windows,
    watches: Vec<Watch>,
    highest: Slot,
    highest_ns: u64,
    highest_ready: Window,
    /// Where progress is owed without a pause at present.
    steady: Option<Steady>,
    stalled: bool,
    /// Stretches of time in which liveness is promised; empty if the plan expects none.
    promised: Vec<(u64, Option<u64>)>,
}

/// A stretch of time in which one finalization has to follow another.
#[derive(Clone, Copy, Debug)]
struct Steady {
    since_ns: u64,
    /// Messages of the time before may be lost.
    lost: bool,
    /// W*.
    base: Window,
}

impl RecoveryBound {
    /// For one run.
    pub fn new(scene: &Scene) -> RecoveryBound {
        let watch = |recovery: Recovery| Watch {
            recovery,
            before: Slot(0),
            last_ns: 0,
            begun: false,
            over: false,
            bound_ns: None,
        };
        let promised = scene.budget.promised().into_iter();
        let promised = promised.map(|(from, to)| (from.0, to.map(|to| to.0)));
        RecoveryBound {
            bounds: Bounds::of(scene),
            windows: Windows::new(scene),
            watches: scene.budget.recoveries(&scene.plan).into_iter().map(watch).collect(),
            highest: Slot(0),
            highest_ns: 0,
            highest_ready: Window(0),
            steady: None,
            stalled: false,
            promised: if scene.plan.expect.liveness { promised.collect() } else { Vec::new() },
        }
    }

    /// The bound after `heal_ns`, if W* is `base` (known only from G1 on).
    fn bound(
        &self,
        cx: &Context<'_>,
        heal_ns: u64,
        lost: bool,
        base: Window,
        stall: Stall,
    ) -> Option<u64> {
        let b = &self.bounds;
        let settled = self.windows.uptime.settled(heal_ns.max(1));
        let scope = self.windows.healthy(cx, settled);
        let schedule = &self.windows.schedule;
        let j = (1..=MOST_WINDOWS).find(|j| {
            let window = Window(base.0 + j);
            scope.contains(&schedule.leader(window))
                && window.slots().all(|slot| schedule.rotor_succeeds(slot, 2, &scope))
        })?;
        let resend = if lost { b.resend() } else { 0 };
        let windows: u64 = (0..j)
            .map(|i| {
                let growth = stall.growth(base.0 + i);
                let repair = if i == 0 && lost { b.repair() } else { b.repair_for_lies() };
                b.any_window(growth, repair)
            })
            .sum();
        let fast = cx.scene.at_least(cx.scene.stake_of(scope), 4);
        let rounds = if fast { 4 } else { 5 };
        let settling = settled - heal_ns;
        Some(
            settling + resend + b.delta + windows + rounds * b.delta + b.drifted(b.block) + b.slack,
        )
    }

    fn check_heals(&mut self, cx: &Context<'_>, out: &mut Findings) {
        for index in 0..self.watches.len() {
            let watch = &self.watches[index];
            let heal_ns = watch.recovery.at.0;
            if watch.over || !watch.begun || watch.recovery.unbounded.is_some() {
                continue;
            }
            let lost = watch.recovery.messages_lost;
            let stall = Stall::new(&self.bounds, watch.before, watch.last_ns, heal_ns, lost);
            let disturbed = watch.recovery.undisturbed_until.map(|at| at.0);
            let disturbed_now = disturbed.is_some_and(|at| at <= cx.at_ns);
            // Once the next fault has begun, who is in scope says nothing about this heal any more.
            let bound = match disturbed_now {
                true => watch.bound_ns,
                false => self.bound(cx, heal_ns, lost, self.highest_ready, stall),
            };
            let known_from =
                heal_ns + if lost { self.bounds.resend() } else { 0 } + self.bounds.delta;
            let watch = &mut self.watches[index];
            // W* can only grow until G1; after that it stands.
            if cx.at_ns <= known_from || watch.bound_ns.is_none() {
                watch.bound_ns = bound;
                out.bound(index, bound);
            }
            let Some(bound) = watch.bound_ns else {
                watch.over = true;
                if disturbed_now {
                    continue; // before anything could be said about it
                }
                let detail = format!(
                    "no good window within {MOST_WINDOWS} after {} although everything is healed",
                    watch.recovery.label
                );
                out.report(cx, "O47", None, &[], detail);
                continue;
            };
            if disturbed.is_some_and(|at| at < heal_ns + bound) {
                watch.over = true; // the bound reaches into the next fault: nothing is owed
                watch.bound_ns = None;
                out.bound(index, None);
            } else if cx.at_ns > heal_ns + bound {
                watch.over = true;
                let detail = format!(
                    "nothing above slot {} is finalized {:.3} s after {}, although {:.3} s is the \
                     bound",
                    watch.before,
                    (cx.at_ns - heal_ns) as f64 / 1e9,
                    watch.recovery.label,
                    bound as f64 / 1e9
                );
                out.report(cx, "O47", Some(watch.before.next()), &[], detail);
            }
        }
    }

    /// Where progress is owed now, with the moment from which to count. Cleared where the budget
    /// names a reason, or a heal with a bound of its own is watched.
    fn steady(&self, cx: &Context<'_>) -> Option<Steady> {
        let now = cx.at_ns;
        let recovering = |w: &Watch| w.begun && !w.over && w.recovery.unbounded.is_none();
        let within = |(from, to): &(u64, Option<u64>)| *from <= now && to.is_none_or(|to| now < to);
        let promised = self.promised.iter().find(|stretch| within(stretch))?;
        if self.stalled || self.watches.iter().any(recovering) {
            return None;
        }
        let healed = cx.scene.plan.run.heal_at.is_some_and(|at| at.0 <= now);
        let phase = cx.scene.budget.at(Nanos(now)).start;
        let start = if healed { promised.0 } else { phase.0 };
        // What begins with the phase takes part of what was under way with it.
        let begun = Nanos(phase.0 + 1);
        let lost = !healed && cx.scene.budget.messages_lost(&cx.scene.plan, begun);
        let known = self.steady.map_or(if healed { now } else { 0 }, |steady| steady.since_ns);
        let since_ns = start.max(known).max(self.highest_ns);
        let fixed = |steady: &Steady| steady.since_ns == since_ns && now > self.shared(steady);
        let base = if lost { self.highest_ready } else { self.highest.window() };
        let base = self.steady.filter(fixed).map_or(base, |steady| steady.base);
        Some(Steady { since_ns, lost, base })
    }

    /// W* can only grow until then.
    fn shared(&self, steady: &Steady) -> u64 {
        let resend = if steady.lost { self.bounds.resend() } else { 0 };
        steady.since_ns + resend + self.bounds.delta
    }

    fn check_steady(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.steady = self.steady(cx);
        let Some(Steady { since_ns: since, lost, base }) = self.steady else { return };
        // Cheap first: nothing can be owed before one window.
        if cx.at_ns - since < self.bounds.any_window(0, 0) {
            return;
        }
        let scope = self.windows.healthy(cx, since.max(1));
        if !cx.scene.at_least(cx.scene.stake_of(scope), 3) {
            return;
        }
        let stall = Stall::new(&self.bounds, self.highest, self.highest_ns, cx.at_ns, lost);
        let bound = self.bound(cx, since, lost, base, stall);
        let healed = self.windows.armed_ns.is_some_and(|armed| armed <= since);
        if bound.map_or(healed, |bound| cx.at_ns > since + bound) {
            self.stalled = true;
            let detail = format!(
                "nothing above slot {} is finalized for {:.3} s, and nothing explains it",
                self.highest,
                (cx.at_ns - since) as f64 / 1e9
            );
            out.report(cx, "O47", Some(self.highest.next()), &[], detail);
        }
    }
}

/// How long finality has rested: timeouts grow with it.
#[derive(Clone, Copy, Debug)]
struct Stall {
    from: Option<Window>,
}

impl Stall {
    /// Timeouts grow once the standstill rule has fired, which is possible if finality rests for
    /// its time between the last finalization and the time by which the heal must have worked.
    fn new(b: &Bounds, last: Slot, last_ns: u64, heal_ns: u64, lost: bool) -> Stall {
        let until = heal_ns + if lost { b.resend() } else { 0 } + b.delta;
        let fires = until.saturating_sub(last_ns) >= b.standstill();
        Stall { from: fires.then_some(last.window()) }
    }

    fn growth(&self, window: u64) -> u64 {
        self.from.map_or(0, |from| window.saturating_sub(from.0))
    }
}

impl Oracle for RecoveryBound {
    fn id(&self) -> &'static str {
        "O47"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        for watch in self.watches.iter_mut().filter(|w| !w.begun && w.recovery.at.0 <= cx.at_ns) {
            (watch.begun, watch.before, watch.last_ns) = (true, self.highest, self.highest_ns);
        }
        self.windows.take(cx, node, fact);
        match fact {
            Fact::Event(Event::ParentReady(slot, _)) => {
                self.highest_ready = self.highest_ready.max(slot.window());
                self.check_heals(cx, out);
            }
            Fact::Event(Event::Finalized(block, _)) if block.slot > self.highest => {
                (self.highest, self.highest_ns) = (block.slot, cx.at_ns);
                self.check_heals(cx, out);
                for watch in self.watches.iter_mut().filter(|w| w.begun) {
                    watch.over |= block.slot > watch.before;
                }
                self.windows.forget(Slot(block.slot.0.saturating_sub(64)));
            }
            // Nodes report their sizes every poll: often enough to notice that nothing happens.
            Fact::Event(Event::Sizes { .. }) => {
                self.check_heals(cx, out);
                self.check_steady(cx, out);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check_heals(cx, out);
        self.check_steady(cx, out);
    }

    fn undecided_until(&self) -> Option<u64> {
        let open = |w: &&Watch| !w.over && w.recovery.unbounded.is_none();
        let until = |w: &Watch| match w.bound_ns {
            Some(bound) => w.recovery.at.0 + bound + 1,
            None => w.recovery.at.0 + 1,
        };
        self.watches.iter().filter(open).map(until).max()
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn healed(style: &str) -> World {
        World::owing("O47", &[1; 4], &cut("[0, 1]", style)).at(2_000).tick(0)
    }

    #[test]
    fn nothing_new_after_the_heal() {
        let found = healed("drop").at(60_000).tick(0).found();
        assert!(!found.is_empty());
        assert!(
            found.iter().all(|line| line.starts_with("O47: nothing above slot 0 is finalized"))
        );
        assert!(found.iter().any(|line| line.contains("58.000 s after heal")), "{found:?}");
    }

    /// What was late comes at the heal, what was lost only after a standstill: 10 s between the
    /// two bounds.
    #[test]
    fn the_bound_follows_from_the_causes() {
        let last_silent_second = |style| {
            let silent = |at: &u64| healed(style).at(*at).tick(0).found().is_empty();
            (3_000..60_000).step_by(100).take_while(silent).last().expect("it is owed something")
        };
        let (jam, drop) = (last_silent_second("jam"), last_silent_second("drop"));
        assert!((10_000..16_000).contains(&(drop - jam)), "{jam} {drop}");
    }

    #[test]
    fn recovered_and_stalled_again() {
        let recovered = || healed("drop").at(5_000).finalized(0, block(4, A), Slow).tick(0);
        assert_eq!(recovered().at(7_000).tick(0).found(), NOTHING);
        let found = recovered().at(40_000).tick(0).found();
        let expected =
            "O47: nothing above slot 4 is finalized for 35.000 s, and nothing explains it";
        assert_eq!(found, [expected]);
        let steady = (6..60).fold(recovered(), |world, second| {
            world.at(second * 1_000).finalized(0, block(second, A), Slow).tick(0)
        });
        assert_eq!(steady.found(), NOTHING);
    }

    /// What the disks were asked before they healed takes two more slow syncs; nobody is to blame.
    #[test]
    fn a_slow_disk_settles_after_the_heal() {
        let run = "[run]\nduration = \"10s\"\nheal_at = \"2s\"\n[[fault]]\nkind = \"disk-slow\"\n\
                   at = \"1s\"\nfor = \"900ms\"\nsync = \"800ms\"\nnodes = \"all\"\n";
        let world = || World::owing("O47", &[1; 4], run).at(2_000).tick(0).at(2_100).tick(0);
        assert_eq!(world().finalized(0, block(4, A), Slow).found(), NOTHING);
        assert!(!world().at(60_000).tick(0).found().is_empty(), "the bound is there all the same");
    }

    /// A fault begins between a heal and the first look at it: who it takes out of scope is no
    /// reason to say that no window could be good.
    #[test]
    fn the_next_fault_is_not_held_against_the_heal() {
        let fault = |kind: &str, at: &str, time: &str| {
            format!("[[fault]]\nkind = {kind:?}\nat = {at:?}\nfor = {time:?}\nnodes = \"all\"\n")
        };
        let loss = |at, time| fault("loss", at, time) + "share = \"50%\"\n";
        let run = "[run]\nduration = \"90s\"\nheal_at = \"60s\"\n".to_owned();
        let run = run + &loss("100ms", "900ms") + &loss("1200ms", "50s");
        let world = || World::owing("O47", &[1; 4], &run).at(500).tick(0);
        assert_eq!(world().at(1_300).tick(0).found(), NOTHING, "seen too late");
        assert_eq!(world().at(1_100).tick(0).at(1_300).tick(0).found(), NOTHING, "seen in time");
        assert!(!world().at(90_000).tick(0).found().is_empty(), "the last heal owes a recovery");
    }

    /// Indirect or repeated finalization of old blocks is no progress.
    #[test]
    fn an_old_block_is_no_recovery() {
        let world = World::owing("O47", &[1; 4], &cut("[0, 1]", "drop"));
        let world = world.at(500).finalized(0, block(2, A), Slow).at(2_000).tick(0);
        let found = world.at(3_000).finalized(1, block(2, A), Slow).at(60_000).tick(0).found();
        assert!(found.iter().any(|line| line.contains("nothing above slot 2")), "{found:?}");
    }

    #[test]
    fn below_sixty_percent_nothing_is_owed() {
        let run = "[run]\nduration = \"10s\"\nheal_at = \"2s\"\n[expect]\nliveness = false\n\
                   [[fault]]\nkind = \"crash\"\nat = \"100ms\"\nnodes = [0, 1, 2]\n\
                   permanent = true\n";
        let dark = World::owing("O47", &[1; 5], run).at(100).crash(0).crash(1).crash(2);
        assert_eq!(dark.at(60_000).tick(3).found(), NOTHING);
    }

    /// Nothing is finalized from 1 s on. The first second in which that is reported.
    fn reported(run: &str) -> Option<u64> {
        let world = || World::owing("O47", &[1; 5], run).at(1_000).finalized(0, block(2, A), Slow);
        let silent = |at: &u64| !world().tick(1).at(at * 1_000).tick(0).found().is_empty();
        (2..80).find(silent)
    }

    fn for_ever(more: &str) -> String {
        format!("[run]\nduration = \"90s\"\n[expect]\nprogress = \"1%\"\n{more}")
    }

    fn cut_from_5(nodes: &str, more: &str) -> String {
        let fault = "[[fault]]\nkind = \"partition\"\nat = \"5s\"\n";
        for_ever(&format!("{fault}side = {{ nodes = {nodes} }}\n{more}"))
    }

    /// A plan without a heal promises what its faults leave; its stalls have a named reason or none.
    #[test]
    fn without_a_heal() {
        let calm = reported(&for_ever("")).expect("nothing explains it");
        assert!((5..15).contains(&calm), "{calm}");
        let minority = reported(&cut_from_5("[0]", "")).expect("80 % are in touch");
        assert!(
            (20..35).contains(&minority),
            "counted from the cut, with a standstill: {minority}"
        );
        let second = "[[fault]]\nkind = \"partition\"\nat = \"5s\"\nfor = \"80s\"\n\
                      side = { nodes = [2] }\n";
        let shattered = cut_from_5("[0, 1]", &format!("for = \"80s\"\n{second}"));
        assert_eq!(reported(&shattered), None, "40 % are in touch");
        assert_eq!(reported(&for_ever("[network]\nloss = \"0.1%\"\n")), None, "it may be lost");
        assert_eq!(reported(&for_ever("[network]\nmtu = \"1000B\"\n")), None, "shreds are lost");
    }

    /// Before the heal too; the heal itself has a bound of its own.
    #[test]
    fn before_the_heal() {
        let run = |nodes: &str| {
            let fault = "[[fault]]\nkind = \"partition\"\nat = \"5s\"\n";
            format!(
                "[run]\nduration = \"90s\"\nheal_at = \"60s\"\n{fault}side = {{ nodes = {nodes} }}\n"
            )
        };
        let minority = reported(&run("[0]")).expect("80 % are in touch");
        assert!((20..35).contains(&minority), "{minority}");
        let few =
            run("[0, 1, 2]").replace("partition", "pause").replace("side = { nodes =", "nodes =");
        let paused = reported(&few.replace("] }", "]")).expect("only the pause explains it");
        assert!(paused > 60, "{paused}");
    }

    /// A fault that ends before the heal, without a bound of its own, does not switch this off.
    #[test]
    fn an_unbounded_recovery_is_no_excuse() {
        let jump = "[[fault]]\nkind = \"duplication\"\nat = \"0s\"\nnodes = [0]\nshare = \"1%\"\n\
                    [[fault]]\nkind = \"crash\"\nat = \"2s\"\nfor = \"1s\"\nnodes = [4]\n";
        let found = reported(&for_ever(jump)).expect("nothing explains it");
        assert!((15..35).contains(&found), "{found}");
    }
}
