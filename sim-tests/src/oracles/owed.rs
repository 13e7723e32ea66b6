//! What a node owes because all its conditions hold: the other half of a rule of the form "may".
//!
//! An oracle that only forbids does not see a node that stays silent, and a fallback vote that is
//! never cast is found much later, as a slot that hangs for no visible reason, if at all. Every fact
//! that makes a condition true is one that the node itself has reported, and it draws the conclusion
//! in the same step. But votes, and the final vote that excludes fallbacks, count for the node when
//! they are cast and for us when they are durable. Hence patience, in steps of the node's own regular
//! report: a node that stands still owes nothing new, and while the plan makes its disk slow or its
//! processor rare, time does not count.

use super::history::NodeHistory;
use super::recount::Counts;
use super::{Context, Fact, Scene};
use alpenglow_node::protocol::event::{Event, Standing};
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// Reports of a node (one each standstill poll) for which a condition must have held: longer than a
/// disk that is not slowed down keeps a vote back.
const PATIENCE: u32 = 10;

/// Which votes each node owes, and since when.
#[derive(Debug, Default)]
pub struct Owed {
    /// What was due when its slot was open, with the reports since then.
    due: BTreeMap<(NodeId, Vote), u32>,
    decided: BTreeSet<(NodeId, Slot)>,
    observing: BTreeSet<NodeId>,
}

/// Names the votes for which all conditions hold in a slot, but for the own F.
pub type Owes = fn(&Scene, &NodeHistory, Slot, &Counts) -> Vec<Vote>;

impl Owed {
    /// Takes a fact. At a regular report of the node it says what is overdue, each once. Finality
    /// that passes the slot later excuses nothing; but what comes together only after the slot is
    /// decided is owed no more.
    pub fn take(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        fact: Fact<'_>,
        owes: Owes,
    ) -> Vec<Vote> {
        match fact {
            Fact::Started(_) => {
                self.due.retain(|(by, _), _| *by != node);
                self.decided.retain(|(by, _)| *by != node);
                self.observing.remove(&node);
            }
            Fact::Event(Event::Standing(Standing::Observing)) => {
                self.observing.insert(node);
            }
            Fact::Event(Event::Finalized(BlockId { slot, .. }, _))
            | Fact::Event(Event::SkippedByFinality(slot)) => {
                let is_new = self.decided.insert((node, *slot));
                if is_new {
                    self.look(cx, node, *slot, owes);
                }
            }
            Fact::Event(Event::Sizes { .. }) => return self.report(cx, node, owes),
            _ => {}
        }
        Vec::new()
    }

    /// Notes what is due in a slot.
    fn look(&mut self, cx: &Context<'_>, node: NodeId, slot: Slot, owes: Owes) {
        let me = cx.history.of(node);
        let counts = Counts::of(cx.scene, node, me, slot);
        if counts.own.is_some() {
            for vote in owes(cx.scene, me, slot, &counts) {
                self.due.entry((node, vote)).or_insert(0);
            }
        }
    }

    fn report(&mut self, cx: &Context<'_>, node: NodeId, owes: Owes) -> Vec<Vote> {
        let me = cx.history.of(node);
        let open = |slot: &&Slot| !self.decided.contains(&(node, **slot));
        let open: Vec<Slot> = me.votes.keys().filter(open).copied().collect();
        open.into_iter().for_each(|slot| self.look(cx, node, slot, owes));
        self.decided.retain(|(by, slot)| *by != node || *slot >= me.votes_from);
        let observing = self.observing.contains(&node);
        self.due.retain(|(by, vote), _| {
            let over = || me.has_cast(Vote::new(vote.slot, VoteKind::Final));
            *by != node || !observing && !me.has_cast(*vote) && !over()
        });
        let hampered = cx.scene.plan.hampered(node.0);
        if hampered.iter().any(|(from, to)| from.0 <= cx.at_ns && cx.at_ns <= to.0) {
            return Vec::new();
        }
        let mut overdue = Vec::new();
        for ((_, vote), reports) in self.due.iter_mut().filter(|((by, _), _)| *by == node) {
            *reports += 1;
            if *reports == PATIENCE {
                overdue.push(*vote);
            }
        }
        overdue
    }
}
