//! Which nodes a fault hits: by number, by region, or by an amount of stake.
//!
//! "Cut off a bit more than 40 % of the stake" is what a consensus engineer wants to say; which
//! nodes that means depends on the stakes. Picking nodes greedily until the sum looks right
//! misses by whole nodes, and thresholds of the protocol are exact: one unit above 40 % stalls
//! the cluster, one unit below must not. So a stake rule is a subset-sum problem, solved exactly:
//!
//! - up to [`EXACT`] nodes by meeting in the middle: all sums of each half are sorted, and two
//!   pointers find the best pair. Among all subsets with the best sum one is drawn uniformly, so
//!   that different seeds cut along different lines;
//! - with more nodes, all but [`EXACT`] of them are first assigned at random so that about half
//!   of what the others hold is left open, and the rest is completed exactly as above. A hundred
//!   mainnet-shaped nodes have 2^30 completions for 10^9 units of stake, so the bound itself is
//!   nearly always hit. Up to [`ATTEMPTS`] assignments are tried and the best sum wins. The sum
//!   may then be a few units from the optimum, but never on the wrong side of the bound.

use super::draw::Draw;
use super::units::{Share, UnitError, percent};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::str::FromStr;

/// So many nodes are searched exhaustively: 2 * 2^15 sums.
const EXACT: usize = 30;
/// Random assignments that are tried when there are more nodes than that.
const ATTEMPTS: usize = 16;

/// The nodes that a fault applies to, as the plan states them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These nodes, or all of them.
    Nodes(NodeList),
    /// A set of nodes that holds this much stake.
    Stake(StakeRule),
    /// Every node of the region with this name.
    Region(String),
}

/// `[0, 3]` or `"all"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeList {
    /// Every node of the cluster.
    All,
    /// These.
    Some(Vec<u16>),
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selection::Nodes(NodeList::All) => write!(f, "all nodes"),
            Selection::Nodes(NodeList::Some(nodes)) => write!(f, "nodes {nodes:?}"),
            Selection::Stake(rule) => write!(f, "stake {rule}"),
            Selection::Region(name) => write!(f, "region {name}"),
        }
    }
}

/// How much stake a set of nodes should hold. The comparison is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StakeRule {
    /// `"40%"`: the largest sum that is not above.
    AtMost(Share),
    /// `">40%"`: the smallest sum that is above.
    Above(Share),
    /// `"<20%"`: the largest sum that is below.
    Below(Share),
    /// `"35%..45%"`: a sum near a random point of the range, bounds included.
    Between(Share, Share),
}

impl FromStr for StakeRule {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if let Some(above) = text.strip_prefix('>') {
            return above.parse().map(StakeRule::Above);
        }
        if let Some(below) = text.strip_prefix('<') {
            return below.parse().map(StakeRule::Below);
        }
        match text.split_once("..") {
            Some((low, high)) => Ok(StakeRule::Between(low.parse()?, high.parse()?)),
            None => text.parse().map(StakeRule::AtMost),
        }
    }
}

impl fmt::Display for StakeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StakeRule::AtMost(s) => write!(f, "{s}"),
            StakeRule::Above(s) => write!(f, ">{s}"),
            StakeRule::Below(s) => write!(f, "<{s}"),
            StakeRule::Between(low, high) => write!(f, "{low}..{high}"),
        }
    }
}

impl<'de> de::Deserialize<'de> for StakeRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rule;
        impl Visitor<'_> for Rule {
            type Value = StakeRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"40%\", \">40%\", \"<20%\" or \"35%..45%\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StakeRule, E> {
                match text.parse() {
                    Ok(StakeRule::Between(low, high)) if low > high => Err(E::custom(format!(
                        "the range {text:?} is empty\nput the smaller share first"
                    ))),
                    rule => rule.map_err(E::custom),
                }
            }
        }
        deserializer.deserialize_any(Rule)
    }
}

impl<'de> de::Deserialize<'de> for NodeList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = NodeList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of node numbers or \"all\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NodeList, E> {
                match text {
                    "all" => Ok(NodeList::All),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NodeList, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = seq.next_element()? {
                    nodes.push(node);
                }
                Ok(NodeList::Some(nodes))
            }
        }
        deserializer.deserialize_any(List)
    }
}

/// Why a selection selects nothing usable. The text before the line break says what is wrong, the
/// text after it what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No non-empty set of nodes fits the rule.
    #[error(
        "no set of nodes holds \"{rule}\" of the stake: the nearest sum is {} of it\n\
         choose another bound, or more or smaller nodes", percent(*.nearest, *.total)
    )]
    NoSet {
        /// The rule of the plan.
        rule: StakeRule,
        /// The nearest sum above the one aimed at.
        nearest: u64,
        /// All stake.
        total: u64,
    },
    /// A node that the cluster does not have.
    #[error("there is no node {node} among {nodes}\nnodes are counted from 0 to {}", .nodes - 1)]
    NoSuchNode {
        /// The number in the plan.
        node: u16,
        /// How many there are.
        nodes: usize,
    },
    /// A list without nodes, or with one of them twice.
    #[error("the list of nodes {0}\nname each node once, or write \"all\"")]
    List(&'static str),
    /// A region that no node is in.
    #[error("no node is in region {name:?}\nregions with nodes: {known}")]
    NoSuchRegion {
        /// The name in the plan.
        name: String,
        /// The regions that have nodes.
        known: String,
    },
}

/// The cluster that a selection is made in.
pub(super) struct Population<'a> {
    /// Stake of every node.
    pub(super) stakes: &'a [u64],
    /// Region of every node, by number.
    pub(super) regions: &'a [usize],
    /// Names of the regions.
    pub(super) names: &'a [String],
}

impl Selection {
    /// The nodes selected, ascending.
    pub(super) fn choose(
        &self,
        among: &Population<'_>,
        draw: &mut Draw,
    ) -> Result<Vec<u16>, SelectError> {
        let count = among.stakes.len();
        let mut nodes: Vec<u16> = match self {
            Selection::Nodes(NodeList::All) => (0..count).map(node).collect(),
            Selection::Nodes(NodeList::Some(list)) => list.clone(),
            Selection::Stake(rule) => rule.choose(among.stakes, draw)?,
            Selection::Region(name) => {
                let inside = |i: &usize| among.names[among.regions[*i]] == *name;
                (0..count).filter(inside).map(node).collect()
            }
        };
        nodes.sort_unstable();
        if let Some(&node) = nodes.iter().find(|n| usize::from(**n) >= count) {
            return Err(SelectError::NoSuchNode { node, nodes: count });
        }
        if nodes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(SelectError::List("names a node twice"));
        }
        match (nodes.is_empty(), self) {
            (false, _) => Ok(nodes),
            (true, Selection::Region(name)) => {
                Err(SelectError::NoSuchRegion { name: name.clone(), known: among.names.join(", ") })
            }
            (true, _) => Err(SelectError::List("is empty")),
        }
    }
}

impl StakeRule {
    /// The sums that keep the rule, both ends included, and the sum to aim at.
    fn bounds(self, total: u64, draw: &mut Draw) -> (u64, u64, u64) {
        let rounded_up = |share: Share| total - Share(Share::ALL.0 - share.0).of(total);
        match self {
            StakeRule::AtMost(share) => (1, share.of(total), share.of(total)),
            StakeRule::Above(share) => (share.of(total) + 1, total, share.of(total) + 1),
            StakeRule::Below(share) => {
                let high = rounded_up(share).saturating_sub(1);
                (1, high, high)
            }
            StakeRule::Between(low, high) => {
                let (low, high) = (rounded_up(low).max(1), high.of(total));
                (low, high, if low < high { draw.between(low, high) } else { low })
            }
        }
    }

    /// A set of nodes that keeps the rule, in no particular order.
    fn choose(self, stakes: &[u64], draw: &mut Draw) -> Result<Vec<u16>, SelectError> {
        let total: u64 = stakes.iter().sum();
        let (low, high, target) = self.bounds(total, draw);
        let mut found = largest_at_most(stakes, target, draw);
        if sum(stakes, &found) < low {
            // The smallest sum that is at least x is what the largest sum of at most the
            // remainder leaves over.
            let rest = largest_at_most(stakes, total.saturating_sub(target.max(1)), draw);
            found = (0..stakes.len()).filter(|i| !rest.contains(i)).collect();
        }
        let held = sum(stakes, &found);
        if held < low || held > high {
            return Err(SelectError::NoSet { rule: self, nearest: held, total });
        }
        Ok(found.into_iter().map(node).collect())
    }
}

fn node(index: usize) -> u16 {
    u16::try_from(index).expect("a cluster has at most 2,000 nodes")
}

fn sum(stakes: &[u64], nodes: &[usize]) -> u64 {
    nodes.iter().map(|i| stakes[*i]).sum()
}

/// A subset with the largest sum that is not above `cap`; see the top of this file.
fn largest_at_most(stakes: &[u64], cap: u64, draw: &mut Draw) -> Vec<usize> {
    let mut order: Vec<usize> = (0..stakes.len()).collect();
    let mut best: Option<(u64, Vec<usize>)> = None;
    for _ in 0..ATTEMPTS {
        draw.shuffle(&mut order);
        let (fixed, open) = order.split_at(order.len().saturating_sub(EXACT));
        let leave = sum(stakes, open) / 2;
        let mut chosen = Vec::new();
        let mut held = 0;
        for &i in fixed {
            if stakes[i] <= cap.saturating_sub(leave).saturating_sub(held) {
                held += stakes[i];
                chosen.push(i);
            }
        }
        chosen.extend(complete(stakes, open, cap - held, draw));
        let held = sum(stakes, &chosen);
        if best.as_ref().is_none_or(|(most, _)| held > *most) {
            best = Some((held, chosen));
        }
        if fixed.is_empty() || held == cap {
            break;
        }
    }
    best.map_or_else(Vec::new, |(_, chosen)| chosen)
}

/// A uniformly drawn one among the subsets of `open` with the largest sum not above `cap`.
fn complete(stakes: &[u64], open: &[usize], cap: u64, draw: &mut Draw) -> Vec<usize> {
    let (left, right) = open.split_at(open.len() / 2);
    let (a, b) = (sums(stakes, left), sums(stakes, right));
    // For every run of equal sums on the left: the run of best partners on the right.
    let mut best = 0;
    let mut pairs: Vec<(&[Subset], &[Subset])> = Vec::new();
    let mut end = b.len();
    for run in a.chunk_by(|x, y| x.0 == y.0) {
        let Some(room) = cap.checked_sub(run[0].0) else { break };
        while b[end - 1].0 > room {
            end -= 1;
        }
        let partner = b[end - 1].0;
        let total = run[0].0 + partner;
        if total > best {
            best = total;
            pairs.clear();
        }
        if total == best {
            let start = b[..end].partition_point(|x| x.0 < partner);
            pairs.push((run, &b[start..end]));
        }
    }
    let ways = |(x, y): &(&[_], &[_])| (x.len() * y.len()) as u64;
    let mut pick = draw.below(pairs.iter().map(ways).sum());
    for pair in pairs {
        if pick < ways(&pair) {
            let (x, y) =
                (pair.0[pick as usize / pair.1.len()], pair.1[pick as usize % pair.1.len()]);
            return members(left, x.1).chain(members(right, y.1)).collect();
        }
        pick -= ways(&pair);
    }
    unreachable!("the draw is below the number of ways")
}

/// The sum of a subset, and one bit for each of its members.
type Subset = (u64, u32);

/// Every subset of `nodes`, by ascending sum.
fn sums(stakes: &[u64], nodes: &[usize]) -> Vec<Subset> {
    let mut sums: Vec<Subset> = vec![(0, 0)];
    for (bit, i) in nodes.iter().enumerate() {
        let with = |(s, mask): &Subset| (s + stakes[*i], mask | 1 << bit);
        sums.extend(sums.iter().map(with).collect::<Vec<_>>());
    }
    sums.sort_unstable();
    sums
}

fn members(nodes: &[usize], mask: u32) -> impl Iterator<Item = usize> {
    nodes.iter().enumerate().filter(move |(bit, _)| mask & 1 << bit != 0).map(|(_, i)| *i)
}

#[cfg(test)]
mod tests;
