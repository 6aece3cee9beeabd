use std::ffi::c_char;

use toolpool_abi::{TOOLPOOL_OK, TOOLPOOL_PENDING, toolpool_error_t, toolpool_status_t};

use super::device::toolpool_devices_t;
use super::shell::{Shell, open_pool, toolpool_t};
use super::tool::{current, toolpool_tool_t};
use super::{Handle, check_out, export, give, limit, quietly, refuse_inside, text_or_null};
use crate::callback;
use crate::device;
use crate::log::{Level, log};
use crate::pool::Pool;
use crate::tools::describe;

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
            let pool = Pool::open(slots)?;
            give(out, || Shell::around(pool))
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
        if callback::inside() {
            log(
                Level::Error,
                "toolpool_close was called inside a tool's callback and did nothing",
            );
        } else if let Some(pool) = shell.shut() {
            pool.close();
        }
    });
}
