//! Calls that need no handle, or are made with none.

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};

use toolpool::ffi::batch::*;
use toolpool::ffi::device::toolpool_devices_len;
use toolpool::ffi::error::*;
use toolpool::ffi::items::*;
use toolpool::ffi::job::*;
use toolpool::ffi::log::toolpool_set_log;
use toolpool::ffi::plan::toolpool_plan;
use toolpool::ffi::tool::toolpool_tool_from_callbacks;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, text};

use crate::choice::{COSTS, Choice, NAMES, pointer};

pub fn plan(p: &mut Choice) {
    let costs: Vec<f64> = (0..p.digit() % 16)
        .map(|_| COSTS[usize::from(p.digit()) % 8])
        .collect();
    let (n_items, n_slots) = (costs.len(), usize::from(p.digit() % 5));
    let mut perhaps = || {
        let values: Vec<f64> = (0..n_slots)
            .map(|_| COSTS[usize::from(p.digit()) % 8])
            .collect();
        (!p.rarely()).then_some(values)
    };
    let (weights, most) = (perhaps(), perhaps());
    let start =
        |values: &Option<Vec<f64>>| values.as_ref().map_or(null(), |values| values.as_ptr());
    let (mut slot_of, mut finish, mut bound) = (vec![u32::MAX; n_items], vec![-1.0; n_slots], -1.0);
    let huge = p.rarely();
    let status = check(p.err(), |err| {
        c!(toolpool_plan(
            if huge { null() } else { costs.as_ptr() },
            if huge { usize::MAX } else { n_items },
            start(&weights),
            start(&most),
            n_slots,
            slot_of.as_mut_ptr(),
            finish.as_mut_ptr(),
            &raw mut bound,
            err
        ))
    });
    if status == TOOLPOOL_OK {
        assert!(slot_of.iter().all(|&slot| (slot as usize) < n_slots));
        let makespan = finish.iter().copied().fold(0.0, f64::max);
        assert!(finish.iter().all(|&time| time >= 0.0) && (0.0..=makespan).contains(&bound));
    } else {
        assert!(slot_of.iter().all(|&slot| slot == u32::MAX));
        assert!(finish.iter().all(|&time| time == -1.0) && bound == -1.0);
    }
}

/// What tools make errors with serves anybody.
pub fn set_error(p: &mut Choice) {
    let mut err = null_mut();
    for _ in 0..1 + p.digit() % 2 {
        let status = i32::from(p.digit() as i8);
        let message = pointer(NAMES[usize::from(p.digit()) % 8]);
        let answer = c!(toolpool_error_set(&raw mut err, status, message));
        assert!(answer < 0 && answer == c!(toolpool_error_status(err)));
        text(c!(toolpool_error_message(err)));
        assert_eq!(c!(toolpool_error_item(err)), usize::MAX);
    }
    c!(toolpool_error_set(null_mut(), -1, null()));
    c!(toolpool_error_free(err));
}

unsafe extern "C" fn log_line(_: *mut c_void, level: i32, message: *const c_char) {
    assert!((1..=3).contains(&level));
    assert!(!text(message).contains('\n'), "{:?}", text(message));
}

pub fn set_log(p: &mut Choice) {
    let level = i32::from(p.digit());
    let callback = if p.rarely() {
        None
    } else {
        Some(log_line as _)
    };
    let status = check(p.err(), |err| {
        c!(toolpool_set_log(callback, null_mut(), level, err))
    });
    assert!(status != TOOLPOOL_OK || (1..=3).contains(&level));
}

/// Every function that programs reach with some handle only, with none.
pub fn call_all_with_null() {
    c!(toolpool_items_free(null_mut()));
    c!(toolpool_error_free(null_mut()));
    c!(toolpool_job_free(null_mut()));
    assert_eq!(c!(toolpool_items_len(null())), 0);
    assert_eq!(c!(toolpool_devices_len(null())), 0);
    assert_eq!(c!(toolpool_batch_len(null())), 0);
    assert!(c!(toolpool_batch_user(null())).is_null());
    let argument = |status| assert_eq!(status, TOOLPOOL_ERR_ARGUMENT);
    let (mut data, mut len) = (null(), 0);
    argument(c!(toolpool_batch_bytes(
        null(),
        0,
        &raw mut data,
        &raw mut len
    )));
    argument(c!(toolpool_batch_bytes(null(), 0, null_mut(), null_mut())));
    argument(c!(toolpool_batch_field(
        null(),
        0,
        null(),
        &raw mut data,
        &raw mut len
    )));
    argument(c!(toolpool_outputs_fail(null_mut(), 0, 0, null())));
    argument(c!(toolpool_outputs_warn(null_mut(), 0, null())));
    argument(c!(toolpool_outputs_count(null_mut(), null(), 0.0)));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_outputs_alloc(
            null_mut(),
            0,
            null(),
            0,
            null(),
            0,
            null_mut(),
            err
        ))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_items_add_field(
            null_mut(),
            null(),
            null(),
            null(),
            0,
            None,
            null_mut(),
            err
        ))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_job_poll(null(), err))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_job_progress(null(), null_mut(), err))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_tool_from_callbacks(
            c"tool".as_ptr(),
            null(),
            null_mut(),
            null_mut(),
            err
        ))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_plan(
            null(),
            1,
            null(),
            null(),
            1,
            null_mut(),
            null_mut(),
            null_mut(),
            err
        ))
    }));
}
