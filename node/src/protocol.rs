//! The Alpenglow protocol as a pure function. See [`types`] for the words and [`params`] for the
//! figures.

pub mod params;
pub mod types;
