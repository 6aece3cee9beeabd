//! The writer alone beside `dd conv=fsync`: windows of `per_residue` in half precision, in the shape of ESM-2 8M, and
//! as many bytes by dd from a file in memory, in turns, on one disk.
//!
//! `cargo bench -p toolpool-command --bench write`, `-- mean` for one output; TOOLPOOL_BENCH_DIRECTORY names a folder on
//! another disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use toolpool_command::output::{Directory, Format, Layout, Output, Run, ValueType};
use toolpool_command::rows::{Outcome, Rows, Values};
use toolpool_command::window::Window;

const ROUNDS: u64 = 9;
const RECORDS: usize = 1024;
const LENGTH: usize = 300;
const WIDTH: usize = 320;

fn main() {
    let directory = std::env::var_os("TOOLPOOL_BENCH_DIRECTORY")
        .map_or(env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    let directory = directory.join("write");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a folder on the disk that is measured");
    let cases = [
        (
            "per_residue",
            Layout::Matrix,
            Format::Parquet,
            ValueType::Float16,
        ),
        (
            "per_residue",
            Layout::Matrix,
            Format::Parquet,
            ValueType::Float32,
        ),
        (
            "per_residue",
            Layout::Matrix,
            Format::Npy,
            ValueType::Float16,
        ),
        ("mean", Layout::Row, Format::Parquet, ValueType::Float32),
        ("mean", Layout::Row, Format::Parquet, ValueType::Float16),
    ];
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    for (name, layout, format, values) in cases.into_iter().filter(|case| is_wanted(case.0)) {
        compare(&directory, name, layout, format, values);
    }
    fs::remove_dir_all(&directory).expect("to clean up");
}

/// Writes windows and, in turns, as many bytes by dd; prints the medians.
fn compare(directory: &Path, name: &str, layout: Layout, format: Format, values: ValueType) {
    let run = Run {
        outputs: vec![Output {
            name: name.into(),
            layout,
            inner: Vec::new(),
        }],
        values,
        format,
        shard: None,
        settings: Default::default(),
        named: Default::default(),
    };
    let shards = directory.join("shards");
    let mut output = Directory::open(&shards, &run, true).expect("a new directory");
    let mut rows = rows(layout);
    let (mut ours, mut dds) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for number in 0..ROUNDS {
        rows.window.number = number;
        let started = Instant::now();
        bytes = output.write(&rows).expect("space on the disk").bytes;
        ours.push(started.elapsed());
        dds.push(dd(directory, bytes));
    }
    let (ours, dds) = (speed(bytes, &mut ours), speed(bytes, &mut dds));
    println!(
        "{name:>12} {format:?} {values:?}: shards of {:4.0} MB at {ours:5.0} MB/s, dd at {dds:5.0} MB/s: {:3.0} %",
        bytes as f64 / 1e6,
        100.0 * ours / dds
    );
    drop(output);
    fs::remove_dir_all(&shards).expect("to clean up");
}

/// MB/s by the median time.
fn speed(bytes: u64, times: &mut [Duration]) -> f64 {
    times.sort();
    bytes as f64 / 1e6 / times[times.len() / 2].as_secs_f64()
}

/// How long dd takes for so many bytes, with fsync.
fn dd(directory: &Path, bytes: u64) -> Duration {
    let source = Path::new("/dev/shm").join(format!("toolpool-write-{}", std::process::id()));
    let mut noise = 1_u64;
    let mut next = || {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        noise
    };
    let block: Vec<u8> = (0..1 << 17).flat_map(|_| next().to_le_bytes()).collect();
    let mut file = File::create(&source).expect("space in memory");
    for _ in 0..bytes.div_ceil(block.len() as u64) {
        file.write_all(&block).expect("space in memory");
    }
    file.set_len(bytes).expect("a file in memory");
    let target = directory.join("dd");
    let started = Instant::now();
    let status = Command::new("dd")
        .arg(format!("if={}", source.display()))
        .arg(format!("of={}", target.display()))
        .args(["bs=1M", "conv=fsync", "status=none"])
        .status();
    let took = started.elapsed();
    assert!(status.expect("dd").success());
    fs::remove_file(&source).expect("to clean up");
    fs::remove_file(&target).expect("to clean up");
    took
}

fn rows(layout: Layout) -> Rows {
    let mut window = Window::default();
    // As many bytes of means as of a few windows, so that the disk is measured and not the calls.
    let records = if layout == Layout::Row {
        64 * RECORDS
    } else {
        RECORDS
    };
    for record in 0..records {
        window.ids.push(format!("protein_{record}").as_bytes());
        window.sequences.push(&[b'M'; LENGTH]);
    }
    let shape = if layout == Layout::Row {
        vec![WIDTH]
    } else {
        vec![LENGTH, WIDTH]
    };
    let size: usize = shape.iter().product();
    let values = (0..records * size)
        .map(|value| ((value % 1001) as f32 - 500.0) / 333.0)
        .collect();
    Rows {
        window,
        digest: 0,
        outcomes: vec![Outcome::Done; records],
        remarks: Vec::new(),
        values: Box::new(Made {
            shape,
            size,
            values,
        }),
    }
}

struct Made {
    shape: Vec<usize>,
    size: usize,
    values: Vec<f32>,
}

impl Values for Made {
    fn names(&self) -> Vec<String> {
        vec!["per_residue".into(), "mean".into()]
    }

    fn get(&self, record: usize, _name: &str) -> (&[usize], &[f32]) {
        (&self.shape, &self.values[record * self.size..][..self.size])
    }
}
