//! One output of all entries, copied into one matrix of the caller.

use std::marker::PhantomData;
use std::ptr;

use super::Results;
use super::gather::gather;
use crate::error::{Error, Result, Status};
use crate::mem::outputs::{Part, View};
use crate::value::{Dtype, Shape};

/// One output of all entries of some results, found to be of one type and shape.
pub struct Stack<'a> {
    name: &'a str,
    /// Type of the elements.
    pub dtype: Dtype,
    /// The number of entries, then the shape of each.
    pub shape: Shape,
    /// Where the output of each entry is.
    rows: Vec<*const u8>,
    results: PhantomData<&'a Results>,
}

impl<'a> Stack<'a> {
    /// An error if an item failed, has no such output, or another shape than the first.
    pub(super) fn new(results: &'a Results, name: &'a str) -> Result<Self> {
        if results.is_empty() {
            return Err(Error::new(
                Status::NotFound,
                format_args!("there is nothing to stack: no items, so '{name}' has no shape"),
            ));
        }
        let first = results.view(0, name)?;
        // Entries jump between parts. What is known of a part is read part after part, and only an address for each entry.
        let parts: Vec<_> = results
            .parts
            .iter()
            .map(|part| addresses(part, name, &first))
            .collect();
        let mut rows = Vec::with_capacity(results.len());
        for (index, entry) in results.entries.iter().enumerate() {
            let part = parts.get(entry.part as usize);
            match part.and_then(|part| part.get(entry.row as usize)) {
                Some(row) if !row.is_null() => rows.push(*row),
                _ => return Err(refusal(results, index, name, &first)),
            }
        }
        let mut dims = vec![results.len() as i64];
        dims.extend(first.shape.dims());
        Ok(Self {
            name,
            dtype: first.dtype,
            shape: Shape::new(&dims)?,
            rows,
            results: PhantomData,
        })
    }

    /// Copies the rows into `buffer`, one after the other, in the order of the entries.
    ///
    /// # Safety
    /// `buffer` must be writable for `bytes` bytes and overlap no result.
    pub unsafe fn copy_to(&self, buffer: *mut u8, bytes: usize) -> Result<()> {
        let needed = self.shape.bytes(self.dtype)?;
        if bytes != needed {
            return Err(Error::new(
                Status::Argument,
                format_args!(
                    "the buffer has {bytes} bytes; '{}' stacked is {:?} {:?}, {needed} bytes",
                    self.name, self.dtype, self.shape
                ),
            ));
        }
        // SAFETY: every row has the bytes of the common shape, as long as the results live; the buffer has as many for each.
        unsafe { gather(&self.rows, needed / self.rows.len(), buffer) };
        Ok(())
    }
}

/// Where the output of each item of a part is; null where it is absent or not like `first`.
fn addresses(part: &Part, name: &str, first: &View<'_>) -> Vec<*const u8> {
    let Some(column) = part.column(name) else {
        return Vec::new();
    };
    let address = |row| match column.view(row) {
        Some(view) if alike(&view, first) && part.error(row).is_none() => view.data,
        _ => ptr::null(),
    };
    (0..column.len()).map(address).collect()
}

fn alike(view: &View<'_>, first: &View<'_>) -> bool {
    (view.dtype, view.shape) == (first.dtype, first.shape)
}

/// Why the output of entry `index` cannot lie beside the first.
fn refusal(results: &Results, index: usize, name: &str, first: &View<'_>) -> Error {
    let view = match results.view(index, name) {
        Ok(view) => view,
        Err(error) => return error,
    };
    let caller = results.caller_index(index).unwrap_or(index);
    Error::new(
        Status::Argument,
        format_args!(
            "'{name}' of item {caller} is {:?} {:?}, the first is {:?} {:?}; only equal shapes stack (read ragged outputs by \
             toolpool_results_column)",
            view.dtype, view.shape, first.dtype, first.shape
        ),
    )
    .at(caller)
}
