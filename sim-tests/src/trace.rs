//! What is left of a run when it is over: records from which two runs can be compared.

pub mod fingerprint;
pub mod text;
