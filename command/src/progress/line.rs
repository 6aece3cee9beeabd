//! What is said in one line, as far as there is room.

use console::measure_text_width;

/// Between two parts.
const GAP: &str = "  ";

/// Parts of a line, in order, each with its rank: those of a higher number matter less.
#[derive(Debug, Default)]
pub struct Line(Vec<(u8, String)>);

impl Line {
    /// Adds a part at the end.
    pub fn add(&mut self, rank: u8, part: String) {
        self.0.push((rank, part));
    }

    /// All parts.
    #[must_use]
    pub fn whole(&self) -> String {
        self.within(usize::MAX)
    }

    /// The parts that go into `width` columns, without those that matter least; never none.
    #[must_use]
    pub fn within(&self, width: usize) -> String {
        let mut parts: Vec<&(u8, String)> = self.0.iter().collect();
        loop {
            let text: Vec<&str> = parts.iter().map(|(_, part)| part.as_str()).collect();
            let text = text.join(GAP);
            if parts.len() < 2 || measure_text_width(&text) <= width {
                return text;
            }
            let least = parts.iter().map(|(rank, _)| *rank).max();
            parts.retain(|(rank, _)| Some(*rank) != least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_goes_first_and_something_stays() {
        let mut line = Line::default();
        for (rank, part) in [(1, "left"), (3, "°C"), (0, "failed"), (2, "done")] {
            line.add(rank, part.to_owned());
        }
        assert_eq!(line.whole(), "left  °C  failed  done");
        let expected = [
            (22, "left  °C  failed  done"),
            (21, "left  failed  done"),
            (17, "left  failed"),
            (11, "failed"),
            (1, "failed"),
        ];
        for (width, text) in expected {
            assert_eq!(line.within(width), text, "{width}");
        }
    }
}
