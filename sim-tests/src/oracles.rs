//! Oracles: what must hold in every run, checked from outside the nodes.
//!
//! The node cannot be its own judge: a wrong threshold in the product would excuse itself. So an
//! oracle sees only facts (what honest nodes observed, what left them, what their disks held) and
//! judges with its own arithmetic; of the node crate it uses plain types only. One file, one
//! property of the specification; each has a hand-made bad world that it catches.
//!
//! [`History`] is the memory that most oracles share: what each identity did over its whole life,
//! and what each incarnation knew. It draws no conclusions.
//!
//! | file | the theorem, in short | breaks if |
//! |---|---|---|
//! | `o1` `o2` `o3` `o4` | final blocks are one chain; ledgers are its prefixes | clients see two truths |
//! | `o5` `o6` `o7` `o13` | what one identity may vote in one slot | quorums stop to overlap |
//! | `o8` `o9` `o10` `o11` `o12` | what a voter must know before it votes | votes help two sides |
//! | `o14` `o15` | certificates are what their signers cast | stake is made up |
//! | `o16` `o17` `o18` `o19` | which certificates exclude each other | two blocks of a slot win |
//! | `o20` `o21` `o22` | finality is proven, backed and absorbing | a decision is taken back |
//! | `o23` `o24` | exactly the ready parents, all above what is final | a window forks off |
//! | `o25` `o26` | certified blocks fill their window, and are few | a slot is jumped over |
//! | `o27` `o28` `o30` | one block from one leader, on a ready parent | honest leaders lie |
//! | `o29` | a stored block is what its name says | peers repair from rubbish |
//! | `o31` `o32` | the vote log comes first, and comes back | a crash makes a liar |
//! | `o33` `o34` `o35` | honest nodes look honest, sign plainly, stay small | blame, exhaustion |
//! | `o36` | the order of messages does not matter (a test: `tests/confluence`) | views differ |
//! | `o37` `o38` | certificates and shreds go where they must | news dies with its holder |
//! | `o40` `o41` `o42` `o43` `o44` | windows open, slots end, one way, in time | one slot hangs |
//! | `o45` `o46` | good leaders finalize, to the nanosecond | speed is lost unnoticed |
//! | `o47` `o48` `o49` `o50` | recovery, repair, joining, quiet timers | the cluster stalls |
//!
//! How often an oracle found its premises true and judged is counted for most of the later ones
//! (`judged-O46` among the probes of a run), so that one that judges nothing is noticed.

pub mod about;
pub mod bounds;
pub mod history;
pub mod o10_notar_in_first_slot;
pub mod o11_notar_fallback;
pub mod o12_skip_fallback;
pub mod o13_fallback_count;
pub mod o14_certificates;
pub mod o15_signers;
pub mod o16_one_notarization;
pub mod o17_correct_voter;
pub mod o18_fast_final_excludes;
pub mod o19_slow_final_excludes;
pub mod o1_agreement;
pub mod o20_finality_proof;
pub mod o21_finality_stake;
pub mod o22_absorbing;
pub mod o23_parent_ready;
pub mod o24_ready_descends;
pub mod o25_window_ancestors;
pub mod o26_few_blocks;
pub mod o27_one_commitment;
pub mod o28_produced_chain;
pub mod o29_block_content;
pub mod o2_chain;
pub mod o30_one_rotor_block;
pub mod o31_durable_first;
pub mod o32_reloaded;
pub mod o33_no_accusation;
pub mod o34_signed_bytes;
pub mod o35_bounds;
pub mod o37_spreading;
pub mod o38_schedule;
pub mod o3_prefix;
pub mod o40_spread;
pub mod o41_initial_votes;
pub mod o42_slots_resolve;
pub mod o43_dichotomy;
pub mod o44_window_progress;
pub mod o45_good_windows;
pub mod o46_exact_finality;
pub mod o47_recovery;
pub mod o48_certified_is_stored;
pub mod o49_joiner;
pub mod o4_ledger;
pub mod o50_quiet;
pub mod o5_one_initial_vote;
pub mod o6_fallback_votes;
pub mod o7_final_vote;
pub mod o8_final_needs_notarization;
pub mod o9_notar_in_window;
pub mod owed;
pub mod recount;
pub mod schedule;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod verifier;
pub mod windows;

use crate::plan::{Budget, Concrete};
use alpenglow_node::protocol::block::{Commitment, Slice};
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::Vote;
use alpenglow_node::protocol::wire::Message;
use history::History;
use std::sync::Arc;

/// What a run is about: everything that is fixed before it starts.
#[derive(Debug)]
pub struct Scene {
    /// Stakes by node.
    pub stakes: Vec<u64>,
    /// Their sum.
    pub total: u64,
    /// False for identities that are byzantine at any time of the run.
    pub correct: Vec<bool>,
    /// The genesis parameters.
    pub params: Params,
    /// The genesis block.
    pub genesis: BlockId,
    /// Keys for independent signature checks, and the public schedule as data.
    pub committee: Arc<Committee>,
    /// The world as planned.
    pub plan: Concrete,
    /// What the plan promises.
    pub budget: Budget,
}

/// Something that happened, as the harness saw it.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// The node observed it itself.
    Event(&'a Event),
    /// The node handed this to the network, for this receiver.
    Sent(NodeId, &'a Message),
    /// The node handed a shred to the network. Told only to oracles that ask for it.
    Shred {
        /// The receiver.
        to: NodeId,
        /// The slice.
        commitment: Commitment,
        /// The leader's signature over it.
        signature: &'a [u8; 64],
        /// Which piece.
        index: u8,
    },
    /// The node writes a block to its store.
    Wrote {
        /// Its name.
        block: BlockId,
        /// Its effective parent.
        parent: BlockId,
        /// What it consists of.
        slices: &'a [Slice],
    },
    /// An incarnation starts, counted from 1.
    Started(u32),
    /// The node lost its power.
    Crashed,
    /// The node stands still, or goes on.
    Paused(bool),
    /// What the disk holds after a crash, told before the next start: the vote log, and the ledger
    /// in order.
    Image(&'a [Vote], &'a [BlockId]),
    /// The same for a disk that was lost or has rotted: the vote log is not whole, and the ledger
    /// is what is left of it, in order. The identity must never vote again (10.4).
    LogLost(&'a [BlockId]),
}

/// A broken property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which oracle: its id in the specification, such as `O5`.
    pub oracle: &'static str,
    /// When, in world time.
    pub at_ns: u64,
    /// The slot that it is about, if one.
    pub slot: Option<Slot>,
    /// The nodes concerned.
    pub nodes: Vec<NodeId>,
    /// What happened, in one sentence.
    pub detail: String,
}

/// The oracles whose theorems need less than 20 % of byzantine stake. The others hold each node to
/// its own rules, which no lie can excuse.
const AGAINST_LIARS: [&str; 15] = [
    "O1", "O2", "O3", "O4", "O16", "O17", "O18", "O19", "O20", "O21", "O22", "O24", "O25", "O26",
    "O36",
];

impl Violation {
    /// Takes out what too many liars may bring about, and counts those findings among it that mean
    /// two truths: conflicting final blocks or ledgers.
    pub fn forgive(violations: &mut Vec<Violation>) -> u64 {
        let forgiven: Vec<Violation> =
            violations.extract_if(.., |v| AGAINST_LIARS.contains(&v.oracle)).collect();
        let conflicts = forgiven.iter().filter(|v| ["O1", "O2", "O3"].contains(&v.oracle));
        conflicts.count() as u64
    }
}

/// What an oracle can look at besides the fact itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// World time in nanoseconds.
    pub at_ns: u64,
    /// What is fixed.
    pub scene: &'a Scene,
    /// What happened so far, the fact under judgement included.
    pub history: &'a History,
}

/// Collects what an oracle finds.
#[derive(Debug, Default)]
pub struct Findings {
    violations: Vec<Violation>,
    bounds: Vec<(usize, Option<u64>)>,
    probes: Vec<&'static str>,
}

impl Findings {
    /// Reports a broken property at the moment of the context.
    pub fn report(
        &mut self,
        cx: &Context<'_>,
        oracle: &'static str,
        slot: Option<Slot>,
        nodes: &[NodeId],
        detail: String,
    ) {
        self.violations.push(Violation {
            oracle,
            at_ns: cx.at_ns,
            slot,
            nodes: nodes.to_vec(),
            detail,
        });
    }

    /// States the bound of the recovery with this number, in nanoseconds from its heal.
    pub fn bound(&mut self, recovery: usize, bound_ns: Option<u64>) {
        self.bounds.push((recovery, bound_ns));
    }

    /// Counts something that is worth reaching: that an oracle really judged.
    pub fn probe(&mut self, name: &'static str) {
        self.probes.push(name);
    }

    /// True if nothing was found, stated or counted since the last call.
    pub fn is_empty(&self) -> bool {
        self.violations.is_empty() && self.bounds.is_empty() && self.probes.is_empty()
    }

    /// Probes since the last call.
    pub fn take_probes(&mut self) -> impl Iterator<Item = &'static str> + '_ {
        self.probes.drain(..)
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Bounds stated since the last call.
    pub fn take_bounds(&mut self) -> Vec<(usize, Option<u64>)> {
        std::mem::take(&mut self.bounds)
    }
}

/// Facts that are many and that most oracles could only shrug at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noise {
    /// [`Event::Rejected`]: half of all facts.
    Rejections,
    /// [`Fact::Sent`]: one for each receiver of a broadcast.
    Sends,
}

impl Noise {
    /// What kind of noise a fact is, if it is any.
    pub fn of(fact: &Fact<'_>) -> Option<Noise> {
        match fact {
            Fact::Event(Event::Rejected(..)) => Some(Noise::Rejections),
            Fact::Sent(..) => Some(Noise::Sends),
            _ => None,
        }
    }
}

/// One property, watched over a run.
pub trait Oracle {
    /// The id in the specification.
    fn id(&self) -> &'static str;

    /// Judges one fact about a correct node. Called in order of virtual time, after the history
    /// has taken the fact.
    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings);

    /// Whether it is told of every shred ([`Fact::Shred`]), of which there are many.
    fn watches_shreds(&self) -> bool {
        false
    }

    /// Whether it need not be told of this noise: nothing in it, and not the time of it, can change
    /// what the oracle knows or says. Every oracle that keeps deadlines wants to be told.
    fn ignores(&self, _noise: Noise) -> bool {
        false
    }

    /// Judges what can only be judged at the end of the run.
    fn finish(&mut self, _cx: &Context<'_>, _out: &mut Findings) {}

    /// Until when the run must go on for this oracle to decide, in world time.
    fn undecided_until(&self) -> Option<u64> {
        None
    }
}

/// The oracles of safety, which must hold on any network as long as less than 20 % of the stake is
/// byzantine.
pub fn safety(scene: &Scene) -> Vec<Box<dyn Oracle + Send>> {
    vec![
        Box::new(o1_agreement::Agreement::default()),
        Box::new(o2_chain::Chain::default()),
        Box::new(o3_prefix::Prefix::new(scene)),
        Box::new(o4_ledger::Ledger::new(scene)),
        Box::new(o5_one_initial_vote::OneInitialVote),
        Box::new(o6_fallback_votes::FallbackVotes),
        Box::new(o7_final_vote::FinalVote),
        Box::new(o8_final_needs_notarization::FinalNeedsNotarization),
        Box::new(o9_notar_in_window::NotarInWindow),
        Box::new(o10_notar_in_first_slot::NotarInFirstSlot),
        Box::new(o11_notar_fallback::NotarFallbackVote::default()),
        Box::new(o12_skip_fallback::SkipFallbackVote::default()),
        Box::new(o13_fallback_count::FallbackCount),
        Box::new(o14_certificates::Certificates::new(scene)),
        Box::new(o15_signers::Signers),
        Box::new(o16_one_notarization::OneNotarization),
        Box::new(o17_correct_voter::CorrectVoter),
        Box::new(o18_fast_final_excludes::FastFinalExcludes),
        Box::new(o19_slow_final_excludes::SlowFinalExcludes),
        Box::new(o20_finality_proof::FinalityProven),
        Box::new(o21_finality_stake::FinalityStake),
        Box::new(o22_absorbing::Absorbing::new(scene)),
        Box::new(o23_parent_ready::ParentReady::default()),
        Box::new(o24_ready_descends::ReadyDescends::default()),
        Box::new(o25_window_ancestors::WindowAncestors::default()),
        Box::new(o26_few_blocks::FewBlocks),
        Box::new(o27_one_commitment::OneCommitment::default()),
        Box::new(o28_produced_chain::ProducedChain::default()),
        Box::new(o29_block_content::BlockContent::default()),
        Box::new(o30_one_rotor_block::OneRotorBlock::new(scene)),
        Box::new(o31_durable_first::DurableFirst::new(scene)),
        Box::new(o32_reloaded::Reloaded::new(scene)),
        Box::new(o33_no_accusation::NoAccusation),
        Box::new(o34_signed_bytes::SignedBytes::new(scene)),
        Box::new(o35_bounds::Bounded::default()),
        Box::new(o37_spreading::Spreading::new(scene)),
        Box::new(o38_schedule::OneSchedule::new(scene)),
    ]
}

/// All oracles, for one run.
pub fn all(scene: &Scene) -> Vec<Box<dyn Oracle + Send>> {
    let liveness: Vec<Box<dyn Oracle + Send>> = vec![
        Box::new(o40_spread::Spread::new(scene)),
        Box::new(o41_initial_votes::InitialVotes::new(scene)),
        Box::new(o42_slots_resolve::SlotsResolve::new(scene)),
        Box::new(o43_dichotomy::Dichotomy::new(scene)),
        Box::new(o44_window_progress::WindowProgress::new(scene)),
        Box::new(o45_good_windows::GoodWindows::new(scene)),
        Box::new(o46_exact_finality::ExactFinality::new(scene)),
        Box::new(o47_recovery::RecoveryBound::new(scene)),
        Box::new(o48_certified_is_stored::CertifiedIsStored::new(scene)),
        Box::new(o49_joiner::Joiner::new(scene)),
        Box::new(o50_quiet::Quiet::new(scene)),
    ];
    safety(scene).into_iter().chain(liveness).collect()
}

impl Scene {
    /// True if `sum` of stake is at least `fifths` fifths of all. The oracles' own arithmetic.
    pub fn at_least(&self, sum: u128, fifths: u128) -> bool {
        sum * 5 >= u128::from(self.total) * fifths
    }

    /// True if `sum` of stake is more than `fifths` fifths of all.
    pub fn more_than(&self, sum: u128, fifths: u128) -> bool {
        sum * 5 > u128::from(self.total) * fifths
    }

    /// The stake of a set of nodes, each counted once by the caller.
    pub fn stake_of(&self, nodes: impl IntoIterator<Item = NodeId>) -> u128 {
        nodes.into_iter().map(|node| u128::from(self.stakes[node.index()])).sum()
    }
}
