//! What the host counts by itself, beside the events of the protocol.
//!
//! Plain atomics that any thread adds to and a metrics registry reads. Names are stable: alert
//! rules and dashboards are written against them.

use super::Refused;
use super::limits::Class;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Declares the counters with their stable names: a family, and the value of its one label.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident => $family:literal, $label:literal;)+) => {
        /// One thing that is counted.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Counter {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Counter {
            /// All of them.
            pub const ALL: &[Counter] = &[$(Counter::$name),+];

            /// Its stable name: a family, and what distinguishes it there.
            pub const fn name(self) -> (&'static str, &'static str) {
                match self {
                    $(Counter::$name => ($family, $label),)+
                }
            }
        }
    };
}

counters! {
    /// Datagrams that were read from the socket.
    Received => "datagrams_received", "";
    /// Dropped: shorter than a header or longer than the largest datagram.
    RefusedSize => "datagrams_dropped", "size";
    /// Dropped: another version or cluster.
    RefusedForeign => "datagrams_dropped", "foreign";
    /// Dropped: not a validator.
    RefusedSender => "datagrams_dropped", "sender";
    /// Dropped: wrong tag.
    RefusedTag => "datagrams_dropped", "tag";
    /// Dropped: seen before.
    RefusedReplay => "datagrams_dropped", "replay";
    /// Dropped: the peer says more of this class per second than it may.
    LimitedVote => "datagrams_dropped", "rate_vote";
    /// See [`Counter::LimitedVote`].
    LimitedCertificate => "datagrams_dropped", "rate_certificate";
    /// See [`Counter::LimitedVote`].
    LimitedShred => "datagrams_dropped", "rate_shred";
    /// See [`Counter::LimitedVote`].
    LimitedForward => "datagrams_dropped", "rate_forward";
    /// See [`Counter::LimitedVote`].
    LimitedRequest => "datagrams_dropped", "rate_request";
    /// See [`Counter::LimitedVote`].
    LimitedResponse => "datagrams_dropped", "rate_response";
    /// See [`Counter::LimitedVote`].
    LimitedOther => "datagrams_dropped", "rate_other";
    /// Dropped: the sender's queue is full.
    Overflow => "datagrams_dropped", "queue";
    /// Datagrams that were handed to the socket.
    Sent => "datagrams_sent", "";
    /// Dropped: the socket and the queue before it are full, or the network refused.
    Unsent => "datagrams_unsent", "";
    /// Votes that were checked as one aggregate with others.
    CheckedTogether => "signature_checks", "together";
    /// Messages that were checked alone, those after a failed aggregate included.
    CheckedAlone => "signature_checks", "alone";
    /// Messages whose signature or proof was wrong.
    CheckFailed => "signature_checks_failed", "";
    /// Commits of the database that succeeded.
    Commits => "store_commits", "done";
    /// Commits of the database that failed.
    CommitsFailed => "store_commits", "failed";
    /// Nanoseconds spent in commits.
    CommitNanos => "store_commit_nanoseconds", "";
    /// Now: datagrams in the inbox.
    InboxDepth => "queue_depth", "inbox";
    /// Now: messages that wait for a signature check.
    CheckDepth => "queue_depth", "checks";
    /// Now: datagrams that wait for the socket.
    OutboxDepth => "queue_depth", "outbox";
}

impl Counter {
    /// True if it goes up and down; the others only grow.
    pub const fn is_gauge(self) -> bool {
        matches!(self, Counter::InboxDepth | Counter::CheckDepth | Counter::OutboxDepth)
    }
}

impl From<Refused> for Counter {
    fn from(reason: Refused) -> Counter {
        match reason {
            Refused::Size => Counter::RefusedSize,
            Refused::Foreign => Counter::RefusedForeign,
            Refused::Sender => Counter::RefusedSender,
            Refused::Tag => Counter::RefusedTag,
            Refused::Replay => Counter::RefusedReplay,
        }
    }
}

impl From<Class> for Counter {
    fn from(class: Class) -> Counter {
        match class {
            Class::Vote => Counter::LimitedVote,
            Class::Certificate => Counter::LimitedCertificate,
            Class::Shred => Counter::LimitedShred,
            Class::Forward => Counter::LimitedForward,
            Class::Request => Counter::LimitedRequest,
            Class::Response => Counter::LimitedResponse,
            Class::Other => Counter::LimitedOther,
        }
    }
}

/// The counters of one node.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; Counter::ALL.len()]);

impl Counters {
    /// One more.
    pub fn count(&self, what: impl Into<Counter>) {
        self.add(what.into(), 1);
    }

    /// `n` more.
    pub fn add(&self, what: Counter, n: u64) {
        self.0[what as usize].fetch_add(n, Relaxed);
    }

    /// A depth as it is now.
    pub fn set(&self, what: Counter, depth: usize) {
        debug_assert!(what.is_gauge(), "only depths are set");
        self.0[what as usize].store(depth as u64, Relaxed);
    }

    /// A commit ended after this time.
    pub fn committed(&self, took: Duration, well: bool) {
        self.count(if well { Counter::Commits } else { Counter::CommitsFailed });
        self.add(Counter::CommitNanos, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The value now.
    pub fn get(&self, what: Counter) -> u64 {
        self.0[what as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_has_its_place_and_its_name() {
        let names: BTreeSet<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        assert_eq!(names.len(), Counter::ALL.len());
        let counters = Counters::default();
        for (place, counter) in (1..).zip(Counter::ALL) {
            counters.add(*counter, place);
        }
        for (place, counter) in (1..).zip(Counter::ALL) {
            assert_eq!(counters.get(*counter), place);
        }
    }
}
