//! A request to have a tool loaded on every slot.

use std::sync::Arc;

use super::sync::{Condvar, Mutex};
use crate::error::{Error, Result};
use crate::tool::Tool;

/// Slots that are to load a tool, and whether they have.
pub struct WarmUp {
    tool: Arc<dyn Tool>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Per slot: still to be taken by its worker.
    open: Vec<bool>,
    /// Per slot: still to be done.
    waiting: Vec<bool>,
    failure: Option<Error>,
    /// Some slot has it.
    loaded: bool,
    /// Why a slot was not waited for.
    passed_over: Option<Error>,
}

impl WarmUp {
    /// Of a tool, on no slots yet.
    pub fn new(tool: Arc<dyn Tool>) -> Self {
        Self {
            tool,
            state: Mutex::new(State {
                open: Vec::new(),
                waiting: Vec::new(),
                failure: None,
                loaded: false,
                passed_over: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// The tool to load.
    pub fn tool(&self) -> &Arc<dyn Tool> {
        &self.tool
    }

    /// Says which slots are to load it, and why another is not.
    pub fn expect(&self, ready: Vec<bool>, late: Option<&Error>) {
        let mut state = self.state.lock();
        state.waiting.clone_from(&ready);
        state.open = ready;
        state.passed_over = late.cloned();
    }

    /// A slot is not waited for any more: its worker is inside a tool, and nobody knows for how long.
    pub fn pass_over(&self, slot: usize, why: &Error) {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.waiting[slot]) {
            state.open[slot] = false;
            state.passed_over.get_or_insert_with(|| why.clone());
            self.changed.notify_all();
        }
    }

    /// Whether the worker of `slot` is to load the tool.
    pub fn opens(&self, slot: usize) -> bool {
        self.state.lock().open[slot]
    }

    /// The same; says so once.
    pub fn take(&self, slot: usize) -> bool {
        std::mem::take(&mut self.state.lock().open[slot])
    }

    /// The worker of `slot` has loaded the tool, or failed to.
    pub fn done(&self, slot: usize, outcome: Result<()>) {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.waiting[slot]) {
            return;
        }
        state.open[slot] = false;
        match outcome {
            Ok(()) => state.loaded = true,
            Err(error) => drop(state.failure.get_or_insert(error)),
        }
        self.changed.notify_all();
    }

    /// No slot will load it any more.
    pub fn fail_all(&self, error: &Error) {
        let mut state = self.state.lock();
        if state.waiting.contains(&true) {
            state.failure.get_or_insert_with(|| error.clone());
        }
        state.open.fill(false);
        state.waiting.fill(false);
        self.changed.notify_all();
    }

    /// Whether every slot has answered.
    pub fn over(&self) -> bool {
        !self.state.lock().waiting.contains(&true)
    }

    /// Waits for every slot; the first failure, if there was one, or why none has it.
    pub fn wait(&self) -> Result<()> {
        let mut state = self.state.lock();
        self.changed
            .wait_while(&mut state, |state| state.waiting.contains(&true));
        let none = !state.loaded;
        let passed_over = state.passed_over.take().filter(|_| none);
        state.failure.take().or(passed_over).map_or(Ok(()), Err)
    }
}
