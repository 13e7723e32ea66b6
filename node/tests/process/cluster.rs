//! A cluster of processes and its clients.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use alpenglow_node::host::view::Status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One cluster at a time: ports and processors are shared.
static TURN: Mutex<()> = Mutex::new(());

/// The program.
pub fn alpenglow() -> Command {
    Command::new(env!("CARGO_BIN_EXE_alpenglow"))
}

/// Runs a verb that must succeed; its standard output.
pub fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a verb that must fail; its standard error.
pub fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} did not fail: {}", text(&output));
    String::from_utf8(output.stderr).unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The first of `count` ports that are free for datagrams and streams.
fn free_ports(count: u16) -> u16 {
    let mut first = 20_000 + (std::process::id() % 400) as u16 * 20;
    while !(first..first + count).all(|port| {
        TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
    }) {
        first += count;
    }
    first
}

/// Processes on this machine, made by `alpenglow genesis`.
pub struct Cluster {
    dir: tempfile::TempDir,
    nodes: Vec<Option<Child>>,
    http: u16,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// The files of a cluster with changed genesis figures.
    pub fn new(nodes: u16, figures: &[&str]) -> Cluster {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let udp = free_ports(2 * nodes);
        let http = udp + nodes;
        let mut command = alpenglow();
        command.args(["genesis", "--start-in", "1s", "--nodes", &nodes.to_string()]);
        command.args(["--address", &format!("127.0.0.1:{udp}")]);
        command.args(["--http-port", &http.to_string()]);
        command.arg("--out").arg(dir.path().join("cluster"));
        for figure in figures {
            command.args(["--set", figure]);
        }
        done(&mut command);
        let nodes = (0..nodes).map(|_| None).collect();
        Cluster { dir, nodes, http, _turn: turn }
    }

    /// The directory of a node.
    pub fn place(&self, node: usize) -> PathBuf {
        self.dir.path().join("cluster").join(format!("node-{node}"))
    }

    /// The directory of all of them.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self, node: usize) -> PathBuf {
        self.place(node).join("node.toml")
    }

    pub fn store(&self, node: usize) -> PathBuf {
        self.place(node).join("data/store.redb")
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    fn log(&self, node: usize) -> PathBuf {
        self.place(node).join("log")
    }

    /// What a node said on standard error, over all its lives.
    pub fn said(&self, node: usize) -> String {
        std::fs::read_to_string(self.log(node)).unwrap_or_default()
    }

    /// Starts a node.
    pub fn start(&mut self, node: usize) {
        let mut command = alpenglow();
        command.arg("run").arg("--config").arg(self.config(node));
        self.start_as(node, command);
    }

    /// Starts a node with a command of one's own.
    pub fn start_as(&mut self, node: usize, mut command: Command) {
        assert!(self.nodes[node].is_none(), "node {node} runs already");
        let log = File::options().append(true).create(true).open(self.log(node)).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.nodes[node] = Some(child.unwrap());
    }

    pub fn start_all(&mut self) {
        (0..self.len()).for_each(|node| self.start(node));
    }

    /// The process of a node that runs.
    pub fn pid(&self, node: usize) -> u32 {
        self.nodes[node].as_ref().expect("it runs").id()
    }

    pub fn signal(&self, node: usize, signal: Signal) {
        kill(Pid::from_raw(self.pid(node).cast_signed()), signal).unwrap();
    }

    /// `kill -9`.
    pub fn kill(&mut self, node: usize) {
        self.signal(node, Signal::SIGKILL);
        self.nodes[node].take().unwrap().wait().unwrap();
    }

    /// A clean stop, which must end well.
    pub fn stop(&mut self, node: usize) {
        self.signal(node, Signal::SIGTERM);
        let status = self.nodes[node].take().unwrap().wait().unwrap();
        assert!(status.success(), "node {node} ended with {status}: {}", self.said(node));
    }

    pub fn stop_all(&mut self) {
        (0..self.len()).for_each(|node| self.stop(node));
    }

    pub fn url(&self, node: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", usize::from(self.http) + node)
    }

    fn agent() -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(2)));
        ureq::Agent::new_with_config(config.build())
    }

    /// Code and text of an answer; `None` without one.
    pub fn get(&self, node: usize, path: &str) -> Option<(u16, String)> {
        let mut answer = Self::agent().get(&self.url(node, path)).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// Code and JSON of the answer to a POST.
    pub fn post(&self, node: usize, path: &str, body: &[u8]) -> Option<(u16, Value)> {
        let mut answer = Self::agent().post(&self.url(node, path)).send(body).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub fn status(&self, node: usize) -> Option<Status> {
        serde_json::from_str(&self.get(node, "/status")?.1).ok()
    }

    pub fn ready(&self, node: usize) -> bool {
        self.get(node, "/health").is_some_and(|(code, _)| code == 200)
    }

    /// A metric by its line's beginning.
    pub fn metric(&self, node: usize, name: &str) -> Option<f64> {
        let (_, text) = self.get(node, "/metrics")?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// What `inspect` says of a stopped node.
    pub fn inspect(&self, node: usize) -> Value {
        let json = done(alpenglow().arg("inspect").arg("--json").arg(self.place(node)));
        serde_json::from_str(&json).unwrap()
    }

    /// Polls until it holds, or fails with the logs of all nodes.
    pub fn wait_until(&self, limit: Duration, what: &str, mut holds: impl FnMut(&Cluster) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            if begun.elapsed() > limit {
                let tail = |node: usize| {
                    let said = self.said(node);
                    let lines: Vec<_> = said.lines().rev().take(15).collect();
                    let lines: Vec<_> = lines.into_iter().rev().collect();
                    format!("node {node}: {:?}\n{}", self.status(node), lines.join("\n"))
                };
                let tails: Vec<_> = (0..self.len()).map(tail).collect();
                panic!("not within {limit:?}: {what}\n{}", tails.join("\n"));
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Polls until the node votes and is caught up.
    pub fn wait_ready(&self, node: usize) {
        self.wait_until(Duration::from_secs(60), &format!("node {node} is ready"), |cluster| {
            cluster.ready(node)
        });
    }

    pub fn clients(&self) -> Clients {
        Clients { count: 0, asked: 0, accepted: Vec::new(), finalized: BTreeMap::new() }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Submits, asks, and remembers every answer.
pub struct Clients {
    count: usize,
    asked: usize,
    accepted: Vec<String>,
    finalized: BTreeMap<String, u64>,
}

impl Clients {
    /// Submits one transaction to the next node.
    pub fn submit(&mut self, cluster: &Cluster) {
        self.count += 1;
        let body = format!("payment {}", self.count);
        let node = self.count % cluster.len();
        if let Some((202, answer)) = cluster.post(node, "/transactions", body.as_bytes()) {
            self.accepted.push(answer["id"].as_str().unwrap().to_owned());
        }
    }

    /// Asks the next node for some transactions; what is reported as finalized is remembered, and
    /// must not change.
    pub fn ask(&mut self, cluster: &Cluster) {
        for _ in 0..3.min(self.accepted.len()) {
            self.asked += 1;
            let id = self.accepted[self.asked % self.accepted.len()].clone();
            let node = self.asked % cluster.len();
            let Some((200, text)) = cluster.get(node, &format!("/transactions/{id}")) else {
                continue;
            };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["status"] == "finalized" {
                let slot = answer["slot"].as_u64().unwrap();
                let before = self.finalized.insert(id.clone(), slot);
                assert!(before.is_none_or(|before| before == slot), "{id} moved from {before:?}");
            }
        }
    }

    /// Transactions that were reported as finalized.
    pub fn finalized(&self) -> usize {
        self.finalized.len()
    }

    /// Compares the chains of all stores with each other, and with what was promised.
    pub fn check(&self, stores: &[Value]) {
        let chains: Vec<_> =
            stores.iter().map(|store| store["blocks"].as_array().unwrap()).collect();
        let shortest = chains.iter().map(|chain| chain.len()).min().unwrap();
        for chain in &chains {
            assert_eq!(chain[..shortest], chains[0][..shortest], "one chain");
        }
        let longest = chains.iter().max_by_key(|chain| chain.len()).unwrap();
        let mut executed = BTreeMap::new();
        for block in longest.iter() {
            for id in block["executed"].as_array().unwrap() {
                let id = id.as_str().unwrap().to_owned();
                let before = executed.insert(id, block["slot"].as_u64().unwrap());
                assert_eq!(before, None, "executed twice");
            }
        }
        for (id, slot) in &self.finalized {
            assert_eq!(executed.get(id), Some(slot), "what was reported as finalized stays");
        }
    }
}
