//! Tools whose calls threads of the program take and answer.

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use toolpool::ffi::error::{toolpool_error_free, toolpool_error_message};
use toolpool::ffi::job::toolpool_job_notify;
use toolpool::ffi::queue::*;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make};

use super::{NamedTool, World};
use crate::choice::{Choice, MOST, NAMES, index, pick, pointer, remove, size};
use crate::letters::work;
use crate::tool::{Choices, Tool};

/// A queue with a thread that answers its calls, until there are no more or it is told to stop.
pub(super) struct Queue {
    handle: *mut toolpool_queue_t,
    stop: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
}

impl Queue {
    fn new(handle: *mut toolpool_queue_t, odd: u8) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, told) = (handle.expose_provenance(), Arc::clone(&stop));
        let answering = thread::spawn(move || {
            let queue = std::ptr::with_exposed_provenance_mut(address);
            while !told.load(SeqCst) && next(queue, 1, odd) != TOOLPOOL_DONE {}
        });
        Self {
            handle,
            stop,
            answering: Some(answering),
        }
    }

    /// Frees it under its calls.
    pub(super) fn free(mut self) {
        self.stop.store(true, SeqCst);
        self.end();
    }

    /// Frees it once all that could call are gone.
    pub(super) fn end(&mut self) {
        if let Some(answering) = self.answering.take() {
            answering.join().expect("no assertion fails");
        }
        c!(toolpool_queue_free(self.handle));
        self.handle = null_mut();
    }
}

/// Takes a call, if there is one in time, and answers it: rightly, or as `odd` says.
fn next(queue: *mut toolpool_queue_t, timeout_ms: i64, odd: u8) -> toolpool_status_t {
    // SAFETY: zeros are a call.
    let mut call: toolpool_call_t = unsafe { std::mem::zeroed() };
    call.size = size_of::<toolpool_call_t>();
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_queue_next(queue, timeout_ms, &raw mut call, err))
    });
    if status == TOOLPOOL_OK {
        answer(queue, &call, odd);
    }
    status
}

fn answer(queue: *mut toolpool_queue_t, call: &toolpool_call_t, odd: u8) {
    assert!(call.device.threads >= 1 && call.device.slot >= 0);
    let mut why = null_mut();
    let status = match call.kind {
        TOOLPOOL_CALL_LOAD if odd % 8 == 6 => TOOLPOOL_ERR_FAILED,
        TOOLPOOL_CALL_LOAD | TOOLPOOL_CALL_UNLOAD => TOOLPOOL_OK,
        TOOLPOOL_CALL_RUN => work(call.batch, call.outputs, &raw mut why),
        kind => panic!("a call of the kind {kind}"),
    };
    let reply = |number, status, err| {
        let message = if why.is_null() {
            null()
        } else {
            c!(toolpool_error_message(why))
        };
        c!(toolpool_queue_answer(queue, number, status, message, err))
    };
    let answered = check(ErrArg::Empty, |err| reply(call.number, status, err));
    assert_eq!(answered, TOOLPOOL_OK);
    if odd % 8 == 5 {
        let again = check(ErrArg::Empty, |err| reply(call.number, TOOLPOOL_OK, err));
        assert_eq!(again, TOOLPOOL_OK, "a second answer is dropped");
    }
    c!(toolpool_error_free(why));
}

/// How often something was told of. It lives until the end of the program, so that late calls are caught.
#[derive(Default)]
pub(super) struct Bell {
    freed: AtomicBool,
    rings: AtomicUsize,
}

unsafe extern "C" fn ring(user: *mut c_void) {
    // SAFETY: bells live until the end of the program.
    let bell = unsafe { &*user.cast::<Bell>() };
    assert!(!bell.freed.load(SeqCst), "told after the job was freed");
    bell.rings.fetch_add(1, SeqCst);
}

unsafe extern "C" fn ring_of_queue(user: *mut c_void) {
    // SAFETY: `user` is a Tool's, which lives until the end of the program.
    unsafe { crate::tool::tool(user) }
        .tries
        .fetch_add(1, SeqCst);
}

impl World<'_> {
    pub(super) fn make_queue(&mut self, p: &mut Choice) {
        if self.tools.len() >= MOST || self.queues.len() >= MOST {
            return;
        }
        let choices = Choices {
            engine: 7, // no `run`
            load: 9,   // nor `load`
            cost: p.digit(),
            limits: p.digit(),
            identity: 0,
            size: p.digit() % 6,
        };
        let tool = Tool::queued(choices);
        let table = tool.measuring_table();
        let no_table = p.rarely();
        let name = pointer(NAMES[usize::from(p.digit()) % 8]);
        let notify = (!p.rarely()).then_some(ring_of_queue as _);
        let (odd, no_queue) = (p.digit(), p.rarely());
        let mut queue = null_mut();
        let (_, made) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_tool_from_queue(
                name,
                if no_table { null() } else { table.callbacks() },
                notify,
                tool.user(),
                out,
                if no_queue { null_mut() } else { &raw mut queue },
                err
            ))
        });
        self.behaviours.push(tool);
        assert_eq!(made.is_some(), !queue.is_null());
        if let Some(handle) = made {
            self.queues.push(Queue::new(queue, odd));
            self.tools.push(NamedTool {
                handle,
                by_letter: true,
                queued: true,
            });
        }
    }

    /// Beside the thread that answers, and also wrongly.
    pub(super) fn take_call(&mut self, p: &mut Choice) {
        let queue = pick(&self.queues, p.digit()).map_or(null_mut(), |queue| queue.handle);
        if !p.rarely() && !queue.is_null() {
            next(queue, i64::from(p.digit() % 3), p.digit());
            return;
        }
        // SAFETY: zeros are a call.
        let mut call: toolpool_call_t = unsafe { std::mem::zeroed() };
        call.size = size::<toolpool_call_t>(p);
        let null_call = p.rarely();
        let status = check(p.err(), |err| {
            let call = if null_call { null_mut() } else { &raw mut call };
            c!(toolpool_queue_next(queue, 0, call, err))
        });
        if status == TOOLPOOL_OK {
            answer(queue, &call, p.digit());
        }
        let never = u64::MAX - index(p) as u64;
        let message: [Option<&CStr>; 3] = [None, Some(c"\xff"), Some(c"no")];
        let message = pointer(message[usize::from(p.digit()) % 3]);
        let status = check(p.err(), |err| {
            c!(toolpool_queue_answer(
                queue,
                never,
                TOOLPOOL_ERR_ITEM,
                message,
                err
            ))
        });
        assert_ne!(status, TOOLPOOL_OK);
    }

    pub(super) fn free_queue(&mut self, choice: u8) {
        match remove(&mut self.queues, choice) {
            Some(queue) => queue.free(),
            None => c!(toolpool_queue_free(null_mut())),
        }
    }

    pub(super) fn notify_job(&mut self, p: &mut Choice) {
        let choice = p.digit();
        let (handle, bell) = match pick(&self.jobs, choice) {
            Some(job) => (job.handle, Arc::clone(&job.bell)),
            None => (null_mut(), Arc::default()),
        };
        let notify = (!p.rarely()).then_some(ring as _);
        let user = Arc::as_ptr(&bell).cast_mut().cast();
        let status = check(p.err(), |err| {
            c!(toolpool_job_notify(handle, notify, user, err))
        });
        assert!(status != TOOLPOOL_OK || !handle.is_null());
        self.bells.push(bell);
    }
}

impl Bell {
    /// The job is gone: nothing more may be told of it.
    pub(super) fn freed(&self) {
        self.freed.store(true, SeqCst);
    }
}
