use std::ffi::c_char;

use toolpool_abi::{
    TOOLPOOL_DONE, TOOLPOOL_ERR_ARGUMENT, TOOLPOOL_OK, TOOLPOOL_PARTIAL, TOOLPOOL_PENDING,
    toolpool_error_t, toolpool_status_t,
};

use super::{Handle, quietly};
use crate::error::{Error, Status};

impl Handle for toolpool_error_t {
    type Inner = Error;
    const NOUN: &'static str = "the error";
}

/// The name of a status, as it stands in this header: "TOOLPOOL_ERR_MODEL". "unknown status" for a number that is none.
/// Valid for ever, NUL-terminated; any thread may ask, a tool's callbacks included.
#[unsafe(no_mangle)]
pub extern "C" fn toolpool_status_name(status: toolpool_status_t) -> *const c_char {
    let name = match status {
        TOOLPOOL_OK => c"TOOLPOOL_OK",
        TOOLPOOL_PARTIAL => c"TOOLPOOL_PARTIAL",
        TOOLPOOL_PENDING => c"TOOLPOOL_PENDING",
        TOOLPOOL_DONE => c"TOOLPOOL_DONE",
        _ => Status::from_code(status).map_or(c"unknown status", Status::name),
    };
    name.as_ptr()
}

/// The status of an error: the one that the call returned. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_error_status(err: *const toolpool_error_t) -> toolpool_status_t {
    // SAFETY: NULL or a live error, as the header says.
    unsafe { toolpool_error_t::get(err) }.map_or(TOOLPOOL_OK, |error| error.status().code())
}

/// The message of an error: NUL-terminated UTF-8 that names the thing, the reason and the way out. "" for NULL. Valid
/// until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_error_message(err: *const toolpool_error_t) -> *const c_char {
    // SAFETY: NULL or a live error, as the header says.
    unsafe { toolpool_error_t::get(err) }.map_or(c"".as_ptr(), |error| error.message().as_ptr())
}

/// The caller's index of the item that an error concerns; SIZE_MAX for none, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_error_item(err: *const toolpool_error_t) -> usize {
    // SAFETY: NULL or a live error, as the header says.
    unsafe { toolpool_error_t::get(err) }
        .ok()
        .and_then(Error::item)
        .unwrap_or(usize::MAX)
}

/// Frees an error. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_error_free(err: *mut toolpool_error_t) {
    // SAFETY: NULL or an error that is not used again, as the header says.
    quietly((), || drop(unsafe { toolpool_error_t::take(err) }));
}

/// For tools: puts an error into `*err` and returns `status`, so that a callback can end with
/// `return toolpool_error_set(err, TOOLPOOL_ERR_FAILED, "…");`. `message` is copied (bytes
/// that are not UTF-8 are replaced); an error that is there already is
/// replaced. A status that is no error counts as ::TOOLPOOL_ERR_CONTRACT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_error_set(
    err: *mut *mut toolpool_error_t,
    status: toolpool_status_t,
    message: *const c_char,
) -> toolpool_status_t {
    quietly(TOOLPOOL_ERR_ARGUMENT, || {
        // SAFETY: NULL or NUL-terminated, as the header says.
        let message = unsafe { super::message(message) };
        let message = message.unwrap_or_else(|| "it gave no message".to_owned());
        let error = match Status::from_code(status) {
            Some(status) => Error::new(status, message),
            None => Error::new(
                Status::Contract,
                format_args!("{message} (with {status}, which is no error status)"),
            ),
        };
        let code = error.status().code();
        if !err.is_null() {
            // SAFETY: not NULL, so it points to NULL or to a live error, as the header says.
            unsafe {
                drop(toolpool_error_t::take(*err));
                *err = toolpool_error_t::new(error);
            }
        }
        code
    })
}
