//! Which spans of a slot can be drawn on one line.

use super::Span;

/// Puts the spans of one slot into as few lanes as possible, so that no two of a lane overlap, each lane in order of time:
/// by their begins, each into the first lane that is free (interval partitioning; J. Kleinberg, É. Tardos, Algorithm
/// Design, 2006, §4.1).
///
/// One lane is enough for a tool with one batch in flight at a time.
pub fn lanes(spans: &[Span], slot: usize) -> Vec<Vec<Span>> {
    let mut spans: Vec<Span> = spans
        .iter()
        .filter(|span| span.slot as usize == slot)
        .copied()
        .collect();
    spans.sort_by_key(|span| (span.begin, span.end));
    let mut lanes: Vec<Vec<Span>> = Vec::new();
    for span in spans {
        let free =
            |lane: &&mut Vec<Span>| lane.last().is_none_or(|before| before.end <= span.begin);
        match lanes.iter_mut().find(free) {
            Some(lane) => lane.push(span),
            None => lanes.push(vec![span]),
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::super::sample::{batch, load, two_slots};
    use super::*;

    #[test]
    fn what_overlaps_goes_into_another_lane_and_what_follows_does_not() {
        let spans = [
            batch(0, 4.0, 6.0, 1, 1.0),
            batch(0, 1.0, 3.0, 1, 1.0),
            load(0, 0.0, 1.0),
            batch(0, 2.0, 4.0, 1, 1.0),
            batch(0, 3.0, 5.0, 1, 1.0),
            batch(1, 0.0, 9.0, 1, 1.0),
        ];
        let begins = |lane: &Vec<Span>| -> Vec<u64> {
            lane.iter().map(|span| span.begin.as_secs()).collect()
        };
        let lanes: Vec<_> = lanes(&spans, 0).iter().map(begins).collect();
        assert_eq!(lanes, [vec![0, 1, 3], vec![2, 4]]);
    }

    #[test]
    fn no_more_lanes_than_batches_in_flight_at_once() {
        let report = two_slots();
        assert_eq!(lanes(&report.spans, 0).len(), 2);
        assert_eq!(lanes(&report.spans, 1).len(), 1);
        assert_eq!(lanes(&report.spans, 2).len(), 0);
    }
}
