//! toolpool: a pool of warm workers, one per GPU, that keeps every device of a machine busy on a batch.
//!
//! The C surface in [`ffi`] is the product; `ARCHITECTURE.md` is the map of the house.

pub mod callback;
pub mod device;
pub mod error;
#[allow(non_camel_case_types, clippy::missing_safety_doc)]
// C's names; the header says what is safe.
pub mod ffi;
pub mod log;
pub mod mem;
pub mod plan;
pub mod pool;
pub mod report;
pub mod text;
pub mod tool;
pub mod tools;
pub mod value;
pub mod wire;
