//! How much of what is left an idle slot takes, and from where, so that all slots are done at the same time.

/// A slot of unknown speed takes this much less, so that a slow one does not hold a large part of the job for long.
const PROBE: f64 = 0.125;

/// The part of what is left that the next batch of slot `own` may hold, where the slots work at `speeds` (cost per
/// second, normal numbers above 0; `None` if not known yet).
///
/// Half of what the slot would do of it if all were done together: factoring (S. F. Hummel et al., Commun. ACM 35, 1992)
/// with the weights of weighted factoring (S. F. Hummel et al., SPAA 1996), which refines guided self-scheduling (C. D.
/// Polychronopoulos, D. J. Kuck, IEEE Trans. Computers C-36, 1987). A slot that works alone takes all.
#[must_use]
pub fn share(speeds: &[Option<f64>], own: usize) -> f64 {
    if speeds.len() <= 1 {
        return 1.0;
    }
    let known: Vec<f64> = speeds.iter().copied().flatten().collect();
    let even = 0.5 / speeds.len() as f64;
    match speeds[own] {
        Some(speed) => {
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            even * speed / mean
        }
        None => even * PROBE,
    }
}

/// Another slot that works on the same items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peer {
    /// Seconds until it is done with what it has, and has the tool.
    pub free_in: f64,
    /// Cost per second.
    pub speed: f64,
}

/// The seconds in which `peers` alone would be done with `work` (a sum of costs), of which `longest` is one item: a lower
/// bound, as if work could be cut at will. Infinite without peers.
#[must_use]
pub fn done_in(peers: &[Peer], work: f64, longest: f64) -> f64 {
    let alone = |peer: &Peer| peer.free_in + longest / peer.speed;
    let longest_done = peers.iter().map(alone).fold(f64::INFINITY, f64::min);
    longest_done.max(level(peers, work))
}

/// The time until which `peers`, each from when it is free, do `work` together: the level to which water rises over steps.
fn level(peers: &[Peer], work: f64) -> f64 {
    let mut by_time = peers.to_vec();
    by_time.sort_by(|a, b| a.free_in.total_cmp(&b.free_in));
    let (mut speed, mut done_before) = (0.0, 0.0);
    let mut reached = f64::INFINITY;
    for (place, peer) in by_time.iter().enumerate() {
        speed += peer.speed;
        done_before += peer.speed * peer.free_in;
        reached = (work + done_before) / speed;
        let next = by_time.get(place + 1);
        if next.is_none_or(|next| reached <= next.free_in) {
            break;
        }
    }
    reached
}

/// The first item that a slot should take now, in the queue of `costs` (longest first) that add up to `work`: items
/// before it are left to `peers`, who would be done with everything sooner than the slot with that item. `None` if the
/// slot had better take nothing. `delay` is the seconds until it can begin, `speed` its cost per second.
///
/// Of all slots, the one that would finish an item first never leaves it to others.
#[must_use]
pub fn first_worth_taking(
    costs: impl Fn(usize) -> f64,
    items: usize,
    work: f64,
    delay: f64,
    speed: f64,
    peers: &[Peer],
) -> Option<usize> {
    if items == 0 {
        return None;
    }
    let ends = |cost: f64| delay + cost / speed;
    let rest: f64 = peers.iter().map(|peer| peer.speed).sum();
    // The usual case, far from the end: whatever the others are doing, they need longer than this.
    if peers.is_empty() || ends(costs(0)) <= work / rest {
        return Some(0);
    }
    let deadline = done_in(peers, work, costs(0));
    let (mut low, mut high) = (0, items);
    while low < high {
        let middle = usize::midpoint(low, high);
        if ends(costs(middle)) <= deadline {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    (low < items).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(free_in: f64, speed: f64) -> Peer {
        Peer { free_in, speed }
    }

    #[test]
    fn shares_follow_the_speeds_and_add_up_to_half() {
        let speeds = [1.0, 1.0, 2.0, 4.0].map(Some);
        let shares: Vec<f64> = (0..4).map(|slot| share(&speeds, slot)).collect();
        assert_eq!(shares, [0.0625, 0.0625, 0.125, 0.25]);
    }

    #[test]
    fn a_slot_of_unknown_speed_takes_little_and_a_lonely_one_all() {
        assert_eq!(share(&[None, Some(3.0)], 0), 0.25 * PROBE);
        assert_eq!(share(&[None, Some(3.0)], 1), 0.25);
        assert_eq!(share(&[None], 0), 1.0);
    }

    #[test]
    fn water_fills_the_earliest_first() {
        let peers = [peer(4.0, 1.0), peer(0.0, 1.0), peer(1.0, 2.0)];
        assert_eq!(level(&peers, 0.5), 0.5);
        assert_eq!(level(&peers, 4.0), 2.0);
        assert_eq!(level(&peers, 14.0), 5.0);
        assert_eq!(level(&[], 1.0), f64::INFINITY);
    }

    #[test]
    fn a_slow_slot_leaves_the_last_long_item_to_a_fast_one() {
        let costs = [8.0];
        let take = |speed, peers: &[Peer]| {
            first_worth_taking(|at| costs[at], 1, costs[0], 0.0, speed, peers)
        };
        assert_eq!(take(1.0, &[peer(1.0, 4.0)]), None);
        assert_eq!(take(4.0, &[peer(0.0, 1.0)]), Some(0));
        assert_eq!(take(1.0, &[peer(9.0, 4.0)]), Some(0));
        assert_eq!(take(1.0, &[]), Some(0));
    }

    #[test]
    fn a_slow_slot_takes_what_it_can_end_before_the_others() {
        let costs = [8.0, 6.0, 2.0, 1.0];
        let fast = [peer(0.0, 4.0)];
        // The fast slot needs 17 / 4 seconds for all.
        assert_eq!(
            first_worth_taking(|at| costs[at], 4, 17.0, 0.0, 1.0, &fast),
            Some(2)
        );
        assert_eq!(
            first_worth_taking(|at| costs[at], 4, 17.0, 3.0, 1.0, &fast),
            Some(3)
        );
        assert_eq!(
            first_worth_taking(|at| costs[at], 4, 17.0, 4.0, 1.0, &fast),
            None
        );
    }

    #[test]
    fn of_equal_slots_that_are_free_each_takes_the_last_item() {
        let takes = first_worth_taking(|_| 5.0, 1, 5.0, 0.0, 2.0, &[peer(0.0, 2.0)]);
        assert_eq!(takes, Some(0));
    }
}
