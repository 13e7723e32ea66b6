//! The Alpenglow protocol as a pure function. See [`types`] for the words and [`params`] for the
//! figures.

pub mod block;
pub mod blokstor;
pub mod bounded;
pub mod certificate;
pub mod committee;
pub mod consensus;
pub mod event;
pub mod ledger;
pub mod params;
pub mod pool;
pub mod producer;
pub mod repair;
pub mod rotor;
pub mod rules;
pub mod signatures;
pub mod stake;
pub mod types;
pub mod vote;
pub mod votor;
pub mod wire;
