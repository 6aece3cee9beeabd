//! Output directories: what they promise when runs are cut off, disks are full, files are damaged, and parts are joined.
//!
//! What the files say is judged by other readers, in tests/command/test_output.py; here, that they are the same bytes as
//! those of a run that nothing happened to.

mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use made::{Made, fails, run, same_as};
use proptest::prelude::*;
use toolpool_command::error::Error;
use toolpool_command::output::{
    Directory, Format, Layout, Part, Run, ValueType, merge, sort, verify,
};
use toolpool_command::rows::Outcome;

const MADE: Made = Made {
    records: 400,
    window: 64,
};

type Files = BTreeMap<String, Vec<u8>>;

/// Every file below a directory but the lock, by name.
fn files(directory: &Path) -> Files {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(directory)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found.remove("lock");
    found
}

fn names(directory: &Path) -> BTreeSet<String> {
    files(directory).into_keys().collect()
}

/// Does what is missing of a run in a directory.
fn go_on(directory: &Path, run: &Run) -> Vec<String> {
    let mut output = Directory::open(directory, run, false).unwrap();
    let notes = output.notes().to_vec();
    MADE.write_all(&mut output).unwrap();
    assert_eq!(output.duplicates().unwrap(), Vec::<u64>::new());
    let totals = output
        .finish(&vec![("report.json", b"{}".to_vec())])
        .unwrap();
    assert_eq!(
        totals.failed,
        (0..MADE.records).filter(|&index| fails(index)).count() as u64
    );
    assert_eq!(totals.rows + totals.failed, MADE.records);
    notes
}

/// The files of an undisturbed run.
fn whole(run: &Run) -> &'static Files {
    static MADE: Mutex<Vec<(Run, &Files)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap();
    if let Some((_, files)) = made.iter().find(|(made, _)| made == run) {
        return files;
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(go_on(folder.path(), run).is_empty());
    let files: &_ = Box::leak(Box::new(files(folder.path())));
    made.push((run.clone(), files));
    files
}

/// The directory of an undisturbed run.
fn undisturbed(run: &Run) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("out");
    restore(&directory, whole(run));
    (folder, directory)
}

/// Puts files where a directory is to be.
fn restore(directory: &Path, files: &Files) {
    if directory.exists() {
        fs::remove_dir_all(directory).unwrap();
    }
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn npy() -> Run {
    Run {
        format: Format::Npy,
        values: ValueType::Float16,
        ..run()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_manifest_that_is_cut_off_anywhere_is_gone_on_with(cut in any::<prop::sample::Index>(), as_npy in any::<bool>()) {
        let run = if as_npy { npy() } else { run() };
        let whole = whole(&run);
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("out");
        let mut cut_off = whole.clone();
        let manifest = cut_off.get_mut("manifest.jsonl").unwrap();
        let head = manifest.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        manifest.truncate(head + cut.index(manifest.len() - head + 1));
        restore(&directory, &cut_off);
        go_on(&directory, &run);
        prop_assert_eq!(&files(&directory), whole);
    }

    #[test]
    fn a_damaged_file_is_found_and_done_again(
        file in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        truncated in any::<bool>(),
        as_npy in any::<bool>(),
    ) {
        let run = if as_npy { npy() } else { run() };
        let whole = whole(&run);
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("out");
        let shards: Vec<_> = whole.keys().filter(|name| name.contains('/') && !name.ends_with("index.parquet")).collect();
        let name = *file.get(&shards);
        let mut damaged = whole.clone();
        let bytes = damaged.get_mut(name).unwrap();
        let place = place.index(bytes.len());
        if truncated {
            bytes.truncate(place);
        } else {
            bytes[place] ^= 0x10;
        }
        restore(&directory, &damaged);
        prop_assert_eq!(verify(&directory).unwrap().len(), 1);
        let notes = go_on(&directory, &run);
        prop_assert_eq!(notes.len(), 1);
        prop_assert!(notes[0].contains(name.as_str()), "{:?} does not name {}", notes, name);
        prop_assert_eq!(verify(&directory).unwrap(), Vec::<String>::new());
        prop_assert_eq!(&files(&directory), whole);
    }

    #[test]
    fn a_damaged_line_of_the_manifest_is_not_believed(place in any::<prop::sample::Index>(), bit in 0..8) {
        let whole = whole(&run());
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("out");
        let mut damaged = whole.clone();
        let manifest = damaged.get_mut("manifest.jsonl").unwrap();
        let place = place.index(manifest.len());
        let in_head = place < manifest.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        manifest[place] ^= 1_u8 << bit;
        restore(&directory, &damaged);
        if in_head {
            let refused = Directory::open(&directory, &run(), false).err().unwrap().to_string();
            prop_assert!(refused.contains("manifest.jsonl") && refused.contains("--force"), "{}", refused);
            drop(Directory::open(&directory, &run(), true).unwrap());
        }
        go_on(&directory, &run());
        prop_assert_eq!(&files(&directory), whole);
    }
}

#[test]
fn windows_may_end_in_any_order_and_gaps_are_filled() {
    let folder = tempfile::tempdir().unwrap();
    let mut output = Directory::open(folder.path(), &run(), false).unwrap();
    for number in [5, 2, 3] {
        MADE.write(&mut output, number).unwrap();
    }
    drop(output);
    let output = Directory::open(folder.path(), &run(), false).unwrap();
    let finished: Vec<_> = output
        .finished()
        .iter()
        .map(|line| (line.number, line.first, line.count))
        .collect();
    assert_eq!(finished, [(2, 128, 64), (3, 192, 64), (5, 320, 64)]);
    drop(output);
    go_on(folder.path(), &run());
    assert_eq!(&files(folder.path()), whole(&run()));
}

#[test]
fn what_was_being_written_when_a_run_was_cut_off_is_removed() {
    let (_folder, directory) = undisturbed(&run());
    for name in [
        "mean/00000007.parquet",
        "mean/00000003.parquet.part",
        "records/00000099.failed.tsv",
        "contacts/copies-00000004.safetensors",
    ] {
        fs::write(directory.join(name), "half of it").unwrap();
    }
    fs::write(directory.join("mean/notes.txt"), "the user's").unwrap();
    go_on(&directory, &run());
    assert_eq!(
        fs::read(directory.join("mean/notes.txt")).unwrap(),
        b"the user's"
    );
    fs::remove_file(directory.join("mean/notes.txt")).unwrap();
    assert_eq!(&files(&directory), whole(&run()));
}

#[test]
fn another_run_is_refused_with_what_differs_and_force_starts_anew() {
    let (_folder, directory) = undisturbed(&run());
    let mut other = run();
    other.values = ValueType::Float16;
    other.settings.insert("model".into(), "another".into());
    other.settings.insert("on_long".into(), "truncate".into());
    let before = files(&directory);
    let Err(refused @ Error::Usage(_)) = Directory::open(&directory, &other, false) else {
        panic!("not refused as a matter of usage");
    };
    let refused = refused.to_string();
    for line in [
        "model: made there, another now",
        "on_long: not set there, truncate now",
        "values: float32 there, float16 now",
    ] {
        assert!(
            refused.lines().any(|found| found.trim() == line),
            "{refused}"
        );
    }
    assert_eq!(refused.lines().count(), 4, "{refused}");
    assert_eq!(files(&directory), before);

    fs::write(directory.join("notes.txt"), "the user's").unwrap();
    other.outputs.truncate(1);
    drop(Directory::open(&directory, &other, true).unwrap());
    assert_eq!(
        names(&directory),
        ["manifest.jsonl", "notes.txt"].map(String::from).into()
    );
    assert!(!directory.join("contacts").exists());
}

#[test]
fn a_directory_of_others_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "").unwrap();
    for force in [false, true] {
        let refused = Directory::open(folder.path(), &run(), force)
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.contains("thesis.tex") && refused.contains("empty directory"),
            "{refused}"
        );
        assert_eq!(names(folder.path()), ["thesis.tex".to_owned()].into());
    }
}

#[test]
fn outputs_that_cannot_be_folders_are_refused() {
    for name in ["", "../up", "a/b", ".hidden", "records", "mean"] {
        let mut run = run();
        run.outputs[1].name = name.into();
        let folder = tempfile::tempdir().unwrap();
        assert!(
            matches!(
                Directory::open(&folder.path().join("out"), &run, false),
                Err(Error::Usage(_))
            ),
            "{name}"
        );
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
fn an_output_of_another_shape_is_an_error_that_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run();
    run.outputs[1].layout = Layout::Row;
    let mut output = Directory::open(folder.path(), &run, false).unwrap();
    let before = names(folder.path());
    let refused = MADE.write(&mut output, 0).unwrap_err().to_string();
    assert!(refused.starts_with("per_residue of record "), "{refused}");
    assert_eq!(names(folder.path()), before);
    run.outputs[1].layout = Layout::Matrix;
}

#[test]
fn values_that_16_bits_do_not_hold_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run {
        values: ValueType::Float16,
        ..run()
    };
    let rows = || {
        let mut rows = MADE.rows(0, |_| None);
        rows.values = Box::new(Large(vec![65503.9, -65520.0, 1e9, f32::INFINITY, f32::NAN]));
        rows
    };
    let one = Run {
        outputs: run.outputs[..1].to_vec(),
        ..run
    };
    let mut output = Directory::open(folder.path(), &one, false).unwrap();
    let done = rows()
        .outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Done)
        .count() as u64;
    assert_eq!(output.write(&rows()).unwrap().overflowed, 2 * done);
    drop(output);
    assert_eq!(
        Directory::open(folder.path(), &one, false)
            .unwrap()
            .totals()
            .overflowed,
        2 * done
    );
}

struct Large(Vec<f32>);

impl toolpool_command::rows::Values for Large {
    fn names(&self) -> Vec<String> {
        vec!["mean".into()]
    }

    fn get(&self, _record: usize, _name: &str) -> (&[usize], &[f32]) {
        (&[5], &self.0)
    }
}

#[test]
fn records_that_only_seemed_the_same_are_given_back_and_written_again() {
    let folder = tempfile::tempdir().unwrap();
    // Records 70 and 305 differ from the earlier ones that they are taken for; 302 is taken for one that failed.
    let seeming = |index| match index {
        70 => Some(Outcome::Same(2)),
        305 => Some(Outcome::Same(150)),
        302 => Some(Outcome::Same(47)),
        _ => None,
    };
    let expected = vec![70, 302, 305];
    for _ in 0..2 {
        let mut output = Directory::open(folder.path(), &run(), false).unwrap();
        for number in 0..MADE.windows() {
            if !output.finished().iter().any(|line| line.number == number) {
                output.write(&MADE.rows(number, seeming)).unwrap();
            }
        }
        assert_eq!(output.duplicates().unwrap(), expected);
    }
    let mut output = Directory::open(folder.path(), &run(), false).unwrap();
    let again = |index| {
        Some(if expected.contains(&index) {
            Outcome::Done
        } else {
            Outcome::Elsewhere
        })
    };
    output.write(&MADE.rows(1, again)).unwrap();
    assert_eq!(output.duplicates().unwrap(), [302, 305]);
    output.write(&MADE.rows(4, again)).unwrap();
    assert_eq!(output.duplicates().unwrap(), Vec::<u64>::new());
    output.sort().unwrap();
    output.finish(&Vec::new()).unwrap();

    // In order, no trace of it is left.
    let (_folder, straight) = undisturbed(&run());
    sort(&straight).unwrap();
    assert_eq!(shards(folder.path()), shards(&straight));
}

/// The shards of a directory, whatever they are called.
fn shards(directory: &Path) -> Vec<Vec<u8>> {
    let found = files(directory)
        .into_iter()
        .filter(|(name, _)| name.contains('/') && !name.contains("index.parquet"));
    found
        .filter(|(name, _)| !name.starts_with("records/"))
        .map(|(_, bytes)| bytes)
        .collect()
}

#[test]
fn a_sorted_directory_has_every_record_once_and_is_repaired_like_any_other() {
    let (_folder, directory) = undisturbed(&run());
    sort(&directory).unwrap();
    let sorted = files(&directory);
    assert!(
        sorted.keys().all(|name| !name.contains("copies")),
        "{:?}",
        sorted.keys()
    );
    sort(&directory).unwrap();
    assert_eq!(files(&directory), sorted);

    let mut damaged = sorted.clone();
    damaged
        .get_mut("per_residue/00000003-sorted.safetensors")
        .unwrap()[99] ^= 1;
    restore(&directory, &damaged);
    go_on(&directory, &run());
    sort(&directory).unwrap();
    assert_eq!(files(&directory), sorted);
}

/// Of a run in three parts, in which part `index` has the records whose sequence's first record is `index - 1` modulo 3.
fn part(folder: &Path, index: u32) -> PathBuf {
    let directory = folder.join(format!("part{index}"));
    let run = Run {
        shard: Some(Part { index, count: 3 }),
        ..run()
    };
    let mut output = Directory::open(&directory, &run, false).unwrap();
    let elsewhere = |record| {
        let first = same_as(record).unwrap_or(record);
        (first % 3 + 1 != u64::from(index)).then_some(Outcome::Elsewhere)
    };
    for number in 0..MADE.windows() {
        output.write(&MADE.rows(number, elsewhere)).unwrap();
    }
    assert_eq!(output.duplicates().unwrap(), Vec::<u64>::new());
    output.finish(&Vec::new()).unwrap();
    directory
}

#[test]
fn parts_are_joined_to_what_one_run_makes() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [3, 1, 2].map(|index| part(folder.path(), index));
    let before = parts.each_ref().map(|part| files(part));
    let merged = folder.path().join("merged");
    let totals = merge(&parts, &merged).unwrap();
    assert_eq!(totals.rows + totals.failed, MADE.records);
    assert_eq!(verify(&merged).unwrap(), Vec::<String>::new());
    assert_eq!(parts.each_ref().map(|part| files(part)), before);

    sort(&merged).unwrap();
    let (_folder, whole) = undisturbed(&run());
    sort(&whole).unwrap();
    assert_eq!(shards(&merged), shards(&whole));
    assert_eq!(
        files(&merged)["failures.tsv"],
        files(&whole)["failures.tsv"]
    );
    assert_eq!(parts.each_ref().map(|part| files(part)), before);
}

#[test]
fn what_is_missing_for_a_whole_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2, 3].map(|index| part(folder.path(), index));
    let merged = folder.path().join("merged");
    let refused = |parts: &[PathBuf]| merge(parts, &merged).unwrap_err().to_string();
    let [one, two, three] = parts.clone();
    assert!(refused(&[one.clone(), three.clone()]).contains("part 2/3 is missing"));
    assert!(
        refused(&[one.clone(), one.clone(), two.clone(), three.clone()])
            .contains("part 1/3 is there twice")
    );
    fs::remove_file(three.join("mean/00000001.parquet")).unwrap();
    assert!(refused(&parts).contains("mean/00000001.parquet"));
    let manifest = fs::read(two.join("manifest.jsonl")).unwrap();
    fs::write(two.join("manifest.jsonl"), &manifest[..manifest.len() - 5]).unwrap();
    assert!(refused(&parts).contains("part2 is not finished"));
    assert!(!merged.exists());
}

#[test]
fn only_one_process_has_a_directory_and_a_killed_one_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = child("hold", folder.path(), None);
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("held") {
        said.clear();
        assert!(lines.read_line(&mut said).unwrap() > 0, "the child ended");
    }
    let refused = Directory::open(folder.path(), &run(), true)
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains(&format!("process {} on ", child.id())),
        "{refused}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    go_on(folder.path(), &run());
}

#[test]
fn a_limit_of_file_sizes_stops_a_run_cleanly_and_it_goes_on_without() {
    let sizes = whole(&run());
    let largest = sizes.values().map(Vec::len).max().unwrap();
    for kilobytes in (1..largest.div_ceil(1024)).step_by(3) {
        let folder = tempfile::tempdir().unwrap();
        let ended = child("full", folder.path(), Some(kilobytes))
            .wait()
            .unwrap();
        assert!(ended.success(), "with {kilobytes} KiB");
        go_on(folder.path(), &run());
        assert_eq!(&files(folder.path()), sizes);
    }
}

#[test]
fn a_full_disk_stops_a_run_cleanly_and_it_goes_on_when_there_is_space() {
    let sizes = whole(&run());
    for kilobytes in [40, 120, 200, 280] {
        let Some(disk) = Disk::new(kilobytes) else {
            eprintln!("SKIPPED: only root can mount a small disk");
            return;
        };
        let directory = disk.path().join("out");
        run_until_full(&directory);
        disk.remount("size=16m");
        go_on(&directory, &run());
        assert_eq!(&files(&directory), sizes, "after {kilobytes} KiB");
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_refused_at_once() {
    let Some(disk) = Disk::new(4096) else {
        eprintln!("SKIPPED: only root can mount a small disk");
        return;
    };
    let directory = disk.path().join("out");
    go_on(&directory, &run());
    disk.remount("ro");
    for directory in [&directory, &disk.path().join("new")] {
        let refused = Directory::open(directory, &run(), false)
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.contains("cannot create") && refused.contains("choose another place"),
            "{refused}"
        );
    }
}

/// Writes until there is no space; what there is then, is whole windows.
fn run_until_full(directory: &Path) {
    let full = || -> Result<(), Error> {
        let mut output = Directory::open(directory, &run(), false)?;
        MADE.write_all(&mut output)?;
        output.duplicates()?;
        output
            .finish(&vec![("report.json", b"{}".to_vec())])
            .map(drop)
    };
    let error = full().expect_err("all of it fits");
    assert!(
        error.is_full() && error.to_string().contains("make space"),
        "{error}"
    );
    let left = if directory.exists() {
        names(directory)
    } else {
        BTreeSet::new()
    };
    assert!(left.iter().all(|name| !name.ends_with(".part")), "{left:?}");
    if left.contains("manifest.jsonl") {
        assert_eq!(verify(directory).unwrap(), Vec::<String>::new());
    }
}

/// A file system of some size.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(kilobytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, option: &str) {
        let remounted = Command::new("mount")
            .args(["-o", &format!("remount,{option}")])
            .arg(self.path())
            .status();
        assert!(remounted.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

const ROLE: &str = "TOOLPOOL_TEST_ROLE";
const PLACE: &str = "TOOLPOOL_TEST_PLACE";

/// This program as another process, in a role; with a limit on the size of files, which is then an error and no signal.
fn child(role: &str, directory: &Path, limit: Option<usize>) -> Child {
    let shell = match limit {
        Some(kilobytes) => format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\""),
        None => "exec \"$0\" \"$@\"".into(),
    };
    Command::new("bash")
        .args(["-c", &shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_role", "--nocapture"])
        .env(ROLE, role)
        .env(PLACE, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn in_a_role() {
    let (Ok(role), Some(directory)) = (std::env::var(ROLE), std::env::var_os(PLACE)) else {
        return;
    };
    let directory = PathBuf::from(directory);
    if role == "full" {
        return run_until_full(&directory);
    }
    let _held = Directory::open(&directory, &run(), false).unwrap();
    println!("held");
    loop {
        std::thread::park();
    }
}
