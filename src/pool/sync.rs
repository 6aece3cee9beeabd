//! The primitives by which the threads of a pool meet. With `--cfg shuttle` they are those of shuttle, which runs a test under
//! thousands of schedules (`tests/simulation/tests/shuttle.rs`).

#[cfg(shuttle)]
mod model;

#[cfg(shuttle)]
pub use model::{Condvar, JoinHandle, Mutex, MutexGuard, spawn};
#[cfg(not(shuttle))]
pub use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub use std::thread::JoinHandle;

/// Starts a thread of this name.
#[cfg(not(shuttle))]
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}
