//! `cargo bench --bench plan`: time and throughput of the planning steps, for a million items.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use toolpool::plan::batch::{Cut, Remaining};
use toolpool::plan::dedup::{Dedup, Fields};
use toolpool::plan::lpt::{SlotSpec, assign};
use toolpool::plan::order::longest_first;

const ITEMS: usize = 1_000_000;
const ITEM_BYTES: usize = 200;

/// Items of [`ITEM_BYTES`] bytes, one after the other.
struct Strings(Vec<u8>);

impl Fields for Strings {
    fn len(&self) -> usize {
        self.0.len() / ITEM_BYTES
    }

    fn fields(&self) -> usize {
        1
    }

    fn field(&self, item: usize, _field: usize) -> &[u8] {
        &self.0[item * ITEM_BYTES..][..ITEM_BYTES]
    }
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// By Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Costs whose logarithm has the standard deviation 0.6, as the lengths of proteins have.
fn log_normal(len: usize) -> Vec<f64> {
    let mut random = Random(1);
    (0..len)
        .map(|_| 250.0 * (0.6 * random.normal()).exp())
        .collect()
}

fn distinct(len: usize) -> Strings {
    let mut random = Random(2);
    let letters = (0..len * ITEM_BYTES).map(|_| b'A' + (random.next() % 26) as u8);
    Strings(letters.collect())
}

/// Every item twice, the second time in the second half.
fn doubled(len: usize) -> Strings {
    let Strings(half) = distinct(len / 2);
    Strings(half.repeat(2))
}

/// Cuts a whole job into batches; returns how many.
fn cut_all(queue: &[(f64, u64)], remaining: Remaining) -> usize {
    let cut = Cut {
        budget: 1 << 20,
        max_items: 4096,
    };
    let (mut queue, mut remaining, mut batches) = (queue, remaining, 0);
    while !queue.is_empty() {
        let (batch, rest) = queue.split_at(cut.next_batch(queue.iter().copied(), &remaining, 0.25));
        batch.iter().for_each(|&(cost, _)| remaining.remove(cost));
        (queue, batches) = (rest, batches + 1);
    }
    batches
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    group
        .throughput(Throughput::Elements(ITEMS as u64))
        .sample_size(10);

    let strings = distinct(ITEMS);
    group.bench_function("dedup, all distinct, 200 bytes", |bench| {
        bench.iter(|| Dedup::find(black_box(&strings)));
    });
    drop(strings);
    let strings = doubled(ITEMS);
    group.bench_function("dedup, every item twice, 200 bytes", |bench| {
        bench.iter(|| Dedup::find(black_box(&strings)));
    });
    drop(strings);

    let costs = log_normal(ITEMS);
    let whole: Vec<f64> = costs.iter().map(|cost| cost.round()).collect();
    let equal = vec![200.0; ITEMS];
    for (name, costs) in [
        ("log-normal", &costs),
        ("log-normal, whole", &whole),
        ("equal", &equal),
    ] {
        group.bench_function(format!("longest first, {name}"), |bench| {
            bench.iter(|| longest_first(black_box(costs)));
        });
    }

    for slots in [8, 64] {
        let equal = vec![slot(1.0); slots];
        group.bench_function(format!("static LPT, {slots} equal slots"), |bench| {
            bench.iter(|| assign(black_box(&costs), &equal));
        });
        let unequal: Vec<SlotSpec> = (0..slots).map(|i| slot(1.0 + i as f64)).collect();
        group.bench_function(format!("static LPT, {slots} unequal slots"), |bench| {
            bench.iter(|| assign(black_box(&costs), &unequal));
        });
    }

    let order = longest_first(&costs);
    let queue: Vec<(f64, u64)> = order
        .iter()
        .map(|&item| (costs[item as usize], costs[item as usize] as u64))
        .collect();
    let remaining = Remaining::all(&costs);
    group.bench_function("cut into batches", |bench| {
        bench.iter(|| cut_all(black_box(&queue), remaining));
    });
}

fn slot(weight: f64) -> SlotSpec {
    SlotSpec {
        weight,
        max_cost: f64::INFINITY,
    }
}

criterion_group!(benches, plan);
criterion_main!(benches);
