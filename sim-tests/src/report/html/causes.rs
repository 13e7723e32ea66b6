//! The page about the beginning of a failure: the share of failing futures against time.

use super::{COMMON, page};
use serde_json::Value;

pub(super) const SCRIPTS: &[&str] = &[COMMON, include_str!("assets/causes.js")];

/// The page of this data: what `sim causes` knows, with times in milliseconds.
pub fn causes(data: &Value) -> String {
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    page(&format!("causes of {}, seed {}", text("plan"), text("seed")), SCRIPTS, data)
}
