//! One warm thread, bound to one slot.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use super::job::Job;
use super::queue::{Asking, Queue, Task};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::log::{Level, log};
use crate::mem::Part;
use crate::tool::{Loaded, Tool, Work, panic_error};

/// Starts the worker of a slot.
pub fn spawn(queue: Arc<Queue>, slot: Slot) -> std::io::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(format!("toolpool-{}", slot.number));
    // Signals are for the threads of the host program. A thread inherits what its maker blocks.
    let mut blocked = SigSet::all();
    for fault in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
        Signal::SIGSYS,
    ] {
        blocked.remove(fault);
    }
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let spawned = thread.spawn(move || {
        let lost = {
            let mut worker = Worker::new(&queue, &slot);
            let served = catch_unwind(AssertUnwindSafe(|| worker.serve()));
            served.unwrap_or_else(|panic| {
                let error = panic_error("a worker", &*panic);
                worker.abandon(&error);
                Some(error)
            })
        };
        if let Some(error) = lost {
            log(Level::Error, &format!("{slot} is lost: {error}"));
            queue.lose(slot.number, &error);
        }
    });
    before.thread_set_mask()?;
    spawned
}

struct Worker<'a> {
    queue: &'a Queue,
    slot: &'a Slot,
    /// Loaded tools, by the key of their identity.
    warm: HashMap<Arc<str>, Warm>,
    /// Batches begun and not collected, oldest first.
    flying: VecDeque<Flight>,
    /// How many calls of `Queue::sweep` it has answered.
    sweeps: u64,
}

/// A tool on this slot.
struct Warm {
    loaded: Box<dyn Loaded>,
    /// Dead once nobody can ask for it again.
    owner: Option<Weak<()>>,
    /// The budget of a batch, as far as memory was found to allow.
    budget: u64,
}

struct Flight {
    job: Arc<Job>,
    uniques: Vec<u32>,
    work: Box<Work>,
    key: Arc<str>,
}

impl<'a> Worker<'a> {
    fn new(queue: &'a Queue, slot: &'a Slot) -> Self {
        Self {
            queue,
            slot,
            warm: HashMap::new(),
            flying: VecDeque::new(),
            sweeps: 0,
        }
    }

    /// Works until the pool closes, or returns why this slot can not go on.
    fn serve(&mut self) -> Option<Error> {
        loop {
            self.sweep();
            let wait = self.flying.is_empty();
            let asking = Asking {
                slot: self.slot.number,
                budget: &|key| self.warm.get(key).map(|warm| warm.budget),
                sweeps: self.sweeps,
            };
            let lost = match self.queue.next(&asking, wait) {
                Some(Task::Run(job, uniques)) => self.run(job, uniques),
                Some(Task::Load(job)) => self.load_for(&job),
                Some(Task::WarmUp(warm_up)) => {
                    let outcome = self.ensure(warm_up.tool());
                    warm_up.done(self.slot.number, outcome);
                    self.queue.idle();
                    self.queue.retire();
                    None
                }
                Some(Task::Sweep(sweeps)) => {
                    self.sweeps = sweeps;
                    None
                }
                Some(Task::Stop) => {
                    while !self.flying.is_empty() {
                        self.collect();
                    }
                    return None;
                }
                None => self.collect(),
            };
            if lost.is_some() {
                return lost;
            }
        }
    }

    /// Begins a batch, and collects the oldest ones beyond what the tool can have in flight.
    fn run(&mut self, job: Arc<Job>, uniques: Vec<u32>) -> Option<Error> {
        let key = Arc::clone(job.tool().identity().key());
        let mut work = Work::new(job.batch(&uniques));
        let Some(warm) = self.warm.get_mut(&key) else {
            let error = Error::new(
                Status::Internal,
                "a batch came to a slot where its tool is not loaded",
            );
            return self.end(&job, uniques, Err(error), &key);
        };
        let depth = warm.loaded.depth();
        match guarded(job.tool().name(), || warm.loaded.start(&mut work)) {
            Ok(()) => self.flying.push_back(Flight {
                job,
                uniques,
                work,
                key,
            }),
            Err(error) => {
                drop(work);
                return self.end(&job, uniques, Err(error), &key);
            }
        }
        while self.flying.len() >= depth {
            let lost = self.collect();
            if lost.is_some() {
                return lost;
            }
        }
        None
    }

    /// Ends the oldest batch in flight.
    fn collect(&mut self) -> Option<Error> {
        let Flight {
            job,
            uniques,
            mut work,
            key,
        } = self.flying.pop_front()?;
        let collected = match self.warm.get_mut(&key) {
            Some(warm) => guarded(job.tool().name(), || warm.loaded.collect(&mut work)),
            None => Err(Error::new(
                Status::Internal,
                "the tool was unloaded under its batch",
            )),
        };
        let Work { batch, outputs } = *work;
        drop(batch);
        let outcome = collected.and_then(|()| outputs.finish());
        self.end(&job, uniques, outcome, &key)
    }

    /// Hands a batch back to its job. A lost device ends this worker.
    fn end(
        &mut self,
        job: &Arc<Job>,
        uniques: Vec<u32>,
        outcome: Result<Part>,
        key: &Arc<str>,
    ) -> Option<Error> {
        let failure = outcome.as_ref().err().cloned();
        if let Some(error) = &failure {
            let (slot, tool) = (self.slot, job.tool().name());
            log(
                Level::Warning,
                &format!(
                    "{slot}: a batch of {} for {tool} failed: {error}",
                    uniques.len()
                ),
            );
        }
        if let Some(error) = &failure
            && error.status() == Status::OutOfMemory
        {
            self.learn_budget(key, job.extent(&uniques));
        }
        job.end(uniques, outcome, self.slot);
        let lost = match &failure {
            Some(error) if error.status() == Status::DeviceLost => Some(error.clone()),
            // What a panic left behind can not be trusted.
            Some(error) if error.status() == Status::Internal => {
                self.withdraw(key, error);
                self.warm.remove(key);
                None
            }
            _ => None,
        };
        self.queue.idle();
        if failure.is_some() {
            self.queue.wake();
        }
        if job.over() {
            self.queue.retire();
        }
        if let Some(error) = &lost {
            self.abandon(error);
        }
        lost
    }

    fn learn_budget(&mut self, key: &Arc<str>, extent: u64) {
        if let Some(warm) = self.warm.get_mut(key) {
            warm.budget = warm.budget.min((extent / 2).max(1));
            log(
                Level::Warning,
                &format!(
                    "{}: out of memory; batches are {} from here on",
                    self.slot, warm.budget
                ),
            );
        }
    }

    /// Takes back the other batches in flight on a state that is about to go. They are not to blame.
    fn withdraw(&mut self, key: &Arc<str>, error: &Error) {
        let (gone, kept): (VecDeque<_>, _) = std::mem::take(&mut self.flying)
            .into_iter()
            .partition(|flight| flight.key == *key);
        self.flying = kept;
        let slot = self.slot;
        for flight in gone {
            self.hand_back(flight, |job, uniques| job.put_back(uniques, error, slot));
        }
    }

    /// Hands back all batches, and leaks what is on the device: nothing can be freed there any more.
    fn abandon(&mut self, error: &Error) {
        let slot = self.slot;
        for flight in std::mem::take(&mut self.flying) {
            self.hand_back(flight, |job, uniques| {
                job.end(uniques, Err(error.clone()), slot);
            });
        }
        for (_, warm) in self.warm.drain() {
            warm.loaded.leak();
        }
    }

    fn hand_back(&mut self, flight: Flight, back: impl FnOnce(&Job, Vec<u32>)) {
        let Flight {
            job,
            uniques,
            mut work,
            key,
        } = flight;
        if let Some(warm) = self.warm.get_mut(&key) {
            // Nobody trusts what comes of it, but from here on the tool does not write to it.
            let _ = guarded(job.tool().name(), || warm.loaded.collect(&mut work));
        }
        drop(work);
        back(&job, uniques);
        self.queue.idle();
        self.queue.wake();
        self.queue.retire();
    }

    /// Loads the tool of a job, unless that fails; the job goes on while some slot has it.
    fn load_for(&mut self, job: &Arc<Job>) -> Option<Error> {
        let outcome = self.ensure(job.tool());
        let lost = outcome
            .as_ref()
            .err()
            .filter(|error| error.status() == Status::DeviceLost)
            .cloned();
        self.queue.loaded(job, self.slot.number, outcome);
        self.queue.idle();
        self.queue.wake();
        self.queue.retire();
        if let Some(error) = &lost {
            self.abandon(error);
        }
        lost
    }

    /// Loads a tool if it is not.
    fn ensure(&mut self, tool: &Arc<dyn Tool>) -> Result<()> {
        let key = tool.identity().key();
        if self.warm.contains_key(key) {
            return Ok(());
        }
        let started = Instant::now();
        let loaded = guarded(tool.name(), || tool.load(self.slot))
            .map_err(|error| error.within(self.slot))?;
        log(
            Level::Info,
            &format!(
                "{}: loaded {} in {:.1?}",
                self.slot,
                tool.name(),
                started.elapsed()
            ),
        );
        let warm = Warm {
            loaded,
            owner: tool.identity().owner(),
            budget: u64::MAX,
        };
        self.warm.insert(Arc::clone(key), warm);
        Ok(())
    }

    /// Unloads the tools that nobody can ask for again, and has the other workers look for theirs.
    fn sweep(&mut self) {
        let before = self.warm.len();
        self.warm.retain(|_, warm| {
            warm.owner
                .as_ref()
                .is_none_or(|owner| owner.strong_count() > 0)
        });
        if self.warm.len() < before {
            self.queue.sweep();
        }
    }
}

/// Runs tool code, whose panics are errors of the batch.
fn guarded<T>(tool: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panic_error(tool, &*panic)))
}
