//! Votor: decides what this node votes (protocol 7). All flags only ever go from no to yes.
//!
//! The rules that keep the cluster safe are few. One initial vote per slot. Inside a window a
//! notar vote needs the own notar vote on the parent (or a final parent, J2); in a first slot it
//! needs ParentReady. A final vote excludes every other vote of the slot, before and after. The
//! rules that keep it alive are the timers and the two fallbacks. Nothing here looks at
//! signatures, stake or time: those belong to the Pool and to the caller.
//!
//! A vote is *cast* when its flags are set. It leaves the node later, when it is durable; by then
//! more votes may have been cast, and that is fine, because flags and log grow in the same order.

use super::bounded::{forget_below, forget_members_below};
use super::rules::rule;
use super::types::{BlockId, Hash, Slot, Window};
use super::vote::{Vote, VoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// What Votor needs to know of the Pool while it decides.
pub trait Knowledge {
    /// True if `slot` is decided (final block or skipped by finality), or finished with.
    fn is_decided(&self, slot: Slot) -> bool;
    /// True if `block` is known to be final.
    fn is_final(&self, block: BlockId) -> bool;
    /// Slots below this are finished with.
    fn floor(&self) -> Slot;
    /// The highest directly finalized slot.
    fn highest_final(&self) -> Slot;
    /// False for slots of an epoch whose validator set is not known yet (1.3).
    fn epoch_known(&self, slot: Slot) -> bool;
}

/// What Votor wants done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Sign, log, send and count this vote.
    Cast(Vote),
    /// Set the timers of the window, from now (7.3).
    StartTimers(Window),
}

/// The initial vote and the flags of one slot (7.1).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Flags {
    /// Voted, and if it was a notar vote, on what.
    voted: Option<Option<Hash>>,
    /// BlockNotarized(h).
    notarized: BTreeSet<Hash>,
    /// ItsOver: F is cast.
    over: bool,
    /// BadWindow: S, SF or NF is cast.
    bad: bool,
    /// ParentReady(s, p), for the first slot of a window.
    parents: BTreeSet<BlockId>,
    /// Complete blocks that could not be voted for yet, with their effective parents (K8).
    pending: BTreeMap<Hash, BlockId>,
    /// NF cast for these.
    fallbacks: BTreeSet<Hash>,
    /// SF cast.
    skip_fallback: bool,
    /// Any valid shred of the slot was seen.
    shred_seen: bool,
    /// Its leader was caught lying before its window began.
    invalid: bool,
}

/// The vote state of this node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Votor {
    voting: bool,
    slots: BTreeMap<Slot, Flags>,
    timers: BTreeSet<Window>,
}

impl Votor {
    /// A fresh state; `log` holds every vote that this identity cast before a restart. With
    /// `voting` false the node observes and casts nothing (10.4).
    pub fn new(voting: bool, log: &[Vote]) -> Votor {
        let mut votor = Votor { voting, slots: BTreeMap::new(), timers: BTreeSet::new() };
        for vote in log {
            rule!("restart.reload");
            let flags = votor.slots.entry(vote.slot).or_default();
            match vote.kind {
                VoteKind::Notar(hash) => flags.voted = Some(Some(hash)),
                VoteKind::Skip => (flags.voted, flags.bad) = (Some(None), true),
                VoteKind::NotarFallback(hash) => {
                    flags.fallbacks.insert(hash);
                    flags.bad = true;
                }
                VoteKind::SkipFallback => (flags.skip_fallback, flags.bad) = (true, true),
                VoteKind::Final => flags.over = true,
            }
        }
        votor
    }

    /// True if this node casts votes.
    pub fn is_voting(&self) -> bool {
        self.voting
    }

    /// Never votes again (the log cannot be trusted or written).
    pub fn stop_voting(&mut self) {
        self.voting = false;
    }

    /// True if the initial vote of `slot` is cast.
    pub fn has_voted(&self, slot: Slot) -> bool {
        self.slots.get(&slot).is_some_and(|f| f.voted.is_some())
    }

    /// ItsOver: F is cast in `slot`, so nothing else will be.
    pub fn is_over(&self, slot: Slot) -> bool {
        self.slots.get(&slot).is_some_and(|f| f.over)
    }

    /// True if the timers of `window` were started in this incarnation.
    pub fn timers_started(&self, window: Window) -> bool {
        self.timers.contains(&window)
    }

    /// The votes cast in `slot`, in an order in which they can be sent again.
    pub fn cast_in(&self, slot: Slot) -> Vec<Vote> {
        let Some(flags) = self.slots.get(&slot) else { return Vec::new() };
        let initial = flags.voted.map(|hash| hash.map_or(VoteKind::Skip, VoteKind::Notar));
        let kinds = initial
            .into_iter()
            .chain(flags.fallbacks.iter().map(|&hash| VoteKind::NotarFallback(hash)))
            .chain(flags.skip_fallback.then_some(VoteKind::SkipFallback))
            .chain(flags.over.then_some(VoteKind::Final));
        kinds.map(|kind| Vote::new(slot, kind)).collect()
    }

    /// Slots with any flag, ascending.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.keys().copied()
    }

    /// A complete and valid block with its effective parent.
    pub fn on_block(
        &mut self,
        k: &impl Knowledge,
        block: BlockId,
        parent: BlockId,
        out: &mut Vec<Action>,
    ) {
        if block.slot < k.floor() {
            return;
        }
        if self.try_notar(k, block, parent, out) {
            self.check_pending(k, out);
        } else if !self.has_voted(block.slot) {
            rule!("votor.candidate");
            self.flags(block.slot).pending.insert(block.hash, parent);
        }
    }

    /// The leader of `slot` was caught lying before its block was complete (K11). A leader can lie
    /// long before its window begins, when the votes would be too far ahead for others to keep: the
    /// window is skipped when its timers start.
    pub fn on_invalid_block(&mut self, k: &impl Knowledge, slot: Slot, out: &mut Vec<Action>) {
        if k.is_decided(slot) || slot < k.floor() {
            return;
        }
        self.flags(slot).invalid = true;
        if self.timers.contains(&slot.window()) {
            rule!("votor.invalid_block");
            self.try_skip_window(k, slot, out);
        }
    }

    /// A valid shred of `slot` came in.
    pub fn on_shred(&mut self, k: &impl Knowledge, slot: Slot) {
        if slot >= k.floor() {
            self.flags(slot).shred_seen = true;
        }
    }

    /// Timeout(s). A slot that finality has decided gives no reason to give up its window.
    pub fn on_timeout(&mut self, k: &impl Knowledge, slot: Slot, out: &mut Vec<Action>) {
        if !self.has_voted(slot) && !k.is_decided(slot) {
            rule!("votor.timeout");
            self.try_skip_window(k, slot, out);
        }
    }

    /// TimeoutCrashed(s): the leader has had time for a first slice (K12).
    pub fn on_timeout_crashed(&mut self, k: &impl Knowledge, slot: Slot, out: &mut Vec<Action>) {
        let seen = self.slots.get(&slot).is_some_and(|f| f.shred_seen);
        if !seen && !self.has_voted(slot) && !k.is_decided(slot) {
            rule!("votor.timeout_crashed");
            self.try_skip_window(k, slot, out);
        }
    }

    /// NO(s,b) is held.
    pub fn on_block_notarized(
        &mut self,
        k: &impl Knowledge,
        block: BlockId,
        out: &mut Vec<Action>,
    ) {
        if block.slot >= k.floor() {
            self.flags(block.slot).notarized.insert(block.hash);
            self.try_final(block, out);
        }
    }

    /// A new element of ready(s). The first one starts the timers of the window (K5).
    pub fn on_parent_ready(
        &mut self,
        k: &impl Knowledge,
        first: Slot,
        parent: BlockId,
        out: &mut Vec<Action>,
    ) {
        let window = first.window();
        if window.last() <= k.highest_final() {
            return;
        }
        self.flags(first).parents.insert(parent);
        self.check_pending(k, out);
        self.start_timers(k, window, out);
    }

    /// SafeToNotar(b): give up the rest of the window, then cast NF (K16).
    pub fn on_safe_to_notar(&mut self, k: &impl Knowledge, block: BlockId, out: &mut Vec<Action>) {
        self.try_skip_window(k, block.slot, out);
        let voting = self.voting;
        let flags = self.flags(block.slot);
        if voting && flags.voted.is_some() && !flags.over && flags.fallbacks.insert(block.hash) {
            rule!("votor.notar_fallback");
            flags.bad = true;
            out.push(Action::Cast(Vote::new(block.slot, VoteKind::NotarFallback(block.hash))));
        }
    }

    /// SafeToSkip(s): give up the rest of the window, then cast SF.
    pub fn on_safe_to_skip(&mut self, k: &impl Knowledge, slot: Slot, out: &mut Vec<Action>) {
        self.try_skip_window(k, slot, out);
        let voting = self.voting;
        let flags = self.flags(slot);
        if voting && matches!(flags.voted, Some(Some(_))) && !flags.over && !flags.skip_fallback {
            rule!("votor.skip_fallback");
            (flags.skip_fallback, flags.bad) = (true, true);
            out.push(Action::Cast(Vote::new(slot, VoteKind::SkipFallback)));
        }
    }

    /// `block` is final: children of it may be voted on now (J2), and a node that joined in the
    /// middle of its window gets timers for the rest of it (J1).
    pub fn on_finalized(
        &mut self,
        k: &impl Knowledge,
        block: BlockId,
        direct: bool,
        out: &mut Vec<Action>,
    ) {
        self.check_pending(k, out);
        let window = block.slot.window();
        if direct && block.slot == k.highest_final() && !block.slot.is_last() {
            if !self.timers.contains(&window) {
                rule!("votor.j1");
            }
            self.start_timers(k, window, out);
        }
    }

    fn start_timers(&mut self, k: &impl Knowledge, window: Window, out: &mut Vec<Action>) {
        if !self.timers.insert(window) {
            return;
        }
        out.push(Action::StartTimers(window));
        let invalid = |slot: &Slot| self.slots.get(slot).is_some_and(|flags| flags.invalid);
        if let Some(slot) = window.slots().find(invalid) {
            self.on_invalid_block(k, slot, out);
        }
    }

    fn flags(&mut self, slot: Slot) -> &mut Flags {
        self.slots.entry(slot).or_default()
    }

    /// Casts N(b) if the slot is open and the parent is acceptable.
    fn try_notar(
        &mut self,
        k: &impl Knowledge,
        block: BlockId,
        parent: BlockId,
        out: &mut Vec<Action>,
    ) -> bool {
        let slot = block.slot;
        if !self.voting || self.has_voted(slot) || k.is_decided(slot) || !k.epoch_known(slot) {
            return false;
        }
        let acceptable = if slot.is_first() {
            self.slots.get(&slot).is_some_and(|f| f.parents.contains(&parent))
        } else {
            parent.slot == slot.previous() && {
                let voted = self.slots.get(&parent.slot).and_then(|f| f.voted).flatten();
                let own = voted == Some(parent.hash);
                if !own && k.is_final(parent) {
                    rule!("votor.j2");
                }
                own || k.is_final(parent)
            }
        };
        if !acceptable {
            return false;
        }
        rule!("votor.notar");
        let flags = self.flags(slot);
        flags.voted = Some(Some(block.hash));
        flags.pending.clear();
        out.push(Action::Cast(Vote::new(slot, VoteKind::Notar(block.hash))));
        self.try_final(block, out);
        true
    }

    /// Casts F if the block that this node voted for is notarized and nothing else was cast.
    fn try_final(&mut self, block: BlockId, out: &mut Vec<Action>) {
        let voting = self.voting;
        let flags = self.flags(block.slot);
        if voting
            && flags.notarized.contains(&block.hash)
            && flags.voted == Some(Some(block.hash))
            && !flags.bad
            && !flags.over
        {
            rule!("votor.final");
            flags.over = true;
            out.push(Action::Cast(Vote::new(block.slot, VoteKind::Final)));
        }
    }

    /// Casts S in every slot of the window that is neither voted nor decided.
    fn try_skip_window(&mut self, k: &impl Knowledge, slot: Slot, out: &mut Vec<Action>) {
        if !self.voting || !k.epoch_known(slot) {
            return;
        }
        for slot in slot.window().slots() {
            if slot < k.floor() || k.is_decided(slot) || self.has_voted(slot) {
                continue;
            }
            rule!("votor.skip_window");
            let flags = self.flags(slot);
            (flags.voted, flags.bad) = (Some(None), true);
            flags.pending.clear();
            out.push(Action::Cast(Vote::new(slot, VoteKind::Skip)));
        }
    }

    /// Tries every waiting candidate, lowest slot first, so that a chain is voted in one pass.
    fn check_pending(&mut self, k: &impl Knowledge, out: &mut Vec<Action>) {
        let waiting: Vec<(BlockId, BlockId)> = self
            .slots
            .iter()
            .flat_map(|(&slot, flags)| {
                flags.pending.iter().map(move |(&hash, &parent)| (BlockId::new(slot, hash), parent))
            })
            .collect();
        for (block, parent) in waiting {
            self.try_notar(k, block, parent, out);
        }
    }

    /// Forgets slots below `floor`, except that the own vote on the slot just below may still be
    /// the parent of a later one.
    pub fn prune(&mut self, floor: Slot) {
        forget_below(&mut self.slots, &floor.previous());
        forget_members_below(&mut self.timers, &floor.previous().window());
    }
}
