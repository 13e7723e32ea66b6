//! `inspect`: what a stopped node has said and delivered, from its store alone.

use alpenglow_node::host::data;
use alpenglow_node::host::store::{Inspection, Store, StoreError};
use alpenglow_node::protocol::ledger::Ledger;
use alpenglow_node::protocol::types::Slot;
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use alpenglow_node::protocol::{Query, Stored};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::PathBuf;

const CACHE_BYTES: usize = 64 << 20;
/// Blocks that are shown to people unless they want all.
const SHOWN: usize = 10;

#[derive(clap::Args)]
pub struct Args {
    /// The directory of a node, or its data directory
    dir: PathBuf,
    /// Everything as JSON
    #[arg(long)]
    json: bool,
    /// Show all blocks, not only the last ones
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Report {
    node: u16,
    cluster: String,
    sealed: bool,
    /// The vote log is whole: a node that starts on this store votes.
    intact: bool,
    log_fault: Option<String>,
    height: u64,
    produced: Option<u64>,
    votes: Vec<VoteReport>,
    blocks: Vec<BlockReport>,
    /// Stored blocks above the height: slot and hash.
    candidates: Vec<(u64, String)>,
    proofs: Vec<ProofReport>,
    /// Certificates above the height.
    certificates: Vec<String>,
}

#[derive(Serialize)]
struct VoteReport {
    slot: u64,
    kind: &'static str,
    hash: Option<String>,
}

#[derive(Serialize)]
struct BlockReport {
    slot: u64,
    hash: String,
    parent_slot: u64,
    /// The ids of the transactions that were executed, in order.
    executed: Vec<String>,
}

#[derive(Serialize)]
struct ProofReport {
    slot: u64,
    hash: Option<String>,
}

fn vote(vote: &Vote) -> VoteReport {
    let kind = match vote.kind {
        VoteKind::Notar(_) => "notar",
        VoteKind::Skip => "skip",
        VoteKind::NotarFallback(_) => "notar-fallback",
        VoteKind::SkipFallback => "skip-fallback",
        VoteKind::Final => "final",
    };
    let hash = vote.block().map(|block| hex::encode(block.hash.0));
    VoteReport { slot: vote.slot.0, kind, hash }
}

/// The delivered chain from its first block, with what each block executed.
fn blocks(store: &Store) -> Result<Vec<BlockReport>, StoreError> {
    let mut ledger = Ledger::default();
    let mut blocks = Vec::new();
    for id in store.ledger(Slot::GENESIS)? {
        let id = id?;
        let Stored::Block(Some(block)) = store.load(Query::Block(id))? else { continue };
        let executed = ledger.deliver(&block);
        blocks.push(BlockReport {
            slot: id.slot.0,
            hash: hex::encode(id.hash.0),
            parent_slot: block.parent().slot.0,
            executed: executed.iter().map(|id| hex::encode(id.0)).collect(),
        });
    }
    Ok(blocks)
}

fn report(store: &Store, found: &Inspection) -> Result<Report, StoreError> {
    let restored = &found.restored;
    let mut proofs = Vec::new();
    for proof in store.proofs(Slot::GENESIS)? {
        let proof = proof?;
        let hash = proof.block().map(|block| hex::encode(block.hash.0));
        proofs.push(ProofReport { slot: proof.slot().0, hash });
    }
    let candidate =
        |id: alpenglow_node::protocol::types::BlockId| (id.slot.0, hex::encode(id.hash.0));
    Ok(Report {
        node: found.identity.node.0,
        cluster: hex::encode(found.identity.cluster.0),
        sealed: found.sealed,
        intact: restored.intact,
        log_fault: store.report().log.map(|fault| format!("{fault:?}")),
        height: restored.tip.map_or(0, |tip| tip.slot.0),
        produced: restored.produced.map(|slot| slot.0),
        votes: store.votes()?.map(|row| Ok(vote(&row?))).collect::<Result<_, StoreError>>()?,
        blocks: blocks(store)?,
        candidates: restored.candidates.iter().map(|block| candidate(block.id())).collect(),
        proofs,
        certificates: restored.certificates.iter().map(|c| format!("{:?}", c.id)).collect(),
    })
}

pub fn run(args: &Args) -> Result<()> {
    let path = data::find_store(&args.dir);
    let opened = Store::inspect(data::backend_to_look_at(&path)?, CACHE_BYTES);
    let (store, found) = match opened {
        Err(StoreError::Busy) => {
            bail!("{}: a running node has it open; ask the node with `status`", path.display())
        }
        opened => opened.with_context(|| path.display().to_string())?,
    };
    let report = report(&store, &found).with_context(|| path.display().to_string())?;
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    print(&report, args.all);
    Ok(())
}

fn print(report: &Report, all: bool) {
    say!("node        {} of cluster {}", report.node, report.cluster);
    let log = match (&report.log_fault, report.sealed) {
        (_, true) => "sealed by a final backup: never starts again".to_owned(),
        (Some(fault), _) => format!("not whole ({fault}): the node observes"),
        (None, _) => "whole: the node votes".to_owned(),
    };
    say!("vote log    {log}");
    say!("height      {}", report.height);
    say!("produced    {}", report.produced.map_or("never".to_owned(), |slot| slot.to_string()));
    say!("proofs      {}", report.proofs.len());
    say!("votes above the height and in its slot: {}", report.votes.len());
    for vote in &report.votes {
        let hash = vote.hash.as_deref().map_or("", |hash| &hash[..8]);
        say!("  slot {:<8} {:<14} {hash}", vote.slot, vote.kind);
    }
    say!("candidates above the height: {}", report.candidates.len());
    for (slot, hash) in &report.candidates {
        say!("  slot {slot:<8} {}", &hash[..8]);
    }
    say!("certificates above the height: {}", report.certificates.len());
    for certificate in &report.certificates {
        say!("  {certificate}");
    }
    let skip = if all { 0 } else { report.blocks.len().saturating_sub(SHOWN) };
    say!("blocks      {}, of which {skip} are not shown", report.blocks.len());
    for block in &report.blocks[skip..] {
        let (hash, tx) = (&block.hash[..8], block.executed.len());
        say!("  slot {:<8} {hash} on slot {:<8} {tx} tx", block.slot, block.parent_slot);
    }
}
