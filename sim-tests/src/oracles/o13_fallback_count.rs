//! O13: at most three notar-fallback votes in a slot, two beside a notar vote, all for different
//! blocks.
//!
//! Each needs 20 % of initial votes for its block and 40 % against the own one, so below three
//! there is always room and above it never. Receivers store three and no more; a fourth would be
//! lost on them, or worse, count at some and not at others.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::{Vote, VoteKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct FallbackCount;

impl Oracle for FallbackCount {
    fn id(&self) -> &'static str {
        "O13"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        for vote in &cx.history.news.cast {
            if !matches!(vote.kind, VoteKind::NotarFallback(_) | VoteKind::Notar(_)) {
                continue;
            }
            let before = cx.history.of(node).cast_before(*vote);
            let kinds = || before.iter().chain([&vote.kind]);
            let fallbacks = kinds().filter(|k| matches!(k, VoteKind::NotarFallback(_))).count();
            let beside_notar = kinds().any(|kind| matches!(kind, VoteKind::Notar(_)));
            let again = fallbacks > 0 && before.contains(&vote.kind);
            if fallbacks > 3 - usize::from(beside_notar) || again {
                let cast: Vec<_> = kinds().map(|kind| Vote::new(vote.slot, *kind)).collect();
                let detail = format!("n{node} cast {cast:?}");
                out.report(cx, self.id(), Some(vote.slot), &[node], detail);
            }
        }
    }

    fn ignores(&self, _: Noise) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    fn world(initial: VoteKind, fallbacks: &[Hash]) -> World {
        let world = World::watched_by("O13", &[1; 5]).cast(0, 4, initial);
        fallbacks.iter().fold(world, |world, hash| world.cast(0, 4, NotarFallback(*hash)))
    }

    #[test]
    fn one_too_many() {
        let skipper = world(Skip, &[A, B, C, D]).found();
        let found = "O13: n0 cast [S(4), NF(4:aaaaaaaa), NF(4:bbbbbbbb), NF(4:cccccccc), \
                     NF(4:dddddddd)]";
        assert_eq!(skipper, [found]);
        assert_eq!(world(Notar(A), &[B, C, D]).found().len(), 1);
    }

    #[test]
    fn one_twice() {
        assert_eq!(world(Skip, &[A, A]).found().len(), 1);
    }

    #[test]
    fn as_many_as_allowed() {
        assert_eq!(world(Skip, &[A, B, C]).found(), NOTHING);
        assert_eq!(world(Notar(A), &[B, C]).cast(0, 4, SkipFallback).found(), NOTHING);
        assert_eq!(world(Notar(A), &[]).crash(0).start(0).cast(0, 5, Notar(A)).found(), NOTHING);
    }
}
