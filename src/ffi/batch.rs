use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};

use toolpool_abi::{
    TOOLPOOL_ABI, TOOLPOOL_OK, toolpool_batch_t, toolpool_dtype_t, toolpool_error_t,
    toolpool_host_t, toolpool_outputs_t, toolpool_status_t, toolpool_tensor_t,
};

use super::error::toolpool_error_set;
use super::{array, check_out, check_size, export, null as null_error, quietly, text};
use crate::error::{Error, Result, Status};
use crate::mem::Outputs;
use crate::tool::Batch;
use crate::tools::user_of;
use crate::value::{Dtype, Shape};

/// What tools from libraries are given, in place of linking to toolpool.
pub static HOST: toolpool_host_t = toolpool_host_t {
    size: size_of::<toolpool_host_t>(),
    abi: TOOLPOOL_ABI,
    batch_len: toolpool_batch_len,
    batch_bytes: toolpool_batch_bytes,
    batch_field: toolpool_batch_field,
    batch_user: toolpool_batch_user,
    outputs_alloc: toolpool_outputs_alloc,
    outputs_fail: toolpool_outputs_fail,
    outputs_warn: toolpool_outputs_warn,
    error_set: toolpool_error_set,
    outputs_count: toolpool_outputs_count,
    batch_fields: toolpool_batch_fields,
    batch_field_name: toolpool_batch_field_name,
    batch_tensor: toolpool_batch_tensor,
};

/// # Safety
/// `batch` is NULL or one that a tool was called with and has not returned.
unsafe fn batch<'a>(batch: *const toolpool_batch_t) -> Result<&'a Batch> {
    // SAFETY: as required of the caller.
    unsafe { batch.cast::<Batch>().as_ref() }.ok_or_else(|| null_error("the batch"))
}

/// # Safety
/// `outputs` is NULL or those that a tool was called with, on a thread that alone uses them now.
unsafe fn outputs<'a>(outputs: *mut toolpool_outputs_t) -> Result<&'a mut Outputs> {
    // SAFETY: as required of the caller.
    unsafe { outputs.cast::<Outputs>().as_mut() }.ok_or_else(|| null_error("the outputs"))
}

/// For tools: how many items a batch has; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_batch_len(batch: *const toolpool_batch_t) -> usize {
    // SAFETY: as the header says.
    unsafe { self::batch(batch) }.map_or(0, Batch::len)
}

/// For tools: the first field of item `index` of a batch.
///
/// @param data  receives the address, valid as long as the batch; never NULL on success
/// @param len   receives the length in bytes
/// @return      ::TOOLPOOL_OK, ::TOOLPOOL_ERR_NOT_FOUND if there is no such item, ::TOOLPOOL_ERR_ARGUMENT for NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_batch_bytes(
    batch: *const toolpool_batch_t,
    index: usize,
    data: *mut *const c_void,
    len: *mut usize,
) -> toolpool_status_t {
    // SAFETY: as the header says.
    unsafe {
        export(null_mut(), || {
            let bytes = self::batch(batch)?.bytes(index);
            give_bytes(bytes, data, len)
        })
    }
}

/// For tools: the field `name` of item `index` of a batch; otherwise as toolpool_batch_bytes().
///
/// @param name  NUL-terminated
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_batch_field(
    batch: *const toolpool_batch_t,
    index: usize,
    name: *const c_char,
    data: *mut *const c_void,
    len: *mut usize,
) -> toolpool_status_t {
    // SAFETY: as the header says.
    unsafe {
        export(null_mut(), || {
            let bytes = self::batch(batch)?.field(index, text(name, "the field's name")?);
            give_bytes(bytes, data, len)
        })
    }
}

/// # Safety
/// `data` and `len` are NULL or writable.
unsafe fn give_bytes(
    bytes: Option<&[u8]>,
    data: *mut *const c_void,
    len: *mut usize,
) -> Result<toolpool_status_t> {
    check_out(data)?;
    check_out(len)?;
    let bytes =
        bytes.ok_or_else(|| Error::new(Status::NotFound, "there is no such item or field"))?;
    // SAFETY: not NULL, so writable as required of the caller.
    unsafe {
        data.write(bytes.as_ptr().cast());
        len.write(bytes.len());
    }
    Ok(TOOLPOOL_OK)
}

/// For tools: how many fields every item of a batch has, at least 1; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_batch_fields(batch: *const toolpool_batch_t) -> usize {
    // SAFETY: as the header says.
    quietly(0, || {
        // SAFETY: as the header says.
        unsafe { self::batch(batch) }.map_or(0, |batch| batch.fields().len())
    })
}

/// For tools: the name of a field of a batch's items, valid as long as the batch; NULL if there is no such field.
///
/// @param field  from 0, in the order in which they were added to the items
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_batch_field_name(
    batch: *const toolpool_batch_t,
    field: usize,
) -> *const c_char {
    quietly(null(), || {
        // SAFETY: as the header says.
        let batch = unsafe { self::batch(batch) }.ok();
        let field = batch.and_then(|batch| batch.fields().nth(field));
        field.map_or(null(), |field| field.name().as_ptr())
    })
}

/// For tools: a field of item `index` of a batch as a tensor: dense, row-major, aligned to its elements, not to be written
/// to. A byte string is one of ::TOOLPOOL_BYTES and one dimension.
///
/// @param field   from 0, in the order in which they were added to the items
/// @param tensor  receives the view, valid as long as the batch; starts from TOOLPOOL_TENSOR_INIT
/// @return        ::TOOLPOOL_OK, ::TOOLPOOL_ERR_NOT_FOUND if there is no such item or field, ::TOOLPOOL_ERR_ARGUMENT for
///                NULL or a wrong size
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_batch_tensor(
    batch: *const toolpool_batch_t,
    index: usize,
    field: usize,
    tensor: *mut toolpool_tensor_t,
) -> toolpool_status_t {
    // SAFETY: as the header says.
    unsafe {
        export(null_mut(), || {
            check_size(tensor, "the tensor", "TOOLPOOL_TENSOR_INIT")?;
            let input = self::batch(batch)?
                .input(index, field)
                .ok_or_else(|| Error::new(Status::NotFound, "there is no such item or field"))?;
            tensor.write(input.into());
            Ok(TOOLPOOL_OK)
        })
    }
}

/// For tools: the user pointer of the tool that a batch was submitted with. It differs from the one that `load` was given
/// where tools of equal identity share what is loaded. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_batch_user(batch: *const toolpool_batch_t) -> *mut c_void {
    quietly(null_mut(), || {
        // SAFETY: as the header says.
        unsafe { self::batch(batch) }.map_or(null_mut(), user_of)
    })
}

/// For tools: memory for an output of item `index`, which becomes part of the results, so that nothing is copied after. It
/// is uninitialised, row-major, aligned to its elements, and valid until the batch ends; the tool fills all of it.
///
/// A second output of one name for one item, and one for an item that is not in the batch, fail the batch
/// (::TOOLPOOL_ERR_CONTRACT). One thread at a time for one batch.
///
/// @param name   of the output; NUL-terminated, copied
/// @param dtype  type of the elements; the same for all items of a name
/// @param shape  `ndim` sizes, outermost first; NULL if `ndim` is 0
/// @param ndim   up to ::TOOLPOOL_MAX_NDIM
/// @param data   receives the address; never NULL on success
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_outputs_alloc(
    outputs: *mut toolpool_outputs_t,
    index: usize,
    name: *const c_char,
    dtype: toolpool_dtype_t,
    shape: *const i64,
    ndim: usize,
    data: *mut *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: as the header says.
    unsafe {
        export(err, || {
            check_out(data)?;
            let outputs = self::outputs(outputs)?;
            let shape = Shape::new(array(shape, ndim, "the shape")?)?;
            let row = outputs.alloc(
                index,
                text(name, "the output's name")?,
                Dtype::from_code(dtype)?,
                shape,
            )?;
            data.write(row.cast());
            Ok(TOOLPOOL_OK)
        })
    }
}

/// For tools: says that item `index` cannot be done; the others are not affected. The first such call for an item counts.
///
/// @param status   a negative one, in general ::TOOLPOOL_ERR_ITEM; others count as ::TOOLPOOL_ERR_CONTRACT
/// @param message  NUL-terminated, copied; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_outputs_fail(
    outputs: *mut toolpool_outputs_t,
    index: usize,
    status: toolpool_status_t,
    message: *const c_char,
) -> toolpool_status_t {
    // SAFETY: as the header says.
    unsafe {
        export(null_mut(), || {
            let message = super::message(message);
            let message = message.unwrap_or_else(|| "the tool gave no message".to_owned());
            let status = Status::from_code(status).unwrap_or(Status::Contract);
            self::outputs(outputs)?.fail(index, Error::new(status, message))?;
            Ok(TOOLPOOL_OK)
        })
    }
}

/// For tools: adds a remark on item `index`, which the caller reads by toolpool_results_warning().
///
/// @param message  NUL-terminated, copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_outputs_warn(
    outputs: *mut toolpool_outputs_t,
    index: usize,
    message: *const c_char,
) -> toolpool_status_t {
    // SAFETY: as the header says.
    unsafe {
        export(null_mut(), || {
            let message = super::message(message).ok_or_else(|| null_error("the message"))?;
            self::outputs(outputs)?.warn(index, &message)?;
            Ok(TOOLPOOL_OK)
        })
    }
}

/// For tools: adds `amount` to what the report of the job says of `name`, such as the elements that were only padding. Counts
/// of batches that fail as a whole are dropped.
///
/// @param name    NUL-terminated, copied
/// @param amount  any number but NaN
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_outputs_count(
    outputs: *mut toolpool_outputs_t,
    name: *const c_char,
    amount: f64,
) -> toolpool_status_t {
    // SAFETY: as the header says.
    unsafe {
        export(null_mut(), || {
            let name = text(name, "the count's name")?;
            if amount.is_nan() {
                return Err(Error::new(
                    Status::Argument,
                    format_args!("the count of '{name}' is not a number"),
                ));
            }
            self::outputs(outputs)?.count(name, amount);
            Ok(TOOLPOOL_OK)
        })
    }
}
