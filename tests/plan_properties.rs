//! Properties of the planning steps, on random input, against brute force.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use toolpool::plan::batch::{Cut, Remaining};
use toolpool::plan::dedup::{Dedup, Fields};
use toolpool::plan::lpt::{SlotSpec, assign};
use toolpool::plan::order::longest_first;

#[derive(Debug)]
struct Rows {
    fields: usize,
    rows: Vec<Vec<Vec<u8>>>,
}

impl Fields for Rows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn fields(&self) -> usize {
        self.fields
    }

    fn field(&self, item: usize, field: usize) -> &[u8] {
        &self.rows[item][field]
    }
}

/// Rows of one to three fields that often coincide, in whole or when their fields are joined; some are long.
fn rows() -> impl Strategy<Value = Rows> {
    let short = vec(prop_oneof![Just(b'a'), Just(0)], 0..4);
    let long = (0..300usize).prop_map(|len| vec![b'a'; 200 + len / 100]);
    let field = prop_oneof![9 => short, 1 => long];
    (1..4usize).prop_flat_map(move |fields| {
        vec(vec(field.clone(), fields), 0..200).prop_map(move |rows| Rows { fields, rows })
    })
}

/// Costs of every legal kind, with many ties.
fn cost() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0..8u32).prop_map(f64::from),
        4 => 0.0..1e3,
        1 => Just(f64::INFINITY),
        1 => Just(f64::MIN_POSITIVE),
    ]
}

/// Costs of which sums overflow and vanish, too.
fn batch_cost() -> impl Strategy<Value = f64> {
    prop_oneof![8 => cost(), 1 => Just(f64::MAX), 1 => Just(1e-300)]
}

fn extent() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..500_u64, 1 => Just(u64::MAX)]
}

fn slot() -> impl Strategy<Value = SlotSpec> {
    let weight = prop_oneof![Just(1.0), Just(2.0), 0.1..10.0];
    let max_cost = prop_oneof![Just(f64::INFINITY), 0.0..1e3];
    (weight, max_cost).prop_map(|(weight, max_cost)| SlotSpec { weight, max_cost })
}

fn equal_slots(count: usize) -> Vec<SlotSpec> {
    let slot = SlotSpec {
        weight: 1.0,
        max_cost: f64::INFINITY,
    };
    vec![slot; count]
}

/// The least makespan of all assignments to equal slots.
fn best_makespan(costs: &[f64], loads: &mut [f64]) -> f64 {
    let Some((cost, rest)) = costs.split_first() else {
        return loads.iter().copied().fold(0.0, f64::max);
    };
    let mut best = f64::INFINITY;
    for slot in 0..loads.len() {
        let before = loads[slot];
        loads[slot] += cost;
        best = best.min(best_makespan(rest, loads));
        loads[slot] = before;
    }
    best
}

/// Static LPT without classes or shortcuts, for finite costs above 0.
fn plain_lpt(costs: &[f64], slots: &[SlotSpec]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[b].total_cmp(&costs[a]));
    let mut loads = vec![(0.0, 0); slots.len()];
    let mut slot_of = vec![0; costs.len()];
    for item in order {
        let able = (0..slots.len()).filter(|&slot| costs[item] <= slots[slot].max_cost);
        let finish = |slot: usize| (loads[slot].0 + costs[item]) / slots[slot].weight;
        let first = able.min_by(|&a, &b| {
            let by_items = loads[a].1.cmp(&loads[b].1);
            finish(a).total_cmp(&finish(b)).then(by_items)
        });
        let first = first.expect("the caller left a slot without maximum");
        loads[first] = (loads[first].0 + costs[item], loads[first].1 + 1);
        slot_of[item] = first as u32;
    }
    slot_of
}

proptest! {
    #[test]
    fn dedup_agrees_with_a_hash_map(rows in rows()) {
        let dedup = Dedup::find(&rows);
        let mut first: HashMap<&Vec<Vec<u8>>, usize> = HashMap::new();
        for (position, row) in rows.rows.iter().enumerate() {
            let expected = *first.entry(row).or_insert(position);
            prop_assert_eq!(dedup.first(dedup.unique_of(position)), expected);
        }
        prop_assert_eq!(dedup.positions(), rows.rows.len());
        prop_assert_eq!(dedup.uniques(), first.len());
        let firsts: Vec<usize> = (0..dedup.uniques()).map(|unique| dedup.first(unique)).collect();
        prop_assert!(firsts.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_order_is_that_of_a_stable_sort(costs in vec(cost(), 0..300)) {
        let mut expected: Vec<u32> = (0..costs.len() as u32).collect();
        expected.sort_by(|&a, &b| costs[b as usize].total_cmp(&costs[a as usize]));
        prop_assert_eq!(longest_first(&costs), expected);
    }

    #[test]
    fn lpt_keeps_grahams_bound(
        costs in vec(0.0..100.0, 0..8),
        count in 1..4usize,
    ) {
        let assignment = assign(&costs, &equal_slots(count)).unwrap();
        let best = best_makespan(&costs, &mut vec![0.0; count]);
        let bound = 4.0 / 3.0 - 1.0 / (3.0 * count as f64);
        let rounding = 1.0 + 1e-12;
        prop_assert!(assignment.makespan <= bound * best * rounding);
        prop_assert!(assignment.lower_bound <= best * rounding);
    }

    #[test]
    fn lpt_agrees_with_its_plain_form(
        costs in vec(prop_oneof![(1..8u32).prop_map(f64::from), 0.001..1e3], 0..100),
        slots in vec(slot(), 0..12),
    ) {
        let slots = [slots, equal_slots(1)].concat();
        prop_assert_eq!(assign(&costs, &slots).unwrap().slot_of, plain_lpt(&costs, &slots));
    }

    #[test]
    fn lpt_accounts_for_every_item(costs in vec(cost(), 0..200), slots in vec(slot(), 1..10)) {
        let longest = costs.iter().copied().fold(0.0, f64::max);
        let largest = slots.iter().map(|slot| slot.max_cost).fold(0.0, f64::max);
        let assignment = assign(&costs, &slots);
        if longest > largest {
            let item = assignment.unwrap_err().item();
            prop_assert_eq!(item, costs.iter().position(|&cost| cost == longest));
            return Ok(());
        }
        let assignment = assignment.unwrap();
        prop_assert_eq!(assignment.slot_of.len(), costs.len());
        let mut loads = vec![0.0; slots.len()];
        for (&cost, &slot) in costs.iter().zip(&assignment.slot_of) {
            prop_assert!(cost <= slots[slot as usize].max_cost);
            loads[slot as usize] += cost;
        }
        for ((load, slot), finish) in loads.iter().zip(&slots).zip(&assignment.finish) {
            let time = load / slot.weight;
            prop_assert!(time == *finish || (time - finish).abs() <= 1e-9 * time);
        }
        let last = assignment.finish.iter().copied().fold(0.0, f64::max);
        prop_assert_eq!(assignment.makespan, last);
        prop_assert!(assignment.lower_bound <= assignment.makespan);
    }

    #[test]
    fn batches_take_every_item_once_within_their_bounds(
        items in vec((batch_cost(), extent()), 0..300),
        budget in 0..2000u64,
        max_items in 0..40usize,
        share in 0.0..1.0,
    ) {
        let mut items = items;
        items.sort_by(|a, b| b.0.total_cmp(&a.0));
        let costs: Vec<f64> = items.iter().map(|item| item.0).collect();
        let cut = Cut { budget, max_items };
        let (mut remaining, mut rest) = (Remaining::all(&costs), &items[..]);
        while !rest.is_empty() {
            prop_assert_eq!(remaining.items(), rest.len());
            let size = cut.next_batch(rest.iter().copied(), &remaining, share);
            prop_assert_eq!(size, cut.next_batch(rest.iter().copied(), &remaining, share));
            prop_assert!((1..=rest.len()).contains(&size));
            let may_hold = |items: &[(f64, u64)]| {
                let extent = items.iter().map(|item| u128::from(item.1)).sum::<u128>();
                items.iter().map(|item| item.0).sum::<f64>() <= share * remaining.cost()
                    && items.len() as f64 <= share * rest.len() as f64
                    && items.len() <= max_items
                    && extent <= u128::from(budget)
                    && items.iter().all(|item| item.0.is_finite())
            };
            let (batch, after) = rest.split_at(size);
            prop_assert!(size == 1 || may_hold(batch));
            prop_assert!(after.is_empty() || !may_hold(&rest[..=size]), "there was room for one more");
            batch.iter().for_each(|item| remaining.remove(item.0));
            rest = after;
        }
        prop_assert_eq!(remaining.items(), 0);
    }
}
