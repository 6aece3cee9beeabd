use std::ffi::{c_char, c_void};

use toolpool_abi::{TOOLPOOL_OK, toolpool_error_t, toolpool_status_t};

use super::export;
use crate::error::{Error, Status};
use crate::log::{Level, set_sink};
use crate::text::Text;

/// A log line that tells of something lost: a slot, a worker.
pub const TOOLPOOL_LOG_ERROR: i32 = 1;
/// A log line that tells of something that went on otherwise than asked: a batch that was split.
pub const TOOLPOOL_LOG_WARNING: i32 = 2;
/// A log line that tells what happens: a tool loaded.
pub const TOOLPOOL_LOG_INFO: i32 = 3;

/// Receives a log line: NUL-terminated UTF-8 without a newline, valid during the call. Called on any thread, several
/// at a time; must not call toolpool, and must not throw.
pub type toolpool_log_t =
    Option<unsafe extern "C" fn(user: *mut c_void, level: i32, message: *const c_char)>;

struct User(*mut c_void);

// SAFETY: the C surface says that the callback is called on any thread.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

/// Sends the log lines of all pools of the process to `callback`, those of `level` and of lower numbers. NULL: nowhere,
/// as at the start. Waits for lines that are under way: once it returns, the callback before is not called any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_set_log(
    callback: toolpool_log_t,
    user: *mut c_void,
    level: i32,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    let body = || {
        let most = match level {
            TOOLPOOL_LOG_ERROR => Level::Error,
            TOOLPOOL_LOG_WARNING => Level::Warning,
            TOOLPOOL_LOG_INFO => Level::Info,
            _ => {
                return Err(Error::new(
                    Status::Argument,
                    format_args!(
                        "{level} is no log level; known are 1 (error), 2 (warning), 3 (info)"
                    ),
                ));
            }
        };
        let user = User(user);
        set_sink(callback.map(|callback| {
            let sink = move |level: Level, line: &str| {
                let user = &user;
                // SAFETY: the header's words on the callback.
                unsafe { callback(user.0, level as i32, Text::from(line).as_ptr()) }
            };
            (
                most,
                Box::new(sink) as Box<dyn Fn(Level, &str) + Send + Sync>,
            )
        }));
        Ok(TOOLPOOL_OK)
    };
    // SAFETY: `err` is as the header says.
    unsafe { export(err, body) }
}
