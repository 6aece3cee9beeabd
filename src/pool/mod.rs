//! The pool: one warm thread per slot, pulling batches of the jobs that were submitted.

mod bells;
mod doubt;
mod faults;
mod job;
mod landing;
mod learnt;
mod limits;
mod loads;
mod queue;
mod room;
mod seat;
mod state;
mod sync;
mod tally;
mod terms;
mod turns;
mod warm;
mod worker;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use job::{Job, JobOptions, Next, OnDeviceLost, Progress};

use crate::device::{Kind, Slot};
use crate::error::{Error, Result, Status};
use crate::mem::Items;
use crate::tool::Tool;
use queue::Queue;
use sync::{JoinHandle, Mutex};
use warm::WarmUp;

/// Slots, their workers and the jobs that wait for them.
pub struct Pool {
    queue: Arc<Queue>,
    slots: Vec<Slot>,
    /// By the numbers of their slots.
    workers: Mutex<Vec<JoinHandle<()>>>,
    /// Ends what takes longer than it may; there once something has a time limit.
    watch: Mutex<Option<JoinHandle<()>>>,
    jobs: AtomicU64,
    trust: Trust,
}

/// What a caller can say about a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolOptions {
    /// Bytes that loaded tools may take on one device; what the device has if not said.
    pub memory_limit: Option<u64>,
    /// Threads of each CPU slot; an even share of the cores if not said.
    pub threads: Option<NonZeroUsize>,
    /// What tools may be made of.
    pub trust: Trust,
}

/// What a pool takes tools to be made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Also files that are programs.
    #[default]
    Code,
    /// No files that are programs.
    Data,
}

impl Pool {
    /// Starts a worker on each slot. Nothing touches a device until a tool is loaded.
    pub fn open(slots: Vec<Slot>) -> Result<Self> {
        Self::open_with(slots, &PoolOptions::default())
    }

    /// The same, with options.
    pub fn open_with(mut slots: Vec<Slot>, options: &PoolOptions) -> Result<Self> {
        if let Some(threads) = options.threads {
            let cpus = slots
                .iter_mut()
                .filter(|slot| slot.device.kind == Kind::Cpu);
            cpus.for_each(|slot| slot.threads = threads.get());
        }
        let queue = Arc::new(Queue::new(&slots, options.memory_limit));
        let pool = Self {
            trust: options.trust,
            workers: Mutex::default(),
            watch: Mutex::default(),
            jobs: AtomicU64::new(0),
            queue,
            slots,
        };
        for slot in &pool.slots {
            match worker::spawn(Arc::clone(&pool.queue), slot.clone()) {
                Ok(worker) => pool.workers.lock().push(worker),
                Err(reason) => {
                    (slot.number..pool.slots.len()).for_each(|slot| pool.queue.gone(slot));
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
        self.check_trust(&*tool)?;
        let id = self.jobs.fetch_add(1, Ordering::Relaxed);
        let queue = Arc::downgrade(&self.queue);
        let job = Job::new(id, tool, items, options, &self.slots, queue)?;
        if options.time_limit.is_some() || options.batch_time_limit.is_some() {
            self.watch()?;
        }
        self.queue.add(&job)?;
        Ok(job)
    }

    fn check_trust(&self, tool: &dyn Tool) -> Result<()> {
        if self.trust == Trust::Data && tool.runs_code() {
            return Err(Error::new(
                Status::Tool,
                format_args!(
                    "this pool takes data alone (trust=data), and {} is made of a file that is a program; open the pool \
                     with trust=code if you know where the file comes from",
                    tool.name()
                ),
            ));
        }
        Ok(())
    }

    /// Has somebody watch time limits.
    fn watch(&self) -> Result<()> {
        let mut watch = self.watch.lock();
        if watch.is_none() {
            let queue = Arc::clone(&self.queue);
            let thread = worker::quietly("toolpool-watch", move || queue.watch());
            let thread = thread.map_err(|reason| {
                Error::new(
                    Status::Failed,
                    format_args!("cannot start the thread that watches time limits: {reason}"),
                )
            })?;
            *watch = Some(thread);
        }
        Ok(())
    }

    /// Loads a tool onto every slot and returns when it is warm on all, or with the first failure.
    pub fn warm(&self, tool: Arc<dyn Tool>) -> Result<()> {
        self.check_trust(&*tool)?;
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

    /// For the end of the process: has the workers stay where they are from now on. Nothing is unloaded, also by a later
    /// [`Pool::close`]. Whether they did not yet.
    pub fn rest(&self) -> bool {
        self.queue.rest()
    }

    /// Waits until no worker is inside a tool or the time has come.
    pub fn wait_for_rest(&self, deadline: Instant) {
        self.queue
            .wait_for_rest(deadline.saturating_duration_since(Instant::now()));
    }

    /// Cancels all jobs, lets the batches under way end, unloads the tools and ends the threads; those that are inside a
    /// tool for longer than they may be are left behind. May be called again.
    pub fn close(&self) {
        if !self.queue.close() {
            return;
        }
        let gone = self.queue.wait_gone();
        let workers = std::mem::take(&mut *self.workers.lock());
        for (worker, _) in workers.into_iter().zip(gone).filter(|&(_, gone)| gone) {
            // A worker catches the panics of tools; one that died all the same has been reported by its queue.
            let _ = worker.join();
        }
        if let Some(watch) = self.watch.lock().take() {
            let _ = watch.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}
