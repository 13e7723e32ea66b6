//! O31: a vote is durable before its first byte leaves.
//!
//! A vote that others have, and that its voter can forget, makes an honest node a liar after its next
//! crash. Two witnesses: at the moment of sending the node must have said (or its disk shown) that the
//! vote is durable; and after each crash the disk itself must hold every vote that ever left, except
//! below the end of its ledger, where votes no longer bind anybody.

use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use alpenglow_node::protocol::wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The oracle.
#[derive(Debug)]
pub struct DurableFirst {
    sent: Vec<BTreeMap<Slot, Vec<VoteKind>>>,
    /// What each node sent last: a broadcast repeats it for every receiver.
    last: Vec<Option<Vote>>,
    floor: Slot,
}

impl DurableFirst {
    /// For one run.
    pub fn new(scene: &Scene) -> DurableFirst {
        let nodes = scene.stakes.len();
        DurableFirst {
            sent: vec![BTreeMap::new(); nodes],
            last: vec![None; nodes],
            floor: Slot::GENESIS,
        }
    }

    fn sends(&mut self, cx: &Context<'_>, node: NodeId, vote: Vote, out: &mut Findings) {
        if self.last[node.index()].replace(vote) == Some(vote) || vote.slot < cx.history.floor {
            return;
        }
        if !cx.history.of(node).has_cast(vote) {
            let detail = format!("n{node} sent {vote:?} before it was durable");
            out.report(cx, "O31", Some(vote.slot), &[node], detail);
        }
        let kinds = self.sent[node.index()].entry(vote.slot).or_default();
        if !kinds.contains(&vote.kind) {
            kinds.push(vote.kind);
        }
    }

    fn compare(
        &self,
        cx: &Context<'_>,
        node: NodeId,
        (votes, ledger): (&[Vote], &[BlockId]),
        out: &mut Findings,
    ) {
        let log: BTreeSet<&Vote> = votes.iter().collect();
        let tip = ledger.last().map_or(Slot::GENESIS, |block| block.slot);
        for (slot, kinds) in self.sent[node.index()].range(tip.next()..) {
            for vote in kinds.iter().map(|kind| Vote::new(*slot, *kind)) {
                if !log.contains(&vote) {
                    let detail = format!("n{node} sent {vote:?}, but its disk does not hold it");
                    out.report(cx, "O31", Some(*slot), &[node], detail);
                }
            }
        }
    }
}

impl Oracle for DurableFirst {
    fn id(&self) -> &'static str {
        "O31"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Sent(_, Message::Vote(vote)) if vote.signer == node => {
                self.sends(cx, node, vote.vote, out);
            }
            // No disk holds what was lost with it; O32 sees to it that nobody votes without.
            Fact::LogLost(_) => self.sent[node.index()].clear(),
            Fact::Image(votes, ledger) => self.compare(cx, node, (votes, ledger), out),
            Fact::Event(_) if cx.history.floor > self.floor => {
                self.floor = cx.history.floor;
                self.sent.iter_mut().for_each(|sent| *sent = sent.split_off(&self.floor));
            }
            _ => {}
        }
    }

    fn ignores(&self, noise: Noise) -> bool {
        noise == Noise::Rejections
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn world() -> World {
        World::watched_by("O31", &[1; 5])
    }

    #[test]
    fn sent_but_never_durable() {
        let message = Message::Vote(world().signed(0, 4, Skip));
        let world = world().sent(0, &message).crash_with(0, &[vote(4, Notar(A))], &[]);
        let found = [
            "O31: n0 sent S(4) before it was durable",
            "O31: n0 sent S(4), but its disk does not hold it",
        ];
        assert_eq!(world.found(), found);
    }

    #[test]
    fn durable_by_its_own_account_only() {
        let world = world().said(0, 4, Skip).said(0, 5, Skip).crash_with(0, &[vote(5, Skip)], &[]);
        assert_eq!(world.found(), ["O31: n0 sent S(4), but its disk does not hold it"]);
    }

    /// A vote that left in the first incarnation must still be there after the second.
    #[test]
    fn over_two_crashes() {
        let world = world().said(0, 4, Skip).crash(0).start(0).crash_with(0, &[], &[]);
        assert_eq!(world.found(), ["O31: n0 sent S(4), but its disk does not hold it"]);
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let message = Message::Vote(world().signed(0, 3, Skip));
        let world = world().said(0, 4, Skip).forgotten(5).sent(0, &message).cast(0, 5, Skip);
        assert_eq!(world.crash_with(0, &[vote(5, Skip)], &[]).found(), NOTHING);
    }

    #[test]
    fn votes_that_may_be_missing() {
        let message = |node, slot| Message::Vote(world().signed(node, slot, Skip));
        let world = world()
            .said(0, 4, Skip)
            .said(0, 5, Skip)
            // Durable but not sent, and lost: impossible, but not this oracle's matter.
            .cast(0, 6, Skip)
            .crash_with(0, &[vote(5, Skip), vote(7, Skip)], &[block(4, A)])
            .start(0)
            .sent(0, &message(0, 7))
            .crash(0);
        assert_eq!(world.found(), NOTHING);
    }
}
