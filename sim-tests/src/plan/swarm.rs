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
//! names, as everywhere: `--set cluster.nodes=7` leaves all others as they were.
//!
//! What is drawn stays within the budget: until `heal_at` anything goes, because what the world
//! breaks there is known; afterwards the network is clean and fast enough for the drawn Δ, and at
//! least 60 % of the stake is honest and alive.

use super::draw::Draw;
use super::shape::StakeShape;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write;

mod faults;

/// What may be drawn; the defaults are the widest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Swarm {
    /// The least and the most nodes, at least 4.
    pub nodes: [u16; 2],
    /// The most faults.
    pub faults: u8,
    /// Kinds of faults that are never drawn.
    pub without: BTreeSet<String>,
}

impl Default for Swarm {
    fn default() -> Self {
        Swarm { nodes: [4, 100], faults: 14, without: BTreeSet::new() }
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
        let known = faults::KINDS.map(|kind| kind.name);
        match self.without.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let what = format!("a swarm draws no {name:?} anyway");
                Err((what, format!("name some of {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    /// The plan that `seed` draws.
    pub(super) fn write(&self, seed: u64) -> String {
        let at = |subject: &'static str| Dice { seed, subject: subject.into() };
        let mut text = String::new();
        let nodes = self.size(&at("cluster"));
        let (stake, stakes) = stake(&at("cluster"), usize::from(nodes));
        let net = Net::draw(&at("network"));
        let time = Time::draw(&at("time"), &net, nodes);
        let (disk, cpu) = (disk(&at("disk")), cpu(&at("cpu"), nodes));
        let sections = [
            format!("[cluster]\nnodes = {nodes}\nstake = {stake}\n{}", net.regions),
            format!("crypto = {:?}\n", crypto(&at("cluster"), nodes)),
            time.params,
            format!("[run]\nduration = \"{}ms\"\nheal_at = \"{}ms\"\n", time.end_ms, time.heal_ms),
            net.network,
            disk,
            clocks(&at("clocks")),
            cpu,
            workload(&at("workload")),
            "[expect]\nrecovery = \"<bound\"\n".into(),
        ];
        sections.iter().for_each(|section| text.push_str(section));
        faults::write(self, seed, &stakes, time.heal_ms, &mut text);
        text
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

/// Named draws about one subject.
pub(super) struct Dice {
    seed: u64,
    subject: String,
}

impl Dice {
    fn draw(&self, name: &str) -> Draw {
        Draw::new(self.seed, ["swarm", &self.subject, name])
    }

    /// Uniform, both ends included.
    fn between(&self, name: &str, low: u64, high: u64) -> u64 {
        self.draw(name).between(low, high)
    }

    /// True `permille` times of a thousand.
    fn chance(&self, name: &str, permille: u64) -> bool {
        self.draw(name).below(1_000) < permille
    }

    fn pick<T: Copy>(&self, name: &str, from: &[T]) -> T {
        from[self.draw(name).below(from.len() as u64) as usize]
    }

    /// An index, each as likely as its weight.
    fn weighted(&self, name: &str, weights: &[u64]) -> usize {
        let mut left = self.draw(name).below(weights.iter().sum());
        let found = weights.iter().position(|weight| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        found.expect("the draw is below the sum")
    }

    /// From `low` to `high` with all orders of magnitude alike: first how often to halve the top,
    /// then within that octave.
    fn octaves(&self, name: &str, low: u64, high: u64) -> u64 {
        let mut draw = self.draw(name);
        let octave = draw.below(u64::from((high / low.max(1)).max(1).ilog2()) + 1);
        let top = high >> octave;
        draw.between((top / 2).max(low), top.max(low))
    }
}

/// Stakes as the plan writes them, and as they are.
fn stake(dice: &Dice, nodes: usize) -> (String, Vec<u64>) {
    let shape = match dice.pick("stake", &["mainnet", "equal", "whale", "primes"]) {
        "mainnet" => StakeShape::Mainnet,
        "equal" => StakeShape::Equal,
        // One node of just under a fifth or just under two fifths of all, the rest alike: 3n
        // against n-1 times 12 is a fifth, 8n against as much is two fifths.
        "whale" => {
            let rest = 12 * (nodes as u64 - 1);
            let whale = if dice.chance("whale", 500) { rest / 4 } else { rest * 2 / 3 };
            let mut stakes = vec![12; nodes];
            stakes[nodes / 2] = whale.saturating_sub(1).max(1);
            StakeShape::List(stakes)
        }
        _ => StakeShape::List(primes().take(nodes).collect()),
    };
    let stakes = shape.stakes(nodes).expect("4 to 400 nodes are possible");
    let written = match &shape {
        StakeShape::Mainnet => "\"mainnet\"".into(),
        StakeShape::Equal => "\"equal\"".into(),
        StakeShape::List(list) => format!("{list:?}"),
    };
    (written, stakes)
}

fn primes() -> impl Iterator<Item = u64> {
    (2u64..).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d)))
}

/// Real signatures are slow, and what they forbid is tested elsewhere.
fn crypto(dice: &Dice, nodes: u16) -> &'static str {
    if nodes <= 7 && dice.chance("crypto", 100) { "bls" } else { "null" }
}

/// The network, and how late a message can be.
struct Net {
    regions: String,
    network: String,
    late_us: u64,
}

impl Net {
    fn draw(dice: &Dice) -> Net {
        let jitter = dice.pick("jitter", &[0, 0, 2, 5, 10, 20]);
        let held_ms = if dice.chance("reordered", 300) { dice.between("held", 1, 60) } else { 0 };
        // Late to at most 1 + 3·jitter of the median (see `shape::TRUNCATION`); the public
        // figures spread wider than 5 % on some links: 300 ms hold them all.
        let (regions, late_us) = if dice.chance("mainnet", 500) {
            ("regions = \"mainnet\"\n".into(), 300_000 * (100 + 3 * jitter) / 115)
        } else {
            let us = dice.octaves("distance", 1_000, 200_000);
            (format!("regions = {{ one-way = \"{us}us\" }}\n"), us * (100 + 3 * jitter) / 100 + 1)
        };
        let late_us = late_us.max(if regions.contains("mainnet") { 300_000 } else { 0 });
        let mut network = format!("[network]\njitter = \"{jitter}%\"\n");
        let share = |name: &str| dice.pick(name, &["0.1%", "0.5%", "1%", "3%", "10%"]);
        for name in ["loss", "duplication", "corruption"] {
            if dice.chance(&format!("{name}?"), 250) {
                writeln!(network, "{name} = \"{}\"", share(name)).expect("a string takes it");
            }
        }
        if dice.chance("bursts?", 200) {
            let (length, gap) = (dice.octaves("burst", 5, 400), dice.octaves("gap", 400, 8_000));
            let loss = dice.pick("burst loss", &[30, 60, 100]);
            let line =
                format!("{{ loss = \"{loss}%\", length = \"{length}ms\", gap = \"{gap}ms\" }}");
            writeln!(network, "bursts = {line}").expect("a string takes it");
        }
        if held_ms > 0 {
            let line =
                format!("{{ share = \"{}\", delay = \"{held_ms}ms\" }}", share("held share"));
            writeln!(network, "reordering = {line}").expect("a string takes it");
        }
        if dice.chance("bandwidth?", 500) {
            let rate = dice.pick("bandwidth", &["1Gbps", "2Gbps", "10Gbps"]);
            writeln!(network, "bandwidth = {rate:?}").expect("a string takes it");
        }
        if dice.chance("grid?", 100) {
            network.push_str("grid = \"1ms\"\n");
        }
        Net { regions, network, late_us: late_us + 1_000 * held_ms }
    }
}

/// Timing constants, and when the world heals.
struct Time {
    params: String,
    heal_ms: u64,
    end_ms: u64,
}

impl Time {
    fn draw(dice: &Dice, net: &Net, nodes: u16) -> Time {
        let late_ms = net.late_us.div_ceil(1_000);
        // Half of the time the usual Δ, if that is enough.
        let tight = late_ms + dice.between("margin", 2, 120);
        let usual = late_ms <= 248 && dice.chance("usual", 500);
        let delta = if usual { 250 } else { tight.max(20) };
        let timeout = 3 * delta + if usual { 50 } else { dice.between("timeout", 1, 400) };
        // Slots per run decide what it costs: large clusters have slow blocks.
        let shortest = if nodes <= 14 { 120 } else { 300 };
        let block = if usual { 400 } else { dice.between("block", shortest, 600) };
        let standstill = dice.between("standstill", 4 * delta + timeout, 12_000);
        let poll = dice.between("poll", 50, 800).min(standstill);
        let growth = dice.pick("growth", &[1, 20, 50, 50, 100, 200]);
        let interval = dice.between("slice", 20, 400);
        let slices = dice.pick("slices", &[2, 3, 8, 64, 64]);
        let first = dice.pick("first", &[1, 10, 10, 50]);
        let heal_ms = dice.between("heal", 4_000, 16_000);
        // An epoch must outlast what keeps it from finality (see `Budget`).
        let windows = (heal_ms + standstill + poll).div_ceil(timeout + first) + 17;
        let epoch = dice.pick("epoch", &[4 * windows, 4 * windows + 40, 18_000]);
        let after = dice.between("after", 4_000, 10_000);
        Time {
            params: format!(
                "[params]\ndelta = \"{delta}ms\"\ndelta_timeout = \"{timeout}ms\"\n\
                 delta_block = \"{block}ms\"\ndelta_first = \"{first}ms\"\n\
                 standstill = \"{standstill}ms\"\nstandstill_poll = \"{poll}ms\"\n\
                 timeout_growth = \"{}.{}%\"\nslice_interval = \"{interval}ms\"\n\
                 max_slices = {slices}\nepoch_slots = {epoch}\n",
                growth / 10,
                growth % 10
            ),
            heal_ms,
            end_ms: heal_ms + after,
        }
    }
}

fn disk(dice: &Dice) -> String {
    let sync = dice.octaves("sync", 20, 4_000);
    let jitter = dice.pick("jitter", &[0, 10, 50]);
    let crash = dice.pick("crash", &["keep", "lose", "tear"]);
    format!("[disk]\nsync = \"{sync}us\"\nsync_jitter = \"{jitter}%\"\ncrash = {crash:?}\n")
}

fn clocks(dice: &Dice) -> String {
    let offset = if dice.chance("offset?", 300) { dice.octaves("offset", 1, 1_000) } else { 0 };
    let drift = if dice.chance("drift?", 300) { dice.octaves("drift", 1, 500) } else { 0 };
    format!("[clocks]\noffset = \"{offset}ms\"\ndrift = \"{drift}ppm\"\n")
}

/// What checks cost, as long as the votes of a slot leave most of it free.
fn cpu(dice: &Dice, nodes: u16) -> String {
    if !dice.chance("busy", 200) {
        return String::new();
    }
    let most = (10_000 / u64::from(nodes)).max(2);
    let verify = dice.octaves("verify", 1, most);
    let decode = dice.octaves("decode", 10, 1_000);
    format!("[cpu]\nverify = \"{verify}us\"\ndecode = \"{decode}us\"\n")
}

fn workload(dice: &Dice) -> String {
    let rate = if dice.chance("idle", 200) { 0 } else { dice.octaves("rate", 1, 400) };
    let size = dice.octaves("size", 1, 1_000);
    format!("[workload]\ntransactions_per_second = {rate}\nsize = \"{size}B\"\n")
}

#[cfg(test)]
mod tests;
