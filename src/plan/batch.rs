//! How much an idle worker takes: the next batch from the front of what is left of a job.

/// What one batch may hold at most, as the tool sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The most that the extents of a batch add up to; an item above it runs alone.
    pub budget: u64,
    /// The most items of a batch.
    pub max_items: usize,
}

/// What is left of a job: the items that no worker has taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Remaining {
    items: usize,
    /// Sum of the finite costs.
    cost: f64,
}

impl Remaining {
    /// All of these items are left.
    #[must_use]
    pub fn all(costs: &[f64]) -> Self {
        Self {
            items: costs.len(),
            cost: costs.iter().copied().map(amount).sum(),
        }
    }

    /// One more item is left: it came back from a worker.
    pub fn add(&mut self, cost: f64) {
        self.items += 1;
        self.cost += amount(cost);
    }

    /// An item has been taken.
    pub fn remove(&mut self, cost: f64) {
        self.items = self.items.saturating_sub(1);
        self.cost -= amount(cost);
    }

    /// How many items are left.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Sum of their finite costs.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.cost.max(0.0)
    }
}

/// What a cost adds to a sum: +∞ stands apart and adds nothing.
pub(crate) fn amount(cost: f64) -> f64 {
    if cost.is_finite() { cost } else { 0.0 }
}

impl Cut {
    /// How many items from the front of `queue` make the next batch: 0 only if it is empty.
    ///
    /// `queue` is the cost and extent of what is left, longest first, as `remaining` sums it up; `share` is the part of
    /// it that one batch may hold, in cost and in number ([`super::balance::share`]), so that batches are large while
    /// there is much to do and small at the end, where they decide when the last worker is done. The number matters where
    /// costs do not tell: for items of cost 0.
    ///
    /// Each batch also costs something to begin (a lock, a launch, a copy), and the last ones are as small as one item;
    /// but they are few: their number grows with the logarithm of the items, times twice the slots.
    ///
    /// An item of infinite cost, or of an extent above the budget, runs alone. Looks at no item behind the batch but
    /// the next.
    #[must_use]
    pub fn next_batch(
        &self,
        queue: impl IntoIterator<Item = (f64, u64)>,
        remaining: &Remaining,
        share: f64,
    ) -> usize {
        let mut queue = queue.into_iter();
        let Some((first, extent)) = queue.next() else {
            return 0;
        };
        if first == f64::INFINITY {
            return 1;
        }
        let share = Share::of(remaining, share);
        let mut batch = Batch {
            items: 1,
            cost: first,
            extent,
        };
        for (cost, extent) in queue {
            batch = batch.with(cost, extent);
            let fits = batch.extent <= self.budget && batch.items <= self.max_items;
            let fair = share.holds(&batch);
            if !(fits && fair) {
                return batch.items - 1;
            }
        }
        batch.items
    }
}

/// The batch as far as it goes.
struct Batch {
    items: usize,
    cost: f64,
    extent: u64,
}

impl Batch {
    fn with(self, cost: f64, extent: u64) -> Self {
        Self {
            items: self.items + 1,
            cost: self.cost + cost,
            extent: self.extent.saturating_add(extent),
        }
    }
}

/// The most that a batch may take of what is left.
struct Share {
    items: f64,
    cost: f64,
}

impl Share {
    /// The sum of costs drifts as it is counted down. Too large, it leaves the number of items to bound the batch; too
    /// small, it must not become negative, as then items of cost 0 would run one by one.
    fn of(remaining: &Remaining, share: f64) -> Self {
        Self {
            items: remaining.items as f64 * share,
            cost: remaining.cost.max(0.0) * share,
        }
    }

    fn holds(&self, batch: &Batch) -> bool {
        batch.cost <= self.cost && batch.items as f64 <= self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Cut = Cut {
        budget: 1600,
        max_items: 100,
    };

    /// The sizes of the batches of a job of these items (longest first), taken one after the other.
    fn batches(cut: Cut, queue: &[(f64, u64)], slots: usize) -> Vec<usize> {
        let share = 0.5 / slots as f64;
        let costs: Vec<f64> = queue.iter().map(|&(cost, _)| cost).collect();
        let (mut remaining, mut rest, mut sizes) = (Remaining::all(&costs), queue, Vec::new());
        while !rest.is_empty() {
            let size = cut.next_batch(rest.iter().copied(), &remaining, share);
            rest[..size]
                .iter()
                .for_each(|&(cost, _)| remaining.remove(cost));
            (rest, sizes) = (&rest[size..], [sizes, vec![size]].concat());
        }
        sizes
    }

    #[test]
    fn batches_are_half_an_even_share_and_shrink_towards_the_end() {
        assert_eq!(
            batches(TOKENS, &[(1.0, 100); 16], 2),
            [4, 3, 2, 1, 1, 1, 1, 1, 1, 1]
        );
    }

    #[test]
    fn budget_and_number_bound_a_batch() {
        assert_eq!(batches(TOKENS, &[(1.0, 500); 40], 1)[..3], [3, 3, 3]);
        let few = Cut {
            max_items: 2,
            ..TOKENS
        };
        assert_eq!(batches(few, &[(1.0, 1); 20], 1)[..3], [2, 2, 2]);
        let none = Cut {
            budget: 0,
            max_items: 0,
        };
        assert_eq!(batches(none, &[(1.0, 1); 3], 1), [1, 1, 1]);
    }

    #[test]
    fn an_item_above_the_budget_or_of_infinite_cost_runs_alone() {
        let queue = [(9.0, 1601), (1.0, 10), (1.0, 10), (1.0, 10)];
        assert_eq!(batches(TOKENS, &queue, 1)[0], 1);
        let queue = [(f64::INFINITY, 1), (f64::INFINITY, 1), (1.0, 1), (1.0, 1)];
        assert_eq!(batches(TOKENS, &queue, 1)[..2], [1, 1]);
        assert_eq!(
            TOKENS.next_batch([(1.0, 1), (1.0, u64::MAX)], &Remaining::all(&[1.0; 2]), 0.5),
            1
        );
    }

    #[test]
    fn small_items_are_shared_out_as_large_ones_are() {
        for cost in [0.0, 1.0] {
            let sizes = batches(TOKENS, &[(cost, 1); 16], 2);
            assert_eq!(sizes, [4, 3, 2, 1, 1, 1, 1, 1, 1, 1], "{cost}");
            assert_eq!(
                batches(TOKENS, &[(cost, 1); 16], 1),
                [8, 4, 2, 1, 1],
                "{cost}"
            );
        }
    }

    #[test]
    fn zeros_behind_a_cost_are_shared_out_by_count() {
        let queue = [vec![(5.0, 1), (3.0, 1)], vec![(0.0, 1); 14]].concat();
        assert_eq!(batches(TOKENS, &queue, 2)[..3], [1, 1, 3]);
    }

    #[test]
    fn rounding_in_the_sum_leaves_the_number_of_items_to_decide() {
        let left = |cost| Remaining { items: 8, cost };
        assert_eq!(TOKENS.next_batch([(1.0, 200); 8], &left(1e6), 0.25), 2);
        assert_eq!(TOKENS.next_batch([(0.0, 200); 8], &left(-1e-6), 0.25), 2);
    }

    #[test]
    fn nothing_left_is_no_batch() {
        assert_eq!(TOKENS.next_batch([], &Remaining::default(), 1.0), 0);
    }
}
