//! Outputs on their way from the process that wrote them to the one that keeps them: the rows stay where they are, in
//! shared memory; what travels is where.

use super::{Outputs, PartColumn, Place};
use crate::error::{Error, Result, Status};
use crate::mem::Segments;
use crate::mem::block::Block;
use crate::value::{Dtype, Shape};
use crate::wire::{Reader, Writer};

/// In place of a block's number: the item has no such output.
const NO_ROW: u32 = u32::MAX;

impl Outputs {
    /// Describes outputs that were written into shared memory, for [`Outputs::take_over`] in the other process.
    pub fn hand_over(&self, to: &mut Writer) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        to.size(self.columns.len());
        for column in &self.columns {
            column.hand_over(to)?;
        }
        to.size(self.failures.len());
        for (index, error) in &self.failures {
            to.size(*index);
            error.put(to);
        }
        to.size(self.warnings.len());
        for (index, warning) in &self.warnings {
            to.size(*index);
            to.text(warning);
        }
        to.size(self.counts.len());
        for (name, amount) in &self.counts {
            to.text(name);
            to.f64(*amount);
        }
        Ok(())
    }

    /// Fills in what another process wrote for a batch of as many items. `None`, and to be dropped, if the description
    /// does not hold together or leads out of `segments`.
    pub fn take_over(&mut self, from: &mut Reader, segments: &Segments) -> Option<()> {
        for _ in 0..from.count(1)? {
            let column = PartColumn::take_over(from, self.len, segments)?;
            self.columns.push(column);
        }
        for _ in 0..from.count(1)? {
            let (index, error) = (from.size()?, Error::take(from)?);
            self.fail(index, error).ok()?;
        }
        for _ in 0..from.count(1)? {
            let (index, warning) = (from.size()?, from.text()?);
            self.warn(index, warning).ok()?;
        }
        for _ in 0..from.count(1)? {
            let (name, amount) = (from.text()?, from.f64()?);
            self.count(name, amount);
        }
        Some(())
    }
}

impl PartColumn {
    fn hand_over(&self, to: &mut Writer) -> Result<()> {
        to.text(&self.name);
        to.u32(self.dtype.code().cast_unsigned());
        to.size(self.blocks.len());
        for block in &self.blocks {
            let place = block.place().ok_or_else(|| {
                Error::new(
                    Status::Internal,
                    "outputs on the heap cannot be handed over",
                )
            })?;
            to.u32(place.segment);
            to.size(place.offset);
            to.size(block.used());
        }
        to.size(self.shapes.len());
        for shape in &self.shapes {
            to.size(shape.dims().len());
            shape.dims().iter().for_each(|&dim| to.i64(dim));
        }
        for row in &self.rows {
            let row = row.unwrap_or(Place {
                offset: 0,
                block: NO_ROW,
                shape: 0,
            });
            to.u32(row.block);
            to.u32(row.shape);
            to.size(row.offset);
        }
        Ok(())
    }

    fn take_over(from: &mut Reader, len: usize, segments: &Segments) -> Option<Self> {
        let mut column = Self {
            name: from.text()?.into(),
            dtype: Dtype::from_code(from.u32()?.cast_signed()).ok()?,
            blocks: Vec::new(),
            shapes: Vec::new(),
            rows: Vec::new(),
        };
        for _ in 0..from.count(1)? {
            column.blocks.push(take_block(from, segments)?);
        }
        for _ in 0..from.count(1)? {
            let dims: Option<Vec<i64>> = (0..from.count(8)?).map(|_| from.i64()).collect();
            column.shapes.push(Shape::new(&dims?).ok()?);
        }
        for _ in 0..len {
            let row = column.take_row(from)?;
            column.rows.push(row);
        }
        Some(column)
    }

    /// The place of a row, or that there is none, if what is told lies within the blocks.
    fn take_row(&self, from: &mut Reader) -> Option<Option<Place>> {
        let place = Place {
            block: from.u32()?,
            shape: from.u32()?,
            offset: from.size()?,
        };
        if place.block == NO_ROW {
            return Some(None);
        }
        let block = self.blocks.get(place.block as usize)?;
        let shape = self.shapes.get(place.shape as usize)?;
        let end = place.offset.checked_add(shape.bytes(self.dtype).ok()?)?;
        let aligned = place.offset.is_multiple_of(self.dtype.size());
        (end <= block.used() && aligned).then_some(Some(place))
    }
}

fn take_block(from: &mut Reader, segments: &Segments) -> Option<Block> {
    let segment = segments.get(from.u32()?)?;
    let (offset, used) = (from.size()?, from.size()?);
    let end = offset.checked_add(used)?;
    if end > segment.size() || !offset.is_multiple_of(crate::mem::block::ALIGN) {
        return None;
    }
    let mut block = Block::within(segment.clone(), offset, used);
    block.take(used, 1)?;
    Some(block)
}

#[cfg(test)]
#[cfg(not(miri))] // which has no memfd_create
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::mem::SharedHeap;

    struct Handed {
        description: Vec<u8>,
        segments: Segments,
        /// Where the row of item 2 was written.
        written: *mut i16,
        /// Keeps the writer's mapping.
        _heap: Arc<Mutex<SharedHeap>>,
    }

    /// Two rows of the output `x`, a failure, a warning and a count, in a batch of 4.
    fn handed() -> Handed {
        let heap = Arc::new(Mutex::new(SharedHeap::default()));
        let mut outputs = Outputs::shared(4, Arc::clone(&heap));
        let shape = Shape::new(&[3]).unwrap();
        let first = outputs.alloc(2, "x", Dtype::Int16, shape).unwrap();
        let second = outputs.alloc(0, "x", Dtype::Int16, shape).unwrap();
        // SAFETY: `alloc` gave 6 bytes each.
        unsafe {
            first.cast::<[i16; 3]>().write([1, 2, 3]);
            second.cast::<[i16; 3]>().write([4, 5, 6]);
        }
        let broken = Error::new(Status::Item, "no residues").at(9);
        outputs.fail(1, broken).unwrap();
        outputs.warn(0, "odd").unwrap();
        outputs.count("padding", 0.25);
        let mut to = Writer::default();
        outputs.hand_over(&mut to).unwrap();
        let mut segments = Segments::default();
        for fresh in heap.lock().fresh() {
            segments.open(fresh.id, &fresh.fd, fresh.size).unwrap();
        }
        Handed {
            description: to.bytes().to_vec(),
            segments,
            written: first.cast(),
            _heap: heap,
        }
    }

    fn take(description: &[u8], segments: &Segments) -> Option<Outputs> {
        let mut outputs = Outputs::new(4);
        let taken = outputs.take_over(&mut Reader::new(description), segments);
        taken.map(|()| outputs)
    }

    #[test]
    fn all_that_was_written_arrives_and_the_rows_are_not_copied() {
        let handed = handed();
        let part = take(&handed.description, &handed.segments).unwrap();
        let part = part.finish().unwrap();
        let row = |index| {
            let view = part.view(index, "x")?;
            // SAFETY: rows of three numbers, 2-aligned.
            Some(unsafe { view.data.cast::<[i16; 3]>().read() })
        };
        assert_eq!((row(0), row(2)), (Some([4, 5, 6]), Some([1, 2, 3])));
        assert_eq!(part.error(1).unwrap().item(), Some(9));
        assert_eq!(part.error(3).map(Error::status), Some(Status::Contract));
        assert_eq!(part.warning(0).map(|text| &**text), Some("odd"));
        assert_eq!(part.counts(), [("padding".into(), 0.25)]);
        // SAFETY: the writer's mapping is still there.
        unsafe { handed.written.write(7) };
        assert_eq!(row(2), Some([7, 2, 3]), "one memory under two addresses");
    }

    #[test]
    fn no_damaged_description_leads_out_of_the_segments() {
        let Handed {
            description,
            segments,
            ..
        } = handed();
        for end in 0..description.len() {
            assert!(
                take(&description[..end], &segments).is_none(),
                "cut at {end}"
            );
        }
        // Whatever a byte is turned into: rows that can be read, or a refusal.
        for at in 0..description.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = description.clone();
                damaged[at] = value;
                let Some(part) = take(&damaged, &segments).and_then(|taken| taken.finish().ok())
                else {
                    continue;
                };
                for (index, name) in (0..4).flat_map(|i| part.names().map(move |name| (i, name))) {
                    if let Some(view) = part.view(index, name) {
                        let bytes = view.shape.bytes(view.dtype).unwrap();
                        // SAFETY: what the test is about; out of bounds it crashes.
                        let row = unsafe { std::slice::from_raw_parts(view.data, bytes) };
                        std::hint::black_box(row.iter().map(|&byte| u64::from(byte)).sum::<u64>());
                    }
                }
            }
        }
    }
}
