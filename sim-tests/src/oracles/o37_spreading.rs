//! O37: what a node learns it passes on, once, and at a standstill it says exactly what it must
//! (6.2, 6.3, 10.1).
//!
//! > every newly added certificate of a kind that 6.2 sends is sent once to each peer; standstill
//! > bundle = exactly 10.1
//!
//! The spread of ParentReady within Δ (Lemma 42) rests on the first half, recovery after loss on the
//! second. 6.2: FI is not sent by whoever holds FF for the slot, and NF is not even stored where NO
//! or FF for its block is held. 10.1: the proof of the highest final slot; certificates above it;
//! own votes above it, those of settled slots only in the last two windows; at most 256 datagrams,
//! in slot order, going on where the last bundle stopped.
//!
//! A node sends in the same instant in which it learns or fires, so every instant of a node is
//! judged when its next one comes.

use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, Vote};
use alpenglow_node::protocol::wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Datagrams of a bundle for one peer, the proof not counted.
const MOST_ITEMS: usize = 255;

/// One thing of a bundle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Item {
    Certificate(CertificateId),
    Vote(Vote),
    Proof(Slot),
}

impl Item {
    fn slot(&self) -> Slot {
        match self {
            Item::Certificate(id) => id.slot,
            Item::Vote(vote) => vote.slot,
            Item::Proof(slot) => *slot,
        }
    }
}

/// A set of nodes.
#[derive(Clone, Debug, Default)]
struct Peers {
    words: Vec<u64>,
    count: usize,
}

impl Peers {
    /// True if the node was not in it.
    fn insert(&mut self, node: NodeId) -> bool {
        let (word, bit) = (node.index() / 64, 1 << (node.index() % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += usize::from(new);
        new
    }

    fn contains(&self, node: NodeId) -> bool {
        self.words.get(node.index() / 64).is_some_and(|w| w & (1 << (node.index() % 64)) != 0)
    }
}

/// One instant of one node.
#[derive(Clone, Debug, Default)]
struct Instant {
    at_ns: u64,
    /// New certificates, with those who got them.
    new: BTreeMap<CertificateId, Peers>,
    /// Whatever else was sent of what a bundle may hold.
    other: Vec<(NodeId, Item)>,
    /// The bundle that was announced in it, if any.
    bundle: Option<Vec<Item>>,
}

/// The oracle.
#[derive(Debug)]
pub struct Spreading {
    nodes: Vec<Instant>,
    /// Where the next bundle of a node goes on.
    resume: Vec<Option<Slot>>,
    /// Nodes that lost their vote log: they do not know what they voted.
    forgetful: Peers,
}

impl Spreading {
    /// For one run.
    pub fn new(scene: &Scene) -> Spreading {
        let count = scene.stakes.len();
        let nodes = vec![Instant::default(); count];
        Spreading { nodes, resume: vec![None; count], forgetful: Peers::default() }
    }

    fn close(&mut self, cx: &Context<'_>, node: NodeId, out: &mut Findings) {
        let instant = &mut self.nodes[node.index()];
        let peers = cx.scene.stakes.len() - 1;
        for (id, got) in std::mem::take(&mut instant.new) {
            out.probe("judged-O37");
            if got.count < peers {
                let all = (0..cx.scene.stakes.len() as u16).map(NodeId);
                let left: Vec<NodeId> =
                    all.filter(|peer| *peer != node && !got.contains(*peer)).collect();
                let detail = format!("n{node} did not pass {id:?} on to {left:?}");
                out.report(cx, "O37", Some(id.slot), &[node], detail);
            }
        }
        let sent = std::mem::take(&mut instant.other);
        let bundle = instant.bundle.take();
        if let Some(bundle) = &bundle {
            let sent: BTreeSet<(NodeId, Item)> = sent.iter().copied().collect();
            let short = |item: &&Item| {
                let to = |peer: u16| peer == node.0 || sent.contains(&(NodeId(peer), **item));
                !(0..=peers as u16).all(to)
            };
            if let Some(item) = bundle.iter().find(short) {
                let detail = format!("n{node} announced {item:?} at a standstill, but sent it not");
                out.report(cx, "O37", Some(item.slot()), &[node], detail);
            }
        }
        let bundle: BTreeSet<Item> = bundle.into_iter().flatten().collect();
        let twice = |(_, item): &&(NodeId, Item)| {
            matches!(item, Item::Certificate(_)) && !bundle.contains(item)
        };
        if let Some((to, item)) = sent.iter().find(twice) {
            let detail = format!("n{node} sent {item:?} to n{to} again, without a standstill");
            out.report(cx, "O37", Some(item.slot()), &[node], detail);
        }
    }

    fn added(&mut self, cx: &Context<'_>, node: NodeId, id: CertificateId, out: &mut Findings) {
        let me = cx.history.of(node);
        let holds = |kind| me.holds(CertificateId::new(id.slot, kind));
        match id.kind {
            CertificateKind::NotarFallback(hash)
                if holds(CertificateKind::Notar(hash))
                    || holds(CertificateKind::FastFinal(hash)) =>
            {
                let detail = format!("n{node} takes {id:?} although it holds a stronger one");
                out.report(cx, "O37", Some(id.slot), &[node], detail);
            }
            CertificateKind::Final => {
                let low =
                    CertificateId::new(id.slot, CertificateKind::FastFinal(Default::default()));
                let held =
                    me.certificates.range(low..).take_while(|(held, _)| held.slot == id.slot);
                let fast = |id: &CertificateId| matches!(id.kind, CertificateKind::FastFinal(_));
                if held.into_iter().any(|(id, _)| fast(id)) {
                    return;
                }
            }
            _ => {}
        }
        self.nodes[node.index()].new.insert(id, Peers::default());
    }

    fn sent(&mut self, node: NodeId, to: NodeId, item: Item) {
        let instant = &mut self.nodes[node.index()];
        if let Item::Certificate(id) = item
            && let Some(got) = instant.new.get_mut(&id)
            && got.insert(to)
        {
            return;
        }
        instant.other.push((to, item));
    }

    fn standstill(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        highest: Slot,
        said: Vec<Item>,
        out: &mut Findings,
    ) {
        let mut report = |detail| out.report(cx, "O37", Some(highest), &[node], detail);
        let me = cx.history.of(node);
        let known = me.highest.map_or(Slot::GENESIS, |block| block.slot);
        if known != highest {
            report(format!("n{node} stands still at slot {highest}, but {known} is final at it"));
        }
        let from = self.resume[node.index()].take().unwrap_or_default();
        let mut owed = owed(cx, node, highest);
        if self.forgetful.contains(node) {
            owed.retain(|item| !matches!(item, Item::Vote(_)));
        }
        if owed.iter().any(|item| item.slot() >= from) {
            owed.retain(|item| item.slot() >= from);
        }
        let chosen: BTreeSet<Item> = said.iter().copied().collect();
        let wrong = chosen.difference(&owed).next();
        let left: Vec<&Item> = owed.difference(&chosen).collect();
        let end = chosen.iter().map(Item::slot).max().unwrap_or_default();
        let full = chosen.len() == MOST_ITEMS;
        if let Some(item) = wrong {
            report(format!("n{node} says {item:?} again at a standstill, which is not due"));
        } else if let Some(item) = left.iter().find(|item| !full || item.slot() < end) {
            report(format!("n{node} does not say {item:?} again at a standstill"));
        }
        self.resume[node.index()] = left.iter().map(|item| item.slot()).min();
        let proof = (highest > Slot::GENESIS).then_some(Item::Proof(highest));
        self.nodes[node.index()].bundle = Some(said.into_iter().chain(proof).collect());
    }
}

/// Everything that a bundle may hold.
fn owed(cx: &Context<'_>, node: NodeId, highest: Slot) -> BTreeSet<Item> {
    let me = cx.history.of(node);
    let certificates = me.certificates.keys().filter(|id| id.slot > highest);
    let newest = me.cast_in.keys().next_back().map_or(Slot::GENESIS, |slot| *slot).window();
    let open = |slot: Slot| {
        slot.window().next() >= newest || !me.is_skipped(slot) && me.certified_in(slot).is_empty()
    };
    let slots = me.cast_in.range(highest.next()..).filter(|(slot, _)| open(**slot));
    let votes = slots.flat_map(|(slot, kinds)| kinds.iter().map(|kind| Vote::new(*slot, *kind)));
    certificates.copied().map(Item::Certificate).chain(votes.map(Item::Vote)).collect()
}

impl Oracle for Spreading {
    fn id(&self) -> &'static str {
        "O37"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if self.nodes[node.index()].at_ns < cx.at_ns {
            self.close(cx, node, out);
            self.nodes[node.index()].at_ns = cx.at_ns;
        }
        match fact {
            Fact::Event(Event::CertificateAdded { certificate, .. }) => {
                self.added(cx, node, certificate.id, out);
            }
            Fact::Event(Event::Standstill { highest, certificates, votes }) => {
                let certificates = certificates.iter().copied().map(Item::Certificate);
                let said = certificates.chain(votes.iter().copied().map(Item::Vote)).collect();
                self.standstill(cx, node, *highest, said, out);
            }
            Fact::Sent(to, Message::Certificate(certificate)) => {
                self.sent(node, to, Item::Certificate(certificate.id));
            }
            Fact::Sent(to, Message::Vote(vote)) => self.sent(node, to, Item::Vote(vote.vote)),
            Fact::Sent(to, Message::Proof(proof)) => {
                self.sent(node, to, Item::Proof(proof.slot()));
            }
            // The power failed in the middle of the instant.
            Fact::Crashed => {
                let instant = &mut self.nodes[node.index()];
                *instant = Instant { at_ns: instant.at_ns, ..Instant::default() };
            }
            Fact::Started(_) => self.resume[node.index()] = None,
            Fact::LogLost(_) => {
                self.forgetful.insert(node);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        for node in (0..self.nodes.len() as u16).map(NodeId) {
            self.close(cx, node, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::Fact;
    use crate::oracles::testing::*;
    use alpenglow_node::protocol::certificate::FinalityProof;

    const THREE: [u16; 3] = [0, 1, 2];

    fn world() -> World {
        World::watched_by("O37", &[1; 5])
    }

    /// A certificate is added and sent to all but the last `without`.
    fn passed(world: World, slot: u64, kind: CertificateKind, without: usize) -> World {
        let certificate = world.certificate(slot, kind, &THREE, &[]);
        let message = Message::Certificate(certificate.clone());
        let peers = 4 - without as u16;
        (1..=peers).fold(world.added(0, certificate), |world, to| {
            world.fact(0, Fact::Sent(NodeId(to), &message))
        })
    }

    #[test]
    fn kept_for_itself() {
        let found = ["O37: n0 did not pass NO[4:aaaaaaaa] on to [n3, n4]"];
        assert_eq!(passed(world(), 4, NO(A), 2).found(), found);
        assert_eq!(passed(world(), 4, NO(A), 2).later().tick(0).found(), found);
        let late = passed(world(), 4, NO(A), 4).later();
        let message = Message::Certificate(late.certificate(4, NO(A), &THREE, &[]));
        assert_eq!(late.sent(0, &message).found().len(), 2, "too late, and then for no reason");
    }

    #[test]
    fn cut_off_in_the_middle() {
        assert_eq!(passed(world(), 4, NO(A), 2).crash(0).later().start(0).found(), NOTHING);
        let before = passed(world(), 4, NO(A), 2).later().crash(0).found();
        assert_eq!(before, ["O37: n0 did not pass NO[4:aaaaaaaa] on to [n3, n4]"]);
    }

    #[test]
    fn sent_twice() {
        let world = passed(world(), 4, SK, 0);
        let message = Message::Certificate(world.certificate(4, SK, &THREE, &[]));
        let found = ["O37: n0 sent Certificate(SK[4]) to n1 again, without a standstill"];
        assert_eq!(world.later().sent(0, &message).found(), found);
    }

    #[test]
    fn weaker_ones() {
        let found = ["O37: n0 takes NF[4:aaaaaaaa] although it holds a stronger one"];
        assert_eq!(passed(passed(world(), 4, NO(A), 0), 4, NF(A), 0).found(), found);
        let other = passed(passed(world(), 4, NO(A), 0), 4, NF(B), 0);
        assert_eq!(passed(other, 5, NF(A), 0).found(), NOTHING);
        let fast = passed(passed(world(), 4, FF(A), 0), 4, FI, 4);
        assert_eq!(fast.found(), NOTHING, "whoever sent FF keeps FI");
        assert_eq!(passed(passed(world(), 4, NO(A), 0), 4, FI, 4).found().len(), 1);
    }

    /// Slot 4 is final at node 0, slots 5 and 6 are skipped, and it has voted up to slot 16.
    fn stuck() -> World {
        let world = passed(passed(world(), 4, NO(A), 0), 4, FI, 0);
        let world = world.finalized(0, block(4, A), Slow);
        let world = passed(passed(world, 5, SK, 0), 6, SK, 0);
        [4, 5, 9, 16].into_iter().fold(world, |world, slot| world.said(0, slot, Skip)).later()
    }

    fn skip(slot: u64) -> CertificateId {
        CertificateId::new(Slot(slot), SK)
    }

    /// Sends what it announces, and the proof of slot 4.
    fn says(world: World, certificates: &[u64], votes: &[u64], proof: bool) -> World {
        let message = FinalityProof::Slow {
            notar: world.certificate(4, NO(A), &THREE, &[]),
            last: world.certificate(4, FI, &THREE, &[]),
        };
        let world = if proof { world.sent(0, &Message::Proof(message)) } else { world };
        let world = certificates.iter().fold(world, |world, slot| {
            let message = Message::Certificate(world.certificate(*slot, SK, &THREE, &[]));
            world.sent(0, &message)
        });
        let world = votes.iter().fold(world, |world, slot| {
            let message = Message::Vote(world.signed(0, *slot, Skip));
            world.sent(0, &message)
        });
        announces(world, certificates, votes)
    }

    fn announces(world: World, certificates: &[u64], votes: &[u64]) -> World {
        let certificates = certificates.iter().map(|slot| skip(*slot)).collect();
        let votes = votes.iter().map(|slot| vote(*slot, Skip)).collect();
        world.event(0, Event::Standstill { highest: Slot(4), certificates, votes })
    }

    /// The vote in slot 5 is settled and old; the one in slot 9 is open.
    #[test]
    fn the_whole_bundle() {
        assert_eq!(says(stuck(), &[5, 6], &[9, 16], true).found(), NOTHING);
        let new = says(stuck().said(0, 20, Skip), &[5, 6], &[9, 16, 20], true);
        assert_eq!(new.found(), NOTHING);
        let nothing =
            Event::Standstill { highest: Slot(0), certificates: [].into(), votes: [].into() };
        assert_eq!(world().event(0, nothing).found(), NOTHING, "genesis needs no proof");
    }

    #[test]
    fn too_little_and_too_much() {
        let found = |certificates: &[u64], votes: &[u64]| {
            let found = says(stuck(), certificates, votes, true).found();
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        let again = "again at a standstill";
        assert_eq!(
            found(&[5], &[9, 16]),
            format!("O37: n0 does not say Certificate(SK[6]) {again}")
        );
        assert_eq!(found(&[5, 6], &[16]), format!("O37: n0 does not say Vote(S(9)) {again}"));
        let settled = found(&[5, 6], &[5, 9, 16]);
        assert_eq!(settled, format!("O37: n0 says Vote(S(5)) {again}, which is not due"));
    }

    /// Certificates come back with the next start; votes of a lost log never do.
    #[test]
    fn a_lost_log() {
        let world = || stuck().crash(0).log_lost(0, &[block(4, A)]).start(0).later();
        let certified = |world| passed(passed(world, 5, SK, 0), 6, SK, 0).later();
        assert_eq!(says(certified(world()), &[5, 6], &[], true).found(), NOTHING);
        let silent = says(certified(world()), &[5], &[], true).found();
        assert_eq!(silent, ["O37: n0 does not say Certificate(SK[6]) again at a standstill"]);
    }

    #[test]
    fn announced_and_not_sent() {
        let found = announces(stuck(), &[5, 6], &[9, 16]).found();
        assert_eq!(found.len(), 1, "{found:?}");
        let unproved = says(stuck(), &[5, 6], &[9, 16], false).found();
        assert_eq!(unproved, ["O37: n0 announced Proof(s4) at a standstill, but sent it not"]);
    }

    /// More than fits: the rest follows at the next standstill.
    #[test]
    fn a_bundle_in_two_parts() {
        let slots: Vec<u64> = (8..308).collect();
        let world = || slots.iter().fold(world(), |world, slot| world.said(0, *slot, Skip)).later();
        let part = |world: World, slots: &[u64]| {
            let world = slots.iter().fold(world, |world, slot| {
                let message = Message::Vote(world.signed(0, *slot, Skip));
                world.sent(0, &message)
            });
            let votes = slots.iter().map(|slot| vote(*slot, Skip)).collect();
            let highest = Slot(0);
            world.event(0, Event::Standstill { highest, certificates: [].into(), votes }).later()
        };
        assert_eq!(part(part(world(), &slots[..255]), &slots[255..]).found(), NOTHING);
        let gap = part(part(world(), &slots[..255]), &slots[256..]).found();
        assert_eq!(gap, ["O37: n0 does not say Vote(S(263)) again at a standstill"]);
        assert_eq!(part(world(), &slots[1..256]).found().len(), 1, "not from the start");
    }
}
