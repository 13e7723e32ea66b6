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
//! | `wrong` | bugs that can be planted, by name | yes |
//! | `worker` `pool` | one run in a process of its own, and many of them at once | no |
//! | `sweep` `corpus` | plans times seeds; the kept failures | no |
//! | `coverage` | what sweeps never reached, and why | names of rules |
//! | `shrink` `diff` `causes` | from a failure to its cause | a few words |

#[cfg(feature = "sim")]
pub mod byzantine;
#[cfg(feature = "sim")]
pub mod causes;
#[cfg(feature = "sim")]
pub mod cluster;
#[cfg(feature = "sim")]
pub mod corpus;
#[cfg(feature = "sim")]
pub mod coverage;
#[cfg(feature = "sim")]
pub mod diff;
pub mod measure;
pub mod oracles;
pub mod plan;
#[cfg(feature = "sim")]
pub mod pool;
pub mod report;
#[cfg(feature = "sim")]
pub mod runner;
#[cfg(feature = "sim")]
pub mod scenario;
#[cfg(feature = "sim")]
pub mod shrink;
#[cfg(feature = "sim")]
pub mod sweep;
#[cfg(feature = "sim")]
pub mod target;
pub mod testing;
pub mod trace;
#[cfg(feature = "sim")]
pub mod worker;
#[cfg(feature = "sim")]
pub mod workload;
#[cfg(feature = "sim")]
pub mod world;
#[cfg(feature = "sim")]
pub mod wrong;
