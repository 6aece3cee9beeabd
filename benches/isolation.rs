//! What `isolation = process` costs: a batch of echo through one worker, here and in a child process, one after the other.
//!
//! `cargo bench --bench isolation` prints the medians of both, their difference, and for an output of 100 MB the memory
//! that this process took for itself.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use toolpool::device::{self, Slot};
use toolpool::ffi::batch::HOST;
use toolpool::mem::{Field, Items, Part};
use toolpool::tool::{Batch, Loaded, Tool, Work};
use toolpool::tools::Opened;

/// Batches of each kind, after a tenth as many to warm up.
const ROUNDS: usize = 2000;

struct Bench {
    tool: Arc<dyn Tool>,
    loaded: Box<dyn Loaded>,
}

impl Bench {
    fn new(isolation: &str, slot: &Slot) -> Self {
        let mut opened = Opened::open("echo", "", &HOST).expect("echo opens");
        opened.set("isolation", isolation).expect("an option");
        let tool = opened.tool();
        let loaded = tool.load(slot, &|_| {}).expect("echo loads");
        Self { tool, loaded }
    }

    fn run(&mut self, items: &Arc<Items>) -> Part {
        let positions = (0..items.len() as u32).collect();
        let batch = Batch::new(Arc::clone(&self.tool), Arc::clone(items), positions);
        let mut work = Work::new(batch);
        self.loaded.start(&mut work).expect("a batch begins");
        self.loaded.collect(&mut work).expect("a batch ends");
        work.outputs.finish().expect("a whole batch")
    }

    /// What a batch takes, in the median. Its outputs are read, and freed unless `kept`.
    fn median(&mut self, items: &Arc<Items>, keep: bool) -> Duration {
        let mut kept = Vec::new();
        let mut times: Vec<_> = (0..ROUNDS + ROUNDS / 10)
            .map(|_| {
                let started = Instant::now();
                let part = self.run(items);
                let time = started.elapsed();
                if keep {
                    kept.push(part);
                }
                time
            })
            .collect();
        let times = &mut times[ROUNDS / 10..];
        times.sort_unstable();
        times[times.len() / 2]
    }
}

fn items(count: usize, bytes: usize) -> Arc<Items> {
    let item = vec![7_u8; bytes];
    let field = Field::copied("input", (0..count).map(|_| item.as_slice()));
    Arc::new(Items::new(field.expect("memory")))
}

/// Bytes of this process that no other shares.
fn own_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kibibytes.expect("RssAnon in kB") * 1024.0
}

fn main() {
    // SAFETY: before the first thread.
    unsafe {
        let worker = Path::new(env!("CARGO_BIN_EXE_toolpool-worker"));
        std::env::set_var(
            "TOOLPOOL_BACKEND_DIR",
            worker.parent().expect("a directory"),
        );
    }
    let slot = &device::parse(Some("cpu"), &device::visible()).expect("a CPU")[0];
    let started = Instant::now();
    let mut child = Bench::new("process", slot);
    println!(
        "a child is up and has loaded echo after {:.1?}",
        started.elapsed()
    );
    let mut here = Bench::new("none", slot);

    // First: memory that was used and freed before would be taken again, and not show.
    let large = items(1, 100_000_000);
    for (name, bench) in [("here", &mut here), ("child", &mut child)] {
        let before = own_memory();
        let started = Instant::now();
        let part = bench.run(&large);
        let time = started.elapsed().as_secs_f64() * 1e3;
        let megabytes = (own_memory() - before) / 1e6;
        println!(
            "an output of 100 MB, {name}: {time:.0} ms, {megabytes:.1} MB of this process's own memory"
        );
        drop(part);
    }

    println!("a batch, median of {ROUNDS}  | here, µs | child, µs | more, µs");
    for (count, bytes, keep) in [
        (1, 10, false),
        (32, 350, false),
        (32, 350, true),
        (1000, 350, false),
        (32, 5120, false),
        (32, 5120, true),
    ] {
        let items = items(count, bytes);
        let plain = here.median(&items, keep).as_secs_f64() * 1e6;
        let isolated = child.median(&items, keep).as_secs_f64() * 1e6;
        let kept = if keep { ", kept" } else { "" };
        let name = format!("{count} × {bytes} bytes{kept}");
        println!(
            "{name:26} | {plain:8.1} | {isolated:9.1} | {:8.1}",
            isolated - plain
        );
    }
}
