//! O19: slow finalization of a block (FI with NO) excludes what fast finalization excludes.
//!
//! 60 % of final votes hold more than 40 % of correct stake, and who casts one has voted for the
//! notarized block and casts nothing else in the slot. The other votes cannot reach 60 % any more.
//! FI and NO need not be held by the same node.

use super::o18_fast_final_excludes::is_excluded;
use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::CertificateKind;

/// The oracle.
#[derive(Debug, Default)]
pub struct SlowFinalExcludes;

impl Oracle for SlowFinalExcludes {
    fn id(&self) -> &'static str {
        "O19"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        let Some(new) = cx.history.news.certificate else { return };
        let held = || cx.history.certificates_in(new.slot);
        if !held().any(|(id, _)| id.kind == CertificateKind::Final) {
            return;
        }
        for (notar, _) in held().filter(|(id, _)| matches!(id.kind, CertificateKind::Notar(_))) {
            let Some(block) = notar.block() else { continue };
            let news = |id| id == new || new == notar || new.kind == CertificateKind::Final;
            let mut excluded = held().filter(|(id, _)| news(*id) && is_excluded(*id, block));
            if let Some((other, holder)) = excluded.next() {
                let detail = format!(
                    "{notar:?} and FI[{}] are held, and n{holder} holds {other:?}",
                    new.slot
                );
                out.report(cx, "O19", Some(new.slot), &[holder, node], detail);
                return;
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

    /// Whichever of the three comes last.
    #[test]
    fn each_excluded_certificate_in_every_order() {
        for (kind, name) in [(SK, "SK[4]"), (NF(B), "NF[4:bbbbbbbb]"), (FF(B), "FF[4:bbbbbbbb]")] {
            for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
                let mut world = World::watched_by("O19", &[1; 5]);
                for place in order {
                    let kind = [NO(A), FI, kind][place];
                    world = world.certified(place as u16, 4, kind, &[0]);
                }
                let found = format!("O19: NO[4:aaaaaaaa] and FI[4] are held, and n2 holds {name}");
                assert_eq!(world.found(), [found]);
            }
        }
    }

    #[test]
    fn a_second_notarized_block() {
        let world = World::watched_by("O19", &[1; 5])
            .certified(0, 4, NO(A), &[0])
            .certified(0, 4, FI, &[0])
            .certified(1, 4, NO(B), &[0]);
        assert_eq!(world.found().len(), 1);
    }

    #[test]
    fn what_may_stand_beside_it() {
        let world = World::watched_by("O19", &[1; 5])
            .certified(0, 4, NO(A), &[0])
            .certified(1, 4, FI, &[0])
            .certified(1, 4, NF(A), &[0])
            .certified(1, 4, FF(A), &[0])
            // Without FI a notarized block can be skipped; without NO there is nothing to exclude.
            .certified(1, 5, NO(A), &[0])
            .certified(1, 5, SK, &[0])
            .certified(1, 5, NF(B), &[0])
            .certified(1, 6, FI, &[0])
            .certified(1, 6, SK, &[0]);
        assert_eq!(world.found(), NOTHING);
    }
}
