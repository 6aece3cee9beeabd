//! What a tool is to the pool: something that is loaded once on each slot and maps batches of items to outputs.

use std::any::Any;
use std::sync::{Arc, Weak};

use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::{Field, Input, Items, Outputs};
use crate::plan::batch::Cut;

/// A tool with its options, as one job sees it. Shared by the submitting thread and all workers.
pub trait Tool: Any + Send + Sync {
    /// What to call it in messages.
    fn name(&self) -> &str;

    /// What its loaded states depend on.
    fn identity(&self) -> &Identity;

    /// Estimated work in an item, in any unit.
    fn cost(&self, item: &[u8]) -> f64;

    /// How much of the budget of a batch an item takes.
    fn extent(&self, item: &[u8]) -> u64;

    /// Cost and extent of the item at `position`, for tools that look at more than the bytes of its first field.
    fn measure(&self, items: &Items, position: usize) -> (f64, u64) {
        let first = items.first(position);
        (self.cost(first), self.extent(first))
    }

    /// How large a batch may be.
    fn limits(&self) -> Cut;

    /// How far the budget of a batch may be raised while larger batches are done faster; the budget of
    /// [`Tool::limits`] if it is fixed.
    fn most_budget(&self) -> u64 {
        self.limits().budget
    }

    /// Bytes that a load will take of the memory of the slot's device; 0 if unknown.
    fn memory(&self, _slot: &Slot) -> u64 {
        0
    }

    /// Whether its states share nothing of the memory of a device, so that each counts.
    fn memory_apart(&self) -> bool {
        false
    }

    /// Whether loading it runs a program that came with its source.
    fn runs_code(&self) -> bool {
        false
    }

    /// Loads the tool onto a slot; called on that slot's worker thread, where the result stays. Where the loading can be
    /// ended from another thread, `watch` is told how, before it begins; `load` then fails with [`Status::Crashed`].
    fn load(&self, slot: &Slot, watch: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>>;
}

/// A tool on one slot.
pub trait Loaded {
    /// How many batches may be in flight: begun and not collected.
    fn depth(&self) -> usize {
        1
    }

    /// Begins a batch. On an error the batch is over; else `collect` is called for it, in the order of starts.
    fn start(&mut self, work: &mut Work) -> Result<()>;

    /// Waits until the outputs of a begun batch are written.
    fn collect(&mut self, work: &mut Work) -> Result<()>;

    /// Ends without freeing what is on the device, which is lost.
    fn leak(self: Box<Self>);

    /// Bytes that it takes of the memory of its device; 0 if unknown.
    fn memory(&self) -> u64 {
        0
    }

    /// What ends a call under way, if anything can.
    fn killer(&self) -> Option<Killer> {
        None
    }
}

/// Ends the call under way from another thread: `start` or `collect` then returns soon, with [`Status::Crashed`].
pub type Killer = Arc<dyn Fn() + Send + Sync>;

/// The limits of batches where a tool sets none: 1 MiB of extents, 4,096 items.
pub const DEFAULT_LIMITS: Cut = Cut {
    budget: 1 << 20,
    max_items: 4096,
};

/// Tells whether a state loaded for one tool serves another.
#[derive(Debug, Clone)]
pub struct Identity {
    key: Arc<str>,
    owner: Option<Arc<()>>,
}

impl Identity {
    /// Tools of one key share their loaded states, which are kept for whoever comes next.
    #[must_use]
    pub fn shared(key: &str) -> Self {
        Self {
            key: key.into(),
            owner: None,
        }
    }

    /// States that serve this tool alone and are unloaded after it; `key` must be its own.
    #[must_use]
    pub fn own(key: &str) -> Self {
        Self {
            key: key.into(),
            owner: Some(Arc::default()),
        }
    }

    /// States that live as long as those of this identity, and serve none of its tools.
    #[must_use]
    pub fn apart(&self, prefix: &str) -> Self {
        Self {
            key: format!("{prefix}{}", self.key).into(),
            owner: self.owner.clone(),
        }
    }

    /// The text that identities are compared by.
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Dead once nobody can ask for the state again; `None` if somebody always can.
    #[must_use]
    pub fn owner(&self) -> Option<Weak<()>> {
        self.owner.as_ref().map(Arc::downgrade)
    }
}

/// The items of one call to a tool.
pub struct Batch {
    tool: Arc<dyn Tool>,
    items: Arc<Items>,
    /// Positions in `items`.
    positions: Vec<u32>,
}

impl Batch {
    /// The items at `positions`, for `tool`.
    #[must_use]
    pub fn new(tool: Arc<dyn Tool>, items: Arc<Items>, positions: Vec<u32>) -> Self {
        Self {
            tool,
            items,
            positions,
        }
    }

    /// The tool with the options of the job that the batch belongs to.
    #[must_use]
    pub fn tool(&self) -> &dyn Tool {
        &*self.tool
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The first field of item `index`.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        Some(self.items.first(*self.positions.get(index)? as usize))
    }

    /// The field `name` of item `index`.
    #[must_use]
    pub fn field(&self, index: usize, name: &str) -> Option<&[u8]> {
        let position = *self.positions.get(index)? as usize;
        Some(self.items.field(name)?.get(position))
    }

    /// The fields of its items, in the order in which they were added; they hold other items too.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &Field> {
        self.items.fields()
    }

    /// Where in the fields its items are.
    #[must_use]
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Field `field` of item `index`, as a tensor.
    #[must_use]
    pub fn input(&self, index: usize, field: usize) -> Option<Input<'_>> {
        let position = *self.positions.get(index)? as usize;
        Some(self.fields().nth(field)?.input(position))
    }
}

/// A batch under way, and what comes of it.
pub struct Work {
    /// What goes in.
    pub batch: Batch,
    /// What comes out.
    pub outputs: Outputs,
}

impl Work {
    /// Work that has not begun.
    #[must_use]
    pub fn new(batch: Batch) -> Box<Self> {
        let outputs = Outputs::new(batch.len());
        Box::new(Self { batch, outputs })
    }

    /// Moves the work out, for those who have to own it; what stays has no items.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let Batch { tool, items, .. } = &self.batch;
        let empty = Batch::new(Arc::clone(tool), Arc::clone(items), Vec::new());
        Self {
            batch: std::mem::replace(&mut self.batch, empty),
            outputs: std::mem::replace(&mut self.outputs, Outputs::new(0)),
        }
    }
}

/// Puts a panic in foreign or tool code into words.
#[must_use]
pub fn panic_error(what: &str, panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    Error::new(Status::Internal, format_args!("{what} panicked: {message}"))
}
