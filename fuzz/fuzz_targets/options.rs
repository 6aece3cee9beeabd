//! Keys and values of options: of jobs and of tools.
//!
//! An input is lines of `key=value`, each set on the options of a job and on two tools that have none. A line that is
//! `!` submits a job with what is set.
#![no_main]

use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

use libfuzzer_sys::fuzz_target;
use toolpool::ffi::items::{toolpool_items_free, toolpool_items_from_strings};
use toolpool::ffi::job::{toolpool_job_free, toolpool_job_results, toolpool_submit};
use toolpool::ffi::options::toolpool_options_t;
use toolpool::ffi::options::{toolpool_options_free, toolpool_options_new, toolpool_options_set};
use toolpool::ffi::pool::{toolpool_close, toolpool_open};
use toolpool::ffi::results::{toolpool_results_free, toolpool_results_len};
use toolpool::ffi::tool::{
    toolpool_tool_free, toolpool_tool_open, toolpool_tool_set, toolpool_tool_t,
};
use toolpool_abi::{
    TOOLPOOL_ERR_ARGUMENT, TOOLPOOL_ERR_OPTION, TOOLPOOL_ERR_TIME_LIMIT, TOOLPOOL_OK,
};
use toolpool_fuzz::{ErrArg, c, check, make};

fuzz_target!(|input: &[u8]| {
    let options = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_options_new(out, err))
    })
    .1
    .unwrap();
    let echo = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_tool_open(c"echo".as_ptr(), null(), out, err))
    });
    let echo = echo.1.unwrap();
    let mut submits = 0;
    for line in input.split(|&byte| byte == b'\n' || byte == 0) {
        match line.iter().position(|&byte| byte == b'=') {
            Some(equals) => set(options, echo, &line[..equals], &line[equals + 1..]),
            None if line == b"!" && submits < 2 => {
                submit(options, echo);
                submits += 1;
            }
            None => {}
        }
    }
    c!(toolpool_options_free(options));
    c!(toolpool_tool_free(echo));
});

fn set(options: *mut toolpool_options_t, echo: *mut toolpool_tool_t, key: &[u8], value: &[u8]) {
    let utf8 = str::from_utf8(key).is_ok() && str::from_utf8(value).is_ok();
    let bad = if utf8 {
        TOOLPOOL_ERR_OPTION
    } else {
        TOOLPOOL_ERR_ARGUMENT
    };
    let expected = if accepted(key, value) {
        TOOLPOOL_OK
    } else {
        bad
    };
    let [c_key, c_value] = [key, value].map(|text| CString::new(text).expect("lines end at NULs"));
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_options_set(
            options,
            c_key.as_ptr(),
            c_value.as_ptr(),
            err
        ))
    });
    assert_eq!(status, expected, "{c_key:?}={c_value:?}");
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_tool_set(
            echo,
            c_key.as_ptr(),
            c_value.as_ptr(),
            err
        ))
    });
    assert_eq!(status, bad);
}

/// What the header's table says of the options of a job.
fn accepted(key: &[u8], value: &[u8]) -> bool {
    let number = || str::from_utf8(value).ok()?.parse::<u128>().ok();
    let seconds = || str::from_utf8(value).ok()?.parse::<f64>().ok();
    match key {
        b"dedup" | b"deterministic" => matches!(value, b"true" | b"false"),
        b"on_device_lost" => matches!(value, b"continue" | b"fail"),
        b"pending_bytes" => number().is_some_and(|bytes| bytes <= u64::MAX.into()),
        b"retries" => number().is_some_and(|retries| retries <= u32::MAX.into()),
        b"time_limit" | b"batch_time_limit" => {
            seconds().is_some_and(|seconds| seconds > 0.0 && seconds < u64::MAX as f64)
        }
        _ => false,
    }
}

/// Whatever is set, a job ends: with all its items, or as a whole where its only slot is inside a batch past its time.
fn submit(options: *mut toolpool_options_t, echo: *mut toolpool_tool_t) {
    let pool = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_open(c"cpu".as_ptr(), out, err))
    });
    let strings: [*const c_char; 3] = [c"one".as_ptr(), c"two".as_ptr(), c"one".as_ptr()];
    let items = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_items_from_strings(
            strings.as_ptr(),
            null(),
            strings.len(),
            out,
            err
        ))
    });
    let (pool, items) = (pool.1.unwrap(), items.1.unwrap());
    let job = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_submit(pool, echo, items, options, out, err))
    });
    let job = job.1.unwrap_or(null_mut());
    let (status, results) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_job_results(job, out, err))
    });
    match results {
        Some(results) => assert_eq!(c!(toolpool_results_len(results)), strings.len()),
        None => assert_eq!(status, TOOLPOOL_ERR_TIME_LIMIT),
    }
    c!(toolpool_results_free(results.unwrap_or(null_mut())));
    c!(toolpool_job_free(job));
    c!(toolpool_items_free(items));
    c!(toolpool_close(pool));
}
