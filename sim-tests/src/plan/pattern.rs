//! Faults that one row of a plan stands for together: nodes that take turns, and partitions with a
//! shape.
//!
//! Networks do not only break in two. Known outages were rings in which each machine heard a
//! majority and no two heard the same one, a bridge that both halves heard while they did not hear
//! each other, one machine that heard nobody, links that came and went. Each shape is written in
//! one word and expands to plain cuts between named nodes, so that nothing later, neither the run
//! nor the budget nor the shrinker, has to know shapes.
//!
//! | shape | who does not hear whom |
//! |---|---|
//! | halves | one half and the other |
//! | ring | each node and those more than a quarter of the ring away: it hears a majority |
//! | bridge | two halves; one node is in neither and hears both |
//! | isolated | one node and all others |
//! | swizzle | nodes are isolated one by one, and come back one by one in another order |
//!
//! The nodes are put into a drawn order first. `rolling` makes selected nodes take turns: one by
//! one, in batches of bounded stake, region by region, or all at once again and again.

use super::draw::Draw;
use super::error::Words;
use super::fault::{CutStyle, Effect, Fault};
use super::select::Population;
use super::units::{Nanos, Share};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The nodes are hit in batches, one batch after the other, round and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rolling {
    /// What makes a batch.
    #[serde(default)]
    pub by: TurnBy,
    /// Nodes share a batch up to this much stake. Only with turns by node.
    pub at_once: Option<Share>,
    /// How long a batch is hit.
    pub down: Nanos,
    /// Time from the return of one batch to the turn of the next.
    pub gap: Nanos,
}

/// What makes a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TurnBy {
    /// A node, or as many as `at_once` allows.
    #[default]
    Node,
    /// The nodes of a region.
    Region,
    /// All of them: the same fault, again and again.
    All,
}

/// How a partition divides the selected nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Two halves.
    Halves,
    /// Everybody hears a majority, no two the same.
    Ring,
    /// Two halves and one node that hears both.
    Bridge,
    /// One node hears nobody.
    Isolated,
    /// One by one, and back in another order.
    Swizzle,
}

/// What is wrong with a key of the row, and what to write instead.
pub(super) type PatternError = (&'static str, Words);

fn wrong(key: &'static str, what: &str, remedy: &str) -> PatternError {
    (key, (what.into(), remedy.into()))
}

/// Faults that one row may be expanded to.
const MAX_TURNS: usize = 1_000;

impl Rolling {
    /// Splits `whole` into batches that are hit in turn, as often as there is time for. `order` are
    /// its nodes in a drawn order.
    pub(super) fn expand(
        self,
        whole: &Fault,
        order: Vec<u16>,
        among: &Population<'_>,
    ) -> Result<Vec<Fault>, PatternError> {
        let Some(end) = whole.end else {
            return Err(wrong(
                "rolling",
                "a rolling fault needs an end",
                "set `for` or run.heal_at",
            ));
        };
        if self.down.0 == 0 {
            let remedy = "set `down` to more than 0";
            return Err(wrong("rolling", "each batch is down for no time", remedy));
        }
        if self.at_once.is_some() && self.by != TurnBy::Node {
            let remedy = "remove `at_once`, or let nodes take turns";
            return Err(wrong("rolling", "only turns by node have an `at_once`", remedy));
        }
        let batches = self.batches(order, among)?;
        let period = self.down.0.saturating_add(self.gap.0);
        let mut faults = Vec::new();
        let mut start = whole.start.0;
        for batch in batches.iter().cycle() {
            let back = start.saturating_add(self.down.0);
            if back > end.0 {
                break;
            }
            if faults.len() == MAX_TURNS {
                let remedy = "roll more slowly or for a shorter time";
                return Err(wrong("rolling", "more than 1000 turns", remedy));
            }
            let times = (Nanos(start), Some(Nanos(back)));
            faults.push(part(whole, faults.len(), times, batch, whole.effect.clone(), among));
            start = start.saturating_add(period);
        }
        if faults.is_empty() {
            let remedy = "set `for` to at least `down`";
            return Err(wrong("rolling", "there is no time for one turn", remedy));
        }
        Ok(faults)
    }

    fn batches(
        self,
        mut order: Vec<u16>,
        among: &Population<'_>,
    ) -> Result<Vec<Vec<u16>>, PatternError> {
        match (self.by, self.at_once) {
            (TurnBy::Node, None) => Ok(order.into_iter().map(|node| vec![node]).collect()),
            (TurnBy::Node, Some(share)) => packed(order, share, among),
            (TurnBy::All, _) => {
                order.sort_unstable();
                Ok(vec![order])
            }
            (TurnBy::Region, _) => {
                // Regions in the order in which their first nodes were drawn.
                let mut batches: Vec<Vec<u16>> = Vec::new();
                let mut batch_of = BTreeMap::new();
                for node in order {
                    let region = among.regions[usize::from(node)];
                    let index = *batch_of.entry(region).or_insert(batches.len());
                    if index == batches.len() {
                        batches.push(Vec::new());
                    }
                    batches[index].push(node);
                }
                batches.iter_mut().for_each(|batch| batch.sort_unstable());
                Ok(batches)
            }
        }
    }
}

/// Packs `order` into batches of at most `share` of all stake: each batch takes, in order, every
/// node that still fits.
fn packed(
    mut order: Vec<u16>,
    share: Share,
    among: &Population<'_>,
) -> Result<Vec<Vec<u16>>, PatternError> {
    let limit = share.of(among.stakes.iter().sum());
    let mut batches = Vec::new();
    while !order.is_empty() {
        let mut room = limit;
        let mut batch: Vec<u16> = order
            .extract_if(.., |node| {
                let stake = among.stakes[usize::from(*node)];
                let fits = stake <= room;
                room -= if fits { stake } else { 0 };
                fits
            })
            .collect();
        if batch.is_empty() {
            let what = format!("node {} alone holds more than {share}", order[0]);
            return Err(wrong("rolling", &what, "raise `at_once`"));
        }
        batch.sort_unstable();
        batches.push(batch);
    }
    Ok(batches)
}

/// A fault that is part of `whole`: other times, other nodes.
fn part(
    whole: &Fault,
    index: usize,
    (start, end): (Nanos, Option<Nanos>),
    nodes: &[u16],
    effect: Effect,
    among: &Population<'_>,
) -> Fault {
    let mut nodes = nodes.to_vec();
    nodes.sort_unstable();
    Fault {
        label: format!("{}.{}", whole.label, index + 1),
        start,
        end,
        stake: nodes.iter().map(|n| among.stakes[usize::from(*n)]).sum(),
        nodes,
        effect,
    }
}

impl Shape {
    /// The cuts that make this shape out of a partition `whole` of its nodes, which are in a drawn
    /// order in `order`. `draw` decides what else is open.
    pub(super) fn expand(
        self,
        whole: &Fault,
        order: &[u16],
        among: &Population<'_>,
        draw: &mut Draw,
    ) -> Result<Vec<Fault>, PatternError> {
        let Effect::Partition { style } = whole.effect else {
            return Err(wrong("shape", "only a partition has a shape", "remove `shape`"));
        };
        let times = (whole.start, whole.end);
        let count = order.len();
        let least = match self {
            Shape::Isolated | Shape::Swizzle => 1,
            Shape::Halves => 2,
            Shape::Bridge => 3,
            Shape::Ring => 4,
        };
        if count < least {
            let what = format!("{count} nodes do not make this shape");
            return Err(wrong("side", &what, &format!("select at least {least} nodes")));
        }
        let cut = |index: usize, nodes: &[u16], from: &[u16]| {
            let mut from = from.to_vec();
            from.sort_unstable();
            part(whole, index, times, nodes, Effect::Cut { from, style }, among)
        };
        Ok(match self {
            Shape::Halves => {
                let (one, other) = order.split_at(count / 2);
                vec![cut(0, one, other)]
            }
            Shape::Bridge => {
                let (one, other) = order[1..].split_at((count - 1) / 2);
                vec![cut(0, one, other)]
            }
            Shape::Ring => {
                // With so many neighbours on either side, a node and what it hears are a majority.
                let near = (count / 2).div_ceil(2);
                let apart = |i: usize, j: usize| (j - i).min(count - (j - i)) > near;
                let far = |i: usize| -> Vec<u16> {
                    (i + 1..count).filter(|j| apart(i, *j)).map(|j| order[j]).collect()
                };
                let cuts = (0..count).map(|i| (i, far(i))).filter(|(_, far)| !far.is_empty());
                cuts.enumerate().map(|(index, (i, far))| cut(index, &order[i..=i], &far)).collect()
            }
            Shape::Isolated => {
                vec![part(whole, 0, times, &order[..1], whole.effect.clone(), among)]
            }
            Shape::Swizzle => return swizzle(whole, order, style, among, draw),
        })
    }
}

/// In the first third of the time the nodes are isolated one by one, in the last third they come
/// back one by one, in another order.
fn swizzle(
    whole: &Fault,
    order: &[u16],
    style: CutStyle,
    among: &Population<'_>,
    draw: &mut Draw,
) -> Result<Vec<Fault>, PatternError> {
    let Some(end) = whole.end else {
        return Err(wrong("for", "a swizzle needs an end", "set `for` or run.heal_at"));
    };
    // Whole microseconds, because people read them.
    let step = (end.0.saturating_sub(whole.start.0)) / 3 / order.len() as u64 / 1_000 * 1_000;
    let mut back = order.to_vec();
    draw.shuffle(&mut back);
    let place = |node: &u16| back.iter().position(|b| b == node).expect("the same nodes") as u64;
    let isolated = order.iter().enumerate().map(|(i, node)| {
        let times = (
            Nanos(whole.start.0 + step * i as u64),
            Some(Nanos(end.0 - step * (order.len() as u64 - 1 - place(node)))),
        );
        part(whole, i, times, &[*node], Effect::Partition { style }, among)
    });
    Ok(isolated.collect())
}

#[cfg(test)]
mod tests;
