use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use toolpool_abi::{TOOLPOOL_OK, TOOLPOOL_PENDING, toolpool_error_t, toolpool_status_t};

use super::device::toolpool_devices_t;
use super::tool::{current, toolpool_tool_t};
use super::{
    Handle, check_out, export, give, limit, null, quietly, refuse_forked, refuse_inside,
    text_or_null,
};
use crate::device;
use crate::error::{Error, Result, Status};
use crate::log::{Level, log};
use crate::pool::Pool;
use crate::tool::Tool;
use crate::tools::{describe, inside_callback};

/// A pool: slots, their warm workers, the scheduler. Any number of threads may use it at once.
pub struct toolpool_t {
    _opaque: [u8; 0],
}

/// What a pool handle points to. Never freed, so that a late call finds a closed pool and not freed memory.
struct Shell {
    process: u32,
    pool: RwLock<Option<Arc<Pool>>>,
}

/// All pools that were ever opened.
static SHELLS: Mutex<Vec<&'static Shell>> = Mutex::new(Vec::new());

/// How long the end of the process waits for workers to come out of their tools.
const EXIT_PATIENCE: Duration = Duration::from_secs(10);

impl Shell {
    /// # Safety
    /// `pool` is NULL or came from `toolpool_open`.
    unsafe fn of(pool: *const toolpool_t) -> Result<&'static Self> {
        // SAFETY: shells are never freed.
        unsafe { pool.cast::<Self>().as_ref() }.ok_or_else(|| null("the pool"))
    }

    fn open(&self) -> Result<Arc<Pool>> {
        refuse_forked(self.process)?;
        let pool = self.pool.read();
        pool.clone()
            .ok_or_else(|| Error::new(Status::Closed, "the pool is closed"))
    }

    fn shut(&self) -> Option<Arc<Pool>> {
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
        let shells = SHELLS.lock().clone();
        for pool in shells.iter().filter_map(|shell| shell.open().ok()) {
            pool.sweep();
        }
    }
}

/// Before the process tears down the libraries that tools compute with, their workers come to rest.
extern "C" fn rest_at_exit() {
    quietly((), || {
        let patience = if inside_callback() {
            Duration::ZERO
        } else {
            EXIT_PATIENCE
        };
        let shells = SHELLS.lock().clone();
        for pool in shells.iter().filter_map(|shell| shell.open().ok()) {
            pool.rest(patience);
        }
    });
}

/// Has [`rest_at_exit`] called at the end of the process, before the destructors of all libraries loaded so far.
pub(super) fn rest_before_libraries_go() {
    // SAFETY: the function keeps nothing but what is static. It can be registered more than once.
    let _ = unsafe { libc::atexit(rest_at_exit) };
}

/// Opens a pool: one warm worker thread on each slot that `devices` names.
///
/// | devices | slots |
/// | --- | --- |
/// | NULL, `auto` | every visible GPU; where there is none, CPU workers |
/// | `all` | every visible GPU |
/// | `2` | the first 2 visible GPUs |
/// | `cuda:0,cuda:2` | these GPUs |
/// | `cuda:0*2` | two slots on one GPU |
/// | `cpu*4` | 4 CPU workers, which share the cores that this process may use evenly |
///
/// GPUs are numbered as this process sees them: CUDA_VISIBLE_DEVICES is respected. Asking for a GPU where none is visible
/// is an error. CUDA is first touched by the workers, when a tool is loaded. Environment variables are read here and in
/// toolpool_tool_open() only.
///
/// @param devices  NUL-terminated, or NULL
/// @param out      receives the pool; end it with toolpool_close()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_open(
    devices: *const c_char,
    out: *mut *mut toolpool_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let slots = device::parse(
                text_or_null(devices, "the device string")?,
                &device::visible(),
            )?;
            let shell: &'static Shell = Box::leak(Box::new(Shell {
                process: std::process::id(),
                pool: RwLock::new(Some(Arc::new(Pool::open(slots)?))),
            }));
            SHELLS.lock().push(shell);
            rest_before_libraries_go();
            give(out, || std::ptr::from_ref(shell).cast_mut().cast())
        })
    }
}

/// Lists the slots of a pool, in the order of their numbers.
///
/// @param out  receives the list; free it with toolpool_devices_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_slots(
    pool: *const toolpool_t,
    out: *mut *mut toolpool_devices_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let pool = open_pool(pool)?;
            let slots = pool
                .slots()
                .iter()
                .map(|slot| describe(&slot.device, Some(slot)));
            give(out, || toolpool_devices_t::new(slots.collect()))
        })
    }
}

/// Loads a tool onto every slot, in parallel, and returns when all have it: later runs find it warm. Fails with the first
/// slot's error; the other slots have it all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_warm(
    pool: *mut toolpool_t,
    tool: *const toolpool_tool_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            refuse_inside("toolpool_warm")?;
            open_pool(pool)?.warm(current(tool)?)?;
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Waits until no job of the pool is unfinished: ::TOOLPOOL_OK, or ::TOOLPOOL_PENDING if the time runs out before.
///
/// @param timeout_ms  milliseconds; negative: without limit
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_drain(
    pool: *mut toolpool_t,
    timeout_ms: i64,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            refuse_inside("toolpool_drain")?;
            let drained = open_pool(pool)?.drain(limit(timeout_ms));
            Ok(if drained {
                TOOLPOOL_OK
            } else {
                TOOLPOOL_PENDING
            })
        })
    }
}

/// Closes a pool: cancels its jobs (toolpool_drain() first to finish them), waits for the batches under way, unloads the
/// tools and ends the threads. NULL is fine, and so is a second call. Jobs and results stay readable; other calls with this pool, also by other
/// threads at the same time, answer ::TOOLPOOL_ERR_CLOSED. A few bytes stay behind for that answer.
///
/// Called inside a tool's callback it does nothing but log an error, for it would wait for itself. In a forked child it
/// does nothing: the workers are the parent's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_close(pool: *mut toolpool_t) {
    quietly((), || {
        // SAFETY: NULL or from toolpool_open(), as the header says.
        let Ok(shell) = (unsafe { Shell::of(pool) }) else {
            return;
        };
        if inside_callback() {
            log(
                Level::Error,
                "toolpool_close was called inside a tool's callback and did nothing",
            );
        } else if shell.process == std::process::id()
            && let Some(pool) = shell.shut()
        {
            pool.close();
        }
    });
}
