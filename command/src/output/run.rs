//! What must be the same for a run to go on in its directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A run, as its directory remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub outputs: Vec<Output>,
    pub values: ValueType,
    pub format: Format,
    /// Which part of the input this directory holds; `None` for all of it.
    pub shard: Option<Part>,
    /// All else on which the rows depend, as names and values to be shown: the model and its digest, the tool's options, how
    /// long proteins are treated, how windows are cut.
    pub settings: BTreeMap<String, String>,
}

/// An output that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Names the folder of its shards: letters, digits, `.`, `_` and `-`, the first of them no `.`.
    pub name: String,
    pub layout: Layout,
}

/// How the shapes of an output's records relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// All have one shape, as `mean` and `bos` have: a row each.
    Row,
    /// `[length, width]` of one width, as `per_residue` and `logits` are: their rows, one record behind the other.
    Matrix,
    /// Any shapes, as `contacts` has: their values, one record behind the other.
    Ragged,
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

/// A part of a run: `index` from 1 to `count`, as in `--shard 1/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub index: u32,
    pub count: u32,
}
