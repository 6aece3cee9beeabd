//! The rooms of the `toolpool` command, as a library, so that tests, benchmarks and fuzzing reach them.

pub mod args;
pub mod bench;
pub mod devices;
pub mod embed;
pub mod error;
pub mod fetch;
pub mod gpus;
pub mod hub;
pub mod input;
pub mod output;
pub mod progress;
pub mod rows;
pub mod run;
pub mod stop;
pub mod terminal;
pub mod tool;
pub mod version;
pub mod window;
