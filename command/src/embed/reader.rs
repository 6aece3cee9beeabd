//! The input as tasks: windows, of which each record is to be computed or not.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use toolpool::tool::Tool;

use super::deal::Deal;
use super::seen::Seen;
use super::sizing::Sizing;
use crate::error::{Error, Result};
use crate::input::{self, Input, Limit};
use crate::output::WindowLine;
use crate::rows::Outcome;
use crate::terminal;
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
    /// `finished` are the windows that need not be done, by number.
    #[must_use]
    pub fn new(input: Input, sizing: Arc<Sizing>, finished: Vec<WindowLine>) -> Self {
        Self {
            input,
            sizing,
            finished,
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
        match self.finished.get(self.next) {
            Some(line) => Err(changed(line, "the input ends before them")),
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
                let costs: Vec<f64> = window
                    .sequences
                    .iter()
                    .map(|sequence| tool.cost(sequence))
                    .collect();
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
                "from record {} on, new sequences are not remembered: duplicates of them in later windows are computed again",
                position + 1
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
    Error::usage(format!(
        "the input is not what this directory was made from: records {} to {} have changed ({how}); give the input of \
         before, another directory, or --force to begin anew",
        line.first + 1,
        line.first + line.count
    ))
}
