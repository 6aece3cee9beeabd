//! Values that lie in a file one behind the other.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Frame, Shapes};
use crate::error::{Error, Result};
use crate::output::file::Draft;
use crate::output::run::ValueType;
use crate::output::values::Source;

/// Bytes that are written at a time: few enough to stay in the second-level cache between conversion, checksum and
/// write.
const WRITE: usize = 1 << 20;

/// Values that are asked for at a time.
const PIECE: usize = 1 << 16;

/// Writes the values of all rows.
pub fn write(draft: &mut Draft, frame: &Frame, source: &mut dyn Source) -> Result<()> {
    let mut bytes = Vec::with_capacity(WRITE + PIECE * size_of::<f32>());
    for row in 0..frame.heads.len() {
        let values = frame.shapes.values(row);
        for start in (0..values).step_by(PIECE) {
            source.append(row, start..values.min(start + PIECE), &mut bytes)?;
            if bytes.len() >= WRITE {
                draft.put(&bytes)?;
                bytes.clear();
            }
        }
    }
    draft.put(&bytes)
}

/// Where the rows of the matrix of a shard begin, and the end of the last.
pub fn offsets(shapes: &Shapes, rows: usize) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut end = 0;
    offsets.push(end);
    for row in 0..rows {
        end += shapes.height(row);
        offsets.push(end);
    }
    offsets
}

/// Reads values from where they lie.
pub struct Reader {
    pub frame: Frame,
    file: File,
    path: PathBuf,
    /// The position in the file of each row's values.
    begins: Vec<u64>,
    stored: ValueType,
}

impl Reader {
    /// For values that begin at `base` of a file.
    pub fn new(file: File, path: &Path, base: u64, frame: Frame, stored: ValueType) -> Self {
        let row_bytes = (frame.shapes.width() * stored.size()) as u64;
        let begins = offsets(&frame.shapes, frame.heads.len())
            .into_iter()
            .map(|offset| base + offset as u64 * row_bytes)
            .collect();
        Self {
            frame,
            file,
            path: path.to_owned(),
            begins,
            stored,
        }
    }
}

impl Source for Reader {
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()> {
        let size = self.stored.size();
        let end = to.len();
        to.resize(end + values.len() * size, 0);
        let at = self.begins[row] + (values.start * size) as u64;
        self.file
            .read_exact_at(&mut to[end..], at)
            .map_err(Error::file("read", &self.path))
    }
}
