//! What may become of each item, by what it is and by what truly happened to the slots.

use std::collections::HashSet;

use toolpool::error::{Error, Result, Status};
use toolpool::pool::OnDeviceLost;

use crate::item::{Item, Nature};
use crate::run::Outcome;
use crate::scenario::{BATCH_TIME_LIMIT, JobPlan, Scenario, Warmer};
use crate::tool::{BROKEN, LoadPlan, ToolPlan};
use crate::world::World;

/// What is wrong with what came of a job.
pub(crate) fn wrongs(
    scenario: &Scenario,
    world: &World,
    job: &JobPlan,
    outcome: &Outcome,
) -> Vec<String> {
    let slots = Slots {
        scenario,
        world,
        tool: &scenario.tools[job.tool],
        retries: job.options.retries,
    };
    let judge = Judge {
        scenario,
        world,
        job,
        slots,
    };
    let mut wrongs = judge.completeness(outcome);
    wrongs.extend(judge.devices_taken());
    wrongs.extend(judge.left_out(outcome));
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
            let losses = judge.losses(item);
            wrongs.push(format!(
                    "item {index}, {item:?}, which was there at {losses} losses, came back as {outcome:?}"
                ));
        }
    }
    wrongs
}

/// What is wrong with what a warm-up said.
pub(crate) fn wrong_warm_up(
    scenario: &Scenario,
    world: &World,
    warmer: &Warmer,
    warmed: &Result<()>,
) -> Option<String> {
    let slots = Slots {
        scenario,
        world,
        tool: &scenario.tools[warmer.tool],
        retries: 0,
    };
    let error = warmed.as_ref().err()?;
    let all = slots.fit().len() == world.machines();
    let fine = match error.status() {
        Status::Closed => scenario.close_after.is_some(),
        Status::TimeLimit => scenario.has_limits(),
        _ => !all,
    };
    (!fine).then(|| format!("a warm-up of tool {} failed: {error:?}", warmer.tool))
}

/// The slots of a run, as far as a tool is concerned.
struct Slots<'a> {
    scenario: &'a Scenario,
    world: &'a World,
    tool: &'a ToolPlan,
    /// How often a load is tried again.
    retries: u32,
}

impl Slots<'_> {
    /// Those that could do the work of the tool to the very end.
    fn fit(&self) -> Vec<usize> {
        let (lost, hung) = {
            let truth = self.world.truth();
            (truth.lost.clone(), truth.hung.clone())
        };
        let gone = |slot: &usize| lost.contains(slot) || hung.contains(slot);
        let machine = |slot: usize| self.world.machine(slot);
        let same = |a: usize, b: usize| machine(a).gpu == machine(b).gpu;
        // Its tools are still there.
        let held =
            |slot: usize| (0..self.world.machines()).any(|other| gone(&other) && same(slot, other));
        let fit = |&slot: &usize| {
            !gone(&slot)
                && machine(slot).broken_after.is_none()
                && self.loads(slot)
                && (self.has_room(slot) && !(self.limited() && held(slot)))
        };
        (0..self.world.machines()).filter(fit).collect()
    }

    /// Whether the tool can be loaded on a slot in as many tries as there may be.
    fn loads(&self, slot: usize) -> bool {
        match self.tool.loads.get(&slot) {
            None => true,
            Some(LoadPlan::Unfit) => false,
            Some(&LoadPlan::Flaky(Status::Transient, times)) => times <= self.retries,
            Some(&LoadPlan::Flaky(_, times)) => times <= self.retries.min(1),
            // If it did, the slot counts as gone.
            Some(LoadPlan::Hangs) => true,
        }
    }

    fn limited(&self) -> bool {
        self.scenario.memory_limit.is_some() && self.tool.memory > 0
    }

    /// Whether there is room for the tool on a slot, whatever else is loaded.
    fn has_room(&self, slot: usize) -> bool {
        let Some(most) = self.scenario.memory_limit else {
            return true;
        };
        let gpu = self.world.machine(slot).gpu;
        let device =
            (0..self.world.machines()).filter(|&other| self.world.machine(other).gpu == gpu);
        let copies = if self.tool.apart {
            device.count() as u64
        } else {
            1
        };
        copies * self.tool.memory <= most
    }

    fn none_is_fit(&self) -> bool {
        self.fit().is_empty()
    }

    /// How many fail everything, sooner or later.
    fn broken(&self) -> usize {
        let machines = (0..self.world.machines()).map(|slot| self.world.machine(slot));
        machines
            .filter(|machine| machine.broken_after.is_some())
            .count()
    }
}

struct Judge<'a> {
    scenario: &'a Scenario,
    world: &'a World,
    job: &'a JobPlan,
    slots: Slots<'a>,
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
            if progress.total != items as u64
                || !(done || self.may_stop() || self.may_be_given_up(outcome))
            {
                let first = outcome
                    .entries
                    .iter()
                    .find_map(|entry| entry.1.as_ref().err());
                wrongs.push(format!(
                    "progress says {progress:?}; {failed} of {items} failed, the first with {first:?}"
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

    /// Only a slot that is to blame is left out.
    fn left_out(&self, outcome: &Outcome) -> Vec<String> {
        let broken = |slot: usize| self.world.machine(slot).broken_after.is_some();
        let wrong = |(slot, why): &(usize, Error)| {
            (!broken(*slot) && why.message().contains("left out"))
                .then(|| format!("slot {slot} works: {why:?}"))
        };
        outcome.troubles.iter().filter_map(wrong).collect()
    }

    fn may_fail_as_a_whole(&self, error: &Error) -> bool {
        let none_is_fit = self.slots.none_is_fit();
        match error.status() {
            Status::Closed => self.scenario.close_after.is_some(),
            Status::DeviceLost => none_is_fit || self.fails_with_a_device(),
            Status::TimeLimit => none_is_fit || self.may_be_late(),
            // Where the others have to come back from something first.
            Status::Failed if error.message().contains(BROKEN) => {
                none_is_fit || self.scenario.has_limits()
            }
            Status::Tool
            | Status::Transient
            | Status::Crashed
            | Status::OutOfMemory
            | Status::Failed => none_is_fit,
            _ => false,
        }
    }

    /// Whether items may not have been done.
    fn may_stop(&self) -> bool {
        self.job.cancel_after.is_some()
            || self.job.options.time_limit.is_some()
            || self.fails_with_a_device()
            || self.scenario.close_after.is_some()
            || self.slots.none_is_fit()
    }

    /// Whether the job was given up over a slot that fails everything, where the others have to come back from something first.
    fn may_be_given_up(&self, outcome: &Outcome) -> bool {
        let by_slot = |error: &Error| error.message().contains(BROKEN);
        let mut ends = outcome.entries.iter();
        self.scenario.has_limits() && ends.any(|(_, end)| end.as_ref().err().is_some_and(by_slot))
    }

    fn may_fail(&self, item: &Item, error: &Error) -> bool {
        let by_itself = item.error().is_some_and(|(status, message)| {
            error.status() == status && error.message().contains(&message)
        });
        let none_is_fit = self.slots.none_is_fit();
        by_itself
            || match error.status() {
                Status::OutOfMemory => {
                    none_is_fit || u64::from(item.size) > self.most_memory_left()
                }
                Status::Cancelled => self.job.cancel_after.is_some(),
                Status::Closed => self.scenario.close_after.is_some(),
                Status::DeviceLost => {
                    self.blame(item) >= 2 || none_is_fit || self.fails_with_a_device()
                }
                Status::TimeLimit => none_is_fit || self.may_be_late(),
                Status::Transient => none_is_fit || self.is_out_of_retries(item),
                // It came back.
                Status::Failed if error.message().contains("hung") => {
                    item.nature == Nature::Hangs && self.scenario.release_after.is_some()
                }
                Status::Failed if error.message().contains(BROKEN) => {
                    none_is_fit || self.may_fail_with_a_slot(item)
                }
                Status::Tool | Status::Crashed => none_is_fit,
                _ => false,
            }
    }

    /// Whether the error of a slot that fails everything may be believed of an item: another slot is asked once, if one is
    /// there that has not to come back from something first.
    fn may_fail_with_a_slot(&self, item: &Item) -> bool {
        let nowhere_else = u64::from(item.size) > self.most_memory_left();
        let asked_before = self.losses(item) > 0 || self.slots.broken() > 1;
        nowhere_else || asked_before || !item.can_succeed() || self.scenario.has_limits()
    }

    fn losses(&self, item: &Item) -> u64 {
        let truth = self.world.truth();
        truth.losses.get(&item.number).copied().unwrap_or_default()
    }

    /// How often the item was there when a device went, or a process, or time, or might have been: on another device at
    /// the same time, in a batch that was given up, in one that came too late.
    fn blame(&self, item: &Item) -> u64 {
        let ended_a_batch = matches!(item.nature, Nature::Crashes | Nature::Hangs);
        let was_slow = self.job.options.batch_time_limit.is_some() && self.may_be_late();
        let truth = self.world.truth();
        let doubled = truth.doubled.contains(&item.number);
        let too_late = truth.begun_too_late.get(&item.number).copied();
        let losses = truth.losses.get(&item.number).copied();
        losses.unwrap_or_default()
            + too_late.unwrap_or_default()
            + u64::from(ended_a_batch)
            + u64::from(doubled)
            + u64::from(was_slow)
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
        matches!(
            item.nature,
            Nature::Transient(times) | Nature::Unlucky(times)
                if u32::from(times) > self.job.options.retries
        )
    }

    /// Of the slots that are left. An item that does not fit into a slot must have been tried on the one with most memory,
    /// with nothing else on that device but what hangs there.
    fn most_memory_left(&self) -> u64 {
        let hung = self.world.truth().hung.clone();
        let machine = |slot: usize| self.world.machine(slot);
        let same =
            |a: usize, b: usize| machine(a).gpu.is_some() && machine(a).gpu == machine(b).gpu;
        let free = |&slot: &usize| !hung.iter().any(|&other| same(slot, other));
        let slots = self.slots.fit().into_iter().filter(free);
        let memory = slots.map(|slot| machine(slot).memory);
        memory.max().unwrap_or_default()
    }
}

impl Item {
    fn can_succeed(&self) -> bool {
        matches!(
            self.nature,
            Nature::Good | Nature::Transient(_) | Nature::Unlucky(_)
        )
    }

    /// The error that it ends with by itself: its status, and what the message contains.
    fn error(&self) -> Option<(Status, String)> {
        match self.nature {
            Nature::Fails => Some((Status::Item, format!("item {} fails", self.number))),
            Nature::Silent => Some((Status::Contract, String::new())),
            Nature::Hangs => Some((Status::TimeLimit, "with this item".into())),
            Nature::Transient(_) => None,
            _ => self.batch_error(u64::MAX),
        }
    }
}
