//! How fast a FASTA becomes windows, and in how much memory:
//! `cargo bench -p toolpool-command --bench read [-- GIGABYTES]`.
//!
//! The file is made in the target's folder: lengths as of UniProt's proteins (log-normal), lines of 60 letters. What
//! is timed is the time of one thread on a processor, the file in the page cache: what else the machine does hardly
//! changes it.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use toolpool_command::input::{Input, Limit, Options, digest};
use toolpool_command::window::Window;

const LIMIT: Limit = Limit {
    records: 65_536,
    residues: 32 << 20,
};

fn main() {
    let gigabytes = env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1.0);
    let plain = fasta((gigabytes * 1e9) as u64).expect("a place for a FASTA");
    read(&plain, |_| {});
    for (what, path) in [
        ("plain", plain.clone()),
        ("gzip", gzip(&plain)),
        ("zstd", zstd(&plain)),
    ] {
        let seconds = read(&path, |_| {});
        println!("{what:<16} {:5.0} MB/s of FASTA", gigabytes * 1e3 / seconds);
    }
    let seconds = read(&plain, |window| {
        digest(window);
    });
    println!(
        "{:<16} {:5.0} MB/s of FASTA",
        "plain, digested",
        gigabytes * 1e3 / seconds
    );
    println!("{:<16} {:5.0} MB, at most", "memory", peak_memory_mb());
}

/// Seconds to read a file, window by window.
fn read(path: &Path, mut each: impl FnMut(&Window)) -> f64 {
    let begin = thread_seconds();
    let paths = [path.display().to_string()];
    let mut input = Input::open(&paths, &Options::default()).expect("a FASTA");
    let mut window = Window::default();
    while input.fill(&mut window, LIMIT).expect("a FASTA") {
        each(&window);
    }
    thread_seconds() - begin
}

/// Linux: for how long this thread has been on a processor; NaN elsewhere.
fn thread_seconds() -> f64 {
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = times
        .split(' ')
        .next()
        .and_then(|time| time.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

/// A FASTA of at least `bytes` bytes.
fn fasta(bytes: u64) -> io::Result<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{bytes}.fasta"));
    if path.exists() {
        return Ok(path);
    }
    let unfinished = path.with_extension("unfinished");
    let mut file = BufWriter::new(File::create(&unfinished)?);
    let mut random = Random(1);
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        let header =
            format!(">sp|{number:08}|RANDOM_{number} A protein that nobody has seen OS=None\n");
        file.write_all(header.as_bytes())?;
        let mut left = random.length();
        written += (header.len() + left + left.div_ceil(60)) as u64;
        while left > 0 {
            let mut line = [b'\n'; 61];
            let len = left.min(60);
            line[..len].fill_with(|| random.residue());
            file.write_all(&line[..len])?;
            file.write_all(b"\n")?;
            left -= len;
        }
        number += 1;
    }
    file.into_inner()?.sync_all()?;
    fs::rename(unfinished, &path)?;
    Ok(path)
}

fn gzip(plain: &Path) -> PathBuf {
    compressed(plain, "gz", |from, to| {
        let mut encoder = GzEncoder::new(to, Compression::new(6));
        io::copy(from, &mut encoder)?;
        encoder.finish()?;
        Ok(())
    })
}

fn zstd(plain: &Path) -> PathBuf {
    compressed(plain, "zst", |from, to| {
        zstd::stream::copy_encode(from, to, 3)
    })
}

fn compressed(
    plain: &Path,
    extension: &str,
    compress: impl Fn(&mut File, File) -> io::Result<()>,
) -> PathBuf {
    let path = plain.with_extension(format!("fasta.{extension}"));
    if !path.exists() {
        let unfinished = plain.with_extension("unfinished");
        let mut from = File::open(plain).expect("the FASTA");
        let to = File::create(&unfinished).expect("a place for a file");
        compress(&mut from, to).expect("a place for a file");
        fs::rename(unfinished, &path).expect("a place for a file");
    }
    path
}

/// Linux: the most memory that was resident; NaN elsewhere.
fn peak_memory_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) * 1024.0 / 1e6
}

/// Xorshift64*, Vigna 2016.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn residue(&mut self) -> u8 {
        b"ACDEFGHIKLMNPQRSTVWY"[(self.next() >> 32) as usize % 20]
    }

    /// Log-normal: a median of 300, a deviation of 0.7 in the logarithm; normal as the sum of twelve uniform numbers.
    fn length(&mut self) -> usize {
        let uniform = (0..12).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64);
        let normal = uniform.sum::<f64>() - 6.0;
        (300.0 * (0.7 * normal).exp()) as usize + 1
    }
}
