//! A run that can be worked out by hand.

use std::time::Duration;

use super::{Report, SlotReport, Span, What};
use crate::error::Status;

pub fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub fn load(slot: u32, begin: f64, end: f64) -> Span {
    Span {
        slot,
        what: What::Load,
        begin: seconds(begin),
        end: seconds(end),
        items: 0,
        extent: 0,
        cost: 0.0,
        failure: None,
    }
}

pub fn batch(slot: u32, begin: f64, end: f64, items: u32, cost: f64) -> Span {
    Span {
        what: What::Batch,
        items,
        extent: 10 * u64::from(items),
        cost,
        ..load(slot, begin, end)
    }
}

/// Twelve items, ten of them distinct, on two slots from second 1 to second 6. Slot 0 loads, and then has two batches in
/// flight from second 3 to 5; the first batch of slot 1 runs out of memory and is split.
pub fn two_slots() -> Report {
    Report {
        tool: "sample".into(),
        total: 12,
        done: 12,
        failed: 1,
        unique: 10,
        cost: 120.0,
        cost_done: 120.0,
        cost_saved: 24.0,
        longest: 30.0,
        elapsed: seconds(8.0),
        planning: seconds(0.5),
        stopped: None,
        slots: vec![
            SlotReport {
                device: "cuda:0".into(),
                items: 6,
                failed: 1,
                batches: 2,
                extent: 60,
                cost: 80.0,
                useful_cost: 80.0,
                busy: seconds(4.0),
                useful_busy: seconds(4.0),
                load: seconds(1.0),
                batch_budget: 30,
                ..SlotReport::default()
            },
            SlotReport {
                device: "cpu".into(),
                items: 4,
                batches: 3,
                extent: 80,
                cost: 40.0,
                useful_cost: 40.0,
                busy: seconds(4.0),
                useful_busy: seconds(4.0),
                splits: 1,
                out_of_memory: 1,
                batch_budget: 40,
                ..SlotReport::default()
            },
        ],
        spans: vec![
            load(0, 1.0, 2.0),
            Span {
                failure: Some(Status::OutOfMemory),
                ..batch(1, 1.0, 2.0, 4, 40.0)
            },
            batch(1, 2.0, 3.5, 2, 25.0),
            batch(0, 2.0, 5.0, 3, 50.0),
            batch(1, 3.5, 5.0, 2, 15.0),
            batch(0, 3.0, 6.0, 3, 30.0),
        ],
        counts: vec![("tokens".into(), 140.0), ("padding".into(), 12.0)],
    }
}
