//! What machines do to a node: pauses, full and read-only and rotten disks, wrong files, wrong
//! clocks. `docs/operating.md` says what is supposed to happen; here it happens.

use super::cluster::{Cluster, alpenglow, done, fails};
use super::votes::VoteMemory;
use alpenglow_node::host::genesis::GenesisFile;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const FIGURES: [&str; 1] = ["block-time=100ms"];

fn height(cluster: &Cluster, node: usize) -> u64 {
    cluster.status(node).map_or(0, |status| status.height)
}

fn wait_height(cluster: &Cluster, node: usize, least: u64) {
    let what = format!("node {node} is at slot {least}");
    cluster.wait_until(Duration::from_secs(60), &what, |cluster| height(cluster, node) >= least);
}

fn running() -> Cluster {
    let mut cluster = Cluster::new(4, &FIGURES);
    cluster.start_all();
    (0..4).for_each(|node| cluster.wait_ready(node));
    cluster
}

fn run(cluster: &Cluster, node: usize) -> Command {
    let mut command = alpenglow();
    command.arg("run").arg("--config").arg(cluster.config(node));
    command
}

/// The same command through a shell that prepares something first.
fn prepared(cluster: &Cluster, node: usize, preparation: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{preparation}\nexec \"$@\"")).arg("sh");
    let run = run(cluster, node);
    command.arg(run.get_program()).args(run.get_args());
    command
}

fn judge(cluster: &Cluster, node: usize) {
    VoteMemory::default().read(node, &cluster.inspect(node));
}

fn paused_for(time: Duration) {
    let mut cluster = running();
    cluster.signal(3, Signal::SIGSTOP);
    let before = height(&cluster, 0);
    sleep(time);
    assert!(height(&cluster, 0) > before + 2, "the others go on");
    cluster.signal(3, Signal::SIGCONT);
    cluster.wait_ready(3);
    wait_height(&cluster, 3, height(&cluster, 0));
    for node in 0..4 {
        assert_eq!(cluster.metric(node, "alpenglow_offences_total"), Some(0.0));
    }
    cluster.stop_all();
    judge(&cluster, 3);
}

#[test]
fn a_paused_node_catches_up() {
    paused_for(Duration::from_secs(3));
}

#[test]
#[ignore = "takes half a minute"]
fn a_node_paused_for_twenty_seconds_catches_up() {
    paused_for(Duration::from_secs(20));
}

/// Submits until the disk of node 3 is full, and checks that it says so and says nothing else.
fn fill_up(cluster: &Cluster) {
    let mut count = 0_u32;
    cluster.wait_until(Duration::from_secs(90), "the disk of node 3 is full", |cluster| {
        for _ in 0..20 {
            count += 1;
            let mut body = [7; 1_200];
            body[..4].copy_from_slice(&count.to_le_bytes());
            cluster.post(count as usize % 3, "/transactions", &body);
        }
        cluster.status(3).is_some_and(|status| status.mode == "observing")
    });
    assert_eq!(cluster.get(3, "/health").unwrap().0, 503);
    assert!(cluster.metric(3, "alpenglow_storage_errors_total").unwrap() >= 1.0);
    assert!(cluster.said(3).contains("the database failed"), "{}", cluster.said(3));
    wait_height(cluster, 0, height(cluster, 0) + 5);
}

/// Nothing is lost, and with room the node votes as before.
fn votes_again_with_room(cluster: &mut Cluster) {
    let mut memory = VoteMemory::default();
    memory.read(3, &cluster.inspect(3));
    cluster.start(3);
    cluster.wait_ready(3);
    assert_eq!(cluster.status(3).unwrap().mode, "voting");
    cluster.stop(3);
    memory.read(3, &cluster.inspect(3));
}

/// Nothing that is not durable is said: a node whose disk is full stops voting, goes on being
/// watched, and votes again after a restart with room.
#[test]
fn a_full_disk_silences_a_node_until_it_is_started_with_room() {
    let mut cluster = running();
    cluster.stop(3);
    // A limit on file size is a quota that needs no privilege. Shells count in units of 512 bytes
    // or of 1024: with the larger one there is just more to write.
    let blocks = fs::metadata(cluster.store(3)).unwrap().len() / 512;
    let limited = prepared(&cluster, 3, &format!("trap '' XFSZ\nulimit -f {blocks}"));
    cluster.start_as(3, limited);
    cluster.wait_ready(3);
    fill_up(&cluster);
    cluster.kill(3);
    votes_again_with_room(&mut cluster);
}

/// The same on a file system that is really full: there the file can grow, and the write into it
/// fails.
#[test]
fn a_full_file_system_silences_a_node_until_it_is_started_with_room() {
    let mut cluster = running();
    cluster.stop(3);
    let (store, saved) = (cluster.store(3), cluster.root().join("saved"));
    fs::copy(&store, &saved).unwrap();
    let room = fs::metadata(&store).unwrap().len() + (1 << 20);
    let data = store.parent().unwrap().display().to_string();
    // A mount of the node's own. Who is not root may have one in a name space of its own.
    let own = if nix::unistd::geteuid().is_root() { "-m" } else { "-mr" };
    let mount = format!("mount -t tmpfs -o size={room} tmpfs '{data}'");
    let probe = Command::new("unshare").args([own, "sh", "-c", &mount]).output();
    if !probe.as_ref().is_ok_and(|probe| probe.status.success()) {
        eprintln!(
            "skipped: no mount is permitted here ({probe:?}); the limit on file size remains"
        );
        return;
    }
    let fill = format!("set -e\n{mount}\ncp '{}' '{data}/store.redb'", saved.display());
    let inside = prepared(&cluster, 3, &fill);
    let mut command = Command::new("unshare");
    command.arg(own).arg(inside.get_program()).args(inside.get_args());
    cluster.start_as(3, command);
    cluster.wait_ready(3);
    fill_up(&cluster);
    // Its file system ends with it, so the file is taken out before. It does not change any more.
    let root = Path::new("/proc").join(cluster.pid(3).to_string()).join("root");
    fs::copy(root.join(store.strip_prefix("/").unwrap()), &store).unwrap();
    cluster.kill(3);
    assert!(fs::metadata(&store).unwrap().len() > room, "it grew into what is not there");
    votes_again_with_room(&mut cluster);
}

#[test]
fn a_read_only_data_directory_is_refused() {
    let mut cluster = Cluster::new(1, &FIGURES);
    cluster.start(0);
    wait_height(&cluster, 0, 2);
    cluster.stop(0);
    let data = cluster.place(0).join("data");
    fs::set_permissions(cluster.store(0), Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere, unless it gives that up.
    let give_up = "setpriv --bounding-set=-dac_override,-dac_read_search --";
    let command = |verb: &str| {
        if !nix::unistd::geteuid().is_root() {
            let mut command = alpenglow();
            command.arg(verb).arg("--config").arg(cluster.config(0));
            return command;
        }
        let mut words = give_up.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(alpenglow().get_program());
        command.arg(verb).arg("--config").arg(cluster.config(0));
        command
    };
    for verb in ["run", "check"] {
        let error = fails(&mut command(verb));
        assert!(error.contains("Permission denied") && error.contains("data"), "{error}");
    }
    judge(&cluster, 0);
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(cluster.store(0), Permissions::from_mode(0o600)).unwrap();
    cluster.start(0);
    cluster.wait_ready(0);
}

/// Whatever page rots: the store is refused, or it is whole, or it says that its log is not.
#[test]
fn a_damaged_page_is_noticed() {
    let mut cluster = running();
    wait_height(&cluster, 3, 12);
    cluster.kill(3);
    let good = fs::read(cluster.store(3)).unwrap();
    let before = cluster.inspect(3);
    let copy = cluster.root().join("copy");
    fs::create_dir(&copy).unwrap();
    let (mut refused, mut whole) = (0, 0);
    let used: Vec<usize> = (0..good.len() / 4096)
        .filter(|page| good[page * 4096..][..4096].iter().any(|&b| b != 0))
        .collect();
    for page in used.iter().step_by(used.len().div_ceil(40)) {
        let mut bytes = good.clone();
        bytes[page * 4096 + 70] ^= 0x55;
        fs::write(copy.join("store.redb"), bytes).unwrap();
        let output = alpenglow().args(["inspect", "--json"]).arg(&copy).output().unwrap();
        if !output.status.success() {
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(error.contains("damaged"), "page {page}: {error}");
            refused += 1;
            continue;
        }
        let after: Value = serde_json::from_slice(&output.stdout).unwrap();
        if after["intact"] == true {
            assert_eq!((&after["votes"], &after["height"]), (&before["votes"], &before["height"]));
            whole += 1;
        }
    }
    assert!(refused > 0 && whole > 0, "{refused} refused, {whole} whole of {}", used.len());
    // A rotten header takes everything with it, and the program says so and ends.
    let mut bytes = good.clone();
    bytes[100..300].fill(0x33);
    fs::write(cluster.store(3), bytes).unwrap();
    let error = fails(&mut run(&cluster, 3));
    assert!(error.contains("store is damaged"), "{error}");
    // As the message advises: moved away, the node rebuilds its ledger and does not vote.
    fs::rename(cluster.store(3), cluster.root().join("rotten")).unwrap();
    cluster.start(3);
    wait_height(&cluster, 3, height(&cluster, 0));
    assert_eq!(cluster.status(3).unwrap().mode, "observing");
}

#[test]
fn a_wrong_genesis_is_refused() {
    let mut cluster = Cluster::new(1, &FIGURES);
    cluster.start(0);
    wait_height(&cluster, 0, 2);
    cluster.stop(0);
    let path = cluster.root().join("cluster/genesis.toml");
    let good = fs::read_to_string(&path).unwrap();
    let refused = |text: &str| {
        fs::write(&path, text).unwrap();
        fails(alpenglow().arg("check").arg("--config").arg(cluster.config(0)));
        fails(&mut run(&cluster, 0))
    };
    let error = refused(&good.replace("stake = 1000", "stake = 1001"));
    assert!(error.contains("was changed after it was made"), "{error}");
    let file: GenesisFile = toml::from_str(&good).unwrap();
    let later = GenesisFile::create(file.params.clone(), Duration::from_secs(9), file.validators);
    let error = refused(&later.unwrap().text());
    assert!(error.contains("this is the store of node 0 of cluster"), "{error}");
    let other = cluster.root().join("other");
    done(alpenglow().args(["genesis", "--nodes", "1", "--out"]).arg(&other));
    let error = refused(&fs::read_to_string(other.join("genesis.toml")).unwrap());
    assert!(error.contains("belongs to no validator"), "{error}");
    fs::write(&path, &good).unwrap();
    cluster.start(0);
    cluster.wait_ready(0);
}

/// A library that moves the wall clock of a process.
fn clock(dir: &Path, seconds: i64) -> String {
    let source = dir.join("clock.c");
    let library = dir.join(format!("clock{seconds}.so"));
    let code = format!(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <time.h>\n\
         int clock_gettime(clockid_t id, struct timespec *t) {{\n\
         static int (*real)(clockid_t, struct timespec *);\n\
         if (!real) real = dlsym(RTLD_NEXT, \"clock_gettime\");\n\
         int result = real(id, t);\n\
         if (!result && id == CLOCK_REALTIME) t->tv_sec += {seconds};\n\
         return result; }}\n"
    );
    fs::write(&source, code).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    done(&mut compiler);
    library.display().to_string()
}

/// Datagram counters start at the wall clock. If a clock that was set back repeated them, peers
/// would take everything that the node says for replays.
#[test]
fn a_clock_that_jumps_does_not_silence_a_node() {
    let mut cluster = running();
    for seconds in [3_600, -7_200] {
        cluster.kill(3);
        let mut command = run(&cluster, 3);
        command.env("LD_PRELOAD", clock(cluster.root(), seconds));
        cluster.start_as(3, command);
        cluster.wait_ready(3);
        let before = height(&cluster, 0);
        wait_height(&cluster, 0, before + 8);
        let replays = "alpenglow_refused_datagrams_total{reason=\"replay\"}";
        let heard = cluster.status(0).unwrap().peers;
        assert_eq!(heard, 4, "replays: {:?}", cluster.metric(0, replays));
    }
    cluster.stop_all();
    judge(&cluster, 3);
}

#[test]
fn a_lost_store_is_not_an_empty_one() {
    let mut cluster = running();
    cluster.kill(3);
    fs::remove_file(cluster.store(3)).unwrap();
    let said = done(alpenglow().arg("check").arg("--config").arg(cluster.config(3)));
    assert!(said.contains("would observe"), "{said}");
    cluster.start(3);
    wait_height(&cluster, 3, height(&cluster, 0));
    let status = cluster.status(3).unwrap();
    assert_eq!(status.mode, "observing");
    assert!(status.not_ready.unwrap().contains("observing"));
}
