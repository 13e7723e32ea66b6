//! `dev`: a cluster in one process, on loopback, with fresh keys in a temporary directory.
//!
//! Nothing is simulated and nothing is special: the same files, sockets, databases and nodes as in
//! `run`. One process is what makes the printed latency exact: all nodes read one clock, so it
//! counts from the moment the leader hands its last shred to the network.

use super::files::{CONFIG, GENESIS, Place, figures, make_cluster, node_dir};
use alpenglow_node::host::config::{Config, Log, LogFormat};
use alpenglow_node::host::log;
use alpenglow_node::host::metrics::mode_name;
use alpenglow_node::host::node::{Listener, Node, Prepared, Sockets};
use alpenglow_node::host::rpc;
use alpenglow_node::host::runtime::{self, program};
use alpenglow_node::host::view::News;
use alpenglow_node::protocol::block::Transaction;
use alpenglow_node::protocol::bounded::BoundedBytes;
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::types::{Slot, Time};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often lines are printed and transactions made.
const TICK: Duration = Duration::from_millis(10);
/// Slots whose last shred is remembered.
const REMEMBERED: usize = 1_024;

#[derive(clap::Args)]
pub struct Args {
    /// Number of nodes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: u16,
    /// Transactions a second that are made up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    tps: u32,
    /// Stop after so many finalized blocks
    #[arg(long)]
    blocks: Option<u64>,
    /// A genesis parameter, such as block-time=200ms; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// What to log to standard error
    #[arg(long, default_value = "warn")]
    log: String,
}

pub fn run(args: &Args) -> Result<()> {
    log::start(&Log { format: LogFormat::Human, level: args.log.clone() })
        .map_err(anyhow::Error::msg)?;
    let dir = tempfile::Builder::new().prefix("alpenglow-dev-").tempdir()?;
    let result = program::block_on(cluster(args, dir.path()))?;
    dir.close().context("the temporary directory")?;
    result
}

/// Sockets first: the genesis file names their ports.
fn bind(nodes: u16) -> Result<Vec<Sockets>> {
    let local = (Ipv4Addr::LOCALHOST, 0);
    let bind = |_| Ok(Sockets { udp: UdpSocket::bind(local)?, http: TcpListener::bind(local)? });
    (0..nodes).map(bind).collect::<std::io::Result<_>>().context("cannot listen on loopback")
}

async fn cluster(args: &Args, dir: &std::path::Path) -> Result<()> {
    let mut interrupt = program::Interrupt::listen()?;
    let sockets = bind(args.nodes)?;
    let place = |sockets: &Sockets| {
        let (address, http) = (sockets.udp.local_addr()?, sockets.http.local_addr()?);
        Ok(Place { address, http, stake: 1 })
    };
    let places = sockets.iter().map(place).collect::<std::io::Result<Vec<_>>>()?;
    let root = dir.join("cluster");
    make_cluster(&root, figures(&args.set)?, runtime::unix_time(), &places)?;
    let (lines, printed) = channel();
    let sent = Sent::default();
    let mut nodes = Vec::new();
    for (index, sockets) in sockets.into_iter().enumerate() {
        let config = Config::load(&node_dir(&root, index).join(CONFIG))?;
        let lines = (index == 0).then(|| lines.clone());
        let listener = listener(sent.clone(), lines);
        nodes.push(Prepared::load(config)?.start(sockets, listener).await?);
    }
    let urls: Vec<_> = nodes.iter().map(|node| format!("http://{}", node.http_address())).collect();
    eprintln!("{} nodes: {}", nodes.len(), urls.join(" "));
    eprintln!("files: {} ({GENESIS}, node-0, ...), until Ctrl-C", root.display());
    let result = work(args, &nodes, &printed, &mut interrupt).await;
    for node in nodes {
        node.stop().await;
    }
    result
}

/// When the leader of a slot handed its last shred to the network.
type Sent = Arc<Mutex<BTreeMap<Slot, Time>>>;

/// Notes the last slice of every leader; with `lines`, prints what this node delivers.
fn listener(sent: Sent, lines: Option<Sender<String>>) -> Listener {
    Box::new(move |now, event, news| match (event, news) {
        (Event::SliceSigned { slot, last: true, .. }, _) => {
            let mut sent = rpc::lock(&sent);
            sent.insert(*slot, now);
            if sent.len() > REMEMBERED {
                sent.pop_first();
            }
        }
        (Event::Delivered { block, transactions, .. }, Some(News::Delivered(Some(finality)))) => {
            let Some(lines) = &lines else { return };
            let begun = rpc::lock(&sent).get(&block.slot).copied();
            let ms = begun.map_or(0, |begun| finality.at.since(begun).as_millis());
            let (slot, mode, tx) = (block.slot, mode_name(finality.mode), transactions.len());
            let _ = lines.send(format!("slot {slot} finalized {mode} {ms} ms {tx} tx"));
        }
        _ => {}
    })
}

/// Prints and submits until somebody has seen enough.
async fn work(
    args: &Args,
    nodes: &[Node],
    printed: &Receiver<String>,
    interrupt: &mut program::Interrupt,
) -> Result<()> {
    let begun = runtime::monotonic();
    let (mut blocks, mut submitted) = (0, 0_u64);
    while args.blocks.is_none_or(|most| blocks < most) {
        if interrupt.arrived_within(TICK).await {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        for line in printed.try_iter() {
            // Whoever reads has gone away, as `head` does: that is an ending, not an error.
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
            blocks += 1;
            if Some(blocks) == args.blocks {
                return Ok(());
            }
        }
        drop(out);
        let due = runtime::monotonic().since(begun).as_millis() as u64 * u64::from(args.tps) / 1000;
        while submitted < due {
            let node = &nodes[submitted as usize % nodes.len()];
            let valid_until = rpc::lock(node.view()).latest_valid_until();
            let payload = format!("dev transaction {submitted}").into();
            let payload = BoundedBytes::new(payload).expect("a short text");
            node.remote().submit(Transaction { valid_until, payload }).await;
            submitted += 1;
        }
    }
    Ok(())
}
