//! What a job gives to workers, and takes back from them.

use std::sync::Arc;
use std::time::Instant;

use super::Job;
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::{ELSEWHERE, Finished, Part};
use crate::plan::batch::{Cut, amount};
use crate::pool::seat::Landing;
use crate::pool::state::{Planned, State, Take, Taken};
use crate::pool::tally::Sums;
use crate::pool::terms::Terms;
use crate::tool::Batch;

/// The part of what is left that a batch of a deterministic job may hold: that of one of eight equal slots.
const DETERMINISTIC_SHARE: f64 = 1.0 / 16.0;

/// What a job has for a worker that asks.
pub enum Offer {
    /// Nothing now.
    Nothing,
    /// Nothing that faster slots would not end sooner: they are left work of this cost.
    Declined(f64),
    /// Items, once the tool is loaded.
    Load,
    /// The same, once the slot has nothing under way: what hangs must not keep others from loading it.
    LoadWhenEmpty,
    /// An item, once nothing else is under way on the device.
    RunWhenAlone,
    /// These distinct items.
    Run(Taken),
}

impl Job {
    /// The items of a batch, for the tool.
    pub(in crate::pool) fn batch(&self, planned: &[Planned]) -> Batch {
        let positions = planned
            .iter()
            .map(|item| self.dedup.first(item.unique as usize) as u32);
        Batch::new(
            Arc::clone(&self.tool),
            Arc::clone(&self.items),
            positions.collect(),
        )
    }

    /// What there is to do on a slot.
    pub(in crate::pool) fn offer(&self, terms: &Terms) -> Offer {
        let mut state = self.state.lock();
        if !terms.warm {
            // Those who are loading already may be enough for the little that is left.
            let loading = state.loads.under_way(terms.now, terms.load_time);
            let enough = loading > 0 && loading >= state.left();
            if enough || !state.loads.may_begin(terms.slot, terms.now) || !state.suits(terms) {
                return Offer::Declined(state.remaining.cost());
            }
            if !terms.empty {
                return Offer::LoadWhenEmpty;
            }
            state.loads.begin(terms.slot, terms.now);
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
            Take::Batch(taken) => {
                state.flights += 1;
                state.running += taken.batch.len();
                Offer::Run(taken)
            }
            Take::WhenAlone => Offer::RunWhenAlone,
            Take::Nothing if state.has_work() => Offer::Declined(state.remaining.cost()),
            Take::Nothing => Offer::Nothing,
        }
    }

    /// A worker has loaded the tool, or failed to; `works` tells which slots could still do it.
    pub(in crate::pool) fn loaded(
        &self,
        slot: usize,
        begin: Instant,
        outcome: Result<()>,
        works: &[bool],
    ) {
        let mut state = self.state.lock();
        state.loads.end(slot);
        state.tally.load(slot, begin, outcome.as_ref().err());
        if let Err(error) = outcome {
            if state.loads.again(slot, &error, self.options.retries) {
                state.tally.slots[slot].retries += 1;
                return;
            }
            state.unfit.push((slot, error.clone()));
            drop(state);
            self.check_slots(works, &error);
        }
    }

    /// Fails the job if no slot is left that could do it.
    pub(in crate::pool) fn check_slots(&self, works: &[bool], error: &Error) {
        let mut state = self.state.lock();
        let fit = |slot: usize| works[slot] && !state.unfit.iter().any(|&(unfit, _)| unfit == slot);
        if !state.over() && !(0..works.len()).any(fit) {
            let error = error.clone().within("no slot is left");
            state.give_up(error);
            self.note_end(&mut state);
        }
    }

    /// Takes a batch back from a worker. Whether some of it is to be tried again; and why the job does without a slot
    /// from now on, if it does.
    pub(in crate::pool) fn land(
        &self,
        batch: Vec<Planned>,
        outcome: Result<Part>,
        landing: &Landing,
    ) -> (bool, Option<Error>) {
        let mut state = self.state.lock();
        let (left, unfit) = (state.left(), state.unfit.len());
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
        let left_out = state.unfit.get(unfit).map(|(_, error)| error.clone());
        (state.left() > left, left_out)
    }

    /// Takes a batch back that a worker could not end, for reasons of its own.
    pub(in crate::pool) fn put_back(&self, batch: Vec<Planned>) {
        self.take_back(batch, State::try_again);
    }

    /// Takes a batch back that a worker has begun and comes to yet, though nobody waits for it any more. An item of it may
    /// cost that worker its device: so each is run last and alone, as suspects are.
    pub(in crate::pool) fn keep_for_last(&self, batch: Vec<Planned>) {
        self.take_back(batch, State::suspect);
    }

    /// A batch is given up that its worker comes to yet.
    pub(in crate::pool) fn ghost_comes(&self, batch: &[Planned]) {
        let mut state = self.state.lock();
        state.ghosts.extend(batch.iter().map(|item| item.unique));
    }

    /// The worker has come to a batch that was given up, and its device was lost by it or not.
    pub(in crate::pool) fn ghost_gone(&self, batch: &[Planned], lost: bool) {
        let mut state = self.state.lock();
        for item in batch {
            let ghost = state.ghosts.remove(&item.unique);
            if ghost && lost {
                state.blamed.insert(item.unique, Status::DeviceLost);
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
            state.keep_what_is_done();
            state.trust[slot.number].earn();
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
    pub(in crate::pool) fn finish(
        &self,
        state: &mut State,
        batch: &[Planned],
        part: Part,
        slot: &Slot,
    ) {
        let copies = |item: &Planned| match &self.positions {
            Some(positions) => positions.of_unique(item.unique).len() as u64,
            None => 1,
        };
        let mut sums = Sums::default();
        for (row, item) in batch.iter().enumerate() {
            if item.unique == ELSEWHERE {
                continue;
            }
            let copies = copies(item);
            sums.items += 1;
            sums.cost += amount(item.cost);
            sums.extent = sums.extent.saturating_add(item.extent);
            state.done += copies;
            if part.failures() > 0 && part.error(row).is_some() {
                state.failed += copies;
                sums.failed += 1;
                sums.cost_failed += amount(item.cost);
                state.doubted.remove(&item.unique);
            } else {
                self.believe(state, item.unique, slot.number);
            }
        }
        state.tally.done(slot.number, &sums);
        state.unread_bytes += part.bytes() as u64;
        state.finished.push(Finished {
            uniques: batch.iter().map(|item| item.unique).collect(),
            part,
            slot: slot.number,
        });
    }
}
