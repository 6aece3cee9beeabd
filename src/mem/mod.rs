//! Memory that crosses the boundary: the caller's items with their release, and the outputs that tools write.

mod block;
mod field;
mod items;
mod outputs;
mod results;
mod segment;
mod tensors;

pub use field::{Field, Input, Offsets, Release};
pub use items::Items;
pub use outputs::{Outputs, Part, View};
pub use results::{Column, ELSEWHERE, Finished, Results, Stack};
pub use segment::{Fresh, Segment, Segments, SharedHeap};
pub use tensors::Given;
