//! Identities that lie: wrappers around the honest node, one file for each way to lie.
//!
//! A Byzantine node is not one that crashes or sends noise. It holds real keys, it knows the
//! protocol, it works together with the other liars, it sees who has voted, and it speaks at the
//! worst moment. So a liar here *is* the honest node, seen through the same doorway, with something
//! in between that changes what it hears and what it says. Three things make it strong:
//!
//! - [`tools::Tools`]: its own keys, so that it can sign what it invents; recipients chosen by
//!   stake; messages for later;
//! - [`board::Board`]: one blackboard for all liars of a run, with every vote that any of them has
//!   heard. Sums of stake are read off there, and a vote or a shred is let go as the deciding one;
//! - whole further protocol instances, where one is not enough (`twins`).
//!
//! A lie is switched on and off by the plan; in between its identity behaves honestly, but stays
//! byzantine to the oracles. Every lie counts what it really did under its own name, so that a run
//! in which an attack never happened does not pass for one that withstood it.
//!
//! Draws come from the seed, keyed by the name of the lie and what is drawn. Nothing here may make
//! a correct node do wrong; each file says what its lie must not achieve.

pub mod bad_code;
pub mod bad_sequence;
pub mod bad_switch;
pub mod board;
pub mod dark_relays;
pub mod deciding_votes;
pub mod double_signers;
pub mod double_votes;
pub mod early_block;
pub mod equivocating_leader;
pub mod fallback_spam;
pub mod forged_certificates;
pub mod forked_window;
pub mod late_block;
pub mod leader;
pub mod lying_repair;
pub mod malformed_shreds;
pub mod old_fork;
pub mod relay_flood;
pub mod repair_flood;
pub mod replayed_slices;
pub mod replayed_votes;
pub mod same_block_twice;
pub mod split_at_threshold;
pub mod stray_final_votes;
pub mod timer_skew;
pub mod tools;
pub mod twins;
pub mod two_faced_votes;
pub mod vote_spam;
pub mod votes_for_one;
pub mod withheld_certificates;
pub mod withheld_final_votes;
pub mod withheld_shreds;
pub mod wrong_parent;

use crate::plan::{Concrete, Effect as Fault};
use alpenglow_node::host::driver::Doorway;
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::types::{NodeId, Slot, Time};
use alpenglow_node::protocol::wire::{Message, Reject, Unverified, Verified};
use alpenglow_node::protocol::{Effect, Input, Timer};
use board::Board;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tools::Tools;

/// One way to lie, played by one identity.
pub trait Lie {
    /// Looks at an input before the honest node does; false keeps it from the honest node.
    fn hears(&mut self, _tools: &mut Tools, _input: &Input) -> bool {
        true
    }

    /// Changes what the honest node wants done because of `input`. What is sent through the tools
    /// leaves besides, and is not seen by the other lies of this identity.
    fn says(&mut self, tools: &mut Tools, input: &Input, effects: &mut Vec<Effect>);
}

/// The timer by which a liar wakes itself. No honest node ever has one for this slot.
const ALARM: Timer = Timer::Skip(Slot(u64::MAX));

/// Who lies in a run, and what they share.
pub struct Adversary {
    plan: Arc<Concrete>,
    seed: u64,
    committee: Arc<Committee>,
    board: Arc<Mutex<Board>>,
}

impl Adversary {
    /// For one run.
    pub fn new(plan: Arc<Concrete>, seed: u64, committee: Arc<Committee>) -> Arc<Adversary> {
        let board = Arc::default();
        Arc::new(Adversary { plan, seed, committee, board })
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fault `index` of the plan begins or ends.
    pub fn switch(&self, index: usize, on: bool) {
        match on {
            true => self.board().active.insert(index),
            false => self.board().active.remove(&index),
        };
    }

    /// How often each lie really happened.
    pub fn deeds(&self) -> BTreeMap<&'static str, u64> {
        self.board().deeds.clone()
    }

    /// What runs at `me`: `honest`, or a liar around it.
    pub fn wrap(&self, me: NodeId, honest: Box<dyn Doorway>) -> Box<dyn Doorway> {
        let mut lies = Vec::new();
        for (index, fault) in self.plan.faults.iter().enumerate() {
            let Fault::Byzantine { behaviour } = &fault.effect else { continue };
            if fault.nodes.contains(&me.0) {
                lies.extend(behaviour.0.iter().map(|name| (index, *name, lie(name))));
            }
        }
        if lies.is_empty() {
            return honest;
        }
        let tools = Tools::new(
            me,
            self.plan.clone(),
            self.seed,
            self.committee.clone(),
            self.board.clone(),
        );
        Box::new(Liar { honest, lies, tools })
    }
}

/// The lie of this name in the table of plans.
fn lie(name: &str) -> Box<dyn Lie> {
    match name {
        "equivocating-leader" => Box::new(equivocating_leader::EquivocatingLeader::two()),
        "many-blocks" => Box::new(equivocating_leader::EquivocatingLeader::many()),
        "forked-window" => Box::new(forked_window::ForkedWindow::default()),
        "withheld-shreds" => Box::new(withheld_shreds::WithheldShreds),
        "split-at-threshold" => Box::new(split_at_threshold::SplitAtThreshold),
        "late-block" => Box::new(late_block::LateBlock::default()),
        "bad-code" => Box::new(bad_code::BadCode),
        "malformed-shreds" => Box::new(malformed_shreds::MalformedShreds),
        "bad-sequence" => Box::new(bad_sequence::BadSequence),
        "wrong-parent" => Box::new(wrong_parent::WrongParent::default()),
        "early-block" => Box::new(early_block::EarlyBlock::default()),
        "bad-switch" => Box::new(bad_switch::BadSwitch::default()),
        "same-block-twice" => Box::new(same_block_twice::SameBlockTwice::default()),
        "replayed-slices" => Box::new(replayed_slices::ReplayedSlices::default()),
        "dark-relays" => Box::new(dark_relays::DarkRelays),
        "relay-flood" => Box::new(relay_flood::RelayFlood::default()),
        "two-faced-votes" => Box::new(two_faced_votes::TwoFacedVotes),
        "double-votes" => Box::new(double_votes::DoubleVotes),
        "fallback-spam" => Box::new(fallback_spam::FallbackSpam),
        "stray-final-votes" => Box::new(stray_final_votes::StrayFinalVotes),
        "deciding-votes" => Box::new(deciding_votes::DecidingVotes::default()),
        "votes-for-one" => Box::new(votes_for_one::VotesForOne),
        "withheld-certificates" => Box::new(withheld_certificates::WithheldCertificates::default()),
        "withheld-final-votes" => Box::new(withheld_final_votes::WithheldFinalVotes),
        "forged-certificates" => Box::new(forged_certificates::ForgedCertificates),
        "double-signers" => Box::new(double_signers::DoubleSigners::default()),
        "vote-spam" => Box::new(vote_spam::VoteSpam::default()),
        "replayed-votes" => Box::new(replayed_votes::ReplayedVotes::default()),
        "lying-repair" => Box::new(lying_repair::LyingRepair),
        "repair-flood" => Box::new(repair_flood::RepairFlood::default()),
        "timer-skew" => Box::new(timer_skew::TimerSkew),
        "twins" => Box::new(twins::Twins::default()),
        "old-fork" => Box::new(old_fork::OldFork::default()),
        other => unreachable!("the plan knows only behaviours of the table, not {other}"),
    }
}

/// The honest node and what stands between it and the world.
struct Liar {
    honest: Box<dyn Doorway>,
    /// Index of the fault that orders it, name, lie.
    lies: Vec<(usize, &'static str, Box<dyn Lie>)>,
    tools: Tools,
}

impl Doorway for Liar {
    fn precheck(&self, from: NodeId, bytes: &[u8]) -> Result<Unverified<Message>, Reject> {
        self.honest.precheck(from, bytes)
    }

    fn verify(&self, claim: Unverified<Message>) -> Result<Verified<Message>, Reject> {
        self.honest.verify(claim)
    }

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        let Liar { honest, lies, tools } = self;
        tools.now = now;
        tools.learn(&input);
        let mut effects = Vec::new();
        let active = tools.board().active.clone();
        let mut heard = !matches!(input, Input::Timer(ALARM));
        for (fault, name, lie) in lies.iter_mut().filter(|lie| active.contains(&lie.0)) {
            debug_assert!(active.contains(fault));
            tools.lie = name;
            heard &= lie.hears(tools, &input);
        }
        if heard {
            honest.step(now, input.clone(), &mut effects);
        }
        tools.learn_own(&effects);
        for (_, name, lie) in lies.iter_mut().filter(|lie| active.contains(&lie.0)) {
            tools.lie = name;
            lie.says(tools, &input, &mut effects);
        }
        out.append(&mut effects);
        tools.flush(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BEHAVIOURS;

    /// Every name that a plan may use has a lie behind it.
    #[test]
    fn the_table_is_complete() {
        for behaviour in BEHAVIOURS {
            drop(lie(behaviour.name));
        }
    }
}
