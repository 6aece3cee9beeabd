//! A job: a tool, its items, how far they are, and what came of them.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::queue::{Asking, Queue};
use super::state::{State, Verdict};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::{Finished, Items, Part, Results};
use crate::plan::batch::Cut;
use crate::plan::dedup::{Dedup, Positions};
use crate::tool::{Batch, Tool};

/// What a caller can say about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOptions {
    /// Whether items of equal content are computed once.
    pub dedup: bool,
    /// Workers pause while finished outputs that nobody has taken are larger than this, in bytes.
    pub pending_bytes: u64,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            dedup: true,
            pending_bytes: u64::MAX,
        }
    }
}

/// How far a job is, in items of the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// All, duplicates included.
    pub total: u64,
    /// Done, failed ones included.
    pub done: u64,
    /// Failed.
    pub failed: u64,
    /// Distinct items.
    pub unique: u64,
    /// Distinct items in batches under way.
    pub running: u64,
    /// Bytes of finished outputs that nobody has taken.
    pub unread_bytes: u64,
}

/// What [`Job::next`] found.
pub enum Next {
    /// Items that finished since the last call.
    Results(Results),
    /// None yet.
    Pending,
    /// None any more.
    Done,
}

/// One submitted run.
pub struct Job {
    tool: Arc<dyn Tool>,
    items: Arc<Items>,
    dedup: Dedup,
    /// Where each distinct item stands in the input; `None` if every item is distinct.
    positions: Option<Positions>,
    pending_bytes: u64,
    queue: Weak<Queue>,
    state: Mutex<State>,
    changed: Condvar,
}

/// What a job has for a worker that asks.
pub enum Offer {
    /// Nothing now.
    Nothing,
    /// Items, once the tool is loaded.
    Load,
    /// These distinct items.
    Run(Vec<u32>),
}

impl Job {
    /// Plans a job.
    pub(super) fn new(
        tool: Arc<dyn Tool>,
        items: Arc<Items>,
        options: &JobOptions,
        queue: Weak<Queue>,
    ) -> Result<Arc<Self>> {
        if items.len() >= u32::MAX as usize {
            return Err(Error::new(
                Status::Argument,
                format_args!(
                    "{} items in one job; at most {} are possible",
                    items.len(),
                    u32::MAX - 1
                ),
            ));
        }
        let dedup = if options.dedup {
            Dedup::find(&*items)
        } else {
            Dedup::off(items.len())
        };
        Ok(Arc::new(Self {
            state: Mutex::new(State::of(&*tool, &items, &dedup)?),
            changed: Condvar::new(),
            positions: Positions::of(&dedup),
            pending_bytes: options.pending_bytes,
            tool,
            items,
            dedup,
            queue,
        }))
    }

    /// The tool.
    #[must_use]
    pub fn tool(&self) -> &Arc<dyn Tool> {
        &self.tool
    }

    /// Waits until the job is finished: `false` if the time ran out before. From now on nothing pauses for
    /// `pending_bytes`, unless the time is zero.
    #[must_use]
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        if timeout != Some(Duration::ZERO) && !state.unlimited {
            state.unlimited = true;
            drop(state);
            self.unpause();
            state = self.state.lock();
        }
        let unfinished = |state: &mut State| !state.over();
        match timeout {
            None => self.changed.wait_while(&mut state, unfinished),
            Some(timeout) => {
                self.changed.wait_while_for(&mut state, unfinished, timeout);
            }
        }
        state.over()
    }

    /// How far the job is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let state = self.state.lock();
        Progress {
            total: self.dedup.positions() as u64,
            done: state.done,
            failed: state.failed,
            unique: self.dedup.uniques() as u64,
            running: state.running as u64,
            unread_bytes: state.unread_bytes,
        }
    }

    /// How the job went, or how far it is.
    #[must_use]
    pub fn report(&self) -> crate::report::Report {
        let progress = self.progress();
        crate::report::Report {
            tool: self.tool.name().to_owned(),
            total: progress.total,
            done: progress.done,
            failed: progress.failed,
            unique: progress.unique,
            ..crate::report::Report::default()
        }
    }

    /// Begins no more batches; items that are not done fail as cancelled.
    pub fn cancel(&self) {
        self.stop(&Error::new(
            Status::Cancelled,
            "the job was cancelled before this item was done",
        ));
        if let Some(queue) = self.queue.upgrade() {
            queue.retire();
        }
    }

    /// Takes the results of all items that have not been taken; `None` if there are none left. The job must be over.
    ///
    /// # Errors
    /// Why the job failed as a whole; it then has no results.
    pub fn results(&self) -> Result<Option<Results>> {
        let mut state = self.state.lock();
        if !state.over() {
            return Err(Error::new(
                Status::Argument,
                "the job has not ended; wait for it first",
            ));
        }
        if let Verdict::Failed(error) = &state.verdict {
            return Err(error.clone());
        }
        let taken = state.take_finished();
        let undone = std::mem::take(&mut state.undone);
        let reason = state.verdict.error().cloned();
        drop(state);
        let count = taken.iter().map(|batch| batch.uniques.len()).sum::<usize>() + undone.len();
        Ok(match count {
            all if all == self.dedup.uniques() => Some(Results::whole(taken, &self.dedup, reason)),
            0 => None,
            _ => Some(self.some(taken, &undone, reason).in_order()),
        })
    }

    /// Takes the items that finished since the last call; waits for some until the time runs out.
    ///
    /// # Errors
    /// Why the job failed as a whole, after everything else has been taken.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Next> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state.lock();
        loop {
            if !state.finished.is_empty() {
                let taken = state.take_finished();
                drop(state);
                self.unpause();
                return Ok(Next::Results(self.some(taken, &[], None)));
            }
            if state.over() {
                return self.last(&mut state);
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) if Instant::now() >= deadline => return Ok(Next::Pending),
                Some(deadline) => {
                    self.changed.wait_until(&mut state, deadline);
                }
            }
        }
    }

    /// What is left to say about a job of which everything that finished has been taken.
    fn last(&self, state: &mut State) -> Result<Next> {
        if let Verdict::Failed(error) = &state.verdict {
            return Err(error.clone());
        }
        let undone = std::mem::take(&mut state.undone);
        if undone.is_empty() {
            return Ok(Next::Done);
        }
        let results = self.some(Vec::new(), &undone, state.verdict.error().cloned());
        Ok(Next::Results(results))
    }

    fn some(&self, finished: Vec<Finished>, undone: &[u32], reason: Option<Error>) -> Results {
        Results::some(finished, undone, reason, |unique, each| {
            match &self.positions {
                Some(positions) => positions
                    .of_unique(unique)
                    .iter()
                    .for_each(|&position| each(position)),
                None => each(unique),
            }
        })
    }

    /// The items of a batch, for the tool.
    pub(super) fn batch(&self, uniques: &[u32]) -> Batch {
        let positions = uniques
            .iter()
            .map(|&unique| self.dedup.first(unique as usize) as u32);
        Batch::new(
            Arc::clone(&self.tool),
            Arc::clone(&self.items),
            positions.collect(),
        )
    }

    /// Somebody waits for the whole job: from now on nothing pauses for `pending_bytes`.
    pub(super) fn lift_limit(&self) {
        self.state.lock().unlimited = true;
    }

    /// Whether nothing more will happen.
    pub(super) fn over(&self) -> bool {
        self.state.lock().over()
    }

    /// How many distinct items wait for a worker.
    pub(super) fn left(&self) -> usize {
        self.state.lock().left()
    }

    /// What there is to do on a slot, among `slots` that work.
    pub(super) fn offer(&self, asking: &Asking, slots: usize) -> Offer {
        let mut state = self.state.lock();
        let paused = !state.unlimited && state.unread_bytes > self.pending_bytes;
        let unfit = state.unfit.iter().any(|&(slot, _)| slot == asking.slot);
        if paused || unfit || !state.has_work() {
            return Offer::Nothing;
        }
        let Some(budget) = (asking.budget)(self.tool.identity().key()) else {
            // Those who are loading already may be enough for the little that is left.
            if state.loading > 0 && state.loading >= state.left() {
                return Offer::Nothing;
            }
            state.loading += 1;
            return Offer::Load;
        };
        let limits = self.tool.limits();
        let limits = Cut {
            budget: limits.budget.min(budget),
            ..limits
        };
        let uniques = state.cut(limits, slots);
        state.flights += 1;
        state.running += uniques.len();
        Offer::Run(uniques)
    }

    /// A worker has loaded the tool, or failed to; `live` are the slots that could still do it.
    pub(super) fn loaded(&self, slot: usize, outcome: Result<()>, live: &[bool]) {
        let mut state = self.state.lock();
        state.loading -= 1;
        if let Err(error) = outcome {
            state.unfit.push((slot, error.clone()));
            drop(state);
            self.check_slots(live, &error);
        }
    }

    /// Fails the job if no slot is left that could do it.
    pub(super) fn check_slots(&self, live: &[bool], error: &Error) {
        let mut state = self.state.lock();
        let fit = |slot: usize| live[slot] && !state.unfit.iter().any(|&(unfit, _)| unfit == slot);
        if !(0..live.len()).any(fit) {
            state.give_up(error.clone());
            self.changed.notify_all();
        }
    }

    /// Begins no more batches; `reason` is what the items that are left fail with.
    pub(super) fn stop(&self, reason: &Error) {
        self.state.lock().stop(Verdict::Stopped(reason.clone()));
        self.changed.notify_all();
    }

    /// Takes a batch back from a worker.
    pub(super) fn end(&self, uniques: Vec<u32>, outcome: Result<Part>, slot: &Slot) {
        let mut state = self.state.lock();
        state.flights -= 1;
        state.running -= uniques.len();
        match outcome {
            Ok(part) => {
                if part.failures() < uniques.len() {
                    state.streak.broken();
                }
                self.finish(&mut state, uniques, part, slot);
            }
            Err(error) => self.recover(&mut state, uniques, &error, slot),
        }
        self.changed.notify_all();
    }

    /// Takes a batch back that a worker could not end, for reasons of its own.
    pub(super) fn put_back(&self, uniques: Vec<u32>, error: &Error, slot: &Slot) {
        let mut state = self.state.lock();
        state.flights -= 1;
        state.running -= uniques.len();
        if state.verdict.error().is_some() {
            self.fail(&mut state, uniques, error, slot);
        } else {
            state.again.push(uniques);
        }
        self.changed.notify_all();
    }

    /// What the extents of a batch add up to.
    pub(super) fn extent(&self, uniques: &[u32]) -> u64 {
        let extent = |unique: u32| {
            let item = self.items.first(self.dedup.first(unique as usize));
            self.tool.extent(item)
        };
        uniques
            .iter()
            .fold(0, |sum, &unique| u64::saturating_add(sum, extent(unique)))
    }

    /// Puts what became of some items among the results.
    pub(super) fn finish(&self, state: &mut State, uniques: Vec<u32>, part: Part, slot: &Slot) {
        let copies = |unique: u32| match &self.positions {
            Some(positions) => positions.of_unique(unique).len() as u64,
            None => 1,
        };
        state.done += uniques.iter().map(|&unique| copies(unique)).sum::<u64>();
        let failed = uniques
            .iter()
            .enumerate()
            .filter(|&(row, _)| part.error(row).is_some());
        state.failed += if part.failures() == 0 {
            0
        } else {
            failed.map(|(_, &unique)| copies(unique)).sum()
        };
        state.unread_bytes += part.bytes() as u64;
        state.finished.push(Finished {
            uniques,
            part,
            slot: slot.number,
        });
    }

    /// Lets workers go on that paused for results to be taken.
    fn unpause(&self) {
        if self.pending_bytes < u64::MAX
            && let Some(queue) = self.queue.upgrade()
        {
            queue.wake();
        }
    }
}
