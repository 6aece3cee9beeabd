//! The options of the esm2 tool.

use super::config::Config;
use crate::error::{Error, Result};

/// Numeric type of weights and activations; outputs are fp32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// The fastest that the device computes well.
    Auto,
    Fp32,
    Bf16,
    Fp16,
}

/// How the most tokens in one batch are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// A number that suits the device.
    ByDevice,
    /// Found on each slot, while it works: larger for as long as that is faster.
    Auto,
    Fixed(u64),
}

/// What to do with a sequence of more residues than `max_length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLong {
    /// The item fails, alone.
    Error,
    /// The first `max_length` residues are used, with a warning.
    Truncate,
    /// The sequence is used as it is, with a warning.
    Whole,
}

/// Which outputs an item gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outputs {
    pub mean: bool,
    pub bos: bool,
    pub per_residue: bool,
    pub logits: bool,
    pub contacts: bool,
}

impl Outputs {
    /// Whether any output is taken from hidden states.
    pub fn any_hidden(&self) -> bool {
        self.mean || self.bos || self.per_residue
    }
}

/// All options, with their defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub outputs: Outputs,
    /// Layers as the user numbered them: 0 is the embedding, -1 the last.
    pub layers: Vec<i64>,
    pub dtype: Dtype,
    /// Most tokens in one batch.
    pub tokens_per_batch: Tokens,
    pub on_long: OnLong,
    /// Residues above which `on_long` decides.
    pub max_length: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            outputs: Outputs {
                mean: true,
                ..Outputs::default()
            },
            layers: vec![-1],
            dtype: Dtype::Auto,
            tokens_per_batch: Tokens::ByDevice,
            on_long: OnLong::Error,
            max_length: 1022,
        }
    }
}

const KNOWN: &str = "outputs, layers, dtype, tokens_per_batch, on_long, max_length";

impl Options {
    /// Options from key and value pairs; a key given twice takes its last value.
    pub fn parse(pairs: &[(&str, &str)]) -> Result<Self> {
        let mut options = Options::default();
        for &(key, value) in pairs {
            match key {
                "outputs" => options.outputs = parse_outputs(value)?,
                "layers" => options.layers = parse_list(key, value)?,
                "dtype" => options.dtype = parse_dtype(value)?,
                "tokens_per_batch" => options.tokens_per_batch = parse_tokens(key, value)?,
                "on_long" => options.on_long = parse_on_long(value)?,
                "max_length" => options.max_length = parse_positive(key, value)? as usize,
                _ => {
                    return Err(Error::Option(format!(
                        "esm2 has no option {key:?}; its options are {KNOWN}"
                    )));
                }
            }
        }
        Ok(options)
    }

    /// The chosen layers, counted from 0 (the embedding) to `config.layers`, ascending, each once.
    pub fn resolve_layers(&self, config: &Config) -> Result<Vec<usize>> {
        let n = config.layers as i64;
        let mut layers = Vec::with_capacity(self.layers.len());
        for &layer in &self.layers {
            let counted = if layer < 0 { n + 1 + layer } else { layer };
            if !(0..=n).contains(&counted) {
                return Err(Error::Option(format!(
                    "layer {layer} does not exist: this model has layers 0 (the embedding) to {n}, or -{} to -1 from the end",
                    n + 1
                )));
            }
            layers.push(counted as usize);
        }
        layers.sort_unstable();
        layers.dedup();
        Ok(layers)
    }
}

fn bad(key: &str, value: &str, allowed: &str) -> Error {
    Error::Option(format!("{key} cannot be {value:?}; it takes {allowed}"))
}

fn parse_outputs(value: &str) -> Result<Outputs> {
    let mut outputs = Outputs::default();
    for name in value.split(',').map(str::trim) {
        let chosen = match name {
            "mean" => &mut outputs.mean,
            "bos" => &mut outputs.bos,
            "per_residue" => &mut outputs.per_residue,
            "logits" => &mut outputs.logits,
            "contacts" => &mut outputs.contacts,
            _ => {
                return Err(bad(
                    "outputs",
                    name,
                    "a comma-separated list of mean, bos, per_residue, logits, contacts",
                ));
            }
        };
        *chosen = true;
    }
    Ok(outputs)
}

fn parse_list(key: &str, value: &str) -> Result<Vec<i64>> {
    value
        .split(',')
        .map(|number| {
            number.trim().parse().map_err(|_| {
                bad(
                    key,
                    value,
                    "a comma-separated list of layer numbers, such as -1 or 0,6,12",
                )
            })
        })
        .collect()
}

fn parse_tokens(key: &str, value: &str) -> Result<Tokens> {
    if value == "auto" {
        return Ok(Tokens::Auto);
    }
    let fixed = parse_positive(key, value).map(Tokens::Fixed);
    fixed.map_err(|_| bad(key, value, "auto or a whole number of at least 1"))
}

fn parse_dtype(value: &str) -> Result<Dtype> {
    match value {
        "auto" => Ok(Dtype::Auto),
        "fp32" => Ok(Dtype::Fp32),
        "bf16" => Ok(Dtype::Bf16),
        "fp16" => Ok(Dtype::Fp16),
        _ => Err(bad("dtype", value, "auto, fp32, bf16 or fp16")),
    }
}

fn parse_on_long(value: &str) -> Result<OnLong> {
    match value {
        "error" => Ok(OnLong::Error),
        "truncate" => Ok(OnLong::Truncate),
        "whole" => Ok(OnLong::Whole),
        _ => Err(bad("on_long", value, "error, truncate or whole")),
    }
}

fn parse_positive(key: &str, value: &str) -> Result<u64> {
    match value.trim().parse() {
        Ok(number) if (1..=1 << 40).contains(&number) => Ok(number),
        _ => Err(bad(key, value, "a whole number of at least 1")),
    }
}
