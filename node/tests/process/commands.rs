//! The verbs that make, check and show things.

use super::cluster::{Cluster, alpenglow, done, fails};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use alpenglow_node::host::config::{Config, LogFormat, Tls};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The line that scripts look for, and nothing left behind.
#[test]
fn dev_prints_finalized_blocks_and_cleans_up() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = alpenglow()
        .args(["dev", "--set", "block-time=100ms"])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.take(12) {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let [slot, number, finalized, mode, ms, unit, tx, end] = words[..] else {
            panic!("{line}");
        };
        assert_eq!([slot, finalized, unit, end], ["slot", "finalized", "ms", "tx"], "{line}");
        assert!(["fast", "slow", "indirect"].contains(&mode), "{line}");
        assert!([number, ms, tx].iter().all(|word| word.parse::<u64>().is_ok()), "{line}");
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1, "one directory while it runs");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "and none after Ctrl-C");
}

#[test]
fn keygen_and_genesis_make_a_cluster_without_moving_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    for (name, port) in [("alice", 19_001), ("bob", 19_002)] {
        let address = format!("127.0.0.1:{port}");
        done(alpenglow().args(["keygen", "--address", &address, "--out"]).arg(place(name)));
        let mode = fs::metadata(place(name).join("node.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    let public = |name: &str| place(name).join("validator.toml");
    let secret = fs::read_to_string(place("alice").join("node.key")).unwrap();
    let secret = secret.split_whitespace().last().unwrap();
    let mut genesis = alpenglow();
    genesis.args(["genesis", "--stake", "70,30", "--out"]).arg(place("genesis"));
    genesis.arg("--validator").arg(public("alice")).arg("--validator").arg(public("bob"));
    done(&mut genesis);
    let file = fs::read_to_string(place("genesis").join("genesis.toml")).unwrap();
    assert!(!file.contains(secret));
    let check = |name: &str| {
        let mut check = alpenglow();
        check.arg("check").arg("--config").arg(place(name).join("node.toml"));
        check
    };
    assert!(fails(&mut check("bob")).contains("genesis.toml"), "it is not there yet");
    for name in ["alice", "bob"] {
        fs::write(place(name).join("genesis.toml"), &file).unwrap();
    }
    let said = done(&mut check("bob"));
    assert!(said.contains("validator 1 with stake 30 of 100"), "{said}");
    assert!(said.contains("a key that never voted"), "{said}");
}

/// A mistake is named in the words of the command, and leaves nothing that is in the way of the next
/// attempt.
#[test]
fn a_cluster_that_cannot_be_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("cluster");
    let attempt = |arguments: &[&str]| {
        let mut genesis = alpenglow();
        genesis.args(["genesis", "--nodes", "2", "--out"]).arg(&out).args(arguments);
        genesis
    };
    for (arguments, words) in [
        (["--set", "delta=1s"], "timeout is 800ms, but must be above three times delta, 3s"),
        (["--set", "delta=1"], "a duration with its unit, such as \"250ms\""),
        (["--set", "quorum=51%"], "unknown field `quorum`"),
        (["--stake", "1,2,3"], "3 stakes for 2 validators"),
        (["--stake", "1,0"], "validator 1 has no stake"),
    ] {
        let error = fails(&mut attempt(&arguments));
        assert_eq!(error.matches(words).count(), 1, "{error}");
        assert_eq!(error.trim().lines().count(), 1, "{error}");
    }
    done(&mut attempt(&[]));
}

/// `inspect | head` is no failure of anybody.
#[test]
fn whoever_reads_may_go_away() {
    let mut cluster = Cluster::new(1, &["block-time=20ms", "first-slice=2ms"]);
    cluster.start(0);
    cluster.wait_until(Duration::from_secs(60), "slot 20", |cluster| {
        cluster.status(0).is_some_and(|status| status.height >= 20)
    });
    let error = fails(alpenglow().arg("backup").arg("--final").arg("--config").args([
        cluster.config(0).as_path(),
        "--out".as_ref(),
        &cluster.root().join("last"),
    ]));
    assert!(error.contains("the node is running"), "{error}");
    let left = fs::read_dir(cluster.root()).unwrap().count();
    assert_eq!(left, 1, "the cluster, and nothing of the backup");
    cluster.stop(0);
    let mut inspect = alpenglow();
    inspect.arg("inspect").arg("--all").arg(cluster.place(0));
    let mut child = inspect.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

#[test]
fn a_key_that_others_can_read_is_refused_without_showing_it() {
    let cluster = Cluster::new(1, &[]);
    let key = cluster.place(0).join("node.key");
    let secret = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    for verb in ["run", "check"] {
        let error = fails(alpenglow().arg(verb).arg("--config").arg(cluster.config(0)));
        assert!(error.contains("chmod 600"), "{error}");
        assert!(!secret.split_whitespace().any(|part| error.contains(part)), "{error}");
    }
}

/// Everything that HTTP answers, on a running cluster.
#[test]
fn clients_and_operators_get_answers() {
    let mut cluster = Cluster::new(4, &["block-time=100ms"]);
    cluster.start_all();
    cluster.wait_ready(0);
    let (code, answer) = cluster.post(0, "/transactions", b"hello").unwrap();
    assert_eq!((code, &answer["status"]), (202, &"pending".into()), "{answer}");
    let id = answer["id"].as_str().unwrap().to_owned();
    let asked = |node| cluster.get(node, &format!("/transactions/{id}")).unwrap();
    cluster.wait_until(Duration::from_secs(30), "it is finalized", |_| {
        asked(3).1.contains("finalized")
    });
    let slot = serde_json::from_str::<serde_json::Value>(&asked(3).1).unwrap()["slot"].clone();
    let (code, block) = cluster.get(3, &format!("/blocks/{slot}")).unwrap();
    assert!(code == 200 && block.contains(&id) && block.contains(&hex::encode("hello")), "{block}");
    // Submitted again it is the same transaction.
    let again = format!("/transactions?valid_until={}", answer["valid_until"]);
    let (code, again) = cluster.post(3, &again, b"hello").unwrap();
    assert_eq!((code, &again["status"]), (202, &"finalized".into()));
    let refused = [
        ("/transactions?valid_until=1000000", &b"late"[..], 400),
        ("/transactions", &[0; 4_000][..], 413),
    ];
    for (path, body, code) in refused {
        assert_eq!(cluster.post(0, path, body).unwrap().0, code, "{path}");
    }
    for (path, code) in [
        ("/blocks/1000000", 404),
        ("/blocks/x", 400),
        ("/transactions/00", 400),
        (&*format!("/transactions/{}", "0".repeat(64)), 404),
    ] {
        assert_eq!(cluster.get(0, path).unwrap().0, code, "{path}");
    }
    let said = done(alpenglow().args(["status", "--rpc", &cluster.url(1, "")]));
    assert!(said.contains("mode       voting") && said.contains("4 of 4 validators"), "{said}");
    let said = done(alpenglow().arg("check").arg("--config").arg(cluster.config(1)));
    assert!(said.contains("in use, by the running node"), "{said}");
    let error = fails(alpenglow().arg("inspect").arg(cluster.place(1)));
    assert!(error.contains("running node"), "{error}");
    let (_, metrics) = cluster.get(0, "/metrics").unwrap();
    for name in
        ["alpenglow_voting 1", "alpenglow_ready 1", "alpenglow_slots_total{outcome=\"fast\"}"]
    {
        assert!(metrics.contains(name), "{name} in\n{metrics}");
    }
    // One client at its limit does not stop the node.
    let limited = (0..3_000).any(|i| {
        let body = format!("flood {i}");
        cluster.post(2, "/transactions", body.as_bytes()).is_some_and(|(code, _)| code == 429)
    });
    assert!(limited || cfg!(debug_assertions), "500 a second is the limit");
    cluster.wait_ready(2);
}

/// Logs for machines: each line is an object with its level, its message and its node, and what
/// speaks of a slot names it.
#[test]
fn logs_are_json_where_that_is_asked_for() {
    let mut cluster = Cluster::new(1, &["block-time=100ms"]);
    let text = fs::read_to_string(cluster.config(0)).unwrap();
    let mut config: Config = toml::from_str(&text).unwrap();
    config.log.format = LogFormat::Json;
    config.log.level = "warn,alpenglow=debug,alpenglow_node=debug".to_owned();
    fs::write(cluster.config(0), config.text()).unwrap();
    cluster.start(0);
    cluster.wait_until(Duration::from_secs(60), "slot 5", |cluster| {
        cluster.status(0).is_some_and(|status| status.height >= 5)
    });
    cluster.stop(0);
    let mut finalized = 0;
    for line in cluster.said(0).lines() {
        let said: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(said["node"], 0, "{line}");
        assert!(said["level"].is_string() && said["timestamp"].is_string(), "{line}");
        if said["message"] == "finalized" {
            assert!(said["slot"].is_u64() && said["mode"].is_string(), "{line}");
            finalized += 1;
        }
    }
    assert!(finalized >= 5, "{}", cluster.said(0));
}

#[test]
fn https_with_certificate_files() {
    let mut cluster = Cluster::new(1, &["block-time=100ms"]);
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (cluster.root().join("cert.pem"), cluster.root().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let text = fs::read_to_string(cluster.config(0)).unwrap();
    let mut config: Config = toml::from_str(&text).unwrap();
    config.http.tls = Some(Tls { certificate: certificate.clone(), key });
    fs::write(cluster.config(0), config.text()).unwrap();
    let said = done(alpenglow().arg("check").arg("--config").arg(cluster.config(0)));
    assert!(said.contains("tls            ok"), "{said}");
    cluster.start(0);
    let url = cluster.url(0, "").replace("http:", "https:");
    let ask = |trust: bool| {
        let mut status = alpenglow();
        status.args(["status", "--json", "--rpc", &url]);
        if trust {
            status.arg("--ca").arg(&certificate);
        }
        status
    };
    cluster.wait_until(Duration::from_secs(30), "it answers over TLS", |_| {
        ask(true).output().unwrap().status.success()
    });
    let error = fails(&mut ask(false));
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert_eq!(cluster.status(0), None, "no plain HTTP beside it");
    let copy = cluster.root().join("copy");
    let mut backup = alpenglow();
    backup.arg("backup").arg("--config").arg(cluster.config(0)).arg("--out").arg(&copy);
    done(backup.arg("--ca").arg(&certificate));
    assert!(fs::metadata(&copy).unwrap().len() > 100);
}
