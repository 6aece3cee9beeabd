//! Tensors as C sees them.

use toolpool_abi::{TOOLPOOL_DEVICE_CPU, TOOLPOOL_MAX_NDIM, toolpool_tensor_t};

use crate::error::{Error, Result, Status};
use crate::mem::{Given, Input};
use crate::value::{Dtype, Shape};

/// A dense tensor at `data`.
pub(super) fn dense(data: *const u8, dtype: Dtype, shape: &Shape) -> Result<toolpool_tensor_t> {
    let bytes = shape.bytes(dtype)?;
    Ok(to_c(data, bytes, dtype, shape))
}

impl From<Input<'_>> for toolpool_tensor_t {
    fn from(input: Input<'_>) -> Self {
        to_c(
            input.data.as_ptr(),
            input.data.len(),
            input.dtype,
            &input.shape,
        )
    }
}

fn to_c(data: *const u8, bytes: usize, dtype: Dtype, shape: &Shape) -> toolpool_tensor_t {
    let mut sizes = [0; TOOLPOOL_MAX_NDIM];
    sizes[..shape.dims().len()].copy_from_slice(shape.dims());
    toolpool_tensor_t {
        size: size_of::<toolpool_tensor_t>(),
        data: data.cast(),
        bytes,
        dtype: dtype.code(),
        ndim: shape.dims().len() as i32,
        shape: sizes,
        strides: std::ptr::null(),
        device: TOOLPOOL_DEVICE_CPU,
        reserved: 0,
    }
}

/// The caller's tensor, its parts checked each for itself.
///
/// # Safety
/// `strides` is NULL or has `ndim` elements.
pub(super) unsafe fn given(tensor: &toolpool_tensor_t) -> Result<Given> {
    let refused = |why: &dyn std::fmt::Display| Err(Error::new(Status::Argument, why));
    if tensor.size != size_of::<toolpool_tensor_t>() {
        return refused(&format_args!(
            "the tensor says it has {} bytes, not {}; start from TOOLPOOL_TENSOR_INIT",
            tensor.size,
            size_of::<toolpool_tensor_t>()
        ));
    }
    if tensor.device != TOOLPOOL_DEVICE_CPU {
        return refused(&format_args!(
            "the tensor is on a device of kind {}, and inputs are taken from the host's memory; copy it there first",
            tensor.device
        ));
    }
    let Some(dims) = usize::try_from(tensor.ndim)
        .ok()
        .and_then(|ndim| tensor.shape.get(..ndim))
    else {
        return refused(&format_args!(
            "the tensor has {} dimensions; 0 to {TOOLPOOL_MAX_NDIM} are possible",
            tensor.ndim
        ));
    };
    let strides = (!tensor.strides.is_null()).then(|| {
        let mut strides = [0; TOOLPOOL_MAX_NDIM];
        for (axis, stride) in strides[..dims.len()].iter_mut().enumerate() {
            // SAFETY: as required of the caller.
            *stride = unsafe { *tensor.strides.add(axis) };
        }
        strides
    });
    Ok(Given {
        data: tensor.data.cast(),
        bytes: tensor.bytes,
        dtype: Dtype::from_code(tensor.dtype)?,
        shape: Shape::new(dims)?,
        strides,
    })
}
