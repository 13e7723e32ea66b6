//! Measures a cluster of six nodes on loopback, in one process.
//!
//! ```text
//! cargo run --release -p alpenglow-node --example loopback -- latency [SECONDS]
//! cargo run --release -p alpenglow-node --example loopback -- flood [SECONDS]
//! ```
//!
//! `latency` (30 s) prints the time from the leader's last slice to finality on all six, and the
//! processor time of all six per slot. `flood` (10 s each) runs the cluster undisturbed, under
//! 100,000 malformed datagrams per second at one node, with one validator silent, and with that
//! validator sending 5,000 forged votes per second to each other one; it fails unless every node
//! that is not the target finalizes at least 80 % of the slots of the run without flood and its
//! p95 from the first shred of a slot to its complete block grows by at most 50 ms.
//!
//! Databases go to the temporary directory (`TMPDIR`), so its disk is part of the figures.
#![expect(clippy::disallowed_methods, reason = "measures real time")]

mod cluster;
mod flood;

use alpenglow_node::host::net::counters::Counter;
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::types::{NodeId, Slot};
use cluster::{Cluster, collecting, finalized, percentile, slots};
use flood::Flood;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const NODES: u16 = 6;
const LIAR: NodeId = NodeId(NODES - 1);
/// A cluster is measured once it runs evenly.
const WARM_UP: Duration = Duration::from_secs(2);

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the own usage");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

async fn latency(time: Duration) -> ExitCode {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::start(dir.path(), NODES, Params::default(), &[]).await;
    tokio::time::sleep(WARM_UP).await;
    let (from, before) = (Instant::now(), cpu());
    tokio::time::sleep(time).await;
    let (to, used) = (Instant::now(), cpu() - before);
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

/// What one run showed at one node.
struct Shown {
    finalized: usize,
    p95: Duration,
}

/// One run: who is away, and what floods whom.
async fn run(
    title: &str,
    time: Duration,
    absent: &[u16],
    flood: impl FnOnce(&Cluster) -> Option<Flood>,
) -> Vec<Shown> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::start(dir.path(), NODES, Params::default(), absent).await;
    tokio::time::sleep(WARM_UP).await;
    let from = Instant::now();
    let flood = flood(&cluster);
    tokio::time::sleep(time).await;
    let to = Instant::now();
    let rate = flood.as_ref().map_or(0, Flood::sent) as f64 / time.as_secs_f64();
    if let Some(flood) = flood {
        flood.stop();
    }
    let counters = cluster.counters.clone();
    let logs = cluster.stop().await;
    let shown = |log| {
        let collecting = collecting(log, from, to);
        Shown { finalized: finalized(log, from, to), p95: percentile(&collecting, 95) }
    };
    let shown: Vec<_> = logs.iter().map(shown).collect();
    println!("{title}: {rate:.0} per second");
    for (node, (shown, counters)) in shown.iter().zip(&counters).enumerate() {
        let dropped: Vec<String> = Counter::ALL
            .iter()
            .filter(|counter| {
                matches!(counter.name().0, "datagrams_dropped" | "signature_checks_failed")
            })
            .filter(|counter| counters.get(**counter) > 0)
            .map(|counter| format!("{} {}", counter.name().1, counters.get(*counter)))
            .collect();
        let (slots, p95) = (shown.finalized, ms(shown.p95));
        println!("  node {node}: {slots} finalized, p95 {p95}; {}", dropped.join(", "));
    }
    shown
}

/// True if every node but the flooded or flooding one did as well as it has to.
fn compare(what: &str, except: usize, calm: &[Shown], flooded: &[Shown]) -> bool {
    let mut well = true;
    for (node, (calm, flooded)) in calm.iter().zip(flooded).enumerate() {
        if node == except {
            continue;
        }
        let percent = flooded.finalized * 100 / calm.finalized.max(1);
        let growth = flooded.p95.saturating_sub(calm.p95);
        let good = percent >= 80 && growth <= Duration::from_millis(50) && calm.finalized > 0;
        let verdict = if good { "ok" } else { "FAIL" };
        println!("{what}, node {node}: {percent} % of the slots, p95 +{}: {verdict}", ms(growth));
        well &= good;
    }
    well
}

async fn floods(time: Duration) -> ExitCode {
    let calm = run("calm", time, &[], |_| None).await;
    let malformed = run("malformed at node 0", time, &[], |cluster| {
        Some(flood::malformed(&cluster.committee, cluster.peers[0], 100_000))
    });
    let malformed = malformed.await;
    let silent = run("node 5 silent", time, &[LIAR.0], |_| None).await;
    let forged = run("forged votes of node 5", time, &[LIAR.0], |cluster| {
        let victims = cluster.committee.nodes().filter(|node| *node != LIAR);
        let victims = victims.map(|node| (node, cluster.peers[node.index()])).collect();
        let log = cluster.logs[0].clone();
        let head = move || log.lock().expect("nobody panics").keys().max().copied();
        let head = move || head().unwrap_or(Slot(1));
        Some(flood::forged(&cluster.committee, LIAR, victims, 5_000, head))
    });
    let forged = forged.await;
    let well = compare("malformed", 0, &calm, &malformed)
        & compare("forged", LIAR.index(), &silent, &forged);
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = |default| match arguments.get(1).map(|text| text.parse()) {
        None => Some(Duration::from_secs(default)),
        Some(Ok(seconds @ 1..=3_600)) => Some(Duration::from_secs(seconds)),
        Some(_) => None,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match (arguments.first().map(String::as_str), seconds(30), seconds(10)) {
        (Some("latency"), Some(time), _) => runtime.block_on(latency(time)),
        (Some("flood"), _, Some(time)) => runtime.block_on(floods(time)),
        _ => {
            eprintln!("usage: loopback latency [SECONDS] | loopback flood [SECONDS]");
            ExitCode::from(2)
        }
    }
}
