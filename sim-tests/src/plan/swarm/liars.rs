//! The liars of a swarm: who they are, what they do and when.
//!
//! Half of the runs have liars. Theirs is one set of nodes for the whole run, because an identity
//! that ever lies is byzantine throughout; sometimes it is one node, sometimes as much stake as
//! the protocol stands, to the unit. What they do is a palette of one, a few or all behaviours, of
//! which each row of the plan takes some for some of them, for the whole run or for a while.
//! Another fault may hit a liar like anybody else: it crashes, is cut off, loses its disk.

use super::Swarm;
use super::dice::Dice;
use super::whom::Whom;
use crate::plan::behaviour::{BEHAVIOURS, Behaviours};
use crate::plan::select::StakeRule;
use crate::plan::units::Share;
use std::fmt::Write;

/// The most behaviours in one row: an identity that does everything at once is only noisy.
const MOST_IN_A_ROW: u64 = 6;

/// Draws who lies into `whom` and appends what they do to `text`. True if a behaviour can make
/// correct nodes hold different blocks of one slot.
pub(super) fn write(
    swarm: &Swarm,
    seed: u64,
    whom: &mut Whom,
    heal_ms: u64,
    text: &mut String,
) -> bool {
    let dice = Dice::about(seed, "liars");
    let allowed = BEHAVIOURS.iter().map(|behaviour| behaviour.name);
    let mut allowed: Vec<&'static str> =
        allowed.filter(|name| !swarm.without.contains(*name)).collect();
    let out = swarm.without.contains("byzantine") || allowed.is_empty();
    if out || !(swarm.over_budget || dice.chance("any", 500)) {
        return false;
    }
    let Some(nodes) = identities(swarm, &dice, whom) else { return false };
    whom.liars = nodes;
    allowed.sort_by_key(|name| dice.rank(name));
    let size = match dice.weighted("palette", &[4, 3, 2, 1]) {
        0 => 1,
        1 => dice.between("few", 2, 3),
        2 => dice.between("several", 4, 8),
        _ => BEHAVIOURS.len() as u64,
    };
    allowed.truncate(size as usize);
    let rows = 1 + dice.weighted("rows", &[6, 3, 2, 1]);
    let mut splits = false;
    for number in 0..rows {
        let dice = Dice::about(seed, format!("liars {number}"));
        let nodes = whom.part(&dice, &whom.liars).expect("there are liars");
        let mut row = allowed.clone();
        row.sort_by_key(|name| dice.rank(name));
        row.truncate(dice.octaves("together", 1, MOST_IN_A_ROW) as usize);
        let when = when(&dice, heal_ms);
        writeln!(text, "[[fault]]\nkind = \"byzantine\"\nnodes = {nodes:?}\n{when}")
            .expect("a string takes it");
        writeln!(text, "behaviour = {row:?}").expect("a string takes it");
        splits |= Behaviours(row).split();
    }
    splits
}

/// Who lies: less than 20 % of the stake, or more if the swarm goes over the budget.
fn identities(swarm: &Swarm, dice: &Dice, whom: &Whom) -> Option<Vec<u16>> {
    // The most that is strictly below a fifth.
    let most = whom.total().div_ceil(5) - 1;
    if swarm.over_budget {
        let range = StakeRule::Between(Share(200_000_000), Share(340_000_000));
        return whom
            .chosen(dice, range)
            .or_else(|| whom.chosen(dice, StakeRule::Above(Share(200_000_000))));
    }
    match dice.weighted("identities", &[3, 3, 3]) {
        0 => {
            let few = |node: &u16| whom.stakes[usize::from(*node)] <= most;
            let mut few: Vec<u16> = (0..whom.stakes.len() as u16).filter(few).collect();
            dice.draw("nodes").shuffle(&mut few);
            few.first().map(|node| vec![*node])
        }
        1 => whom.some(dice, whom.permille(dice.between("share", 50, 199)).min(most), &[]),
        _ => whom.chosen(dice, StakeRule::Below(Share(200_000_000))),
    }
}

/// From the first moment to the last, from some moment on, for a while, or until the heal.
fn when(dice: &Dice, heal_ms: u64) -> String {
    if heal_ms == 0 {
        return "at = \"0ms\"\npermanent = true".into();
    }
    let at = dice.between("at", 0, heal_ms - 100);
    match dice.weighted("when", &[4, 2, 3, 1]) {
        0 => "at = \"0ms\"\npermanent = true".into(),
        1 => format!("at = \"{at}ms\"\npermanent = true"),
        2 => format!("at = \"{at}ms\"\nfor = \"{}ms\"", dice.octaves("for", 100, heal_ms - at)),
        _ => format!("at = \"{at}ms\""),
    }
}
