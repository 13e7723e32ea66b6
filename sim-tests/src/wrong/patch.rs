//! Unified diffs that are found by what they say, not by where they say it.
//!
//! The patches in `sim-tests/wrong/` are kept for years while the sources under them move. A line
//! number would be wrong tomorrow, and a tool that goes by the nearest similar lines would some day
//! plant a bug in another place without a word. So a hunk applies where its old lines are, and they
//! must be in the file exactly once; everything else is an error that names patch, file and lines.
//!
//! Each patch is made for the sources as they are, and knows of no other. Together they apply as
//! long as no two change the same lines; what they leave as it is they may share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A patch does not fit the sources any more.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The text is no unified diff.
    #[error(
        "{patch}, line {line}: this is no line of a unified diff\nremedy: make it with diff -u"
    )]
    Format {
        /// The patch.
        patch: String,
        /// Counted from 1.
        line: usize,
    },
    /// The lines that a hunk wants to change are not there, or not only there.
    #[error(
        "{patch} no longer applies to {file}: these lines are there {found} times, not once\n\
         {lines}remedy: look at what they became, and mend the patch"
    )]
    Lines {
        /// The patch.
        patch: String,
        /// The file that it changes.
        file: String,
        /// How often the lines were found.
        found: usize,
        /// The lines.
        lines: String,
    },
    /// A patch makes a file that is there.
    #[error("{patch} makes {file}, which is there already")]
    Exists {
        /// The patch.
        patch: String,
        /// The file.
        file: String,
    },
    /// Two patches change the same lines.
    #[error(
        "{one} and {other} change the same lines of {file}\nremedy: change others in one of them"
    )]
    Overlap {
        /// The file.
        file: String,
        /// A patch.
        one: String,
        /// Another.
        other: String,
    },
    /// A guard is missing: the bug would be planted in every run.
    #[error(
        "{patch} does not ask whether it is planted\nremedy: guard it with planted::is({patch:?})"
    )]
    Unguarded {
        /// The patch.
        patch: String,
    },
}

/// Lines to find, and what changes in them.
#[derive(Default)]
struct Hunk {
    old: String,
    /// Runs of changed lines: where they begin in `old`, how long they are, what replaces them.
    runs: Vec<(usize, usize, String)>,
    /// The last line was a changed one.
    in_run: bool,
}

impl Hunk {
    fn kept(&mut self, line: &str) {
        self.old.push_str(line);
        self.in_run = false;
    }

    fn run(&mut self) -> &mut (usize, usize, String) {
        if !self.in_run {
            self.runs.push((self.old.len(), 0, String::new()));
            self.in_run = true;
        }
        self.runs.last_mut().expect("one was just begun")
    }

    fn removed(&mut self, line: &str) {
        self.run().1 += line.len();
        self.old.push_str(line);
    }

    fn added(&mut self, line: &str) {
        self.run().2.push_str(line);
    }
}

/// The changes of one file.
struct Change {
    file: String,
    makes: bool,
    hunks: Vec<Hunk>,
}

fn parse(patch: &str, text: &str) -> Result<Vec<Change>, Mismatch> {
    let mut changes: Vec<Change> = Vec::new();
    let mut makes = false;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let wrong = || Mismatch::Format { patch: patch.into(), line: number };
        if let Some(old) = line.strip_prefix("--- ") {
            makes = old.trim() == "/dev/null";
        } else if let Some(file) = line.strip_prefix("+++ b/") {
            changes.push(Change { file: file.trim().into(), makes, hunks: Vec::new() });
        } else if line.starts_with("@@ ") {
            changes.last_mut().ok_or_else(wrong)?.hunks.push(Hunk::default());
        } else {
            let hunk = changes.last_mut().and_then(|change| change.hunks.last_mut());
            let hunk = hunk.ok_or_else(wrong)?;
            match line.split_at(1) {
                ("\n", _) => hunk.kept("\n"),
                (" ", line) => hunk.kept(line),
                ("-", line) => hunk.removed(line),
                ("+", line) => hunk.added(line),
                _ => return Err(wrong()),
            }
        }
    }
    Ok(changes)
}

/// Where `lines` begins in `text`, at the beginning of a line; or how often it is there.
fn place(text: &str, lines: &str) -> Result<usize, usize> {
    let at_line = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
    let places: Vec<usize> = text.match_indices(lines).map(|(at, _)| at).filter(at_line).collect();
    match places.as_slice() {
        [place] => Ok(*place),
        _ => Err(places.len()),
    }
}

/// Lines of a source that some patch replaces.
struct Edit {
    at: usize,
    length: usize,
    new: String,
    patch: String,
}

/// A source and what the patches want of it.
struct Source {
    text: String,
    edits: Vec<Edit>,
}

impl Source {
    /// The source with all edits made.
    fn merge(mut self, file: &str) -> Result<String, Mismatch> {
        self.edits.sort_by_key(|edit| (edit.at, edit.length));
        for pair in self.edits.windows(2) {
            if pair[0].at + pair[0].length > pair[1].at {
                let [one, other] = [&pair[0], &pair[1]].map(|edit| edit.patch.clone());
                return Err(Mismatch::Overlap { file: file.into(), one, other });
            }
        }
        for edit in self.edits.iter().rev() {
            self.text.replace_range(edit.at..edit.at + edit.length, &edit.new);
        }
        Ok(self.text)
    }
}

/// Adds what `text`, the patch of this name, wants of the sources that `read` knows by their path.
fn collect(
    patch: &str,
    text: &str,
    sources: &mut BTreeMap<String, Source>,
    read: impl Fn(&str) -> Result<Option<String>, Mismatch>,
) -> Result<(), Mismatch> {
    for Change { file, makes, hunks } in parse(patch, text)? {
        if !sources.contains_key(&file) {
            let known = read(&file)?;
            if makes && known.is_some() {
                return Err(Mismatch::Exists { patch: patch.into(), file });
            }
            let source = Source { text: known.unwrap_or_default(), edits: Vec::new() };
            sources.insert(file.clone(), source);
        }
        let source = sources.get_mut(&file).expect("it was just put there");
        for hunk in hunks {
            let found = if makes { Ok(0) } else { place(&source.text, &hunk.old) };
            let begin = found.map_err(|found| Mismatch::Lines {
                patch: patch.into(),
                file: file.clone(),
                found,
                lines: hunk.old.clone(),
            })?;
            source.edits.extend(hunk.runs.into_iter().map(|(at, length, new)| Edit {
                at: begin + at,
                length,
                new,
                patch: patch.into(),
            }));
        }
    }
    Ok(())
}

/// The patch that puts the selector in; the others ask it.
const SELECTOR: &str = "selector";

/// Everything that the patches of `folder` make of the sources under `root`, by path. `names` are
/// the patches besides the selector, in order.
///
/// # Errors
/// If one does not fit, or would change runs in which it is not planted.
pub fn assemble<'a>(
    root: &Path,
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>, Mismatch> {
    let file = |path: &Path| {
        let error = |error| Mismatch::File { path: path.to_owned(), error };
        std::fs::read_to_string(path).map_err(error)
    };
    let read = |name: &str| {
        let path = root.join(name);
        path.exists().then(|| file(&path)).transpose()
    };
    let mut sources = BTreeMap::new();
    for name in std::iter::once(SELECTOR).chain(names) {
        let text = file(&folder.join(name).with_extension("patch"))?;
        if name != SELECTOR && !text.contains(&format!("planted::is(\"{name}\")")) {
            return Err(Mismatch::Unguarded { patch: name.into() });
        }
        collect(name, &text, &mut sources, read)?;
    }
    merge(sources)
}

fn merge(sources: BTreeMap<String, Source>) -> Result<BTreeMap<String, String>, Mismatch> {
    let merged = |(file, source): (String, Source)| source.merge(&file).map(|text| (file, text));
    sources.into_iter().map(merged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn a() {\n    one();\n}\n\nfn b() {\n    one();\n    two();\n}\n";

    fn both(texts: &[&str]) -> Result<String, String> {
        let read = |name: &str| Ok((name == "src/x.rs").then(|| SOURCE.to_owned()));
        let mut sources = BTreeMap::new();
        for (name, text) in ["bug", "other"].into_iter().zip(texts) {
            collect(name, text, &mut sources, read).map_err(|error| error.to_string())?;
        }
        let merged = merge(sources).map_err(|error| error.to_string())?;
        Ok(merged.into_values().collect())
    }

    fn patched(text: &str) -> Result<String, String> {
        both(&[text])
    }

    #[test]
    fn a_hunk_is_found_by_its_lines() {
        let text = "--- a/src/x.rs\n+++ b/src/x.rs\n@@ -99,2 +99,2 @@\n     one();\n-    two();\n+    three();\n";
        assert_eq!(patched(text).unwrap(), SOURCE.replace("two", "three"));
        let made = "--- /dev/null\n+++ b/src/y.rs\n@@ -0,0 +1,2 @@\n+new\n+\n";
        assert_eq!(patched(made).unwrap(), "new\n\n");
    }

    /// Neither knows what the other makes of the lines that it finds its place by.
    #[test]
    fn patches_share_what_they_do_not_change() {
        let head = "--- a/src/x.rs\n+++ b/src/x.rs\n@@ -1 +1 @@\n";
        let one = format!("{head} fn b() {{\n-    one();\n+    ten();\n     two();\n");
        let two = format!("{head} fn b() {{\n     one();\n     two();\n+    three();\n }}\n");
        let expected =
            SOURCE.replace("{\n    one();\n    two();", "{\n    ten();\n    two();\n    three();");
        assert_eq!(both(&[&one, &two]).unwrap(), expected);
        assert_eq!(both(&[&two, &one]).unwrap(), expected);
        let same = both(&[&one, &one]).unwrap_err();
        assert!(same.contains("bug and other change the same lines of src/x.rs"), "{same}");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let twice = "--- a/src/x.rs\n+++ b/src/x.rs\n@@ -1,1 +1,1 @@\n-    one();\n+    ten();\n";
        let message = patched(twice).unwrap_err();
        assert!(message.contains("bug no longer applies to src/x.rs"), "{message}");
        assert!(message.contains("there 2 times") && message.contains("    one();\n"), "{message}");
        let gone = twice.replace("one", "four");
        assert!(patched(&gone).unwrap_err().contains("there 0 times"));
        let inside = twice.replace("-    one();", "-ne();");
        assert!(patched(&inside).unwrap_err().contains("there 0 times"), "whole lines only");
        let exists = "--- /dev/null\n+++ b/src/x.rs\n@@ -0,0 +1 @@\n+new\n";
        assert!(patched(exists).unwrap_err().contains("is there already"));
        assert!(patched("hello\n").unwrap_err().contains("bug, line 1"));
        assert!(patched(&twice.replace("+    ", "*    ")).unwrap_err().contains("bug, line 5"));
    }
}
