//! Tables as text: CSV and TSV, with a first line of column names. Cells of a CSV may stand in double quotes (RFC 4180);
//! a quote in a TSV is a letter (as IANA registered text/tab-separated-values).

use std::io::{self, Read};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::bytes::{Bytes, unreadable, without_mark};
use super::columns::Columns;
use super::quotes::{Quotes, Unclosed};
use super::{MOST_BYTES, Options, Records, residues, too_long};
use crate::error::{Error, Result};
use crate::window::Strings;

/// The rows of a table as records.
pub struct Delimited {
    /// For messages.
    name: String,
    rows: Reader<Watched>,
    row: ByteRecord,
    columns: Columns,
}

impl Delimited {
    /// Reads the names of the columns of a CSV. `name` is for messages.
    pub fn csv(bytes: Bytes, options: &Options, name: String) -> Result<Self> {
        Self::new(bytes, b',', Some(Quotes::new()), options, name)
    }

    /// As [`Self::csv`], of a TSV.
    pub fn tsv(bytes: Bytes, options: &Options, name: String) -> Result<Self> {
        Self::new(bytes, b'\t', None, options, name)
    }

    fn new(
        bytes: Bytes,
        delimiter: u8,
        quotes: Option<Quotes>,
        options: &Options,
        name: String,
    ) -> Result<Self> {
        let mut rows = ReaderBuilder::new();
        rows.delimiter(delimiter).quoting(quotes.is_some());
        let mut rows = rows.from_reader(Watched {
            bytes: without_mark(bytes, &name)?,
            left: MOST_BYTES,
            quotes,
            unclosed: None,
        });
        let names = rows.byte_headers().map(|names| {
            let names = names.iter();
            names
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect::<Vec<_>>()
        });
        must_be_closed(&rows, &name)?;
        let names = names.map_err(|error| wrong(&name, error))?;
        Ok(Self {
            columns: Columns::find(&names, options, &name)?,
            rows,
            row: ByteRecord::new(),
            name,
        })
    }

    /// Refuses what a cell that is read holds where a quote stands that does not belong there.
    fn check(&self, line: u64) -> Result<()> {
        let Columns { id, sequence } = self.columns;
        let breaks = |column: usize| self.row[column].iter().any(|byte| b"\r\n".contains(byte));
        let refused = |what: &str| Err(Error::usage(format!("{}, line {line}: {what}", self.name)));
        if breaks(id) || breaks(sequence) {
            return refused(
                "a line ends inside of an id or a sequence: close the quote before it, or write each in one line",
            );
        }
        if self.row[sequence].contains(&b'"') {
            return refused(
                "the sequence holds a quote, which is a letter in a TSV: write the table without, or as CSV",
            );
        }
        Ok(())
    }
}

impl Records for Delimited {
    fn read(&mut self, ids: &mut Strings, sequences: &mut Strings) -> Result<bool> {
        self.rows.get_mut().left = MOST_BYTES;
        let line = self.rows.position().line();
        let read = self.rows.read_byte_record(&mut self.row);
        must_be_closed(&self.rows, &self.name)?;
        match read {
            Ok(true) => {
                self.check(line)?;
                ids.push(&self.row[self.columns.id]);
                sequences.append(&self.row[self.columns.sequence]);
                residues::end(sequences);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(_) if self.rows.get_ref().left == 0 => Err(too_long(&self.name, "line", line)),
            Err(error) => Err(wrong(&self.name, error)),
        }
    }
}

fn must_be_closed(rows: &Reader<Watched>, name: &str) -> Result<()> {
    match rows.get_ref().unclosed {
        None => Ok(()),
        Some(Unclosed(line)) => Err(Error::usage(format!(
            "{name}, line {line}: a quote begins a cell, and none ends it before a comma or the end of a line; close \
             it, or double the quotes inside of a quoted cell"
        ))),
    }
}

fn wrong(name: &str, error: csv::Error) -> Error {
    let message = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(error) => unreadable(name, &error),
        _ => Error::usage(format!(
            "{name} is no table: {message}; quote cells that hold the delimiter"
        )),
    }
}

/// Bytes whose quotes are watched, and which end in an error when more are read than are `left`: a quote that is never
/// closed would fill the memory.
struct Watched {
    bytes: Bytes,
    left: usize,
    quotes: Option<Quotes>,
    unclosed: Option<Unclosed>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let most = buffer.len().min(self.left);
        let count = self.bytes.read(&mut buffer[..most])?;
        self.left -= count;
        if let Some(quotes) = &mut self.quotes {
            let passed = match count {
                0 => quotes.end(),
                _ => quotes.pass(&buffer[..count]),
            };
            self.unclosed = self.unclosed.or(passed.err());
        }
        Ok(count)
    }
}
