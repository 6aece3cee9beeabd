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
    let mut keys: Vec<u64> = (0u32..)
        .zip(costs)
        .map(|(item, &cost)| u64::from(coarse(cost)) << 32 | u64::from(item))
        .collect();
    keys.sort_unstable();
    let mut order: Vec<u32> = keys.iter().map(|&key| key as u32).collect();
    refine(&mut order, costs);
    order
}

/// The upper half of a cost's bits, reversed: falls, or stays, as the cost rises.
///
/// The bits of floats from 0 up are ordered as the floats are; adding 0 turns -0 into 0.
fn coarse(cost: f64) -> u32 {
    !(((cost + 0.0).to_bits() >> 32) as u32)
}

/// Sorts by the full cost within the stretches of `order` whose costs differ only in their lower halves.
fn refine(order: &mut [u32], costs: &[f64]) {
    let cost = |item: &u32| costs[*item as usize];
    for stretch in order.chunk_by_mut(|a, b| coarse(cost(a)) == coarse(cost(b))) {
        if !stretch.is_sorted_by(|a, b| cost(a) >= cost(b)) {
            stretch.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
        }
    }
}
