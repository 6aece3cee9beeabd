//! Who is to blame when an item fails alone: the item, or the slot.

use std::time::{Duration, Instant};

use super::job::Job;
use super::seat::Landing;
use super::state::{Planned, State};
use crate::error::{Error, Status};

/// So many items that failed alone on a slot, succeeded on others, and none on that slot in between: it is to blame, not
/// the items. While so many wait for another slot to try them, theirs gets no others.
pub const SUSPICIOUS: usize = 8;

/// How long an item that failed on one slot is left to the others: they may be inside something that hangs.
const SECOND_OPINION: Duration = Duration::from_secs(60);

/// An item that failed alone, and is tried on other slots before that is believed: the error may be a slot's.
#[derive(Default)]
pub struct Doubt {
    failed: Vec<Failure>,
    /// Where it did not fit, with the device to itself.
    too_large_for: Vec<usize>,
}

/// How an item failed alone on a slot.
struct Failure {
    slot: usize,
    error: Error,
    /// How long others are waited for.
    until: Instant,
}

impl Doubt {
    /// It does not fit on a slot.
    pub fn is_too_large_for(&mut self, slot: usize) {
        self.too_large_for.push(slot);
    }

    /// Whether a slot has tried it.
    pub fn has_tried(&self, slot: usize) -> bool {
        self.failed_on(slot) || self.too_large_for.contains(&slot)
    }

    /// Whether a slot that has tried it leaves it to others.
    pub fn keeps_from(&self, slot: usize, now: Instant) -> bool {
        let mut failed = self.failed.iter();
        failed.any(|failure| failure.slot == slot && now < failure.until)
            || self.too_large_for.contains(&slot)
    }

    fn failed_on(&self, slot: usize) -> bool {
        self.failed.iter().any(|failure| failure.slot == slot)
    }
}

/// What is to be thought of a slot when an item fails alone there.
#[derive(Clone, Default)]
pub struct Trust {
    /// Some item succeeded there.
    worked: bool,
    /// Items that failed alone there since.
    failed: usize,
    /// Items that did and succeeded elsewhere, since.
    wrong: usize,
}

impl Trust {
    /// An item succeeded.
    pub fn earn(&mut self) {
        *self = Self {
            worked: true,
            ..Self::default()
        };
    }

    fn holds(&self) -> bool {
        self.worked && self.failed < SUSPICIOUS
    }
}

impl Job {
    /// Whether an item that failed alone is to be tried on another slot: always on a second one, and on others as long as
    /// none of those where it failed can be trusted.
    pub(super) fn doubts(
        &self,
        state: &mut State,
        batch: &[Planned],
        error: &Error,
        landing: &Landing,
    ) -> bool {
        let [item] = batch else {
            return false;
        };
        if !matches!(error.status(), Status::Failed | Status::Internal) {
            return false;
        }
        let slot = landing.slot.number;
        state.trust[slot].failed += 1;
        let doubt = state.doubted.entry(item.unique).or_default();
        if doubt.failed_on(slot) {
            // It came back, so no other could have it.
            return false;
        }
        doubt.failed.push(Failure {
            slot,
            error: error.clone(),
            until: landing.end + SECOND_OPINION,
        });
        let trusted = |failure: &Failure| state.trust[failure.slot].holds();
        let believed = doubt.failed.len() > 1 && doubt.failed.iter().any(trusted);
        !believed && (landing.others.iter()).any(|&other| !doubt.has_tried(other))
    }

    /// A slot has done an item. If that failed alone on others before, they are to blame; the job does without a slot to
    /// which that happens again and again.
    pub(super) fn believe(&self, state: &mut State, unique: u32, slot: usize) {
        let doubt = state.doubted.remove(&unique).unwrap_or_default();
        let others = doubt.failed.into_iter();
        for failure in others.filter(|failure| failure.slot != slot) {
            let (other, error) = (failure.slot, failure.error);
            let trust = &mut state.trust[other];
            trust.wrong += 1;
            if trust.wrong != SUSPICIOUS {
                continue;
            }
            let why =
                format!("left out after {SUSPICIOUS} items in a row failed here and not elsewhere");
            let error = error.within(why).within(&state.tally.slots[other].device);
            state.tally.slots[other].lost = Some(error.clone());
            state.unfit.push((other, error));
        }
    }
}
