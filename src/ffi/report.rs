use std::ffi::c_char;
use std::sync::OnceLock;

use toolpool_abi::{
    TOOLPOOL_OK, toolpool_error_t, toolpool_slot_report_t, toolpool_status_t, toolpool_summary_t,
};

use super::job::{job, toolpool_job_t};
use super::{Handle, check_out, check_size, export, give, quietly, text};
use crate::error::{Error, Status};
use crate::report::{Report, SlotReport};
use crate::text::Text;

/// How a job went, or how far it is: figures of the job and of each slot, and its loads and batches with their times. A
/// snapshot: it does not change, any thread may read it, and it outlives job and pool.
pub struct toolpool_report_t {
    _opaque: [u8; 0],
}

/// What a report handle points to: the report, and its texts for C, the long ones made when they are asked for.
pub struct Snapshot {
    report: Report,
    tool: Text,
    devices: Vec<Text>,
    json: OnceLock<Text>,
    trace: OnceLock<Text>,
    timeline: OnceLock<Text>,
}

impl Handle for toolpool_report_t {
    type Inner = Snapshot;
    const NOUN: &'static str = "the report";
}

impl Snapshot {
    fn of(report: Report) -> Self {
        Self {
            tool: report.tool.as_str().into(),
            devices: report
                .slots
                .iter()
                .map(|slot| slot.device.as_str().into())
                .collect(),
            json: OnceLock::new(),
            trace: OnceLock::new(),
            timeline: OnceLock::new(),
            report,
        }
    }
}

/// The status and message of what ended something early; ::TOOLPOOL_OK and "" for nothing.
fn reason(error: Option<&Error>) -> (toolpool_status_t, *const c_char) {
    error.map_or((TOOLPOOL_OK, c"".as_ptr()), |error| {
        (error.status().code(), error.message().as_ptr())
    })
}

fn summary(Snapshot { report, tool, .. }: &Snapshot) -> toolpool_summary_t {
    let (stopped, stopped_message) = reason(report.stopped.as_ref());
    toolpool_summary_t {
        size: size_of::<toolpool_summary_t>(),
        tool: tool.as_ptr(),
        total: report.total,
        done: report.done,
        failed: report.failed,
        unique: report.unique,
        cost: report.cost,
        cost_done: report.cost_done,
        cost_saved: report.cost_saved,
        longest: report.longest,
        elapsed_s: report.elapsed.as_secs_f64(),
        planning_s: report.planning.as_secs_f64(),
        makespan_s: report.makespan().as_secs_f64(),
        bound_s: report.bound().as_secs_f64(),
        remaining_s: report.remaining().map_or(-1.0, |time| time.as_secs_f64()),
        items_per_s: report.items_per_s(),
        cost_per_s: report.cost_per_s(),
        stopped,
        reserved: 0,
        stopped_message,
    }
}

fn slot_report(report: &Report, slot: &SlotReport, device: &Text) -> toolpool_slot_report_t {
    let (lost, lost_message) = reason(slot.lost.as_ref());
    toolpool_slot_report_t {
        size: size_of::<toolpool_slot_report_t>(),
        device: device.as_ptr(),
        items: slot.items,
        failed: slot.failed,
        batches: slot.batches,
        extent: slot.extent,
        cost: slot.cost,
        cost_per_s: slot.speed().unwrap_or(0.0),
        busy_s: slot.busy.as_secs_f64(),
        load_s: slot.load.as_secs_f64(),
        idle_s: report.idle(slot).as_secs_f64(),
        splits: slot.splits,
        retries: slot.retries,
        out_of_memory: slot.out_of_memory,
        lost,
        reserved: 0,
        lost_message,
        batch_budget: slot.batch_budget,
    }
}

/// Takes a report of a job as it is now: while it runs, or after it has ended. It takes time in proportion to the
/// batches so far, and does not wait for any.
///
/// @param report  receives the report; free it with toolpool_report_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_job_report(
    job: *const toolpool_job_t,
    report: *mut *mut toolpool_report_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(report)?;
            let snapshot = Snapshot::of(self::job(job)?.report());
            give(report, || toolpool_report_t::new(snapshot))
        })
    }
}

/// Fills in the figures of the job as a whole. `*summary` starts from TOOLPOOL_SUMMARY_INIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_summary(
    report: *const toolpool_report_t,
    summary: *mut toolpool_summary_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let snapshot = toolpool_report_t::get(report)?;
            check_size(summary, "the summary", "TOOLPOOL_SUMMARY_INIT")?;
            summary.write(self::summary(snapshot));
            Ok(TOOLPOOL_OK)
        })
    }
}

/// How many slots a report is of: those of the pool; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_slots(report: *const toolpool_report_t) -> usize {
    // SAFETY: NULL or live, as the header says.
    unsafe { toolpool_report_t::get(report) }.map_or(0, |snapshot| snapshot.report.slots.len())
}

/// Fills in what one slot did for the job. `*out` starts from TOOLPOOL_SLOT_REPORT_INIT.
///
/// @param slot  below toolpool_report_slots()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_slot(
    report: *const toolpool_report_t,
    slot: usize,
    out: *mut toolpool_slot_report_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let Snapshot {
                report, devices, ..
            } = toolpool_report_t::get(report)?;
            check_size(out, "the slot's report", "TOOLPOOL_SLOT_REPORT_INIT")?;
            let found = report.slots.get(slot).ok_or_else(|| {
                Error::new(
                    Status::NotFound,
                    format_args!(
                        "there is no slot {slot}; the report is of {}",
                        report.slots.len()
                    ),
                )
            })?;
            out.write(slot_report(report, found, &devices[slot]));
            Ok(TOOLPOOL_OK)
        })
    }
}

/// How many names the tool has counted by toolpool_outputs_count(); 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_counts(report: *const toolpool_report_t) -> usize {
    // SAFETY: NULL or live, as the header says.
    unsafe { toolpool_report_t::get(report) }.map_or(0, |snapshot| snapshot.report.counts.len())
}

/// The name of count `index`: NUL-terminated, owned by the report; NULL if there are not so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_count_name(
    report: *const toolpool_report_t,
    index: usize,
) -> *const c_char {
    quietly(std::ptr::null(), || {
        // SAFETY: NULL or live, as the header says.
        let snapshot = unsafe { toolpool_report_t::get(report) }.ok();
        let count = snapshot.and_then(|snapshot| snapshot.report.counts.get(index));
        count.map_or(std::ptr::null(), |(name, _)| name.as_ptr())
    })
}

/// What the tool's batches have counted under a name, added up; ::TOOLPOOL_ERR_NOT_FOUND if none has.
///
/// @param name   NUL-terminated
/// @param value  receives the sum
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_count(
    report: *const toolpool_report_t,
    name: *const c_char,
    value: *mut f64,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let Snapshot { report, .. } = toolpool_report_t::get(report)?;
            let name = text(name, "the count's name")?;
            let (_, sum) = report
                .counts
                .iter()
                .find(|(known, _)| &**known == name)
                .ok_or_else(|| unknown_count(report, name))?;
            give(value, || *sum)
        })
    }
}

fn unknown_count(report: &Report, name: &str) -> Error {
    let known: Vec<&str> = report.counts.iter().map(|(name, _)| &**name).collect();
    let known = match known.is_empty() {
        true => "nothing".to_owned(),
        false => known.join(", "),
    };
    Error::new(
        Status::NotFound,
        format_args!(
            "no batch has counted '{name}'; {} has counted {known}",
            report.tool
        ),
    )
}

/// The figures as a JSON object: NUL-terminated UTF-8, owned by the report. docs/report.md lists the keys. Made at the
/// first call. "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_json(report: *const toolpool_report_t) -> *const c_char {
    // SAFETY: NULL or live, as the header says.
    unsafe { rendered(report, |snapshot| &snapshot.json, Report::json) }
}

/// Loads and batches with their times in the Chrome trace-event format, which <https://ui.perfetto.dev> opens from a
/// file: NUL-terminated UTF-8, owned by the report. Made at the first call. "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_trace(report: *const toolpool_report_t) -> *const c_char {
    // SAFETY: NULL or live, as the header says.
    unsafe { rendered(report, |snapshot| &snapshot.trace, Report::trace) }
}

/// The same as a picture: an SVG document, a row for each slot; NUL-terminated UTF-8, owned by the report. Made at the
/// first call. "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_timeline(
    report: *const toolpool_report_t,
) -> *const c_char {
    // SAFETY: NULL or live, as the header says.
    unsafe { rendered(report, |snapshot| &snapshot.timeline, Report::timeline) }
}

/// # Safety
/// `report` is NULL or live.
unsafe fn rendered(
    report: *const toolpool_report_t,
    place: impl Fn(&Snapshot) -> &OnceLock<Text>,
    render: impl Fn(&Report) -> String,
) -> *const c_char {
    quietly(c"".as_ptr(), || {
        // SAFETY: as required of the caller.
        let snapshot = unsafe { toolpool_report_t::get(report) };
        snapshot.map_or(c"".as_ptr(), |snapshot| {
            let text = || render(&snapshot.report).as_str().into();
            place(snapshot).get_or_init(text).as_ptr()
        })
    })
}

/// Frees a report and its texts. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_report_free(report: *mut toolpool_report_t) {
    // SAFETY: NULL or a report that is not used again, as the header says.
    quietly((), || drop(unsafe { toolpool_report_t::take(report) }));
}
