//! The Alpenglow protocol as a pure function. See [`types`] for the words and [`params`] for the
//! figures.

pub mod consensus;
pub mod params;
pub mod pool;
pub mod rules;
pub mod stake;
pub mod types;
pub mod vote;
pub mod votor;
