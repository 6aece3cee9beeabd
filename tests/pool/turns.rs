//! Who works next on what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use toolpool::plan::batch::Cut;
use toolpool::pool::JobOptions;
use toolpool::tool::Tool;

use crate::double::Double;
use crate::gate::{Gate, HANGS};
use crate::{check_all, items, named, pool, results, run, submit, submit_with};

/// The worker that is called first knows that the other would be done sooner; the other must hear of it.
#[test]
fn an_item_that_a_slow_slot_leaves_to_a_sleeping_fast_one_is_done() {
    let tool = Double::new("slow first slot", |slot, _| {
        thread::sleep(Duration::from_millis(if slot == 0 { 20 } else { 1 }));
        Ok(())
    });
    let pool = pool(2);
    pool.warm(Arc::clone(&tool) as Arc<dyn Tool>).unwrap();
    for _ in 0..3 {
        run(&pool, &tool, &items(64)).unwrap();
    }
    for _ in 0..20 {
        let job = submit(&pool, &tool, &items(1)).unwrap();
        assert!(job.wait(Some(HANGS)), "nobody takes the item");
    }
}

/// The fast slot can do any of the jobs sooner, but not all of them.
#[test]
fn of_many_small_jobs_a_slow_slot_does_its_part() {
    let tool = Arc::new(Double {
        limits: Cut {
            budget: 200,
            max_items: 1,
        },
        start: Arc::new(|slot, _| {
            thread::sleep(Duration::from_millis(if slot == 0 { 6 } else { 2 }));
            Ok(())
        }),
        ..Double::plain("many jobs")
    });
    let pool = pool(2);
    pool.warm(Arc::clone(&tool) as Arc<dyn Tool>).unwrap();
    run(&pool, &tool, &items(200)).unwrap();
    let jobs: Vec<_> = (0..400)
        .map(|_| submit(&pool, &tool, &items(1)).unwrap())
        .collect();
    let mut done = [0, 0];
    for job in jobs {
        assert!(job.wait(Some(HANGS)), "nobody takes the item");
        let report = job.report();
        (0..2).for_each(|slot| done[slot] += report.slots[slot].items);
    }
    assert!(done[0] > 60, "the slow slot did {} of 400", done[0]);
}

/// One slot. Job `a` pauses for a result that nobody takes, while the first batch of `b` takes long. When `a` goes on, it gets
/// one batch, longer than the second of `b`, and then it is the turn of `b`: `a` is not owed for the time in which it paused.
#[test]
fn a_job_is_not_owed_for_the_time_in_which_it_paused() {
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    let tool = Arc::new(Double {
        limits: Double::one_by_one(),
        start: Arc::new(move |_, batch| {
            passing.pass(batch.bytes(0).unwrap()[0]);
            Ok(())
        }),
        ..Double::plain("by turns")
    });
    let (pool, a, b) = (pool(1), named(b'a', 3, 5), named(b'b', 3, 5));
    let pausing = JobOptions {
        pending_bytes: 0,
        ..JobOptions::default()
    };
    let job_a = submit_with(&pool, &tool, &a, &pausing).unwrap();
    assert_eq!(gate.next(), b'a');
    gate.let_one_pass();
    while job_a.progress().unread_bytes == 0 {
        thread::yield_now();
    }
    let job_b = submit(&pool, &tool, &b).unwrap();
    assert_eq!(gate.next(), b'b');
    thread::sleep(Duration::from_millis(300));
    let second_of_b = Instant::now();
    gate.let_one_pass();
    assert_eq!(gate.next(), b'b');
    assert!(
        !job_a.wait(Some(Duration::from_millis(1))),
        "it goes on from here"
    );
    gate.let_one_pass();
    assert_eq!(gate.next(), b'a');
    let (second_of_a, longer) = (Instant::now(), second_of_b.elapsed());
    while second_of_a.elapsed() <= longer {
        thread::yield_now();
    }
    gate.let_one_pass();
    assert_eq!(gate.next(), b'b');
    gate.open();
    check_all(&results(&job_a).unwrap(), &a);
    check_all(&results(&job_b).unwrap(), &b);
}

/// Two slots. The item of a huge cost is refused at once, by a slot that then takes long over everything: the other does not
/// leave it what it would have to be fast for.
#[test]
fn what_was_refused_makes_no_slot_fast() {
    let (refused, held) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let (refusing, holding) = (Arc::clone(&refused), Arc::clone(&held));
    let slow = AtomicUsize::new(usize::MAX);
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&sizes);
    let tool = Arc::new(Double {
        cost: |item| {
            if item[0] == b'X' {
                1e9
            } else {
                item.len() as f64
            }
        },
        refuses: |item| item[0] == b'X',
        start: Arc::new(move |slot, batch| {
            if batch.bytes(0).unwrap()[0] == b'X' {
                slow.store(slot, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(200));
            } else if slow.load(Ordering::SeqCst) == slot {
                refusing.open();
                holding.pass(0);
            } else {
                refusing.pass(1);
                let mut sizes = counted.lock();
                sizes.push(batch.len());
                if sizes.len() == 3 {
                    holding.open();
                }
            }
            Ok(())
        }),
        ..Double::plain("refusing")
    });
    let pool = pool(2);
    pool.warm(Arc::clone(&tool) as Arc<dyn Tool>).unwrap();
    let mut inputs = named(b'X', 1, 20);
    inputs.extend(named(b'a', 200, 20));
    let job = submit(&pool, &tool, &inputs).unwrap();
    let results = results(&job).unwrap();
    assert!(results.error(0).is_some());
    assert!((1..=200).all(|index| results.error(index).is_none()));
    let sizes = sizes.lock();
    assert!(sizes[1] > 1, "batches of {sizes:?} items");
}
