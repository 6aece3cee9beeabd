//! The values of rows, as bytes of the type in which they are stored.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::run::ValueType;
use crate::error::Result;
use crate::rows::Values;

#[cfg(target_endian = "big")]
compile_error!("shards are little-endian, and values are written as they lie in memory");

/// Values that are handled at a time: few enough to stay in the first-level cache.
const CHUNK: usize = 4096;

/// Where the values of a shard's rows come from.
pub trait Source {
    /// Appends these values of a row, counted in row-major order, as they are stored.
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()>;
}

/// The values of no rows.
pub struct Nothing;

impl Source for Nothing {
    fn append(&mut self, _row: usize, _values: Range<usize>, _to: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

/// One output of a window that was just computed.
pub struct Fresh<'a> {
    pub values: &'a dyn Values,
    pub output: &'a str,
    /// The record of the window of each row.
    pub records: &'a [usize],
    pub stored: ValueType,
    /// Of each row.
    pub tallies: Vec<Tally>,
    /// Room for values on their way.
    pub halves: Vec<f16>,
}

/// Values of a row that are no use as numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not finite as the tool gave them: not a number, or infinite.
    pub not_finite: u64,
    /// Finite, and infinite as they are stored.
    pub overflowed: u64,
}

impl Source for Fresh<'_> {
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()> {
        let tally = &mut self.tallies[row];
        let (_, row) = self.values.get(self.records[row], self.output);
        for chunk in row[values].chunks(CHUNK) {
            match self.stored {
                ValueType::Float32 => to.extend_from_slice(bytemuck::cast_slice(chunk)),
                ValueType::Float16 => append_halves(chunk, &mut self.halves, to),
            }
            tally.add(chunk, self.stored);
        }
        Ok(())
    }
}

impl Tally {
    /// Adds values that are stored so. Of almost all chunks it is one comparison a value, several at a time.
    fn add(&mut self, values: &[f32], stored: ValueType) {
        let beyond = at_least(values, stored.limit());
        if beyond > 0 {
            let not_finite = at_least(values, f32::INFINITY);
            self.not_finite += not_finite;
            self.overflowed += beyond - not_finite;
        }
    }
}

/// How many values are so large, whatever their sign, or not a number: without their sign, the bits of floats are in
/// the order of their values, and those of what is not a number come last.
fn at_least(values: &[f32], limit: f32) -> u64 {
    let size = |value: &f32| value.to_bits() & 0x7FFF_FFFF;
    let limit = limit.to_bits();
    let large = values.iter().map(|value| u32::from(size(value) >= limit));
    large.sum::<u32>().into()
}

/// Appends values, rounded to 16 bits (to nearest, ties to even).
fn append_halves(values: &[f32], halves: &mut Vec<f16>, to: &mut Vec<u8>) {
    halves.resize(values.len(), f16::ZERO);
    halves.convert_from_f32_slice(values);
    to.extend_from_slice(bytemuck::cast_slice(halves.as_slice()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_is_not_finite_and_what_became_infinite() {
        let around =
            (0..20_000_u32).map(|step| f32::from_bits(65519.0_f32.to_bits() - 10_000 + step));
        let no_numbers = [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
        ];
        let values: Vec<f32> = around
            .flat_map(|value| [value, -value])
            .chain(no_numbers)
            .chain([0.0, -0.0, f32::MIN_POSITIVE / 2.0])
            .collect();
        let count =
            |what: fn(f32) -> bool| values.iter().filter(|&&value| what(value)).count() as u64;
        for stored in [ValueType::Float32, ValueType::Float16] {
            let mut tally = Tally::default();
            tally.add(&values, stored);
            let overflowed = match stored {
                ValueType::Float32 => 0,
                ValueType::Float16 => {
                    count(|value| value.is_finite() && f16::from_f32(value).is_infinite())
                }
            };
            let not_finite = count(|value| !value.is_finite());
            assert_eq!(
                tally,
                Tally {
                    not_finite,
                    overflowed
                }
            );
        }
        let mut bytes = Vec::new();
        for chunk in values.chunks(CHUNK) {
            append_halves(chunk, &mut Vec::new(), &mut bytes);
        }
        let expected: Vec<u8> = values
            .iter()
            .flat_map(|&value| f16::from_f32(value).to_le_bytes())
            .collect();
        assert_eq!(bytes, expected);
    }
}
