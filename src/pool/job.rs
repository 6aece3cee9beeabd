//! A job: a tool, its items, how far they are, and what came of them.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::faults::{Streak, Verdict};
use super::queue::{Asking, Queue};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::{Finished, Items, Part, Results};
use crate::plan::batch::{Cut, Remaining};
use crate::plan::dedup::Dedup;
use crate::plan::order;
use crate::tool::{Batch, Tool};
use parking_lot::{Condvar, Mutex};

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
    duplicates: Option<Positions>,
    pending_bytes: u64,
    queue: Weak<Queue>,
    pub(super) state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct State {
    /// Distinct items that no worker has had, longest first.
    fresh: VecDeque<Planned>,
    remaining: Remaining,
    /// Batches that come back from a failure, the latest last.
    pub(super) again: Vec<Vec<u32>>,
    /// Items that were on a device when it was lost; they run last, and alone.
    pub(super) suspects: Vec<u32>,
    /// Distinct items of which this is the second time: on the next loss they fail.
    pub(super) tried_again: Vec<u32>,
    /// Batches under way.
    flights: usize,
    running: usize,
    /// Workers that are loading the tool for this job.
    loading: usize,
    /// Slots that could not load the tool, and why.
    unfit: Vec<(usize, Error)>,
    pub(super) finished: Vec<Finished>,
    unread_bytes: u64,
    done: u64,
    failed: u64,
    pub(super) streak: Streak,
    pub(super) verdict: Verdict,
    /// Items that will never be done, once the job has been stopped.
    undone: Vec<u32>,
    /// Somebody waits for the whole job, so there is no use in pausing.
    unlimited: bool,
}

/// A distinct item in the queue.
struct Planned {
    cost: f64,
    extent: u32,
    unique: u32,
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
        if u32::try_from(items.len()).is_ok_and(|len| len < u32::MAX) {
            let dedup = if options.dedup {
                Dedup::find(&*items)
            } else {
                Dedup::off(items.len())
            };
            let fresh = plan(&*tool, &items, &dedup)?;
            let remaining = fresh.iter().fold(Remaining::default(), |mut sum, item| {
                sum.add(item.cost);
                sum
            });
            return Ok(Arc::new(Self {
                duplicates: (dedup.uniques() < dedup.positions()).then(|| Positions::of(&dedup)),
                tool,
                items,
                dedup,
                pending_bytes: options.pending_bytes,
                queue,
                state: Mutex::new(State::new(fresh, remaining)),
                changed: Condvar::new(),
            }));
        }
        Err(Error::new(
            Status::Argument,
            format_args!(
                "{} items in one job; at most {} are possible",
                items.len(),
                u32::MAX - 1
            ),
        ))
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
            match &self.duplicates {
                Some(duplicates) => duplicates
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
            state.stop(Verdict::Failed(error.clone()));
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
        let copies = |unique: u32| match &self.duplicates {
            Some(duplicates) => duplicates.of_unique(unique).len() as u64,
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

impl State {
    fn new(fresh: VecDeque<Planned>, remaining: Remaining) -> Self {
        Self {
            fresh,
            remaining,
            again: Vec::new(),
            suspects: Vec::new(),
            tried_again: Vec::new(),
            flights: 0,
            running: 0,
            loading: 0,
            unfit: Vec::new(),
            finished: Vec::new(),
            unread_bytes: 0,
            done: 0,
            failed: 0,
            streak: Streak::default(),
            verdict: Verdict::Running,
            undone: Vec::new(),
            unlimited: false,
        }
    }

    fn over(&self) -> bool {
        self.flights == 0 && !self.has_work()
    }

    fn has_work(&self) -> bool {
        !(self.fresh.is_empty() && self.again.is_empty() && self.suspects.is_empty())
    }

    /// How many distinct items wait.
    fn left(&self) -> usize {
        self.fresh.len() + self.again.iter().map(Vec::len).sum::<usize>() + self.suspects.len()
    }

    /// The next batch: what comes back from failures, then the longest fresh items, then suspects one by one.
    fn cut(&mut self, limits: Cut, slots: usize) -> Vec<u32> {
        if let Some(batch) = self.again.pop() {
            return batch;
        }
        if self.fresh.is_empty() {
            let suspect = self.suspects.pop();
            self.tried_again.extend(suspect);
            return suspect.into_iter().collect();
        }
        let queue = self
            .fresh
            .iter()
            .map(|item| (item.cost, u64::from(item.extent)));
        let count = limits.next_batch(queue, &self.remaining, slots);
        let batch = self.fresh.drain(..count).map(|item| {
            self.remaining.remove(item.cost);
            item.unique
        });
        batch.collect()
    }

    /// Takes everything out of the queue. The first reason to stop counts.
    pub(super) fn stop(&mut self, verdict: Verdict) {
        if !matches!(self.verdict, Verdict::Running) || self.over() {
            return;
        }
        self.verdict = verdict;
        self.remaining = Remaining::default();
        self.undone
            .extend(self.fresh.drain(..).map(|item| item.unique));
        self.undone.extend(self.again.drain(..).flatten());
        self.undone.append(&mut self.suspects);
        self.fresh.shrink_to_fit();
    }

    fn take_finished(&mut self) -> Vec<Finished> {
        self.unread_bytes = 0;
        std::mem::take(&mut self.finished)
    }
}

/// The distinct items of a job, longest first.
fn plan(tool: &dyn Tool, items: &Items, dedup: &Dedup) -> Result<VecDeque<Planned>> {
    let given = items.costs();
    let mut costs = Vec::with_capacity(dedup.uniques());
    for unique in 0..dedup.uniques() {
        let position = dedup.first(unique);
        let cost = given.map_or_else(|| tool.cost(items.first(position)), |given| given[position]);
        order::check_cost(position, cost)?;
        costs.push(cost);
    }
    let planned = order::longest_first(&costs).into_iter().map(|unique| {
        let extent = tool.extent(items.first(dedup.first(unique as usize)));
        Planned {
            cost: costs[unique as usize],
            extent: u32::try_from(extent).unwrap_or(u32::MAX),
            unique,
        }
    });
    Ok(planned.collect())
}

/// The positions of each distinct item in the caller's input.
struct Positions {
    /// Where the positions of an item start, and after the last where they end.
    starts: Vec<u32>,
    positions: Vec<u32>,
}

impl Positions {
    fn of(dedup: &Dedup) -> Self {
        let mut starts = vec![0; dedup.uniques() + 1];
        for position in 0..dedup.positions() {
            starts[dedup.unique_of(position) + 1] += 1;
        }
        for unique in 0..dedup.uniques() {
            starts[unique + 1] += starts[unique];
        }
        let mut next = starts.clone();
        let mut positions = vec![0; dedup.positions()];
        for position in 0..dedup.positions() {
            let place = &mut next[dedup.unique_of(position)];
            positions[*place as usize] = position as u32;
            *place += 1;
        }
        Self { starts, positions }
    }

    fn of_unique(&self, unique: u32) -> &[u32] {
        let unique = unique as usize;
        &self.positions[self.starts[unique] as usize..self.starts[unique + 1] as usize]
    }
}
