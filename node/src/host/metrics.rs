//! What Prometheus reads. Names are stable: alerts and dashboards in `deploy/` depend on them, and
//! a test compares.
//!
//! Everything is counted from two streams, the protocol's events and the host's notices, plus the
//! view at the moment of a scrape. Each node has a registry of its own.

mod names;

use super::runtime::Notice;
use super::view::{News, Status};
use crate::protocol::event::{Event, Origin, Standing};
use names::{REJECTS, certificate_name, refused_name, reject_name, vote_name};
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

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
    transactions: IntCounterVec,
    commits: Histogram,
    commit_errors: IntCounter,
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
const QUEUES: [&str; 5] = ["inbox", "pool", "blocks", "transactions", "repair_requests"];
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
                QUEUES.iter().for_each(|name| queue.with_label_values(&[name]).set(0));
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
                &["size", "foreign", "sender", "tag", "replay", "overflow"],
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

    /// Counts what the host noticed.
    pub fn notice(&self, notice: Notice) {
        let refused = |reason| self.refused.with_label_values(&[reason]).inc();
        match notice {
            Notice::Refused(reason) => refused(refused_name(reason)),
            Notice::Overflow => refused("overflow"),
            Notice::Arrivals(count) => {
                self.queue.with_label_values(&["inbox"]).set(count as i64);
            }
            Notice::Committed(time, ok) => {
                self.commits.observe(time.as_secs_f64());
                self.commit_errors.inc_by((!ok).into());
            }
        }
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

    /// The text that Prometheus reads, with the state of this moment.
    pub fn text(&self, status: &Status) -> String {
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
