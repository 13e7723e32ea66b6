//! Whom the faults of a swarm hit, and who may be missing for good.
//!
//! Before the heal anybody may suffer anything. After it the promise rests on stake: liars hold
//! less than 20 %, and those that lie or never come back (their disks are lost, or they stopped)
//! leave 60 % of the stake. So two sets of nodes are drawn for the whole run, the liars and the
//! lost, and whatever takes a node for good is only drawn for nodes of these sets.

use super::dice::Dice;
use crate::plan::select::{Population, Selection, StakeRule};
use crate::plan::units::Share;

/// The nodes of a run, as far as the faults need them.
pub(super) struct Whom {
    pub(super) stakes: Vec<u64>,
    /// The region of each node, by number.
    pub(super) regions: Vec<usize>,
    /// Whoever lies at any time of the run, ascending.
    pub(super) liars: Vec<u16>,
    /// Whoever may be missing from some moment on, ascending.
    pub(super) lost: Vec<u16>,
}

impl Whom {
    /// All stake.
    pub(super) fn total(&self) -> u64 {
        self.stakes.iter().sum()
    }

    /// What these nodes hold.
    pub(super) fn stake(&self, nodes: &[u16]) -> u64 {
        nodes.iter().map(|node| self.stakes[usize::from(*node)]).sum()
    }

    /// So many permille of all stake.
    pub(super) fn permille(&self, permille: u64) -> u64 {
        (u128::from(self.total()) * u128::from(permille) / 1_000) as u64
    }

    /// Somebody, with at most `permille` of the stake unless it is a single node or a region.
    pub(super) fn somebody(&self, dice: &Dice, permille: u64) -> Option<Vec<u16>> {
        let count = self.stakes.len() as u64;
        let most = match dice.weighted("whom", &[6, 6, 4, 2, 2, 1]) {
            0 => return Some(vec![dice.between("node", 0, count - 1) as u16]),
            1 => permille.min(200),
            2 => permille.min(dice.between("share", 200, 600)),
            3 => permille,
            4 => return self.at_a_threshold(dice),
            _ => return Some(self.of_one_region(dice)),
        };
        self.some(dice, self.permille(most), &[])
    }

    /// Random nodes that hold at most `limit`, none of them in `without`.
    pub(super) fn some(&self, dice: &Dice, limit: u64, without: &[u16]) -> Option<Vec<u16>> {
        let mut order: Vec<u16> = (0..self.stakes.len() as u16).collect();
        order.retain(|node| !without.contains(node));
        dice.draw("nodes").shuffle(&mut order);
        let mut held = 0;
        order.retain(|node| {
            let with = held + self.stakes[usize::from(*node)];
            let fits = with <= limit;
            held = if fits { with } else { held };
            fits
        });
        order.sort_unstable();
        (!order.is_empty()).then_some(order)
    }

    /// A random part of `nodes`, at least one of them.
    pub(super) fn part(&self, dice: &Dice, nodes: &[u16]) -> Option<Vec<u16>> {
        if nodes.is_empty() || dice.chance("everybody", 400) {
            return (!nodes.is_empty()).then(|| nodes.to_vec());
        }
        let mut order = nodes.to_vec();
        dice.draw("part").shuffle(&mut order);
        order.truncate(dice.between("how many", 1, nodes.len() as u64) as usize);
        order.sort_unstable();
        Some(order)
    }

    /// So many random nodes, at least `least` and at most `most` or all.
    pub(super) fn count(&self, dice: &Dice, least: u64, most: u64) -> Vec<u16> {
        let all = self.stakes.len() as u64;
        let whole = all <= most && dice.chance("everybody", 500);
        let count = if whole { all } else { dice.between("how many", least, most.min(all)) };
        let mut order: Vec<u16> = (0..self.stakes.len() as u16).collect();
        dice.draw("nodes").shuffle(&mut order);
        order.truncate(count as usize);
        order.sort_unstable();
        order
    }

    /// As much stake as lies just on one side of a threshold of the protocol.
    fn at_a_threshold(&self, dice: &Dice) -> Option<Vec<u16>> {
        let share = |percent: u32| Share(percent * 10_000_000);
        let rule = match dice.weighted("threshold", &[1, 1, 1, 2, 2]) {
            0 => StakeRule::AtMost(share(20)),
            1 => StakeRule::Above(share(20)),
            2 => StakeRule::Below(share(40)),
            3 => StakeRule::AtMost(share(40)),
            _ => StakeRule::Above(share(40)),
        };
        let chosen = self.chosen(dice, rule);
        chosen.filter(|nodes| nodes.len() < self.stakes.len())
    }

    /// The nodes that keep a rule as well as any; None if none do.
    pub(super) fn chosen(&self, dice: &Dice, rule: StakeRule) -> Option<Vec<u16>> {
        let among = Population { stakes: &self.stakes, regions: &self.regions, names: &[] };
        Selection::Stake(rule).choose(&among, &mut dice.draw("nodes")).ok()
    }

    /// Whether these nodes share a region.
    pub(super) fn in_one_region(&self, nodes: &[u16]) -> bool {
        let mut regions = nodes.iter().map(|node| self.regions[usize::from(*node)]);
        let first = regions.next();
        regions.all(|region| Some(region) == first)
    }

    /// The nodes of a region, or one of them where there is only one region.
    fn of_one_region(&self, dice: &Dice) -> Vec<u16> {
        let node = dice.between("region of", 0, self.stakes.len() as u64 - 1);
        let region = self.regions[node as usize];
        let inside = |other: &u16| self.regions[usize::from(*other)] == region;
        let nodes: Vec<u16> = (0..self.stakes.len() as u16).filter(inside).collect();
        if nodes.len() == self.stakes.len() { vec![node as u16] } else { nodes }
    }
}
