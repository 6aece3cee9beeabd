//! A job: a tool, its items, how far they are, and what came of them.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::queue::Queue;
use super::seat::Landing;
use super::state::{Planned, State, Taken, Terms, Verdict};
use super::sync::{Condvar, Mutex};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::{ELSEWHERE, Finished, Items, Part, Results};
use crate::plan::batch::{Cut, amount};
use crate::plan::dedup::{Dedup, Positions};
use crate::report::{Report, time_for};
use crate::tool::{Batch, Tool};

/// What a caller can say about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOptions {
    /// Whether items of equal content are computed once.
    pub dedup: bool,
    /// Workers pause while finished outputs that nobody has taken are larger than this, in bytes.
    pub pending_bytes: u64,
    /// The job ends so long after its submission, with what is done by then.
    pub time_limit: Option<Duration>,
    /// A batch that takes longer is given up, and its slot until the tool returns.
    pub batch_time_limit: Option<Duration>,
    /// How often an item is tried again when the tool calls its error transient.
    pub retries: u32,
    /// Whether batches are formed from the items alone, so that results do not depend on the slots.
    pub deterministic: bool,
    /// What becomes of the job when a device is lost.
    pub on_device_lost: OnDeviceLost,
}

/// What becomes of a job that loses a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeviceLost {
    /// The other slots do its work.
    Continue,
    /// It fails, or keeps what is done.
    Fail,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            dedup: true,
            pending_bytes: u64::MAX,
            time_limit: None,
            batch_time_limit: None,
            retries: 3,
            deterministic: false,
            on_device_lost: OnDeviceLost::Continue,
        }
    }
}

/// The part of what is left that a batch of a deterministic job may hold: that of one of eight equal slots.
const DETERMINISTIC_SHARE: f64 = 1.0 / 16.0;

/// How far a job is, in items of the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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
    /// Sum of the finite costs of the distinct items, in the tool's unit.
    pub cost: f64,
    /// Of that, done.
    pub cost_done: f64,
    /// Since the submission, until the end.
    pub elapsed: Duration,
    /// Until the end, at the speeds of the slots so far; `None` as long as they are unknown.
    pub remaining: Option<Duration>,
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
    /// Its number in the pool.
    id: u64,
    tool: Arc<dyn Tool>,
    limits: Limits,
    items: Arc<Items>,
    dedup: Dedup,
    /// Where each distinct item stands in the input; `None` if every item is distinct.
    positions: Option<Positions>,
    options: JobOptions,
    queue: Weak<Queue>,
    state: Mutex<State>,
    changed: Condvar,
}

/// How large the batches of a job may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub cut: Cut,
    /// How far the budget may be raised.
    pub most_budget: u64,
}

/// What a job has for a worker that asks.
pub enum Offer {
    /// Nothing now.
    Nothing,
    /// Nothing that faster slots would not end sooner.
    Declined,
    /// Items, once the tool is loaded.
    Load,
    /// These distinct items.
    Run(Taken),
}

impl Job {
    /// Plans a job, number `id` of the pool of `slots`.
    pub(super) fn new(
        id: u64,
        tool: Arc<dyn Tool>,
        items: Arc<Items>,
        options: &JobOptions,
        slots: &[Slot],
        queue: Weak<Queue>,
    ) -> Result<Arc<Self>> {
        let submitted = Instant::now();
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
        let mut state = State::of(&*tool, &items, &dedup, slots)?;
        state.tally.submitted = submitted;
        state.tally.planning = submitted.elapsed();
        if !state.has_work() {
            state.tally.ended = Some(Instant::now());
        }
        Ok(Arc::new(Self {
            id,
            limits: Limits {
                cut: tool.limits(),
                most_budget: tool.most_budget(),
            },
            state: Mutex::new(state),
            changed: Condvar::new(),
            positions: Positions::of(&dedup),
            options: options.clone(),
            tool,
            items,
            dedup,
            queue,
        }))
    }

    /// Its number in the pool.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// How large its batches may be.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// What was asked for at its submission.
    pub(super) fn options(&self) -> &JobOptions {
        &self.options
    }

    /// Whether its costs are the caller's, which need not be in the tool's unit.
    pub(super) fn own_costs(&self) -> bool {
        self.items.costs().is_some()
    }

    /// Whether its items are borrowed from a caller who waits for every worker to let go.
    pub(super) fn lent(&self) -> bool {
        self.items.lent()
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
        let tally = &state.tally;
        let now = tally.ended.unwrap_or_else(Instant::now);
        Progress {
            cost: tally.cost,
            cost_done: tally.cost_done,
            elapsed: now.saturating_duration_since(tally.submitted),
            remaining: if state.over() {
                Some(Duration::ZERO)
            } else {
                time_for(tally.cost - tally.cost_done, &tally.slots)
            },
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
            queue.retire(self);
        }
    }

    /// How the job went, or goes.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.state.lock();
        let tally = &state.tally;
        let end = tally.ended.unwrap_or_else(Instant::now);
        Report {
            tool: self.tool.name().to_owned(),
            total: self.dedup.positions() as u64,
            done: state.done,
            failed: state.failed,
            unique: self.dedup.uniques() as u64,
            cost: tally.cost,
            cost_done: tally.cost_done,
            cost_saved: tally.cost_saved,
            longest: tally.longest,
            elapsed: end.saturating_duration_since(tally.submitted),
            planning: tally.planning,
            stopped: state.verdict.error().cloned(),
            slots: tally.slots.clone(),
            spans: tally.spans.clone(),
            counts: tally.counts.clone(),
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
        let count = taken
            .iter()
            .map(|batch| batch.rows().count())
            .sum::<usize>()
            + undone.len();
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
    pub(super) fn batch(&self, planned: &[Planned]) -> Batch {
        let positions = planned
            .iter()
            .map(|item| self.dedup.first(item.unique as usize) as u32);
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

    /// Whether there may be something to do on a slot.
    pub(super) fn waits_for(&self, slot: usize) -> bool {
        let state = self.state.lock();
        let paused = !state.unlimited && state.unread_bytes > self.options.pending_bytes;
        let unfit = state.unfit.iter().any(|&(unfit, _)| unfit == slot);
        !paused && !unfit && state.has_work()
    }

    /// Whether a slot is known not to be able to load the tool.
    pub(super) fn unfit(&self) -> Vec<usize> {
        let state = self.state.lock();
        state.unfit.iter().map(|&(slot, _)| slot).collect()
    }

    /// What there is to do on a slot.
    pub(super) fn offer(&self, terms: &Terms) -> Offer {
        let mut state = self.state.lock();
        if !terms.warm {
            // Those who are loading already may be enough for the little that is left.
            if state.loading > 0 && state.loading >= state.left() {
                return Offer::Nothing;
            }
            if !state.suits(terms) {
                return Offer::Declined;
            }
            state.loading += 1;
            return Offer::Load;
        }
        let (budget, share) = if self.options.deterministic {
            (self.limits.cut.budget, DETERMINISTIC_SHARE)
        } else {
            (terms.budget, terms.share)
        };
        let limits = Cut {
            budget,
            ..self.limits.cut
        };
        let in_order = self.options.deterministic;
        match state.take(limits, in_order, &Terms { share, ..*terms }) {
            Some(taken) => {
                state.flights += 1;
                state.running += taken.batch.len();
                Offer::Run(taken)
            }
            None if state.has_work() => Offer::Declined,
            None => Offer::Nothing,
        }
    }

    /// A worker has loaded the tool, or failed to; `works` tells which slots could still do it.
    pub(super) fn loaded(&self, slot: usize, begin: Instant, outcome: Result<()>, works: &[bool]) {
        let mut state = self.state.lock();
        state.loading -= 1;
        state.tally.load(slot, begin, outcome.as_ref().err());
        if let Err(error) = outcome {
            state.unfit.push((slot, error.clone()));
            drop(state);
            self.check_slots(works, &error);
        }
    }

    /// Fails the job if no slot is left that could do it.
    pub(super) fn check_slots(&self, works: &[bool], error: &Error) {
        let mut state = self.state.lock();
        let fit = |slot: usize| works[slot] && !state.unfit.iter().any(|&(unfit, _)| unfit == slot);
        if !(0..works.len()).any(fit) {
            state.give_up(error.clone());
            self.note_end(&mut state);
        }
    }

    /// A slot is lost, or stuck.
    pub(super) fn note_trouble(&self, slot: usize, error: &Error) {
        self.state.lock().tally.slots[slot].lost = Some(error.clone());
    }

    /// Begins no more batches; `reason` is what the items that are left fail with.
    pub(super) fn stop(&self, reason: &Error) {
        let mut state = self.state.lock();
        state.stop(Verdict::Stopped(reason.clone()));
        self.note_end(&mut state);
    }

    /// Takes a batch back from a worker.
    pub(super) fn land(&self, batch: Vec<Planned>, outcome: Result<Part>, landing: &Landing) {
        let mut state = self.state.lock();
        state.flights -= 1;
        state.running -= batch.len();
        state
            .tally
            .batch(landing, batch.len(), outcome.as_ref().err());
        match outcome {
            Ok(part) => self.accept(&mut state, batch, part, landing.slot),
            Err(error) => self.recover(&mut state, batch, &error, landing),
        }
        self.note_end(&mut state);
    }

    /// Takes a batch back that a worker could not end, for reasons of its own.
    pub(super) fn put_back(&self, batch: Vec<Planned>) {
        self.take_back(batch, |state, batch| state.again.push(batch));
    }

    /// Takes a batch back that a worker has begun and comes to yet, though nobody waits for it any more. An item of it may
    /// cost that worker its device: so each is run last and alone, as suspects are.
    pub(super) fn keep_for_last(&self, batch: Vec<Planned>) {
        self.take_back(batch, |state, batch| {
            state.ghosts.extend(batch.iter().map(|item| item.unique));
            state.suspects.extend(batch);
        });
    }

    /// The worker has come to a batch that was given up, and its device was lost by it or not.
    pub(super) fn ghost_gone(&self, batch: &[Planned], lost: bool) {
        let mut state = self.state.lock();
        for item in batch {
            let ghost = state.ghosts.remove(&item.unique);
            if ghost && lost {
                state.blamed.insert(item.unique);
            }
        }
    }

    fn take_back(&self, batch: Vec<Planned>, keep: impl FnOnce(&mut State, Vec<Planned>)) {
        let mut state = self.state.lock();
        state.flights -= 1;
        state.running -= batch.len();
        if state.verdict.error().is_some() {
            state.undone.extend(batch.iter().map(|item| item.unique));
        } else {
            keep(&mut state, batch);
        }
        self.note_end(&mut state);
    }

    /// A batch came to something: what failed for now is tried again, the rest is done.
    fn accept(&self, state: &mut State, batch: Vec<Planned>, mut part: Part, slot: &Slot) {
        if part.failures() < batch.len() {
            state.streak.broken();
        }
        state.tally.count(&part);
        let again = self.take_transient(state, &batch, &part, slot.number);
        if again.is_empty() {
            return self.finish(state, &batch, part, slot);
        }
        part.forgive(&again);
        let mut kept = batch;
        for row in again {
            kept[row].unique = ELSEWHERE;
        }
        self.finish(state, &kept, part, slot);
    }

    /// Puts what became of some items among the results.
    pub(super) fn finish(&self, state: &mut State, batch: &[Planned], part: Part, slot: &Slot) {
        let copies = |item: &Planned| match &self.positions {
            Some(positions) => positions.of_unique(item.unique).len() as u64,
            None => 1,
        };
        let (mut failed, mut cost, mut extent, mut items) = (0, 0.0, 0_u64, 0);
        for (row, item) in batch.iter().enumerate() {
            if item.unique == ELSEWHERE {
                continue;
            }
            let copies = copies(item);
            items += 1;
            cost += amount(item.cost);
            extent = extent.saturating_add(item.extent);
            state.done += copies;
            if part.failures() > 0 && part.error(row).is_some() {
                state.failed += copies;
                failed += 1;
            }
        }
        state.tally.done(slot.number, items, failed, cost, extent);
        state.unread_bytes += part.bytes() as u64;
        state.finished.push(Finished {
            uniques: batch.iter().map(|item| item.unique).collect(),
            part,
            slot: slot.number,
        });
    }

    /// Tells those who wait, and keeps the time if this was the end.
    fn note_end(&self, state: &mut State) {
        if state.over() {
            state.tally.ended.get_or_insert_with(Instant::now);
        }
        self.changed.notify_all();
    }

    /// Lets workers go on that paused for results to be taken.
    fn unpause(&self) {
        if self.options.pending_bytes < u64::MAX
            && let Some(queue) = self.queue.upgrade()
        {
            queue.wake();
        }
    }
}
