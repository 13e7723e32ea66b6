//! One shape for everything that can be wrong with a plan: where, what, and what to do about it.
//!
//! A plan is written by hand, at night, by someone who wants to try one more fault. An error that
//! says "invalid value" costs that person ten minutes. So each error carries a place (file, line
//! and column, or the `--set` that did it), the offending line with a caret, a sentence that says
//! what is wrong with the numbers in it, and a remedy. Syntax and unknown keys are found by the
//! TOML and serde crates, which report one string; this file turns those strings into the same
//! shape and guesses the key that was meant.

use std::fmt;

/// Why a plan cannot be used. It is a usage error: the program exits with 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PlanError {
    /// `file:line:column`, or `--set path=value`, or the file name alone.
    pub place: String,
    /// The line of the file and where on it the caret goes, if the place is in a file.
    pub excerpt: Option<Excerpt>,
    /// What is wrong, with its numbers.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// A line of the plan file with a marked range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Line number, from 1.
    pub line: usize,
    /// Column of the first marked character, from 1.
    pub column: usize,
    /// How many characters are marked, at least 1.
    pub marked: usize,
    /// The text of the line.
    pub text: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.place, self.what)?;
        if let Some(e) = &self.excerpt {
            writeln!(f, "{:>5} | {}", e.line, e.text)?;
            let (indent, marks) = (e.column - 1, "^".repeat(e.marked));
            writeln!(f, "      | {:indent$}{marks}", "")?;
        }
        write!(f, "remedy: {}", self.remedy)
    }
}

/// What is wrong, and the remedy.
pub(super) type Words = (String, String);

/// Splits what serde or toml reports into (what, remedy). `more` are keys that are legal at this
/// place although serde does not know them.
pub(super) fn explain(message: &str, more: &[&str]) -> Words {
    if let Some((what, remedy)) = message.split_once('\n') {
        return (what.into(), remedy.replace('\n', "; "));
    }
    let ticked = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    if let Some(rest) = message.strip_prefix("unexpected keys in table: ") {
        let (wrong, legal) = rest.split_once(", available keys: ").unwrap_or((rest, ""));
        let wrong = wrong.split(", ").next().unwrap_or(wrong);
        let legal = legal.split(", ").filter(|k| !k.is_empty()).map(str::to_owned).collect();
        return unknown("key", wrong, legal, more);
    }
    for (prefix, noun, more) in
        [("unknown field ", "key", more), ("unknown variant ", "choice", &[][..])]
    {
        if let Some((wrong, legal)) = message.strip_prefix(prefix).and_then(|m| m.split_once(',')) {
            return unknown(noun, wrong.trim_matches('`'), ticked(legal), more);
        }
    }
    if message.starts_with("missing field ") {
        let key = ticked(message).join(".");
        return (format!("the key `{key}` is missing"), format!("add `{key} = ...` here"));
    }
    if let Some((found, expected)) = message.split_once("expected ") {
        let expected = match expected {
            "u8" => "a whole number up to 255",
            "u16" => "a whole number up to 65535",
            "u32" => "a whole number up to 4294967295",
            "u64" => "a whole number",
            other => other,
        };
        return (format!("{found}expected {expected}"), format!("write {expected} here"));
    }
    (message.into(), "compare it with the plans that come with the program".into())
}

/// The error for a name that does not exist among `legal` and `more`.
pub(super) fn unknown(noun: &str, wrong: &str, mut legal: Vec<String>, more: &[&str]) -> Words {
    legal.extend(more.iter().map(|k| (*k).to_owned()));
    let list = legal.join(", ");
    let remedy = match nearest(wrong, &legal) {
        _ if legal.is_empty() => format!("remove it: no {noun} is possible here"),
        Some(meant) => format!("did you mean `{meant}`? Known here: {list}"),
        None => format!("use one of: {list}"),
    };
    (format!("there is no {noun} `{wrong}` here"), remedy)
}

/// The name in `legal` that is at most two edits away from `wrong`, or contains it.
fn nearest<'a>(wrong: &str, legal: &'a [String]) -> Option<&'a str> {
    let same = |a: &str| a.replace('-', "_").to_lowercase();
    let wrong = same(wrong);
    let close = legal.iter().map(|k| (edits(&wrong, &same(k)), k.as_str())).min()?;
    let part = || legal.iter().find(|k| wrong.len() > 2 && same(k).contains(&wrong));
    if close.0 <= 2 && close.0 * 2 <= wrong.len() {
        Some(close.1)
    } else {
        part().map(String::as_str)
    }
}

/// Levenshtein distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance() {
        for (a, b, n) in [("", "", 0), ("heal", "heal", 0), ("hael", "heal", 2), ("a", "abc", 2)] {
            assert_eq!(edits(a, b), n, "{a} {b}");
            assert_eq!(edits(b, a), n, "{b} {a}");
        }
    }

    #[test]
    fn messages_of_serde_become_a_fact_and_a_remedy() {
        let (what, remedy) =
            explain("unknown field `heal-at`, expected `duration` or `heal_at`", &[]);
        assert_eq!(what, "there is no key `heal-at` here");
        assert_eq!(remedy, "did you mean `heal_at`? Known here: duration, heal_at");
        let (what, remedy) = explain("unexpected keys in table: x, available keys: share", &["at"]);
        assert_eq!(what, "there is no key `x` here");
        assert_eq!(remedy, "use one of: share, at");
        assert_eq!(explain("missing field `at`", &[]).1, "add `at = ...` here");
        assert_eq!(explain("fact\nremedy\nmore", &[]), ("fact".into(), "remedy; more".into()));
    }
}
