//! The switch between the bugs that patches make. This is what the product's own build has; in the
//! patched copy of the sources `sim-tests/wrong/selector.patch` puts the real one in its place.

/// Whether this is the program with all patches in it.
pub(super) const PATCHED: bool = false;

/// Plants the bug of this name in the process.
pub(super) fn select(_: &str) {}
