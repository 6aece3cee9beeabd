//! What the edge asks of a tool.

use crate::error::Result;
use crate::exchange::{Exchange, View};
use crate::place::Place;

/// A tool with its options, as a handle holds it. No weights.
pub trait Tool: Sized + Send + Sync + 'static {
    /// What is loaded on one slot.
    type Worker: 'static;
    /// A batch that has been begun.
    type Pending: 'static;

    /// What a loaded worker depends on: tools of one identity share workers.
    fn identity(&self) -> &str;

    /// The most that the extents of one batch add up to.
    fn batch_budget(&self) -> u64;

    /// How far the core may raise that budget where larger batches are done faster; 0: not at all.
    fn batch_budget_most(&self) -> u64 {
        0
    }

    /// Bytes of the device's memory that a load will take there; 0 if unknown.
    fn memory(&self, place: Place) -> u64;

    /// Bytes of the device's memory that the load of `worker` has taken there; 0 if unknown. Weights that workers of one
    /// device share are told in full by each.
    fn taken(worker: &Self::Worker) -> u64;

    /// Whether workers of one device share none of that memory.
    fn memory_apart(&self) -> bool {
        false
    }

    /// Whether the source is a program.
    fn runs_code(&self) -> bool;

    /// Work in an item, in any unit, and what it takes of the budget.
    fn measure(&self, fields: &[View]) -> (f64, u64);

    /// Loads it onto a slot; called on the slot's thread.
    fn load(&self, place: Place) -> Result<Self::Worker>;

    /// Begins a batch.
    fn start(&self, worker: &mut Self::Worker, exchange: &Exchange) -> Result<Self::Pending>;

    /// Waits until the batch is computed, and hands every item its outputs.
    fn collect(pending: Self::Pending, exchange: &Exchange) -> Result<()>;
}
