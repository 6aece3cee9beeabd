use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use parking_lot::Mutex;
use toolpool_abi::{
    TOOLPOOL_CALL_LOAD, TOOLPOOL_CALL_RUN, TOOLPOOL_CALL_UNLOAD, TOOLPOOL_DONE, TOOLPOOL_OK,
    TOOLPOOL_PENDING, toolpool_call_t, toolpool_callbacks_t, toolpool_error_t, toolpool_status_t,
};

use super::tool::toolpool_tool_t;
use super::{
    Handle, check_out, check_size, export, limit, quietly, refuse_forked, refuse_inside, text,
};
use crate::error::{Error, Result, Status};
use crate::tools::{Call, Calls, ForeignTool, Next, Opened, QueuedTool, Request, describe};

/// The calls to a tool of toolpool_tool_from_queue(). Any thread may take and answer them.
pub struct toolpool_queue_t {
    _opaque: [u8; 0],
}

/// What a queue handle points to.
pub struct Answering {
    calls: Arc<Calls>,
    process: u32,
}

impl Handle for toolpool_queue_t {
    type Inner = Answering;
    const NOUN: &'static str = "the queue";
}

/// Tells a program that something is there for it to look at. Called on any thread, with locks of toolpool held: it must
/// return at once, must not call toolpool, and must not throw. libuv's uv_async_send() is one, with its handle as `user`.
pub type toolpool_notify_t = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// A notification with its pointer.
struct Bell {
    notify: unsafe extern "C" fn(user: *mut c_void),
    user: *mut c_void,
}

// SAFETY: the C surface says that the callback is called on any thread.
unsafe impl Send for Bell {}

/// A notification as the core calls it.
pub(super) fn bell(notify: toolpool_notify_t, user: *mut c_void) -> Option<Box<dyn Fn() + Send>> {
    let bell = notify.map(|notify| Bell { notify, user })?;
    Some(Box::new(move || {
        let bell = &bell;
        // SAFETY: the header's words on the callback.
        unsafe { (bell.notify)(bell.user) }
    }))
}

/// Makes a tool whose calls wait in a queue until threads of the caller take and answer them: for languages whose functions
/// must not be called on threads of toolpool, and for programs with a scheduler of their own. For each call, `notify(user)` is called
/// on the worker's thread, which then waits:
///
/// ```c
/// while (toolpool_queue_next(queue, -1, &call, &err) == TOOLPOOL_OK)
///   toolpool_queue_answer(queue, call.number, run_or_load_or_unload(&call), NULL, &err);
/// ```
///
/// What the answer to a call may be, and means, is as for the function of ::toolpool_callbacks_t of that name. A batch that is
/// given up at its `batch_time_limit` stays valid until it is answered; its state counts as broken, is loaded anew, and its UNLOAD
/// comes after that answer.
/// toolpool_warm() and toolpool_close() wait for answers, so do not call them on the only thread that gives any.
///
/// @param name       what messages call the tool; NUL-terminated, copied
/// @param callbacks  how it measures items, and how large its batches are: `cost`, `extent`, `measure`, `memory`, `batch_…`,
///                   `runs_code`, called with `user`; all else is NULL. NULL: the defaults
/// @param notify     called when a call has come, and when none will come any more; NULL: not at all
/// @param user       handed to `notify` until toolpool_queue_free(), and to the functions of `callbacks` until
///                   toolpool_queue_next() answers ::TOOLPOOL_DONE; without that, until the tool, its jobs and the pools that ran
///                   it are gone
/// @param tool       receives the tool; free it with toolpool_tool_free()
/// @param queue      receives the queue; free it with toolpool_queue_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_tool_from_queue(
    name: *const c_char,
    callbacks: *const toolpool_callbacks_t,
    notify: toolpool_notify_t,
    user: *mut c_void,
    tool: *mut *mut toolpool_tool_t,
    queue: *mut *mut toolpool_queue_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(tool)?;
            check_out(queue)?;
            let name = text(name, "the tool's name")?;
            let plain = ForeignTool::measures(name, callbacks, user)?;
            let bell = bell(notify, user).unwrap_or_else(|| Box::new(|| ()));
            let calls = Arc::new(Calls::new(bell));
            let opened = Opened::fixed(name, QueuedTool::new(plain, Arc::clone(&calls)));
            tool.write(toolpool_tool_t::new(Mutex::new(opened)));
            queue.write(toolpool_queue_t::new(Answering {
                calls,
                process: std::process::id(),
            }));
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Takes the oldest call that waits, or waits for one. ::TOOLPOOL_OK: `*call` is filled in; ::TOOLPOOL_PENDING: the time ran
/// out; ::TOOLPOOL_DONE: the tool was freed, what it had loaded is unloaded, and no call will come any more.
///
/// @param timeout_ms  milliseconds; 0: does not wait; negative: without limit
/// @param call        receives the call; starts from TOOLPOOL_CALL_INIT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_queue_next(
    queue: *mut toolpool_queue_t,
    timeout_ms: i64,
    call: *mut toolpool_call_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_size(call, "the call", "TOOLPOOL_CALL_INIT")?;
            if timeout_ms != 0 {
                refuse_inside("toolpool_queue_next")?;
            }
            match answering(queue)?.next(limit(timeout_ms)) {
                Next::Call(next) => {
                    call.write(handed_out(next));
                    Ok(TOOLPOOL_OK)
                }
                Next::Pending => Ok(TOOLPOOL_PENDING),
                Next::Done => Ok(TOOLPOOL_DONE),
            }
        })
    }
}

/// Answers a call: what a function of ::toolpool_callbacks_t would return. From here on its batch and outputs are gone. An
/// answer that nobody waits for (a second one, one to an UNLOAD, one that comes too late) is dropped;
/// ::TOOLPOOL_ERR_NOT_FOUND if there never was such a call.
///
/// @param number   of the call
/// @param status   ::TOOLPOOL_OK, or a negative one
/// @param message  why, if it is negative; NUL-terminated, copied; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_queue_answer(
    queue: *mut toolpool_queue_t,
    number: u64,
    status: toolpool_status_t,
    message: *const c_char,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let calls = answering(queue)?;
            calls.answer(number, outcome(status, super::message(message)))?;
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Frees a queue. NULL is fine. Nobody answers its calls from here on: those that wait, those that were taken, and all that
/// come, fail (::TOOLPOOL_ERR_FAILED), so that no worker waits for ever. The batches and outputs of calls that were taken are gone:
/// no thread may be at work on one. `notify` is not called any more once this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_queue_free(queue: *mut toolpool_queue_t) {
    quietly((), || {
        // SAFETY: NULL or a queue that is not used again, as the header says.
        let queue = unsafe { toolpool_queue_t::take(queue) };
        // In a forked child, its lock may be held by a thread that is not there.
        if let Some(queue) = queue.filter(|queue| queue.process == std::process::id()) {
            queue.calls.shut();
        }
    });
}

/// # Safety
/// `queue` is NULL or live.
unsafe fn answering<'a>(queue: *const toolpool_queue_t) -> Result<&'a Calls> {
    // SAFETY: as required of the caller.
    let queue = unsafe { toolpool_queue_t::get(queue) }?;
    refuse_forked(queue.process)?;
    Ok(&queue.calls)
}

fn handed_out(call: Call) -> toolpool_call_t {
    let (kind, batch, outputs) = match call.request {
        Request::Load => (TOOLPOOL_CALL_LOAD, null(), null_mut()),
        Request::Unload => (TOOLPOOL_CALL_UNLOAD, null(), null_mut()),
        // SAFETY: the work lives until the call is answered; only its addresses are taken.
        Request::Run(work) => unsafe {
            (
                TOOLPOOL_CALL_RUN,
                (&raw const (*work).batch).cast(),
                (&raw mut (*work).outputs).cast(),
            )
        },
    };
    toolpool_call_t {
        size: size_of::<toolpool_call_t>(),
        kind,
        reserved: 0,
        number: call.number,
        state: call.state,
        batch,
        outputs,
        device: describe(&call.slot.device, Some(&call.slot)),
    }
}

/// What an answer says.
fn outcome(status: toolpool_status_t, message: Option<String>) -> Result<()> {
    if status == TOOLPOOL_OK {
        return Ok(());
    }
    let Some(known) = Status::from_code(status) else {
        return Err(Error::new(
            Status::Contract,
            format_args!("a call was answered with {status}, which is no status"),
        ));
    };
    let message = message.unwrap_or_else(|| "it gave no message".to_owned());
    Err(Error::new(known, message))
}
