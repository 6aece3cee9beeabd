//! The rooms of the `toolpool` command, as a library, so that tests, benchmarks and fuzzing reach them.

pub mod error;
pub mod input;
pub mod output;
pub mod rows;
pub mod window;
