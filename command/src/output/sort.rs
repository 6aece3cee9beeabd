//! Rows in input order: each window gets the rows that other lines hold of its records.

use std::ops::Range;

use super::file::{Batch, FileLine};
use super::heads::Head;
use super::manifest::{Kind, WindowLine};
use super::open::remove_unlisted;
use super::remarks::Remarks;
use super::run::Output;
use super::shard::{self, Frame, Shapes, Shard, ShardLine};
use super::values::Source;
use super::watch::{Steps, Watch};
use super::{Directory, sheet, stem, write_sheet};
use crate::error::{Error, Result};

impl Directory {
    /// Puts the rows of all shards into input order; to be called after [`Self::duplicates`]. Shards that are in
    /// order already stay as they are. Takes the memory of the ids of a window, and the disk space of the shards that
    /// are written anew until all of them are.
    ///
    /// Until they are, the directory is what it was. Then it is one whose run has not ended, until [`Self::finish`]: a
    /// kill in between leaves shards of both orders, but no index of either, and nothing that says that it is whole.
    pub fn sort(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let outputs = self.manifest.run.outputs.len();
        let mut batch = Batch::new(&self.path);
        let mut sorted = self.finished().to_vec();
        let unsorted = |line: &WindowLine| line.same > 0 || line.shards.len() > outputs;
        self.must_be_whole(watch, |line| line.kind != Kind::Window || unsorted(line))?;
        let mut steps = Steps::new(watch, "sorting", sorted.len());
        for (done, line) in sorted.iter_mut().enumerate() {
            steps.done(done)?;
            if unsorted(line) {
                *line = self.sort_window(&mut batch, line)?;
            }
        }
        if sorted == self.manifest.windows {
            batch.keep();
            return Ok(());
        }
        self.manifest.reopen()?;
        batch.publish()?;
        let before = std::mem::replace(&mut self.manifest.windows, sorted);
        if let Err(error) = self.manifest.rewrite() {
            self.manifest.windows = before;
            return Err(error);
        }
        batch.keep();
        remove_unlisted(&self.path, &self.manifest)
    }

    fn sort_window(&self, batch: &mut Batch, window: &WindowLine) -> Result<WindowLine> {
        let stem = format!("{}-sorted", stem(Kind::Window, window.number));
        let span = window.first..window.end();
        let others = self
            .manifest
            .windows
            .iter()
            .filter(|line| line.kind != Kind::Window);
        let others = others.filter(|line| line.first < span.end && span.start < line.end());
        let lines: Vec<_> = std::iter::once(window).chain(others).collect();

        let mut shards = Vec::new();
        let mut done = 0;
        for output in &self.manifest.run.outputs {
            let (frame, mut rows) = self.rows(output, &lines, &span)?;
            done = frame.heads.len() as u64;
            if done > 0 {
                let shard =
                    shard::write(batch, &self.manifest.run, output, &stem, &frame, &mut rows)?;
                // Copies have none: what became infinite is counted where it was computed.
                let overflowed = lines
                    .iter()
                    .flat_map(|line| &line.shards)
                    .filter(|before| before.output == output.name)
                    .map(|shard| shard.overflowed)
                    .sum();
                shards.push(ShardLine {
                    overflowed,
                    ..shard
                });
            }
        }
        let failed = self.sheets(lines.iter().flat_map(|line| &line.failures), &span)?;
        let remarked = self.sheets(lines.iter().flat_map(|line| &line.remarks), &span)?;
        let remarks = Remarks::write(batch, &stem, &with_heads(&remarked))?;
        Ok(WindowLine {
            done,
            failed: failed.len() as u64,
            same: 0,
            remarked: remarks.records,
            not_finite: remarks.not_finite,
            shards,
            failures: write_sheet(batch, &stem, "failed", "reason", &with_heads(&failed))?,
            waiting: Vec::new(),
            remarks: remarks.files,
            ..window.clone()
        })
    }

    /// What is damaged must not get a new checksum.
    fn must_be_whole(
        &self,
        watch: &mut dyn Watch,
        is_read: impl Fn(&WindowLine) -> bool,
    ) -> Result<()> {
        let lines = &self.manifest.windows;
        let mut steps = Steps::new(watch, "checking", lines.len());
        for (done, line) in lines.iter().enumerate().filter(|(_, line)| is_read(line)) {
            steps.done(done)?;
            if let Some(damage) = line.files().find_map(|file| file.damage(&self.path)) {
                let place = self.path.display();
                return Err(Error::new(format!(
                    "{place}: {damage}; `toolpool verify --repair {place}` takes it off the manifest, and the command, \
                     given again, does it again"
                )));
            }
        }
        Ok(())
    }

    /// The rows that lines hold of an output of the records in a span, in order.
    fn rows(
        &self,
        output: &Output,
        lines: &[&WindowLine],
        span: &Range<u64>,
    ) -> Result<(Frame, Merged)> {
        let shards = lines
            .iter()
            .flat_map(|line| &line.shards)
            .filter(|shard| shard.output == output.name);
        let shards: Vec<Shard> = shards
            .map(|line| Shard::open(&self.path, &self.manifest.run, line))
            .collect::<Result<_>>()?;
        let mut order = Vec::new();
        for (shard, heads) in shards.iter().map(|shard| &shard.frame().heads).enumerate() {
            let of_span = heads.index.partition_point(|&index| index < span.start)
                ..heads.index.partition_point(|&index| index < span.end);
            order.extend(of_span.map(|row| (heads.index[row], shard, row)));
        }
        order.sort_unstable();

        let mut frame = Frame::default();
        if let Some(&(_, shard, _)) = order.first() {
            let shapes = &shards[shard].frame().shapes;
            frame.shapes = Shapes::new(shapes.rank(), &shapes.inner);
        }
        for &(_, shard, row) in &order {
            let Frame { heads, shapes } = shards[shard].frame();
            frame.heads.push(heads.get(row));
            frame.shapes.push(shapes.outer(row));
        }
        let rows = order
            .into_iter()
            .map(|(_, shard, row)| (shard, row))
            .collect();
        Ok((frame, Merged { shards, rows }))
    }

    /// The lines of sheets that are of a span, in order.
    fn sheets<'a>(
        &self,
        files: impl Iterator<Item = &'a FileLine>,
        span: &Range<u64>,
    ) -> Result<Vec<sheet::Line>> {
        let mut lines = Vec::new();
        for file in files {
            for line in sheet::read(&self.path.join(&file.name))? {
                lines.push(line?);
            }
        }
        lines.retain(|line| span.contains(&line.index));
        lines.sort_by_key(|line| line.index);
        Ok(lines)
    }
}

/// Lines as they are written.
fn with_heads(lines: &[sheet::Line]) -> Vec<(Head<'_>, String)> {
    let lines = lines.iter();
    lines.map(|line| (line.head(), line.last.clone())).collect()
}

/// The rows of several shards as those of one.
struct Merged {
    shards: Vec<Shard>,
    /// The shard, and the row in it, of each row.
    rows: Vec<(usize, usize)>,
}

impl Source for Merged {
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()> {
        let (shard, row) = self.rows[row];
        self.shards[shard].append(row, values, to)
    }
}
