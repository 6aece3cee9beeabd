//! The tensors of one field, as the caller has them: looked at where they lie if they are dense, copied if not.

use std::collections::HashMap;

use super::block::Block;
use crate::error::{Error, Result, Status};
use crate::value::{Dtype, MAX_NDIM, Shape};

/// A tensor in the caller's memory.
pub struct Given {
    /// Address of the element at index 0 of every dimension.
    pub data: *const u8,
    /// Bytes that may be read from `data` on.
    pub bytes: usize,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Its sizes.
    pub shape: Shape,
    /// From one element of each dimension to the next, in elements; `None` for row-major and dense.
    pub strides: Option<[i64; MAX_NDIM]>,
}

/// The tensors of one field, one an item. Every one is dense, row-major and aligned to its elements.
pub struct Tensors {
    data: Vec<*const u8>,
    /// The different dtypes and shapes, and which of them each item has; the latter is empty if all have the first.
    kinds: Vec<Kind>,
    kind_of: Vec<u32>,
    /// Holds what was not dense.
    _copies: Vec<Block>,
}

struct Kind {
    dtype: Dtype,
    shape: Shape,
    bytes: usize,
    /// Dtype and shape as bytes, for comparing.
    label: Box<[u8]>,
}

impl Tensors {
    /// Looks at `given`, and copies what is not dense or not aligned.
    ///
    /// # Safety
    /// The elements that each tensor's shape and strides name must be readable up to the `bytes` that it says, and as
    /// long as the result lives must not change.
    pub unsafe fn new(given: impl ExactSizeIterator<Item = Result<Given>>) -> Result<Self> {
        let mut kinds = Kinds::default();
        let (mut data, mut kind_of) = (Vec::new(), Vec::new());
        data.try_reserve_exact(given.len())
            .and_then(|()| kind_of.try_reserve_exact(given.len()))
            .map_err(|_| Error::new(Status::OutOfMemory, "no memory for the list of tensors"))?;
        let mut copies = Vec::new();
        for (index, given) in given.enumerate() {
            let given = given.map_err(|error| error.at(index))?;
            let bytes = given.check().map_err(|error| error.at(index))?;
            data.push(if given.is_plain() {
                given.data
            } else {
                // SAFETY: as required of the caller; `check` has seen that the elements lie within the memory.
                let copy = unsafe { given.copied(bytes) }.map_err(|error| error.at(index))?;
                let start = copy.at(0).cast_const();
                copies.push(copy);
                start
            });
            kind_of.push(kinds.number(given.dtype, given.shape, bytes));
        }
        if kinds.list.len() <= 1 {
            kind_of = Vec::new();
        }
        Ok(Self {
            data,
            kinds: kinds.list,
            kind_of,
            _copies: copies,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// The elements of item `index`.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let bytes = self.kind_at(index).bytes;
        if bytes == 0 {
            return &[];
        }
        // SAFETY: checked when it was made, and readable as long as `self` lives, as promised to `new`.
        unsafe { std::slice::from_raw_parts(self.data[index], bytes) }
    }

    /// Type and sizes of item `index`.
    pub fn kind(&self, index: usize) -> (Dtype, Shape) {
        let kind = self.kind_at(index);
        (kind.dtype, kind.shape)
    }

    /// Type and sizes of item `index` as bytes; `None` if all items have the same.
    pub fn label(&self, index: usize) -> Option<&[u8]> {
        let number = *self.kind_of.get(index)?;
        Some(&self.kinds[number as usize].label)
    }

    /// Whether types or sizes differ between items.
    pub fn is_mixed(&self) -> bool {
        !self.kind_of.is_empty()
    }

    fn kind_at(&self, index: usize) -> &Kind {
        let number = self.kind_of.get(index).copied().unwrap_or(0);
        &self.kinds[number as usize]
    }
}

/// Different dtypes and shapes, numbered.
#[derive(Default)]
struct Kinds {
    list: Vec<Kind>,
    number_of: HashMap<(Dtype, Shape), u32>,
}

impl Kinds {
    fn number(&mut self, dtype: Dtype, shape: Shape, bytes: usize) -> u32 {
        *self.number_of.entry((dtype, shape)).or_insert_with(|| {
            let code = i64::from(dtype.code());
            let label = std::iter::once(&code).chain(shape.dims());
            self.list.push(Kind {
                dtype,
                shape,
                bytes,
                label: label.flat_map(|number| number.to_ne_bytes()).collect(),
            });
            (self.list.len() - 1) as u32
        })
    }
}

impl Given {
    /// The bytes of its elements, if the memory holds them all.
    fn check(&self) -> Result<usize> {
        let bytes = self.shape.bytes(self.dtype)?;
        if bytes == 0 {
            return Ok(0);
        }
        let refused = |why: &dyn std::fmt::Display| {
            Error::new(
                Status::Argument,
                format_args!(
                    "the tensor of {:?}, shape {:?}, {why}",
                    self.dtype, self.shape
                ),
            )
        };
        if self.data.is_null() {
            return Err(refused(&"has no data (NULL)"));
        }
        let needed = self.reach().ok_or_else(|| {
            refused(&format_args!(
                "has the strides {:?}, which overflow",
                self.strides.unwrap_or_default()
            ))
        })?;
        if needed > self.bytes {
            return Err(refused(&format_args!(
                "needs {needed} bytes, and its memory has {}",
                self.bytes
            )));
        }
        Ok(bytes)
    }

    /// Bytes from `data` to the end of its last element in memory. Not for tensors without elements.
    fn reach(&self) -> Option<usize> {
        let Some(strides) = &self.strides else {
            return self.shape.bytes(self.dtype).ok();
        };
        let last =
            self.shape
                .dims()
                .iter()
                .zip(strides)
                .try_fold(0_i64, |last, (&size, &stride)| {
                    let step = (size - 1).checked_mul(stride)?;
                    last.checked_add(step.max(0))
                })?;
        usize::try_from(last)
            .ok()?
            .checked_add(1)?
            .checked_mul(self.dtype.size())
    }

    /// Whether it is dense, row-major and aligned, so that it can be read as it lies.
    fn is_plain(&self) -> bool {
        let aligned = self.data.addr().is_multiple_of(self.dtype.size());
        aligned && self.strides.is_none_or(|strides| self.is_dense(&strides))
    }

    fn is_dense(&self, strides: &[i64; MAX_NDIM]) -> bool {
        let dims = self.shape.dims();
        if dims.contains(&0) {
            return true;
        }
        let mut expected = 1;
        dims.iter().zip(strides).rev().all(|(&size, &stride)| {
            let dense = size == 1 || stride == expected;
            expected *= size;
            dense
        })
    }

    /// A dense copy of its elements, which are `bytes`.
    ///
    /// # Safety
    /// All its elements must be readable.
    unsafe fn copied(&self, bytes: usize) -> Result<Block> {
        let copy = Block::new(bytes).map_err(|_| {
            Error::new(
                Status::OutOfMemory,
                format_args!(
                    "no memory for a dense copy of a tensor of shape {:?}, {bytes} bytes",
                    self.shape
                ),
            )
        })?;
        let element = self.dtype.size();
        let dims = self.shape.dims();
        let strides = self.strides.unwrap_or_else(|| row_major(&self.shape));
        let mut index = [0_i64; MAX_NDIM];
        for at in (0..bytes).step_by(element) {
            let offset: i64 = dims
                .iter()
                .enumerate()
                .map(|(axis, _)| index[axis] * strides[axis])
                .sum();
            // SAFETY: the index is within the shape, so the element is readable as required; the copy has room for it.
            unsafe {
                let from = self.data.offset(offset as isize * element as isize);
                std::ptr::copy_nonoverlapping(from, copy.at(at), element);
            }
            advance(&mut index, dims);
        }
        Ok(copy)
    }
}

/// The strides of a dense tensor.
fn row_major(shape: &Shape) -> [i64; MAX_NDIM] {
    let mut strides = [0; MAX_NDIM];
    let mut stride = 1;
    for (axis, &size) in shape.dims().iter().enumerate().rev() {
        strides[axis] = stride;
        stride *= size;
    }
    strides
}

/// The next index in row-major order.
fn advance(index: &mut [i64; MAX_NDIM], dims: &[i64]) {
    for (place, &size) in index.iter_mut().zip(dims).rev() {
        *place += 1;
        if *place < size {
            return;
        }
        *place = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(data: &[f32], dims: &[i64], strides: Option<&[i64]>) -> Given {
        Given {
            data: data.as_ptr().cast(),
            bytes: size_of_val(data),
            dtype: Dtype::Float32,
            shape: Shape::new(dims).unwrap(),
            strides: strides.map(|given| {
                let mut strides = [0; MAX_NDIM];
                strides[..given.len()].copy_from_slice(given);
                strides
            }),
        }
    }

    fn tensors(given: Vec<Given>) -> Result<Tensors> {
        // SAFETY: the tests keep the memory.
        unsafe { Tensors::new(given.into_iter().map(Ok)) }
    }

    fn floats(tensors: &Tensors, index: usize) -> Vec<f32> {
        tensors
            .bytes(index)
            .chunks_exact(4)
            .map(|bytes| f32::from_ne_bytes(bytes.try_into().unwrap()))
            .collect()
    }

    const DATA: [f32; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

    #[test]
    fn dense_tensors_are_read_where_they_lie() {
        let strides = [&[3, 1][..], &[2, 1], &[1, 1, 1], &[77, 1]];
        let shapes = [&[2, 3][..], &[3, 2], &[1, 1, 6], &[1, 6]];
        for (dims, strides) in shapes.into_iter().zip(strides) {
            for strides in [None, Some(strides)] {
                let tensors = tensors(vec![given(&DATA, dims, strides)]).unwrap();
                assert_eq!(tensors.bytes(0).as_ptr(), DATA.as_ptr().cast(), "{dims:?}");
            }
        }
    }

    #[test]
    fn other_strides_are_copied_in_the_order_of_the_shape() {
        let transposed = tensors(vec![given(&DATA, &[3, 2], Some(&[1, 3]))]).unwrap();
        assert_eq!(floats(&transposed, 0), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let every_other = tensors(vec![given(&DATA, &[3], Some(&[2]))]).unwrap();
        assert_eq!(floats(&every_other, 0), [0.0, 2.0, 4.0]);
        let repeated = tensors(vec![given(&DATA[4..], &[2, 2], Some(&[0, 1]))]).unwrap();
        assert_eq!(floats(&repeated, 0), [4.0, 5.0, 4.0, 5.0]);
        let mut backwards = given(&DATA, &[3], Some(&[-1]));
        (backwards.data, backwards.bytes) = (DATA[2..].as_ptr().cast(), 16);
        assert_eq!(
            floats(&tensors(vec![backwards]).unwrap(), 0),
            [2.0, 1.0, 0.0]
        );
    }

    #[test]
    fn unaligned_elements_are_copied() {
        let bytes: Vec<u8> = (0..17).collect();
        let start = usize::from(bytes.as_ptr().addr().is_multiple_of(4));
        let mut unaligned = given(&[], &[4], None);
        (unaligned.data, unaligned.bytes) = (bytes[start..].as_ptr(), 16);
        let tensors = tensors(vec![unaligned]).unwrap();
        assert!(tensors.bytes(0).as_ptr().addr().is_multiple_of(4));
        assert_eq!(tensors.bytes(0), &bytes[start..start + 16]);
    }

    #[test]
    fn a_tensor_that_its_memory_does_not_hold_is_refused_by_item() {
        let wrong = [
            (&[7][..], None),
            (&[1 << 40], None),
            (&[2, 3], Some(&[4, 1][..])),
            (&[3, 3], Some(&[i64::MAX, 1])),
            (&[2, 3], Some(&[3, i64::MIN])),
            (&[1 << 62, 1 << 62], Some(&[0, 0])),
        ];
        for (dims, strides) in wrong {
            let fine = given(&DATA, &[6], None);
            let error = tensors(vec![fine, given(&DATA, dims, strides)])
                .err()
                .unwrap();
            assert_eq!((error.status(), error.item()), (Status::Argument, Some(1)));
        }
        let mut absent = given(&DATA, &[6], None);
        absent.data = std::ptr::null();
        assert!(tensors(vec![absent]).is_err());
    }

    #[test]
    fn what_would_not_fit_into_memory_is_refused() {
        let error = tensors(vec![given(&DATA, &[1 << 40, 2], Some(&[0, 1]))]);
        assert_eq!(error.err().unwrap().status(), Status::OutOfMemory);
    }

    #[test]
    fn tensors_without_elements_need_no_memory() {
        let mut empty = given(&DATA, &[0, 5], Some(&[5, 1]));
        (empty.data, empty.bytes) = (std::ptr::null(), 0);
        let tensors = tensors(vec![empty]).unwrap();
        assert!(tensors.bytes(0).is_empty());
        assert_eq!(tensors.kind(0).1.dims(), [0, 5]);
    }

    #[test]
    fn kinds_are_told_apart_where_there_are_several() {
        let same = tensors(vec![
            given(&DATA, &[2, 3], None),
            given(&DATA, &[2, 3], None),
        ]);
        assert!(same.unwrap().label(0).is_none());
        let mixed = tensors(vec![
            given(&DATA, &[2, 3], None),
            given(&DATA, &[3, 2], None),
            given(&DATA, &[6], None),
            given(&DATA, &[2, 3], None),
        ]);
        let mixed = mixed.unwrap();
        let label = |index| mixed.label(index).unwrap();
        assert!(mixed.is_mixed() && label(0) == label(3));
        assert!(label(0) != label(1) && label(1) != label(2) && label(0) != label(2));
    }
}
