//! The pool: one warm thread per slot, pulling batches of the jobs that were submitted.

mod faults;
mod job;
mod queue;
mod state;
mod warm;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use job::{Job, JobOptions, Next, Progress};

use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::Items;
use crate::tool::Tool;
use parking_lot::Mutex;
use queue::Queue;
use warm::WarmUp;

/// Slots, their workers and the jobs that wait for them.
pub struct Pool {
    queue: Arc<Queue>,
    slots: Vec<Slot>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// Starts a worker on each slot. Nothing touches a device until a tool is loaded.
    pub fn open(slots: Vec<Slot>) -> Result<Self> {
        let queue = Arc::new(Queue::new(slots.len()));
        let pool = Self {
            workers: Mutex::default(),
            queue,
            slots,
        };
        for slot in &pool.slots {
            match worker::spawn(Arc::clone(&pool.queue), slot.clone()) {
                Ok(worker) => pool.workers.lock().push(worker),
                Err(reason) => {
                    pool.close();
                    return Err(Error::new(
                        Status::Failed,
                        format_args!("cannot start the worker of slot {}: {reason}", slot.number),
                    ));
                }
            }
        }
        Ok(pool)
    }

    /// The slots, in the order of their numbers.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Begins a job: finds duplicates, asks the tool for costs, and queues the items longest first.
    ///
    /// Takes time in proportion to the items, on the calling thread; what the tool computes happens on the workers.
    pub fn submit(
        &self,
        tool: Arc<dyn Tool>,
        items: Arc<Items>,
        options: &JobOptions,
    ) -> Result<Arc<Job>> {
        let job = Job::new(tool, items, options, Arc::downgrade(&self.queue))?;
        self.queue.add(&job)?;
        Ok(job)
    }

    /// Loads a tool onto every slot and returns when it is warm on all, or with the first failure.
    pub fn warm(&self, tool: Arc<dyn Tool>) -> Result<()> {
        let warm_up = Arc::new(WarmUp::new(tool));
        self.queue.warm(&warm_up)?;
        warm_up.wait()
    }

    /// Waits until no job is unfinished: `false` if the time ran out before.
    #[must_use]
    pub fn drain(&self, timeout: Option<Duration>) -> bool {
        self.queue.drain(timeout)
    }

    /// Lets workers drop the states of tools that nobody can ask for again.
    pub fn sweep(&self) {
        self.queue.sweep();
    }

    /// For the end of the process: has the workers stay where they are from now on, and waits until none is inside a
    /// tool or the time runs out. Nothing is unloaded, also by a later [`Pool::close`].
    pub fn rest(&self, timeout: Duration) {
        self.queue.rest(timeout);
    }

    /// Cancels all jobs, lets the batches under way end, unloads the tools and ends the threads. May be called again.
    pub fn close(&self) {
        if self.queue.close() {
            let workers = std::mem::take(&mut *self.workers.lock());
            for worker in workers {
                // A worker catches the panics of tools; one that died all the same has been reported by its queue.
                let _ = worker.join();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}
