//! The world of a swarm without its faults: stakes, network, timing constants, disks, clocks,
//! processors and clients.
//!
//! What is drawn here holds the promise after the heal by itself: Δ covers the slowest link, the
//! timeouts cover the fastest clock, an epoch outlasts the time in which nothing need be final.

use super::dice::Dice;
use crate::plan::shape::{RegionShape, StakeShape};
use crate::plan::units::Nanos;
use std::fmt::Write;

/// Stakes as the plan writes them, and as they are.
pub(super) fn stake(dice: &Dice, nodes: usize) -> (String, Vec<u64>) {
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
pub(super) fn crypto(dice: &Dice, nodes: u16) -> &'static str {
    if nodes <= 7 && dice.chance("crypto", 100) { "bls" } else { "null" }
}

/// The network, and how late a message can be.
pub(super) struct Net {
    /// As the plan writes it.
    pub(super) regions: String,
    pub(super) shape: RegionShape,
    pub(super) network: String,
    late_us: u64,
}

impl Net {
    pub(super) fn draw(dice: &Dice) -> Net {
        let jitter = dice.pick("jitter", &[0, 0, 2, 5, 10, 20]);
        let held_ms = if dice.chance("reordered", 300) { dice.between("held", 1, 60) } else { 0 };
        // Late to at most 1 + 3·jitter of the median (see `shape::TRUNCATION`); the public
        // figures spread wider than 5 % on some links: 300 ms hold them all.
        let (shape, regions, late_us) = if dice.chance("mainnet", 500) {
            let late_us = (300_000 * (100 + 3 * jitter) / 115).max(300_000);
            (RegionShape::Mainnet, "\"mainnet\"".into(), late_us)
        } else {
            let us = dice.octaves("distance", 1_000, 200_000);
            let regions = format!("{{ one-way = \"{us}us\" }}");
            (RegionShape::OneWay(Nanos(1_000 * us)), regions, us * (100 + 3 * jitter) / 100 + 1)
        };
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
        // The largest datagram must pass; less is the end of the chain.
        let mtu = dice.pick("mtu", &[1_472, 1_500, 1_500, 9_000]);
        writeln!(network, "mtu = \"{mtu}B\"").expect("a string takes it");
        Net { regions, shape, network, late_us: late_us + 1_000 * held_ms }
    }
}

/// Timing constants, and when the world heals.
pub(super) struct Time {
    pub(super) params: String,
    pub(super) run: String,
    /// When the network heals; 0 if it is never ill.
    pub(super) heal_ms: u64,
    pub(super) max_slices: u64,
}

impl Time {
    pub(super) fn draw(
        dice: &Dice,
        net: &Net,
        drift_ppm: u64,
        nodes: u16,
        stated_heal_ms: Option<u64>,
    ) -> Time {
        let late_ms = net.late_us.div_ceil(1_000);
        // Half of the time the usual Δ, if that is enough.
        let tight = late_ms + dice.between("margin", 2, 120);
        let usual = late_ms <= 248 && dice.chance("usual", 500);
        let delta = if usual { 250 } else { tight.max(20) };
        // The fastest clock must not give up before 3Δ.
        let bent = (3 * delta * drift_ppm).div_ceil(1_000_000);
        let more = if usual { 50 } else { dice.between("timeout", 1, 400) };
        let timeout = 3 * delta + bent + more;
        let cap = dice.pick("cap", &[timeout, 2 * timeout, 60_000, 60_000]);
        // Slots per run decide what it costs: large clusters have slow blocks.
        let shortest = if nodes <= 14 { 120 } else { 300 };
        let block = if usual { 400 } else { dice.between("block", shortest, 600) };
        let standstill = dice.between("standstill", 4 * delta + timeout, 12_000);
        let poll = dice.between("poll", 50, 800).min(standstill);
        let growth = dice.pick("growth", &[1, 20, 50, 50, 100, 200]);
        let interval = dice.between("slice", 20, 400);
        let slices = dice.pick("slices", &[2, 3, 8, 64, 64]);
        let first = dice.pick("first", &[1, 10, 10, 50]);
        let heal_ms = stated_heal_ms.unwrap_or_else(|| match dice.chance("calm", 60) {
            true => 0,
            false => dice.between("heal", 4_000, 16_000),
        });
        let calm = heal_ms == 0;
        // An epoch must outlast what keeps it from finality (see `Budget`).
        let windows = (heal_ms + standstill + poll).div_ceil(timeout + first) + 17;
        let least = if calm { dice.between("least epoch", 2, 12) } else { windows };
        let epoch = dice.pick("epoch", &[4 * least, 4 * least + 40, 18_000]);
        let end_ms = heal_ms + dice.between("after", 4_000, 10_000);
        Time {
            params: format!(
                "[params]\ndelta = \"{delta}ms\"\ndelta_timeout = \"{timeout}ms\"\n\
                 delta_block = \"{block}ms\"\ndelta_first = \"{first}ms\"\n\
                 standstill = \"{standstill}ms\"\nstandstill_poll = \"{poll}ms\"\n\
                 timeout_growth = \"{}.{}%\"\ntimeout_cap = \"{cap}ms\"\nslice_interval = \"{interval}ms\"\n\
                 max_slices = {slices}\nepoch_slots = {epoch}\n",
                growth / 10,
                growth % 10
            ),
            run: format!("[run]\nduration = \"{end_ms}ms\"\nheal_at = \"{heal_ms}ms\"\n"),
            // In less than that nothing can go wrong.
            heal_ms: if heal_ms < 200 { 0 } else { heal_ms },
            max_slices: slices,
        }
    }
}

pub(super) fn disk(dice: &Dice) -> String {
    let sync = dice.octaves("sync", 20, 4_000);
    let jitter = dice.pick("jitter", &[0, 10, 50]);
    let crash = dice.pick("crash", &["keep", "lose", "tear"]);
    format!("[disk]\nsync = \"{sync}us\"\nsync_jitter = \"{jitter}%\"\ncrash = {crash:?}\n")
}

/// The clocks, and how much too fast the fastest may run, in millionths.
pub(super) fn clocks(dice: &Dice) -> (String, u64) {
    let offset = if dice.chance("offset?", 300) { dice.octaves("offset", 1, 1_000) } else { 0 };
    // Crystals are within 500 millionths; some clocks are not.
    let most = dice.pick("most", &[500, 500, 10_000]);
    let drift = if dice.chance("drift?", 300) { dice.octaves("drift", 1, most) } else { 0 };
    (format!("[clocks]\noffset = \"{offset}ms\"\ndrift = \"{drift}ppm\"\n"), drift)
}

/// How often the fault points of the host fire; part of the section before it.
pub(super) fn buggify(dice: &Dice) -> String {
    match dice.chance("buggify?", 300) {
        true => format!("buggify = \"{}%\"\n", dice.pick("buggify", &[1, 5, 20])),
        false => String::new(),
    }
}

/// What checks cost, as long as the votes of a slot leave most of it free.
pub(super) fn cpu(dice: &Dice, nodes: u16, max_slices: u64) -> String {
    if !dice.chance("busy", 200) {
        return String::new();
    }
    let most = (10_000 / u64::from(nodes)).max(2);
    let verify = dice.octaves("verify", 1, most);
    // A whole block must be reconstructed in time.
    let decode = dice.octaves("decode", 5, 2_400 / max_slices);
    format!("[cpu]\nverify = \"{verify}us\"\ndecode = \"{decode}us\"\n")
}

pub(super) fn workload(dice: &Dice) -> String {
    let rate = if dice.chance("idle", 200) { 0 } else { dice.octaves("rate", 1, 400) };
    let size = dice.octaves("size", 1, 1_000);
    format!("[workload]\ntransactions_per_second = {rate}\nsize = \"{size}B\"\n")
}
