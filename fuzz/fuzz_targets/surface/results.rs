//! Reads results through every accessor, and compares them with what the items ask for.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};

use toolpool::ffi::results::*;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, text};

use crate::letters::{always_fails, may_fail};

/// What a job was submitted with.
pub struct Facts {
    pub items: Vec<Vec<u8>>,
    /// The tool obeys the letters of its items; else it is `echo`.
    pub by_letter: bool,
    /// Its calls may all fail.
    pub queued: bool,
    /// Which items have been handed out.
    pub seen: Vec<bool>,
}

impl Facts {
    pub fn all_seen(&self) -> bool {
        self.seen.iter().all(|&seen| seen)
    }
}

/// Statuses that an item may have without being at fault itself.
const OF_THE_JOB: [toolpool_status_t; 5] = [
    TOOLPOOL_ERR_CANCELLED,
    TOOLPOOL_ERR_CLOSED,
    TOOLPOOL_ERR_DEVICE_LOST,
    TOOLPOOL_ERR_TRANSIENT,
    TOOLPOOL_ERR_TIME_LIMIT,
];

/// Checks fresh results of a job, whose call answered with `status`.
pub fn check_fresh(results: *mut toolpool_results_t, status: toolpool_status_t, facts: &mut Facts) {
    let len = c!(toolpool_results_len(results));
    let mut failed = Vec::new();
    for index in 0..len {
        let caller = c!(toolpool_results_index(results, index));
        assert!(
            !std::mem::replace(&mut facts.seen[caller], true),
            "item {caller} was handed out twice"
        );
        if check_item(results, index, &facts.items[caller], facts) {
            failed.push(index);
        }
    }
    assert_eq!(status == TOOLPOOL_PARTIAL, !failed.is_empty());
    assert_eq!(failed_of(results), failed);
    check_beyond(results, len);
    read_all(results);
}

fn failed_of(results: *mut toolpool_results_t) -> Vec<usize> {
    let mut positions = null();
    let count = c!(toolpool_results_failed(results, &raw mut positions));
    assert_eq!(c!(toolpool_results_failed(results, null_mut())), count);
    assert_eq!(positions.is_null(), count == 0);
    // SAFETY: there are so many, and they live as long as the results.
    (0..count).map(|i| unsafe { *positions.add(i) }).collect()
}

/// One item has a result or an error, and the one that its letter asks for. Whether it failed.
fn check_item(results: *mut toolpool_results_t, index: usize, item: &[u8], facts: &Facts) -> bool {
    let by_letter = facts.by_letter;
    let status = c!(toolpool_results_status(results, index));
    let error = text(c!(toolpool_results_error(results, index)));
    let slot = c!(toolpool_results_slot(results, index));
    text(c!(toolpool_results_warning(results, index)));
    assert_eq!(status < 0, !error.is_empty());
    let mut tensor = empty_tensor();
    let viewed = check(ErrArg::Empty, |err| {
        c!(toolpool_results_tensor(
            results,
            index,
            c"output".as_ptr(),
            &raw mut tensor,
            err
        ))
    });
    if status == TOOLPOOL_OK {
        assert!(slot >= 0);
        assert_eq!(viewed, TOOLPOOL_OK);
        if !(by_letter && item.first() == Some(&b'D')) {
            assert_eq!((bytes(tensor.data, tensor.bytes), tensor.ndim), (item, 1));
        }
        assert!(!(by_letter && always_fails(item)), "{item:?} succeeded");
        return false;
    }
    assert_eq!(viewed, status);
    // Where one item gives `output` another type, those after it in their batch have none.
    let mixed = facts.items.iter().any(|item| item.first() == Some(&b'D'));
    let own_fault = by_letter && (may_fail(item) || mixed) || facts.queued;
    assert!(
        own_fault || OF_THE_JOB.contains(&status) || slot < 0,
        "{item:?}: {status} {error}"
    );
    true
}

fn check_beyond(results: *mut toolpool_results_t, len: usize) {
    for index in [len, usize::MAX] {
        assert_eq!(c!(toolpool_results_index(results, index)), usize::MAX);
        assert_eq!(
            c!(toolpool_results_status(results, index)),
            TOOLPOOL_ERR_NOT_FOUND
        );
        assert_eq!(text(c!(toolpool_results_error(results, index))), "");
        assert_eq!(text(c!(toolpool_results_warning(results, index))), "");
        assert_eq!(c!(toolpool_results_slot(results, index)), -1);
    }
}

/// Every output of every item, as tensor, column and stack.
pub fn read_all(results: *mut toolpool_results_t) {
    let outputs = c!(toolpool_results_outputs(results));
    for output in 0..outputs {
        let name = c!(toolpool_results_output_name(results, output));
        text(name);
        check_column(results, name);
        check_stack(results, name);
    }
    assert!(c!(toolpool_results_output_name(results, outputs)).is_null());
}

fn check_column(results: *mut toolpool_results_t, name: *const c_char) {
    let mut column = toolpool_column_t {
        size: size_of::<toolpool_column_t>(),
        dtype: -1,
        reserved: 0,
        chunks: null(),
        n_chunks: 0,
        rows: null(),
        n_rows: 0,
    };
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_results_column(results, name, &raw mut column, err))
    });
    if status != TOOLPOOL_OK {
        assert_eq!(
            (status, column.dtype),
            (TOOLPOOL_ERR_CONTRACT, -1),
            "only a tool that mixes types has no column"
        );
        return;
    }
    assert_eq!(column.n_rows, c!(toolpool_results_len(results)));
    for index in 0..column.n_rows {
        // SAFETY: there are so many rows, and as many chunks as they lead to.
        let row = unsafe { *column.rows.add(index) };
        let (view, tensor) = view(results, index, name);
        assert_eq!(row.chunk == u32::MAX, view != TOOLPOOL_OK);
        if view == TOOLPOOL_OK {
            assert!((row.chunk as usize) < column.n_chunks);
            // SAFETY: as above.
            let chunk = unsafe { *column.chunks.add(row.chunk as usize) };
            assert!(chunk.data.addr().is_multiple_of(64));
            assert!(row.offset + row.bytes <= chunk.bytes as u64);
            assert_eq!(chunk.data.addr() + row.offset as usize, tensor.data.addr());
            assert_eq!(row.bytes as usize, tensor.bytes);
        }
    }
}

fn check_stack(results: *mut toolpool_results_t, name: *const c_char) {
    let mut tensor = empty_tensor();
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_results_stack(
            results,
            name,
            null_mut(),
            0,
            &raw mut tensor,
            err
        ))
    });
    if status != TOOLPOOL_OK {
        return;
    }
    let mut buffer = vec![0_u8; tensor.bytes];
    for wrong in [tensor.bytes + 1, tensor.bytes.wrapping_sub(1), usize::MAX] {
        let status = check(ErrArg::Empty, |err| {
            c!(toolpool_results_stack(
                results,
                name,
                buffer.as_mut_ptr().cast(),
                wrong,
                null_mut(),
                err
            ))
        });
        assert_eq!(status, TOOLPOOL_ERR_ARGUMENT);
    }
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_results_stack(
            results,
            name,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            null_mut(),
            err
        ))
    });
    assert_eq!(status, TOOLPOOL_OK);
    let rows = (0..c!(toolpool_results_len(results))).map(|index| view(results, index, name).1);
    let expected: Vec<u8> = rows
        .flat_map(|row| bytes(row.data, row.bytes).to_vec())
        .collect();
    assert_eq!(buffer, expected);
}

fn view(
    results: *mut toolpool_results_t,
    index: usize,
    name: *const c_char,
) -> (toolpool_status_t, toolpool_tensor_t) {
    let mut tensor = empty_tensor();
    let status = check(ErrArg::Empty, |err| {
        c!(toolpool_results_tensor(
            results,
            index,
            name,
            &raw mut tensor,
            err
        ))
    });
    (status, tensor)
}

/// One view with arguments that may be wrong; what it writes, it writes on success only.
pub fn view_one(
    results: *mut toolpool_results_t,
    index: usize,
    name: Option<&CStr>,
    size: usize,
    err: ErrArg,
) {
    let name = name.map_or(null(), CStr::as_ptr);
    let mut tensor = empty_tensor();
    tensor.size = size;
    let status = check(err, |err| {
        c!(toolpool_results_tensor(
            results,
            index,
            name,
            &raw mut tensor,
            err
        ))
    });
    assert_eq!(status == TOOLPOOL_OK, !tensor.data.is_null());
    check(err, |err| {
        c!(toolpool_results_tensor(
            results,
            index,
            name,
            null_mut(),
            err
        ))
    });
    check(err, |err| {
        c!(toolpool_results_column(results, name, null_mut(), err))
    });
    check(err, |err| {
        c!(toolpool_results_stack(
            results,
            name,
            null_mut(),
            0,
            null_mut(),
            err
        ))
    });
}

pub fn empty_tensor() -> toolpool_tensor_t {
    toolpool_tensor_t {
        size: size_of::<toolpool_tensor_t>(),
        data: null(),
        bytes: 0,
        dtype: 0,
        ndim: 0,
        shape: [0; TOOLPOOL_MAX_NDIM],
        strides: null(),
        device: 0,
        reserved: 0,
    }
}

pub fn bytes<'a>(data: *const c_void, len: usize) -> &'a [u8] {
    assert!(!data.is_null());
    // SAFETY: a view has the bytes that it says it has; the results live.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}
