//! A line a slot, and one for all, drawn again and again in place.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use toolpool::device::Slot;

use super::{Snapshot, clock};
use crate::args::LogLevel;
use crate::terminal;

/// Parts of the bar's length.
const LENGTH: u64 = 10_000;

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
            bar.set_style(style("{prefix:>15.cyan} {wide_msg}"));
            bar.set_prefix(slot.to_string());
            bar
        };
        let slots = slots.iter().map(slot_bar).collect();
        let total = bars.add(ProgressBar::new(LENGTH));
        total.set_style(style("{prefix:>15.bold} {wide_msg}"));
        terminal::listen_above(level, bars);
        Self {
            slots,
            total,
            level,
        }
    }

    /// `slots` has a line each slot.
    pub fn draw(&self, slots: &[String], now: &Snapshot, total: &str) {
        for (bar, line) in self.slots.iter().zip(slots) {
            bar.set_message(line.clone());
        }
        let mut line = total.to_owned();
        if let Some(share) = now.share {
            self.total.set_style(style(
                "{prefix:>15.bold} {bar:20.green/dim} {percent:>3} %  {wide_msg}",
            ));
            self.total.set_position((share * LENGTH as f64) as u64);
        }
        if let Some(remaining) = now.remaining {
            line = format!("{} left  {line}", clock(remaining));
        }
        self.total.set_prefix(clock(now.elapsed));
        self.total.set_message(line);
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
        for template in [
            "{prefix:>15.cyan} {wide_msg}",
            "{prefix:>15.bold} {bar:20.green/dim} {percent:>3} %  {wide_msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
