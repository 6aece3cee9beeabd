//! Records whose sequence an earlier one has.

use std::fs::{self, File};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use safetensors::SafeTensors;
use toolpool_command::output::{Directory, Unwatched, sort};
use toolpool_command::rows::{Outcome, Rows, Values};
use toolpool_command::window::Window;

use crate::folders::{MADE, files, go_on, names, shards, undisturbed};
use crate::made::run;

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
        assert_eq!(output.duplicates(&mut Unwatched).unwrap(), expected);
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
    assert_eq!(output.duplicates(&mut Unwatched).unwrap(), [302, 305]);
    output.write(&MADE.rows(4, again)).unwrap();
    assert_eq!(
        output.duplicates(&mut Unwatched).unwrap(),
        Vec::<u64>::new()
    );
    output.sort(&mut Unwatched).unwrap();
    output.finish(&Vec::new(), &mut Unwatched).unwrap();

    // In order, no trace of it is left.
    let (_folder, straight) = undisturbed(&run());
    sort(&straight).unwrap();
    assert_eq!(shards(folder.path()), shards(&straight));
}

/// Rows that do not fit into one row group, nor into one write.
struct Wide;

impl Wide {
    const OUTPUTS: [(&str, &[usize]); 2] = [("mean", &[40_000]), ("contacts", &[300, 300])];

    fn values(record: u64, count: usize) -> Vec<f32> {
        (0..count)
            .map(|value| ((record as usize * 7919 + value) % 100_003) as f32)
            .collect()
    }

    /// Of the records from `first`, whose sources are these where they are the same as others.
    fn rows(number: u64, first: u64, sources: &[Option<u64>]) -> Rows {
        let mut window = Window {
            number,
            first,
            ..Window::default()
        };
        for (position, source) in sources.iter().enumerate() {
            window.ids.push(b"wide");
            window
                .sequences
                .push(format!("{}", source.unwrap_or(first + position as u64)).as_bytes());
        }
        let computed = |(_, shape): (_, &[usize])| -> Vec<Vec<f32>> {
            let count = shape.iter().product();
            (0..sources.len() as u64)
                .map(|record| Self::values(first + record, count))
                .collect()
        };
        Rows {
            window,
            digest: 0,
            outcomes: sources
                .iter()
                .map(|source| source.map_or(Outcome::Done, Outcome::Same))
                .collect(),
            remarks: Vec::new(),
            values: Box::new(WideValues(Self::OUTPUTS.map(computed))),
        }
    }
}

struct WideValues([Vec<Vec<f32>>; 2]);

impl Values for WideValues {
    fn names(&self) -> Vec<String> {
        Wide::OUTPUTS.map(|(name, _)| name.to_owned()).into()
    }

    fn get(&self, record: usize, name: &str) -> (&[usize], &[f32]) {
        let output = Wide::OUTPUTS
            .iter()
            .position(|(output, _)| *output == name)
            .unwrap();
        (Wide::OUTPUTS[output].1, &self.0[output][record])
    }
}

#[test]
fn copies_of_large_rows_have_their_values() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run();
    run.outputs.remove(1);
    let mut output = Directory::open(folder.path(), &run, false).unwrap();
    output.write(&Wide::rows(0, 0, &[None; 128])).unwrap();
    let sources: Vec<_> = (0..40)
        .map(|record| (record % 4 != 0).then_some(record * 37 % 128))
        .collect();
    output.write(&Wide::rows(1, 128, &sources)).unwrap();
    assert_eq!(
        output.duplicates(&mut Unwatched).unwrap(),
        Vec::<u64>::new()
    );
    let expected: Vec<(u64, u64)> = (0..128)
        .map(|record| (record, record))
        .chain(
            (128..)
                .zip(&sources)
                .map(|(record, source)| (record, source.unwrap_or(record))),
        )
        .collect();
    let mut unsorted = read_wide(folder.path());
    unsorted.sort();
    assert_eq!(unsorted, expected);
    output.sort(&mut Unwatched).unwrap();
    assert_eq!(read_wide(folder.path()), expected);
}

/// Of each row in the order of shards, the record that it is of, and the record whose values it has.
fn read_wide(directory: &Path) -> Vec<(u64, u64)> {
    let whose = |values: &[f32]| {
        let record = (0..168)
            .find(|&record| Wide::values(record, 1) == values[..1])
            .expect("a value of a record");
        assert!(
            Wide::values(record, values.len()) == values,
            "not all are of record {record}"
        );
        record
    };
    let mut rows = Vec::new();
    let mut tensors = Vec::new();
    for (name, bytes) in files(directory) {
        if name.starts_with("mean/") {
            let table = File::open(directory.join(&name)).unwrap();
            let batches = ParquetRecordBatchReaderBuilder::try_new(table)
                .unwrap()
                .build()
                .unwrap();
            for batch in batches.map(Result::unwrap) {
                let index = batch
                    .column(0)
                    .as_primitive::<UInt64Type>()
                    .values()
                    .to_vec();
                let lists = batch.column(4).as_fixed_size_list();
                let values = |row| whose(lists.value(row).as_primitive::<Float32Type>().values());
                rows.extend(
                    index
                        .iter()
                        .enumerate()
                        .map(|(row, &index)| (index, values(row))),
                );
            }
        } else if name.ends_with(".safetensors") {
            let shard = SafeTensors::deserialize(&bytes).unwrap();
            let index =
                bytemuck::pod_collect_to_vec::<u8, u64>(shard.tensor("index").unwrap().data());
            let values =
                bytemuck::pod_collect_to_vec::<u8, f32>(shard.tensor("values").unwrap().data());
            tensors.extend(index.into_iter().zip(values.chunks(300 * 300).map(whose)));
        }
    }
    assert_eq!(rows, tensors);
    rows
}

#[test]
fn a_window_that_is_done_again_otherwise_loses_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut output = Directory::open(folder.path(), &run(), false).unwrap();
    // Record 91 waits for an earlier one; a run that remembers fewer sequences computes it.
    let forgotten = |index| (index == 91).then_some(Outcome::Done);
    for number in 0..MADE.windows() {
        output.write(&MADE.rows(number, forgotten)).unwrap();
    }
    output.duplicates(&mut Unwatched).unwrap();
    output.finish(&Vec::new(), &mut Unwatched).unwrap();
    drop(output);
    fs::write(folder.path().join("mean/00000001.parquet"), "damaged").unwrap();
    go_on(folder.path(), &run());
    let (_folder, straight) = undisturbed(&run());
    for directory in [folder.path(), &straight] {
        sort(directory).unwrap();
    }
    assert_eq!(shards(folder.path()), shards(&straight));
}

#[test]
fn copies_that_are_lost_one_after_the_other_are_all_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut output = Directory::open(folder.path(), &run(), false).unwrap();
    for number in 0..MADE.windows() {
        MADE.write(&mut output, number).unwrap();
        if number % 2 == 0 {
            output.duplicates(&mut Unwatched).unwrap();
        }
    }
    drop(output);
    let copies = || {
        let names = names(folder.path()).into_iter();
        names
            .filter(|name| name.starts_with("mean/copies"))
            .collect::<Vec<_>>()
    };
    let [first, middle, last] = copies().try_into().expect("three shards of copies");
    for lost in [vec![first, last], vec![middle]] {
        for name in lost {
            fs::write(folder.path().join(name), "damaged").unwrap();
        }
        go_on(folder.path(), &run());
    }
    let (_folder, straight) = undisturbed(&run());
    for directory in [folder.path(), &straight] {
        sort(directory).unwrap();
    }
    assert_eq!(shards(folder.path()), shards(&straight));
}
