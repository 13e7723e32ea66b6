//! O18: fast finalization of a block excludes every certificate that says otherwise in its slot.
//!
//! 80 % of notar votes hold more than 60 % of correct stake. What is left is below 40 %, too little
//! for any fallback condition to fire at a correct node, and therefore for any other certificate,
//! in any correct Pool, before or after.

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::{BlockId, NodeId};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind};

/// The oracle.
#[derive(Debug, Default)]
pub struct FastFinalExcludes;

/// True if the certificate cannot stand beside a final `block` of its slot.
pub fn is_excluded(id: CertificateId, block: BlockId) -> bool {
    id.kind == CertificateKind::Skip || id.block().is_some_and(|other| other != block)
}

impl Oracle for FastFinalExcludes {
    fn id(&self) -> &'static str {
        "O18"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        let Some(new) = cx.history.news.certificate else { return };
        for (old, holder) in cx.history.certificates_in(new.slot) {
            for (fast, other) in [(new, old), (old, new)] {
                let CertificateKind::FastFinal(_) = fast.kind else { continue };
                if fast.block().is_some_and(|block| is_excluded(other, block)) {
                    let detail = format!("n{holder} holds {old:?}, n{node} holds {new:?}");
                    out.report(cx, "O18", Some(new.slot), &[holder, node], detail);
                    return;
                }
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

    #[test]
    fn each_excluded_certificate_in_both_orders() {
        let kinds = [
            (SK, "SK[4]"),
            (NO(B), "NO[4:bbbbbbbb]"),
            (NF(B), "NF[4:bbbbbbbb]"),
            (FF(B), "FF[4:bbbbbbbb]"),
        ];
        for (kind, name) in kinds {
            let world = || World::watched_by("O18", &[1; 5]);
            let before = world().certified(1, 4, kind, &[1]).certified(0, 4, FF(A), &[0]);
            let found = format!("O18: n1 holds {name}, n0 holds FF[4:aaaaaaaa]");
            assert_eq!(before.found(), [found]);
            let after = world().certified(0, 4, FF(A), &[0]).crash(0).certified(1, 4, kind, &[1]);
            let found = format!("O18: n0 holds FF[4:aaaaaaaa], n1 holds {name}");
            assert_eq!(after.found(), [found]);
        }
    }

    #[test]
    fn what_may_stand_beside_it() {
        let world = World::watched_by("O18", &[1; 5])
            .certified(0, 4, FF(A), &[0])
            .certified(1, 4, FF(A), &[1])
            .certified(1, 4, NO(A), &[1])
            .certified(1, 4, NF(A), &[1])
            .certified(1, 4, FI, &[1])
            .certified(1, 5, SK, &[1])
            .certified(1, 6, SK, &[1])
            .certified(1, 6, NO(B), &[1])
            .certified(1, 6, NF(C), &[1]);
        assert_eq!(world.found(), NOTHING);
    }
}
