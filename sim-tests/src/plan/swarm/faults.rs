//! The faults of a swarm: a subset of the kinds, each with a weight, and when they happen to whom.
//!
//! One row of [`KINDS`] for each kind that may be drawn; the row writes the parameters. Faults
//! that could not be in force together on one node ([`super::super::fault`]) are kept apart here,
//! so that every seed gives a legal plan.

use super::super::fault;
use super::{Dice, Swarm};
use std::fmt::Write;

/// One kind of fault as the swarm draws it.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The most stake that may be hit at a time, in permille: 1000 for what harms nobody for good.
    stake: u64,
    /// The parameters, as keys of the row.
    parameters: fn(&Dice) -> String,
}

#[rustfmt::skip]
pub(super) const KINDS: [Kind; 13] = [
    Kind { name: "partition",   stake: 600,   parameters: |dice| format!("style = {:?}", dice.pick("style", &["drop", "drop", "jam", "one-way"])) },
    Kind { name: "crash",       stake: 1_000, parameters: |dice| format!("mode = {:?}", dice.pick("mode", &["keep", "lose", "tear"])) },
    Kind { name: "pause",       stake: 1_000, parameters: |_| String::new() },
    Kind { name: "late-start",  stake: 600,   parameters: |_| String::new() },
    Kind { name: "loss",        stake: 1_000, parameters: |dice| format!("share = \"{}%\"", dice.pick("share", &[1, 5, 20, 50, 90])) },
    Kind { name: "bursts",      stake: 1_000, parameters: |dice| format!("loss = \"{}%\"\nlength = \"{}ms\"\ngap = \"{}ms\"", dice.pick("loss", &[50, 100]), dice.octaves("length", 5, 500), dice.octaves("gap", 200, 4_000)) },
    Kind { name: "latency",     stake: 1_000, parameters: |dice| format!("add = \"{}ms\"", dice.octaves("add", 5, 2_000)) },
    Kind { name: "duplication", stake: 1_000, parameters: |dice| format!("share = \"{}%\"", dice.pick("share", &[5, 50, 100])) },
    Kind { name: "reordering",  stake: 1_000, parameters: |dice| format!("share = \"{}%\"\ndelay = \"{}ms\"", dice.pick("share", &[5, 30, 100]), dice.octaves("delay", 2, 1_000)) },
    Kind { name: "corruption",  stake: 1_000, parameters: |dice| format!("share = \"{}%\"", dice.pick("share", &[1, 10, 50])) },
    Kind { name: "bandwidth",   stake: 1_000, parameters: |dice| format!("rate = \"{}kbps\"", dice.octaves("rate", 64, 50_000)) },
    Kind { name: "disk-slow",   stake: 1_000, parameters: |dice| format!("sync = \"{}ms\"", dice.octaves("sync", 5, 900)) },
    Kind { name: "clock-jump",  stake: 1_000, parameters: |dice| format!("by = \"{}{}ms\"", dice.pick("way", &["", "-"]), dice.octaves("by", 5, 60_000)) },
];

/// A fault that was drawn, for what may not overlap.
struct Placed {
    exclusive: Option<&'static str>,
    start: u64,
    end: u64,
    nodes: Vec<u16>,
}

impl Placed {
    fn excludes(&self, other: &Placed) -> bool {
        self.exclusive.is_some()
            && self.exclusive == other.exclusive
            && self.start < other.end
            && other.start < self.end
            && self.nodes.iter().any(|node| other.nodes.contains(node))
    }
}

/// Appends the faults that `seed` draws to the text of a plan.
pub(super) fn write(swarm: &Swarm, seed: u64, stakes: &[u64], heal_ms: u64, text: &mut String) {
    let dice = |subject: String| Dice { seed, subject };
    let weights = weights(swarm, &dice("kinds".into()));
    if weights.iter().all(|weight| *weight == 0) {
        return;
    }
    let mut placed: Vec<Placed> = Vec::new();
    let count = dice("kinds".into()).between("faults", 0, swarm.faults.into());
    for number in 0..count {
        let dice = dice(format!("fault {number}"));
        let kind = &KINDS[dice.weighted("kind", &weights)];
        let Some((row, fault)) = draw(kind, &dice, stakes, heal_ms) else { continue };
        if !placed.iter().any(|other| other.excludes(&fault)) {
            writeln!(text, "[[fault]]\n{row}").expect("a string takes it");
            placed.push(fault);
        }
    }
    if !swarm.without.contains("crash") {
        stop_for_good(&dice("for good".into()), stakes, heal_ms, &placed, text);
    }
}

/// Half of the kinds stay out of a run; the others differ in weight.
fn weights(swarm: &Swarm, dice: &Dice) -> Vec<u64> {
    let weight = |kind: &Kind| {
        let out = swarm.without.contains(kind.name) || dice.chance(&format!("{}?", kind.name), 500);
        if out { 0 } else { dice.octaves(kind.name, 1, 16) }
    };
    KINDS.iter().map(weight).collect()
}

fn draw(kind: &Kind, dice: &Dice, stakes: &[u64], heal_ms: u64) -> Option<(String, Placed)> {
    let row = fault::Kind::named(kind.name).expect("the swarm draws kinds that exist");
    let nodes = whom(dice, stakes, kind.stake)?;
    let at = dice.between("at", 0, heal_ms - 100);
    let (start, end) = match row.timing {
        fault::Timing::Until => (0, at.max(1)),
        fault::Timing::Instant => (at, at),
        fault::Timing::Lasting => (at, at + dice.octaves("for", 20, heal_ms - at)),
    };
    let mut line = match row.timing {
        fault::Timing::Until => format!("kind = {:?}\nat = \"{end}ms\"\n", kind.name),
        fault::Timing::Instant => format!("kind = {:?}\nat = \"{at}ms\"\n", kind.name),
        fault::Timing::Lasting => {
            format!("kind = {:?}\nat = \"{at}ms\"\nfor = \"{}ms\"\n", kind.name, end - start)
        }
    };
    match row.premise {
        fault::Premise::Cut => writeln!(line, "side = {{ nodes = {nodes:?} }}"),
        _ => writeln!(line, "nodes = {nodes:?}"),
    }
    .expect("a string takes it");
    line.push_str(&(kind.parameters)(dice));
    Some((line, Placed { exclusive: row.exclusive, start, end, nodes }))
}

/// One node, some stake, or as much as may be.
fn whom(dice: &Dice, stakes: &[u64], most: u64) -> Option<Vec<u16>> {
    let most = match dice.weighted("whom", &[3, 3, 2, 1]) {
        0 => return Some(vec![dice.between("node", 0, stakes.len() as u64 - 1) as u16]),
        1 => most.min(200),
        2 => most.min(dice.between("share", 200, 600)),
        _ => most,
    };
    subset(dice, stakes, most)
}

/// Random nodes that hold at most `permille` of the stake; not all, unless that may be.
fn subset(dice: &Dice, stakes: &[u64], permille: u64) -> Option<Vec<u16>> {
    let total: u128 = stakes.iter().map(|stake| u128::from(*stake)).sum();
    let mut order: Vec<u16> = (0..stakes.len() as u16).collect();
    dice.draw("nodes").shuffle(&mut order);
    let mut held = 0;
    order.retain(|node| {
        let with = held + u128::from(stakes[usize::from(*node)]);
        let fits = with * 1_000 <= total * u128::from(permille);
        held = if fits { with } else { held };
        fits
    });
    order.sort_unstable();
    (!order.is_empty()).then_some(order)
}

/// Sometimes nodes with up to a fifth of the stake never come back.
fn stop_for_good(dice: &Dice, stakes: &[u64], heal_ms: u64, placed: &[Placed], text: &mut String) {
    if !dice.chance("stop", 200) {
        return;
    }
    let Some(nodes) = subset(dice, stakes, dice.between("share", 50, 200)) else { return };
    let start = dice.between("at", 0, heal_ms);
    let fault = Placed { exclusive: Some("process"), start, end: u64::MAX, nodes };
    if !placed.iter().any(|other| other.excludes(&fault)) {
        writeln!(
            text,
            "[[fault]]\nkind = \"crash\"\nat = \"{start}ms\"\npermanent = true\nnodes = {:?}",
            fault.nodes
        )
        .expect("a string takes it");
    }
}
