//! Backups of running and of stopped nodes, and who may vote after them.

use super::cluster::{Cluster, alpenglow, done, fails};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn backup(cluster: &Cluster, node: usize, out: &Path, last: bool) -> std::process::Command {
    let mut command = alpenglow();
    command.arg("backup").arg("--config").arg(cluster.config(node)).arg("--out").arg(out);
    if last {
        command.arg("--final");
    }
    command
}

fn restore(cluster: &Cluster, node: usize, file: &Path) -> std::process::Command {
    let mut command = alpenglow();
    command.arg("restore").arg("--config").arg(cluster.config(node)).arg(file);
    command
}

fn four_at_slot(height: u64) -> Cluster {
    let mut cluster = Cluster::new(4, &["block-time=100ms"]);
    cluster.start_all();
    cluster.wait_until(Duration::from_secs(60), "some slots", |cluster| {
        cluster.status(3).is_some_and(|status| status.height >= height)
    });
    cluster
}

/// The copy of a running node follows the cluster and never casts a vote.
#[test]
fn a_copy_of_a_running_node_observes() {
    let mut cluster = four_at_slot(8);
    let file = cluster.root().join("copy");
    done(&mut backup(&cluster, 3, &file, false));
    let error = fails(&mut backup(&cluster, 3, &cluster.root().join("last"), true));
    assert!(error.contains("stop it"), "{error}");
    cluster.kill(3);
    let error = fails(&mut restore(&cluster, 3, &file));
    assert!(error.contains("a store here already"), "{error}");
    fs::rename(cluster.store(3), cluster.root().join("lost")).unwrap();
    let error = fails(&mut restore(&cluster, 2, &file));
    assert!(error.contains("a store here already"), "{error}");
    let said = done(&mut restore(&cluster, 3, &file));
    assert!(said.contains("observes"), "{said}");
    let height = cluster.inspect(3)["height"].as_u64().unwrap();
    assert!(height >= 8);
    cluster.start(3);
    cluster.wait_until(Duration::from_secs(60), "it follows", |cluster| {
        cluster.status(3).is_some_and(|status| status.height >= height + 20 && status.lag <= 8)
    });
    let status = cluster.status(3).unwrap();
    assert_eq!((status.mode.as_str(), status.ready), ("observing", false));
    assert_eq!(cluster.get(3, "/health").unwrap().0, 503);
    // In the next epoch that its key cannot have signed in, it may vote again.
    cluster.wait_until(Duration::from_secs(30), "it is known when it votes", |cluster| {
        cluster.status(3).is_some_and(|status| status.votes_again_at == Some(18_000))
    });
    cluster.stop_all();
    assert_eq!(cluster.inspect(3)["votes"].as_array().unwrap().len(), 0, "it cast nothing");
}

/// The final copy of a stopped node votes at once; what it was taken from never starts again.
#[test]
fn a_final_copy_takes_the_place_of_its_source() {
    let mut cluster = four_at_slot(8);
    cluster.stop(3);
    let before = cluster.inspect(3);
    let file = cluster.root().join("last");
    done(&mut backup(&cluster, 3, &file, true));
    let run = |cluster: &Cluster| {
        let mut command = alpenglow();
        command.arg("run").arg("--config").arg(cluster.config(3));
        command
    };
    let error = fails(&mut run(&cluster));
    assert!(error.contains("sealed"), "{error}");
    fs::rename(cluster.store(3), cluster.root().join("sealed")).unwrap();
    let said = done(&mut restore(&cluster, 3, &file));
    assert!(said.contains("votes at once"), "{said}");
    assert!(!file.exists(), "it is used up");
    let after = cluster.inspect(3);
    for what in ["height", "votes", "produced", "blocks", "intact"] {
        assert_eq!(before[what], after[what], "{what}");
    }
    cluster.start(3);
    cluster.wait_ready(3);
    assert_eq!(cluster.status(3).unwrap().mode, "voting");
}

/// A backup says whose it is.
#[test]
fn a_backup_of_another_node_is_not_restored() {
    let mut cluster = four_at_slot(4);
    cluster.stop(0);
    cluster.stop(1);
    let file = cluster.root().join("copy");
    done(&mut backup(&cluster, 0, &file, false));
    fs::remove_file(cluster.store(1)).unwrap();
    let error = fails(&mut restore(&cluster, 1, &file));
    assert!(error.contains("the store of node 0"), "{error}");
    assert!(!cluster.store(1).exists());
    let damaged = cluster.root().join("damaged");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    fails(&mut restore(&cluster, 0, &damaged));
}
