//! What becomes of a batch that failed as a whole.

use super::job::Job;
use super::state::State;
use crate::device::Slot;
use crate::error::{Error, Status};
use crate::mem::Part;

/// So many items that fail alone, one after the other and alike, with none that succeeds, fail the job.
const HOPELESS: usize = 32;

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

    /// An item failed alone: whether that was the last straw.
    fn failed(&mut self, error: &Error) -> bool {
        match self {
            Self::None => *self = Self::Alike(error.clone(), 1),
            Self::Alike(before, count) if before == error => *count += 1,
            Self::Alike(..) => *self = Self::Broken,
            Self::Broken => {}
        }
        matches!(self, Self::Alike(_, count) if *count >= HOPELESS)
    }
}

impl Job {
    /// Finds the guilty items of a batch that failed as a whole, by splitting it, and lets the others go on.
    pub(super) fn recover(&self, state: &mut State, uniques: Vec<u32>, error: &Error, slot: &Slot) {
        if state.verdict.error().is_some() {
            return self.fail(state, uniques, error, slot);
        }
        match error.status() {
            Status::DeviceLost => self.suspect(state, uniques, error, slot),
            _ if uniques.len() > 1 => {
                let mut first = uniques;
                let second = first.split_off(first.len().div_ceil(2));
                state.again.push(second);
                state.again.push(first);
            }
            _ => {
                let hopeless = error.status() != Status::OutOfMemory && state.streak.failed(error);
                self.fail(state, uniques, error, slot);
                if hopeless {
                    let why = format!(
                        "the job was given up after {HOPELESS} items failed alike and none succeeded"
                    );
                    state.give_up(error.clone().within(why));
                }
            }
        }
    }

    /// Any item of the batch may have cost the device: each is tried once more, last and alone. Who is there when
    /// a second device goes, fails.
    fn suspect(&self, state: &mut State, uniques: Vec<u32>, error: &Error, slot: &Slot) {
        let (guilty, suspects): (Vec<_>, Vec<_>) = uniques
            .into_iter()
            .partition(|unique| state.tried_again.contains(unique));
        state.suspects.extend(suspects);
        if !guilty.is_empty() {
            let error = error
                .clone()
                .within("two devices were lost while this item was on them");
            self.fail(state, guilty, &error, slot);
        }
    }

    pub(super) fn fail(&self, state: &mut State, uniques: Vec<u32>, error: &Error, slot: &Slot) {
        let part = Part::failed(uniques.len(), error);
        self.finish(state, uniques, part, slot);
    }
}
