//! One warm thread, bound to one slot.

mod tools;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use super::queue::Queue;
use super::sync::{self, JoinHandle};
use super::turns::{Task, Ticket};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::log::{Level, log};
use crate::mem::Part;
use crate::tool::{Tool, Work, panic_error};
use tools::Warm;

/// Starts the worker of a slot.
pub fn spawn(queue: Arc<Queue>, slot: Slot) -> std::io::Result<JoinHandle<()>> {
    let name = format!("toolpool-{}", slot.number);
    quietly(&name, move || {
        let mut worker = Worker::new(&queue, &slot);
        let served = catch_unwind(AssertUnwindSafe(|| worker.serve()));
        if let Err(panic) = served {
            worker.lose(&panic_error("a worker", &*panic));
        }
        let keys: Vec<_> = worker.warm.keys().cloned().collect();
        worker.unload(&keys);
        queue.gone(slot.number);
    })
}

/// Starts a thread that signals do not go to: those are for the threads of the host program. A thread inherits what its
/// maker blocks.
pub fn quietly(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
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
    let spawned = sync::spawn(name, run);
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

struct Flight {
    ticket: u64,
    tool: Arc<dyn Tool>,
    work: Box<Work>,
}

/// Whether the worker goes on.
enum Next {
    Task,
    End,
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

    /// Works until the pool closes or the slot can not go on.
    fn serve(&mut self) {
        loop {
            self.sweep();
            let wait = self.flying.is_empty();
            let next = match self.queue.next(self.slot.number, self.sweeps, wait) {
                Some(Task::Run(ticket)) => self.run(ticket),
                Some(Task::Load(job)) => self.load_for(job),
                Some(Task::WarmUp(warm_up)) => self.warm_up(warm_up),
                Some(Task::Unload(keys)) => self.make_room(&keys),
                Some(Task::Sweep(sweeps)) => {
                    self.sweeps = sweeps;
                    Next::Task
                }
                Some(Task::Leave(error)) => {
                    self.abandon(&error);
                    Next::End
                }
                Some(Task::Stop) => {
                    let _ = self.collect_all();
                    Next::End
                }
                None => self.collect(),
            };
            if let Next::End = next {
                return;
            }
        }
    }

    /// Begins a batch, and collects the oldest ones beyond what the tool can have in flight.
    fn run(&mut self, ticket: Ticket) -> Next {
        let Ticket {
            number,
            job,
            planned,
        } = ticket;
        let mut work = Work::new(job.batch(&planned));
        drop(planned);
        let tool = Arc::clone(job.tool());
        drop(job);
        let Some(warm) = self.warm.get_mut(tool.identity().key()) else {
            let error = Error::new(
                Status::Internal,
                "a batch came to a slot where its tool is not loaded",
            );
            return self.end(number, &tool, Err(error));
        };
        let known = guarded(tool.name(), || {
            Ok((warm.loaded.depth(), warm.loaded.killer()))
        });
        let (depth, killer) = match known {
            Ok(known) => known,
            Err(error) => {
                drop(work);
                return self.end(number, &tool, Err(error));
            }
        };
        if let Some(killer) = killer
            && !self.queue.arm(self.slot.number, number, killer)
        {
            drop(work);
            self.queue.put_back(self.slot.number, number);
            return Next::Task;
        }
        match guarded(tool.name(), || warm.loaded.start(&mut work)) {
            Ok(()) => self.flying.push_back(Flight {
                ticket: number,
                tool,
                work,
            }),
            Err(error) => {
                drop(work);
                return self.end(number, &tool, Err(error));
            }
        }
        if self.flying.len() > 1 {
            self.queue.started(self.slot.number);
        }
        while self.flying.len() >= depth {
            if let Next::End = self.collect() {
                return Next::End;
            }
        }
        Next::Task
    }

    /// Ends the oldest batch in flight.
    fn collect(&mut self) -> Next {
        let Some(Flight {
            ticket,
            tool,
            mut work,
        }) = self.flying.pop_front()
        else {
            return Next::Task;
        };
        let collected = match self.warm.get_mut(tool.identity().key()) {
            Some(warm) => guarded(tool.name(), || warm.loaded.collect(&mut work)),
            None => Err(Error::new(
                Status::Internal,
                "the tool was unloaded under its batch",
            )),
        };
        let Work { batch, outputs } = *work;
        drop(batch);
        let outcome = collected.and_then(|()| guarded(tool.name(), || outputs.finish()));
        self.end(ticket, &tool, outcome)
    }

    fn collect_all(&mut self) -> Next {
        while !self.flying.is_empty() {
            if let Next::End = self.collect() {
                return Next::End;
            }
        }
        Next::Task
    }

    /// Hands a batch back to its job. A lost device ends this worker.
    fn end(&mut self, ticket: u64, tool: &Arc<dyn Tool>, outcome: Result<Part>) -> Next {
        let failure = outcome.as_ref().err().cloned();
        let status = failure.as_ref().map(Error::status);
        if let Some(error) = &failure {
            let (slot, tool) = (self.slot, tool.name());
            log(
                Level::Warning,
                &format!("{slot}: a batch for {tool} failed: {error}"),
            );
            if status == Some(Status::DeviceLost) {
                // Before the batch goes back, so that no other slot of the device takes it.
                self.queue.lose(self.slot.number, error);
            }
        }
        let key = tool.identity().key();
        let relieved = status == Some(Status::OutOfMemory) && self.relieve(key);
        let alive = self.queue.land(self.slot.number, ticket, outcome, relieved);
        match (status, &failure) {
            (Some(Status::DeviceLost), Some(error)) => {
                self.lose(error);
                return Next::End;
            }
            // What a panic left behind can not be trusted, and a process that died has left nothing.
            _ if !alive || matches!(status, Some(Status::Internal | Status::Crashed)) => {
                if let Some(lost) = self.withdraw(key) {
                    self.lose(&lost);
                    return Next::End;
                }
                self.unload(&[Arc::clone(key)]);
            }
            _ => {}
        }
        Next::Task
    }

    /// Takes back the other batches in flight on a state that is about to go. They are not to blame, unless one of them
    /// costs the device now: why it is lost, then.
    fn withdraw(&mut self, key: &Arc<str>) -> Option<Error> {
        let (gone, kept): (VecDeque<_>, _) = std::mem::take(&mut self.flying)
            .into_iter()
            .partition(|flight| flight.tool.identity().key() == key);
        self.flying = kept;
        let mut lost = None;
        for flight in gone {
            match self.let_go(flight) {
                (ticket, Err(error)) if error.status() == Status::DeviceLost => {
                    self.queue.lose(self.slot.number, &error);
                    self.queue
                        .land(self.slot.number, ticket, Err(error.clone()), false);
                    lost = Some(error);
                }
                (ticket, _) => self.queue.put_back(self.slot.number, ticket),
            }
        }
        lost
    }

    /// Gives the slot up.
    fn lose(&mut self, error: &Error) {
        log(Level::Error, &format!("{} is lost: {error}", self.slot));
        self.queue.lose(self.slot.number, error);
        self.abandon(error);
    }

    /// Hands back all batches, and leaks what is on the device: nothing can be freed there any more.
    fn abandon(&mut self, error: &Error) {
        for flight in std::mem::take(&mut self.flying) {
            let (ticket, _) = self.let_go(flight);
            self.queue
                .land(self.slot.number, ticket, Err(error.clone()), false);
        }
        for (key, warm) in self.warm.drain() {
            let _ = guarded(&key, || {
                warm.loaded.leak();
                Ok(())
            });
        }
    }

    /// Ends a batch whose outputs nobody trusts, so that from here on the tool does not write to it.
    fn let_go(&mut self, flight: Flight) -> (u64, Result<()>) {
        let Flight {
            ticket,
            tool,
            mut work,
        } = flight;
        let collected = match self.warm.get_mut(tool.identity().key()) {
            Some(warm) => guarded(tool.name(), || warm.loaded.collect(&mut work)),
            None => Ok(()),
        };
        (ticket, collected)
    }
}

/// Runs tool code, whose panics are errors of the batch.
fn guarded<T>(tool: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panic_error(tool, &*panic)))
}
