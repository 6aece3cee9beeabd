//! `toolpool bench`: this machine's figures, one table.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tempfile::NamedTempFile;
use toolpool::error::Result as Computed;
use toolpool::mem::{Field, Items};
use toolpool::plan::lpt::{SlotSpec, assign};
use toolpool::pool::{JobOptions, Pool};
use toolpool::report::words::whole;
use toolpool::tool::Tool;
use toolpool::tools::Opened;

use crate::args::{Bench, Computing, Isolation};
use crate::devices::aligned;
use crate::error::{Error, Result};
use crate::input::{Input, Limit, Options};
use crate::terminal::{self, Ending, Work};
use crate::tool::{self, refused};
use crate::window::Window;

/// A figure is the median of so many.
const ROUNDS: usize = 5;
/// Seconds that the model is measured for, about.
const SECONDS: f64 = 10.0;

struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
}

/// Measures and prints.
pub fn bench(arguments: &Bench) -> Result<Work<'_>> {
    let model = match &arguments.model {
        Some(model) => Some(open(model, &arguments.devices)?),
        None => None,
    };
    let pool = tool::pool(&arguments.devices)?;
    Ok(Box::new(move || measure(arguments, &pool, model)))
}

fn measure(arguments: &Bench, pool: &Pool, model: Option<Arc<dyn Tool>>) -> Result<Ending> {
    let mut figures = vec![lpt()?, through_the_pool(pool)?, one_item(pool)?, reading()?];
    match model {
        Some(model) => figures.push(residues(pool, &model)?),
        None => terminal::note("with -m MODEL, residues a second of that model are measured too"),
    }
    terminal::print(&match arguments.json {
        true => as_json(pool, &figures),
        false => as_text(pool, &figures),
    })
}

fn as_json(pool: &Pool, figures: &[Figure]) -> String {
    let slots: Vec<String> = pool
        .slots()
        .iter()
        .map(|slot| slot.device.to_string())
        .collect();
    let figures: Vec<_> = figures
        .iter()
        .map(|figure| json!({"what": figure.what, "value": figure.value, "unit": figure.unit}))
        .collect();
    format!("{:#}", json!({"slots": slots, "figures": figures}))
}

fn as_text(pool: &Pool, figures: &[Figure]) -> String {
    let slots: Vec<String> = pool
        .slots()
        .iter()
        .map(|slot| slot.device.to_string())
        .collect();
    let rows: Vec<[String; 3]> = figures
        .iter()
        .map(|figure| {
            let value = match figure.value {
                value if value < 1000.0 => format!("{value:.3}"),
                value => whole(value as u64),
            };
            [
                figure.what.to_owned(),
                format!("{value:>12}"),
                figure.unit.to_owned(),
            ]
        })
        .collect();
    format!("slots: {}\n{}", slots.join(", "), aligned(&rows))
}

/// The median of the seconds that something takes.
fn seconds(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        work()?;
        times.push(began.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

fn lpt() -> Result<Figure> {
    const ITEMS: usize = 1_000_000;
    let mut random = Random::default();
    let costs: Vec<f64> = (0..ITEMS).map(|_| random.length() as f64).collect();
    let slot = SlotSpec {
        weight: 1.0,
        max_cost: f64::INFINITY,
    };
    let seconds = seconds(|| assign(&costs, &[slot; 8]).map(|_| ()).map_err(refused))?;
    Ok(Figure {
        what: "static LPT, 1M items on 8 slots",
        value: seconds / ITEMS as f64 * 1e9,
        unit: "ns an item",
    })
}

fn through_the_pool(pool: &Pool) -> Result<Figure> {
    const ITEMS: usize = 200_000;
    let mut random = Random::default();
    let sequences: Vec<Vec<u8>> = (0..ITEMS).map(|_| random.sequence(200)).collect();
    let (items, echo) = (of(&sequences).map_err(refused)?, echo()?);
    let seconds = seconds(|| run(pool, &echo, &items))?;
    Ok(Figure {
        what: "200,000 distinct items of 200 bytes through a tool that copies",
        value: seconds / ITEMS as f64 * 1e9,
        unit: "ns an item",
    })
}

fn one_item(pool: &Pool) -> Result<Figure> {
    let (items, echo) = (of(&[b"MKT".to_vec()]).map_err(refused)?, echo()?);
    run(pool, &echo, &items)?;
    Ok(Figure {
        what: "a warm run of one item",
        value: seconds(|| run(pool, &echo, &items))? * 1e6,
        unit: "µs",
    })
}

fn reading() -> Result<Figure> {
    const RECORDS: usize = 200_000;
    let mut random = Random::default();
    let mut file = NamedTempFile::new()
        .map_err(|reason| Error::new(format!("cannot make a temporary file: {reason}")))?;
    let mut text = Vec::new();
    for number in 0..RECORDS {
        text.extend(format!(">record{number}\n").bytes());
        let length = random.length();
        for line in random.sequence(length).chunks(60) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }
    file.write_all(&text)
        .map_err(Error::file("write", file.path()))?;
    let path = file.path().display().to_string();
    let options = Options {
        format: Some(crate::input::Format::Fasta),
        ..Options::default()
    };
    let limit = Limit {
        records: 65_536,
        residues: 8 << 20,
    };
    let seconds = seconds(|| {
        let mut input = Input::open(std::slice::from_ref(&path), &options)?;
        let mut window = Window::default();
        while input.fill(&mut window, limit)? {}
        Ok(())
    })?;
    Ok(Figure {
        what: "reading a FASTA, one thread",
        value: text.len() as f64 / seconds / 1e6,
        unit: "MB/s",
    })
}

fn open(model: &str, devices: &str) -> Result<Arc<dyn Tool>> {
    let computing = Computing {
        devices: devices.to_owned(),
        dtype: None,
        isolation: Isolation::None,
        set: Vec::new(),
    };
    Ok(tool::open("esm2", model, &computing, &[])?.tool())
}

/// Means of a model over proteins of log-normal length.
fn residues(pool: &Pool, tool: &Arc<dyn Tool>) -> Result<Figure> {
    pool.warm(Arc::clone(tool)).map_err(refused)?;
    let mut random = Random::default();
    let mut count = 16 * pool.slots().len();
    loop {
        let lengths: Vec<usize> = (0..count).map(|_| random.length()).collect();
        let sequences: Vec<Vec<u8>> = lengths
            .iter()
            .map(|&length| random.sequence(length))
            .collect();
        let items = of(&sequences).map_err(refused)?;
        let began = Instant::now();
        run(pool, tool, &items)?;
        let seconds = began.elapsed().as_secs_f64();
        if seconds > SECONDS / 3.0 {
            return Ok(Figure {
                what: "means of the model over proteins of log-normal length",
                value: lengths.iter().sum::<usize>() as f64 / seconds,
                unit: "residues/s",
            });
        }
        count = (count as f64 * (SECONDS / seconds.max(SECONDS / 64.0))) as usize;
    }
}

fn echo() -> Result<Arc<dyn Tool>> {
    let opened = Opened::open("echo", "", &toolpool::ffi::batch::HOST).map_err(refused)?;
    Ok(opened.tool())
}

fn of(sequences: &[Vec<u8>]) -> Computed<Arc<Items>> {
    let field = Field::copied("sequence", sequences.iter().map(Vec::as_slice))?;
    Ok(Arc::new(Items::new(field)))
}

fn run(pool: &Pool, tool: &Arc<dyn Tool>, items: &Arc<Items>) -> Result<()> {
    let job = pool
        .submit(Arc::clone(tool), Arc::clone(items), &JobOptions::default())
        .map_err(refused)?;
    let _ = job.wait(None);
    job.results().map(|_| ()).map_err(refused)
}

/// SplitMix64 (G. L. Steele and others, OOPSLA 2014), so that every run measures the same.
#[derive(Default)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Residues: log-normal, median 250, σ 0.6, from 20 to 1,000. Twelve uniform numbers add up to about a normal one.
    fn length(&mut self) -> usize {
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        (250.0 * (0.6 * normal).exp()).clamp(20.0, 1000.0) as usize
    }

    fn sequence(&mut self, length: usize) -> Vec<u8> {
        const LETTERS: &[u8; 20] = b"ACDEFGHIKLMNPQRSTVWY";
        (0..length)
            .map(|_| LETTERS[(self.next() % 20) as usize])
            .collect()
    }
}
