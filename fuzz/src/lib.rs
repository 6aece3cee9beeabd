//! What the targets share: the promises that the header makes of every call, as assertions.

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

use toolpool::error::Status;
use toolpool::ffi::error::{
    toolpool_error_free, toolpool_error_message, toolpool_error_set, toolpool_error_status,
    toolpool_status_name,
};
use toolpool_abi::{
    TOOLPOOL_DONE, TOOLPOOL_ERR_ARGUMENT, TOOLPOOL_ERR_INTERNAL, TOOLPOOL_OK, TOOLPOOL_PARTIAL,
    TOOLPOOL_PENDING, toolpool_error_t, toolpool_status_t,
};

/// Calls a function of the header; everything between the parentheses is one call.
#[macro_export]
macro_rules! c {
    // SAFETY: targets pass NULL, handles that live, and memory of theirs that is as large as they say.
    ($($call:tt)*) => { unsafe { $($call)* } };
}

/// What a caller passes as `err`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrArg {
    Null,
    Empty,
    /// An error that the caller forgot to free: the call must do nothing.
    Taken,
}

impl From<u8> for ErrArg {
    fn from(choice: u8) -> Self {
        match choice % 8 {
            0..6 => Self::Empty,
            6 => Self::Null,
            _ => Self::Taken,
        }
    }
}

/// Makes a call that can fail, and checks its status and error.
pub fn check(
    arg: ErrArg,
    call: impl FnOnce(*mut *mut toolpool_error_t) -> toolpool_status_t,
) -> toolpool_status_t {
    let mut err = null_mut();
    match arg {
        ErrArg::Null => return known(call(null_mut())),
        ErrArg::Empty => {}
        ErrArg::Taken => {
            c!(toolpool_error_set(&raw mut err, -1, c"forgotten".as_ptr()));
        }
    }
    let before = err;
    let status = known(call(&raw mut err));
    if arg == ErrArg::Taken {
        assert_eq!((status, err), (TOOLPOOL_ERR_ARGUMENT, before));
    } else {
        assert_eq!(status < 0, !err.is_null(), "status {status}");
        assert_eq!(c!(toolpool_error_status(err)), status.min(0));
        assert_eq!(
            text(c!(toolpool_error_message(err))).is_empty(),
            status >= 0
        );
    }
    c!(toolpool_error_free(err));
    status
}

/// Makes a call that gives a handle, and checks that it does so on success and only then.
pub fn make<T>(
    arg: ErrArg,
    out_is_null: bool,
    call: impl FnOnce(*mut *mut T, *mut *mut toolpool_error_t) -> toolpool_status_t,
) -> (toolpool_status_t, Option<*mut T>) {
    let untouched = std::ptr::without_provenance_mut::<T>(usize::MAX / 3);
    let mut out = untouched;
    let given = if out_is_null {
        null_mut()
    } else {
        &raw mut out
    };
    let status = check(arg, |err| call(given, err));
    if matches!(status, TOOLPOOL_OK | TOOLPOOL_PARTIAL) {
        assert!(!out.is_null() && out != untouched);
        (status, Some(out))
    } else {
        assert_eq!(out, untouched, "status {status}");
        (status, None)
    }
}

/// A status that the header lists. `TOOLPOOL_ERR_INTERNAL` is one, but says that there is a defect.
fn known(status: toolpool_status_t) -> toolpool_status_t {
    let answers = [
        TOOLPOOL_OK,
        TOOLPOOL_PARTIAL,
        TOOLPOOL_PENDING,
        TOOLPOOL_DONE,
    ];
    assert!(
        answers.contains(&status) || Status::from_code(status).is_some(),
        "{status}"
    );
    assert_ne!(status, TOOLPOOL_ERR_INTERNAL);
    assert!(text(toolpool_status_name(status)).starts_with("TOOLPOOL_"));
    status
}

/// A string of the library: never NULL, NUL-terminated, UTF-8.
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "called with what the library has just given"
)]
pub fn text<'a>(string: *const c_char) -> &'a str {
    assert!(!string.is_null());
    // SAFETY: not NULL, so NUL-terminated as the header says.
    let text = unsafe { CStr::from_ptr(string) };
    text.to_str().expect("the header promises UTF-8")
}
