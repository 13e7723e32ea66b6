//! The command line. One file for each verb; here is what they share.
//!
//! Standard output is what was asked for, standard error everything else. Exit codes: 0 done,
//! 1 failed, 2 bad arguments.

/// One line on standard output. Whoever reads may go away, as `head` does: that is an ending and
/// not a failure.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::print(format_args!($($words)*))
    };
}

mod backup;
mod check;
mod client;
mod dev;
mod files;
mod inspect;
mod run;
mod status;

use clap::{Parser, Subcommand};
use std::io::Write;
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
            eprintln!("alpenglow: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, each once: some of ours tell their cause themselves.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.is_empty() {
            cause
        } else if told.contains(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    })
}

fn print(line: std::fmt::Arguments<'_>) {
    let written = writeln!(std::io::stdout().lock(), "{line}");
    if let Err(error) = written {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("alpenglow: standard output: {error}");
        }
        std::process::exit(i32::from(!gone));
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
