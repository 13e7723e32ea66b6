//! Pool: collects votes and certificates and draws every conclusion from them (protocol 6).
//!
//! Facts come in (a vote, a certificate, a stored block), conclusions go out as [`Conclusion`]s in
//! a deterministic order: certificates that became possible, ParentReady, SafeToNotar, SafeToSkip,
//! finality, blocks to repair. The own votes arrive here like everybody's, but only once they are
//! durable, and only then can they contribute to anything (7.2).
//!
//! Two orders matter. A vote is stored *before* certificates are built, so that a certificate
//! holds the vote that made it possible (K1). And both SafeTo rules are evaluated after the own
//! vote is stored, because that vote is one of their conditions (K3).

pub mod finality;
pub mod readiness;
pub mod tally;

use super::bounded::forget_below;
use super::params::VOTE_LOOKAHEAD_SLOTS;
use super::rules::rule;
use super::stake::{Fraction, NodeSet, Stakes};
use super::types::{BlockId, Hash, NodeId, Slot, Stake};
use super::vote::{CertificateId, CertificateKind, Vote, VoteKind};
use finality::{Change, Finality};
use readiness::{Readiness, Ready};
use std::collections::{BTreeMap, BTreeSet};
use tally::{Admission, Initial, Tally};

/// What the Pool needs to know of the world: the validator set and which member it serves.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The stakes.
    pub stakes: &'a Stakes,
    /// The own index.
    pub me: NodeId,
}

/// How a block became final.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
)]
pub enum Mode {
    /// By FF: 80 % in one round.
    Fast,
    /// By NO and FI: 60 % in two rounds.
    Slow,
    /// As the ancestor of a final block.
    Indirect,
}

/// A conclusion, in the order in which it was drawn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Conclusion {
    /// A certificate is held now: built here from stored votes, or received.
    Certificate(CertificateId),
    /// NO(b) is held.
    BlockNotarized(BlockId),
    /// A new element of ready(s).
    ParentReady(Ready),
    /// No other block of the slot can be fast-finalized.
    SafeToNotar(BlockId),
    /// No block of the slot can be fast-finalized.
    SafeToSkip(Slot),
    /// The block is final.
    Finalized(BlockId, Mode),
    /// The slot is skipped by finality.
    Skipped(Slot),
    /// The next block of the chain: final, stored, and its parent was delivered before.
    Delivered(BlockId),
    /// The block is certified or needed, but not stored.
    Missing(BlockId),
    /// Certificates contradict each other: the byzantine stake is 20 % or more. Observed, never
    /// asserted, because peers can cause it.
    Contradiction(Slot),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct SlotPool {
    tally: Tally,
    certificates: BTreeSet<CertificateKind>,
    safe_to_notar: BTreeSet<Hash>,
    safe_to_skip: bool,
}

/// Votes, certificates and their consequences, from the root to the head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pool {
    slots: BTreeMap<Slot, SlotPool>,
    readiness: Readiness,
    finality: Finality,
    /// Blocks that wait for NFplus of the key before SafeToNotar can fire. Several children may
    /// wait for one parent (K6).
    waiting: BTreeMap<BlockId, BTreeSet<BlockId>>,
    highest_ready: Slot,
}

impl Pool {
    /// Starts from a final, delivered block (genesis, or the ledger tip after a restart).
    pub fn new(root: BlockId) -> Pool {
        Pool {
            slots: BTreeMap::new(),
            readiness: Readiness::new(root),
            finality: Finality::new(root),
            waiting: BTreeMap::new(),
            highest_ready: root.slot,
        }
    }

    /// Draws the conclusions from the root alone: it may be the parent of a window.
    pub fn start(&mut self, out: &mut Vec<Conclusion>) {
        let mut ready = Vec::new();
        self.readiness.start(&mut ready);
        self.announce(ready, out);
    }

    /// Decisions, marks and stored blocks.
    pub fn finality(&self) -> &Finality {
        &self.finality
    }

    /// NFplus, SkipPlus and ready sets.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The votes held for `slot`.
    pub fn tally(&self, slot: Slot) -> Option<&Tally> {
        self.slots.get(&slot).map(|s| &s.tally)
    }

    /// Slots with votes or certificates, ascending.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Slot> + '_ {
        self.slots.keys().copied()
    }

    /// True if the certificate, or for NF a stronger one for the same block, is held.
    pub fn holds(&self, id: CertificateId) -> bool {
        self.slots.get(&id.slot).is_some_and(|slot| slot.holds(id.kind))
    }

    /// The certificates held for `slot`.
    pub fn certificates(&self, slot: Slot) -> impl Iterator<Item = CertificateId> + '_ {
        let kinds = self.slots.get(&slot).into_iter().flat_map(|s| &s.certificates);
        kinds.map(move |&kind| CertificateId::new(slot, kind))
    }

    /// The range of slots whose votes are taken (6.1): what is older cannot matter any more, and
    /// what is further ahead than any honest node can be is a memory attack (K31). It ends with a
    /// window: a window is skipped as a whole.
    pub fn vote_range(&self) -> std::ops::RangeInclusive<Slot> {
        let head = self.highest_ready.max(self.finality.highest().slot);
        self.finality.floor()..=head.plus(VOTE_LOOKAHEAD_SLOTS).window().last()
    }

    fn slot(&mut self, slot: Slot, n: usize) -> &mut SlotPool {
        self.slots.entry(slot).or_insert_with(|| SlotPool {
            tally: Tally::new(n),
            certificates: BTreeSet::new(),
            safe_to_notar: BTreeSet::new(),
            safe_to_skip: false,
        })
    }

    /// Stores a verified vote and draws the conclusions. Votes outside [`Pool::vote_range`] must be
    /// dropped by the caller.
    pub fn add_vote(
        &mut self,
        cx: Context<'_>,
        voter: NodeId,
        vote: Vote,
        out: &mut Vec<Conclusion>,
    ) -> Admission {
        let stake = cx.stakes.of(voter);
        let slot = self.slot(vote.slot, cx.stakes.len());
        let admission = slot.tally.store(voter, stake, vote.kind);
        match admission {
            Admission::Duplicate => {
                rule!("pool.duplicate");
                return admission;
            }
            Admission::Refused(_) => {
                rule!("pool.offence");
                return admission;
            }
            Admission::StoredWith(_) => rule!("pool.offence"),
            Admission::Stored => {}
        }
        for kind in slot.possible(cx.stakes, vote.kind) {
            self.insert_certificate(cx, CertificateId::new(vote.slot, kind), out);
        }
        if matches!(vote.kind, VoteKind::Notar(_) | VoteKind::Skip) {
            self.evaluate_slot(cx, vote.slot, out);
        }
        admission
    }

    /// True if `vote` by these validators as well could complete a certificate, or count for one
    /// of the fallback events. The own vote is taken for granted while it may still come. Nothing
    /// depends on the answer but when signatures are checked.
    pub fn decides(
        &self,
        cx: Context<'_>,
        vote: Vote,
        voters: &mut dyn Iterator<Item = NodeId>,
    ) -> bool {
        let slot = self.slots.get(&vote.slot);
        let tally = slot.map(|slot| &slot.tally);
        let own = tally.map(|tally| tally.admission(cx.me, vote.kind));
        let own = if own == Some(Admission::Duplicate) { 0 } else { cx.stakes.of(cx.me) };
        let mut sum = |stored: Option<Stake>| {
            let more = voters.map(|node| cx.stakes.of(node)).sum::<Stake>();
            stored.unwrap_or(0).saturating_add(more).saturating_add(own)
        };
        let completes = |sum: Stake, fraction, kind| {
            cx.stakes.reaches(sum, fraction) && slot.is_none_or(|slot| !slot.holds(kind))
        };
        match vote.kind {
            VoteKind::Notar(hash) => {
                if tally.is_some_and(|tally| tally.is_contested(hash)) {
                    return true;
                }
                let sum = sum(tally.map(|tally| tally.notar(hash)));
                completes(sum, Fraction::ThreeFifths, CertificateKind::Notar(hash))
                    || completes(sum, Fraction::FourFifths, CertificateKind::FastFinal(hash))
            }
            VoteKind::Final => {
                let sum = sum(tally.map(Tally::finals));
                completes(sum, Fraction::ThreeFifths, CertificateKind::Final)
            }
            // These are said when something went wrong, and then every one of them is news.
            VoteKind::Skip | VoteKind::NotarFallback(_) | VoteKind::SkipFallback => true,
        }
    }

    /// Takes a verified certificate of a peer. False if it adds nothing.
    pub fn add_certificate(
        &mut self,
        cx: Context<'_>,
        id: CertificateId,
        out: &mut Vec<Conclusion>,
    ) -> bool {
        if self.holds(id) || id.slot < self.finality.floor() {
            return false;
        }
        rule!("pool.received");
        self.insert_certificate(cx, id, out);
        true
    }

    fn insert_certificate(
        &mut self,
        cx: Context<'_>,
        id: CertificateId,
        out: &mut Vec<Conclusion>,
    ) {
        if id.slot < self.finality.floor() {
            return; // a stronger certificate of the same vote finalized the slot and moved on
        }
        let slot = self.slot(id.slot, cx.stakes.len());
        if !slot.certificates.insert(id.kind) {
            return;
        }
        let contradiction = slot.contradicts(id.kind);
        let final_block = slot.slow_final();
        out.push(Conclusion::Certificate(id));
        if contradiction {
            out.push(Conclusion::Contradiction(id.slot));
        }
        match id.kind {
            CertificateKind::FastFinal(hash) => {
                rule!("pool.fast_final");
                self.certify(cx, BlockId::new(id.slot, hash), out);
                self.finalize(cx, BlockId::new(id.slot, hash), Mode::Fast, out);
            }
            CertificateKind::Notar(hash) => {
                rule!("pool.notar");
                out.push(Conclusion::BlockNotarized(BlockId::new(id.slot, hash)));
                self.certify(cx, BlockId::new(id.slot, hash), out);
            }
            CertificateKind::NotarFallback(hash) => {
                rule!("pool.notar_fallback");
                self.certify(cx, BlockId::new(id.slot, hash), out);
            }
            CertificateKind::Skip => {
                rule!("pool.skip");
                self.set_skipped(id.slot, out);
            }
            CertificateKind::Final => {
                rule!("pool.final");
                if final_block.is_none() {
                    rule!("pool.final_first");
                }
            }
        }
        if matches!(id.kind, CertificateKind::Notar(_) | CertificateKind::Final)
            && let Some(hash) = final_block
        {
            self.finalize(cx, BlockId::new(id.slot, hash), Mode::Slow, out);
        }
    }

    /// Registers a stored block with its effective parent. Idempotent.
    pub fn add_block(
        &mut self,
        cx: Context<'_>,
        block: BlockId,
        parent: BlockId,
        out: &mut Vec<Conclusion>,
    ) {
        let mut changes = Vec::new();
        self.finality.add_block(block, parent, &mut changes);
        self.apply(cx, changes, out);
        self.evaluate(cx, block, out);
    }

    /// NFplus(b): the block may be a parent, must be stored, and frees children that wait for it.
    fn certify(&mut self, cx: Context<'_>, block: BlockId, out: &mut Vec<Conclusion>) {
        if !self.finality.is_stored(block) && self.finality.holds(block.slot) {
            out.push(Conclusion::Missing(block));
        }
        self.set_certified(cx, block, out);
    }

    fn set_certified(&mut self, cx: Context<'_>, block: BlockId, out: &mut Vec<Conclusion>) {
        let mut ready = Vec::new();
        self.readiness.certify(block, &mut ready);
        self.announce(ready, out);
        for child in self.waiting.remove(&block).unwrap_or_default() {
            self.evaluate(cx, child, out);
        }
    }

    fn set_skipped(&mut self, slot: Slot, out: &mut Vec<Conclusion>) {
        let mut ready = Vec::new();
        self.readiness.skip(slot, &mut ready);
        self.announce(ready, out);
    }

    fn announce(&mut self, ready: Vec<Ready>, out: &mut Vec<Conclusion>) {
        for ready in ready {
            self.highest_ready = self.highest_ready.max(ready.first);
            out.push(Conclusion::ParentReady(ready));
        }
    }

    /// Takes a direct finalization, from certificates held or proved elsewhere.
    pub fn finalize(
        &mut self,
        cx: Context<'_>,
        block: BlockId,
        mode: Mode,
        out: &mut Vec<Conclusion>,
    ) {
        if block.slot <= self.finality.root().slot {
            return;
        }
        match mode {
            Mode::Fast => rule!("finality.fast"),
            _ => rule!("finality.slow"),
        }
        let mut changes = Vec::new();
        self.finality.finalize(block, &mut changes);
        if !changes.contains(&Change::Contradiction(block.slot)) {
            out.push(Conclusion::Finalized(block, mode));
            self.set_certified(cx, block, out);
        }
        self.apply(cx, changes, out);
    }

    /// Peers say that nothing is final between the root and this final block, far beyond it.
    pub fn reach(&mut self, cx: Context<'_>, block: BlockId, out: &mut Vec<Conclusion>) {
        let mut changes = Vec::new();
        self.finality.reach(block, &mut changes);
        self.apply(cx, changes, out);
    }

    fn apply(&mut self, cx: Context<'_>, changes: Vec<Change>, out: &mut Vec<Conclusion>) {
        for change in changes {
            match change {
                Change::Ancestor(block) => {
                    out.push(Conclusion::Finalized(block, Mode::Indirect));
                    self.set_certified(cx, block, out);
                }
                Change::Skipped(slot) => {
                    out.push(Conclusion::Skipped(slot));
                    self.set_skipped(slot, out);
                }
                Change::Missing(block) => out.push(Conclusion::Missing(block)),
                Change::Delivered(block) => out.push(Conclusion::Delivered(block)),
                Change::Contradiction(slot) => out.push(Conclusion::Contradiction(slot)),
            }
        }
    }

    /// Forgets what can no longer matter. The root's own NFplus stays: it is a parent.
    pub fn prune(&mut self) {
        let root = self.finality.root();
        self.readiness.prune(root);
        forget_below(&mut self.slots, &self.finality.floor());
        self.waiting.retain(|parent, _| parent.slot >= root.slot);
    }

    fn evaluate_slot(&mut self, cx: Context<'_>, slot: Slot, out: &mut Vec<Conclusion>) {
        let Some(pool) = self.slots.get_mut(&slot) else { return };
        let Some(own) = pool.tally.initial_of(cx.me) else { return };
        if !pool.safe_to_skip
            && matches!(own, Initial::Notar(_))
            && cx.stakes.reaches(pool.tally.not_strongest(), Fraction::TwoFifths)
        {
            rule!("pool.safe_to_skip");
            pool.safe_to_skip = true;
            out.push(Conclusion::SafeToSkip(slot));
        }
        let candidates: Vec<Hash> = pool.tally.blocks().collect();
        for hash in candidates {
            self.evaluate(cx, BlockId::new(slot, hash), out);
        }
    }

    /// SafeToNotar(s,b), with every condition of 6.5 except ItsOver, which Votor knows.
    fn evaluate(&mut self, cx: Context<'_>, block: BlockId, out: &mut Vec<Conclusion>) {
        let Some(slot) = self.slots.get_mut(&block.slot) else { return };
        let Some(own) = slot.tally.initial_of(cx.me) else { return };
        if own == Initial::Notar(block.hash)
            || slot.safe_to_notar.contains(&block.hash)
            || !slot.stake_allows(cx.stakes, block.hash)
        {
            return;
        }
        let Some(parent) = self.finality.parent(block) else {
            if !self.finality.is_final(block) {
                rule!("pool.safe_to_notar_repair");
                out.push(Conclusion::Missing(block));
            }
            return;
        };
        if !block.slot.is_first() && !self.readiness.is_certified(parent) {
            rule!("pool.safe_to_notar_parent");
            self.waiting.entry(parent).or_default().insert(block);
            return;
        }
        rule!("pool.safe_to_notar");
        slot.safe_to_notar.insert(block.hash);
        out.push(Conclusion::SafeToNotar(block));
    }

    /// Blocks that should be stored and are not (section 4): final ones first, then those of open
    /// slots that are certified or that only their absence keeps from SafeToNotar. A function of
    /// the state: a [`Conclusion::Missing`] that found no room for a fetch is not lost.
    pub fn missing<'a>(&'a self, cx: Context<'a>) -> impl Iterator<Item = BlockId> + 'a {
        let open = self.slots.range(self.finality.root().slot.next()..);
        let open = open.filter(|(slot, _)| self.finality.decided(**slot).is_none());
        let wanted = open.flat_map(move |(&slot, pool)| {
            let wanted = pool.wanted(cx).into_iter().map(move |hash| BlockId::new(slot, hash));
            wanted.filter(|block| !self.finality.is_stored(*block))
        });
        self.finality.missing().chain(wanted)
    }

    /// Stored voters behind a certificate, for the builder.
    pub fn voters(&self, id: CertificateId) -> (NodeSet, NodeSet) {
        self.tally(id.slot).map(|tally| tally.voters(id.kind)).unwrap_or_default()
    }

    /// Entries held, for the bound of O35.
    pub fn size(&self) -> usize {
        self.slots.len() + self.readiness.size() + self.finality.size() + self.waiting.len()
    }
}

impl SlotPool {
    fn holds(&self, kind: CertificateKind) -> bool {
        self.certificates.contains(&kind)
            || match kind {
                CertificateKind::NotarFallback(hash) => {
                    self.certificates.contains(&CertificateKind::Notar(hash))
                        || self.certificates.contains(&CertificateKind::FastFinal(hash))
                }
                _ => false,
            }
    }

    /// Certificates that the stored votes allow since a vote of `kind` came in, strongest first.
    /// NF is not built for a block that holds NO or FF: they say more (6.2).
    fn possible(&self, stakes: &Stakes, kind: VoteKind) -> Vec<CertificateKind> {
        let tally = &self.tally;
        let mut kinds = Vec::new();
        let mut check = |sum: Stake, fraction, kind| {
            if stakes.reaches(sum, fraction) {
                kinds.push(kind);
            }
        };
        match kind {
            VoteKind::Notar(h) | VoteKind::NotarFallback(h) => {
                let notar = tally.notar(h);
                check(notar, Fraction::FourFifths, CertificateKind::FastFinal(h));
                check(notar, Fraction::ThreeFifths, CertificateKind::Notar(h));
                if !stakes.reaches(notar, Fraction::ThreeFifths) {
                    let both = tally.notar_or_fallback(h);
                    check(both, Fraction::ThreeFifths, CertificateKind::NotarFallback(h));
                }
            }
            VoteKind::Skip | VoteKind::SkipFallback => {
                check(tally.skip_or_fallback(), Fraction::ThreeFifths, CertificateKind::Skip);
            }
            VoteKind::Final => {
                check(tally.finals(), Fraction::ThreeFifths, CertificateKind::Final);
            }
        }
        kinds.retain(|&kind| !self.holds(kind));
        kinds
    }

    /// The block that FI finalizes here, if FI and its NO are both held.
    fn slow_final(&self) -> Option<Hash> {
        if !self.certificates.contains(&CertificateKind::Final) {
            return None;
        }
        self.certificates.iter().find_map(|kind| match kind {
            CertificateKind::Notar(hash) => Some(*hash),
            _ => None,
        })
    }

    /// True if the certificate just added and another one of the slot cannot both exist while
    /// byzantine stake is below 20 % (6.6).
    fn contradicts(&self, added: CertificateKind) -> bool {
        let fast = self.certificates.iter().find_map(|kind| match kind {
            CertificateKind::FastFinal(hash) => Some(*hash),
            _ => None,
        });
        let final_hash = fast.or(self.slow_final());
        let notarized = self.certificates.iter().filter(|k| matches!(k, CertificateKind::Notar(_)));
        let two_notarized = matches!(added, CertificateKind::Notar(_)) && notarized.count() > 1;
        two_notarized
            || final_hash.is_some_and(|hash| {
                self.certificates.iter().any(|kind| {
                    *kind == CertificateKind::Skip || named(kind).is_some_and(|h| h != hash)
                })
            })
    }

    /// Blocks of the slot that are certified, or that the stake makes candidates for SafeToNotar.
    fn wanted(&self, cx: Context<'_>) -> BTreeSet<Hash> {
        let own = self.tally.initial_of(cx.me);
        let candidate = |hash: &Hash| {
            own.is_some_and(|own| own != Initial::Notar(*hash))
                && self.stake_allows(cx.stakes, *hash)
        };
        let certified = self.certificates.iter().filter_map(named);
        certified.chain(self.tally.blocks().filter(candidate)).collect()
    }

    fn stake_allows(&self, stakes: &Stakes, hash: Hash) -> bool {
        let notar = self.tally.notar(hash);
        stakes.reaches(notar, Fraction::TwoFifths)
            || (stakes.reaches(notar, Fraction::Fifth)
                && stakes.reaches(self.tally.skip() + notar, Fraction::ThreeFifths))
    }
}

/// The block that a certificate names, if its kind names one.
fn named(kind: &CertificateKind) -> Option<Hash> {
    match *kind {
        CertificateKind::FastFinal(hash)
        | CertificateKind::Notar(hash)
        | CertificateKind::NotarFallback(hash) => Some(hash),
        CertificateKind::Skip | CertificateKind::Final => None,
    }
}
