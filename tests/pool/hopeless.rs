//! Tools that fail on everything, and tools that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use toolpool::error::{Error, Status};

use crate::double::{Double, holds};
use crate::{ends, failure, named, pool, results, run, submit};

/// Fails every batch that holds an item of `b'L'`, with this status.
fn too_long(key: &str, status: Status) -> (Arc<Double>, Arc<AtomicUsize>) {
    let batches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&batches);
    let tool = Double::new(key, move |_, batch| {
        counted.fetch_add(1, Ordering::SeqCst);
        match holds(batch, b'L') {
            true => Err(Error::new(status, "too long")),
            false => Ok(()),
        }
    });
    (tool, batches)
}

/// The longest come first: 40 items fail alike before one could succeed.
#[test]
fn forty_of_ten_thousand_items_that_are_too_long_do_not_fail_the_job() {
    let mut inputs = named(b'L', 40, 120);
    inputs.extend(named(b'a', 9_960, 20));
    for (slots, status) in [(1, Status::Item), (2, Status::Item), (1, Status::Failed)] {
        let (tool, _) = too_long("too long", status);
        let ends = ends(&run(&pool(slots), &tool, &inputs).unwrap());
        let (long, fine) = ends.split_at(40);
        assert!(long.iter().all(|end| *end == Some(status)));
        assert!(fine.iter().all(Option::is_none));
    }
}

/// Where all cost the same, the first ones and the last one say little about the others.
#[test]
fn items_that_fail_at_both_ends_of_a_job_cost_themselves_alone() {
    let mut inputs = named(b'L', 100, 20);
    inputs.extend(named(b'a', 899, 20));
    inputs.push(b"L of another name".to_vec());
    for (slots, status) in [(1, Status::Item), (2, Status::Failed), (4, Status::Item)] {
        let (tool, _) = too_long("at both ends", status);
        let ends = ends(&run(&pool(slots), &tool, &inputs).unwrap());
        let failed = ends.iter().filter(|end| **end == Some(status)).count();
        assert_eq!((failed, ends[100..999].iter().flatten().count()), (101, 0));
    }
}

/// The tool does not say that it is the items: each is tried on two slots.
#[test]
fn no_slot_is_left_out_for_items_that_fail_everywhere() {
    let mut inputs = named(b'L', 200, 120);
    inputs.extend(named(b'a', 9_800, 20));
    let (tool, _) = too_long("fails everywhere", Status::Failed);
    for _ in 0..20 {
        let pool = pool(4);
        let job = submit(&pool, &tool, &inputs).unwrap();
        let ends = ends(&results(&job).unwrap());
        let (long, fine) = ends.split_at(200);
        assert!(long.iter().all(|end| *end == Some(Status::Failed)));
        assert!(fine.iter().all(Option::is_none));
        let report = job.report();
        let lost: Vec<_> = report.slots.iter().flat_map(|slot| &slot.lost).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}

#[test]
fn a_tool_that_fails_on_everything_fails_the_job_soon() {
    for (slots, status) in [
        (1, Status::Item),
        (2, Status::Item),
        (1, Status::Failed),
        (4, Status::Failed),
    ] {
        let (tool, batches) = too_long("hopeless", status);
        let pool = pool(slots);
        let job = submit(&pool, &tool, &named(b'L', 10_000, 20)).unwrap();
        let error = failure(&job);
        assert_eq!(error.status(), status);
        let message = error.message();
        assert!(
            message.contains("given up after ") && message.contains("too long"),
            "{message}"
        );
        let batches = batches.load(Ordering::SeqCst);
        assert!(batches < 1000, "{batches} batches");
    }
}
