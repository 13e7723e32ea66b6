//! The host: everything between the pure protocol and the world. Thin; decides nothing.
//!
//! | file | what |
//! |---|---|
//! | [`driver`] | the loop: arrivals -> `step` -> effects; the same in production and simulation |
//! | [`buggify`] | fault points, for the simulator |
//! | [`keys`] | the secret keys of one validator, and signing |
//! | [`net`] | datagrams: authentication and replay protection |
//! | [`store`] | the database: vote log, blocks, ledger, proofs |
//! | [`runtime`] | the seam to tokio: sockets, threads, clock |
//!
//! The world comes in as a value, [`driver::Env`]: production gives sockets, a file and the
//! machine's clock, simulation gives its own network, disk and time to the same driver.

pub mod buggify;
pub mod driver;
pub mod keys;
pub mod net;
pub mod runtime;
pub mod store;
