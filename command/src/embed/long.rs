//! Sequences that are longer than a model takes: in windows that overlap, averaged where they do.
//!
//! A residue that several windows hold has the average of what they say of it. The mean of a sequence is that of its
//! residues; its `bos` is the average of the windows'.

use std::ops::Range;

use crate::error::{Error, Result};

/// How long sequences are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pieces {
    most: usize,
    overlap: usize,
}

impl Pieces {
    /// Pieces of `most` residues, each with the last `overlap` of the one before.
    pub fn new(most: u32, overlap: u32) -> Result<Self> {
        if overlap >= most {
            return Err(Error::usage(format!(
                "windows of {most} residues cannot overlap by {overlap}; --overlap must be less than --max-length"
            )));
        }
        Ok(Self {
            most: most as usize,
            overlap: overlap as usize,
        })
    }

    /// Whether a sequence of this length is cut.
    #[must_use]
    pub fn cut(&self, length: usize) -> bool {
        length > self.most
    }

    /// How many pieces there are at most for so many residues of a sequence as a piece has: one that is just too long has
    /// two, a longer one about one a step.
    pub fn density(&self) -> usize {
        let Self { most, overlap } = *self;
        most.div_ceil(most - overlap).max(2)
    }

    /// The pieces of a sequence that is cut. All are of the same length: the last begins earlier where it must.
    pub fn of(&self, length: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let Self { most, overlap } = *self;
        let last = length - most;
        let step = most - overlap;
        (0..=last.div_ceil(step)).map(move |number| {
            let begin = (number * step).min(last);
            begin..begin + most
        })
    }
}

/// Rows of `width`, one a residue of a sequence of `length`, averaged over the pieces that hold it.
#[must_use]
pub fn join(length: usize, width: usize, pieces: &[(Range<usize>, &[f32])]) -> Vec<f32> {
    let mut rows = vec![0.0_f32; length * width];
    let mut held = vec![0_u32; length];
    for (range, values) in pieces {
        let sums = rows[range.start * width..range.end * width].iter_mut();
        sums.zip(*values).for_each(|(sum, value)| *sum += value);
        held[range.clone()].iter_mut().for_each(|count| *count += 1);
    }
    for (row, &count) in rows.chunks_exact_mut(width).zip(&held) {
        row.iter_mut().for_each(|sum| *sum /= count as f32);
    }
    rows
}

/// The average of rows of one width; there must be one.
#[must_use]
pub fn average<'a>(rows: impl Iterator<Item = &'a [f32]>, width: usize) -> Vec<f32> {
    let (mut sums, mut count) = (vec![0.0_f64; width], 0.0);
    for row in rows {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, &value)| *sum += f64::from(value));
        count += 1.0;
    }
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(most: u32, overlap: u32, length: usize) -> Vec<Range<usize>> {
        Pieces::new(most, overlap).unwrap().of(length).collect()
    }

    #[test]
    fn pieces_overlap_by_what_was_asked_for_and_the_last_by_more() {
        assert_eq!(pieces(4, 2, 5), [0..4, 1..5]);
        assert_eq!(pieces(4, 2, 6), [0..4, 2..6]);
        assert_eq!(pieces(4, 2, 9), [0..4, 2..6, 4..8, 5..9]);
        assert_eq!(pieces(4, 0, 9), [0..4, 4..8, 5..9]);
        assert!(Pieces::new(4, 4).is_err());
    }

    #[test]
    fn every_residue_is_held_and_neighbours_overlap() {
        for most in 1..9_u32 {
            for overlap in 0..most {
                for length in most as usize + 1..40 {
                    let density = Pieces::new(most, overlap).unwrap().density();
                    let pieces = pieces(most, overlap, length);
                    assert!(pieces.len() * most as usize <= density * length);
                    assert_eq!((pieces[0].start, pieces.last().unwrap().end), (0, length));
                    assert!(pieces.iter().all(|piece| piece.len() == most as usize));
                    for pair in pieces.windows(2) {
                        assert!(pair[0].start < pair[1].start);
                        assert!(pair[0].end >= pair[1].start + overlap as usize);
                    }
                }
            }
        }
    }

    /// Residue by residue, from the definition.
    fn brute_force(length: usize, width: usize, pieces: &[(Range<usize>, &[f32])]) -> Vec<f32> {
        let mut rows = Vec::new();
        for residue in 0..length {
            for column in 0..width {
                let holding = pieces.iter().filter(|(range, _)| range.contains(&residue));
                let said: Vec<f32> = holding
                    .map(|(range, values)| values[(residue - range.start) * width + column])
                    .collect();
                rows.push(said.iter().sum::<f32>() / said.len() as f32);
            }
        }
        rows
    }

    #[test]
    fn joined_rows_are_averages_over_the_pieces_that_hold_them() {
        for (most, overlap, length) in [(4, 2, 9), (5, 4, 13), (3, 0, 7), (7, 3, 8)] {
            let ranges = pieces(most, overlap, length);
            let width = 3;
            let values: Vec<Vec<f32>> = ranges
                .iter()
                .enumerate()
                .map(|(number, range)| {
                    let count = range.len() * width;
                    (0..count)
                        .map(|place| ((place * 37 + number * 101) % 64) as f32)
                        .collect()
                })
                .collect();
            let given: Vec<_> = ranges
                .into_iter()
                .zip(values.iter().map(Vec::as_slice))
                .collect();
            assert_eq!(
                join(length, width, &given),
                brute_force(length, width, &given)
            );
        }
    }

    #[test]
    fn an_average_is_that_of_each_column() {
        let rows = [&[1.0_f32, 2.0][..], &[3.0, 6.0]];
        assert_eq!(average(rows.into_iter(), 2), [2.0, 4.0]);
    }
}
