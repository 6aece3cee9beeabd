//! Batches that come back from workers.

use std::sync::Arc;
use std::time::Instant;

use super::job::Job;
use super::queue::Queue;
use super::seat::{Flight, Ghost, Landed, Landing};
use super::sync::MutexGuard;
use super::turns::Turns;
use crate::error::{Result, Status};
use crate::mem::Part;

impl Queue {
    /// Waits until nobody is about to end what a worker calls: it would be the next call.
    pub(super) fn spared(&self, slot: usize) -> MutexGuard<'_, Turns> {
        let mut state = self.state.lock();
        let doomed = |state: &mut Turns| state.seats[slot].kills > 0;
        self.quiet.wait_while(&mut state, doomed);
        state
    }

    /// Takes a batch back from a worker, and gives it to its job, unless somebody else has ended it before. Whether what it
    /// ran in is still there, and was not ended from outside. `relieved`: memory was freed on the slot since.
    pub fn land(&self, slot: usize, ticket: u64, outcome: Result<Part>, relieved: bool) -> bool {
        let now = Instant::now();
        let failed_with = |status| matches!(&outcome, Err(error) if error.status() == status);
        let lost = failed_with(Status::DeviceLost);
        let (mut state, flight) = match self.take(self.spared(slot), slot, ticket, lost) {
            Ok(taken) => taken,
            Err(killed) => return !killed,
        };
        if flight.struck && failed_with(Status::Crashed) {
            drop(state);
            self.give_back(slot, flight);
            return false;
        }
        let struck = flight.struck;
        let seat = &mut state.seats[slot];
        let busy = now.saturating_duration_since(flight.begin.max(seat.landed));
        seat.landed = now;
        let budget = state.learn(slot, &flight, busy, &outcome, relieved);
        state.serve(flight.job.id(), busy, flight.expected);
        let (others, larger) = state.others(slot, &flight.job);
        let landing = Landing {
            slot: &state.seats[slot].slot.clone(),
            begin: flight.begin,
            end: now,
            busy,
            cost: flight.cost,
            extent: flight.extent,
            relieved,
            crowded: flight.crowded,
            larger,
            others,
            budget,
        };
        drop(state);
        let failed = outcome.as_ref().err().cloned();
        let Flight { job, planned, .. } = flight;
        let (back, left_out) = job.land(Arc::unwrap_or_clone(planned), outcome, &landing);
        if let Some(error) = left_out.as_ref().or(failed.as_ref()) {
            job.check_slots(&self.state.lock().working(), error);
        }
        self.after(slot, &job, back || failed.is_some());
        !struck
    }

    /// Takes a batch back that a worker could not end, for reasons of its own.
    pub fn put_back(&self, slot: usize, ticket: u64) {
        if let Ok((state, flight)) = self.take(self.spared(slot), slot, ticket, false) {
            drop(state);
            self.give_back(slot, flight);
        }
    }

    /// Gives a batch to its job that is not to blame for its end.
    fn give_back(&self, slot: usize, flight: Flight) {
        let Flight { job, planned, .. } = flight;
        job.put_back(Arc::unwrap_or_clone(planned));
        self.after(slot, &job, true);
    }

    /// Takes a batch from a slot whose worker comes back with it, unless nobody waits for it any more. Whether its
    /// device was `lost` is then all that its job wants to know; the worker is told whether it was ended from outside.
    fn take<'a>(
        &self,
        mut state: MutexGuard<'a, Turns>,
        slot: usize,
        ticket: u64,
        lost: bool,
    ) -> Result<(MutexGuard<'a, Turns>, Flight), bool> {
        let now = Instant::now();
        let landed = state.seats[slot].land(ticket, now);
        let deadline = state.seats[slot].deadline();
        self.watch_until(&mut state, deadline);
        match landed {
            Landed::Flight(flight) => Ok((state, flight)),
            Landed::Ghost(ghost) => {
                let seat = &mut state.seats[slot];
                seat.inside = !seat.flights.is_empty();
                seat.landed = now;
                self.quiet.notify_all();
                drop(state);
                let killed = ghost.as_ref().is_some_and(Ghost::killed);
                if let Some(ghost) = ghost {
                    ghost.tell(lost);
                }
                Err(killed)
            }
        }
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
}
