//! Why liveness is not promised, in words with figures.
//!
//! A reason is a premise of the model that the causes break: too little stake in touch, too many
//! liars, a network that loses or is late, clocks or machines that are beyond what the timeouts
//! cover. A stall that no reason explains is a bug.

use super::SLACK_LIMIT;
use crate::plan::units::{Drift, Nanos, percent};
use std::fmt;

/// A premise of liveness that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Less than 60 % of the stake can act together.
    Reachable {
        /// The stake that can.
        stake: u64,
        /// All stake.
        total: u64,
        /// Labels of the faults that are in force on nodes or links.
        causes: Vec<String>,
    },
    /// 20 % of the stake or more lies in this run.
    Byzantine {
        /// How much.
        stake: u64,
        /// All stake.
        total: u64,
    },
    /// Leaders may make correct nodes reconstruct different blocks of one slot, and too few of
    /// them are in touch to stand that.
    Split {
        /// The stake in touch; it would have to be more than 80 %.
        stake: u64,
        /// All stake.
        total: u64,
        /// Labels of the lies.
        causes: Vec<String>,
    },
    /// The network as such loses or damages messages.
    Lossy {
        /// Which condition, with its figure.
        what: String,
    },
    /// Messages can take longer than Δ.
    Delay {
        /// How long.
        max: Nanos,
        /// Δ.
        delta: Nanos,
    },
    /// A clock is so fast that it gives up before messages can arrive.
    Clock {
        /// How much too fast it runs.
        drift: Drift,
    },
    /// Every node is too slow.
    Slack {
        /// The processing time.
        slack: Nanos,
    },
}

impl fmt::Display for Reason {
    /// Without the time, in which [`super::Budget::explain`] puts it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Reachable { stake, total, .. } => {
                write!(f, "reachable stake {} < 60 %", percent(*stake, *total))
            }
            Reason::Byzantine { stake, total } => {
                write!(f, "byzantine stake {}, not below 20 %", percent(*stake, *total))
            }
            Reason::Split { stake, total, .. } => write!(
                f,
                "leaders split the votes while only {} are correct and in touch",
                percent(*stake, *total)
            ),
            Reason::Lossy { what } => write!(f, "{what}"),
            Reason::Delay { max, delta } => {
                write!(f, "a message can take {max}, longer than delta = {delta}")
            }
            Reason::Clock { drift } => {
                write!(f, "a clock that is {drift} fast shortens delta_timeout to 3 * delta")
            }
            Reason::Slack { slack } => {
                write!(f, "a node may need {slack} of processing, more than {SLACK_LIMIT}")
            }
        }
    }
}

impl Reason {
    /// With the time from `start` to `end` and the causes.
    pub(super) fn during(&self, start: Nanos, end: Option<Nanos>) -> String {
        let start = start.in_seconds();
        let time = match end {
            Some(end) => format!("from {start} to {}", end.in_seconds()),
            None => format!("from {start} on"),
        };
        match self {
            Reason::Reachable { causes, .. } | Reason::Split { causes, .. } => {
                format!("{self} {time}: {}", causes.join(", "))
            }
            Reason::Lossy { .. } | Reason::Byzantine { .. } => format!("{self} {time}"),
            Reason::Delay { .. } | Reason::Clock { .. } | Reason::Slack { .. } => {
                format!("{self}, {time}")
            }
        }
    }
}
