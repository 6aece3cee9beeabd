//! Sorted directories, and those of parts of a run.

use std::fs;
use std::path::{Path, PathBuf};

use toolpool_command::error::Result;
use toolpool_command::output::{
    Directory, Part, Run, Totals, Unwatched, WINDOW_OF_PARTS, merge, repair, sort, verify,
};
use toolpool_command::rows::Outcome;

use crate::folders::{Disk, MADE, files, go_on, names, restore, shards, undisturbed};
use crate::made::{run, same_as};

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

/// Of a run in three parts, in which part `index` has the records whose sequence's first record is `index - 1` modulo
/// 3.
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
        if !output.finished().iter().any(|line| line.number == number) {
            output.write(&MADE.rows(number, elsewhere)).unwrap();
        }
    }
    assert_eq!(
        output.duplicates(&mut Unwatched).unwrap(),
        Vec::<u64>::new()
    );
    output.finish(&Vec::new(), &mut Unwatched).unwrap();
    directory
}

#[test]
fn parts_are_joined_to_what_one_run_makes() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [3, 1, 2].map(|index| part(folder.path(), index));
    let before = parts.each_ref().map(|part| files(part));
    let merged = folder.path().join("merged");
    let totals = joined(&parts, &merged).unwrap();
    assert_eq!(totals.rows + totals.failed, MADE.records);
    assert_eq!(verify(&merged).unwrap(), Vec::<String>::new());
    assert_eq!(parts.each_ref().map(|part| files(part)), before);

    sort(&merged).unwrap();
    let (_folder, whole) = undisturbed(&run());
    sort(&whole).unwrap();
    assert_eq!(shards(&merged), shards(&whole));
    for list in ["failures.tsv", "remarks.tsv"] {
        let (merged, whole) = (&files(&merged)[list], &files(&whole)[list]);
        assert_eq!(merged, whole);
        assert!(
            whole
                .trim_ascii_end()
                .split(|&byte| byte == b'\n')
                .is_sorted_by_key(index)
        );
    }
    assert_eq!(parts.each_ref().map(|part| files(part)), before);
}

/// The index of a line of a list; of the line of names, 0.
fn index(line: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(line);
    text.split('\t')
        .next()
        .and_then(|index| index.parse().ok())
        .unwrap_or(0)
}

#[test]
fn parts_without_rows_are_joined_to_a_whole_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2].map(|index| {
        let directory = folder.path().join(format!("part{index}"));
        let shard = Some(Part { index, count: 2 });
        let mut output = Directory::open(&directory, &Run { shard, ..run() }, false).unwrap();
        output.finish(&Vec::new(), &mut Unwatched).unwrap();
        directory
    });
    let merged = folder.path().join("merged");
    for _ in 0..2 {
        joined(&parts, &merged).unwrap();
        assert_eq!(shards(&merged), shards(&parts[0]));
    }
}

#[test]
fn a_merged_directory_that_is_damaged_is_repaired_by_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2, 3].map(|index| part(folder.path(), index));
    let merged = folder.path().join("merged");
    joined(&parts, &merged).unwrap();
    let merged_files = files(&merged);
    let (_folder, straight) = undisturbed(&run());
    sort(&straight).unwrap();
    for name in [
        "mean/copies-00000000-1of3.parquet",
        "contacts/00000004-3of3.safetensors",
    ] {
        let mut damaged = merged_files.clone();
        damaged.get_mut(name).unwrap().pop();
        restore(&merged, &damaged);
        go_on(&merged, &run());
        sort(&merged).unwrap();
        assert_eq!(shards(&merged), shards(&straight), "{name}");
    }
}

fn joined(parts: &[PathBuf], into: &Path) -> Result<Totals> {
    merge(parts, into)?()
}

#[test]
fn parts_are_copied_to_another_disk_unless_they_are_damaged() {
    let Some(disk) = Disk::new(16 << 10) else {
        eprintln!("SKIPPED: only root can mount a small disk");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2, 3].map(|index| part(folder.path(), index));
    let merged = disk.path().join("merged");
    joined(&parts, &merged).unwrap();
    let linked = folder.path().join("merged");
    joined(&parts, &linked).unwrap();
    assert_eq!(files(&merged), files(&linked));

    refuses_a_damaged_shard(&parts, &disk.path().join("again"));
}

#[test]
fn a_part_whose_shard_is_damaged_is_refused_before_the_whole_says_that_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2, 3].map(|index| part(folder.path(), index));
    let merged = folder.path().join("merged");
    refuses_a_damaged_shard(&parts, &merged);

    // What the refusal says to do.
    let [repaired] = repair(&parts[1]).unwrap().try_into().expect("one note");
    assert!(repaired.contains(DAMAGED), "{repaired}");
    part(folder.path(), 2);
    joined(&parts, &merged).unwrap();
    assert_eq!(verify(&merged).unwrap(), Vec::<String>::new());
}

const DAMAGED: &str = "contacts/00000002.safetensors";

/// Flips a bit of a part's shard, whose size stays, and merges.
fn refuses_a_damaged_shard(parts: &[PathBuf], merged: &Path) {
    let damaged = parts[1].join(DAMAGED);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[77] ^= 1;
    fs::remove_file(&damaged).unwrap(); // not through a link
    fs::write(&damaged, bytes).unwrap();
    let refused = joined(parts, merged).unwrap_err().to_string();
    for words in [
        "part2: ",
        DAMAGED,
        "does not have the checksum",
        "verify --repair",
    ] {
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(names(merged), ["manifest.jsonl".to_owned()].into());
}

#[test]
fn what_is_missing_for_a_whole_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2, 3].map(|index| part(folder.path(), index));
    let merged = folder.path().join("merged");
    let refused = |parts: &[PathBuf]| joined(parts, &merged).unwrap_err().to_string();
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
fn a_merge_into_a_directory_that_holds_something_else_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2, 3].map(|index| part(folder.path(), index));
    let one_of_them = folder.path().join("copy");
    restore(&one_of_them, &files(&parts[0]));
    let other = folder.path().join("other");
    let mut output = Directory::open(&other, &run(), false).unwrap();
    MADE.write(&mut output, 0).unwrap();
    output.finish(&Vec::new(), &mut Unwatched).unwrap();
    drop(output);
    for (target, said) in [
        (&one_of_them, "another run (shard: 1/3 there, not set now)"),
        (&other, "other rows already, or not all of these"),
    ] {
        // Its own run would remove this, and do it again.
        fs::write(target.join("mean/00000000.parquet"), "damaged").unwrap();
        let before = files(target);
        let refused = joined(&parts, target).unwrap_err().to_string();
        assert!(
            refused.contains(said) && !refused.contains("--force"),
            "{refused}"
        );
        assert_eq!(files(target), before);
    }
}

#[test]
fn a_merged_directory_that_is_damaged_is_merged_anew() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [1, 2, 3].map(|index| part(folder.path(), index));
    let merged = folder.path().join("merged");
    joined(&parts, &merged).unwrap();
    let whole = files(&merged);
    fs::remove_file(merged.join("contacts/00000002-2of3.safetensors")).unwrap();
    joined(&parts, &merged).unwrap();
    assert_eq!(files(&merged), whole);
}

#[test]
fn the_window_of_parts_is_no_setting_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let dealt = |index| {
        let mut run = run();
        run.settings.insert(WINDOW_OF_PARTS.into(), "64".into());
        run.shard = Some(Part { index, count: 2 });
        let directory = folder.path().join(format!("part{index}"));
        let mut output = Directory::open(&directory, &run, false).unwrap();
        output.finish(&Vec::new(), &mut Unwatched).unwrap();
        directory
    };
    let parts = [1, 2].map(dealt);
    let merged = folder.path().join("merged");
    joined(&parts, &merged).unwrap();
    assert!(Directory::open(&merged, &run(), false).is_ok());
}
