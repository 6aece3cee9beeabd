//! Many threads at one pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use toolpool::device::Slot;
use toolpool::error::{Error, Result, Status};
use toolpool::mem::{Field, Items, Results};
use toolpool::plan::batch::Cut;
use toolpool::pool::{JobOptions, Next};
use toolpool::tool::{Identity, Killer, Loaded, Tool};

use crate::double::{Double, doubled, holds};
use crate::{items, output, pool, run, submit};

/// Joins threads, which the end of a scope does in a way that ThreadSanitizer cannot see.
fn join<'scope>(threads: impl IntoIterator<Item = thread::ScopedJoinHandle<'scope, ()>>) {
    for thread in threads.into_iter().collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

#[test]
fn many_threads_share_one_pool_and_each_gets_its_own_results() {
    let pool = pool(4);
    let fine = Double::new("fine", |_, _| Ok(()));
    let poisoned = Double::new("poisoned", |_, batch| match holds(batch, 13) {
        true => Err(Error::new(Status::Item, "unlucky")),
        false => Ok(()),
    });
    thread::scope(|scope| {
        join((0..6).map(|turn| {
            let (pool, tool) = (&pool, if turn % 2 == 0 { &fine } else { &poisoned });
            scope.spawn(move || {
                for round in 0..5 {
                    let inputs = items(100 + 50 * round);
                    let results = run(pool, tool, &inputs).unwrap();
                    for (index, input) in inputs.iter().enumerate() {
                        match output(&results, index) {
                            Ok(bytes) => assert_eq!(bytes, doubled(input)),
                            Err(error) => {
                                assert_eq!(
                                    (error.status(), error.item()),
                                    (Status::Item, Some(index))
                                );
                                assert_eq!((turn % 2, input[0]), (1, 13));
                            }
                        }
                    }
                }
            })
        }));
    });
    let loads = fine.loads();
    assert!((1..=4).contains(&loads), "{loads} loads on 4 slots");
}

#[test]
fn two_tools_of_one_name_and_identity_but_other_code_do_not_share_what_is_loaded() {
    use toolpool::ffi::batch::toolpool_outputs_alloc;
    use toolpool::tools::ForeignTool;
    use toolpool_abi::{
        TOOLPOOL_UINT8, toolpool_batch_t, toolpool_callbacks_t, toolpool_error_t,
        toolpool_outputs_t,
    };

    unsafe fn answer(
        outputs: *mut toolpool_outputs_t,
        byte: u8,
        err: *mut *mut toolpool_error_t,
    ) -> i32 {
        let (mut data, shape) = (std::ptr::null_mut(), [1]);
        // SAFETY: all pointers are valid for the call, and a success gives one byte.
        unsafe {
            let name = c"output".as_ptr();
            let status = toolpool_outputs_alloc(
                outputs,
                0,
                name,
                TOOLPOOL_UINT8,
                shape.as_ptr(),
                1,
                &raw mut data,
                err,
            );
            if status == 0 {
                data.cast::<u8>().write(byte);
            }
            status
        }
    }
    unsafe extern "C" fn one(
        _: *mut std::ffi::c_void,
        _: *const toolpool_batch_t,
        outputs: *mut toolpool_outputs_t,
        err: *mut *mut toolpool_error_t,
    ) -> i32 {
        // SAFETY: the pool's outputs.
        unsafe { answer(outputs, 1, err) }
    }
    unsafe extern "C" fn two(
        _: *mut std::ffi::c_void,
        _: *const toolpool_batch_t,
        outputs: *mut toolpool_outputs_t,
        err: *mut *mut toolpool_error_t,
    ) -> i32 {
        // SAFETY: the pool's outputs.
        unsafe { answer(outputs, 2, err) }
    }
    let pool = pool(1);
    for (run, byte) in [
        (one as unsafe extern "C" fn(_, _, _, _) -> i32, 1),
        (two, 2),
    ] {
        // SAFETY: all zeros is a table of NULLs.
        let mut callbacks: toolpool_callbacks_t = unsafe { std::mem::zeroed() };
        callbacks.size = size_of::<toolpool_callbacks_t>();
        callbacks.run = Some(run);
        callbacks.identity = c"v1".as_ptr();
        // SAFETY: the table is as it says, and its functions keep to their contract.
        let tool =
            unsafe { ForeignTool::new("mytool", &raw const callbacks, std::ptr::null_mut()) };
        let items = Items::new(Field::copied("input", [&b"x"[..]].into_iter()).unwrap());
        let tool: Arc<dyn Tool> = Arc::new(tool.unwrap());
        let job = pool
            .submit(tool, Arc::new(items), &JobOptions::default())
            .unwrap();
        assert!(job.wait(None));
        let results = job.results().unwrap().unwrap();
        assert_eq!(output(&results, 0).unwrap(), [byte]);
    }
}

#[test]
fn workers_leave_signals_to_the_host_but_not_their_own_faults() {
    use nix::sys::signal::{SigSet, Signal};

    let pool = pool(1);
    let tool = Double::new("masked", |_, _| {
        let mask = SigSet::thread_get_mask().unwrap();
        match (
            mask.contains(Signal::SIGINT),
            mask.contains(Signal::SIGSEGV),
        ) {
            (true, false) => Ok(()),
            other => Err(Error::new(Status::Item, format_args!("{other:?}"))),
        }
    });
    assert!(!run(&pool, &tool, &items(3)).unwrap().partial());
}

#[test]
fn closing_during_runs_ends_them_with_what_is_done() {
    let pool = pool(3);
    let tool = Double::new("busy", |_, _| Ok(()));
    let inputs = items(2000);
    thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while let Ok(results) = run(&pool, &tool, &inputs) {
                        check_closed(&results, &inputs);
                    }
                })
            })
            .collect();
        let first = run(&pool, &tool, &items(50));
        assert!(first.is_ok());
        pool.close();
        join(runs);
    });
}

/// Two threads with two tools each; a third closes the pool over their heads.
#[test]
fn two_threads_with_two_tools_meet_a_third_that_closes() {
    for round in 0..20 {
        let pool = pool(3);
        let tools = ["one", "two"].map(|name| Double::new(name, |_, _| Ok(())));
        let inputs = items(300);
        let submitted = AtomicUsize::new(0);
        let work = || {
            let submit = |turn: usize| {
                let job = submit(&pool, &tools[turn % 2], &inputs);
                submitted.fetch_add(1, Ordering::Relaxed);
                job
            };
            // Two jobs under way at any time.
            let mut before = submit(0);
            for turn in 1.. {
                let next = submit(turn);
                let done = before.and_then(|job| {
                    assert!(job.wait(None));
                    Ok(job.results()?.expect("nobody else took them"))
                });
                match done {
                    Ok(results) => check_closed(&results, &inputs),
                    Err(error) => return assert_eq!(error.status(), Status::Closed),
                }
                before = next;
            }
        };
        thread::scope(|scope| {
            let workers = [(); 2].map(|()| scope.spawn(work));
            while submitted.load(Ordering::Relaxed) <= round {
                thread::yield_now();
            }
            pool.close();
            join(workers);
        });
    }
}

/// Each item is done as it must be, or was not done because the pool was closed.
fn check_closed(results: &Results, inputs: &[Vec<u8>]) {
    for (index, input) in inputs.iter().enumerate() {
        match output(results, index) {
            Ok(bytes) => assert_eq!(bytes, doubled(input)),
            Err(error) => assert_eq!(error.status(), Status::Closed),
        }
    }
}

/// Each batch is an item of the largest extent there is.
#[test]
fn sums_of_any_extents_are_no_error() {
    struct Huge(Identity);

    impl Tool for Huge {
        fn name(&self) -> &str {
            "huge"
        }

        fn identity(&self) -> &Identity {
            &self.0
        }

        fn cost(&self, _: &[u8]) -> f64 {
            f64::MAX
        }

        fn extent(&self, _: &[u8]) -> u64 {
            u64::MAX
        }

        fn limits(&self) -> Cut {
            Cut {
                budget: u64::MAX,
                max_items: 1,
            }
        }

        fn load(&self, slot: &Slot, watch: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
            Double::new("in it", |_, _| Ok(())).load(slot, watch)
        }
    }

    let pool = pool(1);
    let field = Field::copied("input", [&b"a"[..], b"b", b"c"].into_iter()).unwrap();
    let tool: Arc<dyn Tool> = Arc::new(Huge(Identity::shared("huge")));
    let job = pool.submit(tool, Arc::new(Items::new(field)), &JobOptions::default());
    let job = job.unwrap();
    assert!(job.wait(None));
    assert!(!job.results().unwrap().unwrap().partial());
    assert_eq!(job.report().slots[0].extent, u64::MAX);
}

#[test]
fn two_readers_of_one_job_get_every_item_once() {
    let pool = pool(2);
    let tool = Double::new("stream", |_, _| Ok(()));
    let inputs = items(3000);
    let job = submit(&pool, &tool, &inputs).unwrap();
    let seen: Vec<AtomicUsize> = inputs.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        join((0..2).map(|_| {
            scope.spawn(|| {
                while let Next::Results(results) = job.next(None).unwrap() {
                    for index in 0..results.len() {
                        let caller = results.caller_index(index).unwrap();
                        assert_eq!(output(&results, index).unwrap(), doubled(&inputs[caller]));
                        seen[caller].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        }));
    });
    assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

#[test]
fn warming_up_loads_once_on_every_slot() {
    let pool = pool(3);
    let tool = Double::new("warm", |_, _| Ok(()));
    thread::scope(|scope| {
        join(
            (0..4).map(|_| scope.spawn(|| pool.warm(Arc::clone(&tool) as Arc<dyn Tool>).unwrap())),
        );
    });
    run(&pool, &tool, &items(100)).unwrap();
    assert_eq!(tool.loads(), 3);
}
