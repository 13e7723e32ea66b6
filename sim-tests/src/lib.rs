//! The simulated world around the Alpenglow node.

pub mod testing;
pub mod trace;
#[cfg(feature = "sim")]
pub mod world;
