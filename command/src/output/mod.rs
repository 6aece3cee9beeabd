//! Rows to a directory: shards, the manifest that makes them count, and what is done with finished directories.
//!
//! docs/output.md says what the files are. A shard is written to a temporary name, synced and renamed; then a line of
//! the manifest makes it count. What no line lists does not count, and is removed when the directory is opened the
//! next time.

mod copies;
mod file;
mod finish;
mod heads;
mod lock;
mod manifest;
mod merge;
mod open;
mod remarks;
mod run;
mod shard;
mod sheet;
mod sort;
mod values;
mod watch;

use std::path::{Path, PathBuf};

use self::file::{Batch, FileLine};
use self::heads::{Head, escape};
use self::lock::Lock;
use self::manifest::{Kind, Manifest};
use self::remarks::Remarks;
use self::shard::{Frame, Shapes, ShardLine};
use self::values::{Fresh, Tally};
use crate::error::{Error, Result};
use crate::rows::{Outcome, Rows};

pub use self::manifest::WindowLine;
pub use self::merge::merge;
pub use self::run::{Format, Layout, Named, Output, Part, Run, ValueType, WINDOW_OF_PARTS};
pub use self::watch::{Unwatched, Watch};

/// The folder of the sheets of records that have no row in a window.
const RECORDS: &str = "records";

/// What [`Directory::finish`] may be given to write.
const SUMMARY: [&str; 3] = ["report.json", "trace.json", "timeline.svg"];

/// The lists of failures and of remarks that [`Directory::finish`] writes.
const FAILURES: &str = "failures.tsv";
const REMARKS: &str = "remarks.tsv";

/// What finds a record in the shards of an output.
const INDEX: &str = "index.parquet";

/// What a window took on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub bytes: u64,
    /// Finite values that became infinite in 16 bits.
    pub overflowed: u64,
}

/// What a directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records with rows.
    pub rows: u64,
    /// Records that failed.
    pub failed: u64,
    /// Records with rows on which there are remarks.
    pub remarked: u64,
    /// Of these, records with values that are not finite as the tool gave them.
    pub not_finite: u64,
    /// Finite values that became infinite in 16 bits.
    pub overflowed: u64,
}

/// Files that [`Directory::finish`] writes beside the shards, by name: `report.json`, `trace.json`, `timeline.svg`.
pub type Summary = Vec<(&'static str, Vec<u8>)>;

/// The output directory of a run; it is this process's alone until it is dropped.
pub struct Directory {
    path: PathBuf,
    manifest: Manifest,
    notes: Vec<String>,
    _lock: Lock,
}

impl Directory {
    /// What was found damaged and will be done again, in words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The windows that need not be done again, by number. There may be gaps.
    pub fn finished(&self) -> &[WindowLine] {
        let windows = &self.manifest.windows;
        &windows[..windows.partition_point(|line| line.kind == Kind::Window)]
    }

    /// Whether the run has ended: all of its input is there.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.manifest.has_ended()
    }

    /// How many records the input of the run has, if it had ended once.
    #[must_use]
    pub fn records(&self) -> Option<u64> {
        self.manifest.records
    }

    /// Writes the rows of a window; they are durable when it returns. Windows may come in any order.
    ///
    /// A window that is finished already may come again with the records that [`Self::duplicates`] gave back, all
    /// others [`Outcome::Elsewhere`]. After an error nothing of the window stays, and it may be written again.
    pub fn write(&mut self, rows: &Rows) -> Result<Written> {
        let window = &rows.window;
        if rows.outcomes.len() != window.len() {
            let (outcomes, records) = (rows.outcomes.len(), window.len());
            return Err(Error::new(format!(
                "window {} has {outcomes} outcomes of {records} records",
                window.number
            )));
        }
        let again = self
            .finished()
            .binary_search_by_key(&window.number, |line| line.number)
            .is_ok();
        let kind = if again { Kind::Again } else { Kind::Window };
        let number = if again {
            self.next(kind)
        } else {
            window.number
        };
        let stem = stem(kind, number);

        let mut batch = Batch::new(&self.path);
        let mut sorted = Sorted::of(rows);
        let (shards, tallies) = self.write_shards(&mut batch, &stem, rows, &mut sorted)?;
        let failures = write_sheet(&mut batch, &stem, "failed", "reason", &sorted.failed)?;
        let waiting = write_sheet(&mut batch, &stem, "waiting", "same_as", &sorted.waiting)?;
        let remarks = sorted.remarks(rows, &tallies);
        let remarks = Remarks::write(&mut batch, &stem, &remarks)?;
        let line = WindowLine {
            kind,
            number,
            first: window.first,
            count: window.len() as u64,
            digest: rows.digest,
            done: sorted.done.len() as u64,
            failed: sorted.failed.len() as u64,
            same: sorted.waiting.len() as u64,
            remarked: remarks.records,
            not_finite: remarks.not_finite,
            records: if again {
                sorted.positions()
            } else {
                Vec::new()
            },
            shards,
            failures,
            waiting,
            remarks: remarks.files,
        };
        let written = Written {
            bytes: line.files().map(|file| file.bytes).sum(),
            overflowed: line.shards.iter().map(|shard| shard.overflowed).sum(),
        };
        commit(&mut self.manifest, batch, line)?;
        Ok(written)
    }

    /// Writes a shard of each output of the records with rows, and counts what of each row's values is of no use.
    fn write_shards(
        &self,
        batch: &mut Batch,
        stem: &str,
        rows: &Rows,
        sorted: &mut Sorted,
    ) -> Result<(Vec<ShardLine>, Tallies<'_>)> {
        let mut shards = Vec::new();
        let mut tallies = Vec::new();
        let run = &self.manifest.run;
        for output in run.outputs.iter().filter(|_| !sorted.done.is_empty()) {
            sorted.frame.shapes = self.shapes(output, rows, &sorted.done)?;
            let mut source = Fresh {
                values: &*rows.values,
                output: &output.name,
                records: &sorted.done,
                stored: run.values,
                tallies: vec![Tally::default(); sorted.done.len()],
                halves: Vec::new(),
            };
            let shard = shard::write(batch, run, output, stem, &sorted.frame, &mut source)?;
            let overflowed = source.tallies.iter().map(|tally| tally.overflowed).sum();
            tallies.push((output.name.as_str(), source.tallies));
            shards.push(ShardLine {
                overflowed,
                ..shard
            });
        }
        Ok((shards, tallies))
    }

    /// What is in the directory so far.
    pub fn totals(&self) -> Totals {
        self.manifest
            .windows
            .iter()
            .fold(Totals::default(), |sum, line| Totals {
                rows: sum.rows + line.done,
                failed: sum.failed + line.failed,
                remarked: sum.remarked + line.remarked,
                not_finite: sum.not_finite + line.not_finite,
                overflowed: sum.overflowed
                    + line
                        .shards
                        .iter()
                        .map(|shard| shard.overflowed)
                        .sum::<u64>(),
            })
    }

    /// The number for a further line of a kind.
    fn next(&self, kind: Kind) -> u64 {
        let lines = self
            .manifest
            .windows
            .iter()
            .filter(|line| line.kind == kind);
        lines.map(|line| line.number + 1).max().unwrap_or(0)
    }

    /// The shapes of an output of these records, which must go with those in the shards that are there.
    fn shapes(&self, output: &Output, rows: &Rows, records: &[usize]) -> Result<Shapes> {
        let Output { name, layout, .. } = output;
        if !rows.values.names().contains(name) {
            return Err(Error::new(format!(
                "the tool gives no output {name:?}; ask for one of {:?}",
                rows.values.names()
            )));
        }
        let mut shards = self.manifest.windows.iter().flat_map(|line| &line.shards);
        let mut inner = shards
            .find(|shard| shard.output == *name)
            .map(|shard| shard.inner.clone());
        let mut shapes: Option<Shapes> = None;
        for &record in records {
            let (shape, values) = rows.values.get(record, name);
            let (outer, alike) = layout.split(shape);
            let inner = inner.get_or_insert_with(|| alike.to_owned());
            let shapes = shapes.get_or_insert_with(|| Shapes::new(outer.len(), inner));
            if alike != shapes.inner
                || outer.len() != shapes.rank()
                || shape.iter().product::<usize>() != values.len()
            {
                return Err(Error::new(format!(
                    "{name} of index {} ({}) has {} values of shape {shape:?}, \
                     other records have {} dimensions that end in \
                     {:?}: this output cannot be stored as {layout:?}",
                    rows.window.first + record as u64,
                    escape(rows.window.ids.get(record)),
                    values.len(),
                    shapes.rank() + shapes.inner.len(),
                    shapes.inner,
                )));
            }
            shapes.push(outer);
        }
        Ok(shapes.unwrap_or_default())
    }
}

/// Of each output by name, a tally of each row.
type Tallies<'a> = Vec<(&'a str, Vec<Tally>)>;

/// The records of a window by what became of them.
struct Sorted<'a> {
    /// Those with rows.
    done: Vec<usize>,
    /// Whose their rows are.
    frame: Frame,
    failed: Vec<(Head<'a>, String)>,
    waiting: Vec<(Head<'a>, String)>,
}

impl<'a> Sorted<'a> {
    fn of(rows: &'a Rows) -> Self {
        let mut sorted = Self {
            done: Vec::new(),
            frame: Frame::default(),
            failed: Vec::new(),
            waiting: Vec::new(),
        };
        for (record, outcome) in rows.outcomes.iter().enumerate() {
            let head = || Head::of(&rows.window, record);
            match outcome {
                Outcome::Done => {
                    sorted.done.push(record);
                    sorted.frame.heads.push(head());
                }
                Outcome::Failed(reason) => sorted.failed.push((head(), escape(reason.as_bytes()))),
                Outcome::Same(first) => sorted.waiting.push((head(), first.to_string())),
                Outcome::Elsewhere => {}
            }
        }
        sorted
    }

    /// Those on records with rows, and what there is to say of their values.
    fn remarks(&self, rows: &'a Rows, tallies: &Tallies) -> Vec<(Head<'a>, String)> {
        let mut said = rows.remarks.iter().peekable();
        let mut remarks = Vec::new();
        for (row, &record) in self.done.iter().enumerate() {
            let head = || Head::of(&rows.window, record);
            while said.next_if(|remark| remark.record < record).is_some() {}
            while let Some(remark) = said.next_if(|remark| remark.record == record) {
                remarks.push((head(), escape(remark.text.as_bytes())));
            }
            let tallies: Vec<_> = tallies
                .iter()
                .map(|(output, rows)| (*output, rows[row]))
                .collect();
            remarks.extend(
                remarks::on_values(&tallies)
                    .into_iter()
                    .map(|text| (head(), text)),
            );
        }
        remarks
    }

    /// Of the records that need nothing more.
    fn positions(&self) -> Vec<u64> {
        let failed = self.failed.iter().map(|(head, _)| head.index);
        let mut positions: Vec<u64> = self
            .frame
            .heads
            .index
            .iter()
            .copied()
            .chain(failed)
            .collect();
        positions.sort_unstable();
        positions
    }
}

/// Writes a sheet of records, unless there are none.
fn write_sheet(
    batch: &mut Batch,
    stem: &str,
    what: &str,
    last: &str,
    lines: &[(Head, String)],
) -> Result<Vec<FileLine>> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let name = format!("{RECORDS}/{stem}.{what}.tsv");
    let (file, ()) = batch.write(&name, |draft| {
        sheet::write(draft, last, lines.iter().cloned())
    })?;
    Ok(vec![file])
}

/// Gives files their names and then lists them.
fn commit(manifest: &mut Manifest, mut batch: Batch, line: WindowLine) -> Result<()> {
    batch.publish()?;
    manifest.append(line)?;
    batch.keep();
    Ok(())
}

/// How the files of a line are called. In alphabetical order, windows come in input order, then what came later.
fn stem(kind: Kind, number: u64) -> String {
    match kind {
        Kind::Window => format!("{number:08}"),
        Kind::Again => format!("again-{number:08}"),
        Kind::Copies => format!("copies-{number:08}"),
        Kind::Empty => format!("empty-{number:08}"),
    }
}

/// The manifest of a directory that a run has written to.
fn manifest_of(path: &Path) -> Result<Manifest> {
    Manifest::read(path)?.ok_or_else(|| {
        let what = format!("{} holds no {}", path.display(), manifest::NAME);
        Error::usage(format!(
            "{what}: it is not the output of a run; name the directory that was given to --output"
        ))
    })
}

/// Puts the rows of a finished directory into input order.
pub fn sort(path: &Path) -> Result<()> {
    let run = manifest_of(path)?.run;
    let mut directory = Directory::open(path, &run, false)?;
    directory.must_have_ended()?;
    directory.sort(&mut Unwatched)?;
    directory.finish(&Summary::new(), &mut Unwatched).map(drop)
}

/// Whether the run of a directory has ended: all of its input is there.
pub fn has_ended(path: &Path) -> Result<bool> {
    Ok(manifest_of(path)?.has_ended())
}

/// Reads every file that the manifest lists and compares it with its checksum; returns a line for each that is damaged
/// or missing.
pub fn verify(path: &Path) -> Result<Vec<String>> {
    let manifest = manifest_of(path)?;
    let damage = |file: &FileLine| file.damage(path);
    let mut damaged: Vec<_> = manifest.files().filter_map(damage).collect();
    if manifest.is_torn() {
        damaged.push(format!("{} has lines that are torn", manifest::NAME));
    }
    Ok(damaged)
}

/// As [`verify`], and takes what is damaged off the manifest: the run's command, given again, does it again.
pub fn repair(path: &Path) -> Result<Vec<String>> {
    let run = manifest_of(path)?.run;
    Ok(Directory::open_reading(path, &run, false, u64::MAX)?.notes)
}
