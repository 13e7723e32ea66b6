//! What connects the protocol to a machine: thin, and without a decision of consensus in it.

pub mod store;
