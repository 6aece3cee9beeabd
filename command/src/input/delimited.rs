//! Tables as text: CSV and TSV, with a first line of column names. Cells may stand in double quotes (RFC 4180).

use std::io::{self, Read};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::bytes::{Bytes, unreadable};
use super::columns::Columns;
use super::{MOST_BYTES, Options, Records, residues, too_long};
use crate::error::{Error, Result};
use crate::window::Strings;

/// The rows of a table as records.
pub struct Delimited {
    /// For messages.
    name: String,
    rows: Reader<Bounded>,
    row: ByteRecord,
    columns: Columns,
}

impl Delimited {
    /// Reads the names of the columns. `name` is for messages.
    pub fn new(bytes: Bytes, delimiter: u8, options: &Options, name: String) -> Result<Self> {
        let bounded = Bounded {
            bytes,
            left: MOST_BYTES,
        };
        let mut rows = ReaderBuilder::new()
            .delimiter(delimiter)
            .from_reader(bounded);
        let names = rows.byte_headers().map_err(|error| wrong(&name, error))?;
        let names: Vec<_> = names
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        Ok(Self {
            columns: Columns::find(&names, options, &name)?,
            rows,
            row: ByteRecord::new(),
            name,
        })
    }
}

impl Records for Delimited {
    fn read(&mut self, ids: &mut Strings, sequences: &mut Strings) -> Result<bool> {
        self.rows.get_mut().left = MOST_BYTES;
        let line = self.rows.position().line();
        match self.rows.read_byte_record(&mut self.row) {
            Ok(true) => {
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

fn wrong(name: &str, error: csv::Error) -> Error {
    let message = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(error) => unreadable(name, &error),
        _ => Error::new(format!(
            "{name} is no table: {message}; quote cells that hold the delimiter"
        )),
    }
}

/// Bytes that end in an error when more are read than are `left`: a quote that is never closed would fill the memory.
struct Bounded {
    bytes: Bytes,
    left: usize,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let most = buffer.len().min(self.left);
        let count = self.bytes.read(&mut buffer[..most])?;
        self.left -= count;
        Ok(count)
    }
}
