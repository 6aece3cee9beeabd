//! What runs where, in which order and in which company: pure functions over costs and content.
//!
//! A run is planned in four steps, each a file here: [`dedup`] finds the items of equal content, [`order`] checks the
//! costs and sorts them longest first, [`balance`] says how much of what is left an idle slot should take, and from
//! where, and [`batch`] cuts that batch. [`budget`] finds how large batches should be at most. [`lpt`] is the textbook
//! assignment to slots, for those who must decide beforehand (shards, several machines, a report that compares).
//!
//! Nothing here knows threads, tools or devices, does I/O, or is unsafe. Every function is deterministic.
//!
//! # What a cost means
//! A cost is an estimate of work, in any unit. Only finite, positive costs are amounts; the others have these meanings,
//! which keep any of them from heaping everything on one slot:
//!
//! | cost | meaning |
//! | --- | --- |
//! | all equal | the items are shared out by count |
//! | 0 | equal work too small to count: shared out by count, after all that has a cost |
//! | +∞ | longer than all finite costs together, of unknown size: runs first, alone; shared out by count |
//! | NaN, negative | refused, with the item's index |

pub mod balance;
pub mod batch;
pub mod budget;
pub mod dedup;
pub mod lpt;
pub mod order;
