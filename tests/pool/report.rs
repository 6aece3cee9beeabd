//! What the report of a job says, and when it says no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use toolpool::pool::{Job, JobOptions};

use crate::double::Double;
use crate::gate::Gate;
use crate::{check_all, named, pool, run, submit, submit_with};

fn said(job: &Job) -> String {
    format!("{:?} {:?}", job.report(), job.progress())
}

#[test]
fn a_load_that_ends_after_its_job_is_not_in_the_report() {
    let gate = Arc::new(Gate::default());
    let holding = Arc::clone(&gate);
    let tool = Double::loading("loads on", move |_, _| {
        holding.pass(0);
        Ok(())
    });
    let (pool, inputs) = (pool(1), named(b'a', 10, 10));
    let job = submit(&pool, &tool, &inputs).unwrap();
    gate.next();
    job.cancel();
    let before = said(&job);
    gate.open();
    check_all(&run(&pool, &tool, &inputs).unwrap(), &inputs);
    assert_eq!(said(&job), before);
    assert_eq!(tool.loads(), 1);
}

#[test]
fn a_batch_that_ends_after_its_job_is_not_in_the_report() {
    let gate = Arc::new(Gate::default());
    let holding = Arc::clone(&gate);
    let tool = Double::new("runs on", move |_, _| {
        holding.pass(0);
        Ok(())
    });
    let (pool, inputs) = (pool(1), named(b'a', 10, 10));
    let limit = JobOptions {
        time_limit: Some(Duration::from_millis(50)),
        ..JobOptions::default()
    };
    let job = submit_with(&pool, &tool, &inputs, &limit).unwrap();
    gate.next();
    assert!(job.wait(None));
    let before = said(&job);
    gate.open();
    check_all(&run(&pool, &tool, &inputs).unwrap(), &inputs);
    assert_eq!(said(&job), before);
}

/// One slot, 10 ms an item at least. The item of nearly all the cost is refused: what is left takes as long as what was done.
#[test]
fn the_time_that_is_left_is_reckoned_by_what_succeeded() {
    const DONE: usize = 10;
    const LEFT: u32 = 40;
    let gate = Arc::new(Gate::default());
    let holding = Arc::clone(&gate);
    let batches = AtomicUsize::new(0);
    let tool = Arc::new(Double {
        limits: Double::one_by_one(),
        cost: |item| if item[0] == b'X' { 1e9 } else { 1.0 },
        refuses: |item| item[0] == b'X',
        start: Arc::new(move |_, _| {
            if batches.fetch_add(1, Ordering::SeqCst) > DONE {
                holding.pass(0);
            }
            thread::sleep(Duration::from_millis(10));
            Ok(())
        }),
        ..Double::plain("refuses")
    });
    let mut inputs = named(b'X', 1, 10);
    inputs.extend(named(b'a', DONE as u32 + LEFT, 10));
    let pool = pool(1);
    let job = submit(&pool, &tool, &inputs).unwrap();
    gate.next();
    let (progress, report) = (job.progress(), job.report());
    assert_eq!((progress.done, progress.failed), (1 + DONE as u64, 1));
    let least = Duration::from_millis(10) * LEFT;
    for remaining in [progress.remaining, report.remaining()] {
        assert!(
            remaining.expect("there is a speed") >= least,
            "{remaining:?}"
        );
    }
    assert_eq!(report.slots[0].useful_cost, DONE as f64);
    gate.open();
    assert!(job.wait(None));
}
