//! Oracles: what must hold in every run, checked from outside the nodes.
//!
//! The node cannot be its own judge: a wrong threshold in the product would excuse itself. So an
//! oracle sees only facts (what honest nodes observed, what left them, what their disks held) and
//! judges with its own arithmetic; of the node crate it uses plain types only. One file, one
//! property of the specification; each has a hand-made bad world that it catches.
//!
//! [`History`] is the memory that most oracles share: what each identity did over its whole life,
//! and what each incarnation knew. It draws no conclusions.

pub mod bounds;
pub mod history;
pub mod o41_initial_votes;
pub mod o42_slots_resolve;
pub mod o45_good_windows;
pub mod o47_recovery;
pub mod o49_joiner;
pub mod windows;

use crate::plan::{Budget, Concrete};
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
    /// An incarnation starts, counted from 1.
    Started(u32),
    /// The node lost its power.
    Crashed,
    /// The node stands still, or goes on.
    Paused(bool),
    /// What the disk holds after a crash: the vote log, and the ledger in order.
    Image(&'a [Vote], &'a [BlockId]),
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

    /// What was found since the last call.
    pub fn take(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Bounds stated since the last call.
    pub fn take_bounds(&mut self) -> Vec<(usize, Option<u64>)> {
        std::mem::take(&mut self.bounds)
    }
}

/// One property, watched over a run.
pub trait Oracle {
    /// The id in the specification.
    fn id(&self) -> &'static str;

    /// Judges one fact about a correct node. Called in order of virtual time, after the history
    /// has taken the fact.
    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings);

    /// Judges what can only be judged at the end of the run.
    fn finish(&mut self, _cx: &Context<'_>, _out: &mut Findings) {}

    /// Until when the run must go on for this oracle to decide, in world time.
    fn undecided_until(&self) -> Option<u64> {
        None
    }
}

/// All oracles, for one run.
pub fn all(scene: &Scene) -> Vec<Box<dyn Oracle + Send>> {
    vec![
        Box::new(o41_initial_votes::InitialVotes::new(scene)),
        Box::new(o42_slots_resolve::SlotsResolve::new(scene)),
        Box::new(o45_good_windows::GoodWindows::new(scene)),
        Box::new(o47_recovery::RecoveryBound::new(scene)),
        Box::new(o49_joiner::Joiner::new(scene)),
    ]
}

impl Scene {
    /// True if `sum` of stake is at least `fifths` fifths of all. The oracles' own arithmetic.
    pub fn at_least(&self, sum: u128, fifths: u128) -> bool {
        sum * 5 >= u128::from(self.total) * fifths
    }

    /// The stake of a set of nodes, each counted once by the caller.
    pub fn stake_of(&self, nodes: impl IntoIterator<Item = NodeId>) -> u128 {
        nodes.into_iter().map(|node| u128::from(self.stakes[node.index()])).sum()
    }
}
