//! Fault points: places in host code where something legal and unlikely may happen.
//!
//! A scheduler may wake a task early, a batch may hold less than what has arrived, a completion may
//! be noticed late. On a test machine none of that happens; in production it happens once a month.
//! A fault point asks the environment whether it should happen now. In a simulation the seed
//! decides which points are active in a run, and how often they fire; there is no global state. A
//! build without the feature `sim` compiles the question away.

/// True if the fault point of this name fires now.
macro_rules! buggify {
    ($env:expr, $name:literal) => {
        cfg!(feature = "sim") && $env.buggify($name)
    };
}

pub(crate) use buggify;

/// How much longer than asked something takes at a fault point, in nanoseconds.
pub const LATE_NS: u64 = 1_000_000;
