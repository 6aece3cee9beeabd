//! Outputs of one batch: written by the tool straight into memory that the results then keep.

mod handover;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::block::Block;
use super::segment::SharedHeap;
use crate::error::{Error, Result, Status};
use crate::text::Text;
use crate::value::{Dtype, Shape};

/// SharedHeap is made for the rest of the batch at once, but for no more than this many bytes beyond a row.
const MOST_AHEAD: usize = 64 << 20;

/// Collects what a tool makes of a batch: outputs by name, failures and warnings by item.
pub struct Outputs {
    len: usize,
    columns: Vec<PartColumn>,
    failures: Vec<(usize, Error)>,
    warnings: BTreeMap<usize, String>,
    counts: Vec<(Text, f64)>,
    broken: Option<Error>,
    /// Where memory is taken, if not from the heap of this process.
    heap: Option<Arc<Mutex<SharedHeap>>>,
}

impl Outputs {
    /// For a batch of `len` items.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            len,
            columns: Vec::new(),
            failures: Vec::new(),
            warnings: BTreeMap::new(),
            counts: Vec::new(),
            broken: None,
            heap: None,
        }
    }

    /// For a batch of `len` items, in memory that another process shares: for [`Outputs::hand_over`].
    #[must_use]
    pub fn shared(len: usize, heap: Arc<Mutex<SharedHeap>>) -> Self {
        Self {
            heap: Some(heap),
            ..Self::new(len)
        }
    }

    /// Memory for the output `name` of item `index`: uninitialised, aligned to its elements, `shape.bytes(dtype)` long.
    ///
    /// A second output of that name for one item, or one for an item that is not in the batch, is an error now
    /// and fails the batch later: the tool does not keep count.
    pub fn alloc(
        &mut self,
        index: usize,
        name: &str,
        dtype: Dtype,
        shape: Shape,
    ) -> Result<*mut u8> {
        self.check_index(index, name)?;
        let bytes = shape.bytes(dtype)?;
        let column = self.column(name, dtype)?;
        if self.columns[column].rows[index].is_some() {
            let error = contract(format_args!(
                "the tool wrote two outputs '{name}' for item {index} of its batch"
            ));
            return Err(self.broken.get_or_insert(error).clone());
        }
        let heap = self.heap.as_deref();
        self.columns[column].push(index, shape, bytes, self.len, heap)
    }

    /// Declares that item `index` cannot be done. The first such word on an item counts.
    pub fn fail(&mut self, index: usize, error: Error) -> Result<()> {
        self.check_index(index, "failure")?;
        self.failures.push((index, error));
        Ok(())
    }

    /// Adds a remark on item `index` that reaches the caller with its result.
    pub fn warn(&mut self, index: usize, message: &str) -> Result<()> {
        self.check_index(index, "warning")?;
        let warning = self.warnings.entry(index).or_default();
        if !warning.is_empty() {
            warning.push_str("; ");
        }
        warning.push_str(message);
        Ok(())
    }

    /// Adds `amount` to what the job's report says of `name`.
    pub fn count(&mut self, name: &str, amount: f64) {
        match self.counts.iter_mut().find(|(known, _)| &**known == name) {
            Some((_, sum)) => *sum += amount,
            None => self.counts.push((name.into(), amount)),
        }
    }

    /// What the batch came to, once the tool has returned: its columns, and the items that failed.
    ///
    /// Items with neither output nor failure get an error of their own. If the tool does not keep count, the
    /// batch as a whole is in error.
    pub fn finish(mut self) -> Result<Part> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        self.failures.sort_by_key(|&(index, _)| index);
        self.failures.dedup_by_key(|&mut (index, _)| index);
        for index in 0..self.len {
            let written = self
                .columns
                .iter()
                .any(|column| column.rows[index].is_some());
            if !written
                && let Err(place) = self
                    .failures
                    .binary_search_by_key(&index, |&(index, _)| index)
            {
                let error = contract("the tool returned success but wrote no output for this item");
                self.failures.insert(place, (index, error));
            }
        }
        let warnings = self
            .warnings
            .into_iter()
            .map(|(index, warning)| (index, warning.as_str().into()));
        Ok(Part {
            columns: self.columns,
            failures: self.failures,
            warnings: warnings.collect(),
            counts: self.counts,
        })
    }

    fn check_index(&mut self, index: usize, what: &str) -> Result<()> {
        if index < self.len {
            return Ok(());
        }
        let error = contract(format_args!(
            "the tool wrote '{what}' for item {index} of a batch of {}",
            self.len
        ));
        Err(self.broken.get_or_insert(error).clone())
    }

    fn column(&mut self, name: &str, dtype: Dtype) -> Result<usize> {
        if let Some(found) = self.columns.iter().position(|column| &*column.name == name) {
            let column = &self.columns[found];
            if column.dtype == dtype {
                return Ok(found);
            }
            return Err(Error::new(
                Status::Argument,
                format_args!(
                    "the output '{name}' was {:?} and is now {dtype:?}",
                    column.dtype
                ),
            ));
        }
        self.columns.push(PartColumn {
            name: name.into(),
            dtype,
            blocks: Vec::new(),
            shapes: Vec::new(),
            rows: vec![None; self.len],
        });
        Ok(self.columns.len() - 1)
    }
}

fn contract(message: impl std::fmt::Display) -> Error {
    Error::new(Status::Contract, message)
}

/// What a batch came to: immutable, shared by every result that shows some of it.
pub struct Part {
    columns: Vec<PartColumn>,
    failures: Vec<(usize, Error)>,
    warnings: Vec<(usize, Text)>,
    counts: Vec<(Text, f64)>,
}

impl Part {
    /// The part of a batch that failed as a whole, each of its `len` items with `error`.
    #[must_use]
    pub fn failed(len: usize, error: &Error) -> Self {
        Self {
            columns: Vec::new(),
            failures: (0..len).map(|index| (index, error.clone())).collect(),
            warnings: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// What the tool counted, by name.
    #[must_use]
    pub fn counts(&self) -> &[(Text, f64)] {
        &self.counts
    }

    /// How many of its items failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// Takes back the failures of items that are tried again, whose rows (rising) nobody will ask for.
    pub fn forgive(&mut self, rows: &[usize]) {
        self.failures
            .retain(|(row, _)| rows.binary_search(row).is_err());
    }

    /// Why item `row` failed, if it did.
    #[must_use]
    pub fn error(&self, row: usize) -> Option<&Error> {
        let place = self
            .failures
            .binary_search_by_key(&row, |&(row, _)| row)
            .ok()?;
        Some(&self.failures[place].1)
    }

    /// The tool's remarks on item `row`, if it made any.
    #[must_use]
    pub fn warning(&self, row: usize) -> Option<&Text> {
        let place = self
            .warnings
            .binary_search_by_key(&row, |&(row, _)| row)
            .ok()?;
        Some(&self.warnings[place].1)
    }

    /// The names of the outputs in it.
    pub fn names(&self) -> impl Iterator<Item = &Text> {
        self.columns.iter().map(|column| &column.name)
    }

    /// The output `name` of item `row`.
    #[must_use]
    pub fn view(&self, row: usize, name: &str) -> Option<View<'_>> {
        self.column(name)?.view(row)
    }

    /// Bytes that its outputs take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns
            .iter()
            .flat_map(|column| &column.blocks)
            .map(Block::used)
            .sum()
    }

    /// The element type and the blocks of the output `name`, each as address and length.
    pub(super) fn blocks(
        &self,
        name: &str,
    ) -> Option<(Dtype, impl Iterator<Item = (*const u8, usize)>)> {
        let column = self.column(name)?;
        let blocks = column
            .blocks
            .iter()
            .map(|block| (block.at(0).cast_const(), block.used()));
        Some((column.dtype, blocks))
    }

    /// Block and byte offset of the output `name` of item `row`.
    pub(super) fn place(&self, row: usize, name: &str) -> Option<(u32, usize)> {
        self.column(name)?.rows[row].map(|place| (place.block, place.offset))
    }

    /// The output `name` of all its items.
    pub(super) fn column(&self, name: &str) -> Option<&PartColumn> {
        self.columns.iter().find(|column| &*column.name == name)
    }
}

/// A tensor inside the results: row-major, dense, valid as long as they are.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Address of the first element.
    pub data: *const u8,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Its sizes.
    pub shape: &'a Shape,
}

/// One output of the items of a batch.
pub(super) struct PartColumn {
    name: Text,
    dtype: Dtype,
    blocks: Vec<Block>,
    /// Shapes in the order of first use; a run of equal ones is stored once.
    shapes: Vec<Shape>,
    rows: Vec<Option<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    block: u32,
    shape: u32,
}

impl PartColumn {
    /// How many items there are in the batch.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The output of item `row`.
    pub(super) fn view(&self, row: usize) -> Option<View<'_>> {
        let place = self.rows[row]?;
        Some(View {
            data: self.blocks[place.block as usize].at(place.offset),
            dtype: self.dtype,
            shape: &self.shapes[place.shape as usize],
        })
    }

    fn push(
        &mut self,
        index: usize,
        shape: Shape,
        bytes: usize,
        batch: usize,
        heap: Option<&Mutex<SharedHeap>>,
    ) -> Result<*mut u8> {
        let offset = self.take(bytes, batch, heap)?;
        if self.shapes.last() != Some(&shape) {
            self.shapes.push(shape);
        }
        let block = self.blocks.len() - 1;
        self.rows[index] = Some(Place {
            offset,
            block: block as u32,
            shape: (self.shapes.len() - 1) as u32,
        });
        Ok(self.blocks[block].at(offset))
    }

    /// Room for `bytes` in the last block, or in a new one with room for the rest of the batch: batches hold the
    /// longest first, so later rows are rarely larger, and memory that is not touched is not taken.
    fn take(
        &mut self,
        bytes: usize,
        batch: usize,
        heap: Option<&Mutex<SharedHeap>>,
    ) -> Result<usize> {
        let align = self.dtype.size();
        if let Some(offset) = self
            .blocks
            .last_mut()
            .and_then(|block| block.take(bytes, align))
        {
            return Ok(offset);
        }
        let capacity = bytes.saturating_mul(batch).min(MOST_AHEAD).max(bytes);
        self.blocks.push(match heap {
            None => Block::new(capacity)?,
            Some(heap) => heap.lock().block(capacity)?,
        });
        let block = self
            .blocks
            .last_mut()
            .and_then(|block| block.take(bytes, align));
        block.ok_or_else(|| {
            Error::new(
                Status::Internal,
                "a new block has no room for its first row",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(dims: &[i64]) -> Shape {
        Shape::new(dims).unwrap()
    }

    fn write(outputs: &mut Outputs, index: usize, values: &[f32]) {
        let row = outputs
            .alloc(index, "mean", Dtype::Float32, shape(&[values.len() as i64]))
            .unwrap();
        // SAFETY: `alloc` gave memory for that many floats.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), row.cast(), values.len()) };
    }

    fn read(part: &Part, row: usize) -> Option<Vec<f32>> {
        let view = part.view(row, "mean")?;
        // SAFETY: the row was written with that many floats.
        Some(
            unsafe { std::slice::from_raw_parts(view.data.cast(), view.shape.dims()[0] as usize) }
                .to_vec(),
        )
    }

    #[test]
    fn rows_come_back_in_any_order_of_writing() {
        let mut outputs = Outputs::new(3);
        write(&mut outputs, 2, &[1.0, 2.0]);
        write(&mut outputs, 0, &[3.0]);
        write(&mut outputs, 1, &[]);
        let part = outputs.finish().unwrap();
        assert_eq!(read(&part, 0), Some(vec![3.0]));
        assert_eq!(read(&part, 1), Some(vec![]));
        assert_eq!(read(&part, 2), Some(vec![1.0, 2.0]));
        assert_eq!((part.failures(), part.bytes()), (0, 12));
    }

    #[test]
    fn growing_rows_do_not_move_earlier_ones() {
        let mut outputs = Outputs::new(100);
        for index in 0..100 {
            write(&mut outputs, index, &vec![index as f32; index * 10]);
        }
        let part = outputs.finish().unwrap();
        for index in 0..100 {
            assert_eq!(read(&part, index), Some(vec![index as f32; index * 10]));
        }
    }

    #[test]
    fn an_item_without_output_fails_alone() {
        let mut outputs = Outputs::new(3);
        write(&mut outputs, 0, &[1.0]);
        outputs.fail(2, Error::new(Status::Item, "empty")).unwrap();
        let part = outputs.finish().unwrap();
        assert_eq!(part.error(0), None);
        assert_eq!(part.error(1).map(Error::status), Some(Status::Contract));
        assert_eq!(part.error(2).map(|e| &**e.message()), Some("empty"));
    }

    #[test]
    fn a_tool_that_does_not_keep_count_breaks_its_batch() {
        let mut twice = Outputs::new(1);
        write(&mut twice, 0, &[1.0]);
        assert!(twice.alloc(0, "mean", Dtype::Float32, shape(&[1])).is_err());
        assert_eq!(
            twice.finish().err().map(|e| e.status()),
            Some(Status::Contract)
        );

        let mut beyond = Outputs::new(1);
        write(&mut beyond, 0, &[1.0]);
        assert!(
            beyond
                .alloc(1, "mean", Dtype::Float32, shape(&[1]))
                .is_err()
        );
        assert!(beyond.finish().is_err());
    }

    #[test]
    fn an_impossible_size_is_an_error_and_the_rest_goes_on() {
        let mut outputs = Outputs::new(2);
        let huge = outputs.alloc(0, "mean", Dtype::Float32, shape(&[1 << 60]));
        assert_eq!(huge.err().map(|e| e.status()), Some(Status::OutOfMemory));
        write(&mut outputs, 1, &[5.0]);
        let part = outputs.finish().unwrap();
        assert_eq!(part.error(0).map(Error::status), Some(Status::Contract));
        assert_eq!(read(&part, 1), Some(vec![5.0]));
    }

    #[test]
    fn warnings_stay_with_their_item() {
        let mut outputs = Outputs::new(2);
        write(&mut outputs, 0, &[1.0]);
        write(&mut outputs, 1, &[1.0]);
        outputs.warn(1, "b").unwrap();
        outputs.warn(1, "c").unwrap();
        let part = outputs.finish().unwrap();
        assert_eq!(part.warning(0), None);
        assert_eq!(part.warning(1).map(|warning| &**warning), Some("b; c"));
    }
}
