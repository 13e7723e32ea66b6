//! Measurements of a run: how slots ended, how fast, what happened to transactions.
//!
//! Nothing here judges; the report prints it and the gates of a plan compare it. Times are world
//! time in nanoseconds. What several nodes see is counted once, by the earliest honest node,
//! except latencies, which are per node.

use crate::oracles::{Context, Fact, Scene};
use crate::plan::{Recovery, is_probe};
use alpenglow_node::protocol::block::TransactionId;
use alpenglow_node::protocol::event::{Event, Origin, Standing};
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind};
use alpenglow_node::protocol::wire::Reject;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a slot ended, by the earliest honest decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotEnd {
    /// A final block, by this way.
    Finalized(Mode),
    /// Skipped, by certificate or by finality.
    Skipped,
}

/// The recovery after one heal, as measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What healed.
    pub label: String,
    /// When.
    pub healed_at_ns: u64,
    /// The highest slot finalized anywhere before.
    pub before: Slot,
    /// The first higher slot that was finalized afterwards, and when.
    pub first: Option<(Slot, u64)>,
    /// When every live honest node had delivered it.
    pub caught_up_ns: Option<u64>,
    /// The heal has happened.
    pub begun: bool,
    /// How long the first finalization may take, worked out from the causes; `None` if nothing is
    /// promised.
    pub bound_ns: Option<u64>,
}

impl Recovered {
    fn of(recovery: Recovery) -> Recovered {
        Recovered {
            label: recovery.label,
            healed_at_ns: recovery.at.0,
            before: Slot(0),
            first: None,
            caught_up_ns: None,
            begun: false,
            bound_ns: None,
        }
    }
}

const MINUTE: u64 = 60_000_000_000;

/// Everything measured.
#[derive(Debug)]
pub struct Measure {
    /// How slots ended.
    pub slots: BTreeMap<Slot, SlotEnd>,
    /// Highest slot with a ParentReady anywhere.
    pub highest_ready: Slot,
    /// From the last shred leaving its leader to finalization, per (honest node, block).
    pub finalization_ns: Vec<u64>,
    /// From submission to delivery at the entry node.
    pub transaction_ns: Vec<u64>,
    /// Transactions handed to nodes.
    pub submitted: u64,
    /// Of these, delivered somewhere.
    pub finalized: u64,
    /// Of these, given up by their entry node.
    pub expired: u64,
    /// Pairs (transaction, honest node): delivered elsewhere, passed over here.
    pub lost: u64,
    /// Situations reached, by name.
    pub probes: BTreeMap<&'static str, u64>,
    /// Recoveries, in the order of the heals.
    pub recoveries: Vec<Recovered>,
    /// Input dropped by honest nodes, by reason.
    pub rejected: BTreeMap<Reject, u64>,
    /// By virtual minute, the most that any node held of Pool entries, blocks, transactions and
    /// repair requests.
    pub peak_sizes: BTreeMap<u64, [u32; 4]>,
    left: BTreeMap<Slot, u64>,
    seen: BTreeSet<(BlockId, NodeId)>,
    chain: BTreeMap<Slot, Arc<[TransactionId]>>,
    tips: Vec<Slot>,
    pending: BTreeMap<TransactionId, (NodeId, u64)>,
    highest_final: Slot,
    epoch_slots: u64,
}

impl Measure {
    /// Before the first event.
    pub fn new(scene: &Scene) -> Measure {
        Measure {
            slots: BTreeMap::new(),
            highest_ready: Slot(0),
            finalization_ns: Vec::new(),
            transaction_ns: Vec::new(),
            submitted: 0,
            finalized: 0,
            expired: 0,
            lost: 0,
            probes: BTreeMap::new(),
            recoveries: scene
                .budget
                .recoveries(&scene.plan)
                .into_iter()
                .map(Recovered::of)
                .collect(),
            rejected: BTreeMap::new(),
            peak_sizes: BTreeMap::new(),
            left: BTreeMap::new(),
            seen: BTreeSet::new(),
            chain: BTreeMap::new(),
            tips: vec![Slot(0); scene.stakes.len()],
            pending: BTreeMap::new(),
            highest_final: Slot(0),
            epoch_slots: scene.params.epoch_slots,
        }
    }

    /// Counts a situation of the catalogue.
    pub fn probe(&mut self, name: &'static str) {
        let hits = self.probes.entry(name).or_insert_with(|| {
            assert!(is_probe(name), "{name} is not in the catalogue: plan/probe.rs");
            0
        });
        *hits += 1;
    }

    /// A client hands a transaction to a node.
    pub fn submitted(&mut self, at_ns: u64, node: NodeId, id: TransactionId) {
        self.submitted += 1;
        self.pending.insert(id, (node, at_ns));
    }

    /// The recovery with this number begins: it is measured from now.
    pub fn healed(&mut self, recovery: usize) {
        let recovered = &mut self.recoveries[recovery];
        (recovered.begun, recovered.before) = (true, self.highest_final);
    }

    /// The highest slot that any honest node has finalized.
    pub fn highest_final(&self) -> Slot {
        self.highest_final
    }

    /// Takes one fact about a correct node.
    pub fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>) {
        match fact {
            Fact::Event(event) => self.event(cx, node, event),
            Fact::Started(incarnation) if incarnation > 1 => {
                self.probe("restart");
                if cx.scene.committee.leader(self.highest_ready.window()) == node {
                    self.probe("restart-as-leader");
                }
            }
            Fact::Crashed => {
                let mut correct = cx.history.correct(cx.scene);
                if correct.all(|(_, about)| !about.up) {
                    self.probe("all-down");
                }
            }
            // Durable, and not said before the power failed: it was between the two.
            Fact::Image(..) if !cx.history.news.cast.is_empty() => {
                self.probe("vote-durable-unsent");
            }
            // What is gone from its disk is delivered again.
            Fact::LogLost(ledger) => {
                self.tips[node.index()] = ledger.last().map_or(Slot(0), |block| block.slot);
            }
            _ => {}
        }
    }

    fn event(&mut self, cx: &Context<'_>, node: NodeId, event: &Event) {
        match event {
            Event::SliceSigned { slot, last: true, .. } => {
                self.left.insert(*slot, cx.at_ns);
            }
            Event::Finalized(block, mode) => self.finalized(cx, node, *block, *mode),
            Event::SkippedByFinality(slot) => {
                self.slots.entry(*slot).or_insert(SlotEnd::Skipped);
            }
            Event::CertificateAdded { certificate, .. } => {
                let name = match certificate.id.kind {
                    CertificateKind::FastFinal(_) => "fast-finalization",
                    CertificateKind::Notar(_) => "notarization",
                    CertificateKind::NotarFallback(_) => "notar-fallback-certificate",
                    CertificateKind::Skip => "skip-certificate",
                    CertificateKind::Final => "final-certificate",
                };
                self.probe(name);
                if certificate.id.kind == CertificateKind::Skip {
                    self.slots.entry(certificate.id.slot).or_insert(SlotEnd::Skipped);
                }
                self.together(cx, node, certificate.id.slot);
            }
            Event::ParentReady(slot, _) => self.highest_ready = self.highest_ready.max(*slot),
            Event::SafeToNotar(_) => self.probe("safe-to-notar"),
            Event::SafeToSkip(_) => self.probe("safe-to-skip"),
            Event::Standstill { .. } => self.probe("standstill"),
            Event::RepairEnded(_, true) => self.probe("repair"),
            Event::RepairEnded(_, false) => self.probe("repair-abandoned"),
            Event::ParentSwitched(..) => self.probe("parent-switch"),
            Event::ProductionStarted { optimistic: true, .. } => self.probe("optimistic-handover"),
            Event::CatchUp(_) => self.probe("catch-up"),
            Event::Standing(Standing::Observing) => self.probe("observing"),
            Event::Equivocation(_) => self.probe("equivocation-seen"),
            Event::Offence(..) => self.probe("offence-seen"),
            Event::Contradiction(_) => self.probe("contradiction-seen"),
            Event::TimeoutCrashed(_) | Event::Timeout(_) => self.probe("timeout"),
            Event::BlockStored { origin: Origin::Store, .. } => self.probe("block-from-store"),
            Event::Rejected(_, reason) => {
                *self.rejected.entry(*reason).or_default() += 1;
            }
            Event::Sizes { pool, blocks, transactions, requests } => {
                let minute = cx.at_ns / MINUTE;
                let peaks = self.peak_sizes.entry(minute).or_default();
                for (peak, size) in peaks.iter_mut().zip([pool, blocks, transactions, requests]) {
                    *peak = (*peak).max(*size);
                }
            }
            Event::TransactionExpired(_) => {
                self.expired += 1;
                self.probe("transaction-expired");
            }
            Event::Delivered { block, transactions, .. } => {
                self.delivered(cx, node, block.slot, transactions);
            }
            _ => {}
        }
    }

    /// What one Pool holds of one slot, now that it has taken another certificate of it.
    fn together(&mut self, cx: &Context<'_>, node: NodeId, slot: Slot) {
        let held = &cx.history.of(node).certificates;
        let low = CertificateId::new(slot, CertificateKind::FastFinal(Default::default()));
        let held = held.range(low..).map(|(id, _)| *id).take_while(|id| id.slot == slot);
        let (mut first, mut two, mut skipped) = (None, false, false);
        for id in held {
            skipped |= id.kind == CertificateKind::Skip;
            if let Some(block) = id.block() {
                two |= *first.get_or_insert(block) != block;
            }
        }
        if two {
            self.probe("two-certified-blocks");
        }
        if skipped && first.is_some() {
            self.probe("certified-and-skipped");
        }
    }

    fn finalized(&mut self, cx: &Context<'_>, node: NodeId, block: BlockId, mode: Mode) {
        self.slots.entry(block.slot).or_insert(SlotEnd::Finalized(mode));
        match mode {
            Mode::Fast => {}
            Mode::Slow => self.probe("slow-finalization"),
            Mode::Indirect => self.probe("indirect-finalization"),
        }
        if self.seen.insert((block, node))
            && let Some(left) = self.left.get(&block.slot)
        {
            self.finalization_ns.push(cx.at_ns.saturating_sub(*left));
        }
        if block.slot > self.highest_final {
            if block.slot.0 / self.epoch_slots > self.highest_final.0 / self.epoch_slots {
                self.probe("epoch-end");
            }
            self.highest_final = block.slot;
            for recovery in self.recoveries.iter_mut().filter(|r| r.begun && r.first.is_none()) {
                recovery.first = Some((block.slot, cx.at_ns));
            }
        }
    }

    fn delivered(
        &mut self,
        cx: &Context<'_>,
        node: NodeId,
        slot: Slot,
        transactions: &Arc<[TransactionId]>,
    ) {
        let from = std::mem::replace(&mut self.tips[node.index()], slot);
        // Slots that others delivered and this node passed over.
        for (_, theirs) in self.chain.range(from.next()..slot) {
            self.lost += theirs.len() as u64;
        }
        match self.chain.get(&slot) {
            Some(theirs) => {
                let differs = |i: &usize| theirs.get(*i) != transactions.get(*i);
                let longer = theirs.len().max(transactions.len());
                self.lost += (0..longer).filter(differs).count() as u64;
            }
            None => {
                let passed =
                    self.tips.iter().zip(&cx.scene.correct).filter(|(t, c)| **c && **t > slot);
                self.lost += (passed.count() * transactions.len()) as u64;
                self.chain.insert(slot, transactions.clone());
                self.finalized += transactions.len() as u64;
            }
        }
        for id in transactions.iter() {
            if let Some((entry, at_ns)) = self.pending.get(id)
                && *entry == node
            {
                self.transaction_ns.push(cx.at_ns - at_ns);
                self.pending.remove(id);
            }
        }
        self.check_caught_up(cx);
    }

    fn check_caught_up(&mut self, cx: &Context<'_>) {
        let live = |(tip, about): (&Slot, &crate::oracles::history::NodeHistory)| {
            (about.up && !about.paused).then_some(*tip)
        };
        let lowest = self
            .tips
            .iter()
            .zip(&cx.history.nodes)
            .zip(&cx.scene.correct)
            .filter(|(_, correct)| **correct)
            .filter_map(|(pair, _)| live(pair))
            .min();
        for recovery in self.recoveries.iter_mut().filter(|r| r.caught_up_ns.is_none()) {
            if let (Some((slot, _)), Some(lowest)) = (recovery.first, lowest)
                && lowest >= slot
            {
                recovery.caught_up_ns = Some(cx.at_ns);
            }
        }
        let oldest = Slot(lowest.unwrap_or_default().0.saturating_sub(256));
        self.seen = self.seen.split_off(&(BlockId::new(oldest, Default::default()), NodeId(0)));
        self.left = self.left.split_off(&oldest);
    }

    /// Ends the run.
    pub fn finish(&mut self) {
        self.finalization_ns.sort_unstable();
        self.transaction_ns.sort_unstable();
    }
}

/// The value that `percent` of a sorted list do not exceed (nearest rank).
pub fn percentile(sorted: &[u64], percent: u64) -> Option<u64> {
    let rank = (sorted.len() as u64 * percent).div_ceil(100).max(1);
    sorted.get(rank as usize - 1).copied()
}
