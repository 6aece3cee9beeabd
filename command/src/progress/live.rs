//! A line a slot, and one for all, drawn again and again in place.

use std::time::Duration;

use console::{Term, is_dumb};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use toolpool::device::Slot;

use super::clock;
use super::line::Line;
use crate::args::LogLevel;
use crate::terminal;

/// Parts of the bar's length.
const LENGTH: u64 = 10_000;
/// What a line begins with takes so many columns, and a space: the name of a slot, the time.
const PREFIX: usize = 16;
/// The bar takes what is left of a line, and so many columns at least; with them, spaces and percents.
const BAR: usize = 5 + 8;

const PLAIN: &str = "{prefix:>15.cyan} {msg}";
const TIME: &str = "{prefix:>15.bold} {msg}";
const TIME_AND_BAR: &str = "{prefix:>15.bold} {wide_bar:.green/dim} {percent:>3} %  {msg}";

pub struct Live {
    /// Of as many slots as there is room for above the total.
    slots: Vec<ProgressBar>,
    /// That there are more.
    others: Option<ProgressBar>,
    total: ProgressBar,
    level: LogLevel,
}

impl Live {
    pub const EVERY: Duration = Duration::from_millis(250);

    /// `None` where nothing can be drawn: standard error is no terminal, or a dumb one.
    pub fn new(slots: &[Slot], level: LogLevel) -> Option<Self> {
        let bars = MultiProgress::new();
        if bars.is_hidden() || is_dumb() {
            return None;
        }
        let line = |prefix: String| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style(PLAIN));
            bar.set_prefix(prefix);
            bar
        };
        let (rows, _) = Term::stderr().size();
        let shown = room(slots.len(), rows.into());
        let others = slots.len() - shown;
        let slots = slots[..shown].iter().map(|slot| line(slot.to_string()));
        let slots = slots.collect();
        let others = (others > 0).then(|| line(format!("{others} more slots")));
        let total = bars.add(ProgressBar::new(LENGTH));
        total.set_style(style(TIME));
        terminal::listen_above(level, bars);
        Some(Self {
            slots,
            others,
            total,
            level,
        })
    }

    /// `slots` has a line each slot, or none where slots do nothing any more.
    pub fn draw(&self, slots: &[Line], elapsed: Duration, share: Option<f64>, total: &Line) {
        let (_, columns) = Term::stderr().size();
        let room = usize::from(columns).saturating_sub(PREFIX);
        for (number, bar) in self.slots.iter().enumerate() {
            let line = slots.get(number).map(|line| line.within(room));
            bar.set_message(line.unwrap_or_default());
        }
        let mut room_of_total = room;
        if let Some(share) = share {
            self.total.set_style(style(TIME_AND_BAR));
            self.total.set_position((share * LENGTH as f64) as u64);
            room_of_total = room.saturating_sub(BAR);
        }
        self.total.set_prefix(clock(elapsed));
        self.total.set_message(total.within(room_of_total));
    }
}

/// How many of the slots have a line of their own: a screen of so many rows shows all of them and the total, or, with a
/// line that says so, some. Lines beyond it would hide the total.
fn room(slots: usize, rows: usize) -> usize {
    match slots < rows {
        true => slots,
        false => rows.saturating_sub(2).min(slots),
    }
}

impl Drop for Live {
    /// Leaves the screen to what is said in the end.
    fn drop(&mut self) {
        for bar in self.slots.iter().chain(&self.others).chain([&self.total]) {
            bar.finish_and_clear();
        }
        terminal::listen(self.level);
    }
}

/// A style that is known to be right.
fn style(template: &str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_room_for_the_total() {
        let cases = [
            (8, 24, 8),
            (23, 24, 23),
            (24, 24, 22),
            (64, 24, 22),
            (64, 2, 0),
            (64, 0, 0),
        ];
        for (slots, rows, shown) in cases {
            assert_eq!(room(slots, rows), shown, "{slots} slots in {rows} rows");
        }
    }

    #[test]
    fn the_templates_are_right() {
        for template in [PLAIN, TIME, TIME_AND_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
