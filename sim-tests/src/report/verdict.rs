//! Verdicts and exit codes.
//!
//! | exit | verdict | meaning |
//! |---|---|---|
//! | 0 | pass | all expectations held |
//! | 2 | usage | bad arguments, plan or seed file |
//! | 10 | safety | an O1-O38 oracle was violated |
//! | 11 | liveness | an O40-O50 oracle, or a stall that nothing explains |
//! | 12 | panic | an honest node panicked |
//! | 13 | nondeterminism | two runs of one seed differ |
//! | 14 | expectation | a goal or a gate of the plan was missed |
//!
//! The first violation in virtual time decides; missed expectations count only without one.

use crate::oracles::Violation;
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All expectations held.
    #[default]
    Pass,
    /// Finality was not safe.
    Safety,
    /// The cluster stalled where it must not.
    Liveness,
    /// An honest node panicked.
    Panic,
    /// Two runs of one seed differ.
    Nondeterminism,
    /// A goal or a gate of the plan was missed.
    Expectation,
}

/// Exit code of a bad argument, plan or seed file.
pub const USAGE: u8 = 2;

impl Verdict {
    /// The exit code.
    pub fn exit(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Safety => 10,
            Verdict::Liveness => 11,
            Verdict::Panic => 12,
            Verdict::Nondeterminism => 13,
            Verdict::Expectation => 14,
        }
    }

    /// As printed and stored.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Safety => "safety",
            Verdict::Liveness => "liveness",
            Verdict::Panic => "panic",
            Verdict::Nondeterminism => "nondeterminism",
            Verdict::Expectation => "expectation",
        }
    }

    /// The verdict that a violation gives: `O1` to `O38` are about safety, `O40` to `O50` about
    /// liveness; what is not numbered is an expectation.
    pub fn of(violation: &Violation) -> Verdict {
        match violation.oracle.strip_prefix('O').and_then(|id| id.parse::<u32>().ok()) {
            Some(1..=38) => Verdict::Safety,
            Some(_) => Verdict::Liveness,
            None => Verdict::Expectation,
        }
    }

    /// The verdict of a run with these violations and missed expectations.
    pub fn decide(violations: &[Violation], missed: &[String]) -> Verdict {
        match violations.iter().min_by_key(|violation| violation.at_ns) {
            Some(first) => Verdict::of(first),
            None if missed.is_empty() => Verdict::Pass,
            None => Verdict::Expectation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(oracle: &'static str, at_ns: u64) -> Violation {
        Violation { oracle, at_ns, slot: None, nodes: vec![], detail: String::new() }
    }

    #[test]
    fn the_first_violation_decides() {
        let late_safety = [violation("O47", 5), violation("O1", 9)];
        assert_eq!(Verdict::decide(&late_safety, &[]), Verdict::Liveness);
        let early_safety = [violation("O47", 5), violation("O1", 3)];
        assert_eq!(Verdict::decide(&early_safety, &["x".into()]), Verdict::Safety);
        assert_eq!(Verdict::decide(&[], &["x".into()]), Verdict::Expectation);
        assert_eq!(Verdict::decide(&[], &[]), Verdict::Pass);
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        use Verdict::*;
        let codes = [Pass, Safety, Liveness, Panic, Nondeterminism, Expectation].map(Verdict::exit);
        assert_eq!(codes, [0, 10, 11, 12, 13, 14]);
        assert_eq!(Verdict::of(&violation("O38", 0)), Safety);
        assert_eq!(Verdict::of(&violation("O40", 0)), Liveness);
    }
}
