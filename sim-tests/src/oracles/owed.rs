//! What a node owes because all its conditions hold: the other half of a rule of the form "may".
//!
//! An oracle that only forbids does not see a node that stays silent, and a fallback vote that is
//! never cast is found much later, as a slot that hangs for no visible reason, if at all. Every fact
//! that makes a condition true is one that the node itself has reported, and it draws the conclusion
//! in the same step. So there is no delay to allow for, with one exception: its final vote, which
//! excludes the fallbacks, counts for the node when it is cast and for us when it is durable. Hence
//! patience, in steps of the node's own regular report: a node that stands still owes nothing new.

use super::history::NodeHistory;
use super::recount::Counts;
use super::{Context, Fact, Scene};
use alpenglow_node::protocol::event::{Event, Standing};
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;
use std::collections::{BTreeMap, BTreeSet};

/// Reports of a node (one each 400 ms) for which a condition must have held: longer than any disk
/// keeps a final vote back.
const PATIENCE: u32 = 10;

/// Which `K`s each node owes, and since when.
#[derive(Debug)]
pub struct Owed<K> {
    given: BTreeSet<(NodeId, K)>,
    /// What was due when its slot was open, with the reports since then.
    due: BTreeMap<(NodeId, Slot, K), u32>,
    decided: BTreeSet<(NodeId, Slot)>,
    observing: BTreeSet<NodeId>,
}

impl<K> Default for Owed<K> {
    fn default() -> Owed<K> {
        let (given, due) = (BTreeSet::new(), BTreeMap::new());
        Owed { given, due, decided: BTreeSet::new(), observing: BTreeSet::new() }
    }
}

/// Names the `K`s for which all conditions hold in a slot, but for the own F.
pub type Owes<K> = fn(&Scene, &NodeHistory, Slot, &Counts) -> Vec<K>;

impl<K: Ord + Copy> Owed<K> {
    /// Takes a fact; `given` is what the node has just given. At a regular report it says what is
    /// overdue, each once. Finality that passes the slot later excuses nothing; but what comes
    /// together only after the slot is decided is owed no more.
    pub fn take(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        fact: Fact<'_>,
        given: Option<K>,
        owes: Owes<K>,
    ) -> Vec<(Slot, K)> {
        match fact {
            Fact::Started(_) => {
                self.given.retain(|(by, _)| *by != node);
                self.due.retain(|(by, ..), _| *by != node);
                self.decided.retain(|(by, _)| *by != node);
                self.observing.remove(&node);
            }
            Fact::Event(Event::Standing(Standing::Observing)) => {
                self.observing.insert(node);
            }
            Fact::Event(Event::Finalized(BlockId { slot, .. }, _))
            | Fact::Event(Event::SkippedByFinality(slot)) => {
                if self.decided.insert((node, *slot)) {
                    self.look(cx, node, *slot, owes);
                }
            }
            Fact::Event(Event::Sizes { .. }) => return self.report(cx, node, owes),
            _ => self.given.extend(given.map(|given| (node, given))),
        }
        Vec::new()
    }

    /// Notes what is due in a slot.
    fn look(&mut self, cx: &Context<'_>, node: NodeId, slot: Slot, owes: Owes<K>) {
        let me = cx.history.of(node);
        let counts = Counts::of(cx.scene, node, me, slot);
        if counts.own.is_some() {
            for what in owes(cx.scene, me, slot, &counts) {
                self.due.entry((node, slot, what)).or_insert(0);
            }
        }
    }

    fn report(&mut self, cx: &Context<'_>, node: NodeId, owes: Owes<K>) -> Vec<(Slot, K)> {
        let me = cx.history.of(node);
        let open = |slot: &&Slot| !self.decided.contains(&(node, **slot));
        let open: Vec<Slot> = me.votes.keys().filter(open).copied().collect();
        open.into_iter().for_each(|slot| self.look(cx, node, slot, owes));
        self.decided.retain(|(by, slot)| *by != node || *slot >= me.votes_from);
        let (given, observing) = (&self.given, self.observing.contains(&node));
        self.due.retain(|(by, slot, what), _| {
            let over =
                || me.cast_in.get(slot).is_some_and(|kinds| kinds.contains(&VoteKind::Final));
            *by != node || !observing && !given.contains(&(node, *what)) && !over()
        });
        let mut overdue = Vec::new();
        for ((_, slot, what), reports) in self.due.iter_mut().filter(|((by, ..), _)| *by == node) {
            *reports += 1;
            if *reports == PATIENCE {
                overdue.push((*slot, *what));
            }
        }
        overdue
    }
}
