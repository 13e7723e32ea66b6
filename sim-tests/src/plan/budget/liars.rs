//! What lies cost: the premise about split blocks, and the limit of byzantine stake.

use super::{Budget, MOST_FAILED_WINDOWS, Phase, Reason, SLOTS_PER_WINDOW};
use crate::plan::concrete::Concrete;
use crate::plan::concrete::check::Defect;
use crate::plan::fault::{Effect, Fault, Premise};
use crate::plan::units::{Nanos, percent};
use std::collections::BTreeSet;

/// A3: no two correct nodes reconstruct different blocks of one slot. Needed unless more than 80 %
/// of the stake is correct and in touch. A slot that was split once stays open when the lie is over,
/// and so do all windows behind it, until something above it is finalized: that is owed only after
/// a stretch with a promise, long enough for the bound on recovery. `before` are the phases up to
/// this one.
pub(super) fn split(world: &Concrete, before: &[Phase], phase: &Phase) -> Option<Reason> {
    let (stake, total) = (phase.reachable, world.total_stake());
    if u128::from(stake) * 5 > u128::from(total) * 4 {
        return None;
    }
    let splits =
        |f: &&Fault| matches!(&f.effect, Effect::Byzantine { behaviour } if behaviour.split());
    let open =
        |f: &&Fault| f.end.is_none_or(|end| end > phase.start || !settled(world, before, end));
    let begun = world.faults.iter().filter(|f| f.start <= phase.start);
    let causes: Vec<String> = begun.filter(splits).filter(open).map(|f| f.label.clone()).collect();
    (!causes.is_empty()).then_some(Reason::Split { stake, total, causes })
}

/// Whether something had to be finalized between `since` and the end of these phases.
fn settled(world: &Concrete, phases: &[Phase], since: Nanos) -> bool {
    let p = &world.params;
    let window = p.delta_timeout.0 + 3 * p.delta.0 + SLOTS_PER_WINDOW * p.delta_block.0;
    let needed = p.standstill.0 + p.standstill_poll.0 + MOST_FAILED_WINDOWS * window;
    let mut promised = 0;
    phases.iter().filter(|phase| phase.start >= since).any(|phase| {
        let length = phase.end.map_or(0, |end| end.0 - phase.start.0);
        promised = if phase.reasons.is_empty() { promised + length } else { 0 };
        promised >= needed
    })
}

/// The refusal of a world with 20 % or more of byzantine stake, with the lie that reaches it.
pub(super) fn too_many(world: &Concrete, budget: &Budget) -> Defect {
    let lying = |(_, fault): &(usize, &Fault)| fault.effect.kind().premise == Premise::Lying;
    let mut lies: Vec<(usize, &Fault)> = world.faults.iter().enumerate().filter(lying).collect();
    lies.sort_by_key(|(index, fault)| (fault.start, *index));
    let mut union = BTreeSet::new();
    let stake = |union: &BTreeSet<u16>| -> u128 {
        union.iter().map(|node| u128::from(world.nodes[usize::from(*node)].stake)).sum()
    };
    let tips = lies.iter().find(|(_, fault)| {
        union.extend(fault.nodes.iter().copied());
        stake(&union) * 5 >= u128::from(budget.total)
    });
    let (index, fault) = tips.expect("the caller found too much byzantine stake");
    let what = format!(
        "byzantine stake {} over the run, {} of it by {} ({}), and safety is promised below 20 %",
        percent(budget.byzantine, budget.total),
        percent(stake(&union) as u64, budget.total),
        fault.start.in_seconds(),
        fault.label,
    );
    let remedy = "select less stake, or say expect.safety = \"may-break\"";
    Defect::new("nodes", what, remedy).of(*index)
}
