//! Any PyTorch model in a file: a TorchScript module (`.pt`) or an AOTInductor package (`.pt2`).
//!
//! An item has one or more tensors, for inputs of the model by name or by position. Items are put together to batches as
//! the option `batch` says, the model is called once for each batch, and its outputs are split back to the items:
//!
//! | `batch` | inputs of a batch of B items | outputs |
//! | --- | --- | --- |
//! | `stack` | \[B, …\], of items of equal shapes | \[B, …\] |
//! | `pad` | \[B, …\], padded to the longest on one dimension, and a mask \[B, L\] | \[B, …\] |
//! | `pack` | rows one after the other, \[R, …\], and where each item begins, \[B + 1\] | \[R, …\] or \[B, …\] |
//! | `none` | the item's own tensors: one item a call | what the model returns |
//!
//! Outputs are flattened and named: keys of dicts and fields of named tuples by their names, elements of tuples and lists
//! by their positions, joined by dots (`pair.0`); a tensor that stands alone is `output`.

mod archive;
mod assemble;
mod dtype;
mod groups;
pub mod options;
mod spec;
mod split;
mod tool;
mod weights;
mod wiring;

pub use archive::{Format, look};
pub use tool::Tool;
