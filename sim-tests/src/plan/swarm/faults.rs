//! The faults of a swarm: a subset of the kinds, how many of each, and when they happen to whom.
//!
//! One row of [`KINDS`] for each way in which a fault may be drawn: the kind of the plan that it
//! is written as, whom it may hit, and its parameters. One kind of the plan can be drawn in several
//! ways; a partition has all its shapes here. Everything that is drawn for the third crash is named
//! after it ("crash 2"), also its place among all faults: one more row moves no other.
//!
//! Faults that could not be in force together on one node ([`super::super::fault`]) are kept apart
//! here, so that every seed gives a legal plan.

use super::Swarm;
use super::dice::Dice;
use super::whom::Whom;
use crate::plan::fault::{self, Timing};
use std::collections::BTreeSet;
use std::fmt::Write;

/// One way to draw a fault.
pub(super) struct Kind {
    /// As the swarm calls it.
    pub(super) name: &'static str,
    /// As the plan calls it.
    pub(super) kind: &'static str,
    hits: Hits,
    /// How often, in permille, its nodes boot again before the heal.
    reboot: u64,
    /// The parameters, as keys of the row.
    parameters: fn(&Dice, &Hit<'_>) -> String,
}

/// Whom a fault may hit.
#[derive(Clone, Copy)]
enum Hits {
    /// At most so much stake at a time, in permille: 1000 for what harms nobody for good.
    Stake(u64),
    /// At least and at most so many nodes.
    Nodes(u64, u64),
    /// Nodes that may be missing for good.
    Lost,
}

/// What is known of a fault when its parameters are drawn.
struct Hit<'a> {
    nodes: &'a [u16],
    lasting_ms: u64,
    whom: &'a Whom,
}

#[rustfmt::skip]
pub(super) const KINDS: [Kind; 33] = [
    Kind { name: "partition",         kind: "partition",   hits: Hits::Stake(600),    reboot: 0,     parameters: |dice, _| style(dice) },
    Kind { name: "cut",               kind: "cut",         hits: Hits::Stake(600),    reboot: 0,     parameters: cut },
    Kind { name: "halves",            kind: "partition",   hits: Hits::Nodes(2, 100), reboot: 0,     parameters: |dice, _| shape(dice, "halves") },
    Kind { name: "ring",              kind: "partition",   hits: Hits::Nodes(4, 24),  reboot: 0,     parameters: |dice, _| shape(dice, "ring") },
    Kind { name: "bridge",            kind: "partition",   hits: Hits::Nodes(3, 100), reboot: 0,     parameters: |dice, _| shape(dice, "bridge") },
    Kind { name: "isolated",          kind: "partition",   hits: Hits::Nodes(1, 100), reboot: 0,     parameters: |dice, _| shape(dice, "isolated") },
    Kind { name: "swizzle",           kind: "partition",   hits: Hits::Nodes(1, 12),  reboot: 0,     parameters: |dice, _| shape(dice, "swizzle") },
    Kind { name: "short-cuts",        kind: "partition",   hits: Hits::Stake(600),    reboot: 0,     parameters: |dice, hit| format!("{}\n{}", style(dice), again(dice, hit)) },
    Kind { name: "rolling-partition", kind: "partition",   hits: Hits::Nodes(1, 100), reboot: 0,     parameters: |dice, hit| format!("{}\n{}", style(dice), turns(dice, hit)) },
    Kind { name: "crash",             kind: "crash",       hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| mode(dice) },
    Kind { name: "short-crashes",     kind: "crash",       hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, hit| format!("{}\n{}", mode(dice), again(dice, hit)) },
    Kind { name: "rolling-crash",     kind: "crash",       hits: Hits::Nodes(1, 100), reboot: 0,     parameters: |dice, hit| format!("{}\n{}", mode(dice), turns(dice, hit)) },
    Kind { name: "stop",              kind: "crash",       hits: Hits::Lost,          reboot: 0,     parameters: |dice, _| format!("{}\npermanent = true", mode(dice)) },
    Kind { name: "lost-disk",         kind: "crash",       hits: Hits::Lost,          reboot: 300,   parameters: |_, _| "mode = \"wipe\"".into() },
    Kind { name: "pause",             kind: "pause",       hits: Hits::Stake(1_000),  reboot: 0,     parameters: |_, _| String::new() },
    Kind { name: "rolling-pause",     kind: "pause",       hits: Hits::Nodes(1, 100), reboot: 0,     parameters: turns },
    Kind { name: "late-start",        kind: "late-start",  hits: Hits::Stake(600),    reboot: 0,     parameters: |_, _| String::new() },
    Kind { name: "loss",              kind: "loss",        hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("share = \"{}%\"", dice.pick("share", &[1, 5, 20, 50, 90])) },
    Kind { name: "bursts",            kind: "bursts",      hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("loss = \"{}%\"\nlength = \"{}ms\"\ngap = \"{}ms\"", dice.pick("loss", &[50, 100]), dice.octaves("length", 5, 500), dice.octaves("gap", 200, 4_000)) },
    Kind { name: "latency",           kind: "latency",     hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("add = \"{}ms\"", dice.octaves("add", 5, 2_000)) },
    Kind { name: "duplication",       kind: "duplication", hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("share = \"{}%\"", dice.pick("share", &[5, 50, 100])) },
    Kind { name: "reordering",        kind: "reordering",  hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("share = \"{}%\"\ndelay = \"{}ms\"", dice.pick("share", &[5, 30, 100]), dice.octaves("delay", 2, 1_000)) },
    Kind { name: "straddle",          kind: "straddle",    hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("share = \"{}%\"", dice.pick("share", &[1, 10, 50, 100])) },
    Kind { name: "corruption",        kind: "corruption",  hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("share = \"{}%\"", dice.pick("share", &[1, 10, 50])) },
    Kind { name: "bandwidth",         kind: "bandwidth",   hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("rate = \"{}kbps\"", dice.octaves("rate", 64, 50_000)) },
    Kind { name: "disk-slow",         kind: "disk-slow",   hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("sync = \"{}ms\"", dice.octaves("sync", 5, 900)) },
    Kind { name: "disk-stall",        kind: "disk-stall",  hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("share = \"{}%\"\ntime = \"{}ms\"", dice.pick("share", &[1, 5, 20, 100]), dice.octaves("time", 10, 4_000)) },
    Kind { name: "disk-error",        kind: "disk-error",  hits: Hits::Stake(1_000),  reboot: 1_000, parameters: |dice, _| cause(dice) },
    Kind { name: "dead-disk",         kind: "disk-error",  hits: Hits::Lost,          reboot: 200,   parameters: |dice, _| cause(dice) },
    Kind { name: "bit-rot",           kind: "bit-rot",     hits: Hits::Lost,          reboot: 800,   parameters: |dice, _| format!("bits = {}", dice.octaves("bits", 1, 2_000)) },
    Kind { name: "starvation",        kind: "starvation",  hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("turn = \"{}ms\"", dice.octaves("turn", 1, 1_000)) },
    Kind { name: "clock-drift",       kind: "clock-drift", hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("drift = \"{}{}ppm\"", dice.pick("way", &["", "-"]), dice.octaves("drift", 10, 100_000)) },
    Kind { name: "clock-jump",        kind: "clock-jump",  hits: Hits::Stake(1_000),  reboot: 0,     parameters: |dice, _| format!("by = \"{}{}ms\"", dice.pick("way", &["", "-"]), dice.octaves("by", 5, 60_000)) },
];

fn style(dice: &Dice) -> String {
    format!("style = {:?}", dice.pick("style", &["drop", "drop", "jam", "one-way"]))
}

fn shape(dice: &Dice, shape: &str) -> String {
    format!("shape = {shape:?}\n{}", style(dice))
}

fn mode(dice: &Dice) -> String {
    format!("mode = {:?}", dice.pick("mode", &["keep", "lose", "tear"]))
}

fn cause(dice: &Dice) -> String {
    format!("cause = {:?}", dice.pick("cause", &["write", "sync", "full"]))
}

/// The others from which the nodes are cut off; empty if there are none left to draw.
fn cut(dice: &Dice, hit: &Hit<'_>) -> String {
    let others = Dice::about(dice.seed, format!("{} from", dice.subject));
    let from = hit.whom.some(&others, hit.whom.permille(600), hit.nodes).unwrap_or_default();
    format!("from = {from:?}\n{}", style(dice))
}

/// The same nodes again and again, each time shortly.
fn again(dice: &Dice, hit: &Hit<'_>) -> String {
    let most = hit.lasting_ms;
    let down = dice.octaves("down", 20.min(most), most.min(600));
    let gap = dice.octaves("gap", 20, 1_500);
    format!("rolling = {{ by = \"all\", down = \"{down}ms\", gap = \"{gap}ms\" }}")
}

/// So many turns at most.
const MOST_TURNS: u64 = 24;

/// Nodes, batches of nodes or regions one after the other.
fn turns(dice: &Dice, hit: &Hit<'_>) -> String {
    let most = hit.lasting_ms;
    let down = dice.octaves("down", most.div_ceil(2 * MOST_TURNS), most);
    let gap = dice.octaves("gap", most.div_ceil(2 * MOST_TURNS), most);
    let by = match dice.weighted("by", &[2, 2, 1]) {
        0 => "by = \"node\"".to_owned(),
        1 => {
            let largest = hit.nodes.iter().map(|node| hit.whom.stake(&[*node])).max();
            let total = u128::from(hit.whom.total());
            let least = (u128::from(largest.unwrap_or(0)) * 100).div_ceil(total) as u64;
            format!(
                "by = \"node\", at_once = \"{}%\"",
                dice.between("at once", least, 60.max(least))
            )
        }
        _ if hit.whom.in_one_region(hit.nodes) => "by = \"node\"".to_owned(),
        _ => "by = \"region\"".to_owned(),
    };
    format!("rolling = {{ {by}, down = \"{down}ms\", gap = \"{gap}ms\" }}")
}

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

/// Appends the faults that `seed` draws to the text of a plan, and answers who may be missing for
/// good because of them.
pub(super) fn write(
    swarm: &Swarm,
    seed: u64,
    whom: &Whom,
    heal_ms: u64,
    text: &mut String,
) -> BTreeSet<u16> {
    let mut gone = BTreeSet::new();
    let mut candidates: Vec<(u64, &Kind, Dice)> = Vec::new();
    let kinds = Dice::about(seed, "kinds");
    for kind in KINDS.iter().filter(|kind| !swarm.leaves_out(kind)) {
        // Most kinds stay out of a run; the others differ in weight.
        if !kinds.chance(&format!("{}?", kind.name), 300) {
            continue;
        }
        for number in 0..kinds.octaves(kind.name, 1, 8) {
            let dice = Dice::about(seed, format!("{} {number}", kind.name));
            candidates.push((dice.rank("place"), kind, dice));
        }
    }
    candidates.sort_by_key(|(place, kind, _)| (*place, kind.name));
    let mut left = kinds.between("faults", 0, swarm.faults.into());
    let mut placed: Vec<Placed> = Vec::new();
    for (_, kind, dice) in candidates {
        if left == 0 {
            break;
        }
        let Some(drawn) = kind.draw(&dice, whom, heal_ms) else { continue };
        if drawn.len() > 1 && swarm.without.contains("crash") {
            continue;
        }
        let fits = |(_, fault): &(String, Placed)| !placed.iter().any(|p| p.excludes(fault));
        if drawn.iter().all(fits) {
            left -= 1;
            if matches!(kind.hits, Hits::Lost) {
                gone.extend(drawn[0].1.nodes.iter().copied());
            }
            for (row, fault) in drawn {
                writeln!(text, "[[fault]]\n{row}").expect("a string takes it");
                placed.push(fault);
            }
        }
    }
    gone
}

impl Kind {
    /// The rows of the plan for one fault of this kind: itself, and the boot that belongs to it.
    fn draw(&self, dice: &Dice, whom: &Whom, heal_ms: u64) -> Option<Vec<(String, Placed)>> {
        let row = fault::Kind::named(self.kind).expect("the swarm draws kinds that exist");
        let permanent = self.name == "stop";
        if heal_ms == 0 && !permanent {
            return None;
        }
        let nodes = match self.hits {
            Hits::Stake(permille) => whom.somebody(dice, permille)?,
            Hits::Nodes(least, most) => whom.count(dice, least, most),
            Hits::Lost => whom.part(dice, &whom.lost)?,
        };
        let at = dice.between("at", 0, heal_ms.saturating_sub(100));
        let lasting = dice.octaves("for", 20, (heal_ms - at).max(20));
        let (at, end) = match row.timing {
            _ if permanent => (at, u64::MAX),
            Timing::Until => (at.max(1), at.max(1)),
            Timing::Instant => (at, at),
            Timing::Lasting => (at, at + lasting),
        };
        let mut line = format!("kind = {:?}\nat = \"{at}ms\"\n", self.kind);
        if row.timing == Timing::Lasting && !permanent {
            writeln!(line, "for = \"{lasting}ms\"").expect("a string takes it");
        }
        match self.kind {
            "partition" => writeln!(line, "side = {{ nodes = {nodes:?} }}"),
            _ => writeln!(line, "nodes = {nodes:?}"),
        }
        .expect("a string takes it");
        let parameters = (self.parameters)(dice, &Hit { nodes: &nodes, lasting_ms: lasting, whom });
        if parameters.contains("from = []") {
            return None;
        }
        line.push_str(&parameters);
        let start = if row.timing == Timing::Until { 0 } else { at };
        let mut drawn = vec![(line, Placed { exclusive: row.exclusive, start, end, nodes })];
        if dice.chance("reboot", self.reboot) {
            drawn.push(reboot(dice, &drawn[0].1, heal_ms)?);
        }
        Some(drawn)
    }
}

/// The nodes of a fault go down, and boot when it is over.
fn reboot(dice: &Dice, fault: &Placed, heal_ms: u64) -> Option<(String, Placed)> {
    let from = if fault.exclusive == Some("process") { fault.end } else { fault.start };
    let earliest_end = fault.end.max(from + 20);
    if earliest_end > heal_ms {
        return None;
    }
    let end = dice.between("boot", earliest_end, heal_ms);
    let start = dice.between("down", from, end - 20);
    let (nodes, lasting, mode) = (fault.nodes.clone(), end - start, mode(dice));
    let row = format!(
        "kind = \"crash\"\nat = \"{start}ms\"\nfor = \"{lasting}ms\"\nnodes = {nodes:?}\n{mode}"
    );
    Some((row, Placed { exclusive: Some("process"), start, end, nodes }))
}
