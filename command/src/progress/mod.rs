//! How far a run is: drawn on a terminal, in plain lines elsewhere.

mod line;
mod live;
mod plain;
mod rates;

use std::time::{Duration, Instant};

use toolpool::device::Slot;
use toolpool::report::words::{count, whole};

use crate::args::LogLevel;
use crate::gpus::{Gpus, Reading};
use line::Line;
use live::Live;
use plain::Plain;
use rates::Rates;

/// How a run is now.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// One a slot of the pool.
    pub slots: Vec<SlotNow>,
    /// Records that are done, failed ones included, those of earlier sessions too.
    pub records: u64,
    pub saved: u64,
    pub failed: u64,
    /// The part of the input that is done: from 0 to 1, where its length is known.
    pub share: Option<f64>,
    pub elapsed: Duration,
    pub remaining: Option<Duration>,
}

/// How a slot is now.
#[derive(Debug, Clone, Default)]
pub struct SlotNow {
    pub device: String,
    pub items: u64,
    pub residues: u64,
    /// Why it is lost or stuck.
    pub lost: Option<String>,
}

/// Shows snapshots, as often as it is good.
pub struct Progress {
    began: Instant,
    shown: Shown,
    rates: Rates,
    next: Instant,
}

enum Shown {
    Live(Live, Gpus),
    Plain(Plain),
}

impl Progress {
    #[must_use]
    pub fn new(slots: &[Slot], level: LogLevel) -> Self {
        let shown = match Live::new(slots, level) {
            Some(live) => Shown::Live(live, Gpus::of(slots)),
            None => Shown::Plain(Plain),
        };
        Self {
            began: Instant::now(),
            next: Instant::now() + shown.every(),
            shown,
            rates: Rates::default(),
        }
    }

    /// Shows how the run is, if it is time to; `now` is asked only then.
    pub fn tick(&mut self, now: impl FnOnce() -> Snapshot) {
        if self.is_due() {
            self.show(&now());
        }
    }

    /// Shows how far a work is that slots have no part in, if it is time to: so many of so many steps.
    pub fn tick_work(&mut self, doing: &str, done: usize, of: usize) {
        if self.is_due() {
            let (elapsed, share) = (self.began.elapsed(), done as f64 / of.max(1) as f64);
            let mut line = Line::default();
            line.add(0, doing.to_owned());
            match &self.shown {
                Shown::Live(live, _) => live.draw(&[], elapsed, Some(share), &line),
                Shown::Plain(plain) => plain.print(elapsed, Some(share), &line),
            }
        }
    }

    /// Whether something is to be shown now, which is not due again for a while then.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + self.shown.every();
        }
        due
    }

    fn show(&mut self, now: &Snapshot) {
        let residues = now.slots.iter().map(|slot| slot.residues).collect();
        let speeds = self.rates.after(now.elapsed, residues);
        match &self.shown {
            Shown::Live(live, gpus) => {
                let slots = now.slots.iter().zip(&speeds).enumerate();
                let lines = slots
                    .map(|(number, (slot, &speed))| slot_line(slot, speed, gpus.reading(number)));
                let lines: Vec<_> = lines.collect();
                live.draw(&lines, now.elapsed, now.share, &total(now, &speeds));
            }
            Shown::Plain(plain) => plain.print(now.elapsed, now.share, &total(now, &speeds)),
        }
    }
}

impl Shown {
    fn every(&self) -> Duration {
        match self {
            Self::Live(..) => Live::EVERY,
            Self::Plain(_) => Plain::EVERY,
        }
    }
}

/// `12,345 items  412,000 residues/s  34.1 of 80.0 GiB  61 °C  98 %`
fn slot_line(slot: &SlotNow, speed: f64, reading: Reading) -> Line {
    let mut line = Line::default();
    if let Some(reason) = &slot.lost {
        line.add(0, format!("{}: lost: {reason}", count(slot.items, "item")));
        return line;
    }
    line.add(3, format!("{:>13}", count(slot.items, "item")));
    line.add(0, format!("{:>11} residues/s", whole(speed as u64)));
    if let Some((used, total)) = reading.memory {
        let gibibytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let (used, total) = (gibibytes(used), gibibytes(total));
        line.add(2, format!("{used:5.1} of {total:.1} GiB"));
    }
    if let Some(degrees) = reading.temperature {
        line.add(4, format!("{degrees} °C"));
    }
    if let Some(percent) = reading.utilisation {
        line.add(1, format!("{percent:3} %"));
    }
    line
}

/// `0:01:23 left  1,234 records  820 residues/s  12 duplicates saved  3 failed`
fn total(now: &Snapshot, speeds: &[f64]) -> Line {
    let mut line = Line::default();
    if let Some(remaining) = now.remaining {
        line.add(0, format!("{} left", clock(remaining)));
    }
    line.add(3, count(now.records, "record"));
    let speed = speeds.iter().sum::<f64>() as u64;
    line.add(2, format!("{} residues/s", whole(speed)));
    if now.saved > 0 {
        line.add(4, format!("{} saved", count(now.saved, "duplicate")));
    }
    if now.failed > 0 {
        line.add(1, format!("{} failed", whole(now.failed)));
    }
    line
}

/// `1:02:03`
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!(
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known_of_its_slot() {
        let slot = SlotNow {
            items: 1234,
            ..SlotNow::default()
        };
        let reading = Reading {
            memory: Some((1 << 30, 80 << 30)),
            temperature: Some(61),
            utilisation: Some(9),
        };
        assert_eq!(
            slot_line(&slot, 4321.9, reading).whole(),
            "  1,234 items        4,321 residues/s    1.0 of 80.0 GiB  61 °C    9 %"
        );
        let lost = SlotNow {
            lost: Some("fell off the bus".into()),
            ..slot
        };
        assert_eq!(
            slot_line(&lost, 0.0, reading).whole(),
            "1,234 items: lost: fell off the bus"
        );
    }

    #[test]
    fn the_total_says_what_there_is_to_say() {
        let mut now = Snapshot {
            records: 1,
            ..Snapshot::default()
        };
        assert_eq!(total(&now, &[1.0, 2.5]).whole(), "1 record  3 residues/s");
        (now.saved, now.failed) = (2, 1);
        now.remaining = Some(Duration::from_secs(5));
        assert_eq!(
            total(&now, &[]).whole(),
            "0:00:05 left  1 record  0 residues/s  2 duplicates saved  1 failed"
        );
    }

    #[test]
    fn a_clock_has_hours() {
        assert_eq!(clock(Duration::from_secs(36_061)), "10:01:01");
    }
}
