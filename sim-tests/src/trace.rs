//! What is left of a run when it is over: records from which two runs can be compared, and records
//! that people look at.
//!
//! | file | what |
//! |---|---|
//! | [`fingerprint`] | a rolling hash: the identity of a run |
//! | [`text`] | everything, one line a fact, written while it happens |
//! | [`log`] | a bounded record of what nodes observed, in the kinds of [`kind`] |
//! | [`brief`] | the log as a short text, made for snapshots |
//! | [`chrome`] | the log for Perfetto and other readers of Chrome traces |

pub mod brief;
pub mod chrome;
pub mod fingerprint;
pub mod kind;
pub mod log;
pub mod text;

use crate::oracles::{Scene, Violation};
use std::path::Path;

/// How a trace is written, by the extension of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Every fact, while it happens: any extension but the following.
    Text,
    /// `.brief`: [`brief`].
    Brief,
    /// `.json`: [`chrome`].
    Chrome,
}

impl Format {
    /// By extension.
    pub fn of(path: &Path) -> Format {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Format::Chrome,
            Some("brief") => Format::Brief,
            _ => Format::Text,
        }
    }
}

/// A recorded run, to be written down.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What nodes observed.
    pub log: &'a log::Log,
    /// What is fixed.
    pub scene: &'a Scene,
    /// What is broken.
    pub violations: &'a [Violation],
    /// When the run ended.
    pub end_ns: u64,
}
