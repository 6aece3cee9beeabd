//! Thousands of runs of a pool on simulated slots, each drawn from a seed: every run ends, every item comes back once, with its
//! value or an error that it had to get.
//!
//! `TOOLPOOL_SEED=N` runs the scenario of one seed, a hundred times, as threads do not always meet alike;
//! `TOOLPOOL_RUNS=N` sets how many seeds are run.

use std::io::{Write, stderr};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex; // which TSan sees
use toolpool_simulation::{Scenario, Size};

const RUNS: u64 = 12_000;

const SIZE: Size = Size {
    slots: 16,
    each: 3,
    items: 120,
};

/// A run that takes longer hangs: it takes some milliseconds.
const HANGS_AFTER: Duration = Duration::from_secs(30);

#[test]
fn every_run_ends_and_every_item_comes_back_once_as_it_must() {
    if let Some(seed) = variable("TOOLPOOL_SEED") {
        return (0..100).for_each(|_| run(seed));
    }
    let runs = variable("TOOLPOOL_RUNS").unwrap_or(RUNS);
    let next = AtomicU64::new(0);
    // Runs that wait for a time limit leave the processors to others.
    let threads = 4 * thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let runners = (0..threads).map(|_| {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                seeds.take_while(|&seed| seed < runs).for_each(run);
            })
        });
        for runner in runners.collect::<Vec<_>>() {
            runner.join().expect("a failing seed is printed above");
        }
    });
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is '{value}', which is no number")),
    )
}

fn run(seed: u64) {
    let _watch = Watch::over(seed);
    let scenario = Scenario::draw(seed, SIZE);
    let wrongs = scenario.run();
    assert!(wrongs.is_empty(), "{}\n{}", replay(seed), wrongs.join("\n"));
}

fn replay(seed: u64) -> String {
    format!("TOOLPOOL_SEED={seed} cargo test --test simulated_runs replays this:")
}

/// Ends the process, with the seed, if a run hangs.
struct Watch(u64);

static RUNNING: Mutex<Vec<(u64, Instant)>> = Mutex::new(Vec::new());

impl Watch {
    fn over(seed: u64) -> Self {
        RUNNING.lock().push((seed, Instant::now()));
        static DOG: std::sync::Once = std::sync::Once::new();
        DOG.call_once(|| drop(thread::spawn(|| watch())));
        Self(seed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        RUNNING.lock().retain(|&(seed, _)| seed != self.0);
    }
}

fn watch() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
        let running = RUNNING.lock();
        if let Some((seed, _)) = running.iter().find(|run| run.1.elapsed() > HANGS_AFTER) {
            // Past libtest, which keeps what a test prints until it ends.
            let _ = writeln!(stderr(), "a run hangs; {}", replay(*seed));
            exit(1);
        }
    }
}
