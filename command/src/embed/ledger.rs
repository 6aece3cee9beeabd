//! What a run has come to so far: one report of all its windows.

use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};
use toolpool::report::words::{count, time, whole};
use toolpool::report::{Report, SlotReport, Span, What};

use super::flight::{Landed, residues};
use super::histogram::{self, Histogram};
use crate::devices::aligned;
use crate::output::{Summary, Totals, Written};
use crate::rows::Outcome;
use crate::window::Window;

/// As many batches are kept one by one for the trace and the timeline; of later windows, one span a slot.
const MOST_SPANS: usize = 100_000;

/// Sums over the windows of this session; what earlier sessions did is in the directory.
pub struct Ledger {
    pub began: Instant,
    report: Report,
    /// By slot: what failed was not computed.
    failed_residues: Vec<u64>,
    pub lengths: Histogram,
    pub counts: Counts,
    /// Records that failed in earlier sessions.
    pub failed_before: u64,
}

/// Records.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Counts {
    /// Of this session's windows.
    pub records: u64,
    pub failed: u64,
    /// Equal to others and not computed again: of the same window, and of earlier ones.
    pub saved: u64,
    /// Of windows that were there already.
    pub resumed: u64,
    pub windows: u64,
    pub bytes_written: u64,
}

impl Ledger {
    #[must_use]
    pub fn new(resumed: u64, failed_before: u64) -> Self {
        Self {
            began: Instant::now(),
            report: Report::default(),
            failed_residues: Vec::new(),
            lengths: Histogram::default(),
            counts: Counts {
                resumed,
                ..Counts::default()
            },
            failed_before,
        }
    }

    /// Adds a window that is over.
    pub fn add(&mut self, landed: &Landed) {
        let Landed {
            rows,
            failed_residues,
        } = landed;
        let failed = |outcome: &&Outcome| matches!(outcome, Outcome::Failed(_));
        let same = |outcome: &&Outcome| matches!(outcome, Outcome::Same(_));
        let mine = |outcome: &&Outcome| **outcome != Outcome::Elsewhere;
        self.counts.windows += 1;
        self.counts.records += rows.outcomes.iter().filter(mine).count() as u64;
        self.counts.failed += rows.outcomes.iter().filter(failed).count() as u64;
        self.counts.saved += rows.outcomes.iter().filter(same).count() as u64;
        let slots = self.failed_residues.len().max(failed_residues.len());
        self.failed_residues.resize(slots, 0);
        for (all, one) in self.failed_residues.iter_mut().zip(failed_residues) {
            *all += *one;
        }
        self.measure(&rows.window, &rows.outcomes);
    }

    fn measure(&mut self, window: &Window, outcomes: &[Outcome]) {
        let sequences = window.sequences.iter().zip(outcomes);
        let mine = sequences.filter(|(_, outcome)| **outcome != Outcome::Elsewhere);
        mine.for_each(|(sequence, _)| self.lengths.add(sequence.len()));
    }

    /// Adds what a job was like that began at `began`.
    pub fn add_report(&mut self, report: Report, began: Instant) {
        let since = began.saturating_duration_since(self.began);
        let spans = if self.report.spans.len() < MOST_SPANS {
            report.spans.clone()
        } else {
            coarse(&report)
        };
        let later = spans.into_iter().map(|span| Span {
            begin: span.begin + since,
            end: span.end + since,
            ..span
        });
        self.report.spans.extend(later);
        sum(&mut self.report, report);
    }

    /// A shard was written.
    pub fn written(&mut self, written: Written) {
        self.counts.bytes_written += written.bytes;
    }

    /// How all of it went.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            elapsed: self.began.elapsed(),
            ..self.report.clone()
        }
    }

    /// Residues that a slot computed: neither of what failed nor of duplicates, which were computed once.
    #[must_use]
    pub fn residues(&self, slot: usize) -> u64 {
        let done = self.report.slots.get(slot).map_or(0, residues);
        done.saturating_sub(self.failed_residues.get(slot).copied().unwrap_or(0))
    }

    fn all_residues(&self) -> u64 {
        (0..self.report.slots.len())
            .map(|slot| self.residues(slot))
            .sum()
    }

    /// The sums of each slot.
    #[must_use]
    pub fn slots(&self) -> &[SlotReport] {
        &self.report.slots
    }

    /// The files beside the shards, of a run that is whole now or is not.
    #[must_use]
    pub fn summary(&self, totals: Totals, whole: bool) -> Summary {
        let report = self.report();
        let picture =
            report.timeline_above(histogram::HEIGHT, |svg, top| self.lengths.draw(svg, top));
        let json = format!("{:#}\n", self.json(totals, whole));
        vec![
            ("report.json", json.into_bytes()),
            ("trace.json", report.trace().into_bytes()),
            ("timeline.svg", picture.into_bytes()),
        ]
    }

    /// The figures for machines.
    #[must_use]
    pub fn json(&self, totals: Totals, whole: bool) -> Value {
        let report = self.report();
        let session: Value = serde_json::from_str(&report.json()).unwrap_or_default();
        json!({
            "whole": whole,
            "rows": totals.rows,
            "failed": totals.failed,
            "remarked": totals.remarked,
            "not_finite": totals.not_finite,
            "overflowed": totals.overflowed,
            "residues": self.all_residues(),
            "residues_per_s": self.residues_per_s(),
            "session": self.counts,
            "pool": session,
        })
    }

    /// The figures for people.
    #[must_use]
    pub fn table(&self) -> String {
        let report = self.report();
        let mut rows = vec![
            [
                "slot", "device", "items", "residues", "busy", "load", "splits", "failed",
            ]
            .map(str::to_owned),
        ];
        rows.extend(report.slots.iter().enumerate().map(|(number, slot)| {
            [
                number.to_string(),
                slot.device.clone(),
                whole(slot.items),
                whole(self.residues(number)),
                format!("{:.1} %", 100.0 * report.busy_share(slot)),
                time(slot.load),
                whole(slot.splits),
                whole(slot.failed),
            ]
        }));
        let mut text = aligned(&rows);
        text.push_str(&format!(
            "{} in {}, {} residues/s",
            count(self.counts.records, "record"),
            time(report.elapsed),
            whole(self.residues_per_s() as u64)
        ));
        if let Some(ratio) = report.over_bound() {
            text.push_str(&format!(
                "; {ratio:.3} × the bound of {}",
                time(report.bound())
            ));
        }
        text
    }

    fn residues_per_s(&self) -> f64 {
        let seconds = self.began.elapsed().as_secs_f64();
        if seconds > 0.0 {
            self.all_residues() as f64 / seconds
        } else {
            0.0
        }
    }
}

/// One span a slot, from its first batch to its last.
fn coarse(report: &Report) -> Vec<Span> {
    let slots = 0..report.slots.len() as u32;
    slots
        .filter_map(|slot| {
            let batches = || {
                report
                    .spans
                    .iter()
                    .filter(move |span| span.slot == slot && span.what == What::Batch)
            };
            Some(Span {
                begin: batches().map(|span| span.begin).min()?,
                end: batches().map(|span| span.end).max()?,
                items: batches().map(|span| span.items).sum(),
                extent: batches().map(|span| span.extent).sum(),
                cost: batches().map(|span| span.cost).sum(),
                ..*batches().next()?
            })
        })
        .collect()
}

/// Adds the figures of one job to those of all, but for its spans.
fn sum(all: &mut Report, one: Report) {
    all.tool = one.tool;
    all.total += one.total;
    all.done += one.done;
    all.failed += one.failed;
    all.unique += one.unique;
    all.cost += one.cost;
    all.cost_done += one.cost_done;
    all.cost_saved += one.cost_saved;
    all.longest = all.longest.max(one.longest);
    all.planning += one.planning;
    all.stopped = all.stopped.take().or(one.stopped);
    all.slots.resize_with(one.slots.len(), SlotReport::default);
    for (all, one) in all.slots.iter_mut().zip(one.slots) {
        sum_slot(all, one);
    }
    for (name, amount) in one.counts {
        match all.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += amount,
            None => all.counts.push((name, amount)),
        }
    }
}

fn sum_slot(all: &mut SlotReport, one: SlotReport) {
    let SlotReport {
        device,
        items,
        failed,
        batches,
        extent,
        cost,
        useful_cost,
        busy,
        useful_busy,
        load,
        splits,
        retries,
        out_of_memory,
        batch_budget,
        lost,
    } = one;
    all.device = device;
    all.items += items;
    all.failed += failed;
    all.batches += batches;
    all.extent += extent;
    all.cost += cost;
    all.useful_cost += useful_cost;
    all.busy += busy;
    all.useful_busy += useful_busy;
    all.load += load;
    all.splits += splits;
    all.retries += retries;
    all.out_of_memory += out_of_memory;
    all.batch_budget = all.batch_budget.max(batch_budget);
    all.lost = lost.or(all.lost.take());
}
