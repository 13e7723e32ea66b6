//! Anything at all from a peer: no panic, no state beyond its caps, and a cluster that goes on.

use super::super::*;
use super::cluster::{Cluster, at, ms, quick};

use crate::protocol::params::{
    MAX_BLOCKS_PER_SLOT, MAX_OUTSTANDING_REQUESTS, MAX_POOLED_TRANSACTIONS, VOTE_LOOKAHEAD_SLOTS,
};

use crate::protocol::block::Payload;
use crate::protocol::types::Hash;
use crate::protocol::vote::VoteKind;
use crate::protocol::wire::Ask;
use crate::protocol::wire::tests::build::{
    certificate, messages, mutated, signed_slice, signed_vote,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A cluster in the middle of trouble: slots are open, blocks missing, repairs and catch-up under
/// way, transactions waiting.
fn troubled() -> Cluster {
    let mut cluster = Cluster::new(&[21, 21, 21, 20, 17], quick());
    cluster.net = Box::new(|now, from, to, message| {
        let lost = match message {
            Message::Shred(_) => to.0 == 0 && now > at(700),
            Message::Vote(_) => (from.0 + to.0) % 3 == 1 && now > at(1_000),
            Message::Response(..) => to.0 == 0,
            _ => false,
        };
        (!lost).then_some(ms(20))
    });
    cluster.start_all();
    for i in 0..20 {
        let transaction = crate::protocol::block::tests::transaction(i, 100);
        cluster.input(NodeId((i % 5) as u16), Input::Submit(transaction));
    }
    cluster.run_to(at(2_400));
    let node = cluster.node(0);
    assert!(node.repair.outstanding() > 0, "the test wants repairs under way");
    cluster
}

/// The caps of O35, on everything that a peer can fill.
fn within_caps(node: &Protocol) {
    let slots = VOTE_LOOKAHEAD_SLOTS as usize + 300;
    assert!(node.consensus.pool().size() <= 4 * slots);
    assert!(node.blokstor.size() <= slots * (1 + MAX_BLOCKS_PER_SLOT));
    assert!(node.ledger.waiting() <= MAX_POOLED_TRANSACTIONS);
    assert!(node.repair.outstanding() <= MAX_OUTSTANDING_REQUESTS);
    assert!(node.relays.len() <= slots * 64);
    assert!(node.audiences.len() <= slots);
    assert!(node.offenders.len() <= slots * node.committee.len());
}

/// Messages of the own cluster that are true, for mutation: what one node sent to others.
fn true_messages() -> Vec<Bytes> {
    let cluster = troubled();
    let all = cluster.nodes.iter().flat_map(|node| &node.sent);
    let mut kinds: BTreeMap<u64, Bytes> = BTreeMap::new();
    for (.., message) in all {
        kinds.insert(message.label() % 400, message.encode());
    }
    kinds.into_values().collect()
}

/// Fewer cases than elsewhere: each is a cluster.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases / 8, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    /// Arbitrary messages, arbitrary bytes and damaged true messages, from any peer, with time going
    /// by: nothing panics, everything stays within its cap.
    #[test]
    fn no_bytes_panic_a_node(
        inputs in vec((1..5u16, prop_oneof![
            messages().prop_map(|m| m.encode().to_vec()),
            vec(any::<u8>(), 0..60),
            mutated(select(true_messages())),
            select(true_messages()).prop_map(|b| b.to_vec()),
        ], 0..40u64), 1..120),
    ) {
        let mut cluster = troubled();
        for (from, bytes, wait) in inputs {
            cluster.receive(NodeId(from), NodeId(0), &bytes);
            cluster.run_to(cluster.now + ms(wait));
            within_caps(cluster.node(0));
        }
    }

    /// A validator with 17 % of the stake signs and says anything: votes of every kind for blocks
    /// real and invented, several blocks for its own slots, to anybody, at any time. Nobody panics,
    /// all caps hold, only the villain is accused, and the others finalize on.
    #[test]
    fn a_villain_says_anything(
        lies in vec((any::<u8>(), 0..4u16, lies(), 0..120u64), 1..120),
    ) {
        let mut cluster = Cluster::new(&[21, 21, 21, 20, 17], quick());
        for i in 0..4 {
            cluster.start(i);
        }
        cluster.run_to(at(900));
        for (everybody, to, lie, wait) in lies {
            let message = tell(&cluster, VILLAIN, lie).encode();
            for i in 0..4 {
                if everybody % 2 == 0 || i == to {
                    cluster.receive(VILLAIN, NodeId(i), &message);
                    within_caps(cluster.node(i));
                }
            }
            cluster.run_to(cluster.now + ms(wait));
        }
        let tip = (0..4).map(|i| cluster.node(i).highest().slot.0).max().unwrap();
        let end = cluster.now + ms(30_000);
        cluster.run_until(end, "the others go on", |c| c.all_past(0..4, tip + 8));
        cluster.check_except(|event| match event {
            Event::Offence(node, ..) => *node == VILLAIN,
            Event::Equivocation(slot) => cluster.committee.leader(slot.window()) == VILLAIN,
            _ => false,
        });
    }
}

const VILLAIN: NodeId = NodeId(4);

/// What a villain may say, relative to where the cluster is.
#[derive(Clone, Debug)]
pub(super) enum Lie {
    /// A vote: slot behind or ahead of the head, kind, and a real block or an invented one.
    Vote(i64, u8, Option<u8>),
    /// A shred of a block for its next window: slot, variant, slice, last, index.
    Shred(u64, u8, u8, bool, u8),
    /// A certificate that only it signed.
    Certificate(i64, u8),
    /// Questions.
    Ask(i64, u8),
}

fn lies() -> impl Strategy<Value = Lie> {
    prop_oneof![
        4 => (-6..45i64, 0..5u8, proptest::option::of(0..3u8)).prop_map(|(s, k, b)| Lie::Vote(s, k, b)),
        4 => (0..8u64, 0..2u8, 0..3u8, any::<bool>(), 0..64u8)
            .prop_map(|(s, v, t, last, i)| Lie::Shred(s, v, t, last, i)),
        1 => (-6..45i64, 0..5u8).prop_map(|(s, k)| Lie::Certificate(s, k)),
        1 => (-6..45i64, 0..4u8).prop_map(|(s, k)| Lie::Ask(s, k)),
    ]
}

pub(super) fn tell(cluster: &Cluster, villain: NodeId, lie: Lie) -> Message {
    let running = || cluster.nodes.iter().filter_map(|node| node.protocol.as_ref());
    let highest = running().map(|node| node.highest()).max().unwrap_or_default();
    let head = highest.slot.0;
    let slot = |relative: i64| Slot(head.saturating_add_signed(relative).max(1));
    let invented = Hash([7; 32]);
    match lie {
        Lie::Vote(relative, kind, block) => {
            let slot = slot(relative);
            let known = cluster.nodes.iter().flat_map(|node| node.disk.blocks.keys());
            let known: BTreeSet<Hash> = known.filter(|b| b.slot == slot).map(|b| b.hash).collect();
            let hash = match block {
                Some(i) => Hash([i; 32]),
                None => known.first().copied().unwrap_or(invented),
            };
            let kinds = [
                VoteKind::Notar(hash),
                VoteKind::Skip,
                VoteKind::NotarFallback(hash),
                VoteKind::SkipFallback,
                VoteKind::Final,
            ];
            let kind = kinds[usize::from(kind)];
            Message::Vote(signed_vote(&cluster.committee, villain.0, slot.0, kind))
        }
        Lie::Shred(ahead, variant, t, last, index) => {
            let window = next_window(cluster, villain, head);
            let slot = window.first().plus(ahead % 4).min(window.last());
            let parent = match variant {
                0 => highest,
                _ => BlockId::new(slot.previous(), invented),
            };
            let transactions =
                vec![crate::protocol::block::tests::transaction(variant.into(), 100)];
            let payload = Payload { parent: (t == 0).then_some(parent), transactions };
            let slice = signed_slice(&cluster.committee, slot, t, last, &payload);
            Message::Shred(Arc::new(slice.shred(index)))
        }
        Lie::Certificate(relative, kind) => {
            let kinds = [
                CertificateKind::FastFinal(invented),
                CertificateKind::Notar(invented),
                CertificateKind::NotarFallback(invented),
                CertificateKind::Skip,
                CertificateKind::Final,
            ];
            let kind = kinds[usize::from(kind)];
            let slot = slot(relative).0;
            Message::Certificate(certificate(&cluster.committee, slot, kind, &[villain.0], &[]))
        }
        Lie::Ask(relative, kind) => {
            let block = BlockId::new(slot(relative), invented);
            let asks = [
                Ask::SliceCount(block),
                Ask::SliceRoot(block, 63),
                Ask::Shred(block, 63, 63),
                Ask::Decided(block.slot),
            ];
            Message::Request(1, asks[usize::from(kind)])
        }
    }
}

/// The villain's next window.
pub(super) fn next_window(cluster: &Cluster, villain: NodeId, head: u64) -> Window {
    let mut windows = (Slot(head).window().0..).map(Window);
    let next = windows.find(|w| cluster.committee.leader(*w) == villain);
    next.expect("everybody leads now and then")
}
