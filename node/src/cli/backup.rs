//! `backup` and `restore`.
//!
//! A running node gives its backup over HTTP, because its store is its own; the store made from it
//! observes. A stopped node's store is read directly, and with `--final` it is sealed first and the
//! backup may vote. See `host::store::copy` for what is in the file.

use super::client::Access;
use alpenglow_node::host::config::Config;
use alpenglow_node::host::data::{self, DataError};
use alpenglow_node::host::node::Prepared;
use alpenglow_node::host::store::{self, Store, StoreError};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct BackupArgs {
    /// The configuration of the node
    #[arg(long)]
    config: PathBuf,
    /// A new file
    #[arg(long)]
    out: PathBuf,
    /// Seal the store of the stopped node and copy its vote log too: the copy takes its place
    #[arg(long = "final")]
    last: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(clap::Args)]
pub struct RestoreArgs {
    /// The configuration of the node, whose data directory must have no store
    #[arg(long)]
    config: PathBuf,
    /// The backup
    file: PathBuf,
}

pub fn backup(args: &BackupArgs) -> Result<()> {
    let prepared = Prepared::load(Config::load(&args.config)?)?;
    // Before anything is sealed: a place that cannot be written is found out now.
    let unfinished = args.out.with_added_extension("unfinished");
    ensure!(!args.out.exists(), "{} exists already", args.out.display());
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .with_context(|| unfinished.display().to_string())?;
    let mut out = BufWriter::new(file);
    let write = || {
        if args.last {
            write_final(&prepared, &mut out)?;
        } else {
            write_copy(&prepared, &args.access, &mut out)?;
        }
        let file = out.into_inner().context("the backup")?;
        file.sync_all()?;
        Ok(fs::rename(&unfinished, &args.out)?)
    };
    let written: Result<()> = write();
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    let dir = args.out.parent().filter(|dir| !dir.as_os_str().is_empty());
    data::sync_dir(dir.unwrap_or(Path::new(".")))?;
    say!("{}", args.out.display());
    Ok(())
}

/// A copy without the vote log, from the store if the node is stopped and from the node if not.
fn write_copy(prepared: &Prepared, access: &Access, out: &mut dyn Write) -> Result<()> {
    let Config { data: dir, storage, http, .. } = &prepared.config;
    let path = dir.join(data::STORE);
    match Store::inspect(data::backend_to_look_at(&path)?, storage.cache.0) {
        Ok((store, _)) => store.snapshot(false)?.write(out)?,
        Err(StoreError::Busy) => {
            let scheme = if http.tls.is_some() { "https" } else { "http" };
            let mut address = http.listen;
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            let body = access.get(&format!("{scheme}://{address}/backup"))?;
            std::io::copy(&mut body.into_reader(), out)?;
        }
        Err(error) => return Err(DataError::Store { path, error }.into()),
    }
    Ok(())
}

fn write_final(prepared: &Prepared, out: &mut dyn Write) -> Result<()> {
    let Config { data: dir, storage, .. } = &prepared.config;
    let path = dir.join(data::STORE);
    let fail = |error| DataError::Store { path: path.clone(), error };
    let opened = Store::open(data::backend(&path, false)?, &prepared.identity(), storage.cache.0);
    let store = match opened {
        Ok((mut store, restored)) => {
            if !restored.intact {
                bail!(
                    "the vote log is not whole, so a final backup of it could not vote either; \
                     take one without --final"
                );
            }
            store.seal().map_err(fail)?;
            store
        }
        // Sealed before, by a backup that failed later: it may be written again.
        Err(StoreError::Sealed) => {
            let look = data::backend_to_look_at(&path)?;
            Store::inspect(look, storage.cache.0).map_err(fail)?.0
        }
        Err(StoreError::Busy) => bail!("the node is running; stop it for a final backup"),
        Err(error) => return Err(fail(error).into()),
    };
    eprintln!("{} is sealed: no node starts on it again", path.display());
    Ok(store.snapshot(true)?.write(out)?)
}

pub fn restore(args: &RestoreArgs) -> Result<()> {
    let prepared = Prepared::load(Config::load(&args.config)?)?;
    let Config { data: dir, storage, .. } = &prepared.config;
    let file = File::open(&args.file).with_context(|| args.file.display().to_string())?;
    let unfinished = data::prepare_restoration(dir)?;
    let backend = data::backend(&unfinished, true)?;
    let restored = store::restore(&mut BufReader::new(file), backend, storage.cache.0)
        .with_context(|| args.file.display().to_string())?;
    let expected = prepared.identity();
    if restored.identity != expected {
        fs::remove_file(&unfinished)?;
        bail!(StoreError::Foreign { found: restored.identity, expected });
    }
    if restored.whole {
        // Used up before it can be used, so that it is not used twice.
        let used = args.file.with_added_extension("restored");
        fs::rename(&args.file, &used).context("the backup cannot be marked as used")?;
    }
    data::finish_restoration(dir)?;
    let then = if restored.whole { "votes at once" } else { "observes" };
    say!("{} rows restored; the node {then}", restored.rows);
    Ok(())
}
