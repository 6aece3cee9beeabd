//! Files that appear whole or not at all: temporary name, sync, rename, sync of the folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

/// The end of the names of files that are being written.
pub const UNFINISHED: &str = ".part";

/// Bytes that are read at a time where a file is read through.
const CHUNK: usize = 1 << 20;

/// A file as the manifest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    /// Its path below the directory, with `/`.
    pub name: String,
    pub bytes: u64,
    /// XXH3 of its bytes, 128 bits.
    #[serde(with = "hex")]
    pub xxh3: u128,
}

impl FileLine {
    /// What is wrong with the file that this line is about, by a look at its size.
    pub fn misfit(&self, directory: &Path) -> Option<String> {
        match fs::metadata(directory.join(&self.name)) {
            Ok(found) if found.len() == self.bytes => None,
            Ok(found) => Some(format!(
                "{} has {} bytes, {} were written",
                self.name,
                found.len(),
                self.bytes
            )),
            Err(error) => Some(format!("{} cannot be read: {error}", self.name)),
        }
    }

    /// As [`Self::misfit`], by reading all of it.
    pub fn damage(&self, directory: &Path) -> Option<String> {
        self.misfit(directory)
            .or_else(|| match checksum(&directory.join(&self.name)) {
                Ok(found) if found == self.xxh3 => None,
                Ok(_) => Some(self.differs()),
                Err(error) => Some(format!("{} cannot be read: {error}", self.name)),
            })
    }

    /// The words for a file whose bytes are others.
    pub fn differs(&self) -> String {
        format!(
            "{} does not have the checksum that it was written with",
            self.name
        )
    }
}

fn checksum(path: &Path) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.digest128()),
            read => hash.update(&chunk[..read]),
        }
    }
}

/// A file that is being written under a temporary name, and its checksum so far.
pub struct Draft {
    file: File,
    path: PathBuf,
    hash: Box<Xxh3>,
    bytes: u64,
}

impl Draft {
    /// Where its bytes are for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As `write_all`, with an error that names the file.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
            .map_err(Error::file("write", &self.path))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Files that become part of a directory together; without [`Batch::keep`], none of them stays.
pub struct Batch<'a> {
    directory: &'a Path,
    lines: Vec<FileLine>,
    /// How many of them have their names.
    published: usize,
    kept: bool,
}

impl<'a> Batch<'a> {
    pub fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            lines: Vec::new(),
            published: 0,
            kept: false,
        }
    }

    /// Writes a file by `fill` and syncs it; it keeps its temporary name until [`Self::publish`].
    pub fn write<T>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut Draft) -> Result<T>,
    ) -> Result<(FileLine, T)> {
        let path = unfinished(self.directory, name);
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        self.lines.push(FileLine {
            name: name.to_owned(),
            bytes: 0,
            xxh3: 0,
        });
        let mut draft = Draft {
            file,
            path,
            hash: Box::new(Xxh3::new()),
            bytes: 0,
        };
        let filled = fill(&mut draft)?;
        draft
            .file
            .sync_all()
            .map_err(Error::file("write", &draft.path))?;
        let line = self.lines.last_mut().expect("pushed above");
        line.bytes = draft.bytes;
        line.xxh3 = draft.hash.digest128();
        Ok((line.clone(), filled))
    }

    /// Makes a file of another directory one of these too, by a hard link; whether the file system can.
    pub fn link(&mut self, name: &str, from: &Path, line: &FileLine) -> bool {
        let path = unfinished(self.directory, name);
        let linked = fs::hard_link(from, &path).is_ok();
        if linked {
            self.lines.push(FileLine {
                name: name.to_owned(),
                ..line.clone()
            });
        }
        linked
    }

    /// Gives the files their names, durably.
    pub fn publish(&mut self) -> Result<()> {
        let mut folders = BTreeSet::new();
        for line in &self.lines {
            let path = self.directory.join(&line.name);
            fs::rename(unfinished(self.directory, &line.name), &path)
                .map_err(Error::file("name", &path))?;
            self.published += 1;
            folders.extend(path.parent().map(Path::to_owned));
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    /// The manifest lists them now, or nothing needs to.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // What cannot be removed is not listed either; the next `open` tries again.
        for (position, line) in self.lines.iter().enumerate() {
            let _ = fs::remove_file(match position < self.published {
                true => self.directory.join(&line.name),
                false => unfinished(self.directory, &line.name),
            });
        }
    }
}

fn unfinished(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{UNFINISHED}"))
}

/// Writes a file that no window lists, durably; one that is there is replaced as a whole.
pub fn replace(
    directory: &Path,
    name: &str,
    fill: impl FnOnce(&mut Draft) -> Result<()>,
) -> Result<FileLine> {
    let mut batch = Batch::new(directory);
    let (line, ()) = batch.write(name, fill)?;
    let published = batch.publish();
    batch.keep(); // a name that is not durable yet is better than none
    published.map(|()| line)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::file("sync", folder))
}

/// Removes a file that may be gone already.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// 128 bits as 32 hexadecimal digits.
pub mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:032x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}
