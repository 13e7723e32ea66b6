//! Both floods of `examples/loopback`, short: what a node does to hostile datagrams on real
//! sockets. How fast it stays meanwhile is for the example to say; a test must not depend on how
//! busy the machine is.
#![cfg(not(feature = "sim"))]
#![expect(clippy::disallowed_methods, reason = "real time passes on real sockets")]

#[allow(dead_code, reason = "the example measures more than this test")]
#[path = "../examples/loopback/cluster.rs"]
mod cluster;
#[allow(dead_code, reason = "the example measures more than this test")]
#[path = "../examples/loopback/flood.rs"]
mod flood;

use alpenglow_node::host::net::counters::Counter;
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::types::{NodeId, Slot};
use cluster::{Cluster, finalized};
use std::time::{Duration, Instant};

const LIAR: u16 = 4;

/// Waits until every running node finalized `more` slots since `from`. The test fails by hanging
/// if the cluster stalls; the harness around it has a limit.
async fn progress(cluster: &Cluster, from: Instant, more: usize) {
    let behind = |node: usize| finalized(&cluster.logs[node], from, Instant::now()) < more;
    while (0..usize::from(LIAR)).any(behind) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_dropped_and_counted_and_finality_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let params = Params { delta_block_ns: 100_000_000, ..Params::default() };
    let cluster = Cluster::start(dir.path(), LIAR + 1, params, &[LIAR]).await;
    progress(&cluster, Instant::now(), 2).await;

    let begun = Instant::now();
    let noise = flood::malformed(&cluster.committee, cluster.peers[0], 20_000);
    tokio::time::sleep(Duration::from_secs(1)).await;
    progress(&cluster, begun, 3).await;
    let _ = noise.stop();
    let count = |node: usize, counter| cluster.counters[node].get(counter);
    let reasons = [
        Counter::RefusedSize,
        Counter::RefusedForeign,
        Counter::RefusedSender,
        Counter::RefusedTag,
    ];
    for reason in reasons {
        assert!(count(0, reason) > 100, "{reason:?}");
        assert_eq!(count(1, reason), 0, "{reason:?} where nobody lied");
    }
    assert_eq!(count(0, Counter::Overflow), 0, "noise takes no place in a queue");

    let log = cluster.logs[0].clone();
    let head = move || log.lock().unwrap().keys().max().copied().unwrap_or(Slot(1));
    let victims = (0..LIAR).map(|node| (NodeId(node), cluster.peers[usize::from(node)])).collect();
    let begun = Instant::now();
    let liar = (NodeId(LIAR), cluster.peers[usize::from(LIAR)]);
    let lies = flood::forged(&cluster.committee, liar, victims, 5_000, head);
    tokio::time::sleep(Duration::from_secs(1)).await;
    progress(&cluster, begun, 3).await;
    let _ = lies.stop();
    let seconds = begun.elapsed().as_secs();
    for node in 0..usize::from(LIAR) {
        let wrong = count(node, Counter::CheckFailed);
        // What it is trusted with, once and per second, and what was under way when it ran out.
        assert!((16..=16 + seconds + 16).contains(&wrong), "{wrong} checks at node {node}");
    }
    cluster.stop().await;
}
