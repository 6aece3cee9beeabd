//! Which files make an input, and how each is opened.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::bytes::{Bytes, decompress, peek, unreadable};
use super::delimited::Delimited;
use super::fasta::Fasta;
use super::parquet::Parquet;
use super::source::Source;
use super::{Format, Options, Records};
use crate::error::{Error, Result};

/// A file, or stdin.
pub enum File {
    Stdin,
    /// How it was found is known for a regular file: anything else, such as a pipe, can be read once.
    Path {
        path: PathBuf,
        found: Option<Found>,
    },
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Found {
    len: u64,
    modified: Option<SystemTime>,
}

impl Found {
    fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

/// The files that paths, globs and `-` mean, in this order.
pub fn find(paths: &[impl AsRef<OsStr>]) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        match path.to_str() {
            Some("-") => files.push(File::Stdin),
            Some(pattern) if is_glob(pattern) => {
                for path in matches(pattern)? {
                    files.push(File::at(path)?);
                }
            }
            _ => files.push(File::at(PathBuf::from(path))?),
        }
    }
    if files.iter().filter(|file| file.is_stdin()).count() > 1 {
        return Err(Error::usage(
            "stdin, `-`, can be read once; it is named twice",
        ));
    }
    Ok(files)
}

fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '[']) && !Path::new(path).exists()
}

/// The files of a glob, by name.
fn matches(pattern: &str) -> Result<Vec<PathBuf>> {
    let paths = glob::glob(pattern)
        .map_err(|error| Error::usage(format!("the pattern {pattern} is wrong: {error}")))?;
    let paths = paths
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| Error::new(format!("the files of {pattern} cannot be listed: {error}")))?;
    if paths.is_empty() {
        return Err(Error::usage(format!("no file is called like {pattern}")));
    }
    Ok(paths)
}

impl File {
    fn at(path: PathBuf) -> Result<Self> {
        let metadata = fs::metadata(&path).map_err(Error::file("read", &path))?;
        if metadata.is_dir() {
            return Err(Error::usage(format!(
                "{path} is a folder; name its files, such as '{path}/*.fasta'",
                path = path.display()
            )));
        }
        let found = metadata.is_file().then(|| Found::of(&metadata));
        Ok(Self::Path { path, found })
    }

    fn is_stdin(&self) -> bool {
        matches!(self, Self::Stdin)
    }

    /// Refuses a file, now that it is read, that is not as it was found: of what was added to it since, something may be
    /// missing. One that is gone was read as it was.
    pub fn must_be_as_found(&self) -> Result<()> {
        let Self::Path {
            path,
            found: Some(found),
        } = self
        else {
            return Ok(());
        };
        let now = match fs::metadata(path) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(()),
            now => now.map_err(Error::file("read", path))?,
        };
        match Found::of(&now) == *found {
            true => Ok(()),
            false => Err(Error::new(format!(
                "{} changed while it was read: it had {} bytes then and has {} now; give the same command again when \
                 nobody writes to it",
                path.display(),
                found.len,
                now.len()
            ))),
        }
    }

    /// Whether it can be read more than once.
    pub fn is_regular(&self) -> bool {
        self.len().is_some()
    }

    /// How long it is, where that is known.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::Path { found, .. } => found.map(|found| found.len),
        }
    }

    /// Begins to read it, adding to `bytes_read`.
    pub fn open(&self, options: &Options, bytes_read: Arc<AtomicU64>) -> Result<Box<dyn Records>> {
        let name = self.name();
        let mut source = Source {
            name: name.clone(),
            is_stdin: self.is_stdin(),
            unpacked_by: None,
        };
        let inner = self.bytes().map_err(|error| unreadable(&name, &error))?;
        let counted = Counted {
            inner,
            bytes_read: Arc::clone(&bytes_read),
            most: self
                .len()
                .map_or(usize::MAX, |len| (len as usize / STEPS).max(FEWEST)),
        };
        let bytes = decompress(Box::new(counted), &mut source)?;
        let (head, bytes) = peek(bytes, 4, &name)?;
        Ok(match options.format.unwrap_or_else(|| self.format(&head)) {
            Format::Fasta => {
                options.must_name_no_columns(&name)?;
                Box::new(Fasta::new(bytes, source)?)
            }
            Format::Csv => Box::new(Delimited::csv(bytes, options, name)?),
            Format::Tsv => Box::new(Delimited::tsv(bytes, options, name)?),
            Format::Parquet => {
                drop(bytes);
                Box::new(Parquet::new(
                    self.regular(&source)?,
                    options,
                    bytes_read,
                    name,
                )?)
            }
        })
    }

    fn bytes(&self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin()),
            Self::Path { path, .. } => Box::new(fs::File::open(path)?),
        })
    }

    /// What it holds, by the first bytes of that and, for tables, by its name.
    fn format(&self, head: &[u8]) -> Format {
        let name = self.name().to_ascii_lowercase();
        let name = [".gz", ".bgz", ".zst"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name);
        match name.rsplit('.').next() {
            _ if head == b"PAR1" => Format::Parquet,
            Some("csv") => Format::Csv,
            Some("tsv" | "tab") => Format::Tsv,
            _ => Format::Fasta,
        }
    }

    /// The file itself, for what is not read from front to back.
    fn regular(&self, source: &Source) -> Result<fs::File> {
        let name = &source.name;
        match (self, source.unpacked_by) {
            (Self::Path { found: Some(_), .. }, Some(unpack)) => Err(Error::usage(format!(
                "{name} is a compressed file of Parquet, which is compressed inside already, and read as it is: \
                 {unpack} {name} > sequences.parquet"
            ))),
            (
                Self::Path {
                    path,
                    found: Some(_),
                },
                None,
            ) => fs::File::open(path).map_err(|error| unreadable(name, &error)),
            _ => Err(Error::usage(format!(
                "{name} is a pipe, and Parquet is read from a file: write it to one, and name that"
            ))),
        }
    }

    /// For messages.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::Path { path, .. } => path.display().to_string(),
        }
    }
}

/// A file is read in so many steps at least, unless they become too small: progress shows them.
const STEPS: usize = 200;
/// Bytes of the smallest step.
const FEWEST: usize = 4 << 10;

/// Counts the bytes that pass.
struct Counted<R> {
    inner: R,
    bytes_read: Arc<AtomicU64>,
    /// That are read at once.
    most: usize,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.most);
        let count = self.inner.read(&mut buffer[..most])?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
