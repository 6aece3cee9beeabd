//! A tool whose calls wait in a queue until threads of the caller answer them: for languages whose functions must not be
//! called on our threads.

use std::cell::UnsafeCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::ForeignTool;
use crate::callback::Inside;
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::Items;
use crate::plan::batch::Cut;
use crate::tool::{Identity, Killer, Loaded, Tool, Work};

/// Tells the caller to look into the queue. Called with the queue locked, so that it is over once the queue is shut.
pub type Notify = Box<dyn Fn() + Send>;

/// What a worker asks of the caller.
pub struct Call {
    /// Its number in the queue, from 1.
    pub number: u64,
    /// Which loaded state it is about, from 1.
    pub state: u64,
    /// Where that state is.
    pub slot: Slot,
    /// What is to be done.
    pub request: Request,
}

/// What a call is for.
pub enum Request {
    /// Load the tool.
    Load,
    /// Run this, which stays where it is until the call is answered.
    Run(*mut Work),
    /// Let the state go; nobody waits for an answer.
    Unload,
}

/// What [`Calls::next`] found.
pub enum Next {
    /// A call to answer.
    Call(Call),
    /// None yet.
    Pending,
    /// None any more: the tool and its states are gone.
    Done,
}

/// The calls of one tool, between the workers that wait for answers and the caller who gives them.
pub struct Calls {
    state: Mutex<State>,
    came: Condvar,
    answered: Condvar,
}

struct State {
    /// `None` once nobody answers any more.
    notify: Option<Notify>,
    /// In the order of their coming.
    waiting: VecDeque<Asked>,
    /// How far the calls are that a worker makes, or will make next, by number.
    open: HashMap<u64, Stage>,
    /// What runs that were handed out are about, by number, until they are answered: also where no worker waits any more.
    held: HashMap<u64, Held>,
    numbers: u64,
    states: u64,
    /// No call will come any more.
    over: bool,
}

/// A run that was handed out.
struct Held {
    state: u64,
    work: Box<UnsafeCell<Work>>,
}

/// A call that nobody has taken.
struct Asked {
    number: u64,
    state: u64,
    slot: Slot,
    what: What,
}

enum What {
    Load,
    Run(Box<Work>),
    Unload,
}

enum Stage {
    /// Nobody has taken it; it may not have been made.
    Ahead,
    Taken,
    Answered(Answer),
}

struct Answer {
    outcome: Result<()>,
    /// Of a run, the work with its outputs.
    work: Option<Box<UnsafeCell<Work>>>,
}

impl Calls {
    /// None yet; `notify` is called for each that comes, and once none will come any more.
    #[must_use]
    pub fn new(notify: Notify) -> Self {
        Self {
            state: Mutex::new(State {
                notify: Some(notify),
                waiting: VecDeque::new(),
                open: HashMap::new(),
                held: HashMap::new(),
                numbers: 0,
                states: 0,
                over: false,
            }),
            came: Condvar::new(),
            answered: Condvar::new(),
        }
    }

    /// Takes the oldest call; waits for one until the time runs out.
    #[must_use]
    pub fn next(&self, timeout: Option<Duration>) -> Next {
        let mut state = self.state.lock();
        let nothing = |state: &mut State| state.first().is_none() && !state.ended();
        match timeout {
            None => self.came.wait_while(&mut state, nothing),
            Some(timeout) => {
                self.came.wait_while_for(&mut state, nothing, timeout);
            }
        }
        let asked = state.first().and_then(|place| state.waiting.remove(place));
        match asked {
            Some(asked) => Next::Call(state.hand_out(asked)),
            None if state.ended() => Next::Done,
            None => Next::Pending,
        }
    }

    /// Answers call `number`; an answer that nobody waits for any more is dropped.
    pub fn answer(&self, number: u64, outcome: Result<()>) -> Result<()> {
        let mut state = self.state.lock();
        let ahead = matches!(state.open.get(&number), Some(Stage::Ahead));
        if number == 0 || number > state.numbers || ahead {
            return Err(Error::new(
                Status::NotFound,
                format_args!("no call {number} was handed out, so it has no answer"),
            ));
        }
        let held = state.held.remove(&number);
        if let Some(held) = &held {
            self.ring_for_unload(&state, held.state);
        }
        let work = held.map(|held| held.work);
        if let Some(stage @ Stage::Taken) = state.open.get_mut(&number) {
            *stage = Stage::Answered(Answer { outcome, work });
            self.answered.notify_all();
        } else {
            drop(state);
            // It may hold the last share of items, whose release is code of the caller.
            drop(work);
        }
        Ok(())
    }

    /// Nobody answers any more: calls fail, those under way as well.
    pub fn shut(&self) {
        let mut state = self.state.lock();
        state.notify = None;
        let waiting = std::mem::take(&mut state.waiting);
        let held = std::mem::take(&mut state.held);
        drop(state);
        self.answered.notify_all();
        // They may hold the last share of items, whose release is code of the caller.
        drop((waiting, held));
    }

    fn new_state(&self) -> u64 {
        let mut state = self.state.lock();
        state.states += 1;
        state.states
    }

    /// A number for the next call, by which it can be given up before it is made.
    fn number(&self) -> u64 {
        let mut state = self.state.lock();
        state.numbers += 1;
        let number = state.numbers;
        state.open.insert(number, Stage::Ahead);
        number
    }

    /// Adds a call for whoever answers, unless nobody does.
    fn add(&self, state: &mut State, asked: Asked) {
        if let Some(notify) = &state.notify {
            state.waiting.push_back(asked);
            self.came.notify_one();
            let _inside = Inside::enter();
            notify();
        }
    }

    /// An UNLOAD that waited for a late run of its state can be taken now.
    fn ring_for_unload(&self, state: &State, of: u64) {
        let unloads = |asked: &Asked| asked.state == of && matches!(asked.what, What::Unload);
        if let (Some(notify), true) = (&state.notify, state.waiting.iter().any(unloads)) {
            self.came.notify_one();
            let _inside = Inside::enter();
            notify();
        }
    }

    /// Adds a call and waits for its answer.
    fn ask(&self, asked: Asked) -> Result<Answer> {
        let number = asked.number;
        let mut state = self.state.lock();
        if !state.answered(number) {
            self.add(&mut state, asked);
        }
        while state.notify.is_some() && !state.answered(number) {
            self.answered.wait(&mut state);
        }
        match state.open.remove(&number) {
            Some(Stage::Answered(answer)) => Ok(answer),
            _ => Err(Error::new(
                Status::Failed,
                "nobody answers its calls any more (the queue was freed)",
            )),
        }
    }

    /// Has the worker that makes call `number`, or will make it, not wait for it.
    fn give_up(&self, number: u64) {
        let mut state = self.state.lock();
        if let Some(stage @ (Stage::Ahead | Stage::Taken)) = state.open.get_mut(&number) {
            *stage = Stage::Answered(Answer {
                outcome: Err(Error::new(
                    Status::Crashed,
                    "its call was not answered in time",
                )),
                work: None,
            });
            let gone = state
                .waiting
                .iter()
                .position(|asked| asked.number == number);
            let gone = gone.and_then(|place| state.waiting.remove(place));
            self.answered.notify_all();
            drop(state);
            // It may hold the last share of items, whose release is code of the caller.
            drop(gone);
        }
    }

    /// Adds a call that nobody waits for.
    fn tell(&self, asked: Asked) {
        let mut state = self.state.lock();
        state.open.remove(&asked.number);
        self.add(&mut state, asked);
    }

    /// Makes call `number` never.
    fn drop_number(&self, number: u64) {
        self.state.lock().open.remove(&number);
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.over = true;
        self.came.notify_all();
        if let Some(notify) = &state.notify {
            let _inside = Inside::enter();
            notify();
        }
    }
}

impl State {
    /// The oldest call that can be taken: a state is not let go while somebody is late with a run on it.
    fn first(&self) -> Option<usize> {
        let late = |of: u64| self.held.values().any(|held| held.state == of);
        self.waiting
            .iter()
            .position(|asked| !matches!(asked.what, What::Unload) || !late(asked.state))
    }

    /// Whether no call will come any more.
    fn ended(&self) -> bool {
        self.over && self.waiting.is_empty()
    }

    fn answered(&self, number: u64) -> bool {
        matches!(self.open.get(&number), Some(Stage::Answered(_)))
    }

    fn hand_out(&mut self, asked: Asked) -> Call {
        let Asked {
            number,
            state,
            slot,
            what,
        } = asked;
        if let Some(stage) = self.open.get_mut(&number) {
            *stage = Stage::Taken;
        }
        let request = match what {
            What::Load => Request::Load,
            What::Unload => Request::Unload,
            What::Run(work) => {
                let held = self.held.entry(number).insert_entry(Held {
                    state,
                    work: Box::new((*work).into()),
                });
                Request::Run(held.get().work.get())
            }
        };
        Call {
            number,
            state,
            slot,
            request,
        }
    }
}

/// Tells that no call will come any more, when the last of a tool and its states is dropped.
struct Source(Arc<Calls>);

impl Drop for Source {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A tool whose calls the caller answers.
pub struct QueuedTool {
    plain: ForeignTool,
    source: Arc<Source>,
}

impl QueuedTool {
    /// A tool that says of its items what `plain` does, and is loaded and run by whoever answers `calls`.
    #[must_use]
    pub fn new(plain: ForeignTool, calls: Arc<Calls>) -> Self {
        Self {
            plain,
            source: Arc::new(Source(calls)),
        }
    }

    /// The pointer that its functions are given.
    pub(super) fn user(&self) -> *mut c_void {
        self.plain.user()
    }
}

impl Tool for QueuedTool {
    fn name(&self) -> &str {
        self.plain.name()
    }

    fn identity(&self) -> &Identity {
        self.plain.identity()
    }

    fn cost(&self, item: &[u8]) -> f64 {
        self.plain.cost(item)
    }

    fn extent(&self, item: &[u8]) -> u64 {
        self.plain.extent(item)
    }

    fn measure(&self, items: &Items, position: usize) -> (f64, u64) {
        self.plain.measure(items, position)
    }

    fn limits(&self) -> Cut {
        self.plain.limits()
    }

    fn most_budget(&self) -> u64 {
        self.plain.most_budget()
    }

    fn memory(&self, slot: &Slot) -> u64 {
        self.plain.memory(slot)
    }

    fn memory_apart(&self) -> bool {
        self.plain.memory_apart()
    }

    fn runs_code(&self) -> bool {
        self.plain.runs_code()
    }

    fn load(&self, slot: &Slot, _: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        let calls = &self.source.0;
        let state = calls.new_state();
        let asked = Asked {
            number: calls.number(),
            state,
            slot: slot.clone(),
            what: What::Load,
        };
        let loaded = calls.ask(asked).and_then(|answer| answer.outcome);
        loaded.map_err(|error| error.within(self.name()))?;
        Ok(Box::new(LoadedQueued {
            name: self.name().to_owned(),
            next: calls.number(),
            source: Arc::clone(&self.source),
            state,
            slot: slot.clone(),
            leaked: false,
        }))
    }
}

/// A state that the caller has loaded.
struct LoadedQueued {
    name: String,
    source: Arc<Source>,
    state: u64,
    slot: Slot,
    /// The number that its next call will have.
    next: u64,
    /// The device is lost.
    leaked: bool,
}

impl LoadedQueued {
    fn call(&self, what: What) -> Asked {
        Asked {
            number: self.next,
            state: self.state,
            slot: self.slot.clone(),
            what,
        }
    }
}

impl Loaded for LoadedQueued {
    fn start(&mut self, work: &mut Work) -> Result<()> {
        // Who answers late still reads the items and writes the outputs, so they cannot stay the worker's.
        let asked = self.call(What::Run(Box::new(work.take())));
        let answer = self.source.0.ask(asked);
        self.next = self.source.0.number();
        let Answer {
            outcome,
            work: done,
        } = answer.map_err(|error| error.within(&self.name))?;
        outcome.map_err(|error| error.within(&self.name))?;
        let done = done
            .ok_or_else(|| Error::new(Status::Internal, "a run was answered without its work"))?;
        *work = done.into_inner();
        Ok(())
    }

    fn collect(&mut self, _: &mut Work) -> Result<()> {
        Ok(())
    }

    fn leak(mut self: Box<Self>) {
        self.leaked = true;
    }

    fn killer(&self) -> Option<Killer> {
        let (calls, number) = (Arc::clone(&self.source.0), self.next);
        Some(Arc::new(move || calls.give_up(number)))
    }
}

impl Drop for LoadedQueued {
    fn drop(&mut self) {
        let calls = &self.source.0;
        if self.leaked {
            calls.drop_number(self.next);
        } else {
            calls.tell(self.call(What::Unload));
        }
    }
}
