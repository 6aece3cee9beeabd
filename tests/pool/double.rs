//! The tool of these tests: it doubles bytes, and otherwise does what a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use toolpool::device::Slot;
use toolpool::error::{Error, Result, Status};
use toolpool::plan::batch::Cut;
use toolpool::tool::{Batch, Identity, Killer, Loaded, Tool, Work};
use toolpool::value::{Dtype, Shape};

/// Doubles each byte of an item. What it costs is its length, its extent as well.
pub struct Double {
    pub identity: Identity,
    pub limits: Cut,
    pub depth: usize,
    /// Bytes that it takes of the memory of a device.
    pub needs: Box<Needs>,
    pub cost: fn(item: &[u8]) -> f64,
    /// Items that fail by themselves, as too long.
    pub refuses: fn(item: &[u8]) -> bool,
    pub load: Box<Load>,
    pub start: Arc<Step>,
    pub collect: Arc<Step>,
    pub killer: Option<Killer>,
    pub loads: AtomicUsize,
}

/// What a slot asks before it loads.
pub type Needs = dyn Fn(&Slot) -> u64 + Send + Sync;

/// Before anything is loaded; what it is told first ends the load, if it is told.
pub type Load = dyn Fn(&Slot, &dyn Fn(Killer)) -> Result<()> + Send + Sync;

/// Before a batch begins or ends on a slot.
pub type Step = dyn Fn(usize, &Batch) -> Result<()> + Send + Sync;

impl Double {
    /// One that only doubles; those of one key share their states.
    pub fn plain(key: &str) -> Self {
        Self {
            identity: Identity::shared(key),
            limits: Cut {
                budget: 200,
                max_items: 16,
            },
            depth: 1,
            needs: Box::new(|_| 0),
            cost: |item| item.len() as f64,
            refuses: |_| false,
            load: Box::new(|_, _| Ok(())),
            start: Arc::new(|_, _| Ok(())),
            collect: Arc::new(|_, _| Ok(())),
            killer: None,
            loads: AtomicUsize::new(0),
        }
    }

    /// One that begins each batch with `start`.
    pub fn new(
        key: &str,
        start: impl Fn(usize, &Batch) -> Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            start: Arc::new(start),
            ..Self::plain(key)
        })
    }

    /// One whose load begins with `load`.
    pub fn loading(
        key: &str,
        load: impl Fn(&Slot, &dyn Fn(Killer)) -> Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            load: Box::new(load),
            ..Self::plain(key)
        })
    }

    /// The limits of one whose batches are single items.
    pub fn one_by_one() -> Cut {
        Cut {
            budget: u64::MAX,
            max_items: 1,
        }
    }

    /// How often it was loaded, or was to be.
    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

impl Tool for Double {
    fn name(&self) -> &str {
        "double"
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn cost(&self, item: &[u8]) -> f64 {
        (self.cost)(item)
    }

    fn extent(&self, item: &[u8]) -> u64 {
        item.len() as u64
    }

    fn limits(&self) -> Cut {
        self.limits
    }

    fn memory(&self, slot: &Slot) -> u64 {
        (self.needs)(slot)
    }

    fn load(&self, slot: &Slot, watch: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        (self.load)(slot, watch)?;
        Ok(Box::new(LoadedDouble {
            slot: slot.number,
            depth: self.depth,
            refuses: self.refuses,
            start: Arc::clone(&self.start),
            collect: Arc::clone(&self.collect),
            killer: self.killer.clone(),
        }))
    }
}

struct LoadedDouble {
    slot: usize,
    depth: usize,
    refuses: fn(&[u8]) -> bool,
    start: Arc<Step>,
    collect: Arc<Step>,
    killer: Option<Killer>,
}

impl Loaded for LoadedDouble {
    fn killer(&self) -> Option<Killer> {
        self.killer.clone()
    }

    fn depth(&self) -> usize {
        self.depth
    }

    fn start(&mut self, work: &mut Work) -> Result<()> {
        (self.start)(self.slot, &work.batch)?;
        for index in 0..work.batch.len() {
            let input = work.batch.bytes(index).unwrap();
            if (self.refuses)(input) {
                let error = Error::new(Status::Item, "too long");
                work.outputs.fail(index, error)?;
                continue;
            }
            let shape = Shape::new(&[input.len() as i64])?;
            let output = work.outputs.alloc(index, "output", Dtype::UInt8, shape)?;
            for (place, byte) in input.iter().enumerate() {
                // SAFETY: `alloc` gave as many bytes as the input has.
                unsafe { output.add(place).write(byte.wrapping_mul(2)) };
            }
        }
        Ok(())
    }

    fn collect(&mut self, work: &mut Work) -> Result<()> {
        (self.collect)(self.slot, &work.batch)
    }

    fn leak(self: Box<Self>) {}
}

/// What comes of an item.
pub fn doubled(input: &[u8]) -> Vec<u8> {
    input.iter().map(|byte| byte.wrapping_mul(2)).collect()
}

/// Whether an item of the batch begins with this byte.
pub fn holds(batch: &Batch, byte: u8) -> bool {
    (0..batch.len()).any(|index| batch.bytes(index).unwrap()[0] == byte)
}

/// The sum of the lengths of its items.
pub fn extent(batch: &Batch) -> usize {
    let items = (0..batch.len()).filter_map(|index| batch.bytes(index));
    items.map(<[u8]>::len).sum()
}
