//! toolpool: a pool of warm workers, one per GPU, that keeps every device of a machine busy on a batch.
//!
//! The C surface in [`ffi`] is the product; `ARCHITECTURE.md` is the map of the house.

pub mod error;
pub mod value;
