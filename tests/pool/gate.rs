//! Where the threads of tools wait for the test, and the test for them.

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

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
        let mut state = self.state.lock().unwrap();
        state.come.push(who);
        self.changed.notify_all();
        let held = |state: &mut State| !state.open && state.permits == 0;
        // Later than the test, which is to see that it hangs.
        let waited = self.changed.wait_timeout_while(state, 2 * HANGS, held);
        let (mut state, _) = waited.unwrap();
        state.permits = state.permits.saturating_sub(1);
    }

    /// Whoever comes passes from now on.
    pub fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    /// One of those who wait passes, or who comes next.
    pub fn let_one_pass(&self) {
        self.state.lock().unwrap().permits += 1;
        self.changed.notify_all();
    }

    /// Waits for the next to come: who it is.
    pub fn next(&self) -> u8 {
        let state = self.state.lock().unwrap();
        let none = |state: &mut State| state.come.len() == state.heard;
        let waited = self.changed.wait_timeout_while(state, HANGS, none);
        let (mut state, waited) = waited.unwrap();
        assert!(!waited.timed_out(), "nobody comes to the gate");
        state.heard += 1;
        state.come[state.heard - 1]
    }

    /// How many have come.
    pub fn come(&self) -> usize {
        self.state.lock().unwrap().come.len()
    }
}

/// What `run` answers, which must not hang.
pub fn within_reason<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, answers) = std::sync::mpsc::channel();
    let runner = thread::spawn(move || drop(sender.send(run())));
    let answer = answers.recv_timeout(HANGS);
    let answer = answer.unwrap_or_else(|_| panic!("{what} hangs, or panicked"));
    runner.join().unwrap();
    answer
}
