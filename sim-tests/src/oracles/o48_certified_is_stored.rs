//! O48: whoever knows that a block is certified has the block soon.
//!
//! > every block with NFplus at a correct node is stored at all correct nodes within R of G or of
//! > the certificate
//!
//! A certified block that a node lacks keeps it from voting for children, from SafeToNotar and from
//! delivering. The certificate reaches everybody within Δ (O40), so each node is held to its own: a
//! repair begins Δ/2 after it at the latest, and takes three dependent round trips of 2Δ each, one
//! more for a request that was lost before the heal, and more where liars may be asked. Claimed for
//! windows in which liveness is owed, and for what was open at the heal. A node that comes back from
//! behind asks for the oldest blocks first, so it is given the time for its gap besides, as in O49. A slot that is decided otherwise at the node needs nothing any more.

use super::windows::Windows;
use super::{Context, Fact, Findings, Oracle, Scene};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use std::collections::BTreeMap;

/// The oracle.
#[derive(Debug)]
pub struct CertifiedIsStored {
    windows: Windows,
    /// (deadline, node, block) -> when the node learned of the certificate.
    due: BTreeMap<(u64, NodeId, BlockId), u64>,
    /// The highest slot that is final anywhere, and what it was at the heal.
    highest: Slot,
    at_heal: Slot,
}

impl CertifiedIsStored {
    /// For one run.
    pub fn new(scene: &Scene) -> CertifiedIsStored {
        CertifiedIsStored {
            windows: Windows::new(scene),
            due: BTreeMap::new(),
            highest: Slot(0),
            at_heal: Slot(0),
        }
    }

    fn learned(&mut self, cx: &Context<'_>, node: NodeId, block: BlockId) {
        let Some(armed) = self.windows.armed_ns else { return };
        if cx.history.of(node).blocks.contains_key(&block) {
            return;
        }
        let b = &self.windows.bounds;
        let retry = 2 * b.delta;
        let from = cx.at_ns.max(armed);
        let fetching = self.windows.fetching(node, cx.at_ns);
        let deadline = from + b.drifted(b.delta / 2 + retry) + b.repair() + fetching + b.slack;
        self.due.insert((deadline, node, block), cx.at_ns);
    }

    /// True if the block belongs to what was worked on since the heal.
    fn is_owed(&self, cx: &Context<'_>, node: NodeId, block: BlockId) -> bool {
        let window = block.slot.window();
        let open_at_heal = block.slot > self.at_heal;
        self.windows.scope(cx, window).contains(&node)
            && (self.windows.is_owed(window) || open_at_heal)
    }

    fn check(&mut self, cx: &Context<'_>, out: &mut Findings) {
        while let Some(entry) = self.due.first_entry().filter(|e| e.key().0 < cx.at_ns) {
            let (_, node, block) = *entry.key();
            let learned_ns = entry.remove();
            let me = cx.history.of(node);
            let elsewhere = me.decided.get(&block.slot).is_some_and(|d| *d != Some(block));
            let settled = block.slot < cx.history.floor || elsewhere;
            if settled
                || !self.windows.uptime.is_up_since(node, learned_ns)
                || !self.is_owed(cx, node, block)
            {
                continue;
            }
            out.probe("judged-O48");
            if !me.blocks.contains_key(&block) {
                let detail = format!(
                    "n{node} knows since {:.3} s that {block} is certified, and does not have it",
                    learned_ns as f64 / 1e9
                );
                out.report(cx, "O48", Some(block.slot), &[node], detail);
            }
        }
        self.windows.forget_delivered(cx);
    }
}

impl Oracle for CertifiedIsStored {
    fn id(&self) -> &'static str {
        "O48"
    }

    fn observe(&mut self, cx: &Context<'_>, node: NodeId, fact: Fact<'_>, out: &mut Findings) {
        if self.due.first_key_value().is_some_and(|((due, ..), _)| *due < cx.at_ns) {
            self.check(cx, out);
        }
        self.windows.take(cx, node, fact);
        match fact {
            Fact::Event(Event::CertificateAdded { certificate, .. }) => {
                if let Some(block) = certificate.id.block() {
                    self.learned(cx, node, block);
                }
            }
            Fact::Event(Event::Finalized(block, _)) if block.slot > self.highest => {
                self.highest = block.slot;
                if self.windows.armed_ns.is_none_or(|armed| cx.at_ns <= armed) {
                    self.at_heal = block.slot;
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, cx: &Context<'_>, out: &mut Findings) {
        self.check(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::oracles::testing::*;

    const CERTIFIED: [u16; 3] = [0, 1, 2];

    /// Node 3 learns at 1 s that a block of slot 4 is certified.
    fn learned(kind: CertificateKind) -> World {
        let world = World::watched_by("O48", &[1; 5]).at(900).ready(0, 4, block(3, A));
        world.at(1_000).certified(3, 4, kind, &CERTIFIED)
    }

    #[test]
    fn it_never_comes() {
        let found =
            ["O48: n3 knows since 1.000 s that 4:aaaaaaaa is certified, and does not have it"];
        for kind in [NO(A), NF(A), FF(A)] {
            assert_eq!(learned(kind).at(3_000).tick(0).found(), NOTHING, "not yet due");
            assert_eq!(learned(kind).at(4_000).tick(0).found(), found);
        }
        let other = learned(NO(A)).stored(3, block(4, B), block(3, A));
        assert_eq!(other.at(4_000).tick(0).found(), found);
        let elsewhere = learned(NO(A)).stored(1, block(4, A), block(3, A));
        assert_eq!(elsewhere.at(4_000).tick(0).found(), found);
    }

    #[test]
    fn it_comes_or_nobody_needs_it() {
        let end = |world: World| world.at(4_000).tick(0).found();
        let stored = learned(NO(A)).at(2_500);
        assert_eq!(end(stored.stored_from(Origin::Repair, 3, block(4, A), block(3, A))), NOTHING);
        assert_eq!(end(learned(NF(A)).finalized(3, block(4, B), Slow)), NOTHING);
        assert_eq!(end(learned(NF(A)).skipped(3, 4)), NOTHING);
        assert_eq!(end(learned(NO(A)).at(1_500).crash(3).start(3)), NOTHING);
        assert_eq!(end(learned(SK)), NOTHING);
    }

    /// At the heal the cluster is at slot 8: what was open then is owed from then on, what was
    /// final is a matter of catching up.
    #[test]
    fn the_heal() {
        let world = |slot| {
            let world = World::owing("O48", &[1; 5], &cut("[3]", "drop"));
            let world = world.at(1_500).ready(0, 4, block(3, A)).ready(0, 8, block(7, A));
            let world = world.finalized(0, block(8, A), Slow);
            let world = world.at(1_900).certified(3, slot, NO(A), &CERTIFIED);
            (world.at(4_500).tick(0).found().len(), slot)
        };
        assert_eq!((world(8), world(9)), ((0, 8), (1, 9)));
        // A hundred slots were final without it: it fetches those first.
        let behind = |ms: u64| {
            let world = World::owing("O48", &[1; 5], &cut("[3]", "drop"));
            let world = world.at(1_500).ready(0, 104, block(103, A));
            let world = world.finalized(0, block(103, A), Slow).at(2_100);
            world.certified(3, 104, NO(A), &CERTIFIED).at(ms).tick(0).found().len()
        };
        assert_eq!((behind(6_100), behind(6_500)), (0, 1));
    }

    /// A hundred slots behind: two seconds more, and not longer than it owes what it missed.
    #[test]
    fn who_comes_back_from_behind() {
        let end = |learned_ms, looked_ms| {
            let world = World::watched_by("O48", &[1; 5]).at(500).crash(3).at(600);
            let world = world.finalized(0, block(103, A), Slow).at(900).start(3);
            let world = world.at(1_200).ready(0, 104, block(103, A)).at(learned_ms);
            let world = world.certified(3, 104, NO(A), &CERTIFIED).at(looked_ms);
            world.tick(0).found().len()
        };
        assert_eq!(end(1_300, 5_400), 0);
        assert_eq!(end(1_300, 5_600), 1);
        assert_eq!(end(20_000, 22_900), 1);
    }
}
