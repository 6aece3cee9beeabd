//! Columns of Parquet files: text or bytes; ids may be whole numbers, too. What is null is empty.

use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, RecordBatchReader, downcast_integer_array};
use arrow_schema::{DataType, Field};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

use super::columns::Columns;
use super::{MOST_BYTES, Options, Records, residues, too_long};
use crate::error::{Error, Result};
use crate::window::Strings;

/// Rows that are decoded at once.
const ROWS: usize = 1024;

/// The rows of a table as records.
pub struct Parquet {
    /// For messages.
    name: String,
    batches: ParquetRecordBatchReader,
    /// What was decoded last, and its row that comes next.
    batch: RecordBatch,
    next: usize,
    /// Where they are in a batch, and what they hold.
    id: (usize, Cells),
    sequence: (usize, Cells),
    progress: Progress,
}

/// What the cells of a column are.
#[derive(Clone, Copy)]
enum Cells {
    Text,
    Bytes,
    Integers,
}

impl Parquet {
    /// Reads the description of the table, at the file's end. `name` is for messages.
    pub fn new(
        file: File,
        options: &Options,
        bytes_read: Arc<AtomicU64>,
        name: String,
    ) -> Result<Self> {
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        // Without Arrow's own description text is text, and not one of several forms of it.
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let table = unwound(&name, || {
            ParquetRecordBatchReaderBuilder::try_new_with_options(file, plain)
        })?;
        let table = table.map_err(|error| damaged(&name, &error))?;

        must_be_readable(table.metadata(), &name)?;

        let schema = Arc::clone(table.schema());
        let names: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let Columns { id, sequence } = Columns::find(&names, options, &name)?;
        let id_cells = cells(schema.field(id), &name)?;
        let sequence_cells = match cells(schema.field(sequence), &name)? {
            Cells::Integers => return Err(no_text(schema.field(sequence), &name)),
            cells => cells,
        };
        let progress = Progress {
            rows: table.metadata().file_metadata().num_rows().max(1) as u64,
            rows_read: 0,
            bytes,
            counted: 0,
            bytes_read,
        };
        let columns = ProjectionMask::roots(table.parquet_schema(), [id, sequence]);
        let batches = unwound(&name, || {
            table.with_projection(columns).with_batch_size(ROWS).build()
        })?;
        let batches = batches.map_err(|error| damaged(&name, &error))?;
        Ok(Self {
            name,
            batch: RecordBatch::new_empty(batches.schema()),
            batches,
            next: 0,
            // A batch has the columns that are read, in the order of the table.
            id: (usize::from(id > sequence), id_cells),
            sequence: (usize::from(sequence > id), sequence_cells),
            progress,
        })
    }

    /// Decodes the rows that come next. Whether there were any.
    fn decode(&mut self) -> Result<bool> {
        match unwound(&self.name, || self.batches.next())? {
            Some(Ok(batch)) => {
                self.progress.add(batch.num_rows());
                self.batch = batch;
                self.next = 0;
                Ok(true)
            }
            Some(Err(error)) => Err(damaged(&self.name, &error)),
            None => Ok(false),
        }
    }
}

impl Records for Parquet {
    fn read(&mut self, ids: &mut Strings, sequences: &mut Strings) -> Result<bool> {
        while self.next == self.batch.num_rows() {
            if !self.decode()? {
                return Ok(false);
            }
        }
        for ((column, cells), strings) in [(self.id, &mut *ids), (self.sequence, &mut *sequences)] {
            cells.append(self.batch.column(column), self.next, strings);
            if strings.open().len() > MOST_BYTES {
                let row = self.progress.rows_read - (self.batch.num_rows() - self.next - 1) as u64;
                return Err(too_long(&self.name, "row", row));
            }
        }
        ids.end();
        residues::end(sequences);
        self.next += 1;
        Ok(true)
    }
}

impl Cells {
    /// Adds what a row holds to a string, nothing where that is null.
    fn append(self, column: &dyn Array, row: usize, string: &mut Strings) {
        if column.is_null(row) {
            return;
        }
        match self {
            Self::Text => string.append(column.as_string::<i32>().value(row).as_bytes()),
            Self::Bytes => string.append(column.as_binary::<i32>().value(row)),
            Self::Integers => downcast_integer_array!(
                column => string.append(column.value(row).to_string().as_bytes()),
                _ => {}
            ),
        }
    }
}

fn cells(column: &Field, table: &str) -> Result<Cells> {
    match column.data_type() {
        DataType::Utf8 => Ok(Cells::Text),
        DataType::Binary => Ok(Cells::Bytes),
        kind if kind.is_integer() => Ok(Cells::Integers),
        _ => Err(no_text(column, table)),
    }
}

fn no_text(column: &Field, table: &str) -> Error {
    Error::usage(format!(
        "{table}: the column `{}` is {}, and text is read; name another by --column or --id-column, or convert it",
        column.name(),
        column.data_type()
    ))
}

fn damaged(name: &str, error: &impl std::fmt::Display) -> Error {
    Error::usage(format!("{name} cannot be read as Parquet: {error}"))
}

/// Refuses a table whose compression is not read, before it is begun.
fn must_be_readable(table: &ParquetMetaData, name: &str) -> Result<()> {
    let columns = table.row_groups().iter().flat_map(|group| group.columns());
    for compression in columns.map(|column| column.compression()) {
        if let Compression::BROTLI(_) | Compression::LZO = compression {
            let kind = compression.to_string();
            let kind = kind.split('(').next().unwrap_or(&kind).to_lowercase();
            return Err(Error::usage(format!(
                "{name} is compressed by {kind}, which is not read; write it anew, with zstd, snappy, gzip or lz4"
            )));
        }
    }
    Ok(())
}

/// What `read` gives, or an error where it panics, as the crate does in some damaged files.
fn unwound<T>(name: &str, read: impl FnOnce() -> T) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| damaged(name, &"its reader stumbled over it"))
}

/// The share of a file's bytes that its rows so far stand for.
struct Progress {
    rows: u64,
    rows_read: u64,
    bytes: u64,
    counted: u64,
    bytes_read: Arc<AtomicU64>,
}

impl Progress {
    fn add(&mut self, rows: usize) {
        self.rows_read += rows as u64;
        let bytes =
            (u128::from(self.bytes) * u128::from(self.rows_read) / u128::from(self.rows)) as u64;
        self.bytes_read
            .fetch_add(bytes - self.counted, Ordering::Relaxed);
        self.counted = bytes;
    }
}
