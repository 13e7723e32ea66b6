//! B22: certificates that the named signers did not sign.
//!
//! Seen, in turn: everybody's bit with one signature; a bitmap for another number of validators,
//! with stray bits, or empty; no part at all; a point at infinity, outside the subgroup, or no
//! point; an aggregate over another message; a finality proof of two certificates that do not
//! belong together.
//!
//! Must not achieve: acceptance of any of them.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::crypto::bls::Signature;
use alpenglow_node::protocol::certificate::{Bitmap, Certificate, FinalityProof, Part, SignedVote};
use alpenglow_node::protocol::vote::{CertificateId, CertificateKind, VoteKind};
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use std::sync::Arc;

/// The lie.
pub struct ForgedCertificates;

impl Lie for ForgedCertificates {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let votes: Vec<_> = effects.iter().filter_map(|effect| tools.own_vote(effect)).collect();
        for signed in votes {
            if let VoteKind::Notar(_) | VoteKind::Skip = signed.vote.kind {
                for message in forgeries(tools, &signed) {
                    tools.send(&tools.others.clone(), message);
                }
                tools.did();
            }
        }
    }
}

fn forgeries(tools: &mut Tools, own: &SignedVote) -> Vec<Message> {
    let slot = own.vote.slot;
    let kind = match own.vote.kind {
        VoteKind::Notar(hash) => CertificateKind::FastFinal(hash),
        _ => CertificateKind::Skip,
    };
    let n = tools.committee.len();
    let everybody = || {
        let mut bits = vec![0xff; n.div_ceil(8)];
        if !n.is_multiple_of(8) {
            *bits.last_mut().expect("a committee has members") = (1 << (n % 8)) - 1;
        }
        bits
    };
    let part = |bits: Vec<u8>, signature: Signature| Part {
        signers: Bitmap::new(bits.into()).expect("within the cap"),
        signature,
    };
    let mut outside = [0; 48];
    let draw = tools.draw("point", slot.0);
    let words = (0..6).flat_map(|word| draw.word(word).to_le_bytes());
    outside.iter_mut().zip(words).for_each(|(byte, drawn)| *byte = drawn);
    outside[0] = 0x80 | outside[0] & 0x0f; // compressed, and below the modulus
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    let real = own.signature.clone();
    let other = tools.sign(slot, VoteKind::Final).signature;
    let mut longer = everybody();
    longer.push(0);
    let mut stray = everybody();
    *stray.last_mut().expect("a committee has members") = 0xff;
    let parts = [
        Some(part(everybody(), real.clone())),
        Some(part(everybody(), other)),
        Some(part(everybody(), Signature::from_bytes(infinity))),
        Some(part(everybody(), Signature::from_bytes(outside))),
        Some(part(everybody(), Signature::from_bytes([0xff; 48]))),
        Some(part(longer, real.clone())),
        Some(part(stray, real.clone())),
        Some(part(vec![0; n.div_ceil(8)], real.clone())),
        None,
    ];
    let certificate =
        |first| Arc::new(Certificate { id: CertificateId::new(slot, kind), first, fallback: None });
    let mut messages: Vec<Message> =
        parts.into_iter().map(|part| Message::Certificate(certificate(part))).collect();
    let alone = certificate(Some(part(everybody(), real)));
    let mismatched = FinalityProof::Slow { notar: alone.clone(), last: alone };
    messages.push(Message::Proof(mismatched));
    messages
}
