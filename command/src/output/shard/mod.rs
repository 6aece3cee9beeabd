//! A shard: one output of some records, in files that are written once and read back for copies.

mod flat;
mod npy;
mod pages;
mod parquet;
mod safetensors;

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file::{Batch, FileLine};
use super::heads::Heads;
use super::run::{Format, Layout, Output, Run};
use super::values::Source;
use crate::error::Result;

pub use parquet::Index;

/// A shard as the manifest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardLine {
    pub output: String,
    pub rows: u64,
    /// The dimensions that all records of the run have alike.
    pub inner: Vec<usize>,
    /// Finite values that became infinite in 16 bits.
    pub overflowed: u64,
    /// What holds the values, then what else there is.
    pub files: Vec<FileLine>,
}

/// All about the rows of a shard but their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    pub heads: Heads,
    pub shapes: Shapes,
}

/// The shapes of the rows of a shard: dimensions of their own, then those that all have alike ([`Layout::split`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes {
    /// How many dimensions of its own a row has.
    rank: usize,
    outer: Vec<usize>,
    pub inner: Vec<usize>,
}

impl Shapes {
    /// For no rows yet.
    pub fn new(rank: usize, inner: &[usize]) -> Self {
        Self {
            rank,
            outer: Vec::new(),
            inner: inner.to_owned(),
        }
    }

    /// Adds a row; its own dimensions must be `rank`.
    pub fn push(&mut self, outer: &[usize]) {
        debug_assert_eq!(outer.len(), self.rank);
        self.outer.extend_from_slice(outer);
    }

    /// How many dimensions of its own a row has.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// A row's own dimensions.
    pub fn outer(&self, row: usize) -> &[usize] {
        &self.outer[row * self.rank..(row + 1) * self.rank]
    }

    /// How many rows of the shard's matrix a row takes.
    pub fn height(&self, row: usize) -> usize {
        self.outer(row).iter().product()
    }

    /// How many values a row of the shard's matrix has.
    pub fn width(&self) -> usize {
        self.inner.iter().product()
    }

    /// How many values a row has.
    pub fn values(&self, row: usize) -> usize {
        self.height(row) * self.width()
    }
}

/// Writes a shard, `stem` naming its files in the output's folder.
pub fn write(
    batch: &mut Batch,
    run: &Run,
    output: &Output,
    stem: &str,
    frame: &Frame,
    source: &mut dyn Source,
) -> Result<ShardLine> {
    let name = |extension| format!("{}/{stem}.{extension}", output.name);
    let files = match (run.format, output.layout) {
        (Format::Parquet, Layout::Row) => {
            let (file, ()) = batch.write(&name("parquet"), |draft| {
                parquet::write(draft, frame, run.values, source)
            })?;
            vec![file]
        }
        (Format::Parquet, Layout::Matrix | Layout::Ragged) => {
            let (file, ()) = batch.write(&name("safetensors"), |draft| {
                safetensors::write(draft, frame, run.values, source)
            })?;
            vec![file]
        }
        (Format::Npy, _) => {
            let (values, ()) = batch.write(&name("npy"), |draft| {
                npy::write_values(draft, frame, run.values, source)
            })?;
            let (sheet, ()) = batch.write(&name("tsv"), |draft| npy::write_sheet(draft, frame))?;
            vec![values, sheet]
        }
    };
    Ok(ShardLine {
        output: output.name.clone(),
        rows: frame.heads.len() as u64,
        inner: frame.shapes.inner.clone(),
        overflowed: 0,
        files,
    })
}

/// A shard that is read back.
pub enum Shard {
    Parquet(parquet::Reader),
    Flat(flat::Reader),
}

impl Shard {
    pub fn open(directory: &Path, run: &Run, line: &ShardLine) -> Result<Self> {
        let files: Vec<_> = line
            .files
            .iter()
            .map(|file| directory.join(&file.name))
            .collect();
        let layout = run
            .outputs
            .iter()
            .find(|output| output.name == line.output)
            .map(|output| output.layout);
        match (files.as_slice(), layout) {
            ([values, sheet], Some(layout)) => {
                npy::open(values, sheet, run.values, layout, &line.inner).map(Self::Flat)
            }
            ([table], Some(Layout::Row)) => {
                parquet::Reader::open(table, &line.inner).map(Self::Parquet)
            }
            ([tensors], Some(_)) => {
                safetensors::open(tensors, run.values, &line.inner).map(Self::Flat)
            }
            _ => Err(crate::error::Error::new(format!(
                "{} lists files of an output {:?} that this run does not have; restore it, or start anew with --force",
                directory.join(super::manifest::NAME).display(),
                line.output
            ))),
        }
    }

    pub fn frame(&self) -> &Frame {
        match self {
            Self::Parquet(reader) => &reader.frame,
            Self::Flat(reader) => &reader.frame,
        }
    }
}

impl Source for Shard {
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Parquet(reader) => reader.append(row, values, to),
            Self::Flat(reader) => reader.append(row, values, to),
        }
    }
}
