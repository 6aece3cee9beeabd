//! The figures of a report as JSON; `docs/report.md` lists the keys.

use serde::{Serialize, Serializer};

use super::{Report, SlotReport};
use crate::error::Error;
use crate::text::Text;

/// Grows when a key changes its meaning or goes; new keys leave it as it is.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    version: &'static str,
    tool: &'a str,
    total: u64,
    done: u64,
    failed: u64,
    unique: u64,
    saved: u64,
    cost: f64,
    cost_done: f64,
    cost_saved: f64,
    longest: f64,
    elapsed_s: f64,
    planning_s: f64,
    makespan_s: f64,
    bound_s: f64,
    over_bound: Option<f64>,
    remaining_s: Option<f64>,
    items_per_s: f64,
    cost_per_s: f64,
    stopped: Option<Failure<'a>>,
    #[serde(serialize_with = "by_name")]
    counts: &'a [(Text, f64)],
    slots: Vec<Slot<'a>>,
}

#[derive(Serialize)]
struct Slot<'a> {
    slot: usize,
    device: &'a str,
    items: u64,
    failed: u64,
    batches: u64,
    extent: u64,
    cost: f64,
    cost_share: f64,
    cost_per_s: Option<f64>,
    busy_s: f64,
    load_s: f64,
    idle_s: f64,
    busy_share: f64,
    splits: u64,
    retries: u64,
    out_of_memory: u64,
    batch_budget: u64,
    lost: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: i32,
    message: &'a str,
}

impl Report {
    /// The figures as one JSON object, without the spans, which the trace has. Numbers that JSON cannot write (a sum of
    /// costs beyond the range of a double) are null.
    ///
    /// # Panics
    /// Never: every key is a string.
    #[must_use]
    pub fn json(&self) -> String {
        let document = Document {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            tool: &self.tool,
            total: self.total,
            done: self.done,
            failed: self.failed,
            unique: self.unique,
            saved: self.saved(),
            cost: self.cost,
            cost_done: self.cost_done,
            cost_saved: self.cost_saved,
            longest: self.longest,
            elapsed_s: self.elapsed.as_secs_f64(),
            planning_s: self.planning.as_secs_f64(),
            makespan_s: self.makespan().as_secs_f64(),
            bound_s: self.bound().as_secs_f64(),
            over_bound: self.over_bound(),
            remaining_s: self.remaining().map(|time| time.as_secs_f64()),
            items_per_s: self.items_per_s(),
            cost_per_s: self.cost_per_s(),
            stopped: self.stopped.as_ref().map(Failure::of),
            counts: &self.counts,
            slots: self
                .slots
                .iter()
                .enumerate()
                .map(|(number, slot)| Slot::of(self, number, slot))
                .collect(),
        };
        serde_json::to_string_pretty(&document).expect("every key is a string")
    }
}

impl<'a> Slot<'a> {
    fn of(report: &Report, number: usize, slot: &'a SlotReport) -> Self {
        Self {
            slot: number,
            device: &slot.device,
            items: slot.items,
            failed: slot.failed,
            batches: slot.batches,
            extent: slot.extent,
            cost: slot.cost,
            cost_share: report.cost_share(slot),
            cost_per_s: slot.speed(),
            busy_s: slot.busy.as_secs_f64(),
            load_s: slot.load.as_secs_f64(),
            idle_s: report.idle(slot).as_secs_f64(),
            busy_share: report.busy_share(slot),
            splits: slot.splits,
            retries: slot.retries,
            out_of_memory: slot.out_of_memory,
            batch_budget: slot.batch_budget,
            lost: slot.lost.as_ref().map(Failure::of),
        }
    }
}

impl<'a> Failure<'a> {
    fn of(error: &'a Error) -> Self {
        Self {
            status: error.status().code(),
            message: error.message(),
        }
    }
}

fn by_name<S: Serializer>(counts: &[(Text, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(name, amount)| (&**name, amount)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sample::two_slots;
    use super::*;
    use crate::error::Status;

    fn parsed(report: &Report) -> Value {
        serde_json::from_str(&report.json()).unwrap()
    }

    #[test]
    fn every_key_and_its_value() {
        let mut report = two_slots();
        report.slots[1].lost = Some(Error::new(Status::DeviceLost, "it \"fell\"\noff the bus"));
        report.slots[1].retries = 3;
        let wanted = r#"{
            "format": 1, "version": "VERSION", "tool": "sample",
            "total": 12, "done": 12, "failed": 1, "unique": 10, "saved": 2,
            "cost": 120.0, "cost_done": 120.0, "cost_saved": 24.0, "longest": 30.0,
            "elapsed_s": 8.0, "planning_s": 0.5, "makespan_s": 5.0, "bound_s": 4.0, "over_bound": 1.25,
            "remaining_s": 0.0, "items_per_s": 1.5, "cost_per_s": 15.0, "stopped": null,
            "counts": {"tokens": 140.0, "padding": 12.0},
            "slots": [
                {
                    "slot": 0, "device": "cuda:0", "items": 6, "failed": 1, "batches": 2, "extent": 60,
                    "cost": 80.0, "cost_share": 0.6666666666666666, "cost_per_s": 20.0,
                    "busy_s": 4.0, "load_s": 1.0, "idle_s": 0.0, "busy_share": 0.8,
                    "splits": 0, "retries": 0, "out_of_memory": 0, "batch_budget": 30, "lost": null
                },
                {
                    "slot": 1, "device": "cpu", "items": 4, "failed": 0, "batches": 3, "extent": 80,
                    "cost": 40.0, "cost_share": 0.3333333333333333, "cost_per_s": 10.0,
                    "busy_s": 4.0, "load_s": 0.0, "idle_s": 1.0, "busy_share": 0.8,
                    "splits": 1, "retries": 3, "out_of_memory": 1, "batch_budget": 40,
                    "lost": {"status": -10, "message": "it \"fell\"\noff the bus"}
                }
            ]
        }"#;
        let wanted = wanted.replace("VERSION", env!("CARGO_PKG_VERSION"));
        let wanted: Value = serde_json::from_str(&wanted).unwrap();
        assert_eq!(parsed(&report), wanted);
    }

    #[test]
    fn a_job_that_has_just_begun_says_what_is_not_known_yet() {
        let report = Report {
            tool: "a\u{1}b\"\\".into(),
            total: 2,
            stopped: None,
            ..Report::default()
        };
        let value = parsed(&report);
        assert_eq!(value["tool"], "a\u{1}b\"\\");
        assert_eq!(value["remaining_s"], Value::Null);
        assert_eq!(value["over_bound"], Value::Null);
        assert_eq!(value["bound_s"], 0.0);
        assert_eq!(value["counts"], json!({}));
        assert_eq!(value["slots"], json!([]));
    }

    #[test]
    fn a_stopped_job_says_why_and_endless_sums_are_null() {
        let report = Report {
            cost: f64::INFINITY,
            stopped: Some(Error::new(Status::Cancelled, "the job was cancelled")),
            ..two_slots()
        };
        let value = parsed(&report);
        assert_eq!(value["cost"], Value::Null);
        assert_eq!(
            value["stopped"],
            json!({"status": -12, "message": "the job was cancelled"})
        );
    }
}
