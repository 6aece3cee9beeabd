use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::{null, quietly, refuse_forked};
use crate::callback;
use crate::error::{Error, Result, Status};
use crate::pool::Pool;
use crate::tool::Tool;

/// A pool: slots, their warm workers, the scheduler. Any number of threads may use it at once.
pub struct toolpool_t {
    _opaque: [u8; 0],
}

/// What a pool handle points to. Never freed, so that a late call finds a closed pool and not freed memory.
pub(super) struct Shell {
    process: u32,
    pool: RwLock<Option<Arc<Pool>>>,
}

/// All pools that are open.
static SHELLS: Mutex<Vec<&'static Shell>> = Mutex::new(Vec::new());

/// The process that opened the last of them. In a forked child they are the parent's, and a lock may be held for ever, by a
/// thread that is not there.
static OPENED_BY: AtomicU32 = AtomicU32::new(0);

/// What is left of the others; so that leak checkers find it.
static CLOSED: Mutex<Vec<&'static Shell>> = Mutex::new(Vec::new());

/// How long the end of the process waits for workers to come out of their tools.
const EXIT_PATIENCE: Duration = Duration::from_secs(10);

impl Shell {
    /// Puts a pool into a shell of its own.
    pub(super) fn around(pool: Pool) -> *mut toolpool_t {
        let shell: &'static Self = Box::leak(Box::new(Self {
            process: std::process::id(),
            pool: RwLock::new(Some(Arc::new(pool))),
        }));
        OPENED_BY.store(shell.process, Ordering::Relaxed);
        SHELLS.lock().push(shell);
        rest_before_libraries_go();
        std::ptr::from_ref(shell).cast_mut().cast()
    }

    /// # Safety
    /// `pool` is NULL or came from `toolpool_open`.
    pub(super) unsafe fn of(pool: *const toolpool_t) -> Result<&'static Self> {
        // SAFETY: shells are never freed.
        unsafe { pool.cast::<Self>().as_ref() }.ok_or_else(|| null("the pool"))
    }

    fn open(&self) -> Result<Arc<Pool>> {
        refuse_forked(self.process)?;
        let pool = self.pool.read();
        pool.clone()
            .ok_or_else(|| Error::new(Status::Closed, "the pool is closed"))
    }

    /// Closes the shell: the pool that was in it, if it was open. None in a forked child, whose workers are the
    /// parent's.
    pub(super) fn shut(&self) -> Option<Arc<Pool>> {
        refuse_forked(self.process).ok()?;
        let gone: Vec<_> = SHELLS
            .lock()
            .extract_if(.., |shell| std::ptr::eq(*shell, self))
            .collect();
        CLOSED.lock().extend(gone);
        self.pool.write().take()
    }
}

/// The open pool behind a handle.
///
/// # Safety
/// `pool` is NULL or came from `toolpool_open`.
pub(super) unsafe fn open_pool(pool: *const toolpool_t) -> Result<Arc<Pool>> {
    // SAFETY: as required of the caller.
    unsafe { Shell::of(pool) }?.open()
}

/// Drops a share of a tool; if it was the last that could ask for it, workers unload it.
pub(super) fn let_tool_go(tool: Arc<dyn Tool>) {
    let Some(owner) = tool.identity().owner() else {
        return;
    };
    drop(tool);
    if owner.strong_count() == 0 {
        open_pools().iter().for_each(|pool| pool.sweep());
    }
}

/// All pools that are open in this process.
fn open_pools() -> Vec<Arc<Pool>> {
    if OPENED_BY.load(Ordering::Relaxed) != std::process::id() {
        return Vec::new();
    }
    let shells = SHELLS.lock().clone();
    shells
        .iter()
        .filter_map(|shell| shell.open().ok())
        .collect()
}

/// Before the process tears down the libraries that tools compute with, their workers come to rest.
extern "C" fn rest_at_exit() {
    quietly((), || {
        let mut pools = open_pools();
        pools.retain(|pool| pool.rest());
        if callback::inside() {
            return;
        }
        let deadline = Instant::now() + EXIT_PATIENCE;
        for pool in pools {
            pool.wait_for_rest(deadline);
        }
    });
}

/// Has [`rest_at_exit`] called at the end of the process, before the destructors of all libraries loaded so far.
pub(super) fn rest_before_libraries_go() {
    // SAFETY: the function keeps nothing but what is static. It can be registered more than once.
    let _ = unsafe { libc::atexit(rest_at_exit) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of the process and the end of a tool look at every pool listed, so these must not grow with those closed.
    #[test]
    fn a_closed_pool_is_not_listed_any_more() {
        let pool = || Pool::open(Vec::new()).unwrap();
        let [open, closed] = [Shell::around(pool()), Shell::around(pool())];
        let listed = |handle: *mut toolpool_t| {
            let shells = SHELLS.lock();
            shells
                .iter()
                .any(|shell| std::ptr::eq(*shell, handle.cast::<Shell>()))
        };
        // SAFETY: they came from `around`.
        let [first, second] = [open, closed].map(|handle| unsafe { Shell::of(handle) }.unwrap());
        drop(second.shut());
        assert!(listed(open) && !listed(closed));
        assert!(
            second
                .open()
                .is_err_and(|error| error.status() == Status::Closed)
        );
        drop(first.shut());
    }
}
