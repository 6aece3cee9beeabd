//! `isolation = process`: a tool whose loads and batches run in a child process of each worker, so that what kills a
//! process kills that one.
//!
//! The parent keeps the tool itself too, for what is cheap and must be known at once: options, costs, limits. A child is
//! the executable `toolpool-worker`, started anew and never forked, so that it has no lock, thread or CUDA context of
//! its parent. It opens the same tool by kind, source and options, and ends with its worker.
//!
//! Items are copied once into memory that both see (`inputs`). The tool writes its outputs into such memory too, and the
//! blocks that it wrote are those that the results keep (`mem::SharedHeap`, `Outputs::hand_over`): where each row lies is
//! told over a socket (`message`, `link`), and is checked. What a row *holds* a child could still change: it lets go of
//! large blocks when it hands them over, but small ones share segments, and a defect that writes anywhere in its memory
//! may reach those of the current one.

mod child;
mod inputs;
mod link;
mod loaded;
mod message;
mod serve;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use message::Recipe;
pub use serve::serve;

use crate::device::Slot;
use crate::error::Result;
use crate::mem::Items;
use crate::plan::batch::Cut;
use crate::tool::{Identity, Killer, Loaded, Tool};
use loaded::LoadedInChild;

/// A tool that is loaded and run in child processes.
pub struct Isolated {
    /// What children know it by.
    id: u64,
    recipe: Arc<Recipe>,
    plain: Arc<dyn Tool>,
    identity: Identity,
}

impl Isolated {
    /// The tool that `recipe` makes, which here is `plain`.
    pub fn new(plain: Arc<dyn Tool>, recipe: Recipe) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        recipe.check_size()?;
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            recipe: Arc::new(recipe),
            identity: plain.identity().apart("process:"),
            plain,
        })
    }
}

impl Tool for Isolated {
    fn name(&self) -> &str {
        self.plain.name()
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn cost(&self, item: &[u8]) -> f64 {
        self.plain.cost(item)
    }

    fn extent(&self, item: &[u8]) -> u64 {
        self.plain.extent(item)
    }

    fn measure(&self, items: &Items, position: usize) -> (f64, u64) {
        self.plain.measure(items, position)
    }

    fn limits(&self) -> Cut {
        self.plain.limits()
    }

    fn most_budget(&self) -> u64 {
        self.plain.most_budget()
    }

    fn memory(&self, slot: &Slot) -> u64 {
        self.plain.memory(slot)
    }

    fn runs_code(&self) -> bool {
        self.plain.runs_code()
    }

    /// Each worker has a process of its own.
    fn memory_apart(&self) -> bool {
        true
    }

    fn load(&self, slot: &Slot, watch: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedInChild::new(self, slot, watch)?))
    }
}
