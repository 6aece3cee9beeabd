//! What the tool does to an item, by the item's first letter.

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use toolpool::ffi::batch::*;
use toolpool::ffi::items::{toolpool_items_free, toolpool_items_from_strings};
use toolpool::ffi::job::{toolpool_job_free, toolpool_job_wait, toolpool_submit};
use toolpool::ffi::pool::{toolpool_close, toolpool_drain, toolpool_warm};
use toolpool::ffi::tool::{toolpool_tool_free, toolpool_tool_open};
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make, text};

use crate::results::{bytes, empty_tensor};
use crate::tool::{Tool, failure, tool};

/// Items of these first letters always fail, whatever else happens; every other item is copied to `output`.
pub fn always_fails(item: &[u8]) -> bool {
    matches!(
        first(item),
        b'f' | b'F' | b'b' | b'm' | b'l' | b'n' | b'2' | b'i' | b'd' | b's' | b'q' | b'Q'
    )
}

/// Items of these first letters may fail alone.
pub fn may_fail(item: &[u8]) -> bool {
    always_fails(item) || matches!(first(item), b'L' | b'T' | b'D' | b'u')
}

pub fn first(item: &[u8]) -> u8 {
    item.first().copied().unwrap_or(b'_')
}

/// Does to each item what its first letter says.
pub fn work(
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the batch's user is the Tool that it was submitted with.
    let tool = unsafe { tool(toolpool_batch_user(batch)) };
    let len = c!(toolpool_batch_len(batch));
    assert!(len > 0);
    for index in 0..len {
        let item = field(batch, index, Some(c"input".as_ptr())).unwrap();
        assert_eq!(field(batch, index, None), Some(item));
        read_tensors(batch, index, item);
        let status = work_on(tool, index, item, len, outputs, err);
        if status != TOOLPOOL_OK {
            return status;
        }
    }
    assert_eq!(field(batch, len, None), None);
    TOOLPOOL_OK
}

/// Every field as a tensor; the first is the item.
fn read_tensors(batch: *const toolpool_batch_t, index: usize, item: &[u8]) {
    let fields = c!(toolpool_batch_fields(batch));
    assert!(fields > 0 && c!(toolpool_batch_field_name(batch, fields)).is_null());
    for number in 0..fields {
        let name = c!(toolpool_batch_field_name(batch, number));
        text(name);
        let mut tensor = empty_tensor();
        let status = c!(toolpool_batch_tensor(batch, index, number, &raw mut tensor));
        assert_eq!(status, TOOLPOOL_OK);
        assert!(tensor.strides.is_null());
        let elements: i64 = tensor.shape[..tensor.ndim as usize].iter().product();
        assert_eq!(
            elements as usize * element_bytes(tensor.dtype),
            tensor.bytes
        );
        assert!(
            tensor
                .data
                .addr()
                .is_multiple_of(element_bytes(tensor.dtype))
        );
        let read = bytes(tensor.data, tensor.bytes);
        assert_eq!(field(batch, index, Some(name)), Some(read));
        assert!(number > 0 || read == item);
    }
    let mut none = empty_tensor();
    let beyond = c!(toolpool_batch_tensor(batch, index, fields, &raw mut none));
    assert_eq!(beyond, TOOLPOOL_ERR_NOT_FOUND);
}

/// Of the types that tensors of items have here.
fn element_bytes(dtype: toolpool_dtype_t) -> usize {
    match dtype {
        TOOLPOOL_FLOAT32 => 4,
        TOOLPOOL_INT16 => 2,
        _ => 1,
    }
}

fn field<'a>(
    batch: *const toolpool_batch_t,
    index: usize,
    name: Option<*const c_char>,
) -> Option<&'a [u8]> {
    let (mut data, mut len) = (null(), 0);
    let status = match name {
        Some(name) => c!(toolpool_batch_field(
            batch,
            index,
            name,
            &raw mut data,
            &raw mut len
        )),
        None => c!(toolpool_batch_bytes(
            batch,
            index,
            &raw mut data,
            &raw mut len
        )),
    };
    assert_eq!(
        status,
        if data.is_null() {
            TOOLPOOL_ERR_NOT_FOUND
        } else {
            TOOLPOOL_OK
        }
    );
    // SAFETY: on success there are `len` bytes, valid as long as the batch.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

fn work_on(
    tool: &Tool,
    index: usize,
    item: &[u8],
    len: usize,
    outputs: *mut toolpool_outputs_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    let once = || tool.tries.fetch_add(1, SeqCst).is_multiple_of(2);
    match first(item) {
        b'b' => return failure(err, TOOLPOOL_ERR_FAILED, c"bad batch".as_ptr()),
        b'm' => return failure(err, TOOLPOOL_ERR_OUT_OF_MEMORY, c"memory".as_ptr()),
        b'M' if len > 1 => return failure(err, TOOLPOOL_ERR_OUT_OF_MEMORY, null()),
        b'l' => return lose(tool, err),
        b'L' if once() => return lose(tool, err),
        b'T' if once() => return failure(err, TOOLPOOL_ERR_TRANSIENT, c"later".as_ptr()),
        b'q' => return 7,
        b'Q' => return failure(err, -99, c"\xff".as_ptr()),
        b'f' => {
            return c!(toolpool_outputs_fail(
                outputs,
                index,
                TOOLPOOL_ERR_ITEM,
                c"refused".as_ptr()
            ));
        }
        b'F' => return c!(toolpool_outputs_fail(outputs, index, 12345, null())),
        b'n' => return TOOLPOOL_OK,
        b'2' => assert!(put(outputs, index, item)),
        b'i' => assert_eq!(alloc(outputs, len, c"output", TOOLPOOL_BYTES, &[1]), None),
        b'd' => return refused(alloc(outputs, index, c"output", 99, &[1])),
        b's' => {
            return refused(alloc(
                outputs,
                index,
                c"output",
                TOOLPOOL_FLOAT64,
                &[1 << 40, 1 << 40],
            ));
        }
        b'8' => assert_eq!(
            alloc(outputs, index, c"nine", TOOLPOOL_BYTES, &[1; 9]),
            None
        ),
        b'g' => assert_eq!(alloc(outputs, index, c"minus", TOOLPOOL_BYTES, &[-1]), None),
        b'z' => assert!(alloc(outputs, index, c"zero", TOOLPOOL_INT64, &[4, 0, 4]).is_some()),
        b'v' => fill(
            alloc(outputs, index, c"vector", TOOLPOOL_FLOAT32, &[2, 3]),
            24,
        ),
        b'V' => fill(alloc(outputs, index, c"scalar", TOOLPOOL_FLOAT64, &[]), 8),
        b'D' => {
            let row = alloc(outputs, index, c"output", TOOLPOOL_INT32, &[1]);
            if row.is_none() {
                return c!(toolpool_outputs_fail(
                    outputs,
                    index,
                    TOOLPOOL_ERR_ITEM,
                    c"mixed".as_ptr()
                ));
            }
            fill(row, 4);
            return TOOLPOOL_OK;
        }
        b'w' => assert_eq!(
            c!(toolpool_outputs_warn(outputs, index, c"a\n\xff".as_ptr())),
            TOOLPOOL_OK
        ),
        b'W' => assert_eq!(
            c!(toolpool_outputs_warn(outputs, index, null())),
            TOOLPOOL_ERR_ARGUMENT
        ),
        b'h' => thread::sleep(Duration::from_millis(2)),
        b'e' => drop(failure(
            err,
            TOOLPOOL_ERR_FAILED,
            c"said, and not meant".as_ptr(),
        )),
        b'c' => drop(c!(toolpool_outputs_count(outputs, c"seen".as_ptr(), 1.0))),
        b'C' => drop(c!(toolpool_outputs_count(outputs, null(), f64::NAN))),
        b'r' if !tool.queued => wait_inside(tool),
        b'R' => submit_inside(tool),
        _ => {}
    }
    let written = put(outputs, index, item);
    if !written {
        return c!(toolpool_outputs_fail(
            outputs,
            index,
            TOOLPOOL_ERR_ITEM,
            c"mixed".as_ptr()
        ));
    }
    if first(item) == b'u' {
        return c!(toolpool_outputs_fail(
            outputs,
            index,
            TOOLPOOL_ERR_ITEM,
            c"after all".as_ptr()
        ));
    }
    TOOLPOOL_OK
}

fn lose(tool: &Tool, err: *mut *mut toolpool_error_t) -> toolpool_status_t {
    tool.device_lost.store(true, SeqCst);
    failure(err, TOOLPOOL_ERR_DEVICE_LOST, c"gone".as_ptr())
}

fn refused(row: Option<*mut u8>) -> toolpool_status_t {
    assert_eq!(row, None);
    TOOLPOOL_OK
}

fn alloc(
    outputs: *mut toolpool_outputs_t,
    index: usize,
    name: &std::ffi::CStr,
    dtype: i32,
    shape: &[i64],
) -> Option<*mut u8> {
    let (_, row) = make(
        ErrArg::from(index as u8 % 7),
        false,
        |out: *mut *mut c_void, err| {
            c!(toolpool_outputs_alloc(
                outputs,
                index,
                name.as_ptr(),
                dtype,
                shape.as_ptr(),
                shape.len(),
                out,
                err
            ))
        },
    );
    row.map(|row| row.cast())
}

fn fill(row: Option<*mut u8>, bytes: usize) {
    if let Some(row) = row {
        // SAFETY: the row has so many bytes.
        unsafe { row.write_bytes(0x3f, bytes) };
    }
}

/// Copies an item to `output`; false if items before it gave that name another type.
fn put(outputs: *mut toolpool_outputs_t, index: usize, item: &[u8]) -> bool {
    let row = alloc(
        outputs,
        index,
        c"output",
        TOOLPOOL_BYTES,
        &[item.len() as i64],
    );
    if let Some(row) = row {
        // SAFETY: the row has room for the item.
        unsafe { std::ptr::copy_nonoverlapping(item.as_ptr(), row, item.len()) };
    }
    row.is_some()
}

/// Calls that would wait for this very batch are refused.
fn wait_inside(tool: &Tool) {
    let refused = |status| assert_eq!(status, TOOLPOOL_ERR_REENTRANT);
    refused(check(ErrArg::Empty, |err| {
        c!(toolpool_drain(tool.pool, -1, err))
    }));
    refused(check(ErrArg::Empty, |err| {
        c!(toolpool_warm(tool.pool, null(), err))
    }));
    refused(check(ErrArg::Empty, |err| {
        c!(toolpool_job_wait(null(), -1, err))
    }));
    c!(toolpool_close(tool.pool));
}

/// A job may be begun inside a callback, and let go.
fn submit_inside(tool: &Tool) {
    let (_, echo) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_tool_open(c"echo".as_ptr(), null(), out, err))
    });
    let strings = [c"inside".as_ptr()];
    let (_, items) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_items_from_strings(
            strings.as_ptr(),
            null(),
            1,
            out,
            err
        ))
    });
    let (echo, items) = (echo.unwrap(), items.unwrap());
    let (_, job) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_submit(tool.pool, echo, items, null(), out, err))
    });
    c!(toolpool_tool_free(echo));
    c!(toolpool_items_free(items));
    c!(toolpool_job_free(job.unwrap_or(null_mut())));
}
