use std::time::Duration;

use toolpool::error::Status;
use toolpool::plan::batch::Cut;
use toolpool::pool::{JobOptions, OnDeviceLost};

use crate::item::{Item, Nature};
use crate::random::Random;
use crate::tool::{LoadPlan, ToolPlan};
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
    /// Threads that have a tool loaded everywhere.
    pub warmers: Vec<Warmer>,
    /// Bytes that the tools loaded on one device may take.
    pub memory_limit: Option<u64>,
    /// When the pool is closed over the heads of the others.
    pub close_after: Option<Duration>,
    /// When what hangs comes back; after the pool is closed if not said.
    pub release_after: Option<Duration>,
}

/// A thread that has a tool loaded everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Warmer {
    /// Number of the tool.
    pub tool: usize,
    /// So long after the pool was opened.
    pub after: Duration,
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
        let machines = machines(&mut random, slots);
        let memory_limit = random.once_in(3).then_some(MEMORY);
        let hanging = Hanging::draw(&mut random);
        let mut tools: Vec<_> = (0..1 + random.below(size.each))
            .map(|_| tool(&mut random, slots))
            .collect();
        if memory_limit.is_none() {
            // The memory of a machine is that of its batches.
            tools.iter_mut().for_each(|tool| tool.memory = 0);
        }
        if hanging != Hanging::No {
            hang_in_load(&mut random, &mut tools, slots);
        }
        let mut numbers = (0..).step_by(1 << 20);
        let mut job = |random: &mut Random| {
            let number = numbers.next().unwrap_or_default();
            let tool = random.below(tools.len());
            let mut job = job(random, number, tool, size.items);
            hanging.limit(random, &mut job);
            job
        };
        let submitters = (0..1 + random.below(size.each))
            .map(|_| {
                (0..1 + random.below(size.each))
                    .map(|_| job(&mut random))
                    .collect()
            })
            .collect();
        let warmers = match hanging {
            // Nobody has said how long they may take.
            Hanging::ToTheEnd => 0,
            _ => random.below(3) * usize::from(random.once_in(4)),
        };
        let warmer = |random: &mut Random| Warmer {
            tool: random.below(tools.len()),
            after: Duration::from_micros(random.below(300) as u64),
        };
        Self {
            seed,
            time: if random.once_in(8) {
                Time::Real
            } else {
                Time::None
            },
            machines,
            submitters,
            warmers: (0..warmers).map(|_| warmer(&mut random)).collect(),
            memory_limit,
            close_after: moment(&mut random, 10),
            release_after: hanging.release_after(&mut random),
            tools,
        }
    }

    /// Whether anything in it may come back late, or not at all.
    pub(crate) fn has_limits(&self) -> bool {
        let limited = |job: &JobPlan| {
            job.options.time_limit.is_some() || job.options.batch_time_limit.is_some()
        };
        self.submitters.iter().flatten().any(limited)
    }
}

/// What hangs beside items whose batches have a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hanging {
    /// Nothing.
    No,
    /// Loads, and batches of jobs with time limits, for a while; whoever has no time limit waits.
    ForAWhile,
    /// The same for ever: all jobs have time limits.
    ToTheEnd,
}

impl Hanging {
    fn draw(random: &mut Random) -> Self {
        match random.below(100) {
            0 => Self::ForAWhile,
            1 => Self::ToTheEnd,
            _ => Self::No,
        }
    }

    fn release_after(self, random: &mut Random) -> Option<Duration> {
        let after = Duration::from_millis(20 + random.below(200) as u64);
        (self == Self::ForAWhile).then_some(after)
    }

    /// Has the job hang, perhaps, and end in time.
    fn limit(self, random: &mut Random, job: &mut JobPlan) {
        if self == Self::No || (self == Self::ForAWhile && random.once_in(2)) {
            return;
        }
        let limit = Duration::from_millis(5 + random.below(60) as u64);
        job.options.time_limit.get_or_insert(limit);
        if random.once_in(2) && !job.items.is_empty() {
            let place = random.below(job.items.len());
            let hangs = job.items[place].number;
            let alike = job.items.iter_mut().filter(|item| item.number == hangs);
            alike.for_each(|item| item.nature = Nature::Hangs);
        }
    }
}

/// One load of a tool, perhaps, or several.
fn hang_in_load(random: &mut Random, tools: &mut [ToolPlan], slots: usize) {
    let number = random.below(tools.len());
    for _ in 0..random.below(3) {
        let slot = random.below(slots);
        tools[number].loads.insert(slot, LoadPlan::Hangs);
    }
}

/// A moment of a run, once in `times`.
fn moment(random: &mut Random, times: usize) -> Option<Duration> {
    let after = Duration::from_micros(random.below(500) as u64);
    random.once_in(times).then_some(after)
}

/// Every third pool has GPUs of one to four slots, some of these with CPU slots beside them.
fn machines(random: &mut Random, slots: usize) -> Vec<Machine> {
    let mut machines = Vec::new();
    let gpus = random.once_in(3);
    let mixed = random.once_in(4);
    while machines.len() < slots {
        if !gpus || (mixed && random.once_in(3)) {
            machines.push(machine(random));
            continue;
        }
        let gpu = Some(machines.len() as u32);
        let Machine { speed, memory, .. } = machine(random);
        let each = slots.min(machines.len() + 1 + random.below(4));
        while machines.len() < each {
            machines.push(Machine {
                gpu,
                speed,
                memory,
                ..machine(random)
            });
        }
    }
    machines
}

fn machine(random: &mut Random) -> Machine {
    let memory = if random.once_in(3) {
        20 + random.below(100) as u64
    } else {
        u64::MAX
    };
    let (lost_after, broken_after) = (random.below(8) as u64, random.below(8) as u64);
    Machine {
        memory,
        lost_after: random.once_in(16).then_some(lost_after),
        broken_after: random.once_in(24).then_some(broken_after),
        ..Machine::of_speed(random.factor(4.0), 1e-4 * random.uniform())
    }
}

/// What tools may take of a device where that is limited.
const MEMORY: u64 = 100;

fn tool(random: &mut Random, slots: usize) -> ToolPlan {
    let load = |random: &mut Random, slot| {
        let plan = match random.below(48) {
            0..3 => LoadPlan::Unfit,
            3 => LoadPlan::Flaky(Status::Transient, 1 + random.below(2) as u32),
            4 => LoadPlan::Flaky(Status::Crashed, 1 + random.below(2) as u32),
            _ => return None,
        };
        Some((slot, plan))
    };
    ToolPlan {
        limits: Cut {
            budget: [10, 100, u64::MAX][random.below(3)],
            max_items: 1 + random.below(40),
        },
        depth: 1 + random.below(2),
        loads: (0..slots).filter_map(|slot| load(random, slot)).collect(),
        slow: random.below(40) * random.below(2),
        memory: [0, 10, 30, 60, 100][random.below(5)] + MEMORY * u64::from(random.once_in(50)),
        apart: random.once_in(6),
        killable: random.once_in(4),
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
    let hangs = (items.iter()).any(|item| item.nature == Nature::Hangs);
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
        Nature::Odd,
        Nature::Transient(1 + random.below(2) as u8),
        Nature::Unlucky(1 + random.below(2) as u8),
    ][random.below(8)]
}
