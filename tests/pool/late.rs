//! Slots that are inside a tool for longer than they may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use toolpool::error::{Error, Status};
use toolpool::pool::{JobOptions, Pool};
use toolpool::tool::Tool;

use crate::double::{Double, holds};
use crate::gate::{Gate, HANGS, within_reason};
use crate::{check_all, ends, named, pool, results, run, submit, submit_with};

fn ends_after(limit: Duration) -> JobOptions {
    JobOptions {
        time_limit: Some(limit),
        ..JobOptions::default()
    }
}

/// A pool of two slots of which slot 0 is known to be the faster, and is inside a batch whose job has ended, until the gate
/// is opened.
fn with_a_late_slot() -> (Pool, Arc<Double>, Arc<Gate>) {
    let hung = Arc::new(Gate::default());
    let (hangs, caught) = (Arc::clone(&hung), Gate::default());
    let tool = Arc::new(Double {
        limits: Double::one_by_one(),
        start: Arc::new(move |slot, batch| {
            match (slot, holds(batch, b'H')) {
                (0, true) => {
                    caught.open();
                    hangs.pass(0);
                }
                (0, false) => {}
                (_, true) => caught.pass(1),
                (_, false) => thread::sleep(Duration::from_millis(2)),
            }
            Ok(())
        }),
        ..Double::plain("late")
    });
    let pool = pool(2);
    pool.warm(Arc::clone(&tool) as Arc<dyn Tool>).unwrap();
    for _ in 0..3 {
        run(&pool, &tool, &named(b'a', 40, 10)).unwrap();
    }
    while hung.come() == 0 {
        let limit = ends_after(Duration::from_millis(100));
        let job = submit_with(&pool, &tool, &named(b'H', 4, 10), &limit).unwrap();
        results(&job).unwrap();
    }
    (pool, tool, hung)
}

#[test]
fn what_another_job_wants_done_is_not_left_to_a_slot_that_is_late() {
    let (pool, tool, hung) = with_a_late_slot();
    let inputs = named(b'b', 2, 50);
    let job = submit(&pool, &tool, &inputs).unwrap();
    check_all(&results(&job).unwrap(), &inputs);
    assert_eq!(job.report().slots[1].items, 2);
    hung.open();
}

#[test]
fn a_warm_up_does_not_wait_for_a_slot_that_is_late() {
    let (pool, _, hung) = with_a_late_slot();
    let other = Arc::new(Double::plain("other"));
    let tool = Arc::clone(&other) as Arc<dyn Tool>;
    let pool = within_reason("a warm-up beside a late slot", move || {
        pool.warm(tool).unwrap();
        pool
    });
    assert_eq!(other.loads(), 1);
    hung.open();
    let inputs = named(b'c', 40, 10);
    check_all(&run(&pool, &other, &inputs).unwrap(), &inputs);
}

/// It begins before the load of the other slot is given up.
#[test]
fn a_warm_up_does_not_wait_for_a_slot_that_becomes_late() {
    let gate = Arc::new(Gate::default());
    let hangs = Arc::clone(&gate);
    let hanging = Double::loading("hangs in one load", move |_, _| {
        hangs.pass(0);
        Ok(())
    });
    let pool = pool(2);
    let limit = ends_after(Duration::from_millis(300));
    let job = submit_with(&pool, &hanging, &named(b'a', 1, 10), &limit).unwrap();
    gate.next();
    let other = Arc::new(Double::plain("other"));
    let tool = Arc::clone(&other) as Arc<dyn Tool>;
    within_reason("a warm-up beside a slot that becomes late", move || {
        pool.warm(tool).unwrap();
        pool.close();
    });
    assert_eq!(other.loads(), 1);
    assert!(job.wait(Some(HANGS)));
    gate.open();
}

#[test]
fn a_warm_up_with_no_slot_but_a_late_one_says_so() {
    let (pool, tool, gate) = hangs_in_load();
    let limit = ends_after(Duration::from_millis(50));
    let job = submit_with(&pool, &tool, &named(b'a', 4, 10), &limit).unwrap();
    gate.next();
    assert!(job.wait(Some(HANGS)));
    let other = Arc::new(Double::plain("other")) as Arc<dyn Tool>;
    let (pool, error) = within_reason("a warm-up of a late slot", move || {
        let warmed = pool.warm(other);
        (pool, warmed.unwrap_err())
    });
    assert_eq!(error.status(), Status::TimeLimit);
    assert!(error.message().contains("was still loading"), "{error}");
    gate.open();
    drop(pool);
}

#[test]
fn a_close_does_not_wait_for_a_slot_that_is_late() {
    let (pool, tool, hung) = with_a_late_slot();
    within_reason("a close beside a late slot", move || pool.close());
    drop(tool);
    hung.open();
}

/// Of one slot, which loads for as long as the gate is closed.
fn hangs_in_load() -> (Pool, Arc<Double>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let hangs = Arc::clone(&gate);
    let tool = Double::loading("hangs in load", move |_, _| {
        hangs.pass(0);
        Ok(())
    });
    (pool(1), tool, gate)
}

#[test]
fn a_load_that_hangs_ends_with_the_time_of_its_job_and_no_close_waits_for_it() {
    let (pool, tool, gate) = hangs_in_load();
    let limit = ends_after(Duration::from_millis(50));
    let job = submit_with(&pool, &tool, &named(b'a', 4, 10), &limit).unwrap();
    assert_eq!(ends(&results(&job).unwrap()), [Some(Status::TimeLimit); 4]);
    gate.next();
    within_reason("a close beside a hanging load", move || pool.close());
    let lost = job.report().slots[0]
        .lost
        .clone()
        .expect("the report says so");
    assert!(lost.message().contains("was still loading"), "{lost}");
    gate.open();
}

/// The job that was cancelled had a limit for the load as well.
#[test]
fn a_load_that_hangs_for_a_cancelled_job_keeps_no_close_waiting() {
    let (pool, tool, gate) = hangs_in_load();
    let limit = ends_after(Duration::from_millis(50));
    let job = submit_with(&pool, &tool, &named(b'a', 4, 10), &limit).unwrap();
    gate.next();
    job.cancel();
    within_reason("a close beside a hanging load", move || pool.close());
    gate.open();
}

/// The close comes before the limit.
#[test]
fn a_load_that_hangs_keeps_a_close_waiting_for_no_longer_than_its_job_may_take() {
    let (pool, tool, gate) = hangs_in_load();
    let limit = ends_after(Duration::from_millis(300));
    submit_with(&pool, &tool, &named(b'a', 4, 10), &limit).unwrap();
    gate.next();
    within_reason("a close beside a hanging load", move || pool.close());
    gate.open();
}

#[test]
fn a_load_that_comes_back_late_serves_the_next_job() {
    let (pool, tool, gate) = hangs_in_load();
    let limit = ends_after(Duration::from_millis(50));
    let inputs = named(b'a', 4, 10);
    let job = submit_with(&pool, &tool, &inputs, &limit).unwrap();
    assert!(job.wait(Some(HANGS)));
    let next = submit(&pool, &tool, &inputs).unwrap();
    gate.open();
    check_all(&results(&next).unwrap(), &inputs);
    assert_eq!(tool.loads(), 1);
}

#[test]
fn a_load_that_can_be_ended_from_outside_is_and_its_slot_goes_on() {
    let tool = Double::loading("is killed", {
        let loads = AtomicUsize::new(0);
        move |_, watch| {
            if loads.fetch_add(1, Ordering::SeqCst) > 0 {
                return Ok(());
            }
            let killed = Arc::new(Gate::default());
            let kill = Arc::clone(&killed);
            watch(Arc::new(move || kill.open()));
            killed.pass(0);
            Err(Error::new(Status::Crashed, "was killed"))
        }
    });
    let (pool, inputs) = (pool(1), named(b'a', 4, 10));
    let limit = ends_after(Duration::from_millis(50));
    let job = submit_with(&pool, &tool, &inputs, &limit).unwrap();
    assert_eq!(ends(&results(&job).unwrap()), [Some(Status::TimeLimit); 4]);
    check_all(&run(&pool, &tool, &inputs).unwrap(), &inputs);
    assert_eq!(tool.loads(), 2);
}

/// The batch comes back by itself when it is about to be ended from outside. What it ran in is not used again, and the next
/// batch does not begin before that.
#[test]
fn what_ends_a_batch_from_outside_does_not_hit_the_next() {
    let (hung, striking, dead) = (
        Arc::new(Gate::default()),
        Arc::new(Gate::default()),
        Arc::new(Gate::default()),
    );
    let (hangs, strikes, dies, died) = (
        Arc::clone(&hung),
        Arc::clone(&striking),
        Arc::clone(&dead),
        Arc::clone(&dead),
    );
    let loads = Arc::new(AtomicUsize::new(0));
    let loaded = Arc::clone(&loads);
    let tool = Arc::new(Double {
        load: Box::new(move |_, _| {
            loads.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }),
        start: Arc::new(move |_, batch| {
            if holds(batch, b'H') {
                hangs.pass(b'H');
            } else if loaded.load(Ordering::SeqCst) == 1 {
                died.pass(b'b');
                return Err(Error::new(Status::Crashed, "was ended"));
            }
            Ok(())
        }),
        killer: Some(Arc::new(move || {
            strikes.pass(0);
            dies.open();
        })),
        ..Double::plain("is struck")
    });
    let (pool, inputs) = (pool(1), named(b'b', 1, 10));
    let limit = ends_after(Duration::from_millis(50));
    submit_with(&pool, &tool, &named(b'H', 1, 10), &limit).unwrap();
    striking.next();
    let next = submit(&pool, &tool, &inputs).unwrap();
    hung.open();
    // Nobody hears that a worker waits; without it, this shows less.
    thread::sleep(Duration::from_millis(20));
    striking.open();
    check_all(&results(&next).unwrap(), &inputs);
    assert_eq!((dead.come(), tool.loads()), (0, 2));
}

/// Slot 0 or 1, whichever is first.
#[test]
fn an_item_is_done_by_an_idle_slot_while_another_hangs_in_its_load() {
    let gate = Arc::new(Gate::default());
    let hangs = Arc::clone(&gate);
    let first = AtomicBool::new(true);
    let tool = Double::loading("hangs in one load", move |_, _| {
        if first.swap(false, Ordering::SeqCst) {
            hangs.pass(0);
        }
        Ok(())
    });
    let (pool, inputs) = (pool(2), named(b'a', 1, 10));
    check_all(&run(&pool, &tool, &inputs).unwrap(), &inputs);
    gate.open();
}
