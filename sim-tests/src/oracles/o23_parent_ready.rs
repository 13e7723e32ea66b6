//! O23: a node announces exactly the parents that are ready.
//!
//! An announced parent that is not ready would let a window fork off; that is judged at once. A ready
//! parent that is not announced leaves a window without timers; that is judged at the next moment at
//! which the node says anything, and when an incarnation ends, for the next windows above the highest final slot
//! (older ones need not begin any more) whose epoch is open. A parent below that slot is not owed: the
//! slot would have to be final and skipped, which only too many liars can bring about, and whoever
//! knows that it is final has forgotten what lies below. Both sides are counted again from the certificates and decisions of the incarnation.

use super::recount::{is_ready, ready};
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot, Window};
use std::collections::{BTreeMap, BTreeSet};

/// A node announces in the step in which it learns; what it says after this time is a later step.
const QUIET_NS: u64 = 100_000_000;

/// So many windows above the highest final slot are looked at.
const WINDOWS: usize = 16;

/// The oracle.
#[derive(Debug, Default)]
pub struct ParentReady {
    /// When each node last said something.
    last_ns: BTreeMap<NodeId, u64>,
    /// Nodes that have learned something that may make a window ready, and when they last did.
    learned: BTreeMap<NodeId, u64>,
    /// What is reported already.
    missing: BTreeSet<(NodeId, u32, Slot, BlockId)>,
}

/// Reports what is ready and was not announced. A node announces in the step in which it learns.
fn judge(
    cx: &Context<'_>,
    node: NodeId,
    known: &mut BTreeSet<(NodeId, u32, Slot, BlockId)>,
    out: &mut Findings,
) {
    let me = cx.history.of(node);
    // Before it reported what it reloaded, an incarnation has not looked at anything yet.
    let (Some(highest), Some(_)) = (me.highest, me.reloaded_ns) else { return };
    let certified = me.certificates.keys().next_back().map(|id| id.slot);
    let decided = me.decided.keys().next_back().copied();
    let last = certified.max(decided).max(Some(highest.slot)).unwrap_or_default().next();
    let epoch = |slot: Slot| slot.0 / cx.scene.params.epoch_slots;
    let windows = (highest.slot.window().0 + 1..=last.window().0).map(Window);
    let open = windows.map(Window::first).filter(|s| epoch(*s) <= epoch(highest.slot) + 1);
    for first in open.take(WINDOWS) {
        let owed = |parent: &BlockId| parent.slot >= highest.slot;
        for parent in ready(cx.scene, me, first).into_iter().filter(owed) {
            if !me.ready.contains_key(&(first, parent))
                && known.insert((node, me.incarnation, first, parent))
            {
                let detail = format!("n{node} never announced {parent}, ready for slot {first}");
                out.report(cx, "O23", Some(first), &[node], detail);
            }
        }
    }
}

impl Oracle for ParentReady {
    fn id(&self) -> &'static str {
        "O23"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            // It draws conclusions from this one next.
            Fact::Event(
                Event::Finalized(..) | Event::SkippedByFinality(_) | Event::CertificateAdded { .. },
            ) => {
                self.learned.insert(node, cx.at_ns);
            }
            Fact::Event(_) => {
                let quiet = |at_ns: &u64| at_ns + QUIET_NS < cx.at_ns;
                if self.learned.get(&node).is_some_and(quiet) {
                    self.learned.remove(&node);
                    judge(cx, node, &mut self.missing, out);
                }
            }
            Fact::Started(_) => {
                self.learned.remove(&node);
            }
            _ => {}
        }
        match fact {
            Fact::Event(Event::ParentReady(first, parent)) => {
                let starts = first.is_first() || *first == Slot(1);
                if !starts || !is_ready(cx.scene, cx.history.of(node), *first, *parent) {
                    let detail = format!("n{node} announced {parent}, not ready for slot {first}");
                    out.report(cx, "O23", Some(*first), &[node], detail);
                }
            }
            // The power may fail in the middle of an instant: what the node would have announced next
            // is not known.
            Fact::Crashed if self.last_ns.get(&node) == Some(&cx.at_ns) => {}
            Fact::Crashed => judge(cx, node, &mut self.missing, out),
            _ => {}
        }
        if matches!(fact, Fact::Event(_)) {
            self.last_ns.insert(node, cx.at_ns);
        }
    }

    fn ignores(&self, noise: Noise) -> bool {
        noise == Noise::Sends
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        for (node, about) in cx.history.correct(cx.scene) {
            if about.up {
                judge(cx, node, &mut self.missing, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    /// Node 0 holds a certified block in slot 6, and slot 7 is skipped.
    fn world() -> World {
        World::watched_by("O23", &[1; 5]).certified(0, 6, NF(A), &[0]).certified(0, 7, SK, &[0])
    }

    #[test]
    fn announced_but_not_ready() {
        let found = |world: World| world.found();
        let other = world().ready(0, 8, block(6, A)).ready(0, 8, block(6, B));
        assert_eq!(found(other), ["O23: n0 announced 6:bbbbbbbb, not ready for slot 8"]);
        let gap = world().ready(0, 8, block(6, A)).ready(0, 12, block(6, A));
        assert_eq!(found(gap), ["O23: n0 announced 6:aaaaaaaa, not ready for slot 12"]);
        let middle = world().ready(0, 8, block(6, A)).ready(0, 7, block(6, A));
        assert_eq!(found(middle), ["O23: n0 announced 6:aaaaaaaa, not ready for slot 7"]);
        let elsewhere = world().ready(0, 8, block(6, A)).ready(1, 8, block(6, A));
        assert_eq!(found(elsewhere), ["O23: n1 announced 6:aaaaaaaa, not ready for slot 8"]);
        let first = world().ready(0, 8, block(6, A)).ready(0, 1, block(6, A));
        assert_eq!(found(first), ["O23: n0 announced 6:aaaaaaaa, not ready for slot 1"]);
    }

    /// Slot 7 is final and skipped.
    #[test]
    fn below_what_is_final() {
        let world = || world().ready(0, 8, block(6, A)).finalized(0, block(7, A), Fast);
        assert_eq!(world().certified(0, 6, NF(B), &[0]).ready(0, 8, block(7, A)).found(), NOTHING);
        let found = ["O23: n0 never announced 7:aaaaaaaa, ready for slot 8"];
        assert_eq!(world().found(), found);
    }

    #[test]
    fn ready_but_not_announced() {
        let found = ["O23: n0 never announced 6:aaaaaaaa, ready for slot 8"];
        assert_eq!(world().found(), found, "at the end of the run");
        assert_eq!(world().later().crash(0).start(0).found(), found, "at a crash");
        assert_eq!(world().crash(0).start(0).found(), NOTHING, "in the middle of an instant");
        let second =
            world().ready(0, 8, block(6, A)).certified(0, 6, NF(B), &[0]).certified(0, 8, SK, &[0]);
        assert_eq!(second.found(), ["O23: n0 never announced 6:bbbbbbbb, ready for slot 8"]);
    }

    /// The tip on which a node starts is ready for the window after it.
    #[test]
    fn a_tip_at_the_end_of_a_window() {
        let world = || World::watched_by("O23", &[1; 5]).out(0, block(7, A), genesis()).crash(0);
        let found = ["O23: n0 never announced 7:aaaaaaaa, ready for slot 8"];
        assert_eq!(world().start(0).found(), found);
        assert_eq!(world().start(0).ready(0, 8, block(7, A)).found(), NOTHING);
    }

    #[test]
    fn several_parents_and_finality() {
        let world = world()
            .ready(0, 8, block(6, A))
            .certified(0, 6, NO(B), &[0])
            .ready(0, 8, block(6, B))
            .certified(0, 6, SK, &[0])
            .certified(0, 5, FF(C), &[0])
            .finalized(0, block(5, C), Fast)
            .ready(0, 8, block(5, C))
            .certified(0, 9, FF(A), &[0])
            .finalized(0, block(9, A), Fast)
            .certified(1, 11, NO(A), &[0])
            .ready(1, 12, block(11, A))
            .certified(1, 15, FF(A), &[0])
            .finalized(1, block(15, A), Fast)
            .ready(1, 16, block(15, A));
        assert_eq!(world.found(), NOTHING);
    }

    /// What lies below the highest final slot need not be announced any more, nor what lies in
    /// an epoch that is not open (epochs of eight slots here).
    #[test]
    fn windows_that_need_not_begin() {
        let passed = world().certified(0, 8, FF(B), &[0]).finalized(0, block(8, B), Fast);
        assert_eq!(passed.found(), NOTHING);
        let mut closed = World::watched_by("O23", &[1; 5]);
        closed.scene.params.epoch_slots = 8;
        let closed = closed.certified(0, 15, NO(A), &[0]);
        assert_eq!(closed.found(), NOTHING);
    }
}
