//! Where the threads of tools wait for the test, and the test for them.

use std::thread;
use std::time::{Duration, Instant};

// Into these ThreadSanitizer sees without an instrumented std.
use parking_lot::{Condvar, Mutex};

/// What takes longer hangs.
pub const HANGS: Duration = Duration::from_secs(60);

/// Holds who comes until it is opened, or lets them pass one by one. Those who come say who they are.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order in which they came.
    come: Vec<u8>,
    /// How many the test has heard of.
    heard: usize,
    /// How many more may pass.
    permits: usize,
    open: bool,
}

impl Gate {
    /// Comes and waits. Where a test fails and opens nothing, this ends as well.
    pub fn pass(&self, who: u8) {
        let mut state = self.state.lock();
        state.come.push(who);
        self.changed.notify_all();
        let held = |state: &mut State| !state.open && state.permits == 0;
        // Later than the test, which is to see that it hangs.
        self.changed.wait_while_for(&mut state, held, 2 * HANGS);
        state.permits = state.permits.saturating_sub(1);
    }

    /// Whoever comes passes from now on.
    pub fn open(&self) {
        self.state.lock().open = true;
        self.changed.notify_all();
    }

    /// One of those who wait passes, or who comes next.
    pub fn let_one_pass(&self) {
        self.state.lock().permits += 1;
        self.changed.notify_all();
    }

    /// Waits for the next to come: who it is.
    pub fn next(&self) -> u8 {
        let mut state = self.state.lock();
        let none = |state: &mut State| state.come.len() == state.heard;
        let waited = self.changed.wait_while_for(&mut state, none, HANGS);
        assert!(!waited.timed_out(), "nobody comes to the gate");
        state.heard += 1;
        state.come[state.heard - 1]
    }

    /// How many have come.
    pub fn come(&self) -> usize {
        self.state.lock().come.len()
    }
}

/// What `run` answers, which must not hang.
pub fn within_reason<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let runner = thread::spawn(run);
    let hangs_from = Instant::now() + HANGS;
    while !runner.is_finished() {
        assert!(Instant::now() < hangs_from, "{what} hangs");
        thread::sleep(Duration::from_millis(1));
    }
    let answer = runner.join();
    answer.unwrap_or_else(|_| panic!("{what} panicked"))
}
