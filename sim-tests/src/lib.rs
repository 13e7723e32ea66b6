//! The simulated world around the Alpenglow node.

pub mod plan;
