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
}

/// What a cost adds to a sum: +∞ stands apart and adds nothing.
fn amount(cost: f64) -> f64 {
    if cost.is_finite() { cost } else { 0.0 }
}

impl Cut {
    /// How many items from the front of `queue` make the next batch: 0 only if it is empty.
    ///
    /// `queue` is the cost and extent of what is left, longest first, as `remaining` sums it up; `slots` is the number
    /// of slots that work on the job.
    ///
    /// This is guided self-scheduling (C. D. Polychronopoulos, D. J. Kuck, IEEE Trans. Computers C-36, 1987) with the
    /// divisor 2 of factoring (S. F. Hummel et al., Commun. ACM 35, 1992): a batch takes at most half of a slot's even
    /// share of what is left, in cost and in number, so that batches are large while there is much to do and small at
    /// the end, where they decide when the last worker is done. The number matters where costs do not tell: for items
    /// of cost 0.
    ///
    /// Each batch also costs something to begin (a lock, a launch, a copy), so while its extents are below a 16th of
    /// the budget it may grow to a whole even share. What this can do to the balance is small: such a batch takes at
    /// most about a 16th of the time of a full one, and it still leaves every other slot as much as it takes.
    ///
    /// An item of infinite cost, or of an extent above the budget, runs alone. Looks at no item behind the batch but
    /// the next.
    #[must_use]
    pub fn next_batch(
        &self,
        queue: impl IntoIterator<Item = (f64, u64)>,
        remaining: &Remaining,
        slots: usize,
    ) -> usize {
        let mut queue = queue.into_iter();
        let Some((first, extent)) = queue.next() else {
            return 0;
        };
        if first == f64::INFINITY {
            return 1;
        }
        let share = Share::of(remaining, first, slots);
        let mut batch = Batch {
            items: 1,
            cost: first,
            extent,
        };
        for (cost, extent) in queue {
            let small = batch.extent < self.budget / 16;
            batch = batch.with(cost, extent);
            let fits = batch.extent <= self.budget && batch.items <= self.max_items;
            let fair = share.holds(&batch, if small { 1.0 } else { 0.5 });
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

/// A slot's even share of what is left.
struct Share {
    items: f64,
    cost: f64,
}

impl Share {
    /// The sum of costs drifts as it is counted down. The longest item bounds it from both sides, so that rounding can
    /// not make batches of the last items too large.
    fn of(remaining: &Remaining, longest: f64, slots: usize) -> Self {
        let (items, slots) = (remaining.items as f64, slots.max(1) as f64);
        let most = longest * items;
        Self {
            items: items / slots,
            cost: remaining.cost.max(longest).min(most) / slots,
        }
    }

    fn holds(&self, batch: &Batch, part: f64) -> bool {
        batch.cost <= self.cost * part && batch.items as f64 <= self.items * part
    }
}
