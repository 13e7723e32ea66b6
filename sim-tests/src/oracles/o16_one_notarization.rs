//! O16: at most one block of a slot is notarized, over all correct Pools and the whole run.
//!
//! Two sums of 60 % overlap in more than the byzantine stake, hence in a correct node, which cast
//! one initial vote. (Several blocks of a slot can be certified by NF; that is no breach.)

use super::{Context, Fact, Findings, Noise, Oracle};
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::vote::CertificateKind;

/// The oracle.
#[derive(Debug, Default)]
pub struct OneNotarization;

impl Oracle for OneNotarization {
    fn id(&self) -> &'static str {
        "O16"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, _: Fact<'_>, out: &mut Findings) {
        let Some(id) = cx.history.news.certificate else { return };
        let CertificateKind::Notar(_) = id.kind else { return };
        let notarized = |kind| matches!(kind, CertificateKind::Notar(_));
        let mut others = cx.history.certificates_in(id.slot).filter(|(o, _)| notarized(o.kind));
        if let Some((other, holder)) = others.find(|(other, _)| *other != id) {
            let detail = format!("n{holder} holds {other:?}, n{node} holds {id:?}");
            out.report(cx, "O16", Some(id.slot), &[holder, node], detail);
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
    fn two_notarized_blocks() {
        let world = World::watched_by("O16", &[1; 5])
            .certified(0, 4, NO(A), &[0, 1, 2])
            .crash(0)
            .start(0)
            .certified(1, 4, NO(B), &[2, 3, 4]);
        assert_eq!(world.found(), ["O16: n0 holds NO[4:aaaaaaaa], n1 holds NO[4:bbbbbbbb]"]);
    }

    #[test]
    fn what_may_stand_side_by_side() {
        let world = World::watched_by("O16", &[1; 5])
            .certified(0, 4, NO(A), &[0, 1, 2])
            .certified(1, 4, NO(A), &[0, 1, 3])
            .certified(1, 4, NF(B), &[0, 1, 3])
            .certified(1, 4, NF(C), &[0, 1, 3])
            .certified(1, 4, SK, &[0, 1, 3])
            .certified(1, 5, NO(B), &[0, 1, 3]);
        assert_eq!(world.found(), NOTHING);
    }
}
