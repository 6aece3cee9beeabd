//! What a job's run was like: figures by slot, and every batch with its times.
//!
//! Pure data and its renderings; `pool` fills it in.

mod figures;
mod json;
mod lanes;
#[cfg(test)]
mod sample;
pub mod svg;
mod timeline;
mod trace;
pub mod words;

pub use figures::time_for;

use std::time::Duration;

use crate::error::{Error, Status};
use crate::text::Text;

/// How a job went, or how far it is. Times count from its submission.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What the tool is called.
    pub tool: String,
    /// Items of the caller, duplicates included.
    pub total: u64,
    /// Of these, done; failed ones included.
    pub done: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Distinct items.
    pub unique: u64,
    /// Sum of the finite costs of the distinct items, in the tool's unit.
    pub cost: f64,
    /// Of that, done.
    pub cost_done: f64,
    /// Sum of the finite costs that duplicates would have added.
    pub cost_saved: f64,
    /// The largest finite cost of an item.
    pub longest: f64,
    /// From submission to the end, or to now.
    pub elapsed: Duration,
    /// What finding duplicates, costs and the order took, within `elapsed`.
    pub planning: Duration,
    /// Why items were not done, or the job failed.
    pub stopped: Option<Error>,
    /// One a slot of the pool, in the order of their numbers.
    pub slots: Vec<SlotReport>,
    /// Loads and batches, in the order of their ends.
    pub spans: Vec<Span>,
    /// What the tool counted, by name.
    pub counts: Vec<(Text, f64)>,
}

/// What one slot did for a job.
#[derive(Debug, Clone, Default)]
pub struct SlotReport {
    /// The device as a device string names it, such as `cuda:0`.
    pub device: String,
    /// Distinct items that it did, failed ones included.
    pub items: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Batches that it did, failed ones included.
    pub batches: u64,
    /// Sum of the extents of its items (tokens, bytes).
    pub extent: u64,
    /// Sum of the finite costs of its items.
    pub cost: f64,
    /// Of that, of the items that succeeded.
    pub useful_cost: f64,
    /// Time with at least one batch in flight.
    pub busy: Duration,
    /// Of that, in batches that came to something.
    pub useful_busy: Duration,
    /// Time spent loading the tool.
    pub load: Duration,
    /// Batches that came back to be split.
    pub splits: u64,
    /// Batches and items that came back to be tried again.
    pub retries: u64,
    /// Batches that ran out of memory.
    pub out_of_memory: u64,
    /// The budget of a batch when its last one ended; 0 before.
    pub batch_budget: u64,
    /// Why the slot is lost or stuck, if it is.
    pub lost: Option<Error>,
}

/// A piece of a slot's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Number of the slot.
    pub slot: u32,
    /// What it was spent on.
    pub what: What,
    /// Since the submission of the job. Two batches in flight on one slot overlap.
    pub begin: Duration,
    /// Since the submission of the job.
    pub end: Duration,
    /// Distinct items; 0 for a load.
    pub items: u32,
    /// Sum of their extents.
    pub extent: u64,
    /// Sum of their finite costs.
    pub cost: f64,
    /// The error of the batch or load as a whole, if it had one.
    pub failure: Option<Status>,
}

/// What a slot spends time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Loading the tool.
    Load,
    /// A batch.
    Batch,
}

impl Report {
    /// From the first begin of a load or batch to the last end; zero if there was none.
    #[must_use]
    pub fn makespan(&self) -> Duration {
        let begin = self.spans.iter().map(|span| span.begin).min();
        let end = self.spans.iter().map(|span| span.end).max();
        end.zip(begin)
            .map_or(Duration::ZERO, |(end, begin)| end.saturating_sub(begin))
    }
}
