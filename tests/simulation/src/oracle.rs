//! What may become of each item, by what it is and by what truly happened to the slots.

use std::collections::HashSet;

use toolpool::error::{Error, Status};
use toolpool::pool::OnDeviceLost;

use crate::item::{Item, Nature};
use crate::run::Outcome;
use crate::scenario::{BATCH_TIME_LIMIT, JobPlan, Scenario};
use crate::world::World;

/// What is wrong with what came of a job.
pub(crate) fn wrongs(
    scenario: &Scenario,
    world: &World,
    job: &JobPlan,
    outcome: &Outcome,
) -> Vec<String> {
    let judge = Judge {
        scenario,
        world,
        job,
    };
    let mut wrongs = judge.completeness(outcome);
    wrongs.extend(judge.devices_taken());
    for (index, outcome) in &outcome.entries {
        let Some(item) = job.items.get(*index) else {
            wrongs.push(format!("an index {index} of {}", job.items.len()));
            continue;
        };
        let fine = match outcome {
            Ok(value) => *value == item.value() && item.can_succeed(),
            Err(error) => error.item() == Some(*index) && judge.may_fail(item, error),
        };
        if !fine {
            wrongs.push(format!("item {index}, {item:?}, came back as {outcome:?}"));
        }
    }
    wrongs
}

struct Judge<'a> {
    scenario: &'a Scenario,
    world: &'a World,
    job: &'a JobPlan,
}

impl Judge<'_> {
    /// Every item once; none missing, unless the job failed as a whole, which it may only if nothing could be done.
    fn completeness(&self, outcome: &Outcome) -> Vec<String> {
        let mut wrongs = Vec::new();
        let items = self.job.items.len();
        let seen: HashSet<usize> = outcome.entries.iter().map(|entry| entry.0).collect();
        if seen.len() < outcome.entries.len() {
            wrongs.push("an item was returned twice".into());
        }
        match &outcome.failure {
            None if seen.len() < items => {
                wrongs.push(format!("{} of {items} items were returned", seen.len()));
            }
            Some(error) if !self.may_fail_as_a_whole(error) => {
                wrongs.push(format!("the job failed as a whole: {error:?}"));
            }
            Some(error)
                if !self.fails_with_a_device()
                    && outcome.entries.iter().any(|entry| entry.1.is_ok()) =>
            {
                wrongs.push(format!(
                    "the job failed as a whole though an item succeeded: {error:?}"
                ));
            }
            _ => {}
        }
        if let (None, Some(progress)) = (&outcome.failure, outcome.progress) {
            let failed = outcome
                .entries
                .iter()
                .filter(|entry| entry.1.is_err())
                .count() as u64;
            let done = progress.done == items as u64 && progress.failed == failed;
            if progress.total != items as u64 || !(done || self.may_stop()) {
                wrongs.push(format!(
                    "progress says {progress:?}; {failed} of {items} failed"
                ));
            }
        }
        wrongs
    }

    /// An item takes two devices at most; where equal items are computed apart, each of them does.
    fn devices_taken(&self) -> Vec<String> {
        let deadly = self
            .job
            .items
            .iter()
            .filter(|item| item.nature == Nature::KillsDevice);
        let copies = if self.job.options.dedup {
            1
        } else {
            deadly.clone().count() as u64
        };
        let too_many = deadly.filter(|item| self.losses(item) > 2 * copies);
        too_many
            .map(|item| format!("{} devices were lost to {item:?}", self.losses(item)))
            .collect()
    }

    fn may_fail_as_a_whole(&self, error: &Error) -> bool {
        match error.status() {
            Status::Closed => self.scenario.close_after.is_some(),
            Status::DeviceLost => self.no_slot_is_left() || self.fails_with_a_device(),
            Status::Tool => self.no_slot_is_left(),
            Status::TimeLimit => self.no_slot_is_left() || self.may_be_late(),
            _ => false,
        }
    }

    /// Whether items may not have been done.
    fn may_stop(&self) -> bool {
        self.job.cancel_after.is_some()
            || self.job.options.time_limit.is_some()
            || self.fails_with_a_device()
            || self.scenario.close_after.is_some()
            || self.no_slot_is_left()
    }

    fn may_fail(&self, item: &Item, error: &Error) -> bool {
        let by_itself = item.error().is_some_and(|(status, message)| {
            error.status() == status && error.message().contains(&message)
        });
        by_itself
            || match error.status() {
                Status::OutOfMemory => u64::from(item.size) > self.most_memory_left(),
                Status::Cancelled => self.job.cancel_after.is_some(),
                Status::Closed => self.scenario.close_after.is_some(),
                Status::DeviceLost => {
                    self.blame(item) >= 2 || self.no_slot_is_left() || self.fails_with_a_device()
                }
                Status::TimeLimit => self.no_slot_is_left() || self.may_be_late(),
                Status::Transient => self.is_out_of_retries(item),
                Status::Tool => self.no_slot_is_left(),
                _ => false,
            }
    }

    fn losses(&self, item: &Item) -> u64 {
        self.world
            .truth()
            .losses
            .get(&item.number)
            .copied()
            .unwrap_or_default()
    }

    /// How often the item was there when a device went, or a process, or time, or might have been: on another device at
    /// the same time, in a batch that was given up.
    fn blame(&self, item: &Item) -> u64 {
        let ended_a_batch = matches!(item.nature, Nature::Crashes | Nature::Hangs);
        let doubled = self.world.truth().doubled.contains(&item.number);
        self.losses(item) + u64::from(ended_a_batch) + u64::from(doubled)
    }

    fn fails_with_a_device(&self) -> bool {
        self.job.options.on_device_lost == OnDeviceLost::Fail && !self.world.truth().lost.is_empty()
    }

    /// Whether items may have run out of time that did not hang.
    fn may_be_late(&self) -> bool {
        let slow = self.world.truth().longest_batch > BATCH_TIME_LIMIT / 2;
        self.job.options.time_limit.is_some()
            || (self.job.options.batch_time_limit.is_some() && slow)
    }

    fn is_out_of_retries(&self, item: &Item) -> bool {
        matches!(item.nature, Nature::Transient(times) if u32::from(times) > self.job.options.retries)
    }

    /// Slots that could do the job to the very end.
    fn slots_left(&self) -> Vec<usize> {
        let truth = self.world.truth();
        let unfit = &self.scenario.tools[self.job.tool].unfit;
        let gone = |slot: &usize| truth.lost.contains(slot) || truth.hung.contains(slot);
        let left = |slot: &usize| !gone(slot) && !unfit.contains(slot);
        (0..self.world.machines()).filter(left).collect()
    }

    fn no_slot_is_left(&self) -> bool {
        self.slots_left().is_empty()
    }

    /// Of the slots that are left. An item that does not fit into a slot must have been tried on the one with most memory.
    fn most_memory_left(&self) -> u64 {
        let memory = |&slot: &usize| self.world.machine(slot).memory;
        self.slots_left()
            .iter()
            .map(memory)
            .max()
            .unwrap_or_default()
    }
}

impl Item {
    fn can_succeed(&self) -> bool {
        matches!(self.nature, Nature::Good | Nature::Transient(_))
    }

    /// The error that it ends with by itself: its status, and what the message contains.
    fn error(&self) -> Option<(Status, String)> {
        match self.nature {
            Nature::Fails => Some((Status::Item, format!("item {} fails", self.number))),
            Nature::Silent => Some((Status::Contract, String::new())),
            Nature::Hangs => Some((Status::TimeLimit, "twice with this item".into())),
            Nature::Transient(_) => None,
            _ => self.batch_error(u64::MAX),
        }
    }
}
