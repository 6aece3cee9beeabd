//! Small runs of a pool under thousands of schedules, by shuttle (a random walk, and probabilistic concurrency testing, S.
//! Burckhardt et al., ASPLOS 2010): `make test-shuttle`. Whoever waits for a call that never comes is found, as a deadlock or,
//! where others look again and again, as a run without end.
//!
//! Time is real here, so a schedule that shuttle prints when a test fails may not replay to the letter.
#![cfg(shuttle)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner, thread};
use toolpool::error::{Result, Status};
use toolpool::mem::{Field, Items, Results};
use toolpool::plan::batch::Cut;
use toolpool::pool::{Job, JobOptions, Next, Pool, PoolOptions};
use toolpool::tool::Tool;
use toolpool_simulation::{Item, Machine, Nature, Simulated, Time, ToolPlan, World};

/// More than any of these runs takes, by far.
const STEPS: usize = 50_000;

const SCHEDULES: usize = 400;

/// Runs `scenario` under many schedules.
fn explore(scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    Runner::new(RandomScheduler::new(SCHEDULES), config.clone()).run(scenario);
    Runner::new(PctScheduler::new(3, SCHEDULES), config).run(scenario);
}

fn world(slots: usize) -> Arc<World> {
    World::new(vec![Machine::of_speed(1.0, 0.0); slots], Time::None)
}

fn tool(name: &str, world: &Arc<World>, plan: ToolPlan) -> Arc<dyn Tool> {
    Arc::new(Simulated::new(name, world, plan))
}

/// Batches of two items.
fn plain() -> ToolPlan {
    ToolPlan {
        limits: Cut {
            budget: u64::MAX,
            max_items: 2,
        },
        ..ToolPlan::default()
    }
}

fn items(count: u64) -> Vec<Item> {
    (0..count).map(|number| Item::good(number, 1e-6)).collect()
}

fn submit(
    pool: &Pool,
    tool: &Arc<dyn Tool>,
    items: &[Item],
    options: &JobOptions,
) -> Result<Arc<Job>> {
    let bytes: Vec<_> = items.iter().map(Item::bytes).collect();
    let field = Field::copied("item", bytes.iter().map(Vec::as_slice))?;
    pool.submit(Arc::clone(tool), Arc::new(Items::new(field)), options)
}

/// How the items ended: `None` for those that succeeded.
fn ends(results: &Results) -> Vec<Option<Status>> {
    let status = |index| results.error(index).map(|error| error.status());
    (0..results.len()).map(status).collect()
}

fn run(pool: &Pool, tool: &Arc<dyn Tool>, items: &[Item]) -> Result<Vec<Option<Status>>> {
    let job = submit(pool, tool, items, &JobOptions::default())?;
    assert!(job.wait(None));
    Ok(ends(&job.results()?.expect("nobody else took them")))
}

fn all_succeed(pool: &Pool, tool: &Arc<dyn Tool>, items: &[Item]) {
    assert_eq!(run(pool, tool, items).unwrap(), vec![None; items.len()]);
}

#[test]
fn two_jobs_of_two_tools_from_two_threads() {
    explore(|| {
        let world = world(2);
        let pool = Arc::new(Pool::open(world.slots()).unwrap());
        let other = {
            let (pool, tool) = (Arc::clone(&pool), tool("a", &world, plain()));
            thread::spawn(move || all_succeed(&pool, &tool, &items(3)))
        };
        all_succeed(&pool, &tool("b", &world, plain()), &items(3));
        other.join().unwrap();
    });
}

#[test]
fn closing_in_the_middle_ends_everything() {
    explore(|| {
        let world = world(2);
        let pool = Arc::new(Pool::open(world.slots()).unwrap());
        let others = ["a", "b"].map(|name| {
            let (pool, tool) = (Arc::clone(&pool), tool(name, &world, plain()));
            thread::spawn(move || match run(&pool, &tool, &items(3)) {
                Ok(ends) => assert!(
                    ends.iter()
                        .all(|end| matches!(end, None | Some(Status::Closed)))
                ),
                Err(error) => assert_eq!(error.status(), Status::Closed),
            })
        });
        pool.close();
        others.into_iter().for_each(|other| other.join().unwrap());
        let truth = world.truth();
        assert_eq!(truth.loads, truth.unloads);
    });
}

#[test]
fn cancelling_in_the_middle_keeps_what_is_done() {
    explore(|| {
        let world = world(2);
        let pool = Pool::open(world.slots()).unwrap();
        let tool = tool("a", &world, plain());
        let job = submit(&pool, &tool, &items(4), &JobOptions::default()).unwrap();
        let canceller = {
            let job = Arc::clone(&job);
            thread::spawn(move || job.cancel())
        };
        assert!(job.wait(None));
        let ends = ends(&job.results().unwrap().unwrap());
        assert_eq!(ends.len(), 4);
        assert!(
            ends.iter()
                .all(|end| matches!(end, None | Some(Status::Cancelled)))
        );
        canceller.join().unwrap();
        all_succeed(&pool, &tool, &items(1));
    });
}

#[test]
fn only_one_of_two_tools_fits() {
    explore(|| {
        let world = world(2);
        let options = PoolOptions {
            memory_limit: Some(100),
            ..PoolOptions::default()
        };
        let pool = Arc::new(Pool::open_with(world.slots(), &options).unwrap());
        let large = |name| {
            tool(
                name,
                &world,
                ToolPlan {
                    memory: 60,
                    ..plain()
                },
            )
        };
        let other = {
            let (pool, tool) = (Arc::clone(&pool), large("a"));
            thread::spawn(move || all_succeed(&pool, &tool, &items(2)))
        };
        all_succeed(&pool, &large("b"), &items(2));
        other.join().unwrap();
    });
}

#[test]
fn what_a_slow_slot_leaves_to_a_fast_one_that_sleeps_is_done() {
    explore(|| {
        let machines = [1.0, 50.0].map(|speed| Machine::of_speed(speed, 0.0));
        let world = World::new(machines.to_vec(), Time::Real);
        let pool = Pool::open(world.slots()).unwrap();
        let tool = tool("a", &world, plain());
        let long =
            |count| -> Vec<_> { (0..count).map(|number| Item::good(number, 2e-5)).collect() };
        pool.warm(Arc::clone(&tool)).unwrap();
        all_succeed(&pool, &tool, &long(8));
        all_succeed(&pool, &tool, &long(1));
    });
}

#[test]
fn who_pauses_for_results_goes_on_when_they_are_taken() {
    explore(|| {
        let world = world(2);
        let pool = Pool::open(world.slots()).unwrap();
        let options = JobOptions {
            pending_bytes: 0,
            ..JobOptions::default()
        };
        let job = submit(&pool, &tool("a", &world, plain()), &items(4), &options).unwrap();
        let mut seen = 0;
        while let Next::Results(results) = job.next(None).unwrap() {
            seen += results.len();
        }
        assert_eq!(seen, 4);
    });
}

#[test]
fn a_drain_ends_when_the_jobs_do() {
    explore(|| {
        let world = world(2);
        let pool = Arc::new(Pool::open(world.slots()).unwrap());
        let options = JobOptions {
            pending_bytes: 0,
            ..JobOptions::default()
        };
        let job = submit(&pool, &tool("a", &world, plain()), &items(4), &options).unwrap();
        let warmer = {
            let (pool, tool) = (Arc::clone(&pool), tool("b", &world, plain()));
            thread::spawn(move || pool.warm(tool).unwrap())
        };
        assert!(pool.drain(None));
        assert_eq!(job.progress().done, 4);
        warmer.join().unwrap();
    });
}

#[test]
fn two_batches_in_flight_of_which_one_panics() {
    explore(|| {
        let world = world(1);
        let pool = Pool::open(world.slots()).unwrap();
        let tool = tool(
            "a",
            &world,
            ToolPlan {
                depth: 2,
                ..plain()
            },
        );
        let mut items = items(4);
        (items[1].nature, items[1].late) = (Nature::Panics, true);
        let expected = [None, Some(Status::Internal), None, None];
        assert_eq!(run(&pool, &tool, &items).unwrap(), expected);
    });
}

#[test]
fn what_does_not_fit_wakes_the_slot_with_most_memory() {
    explore(|| {
        let machine = |memory| Machine {
            memory,
            ..Machine::of_speed(1.0, 0.0)
        };
        let world = World::new(vec![machine(10), machine(100)], Time::None);
        let pool = Pool::open(world.slots()).unwrap();
        let mut items = items(1);
        items[0].size = 50;
        all_succeed(&pool, &tool("a", &world, plain()), &items);
    });
}

#[test]
fn an_item_takes_two_devices_and_no_third() {
    static FEWEST: AtomicU64 = AtomicU64::new(u64::MAX);
    explore(|| {
        let world = world(3);
        let pool = Pool::open(world.slots()).unwrap();
        let mut items = items(3);
        items[2].nature = Nature::KillsDevice;
        let ends = run(&pool, &tool("a", &world, plain()), &items).unwrap();
        assert_eq!(ends, [None, None, Some(Status::DeviceLost)]);
        FEWEST.fetch_min(3 - world.truth().lost.len() as u64, Ordering::Relaxed);
    });
    assert_eq!(FEWEST.load(Ordering::Relaxed), 1, "slots left");
}

#[test]
fn a_slot_that_fails_everything_costs_no_item() {
    explore(|| {
        let broken = Machine {
            broken_after: Some(0),
            ..Machine::of_speed(1.0, 0.0)
        };
        let world = World::new(vec![broken, Machine::of_speed(1.0, 0.0)], Time::None);
        let pool = Pool::open(world.slots()).unwrap();
        all_succeed(&pool, &tool("a", &world, plain()), &items(4));
    });
}

/// Two slots of one GPU.
fn shared(memory: u64, lost_after: Option<u64>) -> Vec<Machine> {
    let machine = Machine {
        gpu: Some(0),
        memory,
        lost_after,
        ..Machine::of_speed(1.0, 0.0)
    };
    vec![machine.clone(), machine]
}

#[test]
fn who_needs_the_whole_device_gets_it() {
    explore(|| {
        let world = World::new(shared(100, None), Time::None);
        let pool = Pool::open(world.slots()).unwrap();
        let mut items = items(3);
        (items[0].size, items[1].size) = (60, 60);
        all_succeed(&pool, &tool("a", &world, plain()), &items);
    });
}

#[test]
fn what_was_on_a_shared_device_that_is_lost_is_done_elsewhere() {
    explore(|| {
        let mut machines = shared(u64::MAX, Some(1));
        machines.push(Machine::of_speed(1.0, 0.0));
        let world = World::new(machines, Time::None);
        let pool = Pool::open(world.slots()).unwrap();
        let ends = run(&pool, &tool("a", &world, plain()), &items(4)).unwrap();
        let truth = world.truth();
        for (number, end) in (0..).zip(ends) {
            let twice =
                truth.losses.contains_key(&number) && truth.begun_too_late.contains_key(&number);
            assert!(
                end.is_none() || twice && end == Some(Status::DeviceLost),
                "{end:?}"
            );
        }
    });
}
