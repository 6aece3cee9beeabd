//! Time limits: what becomes of a job, a batch and a slot that take longer than they may.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::job::Job;
use super::queue::Queue;
use super::seat::{Flight, Landing, Seat, Standing};
use super::sync::MutexGuard;
use super::turns::{Phase, Turns};
use super::warm::WarmUp;
use crate::device::Slot;
use crate::error::{Error, Status};
use crate::tool::Killer;

/// What has run out of time.
enum Overdue {
    Job(u64),
    Batch(usize),
    /// For a job that has ended before.
    Load(usize),
}

impl Queue {
    /// Ends what takes longer than it may, until the pool is closed and nothing is under way.
    pub fn watch(&self) {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            if let Some(late) = state.first_late(now) {
                match late {
                    Overdue::Job(id) => self.end_job(state, id),
                    Overdue::Batch(slot) => self.end_batch(state, slot),
                    Overdue::Load(slot) => self.end_load(state, slot),
                }
                state = self.state.lock();
                continue;
            }
            let over = state.seats.iter().all(Seat::unlimited);
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
    fn end_job(&self, mut state: MutexGuard<Turns>, id: u64) {
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
        let mut killers = Vec::new();
        let Turns {
            seats, warm_ups, ..
        } = &mut *state;
        for seat in seats {
            let number = seat.slot.number;
            let current = seat.current();
            let working = current.is_some_and(|current| current.job.id() == id);
            let until = seat.deadline();
            let mut of_job = seat.give_up(|flight| flight.job.id() == id);
            let doomed = seat.doom(&mut of_job);
            if working && doomed.is_empty() {
                let reason = job.overdue(&seat.slot);
                job.note_trouble(number, &reason);
                seat.stand(Standing::Late { until, reason });
                seat.inside = false;
                behind.extend(seat.give_up_behind());
            }
            killers.extend(doomed.into_iter().map(|kill| (number, kill)));
            let landed = seat.landed;
            let of_job = of_job.into_iter();
            ended.extend(of_job.map(|flight| (seat.slot.clone(), landed, flight)));
            if seat
                .loading
                .as_ref()
                .is_some_and(|load| load.job == Some(id))
            {
                killers.extend(seat.give_up_load().map(|kill| (number, kill)));
                if let Standing::Late { reason, .. } = &seat.standing {
                    job.note_trouble(number, reason);
                }
            }
            seat.pass_over(warm_ups);
        }
        drop(state);
        self.kill(killers);
        for (slot, landed, flight) in ended {
            give_up(flight, &slot, landed, &reason);
        }
        self.retire(&job);
        self.redo(behind);
        self.let_go(self.state.lock());
    }

    /// A batch takes longer than it may: it is given up, and the slot with it, unless the tool can be stopped from
    /// outside. What waits behind it on the slot goes to others.
    fn end_batch(&self, mut state: MutexGuard<Turns>, number: usize) {
        if let Standing::Late { reason, .. } = &state.seats[number].standing {
            let reason = reason.clone();
            self.give_up_slot(&mut state, number, reason);
            return self.let_go(state);
        }
        let seat = &mut state.seats[number];
        let Some(ticket) = seat.current().map(|current| current.ticket) else {
            return;
        };
        let mut given_up = seat.give_up(|flight| flight.ticket == ticket);
        let killers = seat.doom(&mut given_up);
        let Some(current) = given_up.pop_front() else {
            return;
        };
        let slot = seat.slot.clone();
        let job = Arc::clone(&current.job);
        let reason = job.overdue(&slot);
        let behind = seat.give_up_behind();
        let landed = std::mem::replace(&mut seat.landed, Instant::now());
        if killers.is_empty() {
            seat.inside = false;
            self.give_up_slot(&mut state, number, reason.clone());
        }
        drop(state);
        self.kill(killers.into_iter().map(|kill| (number, kill)).collect());
        give_up(current, &slot, landed, &reason);
        self.redo(behind);
        self.let_go(self.state.lock());
    }

    /// A load takes longer than the job might that it was for.
    fn end_load(&self, mut state: MutexGuard<Turns>, number: usize) {
        let Turns {
            seats, warm_ups, ..
        } = &mut *state;
        let killer = seats[number].give_up_load();
        seats[number].pass_over(warm_ups);
        self.let_go(state);
        self.kill(killer.map(|kill| (number, kill)).into_iter().collect());
    }

    /// Ends what slots are inside of, without the lock: it may end in code of the caller.
    fn kill(&self, killers: Vec<(usize, Killer)>) {
        for (slot, kill) in killers {
            kill();
            self.state.lock().seats[slot].kills -= 1;
            self.quiet.notify_all();
        }
    }

    /// A slot is not to be counted on before its tool returns.
    fn give_up_slot(&self, state: &mut Turns, number: usize, reason: Error) {
        state.seats[number].stand(Standing::Stuck(reason.clone()));
        state.note_trouble(number, &reason);
        self.call_all(state);
    }

    /// Gives batches back to their jobs, for other slots. The worker has begun them, and comes to them yet.
    fn redo(&self, flights: VecDeque<Flight>) {
        for Flight { job, planned, .. } in flights {
            job.keep_for_last(Arc::unwrap_or_clone(planned));
            self.retire(&job);
        }
        self.wake();
    }

    pub(super) fn watch_until(&self, state: &mut Turns, deadline: Option<Instant>) {
        if let Some(deadline) = deadline
            && state.watched.is_none_or(|watched| deadline < watched)
        {
            state.watched = Some(deadline);
            self.clock.notify_all();
        }
    }
}

impl Seat {
    /// Nobody waits for the load any more: what ends it, or else its worker may be in it for ever.
    fn give_up_load(&mut self) -> Option<Killer> {
        let loading = self.loading.as_mut()?;
        loading.until = None;
        let killer = loading.killer.take();
        if killer.is_some() {
            loading.killed = true;
            self.kills += 1;
        } else {
            loading.given_up = true;
            let reason = Error::new(
                Status::TimeLimit,
                format_args!(
                    "{}: {} was still loading when the time of its job ran out",
                    self.slot, loading.tool
                ),
            );
            self.stand(Standing::Late {
                until: None,
                reason,
            });
            self.inside = false;
        }
        killer
    }

    /// If it is late, nobody waits for it with a warm-up.
    fn pass_over(&self, warm_ups: &[Arc<WarmUp>]) {
        if let Standing::Late { reason, .. } = &self.standing {
            let number = self.slot.number;
            let each = warm_ups.iter();
            each.for_each(|warm_up| warm_up.pass_over(number, reason));
        }
    }

    /// When the load must be done.
    fn load_deadline(&self) -> Option<Instant> {
        self.loading.as_ref().and_then(|load| load.until)
    }

    /// Whether nothing is under way that could run out of time.
    fn unlimited(&self) -> bool {
        self.flights.is_empty() && self.load_deadline().is_none()
    }
}

impl Turns {
    fn first_late(&self, now: Instant) -> Option<Overdue> {
        let late = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let job = self.jobs.iter().find(|(_, entry)| late(entry.deadline));
        let batch = || self.seats.iter().position(|seat| late(seat.deadline()));
        let load = || {
            let mut seats = self.seats.iter();
            seats.position(|seat| late(seat.load_deadline()))
        };
        job.map(|(&id, _)| Overdue::Job(id))
            .or_else(|| batch().map(Overdue::Batch))
            .or_else(|| load().map(Overdue::Load))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let jobs = self.jobs.values().filter_map(|entry| entry.deadline);
        let batches = self.seats.iter().filter_map(Seat::deadline);
        let loads = self.seats.iter().filter_map(Seat::load_deadline);
        jobs.chain(batches).chain(loads).min()
    }
}

impl Job {
    /// Why a batch of it is given up that takes longer than it may.
    pub(super) fn overdue(&self, slot: &Slot) -> Error {
        let options = self.options();
        let (limit, name) = match options.batch_time_limit {
            Some(limit) => (limit, "batch_time_limit"),
            None => (options.time_limit.unwrap_or_default(), "time_limit"),
        };
        let tool = self.tool().name();
        Error::new(
            Status::TimeLimit,
            format_args!(
                "{slot}: {tool} was still inside this batch when its time ran out ({name}={limit:?})"
            ),
        )
    }
}

/// Tells the job of a batch that was given up. `landed` is when the slot's last one ended.
fn give_up(flight: Flight, slot: &Slot, landed: Instant, reason: &Error) {
    let now = Instant::now();
    let busy = now.saturating_duration_since(flight.begin.max(landed));
    let landing = Landing {
        slot,
        begin: flight.begin,
        end: now,
        busy,
        cost: flight.cost,
        extent: flight.extent,
        relieved: false,
        crowded: flight.crowded,
        larger: false,
        others: Vec::new(),
        budget: flight.job.limits().cut.budget,
    };
    let Flight { job, planned, .. } = flight;
    job.land(Arc::unwrap_or_clone(planned), Err(reason.clone()), &landing);
}
