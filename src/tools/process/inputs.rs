//! The items of a batch in a region of shared memory: for each field, offsets (64 bits) and bytes as in Arrow's layout,
//! then a table of the fields. The one copy that is made of them.

use crate::error::Result;
use crate::mem::{Field, Items, Offsets, Segment};
use crate::tool::Batch;
use crate::wire::{Reader, Writer};

/// Offsets are aligned to their size.
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
        table.size(batch.each_field().count());
        for (name, items) in batch.each_field() {
            let data_at = end + (items.len() + 1) * ALIGN;
            table.text(name);
            table.size(end);
            table.size(data_at);
            let bytes: usize = items.map(<[u8]>::len).sum();
            end = (data_at + bytes).next_multiple_of(ALIGN);
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
        for (_, items) in self.batch.each_field() {
            let data_at = end + (items.len() + 1) * ALIGN;
            let (mut offset, mut offset_at) = (0_usize, end);
            for item in items {
                put(offset_at, &(offset as i64).to_ne_bytes());
                put(data_at + offset, item);
                offset += item.len();
                offset_at += ALIGN;
            }
            put(offset_at, &(offset as i64).to_ne_bytes());
            end = (data_at + offset).next_multiple_of(ALIGN);
        }
        put(self.table_at, self.table.bytes());
    }
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
        let (name, offsets_at, data_at) = (table.text()?, table.size()?, table.size()?);
        let at = |offset: usize| {
            assert!(offset <= region.size());
            // SAFETY: within the region, or one past its end.
            unsafe { region.start().add(offset) }
        };
        let offsets = Offsets::Wide(at(offsets_at).cast().as_ptr());
        // SAFETY: the parent wrote `len + 1` offsets and the bytes that they lead to, and leaves them until the batch ends.
        let field = unsafe { Field::borrowed(name, at(data_at).as_ptr(), offsets, len, None) };
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
