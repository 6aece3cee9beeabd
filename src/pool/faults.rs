//! What becomes of a batch that failed as a whole, and of items that may succeed yet.

use std::time::{Duration, Instant};

use super::job::{Job, OnDeviceLost};
use super::seat::Landing;
use super::state::{Planned, State};
use crate::error::{Error, Status};
use crate::mem::Part;

/// So many items that fail alone, one after the other and alike, with none that succeeds, put the tool in doubt.
const HOPELESS: usize = 32;
/// So many of the rest are then tried, from all over it.
const PROBES: usize = 32;

/// How long what failed for reasons that pass is left alone before the first retry; four times as long before the next.
const PAUSE: Duration = Duration::from_millis(10);
/// And never longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long to leave alone what was tried again so many times already.
pub fn pause(tries: u32) -> Duration {
    // Shuttle has no time that could pass.
    if cfg!(shuttle) {
        return Duration::ZERO;
    }
    let times = 4_u32.saturating_pow(tries);
    PAUSE.saturating_mul(times).min(LONGEST_PAUSE)
}

/// Items that failed alone, one after the other and alike, while none succeeded.
#[derive(Default)]
pub enum Streak {
    /// None so far.
    #[default]
    None,
    /// So many, with this error.
    Alike(Error, usize),
    /// Some item succeeded, or errors differ: the tool works.
    Broken,
}

impl Streak {
    /// An item succeeded.
    pub fn broken(&mut self) {
        *self = Self::Broken;
    }

    /// An item failed alone: of how many that is true by now, if they put the tool in doubt.
    fn failed(&mut self, error: &Error) -> Option<usize> {
        match self {
            Self::None => *self = Self::Alike(error.clone(), 1),
            Self::Alike(before, count) if before == error => *count += 1,
            Self::Alike(..) => *self = Self::Broken,
            Self::Broken => {}
        }
        match self {
            Self::Alike(_, count) if *count >= HOPELESS => Some(*count),
            _ => None,
        }
    }
}

impl Job {
    /// Finds the guilty items of a batch that failed as a whole, and lets the others go on.
    pub(super) fn recover(
        &self,
        state: &mut State,
        batch: Vec<Planned>,
        error: &Error,
        landing: &Landing,
    ) {
        let slot = landing.slot.number;
        if state.verdict.error().is_some() {
            return self.fail_stopped(state, &batch, error, landing);
        }
        match error.status() {
            Status::DeviceLost if self.options().on_device_lost == OnDeviceLost::Fail => {
                self.fail(state, &batch, error, landing);
                state.give_up(
                    error
                        .clone()
                        .within("a device was lost (on_device_lost=fail)"),
                );
            }
            Status::DeviceLost | Status::TimeLimit => self.suspect(state, batch, error, landing),
            Status::Transient if self.may_try_again(state, &batch) => {
                state.tally.slots[slot].retries += 1;
                self.try_later(state, batch);
            }
            Status::OutOfMemory if landing.relieved => {
                state.tally.slots[slot].retries += 1;
                state.try_again(batch);
            }
            _ if batch.len() > 1 => {
                state.tally.slots[slot].splits += 1;
                let mut first = batch;
                let second = first.split_off(first.len().div_ceil(2));
                state.try_again(second);
                state.try_again(first);
            }
            Status::Crashed => self.suspect(state, batch, error, landing),
            Status::OutOfMemory if landing.larger || landing.crowded => {
                state.tally.slots[slot].retries += 1;
                if !landing.crowded {
                    let doubts = batch.iter().map(|item| item.unique);
                    doubts.for_each(|unique| state.doubt(unique).is_too_large_for(slot));
                }
                state.large.extend(batch);
            }
            _ if self.doubts(state, &batch, error, landing) => {
                state.tally.slots[slot].retries += 1;
                state.try_elsewhere(batch);
            }
            _ => self.fail_alone(state, &batch, error, landing),
        }
    }

    /// The job has been stopped, so nobody will find out which items are to blame: unless one stands alone, they were not
    /// done.
    fn fail_stopped(&self, state: &mut State, batch: &[Planned], error: &Error, landing: &Landing) {
        let maybe_innocent = matches!(
            error.status(),
            Status::DeviceLost
                | Status::Crashed
                | Status::TimeLimit
                | Status::Transient
                | Status::OutOfMemory
        ) || self.doubts(state, batch, error, landing);
        if batch.len() == 1 && !maybe_innocent {
            return self.fail(state, batch, error, landing);
        }
        state.undone.extend(batch.iter().map(|item| item.unique));
    }

    /// Any item of the batch may have cost the device or the process: each is tried once more, last and alone. Who is
    /// there when that happens again, fails; also who is on a second device at the same time, which it may cost as well.
    fn suspect(&self, state: &mut State, batch: Vec<Planned>, error: &Error, landing: &Landing) {
        let lost = error.status() == Status::DeviceLost;
        for item in batch {
            let before = state.blamed.insert(item.unique, error.status());
            let why = match before {
                Some(Status::DeviceLost) if lost => {
                    "two devices were lost while this item was on them"
                }
                Some(before) if before == error.status() => "this happened twice with this item",
                Some(_) => "another batch with this item had ended badly before",
                None if lost && state.ghosts.contains(&item.unique) => {
                    "a device was lost while this item was on it, and another is still busy with it"
                }
                None => {
                    state.tally.slots[landing.slot.number].retries += 1;
                    state.suspect(vec![item]);
                    continue;
                }
            };
            self.fail(state, &[item], &error.clone().within(why), landing);
        }
    }

    /// An item failed alone, for good. The same failure of one item after the other fails the job, unless one of some
    /// others, from all over those that nobody has tried, succeeds: the longest come first, and may all be too long. Not
    /// where batches are to be those of any other run: which of two slots comes first would decide over them.
    fn fail_alone(&self, state: &mut State, batch: &[Planned], error: &Error, landing: &Landing) {
        let alike = match error.status() {
            Status::OutOfMemory => None,
            _ if self.options().deterministic => None,
            _ => state.streak.failed(error),
        };
        self.fail(state, batch, error, landing);
        let Some(count) = alike else {
            return;
        };
        if state.probes(PROBES).is_empty() {
            let why =
                format!("the job was given up after {count} items failed alike and none succeeded");
            state.give_up(error.clone().within(why));
        }
    }

    /// Leaves a batch alone for a while that failed for reasons that pass.
    fn try_later(&self, state: &mut State, batch: Vec<Planned>) {
        let tries = |item: &Planned| state.tries.get(&item.unique).copied().unwrap_or(0);
        let tries = batch.iter().map(tries).max().unwrap_or(0);
        let from = Instant::now() + pause(tries.saturating_sub(1));
        state.later.push_back((from, batch));
    }

    /// Whether no item of the batch has used up its retries; counts one more for each.
    fn may_try_again(&self, state: &mut State, batch: &[Planned]) -> bool {
        let most = self.options().retries;
        let tries = |item: &Planned| state.tries.get(&item.unique).copied().unwrap_or(0);
        if batch.iter().any(|item| tries(item) >= most) {
            return false;
        }
        for item in batch {
            *state.tries.entry(item.unique).or_default() += 1;
        }
        true
    }

    /// Takes the items that may be tried again out of what a batch came to.
    pub(super) fn take_transient(
        &self,
        state: &mut State,
        batch: &[Planned],
        part: &Part,
        slot: usize,
    ) -> Vec<usize> {
        if part.failures() == 0 {
            return Vec::new();
        }
        let stopped = state.verdict.error().is_some();
        let (mut rows, mut again) = (Vec::new(), Vec::new());
        for (row, item) in batch.iter().enumerate() {
            let transient = part
                .error(row)
                .is_some_and(|error| error.status() == Status::Transient);
            if transient && self.may_try_again(state, &[*item]) {
                rows.push(row);
                if stopped {
                    state.undone.push(item.unique);
                    continue;
                }
                state.tally.slots[slot].retries += 1;
                again.push(*item);
            }
        }
        if !again.is_empty() {
            self.try_later(state, again);
        }
        rows
    }

    pub(super) fn fail(
        &self,
        state: &mut State,
        batch: &[Planned],
        error: &Error,
        landing: &Landing,
    ) {
        batch.iter().for_each(|item| state.probed(item));
        let part = Part::failed(batch.len(), error);
        self.finish(state, batch, part, landing.slot);
    }
}
