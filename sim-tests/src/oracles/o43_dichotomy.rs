//! O43: a slot goes one way, at every correct node the same (Lemmas 37, 38).
//!
//! > either > 40 % correct stake cast N on one b, and all get NF(b) or better, or all get SK
//!
//! Not exclusive: both may happen. Where more than 20 % are not in touch (A2), the stake that
//! SafeToNotar asks for takes the place of the 40 %: 20 % for b, and 60 % together with the skips;
//! liars may have given their stake to either. Judged at the time by which O42 wants every slot
//! resolved; a node whose finality has passed the window is done with it.

use super::windows::{Due, Windows};
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use alpenglow_node::protocol::vote::VoteKind;
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug)]
pub struct Dichotomy {
    windows: Windows,
    due: Due,
}

/// What correct nodes voted first in a slot: stake by block, and for skipping.
fn initial_votes(cx: &Context<'_>, slot: Slot) -> (BTreeMap<BlockId, u128>, u128) {
    let (mut blocks, mut skip) = (BTreeMap::new(), 0);
    for (node, me) in cx.history.correct(cx.scene) {
        let stake = cx.scene.stake_of([node]);
        for kind in me.cast_in.get(&slot).into_iter().flatten() {
            match kind {
                VoteKind::Notar(hash) => {
                    *blocks.entry(BlockId::new(slot, *hash)).or_default() += stake;
                }
                VoteKind::Skip => skip += stake,
                _ => {}
            }
        }
    }
    (blocks, skip)
}

impl Dichotomy {
    /// For one run.
    pub fn new(scene: &Scene) -> Dichotomy {
        Dichotomy { windows: Windows::new(scene), due: Due::default() }
    }

    fn judge(&self, cx: &Context<'_>, slot: Slot, out: &mut Findings) {
        let (scene, window) = (cx.scene, slot.window());
        let scope = self.windows.scope(cx, window);
        let in_scope = scene.stake_of(scope.iter().copied());
        if !scene.at_least(in_scope, 3) || !self.windows.is_claimed(window) {
            return;
        }
        out.probe("judged-O43");
        let open = |node: &NodeId| {
            let highest = cx.history.of(*node).highest;
            highest.is_none_or(|block| block.slot < window.last())
        };
        let open: Vec<NodeId> = scope.into_iter().filter(open).collect();
        let skipped = |node: &NodeId| cx.history.of(*node).is_skipped(slot);
        if open.iter().all(skipped) {
            return;
        }
        let (blocks, skip) = initial_votes(cx, slot);
        let liars = (0u16..).map(NodeId).zip(&scene.correct).filter(|(_, correct)| !**correct);
        let liars = scene.stake_of(liars.map(|(node, _)| node));
        let backed = |stake: u128| {
            let with_skips =
                scene.at_least(stake + liars, 1) && scene.at_least(stake + skip + liars, 3);
            scene.more_than(stake, 2) || !scene.more_than(in_scope, 4) && with_skips
        };
        let won = |(block, stake): (&BlockId, &u128)| {
            backed(*stake) && open.iter().all(|node| cx.history.of(*node).is_certified(*block))
        };
        if !blocks.iter().any(won) {
            let detail = format!(
                "slot {slot} is not skipped at all of {open:?}, nor is one block certified that \
                 enough stake voted for ({blocks:?}, {skip} skipped)"
            );
            out.report(cx, "O43", Some(slot), &open, detail);
        }
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        let windows = &self.windows;
        while let Some(slot) = self.due.next(cx.at_ns, |slot| windows.slot_resolved_by(slot)) {
            self.judge(cx, slot, out);
        }
        self.windows.forget_delivered(cx);
    }
}

impl Oracle for Dichotomy {
    fn id(&self) -> &'static str {
        "O43"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if self.due.is_passed(cx.at_ns) {
            self.check(cx, out);
        }
        if let Some(window) = self.windows.take(cx, node, fact) {
            self.due.watch(window, |place| self.windows.resolved_by(window, place));
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    const ALL: [u16; 5] = [0, 1, 2, 3, 4];

    /// Window 1 becomes ready at 1 s; these vote for a block of slot 4, the others skip. The other
    /// slots of the window are skipped by everybody.
    fn voted(notar: &[u16]) -> World {
        let world = World::watched_by("O43", &[1; 5]).at(1_000).ready(0, 4, block(3, A));
        let world = ALL.into_iter().fold(world, |world, node| {
            world.cast(node, 4, if notar.contains(&node) { Notar(A) } else { Skip })
        });
        (5..8).fold(world, |world, slot| certified(world, slot, SK, &ALL))
    }

    fn certified(world: World, slot: u64, kind: CertificateKind, at: &[u16]) -> World {
        at.iter().fold(world, |world, node| world.certified(*node, slot, kind, &[0, 1, 2]))
    }

    fn found(world: World) -> usize {
        world.at(9_000).tick(0).found().len()
    }

    #[test]
    fn neither_everywhere() {
        assert_eq!(found(voted(&[0, 1, 2])), 1, "nothing at all");
        let halves = certified(certified(voted(&[0, 1, 2]), 4, NF(A), &ALL[..4]), 4, SK, &ALL[4..]);
        assert_eq!(found(halves), 1, "certified here, skipped there");
        let other = certified(voted(&[0, 1, 2]), 4, NF(B), &ALL);
        assert_eq!(found(other), 1, "a block that nobody voted for");
        let weak = certified(voted(&[0, 1]), 4, NF(A), &ALL);
        let line = weak.at(9_000).tick(0).found();
        assert!(line[0].starts_with("O43: slot 4 is not skipped at all of"), "{line:?}");
    }

    #[test]
    fn one_way_or_both() {
        assert_eq!(found(certified(voted(&[0, 1, 2]), 4, NF(A), &ALL)), 0);
        assert_eq!(found(certified(voted(&[0, 1]), 4, SK, &ALL)), 0);
        let both = certified(certified(voted(&[0, 1]), 4, NF(A), &ALL[..2]), 4, SK, &ALL);
        assert_eq!(found(both), 0);
        let passed = certified(voted(&[0, 1, 2]), 4, NO(A), &ALL[..4]);
        assert_eq!(found(passed.finalized(4, block(9, A), Slow)), 0, "finality overtook");
    }

    /// With 80 % in touch a fifth for the block is enough, if the skips make it 60 % (E7).
    #[test]
    fn a_fifth_when_a_fifth_is_down() {
        let world = World::watched_by("O43", &[1; 5]).crash(4).at(1_000).ready(0, 4, block(3, A));
        let world = [1, 2, 3]
            .into_iter()
            .fold(world.cast(0, 4, Notar(A)), |world, node| world.cast(node, 4, Skip));
        let world = (5..8).fold(world, |world, slot| certified(world, slot, SK, &ALL[..4]));
        assert_eq!(found(certified(world, 4, NF(A), &ALL[..4])), 0);
    }
}
