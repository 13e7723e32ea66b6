//! The simulated world around the Alpenglow node.
