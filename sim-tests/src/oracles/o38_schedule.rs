//! O38: everybody follows one schedule of leaders and relays (3.2).
//!
//! > all correct nodes compute identical leader(s) and relays(s,t)
//!
//! What a node computes shows in what it does: who produces, whom a leader sends a shred to, who
//! passes it on. Each is held against the schedule as this harness computes it. (That frequencies
//! match the stake is a property of the schedule alone; `schedule` tests it.)

use super::schedule::Schedule;
use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug)]
pub struct OneSchedule {
    schedule: Schedule,
    /// Leader and relays of slices that were sent.
    slices: BTreeMap<(Slot, u8), (NodeId, Vec<NodeId>)>,
    floor: Slot,
}

impl OneSchedule {
    /// For one run.
    pub fn new(scene: &Scene) -> OneSchedule {
        let schedule = Schedule::new(scene);
        OneSchedule { schedule, slices: BTreeMap::new(), floor: Slot::GENESIS }
    }

    fn sends(
        &mut self,
        cx: &Context<'_>,
        (from, to): (NodeId, NodeId),
        (slot, slice, index): (Slot, u8, u8),
        out: &mut Findings,
    ) {
        if slot < self.floor {
            return;
        }
        let schedule = &self.schedule;
        let known = self.slices.entry((slot, slice)).or_insert_with(|| {
            out.probe("judged-O38");
            (schedule.leader(slot.window()), schedule.relays(slot, slice))
        });
        let (leader, relay) = (known.0, known.1[usize::from(index)]);
        let first_hop = from == leader && (to == relay || relay == leader);
        let second_hop = from == relay && to != leader;
        if !first_hop && !second_hop {
            let detail = format!(
                "n{from} sent shred {index} of slice {slice} of slot {slot} to n{to}, but n{leader} \
                 leads and n{relay} relays"
            );
            out.report(cx, "O38", Some(slot), &[from], detail);
        }
    }
}

impl Oracle for OneSchedule {
    fn id(&self) -> &'static str {
        "O38"
    }

    fn watches_shreds(&self) -> bool {
        true
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Shred { to, commitment, index, .. } => {
                let shred = (commitment.slot, commitment.slice, index);
                self.sends(cx, (node, to), shred, out);
            }
            Fact::Event(Event::ProductionStarted { slot, .. }) => {
                let leader = self.schedule.leader(slot.window());
                if leader != node {
                    let detail = format!("n{node} produces slot {slot}, but n{leader} leads");
                    out.report(cx, "O38", Some(*slot), &[node], detail);
                }
                if cx.history.floor > self.floor {
                    self.floor = cx.history.floor;
                    self.slices = self.slices.split_off(&(self.floor, 0));
                }
            }
            _ => {}
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::testing::*;
    use alpenglow_node::protocol::block::Commitment;
    use alpenglow_node::protocol::types::Window;

    const SLICE: Commitment = Commitment { slot: Slot(4), slice: 2, last: false, root: A };

    fn world() -> World {
        World::watched_by("O38", &[1; 5])
    }

    /// The leader of window 1, the relay of the first shred that it does not relay itself, and two
    /// more.
    fn cast() -> (u16, u8, u16, [u16; 3]) {
        let schedule = Schedule::new(&world().scene);
        let leader = schedule.leader(Window(1));
        let relays = schedule.relays(Slot(4), 2);
        let index = relays.iter().position(|relay| *relay != leader).expect("others have stake");
        let rest = (0..5).map(NodeId).filter(|node| *node != leader && *node != relays[index]);
        let rest: Vec<u16> = rest.map(|node| node.0).collect();
        (leader.0, index as u8, relays[index].0, rest.try_into().expect("three of five"))
    }

    #[test]
    fn a_stranger_produces() {
        let (leader, .., [other, ..]) = cast();
        let began = |by| {
            let event =
                Event::ProductionStarted { slot: Slot(5), parent: genesis(), optimistic: false };
            world().event(by, event).found()
        };
        assert_eq!(began(other), [format!("O38: n{other} produces slot 5, but n{leader} leads")]);
        assert_eq!(began(leader), NOTHING);
    }

    #[test]
    fn shreds_on_other_ways() {
        let (leader, index, relay, [a, b, _]) = cast();
        let wrong = [(leader, a), (a, b), (a, leader), (relay, leader)];
        for (from, to) in wrong {
            let found = world().shred(from, to, SLICE, &[0; 64], index).found();
            let expected = format!(
                "O38: n{from} sent shred {index} of slice 2 of slot 4 to n{to}, but n{leader} \
                 leads and n{relay} relays"
            );
            assert_eq!(found, [expected]);
        }
    }

    #[test]
    fn shreds_on_their_way() {
        let (leader, index, relay, others) = cast();
        let world = world().shred(leader, relay, SLICE, &[0; 64], index);
        let world = others
            .into_iter()
            .fold(world, |world, to| world.shred(relay, to, SLICE, &[0; 64], index));
        // What the leader relays itself goes to everybody.
        let own = Schedule::new(&world.scene).relays(Slot(4), 2);
        let own = own.iter().position(|relay| relay.0 == leader).expect("a fifth of the stake");
        let world = others
            .into_iter()
            .fold(world, |world, to| world.shred(leader, to, SLICE, &[0; 64], own as u8));
        assert_eq!(world.found(), NOTHING);
    }
}
