//! Tables of text: whose rows an `.npy` holds, which records failed, which are like an earlier one.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::str::FromStr;

use super::file::Draft;
use super::heads::{Head, escape, unescape};
use crate::error::{Error, Result};

/// The columns that every sheet begins with.
const HEAD: &str = "index\tid\tlength\thash";

/// A line of a sheet that was read.
pub struct Line {
    pub index: u64,
    pub id: Vec<u8>,
    pub length: u32,
    pub hash: u128,
    /// What its last column says.
    pub last: String,
}

impl Line {
    pub fn head(&self) -> Head<'_> {
        Head {
            index: self.index,
            id: &self.id,
            length: self.length,
            hash: self.hash,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut columns = text.split('\t');
        let line = Self {
            index: columns.next()?.parse().ok()?,
            id: unescape(columns.next()?)?,
            length: columns.next()?.parse().ok()?,
            hash: u128::from_str_radix(columns.next()?, 16).ok()?,
            last: columns.next()?.to_owned(),
        };
        columns.next().is_none().then_some(line)
    }
}

/// Writes a sheet whose last column has this name.
pub fn write<'a>(
    draft: &mut Draft,
    last: &str,
    lines: impl IntoIterator<Item = (Head<'a>, String)>,
) -> Result<()> {
    let mut text = format!("{HEAD}\t{last}\n").into_bytes();
    for (head, value) in lines {
        let Head {
            index,
            length,
            hash,
            ..
        } = head;
        writeln!(
            text,
            "{index}\t{}\t{length}\t{hash:032x}\t{value}",
            escape(head.id)
        )
        .map_err(Error::file("write", draft.path()))?;
        if text.len() >= 1 << 20 {
            draft.put(&text)?;
            text.clear();
        }
    }
    draft.put(&text)
}

/// The lines of a sheet, one after the other.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<Line>>> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let path = path.to_owned();
    Ok(BufReader::new(file).lines().skip(1).map(move |line| {
        let line = line.map_err(Error::file("read", &path))?;
        Line::parse(&line).ok_or_else(|| damaged(&path, &line))
    }))
}

/// A last column as what it must be.
pub fn value<T: FromStr>(path: &Path, line: &Line) -> Result<T> {
    line.last.parse().map_err(|_| damaged(path, &line.last))
}

/// The error for a sheet that does not say what this program writes.
pub fn damaged(path: &Path, text: &str) -> Error {
    Error::new(format!(
        "{} does not hold what was written there: {text:?}; \
         `toolpool verify` lists what is damaged, and giving the run's \
         command again repairs it",
        path.display()
    ))
}
