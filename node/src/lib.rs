//! An Alpenglow consensus node.
//!
//! The crate has three rooms. [`crypto`] wraps well-kept primitives. [`protocol`] is the consensus
//! protocol as a pure function of (state, time, input): no clock, no randomness, no I/O, no secret
//! keys. `host` connects that function to sockets, a database and a clock, and is the only room
//! that knows which runtime it runs on: tokio in production, madsim under `--features sim`.
//!
//! Imports go one way: `main -> host -> protocol -> crypto`. `tests/tidy.rs` checks it.

#[cfg(all(feature = "sim", not(madsim)))]
compile_error!(
    "feature `sim` needs `--cfg madsim`. The workspace sets it in .cargo/config.toml, but an \
     environment variable RUSTFLAGS (or CARGO_ENCODED_RUSTFLAGS) replaces that setting, and cargo \
     does not read it when started outside the workspace. Remedy: unset RUSTFLAGS or add \
     `--cfg madsim` to it, and run cargo inside the workspace."
);

pub mod crypto;
#[cfg(feature = "host")]
pub mod host;
pub mod protocol;
