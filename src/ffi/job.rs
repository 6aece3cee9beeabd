use std::ffi::c_void;
use std::sync::Arc;

use toolpool_abi::{
    TOOLPOOL_DONE, TOOLPOOL_OK, TOOLPOOL_PARTIAL, TOOLPOOL_PENDING, toolpool_error_t,
    toolpool_progress_t, toolpool_status_t,
};

use super::items::toolpool_items_t;
use super::options::toolpool_options_t;
use super::queue::{bell, toolpool_notify_t};
use super::results::toolpool_results_t;
use super::shell::{let_tool_go, open_pool, toolpool_t};
use super::tool::toolpool_tool_t;
use super::{
    Handle, check_out, check_size, export, give, items, limit, options, quietly, refuse_forked,
    refuse_inside, tool,
};
use crate::error::{Error, Result, Status};
use crate::mem::Results;
use crate::pool::{Job, JobOptions, Next};

/// A submitted run. Any thread may wait for it and take results from it.
pub struct toolpool_job_t {
    _opaque: [u8; 0],
}

/// What a job handle points to.
pub struct Submitted {
    job: Arc<Job>,
    process: u32,
}

impl Handle for toolpool_job_t {
    type Inner = Submitted;
    const NOUN: &'static str = "the job";
}

impl Drop for Submitted {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            self.job.notify(None);
            self.job.cancel();
        }
    }
}

/// # Safety
/// `job` is NULL or live.
pub(super) unsafe fn job<'a>(job: *const toolpool_job_t) -> Result<&'a Job> {
    // SAFETY: as required of the caller.
    let submitted = unsafe { toolpool_job_t::get(job) }?;
    refuse_forked(submitted.process)?;
    Ok(&submitted.job)
}

fn ended(results: Results, out: *mut *mut toolpool_results_t) -> Result<toolpool_status_t> {
    let status = if results.partial() {
        TOOLPOOL_PARTIAL
    } else {
        TOOLPOOL_OK
    };
    // SAFETY: callers have checked that `out` is writable.
    unsafe { give(out, || toolpool_results_t::new(results)) }?;
    Ok(status)
}

/// Runs a tool on items and returns when all are done: toolpool_submit(), toolpool_job_wait(), toolpool_job_results().
///
/// The results are in the order of the items. If some failed, the answer is ::TOOLPOOL_PARTIAL and each item has its own
/// status and error; a negative status means that there are no results. No items are fine: the results are empty.
///
/// @param out  receives the results; free them with toolpool_results_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_run(
    pool: *mut toolpool_t,
    tool: *const toolpool_tool_t,
    items: *const toolpool_items_t,
    out: *mut *mut toolpool_results_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            refuse_inside("toolpool_run")?;
            let (tool, items) = (tool::current(tool)?, items::current(items)?);
            let job = open_pool(pool)?.submit(Arc::clone(&tool), items, &JobOptions::default())?;
            let _ = job.wait(None);
            let results = job.results();
            drop(job);
            let_tool_go(tool);
            let all = results?.ok_or_else(|| {
                Error::new(Status::Internal, "the results were taken by somebody else")
            })?;
            ended(all, out)
        })
    }
}

/// Begins a job and returns as soon as it is planned: equal items are found and costs asked for on the calling thread,
/// in time proportional to the items. The handles of tool, items and options may be freed at once.
///
/// Items that were lent (borrowed without `release`) are refused: only toolpool_run() knows when it is done with them.
///
/// @param options  or NULL for the defaults
/// @param out      receives the job; free it with toolpool_job_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_submit(
    pool: *mut toolpool_t,
    tool: *const toolpool_tool_t,
    items: *const toolpool_items_t,
    options: *const toolpool_options_t,
    out: *mut *mut toolpool_job_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let (tool, items, options) = (
                tool::current(tool)?,
                items::current(items)?,
                options::current(options),
            );
            if items.lent() {
                return Err(Error::new(
                    Status::Argument,
                    "the items are borrowed without `release`, so a job could outlive them; give one, or use toolpool_run",
                ));
            }
            let job = open_pool(pool)?.submit(tool, items, &options)?;
            let process = std::process::id();
            give(out, || toolpool_job_t::new(Submitted { job, process }))
        })
    }
}

/// Waits until a job has ended: ::TOOLPOOL_OK, or ::TOOLPOOL_PENDING if the time runs out before. From now on its workers
/// no longer pause for `pending_bytes`.
///
/// @param timeout_ms  milliseconds; negative: without limit
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_wait(
    job: *const toolpool_job_t,
    timeout_ms: i64,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            refuse_inside("toolpool_job_wait")?;
            let ended = self::job(job)?.wait(limit(timeout_ms));
            Ok(if ended { TOOLPOOL_OK } else { TOOLPOOL_PENDING })
        })
    }
}

/// Whether a job has ended: ::TOOLPOOL_OK or ::TOOLPOOL_PENDING, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_poll(
    job: *const toolpool_job_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let ended = self::job(job)?.wait(limit(0));
            Ok(if ended { TOOLPOOL_OK } else { TOOLPOOL_PENDING })
        })
    }
}

/// For programs that do not wait in toolpool: has `notify(user)` called when items have finished, and when the job has ended;
/// at once, if that is so already. What is there is then taken with toolpool_job_next() until it answers ::TOOLPOOL_PENDING or
/// ::TOOLPOOL_DONE: there is no call for each part. A call may come for nothing.
///
/// @param notify  in place of the one before, which is not called any more once this returns; NULL: none
/// @param user    handed to `notify` until toolpool_job_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_notify(
    job: *mut toolpool_job_t,
    notify: toolpool_notify_t,
    user: *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            self::job(job)?.notify(bell(notify, user));
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Cancels a job: batches under way still finish, all other items fail with ::TOOLPOOL_ERR_CANCELLED. The job then ends, and
/// what was done can be taken. A job that has ended is left as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_cancel(
    job: *mut toolpool_job_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            self::job(job)?.cancel();
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Fills in how far a job is. `*progress` starts from TOOLPOOL_PROGRESS_INIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_progress(
    job: *const toolpool_job_t,
    progress: *mut toolpool_progress_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let job = self::job(job)?;
            check_size(progress, "the progress", "TOOLPOOL_PROGRESS_INIT")?;
            let now = job.progress();
            progress.write(toolpool_progress_t {
                size: size_of::<toolpool_progress_t>(),
                total: now.total,
                done: now.done,
                failed: now.failed,
                unique: now.unique,
                running: now.running,
                unread_bytes: now.unread_bytes,
                cost: now.cost,
                cost_done: now.cost_done,
                elapsed_s: now.elapsed.as_secs_f64(),
                remaining_s: now.remaining.map_or(-1.0, |left| left.as_secs_f64()),
                undone: now.undone,
            });
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Moves the items that have finished since the last call out of a job, as results of their own, in the order in which they
/// finished; toolpool_results_index() tells which items they are. Each item is handed out once. Several threads may take
/// turns.
///
/// Waits for some if there are none. ::TOOLPOOL_OK or ::TOOLPOOL_PARTIAL: `*out` has received results;
/// ::TOOLPOOL_PENDING: the time ran out; ::TOOLPOOL_DONE: all have been handed out. If the job failed as a whole, that error
/// comes after everything else was taken.
///
/// @param timeout_ms  milliseconds; negative: without limit
/// @param out         receives the results; free them with toolpool_results_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_next(
    job: *mut toolpool_job_t,
    timeout_ms: i64,
    out: *mut *mut toolpool_results_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            refuse_inside("toolpool_job_next")?;
            match self::job(job)?.next(limit(timeout_ms))? {
                Next::Results(results) => ended(*results, out),
                Next::Pending => Ok(TOOLPOOL_PENDING),
                Next::Done => Ok(TOOLPOOL_DONE),
            }
        })
    }
}

/// Waits until a job has ended, and takes the results of all its items, in their order: ::TOOLPOOL_OK, or ::TOOLPOOL_PARTIAL
/// if some failed. Items that toolpool_job_next() has handed out before are not among them; with none left, the answer is
/// ::TOOLPOOL_DONE. A job that failed as a whole (its tool cannot be loaded anywhere, or fails on every item alike) has no
/// results but its error.
///
/// @param out  receives the results; free them with toolpool_results_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_results(
    job: *mut toolpool_job_t,
    out: *mut *mut toolpool_results_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            refuse_inside("toolpool_job_results")?;
            let job = self::job(job)?;
            let _ = job.wait(None);
            match job.results()? {
                Some(results) => ended(results, out),
                None => Ok(TOOLPOOL_DONE),
            }
        })
    }
}

/// Frees a job; one that has not ended is cancelled. NULL is fine. Results that were taken stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_free(job: *mut toolpool_job_t) {
    quietly((), || {
        // SAFETY: NULL or a job that is not used again, as the header says.
        if let Some(submitted) = unsafe { toolpool_job_t::take(job) } {
            let tool = Arc::clone(submitted.job.tool());
            drop(submitted);
            let_tool_go(tool);
        }
    });
}
