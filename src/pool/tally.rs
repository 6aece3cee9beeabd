//! What a job's report is made of, as batches and loads end.

use std::time::{Duration, Instant};

use super::seat::Landing;
use crate::device::Slot;
use crate::error::{Error, Status};
use crate::mem::Part;
use crate::report::{SlotReport, Span, What};
use crate::text::Text;

/// Sums over distinct items that are done.
#[derive(Default)]
pub struct Sums {
    pub items: u64,
    pub failed: u64,
    pub cost: f64,
    pub cost_failed: f64,
    pub extent: u64,
}

/// Sums by slot, and every load and batch.
pub struct Tally {
    pub submitted: Instant,
    pub planning: Duration,
    pub ended: Option<Instant>,
    /// Sum of the finite costs of the distinct items.
    pub cost: f64,
    pub cost_done: f64,
    /// Sum of the finite costs of items that equal others.
    pub cost_saved: f64,
    /// The largest of them.
    pub longest: f64,
    pub slots: Vec<SlotReport>,
    pub spans: Vec<Span>,
    pub counts: Vec<(Text, f64)>,
}

impl Tally {
    pub fn new(slots: &[Slot], cost: f64, cost_saved: f64, longest: f64) -> Self {
        let slot = |slot: &Slot| SlotReport {
            device: slot.device.to_string(),
            ..SlotReport::default()
        };
        Self {
            cost_saved,
            submitted: Instant::now(),
            planning: Duration::ZERO,
            ended: None,
            cost,
            cost_done: 0.0,
            longest,
            slots: slots.iter().map(slot).collect(),
            spans: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// The tool was loaded for the job, or failed to; what ends after the job is not part of it.
    pub fn load(&mut self, slot: usize, begin: Instant, failure: Option<&Error>) {
        if self.ended.is_some() {
            return;
        }
        let end = Instant::now();
        self.slots[slot].load += end - begin;
        self.span(slot, What::Load, begin, end, failure);
    }

    /// A batch of so many distinct items has ended.
    pub fn batch(&mut self, landing: &Landing, items: usize, failure: Option<&Error>) {
        let number = landing.slot.number;
        let slot = &mut self.slots[number];
        slot.batches += 1;
        slot.busy += landing.busy;
        if failure.is_none() {
            slot.useful_busy += landing.busy;
        }
        slot.batch_budget = landing.budget;
        if failure.is_some_and(|error| error.status() == Status::OutOfMemory) {
            slot.out_of_memory += 1;
        }
        self.span(number, What::Batch, landing.begin, landing.end, failure);
        if let Some(span) = self.spans.last_mut() {
            span.items = items as u32;
            span.extent = landing.extent;
            span.cost = landing.cost;
        }
    }

    /// Items are done, for good.
    pub fn done(&mut self, slot: usize, sums: &Sums) {
        let slot = &mut self.slots[slot];
        slot.items += sums.items;
        slot.failed += sums.failed;
        slot.cost += sums.cost;
        slot.useful_cost += sums.cost - sums.cost_failed;
        slot.extent = slot.extent.saturating_add(sums.extent);
        self.cost_done += sums.cost;
    }

    /// Adds what the tool counted.
    pub fn count(&mut self, part: &Part) {
        for (name, amount) in part.counts() {
            match self.counts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += amount,
                None => self.counts.push((name.clone(), *amount)),
            }
        }
    }

    fn span(
        &mut self,
        slot: usize,
        what: What,
        begin: Instant,
        end: Instant,
        failure: Option<&Error>,
    ) {
        let since = |time: Instant| time.saturating_duration_since(self.submitted);
        self.spans.push(Span {
            slot: slot as u32,
            what,
            begin: since(begin),
            end: since(end),
            items: 0,
            extent: 0,
            cost: 0.0,
            failure: failure.map(Error::status),
        });
    }
}
