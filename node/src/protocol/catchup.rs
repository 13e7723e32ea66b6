//! Catching up: a node that is behind asks for finalization proofs in ranges (section 9, 10.5).
//!
//! Hash links alone would lead it back one block per three round trips. A list of what is final
//! lets it fetch many blocks at once and deliver forward. Ranges are asked in parallel, each from
//! its first undecided slot on and from one peer; blocks follow through repair. A range of which
//! something is known is asked for all the same: what a node hears of the present says nothing of
//! the slots that it missed just before. An answer that brings something new is followed by the
//! next question at once, any other only after a while, to another peer. Asking starts only on
//! evidence of being behind, so a healthy cluster never asks.

use super::committee::Committee;
use super::rules::rule;
use super::types::{Hash, NodeId, Slot, Time};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;

/// Slots per question: about as many proofs as one datagram holds.
const RANGE: u64 = 16;
/// Questions in one round.
const MAX_QUESTIONS: usize = 16;
/// Being so many slots behind the highest finalized one is normal.
const TOLERATED_SLOTS: u64 = 8;

/// One question to one peer.
#[derive(Debug)]
struct Question {
    peer: NodeId,
    from: Slot,
    asked: Time,
    /// Answered, with nothing new. It is not asked again for a while.
    vain: bool,
}

/// The questions under way.
#[derive(Debug)]
pub struct CatchUp {
    me: NodeId,
    numbers: u64,
    asked: BTreeMap<u64, Question>,
    /// A peer speaks of an epoch that is not known here.
    hint: bool,
    /// Several blocks in a row are missing.
    gap: bool,
    /// The timer is set.
    active: bool,
    rounds: u64,
}

impl CatchUp {
    /// Nothing asked. Numbers start at `numbers`.
    pub fn new(me: NodeId, numbers: u64) -> CatchUp {
        CatchUp {
            me,
            numbers,
            asked: BTreeMap::new(),
            hint: false,
            gap: false,
            active: false,
            rounds: 0,
        }
    }

    /// A peer spoke of an unknown epoch.
    pub fn hint(&mut self) {
        self.hint = true;
    }

    /// Several blocks in a row are missing, however few they are.
    pub fn gap(&mut self) {
        self.gap = true;
    }

    /// True if there is no use in waiting for blocks that may be on their way.
    pub fn is_gap(&self) -> bool {
        self.gap
    }

    /// True if this node should ask.
    pub fn is_behind(&self, root: Slot, highest: Slot) -> bool {
        self.hint || self.gap || highest.0 > root.0.saturating_add(TOLERATED_SLOTS)
    }

    /// True if the timer must be set now.
    pub fn activate(&mut self) -> bool {
        !std::mem::replace(&mut self.active, true)
    }

    /// The node is up to date.
    pub fn rest(&mut self) {
        (self.active, self.hint, self.gap) = (false, false, false);
        self.asked.clear();
    }

    /// True if `from` was asked the question with this number.
    pub fn expects(&self, from: NodeId, number: u64) -> bool {
        self.asked.get(&number).is_some_and(|question| question.peer == from && !question.vain)
    }

    /// An answer came. `useful` says that it proved something new.
    pub fn on_answer(&mut self, number: u64, useful: bool) {
        if useful {
            self.asked.remove(&number);
        } else {
            self.hint = false; // nobody was ahead of what is known, as far as this peer knows
            if let Some(question) = self.asked.get_mut(&number) {
                question.vain = true;
            }
        }
    }

    /// The questions of this round: from `root` up to `highest` for what `decided` does not know,
    /// and beyond `highest` on a hint. Unanswered ones are asked again after `retry`.
    pub fn questions(
        &mut self,
        committee: &Committee,
        now: Time,
        retry: std::time::Duration,
        root: Slot,
        highest: Slot,
        decided: impl Fn(Slot) -> bool,
    ) -> Vec<(NodeId, u64, Slot)> {
        self.asked.retain(|_, question| question.asked + retry > now);
        self.gap &= (root.next().0..highest.0).any(|slot| !decided(Slot(slot)));
        let mut questions = Vec::new();
        let mut from = root.next();
        while from < highest && questions.len() < MAX_QUESTIONS {
            if decided(from) {
                from = from.next();
                continue;
            }
            if !self.is_under_way(from) {
                questions.push(from);
            }
            from = from.plus(RANGE);
        }
        if self.hint && !self.asked.values().any(|question| question.from == highest.next()) {
            questions.push(highest.next());
        }
        questions.into_iter().map(|from| self.ask(committee, now, from)).collect()
    }

    /// True if the answer to a question that was asked lately covers `slot`.
    fn is_under_way(&self, slot: Slot) -> bool {
        self.asked
            .values()
            .any(|question| (question.from..question.from.plus(RANGE)).contains(&slot))
    }

    fn ask(&mut self, committee: &Committee, now: Time, from: Slot) -> (NodeId, u64, Slot) {
        rule!("catchup.ask");
        let number = self.numbers;
        self.numbers += 1;
        self.rounds += 1;
        let peer = self.peer(committee);
        self.asked.insert(number, Question { peer, from, asked: now, vain: false });
        (peer, number, from)
    }

    /// A peer by stake, from a public stream.
    fn peer(&self, committee: &Committee) -> NodeId {
        let key =
            Hash::of("ag/catch-up-peer", &[&self.me.0.to_le_bytes(), &self.rounds.to_le_bytes()]);
        let mut rng = ChaCha20Rng::from_seed(key.0);
        committee.draw(&mut rng, Some(self.me)).unwrap_or(self.me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::committee::tests::committee;
    use std::time::Duration;

    const RETRY: Duration = Duration::from_millis(500);

    fn asked(catchup: &mut CatchUp, at_ms: u64, highest: u64, decided: &[u64]) -> Vec<u64> {
        let decided = |slot: Slot| decided.contains(&slot.0);
        let (committee, now) = (committee(&[1; 4]), Time(at_ms * 1_000_000));
        let (root, highest) = (Slot(3), Slot(highest));
        let questions = catchup.questions(&committee, now, RETRY, root, highest, decided);
        questions.into_iter().map(|(_, _, from)| from.0).collect()
    }

    #[test]
    fn what_is_known_of_a_range_does_not_hide_what_is_not() {
        let mut catchup = CatchUp::new(NodeId(0), 0);
        assert_eq!(asked(&mut catchup, 0, 12, &[4, 11]), [5], "slots 5 to 10 are missing");
        assert_eq!(asked(&mut catchup, 250, 14, &[4, 11, 12, 13]), [0; 0], "it is under way");
        assert_eq!(asked(&mut catchup, 500, 14, &[4, 11, 12, 13]), [5], "nobody answered");
        let mut far = CatchUp::new(NodeId(0), 0);
        assert_eq!(asked(&mut far, 0, 60, &[4, 5]), [6, 22, 38, 54], "all at once");
        assert_eq!(asked(&mut far, 0, 5_000, &[]).len(), MAX_QUESTIONS);
    }

    /// Hash links would lead back one block per three round trips, however few are missing.
    #[test]
    fn a_small_gap_is_asked_for_until_it_is_closed() {
        let mut catchup = CatchUp::new(NodeId(0), 0);
        let behind = |catchup: &CatchUp| catchup.is_behind(Slot(3), Slot(8));
        assert!(!behind(&catchup), "five slots are normal");
        catchup.gap();
        assert!(behind(&catchup));
        assert_eq!(asked(&mut catchup, 0, 8, &[4]), [5]);
        assert_eq!(asked(&mut catchup, 600, 8, &[4, 5, 6]), [7]);
        assert!(behind(&catchup));
        assert_eq!(asked(&mut catchup, 700, 8, &[4, 5, 6, 7]), [0; 0]);
        assert!(!behind(&catchup), "all are decided; what is missing is being fetched");
    }

    #[test]
    fn an_answer_with_something_new_is_followed_at_once() {
        let mut catchup = CatchUp::new(NodeId(0), 7);
        assert_eq!(asked(&mut catchup, 0, 19, &[]), [4]);
        let peer = catchup.asked[&7].peer;
        assert!(catchup.expects(peer, 7) && !catchup.expects(NodeId(0), 7));
        catchup.on_answer(7, true);
        assert_eq!(asked(&mut catchup, 100, 19, &[4, 5, 6]), [7], "not all fitted");
        let peer = catchup.asked[&8].peer;
        catchup.on_answer(8, false);
        assert!(!catchup.expects(peer, 8), "one answer to each question");
        assert_eq!(asked(&mut catchup, 200, 19, &[4, 5, 6]), [0; 0], "in vain");
        assert_eq!(asked(&mut catchup, 600, 19, &[4, 5, 6]), [7], "another peer may know more");
    }
}
