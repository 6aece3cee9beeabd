//! What is to be said of records that have rows.

use super::file::{Batch, FileLine};
use super::heads::Head;
use super::write_sheet;
use crate::error::Result;

/// The remarks that a line of the manifest lists.
#[derive(Debug, Default)]
pub struct Remarks {
    /// How many records they are on.
    pub records: u64,
    /// The sheet of them.
    pub files: Vec<FileLine>,
}

impl Remarks {
    /// Writes remarks, which are in ascending order of records; several may be on one.
    pub fn write(batch: &mut Batch, stem: &str, lines: &[(Head, String)]) -> Result<Self> {
        let records = lines.chunk_by(|(one, _), (other, _)| one.index == other.index);
        Ok(Self {
            records: records.count() as u64,
            files: write_sheet(batch, stem, "remarked", "remark", lines)?,
        })
    }
}
