//! Static LPT: which slot takes which item, decided beforehand.
//!
//! Longest processing time first (R. L. Graham, *Bounds on multiprocessing timing anomalies*, SIAM J. Appl. Math. 17,
//! 1969): items in order of falling cost, each to the slot that would finish it first. On `m` equal slots the last slot
//! ends at most 4/3 − 1/(3m) times later than in the best assignment there is.

use super::order::{check_costs, longest_first};
use crate::error::{Error, Result, Status};

/// A slot as static LPT sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlotSpec {
    /// Relative speed, above 0 and finite: a slot of weight 2 does twice the cost in the same time.
    pub weight: f64,
    /// The largest cost of an item that this slot can take; infinity for any.
    pub max_cost: f64,
}

/// Which slot takes which item, and when each slot is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The slot of each item.
    pub slot_of: Vec<u32>,
    /// When each slot is done, in time: cost over weight. Infinite for a slot with an item of infinite cost.
    pub finish: Vec<f64>,
    /// When the last slot is done.
    pub makespan: f64,
    /// No assignment has a smaller makespan than this: the larger of the whole cost over the whole weight, and of
    /// the longest time that an item takes on the fastest slot that can take it.
    pub lower_bound: f64,
}

/// Assigns every item to the slot that would finish it first, longest items first.
///
/// Ties go to the slot with fewest items, then to the first. Items of infinite cost come first, and items of cost 0
/// last; each of these two is spread as if its items cost 1 and were alone (see [`super`]). A slot with fewer infinite
/// items for its weight is done before one with more, whatever their finite costs. Deterministic.
///
/// There are fewer than `u32::MAX` items and slots.
///
/// # Errors
/// [`Status::Argument`]: no slots, a weight or maximum that is none, a cost that is none, or an item that costs more
/// than any slot can take; the last two carry the item's index.
pub fn assign(costs: &[f64], slots: &[SlotSpec]) -> Result<Assignment> {
    check_slots(slots)?;
    check_costs(costs)?;
    let order = longest_first(costs);
    check_longest(&order, costs, slots)?;

    // Fetched from all over memory here at once, as the loop of `spread` would wait for each.
    let sorted: Vec<f64> = order.iter().map(|&item| costs[item as usize]).collect();
    let infinite = sorted.partition_point(|&cost| cost == f64::INFINITY);
    let positive = sorted.partition_point(|&cost| cost > 0.0);

    let endless = (&order[..infinite], &sorted[..infinite]);
    let timed = (&order[infinite..positive], &sorted[infinite..positive]);
    let instant = (&order[positive..], &sorted[positive..]);

    let mut slot_of = vec![0; costs.len()];
    let mut loads = Load::none(slots);
    // Items of infinite cost, and of cost 0, have only their number to share them out by: as if each cost 1.
    spread(endless, |_| 1.0, &mut loads, &mut slot_of);
    for load in &mut loads {
        load.infinite = std::mem::take(&mut load.cost);
    }
    spread(timed, |cost| cost, &mut loads, &mut slot_of);
    let finish: Vec<f64> = loads.iter().map(Load::finish).collect();
    for load in &mut loads {
        (load.infinite, load.cost) = (0.0, 0.0);
    }
    spread(instant, |_| 1.0, &mut loads, &mut slot_of);

    let makespan = finish.iter().copied().fold(0.0, f64::max);
    // Rounding may put the bound of a perfect assignment a hair above its makespan.
    let lower_bound = lower_bound(&sorted, slots).min(makespan);
    Ok(Assignment {
        slot_of,
        finish,
        makespan,
        lower_bound,
    })
}

fn check_slots(slots: &[SlotSpec]) -> Result<()> {
    let refuse = |message: String| Err(Error::new(Status::Argument, message));
    if slots.is_empty() {
        return refuse("there is no slot to assign items to; give at least one".into());
    }
    for (number, slot) in slots.iter().enumerate() {
        if !(slot.weight > 0.0 && slot.weight.is_finite()) {
            return refuse(format!(
                "the weight of slot {number} is {}; weights are relative speeds above 0",
                slot.weight
            ));
        }
        if slot.max_cost.is_nan() || slot.max_cost < 0.0 {
            return refuse(format!(
                "the maximum cost of slot {number} is {}; it is a number from 0 up, or +infinity",
                slot.max_cost
            ));
        }
    }
    Ok(())
}

/// Every item has a slot that can take it if the longest one has.
fn check_longest(order: &[u32], costs: &[f64], slots: &[SlotSpec]) -> Result<()> {
    let Some(&longest) = order.first() else {
        return Ok(());
    };
    let (item, cost) = (longest as usize, costs[longest as usize]);
    let largest = slots.iter().map(|slot| slot.max_cost).fold(0.0, f64::max);
    if cost <= largest {
        return Ok(());
    }
    Err(Error::new(
        Status::Argument,
        format!(
            "no slot can take item {item}: it costs {cost}, and the largest maximum cost of a slot is {largest}; \
             raise a slot's maximum or leave the item out"
        ),
    )
    .at(item))
}

/// The makespan that no assignment beats ([`Assignment::lower_bound`]).
fn lower_bound(sorted: &[f64], slots: &[SlotSpec]) -> f64 {
    let whole: f64 = sorted.iter().sum();
    let weight: f64 = slots.iter().map(|slot| slot.weight).sum();
    // A slower slot is the fastest one only from some maximum down, so the longest item below each maximum decides.
    let longest = slots.iter().map(|slot| {
        let below = sorted.partition_point(|&cost| cost > slot.max_cost);
        sorted
            .get(below)
            .map_or(0.0, |&cost| cost / fastest(cost, slots))
    });
    longest.fold(whole / weight, f64::max)
}

/// The weight of the fastest slot that can take an item of this cost.
fn fastest(cost: f64, slots: &[SlotSpec]) -> f64 {
    let able = slots.iter().filter(|slot| cost <= slot.max_cost);
    able.map(|slot| slot.weight).fold(0.0, f64::max)
}

/// What a slot has been given so far.
#[derive(Debug, Clone, Copy)]
struct Load {
    slot: u32,
    items: u32,
    spec: SlotSpec,
    /// Number of the items of infinite cost.
    infinite: f64,
    /// Sum of the other costs.
    cost: f64,
}

impl Load {
    fn none(slots: &[SlotSpec]) -> Vec<Self> {
        let none = |(slot, &spec)| Self {
            slot,
            items: 0,
            spec,
            infinite: 0.0,
            cost: 0.0,
        };
        (0..).zip(slots).map(none).collect()
    }

    /// When the slot is done, in time.
    fn finish(&self) -> f64 {
        if self.infinite > 0.0 {
            f64::INFINITY
        } else {
            self.cost / self.spec.weight
        }
    }
}

/// Gives each item, in this order, to the slot that would finish it first; there is one that can take the first item,
/// and so the others. `amount` is what an item of some cost adds to a load; the loads begin without cost.
fn spread(
    (items, costs): (&[u32], &[f64]),
    amount: impl Fn(f64) -> f64,
    loads: &mut [Load],
    slot_of: &mut [u32],
) {
    let mut classes = Class::all(loads);
    for (&item, &cost) in items.iter().zip(costs) {
        if let Some(class) = first_to_finish(&mut classes, cost, amount(cost)) {
            slot_of[item as usize] = class.give(amount(cost));
        }
    }
    for place in classes.iter().flat_map(Class::places) {
        let load = &mut loads[place.slot() as usize];
        (load.cost, load.items) = (place.cost(), place.items());
    }
}

/// The class whose least loaded slot would finish this item first.
fn first_to_finish(classes: &mut [Class], cost: f64, amount: f64) -> Option<&mut Class> {
    let able = classes
        .iter_mut()
        .filter(|class| cost <= class.spec.max_cost);
    let candidates = able.map(|class| (class.finish(amount), class));
    let first = candidates.reduce(|a, b| if b.0.is_before(&a.0) { b } else { a });
    first.map(|(_, class)| class)
}

/// Slots that differ in nothing but their loads: the least loaded of them finishes any item first, so no other need be
/// looked at. The slots of a pool of equal devices are one class.
struct Class {
    spec: SlotSpec,
    /// When these slots are done with their items of infinite cost, in the unknown time that one takes.
    infinite: f64,
    least: Place,
    /// The others, from the least loaded to the most.
    others: Vec<Place>,
}

/// A slot in the queue of its class: its cost, the number of its items, and its number, as one integer that is ordered
/// as these are. (The bits of floats from 0 up are ordered as the floats are.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u128);

impl Place {
    fn new(cost: f64, items: u32, slot: u32) -> Self {
        Self(u128::from(cost.to_bits()) << 64 | u128::from(items) << 32 | u128::from(slot))
    }

    fn cost(self) -> f64 {
        f64::from_bits((self.0 >> 64) as u64)
    }

    fn items(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// When a slot is done, and what decides between slots that are done at one time.
struct Finish {
    infinite: f64,
    time: f64,
    items: u32,
    slot: u32,
}

impl Class {
    fn all(loads: &[Load]) -> Vec<Self> {
        let mut loads = loads.to_vec();
        loads.sort_unstable_by_key(|load| (load.items, load.slot));
        let mut classes: Vec<Self> = Vec::new();
        for load in &loads {
            let infinite = load.infinite / load.spec.weight;
            let place = Place::new(load.cost, load.items, load.slot);
            let like = |class: &&mut Self| class.spec == load.spec && class.infinite == infinite;
            match classes.iter_mut().find(like) {
                Some(class) => class.others.push(place),
                None => classes.push(Self {
                    spec: load.spec,
                    infinite,
                    least: place,
                    others: Vec::new(),
                }),
            }
        }
        classes
    }

    /// When the least loaded slot would be done with an item more.
    fn finish(&self, amount: f64) -> Finish {
        Finish {
            infinite: self.infinite,
            time: (self.least.cost() + amount) / self.spec.weight,
            items: self.least.items(),
            slot: self.least.slot(),
        }
    }

    /// Gives the least loaded slot an item, and moves it to its new place in the queue.
    fn give(&mut self, amount: f64) -> u32 {
        let (least, slot) = (self.least, self.least.slot());
        let given = Place::new(least.cost() + amount, least.items() + 1, slot);
        let mut free = &mut self.least;
        for next in &mut self.others {
            if *next > given {
                break;
            }
            *free = *next;
            free = next;
        }
        *free = given;
        slot
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        self.others.iter().copied().chain([self.least])
    }
}

impl Finish {
    fn is_before(&self, other: &Self) -> bool {
        if self.infinite != other.infinite {
            self.infinite < other.infinite
        } else if self.time != other.time {
            self.time < other.time
        } else {
            (self.items, self.slot) < (other.items, other.slot)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITY: f64 = f64::INFINITY;

    fn slots(weights: &[f64]) -> Vec<SlotSpec> {
        let any = |&weight| SlotSpec {
            weight,
            max_cost: INFINITY,
        };
        weights.iter().map(any).collect()
    }

    fn limited(weight: f64, max_cost: f64) -> SlotSpec {
        SlotSpec { weight, max_cost }
    }

    fn slot_of(costs: &[f64], weights: &[f64]) -> Vec<u32> {
        assign(costs, &slots(weights)).unwrap().slot_of
    }

    /// How many items each slot has.
    fn counts(slot_of: &[u32], slots: usize) -> Vec<usize> {
        let of = |slot| slot_of.iter().filter(|&&s| s as usize == slot).count();
        (0..slots).map(of).collect()
    }

    #[test]
    fn grahams_worst_case_for_two_slots() {
        let assignment = assign(&[2.0, 3.0, 2.0, 3.0, 2.0], &slots(&[1.0; 2])).unwrap();
        assert_eq!(assignment.slot_of, [0, 0, 1, 1, 0]);
        assert_eq!(assignment.finish, [7.0, 5.0]);
        assert_eq!((assignment.makespan, assignment.lower_bound), (7.0, 6.0));
    }

    #[test]
    fn an_item_goes_to_the_slot_that_finishes_it_first_not_to_an_idle_slow_one() {
        assert_eq!(slot_of(&[5.0, 5.0], &[1.0, 10.0]), [1, 1]);
        assert_eq!(slot_of(&[1.0], &[1.0, 1.0, 2.0]), [2]);
    }

    #[test]
    fn ties_go_to_fewest_items_and_then_to_the_first() {
        assert_eq!(
            slot_of(&[4.0, 2.0, 2.0, 1.0, 1.0], &[1.0; 2]),
            [0, 1, 1, 0, 1]
        );
        assert_eq!(slot_of(&[1.0; 5], &[1.0; 3]), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn equal_costs_of_any_kind_are_shared_out_by_count() {
        for cost in [0.0, 1.0, f64::MIN_POSITIVE, f64::MAX, INFINITY] {
            let slot_of = slot_of(&[cost; 9], &[1.0; 3]);
            assert_eq!(counts(&slot_of, 3), [3, 3, 3], "{cost}");
        }
        for cost in [0.0, 1.0, INFINITY] {
            let slot_of = slot_of(&[cost; 9], &[2.0, 1.0]);
            assert_eq!(counts(&slot_of, 2), [6, 3], "{cost}");
        }
    }

    #[test]
    fn zeros_are_shared_out_whatever_the_slots_have_to_do() {
        let mut costs = vec![0.0; 100];
        costs[7] = 5.0;
        costs[9] = 3.0;
        let slot_of = slot_of(&costs, &[1.0; 2]);
        assert_eq!((slot_of[7], slot_of[9]), (0, 1));
        assert_eq!(counts(&slot_of, 2), [50, 50]);
    }

    #[test]
    fn finite_items_keep_clear_of_infinite_ones() {
        let costs = [1.0, INFINITY, 2.0, 3.0];
        let assignment = assign(&costs, &slots(&[1.0; 2])).unwrap();
        assert_eq!(assignment.slot_of, [1, 0, 1, 1]);
        assert_eq!(assignment.finish, [INFINITY, 6.0]);
        assert_eq!(assignment.makespan, INFINITY);
        assert_eq!(assignment.lower_bound, INFINITY);

        let costs = [INFINITY, INFINITY, 4.0, 3.0, 1.0];
        assert_eq!(slot_of(&costs, &[1.0; 2]), [0, 1, 0, 1, 1]);
    }

    #[test]
    fn maximum_costs_are_kept_and_bound_the_makespan() {
        let slots = [limited(10.0, 2.0), limited(1.0, INFINITY)];
        let assignment = assign(&[3.0, 2.0, 1.0], &slots).unwrap();
        assert_eq!(assignment.slot_of, [1, 0, 0]);
        assert_eq!((assignment.makespan, assignment.lower_bound), (3.0, 3.0));
        assert_eq!(assign(&[0.0], &[limited(1.0, 0.0)]).unwrap().slot_of, [0]);
    }

    #[test]
    fn an_item_that_no_slot_takes_is_named() {
        let slots = [limited(1.0, 2.0), limited(1.0, 5.0)];
        for (cost, text) in [(7.0, "it costs 7"), (INFINITY, "it costs inf")] {
            let error = assign(&[1.0, cost, 2.0], &slots).unwrap_err();
            assert_eq!((error.status(), error.item()), (Status::Argument, Some(1)));
            let message = error.to_string();
            assert!(
                message.contains(text) && message.contains("slot is 5"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let refused = |costs: &[f64], slots: &[SlotSpec]| {
            let error = assign(costs, slots).unwrap_err();
            assert_eq!(error.status(), Status::Argument);
            error
        };
        refused(&[1.0], &[]);
        for weight in [0.0, -1.0, f64::NAN, INFINITY] {
            let error = refused(&[1.0], &[limited(1.0, 1.0), limited(weight, 1.0)]);
            assert!(error.to_string().contains("weight of slot 1"), "{weight}");
        }
        for max_cost in [-1.0, f64::NAN] {
            let error = refused(&[], &[limited(1.0, max_cost)]);
            assert!(
                error.to_string().contains("maximum cost of slot 0"),
                "{max_cost}"
            );
        }
        for cost in [-1.0, f64::NAN] {
            assert_eq!(refused(&[1.0, cost], &slots(&[1.0])).item(), Some(1));
        }
    }

    #[test]
    fn no_items_take_no_time() {
        let assignment = assign(&[], &slots(&[1.0; 2])).unwrap();
        assert_eq!(assignment.finish, [0.0, 0.0]);
        assert_eq!((assignment.makespan, assignment.lower_bound), (0.0, 0.0));
    }
}
