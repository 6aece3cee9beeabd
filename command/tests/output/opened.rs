//! What a directory refuses, and what it says of it.

use std::fs;

use toolpool_command::error::Error;
use toolpool_command::output::{
    Directory, Format, Layout, Run, Unwatched, ValueType, Watch, repair, sort, verify,
};
use toolpool_command::rows::{Outcome, Values};

use crate::folders::{MADE, files, go_on, names, npy, undisturbed, whole};
use crate::made::{fails, run, same_as};

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
fn a_run_goes_on_under_other_names_and_keeps_those_that_it_began_with() {
    let (_folder, directory) = undisturbed(&run());
    let mut moved = run();
    moved.named.model = "/models/made".into();
    moved.named.inputs = vec!["moved/proteins.fasta".into(), "more.fasta".into()];
    go_on(&directory, &moved);
    assert_eq!(&files(&directory), whole(&run()));
}

#[test]
fn a_run_without_rows_has_shards_without_rows_until_there_are_some() {
    for run in [run(), npy()] {
        let folder = tempfile::tempdir().unwrap();
        let open = || Directory::open(folder.path(), &run, false).unwrap();
        assert_eq!(open().finish(&Vec::new(), &mut Unwatched).unwrap().rows, 0);
        let empty = files(folder.path());
        let shards = empty
            .keys()
            .filter(|name| name.contains("/empty-00000000."));
        let sheets = if run.format == Format::Npy { 2 } else { 1 };
        assert_eq!(shards.count(), 3 * sheets, "{:?}", empty.keys());
        assert_eq!(verify(folder.path()).unwrap(), Vec::<String>::new());

        // As it was, also where a shard is lost; and sorted.
        assert!(open().finish(&Vec::new(), &mut Unwatched).is_ok());
        assert_eq!(files(folder.path()), empty);
        let lost = empty.keys().find(|name| name.contains("/empty-")).unwrap();
        fs::remove_file(folder.path().join(lost)).unwrap();
        open().finish(&Vec::new(), &mut Unwatched).unwrap();
        sort(folder.path()).unwrap();
        assert_eq!(files(folder.path()), empty);

        let mut output = open();
        MADE.write_all(&mut output).unwrap();
        output.duplicates(&mut Unwatched).unwrap();
        output
            .finish(&vec![("report.json", b"{}".to_vec())], &mut Unwatched)
            .unwrap();
        assert_eq!(&files(folder.path()), whole(&run));
    }
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
    assert!(refused.starts_with("per_residue of index "), "{refused}");
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

#[test]
fn sorting_keeps_the_count_of_what_became_infinite() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run();
    run.values = ValueType::Float16;
    run.outputs.truncate(1);
    let large = |number, outcome: fn(u64) -> Option<Outcome>| {
        let mut rows = MADE.rows(number, outcome);
        rows.values = Box::new(Large(vec![0.0, 1e9, 0.0, 0.0, 0.0]));
        rows
    };
    // Record 70 is taken for a copy of record 2, and computed after all.
    let seeming = |index| (index == 70).then_some(Outcome::Same(2));
    let again = |index| {
        Some(match index {
            70 => Outcome::Done,
            _ => Outcome::Elsewhere,
        })
    };
    let mut output = Directory::open(folder.path(), &run, false).unwrap();
    for number in 0..MADE.windows() {
        output.write(&large(number, seeming)).unwrap();
    }
    assert_eq!(output.duplicates(&mut Unwatched).unwrap(), [70]);
    let before = output.totals().overflowed;
    output.write(&large(1, again)).unwrap();
    assert_eq!(output.totals().overflowed, before + 1);
    output.sort(&mut Unwatched).unwrap();
    assert_eq!(output.totals().overflowed, before + 1);
}

#[test]
fn sorting_gives_no_new_checksum_to_a_shard_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut output = Directory::open(folder.path(), &run(), false).unwrap();
    MADE.write_all(&mut output).unwrap();
    output.duplicates(&mut Unwatched).unwrap();
    let shard = folder.path().join("mean/00000001.parquet");
    let mut bytes = fs::read(&shard).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&shard, &bytes).unwrap();
    let before = files(folder.path());
    let refused = output.sort(&mut Unwatched).unwrap_err().to_string();
    assert!(refused.contains("mean/00000001.parquet"), "{refused}");
    assert_eq!(files(folder.path()), before);
    drop(output);
    go_on(folder.path(), &run());
    assert_eq!(&files(folder.path()), whole(&run()));
}

#[test]
fn values_that_are_not_finite_are_counted_and_their_records_listed() {
    let finite = [0.0, 1.0, -2.0, 3.0, f32::MAX];
    let folder = tempfile::tempdir().unwrap();
    let mut run = run();
    run.outputs.truncate(1);
    let rows = |number, values: [f32; 5]| {
        let mut rows = MADE.rows(number, |_| None);
        rows.values = Box::new(Large(values.into()));
        rows
    };
    let mut output = Directory::open(folder.path(), &run, false).unwrap();
    for number in 0..MADE.windows() {
        // The first window has them all: what waits for a record of it has them too.
        output
            .write(&rows(
                number,
                if number == 0 {
                    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1.0]
                } else {
                    finite
                },
            ))
            .unwrap();
    }
    output.duplicates(&mut Unwatched).unwrap();
    let with = |index: &u64| same_as(*index).unwrap_or(*index) < MADE.window && !fails(*index);
    let expected: Vec<u64> = (0..MADE.records).filter(with).collect();
    assert!(
        expected.len() as u64 > MADE.window - 4,
        "copies are among them"
    );
    for sorted in [false, true] {
        if sorted {
            output.sort(&mut Unwatched).unwrap();
        }
        assert_eq!(output.totals().not_finite, expected.len() as u64);
    }
    let totals = output.finish(&Vec::new(), &mut Unwatched).unwrap();
    assert_eq!(
        totals.rows,
        (0..MADE.records).filter(|&index| !fails(index)).count() as u64
    );
    let text = fs::read_to_string(folder.path().join("remarks.tsv")).unwrap();
    let lines = text
        .lines()
        .filter(|line| line.ends_with("\tvalues that are not finite: 3 of mean"));
    let listed: Vec<u64> = lines
        .map(|line| line.split('\t').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(listed, expected);
}

struct Large(Vec<f32>);

impl Values for Large {
    fn names(&self) -> Vec<String> {
        vec!["mean".into()]
    }

    fn get(&self, _record: usize, _name: &str) -> (&[usize], &[f32]) {
        (&[5], &self.0)
    }
}

#[test]
fn files_of_others_stay_also_where_a_run_is_deleted() {
    let (_folder, directory) = undisturbed(&run());
    let theirs = [
        "mean/2024-results.parquet",
        "mean/1.parquet",
        "mean/00000000.csv",
        "mean/00000000-mine.parquet",
        "mean/results-00000000.parquet",
        "records/5.tsv",
        "notes.tsv",
    ];
    for name in theirs {
        fs::write(directory.join(name), "the user's").unwrap();
    }
    go_on(&directory, &run());
    let mut other = run();
    other.settings.insert("model".into(), "another".into());
    drop(Directory::open(&directory, &other, true).unwrap());
    let left = names(&directory);
    assert_eq!(
        left,
        theirs
            .into_iter()
            .chain(["manifest.jsonl"])
            .map(String::from)
            .collect()
    );
}

#[test]
fn what_a_file_system_puts_into_a_folder_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::write(folder.path().join(".DS_Store"), "").unwrap();
    go_on(folder.path(), &run());
    assert!(folder.path().join("lost+found").exists() && folder.path().join(".DS_Store").exists());
}

#[test]
fn what_is_made_of_all_windows_is_watched_as_they_are() {
    for name in ["failures.tsv", "remarks.tsv", "per_residue/index.parquet"] {
        let (_folder, directory) = undisturbed(&run());
        let mut bytes = fs::read(directory.join(name)).unwrap();
        bytes[40] ^= 1;
        fs::write(directory.join(name), bytes).unwrap();
        let [damage] = verify(&directory).unwrap().try_into().expect("one line");
        assert!(damage.contains(name), "{damage}");
        let [note] = go_on(&directory, &run()).try_into().expect("one note");
        assert!(
            note.contains(name) && note.contains("written again"),
            "{note}"
        );
        assert_eq!(&files(&directory), whole(&run()));
    }
}

#[test]
fn what_repair_takes_off_the_manifest_is_done_again() {
    let (_folder, directory) = undisturbed(&run());
    let shard = directory.join("mean/00000001.parquet");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[40] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let [note] = repair(&directory).unwrap().try_into().expect("one note");
    assert!(note.contains("mean/00000001.parquet"), "{note}");
    assert!(!shard.exists(), "nobody takes it for whole");
    assert_eq!(verify(&directory).unwrap(), Vec::<String>::new());
    assert_eq!(repair(&directory).unwrap(), Vec::<String>::new());
    assert_eq!(go_on(&directory, &run()), Vec::<String>::new());
    assert_eq!(&files(&directory), whole(&run()));
}

#[test]
fn how_long_the_input_is_stays_known_where_windows_are_done_again() {
    let (_folder, directory) = undisturbed(&run());
    fs::remove_file(directory.join("mean/00000001.parquet")).unwrap();
    for _ in 0..2 {
        let output = Directory::open(&directory, &run(), false).unwrap();
        assert!(!output.has_ended());
        assert_eq!(output.records(), Some(MADE.records));
    }
}

#[test]
fn windows_in_which_records_failed_are_forgotten_on_demand_and_done_again() {
    let (_folder, directory) = undisturbed(&run());
    let mut output = Directory::open(&directory, &run(), false).unwrap();
    output.forget_failed().unwrap();
    assert!(!output.has_ended() && output.totals().failed == 0);
    drop(output);
    go_on(&directory, &run());
    assert_eq!(&files(&directory), whole(&run()));

    // Of a run in which none failed, nothing is.
    let folder = tempfile::tempdir().unwrap();
    let mut output = Directory::open(folder.path(), &run(), false).unwrap();
    output
        .write(&MADE.rows(0, |_| Some(Outcome::Done)))
        .unwrap();
    output.finish(&Vec::new(), &mut Unwatched).unwrap();
    let before = files(folder.path());
    output.forget_failed().unwrap();
    assert!(output.has_ended());
    assert_eq!(files(folder.path()), before);
}

/// Ends what it watches after so many looks.
struct Impatient(usize);

impl Watch for Impatient {
    fn look(&mut self, doing: &'static str, done: usize, of: usize) -> bool {
        assert!(done <= of, "{doing}");
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

#[test]
fn what_takes_long_can_be_ended_at_any_step_and_gone_on_with() {
    type Work = fn(&mut Directory, &mut Impatient) -> Result<(), Error>;
    let works: [Work; 3] = [
        |output, watch| output.duplicates(watch).map(drop),
        |output, watch| {
            output.duplicates(&mut Unwatched)?;
            output.sort(watch)
        },
        |output, watch| {
            output.duplicates(&mut Unwatched)?;
            output.finish(&Vec::new(), watch).map(drop)
        },
    ];
    let (_folder, straight) = undisturbed(&run());
    sort(&straight).unwrap();
    for work in works {
        let folder = tempfile::tempdir().unwrap();
        let mut looks = 0;
        loop {
            let mut output = Directory::open(folder.path(), &run(), false).unwrap();
            MADE.write_all(&mut output).unwrap();
            looks += 1;
            match work(&mut output, &mut Impatient(looks)) {
                Ok(()) => break,
                Err(error) => assert!(matches!(error, Error::Interrupted), "{error}"),
            }
            output.pause(&Vec::new()).unwrap();
            assert!(!output.has_ended());
            let lists = ["failures.tsv", "remarks.tsv"].map(|list| folder.path().join(list));
            assert!(lists.iter().all(|list| list.exists()));
        }
        assert!(looks > 5, "there were steps");
        go_on(folder.path(), &run());
        sort(folder.path()).unwrap();
        assert_eq!(files(folder.path()), files(&straight));
    }
}
