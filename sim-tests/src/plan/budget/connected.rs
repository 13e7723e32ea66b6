//! Who hears whom, pairwise, and the heaviest group in which everybody hears everybody.
//!
//! After a partition in two the answer is a side. After a ring or behind a bridge nobody is cut off
//! and yet nobody can act: each node hears a majority, but votes do not travel on, and no 60 % of
//! the stake hear each other. What is promised, is promised to a set of nodes of which each two
//! hear each other both ways: a clique. So the stake that can act is the weight of the heaviest
//! clique.
//!
//! Nodes that are cut off from the same others count as one. Ordinary faults leave a handful of
//! such classes, a ring one for each node. The search is exact up to [`STEPS`] steps; beyond that
//! it keeps the best it has found, which can only promise less.

use std::collections::BTreeMap;

/// Partial cliques that are looked at.
const STEPS: u32 = 200_000;

/// Pairs of nodes that do not hear each other both ways.
pub(super) struct Hearing {
    nodes: usize,
    /// Row by row, one bit a node: hears and is heard. A node hears itself.
    rows: Vec<Vec<u64>>,
}

impl Hearing {
    /// Everybody hears everybody.
    pub(super) fn complete(nodes: usize) -> Hearing {
        let mut row = vec![u64::MAX; nodes.div_ceil(64)];
        if let (Some(last), used @ 1..) = (row.last_mut(), nodes % 64) {
            *last = (1 << used) - 1;
        }
        Hearing { nodes, rows: vec![row; nodes] }
    }

    /// These two do not hear each other.
    pub(super) fn cut(&mut self, a: u16, b: u16) {
        for (from, to) in [(usize::from(a), usize::from(b)), (usize::from(b), usize::from(a))] {
            self.rows[from][to / 64] &= !(1 << (to % 64));
        }
    }

    fn hears(&self, a: usize, b: usize) -> bool {
        self.rows[a][b / 64] >> (b % 64) & 1 == 1
    }

    /// The weight of the heaviest clique, and its members, ascending. Nodes without weight do not
    /// take part.
    pub(super) fn heaviest(&self, weight: &[u64]) -> (u64, Vec<u16>) {
        // Nodes with the same row hear the same ones, and so each other: they hear themselves.
        let mut classes = BTreeMap::<&[u64], (usize, u64)>::new();
        let takes_part = |node: &usize| weight[*node] > 0;
        for node in (0..self.nodes).filter(takes_part) {
            classes.entry(&self.rows[node]).or_insert((node, 0)).1 += weight[node];
        }
        let mut open: Vec<(usize, u64)> = classes.into_values().collect();
        open.sort_by_key(|(node, weight)| (std::cmp::Reverse(*weight), *node));
        let mut search = Search { hearing: self, best: (0, Vec::new()), steps: 0 };
        search.extend(0, &mut Vec::new(), &open);
        let (best, first) = search.best;
        let chosen = |node: &usize| first.iter().any(|f| self.rows[*f] == self.rows[*node]);
        let members = (0..self.nodes).filter(takes_part).filter(chosen);
        (best, members.map(|node| node as u16).collect())
    }
}

/// Branch and bound.
struct Search<'a> {
    hearing: &'a Hearing,
    /// Weight, and one member of each class.
    best: (u64, Vec<usize>),
    steps: u32,
}

impl Search<'_> {
    /// Extends a clique of this weight by members of `open`, all of which it hears.
    fn extend(&mut self, held: u64, clique: &mut Vec<usize>, open: &[(usize, u64)]) {
        if held > self.best.0 {
            self.best = (held, clique.clone());
        }
        self.steps += 1;
        let mut left: u64 = open.iter().map(|(_, weight)| weight).sum();
        for (i, &(node, weight)) in open.iter().enumerate() {
            if held + left <= self.best.0 || self.steps >= STEPS {
                return;
            }
            let rest = open[i + 1..].iter().filter(|(other, _)| self.hearing.hears(node, *other));
            let rest: Vec<(usize, u64)> = rest.copied().collect();
            clique.push(node);
            self.extend(held + weight, clique, &rest);
            clique.pop();
            left -= weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bridge_makes_nobody_whole() {
        let mut hearing = Hearing::complete(5);
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            hearing.cut(a, b);
        }
        let of = |weight: [u64; 5]| hearing.heaviest(&weight);
        assert_eq!(of([2, 1, 1, 1, 1]), (4, vec![0, 1, 4]), "a half and the bridge, not all");
        assert_eq!(of([2, 1, 1, 1, 0]), (3, vec![0, 1]), "the bridge is down");
        assert_eq!(of([0; 5]), (0, vec![]));
    }

    #[test]
    fn a_ring_of_majorities_acts_like_a_minority() {
        for nodes in [5, 20, 70, 100] {
            let mut hearing = Hearing::complete(nodes);
            let near = (nodes / 2).div_ceil(2);
            for i in 0..nodes {
                for j in i + 1..nodes {
                    if (j - i).min(nodes - (j - i)) > near {
                        hearing.cut(i as u16, j as u16);
                    }
                }
                let heard = (0..nodes).filter(|j| hearing.hears(i, *j)).count();
                assert!(2 * near + 1 == heard && heard * 2 > nodes, "a majority is heard");
            }
            let (acts, members) = hearing.heaviest(&vec![1; nodes]);
            assert_eq!(acts as usize, members.len());
            assert!(acts as usize * 5 < nodes * 3, "{acts} of {nodes}");
        }
    }

    proptest! {
        #[test]
        fn against_brute_force(
            cuts in proptest::collection::vec((0..9u16, 0..9u16), 0..20),
            weight in proptest::collection::vec(0..9u64, 9),
        ) {
            let mut hearing = Hearing::complete(9);
            cuts.iter().filter(|(a, b)| a != b).for_each(|(a, b)| hearing.cut(*a, *b));
            let whole = |set: &u32| {
                let members: Vec<usize> = (0..9).filter(|n| set >> n & 1 == 1).collect();
                members.iter().all(|a| members.iter().all(|b| hearing.hears(*a, *b)))
            };
            let weigh = |set: u32| (0..9).filter(|n| set >> n & 1 == 1).map(|n| weight[n]).sum::<u64>();
            let best = (0..1u32 << 9).filter(whole).map(weigh).max();
            let (found, members) = hearing.heaviest(&weight);
            prop_assert_eq!(Some(found), best);
            let set = members.iter().map(|node| 1 << node).sum::<u32>();
            prop_assert!(whole(&set) && weigh(set) == found);
        }
    }
}
