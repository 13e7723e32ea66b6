//! Power cuts between two steps of a node.
//!
//! A crash at a drawn moment hits between two events of the world: what a node does in one go is
//! whole, or did not happen. But power fails anywhere: after a vote is durable and before it is
//! sent, after it is sent to two of five. So the steps of one node are counted over its whole life,
//! each datagram that leaves, each commit, read, delivery, observation and boot, and the power
//! fails right before or right after chosen ones. What a step did stays done; nothing that comes
//! after it in the program happens.

use crate::plan::{CrashMode, Nanos};
use std::sync::{Arc, Mutex, PoisonError};

/// When the power of one node fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCuts {
    /// The node.
    pub node: u16,
    /// The first step at which it fails, counted from 1.
    pub first: u64,
    /// And then at every so many further steps; at least 1.
    pub stride: u64,
    /// Not beyond this step.
    pub last: u64,
    /// After the step, and not before it.
    pub after: bool,
    /// What a crash leaves of unsynced writes, in turn.
    pub modes: [CrashMode; 3],
    /// How long the node is down.
    pub down: Nanos,
}

impl PowerCuts {
    fn hits(&self, step: u64) -> bool {
        step >= self.first && step <= self.last && (step - self.first).is_multiple_of(self.stride)
    }

    /// What the crash with this number leaves, counted from 0.
    pub fn mode(&self, crash: usize) -> CrashMode {
        self.modes[crash % self.modes.len()]
    }
}

/// Counts the steps of one node over its whole life.
#[derive(Debug)]
pub struct Power {
    cuts: PowerCuts,
    taken: Mutex<u64>,
}

impl Power {
    /// Before the first step.
    pub fn new(cuts: PowerCuts) -> Arc<Power> {
        Arc::new(Power { cuts, taken: Mutex::new(0) })
    }

    /// How it is to fail.
    pub fn cuts(&self) -> PowerCuts {
        self.cuts
    }

    /// The node is about to take a step. True if the power fails before it.
    fn before(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        !self.cuts.after && self.cuts.hits(*taken)
    }

    /// The node has taken the step. True if the power fails now.
    fn after(&self) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.cuts.after && self.cuts.hits(*taken)
    }
}

/// The power of one incarnation.
#[derive(Clone)]
pub struct Supply {
    power: Option<Arc<Power>>,
    dark: bool,
}

impl Supply {
    /// For `node`: on, unless `power` is about this node and fails.
    pub fn new(power: &Option<Arc<Power>>, node: u16) -> Supply {
        let power = power.clone().filter(|power| power.cuts.node == node);
        Supply { power, dark: false }
    }

    /// Whether the next step is taken at all, and whether the power has just failed.
    #[inline]
    pub fn begin(&mut self) -> Step {
        match &self.power {
            _ if self.dark => Step::Dark,
            Some(power) if power.before() => {
                self.dark = true;
                Step::Fails
            }
            _ => Step::Taken,
        }
    }

    /// A step was taken. True if the power has just failed.
    #[inline]
    pub fn end(&mut self) -> bool {
        self.dark = self.power.as_ref().is_some_and(|power| power.after());
        self.dark
    }
}

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is taken.
    Taken,
    /// The power fails before it.
    Fails,
    /// The power has failed.
    Dark,
}
