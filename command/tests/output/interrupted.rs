//! Runs that are cut off, and files that are damaged after the fact.

use std::fs;

use proptest::prelude::*;
use toolpool_command::output::{Directory, verify};

use crate::folders::{MADE, files, go_on, npy, restore, undisturbed, whole};
use crate::made::run;

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
fn a_number_that_changed_in_a_line_makes_it_count_as_not_written() {
    let text = String::from_utf8(whole(&run())["manifest.jsonl"].clone()).unwrap();
    let line = text
        .lines()
        .position(|line| line.contains("\"number\":3,"))
        .unwrap();
    for field in [
        "number\":",
        "first\":",
        "count\":",
        "digest\":\"",
        "done\":",
        "failed\":",
        "overflowed\":",
    ] {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let digit = lines[line].find(field).unwrap() + field.len();
        let other = if lines[line][digit..].starts_with('1') {
            "2"
        } else {
            "1"
        };
        lines[line].replace_range(digit..=digit, other);
        let (_folder, directory) = undisturbed(&run());
        fs::write(directory.join("manifest.jsonl"), lines.join("\n") + "\n").unwrap();
        let output = Directory::open(&directory, &run(), false).unwrap();
        let numbers: Vec<_> = output.finished().iter().map(|line| line.number).collect();
        assert_eq!(numbers, [0, 1, 2, 4, 5, 6], "{field}");
        drop(output);
        go_on(&directory, &run());
        assert_eq!(&files(&directory), whole(&run()), "{field}");
    }
}
