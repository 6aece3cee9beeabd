//! Opening a directory: whose it is, what in it counts, and what is in the way.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::lock::{self, Lock};
use super::manifest::{self, Kind, Manifest, WindowLine};
use super::{Directory, FAILURES, INDEX, RECORDS, REMARKS, Run, SUMMARY, file};
use crate::error::{Error, Result};

/// How many bytes of shards are read and compared with their checksums when a directory is opened: seconds of a good
/// disk. Those that were written last come first; of the others the sizes are compared.
const READ_ON_OPEN: u64 = 4 << 30;

impl Directory {
    /// Creates it, or goes on with it, or with `force` empties it of what an earlier run wrote.
    ///
    /// Refused are a directory that another process has open, one of a different run (the error has a line for each
    /// difference), one that cannot be written to, and one that holds files and no manifest. Nothing needs to be
    /// computed to learn this. Of the shards that are there, all are compared with the sizes that they were written
    /// with, and the 4 GiB that were written last with their checksums; [`super::verify`] reads all.
    pub fn open(path: &Path, run: &Run, force: bool) -> Result<Self> {
        run.check()?;
        fs::create_dir_all(path).map_err(Error::file("create", path))?;
        refuse_foreign(path)?;
        let lock = Lock::take(path)?;
        probe(path)?;
        if force {
            begin_anew(path, run)?;
        }
        let (manifest, notes) = match Manifest::read(path)? {
            None => (create(path, run)?, Vec::new()),
            Some(manifest) => resume(path, manifest, run)?,
        };
        make_folders(path, run)?;
        remove_unlisted(path, &manifest)?;
        Ok(Self {
            path: path.to_owned(),
            manifest,
            notes,
            _lock: lock,
        })
    }
}

/// Whether a file in the folder of an output may have been written here.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(file::UNFINISHED).unwrap_or(name);
    let Some((stem, extension)) = name.split_once('.') else {
        return false;
    };
    let number = stem
        .trim_start_matches("again-")
        .trim_start_matches("copies-")
        .trim_start_matches("empty-");
    let extensions = [
        "parquet",
        "safetensors",
        "npy",
        "tsv",
        "failed.tsv",
        "waiting.tsv",
        "remarked.tsv",
    ];
    name == INDEX
        || number.starts_with(|letter: char| letter.is_ascii_digit())
            && extensions.contains(&extension)
}

/// Refuses a directory with files in it that is not the output of a run: they would be mixed with its shards.
fn refuse_foreign(path: &Path) -> Result<()> {
    if path.join(manifest::NAME).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(Error::file("read", path))? {
        let name = entry.map_err(Error::file("read", path))?.file_name();
        let ours = name == lock::NAME || name.to_string_lossy().ends_with(file::UNFINISHED);
        if !ours {
            return Err(Error::usage(format!(
                "{} holds {} and is not the output of a run; choose a new or an empty directory",
                path.display(),
                name.display()
            )));
        }
    }
    Ok(())
}

/// Learns whether files can be created, before anything is computed that could not be kept.
fn probe(path: &Path) -> Result<()> {
    let probe = path.join(format!("probe{}", file::UNFINISHED));
    File::create(&probe).map_err(Error::file("create", &probe))?;
    file::remove(&probe)
}

/// Removes what an earlier run wrote, whatever state it is in. The directory is the new run's before that, so that nobody
/// is left with files of neither if this is interrupted.
fn begin_anew(path: &Path, run: &Run) -> Result<()> {
    let before = Manifest::read(path).ok().flatten();
    let outputs = before
        .iter()
        .flat_map(|manifest| &manifest.run.outputs)
        .chain(&run.outputs);
    let folders: BTreeSet<_> = outputs
        .map(|output| output.name.as_str())
        .chain([RECORDS])
        .collect();
    create(path, run)?;
    for folder in folders.into_iter().map(|folder| path.join(folder)) {
        remove_ours(&folder, |_| true)?;
        let _ = fs::remove_dir(&folder); // stays where it holds files of others
    }
    SUMMARY
        .iter()
        .chain(&[FAILURES, REMARKS])
        .try_for_each(|name| file::remove(&path.join(name)))
}

/// Begins a run, in a directory whose name is durable.
fn create(path: &Path, run: &Run) -> Result<Manifest> {
    let manifest = Manifest::create(path, run)?;
    if let Some(parent) = path
        .canonicalize()
        .map_err(Error::file("read", path))?
        .parent()
    {
        file::sync_folder(parent)?;
    }
    Ok(manifest)
}

/// Checks that `manifest` is of this run, and drops from it what is damaged; says what that was.
fn resume(path: &Path, mut manifest: Manifest, run: &Run) -> Result<(Manifest, Vec<String>)> {
    let differences = manifest.run.differences(run);
    if !differences.is_empty() {
        return Err(Error::usage(format!(
            "{} holds another run; choose another directory, \
             give that run's command, or start anew with --force. These \
             differ:\n  {}",
            path.display(),
            differences.join("\n  ")
        )));
    }
    let mut notes = Vec::new();
    let mut lost = Vec::new();
    if manifest.is_torn() {
        notes.push(format!(
            "{} has lines that are torn; what they listed is done again",
            manifest::NAME
        ));
        manifest.mend()?;
        lost.push(0..u64::MAX); // nobody knows what they listed
    }
    let mut unread = READ_ON_OPEN;
    let mut whole = Vec::with_capacity(manifest.windows.len());
    for line in manifest.windows.drain(..).rev() {
        let damage = line.files().find_map(|file| {
            let read = file.bytes <= unread;
            unread = unread.saturating_sub(file.bytes);
            if read {
                file.damage(path)
            } else {
                file.misfit(path)
            }
        });
        match damage {
            Some(damage) => {
                notes.push(format!("{damage}; {}", remedy(&line)));
                lost.push(line.first..line.end());
            }
            None => whole.push(line),
        }
    }
    whole.reverse();
    manifest.windows = without_copies_in(lost, whole);
    if !notes.is_empty() {
        manifest.ended = false;
        manifest.rewrite()?;
    }
    Ok((manifest, notes))
}

/// Leaves out what was copied, or computed again, for records in spans that are lost: a window may come to other
/// copies when it is done again, and spans of copies that overlap, as those of merged parts do, do not say which has
/// a record.
fn without_copies_in(mut lost: Vec<Range<u64>>, mut lines: Vec<WindowLine>) -> Vec<WindowLine> {
    while let Some(span) = lost.pop() {
        lines.retain(|line| {
            let meets = line.first < span.end && span.start < line.end();
            let stays = line.kind == Kind::Window || !meets;
            lost.extend((!stays).then(|| line.first..line.end()));
            stays
        });
    }
    lines
}

fn remedy(line: &WindowLine) -> String {
    let WindowLine { first, count, .. } = line;
    format!(
        "what it holds of index {first} to {} is done again",
        first + count.saturating_sub(1)
    )
}

fn make_folders(path: &Path, run: &Run) -> Result<()> {
    for folder in run
        .outputs
        .iter()
        .map(|output| output.name.as_str())
        .chain([RECORDS])
    {
        let folder = path.join(folder);
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    }
    file::sync_folder(path)
}

/// Removes files that were being written, or not listed yet, when a run was cut off; and unless it has ended, what is
/// made of all shards at its end.
pub(super) fn remove_unlisted(path: &Path, manifest: &Manifest) -> Result<()> {
    let files = manifest.windows.iter().flat_map(WindowLine::files);
    let mut listed: HashSet<PathBuf> = files.map(|file| path.join(&file.name)).collect();
    let outputs = manifest
        .run
        .outputs
        .iter()
        .map(|output| path.join(&output.name));
    let outputs: Vec<_> = outputs.collect();
    if manifest.ended {
        listed.extend(outputs.iter().map(|output| output.join(INDEX)));
    } else {
        for list in [FAILURES, REMARKS] {
            file::remove(&path.join(list))?;
        }
    }
    for folder in outputs.into_iter().chain([path.join(RECORDS)]) {
        remove_ours(&folder, |file| !listed.contains(file))?;
    }
    Ok(())
}

/// Removes those of our files in a folder for which `gone` says so.
fn remove_ours(folder: &Path, gone: impl Fn(&Path) -> bool) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(Error::file("read", folder))?;
        let path = entry.path();
        if is_ours(&entry.file_name().to_string_lossy()) && gone(&path) {
            file::remove(&path)?;
        }
    }
    Ok(())
}
