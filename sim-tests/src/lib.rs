//! The simulated world around the Alpenglow node: fault plans, a cluster of real nodes, oracles.
//!
//! | room | what | knows Alpenglow |
//! |---|---|---|
//! | [`plan`] | worlds as TOML, expanded under a seed, with what they promise | a little |
//! | `world` | time, network, disks, clocks; one queue of events | no |
//! | [`trace`] | the fingerprint of a run; what people look at afterwards | only the latter |
//! | [`oracles`] | what must hold | yes |
//! | [`measure`] | how slots, recoveries and transactions went | yes |
//! | `workload` | what clients do | yes |
//! | `cluster` | builds and drives nodes in the world | yes |
//! | `byzantine` | identities that lie | yes |
//! | [`report`] | verdicts, tables, JSON, seed files, pages | yes |

#[cfg(feature = "sim")]
pub mod byzantine;
#[cfg(feature = "sim")]
pub mod cluster;
pub mod measure;
pub mod oracles;
pub mod plan;
pub mod report;
#[cfg(feature = "sim")]
pub mod runner;
#[cfg(feature = "sim")]
pub mod scenario;
pub mod testing;
pub mod trace;
#[cfg(feature = "sim")]
pub mod workload;
#[cfg(feature = "sim")]
pub mod world;
