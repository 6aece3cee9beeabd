//! On what terms a slot takes work of a job.

use std::time::Instant;

use super::doubt::Doubt;
use crate::plan::balance::Peer;

/// On what terms a slot takes work.
pub struct Terms<'a> {
    pub slot: usize,
    pub now: Instant,
    /// The other slots that could do it as well.
    pub others: &'a [Other],
    /// Bytes of memory of its device.
    pub memory: u64,
    /// Whether the tool is loaded there.
    pub warm: bool,
    /// What a batch may hold there.
    pub budget: u64,
    /// The part of what is left that a batch may hold.
    pub share: f64,
    /// Its cost per second, if known.
    pub speed: Option<f64>,
    /// Seconds that a load takes there, or 0.
    pub load_time: f64,
    /// Seconds until it can begin.
    pub delay: f64,
    /// The other slots that work on the job.
    pub peers: &'a [Peer],
    /// No batch is under way there.
    pub empty: bool,
    /// No batch is under way on its device.
    pub device_empty: bool,
    /// A worker on its device is still inside what nobody waits for, and may come back.
    pub haunted: bool,
}

/// A slot beside the one that takes.
pub struct Other {
    pub slot: usize,
    /// Bytes of memory of its device.
    pub memory: u64,
    /// It can work now. If not, it is worth waiting for with what fits nowhere else, and is left nothing else.
    pub ready: bool,
}

impl Terms<'_> {
    /// Whether the slot may have an item: not if it has tried that in vain, as long as another has not.
    pub fn may_have(&self, doubt: Option<&Doubt>) -> bool {
        let Some(doubt) = doubt else {
            return true;
        };
        let mut ready = self.others.iter().filter(|other| other.ready);
        !doubt.keeps_from(self.slot, self.now) || ready.all(|other| doubt.has_tried(other.slot))
    }

    /// Whether the slot may have an item that ran out of memory: no slot has more, of those that have not tried it.
    pub fn may_have_large(&self, doubt: Option<&Doubt>) -> bool {
        let tried = |slot: usize| doubt.is_some_and(|doubt| doubt.has_tried(slot));
        let most = |others: &mut dyn Iterator<Item = &Other>| {
            let memory = others.map(|other| other.memory).max();
            memory.unwrap_or_default()
        };
        let untried = || self.others.iter().filter(|other| !tried(other.slot));
        if tried(self.slot) {
            return untried().next().is_none() && self.memory >= most(&mut self.others.iter());
        }
        self.memory >= most(&mut untried())
    }
}
