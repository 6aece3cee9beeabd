//! Which records are which shard's, for `--shard I/N`: every machine comes to the same without asking another.

use std::collections::HashMap;

use toolpool::plan::lpt::{SlotSpec, assign};

use crate::error::Result;
use crate::output::Part;
use crate::tool::refused;

/// Deals the records of each window out to all shards, by static LPT on their costs; equal sequences stay together.
pub struct Deal {
    part: Part,
    /// The cost of each shard in all windows so far.
    loads: Vec<f64>,
}

impl Deal {
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self {
            part,
            loads: vec![0.0; part.count as usize],
        }
    }

    /// Whether each record of a window is this shard's, from the hashes and costs of the sequences.
    ///
    /// LPT makes as many heaps of the window as there are shards; the shard with the least so far gets the largest.
    pub fn mine(&mut self, hashes: &[u64], costs: &[f64]) -> Result<Vec<bool>> {
        let mut group_of = HashMap::new();
        let mut groups = Vec::new();
        let of_record: Vec<usize> = hashes
            .iter()
            .zip(costs)
            .map(|(hash, &cost)| {
                *group_of.entry(hash).or_insert_with(|| {
                    groups.push(cost);
                    groups.len() - 1
                })
            })
            .collect();
        let equal = SlotSpec {
            weight: 1.0,
            max_cost: f64::INFINITY,
        };
        let dealt = assign(&groups, &vec![equal; self.loads.len()]).map_err(refused)?;
        let heaps = order(&dealt.finish, |a, b| b.total_cmp(&a));
        let shards = order(&self.loads, |a, b| a.total_cmp(&b));
        let mut shard_of = vec![0; shards.len()];
        for (&heap, &shard) in heaps.iter().zip(&shards) {
            shard_of[heap] = shard;
            self.loads[shard] += dealt.finish[heap];
        }
        let mine = self.part.index as usize - 1;
        let is_mine = |&group: &usize| shard_of[dealt.slot_of[group] as usize] == mine;
        Ok(of_record.iter().map(is_mine).collect())
    }
}

/// Places in order of their values; equal ones in order.
fn order(values: &[f64], compare: impl Fn(f64, f64) -> std::cmp::Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| compare(values[a], values[b]));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u32 = 3;

    /// For each window and record, the shard that says it is its own.
    fn deal(windows: &[Vec<(u64, f64)>]) -> Vec<Vec<u32>> {
        let mut owners: Vec<Vec<u32>> =
            windows.iter().map(|window| vec![0; window.len()]).collect();
        for index in 1..=COUNT {
            let mut deal = Deal::new(Part {
                index,
                count: COUNT,
            });
            for (window, owners) in windows.iter().zip(&mut owners) {
                let (hashes, costs): (Vec<u64>, Vec<f64>) = window.iter().copied().unzip();
                let mine = deal.mine(&hashes, &costs).unwrap();
                for (owner, _) in owners.iter_mut().zip(mine).filter(|(_, mine)| *mine) {
                    assert_eq!(*owner, 0, "a record is of one shard");
                    *owner = index;
                }
            }
        }
        owners
    }

    #[test]
    fn every_record_is_in_one_shard_and_equal_ones_in_the_same() {
        let windows: Vec<Vec<(u64, f64)>> = (0..5_u64)
            .map(|window| {
                let record = |number: u64| {
                    let hash = (window * 31 + number * 7) % 40;
                    (hash, (hash * hash) as f64)
                };
                (0..100).map(record).collect()
            })
            .collect();
        for (window, owners) in windows.iter().zip(deal(&windows)) {
            assert!(owners.iter().all(|&owner| owner != 0));
            let mut owner_of = HashMap::new();
            for ((hash, _), owner) in window.iter().zip(&owners) {
                assert_eq!(owner_of.entry(hash).or_insert(owner), &owner);
            }
        }
    }

    #[test]
    fn what_one_window_leaves_uneven_the_next_evens_out() {
        let window: Vec<(u64, f64)> = vec![(1, 9.0), (2, 1.0), (3, 1.0)];
        let owners = deal(&[window.clone(), window.clone(), window]);
        let heavy: Vec<u32> = owners.iter().map(|owners| owners[0]).collect();
        assert_eq!(heavy, [1, 2, 3]);
    }
}
