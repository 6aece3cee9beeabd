//! How fast each slot is, over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// A batch of long sequences takes seconds: what is shown should not jump with each.
const WINDOW: Duration = Duration::from_secs(15);

/// What each slot had done, and when.
pub struct Rates {
    samples: VecDeque<(Duration, Vec<u64>)>,
}

/// At the start, when no slot has done anything.
impl Default for Rates {
    fn default() -> Self {
        Self {
            samples: VecDeque::from([(Duration::ZERO, Vec::new())]),
        }
    }
}

impl Rates {
    /// What each slot does a second, of which it has done `amounts` at the time `at`.
    pub fn after(&mut self, at: Duration, amounts: Vec<u64>) -> Vec<f64> {
        self.samples.push_back((at, amounts));
        // One sample older than the window stays, to measure from.
        while self
            .samples
            .get(1)
            .is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW)
        {
            self.samples.pop_front();
        }
        let (Some((begin, before)), Some((_, now))) = (self.samples.front(), self.samples.back())
        else {
            return Vec::new();
        };
        let seconds = at.saturating_sub(*begin).as_secs_f64();
        let rate = |(slot, &amount): (usize, &u64)| {
            let done = amount.saturating_sub(before.get(slot).copied().unwrap_or(0));
            if seconds > 0.0 {
                done as f64 / seconds
            } else {
                0.0
            }
        };
        now.iter().enumerate().map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_the_last_seconds_alone() {
        let mut rates = Rates::default();
        let mut after =
            |seconds: u64, amount| rates.after(Duration::from_secs(seconds), vec![amount]);
        assert_eq!(after(0, 0), [0.0]);
        assert_eq!(after(10, 1000), [100.0]);
        assert_eq!(after(20, 1000), [50.0]);
        assert_eq!(after(30, 1000), [0.0]);
    }

    #[test]
    fn the_first_rate_is_since_the_start() {
        let first = Rates::default().after(Duration::from_secs(10), vec![1000]);
        assert_eq!(first, [100.0]);
    }

    #[test]
    fn a_slot_that_was_not_there_has_done_nothing_before() {
        let mut rates = Rates::default();
        rates.after(Duration::ZERO, Vec::new());
        assert_eq!(rates.after(Duration::from_secs(2), vec![10]), [5.0]);
    }
}
