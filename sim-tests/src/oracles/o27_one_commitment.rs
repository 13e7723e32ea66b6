//! O27: a correct leader signs at most one commitment for each slice, and at most one last slice.
//!
//! Over its whole life: a leader that comes back from a crash and signs a slice again with other
//! contents has made two blocks of one slot, as good as any liar. A slice after the last one is the
//! same breach. That there is a last slice at all cannot be asked: a leader may crash, or give up a
//! block that finality has passed.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{Hash, NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug, Default)]
pub struct OneCommitment {
    /// By slot and leader: each slice's mark as the last one, and its root.
    signed: BTreeMap<(Slot, NodeId), BTreeMap<u8, (bool, Hash)>>,
    floor: Slot,
}

impl Oracle for OneCommitment {
    fn id(&self) -> &'static str {
        "O27"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let Fact::Event(Event::SliceSigned { slot, slice, last, root }) = fact else { return };
        if cx.history.floor > self.floor {
            self.floor = cx.history.floor;
            self.signed = self.signed.split_off(&(self.floor, NodeId(0)));
        }
        let slices = self.signed.entry((*slot, node)).or_default();
        let known = *slices.entry(*slice).or_insert((*last, *root));
        let after_last = slices.range(..*slice).find(|(_, (last, _))| *last);
        let detail = if known != (*last, *root) {
            format!("n{node} signed two versions of slice {slice} of slot {slot}")
        } else if let Some((end, _)) = after_last {
            format!("n{node} signed slice {slice} of slot {slot} after the last one, {end}")
        } else if *last && slices.range(slice + 1..).next().is_some() {
            format!("n{node} signed slice {slice} of slot {slot} as the last one after later ones")
        } else {
            return;
        };
        out.report(cx, "O27", Some(*slot), &[node], detail);
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn slice(slot: u64, slice: u8, last: bool, root: Hash) -> Event {
        Event::SliceSigned { slot: Slot(slot), slice, last, root }
    }

    fn world() -> World {
        World::watched_by("O27", &[1; 5])
            .event(0, slice(4, 0, false, A))
            .event(0, slice(4, 1, true, B))
    }

    #[test]
    fn two_versions_even_over_a_restart() {
        let found = ["O27: n0 signed two versions of slice 0 of slot 4"];
        assert_eq!(world().event(0, slice(4, 0, false, C)).found(), found);
        assert_eq!(world().crash(0).start(0).event(0, slice(4, 0, false, C)).found(), found);
        assert_eq!(world().event(0, slice(4, 0, true, A)).found(), found);
    }

    #[test]
    fn two_ends() {
        let found = ["O27: n0 signed slice 2 of slot 4 after the last one, 1"];
        assert_eq!(world().event(0, slice(4, 2, false, C)).found(), found);
        let early = World::watched_by("O27", &[1; 5])
            .event(0, slice(4, 1, false, A))
            .event(0, slice(4, 0, true, B));
        let found = ["O27: n0 signed slice 0 of slot 4 as the last one after later ones"];
        assert_eq!(early.found(), found);
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let world = world().forgotten(5).event(0, slice(4, 0, false, C));
        assert_eq!(world.found(), NOTHING);
    }

    #[test]
    fn the_same_again_other_slots_and_an_unfinished_block() {
        let world = world()
            .event(0, slice(4, 0, false, A))
            .event(0, slice(5, 0, false, A))
            .event(1, slice(4, 0, false, C));
        assert_eq!(world.found(), NOTHING);
    }
}
