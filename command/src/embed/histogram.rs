//! How long the sequences of a run are, as a picture.

use toolpool::report::svg::{Anchor, Svg};
use toolpool::report::words::{count, whole};

/// Residues that fall into one bar, before bars are joined.
const FINEST: usize = 8;
/// Bars as fine as that, for the lengths below 4,096; one more holds all that are longer.
const BARS: usize = 512;
/// Bars of the picture.
const DRAWN: usize = 64;

const LEFT: f64 = 150.0;
const RIGHT: f64 = 980.0;
/// Height of the tallest bar.
const TALLEST: f64 = 90.0;
/// Of the picture, with its title and its axis.
pub const HEIGHT: f64 = 170.0;

/// Lengths, counted.
pub struct Histogram {
    counts: Vec<u64>,
    longest: usize,
    residues: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BARS + 1],
            longest: 0,
            residues: 0,
        }
    }
}

/// Sequences of `from` to `to` residues.
#[derive(Debug, PartialEq, Eq)]
struct Bar {
    from: usize,
    to: usize,
    sequences: u64,
}

impl Histogram {
    /// Counts a sequence.
    pub fn add(&mut self, length: usize) {
        self.counts[(length / FINEST).min(BARS)] += 1;
        self.longest = self.longest.max(length);
        self.residues += length as u64;
    }

    /// Residues of all.
    #[must_use]
    pub fn residues(&self) -> u64 {
        self.residues
    }

    /// Draws it from `top` on.
    pub fn draw(&self, svg: &mut Svg, top: f64) {
        let bars = self.bars();
        let tallest = bars
            .iter()
            .map(|bar| bar.sequences)
            .max()
            .unwrap_or(0)
            .max(1);
        let all: u64 = self.counts.iter().sum();
        let title = format!(
            "lengths of {}, {} residues in all",
            count(all, "sequence"),
            whole(self.residues)
        );
        svg.text("title", (20.0, top + 24.0), Anchor::Start, &title);
        let bottom = top + 40.0 + TALLEST;
        let width = (RIGHT - LEFT) / bars.len().max(1) as f64;
        for (number, bar) in bars.iter().enumerate() {
            let height = TALLEST * bar.sequences as f64 / tallest as f64;
            let place = (LEFT + width * number as f64, bottom - height);
            let title = format!(
                "{} to {} residues: {}",
                bar.from,
                bar.to,
                count(bar.sequences, "sequence")
            );
            svg.rect("batch", place, ((width - 0.5).max(0.5), height), &title);
        }
        svg.line("tick", (LEFT, bottom), (RIGHT, bottom));
        svg.text(
            "faint",
            (LEFT - 8.0, bottom - TALLEST + 4.0),
            Anchor::End,
            &whole(tallest),
        );
        svg.text("faint", (LEFT, bottom + 19.0), Anchor::Middle, "0");
        if let Some(last) = bars.last() {
            svg.text(
                "faint",
                (RIGHT, bottom + 19.0),
                Anchor::End,
                &format!("{} residues", whole(last.to as u64)),
            );
        }
    }

    /// At most [`DRAWN`] bars of one width up to the longest sequence, but for the last, which holds all beyond 4,096.
    fn bars(&self) -> Vec<Bar> {
        let last = self
            .counts
            .iter()
            .rposition(|&count| count > 0)
            .unwrap_or(0);
        let joined = (last + 1).div_ceil(DRAWN);
        let groups = self.counts[..=last].chunks(joined).enumerate();
        let mut bars: Vec<Bar> = groups
            .map(|(number, counts)| Bar {
                from: number * joined * FINEST,
                to: (number + 1) * joined * FINEST - 1,
                sequences: counts.iter().sum(),
            })
            .collect();
        if let Some(bar) = bars.last_mut() {
            bar.to = bar.to.max(self.longest);
        }
        bars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_is_in_the_bar_of_its_length() {
        let mut histogram = Histogram::default();
        let lengths = [0, 7, 8, 100, 999, 1000, 4095, 4096, 35_000];
        lengths.iter().for_each(|&length| histogram.add(length));
        let bars = histogram.bars();
        assert!(bars.len() <= DRAWN);
        let mut next = 0;
        for bar in &bars {
            assert_eq!(bar.from, next);
            next = bar.to + 1;
            let inside = lengths
                .iter()
                .filter(|length| (bar.from..=bar.to).contains(length));
            assert_eq!(bar.sequences, inside.count() as u64, "{bar:?}");
        }
        assert_eq!(next, 35_001);
        assert_eq!(histogram.residues(), lengths.iter().sum::<usize>() as u64);
    }

    #[test]
    fn nothing_has_one_empty_bar() {
        assert_eq!(Histogram::default().bars().len(), 1);
    }
}
