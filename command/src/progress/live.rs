//! A line a slot, and one for all, drawn again and again in place.

use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use toolpool::device::Slot;

use super::line::Line;
use super::{Snapshot, clock};
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
    slots: Vec<ProgressBar>,
    total: ProgressBar,
    level: LogLevel,
}

impl Live {
    pub const EVERY: Duration = Duration::from_millis(250);

    pub fn new(slots: &[Slot], level: LogLevel) -> Self {
        let bars = MultiProgress::new();
        let slot_bar = |slot: &Slot| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style(PLAIN));
            bar.set_prefix(slot.to_string());
            bar
        };
        let slots = slots.iter().map(slot_bar).collect();
        let total = bars.add(ProgressBar::new(LENGTH));
        total.set_style(style(TIME));
        terminal::listen_above(level, bars);
        Self {
            slots,
            total,
            level,
        }
    }

    /// `slots` has a line each slot.
    pub fn draw(&self, slots: &[Line], now: &Snapshot, total: &Line) {
        let (_, columns) = Term::stderr().size();
        let room = usize::from(columns).saturating_sub(PREFIX);
        for (bar, line) in self.slots.iter().zip(slots) {
            bar.set_message(line.within(room));
        }
        let mut room_of_total = room;
        if let Some(share) = now.share {
            self.total.set_style(style(TIME_AND_BAR));
            self.total.set_position((share * LENGTH as f64) as u64);
            room_of_total = room.saturating_sub(BAR);
        }
        self.total.set_prefix(clock(now.elapsed));
        self.total.set_message(total.within(room_of_total));
    }
}

impl Drop for Live {
    /// Leaves the screen to what is said in the end.
    fn drop(&mut self) {
        for bar in self.slots.iter().chain([&self.total]) {
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
    fn the_templates_are_right() {
        for template in [PLAIN, TIME, TIME_AND_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
