//! The pool under many threads at once, with tools that succeed, fail, run out of memory, hang and lose their device.
//!
//! No test depends on timing: threads of tools wait at gates, and what takes longer than a minute hangs.

mod devices;
mod double;
mod gate;
mod hopeless;
mod late;
mod loads;
mod memory;
mod report;
mod retries;
mod room;
mod threads;
mod turns;

use std::sync::Arc;

use toolpool::device::{self, Device, Kind, Slot};
use toolpool::error::{Error, Result, Status};
use toolpool::mem::{Field, Items, Results};
use toolpool::pool::{Job, JobOptions, Pool, PoolOptions};
use toolpool::tool::Tool;

use double::{Double, doubled};
use gate::HANGS;

fn pool(slots: usize) -> Pool {
    Pool::open(cpu(slots)).unwrap()
}

/// A pool on whose device tools may take so many bytes.
fn pool_of_memory(slots: usize, bytes: u64) -> Pool {
    let options = PoolOptions {
        memory_limit: Some(bytes),
        ..PoolOptions::default()
    };
    Pool::open_with(cpu(slots), &options).unwrap()
}

fn cpu(slots: usize) -> Vec<Slot> {
    device::parse(Some(&format!("cpu*{slots}")), &device::visible()).unwrap()
}

/// So many slots of one GPU. Nothing here looks at a real one.
fn one_gpu(slots: usize) -> Vec<Slot> {
    let slot = |number| Slot {
        number,
        device: Device {
            kind: Kind::Cuda,
            index: 0,
            name: "a GPU".into(),
            memory_total: 1 << 30,
            memory_free: 1 << 30,
            capability: (9, 0),
            uuid: String::new(),
            driver: String::new(),
        },
        threads: 1,
    };
    (0..slots).map(slot).collect()
}

/// `count` items of 1 to 60 bytes, every third a duplicate of an earlier one; the first byte of item 7 is 13.
fn items(count: usize) -> Vec<Vec<u8>> {
    let item = |index: usize| vec![(index % 251) as u8 ^ 13 ^ 7; 1 + index % 60];
    (0..count)
        .map(|index| item(if index % 3 == 2 { index / 2 } else { index }))
        .collect()
}

/// `count` items of `len` bytes, 5 at least, no two alike, that begin with `first`.
fn named(first: u8, count: u32, len: usize) -> Vec<Vec<u8>> {
    let item = |index: u32| {
        let mut item = vec![first];
        item.extend(index.to_le_bytes());
        item.resize(len, 0);
        item
    };
    (0..count).map(item).collect()
}

fn submit(pool: &Pool, tool: &Arc<Double>, inputs: &[Vec<u8>]) -> Result<Arc<Job>> {
    submit_with(pool, tool, inputs, &JobOptions::default())
}

fn submit_with(
    pool: &Pool,
    tool: &Arc<Double>,
    inputs: &[Vec<u8>],
    options: &JobOptions,
) -> Result<Arc<Job>> {
    let field = Field::copied("input", inputs.iter().map(Vec::as_slice));
    let tool = Arc::clone(tool) as Arc<dyn Tool>;
    pool.submit(tool, Arc::new(Items::new(field?)), options)
}

fn run(pool: &Pool, tool: &Arc<Double>, inputs: &[Vec<u8>]) -> Result<Results> {
    results(&*submit(pool, tool, inputs)?)
}

/// All of a job that nobody else takes results of, and that must end by itself.
fn results(job: &Job) -> Result<Results> {
    assert!(job.wait(Some(HANGS)), "the job hangs");
    Ok(job.results()?.expect("nobody else took them"))
}

/// Why a job fails as a whole, which must end by itself.
fn failure(job: &Job) -> Error {
    assert!(job.wait(Some(HANGS)), "the job hangs");
    match job.results() {
        Ok(_) => panic!("the job did not fail as a whole"),
        Err(error) => error,
    }
}

/// The bytes of item `index` of the results.
fn output(results: &Results, index: usize) -> Result<Vec<u8>> {
    let view = results.view(index, "output")?;
    // SAFETY: the view has as many bytes as its shape says.
    Ok(unsafe { std::slice::from_raw_parts(view.data, view.shape.dims()[0] as usize) }.to_vec())
}

/// Each item has its value.
fn check_all(results: &Results, inputs: &[Vec<u8>]) {
    assert_eq!(results.len(), inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        let output = output(results, index);
        assert_eq!(output.unwrap(), doubled(input), "item {index}");
    }
}

/// How the items ended: `None` for those that succeeded.
fn ends(results: &Results) -> Vec<Option<Status>> {
    let status = |index| results.error(index).map(Error::status);
    (0..results.len()).map(status).collect()
}
