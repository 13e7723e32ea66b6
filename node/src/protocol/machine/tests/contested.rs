//! Leaders that lie or fall silent half-way, votes that split, and what each node must do then.

use super::super::*;
use super::cluster::{Cluster, at, ms, quick};
use super::{count, slots};
use crate::protocol::block::{Block, Payload};
use crate::protocol::committee::tests::secrets;
use crate::protocol::params::Params;
use crate::protocol::repair::server;
use crate::protocol::types::Hash;
use crate::protocol::vote::CertificateKind;
use crate::protocol::vote::VoteKind;
use crate::protocol::wire::tests::build::{certificate, signed_slice, signed_vote};
use crate::protocol::wire::{Ask, Signed, Unsigned, own, verify};

/// A block of one slice, signed by the leader of its slot.
pub(super) fn forged(cluster: &Cluster, slot: u64, parent: BlockId, variant: u64) -> Block {
    let transactions = (0..30)
        .map(|i| crate::protocol::block::tests::transaction(variant * 100 + i, 100))
        .collect();
    let payload = Payload { parent: Some(parent), transactions };
    Block::new(vec![signed_slice(&cluster.committee, Slot(slot), 0, true, &payload)]).unwrap()
}

/// Hands all shreds of a block to a node, as its leader would.
pub(super) fn hand(cluster: &mut Cluster, block: &Block, to: u16) {
    let leader = cluster.committee.leader(block.id().slot.window());
    for (slice, i) in block.slices().iter().flat_map(|s| (0..64).map(move |i| (s, i))) {
        let message = Message::Shred(Arc::new(slice.shred(i)));
        cluster.receive(leader, NodeId(to), &message.encode());
    }
}

/// Everybody but the leader of this window runs.
fn without_leader_of(window: u64, n: usize) -> (Cluster, Vec<u16>) {
    let mut cluster = Cluster::new(&vec![1; n], quick());
    let liar = cluster.committee.leader(Window(window)).0;
    let honest: Vec<u16> = (0..n as u16).filter(|i| *i != liar).collect();
    for &i in &honest {
        cluster.start(i);
    }
    (cluster, honest)
}

/// B1: block b to one half, b' to the other. Nothing is finalized in the slot, everybody falls
/// back, and the chain goes on; nobody honest is accused.
#[test]
fn an_equivocating_leader_splits_the_votes() {
    let (mut cluster, honest) = without_leader_of(0, 5);
    let genesis = cluster.committee.genesis_block();
    let blocks = [forged(&cluster, 1, genesis, 1), forged(&cluster, 1, genesis, 2)];
    for (i, &node) in honest.iter().enumerate() {
        hand(&mut cluster, &blocks[i % 2], node);
    }
    let end = at(60_000);
    cluster.run_until(end, "the chain goes on", |c| c.all_past(honest.clone(), 12));
    cluster.check_except(|e| matches!(e, Event::Equivocation(Slot(1))));
    for &node in &honest {
        let kinds: Vec<VoteKind> = cluster.nodes[usize::from(node)]
            .disk
            .votes
            .iter()
            .filter(|vote| vote.slot == Slot(1))
            .map(|vote| vote.kind)
            .collect();
        assert!(matches!(kinds[0], VoteKind::Notar(_)), "{kinds:?}");
        assert!(kinds.contains(&VoteKind::SkipFallback), "{kinds:?}");
        let asked = |e: &Event| matches!(e, Event::RepairStarted(b) if b.slot == Slot(1));
        assert_eq!(count(&cluster, node, asked), 1, "the other block may need support");
    }
}

/// B2: ten blocks in one slot, each to one node of ten. Nobody stores without end, nobody casts a
/// fourth fallback, and the slot is skipped.
#[test]
fn ten_blocks_in_one_slot() {
    let (mut cluster, honest) = without_leader_of(0, 11);
    let genesis = cluster.committee.genesis_block();
    for (variant, &node) in (1..).zip(&honest) {
        let block = forged(&cluster, 1, genesis, variant);
        hand(&mut cluster, &block, node);
    }
    cluster.run_until(at(60_000), "the chain goes on", |c| c.all_past(honest.clone(), 8));
    cluster.check_except(|e| matches!(e, Event::Equivocation(Slot(1))));
    for &node in &honest {
        assert!(!slots(&cluster, node).contains(&1), "nothing of slot 1 is final");
    }
}

/// B4: the block reaches just over, or just under, 40 % of the stake; the rest skips. The slot ends
/// the same way everywhere.
#[test]
fn a_block_for_a_minority() {
    for reached in 1..=3 {
        let (mut cluster, honest) = without_leader_of(0, 5);
        let genesis = cluster.committee.genesis_block();
        let block = forged(&cluster, 1, genesis, 1);
        for &node in &honest[..reached] {
            hand(&mut cluster, &block, node);
        }
        // What relays forward is lost: the others know the block from votes only.
        cluster.net = Box::new(|now, _, _, message| {
            let lost = matches!(message, Message::Shred(s) if s.commitment.slot == Slot(1));
            (!lost || now > at(9_000)).then_some(ms(20))
        });
        cluster.run_until(at(60_000), "the chain goes on", |c| c.all_past(honest.clone(), 12));
        cluster.check();
        let with = honest.iter().filter(|&&node| slots(&cluster, node).contains(&1)).count();
        assert!(with == 0 || with == honest.len(), "{reached} reached: {with} have it");
    }
}

/// B6, B9: blocks that no honest node may vote for: no codeword, a parent that is not ready, a
/// future parent. The window is skipped.
#[test]
fn unacceptable_blocks_are_skipped() {
    for case in 0..2 {
        let (mut cluster, honest) = without_leader_of(1, 5);
        cluster.run_until(at(5_000), "window 0", |c| c.all_past(honest.clone(), 3));
        let tip = cluster.nodes[usize::from(honest[0])].disk.chain.clone();
        let parent = match case {
            0 => tip[0],                               // an old fork
            _ => BlockId::new(Slot(3), Hash([9; 32])), // nobody knows it
        };
        let block = forged(&cluster, 4, parent, 1);
        for &node in &honest {
            hand(&mut cluster, &block, node);
        }
        cluster.run_until(at(60_000), "the chain goes on", |c| c.all_past(honest.clone(), 8));
        cluster.check();
        for &node in &honest {
            let voted =
                |vote: &&Vote| vote.slot == Slot(4) && matches!(vote.kind, VoteKind::Notar(_));
            assert_eq!(cluster.nodes[usize::from(node)].disk.votes.iter().find(voted), None);
            assert!(!slots(&cluster, node).iter().any(|slot| (4..8).contains(slot)));
        }
    }
}

/// 8.1, 8.2: the next leader begins on a block that only it received; ParentReady names the one
/// before, so it switches, and its window is finalized.
#[test]
fn an_optimistic_leader_switches_the_parent() {
    let mut cluster = Cluster::new(&[1; 5], quick());
    let window = (0..20)
        .map(Window)
        .find(|w| cluster.committee.leader(*w) != cluster.committee.leader(w.next()));
    let window = window.unwrap();
    let last = window.last();
    let leader = cluster.committee.leader(window);
    let next = cluster.committee.leader(window.next());
    cluster.net = Box::new(move |_, from, to, message| {
        // Relays get their shreds; what they forward reaches the next leader only.
        let slot = matches!(message, Message::Shred(s) if s.commitment.slot == last);
        let lost = slot && from != leader && to != next;
        (!lost).then_some(ms(20))
    });
    cluster.start_all();
    let end = at(60_000);
    cluster.run_until(end, "the next window", |c| c.all_past(0..5, window.next().last().0));
    cluster.check();
    assert_eq!(count(&cluster, next.0, |e| matches!(e, Event::ParentSwitched(..))), 1);
    let delivered = slots(&cluster, 0);
    assert!(!delivered.contains(&last.0) && delivered.contains(&last.next().0), "{delivered:?}");
    let switched = |e: &Event| matches!(e, Event::BlockStored { block, switched: true, .. } if block.slot == last.next());
    assert_eq!(count(&cluster, 0, switched), 1);
}

/// B32: the leader dies between two slices; the timer ends the slot.
#[test]
fn a_leader_dies_in_mid_block() {
    let mut cluster = Cluster::new(&[1; 5], quick());
    let leader = cluster.committee.leader(Window(0)).0;
    cluster.start_all();
    cluster.run_to(at(650)); // in its second block
    cluster.crash(leader);
    let others: Vec<u16> = (0..5).filter(|i| *i != leader).collect();
    cluster.run_until(at(30_000), "the others go on", |c| c.all_past(others.clone(), 8));
    let end = cluster.now + ms(20_000);
    cluster.start(leader);
    cluster.run_until(end, "it follows", |c| c.all_past(0..5, 12));
    cluster.check();
    let produced = |e: &Event| matches!(e, Event::ProductionStarted { slot, .. } if slot.0 < 4);
    assert!(count(&cluster, leader, produced) <= 2, "it never goes on with its window");
}

/// A crash of one node at every step while votes split and fallbacks are cast (E7 with a crash):
/// five nodes, two of them silent, the block of slot 1 reaches one.
#[test]
fn a_crash_at_any_step_of_a_contested_slot_is_survived() {
    for step in 0..220 {
        let (mut cluster, honest) = without_leader_of(0, 5);
        let genesis = cluster.committee.genesis_block();
        let block = forged(&cluster, 1, genesis, 1);
        let victim = honest[step as usize % 3];
        let silent = honest[3];
        cluster.crash(silent);
        cluster.lucky = step % 2 == 0;
        cluster.disk = ms(step % 5);
        cluster.nodes[usize::from(victim)].crash_at = Some(5 + step / 3 * 2);
        for &node in &honest[..2] {
            hand(&mut cluster, &block, node);
        }
        let trio = honest[..3].to_vec();
        let what = format!("the chain goes on, step {step}");
        cluster.run_until(at(90_000), &what, |c| c.all_past(trio.clone(), 8));
        cluster.check();
    }
}

/// A node that hears no votes at all, only blocks and certificates, follows everything; one that
/// hears only certificates repairs the blocks.
#[test]
fn certificates_are_enough_to_follow() {
    for blocks in [true, false] {
        let mut cluster = Cluster::new(&[1; 5], quick());
        cluster.net = Box::new(move |_, _, to, message| {
            let deaf = to.0 == 4
                && match message {
                    Message::Vote(_) => true,
                    Message::Shred(_) => !blocks,
                    _ => false,
                };
            (!deaf).then_some(ms(20))
        });
        cluster.start_all();
        cluster.run_until(at(30_000), "24 slots", |c| c.all_past(0..5, 24));
        cluster.check();
    }
}

/// Final votes are lost for a while, with just 60 % alive: nothing of that time is finalized
/// directly, and all of it indirectly later.
#[test]
fn lost_final_votes_cost_only_time() {
    let mut cluster = Cluster::new(&[1; 5], quick());
    cluster.net = Box::new(|now, _, _, message| {
        let lost = matches!(message, Message::Vote(v) if v.vote.kind == VoteKind::Final);
        (!lost || now > at(4_000)).then_some(ms(20))
    });
    let alive = [0, 1, 2];
    for i in alive {
        cluster.start(i);
    }
    cluster.run_until(at(60_000), "20 slots", |c| c.all_past(alive, 20));
    cluster.check();
}

/// A wish that had to give way to more urgent ones comes back: while a node fetches seventy final
/// blocks, a block of a contested slot is refused a place. When there is room it must be asked for
/// again, although nothing new is heard about it: the cluster may be waiting for this node's vote.
#[test]
fn a_refused_fetch_is_wanted_again() {
    let mut cluster = Cluster::new(&[1; 5], quick());
    let me = 1;
    assert_ne!(cluster.committee.leader(Window(18)).0, me, "it must not lead the contested window");
    cluster.start(me);
    let mut blocks: BTreeMap<BlockId, Block> = BTreeMap::new();
    let mut parent = cluster.committee.genesis_block();
    for slot in 1..=72 {
        let block = forged(&cluster, slot, parent, slot);
        parent = block.id();
        blocks.insert(parent, block);
    }
    let contested = parent;
    let final_blocks: Vec<BlockId> = blocks.keys().copied().filter(|b| *b != contested).collect();
    for block in final_blocks {
        let kind = CertificateKind::FastFinal(block.hash);
        let fast = certificate(&cluster.committee, block.slot.0, kind, &[0, 2, 3, 4], &[]);
        cluster.receive(NodeId(0), NodeId(me), &Message::Certificate(fast).encode());
    }
    // Its timer for slot 72 ends, and two of five turn out to have voted for a block there.
    cluster.run_to(at(3_000));
    for voter in [2, 3] {
        let vote = signed_vote(&cluster.committee, voter, 72, VoteKind::Notar(contested.hash));
        cluster.receive(NodeId(voter), NodeId(me), &Message::Vote(vote).encode());
    }
    // From now on every question is answered, and nothing else is heard.
    let mut seen = 0;
    while cluster.now < at(20_000) {
        cluster.run_to(cluster.now + ms(20));
        let sent = cluster.nodes[usize::from(me)].sent.len();
        let requests: Vec<(NodeId, u64, Ask)> = cluster.nodes[usize::from(me)].sent[seen..]
            .iter()
            .filter_map(|(_, to, message)| match message {
                Message::Request(number, ask) => Some((to.as_slice()[0], *number, *ask)),
                _ => None,
            })
            .collect();
        seen = sent;
        for (peer, number, ask) in requests {
            let answer = match ask {
                Ask::SliceCount(b) | Ask::SliceRoot(b, _) | Ask::Shred(b, ..) => {
                    server::answer(&blocks[&b], ask)
                }
                Ask::Decided(_) => Answer::Nack,
            };
            let answer = Message::Response(number, answer).encode();
            cluster.receive(peer, NodeId(me), &answer);
        }
    }
    assert_eq!(cluster.tip(me), Slot(71), "the final blocks are here");
    let votes: Vec<VoteKind> = cluster.nodes[usize::from(me)]
        .disk
        .votes
        .iter()
        .filter(|vote| vote.slot == contested.slot)
        .map(|vote| vote.kind)
        .collect();
    assert_eq!(votes, [VoteKind::Skip, VoteKind::NotarFallback(contested.hash)]);
}

/// 1.5, B8: a genesis may allow fewer slices than the format. What lies beyond is not a slice.
#[test]
fn slices_beyond_the_limit_of_the_genesis_are_refused() {
    let params = Params { max_slices: 3, ..quick() };
    let mut cluster = Cluster::new(&[1; 5], params);
    let (leader, to) = (cluster.committee.leader(Window(0)), NodeId(1));
    assert_ne!(leader, to);
    cluster.start(to.0);
    let parent = Some(cluster.committee.genesis_block());
    for t in 0..5 {
        let payload = Payload { parent: parent.filter(|_| t == 0), transactions: vec![] };
        let slice = signed_slice(&cluster.committee, Slot(1), t, t == 4, &payload);
        for i in 0..40 {
            let message = Message::Shred(Arc::new(slice.shred(i)));
            cluster.receive(leader, to, &message.encode());
        }
    }
    let stored = |e: &Event| matches!(e, Event::BlockStored { .. });
    assert_eq!(count(&cluster, to.0, stored), 0);
    assert!(cluster.nodes[1].disk.votes.is_empty());
}

/// A slice that comes back from signing after finality has passed its slot stays here: the record
/// that would keep the node from signing another one there is no longer waited for.
#[test]
fn a_slice_signed_too_late_is_not_sent() {
    let committee = Arc::new(crate::protocol::committee::tests::committee(&[1; 5]));
    let me = committee.leader(Window(0));
    let others: Vec<u16> = (0..5).filter(|i| *i != me.0).collect();
    let config = Config {
        committee: committee.clone(),
        me,
        restored: Restored { intact: true, ..Restored::default() },
        start: Time(0),
        boot: 1,
    };
    let mut out = Vec::new();
    let mut node = Protocol::new(config, Time(0), &mut out);
    let sign = out.iter().find_map(|effect| match effect {
        Effect::Sign { token, object: Unsigned::Commitment(c) } => Some((*token, *c)),
        _ => None,
    });
    let (token, commitment) = sign.expect("the leader closes its first slice at once");
    let fast =
        certificate(&committee, 200, CertificateKind::FastFinal(Hash([1; 32])), &others, &[]);
    let claim = node.precheck(NodeId(others[0]), &Message::Certificate(fast).encode()).unwrap();
    let message = verify(&committee, claim).unwrap();
    node.step(Time(1), Input::Message { from: NodeId(others[0]), message }, &mut out);
    out.clear();
    let signature = secrets(me.0).1.sign(&commitment.signed_bytes(&committee));
    let signed = own(Signed::Commitment(commitment, signature));
    node.step(Time(2), Input::Signed { token, signed }, &mut out);
    let sent = |effect: &Effect| matches!(effect, Effect::Send { .. });
    assert!(!out.iter().any(sent), "nothing waits for the record that production began: {out:?}");
}

/// More blocks of one slot than there is room for (only possible above the model's 20 %): what
/// cannot be kept is not counted as stored, and nothing breaks.
#[test]
fn a_full_slot_breaks_nothing() {
    let mut cluster = Cluster::new(&[1; 5], quick());
    let (leader, me) = (cluster.committee.leader(Window(0)), 1);
    assert_ne!(leader.0, me);
    cluster.start(me);
    let genesis = cluster.committee.genesis_block();
    let blocks: Vec<Block> = (1..=9).map(|v| forged(&cluster, 1, genesis, v)).collect();
    let node = cluster.nodes[usize::from(me)].protocol.as_mut().unwrap();
    for block in &blocks[1..] {
        node.blokstor.insert(Arc::new(block.clone()));
    }
    hand(&mut cluster, &blocks[0], me);
    let kind = CertificateKind::FastFinal(blocks[0].id().hash);
    let fast = certificate(&cluster.committee, 1, kind, &[0, 2, 3, 4], &[]);
    cluster.receive(NodeId(0), NodeId(me), &Message::Certificate(fast).encode());
    cluster.run_to(at(2_000));
    assert_eq!(cluster.node(me).highest(), blocks[0].id());
    assert!(cluster.node(me).blokstor.get(blocks[0].id()).is_none());
}
