//! `cargo bench --bench makespan`: when the last of 2,000 items of log-normal length is done on four unequal slots, as a ratio to
//! the least time in which that is possible.
//!
//! The slots have the speeds 1, 1, 2 and 4, which nobody is told; the tool is wrong about each item's cost by a factor
//! between 1/3 and 3. Ours is the pool itself: its threads, a tool that waits as long as the work would take, the time from
//! submission to the end. The others decide beforehand, so when they are done is a sum: they pay for loads and
//! nothing else.

use std::sync::Arc;
use std::time::Instant;

use toolpool::mem::{Field, Items};
use toolpool::plan::batch::Cut;
use toolpool::plan::lpt::{SlotSpec, assign};
use toolpool::pool::{JobOptions, Pool};
use toolpool::tool::Tool;
use toolpool_simulation::{Item, Machine, Random, Simulated, Time, ToolPlan, World};

const ITEMS: usize = 2000;
const BATCH: usize = 32;
const SPEEDS: [f64; 4] = [1.0, 1.0, 2.0, 4.0];
/// Of the logarithm of the work, as that of the lengths of proteins.
const SIGMA: f64 = 0.6;
const COSTS_ARE_WRONG_BY: f64 = 3.0;
/// Seconds that a load takes on each slot.
const LOAD: f64 = 0.02;
/// Seconds of work if all slots are busy to the end.
const SECONDS: f64 = 1.0;
const SEEDS: u64 = 20;

fn main() {
    let mut runs: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut note = |what, ratio| match runs.iter_mut().find(|run| run.0 == what) {
        Some((_, ratios)) => ratios.push(ratio),
        None => runs.push((what, vec![ratio])),
    };
    for seed in 0..SEEDS {
        let items = items(seed);
        let [cold, warm] = pooled(&items);
        note("toolpool, first run", cold);
        note("toolpool, second run", warm);
        note("static LPT, speeds told", planned(&items, &SPEEDS));
        note("static LPT, speeds not told", planned(&items, &[1.0; 4]));
        note("round-robin", dealt(&items));
    }
    if std::env::args().any(|argument| argument == "--csv") {
        csv(&runs);
    } else {
        table(&mut runs);
    }
}

fn items(seed: u64) -> Vec<Item> {
    let mut random = Random(seed);
    let works: Vec<f64> = (0..ITEMS).map(|_| random.log_normal(SIGMA)).collect();
    let scale = SECONDS * speed() / works.iter().sum::<f64>();
    let item = |(number, work)| Item {
        told: work * random.factor(COSTS_ARE_WRONG_BY),
        ..Item::good(number, work * scale)
    };
    (0..).zip(works).map(item).collect()
}

fn speed() -> f64 {
    SPEEDS.iter().sum()
}

/// The least time that all of this takes: the larger of all work on all slots and of the longest item on the fastest,
/// after a load.
fn lower_bound(items: &[Item], load: f64) -> f64 {
    let whole: f64 = items.iter().map(|item| item.work).sum();
    let longest = items.iter().map(|item| item.work).fold(0.0, f64::max);
    let fastest = SPEEDS.iter().copied().fold(0.0, f64::max);
    load + (whole / speed()).max(longest / fastest)
}

/// Two runs of one pool: the first loads the tool and knows nothing of the slots.
fn pooled(items: &[Item]) -> [f64; 2] {
    let machines = SPEEDS.map(|speed| Machine::of_speed(speed, LOAD));
    let world = World::new(machines.to_vec(), Time::Real);
    let plan = ToolPlan {
        limits: Cut {
            budget: u64::MAX,
            max_items: BATCH,
        },
        depth: 1,
        unfit: Vec::new(),
        memory: 0,
    };
    let tool: Arc<dyn Tool> = Arc::new(Simulated::new("simulated", &world, plan));
    let pool = Pool::open(world.slots()).expect("a pool");
    let bytes: Vec<Vec<u8>> = items.iter().map(Item::bytes).collect();
    [LOAD, 0.0].map(|load| {
        let field = Field::copied("item", bytes.iter().map(Vec::as_slice)).expect("memory");
        let input = Arc::new(Items::new(field));
        let begin = Instant::now();
        let job = pool.submit(Arc::clone(&tool), input, &JobOptions::default());
        let job = job.expect("a job");
        assert!(job.wait(None));
        let seconds = begin.elapsed().as_secs_f64();
        let results = job.results().expect("no failure").expect("all of them");
        assert_eq!((results.len(), results.partial()), (ITEMS, false));
        seconds / lower_bound(items, load)
    })
}

/// Static LPT by the costs that the tool tells and these weights.
fn planned(items: &[Item], weights: &[f64]) -> f64 {
    let costs: Vec<f64> = items.iter().map(|item| item.told).collect();
    let slot = |&weight| SlotSpec {
        weight,
        max_cost: f64::INFINITY,
    };
    let slots: Vec<SlotSpec> = weights.iter().map(slot).collect();
    let assignment = assign(&costs, &slots).expect("costs and weights are numbers");
    decided(items, |index| assignment.slot_of[index] as usize)
}

/// Full batches in turn, in the order of the input.
fn dealt(items: &[Item]) -> f64 {
    decided(items, |index| index / BATCH % SPEEDS.len())
}

/// Each item on the slot that was decided for it.
fn decided(items: &[Item], slot_of: impl Fn(usize) -> usize) -> f64 {
    let mut seconds = [LOAD; 4];
    for (index, item) in items.iter().enumerate() {
        seconds[slot_of(index)] += item.work / SPEEDS[slot_of(index)];
    }
    seconds.into_iter().fold(0.0, f64::max) / lower_bound(items, LOAD)
}

fn csv(runs: &[(&str, Vec<f64>)]) {
    for (what, ratios) in runs {
        for ratio in ratios {
            println!("{what};{ratio:.5}");
        }
    }
}

fn table(runs: &mut [(&str, Vec<f64>)]) {
    println!("makespan over its lower bound, {SEEDS} seeds of {ITEMS} items");
    println!("{:<28} {:>7} {:>7} {:>7}", "", "best", "median", "worst");
    for (what, ratios) in runs {
        ratios.sort_by(f64::total_cmp);
        let [best, worst] = [ratios[0], ratios[ratios.len() - 1]];
        let median = (ratios[(ratios.len() - 1) / 2] + ratios[ratios.len() / 2]) / 2.0;
        println!("{what:<28} {best:>7.4} {median:>7.4} {worst:>7.4}");
    }
}
