use std::ffi::{c_char, c_void};

use toolpool_abi::{
    TOOLPOOL_ERR_INTERNAL, TOOLPOOL_ERR_NOT_FOUND, TOOLPOOL_OK, toolpool_column_t,
    toolpool_error_t, toolpool_status_t, toolpool_tensor_t,
};

use super::tensor::dense;
use super::{Handle, check_size, export, null, quietly, text};
use crate::mem::Results;
use crate::text::Text;

/// What became of the items of a job. Immutable; any thread may read it. It outlives job and pool, and owns everything that
/// its views show.
pub struct toolpool_results_t {
    _opaque: [u8; 0],
}

impl Handle for toolpool_results_t {
    type Inner = Results;
    const NOUN: &'static str = "the results";
}

fn c_text(text: Option<&Text>) -> *const c_char {
    text.map_or(c"".as_ptr(), Text::as_ptr)
}

/// How many items these results are of; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_len(results: *const toolpool_results_t) -> usize {
    // SAFETY: NULL or live, as the header says.
    unsafe { toolpool_results_t::get(results) }.map_or(0, Results::len)
}

/// The caller's index of item `index` of these results: `index` itself, unless they came from toolpool_job_next(). SIZE_MAX if
/// there is no such item.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_index(
    results: *const toolpool_results_t,
    index: usize,
) -> usize {
    // SAFETY: NULL or live, as the header says.
    let results = unsafe { toolpool_results_t::get(results) };
    results
        .ok()
        .and_then(|results| results.caller_index(index))
        .unwrap_or(usize::MAX)
}

/// The status of item `index`: ::TOOLPOOL_OK, or why it failed. ::TOOLPOOL_ERR_NOT_FOUND if there is no such item.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_status(
    results: *const toolpool_results_t,
    index: usize,
) -> toolpool_status_t {
    quietly(TOOLPOOL_ERR_INTERNAL, || {
        // SAFETY: NULL or live, as the header says.
        match unsafe { toolpool_results_t::get(results) } {
            Ok(results) if index < results.len() => results
                .error(index)
                .map_or(TOOLPOOL_OK, |error| error.status().code()),
            _ => TOOLPOOL_ERR_NOT_FOUND,
        }
    })
}

/// How many of these items failed, and which. The first call takes time in proportion to the items, later ones none.
///
/// @param positions  receives that many indices into these results, rising: an array owned by the results, NULL if none failed;
///                   may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_failed(
    results: *const toolpool_results_t,
    positions: *mut *const usize,
) -> usize {
    // SAFETY: the pointers are as the header says.
    quietly(0, || unsafe {
        let failed = toolpool_results_t::get(results).map_or(&[][..], Results::failed);
        if !positions.is_null() {
            positions.write(match failed {
                [] => std::ptr::null(),
                _ => failed.as_ptr(),
            });
        }
        failed.len()
    })
}

/// Why item `index` failed: NUL-terminated UTF-8, "" if it did not. Owned by the results.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_error(
    results: *const toolpool_results_t,
    index: usize,
) -> *const c_char {
    quietly(c"".as_ptr(), || {
        // SAFETY: NULL or live, as the header says.
        let results = unsafe { toolpool_results_t::get(results) }.ok();
        c_text(
            results
                .and_then(|results| results.error(index))
                .map(|error| error.message()),
        )
    })
}

/// What the tool remarked on item `index` (a sequence that was cut, letters it did not know): NUL-terminated UTF-8, "" if
/// nothing. Owned by the results.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_warning(
    results: *const toolpool_results_t,
    index: usize,
) -> *const c_char {
    quietly(c"".as_ptr(), || {
        // SAFETY: NULL or live, as the header says.
        let results = unsafe { toolpool_results_t::get(results) }.ok();
        c_text(results.and_then(|results| results.warning(index)))
    })
}

/// The number of the slot that computed item `index` (or its twin); -1 if none did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_slot(
    results: *const toolpool_results_t,
    index: usize,
) -> i32 {
    quietly(-1, || {
        // SAFETY: NULL or live, as the header says.
        let results = unsafe { toolpool_results_t::get(results) }.ok();
        results
            .and_then(|results| results.slot(index))
            .map_or(-1, |slot| slot as i32)
    })
}

/// How many outputs there are; items may have different ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_outputs(results: *const toolpool_results_t) -> usize {
    quietly(0, || {
        // SAFETY: NULL or live, as the header says.
        unsafe { toolpool_results_t::get(results) }.map_or(0, |results| results.names().len())
    })
}

/// The name of output `output`: NUL-terminated, owned by the results; NULL if there are not so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_output_name(
    results: *const toolpool_results_t,
    output: usize,
) -> *const c_char {
    quietly(std::ptr::null(), || {
        // SAFETY: NULL or live, as the header says.
        let results = unsafe { toolpool_results_t::get(results) }.ok();
        let name = results.and_then(|results| results.names().get(output).copied());
        name.map_or(std::ptr::null(), Text::as_ptr)
    })
}

/// Views one output of one item, with no copy. For an item that failed, the answer is its status and error.
///
/// @param index   below toolpool_results_len()
/// @param name    of the output; NUL-terminated
/// @param tensor  receives the view, valid until the results are freed; starts from TOOLPOOL_TENSOR_INIT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_tensor(
    results: *const toolpool_results_t,
    index: usize,
    name: *const c_char,
    tensor: *mut toolpool_tensor_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let results = toolpool_results_t::get(results)?;
            let name = text(name, "the output's name")?;
            check_size(tensor, "the tensor", "TOOLPOOL_TENSOR_INIT")?;
            let view = results.view(index, name)?;
            tensor.write(dense(view.data, view.dtype, view.shape)?);
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Views one output of all items where it lies, with no copy: chunks of memory, and for each item its row in them.
/// Duplicates share a row; items that failed or lack the output have none. The first call for a name takes time in
/// proportion to the items, later ones none.
///
/// @param name    of the output; NUL-terminated
/// @param column  receives the view, valid until the results are freed; starts from TOOLPOOL_COLUMN_INIT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_column(
    results: *const toolpool_results_t,
    name: *const c_char,
    column: *mut toolpool_column_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let results = toolpool_results_t::get(results)?;
            let name = text(name, "the output's name")?;
            check_size(column, "the column", "TOOLPOOL_COLUMN_INIT")?;
            let found = results.column(name)?;
            column.write(toolpool_column_t {
                size: size_of::<toolpool_column_t>(),
                dtype: found.dtype.code(),
                reserved: 0,
                chunks: found.chunks.as_ptr(),
                n_chunks: found.chunks.len(),
                rows: found.rows.as_ptr(),
                n_rows: found.rows.len(),
            });
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Gathers one output of all items into memory of the caller, in the order of the items: the only copy. All items must
/// have succeeded, with equal shapes; the first that did not is named in the error.
///
/// Call it with `buffer` NULL to learn the shape, `[items, …]`, the type and the bytes; then with a buffer of so many.
///
/// @param name    of the output; NUL-terminated
/// @param buffer  receives the rows, or NULL
/// @param bytes   the size of `buffer`
/// @param tensor  receives the description, with `buffer` as data; starts from TOOLPOOL_TENSOR_INIT; may be NULL if
///                `buffer` is not
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_stack(
    results: *const toolpool_results_t,
    name: *const c_char,
    buffer: *mut c_void,
    bytes: usize,
    tensor: *mut toolpool_tensor_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let results = toolpool_results_t::get(results)?;
            let name = text(name, "the output's name")?;
            if buffer.is_null() && tensor.is_null() {
                return Err(null("both the buffer and the tensor"));
            }
            if !tensor.is_null() {
                check_size(tensor, "the tensor", "TOOLPOOL_TENSOR_INIT")?;
            }
            let stack = results.stack(name)?;
            if !buffer.is_null() {
                stack.copy_to(buffer.cast(), bytes)?;
            }
            if !tensor.is_null() {
                tensor.write(dense(
                    buffer.cast_const().cast(),
                    stack.dtype,
                    &stack.shape,
                )?);
            }
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Frees results and everything that their views show. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_results_free(results: *mut toolpool_results_t) {
    // SAFETY: NULL or results that are not used again, as the header says.
    quietly((), || drop(unsafe { toolpool_results_t::take(results) }));
}
