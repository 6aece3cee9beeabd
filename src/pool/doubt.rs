//! Who is to blame when an item fails alone: the item, or the slot.

use super::job::Job;
use super::seat::Landing;
use super::state::{Planned, State};
use crate::error::{Error, Status};

/// So many items that failed alone on a slot, succeeded on others, and none on that slot in between: it is to blame, not
/// the items. While so many wait for another slot to try them, theirs gets no others.
pub const SUSPICIOUS: usize = 8;

/// An item that failed alone, and is tried on other slots before that is believed: the error may be a slot's.
#[derive(Default)]
pub struct Doubt {
    /// Where it failed, and how.
    failed: Vec<(usize, Error)>,
    /// Where it did not fit, with the device to itself.
    too_large_for: Vec<usize>,
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

    fn failed_on(&self, slot: usize) -> bool {
        self.failed.iter().any(|&(failed, _)| failed == slot)
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
        doubt.failed.push((slot, error.clone()));
        let trusted = |&(slot, _): &(usize, Error)| state.trust[slot].holds();
        let believed = doubt.failed.len() > 1 && doubt.failed.iter().any(trusted);
        !believed && (landing.others.iter()).any(|&other| !doubt.has_tried(other))
    }

    /// A slot has done an item. If that failed alone on others before, they are to blame; the job does without a slot to
    /// which that happens again and again.
    pub(super) fn believe(&self, state: &mut State, unique: u32, slot: usize) {
        let doubt = state.doubted.remove(&unique).unwrap_or_default();
        let others = doubt.failed.into_iter();
        for (other, error) in others.filter(|&(other, _)| other != slot) {
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
