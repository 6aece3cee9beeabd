//! Batches and items that run out of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use toolpool::error::{Error, Result, Status};
use toolpool::plan::batch::Cut;
use toolpool::pool::{JobOptions, Pool};
use toolpool::tool::{Batch, Tool};

use crate::double::{Double, doubled, extent, holds};
use crate::gate::{Gate, HANGS};
use crate::{
    check_all, ends, items, named, one_gpu, output, pool, results, run, submit, submit_with,
};

fn no_memory() -> Error {
    Error::new(Status::OutOfMemory, "no memory")
}

/// The memory of a device, in bytes of items.
struct Memory {
    free: Mutex<usize>,
}

impl Memory {
    fn of(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(bytes),
        })
    }

    fn take(&self, batch: &Batch) -> Result<()> {
        let mut free = self.free.lock();
        *free = free.checked_sub(extent(batch)).ok_or_else(no_memory)?;
        Ok(())
    }

    fn give_back(&self, batch: &Batch) {
        *self.free.lock() += extent(batch);
    }
}

#[test]
fn out_of_memory_halves_batches_until_they_fit() {
    let pool = pool(2);
    let tool = Double::new("small", |_, batch| match batch.len() {
        0..=3 => Ok(()),
        _ => Err(Error::new(Status::OutOfMemory, "no memory")),
    });
    let inputs = items(300);
    let results = run(&pool, &tool, &inputs).unwrap();
    check_all(&results, &inputs);
}

#[test]
fn items_that_no_memory_holds_fail_alone_however_many_come_first() {
    let pool = pool(2);
    let tool = Double::new("long", |_, batch| {
        match (0..batch.len()).any(|index| batch.bytes(index).unwrap().len() > 50) {
            true => Err(Error::new(Status::OutOfMemory, "no memory")),
            false => Ok(()),
        }
    });
    let inputs: Vec<_> = (0..200u8)
        .map(|index| vec![index; if index < 100 { 60 } else { 5 }])
        .collect();
    let results = run(&pool, &tool, &inputs).unwrap();
    for (index, input) in inputs.iter().enumerate() {
        match output(&results, index) {
            Ok(bytes) => assert_eq!(bytes, doubled(input)),
            Err(error) => assert_eq!((error.status(), index < 100), (Status::OutOfMemory, true)),
        }
    }
    assert!(output(&results, 150).is_ok());
}

/// Of two batches in flight on one slot, the second has no memory beside the first.
#[test]
fn an_item_that_ran_out_of_memory_beside_another_batch_succeeds_alone() {
    let memory = Memory::of(100);
    let taking = Arc::clone(&memory);
    let tool = Arc::new(Double {
        depth: 2,
        limits: Double::one_by_one(),
        start: Arc::new(move |_, batch| taking.take(batch)),
        collect: Arc::new(move |_, batch| {
            memory.give_back(batch);
            Ok(())
        }),
        ..Double::plain("deep")
    });
    let (pool, inputs) = (pool(1), named(b'a', 20, 80));
    let job = submit(&pool, &tool, &inputs).unwrap();
    check_all(&results(&job).unwrap(), &inputs);
    assert!(job.report().slots[0].out_of_memory > 0, "two batches met");
}

/// The same for two slots of one GPU. The first batch stays until another has met it.
#[test]
fn an_item_that_ran_out_of_memory_beside_another_slot_of_its_gpu_succeeds_alone() {
    let (memory, met) = (Memory::of(100), Arc::new(Gate::default()));
    let (taking, meeting) = (Arc::clone(&memory), Arc::clone(&met));
    let tool = Arc::new(Double {
        limits: Double::one_by_one(),
        start: Arc::new(move |slot, batch| {
            taking.take(batch).inspect_err(|_| meeting.open())?;
            meeting.pass(slot as u8);
            Ok(())
        }),
        collect: Arc::new(move |_, batch| {
            memory.give_back(batch);
            Ok(())
        }),
        ..Double::plain("wide")
    });
    let pool = Pool::open(one_gpu(2)).unwrap();
    let inputs = named(b'a', 20, 80);
    let job = submit(&pool, &tool, &inputs).unwrap();
    check_all(&results(&job).unwrap(), &inputs);
    let met = job
        .report()
        .slots
        .iter()
        .map(|slot| slot.out_of_memory)
        .sum::<u64>();
    assert!(met > 0, "two batches met");
}

/// Slot 1 is held in a batch. On slot 0, an item runs out of memory beside that, and is to have the device to itself; then
/// a batch hangs there until its job runs out of time. When slot 1 is free, it goes on without waiting for slot 0.
#[test]
fn a_slot_that_hangs_keeps_no_device_for_itself() {
    let (held, hung, ran_out) = (
        Arc::new(Gate::default()),
        Arc::new(Gate::default()),
        Arc::new(Gate::default()),
    );
    ran_out.open();
    let (holds_c, hangs, tells) = (Arc::clone(&held), Arc::clone(&hung), Arc::clone(&ran_out));
    let tool = Arc::new(Double {
        depth: 2,
        limits: Double::one_by_one(),
        start: Arc::new(move |_, batch| match batch.bytes(0).unwrap()[0] {
            b'C' => {
                holds_c.pass(b'C');
                Ok(())
            }
            b'X' => {
                tells.pass(b'X');
                Err(no_memory())
            }
            _ => Ok(()),
        }),
        collect: Arc::new(move |_, batch| {
            if holds(batch, b'H') {
                hangs.pass(b'H');
            }
            Ok(())
        }),
        ..Double::plain("keeps its device")
    });
    let pool = Pool::open(one_gpu(2)).unwrap();
    pool.warm(Arc::clone(&tool) as Arc<dyn Tool>).unwrap();
    let job_c = submit(&pool, &tool, &named(b'C', 1, 5)).unwrap();
    held.next();
    let large = submit(&pool, &tool, &named(b'X', 1, 5)).unwrap();
    ran_out.next();
    let limit = JobOptions {
        time_limit: Some(Duration::from_millis(100)),
        ..JobOptions::default()
    };
    let hanging = submit_with(&pool, &tool, &named(b'H', 1, 5), &limit).unwrap();
    hung.next();
    assert!(hanging.wait(Some(HANGS)));
    held.open();
    check_all(&results(&job_c).unwrap(), &named(b'C', 1, 5));
    let others = named(b'a', 20, 5);
    check_all(&run(&pool, &tool, &others).unwrap(), &others);
    hung.open();
    assert_eq!(ends(&results(&large).unwrap()), [Some(Status::OutOfMemory)]);
}

/// It would have halved the budget each time, down to batches of one.
#[test]
fn an_item_that_fits_nowhere_does_not_lower_the_budget_of_the_others() {
    static LARGEST: AtomicUsize = AtomicUsize::new(0);
    let tool = Arc::new(Double {
        limits: Cut {
            budget: 4000,
            max_items: 1000,
        },
        start: Arc::new(|_, batch| {
            if holds(batch, b'G') {
                return Err(no_memory());
            }
            LARGEST.fetch_max(batch.len(), Ordering::SeqCst);
            Ok(())
        }),
        ..Double::plain("odd")
    });
    let (pool, inputs) = (pool(1), named(b'a', 1000, 20));
    let largest_and_budget = || {
        LARGEST.store(0, Ordering::SeqCst);
        let job = submit(&pool, &tool, &inputs).unwrap();
        check_all(&results(&job).unwrap(), &inputs);
        let budget = job.report().slots[0].batch_budget;
        (LARGEST.load(Ordering::SeqCst), budget)
    };
    let before = largest_and_budget();
    assert_eq!(before, (200, 4000));
    for _ in 0..3 {
        let odd = run(&pool, &tool, &named(b'G', 1, 200)).unwrap();
        assert_eq!(ends(&odd), [Some(Status::OutOfMemory)]);
    }
    assert_eq!(largest_and_budget(), before);
}
