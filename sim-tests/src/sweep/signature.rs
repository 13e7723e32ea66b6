//! Which failures are the same one.
//!
//! Two failing seeds are probably one bug if the same oracle complained in the same words under the
//! same kinds of faults. The words are compared without their numbers, because slots, nodes and
//! hashes differ from run to run. Too fine a signature keeps a few files too many; too coarse a one
//! hides a second bug behind the first, which is worse.

use crate::plan::{Concrete, Nanos};
use crate::report::json::RunReport;
use crate::report::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What failures of one kind share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature {
    /// How the runs ended.
    pub verdict: Verdict,
    /// The oracle of the first violation, or the verdict where no oracle spoke.
    pub oracle: String,
    /// What was broken, in words without numbers.
    pub rule: String,
    /// The kinds of faults that had begun by then, or that it happened without any.
    pub shape: String,
}

impl Signature {
    /// Of a failed run in this world.
    pub fn of(report: &RunReport, plan: &Concrete) -> Signature {
        let first = report.violations.first();
        let (oracle, rule, at) = match first {
            Some(v) => (v.oracle.clone(), words(&v.detail), Nanos((v.at_ms * 1e6) as u64)),
            None => {
                let missed = report.expectations_missed.first();
                let rule = words(missed.map_or("", String::as_str));
                (report.verdict.name().to_owned(), rule, plan.run.duration)
            }
        };
        let begun = plan.faults.iter().filter(|fault| fault.start <= at);
        let kinds: BTreeSet<&str> = begun.map(|fault| fault.effect.name()).collect();
        let shape = match kinds.is_empty() {
            true => "no faults".into(),
            false => kinds.into_iter().collect::<Vec<_>>().join(" + "),
        };
        Signature { verdict: report.verdict, oracle, rule, shape }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}", self.oracle, self.shape, self.rule)
    }
}

/// How large a failing world is: the smallest one is kept.
pub fn size(plan: &Concrete, report: &RunReport) -> (usize, usize, u64) {
    (plan.faults.len(), plan.nodes.len(), report.virtual_ms)
}

/// `text` with every word that holds a digit replaced by `#`, and runs of them by one.
fn words(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        let word = if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word };
        if !(word == "#" && words.last() == Some(&"#")) {
            words.push(word);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_matter_and_words_do() {
        let one = words("n3 voted for 17/ab12 and 17/cd34, in slot 17");
        assert_eq!(one, "# voted for # and # in slot #");
        assert_eq!(one, words("n19 voted for 2/ff00 and 2/0001, in slot 2"));
        assert_ne!(one, words("n3 voted twice for 17/ab12 and 17/cd34, in slot 17"));
        assert_eq!(words("nodes n1 n2 n3 fell back"), words("nodes n7 fell back"));
    }
}
