//! What the workers of a pool wait for: jobs in fair turns, tools to warm up, the end.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::learnt::{Learnt, Speed};
use super::room::{self, Need, Room};
use super::seat::{Seat, Standing};
use super::sync::{Condvar, Mutex, MutexGuard};
use super::turns::{Entry, Idle, LOAD_BEGUN, LOOK_AGAIN, Phase, Task, Turns};
use super::warm::WarmUp;
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::tool::Killer;

/// The jobs of a pool that are not finished, and who works on them.
///
/// Lock order: the queue before a job. Whoever changes a job so that a worker could go on calls [`Queue::wake`]
/// after letting go of the job.
pub struct Queue {
    pub(super) state: Mutex<Turns>,
    /// One for each worker: something to look at.
    pub(super) bells: Vec<Condvar>,
    /// A job is gone, a worker left its tool or ended.
    pub(super) quiet: Condvar,
    /// A time limit is to be watched sooner than before.
    pub(super) clock: Condvar,
}

impl Queue {
    /// Of a pool of these slots; tools may take up to `memory` bytes on one device.
    pub fn new(slots: &[Slot], memory: Option<u64>) -> Self {
        Self {
            state: Mutex::new(Turns {
                jobs: HashMap::new(),
                turns: BTreeSet::new(),
                turn: 0,
                seats: slots.iter().cloned().map(Seat::new).collect(),
                learnt: Learnt::new(slots.len()),
                warm_ups: Vec::new(),
                memory,
                uses: 0,
                tickets: 0,
                sweeps: 0,
                watched: None,
                phase: Phase::Open,
            }),
            bells: slots.iter().map(|_| Condvar::new()).collect(),
            quiet: Condvar::new(),
            clock: Condvar::new(),
        }
    }

    /// Adds a job, unless it has nothing to do.
    pub fn add(&self, job: &Arc<Job>) -> Result<()> {
        let mut state = self.state.lock();
        state.check_open()?;
        let left = job.left();
        if left == 0 {
            return Ok(());
        }
        let own_speeds = job
            .own_costs()
            .then(|| vec![Speed::default(); state.seats.len()]);
        let deadline = job.deadline();
        let served = state.turn;
        state.turns.insert((served, job.id()));
        state.jobs.insert(
            job.id(),
            Entry {
                job: Arc::clone(job),
                served,
                deadline,
                paused: false,
                speeds: own_speeds,
            },
        );
        self.watch_until(&mut state, deadline);
        self.call(&mut state, left, job.tool().identity().key());
        Ok(())
    }

    /// Has every worker that can load a tool.
    pub fn warm(&self, warm_up: &Arc<WarmUp>) -> Result<()> {
        let mut state = self.state.lock();
        state.check_open()?;
        let late = state.seats.iter().find_map(Seat::late);
        warm_up.expect(state.seats.iter().map(Seat::ready).collect(), late);
        state.warm_ups.push(Arc::clone(warm_up));
        self.call_all(&mut state);
        Ok(())
    }

    /// Waits until every job is finished: `false` if the time ran out before. Unless that is zero, the jobs no longer
    /// pause for `pending_bytes`: who waits here may be who would have taken them.
    pub fn drain(&self, timeout: Option<Duration>) -> bool {
        if timeout != Some(Duration::ZERO) {
            let mut state = self.state.lock();
            state.jobs.values().for_each(|entry| entry.job.lift_limit());
            self.call_all(&mut state);
        }
        self.wait_quiet(timeout, |state| state.jobs.is_empty())
    }

    /// Gives out no more work for good. Whether it did until now.
    pub fn rest(&self) -> bool {
        let mut state = self.state.lock();
        let open = state.phase == Phase::Open;
        if open {
            state.phase = Phase::Resting;
        }
        open
    }

    /// Waits until no worker is inside a tool or the time runs out.
    pub fn wait_for_rest(&self, timeout: Duration) {
        self.wait_quiet(Some(timeout), |state| {
            !state.seats.iter().any(|seat| seat.inside)
        });
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
        for entry in state.jobs.values() {
            entry.job.stop(&closed);
        }
        for warm_up in &state.warm_ups {
            warm_up.fail_all(&closed);
        }
        self.call_all(&mut state);
        self.clock.notify_all();
        self.let_go(state);
        ending
    }

    /// After [`Queue::close`]: waits until every worker has ended, but for those that will not come out of their tools.
    /// Whether each has.
    pub fn wait_gone(&self) -> Vec<bool> {
        self.wait_quiet(None, |state| {
            state.seats.iter().all(|seat| seat.gone || !seat.ends())
        });
        self.state
            .lock()
            .seats
            .iter()
            .map(|seat| seat.gone)
            .collect()
    }

    /// Has every worker look for states that nobody can ask for again.
    pub fn sweep(&self) {
        let mut state = self.state.lock();
        state.sweeps += 1;
        state.learnt.sweep();
        self.call_all(&mut state);
    }

    /// Lets workers look again.
    pub fn wake(&self) {
        self.call_all(&mut self.state.lock());
    }

    /// Forgets a job that is over.
    pub fn retire(&self, job: &Job) {
        let mut state = self.state.lock();
        let Some(entry) = state.jobs.get(&job.id()).filter(|_| job.over()) else {
            return;
        };
        let turn = (entry.served, job.id());
        state.turns.remove(&turn);
        let over = state.jobs.remove(&job.id());
        self.quiet.notify_all();
        drop(state);
        // Outside the lock: what it held is released by code of the caller.
        drop(over);
    }

    /// The next task for a worker. With `wait`, there is one; without, `None` says that there is nothing to do now.
    ///
    /// `sweeps` is how many calls of `sweep` it has answered. The worker counts as inside a tool until it calls
    /// [`Queue::idle`].
    pub fn next(&self, slot: usize, sweeps: u64, wait: bool) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            let idle = match state.task(slot, sweeps) {
                Ok(task) => {
                    if let Task::Run(_) = task {
                        state.seats[slot].starting = true;
                        let deadline = state.seats[slot].deadline();
                        self.watch_until(&mut state, deadline);
                    }
                    if let Task::Load(_) = task {
                        // Who sleeps is to see for how long: what it loads may never come.
                        self.call_asleep(&mut state);
                    }
                    state.seats[slot].inside =
                        !matches!(task, Task::Sweep(_) | Task::Leave(_) | Task::Stop);
                    return Some(task);
                }
                Err(idle) => idle,
            };
            if let Idle::LookAgain(_) = idle {
                self.call_asleep(&mut state);
            }
            if !wait {
                return None;
            }
            state.seats[slot].waiting = true;
            match idle {
                Idle::Wait => self.bells[slot].wait(&mut state),
                Idle::LookAgain(after) => drop(self.bells[slot].wait_for(&mut state, after)),
            }
            state.seats[slot].waiting = false;
        }
    }

    /// A worker has begun its newest batch, and goes on with its oldest.
    pub fn started(&self, slot: usize) {
        let mut state = self.state.lock();
        state.seats[slot].starting = false;
        let deadline = state.seats[slot].deadline();
        self.watch_until(&mut state, deadline);
    }

    /// A worker is about to begin a batch that can be ended from outside: whether anybody still waits for it.
    pub fn arm(&self, slot: usize, ticket: u64, killer: Killer) -> bool {
        let mut state = self.state.lock();
        let mut flights = state.seats[slot].flights.iter_mut();
        let flight = flights.find(|flight| flight.ticket == ticket);
        flight.map(|flight| flight.killer = Some(killer)).is_some()
    }

    /// A worker loads in a place that can be ended from outside; it is, if nobody waits for the load any more.
    pub fn arm_load(&self, slot: usize, killer: Killer) {
        let mut state = self.state.lock();
        let job = state.seats[slot].loading.as_ref().and_then(|load| load.job);
        let wanted = job.is_none_or(|job| state.waits(job));
        let Some(loading) = &mut state.seats[slot].loading else {
            return;
        };
        if wanted {
            loading.killer = Some(killer);
        } else {
            loading.killed = true;
            drop(state);
            killer();
        }
    }

    /// A worker has loaded a tool: whether it is still there, or was ended from outside before anybody knew that it is done.
    pub fn survived(&self, slot: usize) -> bool {
        let mut state = self.spared(slot);
        let loading = state.seats[slot].loading.as_mut();
        loading.is_none_or(|loading| {
            loading.killer = None;
            loading.until = None;
            !loading.killed
        })
    }

    /// A worker has ended a task that was no batch.
    pub fn idle(&self, slot: usize) {
        let mut state = self.state.lock();
        let seat = &mut state.seats[slot];
        seat.inside = !seat.flights.is_empty();
        self.quiet.notify_all();
    }

    /// A worker can not go on; with a GPU, neither can the others on it. If it was the last, nothing that waits can ever
    /// be done.
    pub fn lose(&self, slot: usize, error: &Error) {
        let mut state = self.state.lock();
        for lost in state.on_device(slot) {
            let seat = &mut state.seats[lost];
            if matches!(seat.standing, Standing::Lost(_)) {
                continue;
            }
            seat.standing = Standing::Lost(error.clone());
            state.note_trouble(lost, error);
        }
        self.call_all(&mut state);
        self.let_go(state);
    }

    /// A worker has ended.
    pub fn gone(&self, slot: usize) {
        let mut state = self.state.lock();
        state.seats[slot].gone = true;
        state.seats[slot].inside = false;
        self.quiet.notify_all();
        self.clock.notify_all();
    }

    /// Asks for room on the device of a slot for a tool; waits while others are to make it, as long as the load is `wanted`.
    /// What is granted counts as loaded until [`Queue::unloaded`].
    pub fn room(&self, slot: usize, need: &Need, wanted: &dyn Fn(&Turns) -> bool) -> Room {
        let mut state = self.state.lock();
        loop {
            // Once the pool is closed, nobody makes room any more.
            if !wanted(&state) || state.phase != Phase::Open {
                return Room::Refused(Error::new(
                    Status::Cancelled,
                    "nobody waits for this load any more",
                ));
            }
            let asked = std::mem::take(&mut state.seats[slot].unload);
            if !asked.is_empty() {
                return Room::Unload(asked);
            }
            state.uses += 1;
            let (memory, uses) = (state.memory, state.uses);
            match room::ask(&mut state.seats, slot, need, memory, uses) {
                room::Answer::Room(room) => return room,
                room::Answer::Wait => {}
            }
            self.call_asked(&mut state);
            state.seats[slot].waiting = true;
            self.bells[slot].wait_for(&mut state, LOOK_AGAIN);
            state.seats[slot].waiting = false;
        }
    }

    /// A tool is loaded on a slot, and takes so many bytes of its device.
    pub fn warmed(&self, slot: usize, key: &str, bytes: u64) {
        let mut state = self.state.lock();
        let mut warm = state.seats[slot].warm.iter_mut();
        if let Some(warm) = warm.find(|warm| &*warm.key == key) {
            warm.bytes = bytes;
        }
    }

    /// Tools are no longer on a slot, by the keys of their identities.
    pub fn unloaded(&self, slot: usize, keys: &[Arc<str>]) {
        let mut state = self.state.lock();
        state.seats[slot]
            .warm
            .retain(|warm| !keys.contains(&warm.key));
        self.call_all(&mut state);
    }

    /// A worker has loaded the tool of a job, which may be gone by now, or failed to. Under the lock, so that no slot is lost
    /// between the two looks.
    pub fn loaded(&self, job: Option<&Job>, slot: usize, begin: Instant, outcome: Result<()>) {
        let mut state = self.state.lock();
        let failed = outcome.is_err();
        state.seats[slot].loading = None;
        state.seats[slot].go_on(Instant::now());
        if let Some(job) = job {
            let took = begin.elapsed();
            if !failed {
                let key = job.tool().identity().key();
                let bytes = state.seats[slot].bytes(key);
                let fact = &mut state.learnt.of(job)[slot];
                fact.load = Some(took.as_secs_f64());
                fact.bytes = bytes;
            }
            state.serve(job.id(), took, Some(LOAD_BEGUN.as_secs_f64()));
            job.loaded(slot, begin, outcome, &state.working());
        }
        state.seats[slot].inside = false;
        if failed {
            self.call_all(&mut state);
        }
        self.quiet.notify_all();
    }

    /// Forgets what is over, outside the lock: what it held is released by code of the caller.
    pub(super) fn let_go(&self, mut state: MutexGuard<Turns>) {
        let over: Vec<_> = state.jobs.extract_if(|_, entry| entry.job.over()).collect();
        for (id, entry) in &over {
            state.turns.remove(&(entry.served, *id));
        }
        let warm: Vec<_> = state
            .warm_ups
            .extract_if(.., |warm_up| warm_up.over())
            .collect();
        self.quiet.notify_all();
        drop(state);
        drop((over, warm));
    }

    /// A worker has answered a warm-up.
    pub fn warmed_up(&self, slot: usize) {
        self.state.lock().seats[slot].loading = None;
        self.idle(slot);
        self.let_go(self.state.lock());
    }

    fn wait_quiet(&self, timeout: Option<Duration>, quiet: impl Fn(&Turns) -> bool) -> bool {
        let mut state = self.state.lock();
        let busy = |state: &mut Turns| !quiet(state);
        match timeout {
            None => self.quiet.wait_while(&mut state, busy),
            Some(timeout) => {
                self.quiet.wait_while_for(&mut state, busy, timeout);
            }
        }
        quiet(&state)
    }
}
