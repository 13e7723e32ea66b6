//! A cluster in memory: real protocols, the null scheme, one queue of things to come.
//!
//! It is a host in a hundred lines: it signs, keeps a disk, holds back what waits for the disk,
//! and carries bytes. What every host must be able to rely on is asserted here at each effect, in
//! every scenario: a vote or an own shred leaves only when its record is durable, a delivered block
//! has its proof and links to the one before, and one identity, over all its incarnations, never
//! says two things that contradict each other.

use super::super::*;
use crate::protocol::block::{Block, Commitment};
use crate::protocol::certificate::{Certificate, FinalityProof};
use crate::protocol::committee::tests::{genesis, secrets};
use crate::protocol::params::Params;
use crate::protocol::vote::VoteKind;
use crate::protocol::wire::{Signed, Unsigned, own, verify};
use crate::protocol::{Query, Record, Stored};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a message takes; `None` if it is lost.
pub(super) type Net = Box<dyn FnMut(Time, NodeId, NodeId, &Message) -> Option<Duration>>;

/// Milliseconds.
pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A point in virtual time, in milliseconds from the cluster's start.
pub(super) fn at(n: u64) -> Time {
    Time(0) + ms(n)
}

/// What a node has durably written.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) votes: Vec<Vote>,
    pub(super) produced: Option<Slot>,
    pub(super) chain: Vec<BlockId>,
    pub(super) blocks: BTreeMap<BlockId, Arc<Block>>,
    pub(super) proofs: BTreeMap<Slot, FinalityProof>,
    pub(super) certificates: BTreeMap<CertificateId, Arc<Certificate>>,
}

impl Disk {
    fn write(&mut self, genesis: BlockId, record: Record) {
        match record {
            Record::Vote(vote) => {
                assert!(!self.votes.contains(&vote), "{vote:?} is logged twice");
                // Whoever makes a block final must be able to hand it out after a crash (10.3).
                let held = vote.block().is_none_or(|block| self.blocks.contains_key(&block));
                assert!(held, "{vote:?} without the block");
                self.votes.push(vote);
            }
            Record::Produced(slot) => self.produced = self.produced.max(Some(slot)),
            Record::Block(block) => {
                self.blocks.insert(block.id(), block);
            }
            Record::Delivered(id) => {
                let block = self.blocks.get(&id).expect("a delivered block is stored");
                let before = self.chain.last().copied().unwrap_or(genesis);
                assert_eq!(block.parent(), before, "{id} does not follow the chain");
                assert!(self.proofs.range(id.slot..).next().is_some(), "{id} without a proof");
                self.chain.push(id);
            }
            Record::Proof(proof) => {
                self.proofs.insert(proof.slot(), proof);
            }
            Record::Certificate(certificate) => {
                self.certificates.insert(certificate.id, certificate);
            }
        }
    }

    /// What a host hands to a new incarnation.
    pub(super) fn restored(&self) -> Restored {
        let tip = self.chain.last().copied();
        let root = tip.map_or(Slot(0), |tip| tip.slot);
        let oldest = root.0.saturating_sub(TRANSACTION_LIFETIME_SLOTS);
        let recent = self.chain.iter().filter(|id| id.slot.0 >= oldest);
        Restored {
            intact: true,
            votes: self.votes.clone(),
            produced: self.produced,
            tip,
            recent: recent.map(|id| self.blocks[id].clone()).collect(),
            candidates: self.blocks.values().filter(|b| b.id().slot > root).cloned().collect(),
            proofs: self.proofs.values().rev().take(8).rev().cloned().collect(),
            certificates: self
                .certificates
                .values()
                .filter(|certificate| certificate.id.slot > root)
                .cloned()
                .collect(),
        }
    }
}

/// One validator, over all its incarnations.
#[derive(Default)]
pub(super) struct Node {
    /// The running incarnation.
    pub(super) protocol: Option<Protocol>,
    pub(super) disk: Disk,
    pub(super) events: Vec<(Time, Event)>,
    /// Effects carried out so far, over all incarnations.
    pub(super) effects: u64,
    /// Crash before the effect with this number.
    pub(super) crash_at: Option<u64>,
    /// Transactions executed, by block, in order of delivery.
    pub(super) executed: Vec<(BlockId, Arc<[TransactionId]>)>,
    /// The vote log opens as lost.
    pub(super) log_lost: bool,
    /// Everything it sent: when, whom, what.
    pub(super) sent: Vec<(Time, Recipients, Message)>,
    incarnation: u32,
    /// Records that go with the next commit.
    notes: Vec<Record>,
    commits: VecDeque<(Token, Vec<Record>)>,
    durable: Token,
    held: BTreeMap<Token, Vec<Effect>>,
    commitments: BTreeMap<(Slot, u8), Commitment>,
    failed: bool,
}

enum What {
    Bytes(NodeId, Bytes),
    Timer(Timer),
    Durable,
    Load(Query),
    Restart,
}

/// All validators and everything under way between them.
pub(super) struct Cluster {
    pub(super) committee: Arc<Committee>,
    pub(super) nodes: Vec<Node>,
    pub(super) now: Time,
    pub(super) net: Net,
    /// When the cluster starts, on everybody's clock.
    pub(super) start: Time,
    /// Time that a commit takes.
    pub(super) disk: Duration,
    /// Time that a crashed node is down if it crashes by `crash_at`.
    pub(super) down: Duration,
    /// A crash keeps commits that were not acknowledged yet.
    pub(super) lucky: bool,
    queue: BTreeMap<(Time, u64), (NodeId, u32, What)>,
    order: u64,
}

/// Every message takes 20 ms.
pub(super) fn perfect() -> Net {
    Box::new(|_, _, _, _| Some(ms(20)))
}

impl Cluster {
    /// Validators with these stakes; nobody runs yet.
    pub(super) fn new(stakes: &[u64], params: Params) -> Cluster {
        let genesis = crate::protocol::committee::Genesis { params, ..genesis(stakes) };
        Cluster {
            committee: Arc::new(Committee::new(&genesis).unwrap()),
            nodes: stakes.iter().map(|_| Node::default()).collect(),
            now: Time(0),
            net: perfect(),
            start: Time(0),
            disk: ms(1),
            down: ms(300),
            lucky: false,
            queue: BTreeMap::new(),
            order: 0,
        }
    }

    /// All of them start at time 0, on a perfect network.
    pub(super) fn running(stakes: &[u64]) -> Cluster {
        let mut cluster = Cluster::new(stakes, quick());
        cluster.start_all();
        cluster
    }

    pub(super) fn start_all(&mut self) {
        for i in 0..self.nodes.len() as u16 {
            self.start(i);
        }
    }

    /// Starts an incarnation from what is on the disk.
    pub(super) fn start(&mut self, i: u16) {
        let now = self.now;
        let node = &mut self.nodes[usize::from(i)];
        assert!(node.protocol.is_none());
        node.incarnation += 1;
        let mut restored = node.disk.restored();
        restored.intact = !node.log_lost;
        let config = Config {
            committee: self.committee.clone(),
            me: NodeId(i),
            restored,
            start: self.start,
            boot: node.incarnation,
        };
        let mut out = Vec::new();
        node.protocol = Some(Protocol::new(config, now, &mut out));
        self.work_off(NodeId(i), out, VecDeque::new());
    }

    /// Power off: what was not durable is gone (or some of it is, if the cluster is `lucky`).
    pub(super) fn crash(&mut self, i: u16) {
        let genesis = self.committee.genesis_block();
        let node = &mut self.nodes[usize::from(i)];
        node.protocol = None;
        if self.lucky {
            for (_, records) in std::mem::take(&mut node.commits) {
                records.into_iter().for_each(|record| node.disk.write(genesis, record));
            }
        }
        node.notes.clear();
        node.commits.clear();
        node.held.clear();
        node.durable = Token(0);
    }

    /// The disk of the node stops working.
    pub(super) fn fail_disk(&mut self, i: u16) {
        self.nodes[usize::from(i)].failed = true;
        self.input(NodeId(i), Input::StorageFailed);
    }

    pub(super) fn node(&self, i: u16) -> &Protocol {
        self.nodes[usize::from(i)].protocol.as_ref().expect("it runs")
    }

    fn later(&mut self, at: Time, node: NodeId, what: What) {
        let incarnation = match what {
            What::Bytes(..) | What::Restart => 0,
            _ => self.nodes[node.index()].incarnation,
        };
        self.order += 1;
        self.queue.insert((at.max(self.now), self.order), (node, incarnation, what));
    }

    /// Gives an input to a running node now.
    pub(super) fn input(&mut self, to: NodeId, input: Input) {
        self.work_off(to, Vec::new(), VecDeque::from([input]));
    }

    /// Bytes reach a node now.
    pub(super) fn receive(&mut self, from: NodeId, to: NodeId, bytes: &[u8]) {
        let node = self.nodes[to.index()].protocol.as_ref();
        let Some(node) = node else { return };
        let checked = node.precheck(from, bytes).and_then(|claim| verify(&self.committee, claim));
        let input = match checked {
            Ok(message) => Input::Message { from, message },
            Err(reason) => Input::Dropped { from, reason },
        };
        self.input(to, input);
    }

    fn work_off(&mut self, me: NodeId, first: Vec<Effect>, mut inputs: VecDeque<Input>) {
        self.carry_out(me, first, &mut inputs);
        while let Some(input) = inputs.pop_front() {
            let now = self.now;
            let node = &mut self.nodes[me.index()];
            let mut out = Vec::new();
            if let Input::Persisted(token) = input {
                let later = node.held.split_off(&Token(token.0 + 1));
                out.extend(std::mem::replace(&mut node.held, later).into_values().flatten());
                node.durable = token;
                self.carry_out(me, std::mem::take(&mut out), &mut inputs);
            }
            let Some(protocol) = &mut self.nodes[me.index()].protocol else { return };
            protocol.step(now, input, &mut out);
            self.carry_out(me, out, &mut inputs);
        }
    }

    fn carry_out(&mut self, me: NodeId, effects: Vec<Effect>, inputs: &mut VecDeque<Input>) {
        for effect in effects {
            let node = &mut self.nodes[me.index()];
            if node.protocol.is_none() {
                return;
            }
            let after = match &effect {
                Effect::Send { after, .. } | Effect::Observe { after, .. } => *after,
                Effect::Deliver { after, .. } => Some(*after),
                _ => None,
            };
            if let Some(token) = after.filter(|token| *token > node.durable) {
                node.held.entry(token).or_default().push(effect);
                continue;
            }
            if node.crash_at == Some(node.effects) {
                node.crash_at = None;
                self.crash(me.0);
                inputs.clear();
                self.later(self.now + self.down, me, What::Restart);
                return;
            }
            node.effects += 1;
            match effect {
                Effect::Sign { token, object } => {
                    let signed = sign(&self.committee, me, object);
                    inputs.push_back(Input::Signed { token, signed: own(signed) });
                }
                Effect::Note(record) => node.notes.push(record),
                Effect::Persist { token, records } => {
                    let mut all = std::mem::take(&mut node.notes);
                    all.extend(records);
                    node.commits.push_back((token, all));
                    self.later(self.now + self.disk, me, What::Durable);
                }
                Effect::Send { to, message, .. } => self.send(me, to, message),
                Effect::SetTimer(timer, at) => self.later(at, me, What::Timer(timer)),
                Effect::Load(query) => self.later(self.now + self.disk, me, What::Load(query)),
                Effect::Deliver { block, transactions, .. } => {
                    assert!(node.disk.chain.contains(&block.id()), "delivered, not durable");
                    node.executed.push((block.id(), transactions));
                }
                Effect::Observe { event, .. } => node.events.push((self.now, event)),
            }
        }
    }

    fn send(&mut self, me: NodeId, to: Recipients, message: Message) {
        self.check_sent(me, &message);
        let bytes = message.encode();
        for &peer in to.as_slice() {
            assert_ne!(peer, me, "a node sends to itself: {message:?}");
            if let Some(delay) = (self.net)(self.now, me, peer, &message) {
                self.later(self.now + delay, peer, What::Bytes(me, bytes.clone()));
            }
        }
        self.nodes[me.index()].sent.push((self.now, to, message));
    }

    /// What must be durable before what leaves (10.3), and never two commitments for a place.
    fn check_sent(&mut self, me: NodeId, message: &Message) {
        let node = &mut self.nodes[me.index()];
        match message {
            Message::Vote(vote) => {
                assert_eq!(vote.signer, me, "votes of others are not passed on");
                assert!(
                    node.disk.votes.contains(&vote.vote),
                    "{vote:?} is sent before it is durable"
                );
            }
            Message::Shred(shred) => {
                let commitment = shred.commitment;
                if self.committee.leader(commitment.slot.window()) == me {
                    assert!(node.disk.produced >= Some(commitment.slot), "{commitment:?}");
                    let place = (commitment.slot, commitment.slice);
                    let known = *node.commitments.entry(place).or_insert(commitment);
                    assert_eq!(known, commitment, "the leader contradicts itself");
                }
            }
            _ => {}
        }
    }

    /// Handles the next thing in the queue, if it comes no later than `end`.
    fn next(&mut self, end: Time) -> bool {
        let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = entry.key().0;
        let (to, incarnation, what) = entry.remove();
        if let What::Restart = what {
            self.start(to.0);
            return true;
        }
        let genesis = self.committee.genesis_block();
        let node = &mut self.nodes[to.index()];
        if node.protocol.is_none() || (incarnation != 0 && incarnation != node.incarnation) {
            return true;
        }
        match what {
            What::Bytes(from, bytes) => self.receive(from, to, &bytes),
            What::Timer(timer) => self.input(to, Input::Timer(timer)),
            What::Durable if node.failed => {}
            What::Durable => {
                let (token, records) = node.commits.pop_front().expect("one event per commit");
                records.into_iter().for_each(|record| node.disk.write(genesis, record));
                self.input(to, Input::Persisted(token));
            }
            What::Load(query) => {
                let stored = match query {
                    Query::Block(id) => Stored::Block(node.disk.blocks.get(&id).cloned()),
                    Query::Proofs(from) => {
                        let proofs = node.disk.proofs.range(from..).take(32);
                        Stored::Proofs(proofs.map(|(_, proof)| proof.clone()).collect())
                    }
                };
                self.input(to, Input::Loaded(query, stored));
            }
            What::Restart => unreachable!("handled above"),
        }
        true
    }

    /// Lets everything happen up to this time.
    pub(super) fn run_to(&mut self, end: Time) {
        while self.next(end) {}
    }

    /// Runs until it holds; fails if it does not by `end`.
    pub(super) fn run_until(&mut self, end: Time, what: &str, holds: impl Fn(&Cluster) -> bool) {
        let mut looked = self.now;
        while !(self.now >= looked && holds(self)) {
            // Looking is not free: once per 5 ms of virtual time.
            looked = self.now + ms(5);
            while self.now < looked && self.now < end {
                let step = looked.min(end);
                self.run_to(step);
            }
            assert!(self.now < end, "not by {end:?}: {what}; {}", self.state());
        }
    }

    /// Where everybody stands, for messages.
    pub(super) fn state(&self) -> String {
        let one = |(i, node): (usize, &Node)| match &node.protocol {
            Some(p) => {
                let finality = p.consensus().pool().finality();
                format!("{i}: root {} highest {}", finality.root(), finality.highest())
            }
            None => format!("{i}: down"),
        };
        self.nodes.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The durably delivered tip of a node.
    pub(super) fn tip(&self, i: u16) -> Slot {
        self.nodes[usize::from(i)].disk.chain.last().map_or(Slot(0), |tip| tip.slot)
    }

    /// True if these nodes have all delivered a block of this slot or a later one.
    pub(super) fn all_past(&self, nodes: impl IntoIterator<Item = u16>, slot: u64) -> bool {
        nodes.into_iter().all(|i| self.tip(i) >= Slot(slot))
    }

    /// What must hold at the end of every scenario: one chain, legal votes, one execution, and
    /// nobody accused.
    pub(super) fn check(&self) {
        self.check_except(|_| false);
    }

    /// The same, but these accusations are true.
    pub(super) fn check_except(&self, deserved: impl Fn(&Event) -> bool) {
        let longest = self.nodes.iter().map(|n| &n.disk.chain).max_by_key(|c| c.len()).unwrap();
        let mut executed: BTreeMap<BlockId, &Arc<[TransactionId]>> = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            assert!(longest.starts_with(&node.disk.chain), "the chain of {i} forks");
            legal(i, &node.disk.votes);
            let mut once = BTreeSet::new();
            for (block, transactions) in &node.executed {
                let known = executed.entry(*block).or_insert(transactions);
                assert_eq!(known, &transactions, "{i} executes {block} differently");
                assert!(transactions.iter().all(|id| once.insert(*id)), "{i} executes twice");
            }
            for (_, event) in &node.events {
                let offended = matches!(
                    event,
                    Event::Offence(..) | Event::Equivocation(_) | Event::Contradiction(_)
                );
                assert!(!offended || deserved(event), "{i} accuses the honest: {event:?}");
            }
        }
    }

    /// Everything a node observed.
    pub(super) fn events(&self, i: u16) -> impl Iterator<Item = &Event> {
        self.nodes[usize::from(i)].events.iter().map(|(_, event)| event)
    }
}

/// 5.1: the vote log of one identity, in order, holds nothing but the legal sets.
fn legal(node: usize, log: &[Vote]) {
    let mut slots: BTreeMap<Slot, Vec<VoteKind>> = BTreeMap::new();
    for vote in log {
        slots.entry(vote.slot).or_default().push(vote.kind);
    }
    for (slot, kinds) in slots {
        let what = format!("node {node}, slot {slot}: {kinds:?}");
        let (first, rest) = kinds.split_first().unwrap();
        let fallbacks: Vec<_> = rest
            .iter()
            .filter_map(|kind| match kind {
                VoteKind::NotarFallback(hash) => Some(*hash),
                _ => None,
            })
            .collect();
        match first {
            VoteKind::Notar(hash) => {
                let last = rest.contains(&VoteKind::Final);
                assert!(!last || rest.len() == 1, "{what}");
                assert!(fallbacks.len() <= 2 && !fallbacks.contains(hash), "{what}");
                let skips = rest.iter().filter(|k| **k == VoteKind::SkipFallback).count();
                assert_eq!(skips + fallbacks.len() + usize::from(last), rest.len(), "{what}");
                assert!(skips <= 1, "{what}");
            }
            VoteKind::Skip => assert!(fallbacks.len() == rest.len() && rest.len() <= 3, "{what}"),
            _ => panic!("no initial vote first: {what}"),
        }
    }
}

fn sign(committee: &Committee, me: NodeId, object: Unsigned) -> Signed {
    let (vote_key, slice_key, _) = secrets(me.0);
    match object {
        Unsigned::Vote(vote) => {
            let signature = vote_key.sign(&committee.vote_bytes(&vote));
            Signed::Vote(SignedVote { vote, signer: me, signature })
        }
        Unsigned::Commitment(commitment) => {
            let signature = slice_key.sign(&commitment.signed_bytes(committee));
            Signed::Commitment(commitment, signature)
        }
    }
}

/// The default figures with fewer slices in a block, so that a simulated second costs less.
pub(super) fn quick() -> Params {
    let params = Params::default();
    Params { slice_interval_ns: params.delta_block_ns, ..params }
}
