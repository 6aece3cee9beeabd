//! The items of a batch in a region of shared memory: for each field its values, then a table of the fields. Byte strings
//! lie as in Arrow's layout, offsets (64 bits) and bytes; tensors each aligned, and listed in the table. The one copy
//! that is made of them.

use crate::error::Result;
use crate::mem::{Field, Given, Items, Offsets, Segment};
use crate::tool::Batch;
use crate::value::{Dtype, Shape};
use crate::wire::{Reader, Writer};

/// Offsets and elements are aligned to their size, which is this at most.
const ALIGN: usize = size_of::<i64>();

/// A batch of which it is known how it will lie in a region.
pub struct Layout<'a> {
    batch: &'a Batch,
    table: Writer,
    table_at: usize,
}

impl<'a> Layout<'a> {
    /// For the fields of `batch`.
    pub fn of(batch: &'a Batch) -> Self {
        let mut table = Writer::default();
        let mut end = 0;
        table.size(batch.fields().len());
        for field in batch.fields() {
            table.text(field.name());
            table.u32(field.holds_tensors().into());
            end = if field.holds_tensors() {
                place_tensors(batch, field, end, &mut table)
            } else {
                place_strings(batch, field, end, &mut table)
            };
        }
        Self {
            batch,
            table,
            table_at: end,
        }
    }

    /// Bytes that the region must have.
    pub fn size(&self) -> usize {
        self.table_at + self.table.bytes().len()
    }

    /// Where the table of the fields starts and ends.
    pub fn table(&self) -> (usize, usize) {
        (self.table_at, self.size())
    }

    /// Copies the fields and their table into the region.
    ///
    /// # Panics
    /// If it is smaller than [`Layout::size`].
    ///
    /// # Safety
    /// Nobody may read or write it meanwhile.
    pub unsafe fn write(&self, region: &Segment) {
        // SAFETY: as required of the caller.
        let put = |at: usize, bytes: &[u8]| unsafe { region.write(at, bytes) };
        let mut end = 0;
        for field in self.batch.fields() {
            end = if field.holds_tensors() {
                write_tensors(self.batch, field, end, put)
            } else {
                write_strings(self.batch, field, end, put)
            };
        }
        put(self.table_at, self.table.bytes());
    }
}

/// The contents of a field of a batch's items.
fn values<'a>(batch: &'a Batch, field: &'a Field) -> impl ExactSizeIterator<Item = &'a [u8]> {
    let positions = batch.positions().iter();
    positions.map(|&position| field.get(position as usize))
}

/// Lists byte strings that lie from `start` on, and tells where they end.
fn place_strings(batch: &Batch, field: &Field, start: usize, table: &mut Writer) -> usize {
    let data_at = start + (batch.len() + 1) * ALIGN;
    table.size(start);
    table.size(data_at);
    let bytes: usize = values(batch, field).map(<[u8]>::len).sum();
    (data_at + bytes).next_multiple_of(ALIGN)
}

fn write_strings(batch: &Batch, field: &Field, start: usize, put: impl Fn(usize, &[u8])) -> usize {
    let data_at = start + (batch.len() + 1) * ALIGN;
    let (mut offset, mut offset_at) = (0_usize, start);
    for item in values(batch, field) {
        put(offset_at, &(offset as i64).to_ne_bytes());
        put(data_at + offset, item);
        offset += item.len();
        offset_at += ALIGN;
    }
    put(offset_at, &(offset as i64).to_ne_bytes());
    (data_at + offset).next_multiple_of(ALIGN)
}

/// Lists tensors that lie from `start` on, and tells where they end.
fn place_tensors(batch: &Batch, field: &Field, start: usize, table: &mut Writer) -> usize {
    let mut at = start;
    for &position in batch.positions() {
        let input = field.input(position as usize);
        let dims = input.shape.dims();
        table.i64(input.dtype.code().into());
        table.size(dims.len());
        dims.iter().for_each(|&size| table.i64(size));
        table.size(at);
        at = (at + input.data.len()).next_multiple_of(ALIGN);
    }
    at
}

fn write_tensors(batch: &Batch, field: &Field, start: usize, put: impl Fn(usize, &[u8])) -> usize {
    values(batch, field).fold(start, |at, tensor| {
        put(at, tensor);
        (at + tensor.len()).next_multiple_of(ALIGN)
    })
}

/// The `len` items whose table of fields lies in the region, read where they are; `None` if the table is none.
///
/// # Safety
/// What lies there must be what [`Layout::write`] wrote, and must not change while the items live.
pub unsafe fn read(region: &Segment, table: (usize, usize), len: usize) -> Option<Result<Items>> {
    // SAFETY: as required of the caller.
    let mut table = Reader::new(unsafe { region.read(table.0, table.1) }?);
    let mut items: Option<Items> = None;
    for _ in 0..table.count(1)? {
        let (name, tensors) = (table.text()?, table.u32()? != 0);
        // SAFETY: as required of the caller.
        let field = unsafe {
            match tensors {
                true => read_tensors(region, name, &mut table, len)?,
                false => read_strings(region, name, &mut table, len)?,
            }
        };
        let added = field.and_then(|field| match &mut items {
            Some(items) => items.add(field),
            None => {
                items = Some(Items::new(field));
                Ok(())
            }
        });
        if let Err(error) = added {
            return Some(Err(error));
        }
    }
    items.map(Ok)
}

/// # Safety
/// As of [`read`].
unsafe fn read_strings(
    region: &Segment,
    name: &str,
    table: &mut Reader,
    len: usize,
) -> Option<Result<Field>> {
    let (offsets, data) = (at(region, table.size()?)?, at(region, table.size()?)?);
    let offsets = Offsets::Wide(offsets.cast());
    // SAFETY: the parent wrote `len + 1` offsets and the bytes that they lead to, and leaves them until the batch ends.
    Some(unsafe { Field::borrowed(name, data, offsets, len, None) })
}

/// # Safety
/// As of [`read`].
unsafe fn read_tensors(
    region: &Segment,
    name: &str,
    table: &mut Reader,
    len: usize,
) -> Option<Result<Field>> {
    let given: Vec<Given> = (0..len)
        .map(|_| {
            let dtype = Dtype::from_code(table.i64()?.try_into().ok()?).ok()?;
            let dims: Option<Vec<i64>> = (0..table.count(ALIGN)?).map(|_| table.i64()).collect();
            let start = table.size()?;
            Some(Given {
                data: at(region, start)?,
                bytes: region.size() - start,
                dtype,
                shape: Shape::new(&dims?).ok()?,
                strides: None,
            })
        })
        .collect::<Option<_>>()?;
    // SAFETY: the parent wrote the tensors, and leaves them until the batch ends.
    Some(unsafe { Field::tensors(name, given.into_iter().map(Ok), None) })
}

/// The address of a byte of the region, or of its end.
fn at(region: &Segment, offset: usize) -> Option<*const u8> {
    // SAFETY: within the region, or one past its end.
    (offset <= region.size()).then(|| unsafe { region.start().add(offset) }.as_ptr().cast_const())
}
