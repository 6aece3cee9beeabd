//! The list of what counts: a file of lines, each with a checksum of its own.
//!
//! A line is a JSON object whose last member, `line`, is the XXH3 (64 bits) of all that comes before it. The first
//! line is the run; the others are windows; the last two, once the run has ended, say how long its input is, and that
//! it has ended. A line that is torn or damaged counts as not written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::file::{self, FileLine, hex};
use super::run::Run;
use super::shard::ShardLine;
use crate::error::{Error, Result};

pub const NAME: &str = "manifest.jsonl";

/// Changes when a program that knows the manifests of today could no longer go on with one.
const VERSION: u32 = 1;

/// Records whose shards are durable: a line of the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowLine {
    pub(super) kind: Kind,
    pub number: u64,
    /// The position in the whole input of its first record.
    pub first: u64,
    /// How many records of the input it spans.
    pub count: u64,
    /// As in [`crate::rows::Rows`].
    #[serde(with = "hex")]
    pub digest: u128,
    /// How many of its records have rows, failed, and wait for [`super::Directory::duplicates`].
    pub done: u64,
    pub failed: u64,
    pub same: u64,
    /// How many of those with rows have remarks.
    #[serde(default)]
    pub remarked: u64,
    /// How many of these have values that are not finite.
    #[serde(default)]
    pub not_finite: u64,
    /// Of copies, the records that have to be computed after all; of records that came again, which they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) records: Vec<u64>,
    pub(super) shards: Vec<ShardLine>,
    /// Sheets of the records that failed, and of those that wait.
    pub(super) failures: Vec<FileLine>,
    pub(super) waiting: Vec<FileLine>,
    /// Sheets of the remarks on records with rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) remarks: Vec<FileLine>,
}

/// Where the records of a line come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A window of the input.
    #[default]
    Window,
    /// Records that were taken for copies of others, and were computed after all.
    Again,
    /// Copies of rows, for the waiting records in its span.
    Copies,
    /// No records: a run that has ended without a row has its shards here.
    Empty,
}

impl WindowLine {
    /// The end of its span of the input.
    pub(super) fn end(&self) -> u64 {
        self.first + self.count
    }

    /// Every file that it lists.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileLine> {
        let shards = self.shards.iter().flat_map(|shard| &shard.files);
        let sheets = self
            .failures
            .iter()
            .chain(&self.waiting)
            .chain(&self.remarks);
        shards.chain(sheets)
    }

    /// As [`Self::files`], to be changed.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut FileLine> {
        let shards = self.shards.iter_mut().flat_map(|shard| &mut shard.files);
        let sheets = self
            .failures
            .iter_mut()
            .chain(&mut self.waiting)
            .chain(&mut self.remarks);
        shards.chain(sheets)
    }

    fn order(&self) -> (Kind, u64) {
        (self.kind, self.number)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Run {
        version: u32,
        run: Run,
    },
    Window(WindowLine),
    /// The whole input has so many records. This stays where windows are done again later.
    Input {
        records: u64,
    },
    /// The run has ended, with this many windows before, and these files made of all of them.
    End {
        windows: u64,
        #[serde(default)]
        files: Vec<FileLine>,
    },
}

/// The manifest of a directory, in memory as on the disk.
pub struct Manifest {
    path: PathBuf,
    pub run: Run,
    /// In the order of [`WindowLine::order`], each kind and number once.
    pub windows: Vec<WindowLine>,
    /// How many records the whole input has, once that is known.
    pub records: Option<u64>,
    /// Once the run has ended, the files that were made of all windows.
    pub end: Option<Vec<FileLine>>,
    /// Bytes of the file that count, and whether others lie between or after them.
    bytes: u64,
    torn: Torn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Torn {
    No,
    AtTheEnd,
    Between,
}

impl Manifest {
    /// Starts one, durably.
    pub fn create(directory: &Path, run: &Run) -> Result<Self> {
        let mut manifest = Self {
            path: directory.join(NAME),
            run: run.clone(),
            windows: Vec::new(),
            records: None,
            end: None,
            bytes: 0,
            torn: Torn::No,
        };
        manifest.rewrite()?;
        Ok(manifest)
    }

    /// Reads one; `None` where there is none.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        let mut lines = text.split_inclusive(|&byte| byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let Some(Line::Run { version, run }) = parse(first) else {
            return Err(Error::new(format!(
                "the first line of {} is damaged, so nobody knows what the shards are; \
                 restore it, or start anew with --force",
                path.display()
            )));
        };
        if version != VERSION {
            return Err(Error::new(format!(
                "{} is of version {version}, this toolpool writes version {VERSION}; use the toolpool that began it",
                path.display()
            )));
        }
        let mut manifest = Self {
            path,
            run,
            windows: Vec::new(),
            records: None,
            end: None,
            bytes: first.len() as u64,
            torn: Torn::No,
        };
        for line in lines {
            match parse(line) {
                Some(line) if manifest.torn == Torn::AtTheEnd => {
                    manifest.torn = Torn::Between;
                    manifest.add(line);
                }
                Some(parsed) => {
                    manifest.bytes += line.len() as u64;
                    manifest.add(parsed);
                }
                None if manifest.torn == Torn::No => manifest.torn = Torn::AtTheEnd,
                None => {}
            }
        }
        Ok(Some(manifest))
    }

    fn add(&mut self, line: Line) {
        match line {
            Line::Window(window) => {
                self.end = None;
                self.insert(window);
            }
            Line::Input { records } => self.records = Some(records),
            Line::End { windows, files } => {
                self.end = (windows == self.windows.len() as u64).then_some(files);
            }
            Line::Run { .. } => {}
        }
    }

    fn insert(&mut self, window: WindowLine) {
        match self
            .windows
            .binary_search_by_key(&window.order(), WindowLine::order)
        {
            Ok(there) => self.windows[there] = window,
            Err(place) => self.windows.insert(place, window),
        }
    }

    /// Whether the run has ended.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Every file that it lists.
    pub fn files(&self) -> impl Iterator<Item = &FileLine> {
        let of_windows = self.windows.iter().flat_map(WindowLine::files);
        of_windows.chain(self.end.iter().flatten())
    }

    /// Whether lines were found that do not count.
    pub fn is_torn(&self) -> bool {
        self.torn != Torn::No
    }

    /// Removes from the file what does not count.
    pub fn mend(&mut self) -> Result<()> {
        match self.torn {
            Torn::No => Ok(()),
            Torn::AtTheEnd => {
                self.cut_back()?;
                self.torn = Torn::No;
                Ok(())
            }
            Torn::Between => self.rewrite(),
        }
    }

    /// Adds a line; it is durable when this returns.
    pub fn append(&mut self, window: WindowLine) -> Result<()> {
        self.mend()?;
        let text = render(&Line::Window(window.clone()), &self.path)?;
        let appended = File::options()
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_data()));
        if let Err(error) = appended {
            // A whole line that is not durable would count at the next start, without its files.
            self.torn = Torn::AtTheEnd;
            let _ = self.mend();
            return Err(Error::file("write", &self.path)(error));
        }
        self.bytes += text.len() as u64;
        self.end = None;
        self.insert(window);
        Ok(())
    }

    /// Takes back that the run has ended, durably.
    pub fn reopen(&mut self) -> Result<()> {
        match self.end.take() {
            None => Ok(()),
            Some(_) => self.rewrite(),
        }
    }

    fn cut_back(&self) -> Result<()> {
        File::options()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.set_len(self.bytes).and_then(|()| file.sync_data()))
            .map_err(Error::file("write", &self.path))
    }

    /// Replaces the file by one of these lines in order: what it was before, or what it is now, is there at every
    /// moment.
    pub fn rewrite(&mut self) -> Result<()> {
        let run = Line::Run {
            version: VERSION,
            run: self.run.clone(),
        };
        let mut text = render(&run, &self.path)?;
        for window in &self.windows {
            text.extend(render(&Line::Window(window.clone()), &self.path)?);
        }
        if let Some(records) = self.records {
            text.extend(render(&Line::Input { records }, &self.path)?);
        }
        if let Some(files) = &self.end {
            let end = Line::End {
                windows: self.windows.len() as u64,
                files: files.clone(),
            };
            text.extend(render(&end, &self.path)?);
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        file::replace(directory, NAME, |draft| draft.put(&text))?;
        self.bytes = text.len() as u64;
        self.torn = Torn::No;
        Ok(())
    }
}

const CHECKSUM: &str = ",\"line\":\"";

fn render(line: &Line, path: &Path) -> Result<Vec<u8>> {
    let mut text = serde_json::to_string(line)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))?;
    text.pop(); // the closing brace
    let checksum = xxh3_64(text.as_bytes());
    text.push_str(&format!("{CHECKSUM}{checksum:016x}\"}}\n"));
    Ok(text.into_bytes())
}

fn parse(line: &[u8]) -> Option<Line> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\"}\n")?;
    let (body, checksum) = text.rsplit_once(CHECKSUM)?;
    let checksum = u64::from_str_radix(checksum, 16).ok()?;
    if checksum != xxh3_64(body.as_bytes()) {
        return None;
    }
    serde_json::from_str(&format!("{body}}}")).ok()
}
