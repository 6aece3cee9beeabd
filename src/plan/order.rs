//! Costs checked, and items sorted longest first.

use crate::error::{Error, Result, Status};

/// Refuses costs that mean nothing: NaN and negative ones. Zero and +∞ have a meaning ([`super`]).
///
/// # Errors
/// [`Status::Argument`], with the index into `costs` of the first such cost.
pub fn check_costs(costs: &[f64]) -> Result<()> {
    costs
        .iter()
        .enumerate()
        .try_for_each(|(item, &cost)| check_cost(item, cost))
}

/// Refuses a cost that means nothing, in the name of an item.
///
/// # Errors
/// [`Status::Argument`], with the index of the item.
pub fn check_cost(item: usize, cost: f64) -> Result<()> {
    if cost >= 0.0 {
        return Ok(());
    }
    Err(Error::new(
        Status::Argument,
        format_args!(
            "the cost of item {item} is {cost}; costs are numbers from 0 up, or +infinity"
        ),
    )
    .at(item))
}

/// The items in order of falling cost; items of equal cost stay in their order.
///
/// The costs have been checked ([`check_costs`]); there are fewer than `u32::MAX`.
#[must_use]
pub fn longest_first(costs: &[f64]) -> Vec<u32> {
    let mut keys: Vec<Key> = (0..)
        .zip(costs)
        .map(|(item, &cost)| Key::new(item, cost))
        .collect();
    keys.sort_unstable();
    for like in keys.chunk_by_mut(|a, b| a.coarse() == b.coarse()) {
        sort_exactly(like, costs);
    }
    keys.iter().map(|key| key.item()).collect()
}

/// The upper half of a cost's bits, reversed, above the item's number: one integer to sort by, which falls as the cost
/// rises. The lower half of the bits is left to [`sort_exactly`], so that a key is half as long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    /// The bits of floats from 0 up are ordered as the floats are; adding 0 turns -0 into 0.
    fn new(item: u32, cost: f64) -> Self {
        let upper = (cost + 0.0).to_bits() >> 32;
        Self((u64::from(u32::MAX) - upper) << 32 | u64::from(item))
    }

    fn coarse(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn item(self) -> u32 {
        self.0 as u32
    }
}

/// Sorts items whose costs have the same upper half by their full costs; equal ones stay in their order.
fn sort_exactly(like: &mut [Key], costs: &[f64]) {
    let cost = |key: &Key| costs[key.item() as usize];
    if like.len() > 1 && !like.is_sorted_by(|a, b| cost(a) >= cost(b)) {
        like.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_numbers_from_0_up_or_infinite() {
        assert_eq!(
            check_costs(&[0.0, -0.0, 1.5, f64::MAX, f64::INFINITY]),
            Ok(())
        );
        for wrong in [f64::NAN, -1.0, -f64::MIN_POSITIVE, f64::NEG_INFINITY] {
            let error = check_costs(&[1.0, wrong, wrong]).unwrap_err();
            assert_eq!(
                (error.status(), error.item()),
                (Status::Argument, Some(1)),
                "{wrong}"
            );
        }
    }

    #[test]
    fn infinite_costs_come_first_and_zeros_last_each_in_their_order() {
        let costs = [0.0, 1.0, f64::INFINITY, -0.0, 2.0, f64::INFINITY, 0.0, 1.0];
        assert_eq!(longest_first(&costs), [2, 5, 4, 1, 7, 0, 3, 6]);
        assert!(longest_first(&[]).is_empty());
    }

    #[test]
    fn costs_that_differ_in_their_last_bit_are_told_apart() {
        let next = |cost: f64| f64::from_bits(cost.to_bits() + 1);
        let costs = [1.0, next(1.0), 1.0, next(next(1.0)), next(1.0)];
        assert_eq!(longest_first(&costs), [3, 1, 4, 0, 2]);
    }
}
