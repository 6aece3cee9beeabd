//! The tool that returns its input, for bindings, tests and benchmarks.

use crate::device::Slot;
use crate::error::Result;
use crate::plan::batch::Cut;
use crate::tool::{DEFAULT_LIMITS, Identity, Killer, Loaded, Tool, Work};
use crate::value::{Dtype, Shape};

/// Copies the first field of each item to its output `output`: bytes, shape `[length]`. Cost: the length.
pub struct Echo {
    identity: Identity,
}

impl Echo {
    /// The tool.
    #[must_use]
    pub fn new() -> Self {
        Self {
            identity: Identity::shared("echo"),
        }
    }
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

impl Tool for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn cost(&self, item: &[u8]) -> f64 {
        item.len() as f64
    }

    fn extent(&self, item: &[u8]) -> u64 {
        item.len() as u64
    }

    fn limits(&self) -> Cut {
        DEFAULT_LIMITS
    }

    fn load(&self, _: &Slot, _: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedEcho))
    }
}

struct LoadedEcho;

impl Loaded for LoadedEcho {
    fn start(&mut self, work: &mut Work) -> Result<()> {
        let Work { batch, outputs } = work;
        for index in 0..batch.len() {
            let input = batch.bytes(index).unwrap_or_default();
            let shape = Shape::new(&[input.len() as i64])?;
            let output = outputs.alloc(index, "output", Dtype::Bytes, shape)?;
            // SAFETY: `alloc` gave memory of this length that nothing else refers to.
            unsafe { std::ptr::copy_nonoverlapping(input.as_ptr(), output, input.len()) };
        }
        Ok(())
    }

    fn collect(&mut self, _: &mut Work) -> Result<()> {
        Ok(())
    }

    fn leak(self: Box<Self>) {}
}
