//! A matrix as NumPy writes it, and a sheet beside it that says whose its rows are.
//!
//! The format is that of numpy.lib.format, version 1.0. Crates for it write value by value, and none gives a checksum
//! on the way, so the header is made here.

use std::fs::File;
use std::path::Path;

use super::{Frame, Shapes, flat};
use crate::error::{Error, Result};
use crate::output::file::Draft;
use crate::output::run::{Layout, ValueType};
use crate::output::sheet;
use crate::output::values::Source;

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// A header ends at a multiple of this.
const ALIGNMENT: usize = 64;

pub fn write_values(
    draft: &mut Draft,
    frame: &Frame,
    stored: ValueType,
    source: &mut dyn Source,
) -> Result<()> {
    draft.put(&header(frame, stored))?;
    flat::write(draft, frame, source)
}

fn header(frame: &Frame, stored: ValueType) -> Vec<u8> {
    let descr = match stored {
        ValueType::Float32 => "<f4",
        ValueType::Float16 => "<f2",
    };
    let rows: usize = (0..frame.heads.len())
        .map(|row| frame.shapes.height(row))
        .sum();
    let dimensions: Vec<_> = std::iter::once(rows)
        .chain(frame.shapes.inner.iter().copied())
        .map(|size| size.to_string())
        .collect();
    let comma = if dimensions.len() == 1 { "," } else { "" };
    let shape = dimensions.join(", ");
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}{comma}), }}");
    let begin = MAGIC.len() + size_of::<u16>();
    let padded = (begin + text.len() + 1).next_multiple_of(ALIGNMENT) - begin;
    text.extend(std::iter::repeat_n(' ', padded - 1 - text.len()));
    text.push('\n');
    // A few dimensions: far below the 65,535 bytes that the format has room for.
    [MAGIC, &(padded as u16).to_le_bytes(), text.as_bytes()].concat()
}

/// A line for each row: whose it is, and its shape, as in `57x320`.
pub fn write_sheet(draft: &mut Draft, frame: &Frame) -> Result<()> {
    let shape = |row| {
        let dimensions = frame.shapes.outer(row).iter().chain(&frame.shapes.inner);
        dimensions
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join("x")
    };
    let lines = (0..frame.heads.len()).map(|row| (frame.heads.get(row), shape(row)));
    sheet::write(draft, "shape", lines)
}

pub fn open(
    values: &Path,
    sheet: &Path,
    stored: ValueType,
    layout: Layout,
    inner: &[usize],
) -> Result<flat::Reader> {
    let frame = read_sheet(sheet, layout, inner)?;
    let base = header(&frame, stored).len() as u64;
    let file = File::open(values).map_err(Error::file("read", values))?;
    Ok(flat::Reader::new(file, values, base, frame, stored))
}

fn read_sheet(path: &Path, layout: Layout, inner: &[usize]) -> Result<Frame> {
    let mut frame: Option<Frame> = None;
    for line in sheet::read(path)? {
        let line = line?;
        let shape: Vec<usize> = line
            .last
            .split('x')
            .filter(|dimension| !dimension.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| sheet::damaged(path, &line.last))?;
        let (outer, found) = layout.split(&shape);
        let frame = frame.get_or_insert_with(|| Frame {
            shapes: Shapes::new(outer.len(), inner),
            ..Frame::default()
        });
        if found != inner || outer.len() != frame.shapes.rank() {
            return Err(sheet::damaged(path, &line.last));
        }
        frame.shapes.push(outer);
        frame.heads.push(line.head());
    }
    Ok(frame.unwrap_or_default())
}
