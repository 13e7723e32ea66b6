//! The heals of a world, and to which of them a time limit applies.
//!
//! The bound on recovery is a theorem with premises: from the heal on, everybody correct hears
//! everybody else in time. It says nothing while another fault is in force or the network still
//! loses packets, and nothing beyond the moment at which the next fault begins. So every heal
//! comes with the reason why no bound applies, if there is one, with the moment up to which the
//! bound may be held against the run, and with whether messages were lost (then votes come back
//! only with the standstill rule) or merely late. A packet that is still under way Δ after the
//! heal is as good as lost: the bound may not wait for it.

use super::{Budget, delayed};
use crate::plan::concrete::Concrete;
use crate::plan::fault::{Fault, Premise};
use crate::plan::units::Nanos;

/// One heal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The fault that ends, by index; None is the final heal of the whole network.
    pub fault: Option<usize>,
    /// The label of the fault, or "heal".
    pub label: String,
    /// When it happens. Times of recovery count from here.
    pub at: Nanos,
    /// Why no bound applies; None if one does.
    pub unbounded: Option<String>,
    /// When the next fault begins: a bound that reaches further is not owed.
    pub undisturbed_until: Option<Nanos>,
    /// Whether messages may have been lost before, and not merely delayed.
    pub messages_lost: bool,
}

impl Budget {
    /// One entry for each fault that ends and one for the final heal, in order of time.
    pub fn recoveries(&self, world: &Concrete) -> Vec<Recovery> {
        let ends = world.faults.iter().enumerate().filter(|(_, f)| f.end != Some(f.start));
        let mut heals: Vec<(Nanos, Option<usize>)> =
            ends.filter_map(|(i, fault)| fault.end.map(|end| (end, Some(i)))).collect();
        // The final heal comes after the faults that end with it.
        heals.extend(world.run.heal_at.map(|at| (at, None)));
        heals.sort_by_key(|(at, fault)| (*at, fault.is_none(), *fault));
        heals.into_iter().map(|(at, fault)| self.recovery(world, at, fault)).collect()
    }

    fn recovery(&self, world: &Concrete, at: Nanos, fault: Option<usize>) -> Recovery {
        let next = world.faults.iter().map(|f| f.start).filter(|start| *start > at).min();
        Recovery {
            fault,
            label: fault.map_or("heal".into(), |index| world.faults[index].label.clone()),
            at,
            unbounded: self.unbounded(world, at),
            undisturbed_until: next,
            messages_lost: self.messages_lost(world, at),
        }
    }

    /// Whether messages may have been lost before `at`, and not merely delayed.
    pub fn messages_lost(&self, world: &Concrete, at: Nanos) -> bool {
        // What is later than Δ at the heal does not count on being there after it.
        let late = |f: &Fault| {
            f.effect.kind().premise == Premise::Late && delayed(world, f) > world.params.delta
        };
        let lossy = |f: &Fault| f.start < at && (f.effect.loses_messages() || late(f));
        let network = &world.network;
        let base = network.loss.0 > 0 || network.corruption.0 > 0 || network.bursts.is_some();
        (base && at.0 > 0) || world.faults.iter().any(lossy)
    }

    /// Why no bound applies to a heal at `at`.
    fn unbounded(&self, world: &Concrete, at: Nanos) -> Option<String> {
        let healed = world.run.heal_at.is_some_and(|heal_at| at >= heal_at);
        if let Some(reason) = self.at(at).reasons.first() {
            return Some(reason.to_string());
        }
        // What outlives the heal is part of the budget, and the bound counts on it.
        let mut active = world.faults.iter().filter(|f| f.active_at(at));
        if let Some(other) = active.find(|f| !(healed && f.end.is_none())) {
            return Some(format!("{} is still in force", other.label));
        }
        if !healed && world.network.duplication.0 > 0 {
            return Some(format!("base duplication of {}", world.network.duplication));
        }
        None
    }
}
