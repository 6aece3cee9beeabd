//! Reads reports through every accessor.

use std::ptr::{null, null_mut};

use toolpool::ffi::report::*;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, text};

/// Figures that fit each other, and texts that are what they should be.
pub fn read(report: *mut toolpool_report_t, items: u64) {
    let summary = summary(report);
    assert_eq!(summary.total, items);
    assert!(summary.failed <= summary.done && summary.done <= summary.total);
    assert!(summary.unique <= summary.total);
    assert_eq!(
        summary.stopped < 0,
        !text(summary.stopped_message).is_empty()
    );
    text(summary.tool);
    for figure in [
        summary.cost,
        summary.cost_done,
        summary.cost_saved,
        summary.elapsed_s,
        summary.planning_s,
        summary.makespan_s,
        summary.bound_s,
        summary.items_per_s,
        summary.cost_per_s,
    ] {
        assert!(figure >= 0.0 && figure.is_finite(), "{figure}");
    }
    assert!(!summary.remaining_s.is_nan());

    let slots = c!(toolpool_report_slots(report));
    let done: u64 = (0..slots).map(|slot| read_slot(report, slot)).sum();
    assert!(done <= summary.unique);
    for index in 0..c!(toolpool_report_counts(report)) {
        let (name, mut value) = (c!(toolpool_report_count_name(report, index)), -1.0);
        text(name);
        let status = check(ErrArg::Empty, |err| {
            c!(toolpool_report_count(report, name, &raw mut value, err))
        });
        assert!(status == TOOLPOOL_OK && value > 0.0);
    }
    assert!(text(c!(toolpool_report_json(report))).starts_with('{'));
    assert!(text(c!(toolpool_report_trace(report))).contains("traceEvents"));
    assert!(text(c!(toolpool_report_timeline(report))).contains("</svg>"));
}

fn summary(report: *mut toolpool_report_t) -> toolpool_summary_t {
    // SAFETY: all zeros are a summary.
    let mut summary: toolpool_summary_t = unsafe { std::mem::zeroed() };
    summary.size = size_of::<toolpool_summary_t>();
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_report_summary(report, &raw mut summary, err))
    });
    assert_eq!(status, TOOLPOOL_OK);
    summary
}

/// How many items one slot did.
fn read_slot(report: *mut toolpool_report_t, slot: usize) -> u64 {
    // SAFETY: all zeros are a slot's report.
    let mut figures: toolpool_slot_report_t = unsafe { std::mem::zeroed() };
    figures.size = size_of::<toolpool_slot_report_t>();
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_report_slot(report, slot, &raw mut figures, err))
    });
    assert_eq!(status, TOOLPOOL_OK);
    assert_eq!(text(figures.device), "cpu");
    assert!(figures.failed <= figures.items);
    assert_eq!(figures.lost < 0, !text(figures.lost_message).is_empty());
    for figure in [
        figures.cost,
        figures.cost_per_s,
        figures.busy_s,
        figures.load_s,
        figures.idle_s,
    ] {
        assert!(figure >= 0.0 && figure.is_finite(), "{figure}");
    }
    figures.items
}

/// The same accessors with arguments that may be wrong, of a report that may be NULL.
pub fn read_wrongly(report: *mut toolpool_report_t, slot: usize, size: usize, err: ErrArg) {
    // SAFETY: all zeros are both.
    let (mut summary, mut figures): (toolpool_summary_t, toolpool_slot_report_t) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    (summary.size, figures.size) = (size, size);
    let status = check(err, |err| {
        c!(toolpool_report_summary(report, &raw mut summary, err))
    });
    assert_eq!(status == TOOLPOOL_OK, !summary.tool.is_null());
    let status = check(err, |err| {
        c!(toolpool_report_slot(report, slot, &raw mut figures, err))
    });
    assert_eq!(status == TOOLPOOL_OK, !figures.device.is_null());
    check(err, |err| {
        c!(toolpool_report_slot(report, slot, null_mut(), err))
    });
    let mut value = -1.0;
    let name = [null(), c"\xff".as_ptr(), c"none".as_ptr()][slot % 3];
    let status = check(err, |err| {
        c!(toolpool_report_count(report, name, &raw mut value, err))
    });
    assert!(status < 0 && value == -1.0);
    let counts = c!(toolpool_report_counts(report));
    assert!(c!(toolpool_report_count_name(report, counts)).is_null());
    if report.is_null() {
        assert_eq!((counts, c!(toolpool_report_slots(report))), (0, 0));
        assert_eq!(text(c!(toolpool_report_json(report))), "");
        assert_eq!(text(c!(toolpool_report_trace(report))), "");
        assert_eq!(text(c!(toolpool_report_timeline(report))), "");
    }
}
