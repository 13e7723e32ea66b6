//! Measures a cluster of six nodes on loopback, in one process.
//!
//! ```text
//! cargo run --release -p alpenglow-node --example loopback -- latency [SECONDS]
//! cargo run --release -p alpenglow-node --example loopback -- flood [SECONDS] [ROUNDS]
//! ```
//!
//! `latency` (30 s) prints the time from the leader's last slice to finality on all six, where that
//! time goes, and the processor time of all six per slot. `flood` (10 s each, 3 rounds) runs the
//! cluster undisturbed, under 100,000 malformed datagrams per second at one node, with one
//! validator silent, and with that validator sending 5,000 forged votes per second to each other
//! one; in each round again, so that whatever else this machine does meets all four alike. It fails
//! unless every node that is not the target finalizes at least 80 % of the slots of the runs without
//! flood and its p95 from the first shred of a slot to the shred that completes its block (the time
//! in which the leader makes the block is in it) grows by at most 50 ms.
//! The flooding takes processor time from the same machine; how much is printed.
//!
//! Databases go to the temporary directory (`TMPDIR`), so its disk is part of the figures.
#![expect(clippy::disallowed_methods, reason = "measures real time")]

mod cluster;
mod flood;

use alpenglow_node::host::net::counters::Counter;
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::types::{NodeId, Slot};
use cluster::{Cluster, Log, collecting, finalized, percentile, slots};
use flood::{Flood, cpu};
use nix::sys::resource::UsageWho;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const NODES: u16 = 6;
const LIAR: NodeId = NodeId(NODES - 1);
/// A cluster is measured once it runs evenly.
const WARM_UP: Duration = Duration::from_secs(2);

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

async fn latency(time: Duration) -> ExitCode {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::start(dir.path(), NODES, Params::default(), &[]).await;
    tokio::time::sleep(WARM_UP).await;
    let (from, before) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF));
    tokio::time::sleep(time).await;
    let (to, used) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF) - before);
    let sum = |counter| -> u64 { cluster.counters.iter().map(|c| c.get(counter)).sum() };
    let (together, alone) = (sum(Counter::CheckedTogether), sum(Counter::CheckedAlone));
    let (commits, nanos) = (sum(Counter::Commits), sum(Counter::CommitNanos));
    let logs = cluster.stop().await;
    let found = slots(&logs, from, to);
    let at = |step: usize, node: usize| {
        let mut times: Vec<_> = found.iter().map(|steps| steps[step][node]).collect();
        times.sort();
        times
    };
    let last = usize::from(NODES) - 1;
    let all = at(3, last);
    let count = u32::try_from(all.len()).expect("few");
    println!("{count} slots final on all {NODES} nodes in {} s", time.as_secs());
    println!("cpu        {} per slot, all nodes", ms(used / count.max(1)));
    let p = |percent| ms(percentile(&all, percent));
    println!("finality   p50 {}, p95 {}, p99 {} after the block's end", p(50), p(95), p(99));
    for (step, name) in ["first shred", "block", "vote durable", "final"].iter().enumerate() {
        let p50 = |node| ms(percentile(&at(step, node), 50));
        let (first, fifth, last) = (p50(0), p50(last - 1), p50(last));
        println!("           {name}: p50 at the first node {first}, fifth {fifth}, last {last}");
    }
    println!("checks     {together} together, {alone} alone");
    println!("commits    {commits}, {} each", ms(Duration::from_nanos(nanos / commits.max(1))));
    ExitCode::SUCCESS
}

/// What all runs of one kind showed at one node.
#[derive(Clone, Default)]
struct Shown {
    finalized: usize,
    /// From the first shred to the complete block, ascending.
    collecting: Vec<Duration>,
}

impl Shown {
    fn p95(&self) -> Duration {
        percentile(&self.collecting, 95)
    }

    fn add(&mut self, log: &Log, from: Instant, to: Instant) -> String {
        let one =
            Shown { finalized: finalized(log, from, to), collecting: collecting(log, from, to) };
        self.finalized += one.finalized;
        self.collecting.extend(&one.collecting);
        self.collecting.sort();
        format!("{} finalized, p95 {}", one.finalized, ms(one.p95()))
    }
}

/// One run: who is away, and what floods whom.
async fn run(
    title: &str,
    time: Duration,
    absent: &[u16],
    all: &mut [Shown],
    flood: impl FnOnce(&Cluster) -> Option<Flood>,
) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::start(dir.path(), NODES, Params::default(), absent).await;
    tokio::time::sleep(WARM_UP).await;
    let (from, before) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF));
    let flood = flood(&cluster);
    tokio::time::sleep(time).await;
    let (to, used) = (Instant::now(), cpu(UsageWho::RUSAGE_SELF) - before);
    let rate = flood.as_ref().map_or(0, Flood::sent) as f64 / time.as_secs_f64();
    let flooding = flood.map_or(Duration::ZERO, Flood::stop);
    let counters = cluster.counters.clone();
    let logs = cluster.stop().await;
    let share = |time: Duration, of: Duration| time.as_secs_f64() * 100.0 / of.as_secs_f64();
    println!(
        "{title}: {rate:.0} per second; nodes {:.0} % of a processor, flooding {:.0} %",
        share(used.saturating_sub(flooding), time),
        share(flooding, time),
    );
    for (node, log) in logs.iter().enumerate() {
        let counters = &counters[node];
        let dropped: Vec<String> = Counter::ALL
            .iter()
            .filter(|counter| {
                matches!(counter.name().0, "datagrams_dropped" | "signature_checks_failed")
            })
            .filter(|counter| counters.get(**counter) > 0)
            .map(|counter| {
                let (family, label) = counter.name();
                let name = if label.is_empty() { family } else { label };
                format!("{name} {}", counters.get(*counter))
            })
            .collect();
        let shown = all[node].add(log, from, to);
        println!("  node {node}: {shown}; {}", dropped.join(", "));
    }
}

/// True if every node but the flooded or flooding one did as well as it has to.
fn compare(what: &str, except: usize, calm: &[Shown], flooded: &[Shown]) -> bool {
    let mut well = true;
    println!(
        "{what}: slots finalized (at least 80 %), p95 from first shred to block (at most +50 ms)"
    );
    for (node, (calm, flooded)) in calm.iter().zip(flooded).enumerate() {
        if node == except {
            continue;
        }
        let percent = flooded.finalized * 100 / calm.finalized.max(1);
        let growth = flooded.p95().saturating_sub(calm.p95());
        let good = percent >= 80 && growth <= Duration::from_millis(50) && calm.finalized > 0;
        let verdict = if good { "ok" } else { "FAIL" };
        println!(
            "  node {node}: {} of {} slots, {percent} %; {} -> {}, +{}: {verdict}",
            flooded.finalized,
            calm.finalized,
            ms(calm.p95()),
            ms(flooded.p95()),
            ms(growth)
        );
        well &= good;
    }
    well
}

async fn floods(time: Duration, rounds: u64) -> ExitCode {
    let none = vec![Shown::default(); usize::from(NODES)];
    let [mut calm, mut malformed, mut silent, mut forged] = std::array::from_fn(|_| none.clone());
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        run("calm", time, &[], &mut calm, |_| None).await;
        run("malformed at node 0", time, &[], &mut malformed, |cluster| {
            Some(flood::malformed(&cluster.committee, cluster.peers[0], 100_000))
        })
        .await;
        run("node 5 silent", time, &[LIAR.0], &mut silent, |_| None).await;
        run("forged votes of node 5", time, &[LIAR.0], &mut forged, |cluster| {
            let victims = cluster.committee.nodes().filter(|node| *node != LIAR);
            let victims = victims.map(|node| (node, cluster.peers[node.index()])).collect();
            let log = cluster.logs[0].clone();
            let head = move || log.lock().expect("nobody panics").keys().max().copied();
            let head = move || head().unwrap_or(Slot(1));
            let liar = (LIAR, cluster.peers[LIAR.index()]);
            Some(flood::forged(&cluster.committee, liar, victims, 5_000, head))
        })
        .await;
    }
    let well = compare("malformed", 0, &calm, &malformed)
        & compare("forged", LIAR.index(), &silent, &forged);
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| match arguments.get(at).map(|text| text.parse()) {
        None => Some(default),
        Some(Ok(number @ 1..=3_600)) => Some(number),
        Some(_) => None,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seconds = Duration::from_secs;
    match (arguments.first().map(String::as_str), number(1, 30), number(1, 10), number(2, 3)) {
        (Some("latency"), Some(time), ..) => runtime.block_on(latency(seconds(time))),
        (Some("flood"), _, Some(time), Some(rounds)) => {
            runtime.block_on(floods(seconds(time), rounds))
        }
        _ => {
            eprintln!("usage: loopback latency [SECONDS] | loopback flood [SECONDS] [ROUNDS]");
            ExitCode::from(2)
        }
    }
}
