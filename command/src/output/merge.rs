//! The directories of the parts of a run, joined to one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{Batch, FileLine};
use super::manifest::{Kind, Manifest, WindowLine};
use super::run::{Part, Run, WINDOW_OF_PARTS};
use super::watch::Unwatched;
use super::{Directory, Summary, Totals, manifest_of};
use crate::error::{Error, Result};

/// A directory that holds a part of a run.
struct Shard {
    path: PathBuf,
    manifest: Manifest,
    part: Part,
}

/// Joins the finished directories of all parts of one run, in any order, into a new one.
///
/// Shards become hard links, or copies where the file system has none across these places; both are read to their ends
/// and compared with their checksums. Nothing is changed in the parts. Refused, with a line for each reason, are
/// parts of different runs or inputs, parts that are missing, given twice, not finished, or damaged. A directory that
/// holds all of these parts already stays as it is, and is made whole where a kill left it without an end, or files of
/// it are damaged. One that holds others is refused, untouched.
///
/// What is known without reading the shards is refused at once; what is returned does the rest.
pub fn merge(parts: &[PathBuf], into: &Path) -> Result<impl FnOnce() -> Result<Totals> + use<>> {
    let mut shards: Vec<Shard> = parts.iter().map(|path| open(path)).collect::<Result<_>>()?;
    shards.sort_by_key(|shard| shard.part.index);
    let Some(first) = shards.first() else {
        return Err(Error::usage(
            "nothing to merge; name the directories of all shards of a run",
        ));
    };
    let problems = problems(&shards, &undivided(&first.manifest.run));
    if !problems.is_empty() {
        return Err(Error::usage(no_whole(&problems)));
    }
    let windows = shards.iter().flat_map(Shard::renamed);
    let windows = join(windows.collect());
    let run = whole(&first.manifest.run);
    if let Some(there) = Manifest::read(into)? {
        must_be_of(&there, &run, &windows, into)?;
    }
    let mut directory = Directory::open(into, &run, false)?;
    Ok(move || match holds(&directory.manifest.windows, &windows) {
        true => directory.finish(&Summary::new(), &mut Unwatched),
        false => directory.adopt(&shards, windows),
    })
}

/// Refuses a directory that holds anything but what these lines of this run are to become.
fn must_be_of(there: &Manifest, run: &Run, windows: &[WindowLine], into: &Path) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::usage(format!(
            "{} holds {what}; choose a new directory, or remove this one",
            into.display()
        )))
    };
    let differences = there.run.differences(run);
    if !differences.is_empty() {
        return refused(&format!("another run ({})", differences.join("; ")));
    }
    match there.windows.is_empty() || holds(&there.windows, windows) {
        true => Ok(()),
        false => refused("other rows already, or not all of these"),
    }
}

/// Whether a directory has the rows of these lines, in whatever order: they are of one run, so that nothing is
/// compared but the input, and how much of it there is.
fn holds(directory: &[WindowLine], lines: &[WindowLine]) -> bool {
    let records = |lines: &[WindowLine]| {
        let records = lines.iter().map(|line| line.done + line.failed);
        records.sum::<u64>()
    };
    cuts(directory) == cuts(lines) && records(directory) == records(lines)
}

impl Directory {
    /// Takes the files of parts, whose lines these are. The manifest is written once, when all else is there: a
    /// directory that was cut off before is one of a run that has nothing yet.
    fn adopt(mut self, shards: &[Shard], windows: Vec<WindowLine>) -> Result<Totals> {
        let path = self.path.clone();
        let mut batch = Batch::new(&path);
        let mut damaged = Vec::new();
        for shard in shards {
            for (line, renamed) in shard.manifest.windows.iter().zip(shard.renamed()) {
                for (file, renamed) in line.files().zip(renamed.files()) {
                    let damage = batch.adopt(&renamed.name, &shard.path, file)?;
                    damaged.extend(damage.map(|damage| shard.repair(&damage)));
                }
            }
        }
        if !damaged.is_empty() {
            return Err(Error::new(no_whole(&damaged)));
        }
        batch.publish()?;
        self.manifest.windows = windows;
        let totals = self.finish(&Summary::new(), &mut Unwatched)?;
        batch.keep();
        Ok(totals)
    }
}

fn open(path: &Path) -> Result<Shard> {
    let mut manifest = manifest_of(path)?;
    manifest.windows.retain(|line| line.kind != Kind::Empty);
    let Some(part) = manifest.run.shard else {
        return Err(Error::usage(format!(
            "{} holds a whole run and needs no merging; name directories that were made with --shard",
            path.display()
        )));
    };
    Ok(Shard {
        path: path.to_owned(),
        manifest,
        part,
    })
}

/// What all parts of a run have alike.
fn undivided(run: &Run) -> Run {
    Run {
        shard: None,
        ..run.clone()
    }
}

/// The run that parts are merged to.
fn whole(run: &Run) -> Run {
    let mut whole = undivided(run);
    whole.settings.remove(WINDOW_OF_PARTS);
    whole
}

fn no_whole(problems: &[String]) -> String {
    format!(
        "these directories do not make a whole:\n  {}",
        problems.join("\n  ")
    )
}

/// Why these are not all parts of one run; nothing where they are.
fn problems(shards: &[Shard], run: &Run) -> Vec<String> {
    let mut problems = Vec::new();
    let first = &shards[0];
    for shard in shards {
        let name = shard.path.display();
        for difference in run.differences(&undivided(&shard.manifest.run)) {
            problems.push(format!(
                "{name} is of another run than {}: {difference}",
                first.path.display()
            ));
        }
        if shard.part.count != first.part.count {
            problems.push(format!(
                "{name} is one of {} parts, not of {}",
                shard.part.count, first.part.count
            ));
        }
        if !shard.manifest.has_ended() {
            problems.push(format!("{name} is not finished; give its command again"));
        }
        let files = shard.manifest.windows.iter().flat_map(WindowLine::files);
        let misfits = files.filter_map(|file| file.misfit(&shard.path));
        problems.extend(misfits.map(|misfit| shard.repair(&misfit)));
    }
    for index in 1..=first.part.count {
        let holders: Vec<_> = shards
            .iter()
            .filter(|shard| shard.part.index == index)
            .collect();
        match holders.as_slice() {
            [] => problems.push(format!("part {index}/{} is missing", first.part.count)),
            [_] => {}
            [one, other, ..] => problems.push(format!(
                "part {index}/{} is there twice: {} and {}",
                first.part.count,
                one.path.display(),
                other.path.display()
            )),
        }
    }
    if problems.is_empty() {
        problems.extend(shards.iter().filter_map(|shard| other_input(first, shard)));
    }
    if problems.is_empty() {
        problems.extend(incomplete(shards));
    }
    problems
}

/// What the windows of two parts say of their inputs, where that differs.
fn other_input(first: &Shard, shard: &Shard) -> Option<String> {
    let (ours, theirs) = (cuts(&first.manifest.windows), cuts(&shard.manifest.windows));
    let window =
        (0..ours.len().max(theirs.len())).find(|&window| ours.get(window) != theirs.get(window))?;
    let from = ours
        .get(window)
        .or(theirs.get(window))
        .map_or(0, |cut| cut.0);
    Some(format!(
        "{} had another input than {}, from index {from} on; use the same files for all parts",
        shard.path.display(),
        first.path.display()
    ))
}

/// How lines cut the input, and its digests.
fn cuts(lines: &[WindowLine]) -> Vec<(u64, u64, u128)> {
    let windows = lines.iter().filter(|line| line.kind == Kind::Window);
    windows
        .map(|line| (line.first, line.count, line.digest))
        .collect()
}

/// Records that no part has, or several have.
fn incomplete(shards: &[Shard]) -> Vec<String> {
    let mut held: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for line in shards
        .iter()
        .flat_map(|shard| &shard.manifest.windows)
        .filter(|line| line.kind == Kind::Window)
    {
        let (_, records) = held.entry(line.number).or_insert((line.count, 0));
        *records += line.done + line.failed + line.same;
    }
    held.into_iter()
        .filter(|(_, (count, records))| count != records)
        .map(|(number, (count, records))| {
            format!("window {number} has {count} records, the parts together have {records}")
        })
        .collect()
}

/// `mean/00000000.parquet` as `mean/00000000-1of4.parquet`.
fn renamed(name: &str, Part { index, count }: Part) -> String {
    let begin = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[begin..]
        .find('.')
        .map_or(name.len(), |dot| begin + dot);
    format!("{}-{index}of{count}{}", &name[..dot], &name[dot..])
}

/// Lines of parts as lines of the whole: windows of one number become one, others are numbered anew.
fn join(lines: Vec<WindowLine>) -> Vec<WindowLine> {
    let mut joined: BTreeMap<(Kind, u64), WindowLine> = BTreeMap::new();
    let mut others = 0;
    for mut line in lines {
        if line.kind != Kind::Window {
            line.number = others;
            others += 1;
        }
        let key = (line.kind, line.number);
        match joined.get_mut(&key) {
            None => drop(joined.insert(key, line)),
            Some(whole) => {
                whole.done += line.done;
                whole.failed += line.failed;
                whole.same += line.same;
                whole.shards.extend(line.shards);
                whole.failures.extend(line.failures);
                whole.waiting.extend(line.waiting);
                whole.remarked += line.remarked;
                whole.not_finite += line.not_finite;
                whole.remarks.extend(line.remarks);
            }
        }
    }
    joined.into_values().collect()
}

impl Shard {
    /// Its lines, their files under the names that they get in the whole.
    fn renamed(&self) -> impl Iterator<Item = WindowLine> {
        self.manifest.windows.iter().map(|line| {
            let mut line = line.clone();
            for file in line.files_mut() {
                file.name = renamed(&file.name, self.part);
            }
            line
        })
    }

    /// What is wrong with a file of it, and how to mend that.
    fn repair(&self, damage: &str) -> String {
        let place = self.path.display();
        format!(
            "{place}: {damage}; `toolpool verify --repair {place}` takes it off the manifest, and the command of this \
             part, given again, does it again"
        )
    }
}

impl Batch<'_> {
    /// Takes a file of another directory, by a link or a copy, and reads all of it; what is wrong with it.
    fn adopt(&mut self, name: &str, directory: &Path, line: &FileLine) -> Result<Option<String>> {
        let from = directory.join(&line.name);
        if self.link(name, &from, line) {
            return Ok(line.damage(directory));
        }
        let (copied, _) = self.write(name, |draft| {
            let mut file = File::open(&from).map_err(Error::file("read", &from))?;
            io::copy(&mut file, draft).map_err(Error::file("copy", &from))
        })?;
        Ok((copied.xxh3 != line.xxh3).then(|| line.differs()))
    }
}
