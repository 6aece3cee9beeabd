//! toolpool's torch backend: ESM-2, TorchScript modules and AOTInductor packages on libtorch.
//!
//! The core loads this library when a tool of its kinds is first opened, after it has found and loaded the libtorch
//! that the library was built with, and calls it through the C functions that [`mod@edge`] exports.

mod cpu;
pub mod edge;
pub mod error;
pub mod esm2;
pub mod exchange;
pub mod model;
pub mod place;
mod shared;
mod shelf;
mod shim;
pub mod tool;
