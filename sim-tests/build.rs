//! Tells the program which commit it was built from, for reports and seed files: `-dirty` behind it
//! says that what a run depends on has been changed since.

use std::path::Path;
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// What decides a run, besides plan and seed.
const CODE: [&str; 7] = [
    "../node/src",
    "../node/Cargo.toml",
    "src",
    "Cargo.toml",
    "../Cargo.toml",
    "../Cargo.lock",
    "../rust-toolchain.toml",
];

fn main() {
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
    if git(&[&["status", "--porcelain", "--"][..], &CODE].concat()).is_some() {
        commit += "-dirty";
    }
    println!("cargo::rustc-env=SIM_COMMIT={commit}");
    for path in CODE.iter().chain(&["build.rs"]) {
        println!("cargo::rerun-if-changed={path}");
    }
    // The log of HEAD grows with every commit and every checkout.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
}
