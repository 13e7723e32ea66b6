//! What a person, a program and the corpus get to see of a run.

pub mod html;
pub mod json;
pub mod list;
pub mod seedfile;
pub mod table;
pub mod verdict;
