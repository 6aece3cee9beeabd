//! The loads of a job's tool: who is loading it, and what becomes of one that failed for reasons that pass.

use std::time::{Duration, Instant};

use super::faults::pause;
use crate::error::{Error, Status};

/// A load that takes longer than this, and twice as long as it has taken before, is not waited for where other slots could
/// do the work.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a load is tried again after which the process that loaded was dead.
const CRASHES: u32 = 1;

/// By slot.
pub struct Loads(Vec<Load>);

#[derive(Clone, Default)]
struct Load {
    since: Option<Instant>,
    tries: u32,
    not_before: Option<Instant>,
}

impl Loads {
    /// None, on so many slots.
    pub fn new(slots: usize) -> Self {
        Self(vec![Load::default(); slots])
    }

    /// How many slots are loading, but for those that take suspiciously long; `known` is what a load takes in seconds, or 0.
    pub fn under_way(&self, now: Instant, known: f64) -> usize {
        let known = Duration::try_from_secs_f64(2.0 * known).unwrap_or_default();
        let patience = PATIENCE.max(known);
        let loading = self.0.iter().filter_map(|load| load.since);
        loading
            .filter(|&since| now.saturating_duration_since(since) < patience)
            .count()
    }

    /// Whether a slot may load, or had better wait after a failure.
    pub fn may_begin(&self, slot: usize, now: Instant) -> bool {
        self.0[slot].not_before.is_none_or(|from| from <= now)
    }

    /// A slot loads.
    pub fn begin(&mut self, slot: usize, now: Instant) {
        self.0[slot].since = Some(now);
    }

    /// A slot has loaded the tool, or failed to.
    pub fn end(&mut self, slot: usize) {
        self.0[slot].since = None;
    }

    /// Whether a slot that failed to load is to try again, after a pause; `retries` is how often at most.
    pub fn again(&mut self, slot: usize, error: &Error, retries: u32) -> bool {
        let most = match error.status() {
            Status::Transient => retries,
            Status::Crashed => retries.min(CRASHES),
            _ => 0,
        };
        let load = &mut self.0[slot];
        if load.tries >= most {
            return false;
        }
        load.not_before = Some(Instant::now() + pause(load.tries));
        load.tries += 1;
        true
    }
}
