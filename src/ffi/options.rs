use std::ffi::c_char;

use parking_lot::Mutex;
use toolpool_abi::{TOOLPOOL_OK, toolpool_error_t, toolpool_status_t};

use super::{Handle, export, give, quietly, text};
use crate::error::{Error, Result, Status};
use crate::pool::JobOptions;

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

fn set(options: &mut JobOptions, key: &str, value: &str) -> Result<()> {
    let refused = |known: &str| {
        Error::new(
            Status::Option,
            format_args!("'{value}' is no value of '{key}', which is {known}"),
        )
    };
    match key {
        "dedup" => options.dedup = value.parse().map_err(|_| refused("'true' or 'false'"))?,
        "pending_bytes" => {
            options.pending_bytes = value.parse().map_err(|_| refused("a number of bytes"))?
        }
        _ => {
            return Err(Error::new(
                Status::Option,
                format_args!("jobs have no option '{key}'; there are dedup, pending_bytes"),
            ));
        }
    }
    Ok(())
}

/// Frees options. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_options_free(options: *mut toolpool_options_t) {
    // SAFETY: NULL or options that are not used again, as the header says.
    quietly((), || drop(unsafe { toolpool_options_t::take(options) }));
}
