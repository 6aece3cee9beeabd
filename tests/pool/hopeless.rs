//! Tools that fail on everything, and tools that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use toolpool::error::{Error, Status};

use crate::double::{Double, holds};
use crate::{ends, failure, named, pool, run, submit};

/// Fails every batch that holds an item of `b'L'`.
fn too_long(key: &str) -> (Arc<Double>, Arc<AtomicUsize>) {
    let batches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&batches);
    let tool = Double::new(key, move |_, batch| {
        counted.fetch_add(1, Ordering::SeqCst);
        match holds(batch, b'L') {
            true => Err(Error::new(Status::Item, "too long")),
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
    for slots in [1, 2] {
        let (tool, _) = too_long("too long");
        let ends = ends(&run(&pool(slots), &tool, &inputs).unwrap());
        let (long, fine) = ends.split_at(40);
        assert!(long.iter().all(|end| *end == Some(Status::Item)));
        assert!(fine.iter().all(Option::is_none));
    }
}

#[test]
fn a_tool_that_fails_on_everything_fails_the_job_soon() {
    for slots in [1, 2] {
        let (tool, batches) = too_long("hopeless");
        let pool = pool(slots);
        let job = submit(&pool, &tool, &named(b'L', 10_000, 20)).unwrap();
        let error = failure(&job);
        assert_eq!(error.status(), Status::Item);
        let message = error.message();
        assert!(
            message.contains("given up after 32 items") && message.contains("too long"),
            "{message}"
        );
        let batches = batches.load(Ordering::SeqCst);
        assert!(batches < 1000, "{batches} batches");
    }
}
