//! One named field of the caller's items: byte strings or tensors, copied or borrowed until released.

use std::ffi::c_void;
use std::sync::Arc;

use super::tensors::{Given, Tensors};
use crate::callback::Inside;
use crate::error::{Error, Result, Status};
use crate::text::Text;
use crate::value::{Dtype, Shape};

/// Called once when borrowed memory is no longer read, on whichever thread lets go last.
pub struct Release {
    call: unsafe extern "C" fn(user: *mut c_void),
    user: *mut c_void,
}

// SAFETY: the contract of `release` in the C surface is that it may be called on any thread.
unsafe impl Send for Release {}
// SAFETY: a shared Release is only ever dropped, by one owner.
unsafe impl Sync for Release {}

impl Release {
    /// A release to be called on drop.
    ///
    /// # Safety
    /// `call(user)` must be sound to call once, from any thread, at any time.
    #[must_use]
    pub unsafe fn new(call: unsafe extern "C" fn(user: *mut c_void), user: *mut c_void) -> Self {
        Self { call, user }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let _inside = Inside::enter();
        // SAFETY: promised by the caller of `new`; drop runs once.
        unsafe { (self.call)(self.user) }
    }
}

/// Where the items of a field end and begin: `len + 1` byte offsets into its data, as in Arrow's layouts.
#[derive(Clone, Copy)]
pub enum Offsets {
    /// Of Arrow's `string` and `binary`.
    Narrow(*const i32),
    /// Of Arrow's `large_string` and `large_binary`.
    Wide(*const i64),
}

impl Offsets {
    /// The offset `index`, or `None` if it is negative.
    ///
    /// # Safety
    /// The array must have more than `index` elements.
    unsafe fn get(self, index: usize) -> Option<usize> {
        match self {
            // SAFETY: as required of the caller.
            Self::Narrow(offsets) => usize::try_from(unsafe { *offsets.add(index) }).ok(),
            // SAFETY: as required of the caller.
            Self::Wide(offsets) => usize::try_from(unsafe { *offsets.add(index) }).ok(),
        }
    }
}

/// One named field of every item. Its memory does not change while the field lives.
pub struct Field {
    name: Text,
    len: usize,
    values: Values,
    /// Keeps the memory of `values` alive.
    _keep: Keep,
}

enum Values {
    /// Byte strings, one after the other.
    Strings {
        data: *const u8,
        offsets: Offsets,
    },
    Tensors(Tensors),
}

/// The value of one field of one item: a dense, row-major tensor; for a byte string, its bytes.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Its elements, aligned to their type.
    pub data: &'a [u8],
    /// Type of the elements.
    pub dtype: Dtype,
    /// Its sizes.
    pub shape: Shape,
}

enum Keep {
    Owned {
        _data: Vec<u8>,
        _offsets: Vec<i64>,
    },
    Released {
        _release: Release,
    },
    Shared {
        _memory: Arc<Vec<u8>>,
    },
    /// Kept by a caller who waits: only `toolpool_run` takes such items.
    Caller,
}

impl Keep {
    fn until(release: Option<Release>) -> Self {
        release.map_or(Self::Caller, |release| Self::Released { _release: release })
    }
}

// SAFETY: the memory behind the pointers is only read, and by contract does not change until released.
unsafe impl Send for Field {}
// SAFETY: as above.
unsafe impl Sync for Field {}

impl Field {
    /// A copy of `items`.
    pub fn copied<'a>(
        name: &str,
        items: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> Result<Self> {
        let bytes = items
            .clone()
            .fold(0_usize, |sum, item| sum.saturating_add(item.len()));
        let (mut data, mut offsets) = (Vec::new(), Vec::new());
        data.try_reserve_exact(bytes)
            .and_then(|()| offsets.try_reserve_exact(items.len() + 1))
            .map_err(|_| {
                Error::new(
                    Status::OutOfMemory,
                    format_args!("no memory for a copy of items of {bytes} bytes"),
                )
            })?;
        offsets.push(0);
        for item in items {
            data.extend_from_slice(item);
            offsets.push(data.len() as i64);
        }
        Ok(Self {
            name: name.into(),
            len: offsets.len() - 1,
            values: Values::Strings {
                data: data.as_ptr(),
                offsets: Offsets::Wide(offsets.as_ptr()),
            },
            _keep: Keep::Owned {
                _data: data,
                _offsets: offsets,
            },
        })
    }

    /// The caller's own memory, read where it lies. Without `release`, the caller keeps it until the run returns.
    ///
    /// Offsets that are negative or fall are an error; `release` is then dropped uncalled.
    ///
    /// # Safety
    /// `offsets` must have `len + 1` elements and `data` as many bytes as the last says; neither may change or
    /// go away before `release` is called.
    pub unsafe fn borrowed(
        name: &str,
        data: *const u8,
        offsets: Offsets,
        len: usize,
        release: Option<Release>,
    ) -> Result<Self> {
        // SAFETY: as required of the caller.
        if let Err(error) = unsafe { check_offsets(offsets, len, data.is_null()) } {
            std::mem::forget(release);
            return Err(error);
        }
        Ok(Self {
            name: name.into(),
            len,
            values: Values::Strings {
                data: if data.is_null() { [].as_ptr() } else { data },
                offsets,
            },
            _keep: Keep::until(release),
        })
    }

    /// The caller's own tensors, one an item: read where they lie if they are dense, else copied now.
    ///
    /// A tensor that does not fit into its memory is an error about its item; `release` is then dropped uncalled.
    ///
    /// # Safety
    /// The memory that each tensor names must not change or go away before `release` is called, or without `release`
    /// until the run returns.
    pub unsafe fn tensors(
        name: &str,
        given: impl ExactSizeIterator<Item = Result<Given>>,
        release: Option<Release>,
    ) -> Result<Self> {
        let len = given.len();
        // SAFETY: as required of the caller.
        match unsafe { Tensors::new(given) } {
            Ok(tensors) => Ok(Self {
                name: name.into(),
                len,
                values: Values::Tensors(tensors),
                _keep: Keep::until(release),
            }),
            Err(error) => {
                std::mem::forget(release);
                Err(error)
            }
        }
    }

    /// Tensors that lie in memory which the field keeps: of each item the place of its first byte, its type and its sizes.
    /// Read where they lie if they are aligned to their elements, else copied now.
    ///
    /// # Errors
    /// A tensor that reaches beyond the memory, with the item's index.
    pub fn placed(
        name: &str,
        memory: &Arc<Vec<u8>>,
        places: impl ExactSizeIterator<Item = (usize, Dtype, Shape)>,
    ) -> Result<Self> {
        let given = places.map(|(place, dtype, shape)| {
            let rest = memory.get(place..).unwrap_or_default();
            Ok(Given {
                data: rest.as_ptr(),
                bytes: rest.len(),
                dtype,
                shape,
                strides: None,
            })
        });
        // SAFETY: each tensor says how many bytes of `memory` follow; they stay while `_keep` shares them, and what is shared
        // does not change.
        let tensors = unsafe { Tensors::new(given) }?;
        Ok(Self {
            name: name.into(),
            len: tensors.len(),
            values: Values::Tensors(tensors),
            _keep: Keep::Shared {
                _memory: Arc::clone(memory),
            },
        })
    }

    /// The name of the field.
    #[must_use]
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// How many items have it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing but the caller's patience keeps it alive.
    pub(super) fn lent(&self) -> bool {
        matches!(self._keep, Keep::Caller)
    }

    /// The bytes of item `index`.
    ///
    /// # Panics
    /// If there is no such item.
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        assert!(index < self.len, "item {index} of {}", self.len);
        let (data, offsets) = match &self.values {
            Values::Strings { data, offsets } => (data, offsets),
            Values::Tensors(tensors) => return tensors.bytes(index),
        };
        // SAFETY: the offsets were checked when the field was made: `len + 1` of them, rising, none negative.
        let (start, end) = unsafe {
            (
                offsets.get(index).unwrap_unchecked(),
                offsets.get(index + 1).unwrap_unchecked(),
            )
        };
        // SAFETY: `data` has the bytes that the offsets say, for as long as `self` lives.
        unsafe { std::slice::from_raw_parts(data.add(start), end - start) }
    }

    /// The value of item `index` as a tensor; a byte string is one of [`Dtype::Bytes`] and one dimension.
    ///
    /// # Panics
    /// If there is no such item.
    #[must_use]
    pub fn input(&self, index: usize) -> Input<'_> {
        let data = self.get(index);
        let (dtype, shape) = match &self.values {
            Values::Strings { .. } => (Dtype::Bytes, Shape::vector(data.len())),
            Values::Tensors(tensors) => tensors.kind(index),
        };
        Input { data, dtype, shape }
    }

    /// Whether its values were given as tensors.
    #[must_use]
    pub fn holds_tensors(&self) -> bool {
        matches!(self.values, Values::Tensors(_))
    }

    /// Whether its values are tensors that differ in dtype or shape.
    pub(super) fn is_mixed(&self) -> bool {
        matches!(&self.values, Values::Tensors(tensors) if tensors.is_mixed())
    }

    /// What tells its values apart beside their bytes: dtype and shape, if they are not the same for all items.
    pub(super) fn label(&self, index: usize) -> Option<&[u8]> {
        match &self.values {
            Values::Tensors(tensors) => tensors.label(index),
            Values::Strings { .. } => None,
        }
    }
}

/// Checks `len + 1` offsets: none negative, none less than the one before, none into absent data.
///
/// # Safety
/// The array must have `len + 1` elements.
unsafe fn check_offsets(offsets: Offsets, len: usize, no_data: bool) -> Result<()> {
    let mut before = 0;
    for index in 0..=len {
        // SAFETY: as required of the caller.
        match unsafe { offsets.get(index) } {
            Some(offset) if offset >= before => before = offset,
            offset => {
                let what = offset.map_or("is negative".to_owned(), |offset| {
                    format!("({offset}) is less than {before}")
                });
                return Err(Error::new(
                    Status::Argument,
                    format_args!(
                        "offset {index} {what}; offsets must start at 0 or more and never fall"
                    ),
                ));
            }
        }
    }
    if no_data && before > 0 {
        return Err(Error::new(
            Status::Argument,
            format_args!("data is NULL but the offsets reach to byte {before}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    unsafe extern "C" fn count(user: *mut c_void) {
        // SAFETY: the tests pass an AtomicUsize that outlives the field.
        unsafe { &*user.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
    }

    fn release(counter: &AtomicUsize) -> Release {
        // SAFETY: see `count`.
        unsafe { Release::new(count, std::ptr::from_ref(counter).cast_mut().cast()) }
    }

    #[test]
    fn placed_tensors_are_read_from_memory_that_the_field_keeps() {
        let memory = Arc::new((0..12_u8).collect::<Vec<u8>>());
        let place = |place| (place, Dtype::UInt8, Shape::vector(4));
        let field = Field::placed("x", &memory, [place(0), place(8)].into_iter()).unwrap();
        assert_eq!(Arc::strong_count(&memory), 2);
        assert_eq!(
            (field.get(0), field.get(1)),
            (&[0, 1, 2, 3][..], &[8, 9, 10, 11][..])
        );
        for beyond in [9, 13, usize::MAX] {
            let refused = Field::placed("x", &memory, [place(0), place(beyond)].into_iter());
            assert_eq!(refused.err().and_then(|error| error.item()), Some(1));
        }
    }

    #[test]
    fn a_borrowed_field_is_released_once_when_the_last_share_goes() {
        let (released, offsets) = (AtomicUsize::new(0), [0_i32, 2, 5]);
        // SAFETY: data and offsets outlive the field.
        let field = unsafe {
            Field::borrowed(
                "input",
                b"abcde".as_ptr(),
                Offsets::Narrow(offsets.as_ptr()),
                2,
                Some(release(&released)),
            )
        };
        let field = Arc::new(field.unwrap());
        let share = Arc::clone(&field);
        assert_eq!(field.get(1), b"cde");
        drop(field);
        assert_eq!(released.load(Ordering::SeqCst), 0);
        drop(share);
        assert_eq!(released.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn offsets_that_fall_are_refused_and_nothing_is_released() {
        let released = AtomicUsize::new(0);
        for offsets in [[0_i64, 4, 2], [-1, 0, 1], [0, 1, -9]] {
            // SAFETY: data and offsets outlive the field.
            let field = unsafe {
                Field::borrowed(
                    "input",
                    b"abcde".as_ptr(),
                    Offsets::Wide(offsets.as_ptr()),
                    2,
                    Some(release(&released)),
                )
            };
            assert_eq!(field.err().unwrap().status(), Status::Argument);
        }
        assert_eq!(released.load(Ordering::SeqCst), 0);
    }
}
