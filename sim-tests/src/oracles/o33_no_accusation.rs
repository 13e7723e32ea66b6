//! O33: no correct node ever looks like an offender to another correct node.
//!
//! Offences are pairs of votes that honest validators never cast, and for a leader signed slices that
//! contradict each other. Evidence is meant for punishment, so a false one is a breach even where
//! nothing else goes wrong. The leader of a slot is public.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::NodeId;

/// The oracle.
#[derive(Debug, Default)]
pub struct NoAccusation;

impl Oracle for NoAccusation {
    fn id(&self) -> &'static str {
        "O33"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        let (accused, slot, of) = match fact {
            Fact::Event(Event::Offence(accused, slot, offence)) => {
                (*accused, *slot, format!("{offence:?}"))
            }
            Fact::Event(Event::Equivocation(slot)) => {
                (cx.scene.committee.leader(slot.window()), *slot, "equivocation".to_owned())
            }
            _ => return,
        };
        if cx.scene.correct[accused.index()] {
            let detail = format!("n{node} accuses n{accused} of {of} in slot {slot}");
            out.report(cx, "O33", Some(slot), &[node, accused], detail);
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;
    use alpenglow_node::protocol::vote::Offence;

    fn offence(accused: u16) -> Event {
        Event::Offence(NodeId(accused), Slot(4), Offence::NotarAndSkip)
    }

    #[test]
    fn honest_voters_and_leaders() {
        let world = World::watched_by("O33", &[1; 5]).byzantine(4);
        let leader = world.scene.committee.leader(Slot(9).window());
        assert!(world.scene.correct[leader.index()], "another slot is needed");
        let found = [
            "O33: n0 accuses n1 of NotarAndSkip in slot 4".to_owned(),
            format!("O33: n0 accuses n{leader} of equivocation in slot 9"),
        ];
        let world = world.event(0, offence(1)).event(0, Event::Equivocation(Slot(9)));
        assert_eq!(world.found(), found);
    }

    #[test]
    fn liars() {
        let world = World::watched_by("O33", &[1; 5]);
        let leader = world.scene.committee.leader(Slot(9).window()).0;
        let world = world.byzantine(leader).event(0, Event::Equivocation(Slot(9)));
        assert_eq!(world.event(1, offence(leader)).found(), NOTHING);
    }
}
