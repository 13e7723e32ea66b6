//! The harness must be able to fail: nodes that are wrong on purpose, each caught by the oracle
//! that is meant for it. They are made around the product, never by editing it: its effects are
//! wrapped, its parameters are changed, its store forgets.
#![cfg(feature = "sim")]

use alpenglow_node::host::driver::Doorway;
use alpenglow_node::protocol::certificate::{Certificate, Part};
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{NodeId, Slot, Time};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, VoteKind};
use alpenglow_node::protocol::wire::{self, Message, Reject, Unverified, Verified};
use alpenglow_node::protocol::{Effect, Input, Protocol, Timer};
use sim_tests::cluster::{Wrap, setup};
use sim_tests::scenario::Scenario;
use sim_tests::testing::in_child;
use std::sync::Arc;

/// What a wrong node does differently; the rest is the honest protocol.
trait Lie: Send + Sync {
    fn verify(
        &self,
        node: &Protocol,
        claim: Unverified<Message>,
    ) -> Result<Verified<Message>, Reject> {
        wire::verify(node.committee(), claim)
    }

    fn change(&self, _node: &Protocol, _input: &Input, _effects: &mut Vec<Effect>) {}
}

struct Wrong {
    node: Protocol,
    lie: Arc<dyn Lie>,
}

impl Doorway for Wrong {
    fn precheck(&self, from: NodeId, bytes: &[u8]) -> Result<Unverified<Message>, Reject> {
        self.node.precheck(from, bytes)
    }

    fn verify(&self, claim: Unverified<Message>) -> Result<Verified<Message>, Reject> {
        self.lie.verify(&self.node, claim)
    }

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        let mut effects = Vec::new();
        self.node.step(now, input.clone(), &mut effects);
        self.lie.change(&self.node, &input, &mut effects);
        out.append(&mut effects);
    }
}

/// Everybody tells this lie.
fn everybody(lie: impl Lie + 'static) -> Wrap {
    let lie: Arc<dyn Lie> = Arc::new(lie);
    Arc::new(move |_, node| Box::new(Wrong { node, lie: lie.clone() }))
}

/// A store that forgets the vote log and the blocks: after the power comes back, everybody votes
/// again, and not the same. The power fails between the votes for a block and its finalization.
#[test]
fn voting_again_after_a_restart_is_caught() {
    in_child("voting_again_after_a_restart_is_caught", || {
        let forget = |_, restored: &mut alpenglow_node::protocol::Restored| {
            restored.votes.clear();
            restored.candidates.clear();
        };
        let run = Scenario::plan("power-cut")
            .seed(1)
            .set(r#"fault=[{ kind = "crash", at = "4080ms", for = "1s", nodes = "all" }]"#)
            .tamper(Arc::new(forget))
            .run();
        run.is_seen_by("O5");
        run.is_seen_by("O32");
    });
}

/// Everybody believes that 59 of 100 is enough: with 59 alive, they certify what nobody may.
#[test]
fn a_quorum_one_unit_low_is_caught() {
    in_child("a_quorum_one_unit_low_is_caught", || {
        let run = Scenario::plan("calm")
            .set("cluster.nodes=5")
            .set("cluster.stake=[21, 20, 19, 20, 20]")
            .set("expect.liveness=false")
            .set(r#"fault=[{ kind = "crash", at = "0s", nodes = [0, 1], permanent = true }]"#)
            .believe(|plan| plan.nodes[0].stake = 19) // 60 % of 98 is 59
            .run();
        run.is_caught_by("O14");
    });
}

/// Certificates are checked against stakes in which the forger owns nearly everything; all else
/// against the true ones.
struct Gullible(Arc<Committee>);

impl Lie for Gullible {
    fn verify(
        &self,
        node: &Protocol,
        claim: Unverified<Message>,
    ) -> Result<Verified<Message>, Reject> {
        match claim.claim() {
            Message::Certificate(_) => wire::verify(&self.0, claim),
            _ => wire::verify(node.committee(), claim),
        }
    }
}

/// Sends, with each notar vote, a fast-finalization certificate that only this node has signed.
struct Forger;

impl Lie for Forger {
    fn change(&self, node: &Protocol, _: &Input, effects: &mut Vec<Effect>) {
        let forged: Vec<Effect> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Send { to, message: Message::Vote(vote), after } => {
                    let VoteKind::Notar(hash) = vote.vote.kind else { return None };
                    let n = node.committee().len();
                    let kind = CertificateKind::FastFinal(hash);
                    let certificate = Certificate {
                        id: CertificateId::new(vote.vote.slot, kind),
                        first: Part::new(n, [(vote.signer, &vote.signature)]),
                        fallback: None,
                    };
                    let message = Message::Certificate(Arc::new(certificate));
                    Some(Effect::Send { to: to.clone(), message, after: *after })
                }
                _ => None,
            })
            .collect();
        effects.extend(forged);
    }
}

#[test]
fn a_certificate_accepted_without_its_stake_is_caught() {
    in_child("a_certificate_accepted_without_its_stake_is_caught", || {
        let scenario = Scenario::plan("calm").set("cluster.nodes=7").byzantine(3);
        let mut plan = scenario.expand();
        plan.nodes[3].stake = 1_000_000_000_000;
        let lax = setup::committee(&plan, 0);
        let wrap: Wrap = Arc::new(move |me, node| {
            let lie: Arc<dyn Lie> =
                if me == NodeId(3) { Arc::new(Forger) } else { Arc::new(Gullible(lax.clone())) };
            Box::new(Wrong { node, lie })
        });
        scenario.wrap(wrap).run().is_caught_by("O14");
    });
}

/// The same forger among honest nodes gets nowhere.
#[test]
fn a_forged_certificate_is_refused_by_honest_nodes() {
    in_child("a_forged_certificate_is_refused_by_honest_nodes", || {
        let wrap: Wrap = Arc::new(|me, node| match me {
            NodeId(3) => Box::new(Wrong { node, lie: Arc::new(Forger) }),
            _ => Box::new(node),
        });
        let scenario = Scenario::plan("calm").set("cluster.nodes=7").byzantine(3);
        let run = scenario.wrap(wrap).run();
        run.passes();
        let recorder = run.outcome.recorder();
        assert!(recorder.measure.rejected["invalid certificate"] > 100);
    });
}

/// The standstill rule skips the two windows above the highest finalized slot: exactly what the
/// others need is never said again.
struct StandstillFromTheWrongSlot;

impl Lie for StandstillFromTheWrongSlot {
    fn change(&self, _: &Protocol, input: &Input, effects: &mut Vec<Effect>) {
        if !matches!(input, Input::Timer(Timer::Standstill)) {
            return;
        }
        let highest = effects.iter().find_map(|effect| match effect {
            Effect::Observe { event: Event::Standstill { highest, .. }, .. } => Some(*highest),
            _ => None,
        });
        let Some(highest) = highest else { return };
        let wrong = Slot(highest.0 + 8);
        effects.retain(|effect| match effect {
            Effect::Send { message: Message::Vote(vote), .. } => vote.vote.slot > wrong,
            Effect::Send { message: Message::Certificate(c), .. } => c.id.slot > wrong,
            _ => true,
        });
    }
}

#[test]
fn a_standstill_from_the_wrong_slot_is_caught() {
    in_child("a_standstill_from_the_wrong_slot_is_caught", || {
        let run =
            Scenario::plan("even-split").seed(2).wrap(everybody(StandstillFromTheWrongSlot)).run();
        run.is_caught_by("O47");
    });
}
