//! Files of sequences, read as windows.
//!
//! A record is an id and a sequence. Whatever the file, its letters are made upper case (a soft-masked sequence means
//! its residues), white space inside is dropped, and so is one `*` at the end (a stop codon). A sequence that is empty
//! then stays a record: it fails alone, later.

mod bytes;
mod columns;
mod delimited;
mod fasta;
mod files;
mod parquet;
mod quotes;
mod residues;
mod source;

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::terminal;
use crate::window::{Strings, Window};
use files::File;

/// A longer id or sequence is not read: it is no protein, and memory has an end.
const MOST_BYTES: usize = 256 << 20;

/// How files are read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// By its content and its name, if none is given.
    pub format: Option<Format>,
    /// The column of sequences of a table; `sequence` or `seq`, in any case, if none is given.
    pub column: Option<String>,
    /// The column of ids of a table; `id` or `name`, in any case, if none is given.
    pub id_column: Option<String>,
}

/// What a file holds, once decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Fasta,
    /// With a line of column names.
    Csv,
    /// With a line of column names.
    Tsv,
    Parquet,
}

/// How much a window holds at most; one record always goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub records: usize,
    pub residues: usize,
}

/// The records of files, in order, as one input. May move between threads.
pub struct Input {
    /// Those that are not begun, the next one last.
    files: Vec<File>,
    options: Options,
    /// The file that is being read.
    open: Option<Open>,
    /// The record that was too long for the last window, if any.
    held: Window,
    windows: u64,
    position: u64,
    bytes_read: Arc<AtomicU64>,
    bytes_total: Option<u64>,
}

/// A file that is being read.
struct Open {
    file: File,
    records: Box<dyn Records>,
    /// Whether a record was found in it.
    any: bool,
}

/// The records of one file.
trait Records: Send {
    /// Adds the next record, or nothing at the end. Whether there was one. Not to be called again after an error.
    fn read(&mut self, ids: &mut Strings, sequences: &mut Strings) -> Result<bool>;
}

impl Input {
    /// Opens files, globs and `-` (stdin), in this order, as one input; the files of a glob by name. A path that
    /// exists is no glob. Every file that can be read twice is looked into, so that a wrong one is known before the
    /// run.
    pub fn open(paths: &[impl AsRef<OsStr>], options: &Options) -> Result<Self> {
        let mut files = files::find(paths)?;
        for file in files.iter().filter(|file| file.is_regular()) {
            file.open(options, Arc::default())?;
        }
        files.reverse();
        Ok(Self {
            bytes_total: files.iter().map(File::len).sum(),
            files,
            options: options.clone(),
            open: None,
            held: Window::default(),
            windows: 0,
            position: 0,
            bytes_read: Arc::default(),
        })
    }

    /// Begins the first file where it can be read once, so that a wrong one is known now; waits until it holds something.
    pub fn begin(&mut self) -> Result<()> {
        if self.files.last().is_some_and(|first| !first.is_regular()) {
            self.open = self.open_next()?;
        }
        Ok(())
    }

    /// Replaces the window's content by the next records: at most `limit.records`, and so many that their residues are
    /// at most `limit.residues`, but at least one. Whether there were any. Not to be called again after an error.
    pub fn fill(&mut self, window: &mut Window, limit: Limit) -> Result<bool> {
        window.clear();
        window.number = self.windows;
        window.first = self.position;
        while window.len() < limit.records.max(1) && self.read(window)? {
            if window.len() > 1 && window.residues() > limit.residues {
                self.held.push(
                    window.ids.get(window.len() - 1),
                    window.sequences.get(window.len() - 1),
                );
                window.pop();
                break;
            }
        }
        self.windows += u64::from(!window.is_empty());
        self.position += window.len() as u64;
        Ok(!window.is_empty())
    }

    /// Bytes of the files, as they lie there, that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of all files, as they lie there; none where a pipe is among them.
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// Adds the next record. Whether there was one.
    fn read(&mut self, window: &mut Window) -> Result<bool> {
        if !self.held.is_empty() {
            window.push(self.held.ids.get(0), self.held.sequences.get(0));
            self.held.clear();
            return Ok(true);
        }
        loop {
            if let Some(open) = &mut self.open {
                if open.records.read(&mut window.ids, &mut window.sequences)? {
                    open.any = true;
                    return Ok(true);
                }
                open.file.must_be_as_found()?;
                if !open.any {
                    terminal::warn(&format!("{} holds no sequence", open.file.name()));
                }
            }
            self.open = self.open_next()?;
            if self.open.is_none() {
                return Ok(false);
            }
        }
    }

    /// The next file, if there is one.
    fn open_next(&mut self) -> Result<Option<Open>> {
        let Some(file) = self.files.pop() else {
            return Ok(None);
        };
        Ok(Some(Open {
            records: file.open(&self.options, Arc::clone(&self.bytes_read))?,
            file,
            any: false,
        }))
    }
}

/// That a record of `name` is longer than what is read.
fn too_long(name: &str, unit: &str, number: u64) -> Error {
    Error::usage(format!(
        "{name}, {unit} {number}: the record is longer than the {} MiB that are read; \
         remove it, if it is meant to be one record at all",
        MOST_BYTES >> 20
    ))
}

/// XXH3, 128 bits, over the lengths and the bytes of the ids and the sequences: whether an input is what it was.
pub fn digest(window: &Window) -> u128 {
    let mut hash = Xxh3::new();
    for strings in [&window.ids, &window.sequences] {
        hash.update(&(strings.len() as u64).to_le_bytes());
        for string in strings.iter() {
            hash.update(&(string.len() as u64).to_le_bytes());
        }
        hash.update(strings.data());
    }
    hash.digest128()
}
