//! Loads that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use toolpool::error::{Error, Status};
use toolpool::pool::JobOptions;

use crate::double::Double;
use crate::{check_all, failure, named, pool, results, submit, submit_with};

/// A tool whose first `times` loads fail so.
fn fails_to_load(status: Status, times: usize) -> Arc<Double> {
    let loads = AtomicUsize::new(0);
    Double::loading("fails to load", move |_, _| {
        match loads.fetch_add(1, Ordering::SeqCst) < times {
            true => Err(Error::new(status, "busy")),
            false => Ok(()),
        }
    })
}

#[test]
fn a_load_that_fails_for_reasons_that_pass_is_tried_again() {
    let (pool, inputs) = (pool(1), named(b'a', 10, 10));
    let tool = fails_to_load(Status::Transient, 2);
    let job = submit(&pool, &tool, &inputs).unwrap();
    check_all(&results(&job).unwrap(), &inputs);
    assert_eq!((tool.loads(), job.report().slots[0].retries), (3, 2));
}

#[test]
fn a_load_is_tried_again_as_often_as_the_job_says() {
    let (pool, inputs) = (pool(1), named(b'a', 10, 10));
    for retries in [0, 2] {
        let tool = fails_to_load(Status::Transient, usize::MAX);
        let options = JobOptions {
            retries,
            ..JobOptions::default()
        };
        let job = submit_with(&pool, &tool, &inputs, &options).unwrap();
        assert_eq!(failure(&job).status(), Status::Transient);
        assert_eq!(tool.loads(), 1 + retries as usize);
    }
}

#[test]
fn a_load_in_a_process_that_died_is_tried_once_more() {
    let (pool, inputs) = (pool(1), named(b'a', 10, 10));
    let once = fails_to_load(Status::Crashed, 1);
    let job = submit(&pool, &once, &inputs).unwrap();
    check_all(&results(&job).unwrap(), &inputs);
    assert_eq!(once.loads(), 2);
}

#[test]
fn a_load_in_processes_that_all_die_fails_the_job() {
    let tool = fails_to_load(Status::Crashed, usize::MAX);
    let pool = pool(1);
    let job = submit(&pool, &tool, &named(b'a', 10, 10)).unwrap();
    assert_eq!(failure(&job).status(), Status::Crashed);
    assert_eq!(tool.loads(), 2);
}

#[test]
fn a_load_that_fails_for_other_reasons_is_not_tried_again() {
    let tool = fails_to_load(Status::Tool, usize::MAX);
    let pool = pool(1);
    let job = submit(&pool, &tool, &named(b'a', 10, 10)).unwrap();
    assert_eq!(failure(&job).status(), Status::Tool);
    assert_eq!(tool.loads(), 1);
}
