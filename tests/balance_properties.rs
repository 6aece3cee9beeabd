//! Who takes what and how much of it, on random input: against brute force, and in a little simulation of its own.

use proptest::collection::vec;
use proptest::prelude::*;
use toolpool::plan::balance::{Peer, done_in, first_worth_taking, share};
use toolpool::plan::budget::Budget;

/// A slot of the little simulation.
#[derive(Debug, Clone, Copy)]
struct Slot {
    speed: f64,
    free_at: f64,
}

/// An item as it was done there.
#[derive(Debug, Clone, Copy)]
struct Done {
    end: f64,
    /// When the slots that left it to others would have ended it, at the earliest.
    left: f64,
}

/// What slots do that know their speeds and take one item at a time: whoever is free takes the first item worth taking, or
/// waits for the next moment at which some slot is free.
fn play(costs: &[f64], slots: &[Slot]) -> Vec<Done> {
    let mut slots = slots.to_vec();
    let mut queue: Vec<usize> = (0..costs.len()).collect();
    let mut left = vec![f64::INFINITY; costs.len()];
    let mut done = vec![None; costs.len()];
    let mut now = 0.0;
    while !queue.is_empty() {
        for slot in 0..slots.len() {
            if slots[slot].free_at > now {
                continue;
            }
            let speed = slots[slot].speed;
            let work = queue.iter().map(|&item| costs[item]).sum();
            let taken = first_worth_taking(
                |place| costs[queue[place]],
                queue.len(),
                work,
                0.0,
                speed,
                &peers(&slots, slot, now),
            );
            for &item in &queue[..taken.unwrap_or(queue.len())] {
                left[item] = left[item].min(now + costs[item] / speed);
            }
            if let Some(place) = taken {
                let item = queue.remove(place);
                slots[slot].free_at = now + costs[item] / speed;
                done[item] = Some(slots[slot].free_at);
            }
        }
        let later = slots.iter().map(|slot| slot.free_at);
        let next = later.filter(|&at| at > now).fold(f64::INFINITY, f64::min);
        assert!(
            queue.is_empty() || next.is_finite(),
            "nobody takes {queue:?}"
        );
        now = next;
    }
    let done = done.into_iter().zip(left);
    done.map(|(end, left)| Done {
        end: end.expect("the queue is empty"),
        left,
    })
    .collect()
}

/// The others, as a slot sees them.
fn peers(slots: &[Slot], own: usize, now: f64) -> Vec<Peer> {
    let others = slots
        .iter()
        .enumerate()
        .filter(|&(number, _)| number != own);
    let peer = |slot: &Slot| Peer {
        free_in: (slot.free_at - now).max(0.0),
        speed: slot.speed,
    };
    others.map(|(_, slot)| peer(slot)).collect()
}

fn makespan(done: &[Done]) -> f64 {
    done.iter().map(|item| item.end).fold(0.0, f64::max)
}

/// The least makespan of all ways to share items out.
fn best_makespan(costs: &[f64], slots: &mut [Slot]) -> f64 {
    let Some((cost, rest)) = costs.split_first() else {
        return slots.iter().map(|slot| slot.free_at).fold(0.0, f64::max);
    };
    let mut best = f64::INFINITY;
    for slot in 0..slots.len() {
        let before = slots[slot].free_at;
        slots[slot].free_at += cost / slots[slot].speed;
        best = best.min(best_makespan(rest, slots));
        slots[slot].free_at = before;
    }
    best
}

/// [`done_in`] by bisection: the time at which all that was done adds up to the work.
fn done_in_by_halving(peers: &[Peer], work: f64, longest: f64) -> f64 {
    let done_by = |time: f64| -> f64 {
        let each = peers
            .iter()
            .map(|peer| peer.speed * (time - peer.free_in).max(0.0));
        each.sum()
    };
    let (mut early, mut late) = (0.0, 1.0);
    while done_by(late) < work {
        late *= 2.0;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(early, late);
        if done_by(middle) < work {
            early = middle;
        } else {
            late = middle;
        }
    }
    let alone = peers.iter().map(|peer| peer.free_in + longest / peer.speed);
    alone.fold(f64::INFINITY, f64::min).max(late)
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn speed() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0), Just(2.0), Just(4.0), 0.1..10.0]
}

/// Numbers from which quotients and sums overflow, vanish or are none.
fn hostile() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(5e-324),
        Just(f64::MIN_POSITIVE),
        Just(1.0),
        0.0..1e3,
        Just(1e300),
        Just(f64::MAX),
        Just(f64::INFINITY),
        Just(f64::NAN),
    ]
}

/// A speed of any size, if it is known.
fn known() -> impl Strategy<Value = Option<f64>> {
    hostile().prop_map(|speed| Some(speed).filter(|speed| speed.is_normal()))
}

fn longest_first(costs: impl Strategy<Value = Vec<f64>>) -> impl Strategy<Value = Vec<f64>> {
    costs.prop_map(|mut costs| {
        costs.sort_by(|a, b| b.total_cmp(a));
        costs
    })
}

fn costs(most: usize) -> impl Strategy<Value = Vec<f64>> {
    longest_first(vec(
        prop_oneof![(1..9u32).prop_map(f64::from), 0.01..20.0],
        1..=most,
    ))
}

fn idle(speeds: &[f64]) -> Vec<Slot> {
    speeds
        .iter()
        .map(|&speed| Slot {
            speed,
            free_at: 0.0,
        })
        .collect()
}

fn peer() -> impl Strategy<Value = Peer> {
    let free_in = prop_oneof![Just(0.0), 0.0..20.0];
    (free_in, speed()).prop_map(|(free_in, speed)| Peer { free_in, speed })
}

proptest! {
    /// Half of all in all, and to each by its speed; less while some are not known.
    #[test]
    fn shares_are_half_of_what_is_left_in_proportion_to_the_speeds(speeds in vec(speed(), 2..17), unknown in vec(any::<bool>(), 17)) {
        let known: Vec<_> = speeds.iter().copied().map(Some).collect();
        let whole: f64 = speeds.iter().sum();
        for (slot, speed) in speeds.iter().enumerate() {
            prop_assert!(close(share(&known, slot), 0.5 * speed / whole));
        }
        let some: Vec<_> = speeds.iter().zip(&unknown).map(|(&speed, &unknown)| (!unknown).then_some(speed)).collect();
        let shares: Vec<f64> = (0..some.len()).map(|slot| share(&some, slot)).collect();
        prop_assert!(shares.iter().all(|&share| share > 0.0));
        prop_assert!(shares.iter().sum::<f64>() <= 0.5 * (1.0 + 1e-12));
        for (share, speed) in shares.iter().zip(&some) {
            prop_assert!(speed.is_some() || *share < 0.5 / some.len() as f64);
        }
    }

    #[test]
    fn a_share_of_whatever_speeds_is_no_more_than_there_is(speeds in vec(known(), 1..6)) {
        for slot in 0..speeds.len() {
            let share = share(&speeds, slot);
            prop_assert!((0.0..=1.0).contains(&share), "{share}");
        }
    }

    #[test]
    fn peers_are_done_when_bisection_says_so(peers in vec(peer(), 1..8), work in 0.1..100.0, part in 0.0..1.0) {
        let longest = work * part;
        let [ours, plain] = [done_in(&peers, work, longest), done_in_by_halving(&peers, work, longest)];
        prop_assert!(close(ours, plain), "{ours} {plain}");
    }

    #[test]
    fn a_slot_takes_the_first_item_that_it_ends_before_its_peers_have_ended_all(
        costs in costs(30), delay in 0.0..5.0, speed in speed(), peers in vec(peer(), 0..5),
    ) {
        let work = costs.iter().sum();
        let taken = first_worth_taking(|place| costs[place], costs.len(), work, delay, speed, &peers);
        let ends = |place: usize| delay + costs[place] / speed;
        let deadline = if peers.is_empty() { f64::INFINITY } else { done_in_by_halving(&peers, work, costs[0]) };
        // What ends just then may go either way.
        let first = taken.unwrap_or(costs.len());
        prop_assert!((0..first).all(|place| ends(place) > deadline * (1.0 - 1e-9)));
        prop_assert!(first == costs.len() || ends(first) <= deadline * (1.0 + 1e-9));
    }

    /// Whatever the numbers, somebody goes on.
    #[test]
    fn some_slot_always_takes_the_longest_item(
        costs in longest_first(vec(hostile().prop_filter("a cost", |cost| *cost >= 0.0), 1..20)),
        slots in vec((hostile(), hostile()), 1..6),
    ) {
        let normal = |number: f64| if number.is_normal() { number } else { 1.0 };
        let slots: Vec<_> = slots.iter().map(|&(speed, free)| Slot { speed: normal(speed), free_at: normal(free) }).collect();
        let work = costs.iter().filter(|cost| cost.is_finite()).sum();
        let takes = |slot: usize| {
            let Slot { speed, free_at } = slots[slot];
            first_worth_taking(|place| costs[place], costs.len(), work, free_at, speed, &peers(&slots, slot, 0.0))
        };
        prop_assert!((0..slots.len()).any(|slot| takes(slot) == Some(0)));
    }

    /// Of two, the other needs for all that is left exactly as long as is reckoned with.
    #[test]
    fn of_two_slots_one_leaves_to_the_other_only_what_that_one_ends_sooner(
        costs in costs(20), speeds in [speed(), speed()],
    ) {
        for (place, done) in play(&costs, &idle(&speeds)).iter().enumerate() {
            prop_assert!(done.end <= done.left * (1.0 + 1e-9), "item {place}: {done:?}");
        }
    }

    /// Pulling the longest item first with the guard at the tail is not LPT to the letter (which is at most 5/3 of the best,
    /// D. K. Friesen, SIAM J. Comput. 16, 1987), and near it.
    #[test]
    fn slots_that_pull_are_done_near_the_best_time_there_is(costs in costs(7), speeds in vec(speed(), 1..4)) {
        let slots = idle(&speeds);
        let ours = makespan(&play(&costs, &slots));
        let best = best_makespan(&costs, &mut slots.clone());
        prop_assert!(ours <= 2.0 * best, "{ours} {best}");
    }

    #[test]
    fn a_budget_moves_by_halves_and_doubles_within_its_bounds(
        start in prop_oneof![1..5000_u64, Just(1 << 63), Just(u64::MAX)],
        most in prop_oneof![0..100_000_u64, Just(u64::MAX)],
        steps in vec((0..8_u8, any::<u64>(), hostile(), hostile()), 0..200),
    ) {
        let mut budget = Budget::new(start, most);
        let (mut top, mut fell) = (most.max(start), false);
        for (kind, extent, cost, seconds) in steps {
            let before = budget.now();
            if kind == 0 {
                budget.out_of_memory(extent % before.saturating_mul(2).max(1));
                prop_assert!(budget.now() <= before);
                (top, fell) = (budget.now(), true);
            } else {
                let full = if kind < 6 { before } else { extent % before.max(1) };
                budget.done(full, cost, seconds);
                let now = budget.now();
                prop_assert!(now == before || now / 2 == before && !fell || now == before / 2, "{before} to {now}");
                // One step back is the last.
                fell |= now < before;
            }
            prop_assert!((1..=top).contains(&budget.now()));
        }
    }

    #[test]
    fn what_runs_out_of_memory_is_never_tried_again(extent in 2..1_000_000_u64, most in 1..u64::MAX) {
        let mut budget = Budget::new(extent, most);
        budget.out_of_memory(extent);
        for _ in 0..100 {
            let full = budget.now();
            // Twice as fast each time.
            budget.done(full, full as f64, 1.0 / full as f64);
            prop_assert!((1..extent).contains(&budget.now()));
        }
    }
}
