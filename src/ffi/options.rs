use std::ffi::c_char;
use std::time::Duration;

use parking_lot::Mutex;
use toolpool_abi::{TOOLPOOL_OK, toolpool_error_t, toolpool_status_t};

use super::{Handle, export, give, quietly, text};
use crate::error::{Error, Result, Status};
use crate::pool::{JobOptions, OnDeviceLost};

/// Options of a job. Any thread may use them; a job keeps what was set when it was submitted.
pub struct toolpool_options_t {
    _opaque: [u8; 0],
}

impl Handle for toolpool_options_t {
    type Inner = Mutex<JobOptions>;
    const NOUN: &'static str = "the options";
}

/// The options behind a handle as they are now; the defaults for NULL.
///
/// # Safety
/// `options` is NULL or live.
pub(super) unsafe fn current(options: *const toolpool_options_t) -> JobOptions {
    // SAFETY: as required of the caller.
    unsafe { toolpool_options_t::get(options) }
        .map_or_else(|_| JobOptions::default(), |options| options.lock().clone())
}

/// Makes options of a job, all at their defaults.
///
/// @param out  receives the options; free them with toolpool_options_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_options_new(
    out: *mut *mut toolpool_options_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            give(out, || toolpool_options_t::new(Mutex::default()))
        })
    }
}

/// Sets an option of a job, checked at once.
///
/// | key | value | default | meaning |
/// | --- | --- | --- | --- |
/// | `dedup` | `true`, `false` | `true` | items of equal content are computed once; turn it off for tools that are random or have side effects |
/// | `deterministic` | `true`, `false` | `false` | batches are formed from the items alone: on one kind of device, with the same threads a slot and the same budget, results do not depend on the number of slots by a single bit |
/// | `time_limit` | seconds | none | the job ends so long after its submission; what is not done by then fails with ::TOOLPOOL_ERR_TIME_LIMIT |
/// | `batch_time_limit` | seconds | none | a batch that takes longer is given up: its items are tried once more, last and alone, and its slot waits for the tool to return (an isolated tool is killed and loaded anew) |
/// | `retries` | a number | `3` | how often an item is tried again when the tool says ::TOOLPOOL_ERR_TRANSIENT |
/// | `on_device_lost` | `continue`, `fail` | `continue` | when a device is lost, the other slots do its work, or the job ends |
/// | `pending_bytes` | a number | no limit | workers pause while finished outputs that toolpool_job_next() has not taken are larger than this, in bytes; a call that waits for the whole job lifts it |
///
/// @param key    NUL-terminated
/// @param value  NUL-terminated
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_options_set(
    options: *mut toolpool_options_t,
    key: *const c_char,
    value: *const c_char,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let options = toolpool_options_t::get(options)?;
            let (key, value) = (
                text(key, "the option's key")?,
                text(value, "the option's value")?,
            );
            set(&mut options.lock(), key, value)?;
            Ok(TOOLPOOL_OK)
        })
    }
}

const KEYS: &str =
    "batch_time_limit, dedup, deterministic, on_device_lost, pending_bytes, retries, time_limit";

fn set(options: &mut JobOptions, key: &str, value: &str) -> Result<()> {
    let refused = |known: &str| {
        Error::new(
            Status::Option,
            format_args!("'{value}' is no value of '{key}', which is {known}"),
        )
    };
    let flag = || value.parse().map_err(|_| refused("'true' or 'false'"));
    let limit = || {
        seconds(value)
            .map(Some)
            .ok_or_else(|| refused("a number of seconds above 0"))
    };
    match key {
        "dedup" => options.dedup = flag()?,
        "deterministic" => options.deterministic = flag()?,
        "time_limit" => options.time_limit = limit()?,
        "batch_time_limit" => options.batch_time_limit = limit()?,
        "retries" => {
            let known = format!("a whole number from 0 to {}", u32::MAX);
            options.retries = value.parse().map_err(|_| refused(&known))?;
        }
        "on_device_lost" => {
            options.on_device_lost = match value {
                "continue" => OnDeviceLost::Continue,
                "fail" => OnDeviceLost::Fail,
                _ => return Err(refused("'continue' or 'fail'")),
            }
        }
        "pending_bytes" => {
            options.pending_bytes = value.parse().map_err(|_| refused("a number of bytes"))?
        }
        _ => {
            return Err(Error::new(
                Status::Option,
                format_args!("jobs have no option '{key}'; there are {KEYS}"),
            ));
        }
    }
    Ok(())
}

/// A positive, finite number of seconds.
fn seconds(value: &str) -> Option<Duration> {
    let seconds = value.parse().ok().filter(|&seconds: &f64| seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Frees options. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_options_free(options: *mut toolpool_options_t) {
    // SAFETY: NULL or options that are not used again, as the header says.
    quietly((), || drop(unsafe { toolpool_options_t::take(options) }));
}
