//! What must be the same for a run to go on in its directory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// A run, as its directory remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub outputs: Vec<Output>,
    pub values: ValueType,
    pub format: Format,
    /// Which part of the input this directory holds; `None` for all of it.
    pub shard: Option<Part>,
    /// All else on which the rows depend, as names and values to be shown: the model's digest, the tool's options, how long proteins are treated, how windows are cut.
    pub settings: BTreeMap<String, String>,
    #[serde(default)]
    pub named: Named,
}

/// What the command that began the run named, as it was given: for who reads the directory. A run goes on under other
/// names, as its model is known by a digest and its input by those of its windows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub model: String,
    pub inputs: Vec<String>,
}

/// An output that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Names the folder of its shards: letters, digits, `.`, `_` and `-`, the first of them no `.`.
    pub name: String,
    pub layout: Layout,
    /// The dimensions that all records have alike ([`Layout::split`]), for a shard without rows.
    #[serde(default)]
    pub inner: Vec<usize>,
}

/// How the shapes of an output's records relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// All have one shape, as `mean` and `bos` have: a row each.
    Row,
    /// `[length, width]` of one width, as `per_residue` and `logits` are: their rows, one record behind the other.
    Matrix,
    /// `[length, length]`, as `contacts` is, or any other shapes of one rank: their values, one record behind the
    /// other.
    Ragged,
}

impl Layout {
    /// How many dimensions of its own a record has, where there is none to show it.
    pub(super) fn rank(self) -> usize {
        match self {
            Self::Row => 0,
            Self::Matrix => 1,
            Self::Ragged => 2,
        }
    }

    /// Splits the shape of a record: what may differ between records, and what may not.
    pub fn split(self, shape: &[usize]) -> (&[usize], &[usize]) {
        shape.split_at(match self {
            Self::Row => 0,
            Self::Matrix => shape.len().min(1),
            Self::Ragged => shape.len(),
        })
    }
}

/// In what type values are stored. Tools give 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// IEEE 754 binary32: the bits that the tool gave.
    Float32,
    /// IEEE 754 binary16, rounded to nearest, ties to even; what is beyond ±65504 after rounding becomes infinite.
    Float16,
}

impl ValueType {
    /// Bytes of a value.
    pub fn size(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float16 => 2,
        }
    }

    /// The least value that is stored as infinite. Of halves, 65520 lies midway between the largest, 65504, and the next that
    /// there would be, and goes to the even one, which is that.
    pub(super) fn limit(self) -> f32 {
        match self {
            Self::Float32 => f32::INFINITY,
            Self::Float16 => 65520.0,
        }
    }
}

/// In what files values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Parquet for [`Layout::Row`], safetensors for the others.
    Parquet,
    /// `.npy`, with a `.tsv` of the same name beside it that says whose the rows are.
    Npy,
}

/// The setting that says how the windows of parts are cut, where only they must be cut alike: the whole that they are
/// merged to is gone on with by its windows, as any other.
pub const WINDOW_OF_PARTS: &str = "window of all parts";

/// A part of a run: `index` from 1 to `count`, as in `--shard 1/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub index: u32,
    pub count: u32,
}

impl Run {
    /// Refuses names of outputs that cannot be folders.
    pub(super) fn check(&self) -> Result<()> {
        if self.outputs.is_empty() {
            return Err(Error::usage(
                "no output is asked for; name at least one, as in --outputs mean",
            ));
        }
        let mut names = BTreeSet::new();
        for Output { name, .. } in &self.outputs {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if name.is_empty()
                || name.starts_with('.')
                || name == super::RECORDS
                || !name.bytes().all(letters)
            {
                return Err(Error::usage(format!(
                    "the output {name:?} cannot be the name of a folder: letters, digits, \
                     '.', '_' and '-' are possible, \
                     beginning with no '.', and not {:?}",
                    super::RECORDS
                )));
            }
            if !names.insert(name) {
                return Err(Error::usage(format!(
                    "the output {name:?} is asked for twice; name it once"
                )));
            }
        }
        Ok(())
    }

    /// What differs from `now`, a line each; none where both are one run.
    pub(super) fn differences(&self, now: &Self) -> Vec<String> {
        let (before, now) = (self.shown(), now.shown());
        let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        let value = |of: &BTreeMap<String, String>, name: &String| {
            of.get(name).map_or("not set".into(), String::clone)
        };
        names
            .into_iter()
            .filter(|name| before.get(*name) != now.get(*name))
            .map(|name| {
                format!(
                    "{name}: {} there, {} now",
                    value(&before, name),
                    value(&now, name)
                )
            })
            .collect()
    }

    /// All of it as names and values.
    fn shown(&self) -> BTreeMap<String, String> {
        let mut shown = self.settings.clone();
        let outputs = self.outputs.iter().map(|output| output.name.as_str());
        shown.insert("outputs".into(), outputs.collect::<Vec<_>>().join(", "));
        shown.insert("values".into(), word(&self.values));
        shown.insert("format".into(), word(&self.format));
        if let Some(Part { index, count }) = self.shard {
            shown.insert("shard".into(), format!("{index}/{count}"));
        }
        shown
    }
}

fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}
