//! The values of a Parquet file, as a column chunk that is encoded here.
//!
//! The library encodes value by value, and halves as byte strings of two bytes each. Here all lists are of one length and
//! nothing is null: levels are runs that are known before, and PLAIN values are the bytes as they are stored. The format
//! is that of data pages, version 1: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::parquet::because;
use crate::error::Result;
use crate::output::values::Source;

/// Bytes of values in a page: few enough to stay in the second-level cache until they are in the chunk.
const PAGE: usize = 1 << 20;

/// A column chunk, and what its file says about it.
pub type Chunk = (Bytes, ColumnCloseResult);

/// Takes rows, of so many values of so many bytes each, from their source; `path` is for errors.
pub fn chunk(
    path: &Path,
    column: ColumnDescPtr,
    rows: Range<usize>,
    (width, size): (usize, usize),
    source: &mut dyn Source,
) -> Result<Chunk> {
    let row_bytes = (width * size).max(1);
    let step = (PAGE / row_bytes).max(1);
    // Beside the values, some bytes a row of levels, and a header a page.
    let expected = rows.len() * (row_bytes + 16) + (rows.len() / step + 1) * 64;
    let mut chunk = TrackedWrite::new(Vec::with_capacity(expected));
    for begin in rows.clone().step_by(step) {
        let of_page = begin..rows.end.min(begin + step);
        let mut page = levels(of_page.len(), width);
        page.reserve(of_page.len() * row_bytes);
        let entries = of_page.len() * width.max(1);
        for row in of_page {
            source.append(row, 0..width, &mut page)?;
        }
        add(&mut chunk, page, entries).map_err(|error| because("write", path, error))?;
    }
    let entries = rows.len() * width.max(1);
    end(chunk, column, rows.len(), entries).map_err(|error| because("write", path, error))
}

fn add(
    chunk: &mut TrackedWrite<Vec<u8>>,
    page: Vec<u8>,
    entries: usize,
) -> Result<(), ParquetError> {
    let bytes = page.len();
    let page = Page::DataPage {
        buf: page.into(),
        num_values: entries as u32,
        encoding: Encoding::PLAIN,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    let page = CompressedPage::new(page, bytes);
    SerializedPageWriter::new(chunk).write_page(page).map(drop)
}

fn end(
    chunk: TrackedWrite<Vec<u8>>,
    column: ColumnDescPtr,
    rows: usize,
    entries: usize,
) -> Result<Chunk, ParquetError> {
    let bytes = Bytes::from(chunk.into_inner()?);
    let metadata = ColumnChunkMetaData::builder(column)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
        .set_num_values(entries as i64)
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(bytes.len() as i64)
        .set_data_page_offset(0)
        .build()?;
    let about = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok((bytes, about))
}

/// The repetition and definition levels of lists of one length: the first value of each begins a list (0), the others
/// go on with it (1), and all are there (1). An empty list has one entry, which is not there (0).
fn levels(rows: usize, width: usize) -> Vec<u8> {
    let mut list = Vec::new();
    run(&mut list, 1, 0);
    if width > 1 {
        run(&mut list, width - 1, 1);
    }
    let mut there = Vec::new();
    run(&mut there, rows * width.max(1), u8::from(width > 0));

    let mut levels = Vec::new();
    for encoded in [list.repeat(rows), there] {
        levels.extend((encoded.len() as u32).to_le_bytes());
        levels.extend(encoded);
    }
    levels
}

/// A run of one level, in the encoding RLE: twice its length, seven bits a byte, the lowest first; then the level.
fn run(to: &mut Vec<u8>, length: usize, level: u8) {
    let mut header = length << 1;
    while header >= 0x80 {
        to.push(header as u8 | 0x80);
        header >>= 7;
    }
    to.extend([header as u8, level]);
}
