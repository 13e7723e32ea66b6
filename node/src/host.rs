//! The host: everything between the pure protocol and the world. Thin; decides nothing.
//!
//! | file | what |
//! |---|---|
//! | [`driver`] | the loop: arrivals -> `step` -> effects; the same in production and simulation |
//! | [`buggify`] | fault points, for the simulator |
//! | [`keys`] | the secret keys of one validator, and signing |
//! | [`net`] | datagrams: authentication, replay protection, limits and queues per peer |
//! | [`verify`] | signature checks: what waits, what goes together, who is charged |
//! | [`store`] | the database: vote log, blocks, ledger, proofs |
//! | [`runtime`] | the seam to tokio: sockets, threads, clock |
//!
//! Around them, for the program `alpenglow` (feature `program`):
//!
//! | file | what |
//! |---|---|
//! | [`node`] | a whole node from its files |
//! | [`config`], [`genesis`], [`keys::file`], [`units`] | those files |
//! | [`data`] | the data directory |
//! | [`view`], [`book`] | what a node knows of itself, folded from its events |
//! | [`metrics`], [`log`] | what others get to see of it |
//! | [`rpc`], [`http`] | questions and transactions of clients |
//!
//! The world comes in as a value, [`driver::Env`]: production gives sockets, a file and the
//! machine's clock, simulation gives its own network, disk and time to the same driver.

#[cfg(feature = "program")]
pub mod book;
pub mod buggify;
#[cfg(feature = "program")]
pub mod config;
#[cfg(feature = "program")]
pub mod data;
pub mod driver;
#[cfg(feature = "program")]
pub mod genesis;
#[cfg(feature = "program")]
pub mod http;
pub mod keys;
#[cfg(feature = "program")]
pub mod log;
#[cfg(feature = "program")]
pub mod metrics;
pub mod net;
#[cfg(feature = "program")]
pub mod node;
#[cfg(feature = "program")]
pub mod rpc;
pub mod runtime;
pub mod store;
#[cfg(feature = "program")]
pub mod units;
pub mod verify;
#[cfg(feature = "program")]
pub mod view;
