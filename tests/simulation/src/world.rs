use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use toolpool::device::{Device, Kind, Slot};

/// Whether work takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// It takes none: threads meet as they come.
    None,
    /// It takes as long as the items and machines say.
    Real,
}

/// What is behind one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The GPU that it is a slot of, with others of that number; `None` for a device of its own.
    pub gpu: Option<u32>,
    /// Work that it does in a second.
    pub speed: f64,
    /// The sizes of the batches in flight on its device must not add up to more.
    pub memory: u64,
    /// Seconds that a load takes.
    pub load: f64,
    /// How many batches begin on it before it is lost.
    pub lost_after: Option<u64>,
    /// How many batches begin on it before it fails all that follow, in no time, and nobody calls it lost.
    pub broken_after: Option<u64>,
}

impl Machine {
    /// One that holds anything, loads in `load` seconds and is never lost.
    pub fn of_speed(speed: f64, load: f64) -> Self {
        Self {
            gpu: None,
            speed,
            memory: u64::MAX,
            load,
            lost_after: None,
            broken_after: None,
        }
    }
}

/// The machines that simulated tools run on, shared by all tools of a pool, and the truth of what happens there.
pub struct World {
    machines: Vec<Machine>,
    time: Time,
    /// Bytes that the tools loaded on one device may take.
    limit: Option<u64>,
    truth: Mutex<Truth>,
    changed: Condvar,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Truth {
    /// States that were loaded.
    pub loads: u64,
    /// Of these, unloaded.
    pub unloads: u64,
    /// Of these, leaked.
    pub leaks: u64,
    /// Batches begun on each slot.
    pub batches: Vec<u64>,
    /// Slots that are lost.
    pub lost: HashSet<usize>,
    /// Slots where a batch or a load hung, and was not killed.
    pub hung: HashSet<usize>,
    /// Loads of each tool on each slot that were tried.
    pub tries: HashMap<(String, usize), u32>,
    /// What is loaded.
    pub states: Vec<State>,
    /// The longest that a batch took which did not hang.
    pub longest_batch: Duration,
    /// How many batches with this item have begun.
    pub begun: HashMap<u64, u64>,
    /// How many devices were lost while this item was on them.
    pub losses: HashMap<u64, u64>,
    /// Items that were on two devices, for all that the pool could know, when one of these was lost.
    pub doubled: HashSet<u64>,
    /// How many batches with this item were begun on a device that another slot had lost, before the pool heard of it.
    pub begun_too_late: HashMap<u64, u64>,
    /// What the pool did that it must not do.
    pub wrongs: Vec<String>,
    /// The GPU that each slot is of.
    gpus: Vec<Option<u32>>,
    /// The items in batches begun and not collected, by slot.
    flying: Vec<Vec<u64>>,
    /// The sizes of those items, added up.
    held: Vec<u64>,
    /// The items of the batch that ended last, by slot, until the next begins: the pool may not have heard of it yet.
    ended: Vec<Vec<u64>>,
    /// Batches that hang need not hang any more.
    released: bool,
}

/// A tool on a slot, from before its load to after its unload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What the tool is called.
    pub tool: String,
    /// The number of the slot.
    pub slot: usize,
    /// Bytes that it takes of the memory that tools may use.
    pub bytes: u64,
    /// It shares nothing with others of that tool.
    pub apart: bool,
}

impl World {
    /// A world of these machines, one a slot.
    pub fn new(machines: Vec<Machine>, time: Time) -> Arc<Self> {
        Self::limited(machines, time, None)
    }

    /// The same, where tools may take so many bytes of a device.
    pub fn limited(machines: Vec<Machine>, time: Time, limit: Option<u64>) -> Arc<Self> {
        let truth = Truth {
            batches: vec![0; machines.len()],
            gpus: machines.iter().map(|machine| machine.gpu).collect(),
            flying: vec![Vec::new(); machines.len()],
            held: vec![0; machines.len()],
            ended: vec![Vec::new(); machines.len()],
            ..Truth::default()
        };
        Arc::new(Self {
            machines,
            time,
            limit,
            truth: Mutex::new(truth),
            changed: Condvar::new(),
        })
    }

    /// The slots to open a pool with.
    pub fn slots(&self) -> Vec<Slot> {
        let slot = |(number, machine): (usize, &Machine)| Slot {
            number,
            device: Device {
                kind: machine.gpu.map_or(Kind::Cpu, |_| Kind::Cuda),
                index: machine.gpu.unwrap_or(0),
                name: String::new(),
                memory_total: machine.memory,
                memory_free: machine.memory,
                capability: (0, 0),
                uuid: String::new(),
                driver: String::new(),
            },
            threads: 1,
        };
        self.machines.iter().enumerate().map(slot).collect()
    }

    /// The machine behind a slot.
    pub fn machine(&self, slot: usize) -> &Machine {
        &self.machines[slot]
    }

    /// How many machines there are.
    pub fn machines(&self) -> usize {
        self.machines.len()
    }

    /// The truth so far.
    pub fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock()
    }

    /// Lets every batch go that hangs, and those that would.
    pub fn release(&self) {
        self.truth.lock().released = true;
        self.changed.notify_all();
    }

    /// Waits until every state that was loaded is gone; workers that hung end after their pool was closed.
    pub fn wait_until_unloaded(&self) {
        let mut truth = self.truth.lock();
        self.changed.wait_while(&mut truth, |truth| {
            truth.loads > truth.unloads + truth.leaks
        });
    }

    /// Waits for the release of what hangs, or until the process that hangs is killed.
    pub(crate) fn hang(&self, slot: usize, killed: &AtomicBool) {
        let mut truth = self.truth.lock();
        truth.hung.insert(slot);
        let dead = || killed.load(Ordering::SeqCst);
        self.changed
            .wait_while(&mut truth, |truth| !truth.released && !dead());
        if dead() {
            truth.hung.remove(&slot);
        }
    }

    pub(crate) fn kill(&self, killed: &AtomicBool) {
        let _truth = self.truth.lock();
        killed.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// A tool begins to load: whether the pool has made room for it.
    pub(crate) fn loading(&self, state: &State) {
        let mut truth = self.truth.lock();
        let tries = (state.tool.clone(), state.slot);
        *truth.tries.entry(tries).or_default() += 1;
        truth.states.push(state.clone());
        let most = self.limit.unwrap_or(u64::MAX);
        let taken = self.taken(&truth, state.slot);
        if taken > most {
            let states = &truth.states;
            let wrong =
                format!("{taken} of {most} taken by {states:?} after {state:?} began to load");
            truth.wrongs.push(wrong);
        }
    }

    /// A tool is loaded no more, or was not.
    pub(crate) fn unloading(&self, state: &State) {
        let mut truth = self.truth.lock();
        if let Some(place) = truth.states.iter().position(|other| other == state) {
            truth.states.swap_remove(place);
        }
    }

    /// What the tools take that are loaded on the device of a slot, each once where they share.
    fn taken(&self, truth: &Truth, slot: usize) -> u64 {
        let mut seen = HashSet::new();
        let there = truth
            .states
            .iter()
            .filter(|state| self.machines[state.slot].gpu == self.machines[slot].gpu)
            .filter(|state| state.apart || seen.insert(&state.tool));
        there.map(|state| state.bytes).sum()
    }

    pub(crate) fn unloaded(&self, leaked: bool) {
        let mut truth = self.truth.lock();
        truth.unloads += u64::from(!leaked);
        truth.leaks += u64::from(leaked);
        self.changed.notify_all();
    }

    /// When work of so many seconds is done that begins now.
    pub(crate) fn due(&self, begin: Instant, seconds: f64) -> Instant {
        match self.time {
            Time::None => begin,
            Time::Real => begin + Duration::from_secs_f64(seconds),
        }
    }

    /// Lets time pass until `due`, to the microsecond: a sleep alone comes back up to a tenth of a millisecond late.
    pub(crate) fn wait_until(&self, due: Instant) {
        const SLEEP_IS_LATE_BY: Duration = Duration::from_micros(120);
        if self.time == Time::None {
            return thread::yield_now();
        }
        let left = due.saturating_duration_since(Instant::now());
        thread::sleep(left.saturating_sub(SLEEP_IS_LATE_BY));
        while Instant::now() < due {
            thread::yield_now();
        }
    }
}

impl Truth {
    /// The slots of the device of a slot.
    fn device(&self, slot: usize) -> Vec<usize> {
        let same = |&other: &usize| {
            other == slot || (self.gpus[other].is_some() && self.gpus[other] == self.gpus[slot])
        };
        (0..self.gpus.len()).filter(same).collect()
    }

    /// The sizes of what is in flight on the device of a slot, added up.
    pub(crate) fn held(&self, slot: usize) -> u64 {
        let device = self.device(slot).into_iter();
        device.map(|slot| self.held[slot]).sum()
    }

    pub(crate) fn begin(&mut self, slot: usize, numbers: &[u64], size: u64) {
        self.batches[slot] += 1;
        self.held[slot] += size;
        self.flying[slot].extend(numbers);
        self.ended[slot].clear();
        for &number in numbers {
            *self.begun.entry(number).or_default() += 1;
        }
    }

    pub(crate) fn end(&mut self, slot: usize, numbers: &[u64], size: u64) {
        self.held[slot] -= size;
        self.ended[slot] = numbers.to_vec();
        for number in numbers {
            let flying = &mut self.flying[slot];
            match flying.iter().position(|flying| flying == number) {
                Some(place) => drop(flying.swap_remove(place)),
                None => self.wrongs.push(format!(
                    "slot {slot}: item {number} ended and had not begun"
                )),
            }
        }
    }

    /// A batch has begun that cannot be done: whether that is so because the device is lost.
    pub(crate) fn begun_too_late(&mut self, slot: usize, numbers: &[u64]) {
        if self.lost.contains(&slot) {
            for &number in numbers {
                *self.begun_too_late.entry(number).or_default() += 1;
            }
        }
    }

    /// The device of a slot is lost, with what is on it.
    pub(crate) fn lose(&mut self, slot: usize) {
        if self.lost.contains(&slot) {
            return;
        }
        let device = self.device(slot);
        self.lost.extend(&device);
        let there: HashSet<u64> = (device.iter().flat_map(|&slot| &self.flying[slot]))
            .copied()
            .collect();
        for number in there {
            *self.losses.entry(number).or_default() += 1;
            let is_on = |other: usize| {
                self.flying[other].contains(&number) || self.ended[other].contains(&number)
            };
            if (0..self.flying.len()).any(|other| !device.contains(&other) && is_on(other)) {
                self.doubled.insert(number);
            }
        }
    }
}
