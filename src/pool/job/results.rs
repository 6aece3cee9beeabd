//! What a job gives to its caller.

use std::time::{Duration, Instant};

use super::Job;
use crate::error::{Error, Result, Status};
use crate::mem::{Finished, Results};
use crate::pool::state::{State, Verdict};

/// What [`Job::next`] found.
pub enum Next {
    /// Items that finished since the last call.
    Results(Box<Results>),
    /// None yet.
    Pending,
    /// None any more.
    Done,
}

impl Job {
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
                return Ok(Next::Results(Box::new(self.some(taken, &[], None))));
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
        Ok(Next::Results(Box::new(results)))
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
}
