//! The command line. One file for each verb; here is what they share.
//!
//! Standard output is what was asked for, standard error everything else. Exit codes: 0 done,
//! 1 failed, 2 bad arguments.

mod backup;
mod check;
mod client;
mod dev;
mod files;
mod inspect;
mod run;
mod status;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// An Alpenglow consensus node.
#[derive(Parser)]
#[command(name = "alpenglow", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a small cluster on this machine with fresh keys, until Ctrl-C
    Dev(dev::Args),
    /// Make a new key with its data directory
    Keygen(files::KeygenArgs),
    /// Make a genesis file, and with --nodes a directory for each node
    Genesis(files::GenesisArgs),
    /// Run one node
    Run(run::Args),
    /// Check everything about a node that can be checked without starting it
    Check(check::Args),
    /// Ask a running node how it is
    Status(status::Args),
    /// Look into the store of a stopped node; nothing is changed
    Inspect(inspect::Args),
    /// Copy the store of a node into one file
    Backup(backup::BackupArgs),
    /// Make a store from such a file
    Restore(backup::RestoreArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Dev(args) => dev::run(&args),
        Verb::Keygen(args) => files::keygen(&args),
        Verb::Genesis(args) => files::genesis(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Backup(args) => backup::backup(&args),
        Verb::Restore(args) => backup::restore(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("alpenglow: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A panic on any thread is a broken invariant of our own: the process ends at once, and what is
/// durable is all that counts.
fn end_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        std::process::exit(101);
    }));
}
