use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Instant;

use toolpool::device::Slot;
use toolpool::error::{Error, Result, Status};
use toolpool::mem::Outputs;
use toolpool::plan::batch::Cut;
use toolpool::tool::{Batch, Identity, Killer, Loaded, Tool, Work};
use toolpool::value::{Dtype, Shape};

use crate::item::{Item, Nature};
use crate::world::World;

/// The name of the output.
pub const OUTPUT: &str = "value";

/// What a tool is like.
#[derive(Debug, Clone)]
pub struct ToolPlan {
    /// How large a batch may be.
    pub limits: Cut,
    /// How many batches may be in flight on a slot.
    pub depth: usize,
    /// Slots where it cannot be loaded.
    pub unfit: Vec<usize>,
    /// Bytes that it takes of the memory that the pool may use, once loaded.
    pub memory: u64,
}

/// A tool that takes [`Item`]s as its input, and does what they say in a [`World`].
pub struct Simulated {
    name: String,
    world: Arc<World>,
    plan: ToolPlan,
    identity: Identity,
}

impl Simulated {
    /// A tool; those of one name share their states.
    pub fn new(name: &str, world: &Arc<World>, plan: ToolPlan) -> Self {
        Self {
            name: name.into(),
            world: Arc::clone(world),
            plan,
            identity: Identity::shared(name),
        }
    }
}

impl Tool for Simulated {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn cost(&self, item: &[u8]) -> f64 {
        Item::of(item).map_or(f64::NAN, |item| item.told)
    }

    fn extent(&self, item: &[u8]) -> u64 {
        Item::of(item).map_or(0, |item| u64::from(item.size))
    }

    fn limits(&self) -> Cut {
        self.plan.limits
    }

    fn memory(&self, _: &Slot) -> u64 {
        self.plan.memory
    }

    fn load(&self, slot: &Slot, _: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        let (world, slot) = (&self.world, slot.number);
        let due = world.due(Instant::now(), world.machine(slot).load);
        world.wait_until(due);
        let mut truth = world.truth();
        if truth.lost.contains(&slot) {
            return Err(Error::new(Status::DeviceLost, "fell off the bus before"));
        }
        if self.plan.unfit.contains(&slot) {
            let why = format!("{} cannot be loaded on slot {slot}", self.name);
            return Err(Error::new(Status::Tool, why));
        }
        truth.loads += 1;
        Ok(Box::new(LoadedSimulated {
            world: Arc::clone(world),
            slot,
            depth: self.plan.depth,
            thread: thread::current().id(),
            begun: VecDeque::new(),
            idle: Instant::now(),
            leaked: false,
        }))
    }
}

struct LoadedSimulated {
    world: Arc<World>,
    slot: usize,
    depth: usize,
    /// Where it was loaded: all else happens there.
    thread: ThreadId,
    begun: VecDeque<Begun>,
    /// When the machine is done with what has begun.
    idle: Instant,
    leaked: bool,
}

struct Begun {
    items: Vec<Item>,
    at: Instant,
    due: Instant,
}

/// What goes wrong in a batch as a whole.
enum Wrong {
    Error(Error),
    Panic(String),
}

impl Loaded for LoadedSimulated {
    fn depth(&self) -> usize {
        self.depth
    }

    fn start(&mut self, work: &mut Work) -> Result<()> {
        self.check_thread("start");
        let now = Instant::now();
        let begun = Begun {
            items: items(&work.batch)?,
            at: now,
            due: now,
        };
        self.world.truth().begin(self.slot, &begun.numbers());
        if let Some(wrong) = self.wrong_at_start(&begun.items) {
            return self.fail(&begun, wrong);
        }
        let seconds = begun.items.iter().map(|item| item.work).sum::<f64>();
        let speed = self.world.machine(self.slot).speed;
        self.idle = self.world.due(begun.due.max(self.idle), seconds / speed);
        self.begun.push_back(Begun {
            due: self.idle,
            ..begun
        });
        Ok(())
    }

    fn collect(&mut self, work: &mut Work) -> Result<()> {
        self.check_thread("collect");
        let Some(begun) = self.begun.pop_front() else {
            let wrong = format!(
                "slot {}: a batch was collected that had not begun",
                self.slot
            );
            self.world.truth().wrongs.push(wrong.clone());
            return Err(Error::new(Status::Failed, wrong));
        };
        self.world.wait_until(begun.due);
        match self.wrong_in_items(&begun.items, true) {
            Some(wrong) => self.fail(&begun, wrong),
            None => {
                self.end(&begun);
                write(&begun.items, &mut work.outputs)
            }
        }
    }

    fn leak(mut self: Box<Self>) {
        self.check_thread("leak");
        self.leaked = true;
    }
}

impl LoadedSimulated {
    fn check_thread(&self, what: &str) {
        if thread::current().id() != self.thread {
            let wrong = format!("slot {}: {what} on another thread than load", self.slot);
            self.world.truth().wrongs.push(wrong);
        }
    }

    fn end(&self, begun: &Begun) {
        let mut truth = self.world.truth();
        truth.end(self.slot, &begun.numbers());
        if !truth.hung.contains(&self.slot) {
            truth.longest_batch = truth.longest_batch.max(begun.at.elapsed());
        }
    }

    fn fail(&self, begun: &Begun, wrong: Wrong) -> Result<()> {
        self.end(begun);
        match wrong {
            Wrong::Error(error) => Err(error),
            // As `panic!` does, without a line on stderr.
            Wrong::Panic(message) => resume_unwind(Box::new(message)),
        }
    }

    fn wrong_at_start(&self, items: &[Item]) -> Option<Wrong> {
        let machine = self.world.machine(self.slot);
        let batches = self.world.truth().batches[self.slot];
        if machine.lost_after.is_some_and(|after| batches > after) {
            return Some(self.lose("fell off the bus"));
        }
        let size: u64 = items.iter().map(|item| u64::from(item.size)).sum();
        if size > machine.memory {
            let why = format!(
                "{size} does not fit into the {} of slot {}",
                machine.memory, self.slot
            );
            return Some(Wrong::Error(Error::new(Status::OutOfMemory, why)));
        }
        self.wrong_in_items(items, false)
    }

    fn wrong_in_items(&self, items: &[Item], late: bool) -> Option<Wrong> {
        let mut items = items.iter().filter(|item| item.late == late);
        items.find_map(|item| self.wrong_in(item))
    }

    fn wrong_in(&self, item: &Item) -> Option<Wrong> {
        let (status, message) = item.batch_error(self.begun(item))?;
        match item.nature {
            Nature::Panics => return Some(Wrong::Panic(message)),
            Nature::KillsDevice => return Some(self.lose(&message)),
            Nature::Hangs => self.world.hang(self.slot),
            _ => {}
        }
        Some(Wrong::Error(Error::new(status, message)))
    }

    fn begun(&self, item: &Item) -> u64 {
        self.world.truth().begun[&item.number]
    }

    fn lose(&self, why: &str) -> Wrong {
        self.world.truth().lose(self.slot);
        Wrong::Error(Error::new(Status::DeviceLost, why))
    }
}

impl Drop for LoadedSimulated {
    fn drop(&mut self) {
        if !self.leaked {
            self.check_thread("unload");
        }
        self.world.unloaded(self.leaked);
    }
}

impl Begun {
    fn numbers(&self) -> Vec<u64> {
        self.items.iter().map(|item| item.number).collect()
    }
}

fn items(batch: &Batch) -> Result<Vec<Item>> {
    let item = |index| Item::of(batch.bytes(index)?);
    (0..batch.len())
        .map(|index| item(index).ok_or_else(|| Error::new(Status::Item, "these bytes are no item")))
        .collect()
}

fn write(items: &[Item], outputs: &mut Outputs) -> Result<()> {
    for (index, item) in items.iter().enumerate() {
        match item.nature {
            Nature::Silent => {}
            Nature::Fails => outputs.fail(
                index,
                Error::new(Status::Item, format!("item {} fails", item.number)),
            )?,
            _ => {
                let value = item.value();
                let shape = Shape::new(&[value.len() as i64])?;
                let row = outputs.alloc(index, OUTPUT, Dtype::UInt8, shape)?;
                // SAFETY: `alloc` gave as many bytes as the value has.
                unsafe { row.copy_from_nonoverlapping(value.as_ptr(), value.len()) };
            }
        }
    }
    Ok(())
}
