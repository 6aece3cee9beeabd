//! A job's loads and batches in the trace-event format, which <https://ui.perfetto.dev> opens (Google, Trace Event Format,
//! 2016).
//!
//! The job is a process. Its first thread is the planning, and each slot is a thread; where a slot has two batches in
//! flight it is two, because complete events (`X`) of one thread may nest but not cross.

use std::time::Duration;

use serde::Serialize;

use super::lanes::lanes;
use super::{Report, SlotReport, Span, What, words};

/// The job's number as a process. The format wants one; 0 is the idle process to its readers.
const JOB: u32 = 1;
/// The number of the thread of the planning; those of the slots follow.
const PLANNING: u32 = 1;

#[derive(Serialize)]
struct Trace<'a> {
    #[serde(rename = "displayTimeUnit")]
    display_time_unit: &'static str,
    #[serde(rename = "otherData")]
    other_data: Other<'a>,
    #[serde(rename = "traceEvents")]
    trace_events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Other<'a> {
    tool: &'a str,
    version: &'static str,
}

/// `ts` and `dur` are in microseconds; complete events have them.
#[derive(Serialize)]
struct Event<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    ph: char,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    args: Arguments<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Arguments<'a> {
    Process {
        name: &'a str,
    },
    Thread {
        name: String,
    },
    Place {
        sort_index: u32,
    },
    Planning {
        items: u64,
        unique: u64,
    },
    Span {
        items: u32,
        extent: u64,
        cost: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
}

impl Report {
    /// The trace as one JSON object.
    ///
    /// # Panics
    /// Never: every key is a string.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut events = vec![self.process()];
        events.extend(thread(PLANNING, "planning".into()));
        events.push(self.planned());
        let mut tid = PLANNING;
        for slot in 0..self.slots.len() {
            for (number, lane) in self.threads(slot).into_iter().enumerate() {
                tid += 1;
                events.extend(thread(tid, self.thread_name(slot, number)));
                events.extend(lane.iter().map(|span| spent(span, tid)));
            }
        }
        let trace = Trace {
            display_time_unit: "ms",
            other_data: Other {
                tool: &self.tool,
                version: env!("CARGO_PKG_VERSION"),
            },
            trace_events: events,
        };
        serde_json::to_string(&trace).expect("every key is a string")
    }

    /// The lanes of a slot: at least one, so that a slot without work has its row.
    fn threads(&self, slot: usize) -> Vec<Vec<Span>> {
        let mut lanes = lanes(&self.spans, slot);
        if lanes.is_empty() {
            lanes.push(Vec::new());
        }
        lanes
    }

    fn process(&self) -> Event<'_> {
        about("process_name", 0, Arguments::Process { name: &self.tool })
    }

    fn thread_name(&self, slot: usize, lane: usize) -> String {
        let SlotReport { device, lost, .. } = &self.slots[slot];
        let lost = if lost.is_some() { ", lost" } else { "" };
        match lane {
            0 => format!("slot {slot} ({device}){lost}"),
            _ => format!("slot {slot}, batch {} in flight", lane + 1),
        }
    }

    fn planned(&self) -> Event<'_> {
        let args = Arguments::Planning {
            items: self.total,
            unique: self.unique,
        };
        complete(
            "plan",
            "plan",
            PLANNING,
            (Duration::ZERO, self.planning),
            args,
        )
    }
}

/// The name of a thread, and its place among the others.
fn thread(tid: u32, name: String) -> [Event<'static>; 2] {
    [
        about("thread_name", tid, Arguments::Thread { name }),
        about(
            "thread_sort_index",
            tid,
            Arguments::Place { sort_index: tid },
        ),
    ]
}

fn spent(span: &Span, tid: u32) -> Event<'static> {
    let category = match span.what {
        What::Load => "load",
        What::Batch => "batch",
    };
    let args = Arguments::Span {
        items: span.items,
        extent: span.extent,
        cost: span.cost,
        failure: span.failure.map(words::status),
    };
    complete(
        words::span(span),
        category,
        tid,
        (span.begin, span.end),
        args,
    )
}

/// An event with a duration. Begin and end are cut to whole microseconds, so that what did not overlap still does not: a
/// reader that multiplies fractions by 1,000 may find that it does.
fn complete<'a>(
    name: &'static str,
    category: &'static str,
    tid: u32,
    (begin, end): (Duration, Duration),
    args: Arguments<'a>,
) -> Event<'a> {
    let (begin, end) = (microseconds(begin), microseconds(end));
    Event {
        name,
        cat: Some(category),
        ph: 'X',
        pid: JOB,
        tid,
        ts: Some(begin),
        dur: Some(end.saturating_sub(begin)),
        args,
    }
}

/// An event of metadata.
fn about<'a>(name: &'static str, tid: u32, args: Arguments<'a>) -> Event<'a> {
    Event {
        name,
        cat: None,
        ph: 'M',
        pid: JOB,
        tid,
        ts: None,
        dur: None,
        args,
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::sample::{batch, two_slots};
    use super::*;
    use crate::error::{Error, Status};

    fn events(report: &Report) -> Vec<Value> {
        let trace: Value = serde_json::from_str(&report.trace()).unwrap();
        assert_eq!(trace["displayTimeUnit"], "ms");
        trace["traceEvents"].as_array().unwrap().clone()
    }

    /// What the format asks of every event of the kinds that are here.
    fn check_format(events: &[Value]) {
        let mut named = Vec::new();
        for event in events {
            assert!(
                event["name"].is_string() && event["args"].is_object(),
                "{event}"
            );
            assert_eq!(event["pid"], JOB);
            let tid = event["tid"].as_u64().unwrap();
            match event["ph"].as_str().unwrap() {
                "M" => {
                    assert!(event.get("ts").is_none());
                    if event["name"] == "thread_name" {
                        named.push(tid);
                    }
                }
                "X" => {
                    assert!(event["ts"].is_u64() && event["dur"].is_u64(), "{event}");
                    assert!(event["cat"].is_string(), "{event}");
                    assert!(named.contains(&tid), "thread {tid} has no name yet");
                }
                other => panic!("an event of the kind {other}"),
            }
        }
        let count = named.len();
        named.sort_unstable();
        named.dedup();
        assert_eq!(count, named.len(), "two threads of one number");
        check_threads(events);
    }

    /// Events of one thread follow each other or nest.
    fn check_threads(events: &[Value]) {
        let mut threads: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for event in events.iter().filter(|event| event["ph"] == "X") {
            let begin = event["ts"].as_u64().unwrap();
            let end = begin + event["dur"].as_u64().unwrap();
            let tid = event["tid"].as_u64().unwrap();
            threads.entry(tid).or_default().push((begin, end));
        }
        for (tid, spans) in threads {
            for (i, &(begin, end)) in spans.iter().enumerate() {
                for &(other_begin, other_end) in &spans[..i] {
                    let apart = other_end <= begin || end <= other_begin;
                    let nested = (other_begin <= begin && end <= other_end)
                        || (begin <= other_begin && other_end <= end);
                    assert!(
                        apart || nested,
                        "thread {tid}: {begin} to {end} crosses {other_begin} to {other_end}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_load_and_batch_is_an_event_on_a_thread_of_its_slot() {
        let events = events(&two_slots());
        check_format(&events);
        let thread = |name: &str| {
            let named = events
                .iter()
                .find(|event| event["name"] == "thread_name" && event["args"]["name"] == name);
            named.unwrap_or_else(|| panic!("no thread {name}"))["tid"].clone()
        };
        let on = |tid: &Value| -> Vec<Value> {
            let mut events = events.clone();
            events.retain(|event| event["ph"] == "X" && event["tid"] == *tid);
            events
        };
        let first = on(&thread("slot 0 (cuda:0)"));
        assert_eq!(
            first[0],
            json!({
                "name": "load", "cat": "load", "ph": "X", "pid": 1, "tid": thread("slot 0 (cuda:0)"),
                "ts": 1_000_000, "dur": 1_000_000, "args": {"items": 0, "extent": 0, "cost": 0.0},
            })
        );
        assert_eq!(
            (&first[1]["ts"], &first[1]["dur"]),
            (&json!(2_000_000), &json!(3_000_000))
        );
        assert_eq!(first.len(), 2);
        assert_eq!(on(&thread("slot 0, batch 2 in flight")).len(), 1);
        let second = on(&thread("slot 1 (cpu)"));
        assert_eq!(second.len(), 3);
        assert_eq!(second[0]["name"], "failed batch");
        assert_eq!(
            second[0]["args"],
            json!({"items": 4, "extent": 40, "cost": 40.0, "failure": "out of memory"})
        );
        let planning = on(&thread("planning"));
        assert_eq!(planning[0]["dur"], 500_000);
        assert_eq!(planning[0]["args"], json!({"items": 12, "unique": 10}));
    }

    #[test]
    fn slots_without_work_and_lost_ones_have_their_thread() {
        let mut report = two_slots();
        report.tool = "\"quoted\" \u{7}".into();
        report.slots[0].lost = Some(Error::new(Status::DeviceLost, "gone"));
        report.spans.clear();
        let events = events(&report);
        check_format(&events);
        assert_eq!(events[0]["args"]["name"], "\"quoted\" \u{7}");
        let names: Vec<_> = events
            .iter()
            .filter(|event| event["name"] == "thread_name")
            .map(|event| event["args"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["planning", "slot 0 (cuda:0), lost", "slot 1 (cpu)"]);
    }

    /// 4.35 µs as a double times 1,000 is 4,349.999…: a reader that cuts it would see the batches cross.
    #[test]
    fn batches_that_meet_within_a_microsecond_do_not_cross() {
        let mut report = two_slots();
        let at = Duration::from_nanos;
        report.spans = vec![
            Span {
                begin: at(0),
                end: at(4_350),
                ..batch(0, 0.0, 0.0, 1, 1.0)
            },
            Span {
                begin: at(4_350),
                end: at(4_351),
                ..batch(0, 0.0, 0.0, 1, 1.0)
            },
            Span {
                begin: at(4_351),
                end: at(9_999),
                ..batch(0, 0.0, 0.0, 1, 1.0)
            },
        ];
        let events = events(&report);
        check_format(&events);
        let times: Vec<_> = events
            .iter()
            .filter(|event| event["cat"] == "batch")
            .map(|event| {
                (
                    event["ts"].as_u64().unwrap(),
                    event["dur"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(times, [(0, 4), (4, 0), (4, 5)]);
    }

    proptest! {
        #[test]
        fn no_two_events_of_a_thread_cross_whatever_overlaps(
            spans in prop::collection::vec((0..2_u32, 0..50_000_u64, 0..20_000_u64), 0..60)
        ) {
            let mut report = two_slots();
            report.spans = spans
                .iter()
                .map(|&(slot, begin, length)| Span {
                    begin: Duration::from_nanos(begin),
                    end: Duration::from_nanos(begin + length),
                    ..batch(slot, 0.0, 0.0, 1, 1.0)
                })
                .collect();
            let events = events(&report);
            check_format(&events);
            let batches = events.iter().filter(|event| event["cat"] == "batch").count();
            prop_assert_eq!(batches, spans.len());
        }
    }
}
