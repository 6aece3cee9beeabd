//! Rows of records whose sequence an earlier record has: copied from where that one's are.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::file::Batch;
use super::heads::Heads;
use super::manifest::{Kind, WindowLine};
use super::remarks::Remarks;
use super::run::{Layout, Output};
use super::shard::{self, Frame, Shapes, Shard};
use super::values::Source;
use super::watch::{Steps, Watch};
use super::{Directory, commit, sheet, stem, write_sheet};
use crate::error::Result;

/// How many rows, and about how many bytes of an output, are copied at a time: they are gathered in memory, in the
/// order of where they come from, so that shards are read from front to back.
const ROWS: usize = 1 << 16;
const BYTES: u64 = 128 << 20;

/// A record that waits for the row of another.
struct Waiting {
    line: sheet::Line,
    /// The position of the record whose sequence is the same.
    source: u64,
}

/// What a waiting record gets.
enum Fate {
    /// A row: where its values are among those that were gathered, its own dimensions, and the remarks on its source.
    Row {
        bytes: Range<usize>,
        outer: Vec<usize>,
        remarks: Vec<String>,
    },
    /// What its source failed with.
    Failed(String),
    /// Nothing: its source has another sequence, or is not here.
    Differs,
}

impl Directory {
    /// Once all windows are finished: gives the records that are [`crate::rows::Outcome::Same`] rows of their own, or
    /// the failure of their source. Returns the positions, ascending, of those that have to be computed after all
    /// because they prove different from their source (64-bit hashes collide; here 128 bits are compared); they are
    /// to be written by [`Self::write`], windows of them and [`crate::rows::Outcome::Elsewhere`].
    ///
    /// Takes about 128 MiB of memory, or what one row takes.
    pub fn duplicates(&mut self, watch: &mut dyn Watch) -> Result<Vec<u64>> {
        let copied = self.copied();
        let mut pending: Vec<Waiting> = Vec::new();
        let mut bytes = 0;
        let windows = self.finished().len();
        let mut steps = Steps::new(watch, "copying rows of duplicates", windows);
        for window in 0..windows {
            steps.done(window)?;
            for waiting in self.waiting(window)? {
                let index = waiting.line.index;
                let size = self.size(waiting.line.length);
                let is_copied = copied.iter().any(|span| span.contains(&index));
                let is_full = pending.len() == ROWS || bytes + size > BYTES;
                // What is copied together must have a span of its own, which may be lost and made again alone.
                if !pending.is_empty() && (is_copied || is_full) {
                    steps.done(window)?;
                    self.copy(&pending)?;
                    pending.clear();
                    bytes = 0;
                }
                if !is_copied {
                    bytes += size;
                    pending.push(waiting);
                }
            }
        }
        if !pending.is_empty() {
            steps.done(windows)?;
            self.copy(&pending)?;
        }
        Ok(self.outstanding())
    }

    /// The records of a window that wait, in order; a merged window has a sheet of them from each part.
    fn waiting(&self, window: usize) -> Result<Vec<Waiting>> {
        let mut waiting = Vec::new();
        for file in &self.finished()[window].waiting {
            let path = self.path.join(&file.name);
            for line in sheet::read(&path)? {
                let line = line?;
                let source = sheet::value(&path, &line)?;
                waiting.push(Waiting { line, source });
            }
        }
        waiting.sort_by_key(|waiting| waiting.line.index);
        Ok(waiting)
    }

    /// The spans of the input whose waiting records have their rows.
    fn copied(&self) -> Vec<Range<u64>> {
        let copies = self
            .manifest
            .windows
            .iter()
            .filter(|line| line.kind == Kind::Copies);
        copies.map(|line| line.first..line.end()).collect()
    }

    /// The records that proved different and were not written since.
    fn outstanding(&self) -> Vec<u64> {
        let of = |kind| {
            self.manifest
                .windows
                .iter()
                .filter(move |line| line.kind == kind)
                .flat_map(|line| &line.records)
        };
        let written: BTreeSet<_> = of(Kind::Again).collect();
        let differing: BTreeSet<_> = of(Kind::Copies).collect();
        differing
            .difference(&written)
            .map(|&&position| position)
            .collect()
    }

    /// About how many bytes the largest output of a record of this length has.
    fn size(&self, length: u32) -> u64 {
        let Some(line) = self.finished().iter().find(|line| !line.shards.is_empty()) else {
            return 0;
        };
        let outputs = &self.manifest.run.outputs;
        let sizes = line.shards.iter().zip(outputs).map(|(shard, output)| {
            let height = match output.layout {
                Layout::Row => 1,
                Layout::Matrix => u64::from(length),
                Layout::Ragged => u64::from(length).pow(2),
            };
            let width: usize = shard.inner.iter().product();
            height.saturating_mul((width * self.manifest.run.values.size()) as u64)
        });
        sizes.max().unwrap_or(0)
    }

    /// Writes the rows of waiting records, which are in ascending order.
    fn copy(&mut self, waiting: &[Waiting]) -> Result<()> {
        let run = &self.manifest.run;
        let number = self.next(Kind::Copies);
        let stem = stem(Kind::Copies, number);
        let mut batch = Batch::new(&self.path);
        let mut shards = Vec::new();
        let mut fates = Vec::new();
        for output in &run.outputs {
            let (bytes, gathered) = self.gather(output, waiting)?;
            let mut rows = Gathered::new(bytes, run.values.size());
            let frame = rows.take(waiting, &gathered, self.inner(output));
            if frame.heads.len() > 0 {
                shards.push(shard::write(
                    &mut batch, run, output, &stem, &frame, &mut rows,
                )?);
            }
            fates = gathered;
        }
        let mut failed = Vec::new();
        let mut remarked = Vec::new();
        let mut differing = Vec::new();
        for (Waiting { line, .. }, fate) in waiting.iter().zip(&fates) {
            match fate {
                Fate::Row { remarks, .. } => {
                    remarked.extend(remarks.iter().map(|text| (line.head(), text.clone())));
                }
                Fate::Failed(reason) => failed.push((line.head(), reason.clone())),
                Fate::Differs => differing.push(line.index),
            }
        }
        let failures = write_sheet(&mut batch, &stem, "failed", "reason", &failed)?;
        let remarks = Remarks::write(&mut batch, &stem, &remarked)?;
        let first = waiting[0].line.index;
        let line = WindowLine {
            kind: Kind::Copies,
            number,
            first,
            count: waiting[waiting.len() - 1].line.index + 1 - first,
            digest: 0,
            done: (waiting.len() - failed.len() - differing.len()) as u64,
            failed: failed.len() as u64,
            same: 0,
            remarked: remarks.records,
            not_finite: remarks.not_finite,
            records: differing,
            shards,
            failures,
            waiting: Vec::new(),
            remarks: remarks.files,
        };
        commit(&mut self.manifest, batch, line)
    }

    fn inner(&self, output: &Output) -> &[usize] {
        let mut shards = self.manifest.windows.iter().flat_map(|line| &line.shards);
        shards
            .find(|shard| shard.output == output.name)
            .map_or(&[], |shard| &shard.inner)
    }

    /// Reads an output of the sources of waiting records: the values, and what each record gets of them.
    fn gather(&self, output: &Output, waiting: &[Waiting]) -> Result<(Vec<u8>, Vec<Fate>)> {
        let mut order: Vec<usize> = (0..waiting.len()).collect();
        order.sort_by_key(|&record| waiting[record].source);
        let expected: u64 = waiting
            .iter()
            .map(|waiting| self.size(waiting.line.length))
            .sum();
        let mut bytes = Vec::with_capacity(expected as usize); // growing would take twice as much
        let mut fates: Vec<Fate> = waiting.iter().map(|_| Fate::Differs).collect();
        let mut held: Option<Held> = None;
        for record in order {
            let Waiting { line, source } = &waiting[record];
            for place in self.holders(*source) {
                if held.as_ref().is_none_or(|held| held.place != place) {
                    held = Some(self.hold(place, output)?);
                }
                let held = held.as_mut().expect("held above");
                if let Some(fate) = held.find(*source, line.hash, &mut bytes)? {
                    fates[record] = fate;
                    break;
                }
            }
        }
        Ok((bytes, fates))
    }

    /// The lines, by place in the manifest, whose records a position may be one of.
    fn holders(&self, position: u64) -> impl Iterator<Item = usize> {
        let windows = self.finished();
        let window = windows.partition_point(|line| line.end() <= position);
        let window = windows
            .get(window)
            .filter(|line| line.first <= position)
            .map(|_| window);
        let others = windows.len()..self.manifest.windows.len();
        let again = others.filter(move |&place| {
            let line = &self.manifest.windows[place];
            line.kind == Kind::Again && line.records.contains(&position)
        });
        window.into_iter().chain(again)
    }

    fn hold(&self, place: usize, output: &Output) -> Result<Held> {
        let line = &self.manifest.windows[place];
        let shards = line
            .shards
            .iter()
            .filter(|shard| shard.output == output.name);
        let shards = shards.map(|shard| Shard::open(&self.path, &self.manifest.run, shard));
        let mut failed = HashMap::new();
        for file in &line.failures {
            for line in sheet::read(&self.path.join(&file.name))? {
                let line = line?;
                failed.insert(line.index, (line.hash, line.last));
            }
        }
        let mut remarks: HashMap<u64, Vec<String>> = HashMap::new();
        for file in &line.remarks {
            for line in sheet::read(&self.path.join(&file.name))? {
                let line = line?;
                remarks.entry(line.index).or_default().push(line.last);
            }
        }
        Ok(Held {
            place,
            shards: shards.collect::<Result<_>>()?,
            failed,
            remarks,
        })
    }
}

/// One output of the records of a line.
struct Held {
    place: usize,
    shards: Vec<Shard>,
    /// The hash and the reason of each record that failed.
    failed: HashMap<u64, (u128, String)>,
    /// The remarks on each record that has some.
    remarks: HashMap<u64, Vec<String>>,
}

impl Held {
    /// What the record at `position` has for one with this hash; `None` where it is not here. Values go behind
    /// `bytes`.
    fn find(&mut self, position: u64, hash: u128, bytes: &mut Vec<u8>) -> Result<Option<Fate>> {
        for shard in &mut self.shards {
            let Frame { heads, shapes } = shard.frame();
            let Some(row) = heads.find(position) else {
                continue;
            };
            if heads.hash[row] != hash {
                return Ok(Some(Fate::Differs));
            }
            let (outer, values) = (shapes.outer(row).to_owned(), shapes.values(row));
            let begin = bytes.len();
            shard.append(row, 0..values, bytes)?;
            return Ok(Some(Fate::Row {
                bytes: begin..bytes.len(),
                outer,
                remarks: self.remarks.get(&position).cloned().unwrap_or_default(),
            }));
        }
        let failed = self.failed.get(&position);
        Ok(failed.map(|(failed, reason)| match *failed == hash {
            true => Fate::Failed(reason.clone()),
            false => Fate::Differs,
        }))
    }
}

/// Values in memory, as the source of a shard.
struct Gathered {
    bytes: Vec<u8>,
    /// Where the values of each row are.
    rows: Vec<Range<usize>>,
    /// Bytes of a value.
    size: usize,
}

impl Gathered {
    fn new(bytes: Vec<u8>, size: usize) -> Self {
        Self {
            bytes,
            rows: Vec::new(),
            size,
        }
    }

    /// Takes the records that have rows.
    fn take(&mut self, waiting: &[Waiting], fates: &[Fate], inner: &[usize]) -> Frame {
        let mut heads = Heads::default();
        let mut shapes: Option<Shapes> = None;
        for (Waiting { line, .. }, fate) in waiting.iter().zip(fates) {
            if let Fate::Row { bytes, outer, .. } = fate {
                heads.push(line.head());
                shapes
                    .get_or_insert_with(|| Shapes::new(outer.len(), inner))
                    .push(outer);
                self.rows.push(bytes.clone());
            }
        }
        Frame {
            heads,
            shapes: shapes.unwrap_or_default(),
        }
    }
}

impl Source for Gathered {
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()> {
        let begin = self.rows[row].start;
        to.extend_from_slice(
            &self.bytes[begin + values.start * self.size..begin + values.end * self.size],
        );
        Ok(())
    }
}
