//! Seed files: a failure, complete, in one file that needs nothing else.
//!
//! It holds the expanded world inline (never a path, because plans change), the seed, two lines
//! that tell the story, what was found at which commit, and what is expected now: `pass` once the
//! bug is fixed, `fails` only while it is open. At the commit of `found` the fingerprint must be
//! equal; at any other only the verdict counts.

use super::json::RunReport;
use super::verdict::Verdict;
use crate::plan::{Concrete, PlanError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the seed file format.
pub const SEED_FORMAT: u64 = 1;

/// A seed that fits TOML: as an integer up to 2^63 - 1, above as a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub u64);

/// One kept run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedFile {
    /// [`SEED_FORMAT`].
    pub seed_format: u64,
    /// What happened and what was wrong, in two lines.
    pub story: String,
    /// The seed.
    pub seed: Seed,
    /// The wrong node that was planted, by name, if one: the failure is the harness's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
    /// What was found.
    pub found: Found,
    /// What must be found now.
    pub expect: Expected,
    /// The world.
    pub plan: Concrete,
}

/// What was found, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The commit of the program.
    pub commit: String,
    /// The verdict there.
    pub verdict: Verdict,
    /// The oracle of the first violation, if one.
    pub oracle: Option<String>,
    /// The fingerprint there.
    pub fingerprint: String,
    /// Situations reached: if they are no longer reached, the file is stale.
    #[serde(default)]
    pub probes: BTreeMap<String, u64>,
}

impl Found {
    /// True if the same code made another run of it. Code that has been changed since its commit, or
    /// whose commit is not known, is not the same.
    pub fn is_another_run(&self, report: &RunReport) -> bool {
        let named = self.commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        named && report.commit == self.commit && report.fingerprint != self.fingerprint
    }
}

/// What must be found now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// `pass`, or `fails` while the bug is open.
    pub verdict: Expectation,
}

/// Whether the run must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// The bug is fixed.
    Pass,
    /// The bug is open.
    Fails,
}

/// Why a seed file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedFileError {
    /// Not readable.
    #[error("{path}: {error}\nremedy: name a file of seeds/, or one that a failing run wrote")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Not a seed file.
    #[error(
        "{path}: {message}\nremedy: seed files are written by failing runs; do not write them by hand"
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        message: String,
    },
    /// Another version.
    #[error("{path}: this is seed format {found}, and this program reads {SEED_FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The world inside does not hold together.
    #[error("{path}: {error}")]
    Plan {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<PlanError>,
    },
}

impl SeedFile {
    /// Reads and checks a seed file.
    pub fn load(path: &Path) -> Result<SeedFile, SeedFileError> {
        let at = || path.to_owned();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SeedFileError::Read { path: at(), error })?;
        let parse = |error: toml::de::Error| SeedFileError::Parse {
            path: at(),
            message: error.to_string(),
        };
        let table: toml::Table = text.parse().map_err(parse)?;
        if let Some(found) = table.get("seed_format").and_then(|v| v.as_integer())
            && found != SEED_FORMAT as i64
        {
            return Err(SeedFileError::Format { path: at(), found: found as u64 });
        }
        let file: SeedFile = toml::from_str(&text).map_err(parse)?;
        // The world is checked by the same rules as any other.
        Concrete::parse(&path.display().to_string(), &file.plan.to_toml())
            .map_err(|error| SeedFileError::Plan { path: at(), error: Box::new(error) })?;
        Ok(file)
    }

    /// The text of the file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value of a seed file fits TOML")
    }

    /// The name under which a new failure is kept.
    pub fn name(&self) -> String {
        let oracle = self.found.oracle.as_deref().unwrap_or(self.found.verdict.name());
        format!("{}-{}-{}.toml", self.plan.name, oracle.to_lowercase(), self.seed.0)
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(seed) => serializer.serialize_i64(seed),
            Err(_) => serializer.serialize_str(&self.0.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seed, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(seed) => Ok(Seed(seed)),
            Either::Text(text) => text.parse().map(Seed).map_err(serde::de::Error::custom),
        }
    }
}
