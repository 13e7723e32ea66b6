//! What Prometheus reads. Names are stable: alerts and dashboards in `deploy/` depend on them, and
//! a test compares.
//!
//! Everything comes from three places: the protocol's events are counted as they come; the host's
//! own counters and the view are read at the moment of a scrape. Each node has a registry of its
//! own.

mod names;

use super::net::counters::{Counter, Counters};
use super::view::{News, Status};
use crate::protocol::event::{Event, Origin, Standing};
use names::{REJECTS, certificate_name, reject_name, vote_name};
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use names::mode_name;

/// Upper ends of the buckets of times within a slot, in seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper ends of the buckets of one commit, in seconds.
const COMMIT_BUCKETS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// The metrics of one node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    counters: Arc<Counters>,
    /// One scrape at a time: what the host counted is carried over by differences.
    scrape: Mutex<()>,
    height: IntGauge,
    finalized: IntGauge,
    seen: IntGauge,
    voting: IntGauge,
    ready: IntGauge,
    since_finalized: Gauge,
    present_stake: Gauge,
    queue: IntGaugeVec,
    slots: IntCounterVec,
    finalization: Histogram,
    slot_time: Histogram,
    votes_cast: IntCounterVec,
    votes_stored: IntCounterVec,
    certificates: IntCounterVec,
    blocks: IntCounterVec,
    repairs: IntCounterVec,
    timeouts: IntCounter,
    standstills: IntCounter,
    catch_ups: IntCounter,
    offences: IntCounter,
    equivocations: IntCounter,
    contradictions: IntCounter,
    rejected: IntCounterVec,
    refused: IntCounterVec,
    received: IntCounter,
    sent: IntCounter,
    unsent: IntCounter,
    checks: IntCounterVec,
    checks_failed: IntCounter,
    transactions: IntCounterVec,
    commits: Histogram,
    commit_errors: IntCounter,
}

/// The labels that the host counts under in one of its families.
fn labels(family: &str) -> Vec<&'static str> {
    let names = Counter::ALL.iter().map(|counter| counter.name());
    names.filter(|(name, _)| *name == family).map(|(_, label)| label).collect()
}

/// Makes metrics and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn keep<T: prometheus::core::Collector + Clone + 'static>(&self, metric: T) -> T {
        self.0.register(Box::new(metric.clone())).expect("names differ");
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::new(name, help).expect("a legal name"))
    }

    /// All label values start at 0, so that a rate is right from the first one counted.
    fn counters(&self, name: &str, help: &str, label: &str, values: &[&str]) -> IntCounterVec {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label]).expect("a legal name");
        values.iter().for_each(|value| drop(counters.with_label_values(&[value])));
        self.keep(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::new(name, help).expect("a legal name"))
    }

    fn fraction(&self, name: &str, help: &str) -> Gauge {
        self.keep(Gauge::new(name, help).expect("a legal name"))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.keep(Histogram::with_opts(opts).expect("a legal name"))
    }
}

const VOTES: [&str; 5] = ["notar", "skip", "notar_fallback", "skip_fallback", "final"];
const OUTCOMES: [&str; 4] = ["fast", "slow", "indirect", "skipped"];
const QUEUES: [&str; 4] = ["pool", "blocks", "transactions", "repair_requests"];
const SUBMITTED: [&str; 6] = ["accepted", "limited", "lifetime", "full", "executed", "expired"];

impl Default for Metrics {
    fn default() -> Metrics {
        let registry = Registry::new();
        let make = Maker(&registry);
        let info = Opts::new("alpenglow_build_info", "Version of the program; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        make.keep(IntGauge::with_opts(info).expect("a legal name")).set(1);
        Metrics {
            height: make.gauge("alpenglow_height_slot", "Slot of the last block delivered."),
            finalized: make.gauge("alpenglow_finalized_slot", "Highest slot known to be final."),
            seen: make.gauge("alpenglow_seen_slot", "Highest slot of which data was received."),
            voting: make.gauge("alpenglow_voting", "1 if this node votes, 0 if it observes."),
            ready: make.gauge("alpenglow_ready", "1 if /health says ready."),
            since_finalized: make.fraction(
                "alpenglow_since_finalized_seconds",
                "Time since the highest final slot advanced.",
            ),
            present_stake: make.fraction(
                "alpenglow_present_stake_ratio",
                "Share of the stake of which recent votes were stored here.",
            ),
            queue: {
                let opts = Opts::new("alpenglow_queue_depth", "Entries waiting or held, by queue.");
                let queue = make.keep(IntGaugeVec::new(opts, &["queue"]).expect("a legal name"));
                let all = QUEUES.into_iter().chain(labels("queue_depth"));
                all.for_each(|name| queue.with_label_values(&[name]).set(0));
                queue
            },
            slots: make.counters(
                "alpenglow_slots_total",
                "Slots decided, by outcome: a block final fast, slow or as an ancestor, or skipped.",
                "outcome",
                &OUTCOMES,
            ),
            finalization: make.histogram(
                "alpenglow_finalization_seconds",
                "From the complete block at this node to its finality at this node.",
                &LATENCY_BUCKETS,
            ),
            slot_time: make.histogram(
                "alpenglow_slot_seconds",
                "From the first shred of a block at this node to its finality at this node.",
                &LATENCY_BUCKETS,
            ),
            votes_cast: make.counters(
                "alpenglow_votes_cast_total",
                "Own votes made durable, by kind.",
                "kind",
                &VOTES,
            ),
            votes_stored: make.counters(
                "alpenglow_votes_stored_total",
                "Votes of all validators that were new and valid, by kind.",
                "kind",
                &VOTES,
            ),
            certificates: make.certificates(),
            blocks: make.counters(
                "alpenglow_blocks_stored_total",
                "Complete valid blocks, by where they came from.",
                "origin",
                &["rotor", "repair", "store"],
            ),
            repairs: make.counters(
                "alpenglow_repairs_total",
                "Blocks fetched from peers: started, stored, or dropped because not needed any more.",
                "event",
                &["started", "stored", "dropped"],
            ),
            timeouts: make.counter("alpenglow_timeouts_total", "Slots whose timeout fired."),
            standstills: make.counter(
                "alpenglow_standstills_total",
                "Times that finality was silent so long that everything undecided was sent again.",
            ),
            catch_ups: make.counter(
                "alpenglow_catch_ups_total",
                "Times that this node asked for proofs because it was behind.",
            ),
            offences: make.counter(
                "alpenglow_offences_total",
                "Votes by which a validator provably misbehaved.",
            ),
            equivocations: make.counter(
                "alpenglow_equivocations_total",
                "Slots whose leader signed things that contradict each other.",
            ),
            contradictions: make.counter(
                "alpenglow_contradictions_total",
                "Certificates that contradict each other: a fifth of the stake is byzantine.",
            ),
            rejected: make.counters(
                "alpenglow_rejected_messages_total",
                "Messages of peers that were authentic and not used, by reason.",
                "reason",
                &REJECTS.map(reject_name),
            ),
            refused: make.counters(
                "alpenglow_refused_datagrams_total",
                "Datagrams dropped before anybody could be blamed for them, by reason.",
                "reason",
                &labels("datagrams_dropped"),
            ),
            received: make.counter(
                "alpenglow_datagrams_received_total",
                "Datagrams that were read from the socket.",
            ),
            sent: make.counter(
                "alpenglow_datagrams_sent_total",
                "Datagrams that were handed to the socket.",
            ),
            unsent: make.counter(
                "alpenglow_datagrams_unsent_total",
                "Datagrams dropped because the socket and the queue before it were full.",
            ),
            checks: make.counters(
                "alpenglow_signature_checks_total",
                "Messages whose signature was checked, as one aggregate with others or alone.",
                "how",
                &labels("signature_checks"),
            ),
            checks_failed: make.counter(
                "alpenglow_signature_checks_failed_total",
                "Messages whose signature or proof was wrong.",
            ),
            transactions: make.counters(
                "alpenglow_transactions_total",
                "Transactions submitted here, by answer; executed in delivered blocks; expired here.",
                "event",
                &SUBMITTED,
            ),
            commits: make.histogram(
                "alpenglow_storage_commit_seconds",
                "Time of one durable commit of the database.",
                &COMMIT_BUCKETS,
            ),
            commit_errors: make.counter(
                "alpenglow_storage_errors_total",
                "Commits that failed. After one, this process never votes again.",
            ),
            registry,
            counters: Arc::default(),
            scrape: Mutex::new(()),
        }
    }
}

impl Maker<'_> {
    fn certificates(&self) -> IntCounterVec {
        let opts = Opts::new(
            "alpenglow_certificates_total",
            "New certificates, by kind, and whether they were built here or received.",
        );
        let labels = ["kind", "origin"];
        let counters = IntCounterVec::new(opts, &labels).expect("a legal name");
        for kind in ["fast_final", "notar", "notar_fallback", "skip", "final"] {
            for origin in ["built", "received"] {
                counters.with_label_values(&[kind, origin]);
            }
        }
        self.keep(counters)
    }
}

/// What became of a submission, for [`Metrics::submitted`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Submission {
    /// Taken.
    Accepted,
    /// Over the rate limit.
    Limited,
    /// Its lifetime does not fit.
    Lifetime,
    /// Too many wait.
    Full,
}

impl Metrics {
    /// Counts an event, and the news that the view made of it.
    pub fn observe(&self, event: &Event, news: Option<News>) {
        let count = |counters: &IntCounterVec, label| counters.with_label_values(&[label]).inc();
        match event {
            Event::VoteCast(vote) => count(&self.votes_cast, vote_name(vote.kind)),
            Event::VoteStored(_, vote) => count(&self.votes_stored, vote_name(vote.kind)),
            Event::CertificateAdded { certificate, built } => {
                let origin = if *built { "built" } else { "received" };
                let kind = certificate_name(certificate.id.kind);
                self.certificates.with_label_values(&[kind, origin]).inc();
            }
            Event::Timeout(_) => self.timeouts.inc(),
            Event::BlockStored { origin, .. } => count(
                &self.blocks,
                match origin {
                    Origin::Rotor => "rotor",
                    Origin::Repair => "repair",
                    Origin::Store => "store",
                },
            ),
            Event::Equivocation(_) => self.equivocations.inc(),
            Event::SkippedByFinality(_) => count(&self.slots, "skipped"),
            Event::Standstill { .. } => self.standstills.inc(),
            Event::RepairStarted(_) => count(&self.repairs, "started"),
            Event::RepairEnded(_, stored) => {
                count(&self.repairs, if *stored { "stored" } else { "dropped" });
            }
            Event::CatchUp(_) => self.catch_ups.inc(),
            Event::Rejected(_, reason) => count(&self.rejected, reject_name(*reason)),
            Event::Offence(..) => self.offences.inc(),
            Event::Contradiction(_) => self.contradictions.inc(),
            Event::Standing(standing) => self.voting.set((*standing == Standing::Voting).into()),
            Event::TransactionExpired(_) => count(&self.transactions, "expired"),
            Event::Delivered { transactions, .. } => {
                let executed = self.transactions.with_label_values(&["executed"]);
                executed.inc_by(transactions.len() as u64);
            }
            Event::Sizes { pool, blocks, transactions, requests } => {
                let sizes = [
                    ("pool", pool),
                    ("blocks", blocks),
                    ("transactions", transactions),
                    ("repair_requests", requests),
                ];
                for (name, size) in sizes {
                    self.queue.with_label_values(&[name]).set((*size).into());
                }
            }
            _ => {}
        }
        if let Some(News::Final(finality)) = news {
            count(&self.slots, mode_name(finality.mode));
            if let Some(time) = finality.after_block {
                self.finalization.observe(time.as_secs_f64());
            }
            if let Some(time) = finality.after_shred {
                self.slot_time.observe(time.as_secs_f64());
            }
        }
    }

    /// A commit took so long.
    pub fn committed(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// Counts the answer to a client.
    pub fn submitted(&self, submission: Submission) {
        let label = match submission {
            Submission::Accepted => "accepted",
            Submission::Limited => "limited",
            Submission::Lifetime => "lifetime",
            Submission::Full => "full",
        };
        self.transactions.with_label_values(&[label]).inc();
    }

    /// What the host counts into.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Carries over what the host has counted since the last scrape.
    fn read_counters(&self) {
        let raise = |counter: &IntCounter, value: u64| {
            counter.inc_by(value.saturating_sub(counter.get()));
        };
        for &counter in Counter::ALL {
            let value = self.counters.get(counter);
            match counter.name() {
                ("datagrams_received", _) => raise(&self.received, value),
                ("datagrams_dropped", reason) => {
                    raise(&self.refused.with_label_values(&[reason]), value);
                }
                ("datagrams_sent", _) => raise(&self.sent, value),
                ("datagrams_unsent", _) => raise(&self.unsent, value),
                ("signature_checks", how) => raise(&self.checks.with_label_values(&[how]), value),
                ("signature_checks_failed", _) => raise(&self.checks_failed, value),
                ("store_commits", "failed") => raise(&self.commit_errors, value),
                ("queue_depth", queue) => {
                    self.queue.with_label_values(&[queue]).set(value as i64);
                }
                // The number and time of commits are in the histogram.
                _ => {}
            }
        }
    }

    /// The text that Prometheus reads, with the state of this moment.
    pub fn text(&self, status: &Status) -> String {
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_counters();
        let gauge = |slot: u64| i64::try_from(slot).unwrap_or(i64::MAX);
        self.height.set(gauge(status.height));
        self.finalized.set(gauge(status.finalized));
        self.seen.set(gauge(status.seen));
        self.ready.set(status.ready.into());
        self.since_finalized.set(status.since_finalized_ms as f64 / 1e3);
        self.present_stake.set(status.present_stake_permille as f64 / 1e3);
        let families = self.registry.gather();
        TextEncoder::new().encode_to_string(&families).expect("our metrics can be encoded")
    }

    /// Every name that is exported, without the suffixes of histograms.
    pub fn names(&self) -> Vec<String> {
        self.registry.gather().iter().map(|family| family.name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::net::Refused;
    use crate::host::view::View;
    use crate::protocol::Restored;
    use crate::protocol::committee::tests::committee;
    use crate::protocol::types::{NodeId, Time};

    /// What the host counts is carried over, however often somebody looks.
    #[test]
    fn counters_of_the_host_are_not_counted_twice() {
        let metrics = Metrics::default();
        let me = NodeId(0);
        let view = View::new(Arc::new(committee(&[1])), me, &Restored::default(), Time(0));
        let look = || metrics.text(&view.status(Time(0)));
        for seen in 1..4 {
            metrics.counters().count(Refused::Tag);
            metrics.counters().set(Counter::CheckDepth, seen);
            metrics.committed(Duration::from_millis(seen as u64));
            look();
            let text = look();
            for line in [
                format!("alpenglow_refused_datagrams_total{{reason=\"tag\"}} {seen}"),
                format!("alpenglow_queue_depth{{queue=\"checks\"}} {seen}"),
                format!("alpenglow_storage_commit_seconds_count {seen}"),
            ] {
                assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
            }
        }
    }

    /// A family of the host that nobody carries over would be counted for nothing.
    #[test]
    fn every_family_of_the_host_is_known_here() {
        let known = [
            "datagrams_received",
            "datagrams_dropped",
            "datagrams_sent",
            "datagrams_unsent",
            "signature_checks",
            "signature_checks_failed",
            "store_commits",
            "store_commit_nanoseconds",
            "queue_depth",
        ];
        assert!(Counter::ALL.iter().all(|counter| known.contains(&counter.name().0)));
    }
}
