//! B7: shreds with wrong paths, wrong places, odd and empty pieces.
//!
//! Seen: garbage beside good shreds, from a leader or a relay, for slots that are fine. Everything
//! here is a message that encodes; bytes that are no message at all are the business of
//! corruption faults and of the decoder's fuzz target.
//!
//! Must not achieve: a panic, or a good slot that is poisoned by it.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::protocol::block::Shred;
use alpenglow_node::protocol::bounded::BoundedBytes;
use alpenglow_node::protocol::params::{MAX_SLICES, TOTAL_SHREDS};
use alpenglow_node::protocol::wire::Message;
use alpenglow_node::protocol::{Effect, Input};
use bytes::Bytes;
use std::sync::Arc;

/// The lie.
pub struct MalformedShreds;

impl Lie for MalformedShreds {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        let sent = effects.iter().find_map(|effect| match effect {
            Effect::Send { message: Message::Shred(shred), .. } => Some(shred.clone()),
            _ => None,
        });
        let Some(shred) = sent else { return };
        let to = tools.others.clone();
        for wrong in variants(&shred) {
            tools.send(&to, Message::Shred(Arc::new(wrong)));
        }
        tools.did();
    }
}

fn variants(good: &Shred) -> Vec<Shred> {
    let piece = |bytes: &[u8]| BoundedBytes::new(Bytes::copy_from_slice(bytes)).expect("shorter");
    let mut all = vec![good.clone(); 9];
    all[0].path[0].0[0] ^= 1;
    all[1].path.reverse();
    all[2].index ^= 1;
    all[3].index = TOTAL_SHREDS as u8;
    all[4].piece = piece(&[]);
    all[5].piece = piece(&good.piece[1..]);
    all[6].commitment.slice = MAX_SLICES as u8 - 1;
    all[7].commitment.slice = u8::MAX;
    all[8].commitment.last ^= true;
    all
}
