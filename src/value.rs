//! What an output is made of: element types and shapes.

use toolpool_abi as abi;

use crate::error::{Error, Result, Status};

/// The most dimensions of a tensor.
pub const MAX_NDIM: usize = abi::TOOLPOOL_MAX_NDIM;

/// The element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Dtype {
    Bytes = abi::TOOLPOOL_BYTES,
    Float32 = abi::TOOLPOOL_FLOAT32,
    Float64 = abi::TOOLPOOL_FLOAT64,
    Float16 = abi::TOOLPOOL_FLOAT16,
    BFloat16 = abi::TOOLPOOL_BFLOAT16,
    Int8 = abi::TOOLPOOL_INT8,
    UInt8 = abi::TOOLPOOL_UINT8,
    Int16 = abi::TOOLPOOL_INT16,
    Int32 = abi::TOOLPOOL_INT32,
    Int64 = abi::TOOLPOOL_INT64,
    Bool = abi::TOOLPOOL_BOOL,
}

impl Dtype {
    /// The type of a code of the C surface.
    pub fn from_code(code: abi::toolpool_dtype_t) -> Result<Self> {
        Ok(match code {
            abi::TOOLPOOL_BYTES => Self::Bytes,
            abi::TOOLPOOL_FLOAT32 => Self::Float32,
            abi::TOOLPOOL_FLOAT64 => Self::Float64,
            abi::TOOLPOOL_FLOAT16 => Self::Float16,
            abi::TOOLPOOL_BFLOAT16 => Self::BFloat16,
            abi::TOOLPOOL_INT8 => Self::Int8,
            abi::TOOLPOOL_UINT8 => Self::UInt8,
            abi::TOOLPOOL_INT16 => Self::Int16,
            abi::TOOLPOOL_INT32 => Self::Int32,
            abi::TOOLPOOL_INT64 => Self::Int64,
            abi::TOOLPOOL_BOOL => Self::Bool,
            _ => {
                return Err(Error::new(
                    Status::Argument,
                    format_args!(
                        "{code} is no element type; known are TOOLPOOL_BYTES (0) to TOOLPOOL_BOOL (10)"
                    ),
                ));
            }
        })
    }

    /// The code of this type in the C surface.
    #[must_use]
    pub fn code(self) -> abi::toolpool_dtype_t {
        self as i32
    }

    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bytes | Self::Int8 | Self::UInt8 | Self::Bool => 1,
            Self::Float16 | Self::BFloat16 | Self::Int16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }
}

/// The sizes of a dense row-major tensor, outermost first. No dimensions: a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    ndim: u8,
    dims: [i64; MAX_NDIM],
}

impl Shape {
    /// A shape of at most [`MAX_NDIM`] dimensions, none negative.
    pub fn new(dims: &[i64]) -> Result<Self> {
        if dims.len() > MAX_NDIM {
            return Err(Error::new(
                Status::Argument,
                format_args!(
                    "a tensor of {} dimensions; at most {MAX_NDIM} are possible",
                    dims.len()
                ),
            ));
        }
        if let Some(negative) = dims.iter().find(|&&dim| dim < 0) {
            return Err(Error::new(
                Status::Argument,
                format_args!("the shape {dims:?} has the negative dimension {negative}"),
            ));
        }
        let mut shape = Self {
            ndim: dims.len() as u8,
            dims: [0; MAX_NDIM],
        };
        shape.dims[..dims.len()].copy_from_slice(dims);
        Ok(shape)
    }

    /// One dimension of `len`.
    #[must_use]
    pub fn vector(len: usize) -> Self {
        let mut shape = Self {
            ndim: 1,
            dims: [0; MAX_NDIM],
        };
        shape.dims[0] = len as i64;
        shape
    }

    /// The dimensions.
    #[must_use]
    pub fn dims(&self) -> &[i64] {
        &self.dims[..usize::from(self.ndim)]
    }

    /// Bytes of a tensor of this shape, unless they overflow.
    pub fn bytes(&self, dtype: Dtype) -> Result<usize> {
        self.dims()
            .iter()
            .try_fold(dtype.size(), |bytes, &dim| {
                bytes.checked_mul(usize::try_from(dim).ok()?)
            })
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| {
                Error::new(
                    Status::Argument,
                    format_args!(
                        "a tensor of shape {:?} has more bytes than memory has addresses",
                        self.dims()
                    ),
                )
            })
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.dims().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_and_overflow_is_an_error() {
        let bytes = |dims: &[i64]| Shape::new(dims).and_then(|s| s.bytes(Dtype::Float32));
        assert_eq!(bytes(&[]), Ok(4));
        assert_eq!(bytes(&[3, 5]), Ok(60));
        assert_eq!(bytes(&[0, i64::MAX]), Ok(0));
        assert_eq!(bytes(&[i64::MAX]).unwrap_err().status(), Status::Argument);
        assert_eq!(
            bytes(&[1 << 32, 1 << 32]).unwrap_err().status(),
            Status::Argument
        );
    }

    #[test]
    fn impossible_shapes_are_refused_by_name() {
        assert!(
            Shape::new(&[1; 9])
                .unwrap_err()
                .message()
                .contains("9 dimensions")
        );
        assert!(Shape::new(&[2, -1]).unwrap_err().message().contains("-1"));
    }

    #[test]
    fn every_element_type_comes_back_from_its_code() {
        for code in 0..=10 {
            assert_eq!(Dtype::from_code(code).map(Dtype::code), Ok(code));
        }
        assert!(Dtype::from_code(11).is_err());
        assert!(Dtype::from_code(-1).is_err());
    }
}
