//! A job: a tool, its items, how far they are, and what came of them.

mod options;
mod results;
mod work;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub use self::options::{JobOptions, OnDeviceLost};
pub use self::results::Next;
pub use self::work::Offer;
use super::queue::Queue;
use super::state::{Notify, State, Verdict};
use super::sync::{Condvar, Mutex};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::Items;
use crate::plan::batch::Cut;
use crate::plan::dedup::{Dedup, Positions};
use crate::report::{Report, time_for};
use crate::tool::Tool;

/// How far a job is, in items of the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// All, duplicates included.
    pub total: u64,
    /// Done, failed ones included.
    pub done: u64,
    /// Failed.
    pub failed: u64,
    /// Not to be done any more, once the job has ended.
    pub undone: u64,
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
            undone: if state.over() {
                self.dedup.positions() as u64 - state.done
            } else {
                0
            },
            unique: self.dedup.uniques() as u64,
            running: state.running as u64,
            unread_bytes: state.unread_bytes,
        }
    }

    /// Calls `notify` from now on when items have finished and when the job has ended, at once if that is so already; in
    /// place of the one before, which is not called any more. It is called with the job locked.
    pub fn notify(&self, notify: Option<Notify>) {
        let mut state = self.state.lock();
        state.notify = notify;
        if state.over() || !state.finished.is_empty() {
            state.tell();
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
        let unfit = state.unfit.iter().any(|&(unfit, _)| unfit == slot);
        !self.pauses(&state) && !unfit && state.has_work()
    }

    /// Whether it waits for its results to be taken.
    pub(super) fn paused(&self) -> bool {
        self.options.pending_bytes < u64::MAX && self.pauses(&self.state.lock())
    }

    fn pauses(&self, state: &State) -> bool {
        !state.unlimited && state.unread_bytes > self.options.pending_bytes
    }

    /// When it is to end, if its time is limited.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let submitted = self.state.lock().tally.submitted;
        submitted.checked_add(self.options.time_limit?)
    }

    /// Whether a slot is known not to be able to load the tool.
    pub(super) fn unfit(&self) -> Vec<usize> {
        let state = self.state.lock();
        state.unfit.iter().map(|&(slot, _)| slot).collect()
    }

    /// A slot is lost, or stuck.
    pub(super) fn note_trouble(&self, slot: usize, error: &Error) {
        self.state.lock().tally.slots[slot].lost = Some(error.clone());
    }

    /// Begins no more batches; `reason` is what the items that are left fail with.
    pub(super) fn stop(&self, reason: &Error) {
        let mut state = self.state.lock();
        if !state.over() {
            state.stop(Verdict::Stopped(reason.clone()));
        }
        self.note_end(&mut state);
    }

    /// Tells those who wait, and keeps the time if this was the end.
    fn note_end(&self, state: &mut State) {
        if state.over() {
            state.tally.ended.get_or_insert_with(Instant::now);
        }
        self.changed.notify_all();
        state.tell();
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
