//! From where on an identity that lost its vote log may vote again (10.4): the first slot of the
//! first epoch in which its key can have signed nothing before this start.
//!
//! The evidence is a slot that became final while this node watched its leader send the block. If
//! that was no replay, 60 % of the stake decided it after the start. The old instance voted at most
//! a window past a slot on which 60 % had voted before; honest nodes of both groups were not
//! thousands of slots past one that they had yet to decide. Half of [`MAX_HELD_SLOTS`] is far more
//! than that.
//!
//! But shreds and certificates of the past are as genuine as those of the present, and any peer can
//! send them again. What tells the past from the present is what others know:
//! - Only a slot above everything that is known to be final counts.
//! - The chain grows by one slot in a block time, or by two where leaders are skipped. If finality
//!   has moved faster than that since the start, by more than the other half of [`MAX_HELD_SLOTS`],
//!   then the node was behind, whoever made it believe otherwise. Whatever it has watched may be a
//!   replay and counts no more; what was noted too early is raised ([`Watch::not_before`]), also
//!   what an earlier start noted; and the count begins again at what is final now. So a node that
//!   catches up by four slots in a block time or more (section 9 wants twenty) raises what is noted
//!   again and again, before its tip gets there.
//!
//! Neither is a question of trust: finality cannot be forged, and one honest peer that is heard is
//! enough. It says what is final when it first hears this node and with each slot, or, if that is
//! epochs ahead, is the reason to ask for what comes next. What remains is a node that hears nobody
//! but liars for as long as it takes to reach the noted slot; no rule helps there. And a node that
//! was away for long cannot tell itself from one that was deceived, so it waits for a later epoch.

use crate::protocol::params::{MAX_HELD_SLOTS, Params};
use crate::protocol::types::{Slot, Time};

/// Slots that a node may be behind without its knowing.
const TOLERATED_SLOTS: u64 = MAX_HELD_SLOTS / 2;
/// So many slots per block time are no sign of having been behind.
const SLOTS_PER_BLOCK_TIME: u128 = 2;

/// What a node has seen of the chain's growth.
#[derive(Debug)]
pub(super) struct Watch {
    epoch_slots: u64,
    block_time_ns: u64,
    /// What was known to be final when the count began.
    begun: (Time, Slot),
    /// The first slot since then that became final while this node watched.
    witnessed: Option<Slot>,
    /// What showed last that this node had been behind.
    behind: Option<Slot>,
}

impl Watch {
    /// At the start, when everything up to `slot` is known to be final.
    pub(super) fn new(params: &Params, now: Time, slot: Slot) -> Watch {
        let (epoch_slots, block_time_ns) = (params.epoch_slots, params.delta_block_ns);
        Watch { epoch_slots, block_time_ns, begun: (now, slot), witnessed: None, behind: None }
    }

    /// The store knew that this is final.
    pub(super) fn reload(&mut self, slot: Slot) {
        self.begun.1 = self.begun.1.max(slot);
    }

    /// `slot` is final, above all that was known to be. `watched` if this node saw its block come.
    pub(super) fn advance(&mut self, now: Time, slot: Slot, watched: bool) {
        let (since, from) = self.begun;
        let block_times = now.since(since).as_nanos() / u128::from(self.block_time_ns);
        let grown = u128::from(slot.0.saturating_sub(from.0));
        if grown > u128::from(TOLERATED_SLOTS) + block_times * SLOTS_PER_BLOCK_TIME {
            (self.begun, self.witnessed, self.behind) = ((now, slot), None, Some(slot));
        }
        if watched {
            self.witnessed.get_or_insert(slot);
        }
    }

    /// From where on the identity may vote, if that can be told.
    pub(super) fn safe_from(&self) -> Option<Slot> {
        self.witnessed.map(|slot| self.next_epoch(slot))
    }

    /// Below this it must not vote, whatever was noted before, by an earlier start as well.
    pub(super) fn not_before(&self) -> Option<Slot> {
        self.behind.map(|slot| self.next_epoch(self.witnessed.unwrap_or(slot)))
    }

    fn next_epoch(&self, slot: Slot) -> Slot {
        let epoch = slot.plus(MAX_HELD_SLOTS).0 / self.epoch_slots;
        Slot((epoch + 1) * self.epoch_slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(&Params::default(), Time(0), Slot(100))
    }

    fn at(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    /// What the store has noted after it was told, as it does it.
    fn note(noted: &mut Option<Slot>, watch: &Watch) {
        *noted = noted.map(|slot| slot.max(watch.not_before().unwrap_or_default()));
        *noted = noted.or(watch.safe_from());
    }

    #[test]
    fn what_is_noted_stays_while_the_chain_grows_as_it_can() {
        // Every slot; two per block time; one window of four, and an outage of 1,000 slots.
        for (step, ms, outage) in [(1, 400, 0), (2, 400, 0), (4, 1_600, 1_000)] {
            let (mut watch, mut noted) = (watch(), None);
            let mut slot = 100;
            for i in 1..40_000 / step {
                slot += step + if i == 1_000 { outage } else { 0 };
                watch.advance(at(i * ms), Slot(slot), i % 3 != 0);
                note(&mut noted, &watch);
                assert_eq!((noted, watch.not_before()), (Some(Slot(18_000)), None));
            }
        }
    }

    #[test]
    fn a_replay_counts_no_more_when_the_present_is_heard() {
        let (mut watch, mut noted) = (watch(), None);
        watch.advance(at(1), Slot(101), true);
        note(&mut noted, &watch);
        assert_eq!(noted, Some(Slot(18_000)), "nothing speaks against it yet");
        watch.advance(at(50), Slot(34_000), false);
        assert_eq!((watch.safe_from(), watch.not_before()), (None, Some(Slot(54_000))));
        note(&mut noted, &watch);
        assert_eq!(noted, Some(Slot(54_000)));
        // Caught up in the next epoch but one: what counts is what it then saw itself.
        watch.advance(at(400), Slot(34_001), true);
        assert_eq!((watch.safe_from(), watch.not_before()), (noted, noted));
    }

    /// The worst that one peer can do: the shreds of every slot that the node catches up with, be
    /// it a little faster than the chain's own limit or at once.
    #[test]
    fn who_catches_up_never_reaches_what_is_noted() {
        for ms in [0, 1, 20, 100] {
            let (mut watch, mut noted) = (watch(), None);
            for slot in 101..60_000 {
                watch.advance(at((slot - 100) * ms), Slot(slot), true);
                note(&mut noted, &watch);
                assert!(noted > Some(Slot(slot)), "{ms} ms for each slot");
            }
        }
    }

    /// A start that never hears the present may leave a note that the next one has to raise.
    #[test]
    fn what_an_earlier_start_noted_is_raised() {
        let (mut watch, mut noted) = (watch(), Some(Slot(18_000)));
        for slot in (101..60_000).step_by(16) {
            watch.advance(at(slot * 20), Slot(slot), false);
            note(&mut noted, &watch);
            assert!(noted > Some(Slot(slot)));
        }
        assert_eq!(watch.safe_from(), None, "it has watched nothing");
    }
}
