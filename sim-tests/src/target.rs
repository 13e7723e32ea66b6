//! What it means that a run still fails: the same oracle, or the same verdict where none spoke.

use crate::report::json::RunReport;
use crate::report::seedfile::Found;
use crate::report::verdict::Verdict;

/// What must fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This oracle finds something.
    Oracle(String),
    /// The run ends with this verdict, without an oracle.
    Verdict(Verdict),
}

impl Target {
    /// What was found.
    pub fn of(found: &Found) -> Target {
        match &found.oracle {
            Some(oracle) => Target::Oracle(oracle.clone()),
            None => Target::Verdict(found.verdict),
        }
    }

    /// Whether this run fails so.
    pub fn fails(&self, report: &RunReport) -> bool {
        match self {
            Target::Oracle(oracle) => report.violations.iter().any(|v| v.oracle == *oracle),
            Target::Verdict(verdict) => report.verdict == *verdict && report.violations.is_empty(),
        }
    }

    /// The oracle after whose finding a run may end early.
    pub fn oracle(&self) -> Option<String> {
        match self {
            Target::Oracle(oracle) => Some(oracle.clone()),
            Target::Verdict(_) => None,
        }
    }
}
