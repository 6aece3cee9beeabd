//! Results: finished parts, and where among them each of the caller's items lies.

mod gather;
mod stack;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use toolpool_abi::{toolpool_chunk_t as Chunk, toolpool_row_t as Row};

use super::field::Input;
use super::outputs::{Part, View};
use crate::error::{Error, Result, Status};
use crate::plan::dedup::Dedup;
use crate::text::Text;
use crate::value::Dtype;
pub use stack::Stack;

/// A batch that came back: which distinct items it held, and what became of them.
pub struct Finished {
    /// The distinct items, in the order of the part's rows; [`ELSEWHERE`] for those that are tried again.
    pub uniques: Vec<u32>,
    /// Their outputs and failures.
    pub part: Part,
    /// The slot that computed them.
    pub slot: usize,
}

/// In place of a distinct item whose row in this part does not count.
pub const ELSEWHERE: u32 = u32::MAX;

impl Finished {
    /// The rows that count, each with its distinct item.
    pub fn rows(&self) -> impl Iterator<Item = (usize, u32)> {
        let rows = self.uniques.iter().copied().enumerate();
        rows.filter(|&(_, unique)| unique != ELSEWHERE)
    }
}

/// What became of some or all items of a job. Immutable; may be read from any thread.
pub struct Results {
    parts: Vec<Part>,
    /// The slot that each part was computed on.
    slots: Vec<usize>,
    entries: Vec<Entry>,
    /// The caller's index of each entry; `None` where entry `i` is item `i`.
    indices: Option<Vec<u32>>,
    /// Why entries without a part have none.
    undone: Option<Error>,
    columns: Mutex<BTreeMap<String, Arc<Column>>>,
    failed: OnceLock<Box<[usize]>>,
}

/// Where the row of one entry is; `part` is `u32::MAX` for items that were never done.
#[derive(Clone, Copy)]
struct Entry {
    part: u32,
    row: u32,
}

const NOWHERE: Entry = Entry {
    part: u32::MAX,
    row: 0,
};

/// One output of all items, where it lies.
pub struct Column {
    /// Type of the elements.
    pub dtype: Dtype,
    /// The memory that the rows lie in.
    pub chunks: Vec<Chunk>,
    /// A row for each item.
    pub rows: Vec<Row>,
}

// SAFETY: the pointers of a Column lead into the immutable parts of the Results that it belongs to.
unsafe impl Send for Column {}
// SAFETY: as above.
unsafe impl Sync for Column {}

impl Results {
    /// Results of all `items` of a job, in input order. Items in no batch failed with `undone`.
    #[must_use]
    pub fn whole(finished: Vec<Finished>, dedup: &Dedup, undone: Option<Error>) -> Self {
        let mut of_unique = vec![NOWHERE; dedup.uniques()];
        for (part, batch) in finished.iter().enumerate() {
            for (row, unique) in batch.rows() {
                of_unique[unique as usize] = entry(part, row);
            }
        }
        let entries = if dedup.uniques() == dedup.positions() {
            of_unique
        } else {
            (0..dedup.positions())
                .map(|position| of_unique[dedup.unique_of(position)])
                .collect()
        };
        Self::new(finished, entries, None, undone)
    }

    /// Results of the items in `finished`, and of the distinct items `rest`, which failed with `undone`;
    /// `positions` calls back with each of the caller's indices of a distinct item.
    pub fn some(
        finished: Vec<Finished>,
        rest: &[u32],
        undone: Option<Error>,
        positions: impl Fn(u32, &mut dyn FnMut(u32)),
    ) -> Self {
        let done = finished.iter().enumerate().flat_map(|(part, batch)| {
            batch
                .rows()
                .map(move |(row, unique)| (entry(part, row), unique))
        });
        let undone_entries = rest.iter().map(|&unique| (NOWHERE, unique));
        let (mut entries, mut indices) = (Vec::new(), Vec::new());
        for (entry, unique) in done.chain(undone_entries) {
            positions(unique, &mut |position| {
                entries.push(entry);
                indices.push(position);
            });
        }
        Self::new(finished, entries, Some(indices), undone)
    }

    /// The same results, in the order of the input.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        if let Some(indices) = self.indices.take() {
            let mut order: Vec<_> = indices.into_iter().zip(self.entries).collect();
            order.sort_unstable_by_key(|&(index, _)| index);
            let (indices, entries) = order.into_iter().unzip();
            self.indices = Some(indices);
            self.entries = entries;
        }
        self
    }

    fn new(
        finished: Vec<Finished>,
        entries: Vec<Entry>,
        indices: Option<Vec<u32>>,
        undone: Option<Error>,
    ) -> Self {
        let (slots, parts) = finished
            .into_iter()
            .map(|batch| (batch.slot, batch.part))
            .unzip();
        Self {
            parts,
            slots,
            entries,
            indices,
            undone,
            columns: Mutex::default(),
            failed: OnceLock::new(),
        }
    }

    /// How many items these results are of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether they are of none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether some item failed.
    #[must_use]
    pub fn partial(&self) -> bool {
        let undone = || self.entries.iter().any(|entry| entry.part == NOWHERE.part);
        self.parts.iter().any(|part| part.failures() > 0) || undone()
    }

    /// The entries that failed, rising; found once.
    #[must_use]
    pub fn failed(&self) -> &[usize] {
        self.failed.get_or_init(|| {
            if !self.partial() {
                return Box::default();
            }
            (0..self.len())
                .filter(|&index| self.error(index).is_some())
                .collect()
        })
    }

    /// The caller's index of entry `index`.
    #[must_use]
    pub fn caller_index(&self, index: usize) -> Option<usize> {
        self.entries.get(index)?;
        Some(
            self.indices
                .as_ref()
                .map_or(index, |indices| indices[index] as usize),
        )
    }

    /// Why entry `index` failed, if it did.
    #[must_use]
    pub fn error(&self, index: usize) -> Option<&Error> {
        let entry = self.entries.get(index)?;
        match self.parts.get(entry.part as usize) {
            Some(part) => part.error(entry.row as usize),
            None => self.undone.as_ref(),
        }
    }

    /// The tool's remarks on entry `index`, if it made any.
    #[must_use]
    pub fn warning(&self, index: usize) -> Option<&Text> {
        let entry = self.entries.get(index)?;
        self.parts
            .get(entry.part as usize)?
            .warning(entry.row as usize)
    }

    /// The slot that computed entry `index`; `None` if none did.
    #[must_use]
    pub fn slot(&self, index: usize) -> Option<usize> {
        self.slots
            .get(self.entries.get(index)?.part as usize)
            .copied()
    }

    /// The names of all outputs, in the order in which they were first written.
    #[must_use]
    pub fn names(&self) -> Vec<&Text> {
        let mut names: Vec<&Text> = Vec::new();
        for name in self.parts.iter().flat_map(Part::names) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The output `name` of entry `index`; for an item that failed, its error.
    pub fn view(&self, index: usize, name: &str) -> Result<View<'_>> {
        let Some(caller) = self.caller_index(index) else {
            return Err(Error::new(
                Status::NotFound,
                format_args!(
                    "there is no result {index}; these results have {}",
                    self.len()
                ),
            ));
        };
        if let Some(error) = self.error(index) {
            return Err(error.clone().at(caller));
        }
        let entry = self.entries[index];
        let part = &self.parts[entry.part as usize];
        part.view(entry.row as usize, name)
            .ok_or_else(|| self.no_output(name).at(caller))
    }

    /// The output `name` of entry `index`, to be read; for an item that failed, its error.
    pub fn value(&self, index: usize, name: &str) -> Result<Input<'_>> {
        let view = self.view(index, name)?;
        let bytes = view.shape.bytes(view.dtype)?;
        Ok(Input {
            // SAFETY: a view is as long as its shape says, written, and lives and stays as it is as long as `self`.
            data: unsafe { std::slice::from_raw_parts(view.data, bytes) },
            dtype: view.dtype,
            shape: *view.shape,
        })
    }

    /// The output `name` of all entries, where it lies; computed once.
    pub fn column(&self, name: &str) -> Result<Arc<Column>> {
        let mut columns = self.columns.lock();
        if let Some(column) = columns.get(name) {
            return Ok(Arc::clone(column));
        }
        let column = Arc::new(self.build_column(name)?);
        columns.insert(name.to_owned(), Arc::clone(&column));
        Ok(column)
    }

    fn build_column(&self, name: &str) -> Result<Column> {
        let mut dtype = None;
        let mut chunks = Vec::new();
        let mut first_chunk = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            first_chunk.push(chunks.len() as u32);
            let Some((part_dtype, blocks)) = part.blocks(name) else {
                continue;
            };
            let known = *dtype.get_or_insert(part_dtype);
            if known != part_dtype {
                return Err(Error::new(
                    Status::Contract,
                    format_args!(
                        "the output '{name}' is {known:?} for some items and {part_dtype:?} for others"
                    ),
                ));
            }
            chunks.extend(blocks.map(|(data, bytes)| Chunk {
                data: data.cast(),
                bytes,
            }));
        }
        let dtype = dtype.ok_or_else(|| self.no_output(name))?;
        let rows = self
            .entries
            .iter()
            .map(|&entry| self.row(entry, name, dtype, &first_chunk))
            .collect();
        Ok(Column {
            dtype,
            chunks,
            rows,
        })
    }

    fn row(&self, entry: Entry, name: &str, dtype: Dtype, first_chunk: &[u32]) -> Row {
        let found = self.parts.get(entry.part as usize).and_then(|part| {
            let row = entry.row as usize;
            let (block, offset) = part.error(row).is_none().then(|| part.place(row, name))??;
            let bytes = part.view(row, name)?.shape.bytes(dtype).ok()?;
            Some((block, offset, bytes))
        });
        match found {
            Some((block, offset, bytes)) => Row {
                offset: offset as u64,
                bytes: bytes as u64,
                chunk: first_chunk[entry.part as usize] + block,
                reserved: 0,
            },
            None => Row {
                offset: 0,
                bytes: 0,
                chunk: u32::MAX,
                reserved: 0,
            },
        }
    }

    /// The output `name` of all entries, to be copied into one matrix. An error if an item failed, has no such output, or
    /// another shape than the first.
    pub fn stack<'a>(&'a self, name: &'a str) -> Result<Stack<'a>> {
        Stack::new(self, name)
    }

    fn no_output(&self, name: &str) -> Error {
        let names = self.names();
        let known = if names.is_empty() {
            "no item has any output".to_owned()
        } else {
            format!(
                "there is {}",
                names
                    .iter()
                    .map(|name| &***name)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        Error::new(
            Status::NotFound,
            format_args!("there is no output '{name}'; {known}"),
        )
    }
}

fn entry(part: usize, row: usize) -> Entry {
    Entry {
        part: part as u32,
        row: row as u32,
    }
}
