//! The budget of batches of one tool on one slot: found by raising it while larger batches are done faster.

/// Batches that fill the budget before it is judged.
const TRIAL: u32 = 3;
/// How much faster batches of twice the size must be to stay with it.
const GAIN: f64 = 1.03;
/// From which part of the budget on a batch counts as filling it.
const FULL: f64 = 0.75;

/// What a batch may hold, and what is being learnt about it. Extents are in the tool's unit: tokens, bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    now: u64,
    /// Never above this: what the tool allows, or memory.
    most: u64,
    /// Cost per second with half of `now`; 0 before the first trial.
    before: f64,
    trial: Trial,
    settled: bool,
}

/// Batches that filled the present budget.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Trial {
    batches: u32,
    cost: f64,
    seconds: f64,
}

impl Budget {
    /// Starts at `start` and may be raised up to `most`; fixed if that is no more.
    #[must_use]
    pub fn new(start: u64, most: u64) -> Self {
        Self {
            now: start,
            most,
            before: 0.0,
            trial: Trial::default(),
            settled: most <= start,
        }
    }

    /// What a batch may hold now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// A batch of this extent and cost took so long. Doubles the budget while that makes batches at least 3 % faster;
    /// takes the last doubling back where it did not, since smaller batches balance better.
    pub fn done(&mut self, extent: u64, cost: f64, seconds: f64) {
        if self.settled || (extent as f64) < FULL * self.now as f64 {
            return;
        }
        self.trial.batches += 1;
        self.trial.cost += cost;
        self.trial.seconds += seconds;
        if self.trial.batches < TRIAL {
            return;
        }
        let speed = self.trial.cost / self.trial.seconds.max(f64::MIN_POSITIVE);
        self.trial = Trial::default();
        if speed < GAIN * self.before {
            self.now /= 2;
            self.settled = true;
        } else if let Some(twice) = self.twice() {
            self.before = speed;
            self.now = twice;
        } else {
            self.settled = true;
        }
    }

    fn twice(&self) -> Option<u64> {
        let twice = self.now.checked_mul(2);
        twice.filter(|&twice| twice <= self.most)
    }

    /// A batch of this extent did not fit into memory: from here on, half of it is the most.
    pub fn out_of_memory(&mut self, extent: u64) {
        self.most = (extent / 2).clamp(1, self.now.max(1));
        self.now = self.most;
        self.settled = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs full batches until the budget stands; `speed` is cost per second at an extent.
    fn settle(mut budget: Budget, speed: impl Fn(u64) -> f64) -> u64 {
        for _ in 0..100 {
            let extent = budget.now();
            budget.done(extent, extent as f64, extent as f64 / speed(extent));
        }
        budget.now()
    }

    #[test]
    fn grows_while_larger_batches_are_faster_and_no_further() {
        let saturates = |at: f64| move |extent: u64| (extent as f64).min(at);
        assert_eq!(settle(Budget::new(512, 1 << 20), saturates(4096.0)), 4096);
        assert_eq!(settle(Budget::new(512, 1 << 20), saturates(100.0)), 512);
        assert_eq!(settle(Budget::new(512, 3000), saturates(1e9)), 2048);
    }

    #[test]
    fn a_fixed_budget_stays_and_small_batches_say_nothing() {
        assert_eq!(settle(Budget::new(512, 0), |extent| extent as f64), 512);
        let mut budget = Budget::new(512, 4096);
        for _ in 0..100 {
            budget.done(100, 100.0, 1e-9);
        }
        assert_eq!(budget.now(), 512);
    }

    #[test]
    fn a_budget_that_can_not_be_doubled_stays() {
        let half = 1 << 63;
        assert_eq!(settle(Budget::new(half, u64::MAX), |_| 1.0), half);
    }

    #[test]
    fn running_out_of_memory_halves_for_good() {
        let mut budget = Budget::new(512, 1 << 20);
        budget.out_of_memory(400);
        assert_eq!(settle(budget, |extent| extent as f64), 200);
        budget.out_of_memory(1);
        assert_eq!(budget.now(), 1);
        // A batch that was begun before the budget fell.
        budget.out_of_memory(4000);
        assert_eq!(budget.now(), 1);
    }
}
