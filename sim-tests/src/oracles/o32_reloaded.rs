//! O32: an incarnation remembers exactly what its log holds.
//!
//! Three places must agree above the delivered tip: the log on the disk, what the node says it has
//! reloaded, and its Pool, in which the own votes must be counted again. The flags that forbid a
//! second vote cannot be seen; but a node that has them never casts a vote again that the log holds.
//! If the log is lost with the disk, nobody knows what it forbids, and the identity never votes again.
//! Without such a reason, and with a disk that takes its votes, a node must not stop voting either:
//! all oracles of liveness leave out who only observes.
//!
//! Starting is one moment of world time, in which events come in any order; the Pool is judged by
//! the first fact of a later moment. Votes far below the highest final slot need not be stored.

use super::{Context, Fact, Findings, Oracle, Scene};
use crate::plan::Nanos;
use alpenglow_node::protocol::event::{Event, Standing};
use alpenglow_node::protocol::params::HELD_BELOW_FINAL_SLOTS;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::Vote;
use std::collections::BTreeSet;

/// What is known of one identity's log.
#[derive(Clone, Debug, Default)]
struct Log {
    /// It was lost: the identity must not vote any more, nor send what it voted.
    lost: bool,
    /// On the disk, at the last crash.
    disk: BTreeSet<Vote>,
    /// The part above the tip with which the present incarnation started.
    reloaded: BTreeSet<Vote>,
    /// Votes that must be in the Pool, and the moment in which they get there.
    expected: Option<(u64, Vec<Vote>)>,
}

/// The oracle.
#[derive(Debug)]
pub struct Reloaded {
    logs: Vec<Log>,
}

impl Reloaded {
    /// For one run.
    pub fn new(scene: &Scene) -> Reloaded {
        Reloaded { logs: vec![Log::default(); scene.stakes.len()] }
    }

    /// Judges the Pool of a node that has started.
    fn judge_pool(&mut self, cx: &Context<'_>, node: NodeId, out: &mut Findings) {
        let Some((_, expected)) = self.logs[node.index()].expected.take() else { return };
        for vote in expected {
            let stored = cx.history.of(node).votes.get(&vote.slot);
            if !stored.is_some_and(|votes| votes.contains(&(node, vote.kind))) {
                let detail = format!("{vote:?} is in the log of n{node}, but not in its Pool");
                out.report(cx, "O32", Some(vote.slot), &[node], detail);
            }
        }
    }
}

/// True if the plan has made the disk of this incarnation of the node refuse to write.
fn disk_failed(cx: &Context<'_>, node: NodeId) -> bool {
    let started = Nanos(cx.history.of(node).started_ns);
    cx.scene.plan.disk_has_failed(node.0, started, Nanos(cx.at_ns))
}

impl Oracle for Reloaded {
    fn id(&self) -> &'static str {
        "O32"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let expected = &self.logs[node.index()].expected;
        if expected.as_ref().is_some_and(|(started, _)| cx.at_ns > *started) {
            self.judge_pool(cx, node, out);
        } else if matches!(fact, Fact::Crashed) {
            // The power failed while it started.
            self.logs[node.index()].expected = None;
        }
        let log = &mut self.logs[node.index()];
        match fact {
            Fact::LogLost(_) => *log = Log { lost: true, ..Log::default() },
            Fact::Event(Event::Reloaded { .. }) if log.lost => {}
            Fact::Event(Event::VoteCast(vote)) if log.lost => {
                let detail = format!("n{node} cast {vote:?} although its log is lost");
                out.report(cx, "O32", Some(vote.slot), &[node], detail);
            }
            Fact::Event(Event::Standing(Standing::Observing))
                if !log.lost && !disk_failed(cx, node) =>
            {
                let detail = format!("n{node} stops voting, and its log and its disk are whole");
                out.report(cx, "O32", None, &[node], detail);
            }
            Fact::Image(votes, _) => log.disk = votes.iter().copied().collect(),
            Fact::Event(Event::Reloaded { votes, tip, highest }) => {
                let above = |vote: &&Vote| vote.slot > tip.slot;
                let disk: BTreeSet<Vote> = log.disk.iter().filter(above).copied().collect();
                let said: BTreeSet<Vote> = votes.iter().filter(above).copied().collect();
                for vote in disk.symmetric_difference(&said) {
                    let detail = match disk.contains(vote) {
                        true => format!("n{node} did not reload {vote:?}, which its log holds"),
                        false => format!("n{node} reloaded {vote:?}, which its log does not hold"),
                    };
                    out.report(cx, "O32", Some(vote.slot), &[node], detail);
                }
                let near = |vote: &&Vote| vote.slot.plus(HELD_BELOW_FINAL_SLOTS) >= highest.slot;
                log.expected = Some((cx.at_ns, said.iter().filter(near).copied().collect()));
                log.reloaded = said;
            }
            Fact::Event(Event::VoteCast(vote)) if log.reloaded.contains(vote) => {
                let detail = format!("n{node} cast {vote:?} again, which it had reloaded");
                out.report(cx, "O32", Some(vote.slot), &[node], detail);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        for node in (0..self.logs.len()).map(|node| NodeId(node as u16)) {
            self.judge_pool(cx, node, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    /// Node 0 crashed with two votes in its log.
    fn crashed() -> World {
        World::watched_by("O32", &[1; 5]).cast(0, 4, Skip).cast(0, 5, Notar(A)).crash(0)
    }

    const LOG: [Vote; 2] =
        [Vote { slot: Slot(4), kind: Skip }, Vote { slot: Slot(5), kind: Notar(A) }];

    #[test]
    fn forgotten_or_invented() {
        let less = crashed().start_from(0, &LOG[..1], genesis(), genesis());
        let found = ["O32: n0 did not reload N(5:aaaaaaaa), which its log holds"];
        assert_eq!(less.found(), found);
        let more = [LOG[0], LOG[1], vote(6, Skip)];
        let more = crashed().start_from(0, &more, genesis(), genesis());
        assert_eq!(more.found(), ["O32: n0 reloaded S(6), which its log does not hold"]);
        let first = World::watched_by("O32", &[1; 5]).crash(0);
        let first = first.start_from(0, &LOG[..1], genesis(), genesis());
        assert_eq!(first.found(), ["O32: n0 reloaded S(4), which its log does not hold"]);
    }

    #[test]
    fn not_in_the_pool() {
        let found = ["O32: N(5:aaaaaaaa) is in the log of n0, but not in its Pool"];
        let reloaded =
            || crashed().restarted(0, &LOG, genesis(), genesis()).heard(0, &[0], 4, Skip);
        assert_eq!(reloaded().found(), found, "at the end of the run");
        let late = reloaded().later().heard(0, &[1], 9, Skip).heard(0, &[0], 5, Notar(A));
        assert_eq!(late.found(), found, "too late");
        assert_eq!(reloaded().later().crash(0).found(), found, "at a crash");
        assert_eq!(reloaded().crash(0).found(), NOTHING, "while it starts");
    }

    #[test]
    fn cast_again() {
        let world = crashed().start(0).cast(0, 5, Notar(A));
        assert_eq!(world.found(), ["O32: n0 cast N(5:aaaaaaaa) again, which it had reloaded"]);
    }

    #[test]
    fn voting_without_a_log() {
        let world = crashed().log_lost(0, &[]).start_from(0, &LOG[..1], genesis(), genesis());
        assert_eq!(world.found(), NOTHING, "what is left of it may be looked at");
        let world = crashed().log_lost(0, &[]).start(0).cast(0, 9, Skip);
        assert_eq!(world.found(), ["O32: n0 cast S(9) although its log is lost"]);
        let world = crashed().log_lost(0, &[]).start(0).crash(0).start(0).cast(0, 9, Skip);
        assert_eq!(world.found(), ["O32: n0 cast S(9) although its log is lost"], "for good");
    }

    #[test]
    fn observing_without_a_reason() {
        use crate::oracles::testing::Event;
        use alpenglow_node::protocol::event::Standing;
        let stops = |world: World| world.event(0, Event::Standing(Standing::Observing)).found();
        let found = ["O32: n0 stops voting, and its log and its disk are whole"];
        assert_eq!(stops(crashed().start(0)), found);
        assert_eq!(stops(crashed().log_lost(0, &[]).start(0)), NOTHING);
        let failing = |moment| {
            let run = "[run]\nduration = \"10s\"\nheal_at = \"5s\"\n[[fault]]\nkind = \"disk-error\"\ncause = \"write\"\n\
                       at = \"1s\"\nfor = \"1s\"\nnodes = [0]\n";
            let world = World::owing("O32", &[1; 5], run).at(moment).start(0).at(moment + 300);
            stops(world).len()
        };
        assert_eq!([failing(500), failing(1_500), failing(2_500)], [1, 0, 1]);
    }

    #[test]
    fn everything_above_the_tip() {
        let world = crashed()
            .start(0)
            .cast(0, 6, Skip)
            .out(0, block(4, A), genesis())
            .crash(0)
            .start(0)
            .later()
            .cast(0, 7, Skip);
        assert_eq!(world.found(), NOTHING);
        // 65 slots below the highest final one nothing needs to be stored.
        let far = crashed().restarted(0, &LOG, genesis(), block(69, A)).heard(0, &[0], 5, Notar(A));
        assert_eq!(far.found(), NOTHING);
    }
}
