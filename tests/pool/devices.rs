//! Slots that lose their device, and slots that fail everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use toolpool::error::{Error, Status};

use crate::double::{Double, doubled, holds};
use crate::gate::Gate;
use crate::{check_all, items, named, output, pool, results, run, submit};

#[test]
fn a_lost_device_costs_its_slot_and_nothing_else() {
    let pool = pool(4);
    let tool = Double::new("lossy", |slot, _| match slot {
        2 => Err(Error::new(Status::DeviceLost, "fell off the bus")),
        _ => Ok(()),
    });
    let inputs = items(500);
    for _ in 0..3 {
        check_all(&run(&pool, &tool, &inputs).unwrap(), &inputs);
    }
}

#[test]
fn an_item_that_takes_two_devices_takes_no_third() {
    let pool = pool(4);
    let tool = Double::new("poison", |_, batch| match holds(batch, 13) {
        true => Err(Error::new(Status::DeviceLost, "poisoned")),
        false => Ok(()),
    });
    let inputs: Vec<_> = (0..20).map(|index| vec![index; 3]).collect();
    let results = run(&pool, &tool, &inputs).unwrap();
    for (index, input) in inputs.iter().enumerate() {
        match output(&results, index) {
            Ok(bytes) => assert_eq!(bytes, doubled(input)),
            Err(error) => assert_eq!((error.status(), index), (Status::DeviceLost, 13)),
        }
    }
    assert!(results.error(13).is_some());
    assert!(
        run(&pool, &tool, &inputs[..5]).is_ok(),
        "two slots are left"
    );
}

#[test]
fn the_last_device_takes_with_it_only_what_is_not_done() {
    let pool = pool(1);
    let tool = Double::new("last", |_, batch| match holds(batch, 13) {
        true => Err(Error::new(Status::DeviceLost, "poisoned")),
        false => Ok(()),
    });
    let inputs: Vec<_> = (0..20u8)
        .map(|index| vec![index; 30 - usize::from(index)])
        .collect();
    let results = run(&pool, &tool, &inputs).unwrap();
    assert_eq!(output(&results, 0).unwrap(), doubled(&inputs[0]));
    for index in 13..20 {
        assert_eq!(
            results.error(index).unwrap().status(),
            Status::DeviceLost,
            "{index}"
        );
    }
    assert!(run(&pool, &tool, &inputs).is_err(), "no slot is left");
}

/// It costs a device, then it is unlucky, and all the time another job has batches in flight, two a slot.
#[test]
fn a_suspect_runs_alone_also_when_it_is_tried_once_more() {
    let unlucky = Arc::new(Gate::default());
    unlucky.open();
    let (tells, times) = (Arc::clone(&unlucky), AtomicUsize::new(0));
    let flying: [AtomicUsize; 2] = Default::default();
    let flying = Arc::new(flying);
    let (begun, company) = (Arc::clone(&flying), Arc::new(AtomicUsize::new(usize::MAX)));
    let met = Arc::clone(&company);
    let tool = Arc::new(Double {
        depth: 2,
        limits: Double::one_by_one(),
        start: Arc::new(move |slot, batch| {
            if holds(batch, 13) {
                match times.fetch_add(1, Ordering::SeqCst) {
                    0 => return Err(Error::new(Status::DeviceLost, "fell off the bus")),
                    1 => {
                        tells.pass(13);
                        return Err(Error::new(Status::Transient, "busy"));
                    }
                    _ => met.store(begun[slot].load(Ordering::SeqCst), Ordering::SeqCst),
                }
            }
            begun[slot].fetch_add(1, Ordering::SeqCst);
            Ok(())
        }),
        collect: Arc::new(move |slot, _| {
            flying[slot].fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }),
        ..Double::plain("suspect")
    });
    let pool = pool(2);
    let suspect = submit(&pool, &tool, &named(13, 1, 5)).unwrap();
    unlucky.next();
    let mut others = vec![submit(&pool, &tool, &named(b'a', 500, 5)).unwrap()];
    while !suspect.wait(Some(Duration::ZERO)) {
        others.push(submit(&pool, &tool, &named(b'a', 500, 5)).unwrap());
        others.retain(|job| !job.wait(Some(Duration::ZERO)));
    }
    check_all(&results(&suspect).unwrap(), &named(13, 1, 5));
    assert_eq!(company.load(Ordering::SeqCst), 0, "batches beside it");
}

/// Slot 0 fails all that it gets, faster than slot 1 does anything. Slot 1 is held in its second batch until slot 0 has had
/// eight items alone.
#[test]
fn a_slot_that_fails_everything_is_left_out_and_its_items_succeed_elsewhere() {
    const ALIKE: usize = 8;
    let (worked, failed) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let (failures, batches) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let tool = Double::new("black hole", move |slot, batch| {
        if slot == 1 {
            if batches.fetch_add(1, Ordering::SeqCst) == 1 {
                worked.open();
                failed.pass(1);
            }
            return Ok(());
        }
        worked.pass(0);
        if batch.len() == 1 && counted.fetch_add(1, Ordering::SeqCst) + 1 == ALIKE {
            failed.open();
        }
        Err(Error::new(Status::Failed, "the launch timed out"))
    });
    let (pool, inputs) = (pool(2), named(b'a', 400, 20));
    let job = submit(&pool, &tool, &inputs).unwrap();
    check_all(&results(&job).unwrap(), &inputs);
    assert!((ALIKE..=3 * ALIKE).contains(&failures.load(Ordering::SeqCst)));
    let slots = job.report().slots;
    assert_eq!((slots[0].items, slots[1].items), (0, 400));
    let lost = slots[0].lost.as_ref().expect("the report says so");
    assert!(
        lost.message().contains("left out after 8 items") && lost.message().contains("timed out"),
        "{lost}"
    );
    assert!(slots[1].lost.is_none());
}

/// Slots 0 and 1 fail all that they get while slot 2 still loads: no item is believed to be to blame because it failed on two
/// slots on which nothing ever succeeded.
#[test]
fn two_slots_that_fail_everything_do_not_fail_the_job_before_a_third_has_loaded() {
    const ALIKE: usize = 8;
    let failed = Arc::new(Gate::default());
    let loading = Arc::clone(&failed);
    let failures = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let tool = Arc::new(Double {
        load: Box::new(move |slot, _| {
            if slot.number == 2 {
                loading.pass(2);
            }
            Ok(())
        }),
        start: Arc::new(move |slot, batch| {
            if slot == 2 {
                return Ok(());
            }
            if batch.len() == 1 {
                failures[slot].fetch_add(1, Ordering::SeqCst);
            }
            let count = |slot: usize| failures[slot].load(Ordering::SeqCst);
            if count(0) >= ALIKE && count(1) >= ALIKE {
                failed.open();
            }
            Err(Error::new(Status::Failed, "the launch timed out"))
        }),
        ..Double::plain("two black holes")
    });
    let (pool, inputs) = (pool(3), named(b'a', 400, 20));
    let job = submit(&pool, &tool, &inputs).unwrap();
    check_all(&results(&job).unwrap(), &inputs);
    let slots = job.report().slots;
    assert_eq!(
        (slots[0].items, slots[1].items, slots[2].items),
        (0, 0, 400)
    );
}

/// Where there is no other slot, an item that fails alone is to blame.
#[test]
fn an_item_that_fails_on_the_only_slot_is_not_tried_again() {
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tried);
    let tool = Double::new("only", move |_, batch| match holds(batch, 13) {
        true => {
            counted.fetch_add(usize::from(batch.len() == 1), Ordering::SeqCst);
            Err(Error::new(Status::Failed, "unlucky"))
        }
        false => Ok(()),
    });
    let inputs: Vec<_> = (0..20).map(|index| vec![index; 3]).collect();
    let results = run(&pool(1), &tool, &inputs).unwrap();
    for index in 0..20 {
        assert_eq!(results.error(index).is_some(), index == 13, "item {index}");
    }
    assert_eq!(tried.load(Ordering::SeqCst), 1);
}
