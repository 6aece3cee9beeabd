//! What the tool calls transient.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use toolpool::error::{Error, Status};
use toolpool::pool::JobOptions;

use crate::double::{Double, holds};
use crate::{ends, named, pool, results, submit_with};

/// At least so long; a busy machine only makes it longer.
#[test]
fn retries_leave_what_failed_alone_for_longer_each_time() {
    let tries = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&tries);
    let tool = Double::new("busy", move |_, batch| {
        if !holds(batch, b'T') {
            return Ok(());
        }
        noted.lock().push(Instant::now());
        Err(Error::new(Status::Transient, "busy"))
    });
    let mut inputs = named(b'T', 1, 30);
    inputs.extend(named(b'a', 20, 10));
    let options = JobOptions {
        retries: 3,
        ..JobOptions::default()
    };
    let pool = pool(1);
    let job = submit_with(&pool, &tool, &inputs, &options).unwrap();
    let ends = ends(&results(&job).unwrap());
    assert_eq!(ends[0], Some(Status::Transient));
    assert!(ends[1..].iter().all(Option::is_none));
    let tries = tries.lock();
    let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let least = [10, 40, 160].map(Duration::from_millis);
    assert!(
        pauses.len() >= least.len()
            && pauses
                .iter()
                .zip(least)
                .all(|(&pause, least)| pause >= least),
        "{pauses:?}"
    );
}
