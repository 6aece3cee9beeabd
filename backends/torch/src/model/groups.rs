//! Which items go into one call of the model.

use std::collections::HashMap;
use std::hash::Hash;

/// Numbers of items of equal keys, each group in the order of the items, groups in the order of their first.
pub fn alike<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> Vec<Vec<usize>> {
    let mut number_of = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (item, key) in keys.enumerate() {
        let number = *number_of.entry(key).or_insert(groups.len());
        if number == groups.len() {
            groups.push(Vec::new());
        }
        groups[number].push(item);
    }
    groups
}

/// Splits items of different lengths into groups that are padded to their longest, at the least cost: a group of n items,
/// the longest of length l, costs n·l, and every call costs `call` besides.
///
/// An optimal group holds all items of one length or none, and items that are neighbours when sorted by length: so it is
/// found by dynamic programming over the different lengths. `length` is that of an item.
pub fn by_length(
    mut items: Vec<usize>,
    length: impl Fn(usize) -> i64,
    call: i64,
) -> Vec<Vec<usize>> {
    items.sort_by_key(|&item| std::cmp::Reverse(length(item)));
    // Where each different length begins among the sorted items, and the end.
    let mut begins: Vec<usize> = (0..items.len())
        .filter(|&at| at == 0 || length(items[at]) != length(items[at - 1]))
        .collect();
    begins.push(items.len());
    // The least cost of the items from each begin on, and the end of their first group.
    let mut best = vec![(0_i64, 0_usize); begins.len()];
    for from in (0..begins.len() - 1).rev() {
        let longest = length(items[begins[from]]);
        let costs = (from + 1..begins.len()).map(|to| {
            let count = (begins[to] - begins[from]) as i64;
            let cost = count.saturating_mul(longest).saturating_add(call);
            (cost.saturating_add(best[to].0), to)
        });
        best[from] = costs.min().unwrap_or_default();
    }
    let mut groups = Vec::new();
    let mut from = 0;
    while from + 1 < begins.len() {
        let to = best[from].1;
        groups.push(items[begins[from]..begins[to]].to_vec());
        from = to;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_a_key_stay_together_and_in_order() {
        assert_eq!(alike("abcab".chars()), [vec![0, 3], vec![1, 4], vec![2]]);
        assert!(alike("".chars()).is_empty());
    }

    fn cost(lengths: &[i64], groups: &[Vec<usize>], call: i64) -> i64 {
        let of = |group: &Vec<usize>| {
            let longest = group.iter().map(|&item| lengths[item]).max().unwrap();
            group.len() as i64 * longest + call
        };
        groups.iter().map(of).sum()
    }

    /// The least cost over all ways to cut the sorted items.
    fn brute_force(lengths: &[i64], call: i64) -> i64 {
        let mut sorted = lengths.to_vec();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let cuts = sorted.len() - 1;
        (0..1_u32 << cuts)
            .map(|mask| {
                let (mut cost, mut begin) = (0, 0);
                for at in 1..=sorted.len() {
                    if at == sorted.len() || mask >> (at - 1) & 1 == 1 {
                        cost += sorted[begin] * (at - begin) as i64 + call;
                        begin = at;
                    }
                }
                cost
            })
            .min()
            .unwrap()
    }

    #[test]
    fn no_other_split_pads_less_at_the_same_cost_of_calls() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let lengths: Vec<i64> = (0..=random(9)).map(|_| 1 + random(40) as i64).collect();
            let call = random(60) as i64;
            let groups = by_length((0..lengths.len()).collect(), |item| lengths[item], call);
            let mut seen: Vec<usize> = groups.concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            assert_eq!(
                cost(&lengths, &groups, call),
                brute_force(&lengths, call),
                "{lengths:?} {call} {groups:?}"
            );
        }
    }

    #[test]
    fn no_items_are_no_groups() {
        assert!(by_length(Vec::new(), |_| 1, 1).is_empty());
    }
}
