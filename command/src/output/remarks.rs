//! What is to be said of records that have rows.

use super::file::{Batch, FileLine};
use super::heads::Head;
use super::values::Tally;
use super::write_sheet;
use crate::error::Result;

/// How remarks on such values begin.
const NOT_FINITE: &str = "values that are not finite: ";
const OVERFLOWED: &str = "finite values that became infinite in fp16: ";

/// The remarks that a line of the manifest lists.
#[derive(Debug, Default)]
pub struct Remarks {
    /// How many records they are on.
    pub records: u64,
    /// On how many of them because of values that are not finite.
    pub not_finite: u64,
    /// The sheet of them.
    pub files: Vec<FileLine>,
}

impl Remarks {
    /// Writes remarks, which are in ascending order of records; several may be on one.
    pub fn write(batch: &mut Batch, stem: &str, lines: &[(Head, String)]) -> Result<Self> {
        let records = lines.chunk_by(|(one, _), (other, _)| one.index == other.index);
        let not_finite = lines
            .iter()
            .filter(|(_, remark)| remark.starts_with(NOT_FINITE));
        Ok(Self {
            records: records.count() as u64,
            not_finite: not_finite.count() as u64,
            files: write_sheet(batch, stem, "remarked", "remark", lines)?,
        })
    }
}

/// What is to be said of the values of a row, of which each output has a tally; at most one remark of a kind.
pub fn on_values(tallies: &[(&str, Tally)]) -> Vec<String> {
    let remark = |kind: &str, count: fn(&Tally) -> u64| {
        let outputs = tallies.iter().map(|(output, tally)| (output, count(tally)));
        let outputs = outputs.filter(|(_, values)| *values > 0);
        let words: Vec<_> = outputs
            .map(|(output, values)| format!("{values} of {output}"))
            .collect();
        (!words.is_empty()).then(|| format!("{kind}{}", words.join(", ")))
    };
    let not_finite = remark(NOT_FINITE, |tally| tally.not_finite);
    let overflowed = remark(OVERFLOWED, |tally| tally.overflowed);
    not_finite.into_iter().chain(overflowed).collect()
}
