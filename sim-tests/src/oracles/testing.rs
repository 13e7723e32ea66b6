//! Worlds made by hand, to see whether an oracle bites, and whether it bites the innocent.
//!
//! A test says what happened, fact by fact, as a recorder would hear it from a run; nothing checks
//! that it could have happened. Signatures are real, so that a verifier has something to verify.
//! Time stands still except for [`World::later`] and [`World::at`].

use super::history::History;
use super::{Context, Fact, Findings, Noise, Oracle, Scene, Violation, all, safety};
use crate::plan::{Budget, Plan};
use alpenglow_node::crypto::Scheme;
use alpenglow_node::host::keys::Keys;
use alpenglow_node::protocol::block::Commitment;
use alpenglow_node::protocol::certificate::{Certificate, Part, SignedVote};
use alpenglow_node::protocol::committee::{Committee, Genesis};
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::wire::{Signed, Unsigned};
use std::sync::Arc;

pub use alpenglow_node::crypto::Hash;
pub use alpenglow_node::protocol::event::{Event, Origin};
pub use alpenglow_node::protocol::pool::Mode::{self, Fast, Indirect, Slow};
pub use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
pub use alpenglow_node::protocol::vote::CertificateKind::{
    self, FastFinal as FF, Final as FI, Notar as NO, NotarFallback as NF, Skip as SK,
};
pub use alpenglow_node::protocol::vote::VoteKind::{
    self, Final, Notar, NotarFallback, Skip, SkipFallback,
};
pub use alpenglow_node::protocol::vote::{CertificateId, Vote};
pub use alpenglow_node::protocol::wire::Message;

/// Hashes of four blocks.
pub const A: Hash = Hash([0xaa; 32]);
/// See [`A`].
pub const B: Hash = Hash([0xbb; 32]);
/// See [`A`].
pub const C: Hash = Hash([0xcc; 32]);
/// See [`A`].
pub const D: Hash = Hash([0xdd; 32]);

/// The plan of a world in which these nodes are cut off from 1 s to the heal at 2 s.
pub fn cut(nodes: &str, style: &str) -> String {
    format!(
        "[run]\nduration = \"10s\"\nheal_at = \"2s\"\n[[fault]]\nkind = \"partition\"\n\
         at = \"1s\"\nside = {{ nodes = {nodes} }}\nstyle = \"{style}\"\n"
    )
}

/// No violations.
pub const NOTHING: [&str; 0] = [];

/// A block.
pub fn block(slot: u64, hash: Hash) -> BlockId {
    BlockId::new(Slot(slot), hash)
}

/// The genesis block of every hand-made world.
pub fn genesis() -> BlockId {
    block(0, Hash([0; 32]))
}

/// A vote.
pub fn vote(slot: u64, kind: VoteKind) -> Vote {
    Vote::new(Slot(slot), kind)
}

/// A run that is told instead of simulated.
pub struct World {
    /// What is fixed.
    pub scene: Scene,
    history: History,
    oracles: Vec<Box<dyn Oracle + Send>>,
    findings: Findings,
    at_ns: u64,
    violations: Vec<Violation>,
    keys: Vec<Keys>,
    /// What the disk of each node held at its last crash.
    disks: Vec<(Vec<Vote>, Vec<BlockId>)>,
}

/// Nothing goes wrong, so that liveness is owed all the time.
pub const CALM: &str = "[run]\nduration = \"10s\"\nheal_at = \"0s\"\n";

fn scene(stakes: &[u64], keys: &[Keys], run: &str) -> Scene {
    let text = format!(
        "about = \"by hand\"\nplan_format = 1\n[cluster]\nnodes = {}\nstake = {stakes:?}\n\
         regions = {{ one-way = \"20ms\" }}\n{run}",
        stakes.len()
    );
    let plan = Plan::parse("by-hand", "by-hand.toml", &text, &[]).expect("a legal plan");
    let plan = plan.expand(0).expect("nothing is open");
    let validators = keys.iter().zip(stakes).map(|(keys, stake)| keys.validator(*stake)).collect();
    let committee = Genesis {
        cluster: Hash([7; 32]),
        start_unix_ns: 0,
        scheme: Scheme::Bls,
        params: Params::default(),
        validators,
    };
    Scene {
        stakes: stakes.to_vec(),
        total: stakes.iter().sum(),
        correct: vec![true; stakes.len()],
        params: Params::default(),
        genesis: genesis(),
        committee: Arc::new(Committee::new(&committee).expect("a legal genesis")),
        budget: Budget::of(&plan),
        plan,
    }
}

impl World {
    /// The oracles of safety watch. Every node has just started for the first time.
    pub fn new(stakes: &[u64]) -> World {
        World::planned(stakes, CALM, safety)
    }

    /// Only one oracle watches a world whose plan goes on with `run`.
    pub fn owing(id: &str, stakes: &[u64], run: &str) -> World {
        World::planned(stakes, run, all).only(id)
    }

    fn planned(
        stakes: &[u64],
        run: &str,
        oracles: impl Fn(&Scene) -> Vec<Box<dyn Oracle + Send>>,
    ) -> World {
        let seed = |node: usize| [node as u8 + 1; 32];
        let keys: Vec<Keys> =
            (0..stakes.len()).map(|node| Keys::from_seed(Scheme::Bls, &seed(node))).collect();
        let scene = scene(stakes, &keys, run);
        let world = World {
            oracles: oracles(&scene),
            history: History::new(stakes.len()),
            findings: Findings::default(),
            at_ns: 0,
            violations: Vec::new(),
            disks: vec![Default::default(); stakes.len()],
            scene,
            keys,
        };
        (0..stakes.len() as u16).fold(world, World::start)
    }

    /// Only one oracle watches.
    pub fn watched_by(id: &str, stakes: &[u64]) -> World {
        World::owing(id, stakes, CALM)
    }

    fn only(mut self, id: &str) -> World {
        self.oracles.retain(|oracle| oracle.id() == id);
        assert_eq!(self.oracles.len(), 1, "no oracle {id}");
        self
    }

    /// All but one watch.
    pub fn without(mut self, id: &str) -> World {
        self.oracles.retain(|oracle| oracle.id() != id);
        self
    }

    /// The identity lies at some time of the run.
    pub fn byzantine(mut self, node: u16) -> World {
        self.scene.correct[usize::from(node)] = false;
        self.history.nodes[usize::from(node)] = Default::default();
        self
    }

    /// Everybody has delivered so much that slots below `floor` are forgotten.
    pub fn forgotten(mut self, floor: u64) -> World {
        self.history.floor = Slot(floor);
        self
    }

    /// A moment passes.
    pub fn later(mut self) -> World {
        self.at_ns += 1_000_000;
        self
    }

    /// It is now so many milliseconds after the start.
    pub fn at(mut self, ms: u64) -> World {
        assert!(ms * 1_000_000 >= self.at_ns, "time goes on");
        self.at_ns = ms * 1_000_000;
        self
    }

    /// Something happened.
    pub fn fact(mut self, node: u16, fact: Fact<'_>) -> World {
        let node = NodeId(node);
        self.history.take(self.at_ns, node, fact);
        let cx = Context { at_ns: self.at_ns, scene: &self.scene, history: &self.history };
        let noise = Noise::of(&fact);
        for oracle in &mut self.oracles {
            // As in a run: whoever ignores what it needs does not find its bad world.
            if noise.is_none_or(|noise| !oracle.ignores(noise)) {
                oracle.observe(&cx, node, fact, &mut self.findings);
            }
        }
        self.violations.extend(self.findings.take());
        self
    }

    /// Ends the run. What was found, in order, as `id: detail`.
    pub fn found(mut self) -> Vec<String> {
        let cx = Context { at_ns: self.at_ns, scene: &self.scene, history: &self.history };
        for oracle in &mut self.oracles {
            oracle.finish(&cx, &mut self.findings);
        }
        self.violations.extend(self.findings.take());
        self.violations.iter().map(|found| format!("{}: {}", found.oracle, found.detail)).collect()
    }

    /// A node observes something.
    pub fn event(self, node: u16, event: Event) -> World {
        self.fact(node, Fact::Event(&event))
    }

    /// A node sends something to all others.
    pub fn sent(self, node: u16, message: &Message) -> World {
        let others = (0..self.keys.len() as u16).filter(|other| *other != node);
        others.fold(self, |world, to| world.fact(node, Fact::Sent(NodeId(to), message)))
    }

    /// A node sets the timers of a window, with its timeout grown so many times.
    pub fn timers(self, node: u16, first: u64, growth: u64) -> World {
        self.event(node, Event::TimersSet(Slot(first), growth))
    }

    /// A node says how much it holds, as it does now and then: time has passed.
    pub fn tick(self, node: u16) -> World {
        self.event(node, Event::Sizes { pool: 0, blocks: 0, transactions: 0, requests: 0 })
    }

    /// A node's own vote is durable and enters its Pool.
    pub fn cast(self, node: u16, slot: u64, kind: VoteKind) -> World {
        self.event(node, Event::VoteCast(vote(slot, kind))).heard(node, &[node], slot, kind)
    }

    /// As [`World::cast`], and the vote is sent.
    pub fn said(self, node: u16, slot: u64, kind: VoteKind) -> World {
        let message = Message::Vote(self.signed(node, slot, kind));
        self.cast(node, slot, kind).sent(node, &message)
    }

    /// Votes of these enter a node's Pool.
    pub fn heard(self, node: u16, voters: &[u16], slot: u64, kind: VoteKind) -> World {
        let stored = |voter: &u16| Event::VoteStored(NodeId(*voter), vote(slot, kind));
        voters.iter().fold(self, |world, voter| world.event(node, stored(voter)))
    }

    /// A certificate with these signers of its first message enters a node's Pool.
    pub fn certified(self, node: u16, slot: u64, kind: CertificateKind, by: &[u16]) -> World {
        let certificate = self.certificate(slot, kind, by, &[]);
        self.added(node, certificate)
    }

    /// A certificate enters a node's Pool.
    pub fn added(self, node: u16, certificate: Arc<Certificate>) -> World {
        self.event(node, Event::CertificateAdded { certificate, built: true })
    }

    /// A node receives a block through Rotor.
    pub fn stored(self, node: u16, block: BlockId, parent: BlockId) -> World {
        self.stored_from(Origin::Rotor, node, block, parent)
    }

    /// A node stores a block.
    pub fn stored_from(self, origin: Origin, node: u16, block: BlockId, parent: BlockId) -> World {
        self.event(node, Event::BlockStored { block, parent, origin, slices: 1, switched: false })
    }

    /// A node announces a parent.
    pub fn ready(self, node: u16, first: u64, parent: BlockId) -> World {
        self.event(node, Event::ParentReady(Slot(first), parent))
    }

    /// A block is final at a node.
    pub fn finalized(self, node: u16, block: BlockId, mode: Mode) -> World {
        self.event(node, Event::Finalized(block, mode))
    }

    /// A slot is skipped by finality at a node.
    pub fn skipped(self, node: u16, slot: u64) -> World {
        self.event(node, Event::SkippedByFinality(Slot(slot)))
    }

    /// A node delivers a block.
    pub fn out(self, node: u16, block: BlockId, parent: BlockId) -> World {
        self.event(node, Event::Delivered { block, parent, transactions: [].into() })
    }

    /// A node says everything again.
    pub fn standstill(self, node: u16, highest: u64) -> World {
        let highest = Slot(highest);
        let event = Event::Standstill { highest, certificates: [].into(), votes: [].into() };
        self.event(node, event)
    }

    /// A node loses its power. Its disk holds all that it said was durable.
    pub fn crash(self, node: u16) -> World {
        let about = self.history.of(NodeId(node));
        let slots = about.cast_in.iter();
        let votes: Vec<Vote> =
            slots.flat_map(|(s, kinds)| kinds.iter().map(|kind| Vote::new(*s, *kind))).collect();
        let ledger = about.out.clone();
        self.crash_with(node, &votes, &ledger)
    }

    /// A node loses its power. Its disk holds exactly these votes and this ledger.
    pub fn crash_with(mut self, node: u16, votes: &[Vote], ledger: &[BlockId]) -> World {
        self.disks[usize::from(node)] = (votes.to_vec(), ledger.to_vec());
        self.fact(node, Fact::Crashed).fact(node, Fact::Image(votes, ledger))
    }

    /// A node starts from what its disk holds.
    pub fn start(self, node: u16) -> World {
        let (votes, ledger) = self.disks[usize::from(node)].clone();
        let tip = ledger.last().copied().unwrap_or(genesis());
        self.start_from(node, &votes, tip, tip)
    }

    /// A node starts and says that it has reloaded this; its votes above the tip are stored again.
    pub fn start_from(self, node: u16, votes: &[Vote], tip: BlockId, highest: BlockId) -> World {
        let above = votes.iter().filter(|vote| vote.slot > tip.slot);
        let world = self.restarted(node, votes, tip, highest);
        above.fold(world, |world, vote| world.heard(node, &[node], vote.slot.0, vote.kind))
    }

    /// A node starts and says that it has reloaded this, and nothing else.
    pub fn restarted(self, node: u16, votes: &[Vote], tip: BlockId, highest: BlockId) -> World {
        let votes = votes.iter().filter(|vote| vote.slot > tip.slot).copied().collect();
        self.restarting(node).event(node, Event::Reloaded { votes, tip, highest })
    }

    /// The disk of a node that is down has lost its log, and holds this ledger.
    pub fn log_lost(mut self, node: u16, ledger: &[BlockId]) -> World {
        self.disks[usize::from(node)] = (Vec::new(), ledger.to_vec());
        self.fact(node, Fact::LogLost(ledger))
    }

    /// A node starts, and has not said anything yet.
    pub fn restarting(self, node: u16) -> World {
        let incarnation = self.history.of(NodeId(node)).incarnation + 1;
        self.fact(node, Fact::Started(incarnation))
    }

    /// The same nodes with the same keys in another cluster.
    pub fn of_cluster(mut self, cluster: Hash) -> World {
        let validators = self.keys.iter().zip(&self.scene.stakes);
        let genesis = Genesis {
            cluster,
            start_unix_ns: 0,
            scheme: Scheme::Bls,
            params: Params::default(),
            validators: validators.map(|(keys, stake)| keys.validator(*stake)).collect(),
        };
        self.scene.committee = Arc::new(Committee::new(&genesis).expect("a legal genesis"));
        self
    }

    /// A node sends a shred to another.
    pub fn shred(
        self,
        node: u16,
        to: u16,
        commitment: Commitment,
        signature: &[u8; 64],
        index: u8,
    ) -> World {
        self.fact(node, Fact::Shred { to: NodeId(to), commitment, signature, index })
    }

    /// The true signature of a node under a slice.
    pub fn signed_slice(&self, node: u16, commitment: Commitment) -> [u8; 64] {
        let keys = &self.keys[usize::from(node)];
        let object = Unsigned::Commitment(commitment);
        match keys.sign(&self.scene.committee, NodeId(node), object).into_inner() {
            Signed::Commitment(_, signature) => signature.0,
            Signed::Vote(_) => unreachable!("a slice was asked for"),
        }
    }

    /// A vote with its true signature.
    pub fn signed(&self, node: u16, slot: u64, kind: VoteKind) -> SignedVote {
        let keys = &self.keys[usize::from(node)];
        let object = Unsigned::Vote(vote(slot, kind));
        match keys.sign(&self.scene.committee, NodeId(node), object).into_inner() {
            Signed::Vote(signed) => signed,
            Signed::Commitment(..) => unreachable!("a vote was asked for"),
        }
    }

    /// A certificate with true signatures of these, whatever they did.
    pub fn certificate(
        &self,
        slot: u64,
        kind: CertificateKind,
        first: &[u16],
        fallback: &[u16],
    ) -> Arc<Certificate> {
        let (first_kind, fallback_kind) = match kind {
            FF(hash) | NO(hash) => (Notar(hash), Notar(hash)),
            NF(hash) => (Notar(hash), NotarFallback(hash)),
            SK => (Skip, SkipFallback),
            FI => (Final, Final),
        };
        let part = |kind, nodes: &[u16]| {
            let signed: Vec<_> = nodes.iter().map(|node| self.signed(*node, slot, kind)).collect();
            Part::new(self.keys.len(), signed.iter().map(|vote| (vote.signer, &vote.signature)))
        };
        let id = CertificateId::new(Slot(slot), kind);
        let (first, fallback) = (part(first_kind, first), part(fallback_kind, fallback));
        Arc::new(Certificate { id, first, fallback })
    }
}
