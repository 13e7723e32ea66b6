//! O46: where delays are constant, the moment of finality is a formula (13.3).
//!
//! > n60(v) = Q_60(v; a)    own(v) = min( Q_80(v; a), max(n60(v), Q_60(v; f)) )
//! > fin(v) = min( own(v), min_u own(u) + d(u,v) )
//!
//! a_u and f_u are the moments at which u hands N(b) and F to the network, d the shortest way over
//! links and passed-on certificates, and Q_θ(v; x) the earliest moment by which the senders with
//! x_u + d(u,v) until then hold the share θ. The trace gives a and f, the plan gives d; what remains
//! has no freedom at all. So a node is neither late nor early, to the nanosecond, as long as nobody
//! lies; liars can only make it earlier. What f owes to a is checked too, up to processing time.
//!
//! Premises, from the plan: constant delays, no queues (bandwidth, processors, grid), no fault points
//! in host code, nothing lost, damaged, doubled or held back, windows ready after G1 with all correct
//! votes from nodes in scope; and one block in the slot. Elsewhere this oracle judges nothing;
//! `judged-O46` counts what it judged.

use super::windows::Windows;
use super::{Context, Fact, Findings, Oracle, Scene};
use crate::plan::{Concrete, Nanos, Share};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;
use alpenglow_node::protocol::wire::Message;
use std::collections::BTreeMap;

/// A slot is judged when every running node has delivered so many slots more: by then everything
/// that was said about it has arrived.
const LATER_SLOTS: u64 = 8;
/// No link of the simulated network is faster.
const FASTEST_NS: u64 = 20_000;
#[cfg(feature = "sim")]
const _: () = assert!(FASTEST_NS == crate::world::network::FLOOR_NS);
/// Never.
const NEVER: u64 = u64::MAX;

/// Who sent something, and when.
type Sent = (NodeId, u64);

/// What happened in one slot.
#[derive(Clone, Debug, Default)]
struct Track {
    /// When N left each node, by block.
    notar: BTreeMap<BlockId, Vec<Sent>>,
    /// When F left each node.
    last: Vec<Sent>,
    /// The first direct finalization at each node.
    direct: BTreeMap<NodeId, (u64, BlockId)>,
    /// The first of any kind.
    any: BTreeMap<NodeId, u64>,
}

/// What the formula says.
struct Prediction {
    notarized: Vec<u64>,
    fast: Vec<u64>,
    fin: Vec<u64>,
}

/// The oracle.
#[derive(Debug)]
pub struct ExactFinality {
    windows: Windows,
    /// Delays of the links; `None` if a premise does not hold.
    links: Option<Vec<Vec<u64>>>,
    /// The shortest ways over them.
    ways: Vec<Vec<u64>>,
    slots: BTreeMap<Slot, Track>,
    /// Slots below this were judged.
    next: Slot,
}

/// Delays by sender and receiver, if they are constant and nothing else plays a part.
fn constant_delays(plan: &Concrete) -> Option<Vec<Vec<u64>>> {
    let network = &plan.network;
    let clean = network.loss == Share::NONE
        && network.corruption == Share::NONE
        && network.duplication == Share::NONE
        && network.bursts.is_none();
    let queues = network.bandwidth.is_some() || network.grid.0 > 1 || network.reordering.is_some();
    let works = plan.cpu.verify != Nanos(0) || plan.cpu.decode != Nanos(0);
    let works = works || plan.run.buggify != Share::NONE;
    if queues || works || !(clean || plan.run.heal_at.is_some()) {
        return None;
    }
    let nodes = 0..plan.nodes.len() as u16;
    let link = |from: u16, to: u16| {
        let delay = plan.delay(from, to);
        let constant = from == to || delay.p50 == delay.max && delay.p50.0 >= FASTEST_NS;
        constant.then_some(if from == to { 0 } else { delay.p50.0 })
    };
    nodes.clone().map(|from| nodes.clone().map(|to| link(from, to)).collect()).collect()
}

/// The shortest way between any two, over any number of links.
fn shortest_ways(links: &[Vec<u64>]) -> Vec<Vec<u64>> {
    let mut ways = links.to_vec();
    for over in 0..ways.len() {
        let onward = ways[over].clone();
        for way in &mut ways {
            let first = way[over];
            for (direct, rest) in way.iter_mut().zip(&onward) {
                *direct = (*direct).min(first + rest);
            }
        }
    }
    ways
}

impl ExactFinality {
    /// For one run.
    pub fn new(scene: &Scene) -> ExactFinality {
        let links = constant_delays(&scene.plan);
        ExactFinality {
            windows: Windows::new(scene),
            ways: links.as_deref().map(shortest_ways).unwrap_or_default(),
            links,
            slots: BTreeMap::new(),
            next: Slot(1),
        }
    }

    /// Q_θ(v; x), in fifths.
    fn quorum(&self, scene: &Scene, to: usize, sent: &[Sent], fifths: u128) -> u64 {
        let links = self.links.as_ref().expect("only asked if delays are constant");
        let arrival = |(from, at): &Sent| (at + links[from.index()][to], *from);
        let mut arrivals: Vec<(u64, NodeId)> = sent.iter().map(arrival).collect();
        arrivals.sort_unstable();
        let mut stake = 0;
        for (at, from) in arrivals {
            stake += scene.stake_of([from]);
            if scene.at_least(stake, fifths) {
                return at;
            }
        }
        NEVER
    }

    /// When each node has a certificate of which each node builds one at its own time.
    fn spread(&self, built: &[u64]) -> Vec<u64> {
        let reach = |to: usize| {
            let from = built.iter().zip(&self.ways);
            from.map(|(at, ways)| at.saturating_add(ways[to])).min().unwrap_or(NEVER)
        };
        (0..built.len()).map(reach).collect()
    }

    fn predict(&self, scene: &Scene, notar: &[Sent], last: &[Sent]) -> Prediction {
        let nodes = 0..scene.stakes.len();
        let everywhere = |sent: &[Sent], fifths: u128| {
            let built: Vec<u64> =
                nodes.clone().map(|to| self.quorum(scene, to, sent, fifths)).collect();
            self.spread(&built)
        };
        let (notarized, fast) = (everywhere(notar, 3), everywhere(notar, 4));
        let slow = notarized.iter().zip(everywhere(last, 3)).map(|(no, fi)| fi.max(*no));
        let fin = slow.zip(&fast).map(|(slow, fast)| slow.min(*fast)).collect();
        Prediction { notarized, fast, fin }
    }

    fn judge(&self, cx: &Context<'_>, slot: Slot, track: &Track, out: &mut Findings) {
        let scope = self.windows.scope(cx, slot.window());
        let owed = self.windows.is_shared(slot.window())
            && cx.scene.at_least(cx.scene.stake_of(scope.iter().copied()), 3);
        let Some((block, notar)) = track.notar.first_key_value() else { return };
        let voters = notar.iter().chain(&track.last).map(|(node, _)| node);
        if !owed || track.notar.len() > 1 || !voters.clone().all(|node| scope.contains(node)) {
            return;
        }
        let predicted = self.predict(cx.scene, notar, &track.last);
        let honest = cx.scene.correct.iter().all(|correct| *correct);
        for node in scope {
            let fin = predicted.fin[node.index()];
            let direct = track.direct.get(&node).filter(|(_, of)| of == block).map(|(at, _)| *at);
            let first = track.any.get(&node).copied();
            let late = fin != NEVER && first.is_none_or(|at| at > fin);
            let exact = !honest || direct.is_none_or(|at| at == fin);
            out.probe("judged-O46");
            if late || !exact {
                let ms = |at: Option<u64>| at.map_or("never".into(), |at| format!("{} ns", at));
                let detail = format!(
                    "{block} is final at n{node} at {}, but by the votes at {}",
                    ms(direct.or(first)),
                    ms(Some(fin).filter(|at| *at != NEVER))
                );
                out.report(cx, "O46", Some(slot), &[node], detail);
            }
        }
        self.judge_last(cx, slot, (notar, &track.last), &predicted, out);
    }

    /// F leaves when the block is notarized and the own N has left, plus processing; by nodes that
    /// cast nothing else, and before a fast finalization makes it pointless.
    fn judge_last(
        &self,
        cx: &Context<'_>,
        slot: Slot,
        (notar, last): (&[Sent], &[Sent]),
        predicted: &Prediction,
        out: &mut Findings,
    ) {
        let honest = cx.scene.correct.iter().all(|correct| *correct);
        for (node, left) in notar {
            let cast = cx.history.of(*node).cast_in.get(&slot);
            let bad = |kind: &VoteKind| !matches!(kind, VoteKind::Notar(_) | VoteKind::Final);
            let notarized = predicted.notarized[node.index()];
            let decided = predicted.fast[node.index()] <= notarized;
            if notarized == NEVER || decided || cast.into_iter().flatten().any(bad) {
                continue;
            }
            let sent = last.iter().find(|(by, _)| by == node).map(|(_, at)| *at);
            let latest = notarized.max(*left) + self.windows.bounds.slack;
            let early = honest && sent.is_some_and(|at| at < notarized);
            if early || sent.is_none_or(|at| at > latest) {
                let detail = format!(
                    "n{node} sent F({slot}) at {sent:?}, but its block was notarized at {notarized} \
                     ns"
                );
                out.report(cx, "O46", Some(slot), &[*node], detail);
            }
        }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        let running = cx.history.correct(cx.scene).filter(|(_, me)| me.up);
        let lowest = running.map(|(_, me)| me.out.last().map_or(0, |tip| tip.slot.0)).min();
        let end = Slot(lowest.unwrap_or(0).saturating_sub(LATER_SLOTS));
        if end <= self.next {
            return;
        }
        let later = self.slots.split_off(&end);
        for (slot, track) in std::mem::replace(&mut self.slots, later) {
            self.judge(cx, slot, &track, out);
        }
        self.next = end;
        self.windows.forget_delivered(cx);
    }
}

impl Oracle for ExactFinality {
    fn id(&self) -> &'static str {
        "O46"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if self.links.is_none() {
            return;
        }
        self.windows.take(cx, node, fact);
        match fact {
            Fact::Sent(_, Message::Vote(vote)) if vote.signer == node => {
                let vote = vote.vote;
                if vote.slot < self.next {
                    return;
                }
                let track = self.slots.entry(vote.slot).or_default();
                let sent = match (vote.kind, vote.block()) {
                    (VoteKind::Notar(_), Some(block)) => track.notar.entry(block).or_default(),
                    (VoteKind::Final, _) => &mut track.last,
                    _ => return,
                };
                if !sent.iter().any(|(by, _)| *by == node) {
                    sent.push((node, cx.at_ns));
                }
            }
            Fact::Event(Event::Finalized(block, mode)) if block.slot >= self.next => {
                let track = self.slots.entry(block.slot).or_default();
                track.any.entry(node).or_insert(cx.at_ns);
                if *mode != Mode::Indirect {
                    track.direct.entry(node).or_insert((cx.at_ns, *block));
                }
            }
            Fact::Event(Event::Delivered { .. }) => self.check(cx, out),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::testing::*;

    const ALL: [u16; 5] = [0, 1, 2, 3, 4];

    #[test]
    fn ways_over_others_are_found() {
        let ways = shortest_ways(&[vec![0, 50, 10], vec![50, 0, 10], vec![10, 90, 0]]);
        assert_eq!(ways, [vec![0, 50, 10], vec![20, 0, 10], vec![10, 60, 0]]);
    }

    /// 20 ms between any two nodes. Slot 4 is voted on at these milliseconds (0: never), and F
    /// follows at those.
    fn voted(notar: [u64; 5], last: [u64; 5]) -> World {
        voted_in(CALM, notar, last)
    }

    fn voted_in(run: &str, notar: [u64; 5], last: [u64; 5]) -> World {
        let world = World::owing("O46", &[1; 5], run).at(900).ready(0, 4, block(3, A));
        let mut votes: Vec<(u64, u16, VoteKind)> = Vec::new();
        votes.extend(notar.into_iter().zip(ALL).map(|(at, node)| (at, node, Notar(A))));
        votes.extend(last.into_iter().zip(ALL).map(|(at, node)| (at, node, Final)));
        votes.retain(|(at, ..)| *at > 0);
        votes.sort_by_key(|(at, ..)| *at);
        votes.into_iter().fold(world, |world, (at, node, kind)| world.at(at).said(node, 4, kind))
    }

    /// Slot 4 is final at these milliseconds (0: never), and a later slot is delivered by all.
    fn found(world: World, fin: [u64; 5]) -> Vec<String> {
        let mut order: Vec<(u64, u16)> = fin.into_iter().zip(ALL).filter(|f| f.0 > 0).collect();
        order.sort_unstable();
        let world = order
            .into_iter()
            .fold(world, |world, (at, node)| world.at(at).finalized(node, block(4, A), Slow));
        let world = ALL
            .into_iter()
            .fold(world.at(5_000), |world, node| world.out(node, block(16, B), block(4, A)));
        world.found()
    }

    /// All vote at 1,000: everybody has everything at 1,020.
    #[test]
    fn the_fast_round() {
        let voted = || voted([1_000; 5], [0; 5]);
        assert_eq!(found(voted(), [1_020; 5]), NOTHING);
        let late = found(voted(), [1_020, 1_020, 1_020, 1_020, 1_021]);
        let by = "at 1020000000 ns";
        assert_eq!(
            late,
            [format!("O46: 4:aaaaaaaa is final at n4 at 1021000000 ns, but by the votes {by}")]
        );
        let early = found(voted(), [1_019, 1_020, 1_020, 1_020, 1_020]);
        assert_eq!(
            early,
            [format!("O46: 4:aaaaaaaa is final at n0 at 1019000000 ns, but by the votes {by}")]
        );
        let silent = found(voted(), [1_020, 1_020, 0, 1_020, 1_020]);
        assert_eq!(
            silent,
            [format!("O46: 4:aaaaaaaa is final at n2 at never, but by the votes {by}")]
        );
    }

    /// Three of five vote at 1,000. They hear each other at 1,020 and say so at 1,021, which the
    /// others hear at 1,041.
    #[test]
    fn the_slow_round() {
        let (notar, last) = ([1_000, 1_000, 1_000, 0, 0], [1_021, 1_021, 1_021, 0, 0]);
        assert_eq!(found(voted(notar, last), [1_041; 5]), NOTHING);
        assert_eq!(found(voted(notar, last), [1_041, 1_041, 1_041, 1_041, 1_061]).len(), 1);
        let without = [1_021, 1_021, 0, 0, 0];
        let lines = found(voted(notar, without), [1_041, 0, 0, 0, 0]);
        assert_eq!(lines.len(), 2, "final on 40 %, and an F that was never sent: {lines:?}");
        assert!(lines[0].ends_with("but by the votes at never"), "{lines:?}");
        assert!(lines[1].starts_with("O46: n2 sent F(4) at None"), "{lines:?}");
        let hasty = found(voted(notar, [1_021, 1_021, 1_010, 0, 0]), [1_041; 5]);
        assert!(hasty.iter().any(|line| line.contains("n2 sent F(4) at Some")), "{hasty:?}");
    }

    /// The last of four votes comes late: who votes late hears the others before, has the block
    /// final first, and its certificate is as fast as its vote.
    #[test]
    fn a_late_vote_decides() {
        let voted = voted([1_000, 1_000, 0, 1_000, 1_100], [0; 5]);
        let lines = found(voted, [1_120, 1_120, 1_120, 1_120, 1_100]);
        assert_eq!(lines.len(), 4, "only that no voter sent F: {lines:?}");
        assert!(lines.iter().all(|line| line.contains("sent F(4) at None")), "{lines:?}");
    }

    #[test]
    fn liars_can_only_help() {
        let voted = || voted([1_000, 1_000, 1_000, 1_000, 0], [0; 5]).byzantine(4);
        let honest = |fin| found(voted(), [fin, fin, fin, fin, 0]);
        assert_eq!((honest(1_020).len(), honest(1_021).len()), (0, 4));
    }

    /// Where a premise does not hold nothing is judged.
    #[test]
    fn other_worlds() {
        let late = [2_000; 5];
        let judged = |run: &str| found(voted_in(run, [1_000; 5], [0; 5]), late).len();
        assert_eq!(judged(CALM), 5);
        for network in ["jitter = \"1%\"", "bandwidth = \"1Gbps\"", "grid = \"1ms\""] {
            assert_eq!(judged(&format!("{CALM}[network]\n{network}\n")), 0, "{network}");
        }
        let odd = CALM.replace("[run]\n", "[run]\nbuggify = \"10%\"\n");
        assert_eq!(judged(&odd), 0);
        assert_eq!(judged(&format!("{CALM}[cpu]\nverify = \"1us\"\n")), 0);
        assert_eq!(judged(&cut("[0, 1]", "drop")), 0, "before the heal");
        let two = voted([1_000, 1_000, 1_000, 1_000, 0], [0; 5]).said(4, 4, Notar(B));
        assert_eq!(found(two, late).len(), 0, "two blocks");
        let gone = voted([1_000; 5], [0; 5]).crash(4).start(4);
        assert_eq!(found(gone, late).len(), 0, "a voter was away");
    }
}
