//! Fault plans: what a simulated run is, stated before it starts.
//!
//! A simulator that draws its faults while it runs can only say "seed 4711 fails". It cannot say
//! what that run was, take one fault away, or tell whether a stall was owed to the faults or to a
//! bug. So a run is a document, twice:
//!
//! - a [`Plan`] is written by hand, in TOML with units, and may leave things open ("20 % of the
//!   stake"). [`Plan::load`] reads it, with `--set` overrides; mistakes come back as a
//!   [`PlanError`] with the place and a remedy;
//! - [`Plan::expand`] draws what is open under a seed. The result, a [`Concrete`], is a world
//!   without chance: it runs, is printed, is saved with a failure, and is shrunk.
//!
//! From the world alone a [`Budget`] works out what the protocol owes in it: when safety and
//! liveness are promised, why not, and after which heals a bound on recovery applies.
//!
//! ```
//! use sim_tests::plan::{Budget, Nanos, Plan};
//! let text = r#"
//!     about = "Two of five equal nodes stop for good; three are enough."
//!     plan_format = 1
//!     cluster = { nodes = 5, stake = "equal", regions = { one-way = "20ms" } }
//!     run = { duration = "10s", heal_at = "0s" }
//!     fault = [{ kind = "crash", at = "0s", stake = "40%", permanent = true }]
//! "#;
//! let plan = Plan::parse("two-stop", "two-stop.toml", text, &["run.duration=20s".into()])?;
//! let world = plan.expand(7)?;
//! assert_eq!(world.faults[0].nodes.len(), 2);
//! assert_eq!(Budget::of(&world).promised(), [(Nanos(0), None)]);
//! # Ok::<(), sim_tests::plan::PlanError>(())
//! ```
//!
//! This room knows no simulator and no node: only the words of the protocol's model.

mod behaviour;
mod budget;
mod concrete;
mod draw;
mod error;
mod expand;
mod fault;
mod file;
mod pattern;
mod probe;
mod select;
mod settings;
mod shape;
mod source;
mod swarm;
mod units;

pub use behaviour::{BEHAVIOURS, Behaviour, Behaviours};
pub use budget::{Budget, Phase, Reason, Recovery, SLACK_LIMIT};
pub use concrete::{Concrete, Edge, Node};
pub use error::{Excerpt, PlanError};
pub use fault::{CutStyle, DiskCause, Effect, Fault, STRADDLE_SPREAD, straddled};
pub use file::{Clocks, Cluster, Document, FaultRow, PLAN_FORMAT, Plan};
pub use pattern::{Rolling, Shape, TurnBy};
pub use probe::{Probe, SITUATIONS, is_probe, probes};
pub use select::{NodeList, SelectError, Selection, StakeRule};
pub use settings::{
    Bursts, Cpu, CrashMode, Crypto, Disk, Expect, Network, Params, RecoveryGate, Reordering, Run,
    Safety, Workload,
};
pub use shape::{Delay, Map, RegionShape, ShapeError, StakeShape, TOTAL, TRUNCATION};
pub use swarm::Swarm;
pub use units::{Drift, Nanos, Offset, Rate, Share, Size, UnitError, percent};
