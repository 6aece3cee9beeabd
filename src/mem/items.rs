//! The caller's items: one or more named fields each.

use std::sync::Arc;

use super::field::Field;
use crate::error::{Error, Result, Status};
use crate::plan::dedup::Fields;
<<<<<<< HEAD
=======
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
    fn is_mixed(&self) -> bool {
        matches!(&self.values, Values::Tensors(tensors) if tensors.is_mixed())
    }

    /// What tells its values apart beside their bytes: dtype and shape, if they are not the same for all items.
    fn label(&self, index: usize) -> Option<&[u8]> {
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
>>>>>>> run

/// The items of a batch as the caller gave them. Cheap to clone; the fields are shared.
#[derive(Clone)]
pub struct Items {
    fields: Vec<Arc<Field>>,
    /// The fields of tensors that differ in dtype or shape.
    mixed: Vec<Arc<Field>>,
    costs: Option<Arc<[f64]>>,
}

impl Items {
    /// Items of one field.
    #[must_use]
    pub fn new(field: Field) -> Self {
        let mut items = Self {
            fields: Vec::new(),
            mixed: Vec::new(),
            costs: None,
        };
        items.push(field);
        items
    }

    /// Whether a field of this name and number of items could be added.
    pub fn check_new(&self, name: &str, len: usize) -> Result<()> {
        if len != self.len() {
            return Err(Error::new(
                Status::Argument,
                format_args!(
                    "the field '{name}' has {len} items, the others have {}",
                    self.len()
                ),
            ));
        }
        if self.field(name).is_some() {
            return Err(Error::new(
                Status::Argument,
                format_args!("there is a field '{name}' already"),
            ));
        }
        Ok(())
    }

    /// Adds a field of as many items, under a name of its own.
    pub fn add(&mut self, field: Field) -> Result<()> {
        self.check_new(field.name(), field.len())?;
        self.push(field);
        Ok(())
    }

    fn push(&mut self, field: Field) {
        let field = Arc::new(field);
        if field.is_mixed() {
            self.mixed.push(Arc::clone(&field));
        }
        self.fields.push(field);
    }

    /// Sets the cost of every item, in place of the tool's estimate.
    pub fn set_costs(&mut self, costs: &[f64]) -> Result<()> {
        if costs.len() != self.len() {
            return Err(Error::new(
                Status::Argument,
                format_args!("{} costs for {} items", costs.len(), self.len()),
            ));
        }
        crate::plan::order::check_costs(costs)?;
        self.costs = Some(costs.into());
        Ok(())
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields[0].len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first field of item `index`, which costs and extents are judged by.
    #[must_use]
    pub fn first(&self, index: usize) -> &[u8] {
        self.fields[0].get(index)
    }

    /// The field called `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().find(|field| &**field.name() == name)
    }

    /// The fields, in the order in which they were added.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &Field> {
        self.fields.iter().map(Arc::as_ref)
    }

    /// The costs given by the caller.
    #[must_use]
    pub fn costs(&self) -> Option<&[f64]> {
        self.costs.as_deref()
    }

    /// Whether some field has nothing but the caller's patience to keep it alive.
    #[must_use]
    pub fn lent(&self) -> bool {
        self.fields().any(Field::lent)
    }
}

/// A tensor counts for dedup as two byte strings: its elements, and where they differ, dtype and shape.
impl Fields for Items {
    fn len(&self) -> usize {
        Items::len(self)
    }

    fn fields(&self) -> usize {
        self.fields.len() + self.mixed.len()
    }

    fn field(&self, item: usize, field: usize) -> &[u8] {
        match self.fields.get(field) {
            Some(field) => field.get(item),
            None => self.mixed[field - self.fields.len()]
                .label(item)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::tensors::Given;
    use crate::value::{Dtype, Shape};

    #[test]
    fn copied_items_are_what_was_given() {
        let items =
            Items::new(Field::copied("input", [&b"MKT"[..], b"", b"GAV"].into_iter()).unwrap());
        assert_eq!(items.len(), 3);
        assert_eq!(
            [items.first(0), items.first(1), items.first(2)],
            [&b"MKT"[..], b"", b"GAV"]
        );
    }

    #[test]
<<<<<<< HEAD
=======
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
        let items = Items::new(field.unwrap());
        let share = items.clone();
        assert_eq!(items.first(1), b"cde");
        drop(items);
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

    #[test]
>>>>>>> run
    fn tensors_of_equal_bytes_are_equal_only_in_dtype_and_shape() {
        let data = [0_u32; 6];
        let given = |dtype, dims: &[i64]| {
            Ok(Given {
                data: data.as_ptr().cast(),
                bytes: 24,
                dtype,
                shape: Shape::new(dims).unwrap(),
                strides: None,
            })
        };
        let tensors = [
            given(Dtype::Float32, &[6]),
            given(Dtype::Int32, &[6]),
            given(Dtype::Float32, &[2, 3]),
            given(Dtype::Float32, &[6]),
        ];
        // SAFETY: the data outlives the items.
        let field = unsafe { Field::tensors("0", tensors.into_iter(), None) };
        let items = Items::new(field.unwrap());
        assert!(items.lent());
        let dedup = crate::plan::dedup::Dedup::find(&items);
        assert_eq!(dedup.uniques(), 3);
        assert_eq!(dedup.unique_of(3), 0);
    }

    #[test]
    fn fields_of_other_lengths_or_of_the_same_name_are_refused() {
        let field =
            |name: &str, n: usize| Field::copied(name, vec![&b"x"[..]; n].into_iter()).unwrap();
        let mut items = Items::new(field("input", 2));
        assert!(
            items
                .add(field("msa", 3))
                .unwrap_err()
                .message()
                .contains("3 items")
        );
        assert!(items.add(field("input", 2)).is_err());
        items.add(field("msa", 2)).unwrap();
        assert_eq!(items.field("msa").map(|f| f.get(1)), Some(&b"x"[..]));
    }
}
