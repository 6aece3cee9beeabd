//! The options of the tools torchscript and aoti.

use super::archive::Format;
use super::dtype;
use crate::error::{Error, Result};
use tch::{Device, Kind};
use toolpool_abi::toolpool_dtype_t;

/// How items become a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    Stack,
    Pad,
    Pack,
    None,
}

/// What an item costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cost {
    /// The number of elements of all its tensors.
    Elements,
    /// The size of a dimension of its first tensor, to a power.
    Dimension { dim: usize, power: f64 },
}

/// Numeric type of weights and floating-point inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// As the file has them.
    Model,
    /// bf16 on GPUs of capability 8.0 and up, else fp32.
    Auto,
    Fp32,
    Bf16,
    Fp16,
}

impl Dtype {
    /// What weights and inputs are cast to on a device; none: nothing is.
    pub fn on(self, device: Device, capability: (i32, i32)) -> Option<Kind> {
        match self {
            Dtype::Model => None,
            Dtype::Fp32 => Some(Kind::Float),
            Dtype::Bf16 => Some(Kind::BFloat16),
            Dtype::Fp16 => Some(Kind::Half),
            Dtype::Auto if matches!(device, Device::Cuda(_)) && capability >= (8, 0) => {
                Some(Kind::BFloat16)
            }
            Dtype::Auto => Some(Kind::Float),
        }
    }
}

/// An input that the tool itself makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    pub input: String,
    pub dtype: toolpool_dtype_t,
}

/// A tensor of an item for the warm-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub dtype: toolpool_dtype_t,
    pub dims: Vec<i64>,
}

/// All options, with their defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub batch: Batching,
    /// The dimension of an item's tensors that differs: 0 is an item's first.
    pub dim: usize,
    /// What padding consists of, by input; the entry without a name holds for the others.
    pub pad_value: Vec<(Option<String>, f64)>,
    pub mask: Option<Mask>,
    /// The input that gets the cumulative lengths.
    pub lengths: Option<String>,
    /// The inputs that differ on `dim`; none: all.
    pub ragged_inputs: Option<Vec<String>>,
    /// The outputs that differ with them.
    pub ragged_outputs: Vec<String>,
    /// The outputs that are wanted; none: all.
    pub outputs: Option<Vec<String>>,
    pub dtype: Dtype,
    /// Whether half-precision outputs stay as they are; else they become fp32.
    pub keep_half: bool,
    pub cost: Cost,
    pub batch_size: Option<u64>,
    /// The fewest items in a call; what is missing are copies of the last.
    pub batch_fill: usize,
    /// The items of each warm-up run.
    pub warm_up: Vec<Vec<Example>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            batch: Batching::Stack,
            dim: 0,
            pad_value: Vec::new(),
            mask: None,
            lengths: None,
            ragged_inputs: None,
            ragged_outputs: Vec::new(),
            outputs: None,
            dtype: Dtype::Model,
            keep_half: false,
            cost: Cost::Elements,
            batch_size: None,
            batch_fill: 1,
            warm_up: Vec::new(),
        }
    }
}

const KNOWN: &str = "batch, dim, pad_value, mask, lengths, ragged_inputs, ragged_outputs, outputs, dtype, output_dtype, \
                     cost, batch_size, batch_fill, warm_up";

impl Options {
    /// Options from key and value pairs; a key given twice takes its last value.
    pub fn parse(format: Format, pairs: &[(&str, &str)]) -> Result<Self> {
        let mut options = Options::default();
        for &(key, value) in pairs {
            match key {
                "batch" => options.batch = batching(value)?,
                "dim" => options.dim = number(key, value, 0..=7)? as usize,
                "pad_value" => options.pad_value = pad_values(value)?,
                "mask" => options.mask = Some(mask(value)?),
                "lengths" => options.lengths = Some(name(key, value)?),
                "ragged_inputs" => options.ragged_inputs = Some(names(key, value)?),
                "ragged_outputs" => options.ragged_outputs = names(key, value)?,
                "outputs" => options.outputs = Some(names(key, value)?),
                "dtype" => options.dtype = parse_dtype(format, value)?,
                "output_dtype" => options.keep_half = keep_half(value)?,
                "cost" => options.cost = cost(value)?,
                "batch_size" => options.batch_size = Some(number(key, value, 1..=1 << 40)?),
                "batch_fill" => options.batch_fill = number(key, value, 1..=4096)? as usize,
                "warm_up" => options.warm_up = warm_up(value)?,
                _ => {
                    return Err(Error::Option(format!(
                        "{} has no option {key:?}; its options are {KNOWN}",
                        format.tool()
                    )));
                }
            }
        }
        Ok(options)
    }

    /// Whether an input, which goes by two names, differs between items on `dim`.
    pub fn is_ragged(&self, input: [&str; 2]) -> bool {
        match (self.batch, &self.ragged_inputs) {
            (Batching::Stack | Batching::None, _) => false,
            (_, None) => true,
            (_, Some(names)) => names.iter().any(|name| input.contains(&name.as_str())),
        }
    }

    /// What the padding of an input, which goes by two names, consists of.
    pub fn padding(&self, input: [&str; 2]) -> f64 {
        let named = |(name, _): &&(Option<String>, f64)| {
            name.as_deref().is_some_and(|name| input.contains(&name))
        };
        let mut values = self.pad_value.iter();
        let own = values.clone().find(named);
        let value = own.or_else(|| values.find(|(name, _)| name.is_none()));
        value.map_or(0.0, |&(_, value)| value)
    }
}

fn bad(key: &str, value: &str, allowed: &str) -> Error {
    Error::Option(format!("{key} cannot be {value:?}; it takes {allowed}"))
}

fn batching(value: &str) -> Result<Batching> {
    match value {
        "stack" => Ok(Batching::Stack),
        "pad" => Ok(Batching::Pad),
        "pack" => Ok(Batching::Pack),
        "none" => Ok(Batching::None),
        _ => Err(bad("batch", value, "stack, pad, pack or none")),
    }
}

fn number(key: &str, value: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
    match value.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(bad(
            key,
            value,
            &format!("a whole number from {} to {}", range.start(), range.end()),
        )),
    }
}

fn name(key: &str, value: &str) -> Result<String> {
    match value.trim() {
        "" => Err(bad(key, value, "the name or the position of an input")),
        name => Ok(name.to_owned()),
    }
}

fn names(key: &str, value: &str) -> Result<Vec<String>> {
    let names: Vec<String> = value
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    match names.iter().any(String::is_empty) {
        true => Err(bad(
            key,
            value,
            "a comma-separated list of names or positions",
        )),
        false => Ok(names),
    }
}

fn pad_values(value: &str) -> Result<Vec<(Option<String>, f64)>> {
    let of = |part: &str| {
        let (name, number) = match part.split_once('=') {
            Some((name, number)) => (Some(name.trim().to_owned()), number),
            None => (None, part),
        };
        number
            .trim()
            .parse()
            .ok()
            .filter(|_| name.as_deref() != Some(""))
            .map(|number| (name, number))
    };
    value
        .split(',')
        .map(of)
        .collect::<Option<_>>()
        .ok_or_else(|| {
            bad(
                "pad_value",
                value,
                "a number, or a list such as input_ids=1,attention_mask=0",
            )
        })
}

fn mask(value: &str) -> Result<Mask> {
    let (input, dtype) = value.rsplit_once(':').unwrap_or((value, "int64"));
    match (input.trim(), dtype::code_named(dtype.trim())) {
        ("", _) | (_, None) => Err(bad(
            "mask",
            value,
            "the name of an input, with its type if that is not int64: attention_mask:bool",
        )),
        (input, Some(dtype)) => Ok(Mask {
            input: input.to_owned(),
            dtype,
        }),
    }
}

fn parse_dtype(format: Format, value: &str) -> Result<Dtype> {
    let dtype = match value {
        "model" => Dtype::Model,
        "auto" => Dtype::Auto,
        "fp32" => Dtype::Fp32,
        "bf16" => Dtype::Bf16,
        "fp16" => Dtype::Fp16,
        _ => return Err(bad("dtype", value, "model, auto, fp32, bf16 or fp16")),
    };
    if format == Format::Package && dtype != Dtype::Model {
        return Err(Error::Option(format!(
            "dtype cannot be {value:?} for aoti: a package is compiled for its types; export it from model.half() or \
             model.bfloat16()"
        )));
    }
    Ok(dtype)
}

fn keep_half(value: &str) -> Result<bool> {
    match value {
        "fp32" => Ok(false),
        "model" => Ok(true),
        _ => Err(bad("output_dtype", value, "fp32 or model")),
    }
}

/// `elements`, `dim0` or `dim0^2`.
fn cost(value: &str) -> Result<Cost> {
    if value == "elements" {
        return Ok(Cost::Elements);
    }
    let parsed = value.strip_prefix("dim").and_then(|rest| {
        let (dim, power) = rest.split_once('^').unwrap_or((rest, "1"));
        let power: f64 = power.parse().ok()?;
        let dim: usize = dim.parse().ok()?;
        (dim < 8 && (0.0..=16.0).contains(&power)).then_some(Cost::Dimension { dim, power })
    });
    parsed.ok_or_else(|| {
        bad(
            "cost",
            value,
            "elements, or a dimension of the first input and a power of 0 to 16: dim0^2",
        )
    })
}

/// `int64[16],int64[16];int64[64],int64[64]`: the tensors of an item, run by run.
fn warm_up(value: &str) -> Result<Vec<Vec<Example>>> {
    let runs: Option<Vec<_>> = value.split(';').map(examples).collect();
    runs.ok_or_else(|| {
        bad(
            "warm_up",
            value,
            "the tensors of an item, and behind a semicolon of another: int64[16],int64[16];int64[64],int64[64]",
        )
    })
}

fn examples(run: &str) -> Option<Vec<Example>> {
    run.trim()
        .strip_suffix(']')?
        .split("],")
        .map(|tensor| {
            let (name, dims) = tensor.trim().split_once('[')?;
            let dims: Vec<i64> = match dims.trim() {
                "" => Vec::new(),
                dims => dims
                    .split(',')
                    .map(|dim| {
                        dim.trim()
                            .parse()
                            .ok()
                            .filter(|dim| (1..=1 << 32).contains(dim))
                    })
                    .collect::<Option<_>>()?,
            };
            let fits = dims
                .iter()
                .try_fold(1_i64, |product, &dim| product.checked_mul(dim))
                .is_some_and(|elements| elements <= 1 << 34);
            Some(Example {
                dtype: dtype::code_named(name.trim())?,
                dims,
            })
            .filter(|example| fits && example.dims.len() <= 7)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolpool_abi::{TOOLPOOL_BOOL, TOOLPOOL_INT64};

    fn parse(pairs: &[(&str, &str)]) -> Result<Options> {
        Options::parse(Format::Script, pairs)
    }

    #[test]
    fn values_are_understood() {
        let options = parse(&[
            ("batch", "pad"),
            ("mask", "m:bool"),
            ("pad_value", "1, ids=2.5"),
            ("cost", "dim1^1.5"),
            ("warm_up", "int64[16,2],bool[];int64[3,2],bool[]"),
        ])
        .unwrap();
        assert_eq!(options.mask.as_ref().unwrap().dtype, TOOLPOOL_BOOL);
        assert_eq!(
            (options.padding(["0", "ids"]), options.padding(["x", "1"])),
            (2.5, 1.0)
        );
        assert_eq!(options.cost, Cost::Dimension { dim: 1, power: 1.5 });
        assert_eq!(options.warm_up.len(), 2);
        let first = Example {
            dtype: TOOLPOOL_INT64,
            dims: vec![16, 2],
        };
        assert_eq!(options.warm_up[0][0], first);
        assert!(options.warm_up[1][1].dims.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (key, value) in [
            ("batch", "stacked"),
            ("dim", "-1"),
            ("dim", "8"),
            ("pad_value", "=1"),
            ("pad_value", "x"),
            ("mask", "m:complex"),
            ("mask", ""),
            ("lengths", " "),
            ("outputs", "a,,b"),
            ("dtype", "half"),
            ("output_dtype", "fp16"),
            ("cost", "dim"),
            ("cost", "dim0^-1"),
            ("batch_size", "0"),
            ("batch_fill", "-2"),
            ("warm_up", "int64"),
            ("warm_up", "int64[0]"),
            ("warm_up", "int64[16"),
            ("warm_up", "int64[16]]"),
            ("warm_up", "text[1]"),
            ("warm_up", "int8[9999999999,9999999999]"),
        ] {
            let message = parse(&[(key, value)]).unwrap_err().to_string();
            assert!(message.starts_with(key), "{message}");
        }
        let unknown = parse(&[("layers", "1")]).unwrap_err().to_string();
        assert!(unknown.contains("ragged_outputs"), "{unknown}");
    }

    #[test]
    fn a_package_keeps_its_types() {
        let refused = Options::parse(Format::Package, &[("dtype", "bf16")]);
        assert!(refused.unwrap_err().to_string().contains("export it"));
    }
}
