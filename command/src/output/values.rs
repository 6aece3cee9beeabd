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

/// One output of a window that was just computed.
pub struct Fresh<'a> {
    pub values: &'a dyn Values,
    pub output: &'a str,
    /// The record of the window of each row.
    pub records: &'a [usize],
    pub stored: ValueType,
    /// Finite values that became infinite.
    pub overflowed: u64,
}

impl Source for Fresh<'_> {
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()> {
        let (_, row) = self.values.get(self.records[row], self.output);
        let row = &row[values];
        match self.stored {
            ValueType::Float32 => to.extend_from_slice(bytemuck::cast_slice(row)),
            ValueType::Float16 => self.overflowed += append_halves(row, to),
        }
        Ok(())
    }
}

/// Appends values rounded to 16 bits (to nearest, ties to even); returns how many finite ones became infinite.
fn append_halves(values: &[f32], to: &mut Vec<u8>) -> u64 {
    let mut halves = [f16::ZERO; CHUNK];
    let mut overflowed = 0;
    for chunk in values.chunks(CHUNK) {
        let halves = &mut halves[..chunk.len()];
        halves.convert_from_f32_slice(chunk);
        to.extend_from_slice(bytemuck::cast_slice(halves));
        overflowed += chunk
            .iter()
            .map(|&value| u32::from(overflows(value)))
            .sum::<u32>();
    }
    overflowed.into()
}

/// Whether a finite value rounds to an infinite half: 65520 lies midway between the largest half, 65504, and the next
/// that there would be, and goes to the even one, which is that.
fn overflows(value: f32) -> bool {
    (65520.0..f32::INFINITY).contains(&value.abs())
}

#[cfg(test)]
mod tests {
    use super::{append_halves, overflows};
    use half::f16;

    #[test]
    fn what_is_counted_is_what_became_infinite() {
        let around =
            (0..20_000_u32).map(|step| f32::from_bits(65519.0_f32.to_bits() - 10_000 + step));
        let values: Vec<f32> = around
            .flat_map(|value| [value, -value])
            .chain([f32::NAN, f32::INFINITY, 0.0])
            .collect();
        let mut bytes = Vec::new();
        let counted = append_halves(&values, &mut bytes);
        let became = |value: f32| value.is_finite() && f16::from_f32(value).is_infinite();
        assert!(
            values
                .iter()
                .all(|&value| overflows(value) == became(value))
        );
        assert_eq!(
            counted,
            values.iter().filter(|&&value| became(value)).count() as u64
        );
        let expected: Vec<u8> = values
            .iter()
            .flat_map(|&value| f16::from_f32(value).to_le_bytes())
            .collect();
        assert_eq!(bytes, expected);
    }
}
