//! The end of a run: what is made of all its shards together.

use std::io::{BufWriter, Write};

use super::file::{self, Batch, FileLine};
use super::heads::escape;
use super::manifest::Kind;
use super::open::remove_unlisted;
use super::run::{Format, Layout, Output};
use super::shard::{self, Frame, Index, Shapes, Shard};
use super::values::Nothing;
use super::watch::{Steps, Watch};
use super::{
    Directory, FAILURES, INDEX, REMARKS, Summary, Totals, WindowLine, manifest, sheet, stem,
};
use crate::error::{Error, Result};

impl Directory {
    /// Ends the run, whose windows are all of its input: writes `summary`, `failures.tsv`, `remarks.tsv` and the indexes
    /// of outputs in safetensors, then the manifest anew, with its lines in order and one that says that the run has
    /// ended.
    pub fn finish(&mut self, summary: &Summary, watch: &mut dyn Watch) -> Result<Totals> {
        let path = self.path.clone();
        let mut batch = Batch::new(&path);
        let windows = &mut self.manifest.windows;
        windows.retain(|line| line.kind != Kind::Empty);
        if self.totals().rows == 0 {
            let empty = self.write_empty(&mut batch)?;
            self.manifest.windows.push(empty);
        }
        batch.publish()?;
        let mut files = self.write_lists()?;
        files.extend(self.write_indexes(watch)?);
        self.write_summary(summary)?;
        self.manifest.records = Some(self.finished().last().map_or(0, WindowLine::end));
        self.manifest.end = Some(files);
        self.manifest.rewrite()?;
        batch.keep();
        remove_unlisted(&self.path, &self.manifest)?;
        Ok(self.totals())
    }

    /// Leaves a run that has not ended: writes `summary`, and the lists of failures and remarks so far.
    pub fn pause(&self, summary: &Summary) -> Result<Totals> {
        self.write_lists()?;
        self.write_summary(summary)?;
        Ok(self.totals())
    }

    fn write_summary(&self, summary: &Summary) -> Result<()> {
        summary.iter().try_for_each(|(name, text)| {
            file::replace(&self.path, name, |draft| draft.put(text)).map(drop)
        })
    }

    fn write_lists(&self) -> Result<Vec<FileLine>> {
        Ok(vec![
            self.write_list(FAILURES, "reason", |line| &line.failures)?,
            self.write_list(REMARKS, "remark", |line| &line.remarks)?,
        ])
    }

    /// A shard of every output, without rows: readers find its columns and its type.
    fn write_empty(&self, batch: &mut Batch) -> Result<WindowLine> {
        let kind = Kind::Empty;
        let run = &self.manifest.run;
        let mut shards = Vec::new();
        for output in &run.outputs {
            let frame = Frame {
                shapes: Shapes::new(output.layout.rank(), &output.inner),
                ..Frame::default()
            };
            shards.push(shard::write(
                batch,
                run,
                output,
                &stem(kind, 0),
                &frame,
                &mut Nothing,
            )?);
        }
        Ok(WindowLine {
            kind,
            shards,
            ..WindowLine::default()
        })
    }

    /// Refuses a directory that is not complete.
    pub(super) fn must_have_ended(&self) -> Result<()> {
        if self.manifest.has_ended() {
            return Ok(());
        }
        let lost: String = self
            .notes()
            .iter()
            .map(|note| format!("\n  {note}"))
            .collect();
        Err(Error::new(format!(
            "{} is not finished according to its {}; give the run's command again{lost}",
            self.path.display(),
            manifest::NAME
        )))
    }

    /// Index, id and last column of every line of these sheets, escaped as there.
    fn write_list(
        &self,
        name: &str,
        last: &str,
        sheets: impl Fn(&WindowLine) -> &[FileLine],
    ) -> Result<FileLine> {
        file::replace(&self.path, name, |draft| {
            let mut text = BufWriter::new(draft);
            let path = self.path.join(name);
            writeln!(text, "index\tid\t{last}").map_err(Error::file("write", &path))?;
            for file in self.manifest.windows.iter().flat_map(sheets) {
                for line in sheet::read(&self.path.join(&file.name))? {
                    let sheet::Line {
                        index, id, last, ..
                    } = line?;
                    writeln!(text, "{index}\t{}\t{last}", escape(&id))
                        .map_err(Error::file("write", &path))?;
                }
            }
            text.flush().map_err(Error::file("write", &path))
        })
    }

    fn write_indexes(&self, watch: &mut dyn Watch) -> Result<Vec<FileLine>> {
        let run = &self.manifest.run;
        let indexed =
            |output: &&Output| run.format == Format::Parquet && output.layout != Layout::Row;
        let outputs = run.outputs.iter().filter(indexed);
        outputs
            .map(|output| self.write_index(output, watch))
            .collect()
    }

    fn write_index(&self, output: &Output, watch: &mut dyn Watch) -> Result<FileLine> {
        let shards = self.manifest.windows.iter().flat_map(|line| &line.shards);
        let shards: Vec<_> = shards.filter(|shard| shard.output == output.name).collect();
        let mut steps = Steps::new(watch, "indexing", shards.len());
        file::replace(&self.path, &format!("{}/{INDEX}", output.name), |draft| {
            let mut index = Index::new(draft)?;
            for (done, line) in shards.into_iter().enumerate() {
                steps.done(done)?;
                let shard = Shard::open(&self.path, &self.manifest.run, line)?;
                index.add(&line.files[0].name, &shard.frame().heads)?;
            }
            index.finish()
        })
    }
}
