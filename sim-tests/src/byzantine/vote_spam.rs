//! B24: votes and certificates for far, old and repeated slots.
//!
//! Seen: with each own vote, signed votes for slots far ahead, at the end of the number range and
//! long decided, and every certificate that the liar still has, again.
//!
//! Must not achieve: memory or processing that grows with it, or a timer that starts because of it.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::certificate::Certificate;
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::vote::VoteKind;
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::collections::VecDeque;
use std::sync::Arc;

/// Certificates that are sent again and again.
const KEPT: usize = 16;

/// The lie.
#[derive(Default)]
pub struct VoteSpam {
    certificates: VecDeque<Arc<Certificate>>,
}

impl Lie for VoteSpam {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let mut slots = Vec::new();
        for effect in effects.iter() {
            match effect {
                Effect::Send { message: Message::Certificate(certificate), .. } => {
                    self.certificates.push_front(certificate.clone());
                    self.certificates.truncate(KEPT);
                }
                Effect::Send { message: Message::Vote(vote), .. } => slots.push(vote.vote.slot),
                _ => {}
            }
        }
        let to = tools.others.clone();
        let epoch = tools.committee.params().epoch_slots;
        for slot in slots {
            let far = [30, 41, 100, 2_049, epoch, 2 * epoch, u64::MAX - slot.0];
            let old = [Slot(0), Slot(1), Slot(slot.0.saturating_sub(70))];
            for target in far.map(|ahead| slot.plus(ahead)).into_iter().chain(old) {
                for kind in [VoteKind::Skip, VoteKind::Final] {
                    let vote = tools.sign(target, kind);
                    tools.send(&to, Message::Vote(vote));
                }
            }
            for certificate in self.certificates.clone() {
                tools.send(&to, Message::Certificate(certificate));
            }
            tools.did();
        }
    }
}
