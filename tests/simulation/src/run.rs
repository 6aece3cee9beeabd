use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use toolpool::error::{Error, Result};
use toolpool::mem::{Field, Items, Offsets, Release, Results};
use toolpool::pool::{Job, Next, Pool, PoolOptions, Progress};
use toolpool::tool::Tool;

use crate::oracle;
use crate::scenario::{JobPlan, Reader, Scenario};
use crate::tool::{OUTPUT, Simulated, ToolPlan};
use crate::world::World;

/// What came of a job.
pub(crate) struct Outcome {
    /// Each item that was returned: the caller's index, and its value or error.
    pub entries: Vec<(usize, Result<Vec<u8>>)>,
    /// Why the job failed as a whole, or was refused.
    pub failure: Option<Error>,
    /// How far it was at the end; `None` if it was refused.
    pub progress: Option<Progress>,
    /// What its report says of slots that are lost, stuck or left out.
    pub troubles: Vec<(usize, Error)>,
}

impl Scenario {
    /// Runs it and says what the pool did that it must not do.
    pub fn run(&self) -> Vec<String> {
        let world = World::limited(self.machines.clone(), self.time, self.memory_limit);
        let options = PoolOptions {
            memory_limit: self.memory_limit,
            ..PoolOptions::default()
        };
        let pool = Pool::open_with(world.slots(), &options).expect("threads for the workers");
        let tools = self.tools(&world);
        let loans: Vec<Vec<Arc<Loan>>> = self.submitters.iter().map(|jobs| loans(jobs)).collect();
        let (outcomes, warmed): (Vec<Outcome>, Vec<Result<()>>) = thread::scope(|scope| {
            let submitters: Vec<_> = (self.submitters.iter().zip(&loans))
                .map(|(jobs, loans)| scope.spawn(|| submit_and_read(&pool, &tools, jobs, loans)))
                .collect();
            let warmers: Vec<_> = (self.warmers.iter())
                .map(|warmer| {
                    let tool = Arc::clone(&tools[warmer.tool]);
                    let pool = &pool;
                    scope.spawn(move || {
                        pause(warmer.after);
                        pool.warm(tool)
                    })
                })
                .collect();
            let releaser = self.release_after.map(|after| {
                let world = &world;
                scope.spawn(move || {
                    pause(after);
                    world.release();
                })
            });
            if let Some(after) = self.close_after {
                pause(after);
                pool.close();
            }
            // Joined here, as ThreadSanitizer cannot see how the end of a scope does it.
            let outcomes = (submitters.into_iter()).flat_map(|thread| joined(thread));
            let outcomes = outcomes.collect();
            let warmed = warmers.into_iter().map(joined).collect();
            releaser.into_iter().for_each(joined);
            (outcomes, warmed)
        });
        drop(tools);
        // What hangs is let go after that: closing does not wait for it.
        drop(pool);
        world.release();
        world.wait_until_unloaded();
        // A worker that was given up lets go of them a moment later.
        let released = |loan: &Arc<Loan>| loan.released.load(Ordering::SeqCst) > 0;
        while !loans.iter().flatten().all(released) {
            pause(Duration::from_micros(50));
        }

        let mut wrongs = std::mem::take(&mut world.truth().wrongs);
        for (warmer, warmed) in self.warmers.iter().zip(&warmed) {
            wrongs.extend(oracle::wrong_warm_up(self, &world, warmer, warmed));
        }
        for ((job, outcome), loan) in (self.submitters.iter().flatten())
            .zip(&outcomes)
            .zip(loans.iter().flatten())
        {
            wrongs.extend(oracle::wrongs(self, &world, job, outcome));
            let released = loan.released.load(Ordering::SeqCst);
            if released != 1 {
                wrongs.push(format!("the items of a job were released {released} times"));
            }
        }
        wrongs
    }

    fn tools(&self, world: &Arc<World>) -> Vec<Arc<dyn Tool>> {
        let tool = |(number, plan): (usize, &ToolPlan)| -> Arc<dyn Tool> {
            Arc::new(Simulated::new(
                &format!("tool {number}"),
                world,
                plan.clone(),
            ))
        };
        self.tools.iter().enumerate().map(tool).collect()
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<T>) -> T {
    thread.join().expect("no panic")
}

fn loans(jobs: &[JobPlan]) -> Vec<Arc<Loan>> {
    jobs.iter().map(Loan::of).collect()
}

fn submit_and_read(
    pool: &Pool,
    tools: &[Arc<dyn Tool>],
    plans: &[JobPlan],
    loans: &[Arc<Loan>],
) -> Vec<Outcome> {
    let submit = |(plan, loan): (&JobPlan, &Arc<Loan>)| {
        let mut items = Items::new(loan.field()?);
        if let Some(costs) = &plan.costs {
            items.set_costs(costs)?;
        }
        pool.submit(
            Arc::clone(&tools[plan.tool]),
            Arc::new(items),
            &plan.options,
        )
    };
    let jobs: Vec<_> = plans.iter().zip(loans).map(submit).collect();
    plans
        .iter()
        .zip(jobs)
        .map(|(plan, job)| read(plan, job))
        .collect()
}

fn read(plan: &JobPlan, job: Result<Arc<Job>>) -> Outcome {
    let mut outcome = Outcome {
        entries: Vec::new(),
        failure: None,
        progress: None,
        troubles: Vec::new(),
    };
    let read = job.and_then(|job| {
        if let Some(after) = plan.cancel_after {
            pause(after);
            job.cancel();
        }
        let read = take(plan.reader, &job, &mut outcome.entries);
        outcome.progress = Some(job.progress());
        let slots = job.report().slots.into_iter().enumerate();
        let troubles = slots.filter_map(|(number, slot)| Some((number, slot.lost?)));
        outcome.troubles = troubles.collect();
        read
    });
    outcome.failure = read.err();
    outcome
}

fn take(reader: Reader, job: &Job, entries: &mut Vec<(usize, Result<Vec<u8>>)>) -> Result<()> {
    let pieces = match reader {
        Reader::Waits => 0,
        Reader::Streams => usize::MAX,
        Reader::Mixes(pieces) => pieces,
    };
    for _ in 0..pieces {
        match job.next(None)? {
            Next::Results(results) => read_all(&results, entries),
            Next::Pending => unreachable!("a wait without end"),
            Next::Done => return Ok(()),
        }
    }
    assert!(job.wait(None));
    if let Some(results) = job.results()? {
        read_all(&results, entries);
    }
    Ok(())
}

fn read_all(results: &Results, entries: &mut Vec<(usize, Result<Vec<u8>>)>) {
    for index in 0..results.len() {
        let caller = results
            .caller_index(index)
            .expect("an index within the results");
        let value = results.view(index, OUTPUT).map(|view| {
            let len = view.shape.dims()[0] as usize;
            // SAFETY: the view has as many bytes as its shape says.
            unsafe { std::slice::from_raw_parts(view.data, len) }.to_vec()
        });
        entries.push((caller, value));
    }
}

/// Lets a moment pass.
fn pause(moment: Duration) {
    thread::sleep(moment);
}

/// Items lent to the pool. Who reads them after they were released reads rubbish.
struct Loan {
    data: Box<[UnsafeCell<u8>]>,
    offsets: Vec<i64>,
    released: AtomicUsize,
}

// SAFETY: the data is read by the pool until it is released, and written by the release.
unsafe impl Sync for Loan {}

impl Loan {
    fn of(plan: &JobPlan) -> Arc<Self> {
        let (mut data, mut offsets) = (Vec::new(), vec![0]);
        for item in &plan.items {
            data.extend(item.bytes().into_iter().map(UnsafeCell::new));
            offsets.push(data.len() as i64);
        }
        Arc::new(Self {
            data: data.into(),
            offsets,
            released: AtomicUsize::new(0),
        })
    }

    fn field(self: &Arc<Self>) -> Result<Field> {
        // SAFETY: a Release may be called from any thread, and the Loan lives until after the pool.
        let release = unsafe { Release::new(release, Arc::as_ptr(self).cast_mut().cast()) };
        let (data, len) = (self.data.as_ptr().cast(), self.offsets.len() - 1);
        let offsets = Offsets::Wide(self.offsets.as_ptr());
        // SAFETY: data and offsets are as they say until they are released.
        unsafe { Field::borrowed("item", data, offsets, len, Some(release)) }
    }
}

unsafe extern "C" fn release(loan: *mut c_void) {
    // SAFETY: `Loan::field` gave a Loan that lives until after the pool.
    let loan = unsafe { &*loan.cast::<Loan>() };
    for byte in &loan.data {
        // SAFETY: nobody reads what was released.
        unsafe { byte.get().write(0xAA) };
    }
    loan.released.fetch_add(1, Ordering::SeqCst);
}
