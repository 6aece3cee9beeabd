//! What the workers of a pool wait for: jobs in fair turns, tools to warm up, the end.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Job, Offer};
use super::learnt::{Learnt, Speed, load_time};
use super::room::{self, Room};
use super::seat::{Flight, Landing, Seat, Standing};
use super::state::{Planned, Taken, Terms};
use super::sync::{Condvar, Mutex, MutexGuard};
use super::warm::WarmUp;
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::Part;
use crate::plan::balance::{Peer, share};
use crate::plan::batch::amount;
use crate::tool::Killer;

/// The jobs of a pool that are not finished, and who works on them.
///
/// Lock order: the queue before a job. Whoever changes a job so that a worker could go on calls [`Queue::wake`]
/// after letting go of the job.
pub struct Queue {
    state: Mutex<State>,
    /// One for each worker: something to look at.
    bells: Vec<Condvar>,
    /// A job is gone, a worker left its tool or ended.
    quiet: Condvar,
    /// A time limit is to be watched sooner than before.
    clock: Condvar,
}

struct State {
    /// Unfinished jobs, by their numbers.
    jobs: HashMap<u64, Entry>,
    /// The same, by the time that slots have spent on them: whoever had least comes first.
    turns: BTreeSet<(u64, u64)>,
    /// The time that the job that was served last had had.
    turn: u64,
    seats: Vec<Seat>,
    learnt: Learnt,
    warm_ups: Vec<Arc<WarmUp>>,
    /// Bytes that tools may take on one device, if that is limited.
    memory: Option<u64>,
    /// Counts batches and loads: which tool was used last.
    uses: u64,
    tickets: u64,
    /// Counts calls of `sweep`.
    sweeps: u64,
    /// Until when nobody needs to look at time limits; `None` if there are none.
    watched: Option<Instant>,
    phase: Phase,
}

/// An unfinished job.
struct Entry {
    job: Arc<Job>,
    /// Nanoseconds that slots have spent on it, counted from where the others were when it came.
    served: u64,
    /// When it runs out of time.
    deadline: Option<Instant>,
    /// Speeds by slot, for a job whose costs are in a unit of its own.
    speeds: Option<Vec<Speed>>,
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
    Run(Ticket),
    /// Load the tool of a job, which has items for this slot.
    Load(Arc<Job>),
    /// Load a tool because somebody asked for it.
    WarmUp(Arc<WarmUp>),
    /// Unload tools, by the keys of their identities, for something else to fit.
    Unload(Vec<Arc<str>>),
    /// Look for states that nobody can ask for again; so many times were called for.
    Sweep(u64),
    /// The device is lost, as another slot on it found out.
    Leave(Error),
    /// End.
    Stop,
}

/// A batch handed to a worker, to be given back by its number.
pub struct Ticket {
    pub number: u64,
    pub job: Arc<Job>,
    pub planned: Arc<Vec<Planned>>,
}

/// What to do about a worker that has nothing to do.
enum Idle {
    /// It waits to be called.
    Wait,
    /// It looks again after this time, for others may be slower than expected.
    LookAgain(Duration),
}

/// How often a worker that left work to faster slots looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A worker changes to a job whose tool it must load once that job is behind by so many times the load.
const LOADS_BEHIND: f64 = 1.0;
/// The same where another tool must be unloaded for it, and perhaps loaded again.
const SWAPS_BEHIND: f64 = 4.0;
/// What a load counts for when it begins, so that the next worker looks at the other jobs first.
const LOAD_BEGUN: Duration = Duration::from_millis(1);

impl Queue {
    /// Of a pool of these slots; tools may take up to `memory` bytes on one device.
    pub fn new(slots: &[Slot], memory: Option<u64>) -> Self {
        Self {
            state: Mutex::new(State {
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
        let limit = job.options().time_limit;
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let served = state.turn;
        state.turns.insert((served, job.id()));
        state.jobs.insert(
            job.id(),
            Entry {
                job: Arc::clone(job),
                served,
                deadline,
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
        warm_up.expect(&state.working());
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

    /// Gives out no more work for good, and waits until no worker is inside a tool or the time runs out.
    pub fn rest(&self, timeout: Duration) {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return;
        }
        state.phase = Phase::Resting;
        drop(state);
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
            let given_up =
                |seat: &Seat| matches!(seat.standing, Standing::Late { .. } | Standing::Stuck(_));
            state.seats.iter().all(|seat| seat.gone || given_up(seat))
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

    /// A worker begins a batch that can be ended from outside.
    pub fn arm(&self, slot: usize, ticket: u64, killer: Killer) {
        let mut state = self.state.lock();
        let flights = &mut state.seats[slot].flights;
        if let Some(flight) = flights.iter_mut().find(|flight| flight.ticket == ticket) {
            flight.killer = Some(killer);
        }
    }

    /// Takes a batch back from a worker, and gives it to its job, unless somebody else has ended it before.
    /// `relieved`: memory was freed on the slot since.
    pub fn land(&self, slot: usize, ticket: u64, outcome: Result<Part>, relieved: bool) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let Some(flight) = state.take_flight(slot, ticket) else {
            self.come_back(state, slot);
            return;
        };
        let seat = &mut state.seats[slot];
        let busy = now.saturating_duration_since(flight.begin.max(seat.landed));
        seat.landed = now;
        let budget = state.learn(slot, &flight, busy, &outcome);
        state.serve(flight.job.id(), busy, flight.expected);
        let landing = Landing {
            slot: &state.seats[slot].slot.clone(),
            begin: flight.begin,
            end: now,
            busy,
            cost: flight.cost,
            extent: flight.extent,
            relieved,
            larger: state.larger(slot, &flight.job),
            budget,
        };
        drop(state);
        let failed = outcome.is_err();
        let Flight { job, planned, .. } = flight;
        job.land(Arc::unwrap_or_clone(planned), outcome, &landing);
        self.after(slot, &job, failed);
    }

    /// Takes a batch back that a worker could not end, for reasons of its own.
    pub fn put_back(&self, slot: usize, ticket: u64) {
        let mut state = self.state.lock();
        let Some(flight) = state.take_flight(slot, ticket) else {
            self.come_back(state, slot);
            return;
        };
        drop(state);
        let Flight { job, planned, .. } = flight;
        job.put_back(Arc::unwrap_or_clone(planned));
        self.after(slot, &job, true);
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
            for warm_up in &state.warm_ups {
                warm_up.done(lost, Err(error.clone()));
            }
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

    /// Asks for room on the device of a slot for a tool that needs `bytes`; waits while others are to make it. What is
    /// granted counts as loaded until [`Queue::unloaded`].
    pub fn room(&self, slot: usize, key: &Arc<str>, bytes: u64) -> Room {
        let mut state = self.state.lock();
        loop {
            let asked = std::mem::take(&mut state.seats[slot].unload);
            if !asked.is_empty() {
                return Room::Unload(asked);
            }
            state.uses += 1;
            let (memory, uses, closed) = (state.memory, state.uses, state.phase != Phase::Open);
            match room::ask(&mut state.seats, slot, key, bytes, memory, uses) {
                room::Answer::Room(room) => return room,
                room::Answer::Wait if closed => return Room::Granted,
                room::Answer::Wait => {}
            }
            self.call_all(&mut state);
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

    /// A worker has loaded the tool of a job, or failed to. Under the lock, so that no slot is lost between the two looks.
    pub fn loaded(&self, job: &Job, slot: usize, begin: Instant, outcome: Result<()>) {
        let mut state = self.state.lock();
        let took = begin.elapsed();
        if outcome.is_ok() {
            let key = job.tool().identity().key();
            let bytes = state.seats[slot].bytes(key);
            let fact = &mut state.learnt.of(job)[slot];
            fact.load = Some(took.as_secs_f64());
            fact.bytes = bytes;
        }
        state.serve(job.id(), took, Some(LOAD_BEGUN.as_secs_f64()));
        let failed = outcome.is_err();
        job.loaded(slot, begin, outcome, &state.working());
        state.seats[slot].inside = false;
        if failed {
            self.call_all(&mut state);
        }
        self.quiet.notify_all();
    }

    /// Ends what takes longer than it may, until the pool is closed and nothing is under way.
    pub fn watch(&self) {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            if let Some(late) = state.first_late(now) {
                match late {
                    Overdue::Job(id) => self.end_job(state, id),
                    Overdue::Batch(slot) => self.end_batch(state, slot),
                }
                state = self.state.lock();
                continue;
            }
            let over = state.seats.iter().all(|seat| seat.flights.is_empty());
            if state.phase == Phase::Resting || state.phase == Phase::Closed && over {
                return;
            }
            state.watched = state.next_deadline();
            match state.watched {
                Some(deadline) => drop(self.clock.wait_until(&mut state, deadline)),
                None => self.clock.wait(&mut state),
            }
        }
    }

    /// A job has run out of time: what is not done fails, what is under way as well.
    fn end_job(&self, mut state: MutexGuard<State>, id: u64) {
        let Some(entry) = state.jobs.get_mut(&id) else {
            return;
        };
        entry.deadline = None;
        let job = Arc::clone(&entry.job);
        let limit = job.options().time_limit.unwrap_or_default();
        let reason = Error::new(
            Status::TimeLimit,
            format_args!(
                "the job ran out of time before this item was done (time_limit={limit:?})"
            ),
        );
        job.stop(&reason);
        let mut ended = Vec::new();
        let mut behind = VecDeque::new();
        for seat in &mut state.seats {
            let current = seat.current();
            let working = current.is_some_and(|current| current.job.id() == id);
            let until = seat.deadline();
            let of_job = seat.take_flights(|flight| flight.job.id() == id);
            if working && of_job.iter().all(|flight| flight.killer.is_none()) {
                seat.standing = Standing::Late {
                    until,
                    reason: overdue(&seat.slot, &job),
                };
                seat.inside = false;
                behind.extend(seat.take_flights(|flight| !flight.job.lent()));
            }
            ended.extend(of_job.into_iter().map(|flight| (seat.slot.clone(), flight)));
        }
        drop(state);
        for (slot, flight) in ended {
            give_up(flight, &slot, &reason);
        }
        self.retire(&job);
        self.redo(behind);
        self.quiet.notify_all();
    }

    /// A batch takes longer than it may: it is given up, and the slot with it, unless the tool can be stopped from
    /// outside. What waits behind it on the slot goes to others.
    fn end_batch(&self, mut state: MutexGuard<State>, number: usize) {
        if let Standing::Late { reason, .. } = &state.seats[number].standing {
            let reason = reason.clone();
            self.give_up_slot(&mut state, number, reason);
            return self.let_go(state);
        }
        let seat = &mut state.seats[number];
        let Some(ticket) = seat.current().map(|current| current.ticket) else {
            return;
        };
        let Some(current) = state.take_flight(number, ticket) else {
            return;
        };
        let seat = &mut state.seats[number];
        let slot = seat.slot.clone();
        let job = Arc::clone(&current.job);
        let reason = overdue(&slot, &job);
        // Who waits for every worker to let go of borrowed items must wait for this one too.
        let behind = seat.take_flights(|flight| !flight.job.lent());
        seat.landed = Instant::now();
        if current.killer.is_none() {
            seat.inside = false;
            self.give_up_slot(&mut state, number, reason.clone());
        }
        drop(state);
        give_up(current, &slot, &reason);
        self.redo(behind);
        self.let_go(self.state.lock());
    }

    /// A slot is not to be counted on before its tool returns.
    fn give_up_slot(&self, state: &mut State, number: usize, reason: Error) {
        state.seats[number].standing = Standing::Stuck(reason.clone());
        state.note_trouble(number, &reason);
        self.call_all(state);
    }

    /// Gives batches back to their jobs, for other slots.
    fn redo(&self, flights: VecDeque<Flight>) {
        for Flight { job, planned, .. } in flights {
            job.put_back(Arc::unwrap_or_clone(planned));
            self.retire(&job);
        }
        self.wake();
    }

    /// A worker comes out of a tool that nobody waited for any more.
    fn come_back(&self, mut state: MutexGuard<State>, slot: usize) {
        let seat = &mut state.seats[slot];
        seat.inside = !seat.flights.is_empty();
        seat.starting = false;
        seat.landed = Instant::now();
        if !matches!(seat.standing, Standing::Lost(_)) {
            seat.standing = Standing::Live;
        }
        self.quiet.notify_all();
    }

    /// A batch has ended: others may have to look again.
    fn after(&self, slot: usize, job: &Arc<Job>, failed: bool) {
        let mut state = self.state.lock();
        state.seats[slot].inside = !state.seats[slot].flights.is_empty();
        if failed {
            self.call_all(&mut state);
        } else {
            self.call_declined(&mut state);
        }
        self.quiet.notify_all();
        drop(state);
        if job.over() {
            self.retire(job);
        }
    }

    /// Calls workers that wait, no more than there are items; those that have the tool first.
    fn call(&self, state: &mut State, items: usize, key: &str) {
        let mut waiting: Vec<usize> = (0..state.seats.len())
            .filter(|&slot| state.seats[slot].waiting)
            .collect();
        waiting.sort_by_key(|&slot| !state.seats[slot].has(key));
        for &slot in waiting.iter().take(items) {
            state.seats[slot].waiting = false;
            self.bells[slot].notify_one();
        }
    }

    fn call_all(&self, state: &mut State) {
        for (seat, bell) in state.seats.iter_mut().zip(&self.bells) {
            if std::mem::take(&mut seat.waiting) {
                bell.notify_one();
            }
        }
    }

    /// Calls the workers that left work to faster slots.
    fn call_declined(&self, state: &mut State) {
        for (seat, bell) in state.seats.iter_mut().zip(&self.bells) {
            if seat.declined && std::mem::take(&mut seat.waiting) {
                bell.notify_one();
            }
        }
    }

    /// Calls the workers that wait to be called: what another leaves to them, they may not know of.
    fn call_asleep(&self, state: &mut State) {
        for (seat, bell) in state.seats.iter_mut().zip(&self.bells) {
            if !seat.declined && std::mem::take(&mut seat.waiting) {
                bell.notify_one();
            }
        }
    }

    fn watch_until(&self, state: &mut State, deadline: Option<Instant>) {
        if let Some(deadline) = deadline
            && state.watched.is_none_or(|watched| deadline < watched)
        {
            state.watched = Some(deadline);
            self.clock.notify_all();
        }
    }

    /// Forgets what is over, outside the lock: what it held is released by code of the caller.
    fn let_go(&self, mut state: MutexGuard<State>) {
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
        self.idle(slot);
        self.let_go(self.state.lock());
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

/// What has run out of time.
enum Overdue {
    Job(u64),
    Batch(usize),
}

/// Why a batch is given up that takes longer than its job allows.
fn overdue(slot: &Slot, job: &Job) -> Error {
    let limit = job.options().batch_time_limit.unwrap_or_default();
    let tool = job.tool().name();
    Error::new(
        Status::TimeLimit,
        format_args!(
            "{slot}: {tool} was still inside this batch when its time ran out (batch_time_limit={limit:?})"
        ),
    )
}

/// Tells the job of a batch that was given up, and ends the batch where that is possible.
fn give_up(flight: Flight, slot: &Slot, reason: &Error) {
    let now = Instant::now();
    if let Some(kill) = &flight.killer {
        kill();
    }
    let landing = Landing {
        slot,
        begin: flight.begin,
        end: now,
        busy: now.saturating_duration_since(flight.begin),
        cost: flight.cost,
        extent: flight.extent,
        relieved: false,
        larger: false,
        budget: flight.job.limits().cut.budget,
    };
    let Flight { job, planned, .. } = flight;
    job.land(Arc::unwrap_or_clone(planned), Err(reason.clone()), &landing);
}

impl State {
    fn check_open(&self) -> Result<()> {
        if self.phase != Phase::Open {
            return Err(Error::new(Status::Closed, "the pool is closed"));
        }
        let trouble = self.seats.iter().find_map(Seat::trouble);
        match trouble {
            Some(error) if !self.working().contains(&true) => Err(error
                .clone()
                .within("every slot of the pool is lost or stuck; open a new one")),
            _ => Ok(()),
        }
    }

    /// Which slots can be given work.
    fn working(&self) -> Vec<bool> {
        self.seats.iter().map(Seat::works).collect()
    }

    /// The slots that are lost with this one: all of its GPU.
    fn on_device(&self, slot: usize) -> Vec<usize> {
        let same = |other: &usize| {
            *other == slot || room::one_gpu(&self.seats[slot].slot, &self.seats[*other].slot)
        };
        (0..self.seats.len()).filter(same).collect()
    }

    /// A slot can not be given work any more: the jobs that none is left for give up.
    fn note_trouble(&self, slot: usize, error: &Error) {
        let works = self.working();
        for entry in self.jobs.values() {
            entry.job.note_trouble(slot, error);
            entry.job.check_slots(&works, error);
        }
    }

    fn take_flight(&mut self, slot: usize, ticket: u64) -> Option<Flight> {
        let seat = &mut self.seats[slot];
        let place = seat
            .flights
            .iter()
            .position(|flight| flight.ticket == ticket)?;
        seat.starting &= place + 1 < seat.flights.len();
        seat.flights.remove(place)
    }

    /// Keeps what a batch taught about the tool on the slot.
    /// The budget of the next.
    fn learn(
        &mut self,
        slot: usize,
        flight: &Flight,
        busy: Duration,
        outcome: &Result<Part>,
    ) -> u64 {
        let seconds = busy.as_secs_f64();
        let facts = &mut self.learnt.of(&flight.job)[slot];
        match outcome {
            Ok(_) => {
                facts.budget.done(flight.extent, flight.cost, seconds);
                let own = self
                    .jobs
                    .get_mut(&flight.job.id())
                    .and_then(|entry| entry.speeds.as_mut());
                match own {
                    Some(speeds) => speeds[slot].done(flight.cost, seconds),
                    None if flight.job.own_costs() => {}
                    None => facts.speed.done(flight.cost, seconds),
                }
            }
            Err(error) if error.status() == Status::OutOfMemory => {
                facts.budget.out_of_memory(flight.extent);
            }
            Err(_) => {}
        }
        facts.budget.now()
    }

    /// A slot has spent time on a job, of which `expected` seconds had been counted before.
    fn serve(&mut self, id: u64, spent: Duration, expected: Option<f64>) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let before = (entry.served, id);
        let counted = Duration::try_from_secs_f64(expected.unwrap_or(0.0)).unwrap_or_default();
        entry.served = entry
            .served
            .saturating_add(spent.as_nanos() as u64)
            .saturating_sub(counted.as_nanos() as u64);
        let after = (entry.served, id);
        self.turns.remove(&before);
        self.turns.insert(after);
    }

    /// Whether some slot that could do the job has more memory.
    fn larger(&self, slot: usize, job: &Job) -> bool {
        let unfit = job.unfit();
        let memory = |seat: &Seat| seat.slot.device.memory_total;
        let own = memory(&self.seats[slot]);
        self.seats
            .iter()
            .enumerate()
            .any(|(number, seat)| seat.works() && !unfit.contains(&number) && memory(seat) > own)
    }

    fn task(&mut self, slot: usize, sweeps: u64) -> Result<Task, Idle> {
        match self.phase {
            Phase::Open => {}
            Phase::Resting => return Err(Idle::Wait),
            Phase::Closed => return Ok(Task::Stop),
        }
        if let Standing::Lost(error) = &self.seats[slot].standing {
            return Ok(Task::Leave(error.clone()));
        }
        if sweeps < self.sweeps {
            return Ok(Task::Sweep(self.sweeps));
        }
        if !self.seats[slot].unload.is_empty() {
            return Ok(Task::Unload(std::mem::take(&mut self.seats[slot].unload)));
        }
        if let Some(warm_up) = self.warm_ups.iter().find(|warm_up| warm_up.take(slot)) {
            return Ok(Task::WarmUp(Arc::clone(warm_up)));
        }
        self.serve_next(slot)
    }

    /// Work of the job whose turn it is, among those that have some for the slot.
    fn serve_next(&mut self, slot: usize) -> Result<Task, Idle> {
        let now = Instant::now();
        let mut passed_over = Vec::new();
        let mut idle = Idle::Wait;
        self.seats[slot].declined = false;
        if self.seats[slot].flights.iter().any(|flight| flight.alone) {
            return Err(idle);
        }
        while let Some(id) = self.whose_turn(slot, &passed_over) {
            match self.offer(slot, id, now) {
                (job, Offer::Run(taken)) => {
                    let ticket = self.depart(slot, job, taken, now);
                    return Ok(Task::Run(ticket));
                }
                (job, Offer::Load) => {
                    self.turn = self.turn.max(self.jobs[&id].served);
                    self.serve(id, LOAD_BEGUN, None);
                    return Ok(Task::Load(job));
                }
                (_, Offer::Declined) => {
                    self.seats[slot].declined = true;
                    idle = Idle::LookAgain(LOOK_AGAIN);
                }
                (_, Offer::Nothing) => {}
            }
            passed_over.push(id);
        }
        Err(idle)
    }

    /// The job that slots have spent least time on, where a tool that must be loaded first counts against it: a worker
    /// stays with what it has loaded until another job is behind by what the load costs.
    fn whose_turn(&mut self, slot: usize, passed_over: &[u64]) -> Option<u64> {
        let mut best: Option<(u64, u64)> = None;
        for &(served, id) in &self.turns {
            if best.is_some_and(|(score, _)| served >= score) {
                break;
            }
            let job = &self.jobs[&id].job;
            if passed_over.contains(&id) || !job.waits_for(slot) {
                continue;
            }
            let fact = &self.learnt.of(job)[slot];
            let key = job.tool().identity().key();
            let behind = if self.seats[slot].has(key) || self.seats[slot].warm.is_empty() {
                0.0
            } else if room::fits(&self.seats, slot, fact.bytes, self.memory) {
                LOADS_BEHIND
            } else {
                SWAPS_BEHIND
            };
            let behind = behind * load_time(self.learnt.of(job), slot);
            let score = served.saturating_add((behind * 1e9) as u64);
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, id));
            }
        }
        best.map(|(_, id)| id)
    }

    /// What a job has for a slot.
    fn offer(&mut self, slot: usize, id: u64, now: Instant) -> (Arc<Job>, Offer) {
        let entry = &self.jobs[&id];
        let job = Arc::clone(&entry.job);
        let own = entry.speeds.clone();
        let key = job.tool().identity().key();
        let unfit = job.unfit();
        let facts = self.learnt.of(&job);
        let (mut speeds, mut peers, mut own_place) = (Vec::new(), Vec::new(), 0);
        let mut most_memory = 0;
        let speed = |number: usize| match &own {
            Some(speeds) => speeds[number].get(),
            None => facts[number].speed.get(),
        };
        for (number, seat) in self.seats.iter().enumerate() {
            if !seat.works() || unfit.contains(&number) {
                continue;
            }
            most_memory = most_memory.max(seat.slot.device.memory_total);
            if number == slot {
                own_place = speeds.len();
            } else if let Some(speed) = speed(number) {
                let load = if seat.has(key) {
                    0.0
                } else {
                    load_time(facts, number)
                };
                peers.push(Peer {
                    free_in: seat.free_in(now) + load,
                    speed,
                });
            }
            speeds.push(speed(number));
        }
        let seat = &self.seats[slot];
        let warm = seat.has(key);
        let like_others = || {
            let sum = peers.iter().map(|peer| peer.speed).sum::<f64>();
            (!warm && !peers.is_empty()).then(|| sum / peers.len() as f64)
        };
        let terms = Terms {
            warm,
            budget: facts[slot].budget.now(),
            share: share(&speeds, own_place),
            speed: speed(slot).or_else(like_others),
            delay: if warm { 0.0 } else { load_time(facts, slot) },
            peers: &peers,
            largest: seat.slot.device.memory_total >= most_memory,
            empty: seat.flights.is_empty(),
        };
        let offer = job.offer(&terms);
        (job, offer)
    }

    /// Notes a batch that a worker takes.
    fn depart(&mut self, slot: usize, job: Arc<Job>, taken: Taken, now: Instant) -> Ticket {
        let (id, planned) = (job.id(), taken.batch);
        let cost = planned.iter().map(|item| amount(item.cost)).sum::<f64>();
        let extent = planned
            .iter()
            .fold(0, |sum, item| u64::saturating_add(sum, item.extent));
        let speed = match self.jobs[&id].speeds.as_ref() {
            Some(speeds) => speeds[slot].get(),
            None => self.learnt.of(&job)[slot].speed.get(),
        };
        let expected = speed.map(|speed| cost / speed);
        self.turn = self.turn.max(self.jobs[&id].served);
        if let Some(seconds) = expected {
            let spent = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            self.serve(id, spent, None);
        }
        self.tickets += 1;
        self.uses += 1;
        let (number, uses, planned) = (self.tickets, self.uses, Arc::new(planned));
        let seat = &mut self.seats[slot];
        let key = job.tool().identity().key();
        if let Some(warm) = seat.warm.iter_mut().find(|warm| warm.key == *key) {
            warm.used = uses;
        }
        seat.flights.push_back(Flight {
            ticket: number,
            job: Arc::clone(&job),
            planned: Arc::clone(&planned),
            cost,
            extent,
            begin: now,
            expected,
            alone: taken.alone,
            killer: None,
        });
        Ticket {
            number,
            job,
            planned,
        }
    }

    fn first_late(&self, now: Instant) -> Option<Overdue> {
        let late = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let job = self.jobs.iter().find(|(_, entry)| late(entry.deadline));
        let batch = || self.seats.iter().position(|seat| late(seat.deadline()));
        job.map(|(&id, _)| Overdue::Job(id))
            .or_else(|| batch().map(Overdue::Batch))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let jobs = self.jobs.values().filter_map(|entry| entry.deadline);
        let batches = self.seats.iter().filter_map(Seat::deadline);
        jobs.chain(batches).min()
    }
}
