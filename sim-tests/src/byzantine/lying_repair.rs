//! B26: wrong answers to repair questions, and refusals.
//!
//! Seen, by draw: another number of slices, also one that differs by the height of the tree; short
//! and empty paths; the root of another slice; a shred of another place, or damaged; no answer; a
//! refusal; the answer to another question.
//!
//! Must not achieve: a wrong block in anybody's store, or a repair that never ends.

use super::Lie;
use super::tools::Tools;
use alpenglow_node::crypto::Hash;
use alpenglow_node::protocol::bounded::{BoundedBytes, BoundedVec};
use alpenglow_node::protocol::params::MAX_SLICES;
use alpenglow_node::protocol::wire::{Answer, Message};
use alpenglow_node::protocol::{Effect, Input};
use std::sync::Arc;

/// The lie.
pub struct LyingRepair;

impl Lie for LyingRepair {
    fn says(&mut self, tools: &mut Tools, _: &Input, effects: &mut Vec<Effect>) {
        for mut effect in std::mem::take(effects) {
            if let Effect::Send { message: Message::Response(number, answer), .. } = &mut effect {
                tools.did();
                if !lie(tools, number, answer) {
                    continue;
                }
            }
            effects.push(effect);
        }
    }
}

/// Spoils an answer; false to give none.
fn lie(tools: &mut Tools, number: &mut u64, answer: &mut Answer) -> bool {
    let draw = tools.draw("answer", *number);
    let kind = draw.below(0, 8);
    match kind {
        0 => *answer = Answer::Nack,
        1 => return false,
        2 => *number ^= 1,
        _ => spoil(answer, kind),
    }
    true
}

fn spoil(answer: &mut Answer, kind: u64) {
    match answer {
        Answer::SliceCount { last, root, path } => match kind {
            3 => *last = last.saturating_sub(1),
            4 => *last = (*last + (1 << path.len())).min(MAX_SLICES as u8 - 1),
            5 => *path = BoundedVec::default(),
            6 => *path = shorter(path),
            _ => root.0[0] ^= 1,
        },
        Answer::SliceRoot { root, path } => match kind {
            3 | 4 => *root = Hash([7; 32]),
            5 => *path = BoundedVec::default(),
            6 => *path = shorter(path),
            _ => root.0[31] ^= 1,
        },
        Answer::Shred(shred) => {
            let shred = Arc::make_mut(shred);
            match kind {
                3 => shred.index ^= 1,
                4 => shred.commitment.slice ^= 1,
                5 => shred.path[5].0[0] ^= 1,
                6 => shred.piece = BoundedBytes::new(Default::default()).expect("nothing fits"),
                _ => {
                    let mut bytes = shred.piece.to_vec();
                    bytes[0] ^= 1;
                    shred.piece = BoundedBytes::new(bytes.into()).expect("no longer than before");
                }
            }
        }
        Answer::Decided(_) => *answer = Answer::Decided(BoundedVec::default()),
        Answer::Nack => {}
    }
}

fn shorter<const N: usize>(path: &BoundedVec<Hash, N>) -> BoundedVec<Hash, N> {
    let cut = path.iter().skip(1).copied().collect();
    BoundedVec::new(cut).expect("shorter than it was")
}
