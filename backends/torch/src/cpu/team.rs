//! The threads of one CPU worker.
//!
//! libtorch's own threads are not used: its OpenMP team would spin beside ours. Every task calls libtorch with one
//! thread, and tasks (rows of a batch, heads of a sequence) are spread over the team.

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::ffi::c_int;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Has libtorch compute with so many threads on the calling thread.
///
/// `at::set_num_threads` would set the default of all threads of the process with it, the host's included; OpenMP's own
/// call, which it makes too, is per thread.
pub fn compute_with(threads: usize) {
    type SetThreads = unsafe extern "C" fn(c_int);
    static SET: OnceLock<Option<SetThreads>> = OnceLock::new();
    // libtorch sets a thread up when it first asks, and would undo what follows.
    tch::get_num_threads();
    let set = SET.get_or_init(|| {
        // SAFETY: the name is NUL-terminated; what it finds is OpenMP's function of this type, in libtorch's OpenMP.
        unsafe {
            let found = libc::dlsym(libc::RTLD_DEFAULT, c"omp_set_num_threads".as_ptr());
            std::mem::transmute::<*mut libc::c_void, Option<SetThreads>>(found)
        }
    });
    match set {
        // SAFETY: OpenMP's function takes any positive number.
        Some(set) => unsafe { set(threads as c_int) },
        None => tch::set_num_threads(threads as i32),
    }
}

/// `threads` threads, each with scratch memory of type `S`; with one thread, the caller's own.
pub struct Team<S> {
    pool: Option<rayon::ThreadPool>,
    scratch: Vec<Mutex<S>>,
}

impl<S: Send> Team<S> {
    /// A team of `threads` (at least 1); `scratch` makes the memory of each.
    pub fn new(threads: usize, scratch: impl Fn() -> Result<S>) -> Result<Self> {
        let threads = threads.max(1);
        let pool = match threads {
            1 => None,
            _ => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|i| format!("toolpool-cpu-{i}"))
                    .start_handler(|_| compute_with(1))
                    .build()
                    .map_err(|e| {
                        Error::Failed(format!("{threads} threads cannot be started: {e}"))
                    })?,
            ),
        };
        let scratch = (0..threads)
            .map(|_| scratch().map(Mutex::new))
            .collect::<Result<_>>()?;
        Ok(Team { pool, scratch })
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Does tasks 0 to `n`, in any order and side by side, and returns the first error.
    pub fn each(&self, n: usize, task: impl Fn(usize, &mut S) -> Result<()> + Sync) -> Result<()> {
        let run = |i: usize| {
            let own = &self.scratch[rayon::current_thread_index()
                .filter(|_| self.pool.is_some())
                .unwrap_or(0)];
            task(i, &mut own.lock().unwrap_or_else(PoisonError::into_inner))
        };
        match &self.pool {
            None => (0..n).try_for_each(run),
            Some(pool) => pool.install(|| (0..n).into_par_iter().with_max_len(1).try_for_each(run)),
        }
    }
}
