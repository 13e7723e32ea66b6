//! Thin wrappers over well-kept cryptography crates.

pub mod hash;

pub use hash::Hash;
