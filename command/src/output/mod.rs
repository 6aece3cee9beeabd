//! Rows to a directory: shards, the manifest that makes them count, and what is done with finished directories.
//!
//! See docs/output.md for the files.

mod run;

use std::path::{Path, PathBuf};

pub use run::{Format, Layout, Output, Part, Run, ValueType};

use crate::error::Result;
use crate::rows::Rows;

/// A window whose shards are durable: a line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowLine {
    pub number: u64,
    /// The position in the whole input of its first record.
    pub first: u64,
    /// How many records of the input it spans.
    pub count: u64,
    /// As in [`Rows`].
    pub digest: u128,
    /// How many of its records have rows, failed, and wait for [`Directory::duplicates`].
    pub done: u64,
    pub failed: u64,
    pub same: u64,
}

/// What a window took on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub bytes: u64,
    /// Finite values that became infinite in 16 bits.
    pub overflowed: u64,
}

/// What a directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub rows: u64,
    pub failed: u64,
}

/// Files that [`Directory::finish`] writes beside the shards, by name: `report.json`, `trace.json`, `timeline.svg`.
pub type Summary = Vec<(&'static str, Vec<u8>)>;

/// The output directory of a run; it is this process's alone until it is dropped.
pub struct Directory {
    finished: Vec<WindowLine>,
}

impl Directory {
    /// Creates it, or goes on with it, or with `force` empties it of what an earlier run wrote.
    ///
    /// Refused are a directory that another process has open, one of a different run (the error has a line for each
    /// difference), and one that holds files and no manifest. Nothing needs to be computed to learn this.
    pub fn open(_path: &Path, _run: &Run, _force: bool) -> Result<Self> {
        unimplemented!()
    }

    /// What was found damaged and will be done again, in words.
    pub fn notes(&self) -> &[String] {
        unimplemented!()
    }

    /// The windows that need not be done again, by number. There may be gaps.
    pub fn finished(&self) -> &[WindowLine] {
        &self.finished
    }

    /// How many records window `number` must have to meet the next finished window; `None` where none follows. `first` is
    /// the position of its first record.
    pub fn cut(&self, _number: u64, _first: u64) -> Option<u64> {
        unimplemented!()
    }

    /// Writes the rows of a window; they are durable when it returns. Windows may come in any order.
    ///
    /// A window that is finished already may come again with the records that [`Self::duplicates`] gave back, all others
    /// [`crate::rows::Outcome::Elsewhere`]. After an error nothing of the window is left but what a later `open` cleans up.
    pub fn write(&mut self, _rows: &Rows) -> Result<Written> {
        unimplemented!()
    }

    /// Once all windows are finished: gives the records that are [`crate::rows::Outcome::Same`] rows of their own. Returns
    /// the positions of those that prove different from their record (their 64-bit hashes collide) and have to be computed.
    pub fn duplicates(&mut self) -> Result<Vec<u64>> {
        unimplemented!()
    }

    /// Puts the rows of all shards into input order. To be called after [`Self::duplicates`].
    pub fn sort(&mut self) -> Result<()> {
        unimplemented!()
    }

    /// What is in the directory so far.
    pub fn totals(&self) -> Totals {
        unimplemented!()
    }

    /// Ends the run: writes `summary`, `failures.tsv`, and the indexes of ragged outputs.
    pub fn finish(self, _summary: &Summary) -> Result<Totals> {
        unimplemented!()
    }
}

/// Joins the finished directories of all parts of one run, in any order, into a new one: hard links where the file system
/// has them, else copies.
pub fn merge(_parts: &[PathBuf], _into: &Path) -> Result<Totals> {
    unimplemented!()
}

/// Puts the rows of a finished directory into input order.
pub fn sort(_path: &Path) -> Result<()> {
    unimplemented!()
}

/// Reads every shard and compares it with its checksum; returns a line for each that is damaged or missing.
pub fn verify(_path: &Path) -> Result<Vec<String>> {
    unimplemented!()
}
