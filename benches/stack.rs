//! What `toolpool_results_stack` takes beside a copy of as many bytes that lie together.
//!
//! `cargo bench --bench stack` prints medians: 100,000 rows of 1,280 float32 in the order of batches of random items,
//! gathered in the order of the items, into memory that is there and into memory that the kernel must first hand out.

use std::time::{Duration, Instant};

use toolpool::mem::{Finished, Outputs, Results};
use toolpool::plan::dedup::Dedup;
use toolpool::value::{Dtype, Shape};

const ITEMS: usize = 100_000;
const BATCH: usize = 100;
const WIDTH: usize = 1280;
const BYTES: usize = ITEMS * WIDTH * 4;
const ROUNDS: usize = 9;

fn results() -> Results {
    // A prime, so that every item comes once.
    let order: Vec<u32> = (0..ITEMS).map(|i| (i * 7919 % ITEMS) as u32).collect();
    let finished = order.chunks(BATCH).map(|batch| {
        let mut outputs = Outputs::new(batch.len());
        for (row, &item) in batch.iter().enumerate() {
            let shape = Shape::vector(WIDTH);
            let data = outputs
                .alloc(row, "mean", Dtype::Float32, shape)
                .expect("memory");
            // SAFETY: `alloc` gave memory for that many floats.
            unsafe { std::slice::from_raw_parts_mut(data.cast::<f32>(), WIDTH) }.fill(item as f32);
        }
        Finished {
            uniques: batch.to_vec(),
            part: outputs.finish().expect("a whole batch"),
            slot: 0,
        }
    });
    Results::whole(finished.collect(), &Dedup::off(ITEMS), None)
}

fn median(mut copy: impl FnMut(&mut Vec<u8>), keep: bool) -> Duration {
    let mut buffer = Vec::new();
    let mut times: Vec<_> = (0..=ROUNDS)
        .map(|_| {
            if !keep {
                buffer = Vec::new();
            }
            let started = Instant::now();
            buffer.reserve_exact(BYTES);
            copy(&mut buffer);
            started.elapsed()
        })
        .collect();
    let times = &mut times[1..];
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn main() {
    let results = results();
    let together = vec![1_u8; BYTES];
    for (keep, memory) in [(true, "memory that is there"), (false, "fresh memory")] {
        // SAFETY: the buffer has room for so many bytes.
        let copied = median(
            |buffer| unsafe {
                std::ptr::copy_nonoverlapping(together.as_ptr(), buffer.as_mut_ptr(), BYTES);
            },
            keep,
        );
        // SAFETY: as above.
        let stacked = median(
            |buffer| unsafe {
                results
                    .stack("mean")
                    .and_then(|stack| stack.copy_to(buffer.as_mut_ptr(), BYTES))
                    .expect("rows that stack");
            },
            keep,
        );
        println!("into {memory}: {stacked:.1?}; one copy of as much: {copied:.1?}");
    }
}
