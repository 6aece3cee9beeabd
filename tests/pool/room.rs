//! Tools of which a device holds one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use toolpool::tool::Tool;

use crate::double::Double;
use crate::gate::{Gate, within_reason};
use crate::{check_all, named, pool_of_memory, results, submit};

/// Two batches of the first tool are in flight on each slot at any time, of a job that is not to end before the other.
#[test]
fn a_job_of_one_item_gets_its_tool_in_although_the_other_always_flies() {
    const MANY: u32 = 30_000;
    const PLENTY: usize = 20_000;
    let (submitted, done) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let (waiting, holding) = (Arc::clone(&submitted), Arc::clone(&done));
    let batches = AtomicUsize::new(0);
    let flies = Arc::new(Double {
        depth: 2,
        needs: Box::new(|_| 60),
        limits: Double::one_by_one(),
        collect: Arc::new(move |slot, _| {
            waiting.pass(slot as u8);
            if batches.fetch_add(1, Ordering::SeqCst) >= PLENTY {
                holding.pass(slot as u8);
            }
            Ok(())
        }),
        ..Double::plain("flies")
    });
    let waits = Arc::new(Double {
        needs: Box::new(|_| 60),
        ..Double::plain("waits")
    });
    let pool = pool_of_memory(2, 100);
    let many = submit(&pool, &flies, &named(b'a', MANY, 5)).unwrap();
    submitted.next();
    let one = submit(&pool, &waits, &named(b'b', 1, 5)).unwrap();
    submitted.open();
    check_all(&results(&one).unwrap(), &named(b'b', 1, 5));
    assert!(many.progress().done < u64::from(MANY));
    done.open();
    check_all(&results(&many).unwrap(), &named(b'a', MANY, 5));
}

/// The worker comes to the warm-up when it has just loaded the tool of the job.
#[test]
fn a_warm_up_gets_its_tool_in_although_another_was_just_loaded() {
    let loading = Arc::new(Gate::default());
    let holding = Arc::clone(&loading);
    let first = Arc::new(Double {
        needs: Box::new(|_| 60),
        load: Box::new(move |slot, _| {
            holding.pass(slot.number as u8);
            Ok(())
        }),
        ..Double::plain("first")
    });
    let second = Arc::new(Double {
        needs: Box::new(|_| 60),
        ..Double::plain("second")
    });
    let pool = Arc::new(pool_of_memory(1, 100));
    let job = submit(&pool, &first, &named(b'a', 4, 5)).unwrap();
    loading.next();
    let warming = {
        let (pool, tool) = (Arc::clone(&pool), Arc::clone(&second) as Arc<dyn Tool>);
        thread::spawn(move || within_reason("a warm-up", move || pool.warm(tool)))
    };
    // Nobody hears when it waits; without it, this shows less.
    thread::sleep(Duration::from_millis(50));
    loading.open();
    warming.join().unwrap().unwrap();
    check_all(&results(&job).unwrap(), &named(b'a', 4, 5));
}

/// One slot is inside a batch and the other waits for the room that its tool takes, for a job that is cancelled: from then on
/// it does what else there is.
#[test]
fn a_load_for_a_job_that_was_cancelled_waits_for_no_room() {
    let held = Arc::new(Gate::default());
    let holding = Arc::clone(&held);
    let first = AtomicUsize::new(0);
    let holds = Arc::new(Double {
        needs: Box::new(|_| 60),
        start: Arc::new(move |slot, _| {
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                holding.pass(slot as u8);
            }
            Ok(())
        }),
        ..Double::plain("holds")
    });
    let asked = Arc::new(Gate::default());
    let asking = Arc::clone(&asked);
    asked.open();
    let waits = Arc::new(Double {
        needs: Box::new(move |slot| {
            asking.pass(slot.number as u8);
            60
        }),
        ..Double::plain("waits")
    });
    let pool = pool_of_memory(2, 100);
    let job = submit(&pool, &holds, &named(b'a', 1, 5)).unwrap();
    held.next();
    let cancelled = submit(&pool, &waits, &named(b'b', 1, 5)).unwrap();
    asked.next();
    cancelled.cancel();
    let next = submit(&pool, &holds, &named(b'c', 1, 5)).unwrap();
    check_all(&results(&next).unwrap(), &named(b'c', 1, 5));
    assert_eq!((job.progress().done, waits.loads()), (0, 0));
    held.open();
    check_all(&results(&job).unwrap(), &named(b'a', 1, 5));
}
