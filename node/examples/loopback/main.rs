//! Measures a cluster on loopback. `latency` prints finalization latency and CPU time per slot.
#![expect(clippy::disallowed_methods, reason = "measures real time")]

mod cluster;

use alpenglow_node::protocol::params::Params;
use cluster::{Cluster, latencies, percentile};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::time::Duration;

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the own usage");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

async fn latency(nodes: u16, seconds: u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::start(dir.path(), nodes, Params::default(), &[]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, user) = (cpu(), latencies(&cluster.logs, &(0..nodes.into()).collect::<Vec<_>>()).len());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = cpu() - before;
    for counter in alpenglow_node::host::net::counters::Counter::ALL {
        let all: Vec<_> = cluster.counters.iter().map(|c| c.get(*counter)).collect();
        println!("{:?} {all:?}", counter.name());
    }
    let logs = cluster.stop().await;
    let mut all = latencies(&logs, &(0..nodes.into()).collect::<Vec<_>>());
    let slots = all.len() - user;
    all.sort();
    println!("{slots} slots, cpu {:?} per slot", used / slots.max(1) as u32);
    for p in [50, 95, 99] {
        println!("p{p} {:?}", percentile(&all, p));
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(30);
    runtime.block_on(latency(6, seconds));
}
