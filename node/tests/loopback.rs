//! The product's node on real sockets and a real file: four of them in one process.
#![cfg(not(feature = "sim"))]
#![expect(clippy::disallowed_methods, reason = "real time passes on real sockets")]

use alpenglow_node::crypto::{Hash, Scheme};
use alpenglow_node::host::keys::Keys;
use alpenglow_node::host::runtime::{self, Handle, Setup};
use alpenglow_node::host::store::{Identity, Store};
use alpenglow_node::protocol::block::{Transaction, TransactionId};
use alpenglow_node::protocol::bounded::BoundedBytes;
use alpenglow_node::protocol::committee::{Committee, Genesis};
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot};
use redb::backends::FileBackend;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NODES: u16 = 4;
const CACHE: usize = 4 << 20;

type Chain = Arc<Mutex<Vec<(BlockId, Vec<TransactionId>)>>>;

fn keys(node: u16) -> Keys {
    Keys::from_seed(Scheme::Bls, &Hash::of("test/loopback", &[&node.to_le_bytes()]).0)
}

fn file(dir: &std::path::Path, node: u16) -> FileBackend {
    let path = dir.join(format!("node-{node}.redb"));
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap();
    FileBackend::new(file).unwrap()
}

async fn start(
    committee: &Arc<Committee>,
    dir: &std::path::Path,
    node: u16,
    socket: UdpSocket,
    peers: &[std::net::SocketAddr],
    chain: Chain,
) -> Handle {
    let identity = Identity { cluster: committee.cluster(), node: NodeId(node) };
    let (store, restored) = Store::open(file(dir, node), &identity, CACHE).unwrap();
    let setup = Setup {
        committee: committee.clone(),
        me: NodeId(node),
        keys: keys(node),
        socket,
        peers: peers.to_vec(),
        store,
        restored,
        counters: Arc::default(),
        observer: Box::new(|_| ()),
        committed: Box::new(|_| ()),
        deliver: Box::new(move |block, transactions| {
            chain.lock().unwrap().push((block.id(), transactions.to_vec()));
        }),
    };
    runtime::start(setup).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_finalize_twenty_slots() {
    let dir = tempfile::tempdir().unwrap();
    let sockets: Vec<UdpSocket> =
        (0..NODES).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let peers: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
    let mut genesis = Genesis {
        cluster: Hash::default(),
        start_unix_ns: 0,
        scheme: Scheme::Bls,
        // Short blocks: the test is about the plumbing, not about the figures.
        params: Params { delta_block_ns: 100_000_000, ..Params::default() },
        validators: (0..NODES).map(|node| keys(node).validator(100)).collect(),
    };
    genesis.cluster = genesis.digest();
    let committee = Arc::new(Committee::new(&genesis).unwrap());
    let chains: Vec<Chain> = (0..NODES).map(|_| Chain::default()).collect();
    let mut nodes = Vec::new();
    for (node, socket) in (0..NODES).zip(sockets) {
        let identity = Identity { cluster: committee.cluster(), node: NodeId(node) };
        Store::create(file(dir.path(), node), &identity, CACHE).unwrap();
        let chain = chains[usize::from(node)].clone();
        nodes.push(start(&committee, dir.path(), node, socket, &peers, chain).await);
    }
    let payload = BoundedBytes::new("hello".into()).unwrap();
    let transaction = Transaction { valid_until: Slot(100), payload };
    assert!(nodes[1].submit(transaction.clone()).await);
    // The test fails by hanging if the cluster stalls; the harness around it has a limit.
    let done = |chain: &Chain| chain.lock().unwrap().last().is_some_and(|(b, _)| b.slot.0 >= 20);
    while !chains.iter().all(done) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for node in nodes {
        node.stop().await;
    }
    let chains: Vec<_> = chains.iter().map(|chain| chain.lock().unwrap().clone()).collect();
    let shortest = chains.iter().map(Vec::len).min().unwrap();
    for chain in &chains {
        assert_eq!(chain[..shortest], chains[0][..shortest], "one order everywhere");
        let executed = chain.iter().flat_map(|(_, ids)| ids).filter(|id| **id == transaction.id());
        assert_eq!(executed.count(), 1, "exactly once");
    }
}
