//! `run`: one node, until SIGINT or SIGTERM.

use alpenglow_node::host::config::Config;
use alpenglow_node::host::log;
use alpenglow_node::host::node::{Node, Prepared};
use alpenglow_node::host::runtime::program::{self, Interrupt};
use anyhow::Result;
use std::path::PathBuf;
use std::time::Duration;

/// How often one line says how the node is.
const STATUS_INTERVAL: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    super::end_on_panic();
    let config = Config::load(&args.config)?;
    log::start(&config.log).map_err(anyhow::Error::msg)?;
    let prepared = Prepared::load(config)?;
    program::block_on(serve(prepared))?
}

async fn serve(prepared: Prepared) -> Result<()> {
    let mut interrupt = Interrupt::listen()?;
    let (node, config) = (prepared.me.0, prepared.config.clone());
    let address = prepared.genesis.validators[prepared.me.index()].address;
    let cluster = prepared.committee.cluster();
    let sockets = prepared.bind()?;
    let running = prepared.start(sockets, Box::new(|_, _, _| ())).await?;
    let http = running.http_address();
    tracing::info!(node, %cluster, %address, %http, data = %config.data.display(), "started");
    while !interrupt.arrived_within(STATUS_INTERVAL).await {
        report(&running);
    }
    tracing::info!(node, slot = running.status().height, "stopping");
    running.stop().await;
    Ok(())
}

fn report(running: &Node) {
    let status = running.status();
    tracing::info!(
        node = status.node,
        slot = status.height,
        finalized = status.finalized,
        mode = status.mode,
        ready = status.ready,
        peers = status.peers,
        waiting = status.waiting_transactions,
        "status"
    );
}
