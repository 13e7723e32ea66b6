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
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;
use std::collections::{BTreeMap, BTreeSet};

/// Reports of a node (one each 400 ms) for which a condition must have held: longer than any disk
/// keeps a final vote back.
const PATIENCE: u32 = 10;

/// Which `K`s each node owes, and since when.
#[derive(Debug)]
pub struct Owed<K> {
    given: BTreeSet<(NodeId, K)>,
    since: BTreeMap<(NodeId, K), u32>,
    observing: BTreeSet<NodeId>,
}

impl<K> Default for Owed<K> {
    fn default() -> Owed<K> {
        Owed { given: BTreeSet::new(), since: BTreeMap::new(), observing: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Owed<K> {
    /// Takes a fact; `given` is what the node has just given. At a regular report it says what is
    /// overdue of all that `owes` names for a slot with stored votes, each once. A slot that finality
    /// has passed meanwhile is no excuse: the conditions were there before, or nothing would be stored.
    pub fn take(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        fact: Fact<'_>,
        given: Option<K>,
        owes: impl Fn(&Scene, &NodeHistory, Slot, &Counts) -> Vec<K>,
    ) -> Vec<(Slot, K)> {
        match fact {
            Fact::Started(_) => {
                self.given.retain(|(by, _)| *by != node);
                self.since.retain(|(by, _), _| *by != node);
                self.observing.remove(&node);
            }
            Fact::Event(Event::Standing(Standing::Observing)) => {
                self.observing.insert(node);
            }
            Fact::Event(Event::Sizes { .. }) if !self.observing.contains(&node) => {
                return self.report(cx, node, owes);
            }
            _ => self.given.extend(given.map(|given| (node, given))),
        }
        Vec::new()
    }

    fn report(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        owes: impl Fn(&Scene, &NodeHistory, Slot, &Counts) -> Vec<K>,
    ) -> Vec<(Slot, K)> {
        let me = cx.history.of(node);
        let mut overdue = Vec::new();
        let mut still = BTreeMap::new();
        for slot in me.votes.keys().copied() {
            let cast = me.cast_in.get(&slot).map_or(&[][..], Vec::as_slice);
            let counts = Counts::of(cx.scene, node, me, slot);
            if counts.own.is_none() || cast.contains(&VoteKind::Final) {
                continue;
            }
            for what in owes(cx.scene, me, slot, &counts) {
                let key = (node, what);
                if self.given.contains(&key) {
                    continue;
                }
                let polls = self.since.get(&key).map_or(0, |polls| polls + 1);
                if polls == PATIENCE {
                    overdue.push((slot, what));
                }
                still.insert(key, polls);
            }
        }
        self.since.retain(|(by, _), _| *by != node);
        self.since.append(&mut still);
        overdue
    }
}
