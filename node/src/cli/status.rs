//! `status`: how a running node is, for people and (`--json`) for programs.

use super::client::Access;
use alpenglow_node::host::view::Status;
use anyhow::{Context, Result};

#[derive(clap::Args)]
pub struct Args {
    /// Where the node serves HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8899")]
    rpc: String,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

pub fn run(args: &Args) -> Result<()> {
    let url = format!("{}/status", args.rpc.trim_end_matches('/'));
    let text = args.access.get(&url)?.read_to_string()?;
    if args.json {
        say!("{text}");
        return Ok(());
    }
    let status: Status = serde_json::from_str(&text).with_context(|| url.clone())?;
    say!("node       {} of {} in cluster {}", status.node, status.validators, status.cluster);
    say!("mode       {}", status.mode);
    say!("ready      {}", status.not_ready.as_deref().unwrap_or("yes"));
    if let Some(slot) = status.votes_again_at {
        say!("votes      after a restart above height {slot}");
    }
    say!("height     {}", status.height);
    let ago = status.since_finalized_ms;
    say!("finalized  {}, {}.{} s ago", status.finalized, ago / 1000, ago / 100 % 10);
    say!("lag        {} slots", status.lag);
    say!(
        "peers      {} of {} validators present, with {}.{} % of the stake",
        status.peers,
        status.validators,
        status.present_stake_permille / 10,
        status.present_stake_permille % 10
    );
    say!("waiting    {} transactions", status.waiting_transactions);
    say!("uptime     {} s, version {}", status.uptime_ms / 1000, status.version);
    Ok(())
}
