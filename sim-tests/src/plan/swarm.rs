//! `[swarm]`: the seed writes the plan.
//!
//! A plan written by hand looks where its author thought of looking. And a plan in which every
//! fault may happen looks nowhere in particular: partitions keep anything from being finalized, so
//! that nothing that needs finality is ever tried. Swarm testing leaves most kinds of trouble out
//! of each single run, at random, so that what remains goes deep; over many seeds every subset has
//! its turn. Here the seed draws everything that a plan can say: the size of the cluster, stakes,
//! distances, timing constants, the condition of network, disks and clocks, the workload, and
//! faults of a random subset of kinds with random weights.
//!
//! The result is the text of a plan, which is then read like any other: what the file with
//! `[swarm]` states itself, or `--set`, stays as it is, and only the rest is drawn. Draws have
//! names, as everywhere: `--set network.loss=0%` leaves all others as they were, and so does one
//! more kind of fault or one more way to lie.
//!
//! What is drawn stays within the budget, unless the file says otherwise. Until `heal_at` anything
//! goes, because what the world breaks there is known. Afterwards the network is clean and fast
//! enough for the drawn Δ; less than 20 % of the stake lies, and of the rest enough comes back that
//! 60 % of all stake is honest and votes. One combination is promised no progress: leaders that
//! split the votes while not more than 80 % is correct and in touch (A3). It is drawn now and then,
//! and such a plan says `liveness = false`; as a rule so much stake comes back that the lies may go
//! on.
//!
//! | what | where |
//! |---|---|
//! | network, time, disks, clocks, processors, clients | `swarm/world.rs` |
//! | who lies, how and when | `swarm/liars.rs` |
//! | all other faults, one row for each way to draw one | `swarm/faults.rs` |
//! | whom they hit, and who may be missing for good | `swarm/whom.rs` |

use super::behaviour::BEHAVIOURS;
use super::shape::{RegionShape, StakeShape};
use super::units::Nanos;
use dice::Dice;
use serde::Deserialize;
use std::collections::BTreeSet;
use whom::Whom;
use world::{Net, Time};

mod dice;
mod faults;
mod liars;
mod whom;
mod world;

/// What may be drawn; the defaults are the widest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Swarm {
    /// The least and the most nodes, at least 4.
    pub nodes: [u16; 2],
    /// The most faults.
    pub faults: u8,
    /// Kinds of faults and behaviours that are never drawn, as a plan or the swarm calls them.
    pub without: BTreeSet<String>,
    /// More than a fifth of the stake lies. Safety may break then, and no progress is promised.
    pub over_budget: bool,
}

/// What the file states itself and the faults have to fit.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    pub(super) cluster: StatedCluster,
    pub(super) run: StatedRun,
}

/// Who takes part, as far as it is stated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatedCluster {
    nodes: Option<u16>,
    stake: Option<StakeShape>,
    regions: Option<RegionShape>,
}

/// When it heals, if that is stated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatedRun {
    heal_at: Option<Nanos>,
}

impl Default for Swarm {
    fn default() -> Self {
        Swarm { nodes: [4, 100], faults: 14, without: BTreeSet::new(), over_budget: false }
    }
}

impl Swarm {
    /// What is wrong with it, and what to write instead.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let [least, most] = self.nodes;
        if least < 4 || most > 400 || least > most {
            let what = format!("a swarm of {least} to {most} nodes");
            return Err((what, "write [least, most] from 4 to 400".into()));
        }
        let kinds = faults::KINDS.iter().flat_map(|kind| [kind.kind, kind.name]);
        let known = kinds.chain(["byzantine"]).chain(BEHAVIOURS.map(|behaviour| behaviour.name));
        let known: BTreeSet<&str> = known.collect();
        match self.without.iter().find(|name| !known.contains(name.as_str())) {
            Some(name) => {
                let known: Vec<&str> = known.into_iter().collect();
                let what = format!("a swarm draws no {name:?} anyway");
                Err((what, format!("name some of {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    /// Whether this kind is never drawn.
    fn leaves_out(&self, kind: &faults::Kind) -> bool {
        self.without.contains(kind.name) || self.without.contains(kind.kind)
    }

    /// The plan that `seed` draws, around what is stated.
    pub(super) fn write(&self, seed: u64, stated: &Stated) -> String {
        let at = |subject: &'static str| Dice::about(seed, subject);
        let nodes = stated.cluster.nodes.unwrap_or_else(|| self.size(&at("cluster")));
        let (stake, drawn) = world::stake(&at("cluster"), usize::from(nodes));
        let shape = stated.cluster.stake.as_ref();
        // A list that is stated must not grow by one that is drawn.
        let stake = if shape.is_some() { String::new() } else { format!("stake = {stake}\n") };
        let stakes = shape.and_then(|shape| shape.stakes(nodes.into()).ok()).unwrap_or(drawn);
        let net = Net::draw(&at("network"));
        let (clocks, drift) = world::clocks(&at("clocks"));
        let heal_ms = stated.run.heal_at.map(|at| at.0 / 1_000_000);
        let time = Time::draw(&at("time"), &net, drift, nodes, heal_ms);
        let (_, regions) = stated.cluster.regions.as_ref().unwrap_or(&net.shape).place(&stakes);
        let mut whom = Whom { stakes, regions, liars: Vec::new(), lost: Vec::new() };
        let mut faults = String::new();
        let splits = liars::write(self, seed, &mut whom, time.heal_ms, &mut faults);
        self.lose(&at("lost"), splits, &mut whom);
        let gone = faults::write(self, seed, &whom, time.heal_ms, &mut faults);
        let gone: Vec<u16> = gone.into_iter().chain(whom.liars.iter().copied()).collect();
        let promised = !splits || whom.total() - whom.stake(&gone) >= withstands(whom.total());
        [
            format!("[cluster]\nnodes = {nodes}\nregions = {}\n{stake}", net.regions),
            format!("crypto = {:?}\n", world::crypto(&at("cluster"), nodes)),
            time.params,
            time.run,
            world::buggify(&at("host")),
            net.network,
            world::disk(&at("disk")),
            clocks,
            world::cpu(&at("cpu"), nodes, time.max_slices),
            world::workload(&at("workload")),
            self.expect(promised),
            faults,
        ]
        .concat()
    }

    /// Draws who may be missing for good.
    fn lose(&self, dice: &Dice, splits: bool, whom: &mut Whom) {
        let (total, liars) = (whom.total(), whom.stake(&whom.liars));
        let stall = self.over_budget || dice.chance("stall", 250);
        // Two fifths may be missing, unless progress is owed although leaders split the votes.
        let least = if splits && !stall { withstands(total) } else { (3 * total).div_ceil(5) };
        let most = total.saturating_sub(least).saturating_sub(liars);
        let share = match dice.weighted("share", &[2, 2, 2, 1]) {
            0 => return,
            1 => most,
            2 => most.min(total / 5),
            _ => most.min(whom.permille(dice.between("permille", 30, 400))),
        };
        whom.lost = whom.some(dice, share, &whom.liars).unwrap_or_default();
    }

    /// What such a plan expects.
    fn expect(&self, promised: bool) -> String {
        match (self.over_budget, promised) {
            (true, _) => "[expect]\nsafety = \"may-break\"\nliveness = false\n".into(),
            (false, true) => "[expect]\nrecovery = \"<bound\"\n".into(),
            (false, false) => "[expect]\nliveness = false\n".into(),
        }
    }

    /// Small clusters are cheap and show most; large ones come now and then.
    fn size(&self, dice: &Dice) -> u16 {
        let [least, most] = self.nodes;
        let classes =
            [(4, 7, 9), (8, 14, 6), (15, 30, 3), (31, 60, 1), (61, 100, 1), (101, 400, 1)];
        let fitting: Vec<(u16, u16, u64)> = classes
            .into_iter()
            .map(|(low, high, weight)| (low.max(least), high.min(most), weight))
            .filter(|(low, high, _)| low <= high)
            .collect();
        let weights: Vec<u64> = fitting.iter().map(|(_, _, weight)| *weight).collect();
        let (low, high, _) = fitting[dice.weighted("size", &weights)];
        dice.between("nodes", low.into(), high.into()) as u16
    }
}

/// More than 80 % of the stake: so much of it correct and in touch stands leaders that split.
fn withstands(total: u64) -> u64 {
    4 * total / 5 + 1
}

#[cfg(test)]
mod tests;
