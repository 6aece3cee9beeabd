use std::collections::{HashMap, VecDeque};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Instant;

use toolpool::device::Slot;
use toolpool::error::{Error, Result, Status};
use toolpool::mem::Outputs;
use toolpool::plan::batch::Cut;
use toolpool::tool::{Batch, Identity, Killer, Loaded, Tool, Work};
use toolpool::value::{Dtype, Shape};

use crate::item::{Item, Nature};
use crate::world::{State, World};

/// The name of the output.
pub const OUTPUT: &str = "value";

/// What a slot says of itself that fails everything.
pub(crate) const BROKEN: &str = "does nothing any more";

/// What a tool is like.
#[derive(Debug, Clone)]
pub struct ToolPlan {
    /// How large a batch may be.
    pub limits: Cut,
    /// How many batches may be in flight on a slot.
    pub depth: usize,
    /// Slots where loading it is not all well.
    pub loads: HashMap<usize, LoadPlan>,
    /// How often others have their turn before a load is done.
    pub slow: usize,
    /// Bytes that it takes of the memory that the pool may use, once loaded.
    pub memory: u64,
    /// Its states on one device share nothing.
    pub apart: bool,
    /// It can be killed, as a tool in a process of its own.
    pub killable: bool,
}

/// What goes wrong in the loads of a tool on a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadPlan {
    /// It cannot be loaded there.
    Unfit,
    /// So many fail in this way, and then no more.
    Flaky(Status, u32),
    /// They do not come back, until the test says so.
    Hangs,
}

impl Default for ToolPlan {
    /// Any batches, one after the other, and nothing goes wrong.
    fn default() -> Self {
        Self {
            limits: Cut {
                budget: u64::MAX,
                max_items: usize::MAX,
            },
            depth: 1,
            loads: HashMap::new(),
            slow: 0,
            memory: 0,
            apart: false,
            killable: false,
        }
    }
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

    fn memory_apart(&self) -> bool {
        self.plan.apart
    }

    fn load(&self, slot: &Slot, watch: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        let (world, slot) = (&self.world, slot.number);
        let state = State {
            tool: self.name.clone(),
            slot,
            bytes: self.plan.memory,
            apart: self.plan.apart,
        };
        let process = self.plan.killable.then(|| Process::new(world));
        if let Some(process) = &process {
            watch(process.killer());
        }
        world.loading(&state);
        if let Err(error) = self.try_to_load(slot, process.as_ref()) {
            world.unloading(&state);
            return Err(error);
        }
        world.truth().loads += 1;
        Ok(Box::new(LoadedSimulated {
            world: Arc::clone(world),
            slot,
            depth: self.plan.depth,
            thread: thread::current().id(),
            begun: VecDeque::new(),
            idle: Instant::now(),
            leaked: false,
            process,
            state,
        }))
    }
}

impl Simulated {
    fn try_to_load(&self, slot: usize, process: Option<&Process>) -> Result<()> {
        let world = &self.world;
        (0..self.plan.slow).for_each(|_| thread::yield_now());
        let due = world.due(Instant::now(), world.machine(slot).load);
        world.wait_until(due);
        let tries = world.truth().tries[&(self.name.clone(), slot)];
        match self.plan.loads.get(&slot) {
            Some(LoadPlan::Unfit) => {
                let why = format!("{} cannot be loaded on slot {slot}", self.name);
                return Err(Error::new(Status::Tool, why));
            }
            Some(&LoadPlan::Flaky(status, times)) if tries <= times => {
                return Err(Error::new(status, "the load was unlucky"));
            }
            Some(LoadPlan::Hangs) => world.hang(slot, killed(process).unwrap_or(&IMMORTAL)),
            _ => {}
        }
        check_alive(process)?;
        if world.truth().lost.contains(&slot) {
            return Err(Error::new(Status::DeviceLost, "fell off the bus before"));
        }
        Ok(())
    }
}

/// What a tool runs in that can be killed.
struct Process {
    world: Arc<World>,
    killed: Arc<AtomicBool>,
}

/// Of what cannot be killed.
static IMMORTAL: AtomicBool = AtomicBool::new(false);

impl Process {
    fn new(world: &Arc<World>) -> Self {
        Self {
            world: Arc::clone(world),
            killed: Arc::default(),
        }
    }

    fn killer(&self) -> Killer {
        let (world, killed) = (Arc::clone(&self.world), Arc::clone(&self.killed));
        Arc::new(move || world.kill(&killed))
    }
}

fn killed(process: Option<&Process>) -> Option<&AtomicBool> {
    process.map(|process| &*process.killed)
}

fn check_alive(process: Option<&Process>) -> Result<()> {
    match killed(process) {
        Some(killed) if killed.load(Ordering::SeqCst) => {
            Err(Error::new(Status::Crashed, "the process was killed"))
        }
        _ => Ok(()),
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
    process: Option<Process>,
    state: State,
}

struct Begun {
    items: Vec<Item>,
    size: u64,
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
        let items = items(&work.batch)?;
        let begun = Begun {
            size: items.iter().map(|item| u64::from(item.size)).sum(),
            items,
            at: now,
            due: now,
        };
        let held = {
            let mut truth = self.world.truth();
            let held = truth.held(self.slot);
            truth.begin(self.slot, &begun.numbers(), begun.size);
            held
        };
        if let Some(wrong) = self.wrong_at_start(&begun, held) {
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
        let wrong = self.wrong_in_items(&begun.items, true);
        match wrong.or_else(|| self.wrong_by_others()) {
            Some(wrong) => self.fail(&begun, wrong),
            None => {
                self.end(&begun);
                self.write(&begun.items, &mut work.outputs)
            }
        }
    }

    fn leak(mut self: Box<Self>) {
        self.check_thread("leak");
        self.leaked = true;
    }

    fn killer(&self) -> Option<Killer> {
        self.process.as_ref().map(Process::killer)
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
        truth.end(self.slot, &begun.numbers(), begun.size);
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

    /// `held` is what of the memory was taken before.
    fn wrong_at_start(&self, begun: &Begun, held: u64) -> Option<Wrong> {
        let machine = self.world.machine(self.slot);
        let batches = self.world.truth().batches[self.slot];
        let after = |after: Option<u64>| after.is_some_and(|after| batches > after);
        if after(machine.lost_after) {
            return Some(self.lose("fell off the bus"));
        }
        if let Some(wrong) = self.wrong_by_others() {
            self.world
                .truth()
                .begun_too_late(self.slot, &begun.numbers());
            return Some(wrong);
        }
        if after(machine.broken_after) {
            let why = format!("slot {} {BROKEN}", self.slot);
            return Some(Wrong::Error(Error::new(Status::Failed, why)));
        }
        if begun.size.saturating_add(held) > machine.memory {
            let why = format!(
                "{} does not fit into the {} of slot {} beside {held}",
                begun.size, machine.memory, self.slot
            );
            return Some(Wrong::Error(Error::new(Status::OutOfMemory, why)));
        }
        self.wrong_in_items(&begun.items, false)
    }

    /// Another slot has lost the device, or somebody killed the process.
    fn wrong_by_others(&self) -> Option<Wrong> {
        if self.world.truth().lost.contains(&self.slot) {
            let error = Error::new(Status::DeviceLost, "fell off the bus with another slot");
            return Some(Wrong::Error(error));
        }
        check_alive(self.process.as_ref()).err().map(Wrong::Error)
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
            Nature::Hangs => {
                let killed = killed(self.process.as_ref());
                self.world.hang(self.slot, killed.unwrap_or(&IMMORTAL));
                if let Err(error) = check_alive(self.process.as_ref()) {
                    return Some(Wrong::Error(error));
                }
            }
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

    fn write(&self, items: &[Item], outputs: &mut Outputs) -> Result<()> {
        for (index, item) in items.iter().enumerate() {
            match item.nature {
                Nature::Silent => {}
                Nature::Fails => outputs.fail(
                    index,
                    Error::new(Status::Item, format!("item {} fails", item.number)),
                )?,
                Nature::Unlucky(times) if self.begun(item) <= u64::from(times) => outputs.fail(
                    index,
                    Error::new(
                        Status::Transient,
                        format!("item {} was unlucky", item.number),
                    ),
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
}

impl Drop for LoadedSimulated {
    fn drop(&mut self) {
        if !self.leaked {
            self.check_thread("unload");
        }
        if !self.leaked {
            self.world.unloading(&self.state);
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
