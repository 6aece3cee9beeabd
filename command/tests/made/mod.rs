//! Runs whose records, outcomes and values follow from positions alone.
//!
//! Record 7 of every 20 fails, unless its sequence is that of an earlier record; record 11 of every 20 has the
//! sequence of the record 11 before it, and record 300 and some that of record 7, which failed. Value k of an output
//! of a record is `crc(first record of its sequence) + k` in sixteenths, so that 16 bits hold it, too.

#![allow(dead_code)] // each test uses some of it

use std::collections::BTreeMap;

use toolpool_command::error::Result;
use toolpool_command::output::{Directory, Format, Layout, Named, Output, Run, ValueType, Written};
use toolpool_command::rows::{Outcome, Remark, Rows, Values};
use toolpool_command::window::Window;

pub const WIDTH: usize = 8;

/// A run of the three layouts.
pub fn run() -> Run {
    let output = |name: &str, layout, inner: &[usize]| Output {
        name: name.into(),
        layout,
        inner: inner.to_owned(),
    };
    Run {
        outputs: vec![
            output("mean", Layout::Row, &[WIDTH]),
            output("per_residue", Layout::Matrix, &[WIDTH]),
            output("contacts", Layout::Ragged, &[]),
        ],
        values: ValueType::Float32,
        format: Format::Parquet,
        shard: None,
        settings: BTreeMap::from([("model".into(), "made".into())]),
        named: Named {
            model: "lab/made".into(),
            inputs: vec!["proteins.fasta".into()],
        },
    }
}

/// An input of so many records, cut into windows of one size.
#[derive(Clone, Copy)]
pub struct Made {
    pub records: u64,
    pub window: u64,
}

/// The earlier record that has the same sequence.
pub fn same_as(index: u64) -> Option<u64> {
    match index {
        311..320 => Some(7),
        _ if index % 20 == 11 && index >= 31 => {
            Some(index - 11 - 20 * (index % 3).min((index - 31) / 20))
        }
        _ => None,
    }
}

pub fn fails(index: u64) -> bool {
    index % 20 == 7 || same_as(index).is_some_and(fails)
}

/// None, one or two.
pub fn remarks(index: u64) -> Vec<String> {
    let of = same_as(index).unwrap_or(index);
    let remark = |number| format!("remark {number} on record {of}\tand more");
    (0..(of % 9).saturating_sub(6)).map(remark).collect()
}

pub fn sequence(index: u64) -> Vec<u8> {
    let of = same_as(index).unwrap_or(index);
    let length = 1 + of as usize % 5;
    let mut sequence: Vec<u8> = format!("{of:08}")
        .bytes()
        .map(|digit| b'A' + (digit - b'0'))
        .collect();
    sequence.truncate(8);
    sequence.extend(std::iter::repeat_n(b'G', length));
    sequence
}

pub fn id(index: u64) -> Vec<u8> {
    match index % 100 {
        3 => format!("back\\slash {index}").into_bytes(),
        4 => [b"latin\xe9".as_slice(), index.to_string().as_bytes()].concat(),
        5 => b"twice".to_vec(),
        _ => format!("protein_{index}").into_bytes(),
    }
}

pub fn shape(index: u64, output: &str) -> Vec<usize> {
    let length = sequence(index).len();
    match output {
        "mean" => vec![WIDTH],
        "per_residue" => vec![length, WIDTH],
        _ => vec![length, length],
    }
}

pub fn values(index: u64, output: &str) -> Vec<f32> {
    let of = same_as(index).unwrap_or(index);
    let count = shape(index, output).iter().product();
    (0..count)
        .map(|value| (of % 512) as f32 + value as f32 / 16.0)
        .collect()
}

impl Made {
    pub fn new(records: u64, window: u64) -> Self {
        Self { records, window }
    }

    pub fn windows(self) -> u64 {
        self.records.div_ceil(self.window)
    }

    /// Window `number`, of which `outcome` may say otherwise what becomes of a record.
    pub fn rows(self, number: u64, outcome: impl Fn(u64) -> Option<Outcome>) -> Rows {
        let first = number * self.window;
        self.rows_of(
            number,
            first,
            (self.records - first).min(self.window),
            outcome,
        )
    }

    pub fn rows_of(
        self,
        number: u64,
        first: u64,
        count: u64,
        outcome: impl Fn(u64) -> Option<Outcome>,
    ) -> Rows {
        let mut window = Window {
            number,
            first,
            ..Window::default()
        };
        let mut outcomes = Vec::new();
        for index in first..first + count {
            window.ids.push(&id(index));
            window.sequences.push(&sequence(index));
            outcomes.push(outcome(index).unwrap_or_else(|| match same_as(index) {
                Some(source) if source < first => Outcome::Same(source),
                _ if fails(index) => {
                    Outcome::Failed(format!("record {index}\tcannot be done\nsorry"))
                }
                _ => Outcome::Done,
            }));
        }
        let remarks = (0..outcomes.len()).flat_map(|record| {
            let texts = remarks(first + record as u64).into_iter();
            texts.map(move |text| Remark { record, text })
        });
        Rows {
            remarks: remarks.collect(),
            digest: u128::from(first) << 64 | u128::from(count),
            values: Box::new(Computed::of(first, count)),
            window,
            outcomes,
        }
    }

    pub fn write(self, output: &mut Directory, number: u64) -> Result<Written> {
        output.write(&self.rows(number, |_| None))
    }

    /// Writes all windows that are not finished.
    pub fn write_all(self, output: &mut Directory) -> Result<()> {
        for number in 0..self.windows() {
            if !output.finished().iter().any(|line| line.number == number) {
                self.write(output, number)?;
            }
        }
        Ok(())
    }
}

type Tensor = (Vec<usize>, Vec<f32>);

struct Computed {
    first: u64,
    outputs: BTreeMap<String, Vec<Tensor>>,
}

impl Computed {
    fn of(first: u64, count: u64) -> Self {
        let outputs = ["mean", "per_residue", "contacts"].map(|output| {
            let tensors =
                (first..first + count).map(|index| (shape(index, output), values(index, output)));
            (output.to_owned(), tensors.collect())
        });
        Self {
            first,
            outputs: outputs.into(),
        }
    }
}

impl Values for Computed {
    fn names(&self) -> Vec<String> {
        self.outputs.keys().cloned().collect()
    }

    fn get(&self, record: usize, name: &str) -> (&[usize], &[f32]) {
        let (shape, values) = &self.outputs[name][record];
        (shape, values)
    }
}
