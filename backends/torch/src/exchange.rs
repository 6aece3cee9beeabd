//! A batch of the core's, and where its outputs go.

use crate::error::{Error, Result};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use toolpool_abi::*;

/// A tensor of the caller's: dense, row-major, aligned to its elements.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Its elements.
    pub data: &'a [u8],
    /// Their type.
    pub dtype: toolpool_dtype_t,
    ndim: usize,
    shape: [i64; TOOLPOOL_MAX_NDIM],
}

impl<'a> View<'a> {
    /// A tensor of so many bytes as `dims` and `dtype` say.
    pub fn new(data: &'a [u8], dtype: toolpool_dtype_t, dims: &[i64]) -> Self {
        let mut shape = [0; TOOLPOOL_MAX_NDIM];
        shape[..dims.len()].copy_from_slice(dims);
        View {
            data,
            dtype,
            ndim: dims.len(),
            shape,
        }
    }

    /// The sizes, outermost first.
    pub fn dims(&self) -> &[i64] {
        &self.shape[..self.ndim]
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.dims().iter().product::<i64>() as usize
    }

    /// What the core shows.
    ///
    /// # Safety
    /// `tensor` must be one of the core's, whose memory stays for `'a`.
    pub(crate) unsafe fn of(tensor: &toolpool_tensor_t) -> Self {
        // SAFETY: as required of the caller.
        let data = unsafe { bytes(tensor.data, tensor.bytes) };
        View::new(data, tensor.dtype, &tensor.shape[..tensor.ndim as usize])
    }
}

/// The core's batch and outputs; valid until the `collect` of the batch returns.
pub struct Exchange {
    host: &'static toolpool_host_t,
    batch: *const toolpool_batch_t,
    outputs: *mut toolpool_outputs_t,
}

impl Exchange {
    /// What the core passed to `start`.
    ///
    /// # Safety
    /// `batch` and `outputs` must be those of one call, and must stay while the result is used; one thread at a time.
    pub(crate) unsafe fn new(
        host: &'static toolpool_host_t,
        batch: *const toolpool_batch_t,
        outputs: *mut toolpool_outputs_t,
    ) -> Self {
        Exchange {
            host,
            batch,
            outputs,
        }
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        // SAFETY: the batch is valid, as `new` was promised.
        unsafe { (self.host.batch_len)(self.batch) }
    }

    /// The first field of item `index`, as bytes.
    pub fn bytes(&self, index: usize) -> Result<&[u8]> {
        let (mut data, mut len) = (ptr::null(), 0);
        // SAFETY: the batch is valid, and so are its items.
        unsafe {
            match (self.host.batch_bytes)(self.batch, index, &mut data, &mut len) {
                TOOLPOOL_OK => Ok(bytes(data, len)),
                status => Err(Error::Host(
                    status,
                    format!("item {index} of the batch cannot be read"),
                )),
            }
        }
    }

    /// The names of the items' fields, in order.
    pub fn fields(&self) -> Vec<String> {
        // SAFETY: the batch is valid, and names are NUL-terminated.
        unsafe {
            (0..(self.host.batch_fields)(self.batch))
                .map(|field| (self.host.batch_field_name)(self.batch, field))
                .take_while(|name| !name.is_null())
                .map(|name| CStr::from_ptr(name).to_string_lossy().into_owned())
                .collect()
        }
    }

    /// Field `field` of item `index`.
    pub fn tensor(&self, index: usize, field: usize) -> Result<View<'_>> {
        // SAFETY: all zeros are a tensor without data.
        let mut tensor: toolpool_tensor_t = unsafe { std::mem::zeroed() };
        tensor.size = size_of::<toolpool_tensor_t>();
        // SAFETY: the batch is valid, and so are its items; the tensor is writable.
        unsafe {
            match (self.host.batch_tensor)(self.batch, index, field, &mut tensor) {
                TOOLPOOL_OK => Ok(View::of(&tensor)),
                status => Err(Error::Host(
                    status,
                    format!("field {field} of item {index} of the batch cannot be read"),
                )),
            }
        }
    }

    /// Makes the output `name` of item `index` from the elements in `data`.
    ///
    /// # Panics
    /// If `data` is not as long as the shape and the type say.
    pub fn put(
        &self,
        index: usize,
        name: &str,
        dtype: toolpool_dtype_t,
        shape: &[i64],
        data: &[u8],
    ) -> Result<()> {
        let elements = shape.iter().product::<i64>() as usize;
        assert_eq!(elements * element_size(dtype), data.len());
        let c_name = c_string(name);
        let mut room = ptr::null_mut();
        // SAFETY: the outputs are valid; on success `room` has room for the shape.
        unsafe {
            let status = (self.host.outputs_alloc)(
                self.outputs,
                index,
                c_name.as_ptr(),
                dtype,
                shape.as_ptr(),
                shape.len(),
                &mut room,
                ptr::null_mut(),
            );
            if status != TOOLPOOL_OK {
                return Err(Error::Host(
                    status,
                    format!("the output '{name}' of shape {shape:?} was refused"),
                ));
            }
            ptr::copy_nonoverlapping(data.as_ptr(), room.cast::<u8>(), data.len());
        }
        Ok(())
    }

    /// Makes the fp32 output `name` of item `index`.
    pub fn put_floats(
        &self,
        index: usize,
        name: &str,
        shape: &[i64],
        values: &[f32],
    ) -> Result<()> {
        // SAFETY: any float is four bytes.
        let data = unsafe { bytes(values.as_ptr().cast(), size_of_val(values)) };
        self.put(index, name, TOOLPOOL_FLOAT32, shape, data)
    }

    /// Reports that item `index` cannot be done.
    pub fn fail(&self, index: usize, message: &str) {
        let message = c_string(message);
        // SAFETY: the outputs are valid.
        unsafe {
            (self.host.outputs_fail)(self.outputs, index, TOOLPOOL_ERR_ITEM, message.as_ptr())
        };
    }

    /// Adds a warning to item `index`.
    pub fn warn(&self, index: usize, message: &str) {
        let message = c_string(message);
        // SAFETY: the outputs are valid.
        unsafe { (self.host.outputs_warn)(self.outputs, index, message.as_ptr()) };
    }

    /// Adds to a number of the job's report.
    pub fn count(&self, name: &str, amount: f64) {
        let name = c_string(name);
        // SAFETY: the outputs are valid.
        unsafe { (self.host.outputs_count)(self.outputs, name.as_ptr(), amount) };
    }
}

/// Bytes of one element.
fn element_size(dtype: toolpool_dtype_t) -> usize {
    match dtype {
        TOOLPOOL_FLOAT64 | TOOLPOOL_INT64 => 8,
        TOOLPOOL_FLOAT32 | TOOLPOOL_INT32 => 4,
        TOOLPOOL_FLOAT16 | TOOLPOOL_BFLOAT16 | TOOLPOOL_INT16 => 2,
        _ => 1,
    }
}

/// # Safety
/// `data` is NULL or has `len` bytes that stay for `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize) -> &'a [u8] {
    match data.is_null() || len == 0 {
        true => &[],
        // SAFETY: as required of the caller.
        false => unsafe { std::slice::from_raw_parts(data.cast(), len) },
    }
}

/// # Safety
/// `string` is NULL or NUL-terminated, and stays for `'a`.
pub(crate) unsafe fn text<'a>(string: *const c_char, what: &str) -> Result<&'a str> {
    if string.is_null() {
        return Err(Error::Argument(format!("{what} is NULL")));
    }
    // SAFETY: as required of the caller.
    let string = unsafe { CStr::from_ptr(string) };
    string
        .to_str()
        .map_err(|_| Error::Argument(format!("{what} is not UTF-8: {string:?}")))
}

/// `text` for C; NULs, which only a user's own string could bring in, become spaces.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
