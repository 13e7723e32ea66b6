//! A cluster in one process on loopback, and a stopwatch on what its nodes observe.
//!
//! Each node has its own socket, database file and verification threads; only the tokio runtime is
//! shared. The stopwatch hears every event on the node's own thread and notes five moments per
//! slot: the leader hands the last slice to the network, the first shred arrives, the block is
//! complete, the own vote is durable, the block is final.

use alpenglow_node::crypto::{Hash, Scheme};
use alpenglow_node::host::keys::Keys;
use alpenglow_node::host::net::counters::Counters;
use alpenglow_node::host::runtime::{self, Handle, Setup};
use alpenglow_node::host::store::{Identity, Store};
use alpenglow_node::protocol::committee::{Committee, Genesis};
use alpenglow_node::protocol::event::{Event, Origin};
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use redb::backends::FileBackend;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Page cache of each node's database.
const CACHE: usize = 16 << 20;

/// The secrets of a node. Known to everybody: nothing here is for production.
pub fn keys(node: u16) -> Keys {
    Keys::from_seed(Scheme::Bls, &Hash::of("example/loopback", &[&node.to_le_bytes()]).0)
}

/// Moments of one slot as one node saw them.
#[derive(Clone, Copy, Default)]
pub struct Moments {
    /// The own last slice went out.
    pub sent: Option<Instant>,
    /// First valid shred.
    pub seen: Option<Instant>,
    /// The block is complete.
    pub stored: Option<Instant>,
    /// The own notarization vote is durable and leaves.
    pub voted: Option<Instant>,
    /// The block is final, directly.
    pub finalized: Option<Instant>,
}

/// What one node observed, by slot.
pub type Log = Arc<Mutex<BTreeMap<Slot, Moments>>>;

/// A running cluster.
pub struct Cluster {
    /// The validator set.
    pub committee: Arc<Committee>,
    /// Where each node listens.
    pub peers: Vec<SocketAddr>,
    /// What each node observed.
    pub logs: Vec<Log>,
    /// What each node counted.
    pub counters: Vec<Arc<Counters>>,
    /// The nodes that run here.
    pub nodes: Vec<Handle>,
}

impl Cluster {
    /// Starts `n` nodes in `dir`, except those in `absent`, whose sockets are dropped.
    pub async fn start(dir: &Path, n: u16, params: Params, absent: &[u16]) -> Cluster {
        let sockets: Vec<_> =
            (0..n).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port")).collect();
        let peers: Vec<_> = sockets.iter().map(|s| s.local_addr().expect("bound")).collect();
        let mut genesis = Genesis {
            cluster: Hash::default(),
            start_unix_ns: 0,
            scheme: Scheme::Bls,
            params,
            validators: (0..n).map(|node| keys(node).validator(100)).collect(),
        };
        genesis.cluster = genesis.digest();
        let committee = Arc::new(Committee::new(&genesis).expect("a valid genesis"));
        let mut cluster =
            Cluster { committee, peers, logs: vec![], counters: vec![], nodes: vec![] };
        for (node, socket) in (0..n).zip(sockets) {
            let log = Log::default();
            cluster.logs.push(log.clone());
            cluster.counters.push(Arc::default());
            if !absent.contains(&node) {
                let setup = cluster.setup(dir, NodeId(node), socket, log);
                cluster.nodes.push(runtime::start(setup).await.expect("the node starts"));
            }
        }
        cluster
    }

    fn setup(&self, dir: &Path, me: NodeId, socket: UdpSocket, log: Log) -> Setup {
        let identity = Identity { cluster: self.committee.cluster(), node: me };
        let file = || {
            let path = dir.join(format!("node-{me}.redb"));
            let mut options = std::fs::OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            FileBackend::new(options.open(path).expect("a writable directory")).expect("unlocked")
        };
        Store::create(file(), &identity, CACHE).expect("a fresh directory");
        let (store, restored) = Store::open(file(), &identity, CACHE).expect("just created");
        Setup {
            committee: self.committee.clone(),
            me,
            keys: keys(me.0),
            socket,
            peers: self.peers.clone(),
            store,
            restored,
            counters: self.counters[me.index()].clone(),
            observer: Box::new(move |event| note(&log, event)),
            committed: Box::new(|_| ()),
            deliver: Box::new(|_, _| ()),
        }
    }

    /// Stops all nodes.
    pub async fn stop(self) -> Vec<Log> {
        for node in self.nodes {
            node.stop().await;
        }
        self.logs
    }
}

#[expect(clippy::disallowed_methods, reason = "real time passes on real sockets")]
fn note(log: &Log, event: &Event) {
    let (slot, set): (Slot, fn(&mut Moments) -> &mut Option<Instant>) = match event {
        Event::SliceSigned { slot, last: true, .. } => (*slot, |m| &mut m.sent),
        Event::SlotSeen(slot) => (*slot, |m| &mut m.seen),
        Event::BlockStored { block, origin: Origin::Rotor, .. } => (block.slot, |m| &mut m.stored),
        Event::VoteCast(Vote { slot, kind: VoteKind::Notar(_) }) => (*slot, |m| &mut m.voted),
        Event::Finalized(block, Mode::Fast | Mode::Slow) => (block.slot, |m| &mut m.finalized),
        _ => return,
    };
    let now = Instant::now();
    let mut log = log.lock().expect("nobody panics with it");
    set(log.entry(slot).or_default()).get_or_insert(now);
}

/// Per slot whose last slice left between two moments: when each node, in order of time, reached
/// each of the steps shred, block, vote, final. Slots that are not final everywhere are left out.
pub fn slots(logs: &[Log], from: Instant, to: Instant) -> Vec<[Vec<Duration>; 4]> {
    let logs: Vec<_> = logs.iter().map(|log| log.lock().expect("nobody panics").clone()).collect();
    let mut found = Vec::new();
    for (slot, moments) in logs.iter().flatten() {
        let Some(sent) = moments.sent.filter(|at| *at >= from && *at < to) else { continue };
        let step = |moment: fn(&Moments) -> Option<Instant>| {
            let of = |log: &BTreeMap<Slot, Moments>| moment(log.get(slot)?);
            let all = logs.iter().map(of).collect::<Option<Vec<_>>>()?;
            let since = |at: Instant| at.saturating_duration_since(sent);
            let mut took: Vec<_> = all.into_iter().map(since).collect();
            took.sort();
            Some(took)
        };
        let steps =
            (step(|m| m.seen), step(|m| m.stored), step(|m| m.voted), step(|m| m.finalized));
        if let (Some(seen), Some(stored), Some(voted), Some(finalized)) = steps {
            found.push([seen, stored, voted, finalized]);
        }
    }
    found
}

/// Slots that `node` finalized directly between two moments.
pub fn finalized(log: &Log, from: Instant, to: Instant) -> usize {
    let log = log.lock().expect("nobody panics with it");
    let within = |m: &&Moments| m.finalized.is_some_and(|at| at >= from && at < to);
    log.values().filter(within).count()
}

/// From the first shred to the complete block, for slots seen between two moments. Ascending.
pub fn collecting(log: &Log, from: Instant, to: Instant) -> Vec<Duration> {
    let log = log.lock().expect("nobody panics with it");
    let within = log.values().filter(|m| m.seen.is_some_and(|at| at >= from && at < to));
    let mut took: Vec<_> =
        within.filter_map(|m| Some(m.stored?.saturating_duration_since(m.seen?))).collect();
    took.sort();
    took
}

/// The value below which `percent` of an ascending list lie.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(sorted.len() * percent / 100).or(sorted.get(last)).copied().unwrap_or_default()
}
