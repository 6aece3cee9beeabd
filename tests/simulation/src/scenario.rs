use std::time::Duration;

use toolpool::plan::batch::Cut;
use toolpool::pool::{JobOptions, OnDeviceLost};

use crate::item::{Item, Nature};
use crate::random::Random;
use crate::tool::ToolPlan;
use crate::world::{Machine, Time};

/// A run of one pool, drawn from a seed: what is there, and who does what.
#[derive(Debug)]
pub struct Scenario {
    /// Where it comes from.
    pub seed: u64,
    /// Whether work takes time.
    pub time: Time,
    /// The slots.
    pub machines: Vec<Machine>,
    /// The tools.
    pub tools: Vec<ToolPlan>,
    /// Threads, each with the jobs that it submits at once and then reads one after the other.
    pub submitters: Vec<Vec<JobPlan>>,
    /// When the pool is closed over the heads of the others.
    pub close_after: Option<Duration>,
}

/// A job of a scenario.
#[derive(Debug)]
pub struct JobPlan {
    /// Number of its tool.
    pub tool: usize,
    /// Its items.
    pub items: Vec<Item>,
    /// The caller's own costs.
    pub costs: Option<Vec<f64>>,
    /// How it is submitted.
    pub options: JobOptions,
    /// How its results are taken.
    pub reader: Reader,
    /// When it is cancelled: so long after all jobs of its thread were submitted.
    pub cancel_after: Option<Duration>,
}

/// Long for a batch, which takes microseconds, and short for who runs the tests: two of these pass for an item that hangs.
pub(crate) const BATCH_TIME_LIMIT: Duration = Duration::from_millis(200);

/// How the results of a job are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// All at the end.
    Waits,
    /// Piece by piece, as they come.
    Streams,
    /// So many pieces as they come, the rest at the end.
    Mixes(usize),
}

/// How large scenarios are.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The most slots.
    pub slots: usize,
    /// The most tools, the most submitting threads, and the most jobs of a thread.
    pub each: usize,
    /// The most items of a job.
    pub items: usize,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64, size: Size) -> Self {
        let mut random = Random(seed);
        let slots = 1 + random.below(size.slots);
        let machines = (0..slots).map(|_| machine(&mut random)).collect();
        let tools: Vec<_> = (0..1 + random.below(size.each))
            .map(|_| tool(&mut random, slots))
            .collect();
        let mut numbers = (0..).step_by(1 << 20);
        let mut job = |random: &mut Random| {
            let number = numbers.next().unwrap_or_default();
            job(
                random,
                number,
                random.clone().below(tools.len()),
                size.items,
            )
        };
        let submitters = (0..1 + random.below(size.each))
            .map(|_| {
                (0..1 + random.below(size.each))
                    .map(|_| job(&mut random))
                    .collect()
            })
            .collect();
        Self {
            seed,
            time: if random.once_in(8) {
                Time::Real
            } else {
                Time::None
            },
            machines,
            submitters,
            close_after: moment(&mut random, 10),
            tools,
        }
    }
}

/// A moment of a run, once in `times`.
fn moment(random: &mut Random, times: usize) -> Option<Duration> {
    let after = Duration::from_micros(random.below(500) as u64);
    random.once_in(times).then_some(after)
}

fn machine(random: &mut Random) -> Machine {
    let memory = if random.once_in(3) {
        20 + random.below(100) as u64
    } else {
        u64::MAX
    };
    let lost_after = random.below(8) as u64;
    Machine {
        memory,
        lost_after: random.once_in(16).then_some(lost_after),
        ..Machine::of_speed(random.factor(4.0), 1e-4 * random.uniform())
    }
}

fn tool(random: &mut Random, slots: usize) -> ToolPlan {
    ToolPlan {
        limits: Cut {
            budget: [10, 100, u64::MAX][random.below(3)],
            max_items: 1 + random.below(40),
        },
        depth: 1 + random.below(2),
        unfit: (0..slots).filter(|_| random.once_in(16)).collect(),
        memory: 0,
    }
}

fn job(random: &mut Random, number: u64, tool: usize, most: usize) -> JobPlan {
    let items = items(random, number, most);
    let reader = [
        Reader::Waits,
        Reader::Streams,
        Reader::Mixes(random.below(5)),
    ][random.below(3)];
    let mut cost = |item: &Item| item.work * random.factor(3.0);
    let costs = items.iter().map(&mut cost).collect();
    JobPlan {
        tool,
        costs: random.once_in(4).then_some(costs),
        options: options(random, &items),
        reader,
        cancel_after: moment(random, 8),
        items,
    }
}

fn options(random: &mut Random, items: &[Item]) -> JobOptions {
    let hangs = items.iter().any(|item| item.nature == Nature::Hangs);
    JobOptions {
        dedup: !random.once_in(3),
        pending_bytes: if random.once_in(4) {
            random.below(60) as u64
        } else {
            u64::MAX
        },
        time_limit: moment(random, 20),
        batch_time_limit: hangs.then_some(BATCH_TIME_LIMIT),
        retries: random.below(4) as u32,
        deterministic: random.once_in(8),
        on_device_lost: if random.once_in(12) {
            OnDeviceLost::Fail
        } else {
            OnDeviceLost::Continue
        },
    }
}

/// Up to `most` items with numbers from `first` up, every fourth a duplicate.
fn items(random: &mut Random, first: u64, most: usize) -> Vec<Item> {
    let mut items = Vec::new();
    let troubled = random.once_in(2);
    let mut worst = match random.below(600) {
        0..100 => Some(Nature::KillsDevice),
        100..104 => Some(Nature::Hangs),
        _ => None,
    };
    for number in first..first + random.below(most + 1) as u64 {
        if !items.is_empty() && random.once_in(4) {
            items.push(items[random.below(items.len())]);
            continue;
        }
        let mut item = good(random, number);
        if troubled && random.once_in(8) {
            item.nature = nature(random);
        } else if random.once_in(20) {
            // One is enough: it takes two slots.
            item.nature = worst.take().unwrap_or(Nature::Good);
        }
        item.late = random.once_in(2);
        items.push(item);
    }
    items
}

fn good(random: &mut Random, number: u64) -> Item {
    let work = 1e-5 * random.log_normal(0.6);
    let told = match random.below(20) {
        0 => 0.0,
        1 => f64::INFINITY,
        _ => work * random.factor(3.0),
    };
    let size = if random.once_in(20) {
        20 + random.below(100)
    } else {
        1 + random.below(10)
    };
    Item {
        told,
        size: size as u32,
        ..Item::good(number, work)
    }
}

fn nature(random: &mut Random) -> Nature {
    [
        Nature::Fails,
        Nature::Silent,
        Nature::Poisons,
        Nature::Panics,
        Nature::Crashes,
        Nature::Transient(1 + random.below(2) as u8),
    ][random.below(6)]
}
