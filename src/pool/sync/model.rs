//! What the pool uses of `parking_lot` and of `std::thread`, made of what shuttle schedules.
//!
//! Time is not modelled: a wait with a limit may run out of time at any moment, and here always does, after others have
//! had their chance to go on.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use shuttle::sync;
pub use shuttle::thread::JoinHandle;

const NOT_POISONED: &str = "shuttle ends a run at the first panic";

#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// Empty while its condition is waited for.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    held: Option<sync::MutexGuard<'a, T>>,
}

#[derive(Default)]
pub struct Condvar(sync::Condvar);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            held: Some(self.0.lock().expect(NOT_POISONED)),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("held but for a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("held but for a wait")
    }
}

impl Condvar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    pub fn wait<T>(&self, guard: &mut MutexGuard<T>) {
        let held = guard.held.take().expect("held but for a wait");
        guard.held = Some(self.0.wait(held).expect(NOT_POISONED));
    }

    pub fn wait_while<T>(&self, guard: &mut MutexGuard<T>, mut waits: impl FnMut(&mut T) -> bool) {
        while waits(guard) {
            self.wait(guard);
        }
    }

    pub fn wait_for<T>(&self, guard: &mut MutexGuard<T>, _: Duration) {
        guard.held = None;
        shuttle::thread::yield_now();
        guard.held = guard.mutex.lock().held;
    }

    pub fn wait_until<T>(&self, guard: &mut MutexGuard<T>, _: Instant) {
        self.wait_for(guard, Duration::ZERO);
    }

    pub fn wait_while_for<T>(
        &self,
        guard: &mut MutexGuard<T>,
        mut waits: impl FnMut(&mut T) -> bool,
        limit: Duration,
    ) {
        if waits(guard) {
            self.wait_for(guard, limit);
        }
    }
}

pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    shuttle::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
}
