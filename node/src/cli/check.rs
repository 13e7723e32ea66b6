//! `check`: everything that would keep a node from starting well, before it matters.

use alpenglow_node::host::config::Config;
use alpenglow_node::host::data::{self, DataError};
use alpenglow_node::host::http;
use alpenglow_node::host::node::Prepared;
use alpenglow_node::host::runtime::program;
use alpenglow_node::host::store::{Store, StoreError};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let config = Config::load(&args.config)?;
    say!("configuration  ok");
    let prepared = Prepared::load(config)?;
    let committee = &prepared.committee;
    say!(
        "genesis        ok: cluster {}, {} validators, start {}",
        committee.cluster(),
        committee.len(),
        prepared.genesis.start
    );
    let stake = committee.stakes().of(prepared.me);
    let total = committee.stakes().total();
    say!("key            ok: validator {} with stake {stake} of {total}", prepared.me);
    if let Some(tls) = &prepared.config.http.tls {
        program::block_on(http::load_tls(tls))??;
        say!("tls            ok");
    }
    let running = check_store(&prepared)?;
    if running {
        say!("addresses      in use, by the running node");
    } else {
        drop(prepared.bind()?);
        say!("addresses      ok: free");
    }
    Ok(())
}

/// True if another process has the store open.
fn check_store(prepared: &Prepared) -> Result<bool> {
    let dir = &prepared.config.data;
    ensure!(dir.is_dir(), "the data directory {} does not exist", dir.display());
    // A file that can be made is a directory that can be written.
    tempfile::tempfile_in(dir).with_context(|| format!("{} is not writable", dir.display()))?;
    let path = dir.join(data::STORE);
    if !path.exists() {
        match data::is_fresh(dir)? {
            true => {
                say!("data           ok: a key that never voted; the first start makes its store")
            }
            false => say!(
                "data           empty, but not that of a new key: the node would observe and not vote"
            ),
        }
        return Ok(false);
    }
    let opened = Store::inspect(data::backend_to_look_at(&path)?, prepared.config.storage.cache.0);
    let (store, found) = match opened {
        Ok(found) => found,
        Err(StoreError::Busy) => {
            say!("data           in use, by the running node");
            return Ok(true);
        }
        Err(error) => return Err(DataError::Store { path, error }.into()),
    };
    let expected = prepared.identity();
    if found.identity != expected {
        let error = StoreError::Foreign { found: found.identity, expected };
        return Err(DataError::Store { path, error }.into());
    }
    if found.sealed {
        bail!(DataError::Store { path, error: StoreError::Sealed });
    }
    let height = found.restored.tip.map_or(0, |tip| tip.slot.0);
    match store.report().log {
        None => say!("data           ok: height {height}, the node will vote"),
        Some(fault) => {
            say!("data           height {height}, the node will observe: its log is {fault:?}");
        }
    }
    Ok(false)
}
