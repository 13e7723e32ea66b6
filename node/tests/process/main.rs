//! The program as an operator has it: real processes, sockets, files and signals.
//!
//! What takes a few seconds runs with `cargo test`. The rest is behind
//! `cargo test -p alpenglow-node --test process -- --ignored --nocapture`.
#![cfg(all(feature = "program", not(feature = "sim")))]
#![expect(clippy::disallowed_methods, reason = "real time passes for real processes")]

mod backups;
mod cluster;
mod commands;
mod faults;
mod kills;
mod votes;

use cluster::Cluster;
use std::time::Duration;

/// Four processes finalize fifty slots, and every committed transaction is in every chain, once and
/// in the same order.
#[test]
fn four_processes_agree_on_fifty_slots() {
    let mut cluster = Cluster::new(4, &["block-time=100ms"]);
    cluster.start_all();
    let mut clients = cluster.clients();
    cluster.wait_until(Duration::from_secs(120), "all are at slot 50", |cluster| {
        clients.submit(cluster);
        clients.ask(cluster);
        (0..4).all(|node| cluster.status(node).is_some_and(|status| status.height >= 50))
    });
    let ready = (0..4).filter(|&node| cluster.ready(node)).count();
    assert_eq!(ready, 4, "all vote and are caught up");
    cluster.stop_all();
    let stores: Vec<_> = (0..4).map(|node| cluster.inspect(node)).collect();
    clients.check(&stores);
    assert!(clients.finalized() >= 20, "{} were reported as finalized", clients.finalized());
}
