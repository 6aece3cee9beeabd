//! Opening a directory: whose it is, what in it counts, and what is in the way.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::file::{self, FileLine};
use super::lock::{self, Lock};
use super::manifest::{self, Kind, Manifest, WindowLine};
use super::{Directory, FAILURES, INDEX, RECORDS, REMARKS, Run, SUMMARY};
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
        Self::open_reading(path, run, force, READ_ON_OPEN)
    }

    /// As [`Self::open`], with so many bytes compared with their checksums.
    pub(super) fn open_reading(path: &Path, run: &Run, force: bool, read: u64) -> Result<Self> {
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
            Some(manifest) => resume(path, manifest, run, read)?,
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

impl Directory {
    /// Takes the windows in which records failed off the manifest, to be done again.
    pub fn forget_failed(&mut self) -> Result<()> {
        let lines = self.manifest.windows.drain(..);
        let (failed, whole): (Vec<_>, Vec<_>) = lines.partition(|line| line.failed > 0);
        let spans = failed.iter().map(|line| line.first..line.end());
        self.manifest.windows = without_copies_in(spans.collect(), whole);
        if failed.is_empty() {
            return Ok(());
        }
        self.manifest.end = None;
        self.manifest.rewrite()?;
        remove_unlisted(&self.path, &self.manifest)
    }
}

/// How the names of the files in the folders of outputs and of sheets end.
const EXTENSIONS: [&str; 7] = [
    "parquet",
    "safetensors",
    "npy",
    "tsv",
    "failed.tsv",
    "waiting.tsv",
    "remarked.tsv",
];

/// Whether a file in the folder of an output, or of sheets, is called as those that are written there.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(file::UNFINISHED).unwrap_or(name);
    let is_listed =
        |(stem, extension): (&str, &str)| EXTENSIONS.contains(&extension) && is_stem(stem);
    name == INDEX || name.split_once('.').is_some_and(is_listed)
}

/// `00000000`, `copies-00000000`, `00000000-sorted`, `00000000-1of4`: what [`super::stem`] gives, and what sorting and
/// merging add to it.
fn is_stem(stem: &str) -> bool {
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let part = |word: &str| {
        word.split_once("of")
            .is_some_and(|(one, all)| digits(one) && digits(all))
    };
    let mut words = stem.split('-').peekable();
    words.next_if(|word| ["again", "copies", "empty"].contains(word));
    let is_numbered = words
        .next()
        .is_some_and(|word| word.len() >= 8 && digits(word));
    words.next_if_eq(&"sorted");
    words.next_if(|word| part(word));
    is_numbered && words.next().is_none()
}

/// Refuses a directory with files in it that is not the output of a run: they would be mixed with its shards. What file
/// systems and file managers put into every folder is nobody's.
fn refuse_foreign(path: &Path) -> Result<()> {
    if path.join(manifest::NAME).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(Error::file("read", path))? {
        let name = entry.map_err(Error::file("read", path))?.file_name();
        let text = name.to_string_lossy();
        let ours = name == lock::NAME || text.ends_with(file::UNFINISHED);
        if !ours && !text.starts_with('.') && text != "lost+found" {
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

/// Checks that `manifest` is of this run, and drops from it what is damaged, by the checksums of so many bytes that were
/// written last, and the sizes of all; says what that was.
fn resume(
    path: &Path,
    mut manifest: Manifest,
    run: &Run,
    mut unread: u64,
) -> Result<(Manifest, Vec<String>)> {
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
    let mut damage = |file: &FileLine| {
        let read = file.bytes <= unread;
        unread = unread.saturating_sub(file.bytes);
        match read {
            true => file.damage(path),
            false => file.misfit(path),
        }
    };
    let of_all = manifest.end.iter().flatten().filter_map(&mut damage);
    notes.extend(of_all.map(|damage| format!("{damage}; it is written again")));
    let mut whole = Vec::with_capacity(manifest.windows.len());
    for line in manifest.windows.drain(..).rev() {
        let damage = line.files().find_map(&mut damage);
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
        manifest.end = None;
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
    let files = manifest.files().map(|file| path.join(&file.name));
    let listed: HashSet<PathBuf> = files.collect();
    if !manifest.has_ended() {
        for list in [FAILURES, REMARKS] {
            file::remove(&path.join(list))?;
        }
    }
    let outputs = manifest.run.outputs.iter();
    let folders = outputs.map(|output| output.name.as_str()).chain([RECORDS]);
    for folder in folders {
        remove_ours(&path.join(folder), |file| !listed.contains(file))?;
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
