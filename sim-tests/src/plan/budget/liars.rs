//! What lies cost: the premise about split blocks, and the limit of byzantine stake.

use super::{Budget, Reason};
use crate::plan::concrete::Concrete;
use crate::plan::concrete::check::Defect;
use crate::plan::fault::{Effect, Fault, Premise};
use crate::plan::units::percent;
use std::collections::BTreeSet;

/// A3: no two correct nodes reconstruct different blocks of one slot. Needed unless more than 80 %
/// of the stake is correct and in touch.
pub(super) fn split(active: &[&Fault], reachable: u64, total: u64) -> Option<Reason> {
    let splits =
        |f: &&&Fault| matches!(&f.effect, Effect::Byzantine { behaviour } if behaviour.split());
    let causes: Vec<String> = active.iter().filter(splits).map(|f| f.label.clone()).collect();
    let withstands = u128::from(reachable) * 5 > u128::from(total) * 4;
    (!withstands && !causes.is_empty()).then_some(Reason::Split { stake: reachable, total, causes })
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
