//! What a pool has learnt of its tools on its slots, kept across its runs.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::job::Job;
use crate::plan::budget::Budget;

/// How much of what was known counts once more is known.
const MEMORY: f64 = 0.9;

/// Cost per second of one tool on one slot, with recent batches counting more.
#[derive(Debug, Clone, Copy, Default)]
pub struct Speed {
    cost: f64,
    seconds: f64,
}

impl Speed {
    /// Cost per second; `None` if nothing is known, or costs are of a size that this says nothing.
    pub fn get(self) -> Option<f64> {
        let speed = self.cost / self.seconds;
        speed.is_normal().then_some(speed)
    }

    /// A batch of this cost took so long.
    pub fn done(&mut self, cost: f64, seconds: f64) {
        if cost > 0.0 {
            self.cost = MEMORY * self.cost + cost;
            self.seconds = MEMORY * self.seconds + seconds;
        }
    }
}

/// What is known of one tool on one slot.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub speed: Speed,
    /// Seconds of a load.
    pub load: Option<f64>,
    /// Bytes that it took of the device's memory; 0 if unknown.
    pub bytes: u64,
    pub budget: Budget,
}

/// What is known, by tool and slot.
pub struct Learnt {
    slots: usize,
    tools: HashMap<Key, Known>,
}

/// A tool as far as its speed depends on it: its identity, and the budgets it starts from and may reach.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key(Arc<str>, u64, u64);

struct Known {
    /// Dead once nobody can ask for the tool again.
    owner: Option<Weak<()>>,
    facts: Vec<Facts>,
}

impl Learnt {
    /// Nothing yet, of a pool of `slots` slots.
    pub fn new(slots: usize) -> Self {
        Self {
            slots,
            tools: HashMap::new(),
        }
    }

    /// What is known of the tool of a job, by slot.
    pub fn of(&mut self, job: &Job) -> &mut [Facts] {
        let (identity, limits) = (job.tool().identity(), job.limits());
        let key = Key(
            Arc::clone(identity.key()),
            limits.cut.budget,
            limits.most_budget,
        );
        let slots = self.slots;
        let known = self.tools.entry(key).or_insert_with(|| {
            let nothing = Facts {
                speed: Speed::default(),
                load: None,
                bytes: 0,
                budget: Budget::new(limits.cut.budget, limits.most_budget),
            };
            Known {
                owner: identity.owner(),
                facts: vec![nothing; slots],
            }
        });
        &mut known.facts
    }

    /// Forgets the tools that nobody can ask for again.
    pub fn sweep(&mut self) {
        self.tools.retain(|_, known| {
            known
                .owner
                .as_ref()
                .is_none_or(|owner| owner.strong_count() > 0)
        });
    }
}

/// The load time to reckon with on a slot: its own, or else what it was elsewhere; 0 if nobody knows.
pub fn load_time(facts: &[Facts], slot: usize) -> f64 {
    let elsewhere = || facts.iter().filter_map(|fact| fact.load).reduce(f64::max);
    facts[slot].load.or_else(elsewhere).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(batches: &[(f64, f64)]) -> Option<f64> {
        let mut speed = Speed::default();
        for &(cost, seconds) in batches {
            speed.done(cost, seconds);
        }
        speed.get()
    }

    #[test]
    fn a_speed_is_what_the_batches_say_the_latest_most() {
        assert_eq!(after(&[(6.0, 2.0)]), Some(3.0));
        assert!(after(&[(1.0, 1.0), (3.0, 1.0)]).is_some_and(|speed| speed > 2.0));
    }

    #[test]
    fn nothing_is_learnt_from_costs_and_times_that_have_no_quotient() {
        assert_eq!(after(&[]), None);
        for (cost, seconds) in [
            (0.0, 1.0),
            (1.0, 0.0),
            (5e-324, 10.0),
            (f64::MAX, 1e-9),
            (f64::INFINITY, 1.0),
        ] {
            assert_eq!(after(&[(cost, seconds)]), None, "{cost} in {seconds} s");
        }
    }
}
