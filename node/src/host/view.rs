//! What a node knows of itself, for status, health and clients: folded from its own events.
//!
//! The protocol's state belongs to the driver's task and nobody else. But it says everything that
//! matters in one stream of events, so whoever wants to answer questions keeps a small state of
//! their own. It lags behind the protocol by nothing that a client could notice.

mod anew;

use super::book::{Book, CAPACITY};
use crate::protocol::Restored;
use crate::protocol::block::Transaction;
use crate::protocol::committee::Committee;
use crate::protocol::event::{Event, Standing};
use crate::protocol::params::{
    MAX_HELD_SLOTS, MAX_POOLED_TRANSACTIONS, TRANSACTION_LIFETIME_SLOTS,
};
use crate::protocol::pool::Mode;
use crate::protocol::types::{NodeId, Slot, Stake, Time};
use anew::Watch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A validator counts as present if a vote of its last so many slots was stored here.
const PRESENT_SLOTS: u64 = 16;
/// Undelivered slots of which it is known when they were seen or became final. A node whose disk
/// has failed follows and delivers nothing any more, so they would grow for ever.
const MAX_UNDELIVERED: usize = 4 * MAX_HELD_SLOTS as usize;
/// A node whose delivery is at most so many slots behind finality is caught up.
const CAUGHT_UP_SLOTS: u64 = 8;

/// The answer to `/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// The own index.
    pub node: u16,
    /// The cluster id.
    pub cluster: String,
    /// "voting" or "observing".
    pub mode: String,
    /// Ready: voting, caught up, and finality is not silent.
    pub ready: bool,
    /// Why it is not ready.
    pub not_ready: Option<String>,
    /// For a node that observes: started again above this height, it votes (10.4).
    pub votes_again_at: Option<u64>,
    /// Slot of the last block that went out in chain order, durable.
    pub height: u64,
    /// Highest slot known to be final.
    pub finalized: u64,
    /// Slots between the two.
    pub lag: u64,
    /// Highest slot that this node has heard of from the leader.
    pub seen: u64,
    /// Milliseconds since finality advanced last.
    pub since_finalized_ms: u64,
    /// Validators, this one included, of which recent votes were stored.
    pub peers: u64,
    /// All validators.
    pub validators: u64,
    /// The share of the stake of those present, in tenths of a percent, rounded down.
    pub present_stake_permille: u64,
    /// Transactions waiting for a block.
    pub waiting_transactions: u64,
    /// Milliseconds since this process started the node.
    pub uptime_ms: u64,
}

/// What an event means to those who count and print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// A block is final; told once for each slot.
    Final(Finality),
    /// A block went out, with how it became final, if that is known.
    Delivered(Option<Finality>),
}

/// How a block became final, and how long that took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finality {
    /// How.
    pub mode: Mode,
    /// When, on the clock of whoever feeds the view.
    pub at: Time,
    /// From the complete block here to its finality; `None` if finality came first.
    pub after_block: Option<Duration>,
    /// From the first shred here.
    pub after_shred: Option<Duration>,
}

/// The state.
#[derive(Debug)]
pub struct View {
    me: NodeId,
    committee: Arc<Committee>,
    standing: Standing,
    votes_again_at: Option<Slot>,
    watch: Watch,
    tip: Slot,
    highest: Slot,
    seen: Slot,
    head: Slot,
    started: Time,
    finalized_at: Time,
    voted: Vec<Slot>,
    waiting: u32,
    book: Book,
    /// First shred and complete block of slots that are not final.
    slots: BTreeMap<Slot, (Time, Option<Time>)>,
    /// Slots that are final and not delivered.
    finals: BTreeMap<Slot, Finality>,
}

/// Why a transaction is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTaken {
    /// Its last slot has passed or is too far ahead.
    #[error("valid_until must be above {tip} and at most {latest}")]
    Lifetime {
        /// The delivered tip.
        tip: u64,
        /// The last slot that may be named.
        latest: u64,
    },
    /// Too many wait already.
    #[error("too many transactions wait already")]
    Full,
}

impl View {
    /// A node that starts at `now` with what its store held.
    pub fn new(committee: Arc<Committee>, me: NodeId, restored: &Restored, now: Time) -> View {
        let tip = restored.tip.map_or(Slot::GENESIS, |tip| tip.slot);
        View {
            me,
            standing: if restored.intact { Standing::Voting } else { Standing::Observing },
            votes_again_at: None,
            watch: Watch::new(committee.params(), now, tip),
            tip,
            highest: tip,
            seen: tip,
            head: tip.window().last(),
            started: now,
            finalized_at: now,
            voted: vec![Slot::GENESIS; committee.len()],
            waiting: 0,
            book: Book::new(&restored.recent, CAPACITY),
            slots: BTreeMap::new(),
            finals: BTreeMap::new(),
            committee,
        }
    }

    /// Takes the next event.
    pub fn observe(&mut self, now: Time, event: &Event) -> Option<News> {
        self.trim();
        match event {
            Event::SlotSeen(slot) => {
                self.seen = self.seen.max(*slot);
                self.slots.entry(*slot).or_insert((now, None));
            }
            Event::BlockStored { block, .. } => {
                self.seen = self.seen.max(block.slot);
                self.slots.entry(block.slot).or_insert((now, None)).1 = Some(now);
            }
            Event::VoteStored(node, vote) => {
                let voted = &mut self.voted[node.index()];
                *voted = (*voted).max(vote.slot);
            }
            Event::ParentReady(slot, _) => self.head = self.head.max(slot.window().last()),
            Event::Reloaded { highest, .. } => {
                self.highest = self.highest.max(highest.slot);
                self.watch.reload(self.highest);
            }
            Event::Finalized(block, mode) => {
                if block.slot > self.highest {
                    let seen = self.slots.contains_key(&block.slot);
                    self.watch.advance(now, block.slot, seen && *mode != Mode::Indirect);
                    self.highest = block.slot;
                    self.head = self.head.max(block.slot.window().last());
                    self.finalized_at = now;
                }
                if block.slot <= self.tip || self.finals.contains_key(&block.slot) {
                    return None; // a direct finalization of what was final by a descendant
                }
                let times = self.slots.remove(&block.slot);
                let finality = Finality {
                    mode: *mode,
                    at: now,
                    after_block: times.and_then(|(_, stored)| Some(now.since(stored?))),
                    after_shred: times.map(|(first, _)| now.since(first)),
                };
                self.finals.insert(block.slot, finality);
                return Some(News::Final(finality));
            }
            Event::Delivered { block, transactions, .. } => {
                self.tip = block.slot;
                self.slots = self.slots.split_off(&block.slot.next());
                self.book.deliver(block.slot, transactions);
                let later = self.finals.split_off(&block.slot.next());
                let passed = std::mem::replace(&mut self.finals, later);
                return Some(News::Delivered(passed.get(&block.slot).copied()));
            }
            Event::Standing(standing) => self.standing = *standing,
            Event::Sizes { transactions, .. } => self.waiting = *transactions,
            _ => {}
        }
        None
    }

    /// Forgets the oldest of what was never delivered.
    fn trim(&mut self) {
        while self.slots.len() > MAX_UNDELIVERED {
            self.slots.pop_first();
        }
        while self.finals.len() > MAX_UNDELIVERED {
            self.finals.pop_first();
        }
    }

    /// Says whether a transaction can be taken, by the rule that the protocol will apply, and
    /// records it as pending.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn submit(&mut self, transaction: &Transaction) -> Result<(), NotTaken> {
        let latest = self.head.plus(TRANSACTION_LIFETIME_SLOTS);
        if transaction.valid_until <= self.tip || transaction.valid_until > latest {
            return Err(NotTaken::Lifetime { tip: self.tip.0, latest: latest.0 });
        }
        if self.waiting as usize >= MAX_POOLED_TRANSACTIONS {
            return Err(NotTaken::Full);
        }
        self.book.submit(transaction.id(), transaction.valid_until);
        Ok(())
    }

    /// The last slot that a transaction submitted now may name and that all leaders accept, even
    /// if they are a window behind this node.
    pub fn latest_valid_until(&self) -> Slot {
        Slot(self.tip.0 + TRANSACTION_LIFETIME_SLOTS)
    }

    /// From where on an identity that lost its vote log may vote again (10.4), if that can be told.
    pub fn safe_to_vote_from(&self) -> Option<Slot> {
        self.watch.safe_from()
    }

    /// This node has been behind: below this slot, what it noted before is too early.
    pub fn too_early_below(&self) -> Option<Slot> {
        self.watch.not_before()
    }

    /// The store has taken note of it.
    pub fn set_votes_again_at(&mut self, slot: Option<Slot>) {
        self.votes_again_at = slot;
    }

    /// What was noted in the store, as far as this start knows.
    pub fn votes_again_at(&self) -> Option<Slot> {
        self.votes_again_at
    }

    /// What became of transactions.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The delivered tip.
    pub fn tip(&self) -> Slot {
        self.tip
    }

    /// The highest final slot.
    pub fn highest(&self) -> Slot {
        self.highest
    }

    /// The stake whose recent votes were stored here, and its validators.
    fn present(&self) -> (Stake, u64) {
        let oldest = Slot(self.highest.0.saturating_sub(PRESENT_SLOTS));
        let me = self.me;
        let present = self.committee.nodes().filter(|&node| {
            let voted = self.voted[node.index()];
            node == me || (voted > Slot::GENESIS && voted >= oldest)
        });
        present.fold((0, 0), |(stake, count), node| {
            (stake + self.committee.stakes().of(node), count + 1)
        })
    }

    /// Why the node is not ready; `None` if it is.
    pub fn not_ready(&self, now: Time) -> Option<String> {
        let silence = now.since(self.finalized_at);
        let limit = self.committee.params().standstill();
        let lag = self.highest.0.saturating_sub(self.tip.0);
        if self.standing == Standing::Observing {
            Some("observing: this node follows and does not vote".to_owned())
        } else if self.highest == Slot::GENESIS {
            Some("nothing is final yet".to_owned())
        } else if lag > CAUGHT_UP_SLOTS {
            Some(format!("catching up: {lag} slots behind"))
        } else if silence > limit {
            Some(format!("nothing became final for {} s", silence.as_secs()))
        } else {
            None
        }
    }

    /// The answer to `/status`.
    pub fn status(&self, now: Time) -> Status {
        let not_ready = self.not_ready(now);
        let (stake, peers) = self.present();
        let permille = u128::from(stake) * 1_000 / u128::from(self.committee.stakes().total());
        let millis = |since: Time| now.since(since).as_millis() as u64;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.me.0,
            cluster: hex::encode(self.committee.cluster().0),
            mode: match self.standing {
                Standing::Voting => "voting".to_owned(),
                Standing::Observing => "observing".to_owned(),
            },
            ready: not_ready.is_none(),
            not_ready,
            votes_again_at: self.votes_again_at.map(|slot| slot.0),
            height: self.tip.0,
            finalized: self.highest.0,
            lag: self.highest.0.saturating_sub(self.tip.0),
            seen: self.seen.0,
            since_finalized_ms: millis(self.finalized_at),
            peers,
            validators: self.committee.len() as u64,
            present_stake_permille: permille as u64,
            waiting_transactions: self.waiting.into(),
            uptime_ms: millis(self.started),
        }
    }
}

#[cfg(test)]
mod tests;
