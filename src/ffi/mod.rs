//! The C surface, one file a noun: check, convert, call, report. No logic.

pub mod batch;
pub mod device;
pub mod error;
pub mod items;
pub mod job;
pub mod log;
pub mod options;
pub mod plan;
pub mod pool;
pub mod queue;
pub mod report;
pub mod results;
pub mod shell;
mod tensor;
pub mod tool;
pub mod version;

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use toolpool_abi::{TOOLPOOL_ERR_ARGUMENT, TOOLPOOL_OK, toolpool_error_t, toolpool_status_t};

use crate::callback;
use crate::error::{Error, Result, Status};
use crate::tool::panic_error;

/// Binds an opaque C type to the Rust type behind it, of which the handle is a `Box`.
trait Handle: Sized {
    type Inner;

    /// What messages call it.
    const NOUN: &'static str;

    fn new(inner: Self::Inner) -> *mut Self {
        Box::into_raw(Box::new(inner)).cast()
    }

    /// # Safety
    /// `handle` is NULL, or came from `new` and has not been taken back.
    unsafe fn get<'a>(handle: *const Self) -> Result<&'a Self::Inner> {
        // SAFETY: as required of the caller.
        unsafe { handle.cast::<Self::Inner>().as_ref() }.ok_or_else(|| null(Self::NOUN))
    }

    /// # Safety
    /// `handle` is NULL, or came from `new` and is not used again.
    unsafe fn take(handle: *mut Self) -> Option<Box<Self::Inner>> {
        // SAFETY: as required of the caller.
        (!handle.is_null()).then(|| unsafe { Box::from_raw(handle.cast()) })
    }
}

/// Runs the body of an export: nothing unwinds out, errors go to `err`.
///
/// # Safety
/// `err` is NULL or writable.
unsafe fn export(
    err: *mut *mut toolpool_error_t,
    body: impl FnOnce() -> Result<toolpool_status_t>,
) -> toolpool_status_t {
    // SAFETY: as required of the caller. An error that nobody freed must not be overwritten.
    if !err.is_null() && unsafe { !(*err).is_null() } {
        return TOOLPOOL_ERR_ARGUMENT;
    }
    let outcome = catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(panic_error("toolpool", &*panic)));
    outcome.unwrap_or_else(|error| {
        let code = error.status().code();
        if !err.is_null() {
            // SAFETY: as required of the caller.
            unsafe { *err = toolpool_error_t::new(error) };
        }
        code
    })
}

/// Runs the body of an export that has no status to return; a panic gives `otherwise`.
fn quietly<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Writes `value` where an out-parameter points, and is the OK of the call.
///
/// # Safety
/// `out` is NULL or writable.
unsafe fn give<T>(out: *mut T, value: impl FnOnce() -> T) -> Result<toolpool_status_t> {
    if out.is_null() {
        return Err(null("the out-parameter"));
    }
    // SAFETY: not NULL, so writable as required of the caller.
    unsafe { out.write(value()) };
    Ok(TOOLPOOL_OK)
}

/// Fails before anything is done if an out-parameter is NULL.
fn check_out<T>(out: *mut T) -> Result<()> {
    if out.is_null() {
        return Err(null("the out-parameter"));
    }
    Ok(())
}

fn null(what: &str) -> Error {
    Error::new(Status::Argument, format_args!("{what} is NULL"))
}

/// The text of a configuration string.
///
/// # Safety
/// `text` is NULL or NUL-terminated, and does not change while the result is in use.
unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str> {
    // SAFETY: as required of the caller.
    unsafe { text_or_null(text, what) }?.ok_or_else(|| null(what))
}

/// The text of a configuration string that may be left out.
///
/// # Safety
/// As for [`text`].
unsafe fn text_or_null<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as required of the caller.
    let text = unsafe { CStr::from_ptr(text) };
    let utf8 = text.to_str();
    utf8.map(Some).map_err(|reason| {
        Error::new(
            Status::Argument,
            format_args!("{what} is not UTF-8: {reason}"),
        )
    })
}

/// What a tool has to say about a failure: no encoding is so wrong that the reason may be lost for it.
///
/// # Safety
/// As for [`text`].
unsafe fn message(message: *const c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: as required of the caller.
    let message = unsafe { CStr::from_ptr(message) };
    Some(message.to_string_lossy().into_owned())
}

/// The elements of an array; none at all where it is empty, whatever the pointer.
///
/// # Safety
/// `array` is NULL or has `len` elements that do not change while the result is in use.
unsafe fn array<'a, T>(array: *const T, len: usize, what: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if array.is_null() {
        return Err(null(what));
    }
    if len
        .checked_mul(size_of::<T>())
        .is_none_or(|bytes| isize::try_from(bytes).is_err())
    {
        return Err(Error::new(
            Status::Argument,
            format_args!("{what} has an impossible length, {len}"),
        ));
    }
    // SAFETY: as required of the caller; the length was checked.
    Ok(unsafe { std::slice::from_raw_parts(array, len) })
}

/// Refuses to wait inside a tool's callback.
fn refuse_inside(call: &str) -> Result<()> {
    if callback::inside() {
        return Err(Error::new(
            Status::Reentrant,
            format_args!(
                "{call} was called inside a tool's callback, where it would wait for itself"
            ),
        ));
    }
    Ok(())
}

/// Refuses a handle of the parent in a forked child, whose workers do not exist.
fn refuse_forked(opened_by: u32) -> Result<()> {
    let process = std::process::id();
    if process != opened_by {
        return Err(Error::new(
            Status::Forked,
            format_args!(
                "this handle belongs to process {opened_by}, and process {process} was forked from it without its \
                 workers; open a pool in the child"
            ),
        ));
    }
    Ok(())
}

/// Milliseconds as a time limit: negative for none.
fn limit(timeout_ms: i64) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

/// Whether a transparent struct that starts with its size is as large as the library's, which it must be to be filled.
///
/// # Safety
/// `value` is NULL or starts with its size.
unsafe fn check_size<T>(value: *const T, what: &str, init: &str) -> Result<()> {
    if value.is_null() {
        return Err(null(what));
    }
    // SAFETY: as required of the caller.
    let size = unsafe { *value.cast::<usize>() };
    if size != size_of::<T>() {
        return Err(Error::new(
            Status::Argument,
            format_args!(
                "{what} says it has {size} bytes, not {}; start from {init}",
                size_of::<T>()
            ),
        ));
    }
    Ok(())
}
