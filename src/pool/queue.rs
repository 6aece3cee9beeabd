//! What the workers of a pool wait for: jobs in turn, tools to warm up, the end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::job::{Job, Offer};
use super::warm::WarmUp;
use crate::error::{Error, Result, Status};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// The jobs of a pool that are not finished, and who works on them.
///
/// Lock order: the queue before a job. Whoever changes a job so that a worker could go on calls [`Queue::wake`]
/// after letting go of the job.
pub struct Queue {
    state: Mutex<State>,
    /// Something for a worker to look at.
    work: Condvar,
    /// A job is gone, or a worker left its tool.
    quiet: Condvar,
}

struct State {
    /// Unfinished jobs; the one that has waited longest for a worker is first.
    jobs: VecDeque<Arc<Job>>,
    warm_ups: Vec<Arc<WarmUp>>,
    /// Slots whose worker is there.
    live: Vec<bool>,
    /// Why the last slot was lost.
    lost: Option<Error>,
    /// Workers that are inside a tool.
    busy: usize,
    /// Counts calls of `sweep`.
    sweeps: u64,
    phase: Phase,
}

/// Whether there is work to be had.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The process ends: workers stay where they are, for nothing must be unloaded any more.
    Resting,
    Closed,
}

/// What a worker is to do next.
pub enum Task {
    /// Run these distinct items of a job.
    Run(Arc<Job>, Vec<u32>),
    /// Load the tool of a job, which has items for this slot.
    Load(Arc<Job>),
    /// Load a tool because somebody asked for it.
    WarmUp(Arc<WarmUp>),
    /// Look for states that nobody can ask for again; so many times were called for.
    Sweep(u64),
    /// End.
    Stop,
}

/// What the queue has to know of a worker that asks for a task.
pub struct Asking<'a> {
    /// The number of its slot.
    pub slot: usize,
    /// The budget that a tool, by the key of its identity, has left on this slot; `None` if it is not loaded.
    pub budget: &'a dyn Fn(&str) -> Option<u64>,
    /// How many calls of `sweep` it has answered.
    pub sweeps: u64,
}

impl Queue {
    /// Of a pool of `slots` slots.
    pub fn new(slots: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                warm_ups: Vec::new(),
                live: vec![true; slots],
                lost: None,
                busy: 0,
                sweeps: 0,
                phase: Phase::Open,
            }),
            work: Condvar::new(),
            quiet: Condvar::new(),
        }
    }

    /// Adds a job, unless it has nothing to do.
    pub fn add(&self, job: &Arc<Job>) -> Result<()> {
        let mut state = self.state.lock();
        state.check_open()?;
        match job.left() {
            0 => return Ok(()),
            1 => drop(self.work.notify_one()),
            _ => drop(self.work.notify_all()),
        }
        state.jobs.push_back(Arc::clone(job));
        Ok(())
    }

    /// Has every live worker load a tool.
    pub fn warm(&self, warm_up: &Arc<WarmUp>) -> Result<()> {
        let mut state = self.state.lock();
        state.check_open()?;
        warm_up.expect(&state.live);
        state.warm_ups.push(Arc::clone(warm_up));
        self.work.notify_all();
        Ok(())
    }

    /// Waits until every job is finished: `false` if the time ran out before. Unless that is zero, the jobs no longer
    /// pause for `pending_bytes`: who waits here may be who would have taken them.
    pub fn drain(&self, timeout: Option<Duration>) -> bool {
        if timeout != Some(Duration::ZERO) {
            self.state
                .lock()
                .jobs
                .iter()
                .for_each(|job| job.lift_limit());
            self.wake();
        }
        self.wait_quiet(timeout, |state| state.jobs.is_empty())
    }

    /// Gives out no more work for good, and waits until no worker is inside a tool or the time runs out.
    pub fn rest(&self, timeout: Duration) {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return;
        }
        state.phase = Phase::Resting;
        drop(state);
        self.wait_quiet(Some(timeout), |state| state.busy == 0);
    }

    /// Takes no more work and cancels what is there. Whether the workers will end: they do not once they rest.
    pub fn close(&self) -> bool {
        let mut state = self.state.lock();
        let ending = state.phase != Phase::Resting;
        if ending {
            state.phase = Phase::Closed;
        }
        let closed = Error::new(
            Status::Closed,
            "the pool was closed before this item was done",
        );
        for job in &state.jobs {
            job.stop(&closed);
        }
        for warm_up in &state.warm_ups {
            warm_up.fail_all(&closed);
        }
        self.work.notify_all();
        self.let_go(state);
        ending
    }

    /// Has every worker look for states that nobody can ask for again.
    pub fn sweep(&self) {
        self.state.lock().sweeps += 1;
        self.work.notify_all();
    }

    /// Lets workers look again.
    pub fn wake(&self) {
        let _state = self.state.lock();
        self.work.notify_all();
    }

    /// Forgets the jobs and warm-ups that are over.
    pub fn retire(&self) {
        self.let_go(self.state.lock());
    }

    /// The next task for a worker. With `wait`, there is one; without, `None` says that there is nothing to do now.
    ///
    /// Except for `Sweep` and `Stop`, the worker counts as busy until it calls [`Queue::idle`].
    pub fn next(&self, asking: &Asking, wait: bool) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if let Some(task) = state.task(asking) {
                state.busy += usize::from(!matches!(task, Task::Sweep(_) | Task::Stop));
                return Some(task);
            }
            if !wait {
                return None;
            }
            self.work.wait(&mut state);
        }
    }

    /// A worker has ended a task.
    pub fn idle(&self) {
        let mut state = self.state.lock();
        state.busy -= 1;
        if state.busy == 0 {
            self.quiet.notify_all();
        }
    }

    /// A worker is gone. If it was the last, nothing that waits can ever be done.
    pub fn lose(&self, slot: usize, error: &Error) {
        let mut state = self.state.lock();
        state.live[slot] = false;
        state.lost = Some(error.clone());
        for warm_up in &state.warm_ups {
            warm_up.done(slot, Err(error.clone()));
        }
        for job in &state.jobs {
            job.check_slots(&state.live, error);
        }
        self.work.notify_all();
        self.let_go(state);
    }

    /// A worker has loaded the tool of a job, or failed to. Under the lock, so that no slot is lost between the two looks.
    pub fn loaded(&self, job: &Job, slot: usize, outcome: Result<()>) {
        let state = self.state.lock();
        job.loaded(slot, outcome, &state.live);
    }

    /// Forgets what is over, outside the lock: what it held is released by code of the caller.
    fn let_go(&self, mut state: MutexGuard<State>) {
        let (over, kept): (VecDeque<_>, _) = std::mem::take(&mut state.jobs)
            .into_iter()
            .partition(|job| job.over());
        state.jobs = kept;
        let (warm, waiting): (Vec<_>, _) = std::mem::take(&mut state.warm_ups)
            .into_iter()
            .partition(|warm_up| warm_up.over());
        state.warm_ups = waiting;
        self.quiet.notify_all();
        drop(state);
        drop((over, warm));
    }

    fn wait_quiet(&self, timeout: Option<Duration>, quiet: impl Fn(&State) -> bool) -> bool {
        let mut state = self.state.lock();
        let busy = |state: &mut State| !quiet(state);
        match timeout {
            None => self.quiet.wait_while(&mut state, busy),
            Some(timeout) => {
                self.quiet.wait_while_for(&mut state, busy, timeout);
            }
        }
        quiet(&state)
    }
}

impl State {
    fn check_open(&self) -> Result<()> {
        if self.phase != Phase::Open {
            return Err(Error::new(Status::Closed, "the pool is closed"));
        }
        match &self.lost {
            Some(lost) if !self.live.contains(&true) => Err(lost
                .clone()
                .within("every slot of the pool is lost; open a new one")),
            _ => Ok(()),
        }
    }

    fn task(&mut self, asking: &Asking) -> Option<Task> {
        match self.phase {
            Phase::Open => {}
            Phase::Resting => return None,
            Phase::Closed => return Some(Task::Stop),
        }
        if asking.sweeps < self.sweeps {
            return Some(Task::Sweep(self.sweeps));
        }
        if let Some(warm_up) = self
            .warm_ups
            .iter()
            .find(|warm_up| warm_up.take(asking.slot))
        {
            return Some(Task::WarmUp(Arc::clone(warm_up)));
        }
        let slots = self.live.iter().filter(|&&live| live).count();
        for turn in 0..self.jobs.len() {
            let task = match self.jobs[turn].offer(asking, slots) {
                Offer::Nothing => continue,
                Offer::Load => Task::Load(Arc::clone(&self.jobs[turn])),
                Offer::Run(uniques) => Task::Run(Arc::clone(&self.jobs[turn]), uniques),
            };
            let served = self.jobs.remove(turn);
            self.jobs.extend(served);
            return Some(task);
        }
        None
    }
}
