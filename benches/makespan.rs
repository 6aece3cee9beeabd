//! `cargo bench --bench makespan`: when the last of 2,000 items of log-normal length is done on four unequal slots, as a ratio to
//! the least time in which that is possible.
//!
//! The slots have the speeds 1, 1, 2 and 4, which nobody is told; the tool is wrong about each item's cost by a factor
//! between 1/3 and 3. Ours is the pool itself: its threads, a tool that waits as long as the work would take, the time from
//! submission to the end. The others decide beforehand, so when they are done is a sum: they pay for loads and
//! nothing else.
//!
//! A third run of the pool is 2,000 jobs of one item each, all submitted at once.
//!
//! Every run is drawn in `docs/makespan.svg`.

use std::fmt::Write;
use std::fs;
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
const DRAWING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/makespan.svg");

fn main() {
    let mut runs: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut note = |what, ratio| match runs.iter_mut().find(|run| run.0 == what) {
        Some((_, ratios)) => ratios.push(ratio),
        None => runs.push((what, vec![ratio])),
    };
    for seed in 0..SEEDS {
        let items = items(seed);
        let [cold, warm, apart] = pooled(&items);
        note("toolpool, first run", cold);
        note("toolpool, second run", warm);
        note("toolpool, a job an item", apart);
        note("static LPT, speeds told", planned(&items, &SPEEDS));
        note("static LPT, speeds not told", planned(&items, &[1.0; 4]));
        note("round-robin", dealt(&items));
    }
    table(&mut runs);
    fs::write(DRAWING, plot(&runs)).expect("a repository that can be written to");
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

/// Three runs of one pool: the first loads the tool and knows nothing of the slots, in the third each item is a job.
fn pooled(items: &[Item]) -> [f64; 3] {
    let machines = SPEEDS.map(|speed| Machine::of_speed(speed, LOAD));
    let world = World::new(machines.to_vec(), Time::Real);
    let plan = ToolPlan {
        limits: Cut {
            budget: u64::MAX,
            max_items: BATCH,
        },
        ..ToolPlan::default()
    };
    let tool: Arc<dyn Tool> = Arc::new(Simulated::new("simulated", &world, plan));
    let pool = Pool::open(world.slots()).expect("a pool");
    let bytes: Vec<Vec<u8>> = items.iter().map(Item::bytes).collect();
    [(LOAD, ITEMS), (0.0, ITEMS), (0.0, 1)].map(|(load, of_a_job)| {
        let inputs: Vec<_> = bytes.chunks(of_a_job).map(input).collect();
        let begin = Instant::now();
        let jobs: Vec<_> = inputs
            .into_iter()
            .map(|input| pool.submit(Arc::clone(&tool), input, &JobOptions::default()))
            .collect();
        let jobs: Vec<_> = jobs.into_iter().map(|job| job.expect("a job")).collect();
        assert!(jobs.iter().all(|job| job.wait(None)));
        let seconds = begin.elapsed().as_secs_f64();
        for job in jobs {
            let results = job.results().expect("no failure").expect("all of them");
            assert_eq!((results.len(), results.partial()), (of_a_job, false));
        }
        seconds / lower_bound(items, load)
    })
}

fn input(bytes: &[Vec<u8>]) -> Arc<Items> {
    let field = Field::copied("item", bytes.iter().map(Vec::as_slice)).expect("memory");
    Arc::new(Items::new(field))
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

const WIDTH: f64 = 720.0;
const ROW: f64 = 44.0;
/// Where the scale begins and ends, in pixels and as time beyond the bound.
const SCALE: [f64; 2] = [230.0, 690.0];
const BEYOND: [f64; 2] = [0.001, 2.0];

/// Every run as a point, on a logarithmic scale of the time beyond the lower bound.
fn plot(runs: &[(&str, Vec<f64>)]) -> String {
    let height = ROW * runs.len() as f64 + 90.0;
    let bottom = height - 50.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Time beyond the least possible, {SEEDS} seeds of {ITEMS} items on four unequal slots</title>\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    for (beyond, label) in [
        (0.001, "0.1 %"),
        (0.01, "1 %"),
        (0.1, "10 %"),
        (1.0, "100 %"),
    ] {
        let x = place(beyond);
        let class = if beyond == 0.01 { "goal" } else { "tick" };
        let text = bottom + 18.0;
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"20\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{text}\" text-anchor=\"middle\">{label}</text>"
        );
    }
    for (row, (what, ratios)) in runs.iter().enumerate() {
        let y = 20.0 + ROW * (row as f64 + 0.5);
        let class = if what.starts_with("toolpool") {
            "ours"
        } else {
            "theirs"
        };
        let (left, base) = (SCALE[0] - 14.0, y + 4.0);
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{base}\" text-anchor=\"end\">{what}</text>"
        );
        for ratio in ratios {
            let x = place(ratio - 1.0);
            let _ = writeln!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y}\" r=\"5\"/>"
            );
        }
    }
    let (middle, base) = (f64::midpoint(SCALE[0], SCALE[1]), bottom + 38.0);
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">time beyond the least possible (dashed: to reach)</text>\n</svg>"
    );
    svg
}

fn place(beyond: f64) -> f64 {
    let part = (beyond / BEYOND[0]).ln() / (BEYOND[1] / BEYOND[0]).ln();
    SCALE[0] + part.clamp(0.0, 1.0) * (SCALE[1] - SCALE[0])
}

/// Colours that any colour vision tells apart (M. Okabe, K. Ito, Color Universal Design, 2008).
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1b1f24}.page{fill:#fff}.tick{stroke:#d0d7de}\
    .goal{stroke:#1b1f24;stroke-dasharray:4 3}circle{fill-opacity:.55}.ours{fill:#0072b2}.theirs{fill:#d55e00}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.tick{stroke:#30363d}.goal{stroke:#e6edf3}\
    .ours{fill:#56b4e9}.theirs{fill:#ff7b54}}";
