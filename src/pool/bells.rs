//! Who is called when something has changed.

use super::queue::Queue;
use super::seat::Seat;
use super::turns::Turns;

impl Queue {
    /// Calls workers that wait, no more than there are items; those that have the tool first.
    pub(super) fn call(&self, state: &mut Turns, items: usize, key: &str) {
        let mut waiting: Vec<usize> = (0..state.seats.len())
            .filter(|&slot| state.seats[slot].waiting)
            .collect();
        waiting.sort_by_key(|&slot| !state.seats[slot].has(key));
        for &slot in waiting.iter().take(items) {
            state.seats[slot].waiting = false;
            self.bells[slot].notify_one();
        }
    }

    /// Calls all workers that wait.
    pub(super) fn call_all(&self, state: &mut Turns) {
        self.call_those(state, |_| true);
    }

    /// Calls the workers that are asked to unload something.
    pub(super) fn call_asked(&self, state: &mut Turns) {
        self.call_those(state, |seat| !seat.unload.is_empty());
    }

    /// Calls the workers that left work to faster slots, or wait for their device to be empty.
    pub(super) fn call_declined(&self, state: &mut Turns) {
        self.call_those(state, |seat| seat.declined);
    }

    /// Calls the workers that wait to be called: what another leaves to them, they may not know of.
    pub(super) fn call_asleep(&self, state: &mut Turns) {
        self.call_those(state, |seat| !seat.declined);
    }

    fn call_those(&self, state: &mut Turns, which: impl Fn(&Seat) -> bool) {
        for (seat, bell) in state.seats.iter_mut().zip(&self.bells) {
            if which(seat) && std::mem::take(&mut seat.waiting) {
                bell.notify_one();
            }
        }
    }
}
