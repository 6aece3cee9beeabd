//! What a job still has to do, and what it has done.

use std::collections::VecDeque;

use super::faults::Streak;
use crate::error::{Error, Result};
use crate::mem::{Finished, Items};
use crate::plan::batch::{Cut, Remaining};
use crate::plan::dedup::Dedup;
use crate::plan::order;
use crate::tool::Tool;

/// Whether a job goes on.
pub enum Verdict {
    /// It does, or it has ended by itself.
    Running,
    /// It was stopped: items that were not done have this error, the others their results.
    Stopped(Error),
    /// It failed as a whole.
    Failed(Error),
}

impl Verdict {
    /// Why items were not done.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Running => None,
            Self::Stopped(error) | Self::Failed(error) => Some(error),
        }
    }
}

/// How far a job is, in distinct items unless said otherwise.
pub struct State {
    /// Distinct items that no worker has had, longest first.
    fresh: VecDeque<Planned>,
    remaining: Remaining,
    /// Batches that come back from a failure, the latest last.
    pub again: Vec<Vec<u32>>,
    /// Items that were on a device when it was lost; they run last, and alone.
    pub suspects: Vec<u32>,
    /// Distinct items of which this is the second time: on the next loss they fail.
    pub tried_again: Vec<u32>,
    /// Batches under way.
    pub flights: usize,
    pub running: usize,
    /// Workers that are loading the tool for this job.
    pub loading: usize,
    /// Slots that could not load the tool, and why.
    pub unfit: Vec<(usize, Error)>,
    pub finished: Vec<Finished>,
    pub unread_bytes: u64,
    pub done: u64,
    pub failed: u64,
    pub streak: Streak,
    pub verdict: Verdict,
    /// Items that will never be done, once the job has been stopped.
    pub undone: Vec<u32>,
    /// Somebody waits for the whole job, so there is no use in pausing.
    pub unlimited: bool,
}

/// A distinct item in the queue.
struct Planned {
    cost: f64,
    extent: u64,
    unique: u32,
}

impl State {
    /// All of `items` are left to do.
    pub fn of(tool: &dyn Tool, items: &Items, dedup: &Dedup) -> Result<Self> {
        let fresh = plan(tool, items, dedup)?;
        let mut remaining = Remaining::default();
        fresh.iter().for_each(|item| remaining.add(item.cost));
        Ok(Self {
            fresh,
            remaining,
            again: Vec::new(),
            suspects: Vec::new(),
            tried_again: Vec::new(),
            flights: 0,
            running: 0,
            loading: 0,
            unfit: Vec::new(),
            finished: Vec::new(),
            unread_bytes: 0,
            done: 0,
            failed: 0,
            streak: Streak::default(),
            verdict: Verdict::Running,
            undone: Vec::new(),
            unlimited: false,
        })
    }

    /// Whether nothing more will happen.
    pub fn over(&self) -> bool {
        self.flights == 0 && !self.has_work()
    }

    /// Whether items wait for a worker.
    pub fn has_work(&self) -> bool {
        !(self.fresh.is_empty() && self.again.is_empty() && self.suspects.is_empty())
    }

    /// How many distinct items wait.
    pub fn left(&self) -> usize {
        self.fresh.len() + self.again.iter().map(Vec::len).sum::<usize>() + self.suspects.len()
    }

    /// The next batch: what comes back from failures, then the longest fresh items, then suspects one by one.
    pub fn cut(&mut self, limits: Cut, slots: usize) -> Vec<u32> {
        if let Some(batch) = self.again.pop() {
            return batch;
        }
        if self.fresh.is_empty() {
            let suspect = self.suspects.pop();
            self.tried_again.extend(suspect);
            return suspect.into_iter().collect();
        }
        let queue = self.fresh.iter().map(|item| (item.cost, item.extent));
        let count = limits.next_batch(queue, &self.remaining, slots);
        let batch = self.fresh.drain(..count).map(|item| {
            self.remaining.remove(item.cost);
            item.unique
        });
        batch.collect()
    }

    /// Nothing can be done any more: what succeeded is kept; where nothing did, the job fails as a whole.
    pub fn give_up(&mut self, error: Error) {
        self.stop(if self.done > self.failed {
            Verdict::Stopped(error)
        } else {
            Verdict::Failed(error)
        });
    }

    /// Takes everything out of the queue. The first reason to stop counts.
    pub fn stop(&mut self, verdict: Verdict) {
        if !matches!(self.verdict, Verdict::Running) || self.over() {
            return;
        }
        self.verdict = verdict;
        self.remaining = Remaining::default();
        self.undone
            .extend(self.fresh.drain(..).map(|item| item.unique));
        self.undone.extend(self.again.drain(..).flatten());
        self.undone.append(&mut self.suspects);
        self.fresh.shrink_to_fit();
    }

    /// Takes what nobody has taken.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        self.unread_bytes = 0;
        std::mem::take(&mut self.finished)
    }
}

/// The distinct items of a job, longest first.
fn plan(tool: &dyn Tool, items: &Items, dedup: &Dedup) -> Result<VecDeque<Planned>> {
    let given = items.costs();
    let mut costs = Vec::with_capacity(dedup.uniques());
    for unique in 0..dedup.uniques() {
        let position = dedup.first(unique);
        let cost = given.map_or_else(|| tool.cost(items.first(position)), |given| given[position]);
        order::check_cost(position, cost)?;
        costs.push(cost);
    }
    let planned = order::longest_first(&costs)
        .into_iter()
        .map(|unique| Planned {
            cost: costs[unique as usize],
            extent: tool.extent(items.first(dedup.first(unique as usize))),
            unique,
        });
    Ok(planned.collect())
}
