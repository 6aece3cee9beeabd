use std::ffi::c_char;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ptr::null;

use toolpool_abi::{
    TOOLPOOL_OK, TOOLPOOL_PENDING, toolpool_error_t, toolpool_option_t, toolpool_status_t,
};

use super::device::toolpool_devices_t;
use super::shell::{Shell, open_pool, toolpool_t};
use super::tool::{current, toolpool_tool_t};
use super::{Handle, check_out, export, give, limit, quietly, refuse_inside, text, text_or_null};
use crate::callback;
use crate::device;
use crate::error::{Error, Result, Status};
use crate::log::{Level, log};
use crate::pool::{Pool, PoolOptions, Trust};
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
    unsafe { toolpool_open_with(devices, null(), 0, out, err) }
}

/// Opens a pool with options. One that is given twice has its last value.
///
/// | key | value | default | meaning |
/// | --- | --- | --- | --- |
/// | `memory_limit` | a number above 0 | what the device has | bytes that loaded tools may take on one device; those that were not used for longest make room for others |
/// | `threads` | 1 to 1024 | an even share of the cores | CPU threads of each CPU slot |
/// | `trust` | `code`, `data` | `code` | with `data`, tools made of files that are programs (TorchScript, AOTInductor) are refused when they are submitted, before their file is loaded; a library's code has run once toolpool_tool_open() returns, so nothing is refused of it |
///
/// @param devices    as for toolpool_open()
/// @param options    `n_options` of them, read during the call; NULL if there are none
/// @param n_options  how many
/// @param out        receives the pool; end it with toolpool_close()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_open_with(
    devices: *const c_char,
    options: *const toolpool_option_t,
    n_options: usize,
    out: *mut *mut toolpool_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let options = read_options(options, n_options)?;
            let slots = device::parse(
                text_or_null(devices, "the device string")?,
                &device::visible(),
            )?;
            let pool = Pool::open_with(slots, &options)?;
            give(out, || Shell::around(pool))
        })
    }
}

/// # Safety
/// `options` is NULL or points to `n` options, whose strings are NULL or NUL-terminated.
unsafe fn read_options(options: *const toolpool_option_t, n: usize) -> Result<PoolOptions> {
    let mut read = PoolOptions::default();
    if n == 0 {
        return Ok(read);
    }
    if options.is_null() {
        return Err(super::null("the array of options"));
    }
    for index in 0..n {
        // SAFETY: as required of the caller.
        unsafe {
            let option = &*options.add(index);
            let key = text(option.key, "an option's key")?;
            set(&mut read, key, text(option.value, "an option's value")?)?;
        }
    }
    Ok(read)
}

const MOST_THREADS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

const KEYS: &str = "memory_limit, threads, trust";

fn set(options: &mut PoolOptions, key: &str, value: &str) -> Result<()> {
    let refused = |known: &str| {
        Error::new(
            Status::Option,
            format_args!("'{value}' is no value of '{key}', which is {known}"),
        )
    };
    match key {
        "memory_limit" => {
            let bytes: NonZeroU64 = value
                .parse()
                .map_err(|_| refused("a number of bytes above 0"))?;
            options.memory_limit = Some(bytes.get());
        }
        "threads" => {
            let threads = value
                .parse()
                .ok()
                .filter(|&threads| threads <= MOST_THREADS);
            options.threads = Some(threads.ok_or_else(|| refused("a number from 1 to 1024"))?);
        }
        "trust" => {
            options.trust = match value {
                "code" => Trust::Code,
                "data" => Trust::Data,
                _ => return Err(refused("'code' or 'data'")),
            }
        }
        _ => {
            return Err(Error::new(
                Status::Option,
                format_args!("pools have no option '{key}'; there are {KEYS}"),
            ));
        }
    }
    Ok(())
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
/// Not waited for is a call of a tool that is past a time limit: what it uses must live until the tool's `destroy`.
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
