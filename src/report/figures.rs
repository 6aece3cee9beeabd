//! What follows from a report by arithmetic.

use std::time::Duration;

use super::{Report, SlotReport};

impl SlotReport {
    /// Its measured speed: cost of what succeeded per second of the batches that did. `None` where nothing that has a cost
    /// was done.
    #[must_use]
    pub fn speed(&self) -> Option<f64> {
        let speed = self.useful_cost / self.useful_busy.as_secs_f64();
        (speed.is_finite() && speed > 0.0).then_some(speed)
    }
}

impl Report {
    /// The time below which these slots, at the speeds that were measured, could not have done what they did: the larger
    /// of the whole cost over the sum of their speeds, and of the longest item on the fastest of them. It is the bound of
    /// [`crate::plan::lpt`], with measured speeds as weights.
    ///
    /// Never above the makespan, which has the loads in it. Slots that did nothing have no speed. Zero before the first
    /// batch has ended.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let speeds = || self.slots.iter().filter_map(SlotReport::speed);
        let fastest = speeds().fold(0.0, f64::max);
        if fastest == 0.0 {
            return Duration::ZERO;
        }
        let done: f64 = self.slots.iter().map(|slot| slot.useful_cost).sum();
        let shared = done / speeds().sum::<f64>();
        let bound = Duration::try_from_secs_f64(shared.max(self.longest / fastest));
        bound.unwrap_or(Duration::MAX).min(self.makespan())
    }

    /// The makespan over its bound: 1 if no schedule could have been better. `None` before the first batch has ended.
    #[must_use]
    pub fn over_bound(&self) -> Option<f64> {
        let ratio = self.makespan().as_secs_f64() / self.bound().as_secs_f64();
        ratio.is_finite().then_some(ratio)
    }

    /// How much of the makespan a slot neither loaded nor worked for this job.
    #[must_use]
    pub fn idle(&self, slot: &SlotReport) -> Duration {
        self.makespan()
            .saturating_sub(slot.busy)
            .saturating_sub(slot.load)
    }

    /// How much of the makespan a slot had a batch in flight: from 0 to 1.
    #[must_use]
    pub fn busy_share(&self, slot: &SlotReport) -> f64 {
        share(slot.busy.as_secs_f64(), self.makespan().as_secs_f64()).min(1.0)
    }

    /// How much of the cost that the slots have done is one slot's: from 0 to 1.
    #[must_use]
    pub fn cost_share(&self, slot: &SlotReport) -> f64 {
        share(slot.cost, self.slots.iter().map(|slot| slot.cost).sum())
    }

    /// Items that equal others and were not computed again.
    #[must_use]
    pub fn saved(&self) -> u64 {
        self.total.saturating_sub(self.unique)
    }

    /// Items of the caller per second, from submission on.
    #[must_use]
    pub fn items_per_s(&self) -> f64 {
        share(self.done as f64, self.elapsed.as_secs_f64())
    }

    /// Cost per second, from submission on.
    #[must_use]
    pub fn cost_per_s(&self) -> f64 {
        share(self.cost_done, self.elapsed.as_secs_f64())
    }

    /// How long the job will still take: what is left of its cost, at the measured speeds of the slots that are not lost.
    /// Zero once it has ended or was stopped; `None` while no speed is known.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        if self.done >= self.total || self.stopped.is_some() {
            return Some(Duration::ZERO);
        }
        time_for(self.cost - self.cost_done, &self.slots)
    }
}

/// How long the slots that are not lost take for so much cost, at their measured speeds, if they do nothing else; `None`
/// while no speed is known.
#[must_use]
pub fn time_for(cost: f64, slots: &[SlotReport]) -> Option<Duration> {
    let live = slots.iter().filter(|slot| slot.lost.is_none());
    let speed: f64 = live.filter_map(SlotReport::speed).sum();
    Duration::try_from_secs_f64(cost.max(0.0) / speed).ok()
}

/// `part` over `whole`; nothing of nothing is nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{seconds, two_slots};
    use super::*;
    use crate::error::{Error, Status};

    /// Slot 0 did 80 in 4 s and slot 1 did 40 in 4 s, between the seconds 1 and 6: 120 / (20 + 10) = 4.
    #[test]
    fn the_bound_is_the_cost_over_all_speeds() {
        let report = two_slots();
        assert_eq!(report.slots[0].speed(), Some(20.0));
        assert_eq!(report.slots[1].speed(), Some(10.0));
        assert_eq!(report.makespan(), seconds(5.0));
        assert_eq!(report.bound(), seconds(4.0));
        assert_eq!(report.over_bound(), Some(1.25));
    }

    #[test]
    fn the_bound_is_the_longest_item_on_the_fastest_slot_if_that_takes_longer() {
        let report = Report {
            longest: 90.0,
            ..two_slots()
        };
        assert_eq!(report.bound(), seconds(4.5));
    }

    #[test]
    fn the_bound_of_a_run_in_which_every_slot_was_always_busy_is_its_makespan() {
        let mut report = two_slots();
        for slot in &mut report.slots {
            slot.busy = seconds(5.0);
            slot.useful_busy = slot.busy;
        }
        assert_eq!(report.bound(), seconds(5.0));
        assert_eq!(report.over_bound(), Some(1.0));
    }

    #[test]
    fn an_item_that_was_not_done_cannot_put_the_bound_above_the_makespan() {
        for longest in [1e9, f64::MAX] {
            let report = Report {
                longest,
                ..two_slots()
            };
            assert_eq!(report.bound(), seconds(5.0));
        }
    }

    /// Slot 0 lost 1 of its 4 s to a batch that failed, and 20 of its 80 are of items that were refused: 60 / 3 = 20.
    #[test]
    fn what_fails_is_neither_speed_nor_slowness_and_shows_in_the_ratio() {
        let mut report = two_slots();
        report.slots[0].useful_cost = 60.0;
        report.slots[0].useful_busy = seconds(3.0);
        assert_eq!(report.slots[0].speed(), Some(20.0));
        assert_eq!(report.bound(), Duration::from_secs_f64(100.0 / 30.0));
        assert!(report.over_bound() > two_slots().over_bound());
    }

    #[test]
    fn a_slot_that_did_nothing_has_no_speed() {
        let mut report = two_slots();
        report.slots[1] = SlotReport::default();
        assert_eq!(report.slots[1].speed(), None);
        assert_eq!(report.bound(), seconds(4.0));
        assert_eq!(report.cost_share(&report.slots[1]), 0.0);
        assert_eq!(report.idle(&report.slots[1]), seconds(5.0));
    }

    #[test]
    fn what_a_slot_neither_loads_nor_works_it_idles() {
        let report = two_slots();
        let [first, second] = &report.slots[..] else {
            panic!("two slots")
        };
        assert_eq!(
            (report.idle(first), report.idle(second)),
            (seconds(0.0), seconds(1.0))
        );
        assert_eq!(
            (report.busy_share(first), report.busy_share(second)),
            (0.8, 0.8)
        );
        assert_eq!(report.cost_share(first), 80.0 / 120.0);
        assert_eq!(report.cost_share(second), 40.0 / 120.0);
    }

    #[test]
    fn rates_count_from_submission() {
        let report = two_slots();
        assert_eq!(report.items_per_s(), 12.0 / 8.0);
        assert_eq!(report.cost_per_s(), 120.0 / 8.0);
        assert_eq!(report.saved(), 2);
    }

    /// Half of 120 is left, and the slots do 30 a second.
    #[test]
    fn what_remains_is_the_cost_that_is_left_at_the_speeds_so_far() {
        let mut report = Report {
            done: 6,
            cost_done: 60.0,
            ..two_slots()
        };
        assert_eq!(report.remaining(), Some(seconds(2.0)));
        report.slots[0].lost = Some(Error::new(Status::DeviceLost, "gone"));
        assert_eq!(report.remaining(), Some(seconds(6.0)));
        report.slots[1].lost = report.slots[0].lost.clone();
        assert_eq!(report.remaining(), None);
        report.stopped = Some(Error::new(Status::Cancelled, "cancelled"));
        assert_eq!(report.remaining(), Some(seconds(0.0)));
        assert_eq!(two_slots().remaining(), Some(seconds(0.0)));
    }

    #[test]
    fn before_anything_has_happened_there_is_nothing_to_divide_by() {
        let report = Report {
            total: 3,
            slots: vec![SlotReport::default()],
            ..Report::default()
        };
        assert_eq!(
            (report.makespan(), report.bound(), report.over_bound()),
            (seconds(0.0), seconds(0.0), None)
        );
        assert_eq!((report.items_per_s(), report.cost_per_s()), (0.0, 0.0));
        assert_eq!(report.busy_share(&report.slots[0]), 0.0);
        assert_eq!(report.cost_share(&report.slots[0]), 0.0);
        assert_eq!(report.remaining(), None);
        assert_eq!(
            Report::default().remaining(),
            Some(seconds(0.0)),
            "a job of no items has ended"
        );
    }

    #[test]
    fn costs_beyond_what_a_float_holds_give_no_nonsense() {
        let mut report = two_slots();
        for slot in &mut report.slots {
            slot.useful_cost = f64::MAX;
            slot.useful_busy = Duration::from_nanos(1);
        }
        report.done = 0;
        report.cost = f64::INFINITY;
        assert_eq!(report.slots[0].speed(), None, "its speed would be infinite");
        assert_eq!(report.bound(), seconds(0.0));
        assert_eq!(report.remaining(), None);
    }
}
