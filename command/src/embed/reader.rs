//! The input as tasks: windows, of which each record is to be computed or not.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use toolpool::report::words::count;
use toolpool::tool::Tool;

use super::deal::Deal;
use super::seen::Seen;
use super::sizing::Sizing;
use crate::error::{Error, Result};
use crate::input::{self, Input, Limit};
use crate::output::{Directory, WindowLine};
use crate::rows::Outcome;
use crate::terminal;
use crate::tool::measure;
use crate::window::Window;

/// A window to be done.
pub struct Task {
    pub window: Window,
    pub digest: u128,
    /// One each record: [`Outcome::Done`] where it is to be computed.
    pub outcomes: Vec<Outcome>,
    /// Where in the bytes of the input it is, as far as the reader is ahead.
    pub bytes: Range<u64>,
}

/// Cuts the input into windows, passes over those that are done, and knows what it has seen.
pub struct Reader {
    input: Input,
    sizing: Arc<Sizing>,
    /// By number.
    finished: Vec<WindowLine>,
    /// How many records the input has, if it was read to its end once.
    records: Option<u64>,
    /// Where in `finished` the next window would be.
    next: usize,
    /// Number and first position of the next window.
    number: u64,
    first: u64,
    seen: Seen,
    full: bool,
    deal: Option<(Deal, Arc<dyn Tool>)>,
    /// The positions to be computed, if not all that are not done.
    only: Option<HashSet<u64>>,
}

impl Reader {
    /// Of what `directory` holds, the windows that are there need not be done.
    #[must_use]
    pub fn new(input: Input, sizing: Arc<Sizing>, directory: &Directory) -> Self {
        Self::after(
            input,
            sizing,
            directory.finished().to_vec(),
            directory.records(),
        )
    }

    fn after(
        input: Input,
        sizing: Arc<Sizing>,
        finished: Vec<WindowLine>,
        records: Option<u64>,
    ) -> Self {
        Self {
            input,
            sizing,
            finished,
            records,
            next: 0,
            number: 0,
            first: 0,
            seen: Seen::default(),
            full: false,
            deal: None,
            only: None,
        }
    }

    /// Deals the records out to shards, by what the tool says they cost.
    #[must_use]
    pub fn dealing(mut self, deal: Deal, tool: Arc<dyn Tool>) -> Self {
        self.deal = Some((deal, tool));
        self
    }

    /// The records at these positions alone are to be computed, of windows that are finished.
    #[must_use]
    pub fn only(mut self, positions: Vec<u64>) -> Self {
        self.only = Some(positions.into_iter().collect());
        self
    }

    /// The next window that has something to be done; `None` at the end of the input.
    ///
    /// # Errors
    /// What the input says; or that it is not what it was when the windows that are done were done.
    pub fn next(&mut self) -> Result<Option<Task>> {
        let mut window = Window::default();
        let mut begin = self.input.bytes_read();
        while self.input.fill(&mut window, self.limit())? {
            (self.number, self.first) = (window.number + 1, window.first + window.len() as u64);
            if let Some(records) = self.records.filter(|&records| records < self.first) {
                return Err(another_length("goes on after", records));
            }
            let digest = input::digest(&window);
            let done = self
                .finished
                .get(self.next)
                .filter(|line| line.number == window.number);
            if let Some(line) = done {
                check(line, &window, digest)?;
                self.next += 1;
            }
            let passed = done.is_some();
            let outcomes = self.outcomes(&window)?;
            let outcomes = match &self.only {
                Some(only) => chosen(&window, only),
                None if passed => None,
                None => Some(outcomes),
            };
            if let Some(outcomes) = outcomes {
                return Ok(Some(Task {
                    window,
                    digest,
                    outcomes,
                    bytes: begin..self.input.bytes_read(),
                }));
            }
            begin = self.input.bytes_read();
        }
        if let Some(line) = self.finished.get(self.next) {
            return Err(changed(line, "the input ends before them"));
        }
        match self.records.filter(|&records| self.first < records) {
            Some(records) => Err(another_length("ends before the last of", records)),
            None => Ok(None),
        }
    }

    /// How much the next window holds: what it held before, if it is done; what leads to the next that is done.
    fn limit(&self) -> Limit {
        let limit = self.sizing.limit();
        let (Some(line), Sizing::Learnt { .. }) = (self.finished.get(self.next), &*self.sizing)
        else {
            return limit;
        };
        let records = match line.number.saturating_sub(self.number) {
            0 => line.count,
            between => line.first.saturating_sub(self.first).div_ceil(between),
        };
        Limit {
            records: records as usize,
            residues: usize::MAX,
        }
    }

    /// What is to become of the records of a window, which are then known.
    fn outcomes(&mut self, window: &Window) -> Result<Vec<Outcome>> {
        let hashes: Vec<u64> = window.sequences.iter().map(Seen::hash).collect();
        let mine = match &mut self.deal {
            Some((deal, tool)) => {
                let measured = measure(&**tool, window.sequences.iter())?;
                let costs: Vec<f64> = measured.into_iter().map(|(cost, _)| cost).collect();
                deal.mine(&hashes, &costs)?
            }
            None => vec![true; hashes.len()],
        };
        let fate = |(&hash, &mine): (&u64, &bool)| match self.seen.first(hash) {
            _ if !mine => Outcome::Elsewhere,
            Some(position) => Outcome::Same(position),
            None => Outcome::Done,
        };
        let outcomes: Vec<Outcome> = hashes.iter().zip(&mine).map(fate).collect();
        for (position, (&hash, outcome)) in (window.first..).zip(hashes.iter().zip(&outcomes)) {
            if *outcome == Outcome::Done && self.seen.first(hash).is_none() {
                self.remember(hash, position);
            }
        }
        Ok(outcomes)
    }

    fn remember(&mut self, hash: u64, position: u64) {
        if !self.seen.add(hash, position) && !self.full {
            self.full = true;
            terminal::note(&format!(
                "from index {position} on, not every new sequence is remembered: duplicates of the others in later \
                 windows are computed again"
            ));
        }
    }
}

/// The outcomes of a window of which some positions are to be computed, if any.
fn chosen(window: &Window, only: &HashSet<u64>) -> Option<Vec<Outcome>> {
    let positions = (window.first..).take(window.len());
    let fate = |position| match only.contains(&position) {
        true => Outcome::Done,
        false => Outcome::Elsewhere,
    };
    let outcomes: Vec<Outcome> = positions.map(fate).collect();
    outcomes.contains(&Outcome::Done).then_some(outcomes)
}

fn check(line: &WindowLine, window: &Window, digest: u128) -> Result<()> {
    if window.len() as u64 != line.count {
        return Err(changed(
            line,
            &format!("{} of them are there", window.len()),
        ));
    }
    if digest != line.digest {
        return Err(changed(line, "their ids or sequences are others"));
    }
    Ok(())
}

fn changed(line: &WindowLine, how: &str) -> Error {
    let last = line.first + line.count.saturating_sub(1);
    another(&format!(
        "the records of index {} to {last} have changed ({how})",
        line.first
    ))
}

fn another_length(how: &str, records: u64) -> Error {
    let records = count(records, "record");
    another(&format!("it {how} the {records} that were its whole"))
}

fn another(how: &str) -> Error {
    Error::usage(format!(
        "the input is not what this directory was made from: {how}; give the input of before, another directory, or \
         --force to begin anew"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;
    use tempfile::NamedTempFile;

    use super::super::sizing::Sizes;
    use super::*;
    use crate::input::Options;

    const SEQUENCES: [&str; 12] = ["A", "C", "D", "A", "E", "D", "F", "G", "A", "H", "I", "C"];
    const WINDOW: usize = 2;

    fn file(sequences: &[&str]) -> NamedTempFile {
        let mut file = NamedTempFile::with_suffix(".fasta").unwrap();
        for (number, sequence) in sequences.iter().enumerate() {
            writeln!(file, ">p{number}\n{sequence}").unwrap();
        }
        file
    }

    fn open(file: &NamedTempFile) -> Input {
        let path = file.path().to_str().unwrap().to_owned();
        Input::open(&[path], &Options::default()).unwrap()
    }

    /// The lines of a manifest in which these windows are done.
    fn lines(file: &NamedTempFile, done: &[u64]) -> Vec<WindowLine> {
        let (mut input, mut window) = (open(file), Window::default());
        let limit = Limit {
            records: WINDOW,
            residues: usize::MAX,
        };
        let mut lines = Vec::new();
        while input.fill(&mut window, limit).unwrap() {
            let digest = format!("{:032x}", input::digest(&window));
            lines.push(json!({
                "kind": "window", "number": window.number, "first": window.first, "count": window.len(),
                "digest": digest, "done": 0, "failed": 0, "same": 0, "shards": [], "failures": [], "waiting": [],
            }));
        }
        let done = lines
            .into_iter()
            .filter(|line| done.contains(&line["number"].as_u64().unwrap()));
        done.map(|line| serde_json::from_value(line).unwrap())
            .collect()
    }

    /// Whose windows would be larger than those that are done.
    fn reader(file: &NamedTempFile, finished: Vec<WindowLine>) -> Reader {
        let sizes = Sizes {
            record: 1,
            residue: 1,
        };
        Reader::after(
            open(file),
            Arc::new(Sizing::learnt(sizes, 1000)),
            finished,
            None,
        )
    }

    fn tasks(mut reader: Reader) -> Result<Vec<(u64, u64, Vec<Outcome>)>> {
        let next = std::iter::from_fn(|| reader.next().transpose());
        next.map(|task| task.map(|task| (task.window.number, task.window.first, task.outcomes)))
            .collect()
    }

    #[test]
    fn what_lies_between_finished_windows_is_cut_as_it_was() {
        use Outcome::{Done, Same};
        let file = file(&SEQUENCES);
        let found = tasks(reader(&file, lines(&file, &[0, 3]))).unwrap();
        let expected = [
            (1, 2, vec![Done, Same(0)]),
            (2, 4, vec![Done, Same(2)]),
            (4, 8, vec![Same(0), Done, Done, Same(1)]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_run_that_is_whole_has_nothing_to_do() {
        let file = file(&SEQUENCES);
        assert_eq!(
            tasks(reader(&file, lines(&file, &[0, 1, 2, 3, 4, 5]))).unwrap(),
            []
        );
    }

    #[test]
    fn an_input_that_is_another_is_refused_with_the_records() {
        let finished = lines(&file(&SEQUENCES), &[0, 1, 2]);
        let mut other = SEQUENCES;
        other[3] = "W";
        for (given, records) in [
            (&other[..], "2 to 3"),
            (&SEQUENCES[..4], "4 to 5"),
            (&SEQUENCES[..5], "4 to 5"),
        ] {
            let error = tasks(reader(&file(given), finished.clone()))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(&format!("index {records} have changed")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_input_that_was_read_to_its_end_once_stays_as_long() {
        let whole = file(&SEQUENCES);
        let after = |given: &[&str], done: &[u64]| {
            let given = file(given);
            let reader = reader(&given, lines(&whole, done));
            tasks(Reader {
                records: Some(SEQUENCES.len() as u64),
                ..reader
            })
        };
        let all = [0, 1, 2, 3, 4, 5];
        assert_eq!(after(&SEQUENCES, &all).unwrap(), []);
        assert_eq!(after(&SEQUENCES, &all[..5]).unwrap().len(), 1);
        let longer = [&SEQUENCES[..], &["W"]].concat();
        for done in [&all[..], &all[..5], &[]] {
            let error = after(&longer, done).unwrap_err().to_string();
            assert!(error.contains("goes on after the 12 records"), "{error}");
        }
        let error = after(&SEQUENCES[..11], &all[..5]).unwrap_err().to_string();
        assert!(
            error.contains("ends before the last of the 12 records"),
            "{error}"
        );
    }

    #[test]
    fn chosen_records_are_computed_again_whatever_was_seen() {
        use Outcome::{Done, Elsewhere};
        let file = file(&SEQUENCES);
        let again = reader(&file, lines(&file, &[0, 1, 2, 3, 4, 5])).only(vec![3, 8]);
        let expected = [(1, 2, vec![Elsewhere, Done]), (4, 8, vec![Done, Elsewhere])];
        assert_eq!(tasks(again).unwrap(), expected);
    }
}
