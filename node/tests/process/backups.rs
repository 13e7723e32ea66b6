//! Backups of running and of stopped nodes, and who may vote after them.

use super::cluster::{Cluster, alpenglow, done, fails};
use super::votes::VoteMemory;
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

/// Over the end of an epoch: what was restored from the copy of a running node observes until a slot
/// that its key cannot have signed, whatever restarts come before, and votes after that.
#[test]
#[ignore = "takes a minute or two"]
fn a_restored_node_votes_again_in_a_later_epoch() {
    const EPOCH: u64 = 64;
    let figures = ["block-time=20ms", "first-slice=2ms", &format!("epoch-slots={EPOCH}")];
    let mut cluster = Cluster::new(4, &figures);
    cluster.start_all();
    let reaches = |cluster: &Cluster, least: u64| {
        let what = format!("node 3 is at slot {least}");
        cluster.wait_until(Duration::from_secs(600), &what, |cluster| {
            cluster.status(3).is_some_and(|status| status.height >= least)
        });
    };
    reaches(&cluster, 8);
    let file = cluster.root().join("copy");
    done(&mut backup(&cluster, 3, &file, false));
    cluster.kill(3);
    fs::remove_file(cluster.store(3)).unwrap();
    done(&mut restore(&cluster, 3, &file));
    cluster.start(3);
    let mut said = None;
    cluster.wait_until(Duration::from_secs(60), "it is known when it votes", |cluster| {
        said = cluster.status(3).and_then(|status| status.votes_again_at);
        said.is_some()
    });
    let from = said.unwrap();
    assert!(from.is_multiple_of(EPOCH) && from > EPOCH, "{from} begins a later epoch");
    // An early restart changes neither the slot nor the silence.
    cluster.stop(3);
    let inspected = cluster.inspect(3);
    assert_eq!(
        (&inspected["intact"], inspected["votes"].as_array().unwrap().len()),
        (&false.into(), 0)
    );
    assert!(inspected["height"].as_u64().unwrap() < from, "early");
    cluster.start(3);
    reaches(&cluster, from + 1);
    let status = cluster.status(3).unwrap();
    assert_eq!((status.mode.as_str(), status.votes_again_at), ("observing", Some(from)));
    cluster.stop(3);
    assert_eq!(cluster.inspect(3)["votes"].as_array().unwrap().len(), 0, "it cast nothing");
    cluster.start(3);
    cluster.wait_ready(3);
    cluster.wait_until(Duration::from_secs(60), "it votes", |cluster| {
        let cast = cluster.metric(3, "alpenglow_votes_cast_total{kind=\"notar\"}");
        cast.is_some_and(|cast| cast > 0.0)
    });
    for node in 0..4 {
        assert_eq!(cluster.metric(node, "alpenglow_offences_total"), Some(0.0), "at node {node}");
    }
    cluster.stop_all();
    let inspected = cluster.inspect(3);
    VoteMemory::default().read(3, &inspected);
    let slots = inspected["votes"].as_array().unwrap().iter().map(|vote| vote["slot"].as_u64());
    assert!(slots.min().flatten().is_none_or(|first| first >= from), "only above {from}");
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
