//! The rotary embedding's angles (Su et al. 2021, "RoFormer").

use super::simd::SLACK;

/// cos and sin of position·frequency, rows of `stride` numbers (the frequencies, padded), one row a position.
pub struct RotaryTable {
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
    pub(super) frequencies: Vec<f32>,
    pub(super) stride: usize,
}

impl RotaryTable {
    /// An empty table; [`RotaryTable::reach`] fills it.
    pub fn new(frequencies: Vec<f32>) -> Self {
        let stride = frequencies.len().next_multiple_of(SLACK);
        RotaryTable {
            cos: Vec::new(),
            sin: Vec::new(),
            frequencies,
            stride,
        }
    }

    /// Makes the table cover positions below `positions`.
    pub fn reach(&mut self, positions: usize) {
        for position in self.cos.len() / self.stride..positions {
            let angle = |i: usize| self.frequencies.get(i).map_or(0.0, |f| position as f32 * f);
            self.cos.extend((0..self.stride).map(|i| angle(i).cos()));
            self.sin.extend((0..self.stride).map(|i| angle(i).sin()));
        }
    }
}
