//! O34: correct nodes sign what the protocol knows, for their own cluster, and accept nothing else
//! (1.7).
//!
//! > no correct signature over a message outside the tag set; no cross-cluster acceptance
//!
//! The bytes that a vote or a slice signature covers are put together here once more: tag, cluster,
//! kind, slot, hash. What a correct node sends under its name must verify over exactly these bytes;
//! if it covered fewer (no cluster, no slot), it could be replayed where it must not count. And a
//! vote of a correct node that enters a Pool must be one that this node cast in this cluster.

use super::schedule::Schedule;
use super::{Context, Fact, Findings, Noise, Oracle, Scene};
use alpenglow_node::protocol::block::Commitment;
use alpenglow_node::protocol::certificate::SignedVote;
use alpenglow_node::protocol::types::{Hash, NodeId, Slot, Window};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use alpenglow_node::protocol::wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The oracle.
#[derive(Debug)]
pub struct SignedBytes {
    schedule: Schedule,
    /// Votes that were verified.
    votes: BTreeSet<(Slot, NodeId, VoteKind)>,
    /// What each node sent last: a broadcast repeats it for every receiver.
    last: Vec<Option<Vote>>,
    slices: BTreeSet<Commitment>,
    last_slice: Option<Commitment>,
    leaders: BTreeMap<Window, NodeId>,
    floor: Slot,
}

impl SignedBytes {
    /// For one run.
    pub fn new(scene: &Scene) -> SignedBytes {
        SignedBytes {
            schedule: Schedule::new(scene),
            votes: BTreeSet::new(),
            last: vec![None; scene.stakes.len()],
            slices: BTreeSet::new(),
            last_slice: None,
            leaders: BTreeMap::new(),
            floor: Slot::GENESIS,
        }
    }

    fn vote(&mut self, cx: &Context<'_>, node: NodeId, signed: &SignedVote, out: &mut Findings) {
        let vote = signed.vote;
        if self.last[node.index()].replace(vote) == Some(vote)
            || vote.slot < self.floor
            || !self.votes.insert((vote.slot, node, vote.kind))
        {
            return;
        }
        out.probe("judged-O34");
        let bytes = vote_bytes(cx.scene.committee.cluster(), &vote);
        let key = cx.scene.committee.vote_key(signed.signer);
        let verifies = key.is_some_and(|key| key.verify(&bytes, &mut signed.signature.clone()));
        if !verifies {
            let detail = format!("the signature of n{node} under {vote:?} covers something else");
            out.report(cx, "O34", Some(vote.slot), &[node], detail);
        }
    }

    fn slice(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        commitment: Commitment,
        signature: &[u8; 64],
        out: &mut Findings,
    ) {
        if self.last_slice == Some(commitment) || commitment.slot < self.floor {
            return;
        }
        self.last_slice = Some(commitment);
        let window = commitment.slot.window();
        let leader = *self.leaders.entry(window).or_insert_with(|| self.schedule.leader(window));
        if leader != node || !self.slices.insert(commitment) {
            return;
        }
        out.probe("judged-O34");
        let bytes = slice_bytes(cx.scene.committee.cluster(), &commitment);
        let key = cx.scene.committee.slice_key(node).expect("a member");
        let signature = alpenglow_node::crypto::ed25519::Signature(*signature);
        if !key.verify(&bytes, &signature) {
            let (slice, slot) = (commitment.slice, commitment.slot);
            let detail = format!(
                "the signature of n{node} under slice {slice} of slot {slot} covers something else"
            );
            out.report(cx, "O34", Some(slot), &[node], detail);
        }
    }

    fn forget(&mut self, floor: Slot) {
        self.floor = floor;
        self.votes = self.votes.split_off(&(floor, NodeId(0), VoteKind::Notar(Hash::default())));
        self.slices.retain(|commitment| commitment.slot >= floor);
        self.leaders = self.leaders.split_off(&floor.window());
    }
}

/// tag | cluster | kind | slot | hash
fn vote_bytes(cluster: Hash, vote: &Vote) -> Vec<u8> {
    let (kind, hash) = match &vote.kind {
        VoteKind::Notar(hash) => (0, Some(hash)),
        VoteKind::Skip => (1, None),
        VoteKind::NotarFallback(hash) => (2, Some(hash)),
        VoteKind::SkipFallback => (3, None),
        VoteKind::Final => (4, None),
    };
    let hash = hash.map_or(&[][..], |hash| &hash.0);
    [b"ag/vote/", &cluster.0[..], &[kind], &vote.slot.0.to_le_bytes(), hash].concat()
}

/// tag | cluster | slot | slice | last | root
fn slice_bytes(cluster: Hash, about: &Commitment) -> Vec<u8> {
    let slot = about.slot.0.to_le_bytes();
    let place = [about.slice, u8::from(about.last)];
    [b"ag/slice", &cluster.0[..], &slot, &place, &about.root.0].concat()
}

impl Oracle for SignedBytes {
    fn id(&self) -> &'static str {
        "O34"
    }

    fn watches_shreds(&self) -> bool {
        true
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        match fact {
            Fact::Sent(_, Message::Vote(signed)) if signed.signer == node => {
                self.vote(cx, node, signed, out);
            }
            Fact::Shred { commitment, signature, .. } => {
                self.slice(cx, node, commitment, signature, out);
            }
            Fact::Event(alpenglow_node::protocol::event::Event::VoteStored(voter, vote))
                if cx.scene.correct[voter.index()]
                    && vote.slot >= cx.history.floor
                    && !cx.history.of(*voter).has_cast(*vote) =>
            {
                let detail = format!("n{node} counts {vote:?} of n{voter}, who never cast it here");
                out.report(cx, "O34", Some(vote.slot), &[node, *voter], detail);
            }
            _ if cx.history.floor > self.floor => self.forget(cx.history.floor),
            _ => {}
        }
    }

    fn ignores(&self, noise: Noise) -> bool {
        noise == Noise::Rejections
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::testing::*;

    fn world() -> World {
        World::watched_by("O34", &[1; 5])
    }

    fn leader(world: &World) -> u16 {
        Schedule::new(&world.scene).leader(Window(1)).0
    }

    const SLICE: Commitment = Commitment { slot: Slot(4), slice: 0, last: true, root: A };

    #[test]
    fn a_signature_of_another_object() {
        let world = world();
        let skip = world.signed(0, 4, Skip);
        let mut swapped = world.signed(0, 4, Final);
        swapped.signature = skip.signature.clone();
        let found = world.cast(0, 4, Final).sent(0, &Message::Vote(swapped)).found();
        assert_eq!(found, ["O34: the signature of n0 under F(4) covers something else"]);
    }

    #[test]
    fn a_signature_for_another_cluster() {
        let (here, elsewhere) = (world(), world().of_cluster(Hash([9; 32])));
        let replayed = Message::Vote(elsewhere.signed(0, 4, Skip));
        let found = here.cast(0, 4, Skip).sent(0, &replayed).found();
        assert_eq!(found, ["O34: the signature of n0 under S(4) covers something else"]);
        let node = leader(&world());
        let replayed = elsewhere.signed_slice(node, SLICE);
        let found = world().shred(node, 0, SLICE, &replayed, 0).found();
        let expected =
            format!("O34: the signature of n{node} under slice 0 of slot 4 covers something else");
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_vote_that_was_never_cast_here() {
        let world = world().cast(1, 4, Skip).heard(0, &[1, 2], 4, Skip);
        assert_eq!(world.found(), ["O34: n0 counts S(4) of n2, who never cast it here"]);
    }

    #[test]
    fn everything_that_honest_nodes_sign() {
        let kinds = [Notar(A), Skip, NotarFallback(B), SkipFallback, Final];
        let world = (4..).zip(kinds).fold(world(), |world, (slot, kind)| {
            world.said(0, slot, kind).heard(1, &[0], slot, kind)
        });
        let node = leader(&world);
        let signature = world.signed_slice(node, SLICE);
        let world = world.shred(node, 0, SLICE, &signature, 0).shred(node, 1, SLICE, &signature, 1);
        // A liar's votes may be anything, and what is forgotten is not judged.
        let world = world.byzantine(4).heard(0, &[4], 4, Skip).forgotten(9).heard(0, &[3], 8, Skip);
        assert_eq!(world.found(), NOTHING);
    }
}
